/* Appending slices of many arrays at once, level by level: rows that alternate between several chunks. */
#include "reader/slices.h"

#include "format/builder_internal.h"
#include "format/layout.h"

/* Memory of many arrays by turns is not foreseen by the processor: so many slices ahead it is told. */
enum { SLICES_AHEAD = 6 };

static inline void fetch(const void *values, int64_t at, int64_t count, size_t width)
{
  enum { LINE = 64, FETCH_MAX = 512 };
  const uintptr_t first = (uintptr_t)values + (size_t)at * width;
  const size_t size = count < FETCH_MAX ? (size_t)count * width : FETCH_MAX;
  for (size_t i = 0; i < size && i < FETCH_MAX; i += LINE) {
    __builtin_prefetch((const void *)(first + i));
  }
}

static rk_status gather_fixed(rk_builder *b, const rk_slice *slices, size_t slice_count, int64_t total)
{
  const size_t width = b->bits / 8;
  size_t size;
  uint8_t *to = __builtin_mul_overflow((size_t)total, width, &size) ? NULL : rk_buffer_extend(&b->values, size);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < slice_count; i++) {
    const rk_slice *s = &slices[i];
    const rk_slice *later = i + SLICES_AHEAD < slice_count ? s + SLICES_AHEAD : s;
    fetch(later->array->buffers[1], later->array->offset + later->start, later->count, width);
    size = (size_t)s->count * width;
    memcpy(to, (const uint8_t *)s->array->buffers[1] + (size_t)(s->array->offset + s->start) * width, size);
    to += size;
  }
  return RK_OK;
}

/* What slices stand for one level below, empty ones left out. */
typedef struct parts {
  rk_slice *items;
  size_t count;
  int64_t total;
} parts;

static void add_part(parts *p, const struct ArrowArray *array, int64_t start, int64_t count)
{
  if (count > 0) {
    p->items[p->count++] = (rk_slice){.array = array, .start = start, .count = count};
    p->total += count;
  }
}

static rk_status gather_bytes(rk_builder *b, const parts *p)
{
  for (size_t i = 0; i < p->count; i++) {
    const rk_slice *s = &p->items[i];
    const rk_slice *later = i + SLICES_AHEAD < p->count ? s + SLICES_AHEAD : s;
    fetch(later->array->buffers[2], later->start, later->count, 1);
    rk_buffer_append(&b->data, (const uint8_t *)s->array->buffers[2] + s->start, (size_t)s->count);
  }
  return b->data.failed ? RK_ERR_NO_MEMORY : RK_OK;
}

static rk_status gather(rk_builder *b, const rk_slice *slices, size_t slice_count, int64_t total);

/* Text, binary and list types: offsets, and the bytes or items between them. */
static rk_status gather_ranges(rk_builder *b, const rk_slice *slices, size_t slice_count, int64_t total, parts *p)
{
  const size_t width = b->wide ? 8 : 4;
  const bool bytes = rk_type_is_bytes(b->type);
  int64_t base = rk_offset_at(b->values.data, b->length, b->wide);
  uint8_t *to = (size_t)total > SIZE_MAX / width ? NULL : rk_buffer_extend(&b->values, (size_t)total * width);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < slice_count; i++) {
    const rk_slice *s = &slices[i];
    const uint8_t *offsets = (const uint8_t *)s->array->buffers[1] + (size_t)(s->array->offset + s->start) * width;
    const int64_t first = rk_offset_at(offsets, 0, b->wide), last = rk_offset_at(offsets, s->count, b->wide);
    if (first < 0 || last < first) {
      return RK_ERR_MISUSE;
    }
    if (last - first > (b->wide ? INT64_MAX : INT32_MAX) - base) {
      return RK_ERR_LIMIT;
    }
    if (s->count == 1 && !b->wide) { /* the usual case where it counts */
      rk_store_i32(to, (int32_t)(base + last - first));
    } else {
      rk_offsets_rebase(to, offsets + width, s->count, b->wide, base - first);
    }
    to += (size_t)s->count * width;
    base += last - first;
    add_part(p, bytes ? s->array : s->array->children[0], first, last - first);
  }
  return bytes ? gather_bytes(b, p) : gather(b->children, p->items, p->count, p->total);
}

/* Structs and fixed-size lists: each element is `each` of every child. */
static rk_status gather_children(rk_builder *b, const rk_slice *slices, size_t slice_count, int64_t each, parts *p)
{
  rk_status status = RK_OK;
  for (size_t c = 0; c < b->child_count && status == RK_OK; c++) {
    p->count = 0;
    p->total = 0;
    for (size_t i = 0; i < slice_count; i++) {
      const rk_slice *s = &slices[i];
      int64_t start, count;
      if (__builtin_mul_overflow(s->array->offset + s->start, each, &start) ||
          __builtin_mul_overflow(s->count, each, &count) || count > INT64_MAX - p->total) {
        return RK_ERR_LIMIT;
      }
      add_part(p, s->array->children[c], start, count);
    }
    status = gather(b->children + c, p->items, p->count, p->total);
  }
  return status;
}

/* Whether slices are taken together: not where elements differ in kind, are null or share bytes. */
static bool is_plain(const rk_builder *b, const rk_slice *slices, size_t slice_count)
{
  bool plain = b->index_type == RK_TYPE_NULL && (b->bits >= 8 || rk_builder_has_offsets(b) ||
                                                 b->type == RK_TYPE_FIXED_SIZE_LIST || b->type == RK_TYPE_STRUCT);
  for (size_t i = 0; i < slice_count && plain; i++) {
    plain = slices[i].array->null_count == 0 || rk_array_validity(slices[i].array, b->type) == NULL;
  }
  return plain;
}

static rk_status gather(rk_builder *b, const rk_slice *slices, size_t slice_count, int64_t total)
{
  rk_status status = RK_OK;
  if (slice_count < 2 || !is_plain(b, slices, slice_count)) {
    for (size_t i = 0; i < slice_count && status == RK_OK; i++) {
      status = rk_builder_add_slice(b, slices[i].array, slices[i].start, slices[i].count);
    }
    return status;
  }
  if (b->length > INT64_MAX - total) {
    return RK_ERR_LIMIT;
  }
  if (!rk_builder_add_valid(b, total)) {
    return RK_ERR_NO_MEMORY;
  }
  if (b->bits >= 8) {
    status = gather_fixed(b, slices, slice_count, total);
  } else {
    rk_buffer_reset(&b->parts);
    parts p = {.items = rk_buffer_extend(&b->parts, slice_count * sizeof *slices)};
    if (p.items == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    status = rk_builder_has_offsets(b)
                 ? gather_ranges(b, slices, slice_count, total, &p)
                 : gather_children(b, slices, slice_count, b->type == RK_TYPE_STRUCT ? 1 : b->field->size, &p);
  }
  b->length += status == RK_OK ? total : 0;
  return status;
}

rk_status rk_builder_append_slices(rk_builder *builder, const rk_slice *slices, size_t slice_count)
{
  int64_t total = 0;
  for (size_t i = 0; i < slice_count; i++) {
    const rk_slice *s = &slices[i];
    if (s->start < 0 || s->count <= 0 || s->start > s->array->length - s->count) {
      return RK_ERR_MISUSE;
    }
    if (__builtin_add_overflow(total, s->count, &total)) {
      return RK_ERR_LIMIT;
    }
  }
  const int64_t length = builder->length;
  return rk_builder_is_settled(builder)
             ? rk_builder_settle(builder, length, gather(builder, slices, slice_count, total))
             : RK_ERR_MISUSE;
}
