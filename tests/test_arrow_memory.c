/* Memory that runs out at the n-th allocation, for every n, in everything that handles Arrow data: the status says so,
 * nothing leaks, and a builder keeps what it had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t allocations_left = SIZE_MAX;

static bool allocation_fails(void)
{
  if (allocations_left == 0) {
    return true;
  }
  allocations_left -= allocations_left != SIZE_MAX;
  return false;
}

/* The library's own sources for arenas, buffers and builders, with allocators that can be told to fail; the linker then
 * takes these and not the library's. */
#undef malloc
#undef calloc
#undef realloc
#define malloc(size)                   (allocation_fails() ? NULL : malloc(size))
#define calloc(count, size)            (allocation_fails() ? NULL : calloc(count, size))
#define realloc(memory, size)          (allocation_fails() ? NULL : realloc(memory, size))
#define aligned_alloc(alignment, size) (allocation_fails() ? NULL : aligned_alloc(alignment, size))
#include "format/arena.c"
#include "format/buffer.c"
#include "format/builder.c"
#include "format/builder_append.c"
#include "reader/slices.c"
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc

#include "arrow_values.h"
#include "format/chunk.h"
#include "format/ipc.h"

enum { ROWS = 300, ATTEMPTS_MAX = 100000 };

static void make_column(rk_arena *arena, const char *type, uint64_t seed, rk_field **field, struct ArrowArray **array)
{
  arrow_maker maker = {.arena = arena, .state = seed};
  *field = arrow_field(arena, type);
  *array = arrow_make(&maker, *field, ROWS);
}

static void test_builder(void **state)
{
  (void)state;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    rk_arena arena = {0};
    rk_field *field;
    struct ArrowArray *array;
    make_column(&arena, arrow_types[t], 3 + t, &field, &array);
    size_t n = 0;
    for (bool done = false; !done; n++) {
      assert_true(n < ATTEMPTS_MAX);
      allocations_left = n;
      rk_builder *builder = rk_builder_new(field);
      if (builder == NULL) {
        allocations_left = SIZE_MAX;
        continue;
      }
      const rk_status first = rk_builder_append(builder, array, 0, 20);
      const rk_slice rest[] = {{.array = array, .start = 20, .count = 5},
                               {.array = array, .start = 25, .count = 1},
                               {.array = array, .start = 26, .count = ROWS - 26}};
      const rk_status second = first == RK_OK ? rk_builder_append_slices(builder, rest, 3) : first;
      const rk_status third = second == RK_OK ? rk_builder_append_nulls(builder, 2 * ROWS) : second;
      allocations_left = SIZE_MAX;
      assert_int_equal(third, third == RK_OK ? RK_OK : RK_ERR_NO_MEMORY);
      const int64_t length = first != RK_OK ? 0 : second != RK_OK ? 20 : third != RK_OK ? ROWS : 3 * ROWS;
      assert_int_equal(rk_builder_length(builder), length);
      const int64_t given = length < ROWS ? length : ROWS;
      assert_true(arrow_equal(field, rk_builder_view(builder), 0, array, 0, given));
      assert_int_equal(rk_builder_append(builder, array, 0, ROWS), RK_OK); /* goes on as if nothing had been */
      assert_true(arrow_equal(field, rk_builder_view(builder), 0, array, 0, given));
      assert_true(arrow_equal(field, rk_builder_view(builder), length, array, 0, ROWS));
      rk_builder_free(builder);
      done = third == RK_OK;
    }
    assert_true(n > 1);
    rk_arena_free(&arena);
  }
}

static void test_typed_appends(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_field *field = arrow_field(&arena, "+l(:u)"), *point = arrow_field(&arena, "+l(:f)");
  const float values[2] = {1, 2};
  char text[400];
  memset(text, 'x', sizeof text);
  bool done = false;
  for (size_t n = 0; !done; n++) {
    assert_true(n < ATTEMPTS_MAX);
    allocations_left = n;
    rk_builder *list = rk_builder_new(field), *points = rk_builder_new(point);
    rk_status status = list == NULL || points == NULL ? RK_ERR_NO_MEMORY : RK_OK;
    int64_t closed = 0, appended = 0, added = 0;
    for (int i = 0; i < 100 && status == RK_OK; i++) {
      status = rk_builder_append_bytes(rk_builder_child(list, 0), text, sizeof text);
      appended += status == RK_OK;
      status = status == RK_OK ? rk_builder_close_list(list) : status;
      closed += status == RK_OK;
      status = status == RK_OK ? rk_builder_append_lists(points, values, 0, 2, 1) : status;
      added += status == RK_OK;
    }
    allocations_left = SIZE_MAX;
    assert_int_equal(status, status == RK_OK ? RK_OK : RK_ERR_NO_MEMORY);
    if (list != NULL) {
      assert_int_equal(rk_builder_length(list), closed);
      assert_int_equal(rk_builder_length(rk_builder_child(list, 0)), appended);
      arrow_walk(field, rk_builder_view(list), 0, closed);
    }
    if (points != NULL) {
      assert_int_equal(rk_builder_length(points), added);
      arrow_walk(point, rk_builder_view(points), 0, added);
    }
    rk_builder_free(list);
    rk_builder_free(points);
    done = status == RK_OK;
  }
  rk_arena_free(&arena);
}

/* Encode, decode, copy and export, each with memory running out. */
static void test_streams(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *list = arrow_field(&arena, "+l(:n)");
  rk_chunk_component components[ARROW_TYPE_COUNT];
  rk_field lists[ARROW_TYPE_COUNT];
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    arrow_maker maker = {.arena = &arena, .state = 9 + t};
    lists[t] = *list;
    lists[t].children = arrow_field(&arena, arrow_types[t]);
    components[t] =
        (rk_chunk_component){arrow_types[t], "a", NULL, lists[t].children, arrow_make(&maker, lists + t, 9)};
  }
  const uint8_t ids[9 * RK_TUID_SIZE] = {0};
  const rk_chunk chunk = {.entity_path = "/e",
                          .row_count = 9,
                          .row_ids = ids,
                          .component_count = ARROW_TYPE_COUNT,
                          .components = components};
  rk_buffer whole = {0};
  assert_int_equal(rk_chunk_encode(&whole, &chunk), RK_OK);

  rk_status status = RK_ERR_NO_MEMORY;
  for (size_t n = 0; status != RK_OK; n++) {
    assert_true(n < ATTEMPTS_MAX);
    rk_buffer out = {0};
    allocations_left = n;
    status = rk_chunk_encode(&out, &chunk);
    allocations_left = SIZE_MAX;
    assert_int_equal(status, status == RK_OK ? RK_OK : RK_ERR_NO_MEMORY);
    assert_int_equal(out.size, status == RK_OK ? whole.size : 0);
    rk_buffer_free(&out);
  }
  status = RK_ERR_NO_MEMORY;
  for (size_t n = 0; status != RK_OK; n++) {
    assert_true(n < ATTEMPTS_MAX);
    rk_arena other = {0};
    rk_chunk found;
    rk_error error = {0};
    allocations_left = n;
    status = rk_chunk_decode(&other, whole.data, whole.size, &found, &error);
    allocations_left = SIZE_MAX;
    assert_int_equal(status, status == RK_OK ? RK_OK : RK_ERR_NO_MEMORY);
    assert_int_equal(error.status, status);
    rk_arena_free(&other);
  }
  status = RK_ERR_NO_MEMORY;
  for (size_t n = 0; status != RK_OK; n++) {
    assert_true(n < ATTEMPTS_MAX);
    rk_arena other = {0};
    struct ArrowSchema *schema;
    rk_field *field;
    rk_error error = {0};
    allocations_left = n;
    status = RK_OK;
    for (size_t t = 0; t < ARROW_TYPE_COUNT && status == RK_OK; t++) {
      status = rk_field_copy(&other, lists + t) == NULL ? RK_ERR_NO_MEMORY : RK_OK;
      status = status == RK_OK ? rk_field_export(&other, lists + t, &schema) : status;
      status = status == RK_OK ? rk_field_parse(&other, arrow_types[t], &field, &error) : status;
    }
    allocations_left = SIZE_MAX;
    assert_int_equal(status, status == RK_OK ? RK_OK : RK_ERR_NO_MEMORY);
    rk_arena_free(&other);
  }
  rk_buffer_free(&whole);
  rk_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_builder),
      cmocka_unit_test(test_typed_appends),
      cmocka_unit_test(test_streams),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
