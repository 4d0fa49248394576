/* The plan of a merge: what the index tells of rows, repeats, overlap and chunks that pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reader/reader_state.h"
#include "tests/recordings.h"

static int64_t keys_from[8][CHUNK_ROWS_MAX];

/* `count` rows of writer `tag` at `start`, start + 1, ... */
static test_chunk chunk_at(const char *entity, uint32_t tag, uint32_t number, uint32_t first_row, int64_t start,
                           uint32_t count)
{
  static size_t next;
  int64_t *keys = keys_from[next++ % 8];
  for (uint32_t i = 0; i < count; i++) {
    keys[i] = start + i;
  }
  return (test_chunk){
      .entity = entity, .tag = tag, .number = number, .first_row = first_row, .row_count = count, .keys = keys};
}

static rk_buffer begin(void)
{
  rk_buffer out = {0};
  test_begin(&out, NULL, NULL, false);
  test_add_writer(&out, NULL, NULL, 1);
  test_add_writer(&out, NULL, NULL, 2);
  return out;
}

static rk_merge_plan plan_of(const rk_buffer *in, size_t count, const rk_reader_options *reader_options,
                             const rk_merge_options *options, uint64_t max_memory)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(reader_options, &reader, NULL), RK_OK);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(rk_reader_add_memory(reader, "input", in[i].data, in[i].size, NULL), RK_OK);
  }
  reader->max_memory = max_memory != 0 ? max_memory : reader->max_memory;
  rk_merge_plan plan;
  assert_int_equal(rk_reader_plan(reader, options, &plan, NULL), RK_OK);
  /* The reader can still be merged. */
  rk_merge_plan again;
  assert_int_equal(rk_reader_plan(reader, options, &again, NULL), RK_OK);
  assert_memory_equal(&plan, &again, sizeof plan);
  rk_reader_free(reader);
  return plan;
}

static const rk_merge_options small = {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 40};

static void test_disjoint(void **state)
{
  (void)state;
  rk_buffer in = begin();
  test_chunk chunk = chunk_at("/a", 1, 1, 0, 100, 20);
  test_add_chunk(&in, &chunk);
  chunk = chunk_at("/a", 1, 2, 20, 200, 20);
  test_add_chunk(&in, &chunk);
  chunk = chunk_at("/b", 2, 1, 0, 110, 5); /* too small to pass */
  test_add_chunk(&in, &chunk);
  const rk_merge_plan plan = plan_of(&in, 1, NULL, &small, 0);
  assert_int_equal(plan.rows, 45);
  assert_int_equal(plan.chunks, 3);
  assert_int_equal(plan.min_ns, 100);
  assert_int_equal(plan.max_ns, 219);
  assert_int_equal(plan.repeated_chunks, 0);
  assert_int_equal(plan.undecoded_chunks, 2);
  assert_true(plan.undecoded_bytes > 0 && plan.undecoded_bytes < in.size);
  assert_true(plan.overlap_size > 0);
  assert_int_equal(plan.overlap_ns, 110);
  assert_int_equal(plan.spill_size, 0);
  const rk_merge_options recode = {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 40, .recode = true};
  assert_int_equal(plan_of(&in, 1, NULL, &recode, 0).undecoded_chunks, 0);
  const rk_merge_options plain = {.compression = RK_COMPRESSION_NONE, .chunk_rows = 40};
  assert_int_equal(plan_of(&in, 1, NULL, &plain, 0).undecoded_chunks, 0);
  const rk_reader_options later = {.has_since = true, .since_ns = 150};
  const rk_merge_plan since = plan_of(&in, 1, &later, &small, 0);
  assert_int_equal(since.chunks, 1);
  assert_int_equal(since.rows, 20);
  assert_int_equal(since.min_ns, 200);
  const rk_reader_options nothing = {.has_since = true, .since_ns = 1000};
  const rk_merge_plan none = plan_of(&in, 1, &nothing, &small, 0);
  assert_int_equal(none.chunks, 0);
  assert_true(none.min_ns > none.max_ns);
  rk_buffer_free(&in);
}

static void test_overlap(void **state)
{
  (void)state;
  rk_buffer in = begin();
  uint64_t one = 0;
  for (uint32_t i = 0; i < 10; i++) { /* chunk i spans 100 + 5 i to 129 + 5 i: six or seven are open at a time */
    const test_chunk chunk = chunk_at("/a", 1 + i % 2, 1 + i / 2, i / 2 * 30, 100 + 5 * (int64_t)i, 30);
    test_add_chunk(&in, &chunk);
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", in.data, in.size, NULL), RK_OK);
  one = rk_entry_at(reader, 0)->uncompressed_size;
  rk_reader_free(reader);
  const rk_merge_plan plan = plan_of(&in, 1, NULL, &small, 0);
  assert_int_equal(plan.undecoded_chunks, 0);
  assert_true(plan.overlap_size >= 6 * one - 100 && plan.overlap_size <= 6 * one + 100);
  assert_int_equal(plan.overlap_ns, 125);
  assert_int_equal(plan.spill_size, 0);
  assert_true(plan_of(&in, 1, NULL, &small, 1000).spill_size > 6 * one);
  rk_buffer_free(&in);
}

static void test_repeats(void **state)
{
  (void)state;
  rk_buffer in[2] = {begin(), begin()};
  const test_chunk chunk = chunk_at("/a", 1, 1, 0, 100, 20);
  const test_chunk other = chunk_at("/a", 1, 2, 20, 300, 20);
  const test_chunk longer = chunk_at("/a", 1, 2, 20, 300, 21); /* not the same chunk */
  test_add_chunk(&in[0], &chunk);
  test_add_chunk(&in[1], &chunk);
  test_add_chunk(&in[1], &chunk);
  test_add_chunk(&in[0], &other);
  test_add_chunk(&in[1], &longer);
  const rk_merge_plan plan = plan_of(in, 2, NULL, &small, 0);
  assert_int_equal(plan.chunks, 5);
  assert_int_equal(plan.repeated_chunks, 2);
  assert_int_equal(plan.undecoded_chunks, 0);
  rk_buffer_free(&in[0]);
  rk_buffer_free(&in[1]);
}

static void test_misuse(void **state)
{
  (void)state;
  rk_merge_plan plan;
  assert_int_equal(rk_reader_plan(NULL, NULL, &plan, NULL), RK_ERR_MISUSE);
  static const rk_reader_options wrong[] = {{.timeline = "log_time"}, {.follow = true}};
  for (size_t i = 0; i < 2; i++) {
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&wrong[i], &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_plan(reader, NULL, &plan, NULL), RK_ERR_MISUSE);
    assert_int_equal(rk_reader_plan(reader, NULL, NULL, NULL), RK_ERR_MISUSE);
    rk_reader_free(reader);
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_plan(reader, NULL, &plan, NULL), RK_OK); /* nothing to merge */
  assert_int_equal(plan.chunks, 0);
  assert_true(plan.min_ns > plan.max_ns);
  rk_reader_free(reader);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_disjoint),
      cmocka_unit_test(test_overlap),
      cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_misuse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
