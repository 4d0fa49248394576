/* The index: what is read to make it, filters that keep chunks from being read, damage that is found by its way. */
#include "tests/indexing.h"

/* ---- What is read ---- */

enum { MANY = 200 };

/* Chunks of one row each by two writers on two entities, at 1000, 1001, ...; large ones unless `small`. */
static void make_many(rk_buffer *bytes, bool small)
{
  test_begin(bytes, NULL, NULL, false);
  test_add_writer(bytes, NULL, NULL, 1);
  test_add_writer(bytes, NULL, NULL, 2);
  for (uint32_t i = 0; i < MANY; i++) {
    const int64_t key = 1000 + i;
    test_add_chunk(bytes, &(test_chunk){.entity = i % 2 ? "/odd" : "/even",
                                        .tag = 1 + i % 2,
                                        .number = i / 2,
                                        .first_row = i / 2,
                                        .row_count = 1,
                                        .keys = &key,
                                        .padding = small ? 0 : LARGE});
  }
}

static void a_large_frame_costs_its_ends_alone(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, false);
  const file f = make_file(&bytes);
  rk_reader *reader = open_file(NULL, &f);
  const rk_reader_stats stats = stats_of(reader);
  assert_int_equal(stats.chunk_count, MANY);
  assert_in_range(stats.read_size, MANY * 128, MANY * 160 + 65536);
  assert_int_equal(count_rows(reader), MANY);
  assert_true(stats_of(reader).read_size > bytes.size);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void small_frames_are_read_many_at_once(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, true);
  const file f = make_file(&bytes);
  rk_reader *reader = open_file(NULL, &f);
  const rk_reader_stats stats = stats_of(reader);
  assert_int_equal(stats.chunk_count, MANY);
  assert_true(stats.read_size < 2 * bytes.size);
  assert_int_equal(count_rows(reader), MANY);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

/* What the filters exclude as the index tells is not read. */
static void what_cannot_pass_is_not_read(void **state)
{
  (void)state;
  static const char *const even[] = {"/even"};
  static const char *const bare[] = {"even"};
  static const char *const other[] = {"/other", "/else"};
  static const char *const pattern[] = {"/ev*"};
  static const uint32_t first[] = {1};
  static const struct {
    const char *name;
    rk_reader_options options;
    size_t rows, chunks; /* that pass, and that are read at most */
  } cases[] = {
      {"time", {.has_since = true, .since_ns = 1010, .has_until = true, .until_ns = 1015}, 5, 5},
      {"writer", {.writers = first, .writer_count = 1}, MANY / 2, MANY / 2},
      {"plain path", {.entities = even, .entity_count = 1}, MANY / 2, MANY / 2},
      {"path without slash", {.entities = bare, .entity_count = 1}, MANY / 2, MANY / 2},
      {"no such path", {.entities = other, .entity_count = 2}, 0, 0},
      {"pattern", {.entities = pattern, .entity_count = 1}, MANY / 2, MANY / 2 + 1},
      {"excluded path", {.excluded = even, .excluded_count = 1}, MANY / 2, MANY / 2},
      {"excluded pattern", {.excluded = pattern, .excluded_count = 1}, MANY / 2, MANY / 2 + 1},
      {"excluded again", {.entities = pattern, .entity_count = 1, .excluded = even, .excluded_count = 1}, 0, 1},
  };
  rk_buffer bytes = {0};
  make_many(&bytes, false);
  const file f = make_file(&bytes);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rk_reader *reader = open_file(&cases[i].options, &f);
    const uint64_t before = stats_of(reader).read_size;
    const size_t rows = count_rows(reader);
    const uint64_t size = stats_of(reader).read_size - before;
    if (rows != cases[i].rows || size > cases[i].chunks * (LARGE + 2048)) {
      fail_msg("%s: %zu rows, %llu bytes read", cases[i].name, rows, (unsigned long long)size);
    }
    rk_reader_free(reader);
  }
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void inputs_tell_what_the_index_holds(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, true);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "one", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "two", bytes.data, bytes.size, NULL), RK_OK);
  size_t count;
  const rk_input_info *const *inputs = rk_reader_inputs(reader, &count);
  assert_int_equal(count, 2);
  assert_string_equal(inputs[1]->name, "two");
  assert_int_equal(inputs[0]->chunk_count, MANY);
  assert_int_equal(inputs[0]->row_count, MANY);
  assert_int_equal(inputs[0]->min_ns, 1000);
  assert_int_equal(inputs[0]->max_ns, 1000 + MANY - 1);
  assert_int_equal(inputs[1]->size, bytes.size);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

static bool stop_at_half(void *context, const char *input, uint64_t done, uint64_t total)
{
  unsigned *calls = context;
  assert_non_null(input);
  assert_true(done <= total);
  ++*calls;
  return done < total / 2;
}

static void progress_can_stop_an_input(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  for (unsigned i = 0; i < 2; i++) {
    make_many(&bytes, false);
  }
  unsigned calls = 0;
  const rk_reader_options options = {.on_progress = stop_at_half, .context = &calls};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "one", bytes.data, bytes.size, NULL), RK_END);
  assert_true(calls > 0);
  assert_int_equal(stats_of(reader).chunk_count, 0);
  size_t count;
  (void)rk_reader_inputs(reader, &count);
  assert_int_equal(count, 0);
  assert_int_equal(count_rows(reader), 0);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* ---- The same damage with every way of reading ---- */

/* Flips bits in the frame's first 24 and last 130 bytes, which the walk reads, of a file of large frames. */
static void bits_at_both_ends_of_large_frames(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  size_t frames[8];
  test_begin(&bytes, NULL, NULL, false);
  test_add_writer(&bytes, NULL, NULL, 1);
  for (uint32_t i = 0; i < 4; i++) {
    const int64_t key = 1000 + i;
    frames[i] = test_add_chunk(&bytes, &(test_chunk){.entity = "/a",
                                                     .tag = 1,
                                                     .number = i,
                                                     .first_row = i,
                                                     .row_count = 1,
                                                     .keys = &key,
                                                     .padding = i % 2 ? 20000 : 0});
  }
  frames[4] = bytes.size;
  const file f = make_file(&bytes);
  for (size_t i = 0; i < 4; i++) {
    for (size_t n = 0; n < (24 + 130) * 8; n++) {
      const unsigned bit = n % 8;
      const size_t at = n / 8 < 24 ? frames[i] + n / 8 : frames[i + 1] - (n / 8 - 24) - 1;
      const uint8_t flipped = (uint8_t)(bytes.data[at] ^ 1u << bit);
      assert_int_equal(pwrite(f.fd, &flipped, 1, (off_t)at), 1);
      told_loss loss = {0};
      const rk_reader_options options = {.on_loss = on_loss, .context = &loss};
      rk_reader *reader = open_file(&options, &f);
      const size_t rows = count_rows(reader);
      if (rows != 3 || loss.count != 1 || loss.offset != frames[i] || loss.length != frames[i + 1] - frames[i]) {
        fail_msg("bit %u of byte %zu of chunk %zu: %zu rows, %u losses, the last at %llu", bit, n / 8, i, rows,
                 loss.count, (unsigned long long)loss.offset);
      }
      rk_reader_free(reader);
      assert_int_equal(pwrite(f.fd, bytes.data + at, 1, (off_t)at), 1);
    }
  }
  close(f.fd);
  rk_buffer_free(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_large_frame_costs_its_ends_alone), cmocka_unit_test(small_frames_are_read_many_at_once),
      cmocka_unit_test(what_cannot_pass_is_not_read),       cmocka_unit_test(inputs_tell_what_the_index_holds),
      cmocka_unit_test(progress_can_stop_an_input),         cmocka_unit_test(bits_at_both_ends_of_large_frames),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
