/* The builder: slices of arrays of every type, nulls, packed values, lists and structs by hand, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arrow_values.h"
#include "format/builder.h"
#include "reader/slices.h"

enum { ROUNDS = 20, LENGTH = 70 };

static void test_slices(void **state)
{
  (void)state;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    rk_arena arena = {0};
    const rk_field *field = arrow_field(&arena, arrow_types[t]);
    arrow_maker maker = {.arena = &arena, .state = 1 + t};
    rk_builder *builder = rk_builder_new(field), *at_once = rk_builder_new(field);
    assert_non_null(builder);
    assert_non_null(at_once);
    for (int round = 0; round < ROUNDS; round++) {
      rk_builder_reset(builder);
      rk_builder_reset(at_once);
      assert_int_equal(rk_builder_length(builder), 0);
      const struct ArrowArray *parts[8];
      int64_t starts[8], counts[8];
      rk_slice slices[8];
      size_t slice_count = 0;
      for (int p = 0; p < 8; p++) {
        parts[p] = arrow_make(&maker, field, arrow_below(&maker, LENGTH));
        starts[p] = arrow_below(&maker, parts[p]->length + 1);
        counts[p] = arrow_below(&maker, parts[p]->length - starts[p] + 1);
        assert_int_equal(rk_builder_append(builder, parts[p], starts[p], counts[p]), RK_OK);
        slices[slice_count] = (rk_slice){.array = parts[p], .start = starts[p], .count = counts[p]};
        slice_count += counts[p] > 0;
      }
      const size_t first = slice_count > 0 ? (size_t)arrow_below(&maker, (int64_t)slice_count) : 0;
      assert_int_equal(rk_builder_append_slices(at_once, slices, first), RK_OK);
      assert_int_equal(rk_builder_append_slices(at_once, slices + first, slice_count - first), RK_OK);
      const struct ArrowArray *view = rk_builder_view(builder);
      int64_t at = 0, nulls = 0;
      for (int p = 0; p < 8; p++) {
        assert_true(arrow_equal(field, view, at, parts[p], starts[p], counts[p]));
        at += counts[p];
      }
      assert_int_equal(view->length, at);
      assert_int_equal(rk_builder_length(builder), at);
      const struct ArrowArray *same = rk_builder_view(at_once);
      assert_int_equal(same->length, at);
      assert_true(arrow_equal(field, same, 0, view, 0, at));
      assert_int_equal(same->null_count, view->null_count);
      assert_int_equal(rk_builder_size(at_once), rk_builder_size(builder));
      for (int64_t i = 0; i < at; i++) {
        nulls += arrow_is_null(field, view, i);
      }
      assert_int_equal(view->null_count, nulls);
      assert_int_equal(view->n_buffers, rk_type_buffer_count(field->type));
      arrow_walk(field, view, 0, at);
    }
    rk_builder_free(builder);
    rk_builder_free(at_once);
    rk_arena_free(&arena);
  }
}

/* The same rows give the same bytes, whatever lay under their nulls and however they were cut. */
static void test_bytes_depend_on_values(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_field *field = arrow_field(&arena, "i");
  const int32_t a[] = {1, 77, 3}, b[] = {1, 99, 3};
  const uint8_t validity[] = {5};
  const void *buffers[2][2] = {{validity, a}, {validity, b}};
  rk_builder *builders[2];
  for (int k = 0; k < 2; k++) {
    const struct ArrowArray array = {.length = 3, .null_count = -1, .n_buffers = 2, .buffers = buffers[k]};
    builders[k] = rk_builder_new(field);
    for (int i = 0; i < 3; i += k == 0 ? 3 : 1) {
      assert_int_equal(rk_builder_append(builders[k], &array, i, k == 0 ? 3 : 1), RK_OK);
    }
  }
  assert_memory_equal(rk_builder_view(builders[0])->buffers[1], rk_builder_view(builders[1])->buffers[1], 12);
  assert_memory_equal(rk_builder_view(builders[0])->buffers[0], rk_builder_view(builders[1])->buffers[0], 1);
  rk_builder_free(builders[0]);
  rk_builder_free(builders[1]);
  rk_arena_free(&arena);
}

static void test_empty_views(void **state)
{
  (void)state;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    rk_arena arena = {0};
    const rk_field *field = arrow_field(&arena, arrow_types[t]);
    rk_builder *builder = rk_builder_new(field);
    const struct ArrowArray *view = rk_builder_view(builder);
    assert_int_equal(view->length, 0);
    assert_int_equal(view->null_count, 0);
    for (int64_t i = rk_type_is_union(field->type) ? 0 : 1; i < view->n_buffers; i++) {
      assert_non_null(view->buffers[i]);
    }
    if (rk_type_is_ranges(field->type) || rk_type_is_bytes(field->type)) {
      assert_int_equal(rk_offset_at(view->buffers[1], 0, rk_type_is_wide(field->type)), 0);
    }
    /* An array without elements may come without buffers. */
    const void *none[3] = {NULL};
    struct ArrowArray empty = *view;
    empty.buffers = none;
    assert_int_equal(rk_builder_append(builder, &empty, 0, 0), RK_OK);
    rk_builder_free(builder);
    rk_arena_free(&arena);
  }
}

static void test_nulls(void **state)
{
  (void)state;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t++) {
    rk_arena arena = {0};
    const rk_field *field = arrow_field(&arena, arrow_types[t]);
    arrow_maker maker = {.arena = &arena, .state = 99 + t};
    const struct ArrowArray *array = arrow_make(&maker, field, 11);
    rk_builder *builder = rk_builder_new(field);
    assert_int_equal(rk_builder_append_nulls(builder, 3), RK_OK);
    assert_int_equal(rk_builder_append(builder, array, 0, 11), RK_OK);
    assert_int_equal(rk_builder_append_nulls(builder, 10), RK_OK);
    assert_int_equal(rk_builder_append_nulls(builder, 0), RK_OK);
    assert_int_equal(rk_builder_append_nulls(builder, -1), RK_ERR_MISUSE);
    const struct ArrowArray *view = rk_builder_view(builder);
    assert_int_equal(view->length, 24);
    assert_true(arrow_equal(field, view, 3, array, 0, 11));
    for (int64_t i = 0; i < 24; i += i == 2 ? 12 : 1) {
      if (!rk_type_is_union(field->type)) {
        assert_true(arrow_is_null(field, view, i));
      } else {
        int64_t at;
        assert_int_equal(arrow_child_of(field, view, i, &at), 0);
        assert_true(arrow_is_null(field->children, view->children[0], at));
      }
    }
    arrow_walk(field, view, 0, 24);
    rk_builder_free(builder);
    rk_arena_free(&arena);
  }
}

static void test_lists_of_packed(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_builder *builder = rk_builder_new(arrow_field(&arena, "+l(:+w:2(!:S))"));
  const uint16_t values[] = {1, 2, 3, 4, 99, 5, 6, 7, 8, 99};
  assert_int_equal(rk_builder_append_lists(builder, values, 10, 2, 2), RK_OK);
  assert_int_equal(rk_builder_append_nulls(builder, 1), RK_OK);
  assert_int_equal(rk_builder_append_lists(builder, NULL, 8, 0, 2), RK_OK); /* [], [] */
  assert_int_equal(rk_builder_append_lists(builder, values, 10, 1, 2), RK_OK);
  assert_int_equal(rk_builder_append_lists(builder, values, 8, 1, 0), RK_OK);
  const struct ArrowArray *view = rk_builder_view(builder);
  assert_int_equal(view->length, 7);
  assert_int_equal(*(const uint8_t *)view->buffers[0], 0x7B);
  const int32_t offsets[] = {0, 2, 4, 4, 4, 4, 5, 6};
  assert_memory_equal(view->buffers[1], offsets, sizeof offsets);
  assert_int_equal(view->children[0]->length, 6);
  const uint16_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 5, 6};
  assert_memory_equal(view->children[0]->children[0]->buffers[1], expected, sizeof expected);
  assert_int_equal(rk_builder_append_lists(builder, values, 0, (size_t)1 << 31, 1), RK_ERR_LIMIT);
  assert_int_equal(rk_builder_append_lists(builder, values, 0, SIZE_MAX, 2), RK_ERR_LIMIT);
  assert_int_equal(rk_builder_length(builder), 7);
  rk_builder_free(builder);

  builder = rk_builder_new(arrow_field(&arena, "+l(:S)")); /* the first of them empty */
  assert_int_equal(rk_builder_append_lists(builder, values, 8, 0, 2), RK_OK);
  assert_int_equal(rk_builder_append_lists(builder, values, 8, 3, 1), RK_OK);
  view = rk_builder_view(builder);
  const int32_t late[] = {0, 0, 0, 3};
  assert_memory_equal(view->buffers[1], late, sizeof late);
  assert_memory_equal(view->children[0]->buffers[1], values, 3 * sizeof values[0]);
  rk_builder_free(builder);

  builder = rk_builder_new(arrow_field(&arena, "+l(:u)"));
  assert_int_equal(rk_builder_append_lists(builder, values, 2, 1, 1), RK_ERR_MISUSE);
  rk_builder_free(builder);

  builder = rk_builder_new(arrow_field(&arena, "b"));
  assert_int_equal(rk_builder_append_lists(builder, values, 2, 1, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_builder_append_bytes(builder, "x", 1), RK_ERR_MISUSE);
  assert_int_equal(rk_builder_close_list(builder), RK_ERR_MISUSE);
  rk_builder_free(builder);
  rk_arena_free(&arena);
}

static void test_lists_by_hand(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_field *field = arrow_field(&arena, "+l(:u)");
  rk_builder *list = rk_builder_new(field), *items = rk_builder_child(list, 0);
  assert_int_equal(rk_builder_close_list(list), RK_OK); /* [] */
  assert_int_equal(rk_builder_append_bytes(items, "one", 3), RK_OK);
  assert_int_equal(rk_builder_append_bytes(items, NULL, 0), RK_OK);
  assert_int_equal(rk_builder_append_nulls(list, 1), RK_ERR_MISUSE); /* items not closed over yet */
  assert_int_equal(rk_builder_close_list(list), RK_OK);
  assert_int_equal(rk_builder_append_nulls(list, 1), RK_OK);
  const struct ArrowArray *view = rk_builder_view(list);
  assert_int_equal(view->length, 3);
  const int32_t offsets[] = {0, 0, 2, 2};
  assert_memory_equal(view->buffers[1], offsets, sizeof offsets);
  assert_false(arrow_is_null(field, view, 0));
  assert_true(arrow_is_null(field, view, 2));
  const struct ArrowArray *names = view->children[0];
  assert_int_equal(names->length, 2);
  assert_memory_equal(names->buffers[2], "one", 3);
  rk_builder_free(list);
  rk_arena_free(&arena);
}

/* What is there after a failed append is what was there before. */
static void expect_unchanged(const rk_field *field, rk_builder *builder, const struct ArrowArray *kept)
{
  assert_int_equal(rk_builder_length(builder), kept->length);
  assert_true(arrow_equal(field, rk_builder_view(builder), 0, kept, 0, kept->length));
  assert_int_equal(rk_builder_append(builder, kept, 0, kept->length), RK_OK);
  assert_true(arrow_equal(field, rk_builder_view(builder), kept->length, kept, 0, kept->length));
}

static void test_limits(void **state)
{
  (void)state;
  rk_arena arena = {0};
  /* Nulls take no memory, so that offsets can be brought to overflow. */
  const rk_field *field = arrow_field(&arena, "+s(a:u,b:+l(:n))");
  arrow_maker maker = {.arena = &arena, .state = 5, .plain = true};
  rk_builder *builder = rk_builder_new(field);
  const struct ArrowArray *kept = arrow_make(&maker, field, 13);
  assert_int_equal(rk_builder_append(builder, kept, 0, 13), RK_OK);
  struct ArrowArray *large = arrow_make(&maker, field, 1);
  const int32_t offsets[] = {0, INT32_MAX};
  large->null_count = 0;
  large->children[1]->buffers[1] = offsets;
  large->children[1]->null_count = 0;
  large->children[1]->children[0]->length = INT32_MAX;
  assert_int_equal(rk_builder_append(builder, large, 0, 1), RK_ERR_LIMIT);
  expect_unchanged(field, builder, kept);
  rk_builder_free(builder);

  assert_int_equal(rk_builder_append((builder = rk_builder_new(field)), kept, 0, 14), RK_ERR_MISUSE);
  assert_int_equal(rk_builder_append(builder, kept, -1, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_builder_append(builder, kept, 1, -1), RK_ERR_MISUSE);
  rk_builder_free(builder);

  field = arrow_field(&arena, "+s(x:b,y:+ud:0,1(a:i,b:+l(:u)))");
  builder = rk_builder_new(field);
  kept = arrow_make(&maker, field, 21);
  assert_int_equal(rk_builder_append(builder, kept, 0, 21), RK_OK);
  struct ArrowArray *bad = arrow_make(&maker, field, 9);
  ((int8_t *)(uintptr_t)bad->children[1]->buffers[0])[8] = 9; /* no such child */
  assert_int_equal(rk_builder_append(builder, bad, 0, 9), RK_ERR_MISUSE);
  const rk_slice slices[] = {{.array = kept, .start = 3, .count = 4}, {.array = bad, .start = 0, .count = 9}};
  assert_int_equal(rk_builder_append_slices(builder, slices, 2), RK_ERR_MISUSE);
  expect_unchanged(field, builder, kept);
  rk_builder_free(builder);
  rk_arena_free(&arena);
}

static void test_dictionary(void **state)
{
  (void)state;
  static const rk_type_id index_types[] = {RK_TYPE_INT8,  RK_TYPE_UINT8,  RK_TYPE_INT16, RK_TYPE_UINT16,
                                           RK_TYPE_INT32, RK_TYPE_UINT32, RK_TYPE_INT64, RK_TYPE_UINT64};
  static const char *const value_types[] = {"u", "U", "i", "b", "w:3", "w:0", "g"};
  for (size_t k = 0; k < 8 * 7; k++) {
    rk_arena arena = {0};
    arrow_maker maker = {.arena = &arena, .state = 7 + k};
    rk_field *value = arrow_field(&arena, value_types[k / 8]), *field = arrow_field(&arena, "i");
    field->type = index_types[k % 8];
    field->dictionary = value;
    struct ArrowArray *array = arrow_make(&maker, field, 40);
    array->dictionary = arrow_make(&maker, value, 6);
    const unsigned width = rk_type_bits(field->type, 0) / 8;
    for (int64_t i = 0; i < array->offset + 40; i++) {
      char *at = (char *)(uintptr_t)array->buffers[1] + (size_t)i * width;
      memset(at, 0, width);
      *at = (char)arrow_below(&maker, 6);
    }
    rk_builder *builder = rk_builder_new(field);
    assert_int_equal(rk_builder_append(builder, array, 2, 30), RK_OK);
    assert_int_equal(rk_builder_append_nulls(builder, 1), RK_OK);
    const struct ArrowArray *view = rk_builder_view(builder), *plain;
    const rk_field *plain_field;
    assert_null(view->dictionary);
    assert_int_equal(rk_dictionary_expand(&arena, field, array, &plain_field, &plain), RK_OK);
    assert_true(rk_field_type_equal(plain_field, value));
    assert_int_equal(plain->length, 40);
    for (int64_t i = 0; i < 30; i++) {
      assert_true(arrow_element_equal(value, view, i, plain, i + 2));
      if (arrow_is_null(field, array, i + 2)) {
        assert_true(arrow_is_null(value, view, i));
      } else {
        assert_true(
            arrow_element_equal(value, view, i, array->dictionary, rk_dictionary_index(array, field->type, i + 2)));
      }
    }
    assert_true(arrow_is_null(value, view, 30));
    rk_builder_free(builder);
    rk_arena_free(&arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_slices),          cmocka_unit_test(test_bytes_depend_on_values),
      cmocka_unit_test(test_empty_views),     cmocka_unit_test(test_nulls),
      cmocka_unit_test(test_lists_of_packed), cmocka_unit_test(test_lists_by_hand),
      cmocka_unit_test(test_limits),          cmocka_unit_test(test_dictionary),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
