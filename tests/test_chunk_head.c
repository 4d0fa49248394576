/* The beginning of a chunk's payload tells what the whole of it tells, or says that it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/layout.h"
#include "tests/arrow_values.h"
#include "tests/chunks.h"
#include "tests/summaries.h"

enum { ROWS_MAX = 70, COMPONENTS = 3 };

/* Components of any types with nulls, empty lists and arrays that are parts of larger ones; 0 to 3 timelines. */
static rk_chunk random_chunk(arrow_maker *m)
{
  rk_arena *arena = m->arena;
  const int64_t rows = arrow_below(m, 8) == 0 ? 0 : 1 + arrow_below(m, ROWS_MAX);
  uint8_t *ids = arrow_need(rk_arena_alloc(arena, ROWS_MAX * RK_TUID_SIZE));
  for (int64_t i = 0; i < rows; i++) {
    rk_tuid_store(ids + RK_TUID_SIZE * i, (rk_tuid){.time_ns = 1000 + (uint64_t)i / 3, .inc = (uint64_t)i});
  }
  static const char *const names[] = {"age", "log_time", "step"};
  rk_chunk_timeline *timelines = arrow_need(rk_arena_array(arena, 3, sizeof *timelines));
  const size_t timeline_count = (size_t)arrow_below(m, 4);
  for (size_t t = 0; t < timeline_count; t++) {
    int64_t *values = arrow_need(rk_arena_alloc(arena, ROWS_MAX * 8));
    for (int64_t i = 0; i < rows; i++) {
      values[i] = arrow_below(m, 1000) - 500;
    }
    timelines[t] = (rk_chunk_timeline){.name = names[t], .kind = (rk_timeline_kind)(1 + t), .values = values};
  }
  rk_chunk_component *components = arrow_need(rk_arena_array(arena, COMPONENTS, sizeof *components));
  const size_t component_count = (size_t)arrow_below(m, COMPONENTS + 1);
  for (size_t i = 0; i < component_count; i++) {
    char *name = arrow_need(rk_arena_alloc(arena, 48));
    char list[128];
    snprintf(name, 48, "Things:component%02zu", i);
    snprintf(list, sizeof list, "+l(:%s)", arrow_types[arrow_below(m, ARROW_TYPE_COUNT)]);
    const rk_field *field = arrow_field(arena, list);
    components[i] = (rk_chunk_component){.name = name,
                                         .archetype = i % 2 == 0 ? "my.Things" : NULL,
                                         .component_type = i % 3 == 0 ? "my.components.Thing" : NULL,
                                         .item = field->children,
                                         .lists = arrow_make(m, field, rows)};
  }
  return (rk_chunk){.id = {.time_ns = 7, .inc = (uint64_t)rows},
                    .entity_path = "/world/robot",
                    .row_count = rows,
                    .row_ids = ids,
                    .timeline_count = timeline_count,
                    .timelines = timelines,
                    .component_count = component_count,
                    .components = components};
}

static bool in_every_row(const rk_chunk *chunk)
{
  for (size_t i = 0; i < chunk->component_count; i++) {
    const struct ArrowArray *lists = chunk->components[i].lists;
    const uint8_t *validity = rk_array_validity(lists, RK_TYPE_LIST);
    if (validity != NULL && rk_bits_count(validity, lists->offset, lists->length) != lists->length) {
      return false;
    }
  }
  return true;
}

/* Of `size` bytes in memory that ends there. */
static rk_status summarise_head(rk_arena *arena, const uint8_t *data, size_t size, size_t whole, size_t *needed,
                                rk_chunk_summary *summary)
{
  uint8_t *exact = malloc(size + 1);
  assert_non_null(exact);
  uint8_t *end = exact + 1;
  memcpy(end, data, size);
  rk_chunk chunk;
  *needed = 0;
  rk_status status = rk_chunk_decode_head(arena, end, size, whole, &chunk, needed);
  if (status == RK_OK) {
    assert_int_equal(rk_chunk_summarise(arena, &chunk, summary), RK_OK);
  }
  free(exact);
  return status;
}

/* RK_OK and what the whole tells; fed bit by bit where `everywhere`. */
static rk_status check(const rk_buffer *payload, bool everywhere)
{
  rk_arena arena = {0};
  rk_chunk chunk;
  rk_chunk_summary expected, got;
  assert_int_equal(rk_chunk_decode(&arena, payload->data, payload->size, &chunk, NULL), RK_OK);
  assert_int_equal(rk_chunk_summarise(&arena, &chunk, &expected), RK_OK);
  size_t needed = 0, size = 0;
  rk_status status = RK_ERR_TRUNCATED;
  while (status == RK_ERR_TRUNCATED) {
    status = summarise_head(&arena, payload->data, size, payload->size, &needed, &got);
    if (status == RK_ERR_TRUNCATED) {
      assert_true(needed > size && needed <= payload->size);
      size = needed;
    }
  }
  assert_true(status != RK_OK || same_summary(&expected, &got, true));
  for (size_t cut = 0; everywhere && cut <= payload->size; cut++) {
    rk_arena each = {0};
    const rk_status found = summarise_head(&each, payload->data, cut, payload->size, &needed, &got);
    assert_int_equal(found, cut < size ? RK_ERR_TRUNCATED : status);
    assert_true(found != RK_ERR_TRUNCATED || needed > cut);
    assert_true(found != RK_OK || same_summary(&expected, &got, true));
    rk_arena_free(&each);
  }
  rk_arena_free(&arena);
  return status;
}

static void test_random(void **state)
{
  (void)state;
  size_t told = 0, sparse = 0;
  for (uint64_t seed = 1; seed <= 1500; seed++) {
    rk_arena arena = {0};
    rk_buffer payload = {0};
    arrow_maker maker = {.arena = &arena, .state = seed * 7919};
    const rk_chunk chunk = random_chunk(&maker);
    assert_int_equal(rk_chunk_encode(&payload, &chunk), RK_OK);
    const bool full = in_every_row(&chunk);
    assert_int_equal(check(&payload, seed % 100 == 0), full ? RK_OK : RK_ERR_UNSUPPORTED);
    told += full && chunk.component_count > 0;
    sparse += !full;
    rk_buffer_free(&payload);
    rk_arena_free(&arena);
  }
  assert_true(told > 100 && sparse > 100);
}

static const chunk_recipe recipe = {
    .entity = "/e",
    .tag = 3,
    .row_count = 9,
    .id_start = 5,
    .id_step = 1,
    .timelines = {{"log_time", RK_TIMELINE_TIMESTAMP, 50, -2}, {"step", RK_TIMELINE_SEQUENCE, 1, 3}},
    .components = {
        {"A:empty", "A", NULL, "I", 0, 0}, {"A:text", "A", "T", "u", 0, 0}, {"A:pair", NULL, NULL, "g", 0, 0}}};

static void make(rk_buffer *payload, const chunk_recipe *from)
{
  made_chunk made;
  assert_true(make_chunk(&made, from));
  assert_int_equal(rk_chunk_encode(payload, &made.chunk), RK_OK);
  made_chunk_free(&made);
}

static void test_empty_lists(void **state)
{
  (void)state;
  rk_buffer payload = {0};
  make(&payload, &recipe);
  assert_int_equal(check(&payload, true), RK_OK);
  rk_arena arena = {0};
  rk_chunk_summary summary;
  size_t needed;
  assert_int_equal(summarise_head(&arena, payload.data, payload.size, payload.size, &needed, &summary), RK_OK);
  assert_true(summary.components[0].is_empty && !summary.components[1].is_empty);
  rk_arena_free(&arena);
  rk_buffer_free(&payload);
}

/* Offsets of B and values of A change places: as the official SDK has them, each column's buffers side by side. */
static void test_columns_one_by_one(void **state)
{
  (void)state;
  enum { BLOCK = 64, OFFSETS_B = 2 * BLOCK, VALUES_A = 3 * BLOCK, BODY = 5 * BLOCK, END = 8 };
  const chunk_recipe two = {.entity = "/e",
                            .tag = 3,
                            .row_count = 4,
                            .id_start = 5,
                            .components = {{"A:x", "A", NULL, "g", 0, 0}, {"B:x", "B", NULL, "g", 0, 0}}};
  rk_buffer payload = {0};
  make(&payload, &two);
  uint8_t *body = payload.data + payload.size - END - BODY;
  const uint64_t offsets[2] = {OFFSETS_B, 5 * 4}, values[2] = {VALUES_A, 4 * 2 * 8};
  uint8_t *told_offsets = memmem(payload.data, payload.size, offsets, sizeof offsets);
  uint8_t *told_values = memmem(payload.data, payload.size, values, sizeof values);
  assert_non_null(told_offsets);
  assert_non_null(told_values);
  rk_store_u64(told_offsets, VALUES_A);
  rk_store_u64(told_values, OFFSETS_B);
  uint8_t block[BLOCK];
  memcpy(block, body + OFFSETS_B, BLOCK);
  memcpy(body + OFFSETS_B, body + VALUES_A, BLOCK);
  memcpy(body + VALUES_A, block, BLOCK);
  assert_int_equal(check(&payload, true), RK_OK);
  rk_store_u64(told_values, OFFSETS_B + 8); /* not aligned */
  rk_arena arena = {0};
  rk_chunk_summary summary;
  size_t needed;
  assert_int_equal(summarise_head(&arena, payload.data, payload.size, payload.size, &needed, &summary),
                   RK_ERR_UNSUPPORTED);
  rk_arena_free(&arena);
  rk_buffer_free(&payload);
}

/* Not as it is written today, or longer or shorter than it claims: it is to be decoded whole. */
static void test_other_streams(void **state)
{
  (void)state;
  rk_buffer payload = {0};
  rk_arena arena = {0};
  rk_chunk_summary summary;
  size_t needed;
  make(&payload, &recipe);
  const size_t size = payload.size;
  assert_int_equal(summarise_head(&arena, payload.data, size, size - 1, &needed, &summary), RK_ERR_UNSUPPORTED);
  assert_int_equal(summarise_head(&arena, payload.data, size, size + 1, &needed, &summary), RK_ERR_UNSUPPORTED);
  uint8_t *version = memmem(payload.data, size, "0.1.3", 5);
  assert_non_null(version);
  version[4] = '2';
  assert_int_equal(check(&payload, false), RK_ERR_UNSUPPORTED);
  rk_arena_free(&arena);
  rk_buffer_free(&payload);
}

/* Where both take it they say the same; only that all lists are empty is a thing the offsets would tell. */
static void test_every_bit(void **state)
{
  (void)state;
  rk_buffer payload = {0};
  make(&payload, &recipe);
  size_t refused = 0;
  for (size_t bit = 0; bit < payload.size * 8; bit++) {
    rk_arena arena = {0};
    rk_chunk chunk;
    rk_chunk_summary expected, got;
    size_t needed;
    payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const rk_status status = summarise_head(&arena, payload.data, payload.size, payload.size, &needed, &got);
    refused += status != RK_OK;
    assert_true(status == RK_OK || status == RK_ERR_UNSUPPORTED);
    if (status == RK_OK && rk_chunk_decode(&arena, payload.data, payload.size, &chunk, NULL) == RK_OK) {
      assert_int_equal(rk_chunk_summarise(&arena, &chunk, &expected), RK_OK);
      assert_true(same_summary(&expected, &got, false));
    }
    payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    rk_arena_free(&arena);
  }
  assert_true(refused > 0 && refused < payload.size * 8);
  rk_buffer_free(&payload);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_empty_lists),
      cmocka_unit_test(test_columns_one_by_one),
      cmocka_unit_test(test_other_streams),
      cmocka_unit_test(test_every_bit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
