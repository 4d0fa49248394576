/* Dictionary-encoded arrays made plain. */
#include "format/dictionary.h"

#include "format/layout.h"

static RK_FAR bool has_dictionary(const rk_field *field)
{
  if (field->dictionary != NULL) {
    return true;
  }
  for (size_t c = 0; c < field->child_count; c++) {
    if (has_dictionary(field->children + c)) {
      return true;
    }
  }
  return false;
}

int64_t rk_dictionary_index(const struct ArrowArray *array, rk_type_id type, int64_t i)
{
  const uint8_t *p = array->buffers[1];
  i += array->offset;
  switch (type) {
  case RK_TYPE_INT8:
    return (int8_t)p[i];
  case RK_TYPE_UINT8:
    return p[i];
  case RK_TYPE_INT16:
    return (int16_t)rk_load_u16(p + 2 * i);
  case RK_TYPE_UINT16:
    return rk_load_u16(p + 2 * i);
  case RK_TYPE_INT32:
    return rk_load_i32(p + 4 * i);
  case RK_TYPE_UINT32:
    return rk_load_u32(p + 4 * i);
  default:
    return rk_load_i64(p + 8 * i);
  }
}

/* The element of the dictionary that element i stands for, -1 for null. */
static int64_t value_at(const rk_field *field, const struct ArrowArray *array, int64_t i)
{
  const uint8_t *validity = rk_array_validity(array, field->type);
  if (validity != NULL && !rk_bit_get(validity, array->offset + i)) {
    return -1;
  }
  const struct ArrowArray *values = array->dictionary;
  const int64_t at = values->offset + rk_dictionary_index(array, field->type, i);
  const uint8_t *value_validity = rk_array_validity(values, field->dictionary->type);
  return value_validity != NULL && !rk_bit_get(value_validity, at) ? -1 : at;
}

static rk_status expand_bytes(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                              struct ArrowArray *plain)
{
  const bool wide = rk_type_is_wide(field->dictionary->type);
  const void *from_offsets = array->dictionary->buffers[1];
  uint8_t *offsets = rk_arena_array(arena, (size_t)array->length + 1, wide ? 8 : 4);
  if (offsets == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  int64_t size = 0;
  for (int64_t i = 0; i < array->length; i++) {
    const int64_t at = value_at(field, array, i);
    size += at < 0 ? 0 : rk_offset_at(from_offsets, at + 1, wide) - rk_offset_at(from_offsets, at, wide);
    if (wide) {
      rk_store_i64(offsets + 8 * (i + 1), size);
    } else if (size > INT32_MAX) {
      return RK_ERR_LIMIT;
    } else {
      rk_store_i32(offsets + 4 * (i + 1), (int32_t)size);
    }
  }
  uint8_t *bytes = rk_arena_alloc(arena, (size_t)size);
  if (bytes == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (int64_t i = 0; i < array->length; i++) {
    const int64_t at = value_at(field, array, i), first = at < 0 ? 0 : rk_offset_at(from_offsets, at, wide);
    const int64_t count = rk_offset_at(offsets, i + 1, wide) - rk_offset_at(offsets, i, wide);
    if (count > 0) {
      memcpy(bytes + rk_offset_at(offsets, i, wide), (const uint8_t *)array->dictionary->buffers[2] + first,
             (size_t)count);
    }
  }
  plain->buffers[1] = offsets;
  plain->buffers[2] = bytes;
  return RK_OK;
}

static rk_status expand_fixed(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                              struct ArrowArray *plain)
{
  const unsigned bits = rk_type_bits(field->dictionary->type, field->dictionary->size);
  uint8_t *values = bits == 1 ? rk_arena_alloc(arena, rk_bits_size(array->length))
                              : rk_arena_array(arena, (size_t)array->length, bits / 8);
  if (values == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  const uint8_t *from = array->dictionary->buffers[1];
  const size_t width = bits / 8;
  for (int64_t i = 0; i < array->length; i++) {
    const int64_t at = value_at(field, array, i);
    if (at < 0) {
      continue;
    }
    if (bits == 1) {
      rk_bit_put(values, i, rk_bit_get(from, at));
    } else if (width > 0) {
      memcpy(values + (size_t)i * width, from + (size_t)at * width, width);
    }
  }
  plain->buffers[1] = values;
  return RK_OK;
}

static rk_status expand(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                        struct ArrowArray *plain)
{
  uint8_t *validity = rk_arena_alloc(arena, rk_bits_size(array->length));
  const void **buffers = rk_arena_array(arena, 3, sizeof *buffers);
  if (validity == NULL || buffers == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *plain = (struct ArrowArray){.length = array->length,
                               .n_buffers = rk_type_buffer_count(field->dictionary->type),
                               .buffers = buffers,
                               .release = array->release};
  for (int64_t i = 0; i < array->length; i++) {
    const bool valid = value_at(field, array, i) >= 0;
    rk_bit_put(validity, i, valid);
    plain->null_count += !valid;
  }
  buffers[0] = plain->null_count == 0 ? NULL : validity;
  return rk_type_is_bytes(field->dictionary->type) ? expand_bytes(arena, field, array, plain)
                                                   : expand_fixed(arena, field, array, plain);
}

static rk_status make_plain(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                            rk_field *plain_field, struct ArrowArray *plain_array)
{
  *plain_field = *field;
  *plain_array = *array;
  if (field->dictionary != NULL) {
    *plain_field = *field->dictionary;
    plain_field->name = field->name;
    plain_field->nullable = field->nullable;
    plain_field->metadata = field->metadata;
    plain_field->metadata_count = field->metadata_count;
    return expand(arena, field, array, plain_array);
  }
  if (!has_dictionary(field)) {
    return RK_OK;
  }
  plain_field->children = rk_arena_array(arena, field->child_count, sizeof *plain_field->children);
  plain_array->children = rk_arena_array(arena, field->child_count, sizeof *plain_array->children);
  struct ArrowArray *children = rk_arena_array(arena, field->child_count, sizeof *children);
  if (plain_field->children == NULL || plain_array->children == NULL || children == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t c = 0; c < field->child_count; c++) {
    plain_array->children[c] = children + c;
    const rk_status status =
        make_plain(arena, field->children + c, array->children[c], plain_field->children + c, children + c);
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

rk_status rk_dictionary_expand(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                               const rk_field **plain_field, const struct ArrowArray **plain_array)
{
  *plain_field = field;
  *plain_array = array;
  if (!has_dictionary(field)) {
    return RK_OK;
  }
  rk_field *new_field = rk_arena_alloc(arena, sizeof *new_field);
  struct ArrowArray *new_array = rk_arena_alloc(arena, sizeof *new_array);
  if (new_field == NULL || new_array == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *plain_field = new_field;
  *plain_array = new_array;
  return make_plain(arena, field, array, new_field, new_array);
}
