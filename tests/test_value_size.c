/* The sizes of values, which do not depend on how their buffers lie, and of a chunk's rows measured together: the same
 * as measured one by one, for every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arrow_values.h"
#include "reader/value_size.h"

enum { ROWS = 200, ROUNDS = 8 };

static uint64_t list_size(const rk_chunk_component *component, int64_t row)
{
  const rk_field list = {.type = RK_TYPE_LIST, .name = "", .child_count = 1, .children = (rk_field *)component->item};
  return arrow_is_null(&list, component->lists, row) ? 0 : rk_value_size(&list, component->lists, row, 1);
}

/* A null row's list holds nothing. */
static void empty_nulls(const rk_field *list, struct ArrowArray *lists)
{
  int32_t *offsets = (int32_t *)(uintptr_t)lists->buffers[1] + lists->offset;
  for (int64_t i = lists->length - 1; i >= 0; i--) {
    if (arrow_is_null(list, lists, i)) {
      offsets[i] = offsets[i + 1];
    }
  }
}

static void test_rows(void **state)
{
  (void)state;
  uint64_t rows_without = 0;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    for (uint64_t round = 0; round < ROUNDS; round++) {
      rk_arena arena = {0};
      arrow_maker maker = {.arena = &arena, .state = 1 + t * ROUNDS + round};
      rk_field list = {.type = RK_TYPE_LIST,
                       .name = "data",
                       .nullable = round % 4 != 0,
                       .child_count = 1,
                       .children = arrow_field(&arena, arrow_types[t])};
      rk_chunk_component components[2] = {{.name = "a", .item = list.children}, {.name = "b", .item = list.children}};
      for (int c = 0; c < 2; c++) {
        struct ArrowArray *lists = arrow_make(&maker, &list, ROWS);
        if (round % 2 == 0) {
          empty_nulls(&list, lists);
        }
        components[c].lists = lists;
      }
      const rk_chunk chunk = {.row_count = ROWS, .timeline_count = 3, .component_count = 2, .components = components};
      uint64_t before[ROWS + 1];
      assert_true(rk_rows_measure(&chunk, before));
      assert_int_equal(before[0], 0);
      for (int64_t row = 0; row < ROWS; row++) {
        const uint64_t a = list_size(&components[0], row);
        rows_without += a == 0;
        assert_int_equal(before[row + 1] - before[row], RK_TUID_SIZE + 3 * 8 + a + list_size(&components[1], row));
      }
      rk_arena_free(&arena);
    }
  }
  assert_true(rows_without > 0);
}

/* The measure behind cutting sees values, not buffers: slices and what lies under nulls do not matter. */
static void test_value_size(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *text, *list, *pair, *record;
  assert_int_equal(rk_field_parse(&arena, "u", &text, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+l(:u)", &list, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+w:3(!:f)", &pair, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+s(a:i,b:u)", &record, NULL), RK_OK);
  /* "ab", null over "cdef", "", "xyz" */
  static const int32_t offsets[] = {0, 2, 6, 6, 9};
  static const uint8_t validity[] = {0x0D};
  const void *buffers[3] = {validity, offsets, "abcdefxyz"};
  struct ArrowArray texts = {.length = 4, .null_count = 1, .n_buffers = 3, .buffers = buffers};
  assert_int_equal(rk_value_size(text, &texts, 0, 4), 4 * 4 + 5);
  assert_int_equal(rk_value_size(text, &texts, 1, 1), 4);
  assert_int_equal(rk_value_size(text, &texts, 3, 1), 4 + 3);
  struct ArrowArray sliced = texts;
  sliced.offset = 1;
  sliced.length = 3;
  assert_int_equal(rk_value_size(text, &sliced, 2, 1), 4 + 3);
  /* [ "ab", null ], null over the rest */
  static const int32_t list_offsets[] = {0, 2, 4};
  static const uint8_t list_validity[] = {0x01};
  const void *list_buffers[2] = {list_validity, list_offsets};
  struct ArrowArray *items = &texts;
  struct ArrowArray lists = {
      .length = 2, .null_count = 1, .n_buffers = 2, .n_children = 1, .buffers = list_buffers, .children = &items};
  assert_int_equal(rk_value_size(list, &lists, 0, 2), 2 * 4 + 2 * 4 + 2);
  const void *float_buffers[2] = {NULL, offsets};
  struct ArrowArray floats = {.length = 6, .n_buffers = 2, .buffers = float_buffers};
  struct ArrowArray *float_items = &floats;
  const void *no_buffers[1] = {NULL};
  struct ArrowArray pairs = {
      .length = 2, .n_buffers = 1, .n_children = 1, .buffers = no_buffers, .children = &float_items};
  assert_int_equal(rk_value_size(pair, &pairs, 0, 2), 24);
  struct ArrowArray *members[2] = {&floats, &texts};
  struct ArrowArray records = {
      .length = 4, .n_buffers = 1, .n_children = 2, .buffers = no_buffers, .children = members};
  assert_int_equal(rk_value_size(record, &records, 0, 4), 4 * 4 + 4 * 4 + 5);
  records.buffers = (const void *[]){list_validity};
  assert_int_equal(rk_value_size(record, &records, 0, 4), 4 + 4 + 2);
  /* A dense union of texts (5) and floats (9): "xyz", a float. */
  static const int8_t ids[] = {5, 9};
  static const int32_t places[] = {3, 1};
  static const int8_t known[] = {5, 9};
  rk_field kinds[2] = {*text, {.type = RK_TYPE_FLOAT32, .name = "f"}};
  struct ArrowArray *choices[2] = {&texts, &floats};
  const void *union_buffers[2] = {ids, places};
  struct ArrowArray unions = {
      .length = 2, .n_buffers = 2, .n_children = 2, .buffers = union_buffers, .children = choices};
  const rk_field dense = {
      .type = RK_TYPE_DENSE_UNION, .name = "", .child_count = 2, .children = kinds, .type_ids = known};
  assert_int_equal(rk_value_size(&dense, &unions, 0, 2), 5 + 4 + 3 + 5 + 4);
  rk_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_value_size)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
