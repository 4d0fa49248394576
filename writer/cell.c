/* Cells that are not plainly packed: booleans, text, spans, Arrow arrays, in flat form (SPEC "Flat arrays"). */
#include "writer/cell.h"

#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/flat.h"

#define DATA_MAX (RK_SPOOL_ROW_MAX - 4096)

static RK_FAR size_t misuse(const rk_cell *cell, rk_error *error, const char *what)
{
  rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\": %s", cell->component->name, what);
  return SIZE_MAX;
}

static bool is_wide(const rk_field *item)
{
  return item->type == RK_TYPE_LARGE_UTF8 || item->type == RK_TYPE_LARGE_BINARY || item->type == RK_TYPE_LARGE_LIST;
}

/* Nodes below the list's own: those of fixed-size lists within, and the values'. */
static size_t span_nodes(const rk_field *item)
{
  size_t nodes = 0;
  if (item->type == RK_TYPE_LIST || item->type == RK_TYPE_LARGE_LIST) {
    nodes = 1;
    for (const rk_field *at = &item->children[0]; at->type == RK_TYPE_FIXED_SIZE_LIST; at = &at->children[0]) {
      nodes++;
    }
  }
  return nodes;
}

static size_t text_size(const rk_cell *cell, rk_error *error)
{
  const char *const *texts = cell->values;
  size_t total = 0;
  for (size_t i = 0; i < cell->count; i++) {
    if (texts[i] == NULL) {
      return misuse(cell, error, "a text is NULL");
    }
    total += strlen(texts[i]);
    if (total > DATA_MAX) {
      return misuse(cell, error, "too large for one row");
    }
  }
  return total;
}

static size_t span_size(const rk_cell *cell, rk_error *error)
{
  const rk_span *spans = cell->values;
  const size_t each = cell->component->item_size;
  size_t total = 0;
  for (size_t i = 0; i < cell->count; i++) {
    if (spans[i].count != 0 && spans[i].data == NULL) {
      return misuse(cell, error, "a span's data is NULL");
    }
    if (spans[i].count > (DATA_MAX - total) / each) {
      return misuse(cell, error, "too large for one row");
    }
    total += spans[i].count * each;
  }
  return total;
}

size_t rk_cell_size(const rk_cell *cell, rk_error *error)
{
  const rk_component *component = cell->component;
  if (cell->array != NULL) {
    if (cell->array->length < 0 || cell->array->length > INT32_MAX) {
      return misuse(cell, error, "impossible array length");
    }
    const size_t size = rk_flat_size(component->item, cell->array, 0, cell->array->length, DATA_MAX);
    return size == SIZE_MAX ? misuse(cell, error, "the array is not of the component's type, or too large") : size;
  }
  const size_t n = cell->count;
  if (n != 0 && cell->values == NULL) {
    return misuse(cell, error, "values is NULL");
  }
  if (n > DATA_MAX / 16 && (component->form != RK_FORM_PACKED || n > DATA_MAX / component->item_size)) {
    return misuse(cell, error, "too large for one row");
  }
  const size_t offsets = rk_align_up((n + 1) * (is_wide(component->item) ? 8 : 4), 8);
  size_t data;
  switch (component->form) {
  case RK_FORM_PACKED:
    return n * component->item_size;
  case RK_FORM_BOOL:
    return RK_FLAT_NODE + rk_align_up((n + 7) / 8, 8);
  case RK_FORM_TEXT:
    data = text_size(cell, error);
    break;
  case RK_FORM_SPANS:
    data = span_size(cell, error);
    break;
  case RK_FORM_ARROW:
  default:
    return n == 0 ? 0 : misuse(cell, error, "values of this type are given as an Arrow array");
  }
  const size_t total = RK_FLAT_NODE * (1 + span_nodes(component->item)) + offsets;
  return data == SIZE_MAX          ? data
         : data > DATA_MAX - total ? misuse(cell, error, "too large for one row")
                                   : total + rk_align_up(data, 8);
}

static uint8_t *put_node(uint8_t *out, uint64_t length)
{
  rk_store_u64(out, length);
  rk_store_u64(out + 8, 0); /* no validity */
  return out + RK_FLAT_NODE;
}

static uint8_t *pad(uint8_t *out, size_t written)
{
  const size_t padded = rk_align_up(written, 8);
  memset(out + written, 0, padded - written);
  return out + padded;
}

static uint8_t *write_bools(const rk_cell *cell, uint8_t *out)
{
  const uint8_t *values = cell->values;
  const size_t size = rk_align_up((cell->count + 7) / 8, 8);
  out = put_node(out, cell->count);
  memset(out, 0, size);
  for (size_t i = 0; i < cell->count; i++) {
    out[i / 8] = (uint8_t)(out[i / 8] | ((values[i] != 0) << (i % 8)));
  }
  return out + size;
}

static inline void put_offset(uint8_t *offsets, size_t index, uint64_t offset, bool wide)
{
  if (wide) {
    rk_store_u64(offsets + 8 * index, offset);
  } else {
    rk_store_u32(offsets + 4 * index, (uint32_t)offset);
  }
}

/* Texts or spans, `size` bytes with their nodes and offsets. */
static uint8_t *write_bytes(const rk_cell *cell, size_t size, uint8_t *out)
{
  const rk_field *item = cell->component->item;
  const bool texts = cell->component->form == RK_FORM_TEXT, wide = is_wide(item);
  const size_t n = cell->count, each = cell->component->item_size;
  uint8_t *const end = out + size;
  uint8_t *const offsets = put_node(out, n);
  /* Below a list lie its items' nodes, whose lengths are known only at the end. */
  uint8_t *nodes = offsets + rk_align_up((n + 1) * (wide ? 8 : 4), 8);
  uint8_t *at = nodes + RK_FLAT_NODE * span_nodes(item);
  rk_store_u64(nodes - 8, 0); /* the padding of the offsets, */
  rk_store_u64(end - 8, 0);   /* and of the bytes */
  uint64_t items = 0;
  put_offset(offsets, 0, 0, wide);
  for (size_t i = 0; i < n; i++) {
    const char *text = texts ? ((const char *const *)cell->values)[i] : NULL;
    const rk_span span = texts ? (rk_span){.data = text, .count = strlen(text)} : ((const rk_span *)cell->values)[i];
    if (span.count != 0) {
      memcpy(at, span.data, span.count * each);
    }
    at += span.count * each;
    items += span.count;
    put_offset(offsets, i + 1, items, wide);
  }
  if (item->type == RK_TYPE_LIST || item->type == RK_TYPE_LARGE_LIST) {
    uint64_t length = items;
    for (const rk_field *child = &item->children[0];; child = &child->children[0]) {
      nodes = put_node(nodes, length);
      if (child->type != RK_TYPE_FIXED_SIZE_LIST) {
        break;
      }
      length *= (uint64_t)child->size;
    }
  }
  return end;
}

uint8_t *rk_cell_write(const rk_cell *cell, size_t size, uint8_t *out)
{
  const rk_component *component = cell->component;
  const bool array = cell->array != NULL;
  const bool packed = !array && (component->form == RK_FORM_PACKED || component->form == RK_FORM_ARROW);
  rk_store_u32(out, component->id);
  rk_store_u32(out + 4, (uint32_t)(array ? (size_t)cell->array->length : cell->count));
  rk_store_u32(out + 8, (uint32_t)size);
  rk_store_u32(out + 12, packed ? RK_CELL_PACKED : RK_CELL_FLAT);
  out += RK_SPOOL_CELL_HEADER;
  if (array) {
    return rk_flat_write(component->item, cell->array, 0, cell->array->length, out);
  }
  switch (component->form) {
  case RK_FORM_BOOL:
    return write_bools(cell, out);
  case RK_FORM_TEXT:
  case RK_FORM_SPANS:
    return write_bytes(cell, size, out);
  default:
    if (size != 0) {
      memcpy(out, cell->values, size);
    }
    return pad(out, size);
  }
}
