/* The size of Arrow values as a function of the values alone. */
#include "reader/value_size.h"

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

static uint64_t lists_size(const rk_chunk_component *component, int64_t start, int64_t count)
{
  const rk_field list = {.type = RK_TYPE_LIST, .name = "", .child_count = 1, .children = (rk_field *)component->item};
  const struct ArrowArray *lists = component->lists;
  const uint8_t *validity = lists->buffers[0];
  if (validity == NULL) {
    return rk_value_size(&list, lists, start, count);
  }
  uint64_t size = 0;
  for (int64_t i = 0, run; i < count; i += run) {
    run = rk_bits_run(validity, lists->offset + start + i, count - i);
    if (is_valid(lists, start + i)) {
      size += rk_value_size(&list, lists, start + i, run);
    }
  }
  return size;
}

uint64_t rk_rows_size(const rk_chunk *chunk, int64_t start, int64_t count)
{
  uint64_t size = (uint64_t)count * (RK_TUID_SIZE + 8 * chunk->timeline_count);
  for (size_t i = 0; i < chunk->component_count; i++) {
    size += lists_size(&chunk->components[i], start, count);
  }
  return size;
}
