/* Builds one Arrow array by appending slices of others. */
#include "format/builder.h"

#include <stdlib.h>

#include "format/dictionary.h"
#include "format/layout.h"

struct rk_builder {
  rk_type_id type;
  unsigned bits;         /* of a fixed-width value, else 0 */
  bool wide;             /* 64-bit offsets */
  const rk_field *field; /* of the values where the type is dictionary-encoded */
  rk_type_id index_type; /* of a dictionary-encoded field's indices, else RK_TYPE_NULL */
  int64_t length;
  int64_t null_count;
  rk_buffer validity; /* empty until the first null */
  rk_buffer values;   /* values, offsets (one more than length) or type ids */
  rk_buffer data;     /* bytes of text and binary, offsets of dense unions */
  size_t child_count;
  rk_builder *children;
  int8_t *child_of; /* unions: type id to child, -1 for none */
  struct ArrowArray view;
  const void *view_buffers[3];
  struct ArrowArray **view_children;
};

/* Lent instead of NULL for buffers without bytes. */
static const uint64_t no_bytes[8];

/* ---- Life ---- */

static void builder_clear(rk_builder *b)
{
  for (size_t i = 0; i < b->child_count; i++) {
    builder_clear(b->children + i);
  }
  rk_buffer_free(&b->validity);
  rk_buffer_free(&b->values);
  rk_buffer_free(&b->data);
  free(b->children);
  free(b->child_of);
  free(b->view_children);
}

static bool has_offsets(const rk_builder *b)
{
  return rk_type_is_bytes(b->type) || rk_type_is_ranges(b->type);
}

/* On failure the builder can be cleared. */
static bool builder_init(rk_builder *b, const rk_field *field)
{
  *b = (rk_builder){.field = field};
  if (field->dictionary != NULL) {
    b->index_type = field->type;
    b->field = field = field->dictionary;
  }
  b->type = field->type;
  b->bits = rk_type_bits(field->type, field->size);
  b->wide = rk_type_is_wide(field->type);
  if (has_offsets(b)) {
    rk_buffer_append_zero(&b->values, b->wide ? 8 : 4);
    if (b->values.failed) {
      return false;
    }
  }
  if (rk_type_is_union(b->type)) {
    b->child_of = malloc(128);
    if (b->child_of == NULL) {
      return false;
    }
    memset(b->child_of, -1, 128);
    for (size_t i = 0; i < field->child_count; i++) {
      b->child_of[field->type_ids[i]] = (int8_t)i;
    }
  }
  if (field->child_count == 0) {
    return true;
  }
  b->children = calloc(field->child_count, sizeof *b->children);
  b->view_children = calloc(field->child_count, sizeof *b->view_children);
  if (b->children == NULL || b->view_children == NULL) {
    return false;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    b->child_count++;
    b->view_children[i] = &b->children[i].view;
    if (!builder_init(b->children + i, field->children + i)) {
      return false;
    }
  }
  return true;
}

rk_builder *rk_builder_new(const rk_field *field)
{
  rk_builder *b = malloc(sizeof *b);
  if (b != NULL && !builder_init(b, field)) {
    builder_clear(b);
    free(b);
    return NULL;
  }
  return b;
}

void rk_builder_free(rk_builder *builder)
{
  if (builder != NULL) {
    builder_clear(builder);
    free(builder);
  }
}

/* Back to the first `length` elements; for a dense union the children's lengths are found again from the offsets. */
static void truncate_to(rk_builder *b, int64_t length)
{
  const size_t offset_size = b->wide ? 8 : 4;
  b->validity.failed = b->values.failed = b->data.failed = false;
  if (b->null_count > 0) {
    const size_t held = rk_bits_size(length);
    b->null_count = length - rk_bits_count(b->validity.data, 0, length);
    b->validity.size = b->null_count == 0 ? 0 : held;
    if (length % 8 != 0) {
      rk_bits_fill(b->validity.data, length, 8 - length % 8, false);
    }
  }
  b->length = length;
  if (has_offsets(b)) {
    const int64_t end = rk_offset_at(b->values.data, length, b->wide);
    b->values.size = ((size_t)length + 1) * offset_size;
    if (rk_type_is_bytes(b->type)) {
      b->data.size = (size_t)end;
    } else {
      truncate_to(b->children, end);
    }
  } else if (b->bits != 0) {
    b->values.size = b->bits == 1 ? rk_bits_size(length) : (size_t)length * (b->bits / 8);
    if (b->bits == 1 && length % 8 != 0) {
      rk_bits_fill(b->values.data, length, 8 - length % 8, false);
    }
  } else if (b->type == RK_TYPE_DENSE_UNION) {
    b->values.size = (size_t)length;
    b->data.size = (size_t)length * 4;
    for (size_t c = 0; c < b->child_count; c++) {
      int64_t last = -1;
      for (int64_t i = length - 1; i >= 0 && last < 0; i--) {
        if (b->values.data[i] == (uint8_t)b->field->type_ids[c]) {
          last = rk_load_i32(b->data.data + 4 * i);
        }
      }
      truncate_to(b->children + c, last + 1);
    }
  } else {
    if (b->type == RK_TYPE_SPARSE_UNION) {
      b->values.size = (size_t)length;
    }
    for (size_t c = 0; c < b->child_count; c++) {
      truncate_to(b->children + c, b->type == RK_TYPE_FIXED_SIZE_LIST ? length * b->field->size : length);
    }
  }
}

void rk_builder_reset(rk_builder *builder)
{
  truncate_to(builder, 0);
}

/* ---- Validity: these come before length grows ---- */

static bool grow_bits(rk_buffer *bits, int64_t length, int64_t count)
{
  rk_buffer_append_zero(bits, rk_bits_size(length + count) - bits->size);
  return !bits->failed;
}

static bool add_valid(rk_builder *b, int64_t count)
{
  if (b->null_count == 0) {
    return true;
  }
  if (!grow_bits(&b->validity, b->length, count)) {
    return false;
  }
  rk_bits_fill(b->validity.data, b->length, count, true);
  return true;
}

/* The bitmap, all ones so far, up to length and `count` zeros more. */
static bool add_unset(rk_builder *b, int64_t count)
{
  if (b->null_count == 0) {
    b->validity.size = 0;
    if (!grow_bits(&b->validity, 0, b->length + count)) {
      return false;
    }
    rk_bits_fill(b->validity.data, 0, b->length, true);
    return true;
  }
  return grow_bits(&b->validity, b->length, count);
}

static bool add_nulls(rk_builder *b, int64_t count)
{
  if (count == 0) {
    return true;
  }
  if (!add_unset(b, count)) {
    return false;
  }
  b->null_count += count;
  return true;
}

/* `validity`: NULL or a bitmap, read from bit `at`. */
static bool add_validity(rk_builder *b, const uint8_t *validity, int64_t at, int64_t count)
{
  const int64_t nulls = validity == NULL ? 0 : count - rk_bits_count(validity, at, count);
  if (nulls == 0) {
    return add_valid(b, count);
  }
  if (!add_unset(b, count)) {
    return false;
  }
  rk_bits_copy(b->validity.data, b->length, validity, at, count);
  b->null_count += nulls;
  return true;
}

/* ---- Appending ---- */

static rk_status append(rk_builder *b, const struct ArrowArray *array, int64_t start, int64_t count);

/* What appends to the offsets, the items or bytes being there already: `count` empty elements. */
static bool add_empty_ranges(rk_builder *b, int64_t count)
{
  const int64_t end = rk_offset_at(b->values.data, b->length, b->wide);
  const size_t width = b->wide ? 8 : 4;
  uint8_t *at = (size_t)count > SIZE_MAX / width ? NULL : rk_buffer_extend(&b->values, (size_t)count * width);
  if (at == NULL) {
    return false;
  }
  for (int64_t i = 0; i < count; i++, at += width) {
    if (b->wide) {
      rk_store_i64(at, end);
    } else {
      rk_store_i32(at, (int32_t)end);
    }
  }
  return true;
}

/* `count` elements without content: null where `null`, else zero, empty text, empty list. */
static rk_status append_blank(rk_builder *b, int64_t count, bool null)
{
  if (count == 0) {
    return RK_OK;
  }
  if (count < 0 || b->length > INT64_MAX - count) {
    return RK_ERR_LIMIT;
  }
  rk_status status = RK_OK;
  if (b->type == RK_TYPE_NULL) {
    b->length += count;
    return RK_OK;
  }
  if (rk_type_is_union(b->type)) {
    if (b->child_count == 0) {
      return RK_ERR_MISUSE;
    }
    uint8_t *ids = rk_buffer_extend(&b->values, (size_t)count);
    if (ids == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    memset(ids, b->field->type_ids[0], (size_t)count);
    if (b->type == RK_TYPE_DENSE_UNION) {
      const int64_t first = b->children->length;
      if (first > INT32_MAX - count) {
        return RK_ERR_LIMIT;
      }
      uint8_t *offsets = rk_buffer_extend(&b->data, (size_t)count * 4);
      if (offsets == NULL) {
        return RK_ERR_NO_MEMORY;
      }
      for (int64_t i = 0; i < count; i++) {
        rk_store_i32(offsets + 4 * i, (int32_t)(first + i));
      }
    }
    const size_t filled = b->type == RK_TYPE_DENSE_UNION ? 1 : b->child_count;
    for (size_t c = 0; c < filled && status == RK_OK; c++) {
      status = append_blank(b->children + c, count, b->field->children[c].nullable);
    }
    b->length += status == RK_OK ? count : 0;
    return status;
  }
  if (null ? !add_nulls(b, count) : !add_valid(b, count)) {
    return RK_ERR_NO_MEMORY;
  }
  if (has_offsets(b)) {
    if (!add_empty_ranges(b, count)) {
      return RK_ERR_NO_MEMORY;
    }
  } else if (b->bits == 1) {
    if (!grow_bits(&b->values, b->length, count)) {
      return RK_ERR_NO_MEMORY;
    }
  } else if (b->bits != 0) {
    size_t size;
    if (__builtin_mul_overflow((size_t)count, (size_t)(b->bits / 8), &size)) {
      return RK_ERR_NO_MEMORY;
    }
    rk_buffer_append_zero(&b->values, size);
    if (b->values.failed) {
      return RK_ERR_NO_MEMORY;
    }
  } else {
    int64_t items = count;
    if (b->type == RK_TYPE_FIXED_SIZE_LIST && __builtin_mul_overflow(count, (int64_t)b->field->size, &items)) {
      return RK_ERR_LIMIT;
    }
    for (size_t c = 0; c < b->child_count && status == RK_OK; c++) {
      status = append_blank(b->children + c, items, false);
    }
  }
  b->length += status == RK_OK ? count : 0;
  return status;
}

static rk_status append_fixed(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count,
                              const uint8_t *validity)
{
  const uint8_t *from = array->buffers[1];
  if (b->bits == 0) {
    return RK_OK; /* fixed-size binary of no bytes */
  }
  if (b->bits == 1) {
    if (!grow_bits(&b->values, b->length, count)) {
      return RK_ERR_NO_MEMORY;
    }
    rk_bits_copy(b->values.data, b->length, from, at, count);
    return RK_OK;
  }
  const size_t width = b->bits / 8;
  uint8_t *to = rk_buffer_extend(&b->values, (size_t)count * width);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  memcpy(to, from + (size_t)at * width, (size_t)count * width);
  for (int64_t i = 0, run; validity != NULL && i < count; i += run) { /* nulls are zeros: same rows, same bytes */
    run = rk_bits_run(validity, at + i, count - i);
    if (!rk_bit_get(validity, at + i)) {
      memset(to + (size_t)i * width, 0, (size_t)run * width);
    }
  }
  return RK_OK;
}

/* One run of valid elements of a text, binary or list type; the offsets of the builder are `done` elements ahead of
 * its length. */
static rk_status append_range_run(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count,
                                  int64_t done)
{
  const uint8_t *offsets = array->buffers[1];
  const size_t width = b->wide ? 8 : 4;
  const int64_t first = rk_offset_at(offsets, at, b->wide), last = rk_offset_at(offsets, at + count, b->wide);
  const int64_t base = rk_offset_at(b->values.data, b->length + done, b->wide);
  if (first < 0 || last < first) {
    return RK_ERR_MISUSE;
  }
  if (last - first > (b->wide ? INT64_MAX : INT32_MAX) - base) {
    return RK_ERR_LIMIT;
  }
  if (rk_type_is_bytes(b->type)) {
    if (last > first) {
      rk_buffer_append(&b->data, (const uint8_t *)array->buffers[2] + first, (size_t)(last - first));
    }
    if (b->data.failed) {
      return RK_ERR_NO_MEMORY;
    }
  } else {
    const rk_status status = append(b->children, array->children[0], first, last - first);
    if (status != RK_OK) {
      return status;
    }
  }
  uint8_t *to = rk_buffer_extend(&b->values, (size_t)count * width);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  rk_offsets_rebase(to, offsets + (size_t)(at + 1) * width, count, b->wide, base - first);
  return RK_OK;
}

static rk_status append_ranges(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count,
                               const uint8_t *validity)
{
  if (validity == NULL) {
    return append_range_run(b, array, at, count, 0);
  }
  const int64_t length = b->length;
  rk_status status = RK_OK;
  for (int64_t i = 0, run; i < count && status == RK_OK; i += run) {
    run = rk_bits_run(validity, at + i, count - i);
    if (rk_bit_get(validity, at + i)) {
      status = append_range_run(b, array, at + i, run, i);
    } else {
      b->length = length + i; /* add_empty_ranges repeats the offset at length */
      status = add_empty_ranges(b, run) ? RK_OK : RK_ERR_NO_MEMORY;
      b->length = length;
    }
  }
  return status;
}

static rk_status append_sparse(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count)
{
  rk_buffer_append(&b->values, (const uint8_t *)array->buffers[0] + at, (size_t)count);
  rk_status status = b->values.failed ? RK_ERR_NO_MEMORY : RK_OK;
  for (size_t c = 0; c < b->child_count && status == RK_OK; c++) {
    status = append(b->children + c, array->children[c], at, count);
  }
  return status;
}

static rk_status append_dense(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count)
{
  const int8_t *ids = (const int8_t *)array->buffers[0] + at;
  const uint8_t *offsets = (const uint8_t *)array->buffers[1] + 4 * at;
  for (int64_t i = 0, run; i < count; i += run) { /* a run has one type id and consecutive offsets */
    const int8_t id = ids[i];
    const int64_t first = rk_load_i32(offsets + 4 * i);
    const int child = id < 0 ? -1 : b->child_of[id];
    if (child < 0 || first < 0) {
      return RK_ERR_MISUSE;
    }
    for (run = 1; i + run < count && ids[i + run] == id && rk_load_i32(offsets + 4 * (i + run)) == first + run;) {
      run++;
    }
    rk_builder *target = b->children + child;
    const int64_t base = target->length;
    if (base > INT32_MAX - run) {
      return RK_ERR_LIMIT;
    }
    const rk_status status = append(target, array->children[child], first, run);
    if (status != RK_OK) {
      return status;
    }
    uint8_t *id_to = rk_buffer_extend(&b->values, (size_t)run);
    uint8_t *offset_to = rk_buffer_extend(&b->data, (size_t)run * 4);
    if (id_to == NULL || offset_to == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    memset(id_to, id, (size_t)run);
    for (int64_t k = 0; k < run; k++) {
      rk_store_i32(offset_to + 4 * k, (int32_t)(base + k));
    }
  }
  return RK_OK;
}

static rk_status append_dictionary(rk_builder *b, const struct ArrowArray *array, int64_t start, int64_t count)
{
  const uint8_t *validity = rk_array_validity(array, b->index_type);
  for (int64_t i = start; i < start + count; i++) {
    rk_status status;
    if (validity != NULL && !rk_bit_get(validity, array->offset + i)) {
      status = append_blank(b, 1, true);
    } else {
      const int64_t index = rk_dictionary_index(array, b->index_type, i);
      if (index < 0 || index >= array->dictionary->length) {
        return RK_ERR_MISUSE;
      }
      status = append(b, array->dictionary, index, 1);
    }
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

/* After a failure the caller truncates the outermost builder. */
static rk_status append(rk_builder *b, const struct ArrowArray *array, int64_t start, int64_t count)
{
  if (count == 0) {
    return RK_OK;
  }
  if (count < 0 || b->length > INT64_MAX - count) {
    return RK_ERR_LIMIT;
  }
  if (b->index_type != RK_TYPE_NULL && array->dictionary != NULL) {
    return append_dictionary(b, array, start, count);
  }
  const int64_t at = array->offset + start;
  const uint8_t *validity = rk_array_validity(array, b->type);
  rk_status status = RK_OK;
  if (b->type != RK_TYPE_NULL && !rk_type_is_union(b->type) && !add_validity(b, validity, at, count)) {
    return RK_ERR_NO_MEMORY;
  }
  switch (b->type) {
  case RK_TYPE_NULL:
    break;
  case RK_TYPE_UTF8:
  case RK_TYPE_BINARY:
  case RK_TYPE_LARGE_UTF8:
  case RK_TYPE_LARGE_BINARY:
  case RK_TYPE_LIST:
  case RK_TYPE_LARGE_LIST:
  case RK_TYPE_MAP:
    status = append_ranges(b, array, at, count, validity);
    break;
  case RK_TYPE_FIXED_SIZE_LIST: {
    int64_t first, items;
    if (__builtin_mul_overflow(at, (int64_t)b->field->size, &first) ||
        __builtin_mul_overflow(count, (int64_t)b->field->size, &items)) {
      return RK_ERR_LIMIT;
    }
    status = append(b->children, array->children[0], first, items);
    break;
  }
  case RK_TYPE_STRUCT:
    for (size_t c = 0; c < b->child_count && status == RK_OK; c++) {
      status = append(b->children + c, array->children[c], at, count);
    }
    break;
  case RK_TYPE_SPARSE_UNION:
    status = append_sparse(b, array, at, count);
    break;
  case RK_TYPE_DENSE_UNION:
    status = append_dense(b, array, at, count);
    break;
  default:
    status = append_fixed(b, array, at, count, validity);
    break;
  }
  if (status == RK_OK) {
    b->length += count;
  }
  return status;
}

/* Whether the children hold what the elements so far account for and nothing more. */
static bool is_settled(const rk_builder *b)
{
  if (rk_type_is_ranges(b->type)) {
    return b->children->length == rk_offset_at(b->values.data, b->length, b->wide);
  }
  for (size_t c = 0; c < b->child_count && b->type == RK_TYPE_STRUCT; c++) {
    if (b->children[c].length != b->length) {
      return false;
    }
  }
  return true;
}

static rk_status settle(rk_builder *b, int64_t length, rk_status status)
{
  if (status != RK_OK) {
    truncate_to(b, length);
  }
  return status;
}

rk_status rk_builder_append(rk_builder *builder, const struct ArrowArray *array, int64_t start, int64_t count)
{
  if (start < 0 || count < 0 || start > array->length - count || !is_settled(builder)) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = builder->length;
  return settle(builder, length, append(builder, array, start, count));
}

rk_status rk_builder_append_nulls(rk_builder *builder, int64_t count)
{
  if (count < 0 || !is_settled(builder)) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = builder->length;
  return settle(builder, length, append_blank(builder, count, true));
}

static rk_status append_packed(rk_builder *b, const void *values, size_t count)
{
  if (count > INT64_MAX / 2 || b->length > INT64_MAX / 2) {
    return RK_ERR_LIMIT;
  }
  if (!add_valid(b, (int64_t)count)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  size_t size;
  if (b->type == RK_TYPE_FIXED_SIZE_LIST) {
    if (__builtin_mul_overflow(count, (size_t)b->field->size, &size)) {
      return RK_ERR_LIMIT;
    }
    status = append_packed(b->children, values, size);
  } else {
    if (__builtin_mul_overflow(count, (size_t)(b->bits / 8), &size)) {
      return RK_ERR_LIMIT;
    }
    rk_buffer_append(&b->values, values, size);
    status = b->values.failed ? RK_ERR_NO_MEMORY : RK_OK;
  }
  b->length += status == RK_OK ? (int64_t)count : 0;
  return status;
}

rk_status rk_builder_append_packed(rk_builder *builder, const void *values, size_t count)
{
  if (rk_field_packed_size(builder->field) == 0) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = builder->length;
  return settle(builder, length, append_packed(builder, values, count));
}

rk_status rk_builder_append_bytes(rk_builder *builder, const void *bytes, size_t size)
{
  rk_builder *b = builder;
  if (!rk_type_is_bytes(b->type)) {
    return RK_ERR_MISUSE;
  }
  if (size > (b->wide ? (size_t)INT64_MAX : (size_t)INT32_MAX) - b->data.size) {
    return RK_ERR_LIMIT;
  }
  const int64_t length = b->length;
  rk_buffer_append(&b->data, bytes, size);
  uint8_t *to = add_valid(b, 1) && !b->data.failed ? rk_buffer_extend(&b->values, b->wide ? 8 : 4) : NULL;
  if (to == NULL) {
    return settle(b, length, RK_ERR_NO_MEMORY);
  }
  if (b->wide) {
    rk_store_i64(to, (int64_t)b->data.size);
  } else {
    rk_store_i32(to, (int32_t)b->data.size);
  }
  b->length++;
  return RK_OK;
}

rk_builder *rk_builder_child(rk_builder *builder, size_t index)
{
  return builder->children + index;
}

rk_status rk_builder_close_list(rk_builder *builder)
{
  rk_builder *b = builder;
  if (!rk_type_is_ranges(b->type)) {
    return RK_ERR_MISUSE;
  }
  const int64_t end = b->children->length;
  if (!b->wide && end > INT32_MAX) {
    return RK_ERR_LIMIT;
  }
  uint8_t *to = add_valid(b, 1) ? rk_buffer_extend(&b->values, b->wide ? 8 : 4) : NULL;
  if (to == NULL) {
    b->values.failed = b->validity.failed = false;
    b->validity.size = b->null_count == 0 ? 0 : rk_bits_size(b->length);
    return RK_ERR_NO_MEMORY;
  }
  if (b->wide) {
    rk_store_i64(to, end);
  } else {
    rk_store_i32(to, (int32_t)end);
  }
  b->length++;
  return RK_OK;
}

rk_status rk_builder_close_structs(rk_builder *builder, int64_t count)
{
  rk_builder *b = builder;
  if (b->type != RK_TYPE_STRUCT || count < 0) {
    return RK_ERR_MISUSE;
  }
  for (size_t c = 0; c < b->child_count; c++) {
    if (b->children[c].length != b->length + count) {
      return RK_ERR_MISUSE;
    }
  }
  if (!add_valid(b, count)) {
    b->validity.failed = false;
    return RK_ERR_NO_MEMORY;
  }
  b->length += count;
  return RK_OK;
}

int64_t rk_builder_length(const rk_builder *builder)
{
  return builder->length;
}

size_t rk_builder_size(const rk_builder *builder)
{
  size_t size = builder->validity.size + builder->values.size + builder->data.size;
  for (size_t c = 0; c < builder->child_count; c++) {
    size += rk_builder_size(builder->children + c);
  }
  return size;
}

/* ---- View ---- */

static void release_view(struct ArrowArray *array)
{
  array->release = NULL;
}

static const void *lend(const rk_buffer *buffer)
{
  return buffer->size == 0 ? (const void *)no_bytes : buffer->data;
}

const struct ArrowArray *rk_builder_view(rk_builder *builder)
{
  rk_builder *b = builder;
  const bool is_union = rk_type_is_union(b->type);
  b->view = (struct ArrowArray){
      .length = b->length,
      .null_count = b->type == RK_TYPE_NULL ? b->length : b->null_count,
      .n_buffers = b->type == RK_TYPE_DENSE_UNION ? 2 : rk_type_buffer_count(b->type),
      .n_children = (int64_t)b->child_count,
      .buffers = b->view_buffers,
      .children = b->view_children,
      .release = release_view,
  };
  if (is_union) {
    b->view_buffers[0] = lend(&b->values);
    b->view_buffers[1] = lend(&b->data);
  } else {
    b->view_buffers[0] = b->null_count == 0 ? NULL : b->validity.data;
    b->view_buffers[1] = lend(&b->values);
    b->view_buffers[2] = lend(&b->data);
  }
  for (size_t c = 0; c < b->child_count; c++) {
    rk_builder_view(b->children + c);
  }
  return &b->view;
}
