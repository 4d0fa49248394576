/* Flat form of Arrow arrays (SPEC "Flat arrays"): written when a row is spooled, read and checked when it is drained.
 */
#include "format/flat.h"

#include "format/bytes.h"
#include "format/utf8.h"

#define ITEMS_MAX ((int64_t)INT32_MAX) /* elements of any node; no product with a width overflows */

/* How the buffers of a type are laid out, validity aside. */
typedef enum layout {
  LAYOUT_NONE,    /* null, fixed-size list, struct: no buffer of its own */
  LAYOUT_BITS,    /* bool */
  LAYOUT_FIXED,   /* values of a fixed width */
  LAYOUT_BYTES,   /* offsets, then bytes */
  LAYOUT_OFFSETS, /* offsets into one child */
  LAYOUT_SPARSE,  /* type ids */
  LAYOUT_DENSE    /* type ids, offsets */
} layout;

static layout layout_of(rk_type_id type)
{
  switch (type) {
  case RK_TYPE_NULL:
  case RK_TYPE_FIXED_SIZE_LIST:
  case RK_TYPE_STRUCT:
    return LAYOUT_NONE;
  case RK_TYPE_BOOL:
    return LAYOUT_BITS;
  case RK_TYPE_UTF8:
  case RK_TYPE_BINARY:
  case RK_TYPE_LARGE_UTF8:
  case RK_TYPE_LARGE_BINARY:
    return LAYOUT_BYTES;
  case RK_TYPE_LIST:
  case RK_TYPE_LARGE_LIST:
  case RK_TYPE_MAP:
    return LAYOUT_OFFSETS;
  case RK_TYPE_SPARSE_UNION:
    return LAYOUT_SPARSE;
  case RK_TYPE_DENSE_UNION:
    return LAYOUT_DENSE;
  default:
    return LAYOUT_FIXED;
  }
}

static bool has_validity_slot(rk_type_id type)
{
  return type != RK_TYPE_NULL && type != RK_TYPE_SPARSE_UNION && type != RK_TYPE_DENSE_UNION;
}

static bool offsets_are_wide(rk_type_id type)
{
  return type == RK_TYPE_LARGE_UTF8 || type == RK_TYPE_LARGE_BINARY || type == RK_TYPE_LARGE_LIST;
}

static int64_t buffer_count(rk_type_id type)
{
  switch (layout_of(type)) {
  case LAYOUT_NONE:
    return has_validity_slot(type) ? 1 : 0;
  case LAYOUT_BYTES:
    return 3;
  case LAYOUT_SPARSE:
    return 1;
  default:
    return 2;
  }
}

static size_t value_size(const rk_field *field)
{
  return rk_type_bits(field->type, field->size) / 8;
}

static int64_t load_offset(const void *offsets, bool wide, int64_t i)
{
  return wide ? rk_load_i64((const uint8_t *)offsets + 8 * i) : rk_load_i32((const uint8_t *)offsets + 4 * i);
}

static bool has_validity(const rk_field *field, const struct ArrowArray *array)
{
  return has_validity_slot(field->type) && array->null_count != 0 && array->buffers[0] != NULL;
}

static int child_of_type_id(const rk_field *field, int8_t type_id)
{
  for (size_t i = 0; i < field->child_count; i++) {
    if (field->type_ids[i] == type_id) {
      return (int)i;
    }
  }
  return -1;
}

/* The slice of child `index` that belongs to elements [start, start + count) of an array (start is absolute). A dense
 * union's children are taken whole, since their elements may lie in any order. */
static void child_slice(const rk_field *field, const struct ArrowArray *array, size_t index, int64_t start,
                        int64_t count, int64_t *child_start, int64_t *child_count)
{
  const struct ArrowArray *child = array->children[index];
  *child_start = child->offset;
  switch (layout_of(field->type)) {
  case LAYOUT_OFFSETS: {
    const bool wide = offsets_are_wide(field->type);
    const int64_t first = count == 0 ? 0 : load_offset(array->buffers[1], wide, start);
    *child_start += first;
    *child_count = count == 0 ? 0 : load_offset(array->buffers[1], wide, start + count) - first;
    break;
  }
  case LAYOUT_DENSE:
    *child_count = child->length;
    break;
  case LAYOUT_NONE:
  case LAYOUT_SPARSE:
  default: {
    const int64_t each = field->type == RK_TYPE_FIXED_SIZE_LIST ? field->size : 1;
    *child_start += start * each;
    *child_count = count * each;
    break;
  }
  }
}

static bool shape_ok(const rk_field *field, const struct ArrowArray *array, int64_t count)
{
  if (field->dictionary != NULL || array->dictionary != NULL || array->n_children != (int64_t)field->child_count ||
      count < 0 || count > ITEMS_MAX || array->n_buffers < buffer_count(field->type) ||
      (array->n_buffers > 0 && array->buffers == NULL) || (array->n_children > 0 && array->children == NULL)) {
    return false;
  }
  for (int64_t i = has_validity_slot(field->type) ? 1 : 0; count > 0 && i < buffer_count(field->type); i++) {
    const bool may_be_empty = layout_of(field->type) == LAYOUT_BYTES && i == 2;
    if (array->buffers[i] == NULL && !may_be_empty) {
      return false;
    }
  }
  return true;
}

static size_t flat_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                        size_t limit, unsigned depth)
{
  if (array == NULL || depth > RK_TYPE_DEPTH_MAX || !shape_ok(field, array, count) || (size_t)count > limit * 8) {
    return SIZE_MAX;
  }
  const size_t n = (size_t)count;
  const size_t bitmap = rk_align_up((n + 7) / 8, 8);
  size_t size = RK_FLAT_NODE + (has_validity(field, array) ? bitmap : 0);
  switch (layout_of(field->type)) {
  case LAYOUT_NONE:
    break;
  case LAYOUT_BITS:
    size += bitmap;
    break;
  case LAYOUT_FIXED:
    size += rk_align_up(n * value_size(field), 8);
    break;
  case LAYOUT_BYTES:
  case LAYOUT_OFFSETS: {
    const bool wide = offsets_are_wide(field->type);
    size += rk_align_up((n + 1) * (wide ? 8 : 4), 8);
    const int64_t bytes =
        n == 0 ? 0 : load_offset(array->buffers[1], wide, start + count) - load_offset(array->buffers[1], wide, start);
    if (bytes < 0 || (uint64_t)bytes > limit * 8) {
      return SIZE_MAX;
    }
    if (layout_of(field->type) == LAYOUT_BYTES) {
      if (bytes > 0 && array->buffers[2] == NULL) {
        return SIZE_MAX;
      }
      size += rk_align_up((size_t)bytes, 8);
    }
    break;
  }
  case LAYOUT_SPARSE:
    size += rk_align_up(n, 8);
    break;
  case LAYOUT_DENSE:
    size += rk_align_up(n, 8) + rk_align_up(4 * n, 8);
    break;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    if (size > limit || array->children[i] == NULL) {
      return SIZE_MAX;
    }
    int64_t child_start, child_count;
    child_slice(field, array, i, start, count, &child_start, &child_count);
    const struct ArrowArray *child = array->children[i];
    if (child_count < 0 || child_start < child->offset || child_count > child->length - (child_start - child->offset)) {
      return SIZE_MAX;
    }
    const size_t more = flat_size(&field->children[i], child, child_start, child_count, limit - size, depth + 1);
    if (more == SIZE_MAX) {
      return SIZE_MAX;
    }
    size += more;
  }
  return size > limit ? SIZE_MAX : size;
}

size_t rk_flat_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count, size_t limit)
{
  if (array == NULL || start < 0 || count < 0 || array->length < start || count > array->length - start ||
      array->offset < 0 || array->offset > ITEMS_MAX || start > ITEMS_MAX) {
    return SIZE_MAX;
  }
  return flat_size(field, array, array->offset + start, count, limit, 0);
}

static uint8_t *put_padded(uint8_t *out, const void *data, size_t size)
{
  if (size != 0) {
    memcpy(out, data, size);
  }
  const size_t padded = rk_align_up(size, 8);
  memset(out + size, 0, padded - size);
  return out + padded;
}

static uint8_t *put_bits(uint8_t *out, const uint8_t *bits, int64_t start, int64_t count)
{
  const size_t size = rk_align_up(((size_t)count + 7) / 8, 8);
  if (start % 8 == 0) {
    put_padded(out, bits + start / 8, ((size_t)count + 7) / 8);
    if (count % 8 != 0) {
      out[count / 8] = (uint8_t)(out[count / 8] & ((1U << (count % 8)) - 1));
    }
    return out + size;
  }
  memset(out, 0, size);
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = start + i;
    out[i / 8] = (uint8_t)(out[i / 8] | ((bits[at / 8] >> (at % 8) & 1) << (i % 8)));
  }
  return out + size;
}

static uint8_t *put_offsets(uint8_t *out, const void *offsets, bool wide, int64_t start, int64_t count)
{
  const size_t width = wide ? 8 : 4;
  const size_t size = ((size_t)count + 1) * width;
  const int64_t first = count == 0 ? 0 : load_offset(offsets, wide, start);
  for (int64_t i = 0; i <= count; i++) {
    const int64_t offset = count == 0 ? 0 : load_offset(offsets, wide, start + i) - first;
    memcpy(out + (size_t)i * width, &offset, width);
  }
  memset(out + size, 0, rk_align_up(size, 8) - size);
  return out + rk_align_up(size, 8);
}

static uint8_t *flat_write(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                           uint8_t *out)
{
  const size_t n = (size_t)count;
  const bool validity = has_validity(field, array);
  rk_store_u64(out, n);
  rk_store_u32(out + 8, validity ? 1 : 0);
  rk_store_u32(out + 12, 0);
  out += RK_FLAT_NODE;
  if (validity) {
    out = put_bits(out, array->buffers[0], start, count);
  }
  const bool wide = offsets_are_wide(field->type);
  switch (layout_of(field->type)) {
  case LAYOUT_NONE:
    break;
  case LAYOUT_BITS:
    out = n == 0 ? out : put_bits(out, array->buffers[1], start, count);
    break;
  case LAYOUT_FIXED:
    out = n == 0 ? out
                 : put_padded(out, (const uint8_t *)array->buffers[1] + (size_t)start * value_size(field),
                              n * value_size(field));
    break;
  case LAYOUT_BYTES: {
    out = put_offsets(out, array->buffers[1], wide, start, count);
    if (n != 0) {
      const int64_t first = load_offset(array->buffers[1], wide, start);
      const int64_t size = load_offset(array->buffers[1], wide, start + count) - first;
      out = size == 0 ? out : put_padded(out, (const uint8_t *)array->buffers[2] + first, (size_t)size);
    }
    break;
  }
  case LAYOUT_OFFSETS:
    out = put_offsets(out, array->buffers[1], wide, start, count);
    break;
  case LAYOUT_SPARSE:
  case LAYOUT_DENSE:
    if (n != 0) {
      out = put_padded(out, (const uint8_t *)array->buffers[0] + start, n);
      if (layout_of(field->type) == LAYOUT_DENSE) {
        out = put_padded(out, (const uint8_t *)array->buffers[1] + 4 * start, 4 * n);
      }
    }
    break;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    int64_t child_start, child_count;
    child_slice(field, array, i, start, count, &child_start, &child_count);
    out = flat_write(&field->children[i], array->children[i], child_start, child_count, out);
  }
  return out;
}

uint8_t *rk_flat_write(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                       uint8_t *out)
{
  return flat_write(field, array, array->offset + start, count, out);
}

/* ---- Reading ---- */

typedef struct flat_cursor {
  rk_arena *arena;
  const uint8_t *data;
  size_t left;
} flat_cursor;

/* The next `size` bytes and their padding; NULL when they are not there. */
static const uint8_t *take(flat_cursor *cursor, uint64_t size)
{
  if (size > cursor->left || rk_align_up((size_t)size, 8) > cursor->left) {
    return NULL;
  }
  const uint8_t *at = cursor->data;
  cursor->data += rk_align_up((size_t)size, 8);
  cursor->left -= rk_align_up((size_t)size, 8);
  return at;
}

static int64_t count_nulls(const uint8_t *bits, int64_t count)
{
  int64_t set = 0;
  for (int64_t i = 0; i < count; i++) {
    set += bits[i / 8] >> (i % 8) & 1;
  }
  return count - set;
}

static bool offsets_ok(const uint8_t *offsets, bool wide, int64_t count)
{
  int64_t last = load_offset(offsets, wide, 0);
  if (last != 0) {
    return false;
  }
  for (int64_t i = 1; i <= count; i++) {
    const int64_t offset = load_offset(offsets, wide, i);
    if (offset < last) {
      return false;
    }
    last = offset;
  }
  return true;
}

static bool text_ok(const uint8_t *offsets, bool wide, const uint8_t *text, int64_t count)
{
  const int64_t size = load_offset(offsets, wide, count);
  if (!rk_utf8_valid(text, (size_t)size)) {
    return false;
  }
  for (int64_t i = 1; i < count; i++) {
    const int64_t at = load_offset(offsets, wide, i);
    if (at < size && (text[at] & 0xC0) == 0x80) {
      return false; /* cut within a character */
    }
  }
  return true;
}

/* Replaces an array's text and offsets by valid ones. */
static rk_status mend_text(rk_arena *arena, bool wide, int64_t count, const void **buffers)
{
  const uint8_t *offsets = buffers[1], *text = buffers[2];
  uint8_t *fresh = rk_arena_array(arena, (size_t)count + 1, wide ? 8 : 4);
  rk_buffer mended = {0};
  for (int64_t i = 0; i < count && fresh != NULL; i++) {
    const int64_t at = load_offset(offsets, wide, i);
    rk_utf8_append_replaced(&mended, text + at, (size_t)(load_offset(offsets, wide, i + 1) - at));
    const uint64_t end = mended.size; /* at most 3 times a row's size: fits 32 bits */
    memcpy(fresh + (size_t)(i + 1) * (wide ? 8 : 4), &end, wide ? 8 : 4);
  }
  char *copy = mended.failed || fresh == NULL || mended.size > INT32_MAX
                   ? NULL
                   : rk_arena_text(arena, (const char *)mended.data, mended.size);
  rk_buffer_free(&mended);
  buffers[1] = fresh;
  buffers[2] = copy;
  return copy == NULL ? RK_ERR_NO_MEMORY : RK_OK;
}

static bool union_ids_ok(const rk_field *field, const struct ArrowArray *array)
{
  const uint8_t *ids = array->buffers[0];
  for (int64_t i = 0; i < array->length; i++) {
    const int child = child_of_type_id(field, (int8_t)ids[i]);
    if (child < 0) {
      return false;
    }
    if (field->type == RK_TYPE_DENSE_UNION) {
      const int32_t at = rk_load_i32((const uint8_t *)array->buffers[1] + 4 * i);
      if (at < 0 || at >= array->children[child]->length) {
        return false;
      }
    }
  }
  return true;
}

/* `length` is what the parent demands, or -1: the node says. */
static rk_status flat_read(flat_cursor *cursor, const rk_field *field, int64_t length, struct ArrowArray *array,
                           unsigned depth)
{
  const uint8_t *node = take(cursor, RK_FLAT_NODE);
  if (node == NULL || depth > RK_TYPE_DEPTH_MAX || field->dictionary != NULL) {
    return RK_ERR_CORRUPT;
  }
  const uint64_t n = rk_load_u64(node);
  const uint32_t validity = rk_load_u32(node + 8);
  if (n > (uint64_t)ITEMS_MAX || (length >= 0 && n != (uint64_t)length) || validity > 1 ||
      (validity == 1 && !has_validity_slot(field->type))) {
    return RK_ERR_CORRUPT;
  }
  const int64_t count = (int64_t)n;
  const void **buffers = rk_arena_array(cursor->arena, 3, sizeof *buffers);
  struct ArrowArray *children = rk_arena_array(cursor->arena, field->child_count + 1, sizeof *children);
  struct ArrowArray **pointers = rk_arena_array(cursor->arena, field->child_count + 1, sizeof *pointers);
  if (buffers == NULL || children == NULL || pointers == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *array = (struct ArrowArray){.length = count,
                               .null_count = field->type == RK_TYPE_NULL ? count : 0,
                               .n_buffers = buffer_count(field->type),
                               .n_children = (int64_t)field->child_count,
                               .buffers = buffers,
                               .children = pointers};
  if (validity == 1) {
    buffers[0] = take(cursor, (n + 7) / 8);
    if (buffers[0] == NULL) {
      return RK_ERR_CORRUPT;
    }
    array->null_count = count_nulls(buffers[0], count);
  }
  const bool wide = offsets_are_wide(field->type);
  int64_t child_length = count;
  bool ok = true;
  switch (layout_of(field->type)) {
  case LAYOUT_NONE:
    if (field->type == RK_TYPE_FIXED_SIZE_LIST && __builtin_mul_overflow(count, (int64_t)field->size, &child_length)) {
      ok = false;
    }
    break;
  case LAYOUT_BITS:
    buffers[1] = take(cursor, (n + 7) / 8);
    ok = buffers[1] != NULL;
    break;
  case LAYOUT_FIXED:
    buffers[1] = take(cursor, n * value_size(field));
    ok = buffers[1] != NULL;
    break;
  case LAYOUT_BYTES:
  case LAYOUT_OFFSETS:
    buffers[1] = take(cursor, (n + 1) * (wide ? 8 : 4));
    ok = buffers[1] != NULL && offsets_ok(buffers[1], wide, count);
    child_length = ok ? load_offset(buffers[1], wide, count) : 0;
    if (ok && layout_of(field->type) == LAYOUT_BYTES) {
      buffers[2] = take(cursor, (uint64_t)child_length);
      ok = buffers[2] != NULL;
      if (ok && (field->type == RK_TYPE_UTF8 || field->type == RK_TYPE_LARGE_UTF8) &&
          !text_ok(buffers[1], wide, buffers[2], count)) {
        const rk_status status = mend_text(cursor->arena, wide, count, buffers);
        if (status != RK_OK) {
          return status;
        }
      }
    }
    break;
  case LAYOUT_SPARSE:
    buffers[0] = take(cursor, n);
    ok = buffers[0] != NULL;
    break;
  case LAYOUT_DENSE:
    buffers[0] = take(cursor, n);
    buffers[1] = take(cursor, 4 * n);
    ok = buffers[0] != NULL && buffers[1] != NULL;
    child_length = -1;
    break;
  }
  for (size_t i = 0; ok && i < field->child_count; i++) {
    pointers[i] = &children[i];
    const rk_status status = flat_read(cursor, &field->children[i], child_length, &children[i], depth + 1);
    if (status != RK_OK) {
      return status;
    }
  }
  if (ok && (field->type == RK_TYPE_SPARSE_UNION || field->type == RK_TYPE_DENSE_UNION)) {
    ok = union_ids_ok(field, array);
  }
  return ok ? RK_OK : RK_ERR_CORRUPT;
}

rk_status rk_flat_read(rk_arena *arena, const rk_field *field, const uint8_t *data, size_t size, int64_t count,
                       struct ArrowArray *array)
{
  flat_cursor cursor = {.arena = arena, .data = data, .left = size};
  const rk_status status = flat_read(&cursor, field, count, array, 0);
  return status == RK_OK && cursor.left != 0 ? RK_ERR_CORRUPT : status;
}
