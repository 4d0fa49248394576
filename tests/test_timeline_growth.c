/* The timeline with entries that are added while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "reader/timeline/timeline_internal.h"
#include "tests/random_recordings.h"

static rk_entry *last_entry(rk_reader *reader)
{
  return rk_entry_at(reader, reader->entries.count - 1);
}

/* Adds an entry as following does: the timeline runs already. */
static void grow(rk_reader *reader, rk_buffer *input)
{
  rk_timeline_state *timeline = reader->timeline;
  reader->timeline = NULL; /* inputs are added before the first row, says rk_reader_add */
  assert_int_equal(rk_reader_add_memory(reader, "more", input->data, input->size, NULL), RK_OK);
  reader->timeline = timeline;
  assert_int_equal(rk_timeline_add(reader, last_entry(reader)), RK_OK);
}

static void expect_row(rk_reader *reader, uint32_t tag, uint32_t number)
{
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_OK);
  assert_int_equal(ref.row_id.inc, rk_row_inc(tag, number));
}

static void expect_nothing_yet(rk_reader *reader)
{
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_AGAIN);
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_AGAIN);
}

static rk_buffer one_chunk(const test_chunk *chunk)
{
  rk_buffer out = {0};
  test_begin(&out, NULL, NULL, false);
  test_add_writer(&out, NULL, NULL, chunk->tag);
  test_add_chunk(&out, chunk);
  return out;
}

static void entries_can_be_added_while_it_runs(void **state)
{
  (void)state;
  static const int64_t begin[] = {10, 20, 30};
  static const int64_t next[] = {32, 34};
  static const int64_t late[] = {15, 33};
  static const int64_t unknown[] = {5, 40};
  static const int64_t inner[] = {31, 50};
  rk_buffer inputs[] = {
      one_chunk(&(test_chunk){.entity = "/a", .tag = 1, .row_count = 3, .keys = begin}),
      one_chunk(&(test_chunk){.entity = "/a", .tag = 1, .number = 1, .first_row = 4, .row_count = 2, .keys = next}),
      one_chunk(&(test_chunk){.entity = "/a", .tag = 2, .row_count = 2, .keys = late}),
      one_chunk(&(test_chunk){.entity = "/u", .tag = 3, .row_count = 2, .keys = unknown, .merged = true}),
      one_chunk(&(test_chunk){
          .entity = "/b", .tag = 1, .number = 2, .first_row = 3, .row_step = 3, .row_count = 2, .keys = inner}),
  };
  for (uint64_t memory = 1; memory <= MANY; memory *= MANY) {
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&(rk_reader_options){.follow = true}, &reader, NULL), RK_OK);
    reader->max_memory = memory;
    assert_int_equal(rk_reader_add_memory(reader, "first", inputs[0].data, inputs[0].size, NULL), RK_OK);
    reader->has_limit = true;
    reader->limit_ns = 10;
    expect_nothing_yet(reader);
    reader->limit_ns = 30;
    expect_row(reader, 1, 0);
    expect_row(reader, 1, 1);
    expect_nothing_yet(reader);
    grow(reader, &inputs[2]); /* 15 comes after 20 has been yielded */
    expect_row(reader, 2, 0);
    expect_nothing_yet(reader);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 1);
    reader->limit_ns = 31;
    expect_row(reader, 1, 2);
    expect_nothing_yet(reader); /* the writer has run dry */
    grow(reader, &inputs[1]);
    reader->limit_ns = 1000;
    expect_row(reader, 1, 4); /* 32 */
    grow(reader, &inputs[4]); /* rows 3 and 6 of the same writer: 3 should have come before */
    expect_row(reader, 1, 3);
    expect_row(reader, 2, 1); /* 33 */
    expect_row(reader, 1, 5); /* 34 */
    grow(reader, &inputs[3]);
    expect_row(reader, 3, 0); /* 5 */
    expect_row(reader, 3, 1); /* 40 */
    expect_row(reader, 1, 6); /* 50 */
    expect_nothing_yet(reader);
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 3);
    assert_int_equal(stats.rows_returned, 11);
    rk_reader_free(reader);
  }
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    rk_buffer_free(&inputs[i]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_can_be_added_while_it_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
