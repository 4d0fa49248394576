/* Merging: the same bytes in any order, in stages and again; every row once, and as it was. */
#include "tests/merging.h"

static void check_same_bytes(const rk_merge_options *options)
{
  rk_buffer in[INPUTS];
  make_inputs(in);
  rk_buffer whole = merge_all(in, INPUTS, options);
  /* Every order of four. */
  for (unsigned order = 0; order < 256; order++) {
    const unsigned places[INPUTS] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
    if ((1u << places[0] | 1u << places[1] | 1u << places[2] | 1u << places[3]) != 15) {
      continue;
    }
    rk_buffer permuted[INPUTS];
    for (size_t i = 0; i < INPUTS; i++) {
      permuted[i] = in[places[i]];
    }
    rk_buffer again = merge_all(permuted, INPUTS, options);
    assert_same(&whole, &again);
    rk_buffer_free(&again);
  }
  /* In stages: (0 2) with 3, then 1 with that. */
  rk_buffer pair[2] = {in[2], in[0]};
  rk_buffer first = merge_all(pair, 2, options);
  rk_buffer next[2] = {first, in[3]};
  rk_buffer second = merge_all(next, 2, options);
  rk_buffer last[2] = {in[1], second};
  rk_buffer third = merge_all(last, 2, options);
  assert_same(&whole, &third);
  /* Again, alone and with what is in it already. */
  rk_buffer once_more = merge_all(&whole, 1, options);
  assert_same(&whole, &once_more);
  rk_buffer repeated[3] = {in[1], whole, second};
  rk_buffer united = merge_all(repeated, 3, options);
  assert_same(&whole, &united);
  rk_buffer made[] = {whole, first, second, third, once_more, united};
  free_all(made, sizeof made / sizeof *made);
  free_all(in, INPUTS);
}

static void test_same_bytes(void **state)
{
  (void)state;
  check_same_bytes(NULL);
}

static void test_same_bytes_when_cut_by_rows(void **state)
{
  (void)state;
  check_same_bytes(&(rk_merge_options){.chunk_rows = 7});
}

static void test_same_bytes_when_cut_by_size(void **state)
{
  (void)state;
  check_same_bytes(&(rk_merge_options){.chunk_size = 500, .compression = RK_COMPRESSION_NONE});
}

static void test_rows_are_kept(void **state)
{
  (void)state;
  rk_buffer in[INPUTS];
  make_inputs(in);
  size_t before_count, after_count;
  rk_buffer before = describe(in, INPUTS, NULL, &before_count);
  assert_int_equal(before_count, INPUTS * 68 - 2); /* row 40 of writers 1 and 3 has no component */
  for (uint32_t rows = 1; rows < 40; rows += 13) {
    rk_buffer merged = merge_all(in, INPUTS, &(rk_merge_options){.chunk_rows = rows});
    rk_buffer after = describe(&merged, 1, NULL, &after_count);
    assert_int_equal(after_count, before_count);
    assert_string_equal((const char *)before.data, (const char *)after.data);
    rk_buffer_free(&merged);
    rk_buffer_free(&after);
  }
  rk_buffer_free(&before);
  free_all(in, INPUTS);
}

/* A writer whose times step back: the order is its own, the times stay as stored, and the seals speak of these. */
static void test_times_that_step_back(void **state)
{
  (void)state;
  rk_buffer input = new_recording();
  put_info(&input, &recording_id, 7);
  const chunk_recipe recipes[] = {
      {"/a", 7, 0, 5, 1000, 10, {AT(1000, 10)}, {NOTE(0, 0)}},
      {"/b", 7, 5, 5, 500, 10, {AT(500, 10)}, {NOTE(0, 0)}},
      {"/a", 7, 10, 5, 1020, 10, {AT(1020, 10)}, {NOTE(0, 0)}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    put_chunk(&input, &recording_id, &recipes[i]);
  }
  size_t before, after;
  rk_buffer rows = describe(&input, 1, NULL, &before);
  rk_buffer once = merge_all(&input, 1, NULL);
  rk_buffer rows_after = describe(&once, 1, NULL, &after);
  assert_int_equal(before, 15);
  assert_int_equal(after, before);
  assert_string_equal((const char *)rows.data, (const char *)rows_after.data);
  rk_buffer twice = merge_all(&once, 1, NULL);
  assert_same(&once, &twice);
  rk_buffer_free(&input);
  rk_buffer_free(&rows);
  rk_buffer_free(&once);
  rk_buffer_free(&rows_after);
  rk_buffer_free(&twice);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_same_bytes_when_cut_by_rows),
      cmocka_unit_test(test_same_bytes_when_cut_by_size),
      cmocka_unit_test(test_rows_are_kept),
      cmocka_unit_test(test_times_that_step_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
