/* The size of Arrow values as a function of the values alone. */
#include "reader/value_size.h"

#include <stdlib.h>

#include "format/bytes.h"
#include "format/layout.h"
#include "format/tuid.h"

static bool is_valid(const struct ArrowArray *array, int64_t i)
{
  const uint8_t *validity = array->n_buffers > 0 ? array->buffers[0] : NULL;
  const int64_t bit = array->offset + i;
  return validity == NULL || (validity[bit >> 3] >> (bit & 7) & 1) != 0;
}

static int64_t offset_at(const struct ArrowArray *array, int64_t i, bool large)
{
  const char *offsets = array->buffers[1];
  return large ? rk_load_i64(offsets + 8 * (array->offset + i)) : rk_load_i32(offsets + 4 * (array->offset + i));
}

/* Bytes that each element takes, null or not. */
static uint64_t fixed_size(const rk_field *field)
{
  switch (field->type) {
  case RK_TYPE_LIST:
  case RK_TYPE_MAP:
  case RK_TYPE_UTF8:
  case RK_TYPE_BINARY:
    return 4;
  case RK_TYPE_LARGE_LIST:
  case RK_TYPE_LARGE_UTF8:
  case RK_TYPE_LARGE_BINARY:
    return 8;
  default:
    return (rk_type_bits(field->type, field->size) + 7) / 8;
  }
}

static uint64_t union_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count)
{
  const int8_t *ids = array->buffers[0];
  uint64_t size = 0;
  for (int64_t i = start; i < start + count; i++) {
    const int64_t at = array->offset + i;
    size_t child = 0;
    while (child < field->child_count && field->type_ids[child] != ids[at]) {
      child++;
    }
    if (child == field->child_count) {
      continue;
    }
    const bool dense = field->type == RK_TYPE_DENSE_UNION;
    const int64_t place = dense ? rk_load_i32((const char *)array->buffers[1] + 4 * at) : at;
    size += 1 + (dense ? 4u : 0u) + rk_value_size(&field->children[child], array->children[child], place, 1);
  }
  return size;
}

/* Elements [start, start + count), all of them valid. */
static uint64_t valid_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count)
{
  switch (field->type) {
  case RK_TYPE_LIST:
  case RK_TYPE_MAP:
  case RK_TYPE_LARGE_LIST: {
    const bool large = field->type == RK_TYPE_LARGE_LIST;
    const int64_t first = offset_at(array, start, large);
    const int64_t last = offset_at(array, start + count, large);
    return rk_value_size(&field->children[0], array->children[0], first, last - first);
  }
  case RK_TYPE_UTF8:
  case RK_TYPE_BINARY:
    return (uint64_t)(offset_at(array, start + count, false) - offset_at(array, start, false));
  case RK_TYPE_LARGE_UTF8:
  case RK_TYPE_LARGE_BINARY:
    return (uint64_t)(offset_at(array, start + count, true) - offset_at(array, start, true));
  case RK_TYPE_FIXED_SIZE_LIST:
    return rk_value_size(&field->children[0], array->children[0], (array->offset + start) * field->size,
                         count * field->size);
  case RK_TYPE_STRUCT: {
    uint64_t size = 0;
    for (size_t c = 0; c < field->child_count; c++) {
      size += rk_value_size(&field->children[c], array->children[c], array->offset + start, count);
    }
    return size;
  }
  default:
    return 0;
  }
}

uint64_t rk_value_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count)
{
  if (field->type == RK_TYPE_SPARSE_UNION || field->type == RK_TYPE_DENSE_UNION) {
    return union_size(field, array, start, count);
  }
  uint64_t size = (uint64_t)count * fixed_size(field);
  if (rk_type_bits(field->type, field->size) != 0 || field->type == RK_TYPE_NULL) {
    return size;
  }
  if (array->n_buffers == 0 || array->buffers[0] == NULL) {
    return size + valid_size(field, array, start, count);
  }
  for (int64_t i = start; i < start + count; i++) { /* what lies under a null may differ from copy to copy */
    if (is_valid(array, i)) {
      size += valid_size(field, array, i, 1);
    }
  }
  return size;
}

/* ---- Rows ---- */

static bool measure(const rk_field *field, const struct ArrowArray *array, const int64_t *at, int64_t count,
                    uint64_t *before);

/* Elements of an array without nulls at positions at[0] <= at[1] ..., by the positions of their items. */
static bool measure_items(const rk_field *field, const struct ArrowArray *array, const int64_t *at, int64_t count,
                          uint64_t *before)
{
  int64_t *items = malloc(((size_t)count + 1) * sizeof *items);
  bool good = items != NULL;
  const bool large = rk_type_is_wide(field->type);
  for (int64_t i = 0; i <= count && good; i++) {
    items[i] = rk_type_is_ranges(field->type)           ? offset_at(array, at[i], large)
               : field->type == RK_TYPE_FIXED_SIZE_LIST ? (array->offset + at[i]) * field->size
                                                        : array->offset + at[i];
  }
  for (size_t c = 0; c < field->child_count && good; c++) {
    good = measure(&field->children[c], array->children[c], items, count, before);
  }
  free(items);
  return good;
}

/* before[i] grows by the size of elements [at[0], at[i]). */
static bool measure(const rk_field *field, const struct ArrowArray *array, const int64_t *at, int64_t count,
                    uint64_t *before)
{
  const bool fixed = rk_type_bits(field->type, field->size) != 0 || field->type == RK_TYPE_NULL;
  if (rk_type_is_union(field->type) || (!fixed && array->n_buffers > 0 && array->buffers[0] != NULL)) {
    uint64_t size = 0;
    for (int64_t i = 0; i < count; i++) {
      size += rk_value_size(field, array, at[i], at[i + 1] - at[i]);
      before[i + 1] += size;
    }
    return true;
  }
  const uint64_t each = fixed_size(field);
  for (int64_t i = 1; i <= count; i++) {
    before[i] += (uint64_t)(at[i] - at[0]) * each;
  }
  if (fixed || !rk_type_is_bytes(field->type)) {
    return fixed || measure_items(field, array, at, count, before);
  }
  const bool large = rk_type_is_wide(field->type);
  for (int64_t i = 1; i <= count; i++) {
    before[i] += (uint64_t)(offset_at(array, at[i], large) - offset_at(array, at[0], large));
  }
  return true;
}

/* The lists of rows that have one. Rows that have none take nothing, not even what the list of another copy might hold
 * under its null. */
static bool measure_lists(const rk_chunk_component *component, int64_t count, int64_t *at, uint64_t *before)
{
  const struct ArrowArray *lists = component->lists;
  const rk_field list = {.type = RK_TYPE_LIST, .name = "", .child_count = 1, .children = (rk_field *)component->item};
  const bool no_nulls = lists->n_buffers == 0 || lists->buffers[0] == NULL;
  bool empty_nulls = true;
  uint64_t offsets = 0;
  for (int64_t i = 0; i <= count; i++) {
    at[i] = offset_at(lists, i, false);
  }
  for (int64_t i = 0; i < count && !no_nulls && empty_nulls; i++) {
    empty_nulls = is_valid(lists, i) || at[i] == at[i + 1];
  }
  for (int64_t i = 0; i < count; i++) {
    offsets += no_nulls ? 4 : !is_valid(lists, i) ? 0 : empty_nulls ? 4 : rk_value_size(&list, lists, i, 1);
    before[i + 1] += offsets;
  }
  return !empty_nulls || measure(component->item, lists->children[0], at, count, before);
}

bool rk_rows_measure(const rk_chunk *chunk, uint64_t *before)
{
  const int64_t count = chunk->row_count;
  int64_t *at = malloc(((size_t)count + 1) * sizeof *at);
  bool good = at != NULL;
  for (int64_t i = 0; i <= count; i++) {
    before[i] = (uint64_t)i * (RK_TUID_SIZE + 8 * chunk->timeline_count);
  }
  for (size_t i = 0; i < chunk->component_count && good; i++) {
    good = count == 0 || measure_lists(&chunk->components[i], count, at, before);
  }
  free(at);
  return good;
}
