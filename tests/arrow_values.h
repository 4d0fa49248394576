/* For tests of Arrow arrays: made-up arrays of any type, comparison of elements, and a walk over every value. */
#ifndef RK_TESTS_ARROW_VALUES_H
#define RK_TESTS_ARROW_VALUES_H

#include <stdlib.h>

#include "format/dictionary.h"
#include "format/layout.h"

/* Types that between them have every layout, in the type text of recording.h. */
static const char *const arrow_types[] = {
    "n",
    "b",
    "c",
    "S",
    "i",
    "L",
    "e",
    "f",
    "g",
    "tdD",
    "tdm",
    "tts",
    "ttn",
    "tsn:",
    "tsu:Europe/Paris",
    "tDn",
    "d:19,10",
    "d:40,2,256",
    "w:16",
    "w:0",
    "w:3",
    "u",
    "U",
    "z",
    "Z",
    "+l(:f)",
    "+l(:u)",
    "+l(!:b)",
    "+L(:I)",
    "+l(:+l(:u))",
    "+L(:+l(:Z))",
    "+w:3(!:f)",
    "+w:2(:u)",
    "+w:0(:i)",
    "+l(:+w:4(!:C))",
    "+w:2(:+w:3(:b))",
    "+s",
    "+s(width!:I,height!:I,pixel_format:C)",
    "+s(a:+l(:u),b:+s(c:b,d!:+w:2(!:g)))",
    "+l(:+s(name:u,points:+l(:+w:2(!:f))))",
    "+m(!:+s(key!:u,value:i))",
    "+us:0,1(a:i,b:u)",
    "+us:7,3(a:+l(:f),b:n)",
    "+ud:0,1,2(a:n,b!:+l(!:f),c:u)",
    "+ud:5,0(x:g,y:+s(p:b,q:z))",
    "+l(:+ud:0,1(a:i,b:u))",
    "+s(u:+us:1,2(a:C,b:+ud:0(z:U)))",
};
#define ARROW_TYPE_COUNT (sizeof arrow_types / sizeof *arrow_types)

typedef struct arrow_maker {
  rk_arena *arena;
  uint64_t state; /* not 0 */
  bool plain;     /* no offsets, no spare elements */
} arrow_maker;

static inline uint64_t arrow_random(arrow_maker *m)
{
  m->state ^= m->state << 13;
  m->state ^= m->state >> 7;
  m->state ^= m->state << 17;
  return m->state;
}

static inline int64_t arrow_below(arrow_maker *m, int64_t limit)
{
  return (int64_t)(arrow_random(m) % (uint64_t)limit);
}

static inline void *arrow_need(void *memory)
{
  if (memory == NULL) {
    abort();
  }
  return memory;
}

static inline rk_field *arrow_field(rk_arena *arena, const char *type)
{
  rk_field *field = NULL;
  if (rk_field_parse(arena, type, &field, NULL) != RK_OK) {
    abort();
  }
  return field;
}

static inline void arrow_make_offsets(arrow_maker *m, const rk_field *field, struct ArrowArray *array, int64_t *end)
{
  const bool wide = rk_type_is_wide(field->type);
  const int64_t count = array->offset + array->length;
  char *offsets = arrow_need(rk_arena_alloc(m->arena, (size_t)(count + 1) * 8));
  int64_t at = m->plain ? 0 : arrow_below(m, 3);
  for (int64_t i = 0; i <= count; i++) {
    if (wide) {
      rk_store_i64(offsets + 8 * i, at);
    } else {
      rk_store_i32(offsets + 4 * i, (int32_t)at);
    }
    *end = at;
    at += arrow_below(m, 4);
  }
  array->buffers[1] = offsets;
}

/* Whole characters of one to four bytes; elements may begin inside of one only for binary. */
static inline void arrow_make_text(arrow_maker *m, const rk_field *field, struct ArrowArray *array)
{
  static const char *const words[] = {"", "a", "xyz", "\xC3\xA9", "\xE6\xBC\xA2", "\xF0\x9F\x98\x80", "ab\xC3\xB6"};
  const bool wide = rk_type_is_wide(field->type);
  const int64_t count = array->offset + array->length;
  char *offsets = arrow_need(rk_arena_alloc(m->arena, (size_t)(count + 1) * 8));
  char *bytes = arrow_need(rk_arena_alloc(m->arena, (size_t)count * 4 + 8));
  int64_t at = 0;
  for (int64_t i = 0; i <= count; i++) {
    if (wide) {
      rk_store_i64(offsets + 8 * i, at);
    } else {
      rk_store_i32(offsets + 4 * i, (int32_t)at);
    }
    const char *word = words[arrow_below(m, 7)];
    memcpy(bytes + at, word, strlen(word));
    at += (int64_t)strlen(word);
  }
  array->buffers[1] = offsets;
  array->buffers[2] = bytes;
}

static inline struct ArrowArray *arrow_make(arrow_maker *m, const rk_field *field, int64_t length);

static inline void arrow_make_union(arrow_maker *m, const rk_field *field, struct ArrowArray *array)
{
  const bool dense = field->type == RK_TYPE_DENSE_UNION;
  const int64_t count = array->offset + array->length;
  int8_t *ids = arrow_need(rk_arena_alloc(m->arena, (size_t)count));
  char *offsets = arrow_need(rk_arena_alloc(m->arena, (size_t)count * 4));
  int64_t next[128] = {0};
  for (int64_t i = 0; i < count; i++) {
    const int64_t c = arrow_below(m, (int64_t)field->child_count);
    ids[i] = field->type_ids[c];
    next[c] += m->plain ? 0 : arrow_below(m, 5) == 0;
    rk_store_i32(offsets + 4 * i, (int32_t)next[c]++);
  }
  array->buffers[0] = ids;
  array->buffers[1] = offsets;
  for (size_t c = 0; c < field->child_count; c++) {
    array->children[c] = arrow_make(m, field->children + c, dense ? next[c] : count);
  }
}

/* An array of `length` elements, by turns with and without offset, validity and known null count. */
static inline struct ArrowArray *arrow_make(arrow_maker *m, const rk_field *field, int64_t length)
{
  struct ArrowArray *array = arrow_need(rk_arena_alloc(m->arena, sizeof *array));
  array->length = length;
  array->offset = m->plain ? 0 : arrow_below(m, 3) * arrow_below(m, 9);
  array->n_buffers = rk_type_buffer_count(field->type);
  array->n_children = (int64_t)field->child_count;
  array->buffers = arrow_need(rk_arena_array(m->arena, 3, sizeof *array->buffers));
  array->children = arrow_need(rk_arena_array(m->arena, field->child_count, sizeof *array->children));
  const int64_t count = array->offset + length;
  if (field->type == RK_TYPE_NULL) {
    array->null_count = length;
    return array;
  }
  if (rk_type_is_union(field->type)) {
    arrow_make_union(m, field, array);
    return array;
  }
  if (field->nullable && arrow_below(m, 3) != 0) {
    uint8_t *validity = arrow_need(rk_arena_alloc(m->arena, rk_bits_size(count)));
    const bool few = arrow_below(m, 2) == 0;
    for (int64_t i = 0; i < count; i++) {
      rk_bit_put(validity, i, arrow_below(m, few ? 2 : 9) != 0);
    }
    array->buffers[0] = validity;
    array->null_count = arrow_below(m, 2) == 0 ? -1 : length - rk_bits_count(validity, array->offset, length);
  }
  const unsigned bits = rk_type_bits(field->type, field->size);
  if (bits != 0) {
    const size_t size = rk_bits_size(count * bits);
    uint8_t *values = arrow_need(rk_arena_alloc(m->arena, size));
    for (size_t i = 0; i < size; i++) {
      values[i] = (uint8_t)arrow_random(m);
    }
    array->buffers[1] = values;
  } else if (rk_type_is_bytes(field->type)) {
    arrow_make_text(m, field, array);
  } else if (rk_type_is_ranges(field->type)) {
    int64_t end = 0;
    arrow_make_offsets(m, field, array, &end);
    array->children[0] = arrow_make(m, field->children, end + (m->plain ? 0 : arrow_below(m, 3)));
  } else {
    for (size_t c = 0; c < field->child_count; c++) {
      array->children[c] =
          arrow_make(m, field->children + c, field->type == RK_TYPE_STRUCT ? count : count * field->size);
    }
  }
  return array;
}

static inline bool arrow_is_null(const rk_field *field, const struct ArrowArray *a, int64_t i)
{
  const uint8_t *validity = rk_array_validity(a, field->type);
  return field->type == RK_TYPE_NULL || (validity != NULL && !rk_bit_get(validity, a->offset + i));
}

static inline int64_t arrow_child_of(const rk_field *field, const struct ArrowArray *a, int64_t i, int64_t *at)
{
  const int8_t id = ((const int8_t *)a->buffers[0])[a->offset + i];
  *at = field->type == RK_TYPE_DENSE_UNION ? rk_load_i32((const char *)a->buffers[1] + 4 * (a->offset + i))
                                           : a->offset + i;
  for (size_t c = 0; c < field->child_count; c++) {
    if (field->type_ids[c] == id) {
      return (int64_t)c;
    }
  }
  abort();
}

static inline bool arrow_equal(const rk_field *field, const struct ArrowArray *a, int64_t i, const struct ArrowArray *b,
                               int64_t j, int64_t count);

/* Whether element i of a equals element j of b, both of the field's type without dictionaries. */
static inline bool arrow_element_equal(const rk_field *field, const struct ArrowArray *a, int64_t i,
                                       const struct ArrowArray *b, int64_t j)
{
  if (arrow_is_null(field, a, i) || arrow_is_null(field, b, j)) {
    return arrow_is_null(field, a, i) == arrow_is_null(field, b, j);
  }
  const int64_t x = a->offset + i, y = b->offset + j;
  const unsigned bits = rk_type_bits(field->type, field->size);
  if (bits == 1) {
    return rk_bit_get(a->buffers[1], x) == rk_bit_get(b->buffers[1], y);
  }
  if (bits != 0) {
    const size_t width = bits / 8;
    return memcmp((const char *)a->buffers[1] + (size_t)x * width, (const char *)b->buffers[1] + (size_t)y * width,
                  width) == 0;
  }
  if (rk_type_is_bytes(field->type) || rk_type_is_ranges(field->type)) {
    const bool wide = rk_type_is_wide(field->type);
    const int64_t p = rk_offset_at(a->buffers[1], x, wide), q = rk_offset_at(b->buffers[1], y, wide);
    const int64_t size = rk_offset_at(a->buffers[1], x + 1, wide) - p;
    if (size != rk_offset_at(b->buffers[1], y + 1, wide) - q) {
      return false;
    }
    if (rk_type_is_ranges(field->type)) {
      return arrow_equal(field->children, a->children[0], p, b->children[0], q, size);
    }
    return size == 0 || memcmp((const char *)a->buffers[2] + p, (const char *)b->buffers[2] + q, (size_t)size) == 0;
  }
  if (rk_type_is_union(field->type)) {
    int64_t p, q;
    const int64_t c = arrow_child_of(field, a, i, &p);
    return arrow_child_of(field, b, j, &q) == c &&
           arrow_element_equal(field->children + c, a->children[c], p, b->children[c], q);
  }
  const int64_t step = field->type == RK_TYPE_FIXED_SIZE_LIST ? field->size : 1;
  for (size_t c = 0; c < field->child_count; c++) {
    if (!arrow_equal(field->children + c, a->children[c], x * step, b->children[c], y * step, step)) {
      return false;
    }
  }
  return true;
}

static inline bool arrow_equal(const rk_field *field, const struct ArrowArray *a, int64_t i, const struct ArrowArray *b,
                               int64_t j, int64_t count)
{
  for (int64_t k = 0; k < count; k++) {
    if (!arrow_element_equal(field, a, i + k, b, j + k)) {
      return false;
    }
  }
  return true;
}

static inline uint64_t arrow_walk(const rk_field *field, const struct ArrowArray *a, int64_t start, int64_t count);

/* Touches every byte of one element, null or not where the type lets it, and returns a number made of them. */
static inline uint64_t arrow_walk_element(const rk_field *field, const struct ArrowArray *a, int64_t i)
{
  uint64_t sum = arrow_is_null(field, a, i);
  if (field->type == RK_TYPE_NULL) {
    return sum;
  }
  if (field->dictionary != NULL) {
    return sum != 0 ? sum
                    : arrow_walk_element(field->dictionary, a->dictionary, rk_dictionary_index(a, field->type, i));
  }
  const int64_t x = a->offset + i;
  const unsigned bits = rk_type_bits(field->type, field->size);
  if (bits == 1) {
    return sum + rk_bit_get(a->buffers[1], x);
  }
  const uint8_t *bytes = NULL;
  size_t size = 0;
  if (bits != 0) {
    size = bits / 8;
    bytes = (const uint8_t *)a->buffers[1] + (size_t)x * size;
  } else if (rk_type_is_bytes(field->type) || rk_type_is_ranges(field->type)) {
    const bool wide = rk_type_is_wide(field->type);
    const int64_t p = rk_offset_at(a->buffers[1], x, wide), q = rk_offset_at(a->buffers[1], x + 1, wide);
    if (rk_type_is_ranges(field->type)) {
      return sum + arrow_walk(field->children, a->children[0], p, q - p);
    }
    bytes = (const uint8_t *)a->buffers[2] + p;
    size = (size_t)(q - p);
  } else if (rk_type_is_union(field->type)) {
    int64_t at;
    const int64_t c = arrow_child_of(field, a, i, &at);
    return sum + (uint64_t)c + arrow_walk_element(field->children + c, a->children[c], at);
  } else {
    const int64_t step = field->type == RK_TYPE_FIXED_SIZE_LIST ? field->size : 1;
    for (size_t c = 0; c < field->child_count; c++) {
      sum += arrow_walk(field->children + c, a->children[c], x * step, step);
    }
  }
  for (size_t k = 0; k < size; k++) {
    sum = sum * 31 + bytes[k];
  }
  return sum;
}

static inline uint64_t arrow_walk(const rk_field *field, const struct ArrowArray *a, int64_t start, int64_t count)
{
  uint64_t sum = 0;
  if (start < 0 || count < 0 || start > a->length - count) {
    abort();
  }
  for (int64_t i = start; i < start + count; i++) {
    sum = sum * 7 + arrow_walk_element(field, a, i);
  }
  return sum;
}

#endif
