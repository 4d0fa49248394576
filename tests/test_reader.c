/* The ordered timeline: order across chunks and inputs, clamping, repeats. */
#include "tests/reading.h"

/* ---- Order ---- */

static void chunks_of_many_writers_interleave(void **state)
{
  (void)state;
  rk_buffer a = {0};
  rk_buffer b = {0};
  test_begin(&a, NULL, NULL, false);
  test_begin(&b, NULL, "other", false);
  test_add_writer(&a, NULL, NULL, 1);
  const int64_t late[] = {50, 60, 70};
  const int64_t early[] = {10, 55, 65};
  const int64_t between[] = {20, 58, 90};
  test_add_chunk(&a, &(test_chunk){.entity = "/late", .tag = 1, .row_count = 3, .keys = late});
  test_add_chunk(&a, &(test_chunk){.entity = "/early", .tag = 2, .row_count = 3, .keys = early});
  test_add_chunk(&b, &(test_chunk){.entity = "/b", .recording = "other", .tag = 3, .row_count = 3, .keys = between});
  const uint64_t expected[] = {INC(2, 0), INC(3, 0), INC(1, 0), INC(2, 1), INC(3, 1),
                               INC(1, 1), INC(2, 2), INC(1, 2), INC(3, 2)};
  const rk_buffer *forward[] = {&a, &b};
  const rk_buffer *backward[] = {&b, &a};
  for (size_t i = 0; i < 2; i++) {
    reading *r = read_all(NULL, i ? backward : forward, 2);
    assert_order(r, expected, 9);
    assert_int_equal(r->losses, 0);
    assert_int_equal(r->stats.rows_indexed, 9);
    test_free(r);
  }
  rk_buffer_free(&a);
  rk_buffer_free(&b);
}

static void equal_keys_are_ordered_by_row_id_then_entity_then_components(void **state)
{
  (void)state;
  const int64_t keys[] = {5, 5};
  rk_buffer parts[2] = {{0}, {0}};
  for (size_t i = 0; i < 2; i++) { /* the same rows, one component each, as stock SDKs split a row over chunks */
    test_begin(&parts[i], NULL, NULL, true);
    test_add_chunk(
        &parts[i],
        &(test_chunk){
            .entity = "/x", .component = i ? "A:a" : "B:b", .tag = 9, .row_count = 2, .keys = keys, .unsealed = true});
    test_add_chunk(&parts[i],
                   &(test_chunk){.entity = i ? "/a" : "/b", .tag = 9, .row_count = 1, .keys = keys, .unsealed = true});
  }
  const rk_buffer *forward[] = {&parts[0], &parts[1]};
  const rk_buffer *backward[] = {&parts[1], &parts[0]};
  static const char *const names[] = {
      "/a Scalars:scalars", "/b Scalars:scalars", "/x A:a", "/x B:b", "/x A:a", "/x B:b"};
  for (size_t i = 0; i < 2; i++) {
    reading *r = read_all(NULL, i ? backward : forward, 2);
    assert_int_equal(r->count, 6);
    for (size_t j = 0; j < 6; j++) {
      char name[80];
      (void)snprintf(name, sizeof name, "%s %s", r->rows[j].entity, r->rows[j].component);
      assert_string_equal(name, names[j]);
    }
    test_free(r);
  }
  rk_buffer_free(&parts[0]);
  rk_buffer_free(&parts[1]);
}

static void unsorted_stock_chunks_are_sorted(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  const int64_t keys[] = {30, 10, 20, 10};
  test_add_chunk(&a, &(test_chunk){.entity = "/x", .tag = 7, .row_count = 4, .keys = keys, .unsealed = true});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(7, 1), INC(7, 3), INC(7, 2), INC(7, 0)};
  assert_order(r, expected, 4);
  assert_int_equal(r->stats.clamped_rows, 0);
  test_free(r);
  rk_buffer_free(&a);
}

/* Rows 0 to 5 of one writer over two chunks, where row 3's clock stepped back. */
static void a_writers_order_holds_when_its_clock_steps_back(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  test_add_writer(&a, NULL, NULL, 1);
  const int64_t even[] = {100, 300, 320};
  const int64_t odd[] = {200, 50, 330};
  const int64_t other[] = {60, 310};
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/odd", .tag = 1, .first_row = 1, .row_step = 2, .row_count = 3, .keys = odd});
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/even", .tag = 1, .number = 1, .row_step = 2, .row_count = 3, .keys = even});
  test_add_chunk(&a, &(test_chunk){.entity = "/other", .tag = 2, .row_count = 2, .keys = other});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(2, 0), INC(1, 0), INC(1, 1), INC(1, 2), INC(1, 3), INC(2, 1), INC(1, 4), INC(1, 5)};
  assert_order(r, expected, 8);
  assert_int_equal(r->stats.clamped_rows, 1);
  assert_int_equal(r->rows[4].key, 300);
  test_free(r);
  rk_buffer_free(&a);
}

static void a_known_writers_order_holds_in_merged_chunks(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  test_add_writer(&a, NULL, NULL, 1);
  test_add_writer(&a, NULL, NULL, 2);
  const int64_t keys[] = {100, 90, 50, 200};
  const uint32_t tags[] = {1, 2, 1, 2};
  const uint32_t numbers[] = {0, 0, 1, 1};
  test_add_chunk(
      &a,
      &(test_chunk){
          .entity = "/x", .tag = 1, .row_count = 4, .keys = keys, .tags = tags, .numbers = numbers, .merged = true});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(2, 0), INC(1, 0), INC(1, 1), INC(2, 1)};
  assert_order(r, expected, 4);
  assert_int_equal(r->stats.clamped_rows, 1);
  test_free(r);
  rk_buffer_free(&a);
}

/* ---- Repeats ---- */

static void a_row_seen_again_is_yielded_once(void **state)
{
  (void)state;
  rk_buffer a = {0};
  rk_buffer b = {0};
  test_begin(&a, NULL, NULL, false);
  test_begin(&b, NULL, NULL, true);
  const int64_t keys[] = {1, 2, 3};
  const test_chunk chunk = {.entity = "/x", .tag = 1, .row_count = 3, .keys = keys};
  test_add_chunk(&a, &chunk);
  test_add_chunk(&a, &chunk); /* adopted twice */
  test_chunk stock = chunk;   /* rewritten by a stock tool */
  stock.unsealed = true;
  stock.chunk_salt = 99;
  test_add_chunk(&b, &stock);
  const rk_buffer *inputs[] = {&a, &b, &a};
  reading *r = read_all(NULL, inputs, 3);
  const uint64_t expected[] = {INC(1, 0), INC(1, 1), INC(1, 2)};
  assert_order(r, expected, 3);
  assert_int_equal(r->stats.duplicate_rows, 12);
  assert_int_equal(r->stats.rows_indexed, 15);
  test_free(r);
  rk_buffer_free(&a);
  rk_buffer_free(&b);
}

static void rows_of_other_stores_entities_or_components_are_no_repeats(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  const int64_t keys[] = {1};
  test_chunk chunk = {.entity = "/x", .tag = 1, .row_count = 1, .keys = keys, .unsealed = true};
  test_add_chunk(&a, &chunk);
  chunk.entity = "/y";
  test_add_chunk(&a, &chunk);
  chunk.component = "Other:thing";
  test_add_chunk(&a, &chunk);
  chunk.recording = "another";
  test_add_chunk(&a, &chunk);
  chunk.is_static = true;
  test_add_chunk(&a, &chunk);
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  assert_int_equal(r->count, 5);
  assert_int_equal(r->stats.duplicate_rows, 0);
  test_free(r);
  const rk_reader_options fused = {.application_id = "fused", .recording_id = "one"};
  r = read_all(&fused, inputs, 1);
  assert_int_equal(r->count, 4); /* the stores' rows are one's now */
  test_free(r);
  rk_buffer_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_of_many_writers_interleave),
      cmocka_unit_test(equal_keys_are_ordered_by_row_id_then_entity_then_components),
      cmocka_unit_test(unsorted_stock_chunks_are_sorted),
      cmocka_unit_test(a_writers_order_holds_when_its_clock_steps_back),
      cmocka_unit_test(a_known_writers_order_holds_in_merged_chunks),
      cmocka_unit_test(a_row_seen_again_is_yielded_once),
      cmocka_unit_test(rows_of_other_stores_entities_or_components_are_no_repeats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
