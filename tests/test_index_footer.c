/* The index from a footer: what it saves, and that one which lies or is damaged costs no row. */
#include "tests/indexing.h"

enum { STOCK = 20 };

typedef struct lie {
  uint32_t rows_more;
  int64_t keys_more;
  size_t offset; /* by how much it is off */
  bool path;
} lie;

static const lie none;

static int64_t stock_keys[STOCK][2];

/* Unsealed chunks of two rows at (10i, 10i + 5), and a footer that tells of them, true but for `untrue`. */
static void make_stock(rk_buffer *bytes, bool footer, const lie *untrue, size_t padding)
{
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  test_begin(bytes, NULL, NULL, true);
  for (uint32_t i = 0; i < STOCK; i++) {
    stock_keys[i][0] = 10 * (int64_t)i;
    stock_keys[i][1] = 10 * (int64_t)i + 5;
    static const int64_t frames[STOCK][2];
    test_chunk chunk = {.entity = i % 2 ? "/b" : "/a",
                        .tag = 9,
                        .number = i,
                        .first_row = 2 * i,
                        .row_count = 2,
                        .keys = stock_keys[i],
                        .frames = i % 4 == 0 ? frames[i] : NULL,
                        .padding = padding,
                        .unsealed = true};
    const size_t start = test_add_chunk(bytes, &chunk);
    rk_buffer told = {0}; /* the chunk as the manifest has it */
    const int64_t keys[] = {stock_keys[i][0] + untrue->keys_more, stock_keys[i][1] + untrue->keys_more, 0};
    chunk.manifest = manifest;
    chunk.keys = keys;
    chunk.row_count += untrue->rows_more;
    chunk.entity = untrue->path ? "/c" : chunk.entity;
    rk_buffer_append_zero(&told, start + untrue->offset);
    (void)test_add_chunk(&told, &chunk);
    rk_buffer_free(&told);
  }
  if (footer) {
    assert_int_equal(rk_footer_encode(bytes, &manifest, 1, bytes->size), RK_OK);
  }
  rk_manifest_free(manifest);
}

static void a_sound_footer_saves_decoding(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, true, &none, LARGE);
  const file f = make_file(&bytes);
  const rk_reader_options options = {.has_since = true, .since_ns = 50, .has_until = true, .until_ns = 70};
  rk_reader *reader = open_file(&options, &f);
  assert_int_equal(stats_of(reader).chunk_count, STOCK);
  assert_int_equal(stats_of(reader).rows_indexed, 2 * STOCK);
  assert_true(stats_of(reader).read_size < LARGE);
  assert_int_equal(rk_entry_at(reader, 3)->min_ns, 30);
  assert_string_equal(rk_entry_path(reader, rk_entry_at(reader, 3)), "/b");
  assert_int_equal(count_rows(reader), 4);
  assert_true(stats_of(reader).read_size < 4 * LARGE);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void a_footer_that_lies_loses_no_row(void **state)
{
  (void)state;
  static const lie lies[] = {
      {.rows_more = 1}, {.keys_more = 1000000}, {.keys_more = -1000000}, {.offset = 1}, {.path = true}};
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    rk_buffer bytes = {0};
    make_stock(&bytes, true, &lies[i], 0);
    told_loss loss = {0};
    const rk_reader_options options = {.on_loss = on_loss, .context = &loss};
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
    assert_int_equal(count_rows(reader), 2 * STOCK);
    assert_int_equal(loss.count, 0);
    rk_reader_free(reader);
    rk_buffer_free(&bytes);
  }
}

/* Any bit of the footer: all rows are there, and decoded if need be. */
static void a_footer_with_a_flipped_bit_is_not_used(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, false, &none, 0);
  const size_t footer = bytes.size;
  bytes.size = 0;
  make_stock(&bytes, true, &none, 0);
  for (size_t bit = footer * 8; bit < bytes.size * 8; bit += 7) {
    bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    rk_reader *reader;
    assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
    assert_false(rk_entry_at(reader, 0)->told);
    assert_int_equal(count_rows(reader), 2 * STOCK);
    rk_reader_free(reader);
    bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  rk_buffer_free(&bytes);
}

static void a_footer_tells_the_times_of_any_timeline(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, true, &none, 0);
  const rk_reader_options options = {.timeline = "frame"};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(count_rows(reader), 2 * (STOCK / 4));
  int64_t min, max;
  const char *frame = reader->filters.timeline;
  assert_true(rk_index_timeline_hull(reader, rk_entry_at(reader, 4), frame, &min, &max));
  assert_int_equal(min, 0);
  assert_int_equal(max, 0);
  assert_true(rk_index_timeline_hull(reader, rk_entry_at(reader, 5), frame, &min, &max));
  assert_true(min > max);
  assert_false(rk_index_timeline_hull(reader, rk_entry_at(reader, 5), "frame", &min, &max));
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sound_footer_saves_decoding),
      cmocka_unit_test(a_footer_that_lies_loses_no_row),
      cmocka_unit_test(a_footer_with_a_flipped_bit_is_not_used),
      cmocka_unit_test(a_footer_tells_the_times_of_any_timeline),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
