/* How much a merge gathers: less the more entities there are, and what must wait for a chunk that may pass. */
#include "tests/passing.h"

typedef struct cuts {
  size_t chunks, cut, merged_frames;
  uint32_t rows, size, most_rows;
} cuts;

static cuts look_at(const rk_buffer *file)
{
  cuts c = {0};
  size_t at = RK_STREAM_HEADER_SIZE;
  for (;;) {
    rk_frame_header header;
    assert_true(rk_frame_header_decode(file->data + at, &header));
    const size_t size = RK_FRAME_HEADER_SIZE + (size_t)header.size;
    if (header.kind == RK_FRAME_END) {
      return c;
    }
    rk_seal seal;
    assert_true(rk_seal_verify(file->data + at, size));
    assert_int_equal(rk_seal_decode(file->data + at + size - RK_SEAL_SIZE, &seal), RK_OK);
    if (header.kind == RK_FRAME_SET_STORE_INFO) {
      assert_int_equal(seal.flags, RK_SEAL_MERGED);
      c.merged_frames++;
    } else {
      c.chunks++;
      c.most_rows = seal.row_count > c.most_rows ? seal.row_count : c.most_rows;
      if (seal.cut_rows != 0) {
        c.cut++;
        c.rows = seal.cut_rows;
        c.size = seal.cut_size;
      }
    }
    at += size;
  }
}

/* With many entities each gathers less. What a filter leaves of them is cut the same when it is merged again. */
static void test_many_entities(void **state)
{
  (void)state;
  enum { ENTITIES = 200 };
  rk_buffer in = begin(1);
  uint32_t number = 0;
  for (uint32_t i = 0; i < ENTITIES; i++) {
    char entity[32];
    (void)snprintf(entity, sizeof entity, "/e/%u", i);
    add_texts(&in, entity, 1, number, number, 1, 1000 + number, 1, 10);
    number++;
  }
  for (uint32_t i = 0; i < 30; i++) {
    add_texts(&in, "/e/7", 1, number, number, 1, 10000 + number, 1, 50000);
    number++;
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 10000};
  outcome o = merge(&in, 1, (rk_reader_options){0}, &options, NULL);
  const cuts c = look_at(&o.out);
  assert_int_equal(c.merged_frames, 2);
  assert_int_equal(c.rows, 10000);
  assert_int_equal(c.size, 256 << 10); /* 200 times 512 KiB is too much */
  assert_int_equal(c.cut, 5);
  assert_int_equal(c.most_rows, 7); /* and the small one */
  outcome again = merge(&o.out, 1, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(again.out.size, o.out.size);
  assert_memory_equal(again.out.data, o.out.data, o.out.size);
  static const char *const one = "/e/7";
  outcome few = merge(&in, 1, (rk_reader_options){.entities = &one, .entity_count = 1}, &options, NULL);
  assert_int_equal(look_at(&few.out).size, 1 << 20);
  rk_buffer_free(&few.out);
  /* All entities are there by the index, few by their rows. */
  const rk_reader_options late = {.has_since = true, .since_ns = 10000 + ENTITIES};
  few = merge(&o.out, 1, late, &options, NULL);
  outcome few_again = merge(&few.out, 1, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(few.out.size, few_again.out.size);
  assert_memory_equal(few.out.data, few_again.out.data, few.out.size);
  rk_buffer made[] = {o.out, again.out, few.out, few_again.out, in};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    rk_buffer_free(&made[i]);
  }
}

/* A chunk that long might pass and in the end does not: what must leave after its rows waits, in a temporary file. */
static void test_late_break(void **state)
{
  (void)state;
  written_as = RK_COMPRESSION_NONE;
  rk_buffer in[2] = {begin(3), begin(3)};
  add_texts(&in[0], "/slow", 1, 1, 0, 20, 1000, 1000, 40); /* before: the next could fill it */
  add_texts(&in[0], "/slow", 1, 2, 20, 90, 50000000, 1000000, 40);
  add_texts(&in[0], "/slow", 2, 1, 0, 1, 138500000, 1, 40); /* between its last rows */
  add_texts(&in[0], "/slow", 1, 3, 110, 90, 200000000, 1000000, 40);
  for (uint32_t i = 0; i < 60; i++) {
    add_texts(&in[1], "/fast", 3, i, i * 8, 8, (i < 30 ? 135000000 : 285000000) + 100 * i, 10, 100000);
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_NONE, .chunk_rows = 100, .chunk_size = 200000};
  outcome o = merge(in, 2, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(o.report.rows, 20 + 90 + 1 + 90 + 480);
  assert_int_equal(o.report.passed_chunks, 1); /* the second long one: nothing came between */
  assert_true(o.stats.spilled_size > 1 << 20);
  rk_buffer split[2] = {merge(&in[0], 1, (rk_reader_options){0}, &options, NULL).out,
                        merge(&in[1], 1, (rk_reader_options){0}, &options, NULL).out};
  outcome staged = merge(split, 2, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(staged.stats.spilled_size, 0);
  assert_int_equal(staged.out.size, o.out.size);
  assert_memory_equal(staged.out.data, o.out.data, o.out.size);
  rk_buffer made[] = {o.out, split[0], split[1], staged.out, in[0], in[1]};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    rk_buffer_free(&made[i]);
  }
  written_as = RK_COMPRESSION_LZ4;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_many_entities),
      cmocka_unit_test(test_late_break),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
