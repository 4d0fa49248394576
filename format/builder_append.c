/* Appending to a builder: slices of arrays of every type, and elements without content. */
#include "format/builder_internal.h"
#include "format/dictionary.h"
#include "format/layout.h"

/* ---- Validity: these come before length grows ---- */

bool rk_builder_grow_bits(rk_buffer *bits, int64_t length, int64_t count)
{
  rk_buffer_append_zero(bits, rk_bits_size(length + count) - bits->size);
  return !bits->failed;
}

bool rk_builder_add_valid(rk_builder *b, int64_t count)
{
  if (b->null_count == 0) {
    return true;
  }
  if (!rk_builder_grow_bits(&b->validity, b->length, count)) {
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
    if (!rk_builder_grow_bits(&b->validity, 0, b->length + count)) {
      return false;
    }
    rk_bits_fill(b->validity.data, 0, b->length, true);
    return true;
  }
  return rk_builder_grow_bits(&b->validity, b->length, count);
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
    return rk_builder_add_valid(b, count);
  }
  if (!add_unset(b, count)) {
    return false;
  }
  rk_bits_copy(b->validity.data, b->length, validity, at, count);
  b->null_count += nulls;
  return true;
}

/* ---- Appending ---- */

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

rk_status rk_builder_add_blank(rk_builder *b, int64_t count, bool null)
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
      status = rk_builder_add_blank(b->children + c, count, b->field->children[c].nullable);
    }
    b->length += status == RK_OK ? count : 0;
    return status;
  }
  if (null ? !add_nulls(b, count) : !rk_builder_add_valid(b, count)) {
    return RK_ERR_NO_MEMORY;
  }
  if (rk_builder_has_offsets(b)) {
    if (!add_empty_ranges(b, count)) {
      return RK_ERR_NO_MEMORY;
    }
  } else if (b->bits == 1) {
    if (!rk_builder_grow_bits(&b->values, b->length, count)) {
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
      status = rk_builder_add_blank(b->children + c, items, false);
    }
  }
  b->length += status == RK_OK ? count : 0;
  return status;
}

/* Rows that are gathered from many chunks by turns come from memory that the processor does not foresee: what follows
 * what was just taken is likely wanted next. */
static inline void fetch_ahead(const void *next, size_t size)
{
  enum { LINE = 64, AHEAD_MAX = 512 };
  const uintptr_t end = (uintptr_t)next + (size < AHEAD_MAX ? size : AHEAD_MAX);
  for (uintptr_t at = (uintptr_t)next; at < end; at += LINE) {
    __builtin_prefetch((const void *)at);
  }
}

static rk_status append_fixed(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count,
                              const uint8_t *validity)
{
  const uint8_t *from = array->buffers[1];
  if (b->bits == 0) {
    return RK_OK; /* fixed-size binary of no bytes */
  }
  if (b->bits == 1) {
    if (!rk_builder_grow_bits(&b->values, b->length, count)) {
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
  fetch_ahead(from + (size_t)(at + count) * width, (size_t)count * width);
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
      fetch_ahead((const uint8_t *)array->buffers[2] + last, (size_t)(last - first));
    }
    if (b->data.failed) {
      return RK_ERR_NO_MEMORY;
    }
  } else {
    const rk_status status = rk_builder_add_slice(b->children, array->children[0], first, last - first);
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

static rk_status append_children(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count)
{
  rk_status status = RK_OK;
  for (size_t c = 0; c < b->child_count && status == RK_OK; c++) {
    status = rk_builder_add_slice(b->children + c, array->children[c], at, count);
  }
  return status;
}

static rk_status append_sparse(rk_builder *b, const struct ArrowArray *array, int64_t at, int64_t count)
{
  rk_buffer_append(&b->values, (const uint8_t *)array->buffers[0] + at, (size_t)count);
  return b->values.failed ? RK_ERR_NO_MEMORY : append_children(b, array, at, count);
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
    const rk_status status = rk_builder_add_slice(target, array->children[child], first, run);
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
      status = rk_builder_add_blank(b, 1, true);
    } else {
      const int64_t index = rk_dictionary_index(array, b->index_type, i);
      if (index < 0 || index >= array->dictionary->length) {
        return RK_ERR_MISUSE;
      }
      status = rk_builder_add_slice(b, array->dictionary, index, 1);
    }
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

rk_status rk_builder_add_slice(rk_builder *b, const struct ArrowArray *array, int64_t start, int64_t count)
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
  if (rk_builder_has_offsets(b)) {
    status = append_ranges(b, array, at, count, validity);
  } else if (b->type == RK_TYPE_FIXED_SIZE_LIST) {
    int64_t first, items;
    if (__builtin_mul_overflow(at, (int64_t)b->field->size, &first) ||
        __builtin_mul_overflow(count, (int64_t)b->field->size, &items)) {
      return RK_ERR_LIMIT;
    }
    status = rk_builder_add_slice(b->children, array->children[0], first, items);
  } else if (b->type == RK_TYPE_STRUCT) {
    status = append_children(b, array, at, count);
  } else if (b->type == RK_TYPE_SPARSE_UNION) {
    status = append_sparse(b, array, at, count);
  } else if (b->type == RK_TYPE_DENSE_UNION) {
    status = append_dense(b, array, at, count);
  } else if (b->type != RK_TYPE_NULL) {
    status = append_fixed(b, array, at, count, validity);
  }
  if (status == RK_OK) {
    b->length += count;
  }
  return status;
}
