/* The spool's definitions, ring header, rows and flat arrays: round trips, and damage at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "format/builder.h"
#include "format/bytes.h"
#include "format/flat.h"
#include "format/spool.h"

/* ---- Definitions ---- */

static void test_definitions(void **state)
{
  (void)state;
  const uint32_t ids[] = {4, 9};
  const rk_spool_definition all[] = {
      {.kind = RK_SPOOL_PROCESS,
       .id = RK_SPOOL_VERSION,
       .values = {1, -2, 3, INT64_MIN, INT64_MAX, 6},
       .texts = {{"boot", 4}, {"host", 4}, {"", 0}, {"app\0rec", 7}}},
      {.kind = RK_SPOOL_ENTITY, .id = 7, .texts = {{"/a/b", 4}}},
      {.kind = RK_SPOOL_COMPONENT, .id = 8, .texts = {{"a:b", 3}, {"", 0}, {"c", 1}, {"+w:2(!:f)", 9}}},
      {.kind = RK_SPOOL_TIMELINE, .id = 9, .number = 2, .texts = {{"lap", 3}}},
      {.kind = RK_SPOOL_TIMELINE_SET, .id = 1, .number = 2, .texts = {{(const char *)ids, sizeof ids}}},
      {.kind = RK_SPOOL_WRITER, .id = UINT32_MAX, .number = 3, .values = {42, 43}, .texts = {{"thread name", 11}}},
  };
  rk_buffer out = {0};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    rk_spool_definition_encode(&out, &all[i]);
  }
  assert_false(out.failed);
  size_t at = 0;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    rk_spool_definition d;
    size_t size;
    assert_int_equal(rk_spool_definition_decode(out.data + at, out.size - at, &d, &size), RK_OK);
    assert_int_equal(d.kind, all[i].kind);
    assert_int_equal(d.id, all[i].id);
    assert_int_equal(d.number, all[i].number);
    assert_memory_equal(d.values, all[i].values, sizeof d.values);
    for (size_t t = 0; t < RK_SPOOL_TEXT_COUNT; t++) {
      assert_int_equal(d.texts[t].size, all[i].texts[t].size);
      assert_memory_equal(d.texts[t].data, all[i].texts[t].size == 0 ? "" : all[i].texts[t].data, d.texts[t].size);
    }
    for (size_t cut = 0; cut < size; cut++) {
      assert_int_equal(rk_spool_definition_decode(out.data + at, cut, &d, &(size_t){0}), RK_END);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
      if (bit / 8 >= 4 && bit / 8 < 8) {
        continue; /* the kind, which the hash does not cover */
      }
      out.data[at + bit / 8] ^= (uint8_t)(1U << (bit % 8));
      assert_int_equal(rk_spool_definition_decode(out.data + at, out.size - at, &d, &(size_t){0}), RK_END);
      out.data[at + bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    at += size;
  }
  assert_int_equal(at, out.size);
  rk_buffer_free(&out);
}

/* ---- Ring header ---- */

static void test_ring_header(void **state)
{
  (void)state;
  rk_ring_header good = {.version = RK_SPOOL_VERSION, .tag = 1, .size = 65536, .head = 65536 + 72, .tail = 80};
  memcpy(good.magic, rk_spool_ring_magic, sizeof good.magic);
  const uint64_t file = RK_RING_HEADER_SIZE + 65536;
  assert_int_equal(rk_ring_header_check(&good, file, NULL), RK_OK);
  assert_int_equal(rk_ring_header_check(&good, file - 1, NULL), RK_ERR_CORRUPT);
  assert_int_equal(rk_ring_header_check(&good, 100, NULL), RK_ERR_NOT_RRD);
  rk_ring_header bad = good;
  bad.magic[1] ^= 1;
  assert_int_equal(rk_ring_header_check(&bad, file, NULL), RK_ERR_NOT_RRD);
  bad = good;
  bad.version++;
  assert_int_equal(rk_ring_header_check(&bad, file, NULL), RK_ERR_UNSUPPORTED);
  static const struct {
    uint64_t size, head, tail;
    uint32_t tag;
  } rows[] = {{65536, 0, 0, 0},         {65537, 0, 0, 1},     {32768, 0, 0, 1}, {(uint64_t)1 << 31, 0, 0, 1},
              {65536, 8, 16, 1},        {65536, 65544, 0, 1}, {65536, 9, 0, 1}, {65536, 16, 1, 1},
              {65536, UINT64_MAX, 0, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    bad = good;
    bad.size = rows[i].size;
    bad.head = rows[i].head;
    bad.tail = rows[i].tail;
    bad.tag = rows[i].tag;
    assert_int_equal(rk_ring_header_check(&bad, UINT64_MAX, NULL), RK_ERR_CORRUPT);
  }
}

/* ---- Rows ---- */

enum { ROW_SIZE = 32 + 16 + (16 + 16) + (16 + 8) };

/* Two timelines; a cell of 12 bytes and one of 8. */
static void make_row(uint8_t row[ROW_SIZE])
{
  memset(row, 0, ROW_SIZE);
  rk_store_u32(row, ROW_SIZE);
  rk_store_u32(row + 4, 77);
  rk_store_i64(row + 8, -5);
  rk_store_u32(row + 16, 3);
  rk_store_u32(row + 20, 4);
  rk_store_u16(row + 24, 2);
  row[27] = 2;
  rk_store_i64(row + 32, 100);
  rk_store_i64(row + 40, 200);
  uint8_t *cell = row + 48;
  rk_store_u32(cell, 1);
  rk_store_u32(cell + 4, 3);
  rk_store_u32(cell + 8, 12);
  rk_store_u32(cell + 12, RK_CELL_PACKED);
  cell += 32;
  rk_store_u32(cell, 2);
  rk_store_u32(cell + 4, 1);
  rk_store_u32(cell + 8, 8);
  rk_store_u32(cell + 12, RK_CELL_FLAT);
}

static void test_rows(void **state)
{
  (void)state;
  uint8_t bytes[ROW_SIZE];
  make_row(bytes);
  rk_spool_row row;
  assert_int_equal(rk_spool_row_parse(bytes, sizeof bytes, &row), RK_OK);
  assert_int_equal(row.size, ROW_SIZE);
  assert_int_equal(row.row_number, 77);
  assert_int_equal(row.stamp_ns, -5);
  assert_int_equal(row.entity, 3);
  assert_int_equal(row.timeline_set, 4);
  assert_int_equal(row.timeline_count, 2);
  assert_int_equal(rk_load_i64(row.times + 8), 200);
  assert_false(row.is_static);
  rk_spool_cell cell;
  size_t position = 0;
  assert_true(rk_spool_cell_next(&row, &position, &cell));
  assert_int_equal(cell.component, 1);
  assert_int_equal(cell.count, 3);
  assert_int_equal(cell.size, 12);
  assert_ptr_equal(cell.data, bytes + 64);
  assert_true(rk_spool_cell_next(&row, &position, &cell));
  assert_int_equal(cell.component, 2);
  assert_int_equal(cell.form, RK_CELL_FLAT);
  assert_false(rk_spool_cell_next(&row, &position, &cell));
  for (size_t cut = 0; cut < sizeof bytes; cut++) {
    uint8_t *exact = malloc(cut + 1);
    assert_non_null(exact);
    memcpy(exact, bytes, cut);
    assert_int_equal(rk_spool_row_parse(exact, cut, &row), RK_ERR_CORRUPT);
    free(exact);
  }
}

static void test_rows_damaged(void **state)
{
  (void)state;
  static const struct {
    size_t at;
    uint32_t value;
  } rows[] = {{0, 0},           {0, 4},           {0, ROW_SIZE - 8},  {0, ROW_SIZE + 8}, {0, ROW_SIZE - 1}, {24, 0},
              {24, 0x02000001}, {24, 0x02000003}, {24, 0x02020002},   {24, 0x01000002},  {24, 0xFF000002},  {28, 1},
              {56, 13 + 16},    {56, UINT32_MAX}, {56, 1U << 30 | 1}, {60, 2},           {88, 0},           {88, 9},
              {92, 2}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint8_t bytes[ROW_SIZE];
    make_row(bytes);
    rk_store_u32(bytes + rows[i].at, rows[i].value);
    rk_spool_row row;
    assert_int_equal(rk_spool_row_parse(bytes, sizeof bytes, &row), RK_ERR_CORRUPT);
  }
}

static void test_skips(void **state)
{
  (void)state;
  uint8_t bytes[16] = {16};
  rk_store_u32(bytes + 4, RK_SPOOL_SKIP);
  rk_spool_row row;
  assert_int_equal(rk_spool_row_parse(bytes, 16, &row), RK_END);
  assert_int_equal(row.size, 16);
  assert_int_equal(rk_spool_row_parse(bytes, 8, &row), RK_ERR_CORRUPT);
  bytes[0] = 8;
  assert_int_equal(rk_spool_row_parse(bytes, 8, &row), RK_END);
  bytes[0] = 0;
  assert_int_equal(rk_spool_row_parse(bytes, 16, &row), RK_ERR_CORRUPT);
}

/* ---- Flat arrays ---- */

static uint64_t random_state = 88172645463325252U;

static uint64_t next_random(void)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* An array of `count` random elements in the arena, nulls included where the field allows them. */
static struct ArrowArray *make_array(rk_arena *arena, const rk_field *field, int64_t count)
{
  struct ArrowArray *array = rk_arena_alloc(arena, sizeof *array);
  const void **buffers = rk_arena_array(arena, 3, sizeof *buffers);
  struct ArrowArray **children = rk_arena_array(arena, field->child_count + 1, sizeof *children);
  assert_true(array != NULL && buffers != NULL && children != NULL);
  *array = (struct ArrowArray){
      .length = count, .n_children = (int64_t)field->child_count, .buffers = buffers, .children = children};
  const size_t n = (size_t)count;
  const bool is_union = field->type == RK_TYPE_SPARSE_UNION || field->type == RK_TYPE_DENSE_UNION;
  if (field->type == RK_TYPE_NULL) {
    array->null_count = count;
  } else if (!is_union) {
    array->n_buffers = 1;
    if (field->nullable && next_random() % 2 == 0) {
      uint8_t *bits = rk_arena_alloc(arena, n / 8 + 1);
      assert_non_null(bits);
      for (size_t i = 0; i < n; i++) {
        bits[i / 8] = (uint8_t)(bits[i / 8] | (next_random() % 4 != 0) << (i % 8));
      }
      buffers[0] = bits;
      array->null_count = -1;
    }
  }
  int64_t below = count;
  const unsigned width = rk_type_bits(field->type, field->size);
  const bool wide = field->type == RK_TYPE_LARGE_UTF8 || field->type == RK_TYPE_LARGE_LIST;
  if (field->type == RK_TYPE_UTF8 || wide || field->type == RK_TYPE_LIST) {
    uint8_t *offsets = rk_arena_array(arena, n + 1, 8);
    assert_non_null(offsets);
    int64_t at = 0;
    for (size_t i = 0; i <= n; i++) {
      memcpy(offsets + i * (wide ? 8 : 4), &at, wide ? 8 : 4);
      at += i < n ? (int64_t)(next_random() % 5) : 0;
    }
    buffers[array->n_buffers++] = offsets;
    below = at;
    if (field->child_count == 0) {
      uint8_t *text = rk_arena_alloc(arena, (size_t)at + 1);
      assert_non_null(text);
      memset(text, 'x', (size_t)at);
      buffers[array->n_buffers++] = text;
    }
  } else if (is_union) {
    uint8_t *ids = rk_arena_alloc(arena, n + 1);
    uint8_t *offsets = rk_arena_array(arena, n + 1, 4);
    assert_true(ids != NULL && offsets != NULL);
    for (size_t i = 0; i < n; i++) {
      ids[i] = (uint8_t)field->type_ids[next_random() % field->child_count];
      rk_store_i32(offsets + 4 * i, (int32_t)(next_random() % n));
    }
    buffers[array->n_buffers++] = ids;
    if (field->type == RK_TYPE_DENSE_UNION) {
      buffers[array->n_buffers++] = offsets;
    }
  } else if (field->type == RK_TYPE_FIXED_SIZE_LIST) {
    below = count * field->size;
  } else if (width > 0) {
    uint8_t *values = rk_arena_alloc(arena, n * (width + 7) / 8 + 8);
    assert_non_null(values);
    for (size_t i = 0; i < n * width / 8 + 1; i++) {
      values[i] = (uint8_t)next_random();
    }
    buffers[array->n_buffers++] = values;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    children[i] = make_array(arena, &field->children[i], below);
  }
  return array;
}

static const char *const types[] = {"f",
                                    "b",
                                    "u",
                                    "U",
                                    "+w:3(!:f)",
                                    "+l(!:C)",
                                    "+L(:u)",
                                    "+s(a!:u,b:b,c:+l(:l))",
                                    "+l(:+s(x:+w:2(:b),y!:S))",
                                    "+ud:0,1,5(none:n,i!:l,t!:+l(!:u))",
                                    "+us:3,7(f:f,t:u)",
                                    "w:5",
                                    "tsn:"};

/* Flat and back is the same array, for any slice; every shorter form is refused. */
static void test_flat(void **state)
{
  (void)state;
  for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
    rk_arena arena = {0};
    rk_field *field;
    rk_error error = {0};
    if (rk_field_parse(&arena, types[t], &field, &error) != RK_OK) {
      fail_msg("%s: %s", types[t], error.message);
    }
    for (int round = 0; round < 40; round++) {
      const struct ArrowArray *array = make_array(&arena, field, 20);
      const int64_t start = (int64_t)(next_random() % 20);
      const int64_t count = (int64_t)(next_random() % (uint64_t)(21 - start));
      const size_t size = rk_flat_size(field, array, start, count, (size_t)1 << 20);
      assert_int_not_equal(size, SIZE_MAX);
      assert_int_equal(rk_flat_size(field, array, start, count, size - 1), SIZE_MAX);
      uint8_t *bytes = malloc(size);
      assert_non_null(bytes);
      assert_ptr_equal(rk_flat_write(field, array, start, count, bytes), bytes + size);
      struct ArrowArray back;
      assert_int_equal(rk_flat_read(&arena, field, bytes, size, count, &back), RK_OK);
      rk_builder *expected = rk_builder_new(field), *got = rk_builder_new(field);
      assert_true(expected != NULL && got != NULL);
      assert_int_equal(rk_builder_append(expected, array, start, count), RK_OK);
      assert_int_equal(rk_builder_append(got, &back, 0, count), RK_OK);
      /* The builders' arrays are equal when their flat forms are. */
      const struct ArrowArray *a = rk_builder_view(expected), *b = rk_builder_view(got);
      const size_t a_size = rk_flat_size(field, a, 0, count, (size_t)1 << 20);
      assert_int_equal(rk_flat_size(field, b, 0, count, (size_t)1 << 20), a_size);
      uint8_t *a_bytes = malloc(a_size), *b_bytes = malloc(a_size);
      assert_true(a_bytes != NULL && b_bytes != NULL);
      rk_flat_write(field, a, 0, count, a_bytes);
      rk_flat_write(field, b, 0, count, b_bytes);
      assert_memory_equal(a_bytes, b_bytes, a_size);
      for (size_t cut = 0; cut < size; cut += 8) {
        uint8_t *exact = malloc(cut + 8);
        assert_non_null(exact);
        memcpy(exact, bytes, cut);
        assert_int_equal(rk_flat_read(&arena, field, exact, cut, count, &back), RK_ERR_CORRUPT);
        free(exact);
      }
      assert_int_equal(rk_flat_read(&arena, field, bytes, size, count + 1, &back), RK_ERR_CORRUPT);
      free(a_bytes);
      free(b_bytes);
      free(bytes);
      rk_builder_free(expected);
      rk_builder_free(got);
    }
    rk_arena_free(&arena);
  }
}

/* Arrays that have not the type's shape are refused before anything is written. */
static void test_flat_misshapen(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *field;
  assert_int_equal(rk_field_parse(&arena, "+s(a!:u,b!:l)", &field, NULL), RK_OK);
  const size_t limit = 1 << 20;
  struct ArrowArray *array = make_array(&arena, field, 4);
  assert_int_not_equal(rk_flat_size(field, array, 0, 4, limit), SIZE_MAX);
  assert_int_equal(rk_flat_size(field, array, 0, 5, limit), SIZE_MAX);
  assert_int_equal(rk_flat_size(field, array, -1, 1, limit), SIZE_MAX);
  assert_int_equal(rk_flat_size(field, NULL, 0, 0, limit), SIZE_MAX);
  struct ArrowArray bad = *array;
  bad.n_children = 1;
  assert_int_equal(rk_flat_size(field, &bad, 0, 4, limit), SIZE_MAX);
  bad = *array;
  bad.n_buffers = 2;
  assert_int_equal(rk_flat_size(field, &bad, 0, 4, limit), SIZE_MAX);
  bad = *array;
  bad.offset = -1;
  assert_int_equal(rk_flat_size(field, &bad, 0, 4, limit), SIZE_MAX);
  bad = *array;
  bad.length = 100; /* longer than its children */
  assert_int_equal(rk_flat_size(field, &bad, 0, 100, limit), SIZE_MAX);
  array->children[1]->buffers[1] = NULL;
  assert_int_equal(rk_flat_size(field, array, 0, 4, limit), SIZE_MAX);
  rk_arena_free(&arena);
}

/* A row's text is mended when it is read: each maximal invalid part becomes U+FFFD. */
static void test_flat_text(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *field;
  assert_int_equal(rk_field_parse(&arena, "u", &field, NULL), RK_OK);
  /* The last character is cut by the element's end: each half is invalid by itself. */
  static const int32_t offsets[] = {0, 2, 2, 5, 6, 7};
  const void *buffers[] = {NULL, offsets, "okx\xFFy\xC3\xA4"};
  const struct ArrowArray array = {.length = 5, .n_buffers = 3, .buffers = buffers};
  uint8_t bytes[256];
  const size_t size = rk_flat_size(field, &array, 0, 5, sizeof bytes);
  assert_in_range(size, 1, sizeof bytes);
  rk_flat_write(field, &array, 0, 5, bytes);
  struct ArrowArray back;
  assert_int_equal(rk_flat_read(&arena, field, bytes, size, 5, &back), RK_OK);
  static const char expected[] = "okx\xEF\xBF\xBDy\xEF\xBF\xBD\xEF\xBF\xBD";
  static const int32_t expected_offsets[] = {0, 2, 2, 7, 10, 13};
  assert_memory_equal(back.buffers[1], expected_offsets, sizeof expected_offsets);
  assert_memory_equal(back.buffers[2], expected, sizeof expected - 1);
  rk_arena_free(&arena);
}

/* The short way for one text takes what the long way takes as it stands, and nothing else. */
static void test_flat_one_text(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *field;
  assert_int_equal(rk_field_parse(&arena, "u", &field, NULL), RK_OK);
  static const char word[] = {'g', 'r', '\xC3', '\xB6', '\xC3', '\x9F', 't', 'e', '!'};
  static const int32_t offsets[] = {0, sizeof word};
  const void *buffers[] = {NULL, offsets, word};
  const struct ArrowArray array = {.length = 1, .n_buffers = 3, .buffers = buffers};
  _Alignas(8) uint8_t bytes[64] = {0};
  const size_t size = rk_flat_size(field, &array, 0, 1, sizeof bytes);
  rk_flat_write(field, &array, 0, 1, bytes);
  const uint8_t *text;
  size_t text_size;
  assert_true(rk_flat_text(bytes, size, &text, &text_size));
  assert_int_equal(text_size, sizeof word);
  assert_memory_equal(text, buffers[2], text_size);
  for (size_t cut = 0; cut < size; cut++) {
    assert_false(rk_flat_text(bytes, cut, &text, &text_size));
  }
  for (size_t bit = 0; bit < size * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    struct ArrowArray back;
    if (rk_flat_text(bytes, size, &text, &text_size)) {
      assert_int_equal(rk_flat_read(&arena, field, bytes, size, 1, &back), RK_OK);
      assert_ptr_equal(back.buffers[2], text);
      assert_int_equal(((const int32_t *)back.buffers[1])[1], text_size);
    }
    bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  rk_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_definitions),    cmocka_unit_test(test_ring_header), cmocka_unit_test(test_rows),
      cmocka_unit_test(test_rows_damaged),   cmocka_unit_test(test_skips),       cmocka_unit_test(test_flat),
      cmocka_unit_test(test_flat_misshapen), cmocka_unit_test(test_flat_text),   cmocka_unit_test(test_flat_one_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
