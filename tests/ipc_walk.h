/* Arrow IPC streams decoded and every value of them looked at. */
#ifndef RK_TESTS_IPC_WALK_H
#define RK_TESTS_IPC_WALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/ipc.h"
#include "tests/arrow_values.h"

/* Decodes and walks over everything. */
static inline rk_status decode_and_walk(const void *data, size_t size, rk_error *error)
{
  rk_arena arena = {0};
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t rows;
  const rk_status status = rk_ipc_decode(&arena, data, size, &schema, &columns, &rows, error);
  if (status == RK_OK) {
    for (size_t i = 0; i < schema->child_count; i++) {
      assert_int_equal(columns[i]->length, rows);
      arrow_walk(schema->children + i, columns[i], 0, rows);
    }
  }
  rk_arena_free(&arena);
  return status;
}

#endif
