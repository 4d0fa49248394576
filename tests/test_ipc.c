/* Arrow IPC streams: round trips of every type, and damage of every kind. */
#include "tests/ipc_walk.h"

#include <stdio.h>
#include <string.h>

#include "arrow_values.h"

/* A schema of the types' columns with metadata on everything. */
static rk_field *schema_of(rk_arena *arena, const char *const *types, size_t count)
{
  static const rk_metadata metadata[] = {{"rerun:kind", "data", 10, 4}, {"z", "a\0b", 1, 3}};
  rk_field *schema = arrow_need(rk_arena_alloc(arena, sizeof *schema));
  *schema = (rk_field){.type = RK_TYPE_STRUCT, .name = "", .child_count = count, .metadata = metadata};
  schema->metadata_count = 2;
  schema->children = arrow_need(rk_arena_array(arena, count, sizeof *schema->children));
  for (size_t i = 0; i < count; i++) {
    char *name = arrow_need(rk_arena_alloc(arena, 32));
    snprintf(name, 32, "column %zu", i);
    schema->children[i] = *arrow_field(arena, types[i]);
    schema->children[i].name = name;
    schema->children[i].metadata = metadata;
    schema->children[i].metadata_count = i % 3;
  }
  return schema;
}

static const struct ArrowArray **columns_of(arrow_maker *m, const rk_field *schema, int64_t rows)
{
  const struct ArrowArray **columns = arrow_need(rk_arena_array(m->arena, schema->child_count + 1, sizeof *columns));
  for (size_t i = 0; i < schema->child_count; i++) {
    columns[i] = arrow_make(m, schema->children + i, rows);
  }
  return columns;
}

static void expect_columns(const uint8_t *data, size_t size, const rk_field *schema,
                           const struct ArrowArray *const *expected, int64_t rows)
{
  rk_arena arena = {0};
  const rk_field *found;
  const struct ArrowArray *const *columns;
  int64_t row_count;
  rk_error error = {0};
  const rk_status status = rk_ipc_decode(&arena, data, size, &found, &columns, &row_count, &error);
  assert_string_equal(error.message, "");
  assert_int_equal(status, RK_OK);
  assert_int_equal(row_count, rows);
  assert_true(rk_field_type_equal(found, schema));
  assert_int_equal(found->metadata_count, schema->metadata_count);
  for (size_t i = 0; i < schema->child_count; i++) {
    const rk_field *a = schema->children + i, *b = found->children + i;
    assert_int_equal(a->metadata_count, b->metadata_count);
    for (size_t k = 0; k < a->metadata_count; k++) {
      assert_string_equal(a->metadata[k].key, b->metadata[k].key);
      assert_int_equal(a->metadata[k].value_size, b->metadata[k].value_size);
      assert_memory_equal(a->metadata[k].value, b->metadata[k].value, a->metadata[k].value_size);
    }
    assert_int_equal(columns[i]->length, rows);
    assert_int_equal(columns[i]->offset, 0);
    assert_true(arrow_equal(a, columns[i], 0, expected[i], 0, rows));
  }
  rk_arena_free(&arena);
}

static void test_round_trip(void **state)
{
  (void)state;
  static const int64_t row_counts[] = {0, 1, 7, 8, 9, 63, 64, 65, 500};
  for (size_t k = 0; k < sizeof row_counts / sizeof *row_counts; k++) {
    for (size_t t = 0; t <= ARROW_TYPE_COUNT; t++) {
      rk_arena arena = {0};
      arrow_maker maker = {.arena = &arena, .state = 11 + t + 1000 * k};
      const bool all = t == ARROW_TYPE_COUNT;
      const rk_field *schema = schema_of(&arena, all ? arrow_types : arrow_types + t, all ? ARROW_TYPE_COUNT : 1);
      const struct ArrowArray **columns = columns_of(&maker, schema, row_counts[k]);
      rk_buffer out = {0};
      rk_buffer_append(&out, "before the stream", 17);
      assert_int_equal(rk_ipc_encode(&out, schema, NULL, columns, row_counts[k]), RK_OK);
      assert_memory_equal(out.data, "before the stream", 17);
      const size_t size = out.size - 17;
      uint8_t *aligned = arrow_need(rk_arena_alloc(&arena, size + 64));
      for (size_t shift = 0; shift < (all ? 9 : 1); shift++) { /* unaligned streams are copied where need be */
        memcpy(aligned + shift, out.data + 17, size);
        expect_columns(aligned + shift, size, schema, columns, row_counts[k]);
      }
      memcpy(aligned, out.data + 17, size);
      expect_columns(aligned, size - 8, schema, columns, row_counts[k]); /* without end of stream */
      rk_buffer_free(&out);
      rk_arena_free(&arena);
    }
  }
}

/* Body buffers lie at multiples of 64 of the stream, and aligned ones are lent, not copied. */
static void test_zero_copy(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 3};
  static const char *const types[] = {"+l(:+w:3(!:f))", "u", "tsn:"};
  const rk_field *schema = schema_of(&arena, types, 3), *found;
  const struct ArrowArray **columns = columns_of(&maker, schema, 40);
  rk_buffer out = {0};
  assert_int_equal(rk_ipc_encode(&out, schema, NULL, columns, 40), RK_OK);
  uint8_t *data = arrow_need(rk_arena_alloc(&arena, out.size < 4096 ? 4096 : out.size));
  memcpy(data, out.data, out.size);
  const struct ArrowArray *const *made;
  int64_t rows;
  assert_int_equal(rk_ipc_decode(&arena, data, out.size, &found, &made, &rows, NULL), RK_OK);
  const void *buffers[] = {made[0]->buffers[1], made[0]->children[0]->children[0]->buffers[1], made[1]->buffers[1],
                           made[1]->buffers[2], made[2]->buffers[1]};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
    const uint8_t *at = buffers[i];
    assert_true(at > data && at < data + out.size);
    assert_int_equal((size_t)(at - data) % 64, 0);
  }
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

static void test_schema_only(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_field *schema = schema_of(&arena, arrow_types, ARROW_TYPE_COUNT), *found;
  rk_buffer out = {0};
  assert_int_equal(rk_ipc_encode_schema(&out, schema), RK_OK);
  assert_int_equal(rk_ipc_decode(&arena, out.data, out.size, &found, NULL, NULL, NULL), RK_OK);
  assert_true(rk_field_type_equal(found, schema));
  rk_error error = {0};
  assert_int_equal(decode_and_walk(out.data, out.size, &error), RK_ERR_TRUNCATED);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

static void test_encode_misuse(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 3};
  static const char *const types[] = {"i", "+s(a:i)"};
  rk_field *schema = schema_of(&arena, types, 2);
  const struct ArrowArray **columns = columns_of(&maker, schema, 5);
  rk_buffer out = {0};
  assert_int_equal(rk_ipc_encode(&out, schema, NULL, columns, 4), RK_ERR_MISUSE);
  assert_int_equal(out.size, 0);
  schema->children[0].dictionary = schema->children + 1;
  assert_int_equal(rk_ipc_encode(&out, schema, NULL, columns, 5), RK_ERR_MISUSE);
  schema->children[0].dictionary = NULL;
  struct ArrowArray childless = *columns[1];
  childless.n_children = 0;
  columns[1] = &childless;
  assert_int_equal(rk_ipc_encode(&out, schema, NULL, columns, 5), RK_ERR_MISUSE);
  assert_int_equal(out.size, 0);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

static void make_stream(rk_arena *arena, rk_buffer *out, const char *const *types, size_t count, uint64_t seed)
{
  arrow_maker maker = {.arena = arena, .state = seed};
  const rk_field *schema = schema_of(arena, types, count);
  assert_int_equal(rk_ipc_encode(out, schema, NULL, columns_of(&maker, schema, 9), 9), RK_OK);
}

static void test_truncated_everywhere(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_buffer out = {0};
  make_stream(&arena, &out, arrow_types, ARROW_TYPE_COUNT, 77);
  for (size_t size = 0; size < out.size - 8; size++) {
    uint8_t *exact = malloc(size + (size == 0)); /* so that reading beyond is seen */
    memcpy(exact, out.data, size);
    rk_error error = {0};
    const rk_status status = decode_and_walk(exact, size, &error);
    free(exact);
    assert_int_equal(status, RK_ERR_TRUNCATED);
    assert_int_equal(error.status, RK_ERR_TRUNCATED);
  }
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

static void test_every_bit_flipped(void **state)
{
  (void)state;
  size_t failures = 0;
  for (size_t t = 0; t < ARROW_TYPE_COUNT; t += 3) {
    rk_arena arena = {0};
    rk_buffer out = {0};
    const size_t count = ARROW_TYPE_COUNT - t < 3 ? ARROW_TYPE_COUNT - t : 3;
    make_stream(&arena, &out, arrow_types + t, count, 5 + t);
    uint8_t *exact = malloc(out.size);
    memcpy(exact, out.data, out.size);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
      exact[bit / 8] ^= (uint8_t)(1U << bit % 8);
      failures += decode_and_walk(exact, out.size, NULL) != RK_OK;
      exact[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    free(exact);
    rk_buffer_free(&out);
    rk_arena_free(&arena);
  }
  assert_true(failures > 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),           cmocka_unit_test(test_zero_copy),
      cmocka_unit_test(test_schema_only),          cmocka_unit_test(test_encode_misuse),
      cmocka_unit_test(test_truncated_everywhere), cmocka_unit_test(test_every_bit_flipped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
