/* Builds one Arrow array by appending slices of others: life, truncation, values by hand, and the view. */
#include "format/builder_internal.h"

#include <stdlib.h>

#include "format/layout.h"

/* Lent instead of NULL for buffers without bytes. */
static const uint64_t no_bytes[8];

/* ---- Life ---- */

static RK_FAR void builder_clear(rk_builder *b)
{
  for (size_t i = 0; i < b->child_count; i++) {
    builder_clear(b->children + i);
  }
  rk_buffer_free(&b->validity);
  rk_buffer_free(&b->values);
  rk_buffer_free(&b->data);
  rk_buffer_free(&b->parts);
  free(b->children);
  free(b->child_of);
  free(b->view_children);
}

bool rk_builder_has_offsets(const rk_builder *b)
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
  if (rk_builder_has_offsets(b)) {
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
  if (rk_builder_has_offsets(b)) {
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

bool rk_builder_is_settled(const rk_builder *b)
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

rk_status rk_builder_settle(rk_builder *b, int64_t length, rk_status status)
{
  if (status != RK_OK) {
    truncate_to(b, length);
  }
  return status;
}

rk_status rk_builder_append(rk_builder *builder, const struct ArrowArray *array, int64_t start, int64_t count)
{
  if (start < 0 || count < 0 || start > array->length - count || !rk_builder_is_settled(builder)) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = builder->length;
  return rk_builder_settle(builder, length, rk_builder_add_slice(builder, array, start, count));
}

rk_status rk_builder_append_nulls(rk_builder *builder, int64_t count)
{
  if (count < 0 || !rk_builder_is_settled(builder)) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = builder->length;
  return rk_builder_settle(builder, length, rk_builder_add_blank(builder, count, true));
}

/* Counts `count` packed elements as appended and finds the room for their values. */
static rk_status extend_packed(rk_builder *b, size_t count, uint8_t **room)
{
  size_t size;
  if (count > INT64_MAX / 2 || b->length > INT64_MAX / 2 ||
      __builtin_mul_overflow(count, b->type == RK_TYPE_FIXED_SIZE_LIST ? (size_t)b->field->size : b->bits / 8, &size)) {
    return RK_ERR_LIMIT;
  }
  if (!rk_builder_add_valid(b, (int64_t)count)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  if (b->type == RK_TYPE_FIXED_SIZE_LIST) {
    status = extend_packed(b->children, size, room);
  } else if ((*room = rk_buffer_extend(&b->values, size)) == NULL && size > 0) {
    status = RK_ERR_NO_MEMORY;
  }
  b->length += status == RK_OK ? (int64_t)count : 0;
  return status;
}

static inline __attribute__((always_inline)) void copy_each(uint8_t *to, const uint8_t *from, size_t stride,
                                                            size_t size, size_t rows)
{
  for (size_t i = 0; i < rows; i++) {
    memcpy(to + i * size, from + i * stride, size);
  }
}

/* `rows` pieces of `size` bytes, one every `stride` bytes, side by side; of usual sizes without a call for each. */
static void copy_pieces(uint8_t *to, const uint8_t *from, size_t stride, size_t size, size_t rows)
{
  switch (size) {
  case 8:
    copy_each(to, from, stride, 8, rows);
    break;
  case 16:
    copy_each(to, from, stride, 16, rows);
    break;
  case 32:
    copy_each(to, from, stride, 32, rows);
    break;
  case 64:
    copy_each(to, from, stride, 64, rows);
    break;
  default:
    copy_each(to, from, stride, size, rows);
  }
}

rk_status rk_builder_append_lists(rk_builder *builder, const void *values, size_t stride, size_t count, size_t rows)
{
  rk_builder *b = builder;
  const size_t each = rk_type_is_ranges(b->type) ? rk_field_packed_size(b->children->field) : 0;
  if (!rk_type_is_ranges(b->type) || (each == 0 && count > 0) || !rk_builder_is_settled(b)) {
    return RK_ERR_MISUSE;
  }
  const int64_t length = b->length, first = b->children->length;
  size_t total;
  if (__builtin_mul_overflow(count, rows, &total) ||
      total > (b->wide ? (size_t)INT64_MAX : (size_t)INT32_MAX) - (size_t)first) {
    return RK_ERR_LIMIT;
  }
  uint8_t *room = NULL;
  rk_status status = !rk_builder_add_valid(b, (int64_t)rows) ? RK_ERR_NO_MEMORY
                     : total == 0                            ? RK_OK
                                                             : extend_packed(b->children, total, &room);
  uint8_t *ends = status == RK_OK ? rk_buffer_extend(&b->values, rows * (b->wide ? 8 : 4)) : NULL;
  if (ends == NULL && rows > 0) {
    return rk_builder_settle(b, length, status == RK_OK ? RK_ERR_NO_MEMORY : status);
  }
  if (total > 0) {
    copy_pieces(room, values, stride, count * each, rows);
  }
  for (size_t i = 0; i < rows; i++) {
    const int64_t end = first + (int64_t)((i + 1) * count);
    if (b->wide) {
      rk_store_i64(ends + 8 * i, end);
    } else {
      rk_store_i32(ends + 4 * i, (int32_t)end);
    }
  }
  b->length += (int64_t)rows;
  return RK_OK;
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
  uint8_t *to = rk_builder_add_valid(b, 1) && !b->data.failed ? rk_buffer_extend(&b->values, b->wide ? 8 : 4) : NULL;
  if (to == NULL) {
    return rk_builder_settle(b, length, RK_ERR_NO_MEMORY);
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
  uint8_t *to = rk_builder_add_valid(b, 1) ? rk_buffer_extend(&b->values, b->wide ? 8 : 4) : NULL;
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

int64_t rk_builder_length(const rk_builder *builder)
{
  return builder->length;
}

RK_FAR size_t rk_builder_size(const rk_builder *builder)
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
