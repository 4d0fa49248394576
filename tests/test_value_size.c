/* The sizes of a chunk's rows, measured together: the same as measured one by one, for every type. */
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

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
