/* Flat form of Arrow arrays (SPEC "Flat arrays"): written when a row is spooled, read and checked when it is drained.
 */
#include "format/flat.h"

#include "format/layout.h"
#include "format/utf8.h"

#define ITEMS_MAX ((int64_t)INT32_MAX) /* elements of any node; no product with a width overflows */
/* Of one whose elements take no bytes. A chunk has as many rows, and 2^24 such elements are what readers take. */
#define EMPTY_MAX 4096

static bool has_validity_slot(rk_type_id type)
{
  return type != RK_TYPE_NULL && !rk_type_is_union(type);
}

static bool has_offsets(rk_type_id type)
{
  return rk_type_is_bytes(type) || rk_type_is_ranges(type);
}

static int64_t first_buffer(rk_type_id type) /* validity aside */
{
  return has_validity_slot(type) ? 1 : 0;
}

/* Whether elements take no bytes, neither here nor below. */
static bool is_empty(const rk_field *field)
{
  return field->child_count == 0 ? !has_offsets(field->type) && rk_type_bits(field->type, field->size) == 0
                                 : field->type == RK_TYPE_FIXED_SIZE_LIST && field->size == 0;
}

/* Bytes of buffer `index` for n elements, from first_buffer on; the bytes of text and binary follow from the offsets.
 */
static size_t buffer_size(const rk_field *field, int64_t index, size_t n)
{
  const rk_type_id type = field->type;
  if (type == RK_TYPE_BOOL) {
    return rk_bits_size((int64_t)n);
  }
  if (has_offsets(type)) {
    return index == 1 ? (n + 1) * (rk_type_is_wide(type) ? 8 : 4) : 0;
  }
  if (rk_type_is_union(type)) {
    return index == 0 ? n : 4 * n;
  }
  return n * (rk_type_bits(type, field->size) / 8);
}

/* How many items below elements [start, start + count), and from which on, by the offsets. */
static int64_t ranges(const struct ArrowArray *array, bool wide, int64_t start, int64_t count, int64_t *first)
{
  *first = count == 0 ? 0 : rk_offset_at(array->buffers[1], start, wide);
  return count == 0 ? 0 : rk_offset_at(array->buffers[1], start + count, wide) - *first;
}

/* The slice of child `index` that belongs to elements [start, start + count) of an array (start is absolute). A dense
 * union's children are taken whole, since their elements may lie in any order. */
static void child_slice(const rk_field *field, const struct ArrowArray *array, size_t index, int64_t start,
                        int64_t count, int64_t *child_start, int64_t *child_count)
{
  const struct ArrowArray *child = array->children[index];
  const int64_t each = field->type == RK_TYPE_FIXED_SIZE_LIST ? field->size : 1;
  if (rk_type_is_ranges(field->type)) {
    *child_count = ranges(array, rk_type_is_wide(field->type), start, count, child_start);
  } else if (field->type == RK_TYPE_DENSE_UNION) {
    *child_start = 0;
    *child_count = child->length;
  } else {
    *child_start = start * each;
    *child_count = count * each;
  }
}

static bool shape_ok(const rk_field *field, const struct ArrowArray *array, int64_t count)
{
  const int64_t buffers = rk_type_buffer_count(field->type);
  if (field->dictionary != NULL || array->dictionary != NULL || array->n_children != (int64_t)field->child_count ||
      count < 0 || count > ITEMS_MAX || array->offset < 0 || array->offset > ITEMS_MAX || array->n_buffers != buffers ||
      (buffers > 0 && array->buffers == NULL) || (array->n_children > 0 && array->children == NULL)) {
    return false;
  }
  for (int64_t i = first_buffer(field->type); count > 0 && i < buffers; i++) {
    if (array->buffers[i] == NULL && !(i == 2 && rk_type_is_bytes(field->type))) {
      return false;
    }
  }
  return true;
}

/* Whether offsets [start, start + count] never fall. */
static bool offsets_rise(const void *offsets, bool wide, int64_t start, int64_t count)
{
  for (int64_t i = start; i < start + count; i++) {
    if (rk_offset_at(offsets, i, wide) > rk_offset_at(offsets, i + 1, wide)) {
      return false;
    }
  }
  return true;
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

/* Whether elements [start, start + count) of a union are of children that are there. */
static bool union_ok(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count)
{
  const uint8_t *ids = array->buffers[0];
  for (int64_t i = start; i < start + count; i++) {
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

static size_t flat_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                        size_t limit, unsigned depth)
{
  if (array == NULL || depth > RK_TYPE_DEPTH_MAX || !shape_ok(field, array, count) ||
      (count > EMPTY_MAX && is_empty(field))) {
    return SIZE_MAX;
  }
  size_t size = RK_FLAT_NODE;
  if (rk_array_validity(array, field->type) != NULL) {
    size += rk_align_up(rk_bits_size(count), 8);
  }
  for (int64_t i = first_buffer(field->type); i < rk_type_buffer_count(field->type); i++) {
    size += rk_align_up(buffer_size(field, i, (size_t)count), 8);
  }
  if (has_offsets(field->type)) {
    int64_t first;
    const int64_t items = ranges(array, rk_type_is_wide(field->type), start, count, &first);
    if (first < 0 || items < 0 || items > ITEMS_MAX ||
        !offsets_rise(array->buffers[1], rk_type_is_wide(field->type), start, count)) {
      return SIZE_MAX;
    }
    if (rk_type_is_bytes(field->type)) {
      if (items > 0 && array->buffers[2] == NULL) {
        return SIZE_MAX;
      }
      size += rk_align_up((size_t)items, 8);
    }
  }
  for (size_t i = 0; i < field->child_count; i++) {
    const struct ArrowArray *child = array->children[i];
    if (size > limit || child == NULL || child->offset < 0) {
      return SIZE_MAX;
    }
    int64_t child_start, child_count;
    child_slice(field, array, i, start, count, &child_start, &child_count);
    if (child_count < 0 || child_count > child->length || child_start > child->length - child_count) {
      return SIZE_MAX;
    }
    const size_t more =
        flat_size(&field->children[i], child, child->offset + child_start, child_count, limit - size, depth + 1);
    if (more == SIZE_MAX) {
      return SIZE_MAX;
    }
    size += more;
  }
  return size > limit || (rk_type_is_union(field->type) && !union_ok(field, array, start, count)) ? SIZE_MAX : size;
}

size_t rk_flat_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count, size_t limit)
{
  if (array == NULL || start < 0 || start > ITEMS_MAX || count < 0 || array->length < start ||
      count > array->length - start) {
    return SIZE_MAX;
  }
  return flat_size(field, array, array->offset + start, count, limit, 0);
}

static uint8_t *put_padded(uint8_t *out, const void *data, size_t size)
{
  const size_t padded = rk_align_up(size, 8);
  if (size != 0) {
    memset(out + padded - 8, 0, 8);
    memcpy(out, data, size);
  }
  return out + padded;
}

static uint8_t *put_bits(uint8_t *out, const uint8_t *bits, int64_t start, int64_t count)
{
  const size_t padded = rk_align_up(rk_bits_size(count), 8);
  memset(out, 0, padded);
  if (count > 0) {
    rk_bits_copy(out, 0, bits, start, count);
  }
  return out + padded;
}

static uint8_t *put_offsets(uint8_t *out, const void *offsets, bool wide, int64_t start, int64_t count)
{
  const size_t width = wide ? 8 : 4;
  const size_t padded = rk_align_up(((size_t)count + 1) * width, 8);
  memset(out + padded - 8, 0, 8);
  if (count > 0) {
    rk_offsets_rebase(out, (const uint8_t *)offsets + (size_t)start * width, count + 1, wide,
                      -rk_offset_at(offsets, start, wide));
  }
  return out + padded;
}

static uint8_t *flat_write(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                           uint8_t *out)
{
  const uint8_t *validity = rk_array_validity(array, field->type);
  rk_store_u64(out, (uint64_t)count);
  rk_store_u64(out + 8, validity != NULL ? 1 : 0);
  out += RK_FLAT_NODE;
  if (validity != NULL) {
    out = put_bits(out, validity, start, count);
  }
  if (has_offsets(field->type)) {
    const bool wide = rk_type_is_wide(field->type);
    out = put_offsets(out, array->buffers[1], wide, start, count);
    if (rk_type_is_bytes(field->type)) {
      int64_t first;
      const int64_t size = ranges(array, wide, start, count, &first);
      out = put_padded(out, size == 0 ? NULL : (const uint8_t *)array->buffers[2] + first, (size_t)size);
    }
  } else if (field->type == RK_TYPE_BOOL) {
    out = put_bits(out, array->buffers[1], start, count);
  } else if (count > 0) {
    for (int64_t i = first_buffer(field->type); i < rk_type_buffer_count(field->type); i++) {
      out = put_padded(out, (const uint8_t *)array->buffers[i] + buffer_size(field, i, (size_t)start),
                       buffer_size(field, i, (size_t)count));
    }
  }
  for (size_t i = 0; i < field->child_count; i++) {
    int64_t child_start, child_count;
    child_slice(field, array, i, start, count, &child_start, &child_count);
    const struct ArrowArray *child = array->children[i];
    out = flat_write(&field->children[i], child, child->offset + child_start, child_count, out);
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
static RK_FAR const uint8_t *take(flat_cursor *cursor, size_t size)
{
  if (size > cursor->left || rk_align_up(size, 8) > cursor->left) {
    return NULL;
  }
  const uint8_t *at = cursor->data;
  cursor->data += rk_align_up(size, 8);
  cursor->left -= rk_align_up(size, 8);
  return at;
}

static bool text_ok(const uint8_t *offsets, bool wide, const uint8_t *text, int64_t count)
{
  const int64_t size = rk_offset_at(offsets, count, wide);
  if (!rk_utf8_valid(text, (size_t)size)) {
    return false;
  }
  for (int64_t i = 1; i < count; i++) {
    const int64_t at = rk_offset_at(offsets, i, wide);
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
  const size_t width = wide ? 8 : 4;
  uint8_t *fresh = rk_arena_array(arena, (size_t)count + 1, width);
  rk_buffer mended = {0};
  for (int64_t i = 0; i < count && fresh != NULL; i++) {
    const int64_t at = rk_offset_at(offsets, i, wide);
    rk_utf8_append_replaced(&mended, text + at, (size_t)(rk_offset_at(offsets, i + 1, wide) - at));
    const uint64_t end = mended.size;
    memcpy(fresh + (size_t)(i + 1) * width, &end, width);
  }
  char *copy = mended.failed || fresh == NULL || mended.size > (size_t)ITEMS_MAX
                   ? NULL
                   : rk_arena_text(arena, (const char *)mended.data, mended.size);
  rk_buffer_free(&mended);
  buffers[1] = fresh;
  buffers[2] = copy;
  return copy == NULL ? RK_ERR_NO_MEMORY : RK_OK;
}

/* The node's buffers; *items: how many elements each child has (-1: its node says). */
static rk_status read_buffers(flat_cursor *cursor, const rk_field *field, struct ArrowArray *array, bool validity,
                              int64_t *items)
{
  const int64_t count = array->length;
  const void **buffers = array->buffers;
  if (validity) {
    buffers[0] = take(cursor, rk_bits_size(count));
    if (buffers[0] == NULL) {
      return RK_ERR_CORRUPT;
    }
    array->null_count = count - rk_bits_count(buffers[0], 0, count);
  }
  const int64_t fixed = rk_type_is_bytes(field->type) ? 2 : array->n_buffers;
  for (int64_t i = first_buffer(field->type); i < fixed; i++) {
    buffers[i] = take(cursor, buffer_size(field, i, (size_t)count));
    if (buffers[i] == NULL) {
      return RK_ERR_CORRUPT;
    }
  }
  *items = field->type == RK_TYPE_DENSE_UNION ? -1 : count;
  if (field->type == RK_TYPE_FIXED_SIZE_LIST && __builtin_mul_overflow(count, (int64_t)field->size, items)) {
    return RK_ERR_CORRUPT;
  }
  if (!has_offsets(field->type)) {
    return RK_OK;
  }
  const bool wide = rk_type_is_wide(field->type);
  *items = rk_offset_at(buffers[1], count, wide);
  if (rk_offset_at(buffers[1], 0, wide) != 0 || !offsets_rise(buffers[1], wide, 0, count) || *items > ITEMS_MAX) {
    return RK_ERR_CORRUPT;
  }
  if (rk_type_is_bytes(field->type)) {
    buffers[2] = take(cursor, (size_t)*items);
    if (buffers[2] == NULL) {
      return RK_ERR_CORRUPT;
    }
    if ((field->type == RK_TYPE_UTF8 || field->type == RK_TYPE_LARGE_UTF8) &&
        !text_ok(buffers[1], wide, buffers[2], count)) {
      return mend_text(cursor->arena, wide, count, buffers);
    }
  }
  return RK_OK;
}

/* `length` is what the parent demands, or -1: the node says. */
static rk_status flat_read(flat_cursor *cursor, const rk_field *field, int64_t length, struct ArrowArray *array,
                           unsigned depth)
{
  const uint8_t *node = take(cursor, RK_FLAT_NODE);
  if (node == NULL || depth > RK_TYPE_DEPTH_MAX || field->dictionary != NULL) {
    return RK_ERR_CORRUPT;
  }
  const uint64_t count = rk_load_u64(node), flags = rk_load_u64(node + 8);
  if (count > (uint64_t)ITEMS_MAX || (length >= 0 && count != (uint64_t)length) || flags > 1 ||
      (flags == 1 && !has_validity_slot(field->type))) {
    return RK_ERR_CORRUPT;
  }
  const void **buffers = rk_arena_array(cursor->arena, 3, sizeof *buffers);
  struct ArrowArray *children = rk_arena_array(cursor->arena, field->child_count + 1, sizeof *children);
  struct ArrowArray **pointers = rk_arena_array(cursor->arena, field->child_count + 1, sizeof *pointers);
  if (buffers == NULL || children == NULL || pointers == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *array = (struct ArrowArray){.length = (int64_t)count,
                               .null_count = field->type == RK_TYPE_NULL ? (int64_t)count : 0,
                               .n_buffers = rk_type_buffer_count(field->type),
                               .n_children = (int64_t)field->child_count,
                               .buffers = buffers,
                               .children = pointers};
  int64_t items = 0;
  rk_status status = read_buffers(cursor, field, array, flags == 1, &items);
  for (size_t i = 0; status == RK_OK && i < field->child_count; i++) {
    pointers[i] = &children[i];
    status = flat_read(cursor, &field->children[i], items, &children[i], depth + 1);
  }
  return status == RK_OK && rk_type_is_union(field->type) && !union_ok(field, array, 0, array->length) ? RK_ERR_CORRUPT
                                                                                                       : status;
}

rk_status rk_flat_read(rk_arena *arena, const rk_field *field, const uint8_t *data, size_t size, int64_t count,
                       struct ArrowArray *array)
{
  flat_cursor cursor = {.arena = arena, .data = data, .left = size};
  const rk_status status = flat_read(&cursor, field, count, array, 0);
  return status == RK_OK && cursor.left != 0 ? RK_ERR_CORRUPT : status;
}

bool rk_flat_text(const uint8_t *data, size_t size, const uint8_t **text, size_t *text_size)
{
  const size_t head = RK_FLAT_NODE + 2 * sizeof(int32_t);
  if (size < head || rk_load_u64(data) != 1 || rk_load_u64(data + 8) != 0 || rk_load_u32(data + RK_FLAT_NODE) != 0) {
    return false;
  }
  *text = data + head;
  *text_size = rk_load_u32(data + RK_FLAT_NODE + 4);
  return *text_size <= size - head && rk_align_up(*text_size, 8) == size - head && rk_utf8_valid(*text, *text_size);
}
