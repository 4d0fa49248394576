/* Chunks: what the beginning of a payload tells (schema, ids, times) when it is laid out as chunk_encode.c does it. */
#include "format/chunk_decode.h"
#include "format/chunk_keys.h"
#include "format/flatbuffer.h"
#include "format/ipc.h"
#include "format/ipc_message.h"
#include "format/layout.h"

enum { PREFIX_SIZE = 8, END_SIZE = 8 };

typedef struct head {
  rk_arena *arena;
  const uint8_t *data;
  size_t size, whole;
  size_t *needed;
  const rk_field *schema;
  /* The record batch's. */
  const uint8_t *nodes, *buffers; /* the next ones */
  size_t node_count, buffer_count;
  size_t body;  /* where it begins */
  size_t taken; /* of it, by the buffers so far */
} head;

typedef struct message {
  rk_fb_reader fb;
  unsigned header_type;
  rk_fb_table_at header;
  uint64_t body_size;
} message;

static rk_status need(const head *h, size_t needed)
{
  *h->needed = needed > *h->needed ? needed : *h->needed;
  return needed > h->whole ? RK_ERR_UNSUPPORTED : needed > h->size ? RK_ERR_TRUNCATED : RK_OK;
}

/* Moves *at past the metadata. */
static rk_status take_message(const head *h, size_t *at, message *m)
{
  rk_status status = need(h, *at + PREFIX_SIZE);
  if (status != RK_OK) {
    return status;
  }
  const uint32_t size = rk_load_u32(h->data + *at + 4);
  if (rk_load_u32(h->data + *at) != RK_IPC_CONTINUATION || size > INT32_MAX) {
    return RK_ERR_UNSUPPORTED;
  }
  *at += PREFIX_SIZE;
  status = need(h, *at + size);
  if (status != RK_OK) {
    return status;
  }
  *m = (message){.fb = {.data = h->data + *at, .size = size}};
  const rk_fb_table_at root = rk_fb_root(&m->fb);
  const uint64_t version = rk_fb_get(&m->fb, root, RK_MESSAGE_VERSION, 2, 0);
  m->body_size = rk_fb_get(&m->fb, root, RK_MESSAGE_BODY_SIZE, 8, 0);
  m->header_type = (unsigned)rk_fb_get(&m->fb, root, RK_MESSAGE_HEADER_TYPE, 1, 0);
  m->header = rk_fb_get_table(&m->fb, root, RK_MESSAGE_HEADER);
  *at += size;
  return m->fb.bad || m->header.at == 0 || version != RK_IPC_V5 ? RK_ERR_UNSUPPORTED : RK_OK;
}

/* ---- Layout ---- */

static bool take_node(head *h, int64_t *length, int64_t *null_count)
{
  if (h->node_count == 0) {
    return false;
  }
  *length = rk_load_i64(h->nodes);
  *null_count = rk_load_i64(h->nodes + 8);
  h->nodes += RK_IPC_NODE_SIZE;
  h->node_count--;
  return *length >= 0 && *null_count >= 0 && *null_count <= *length && *length <= INT32_MAX;
}

/* The next buffer is aligned and lies in the body. */
static bool take_buffer(head *h, size_t *at, uint64_t *size)
{
  if (h->buffer_count == 0) {
    return false;
  }
  const uint64_t offset = rk_load_u64(h->buffers);
  *size = rk_load_u64(h->buffers + 8);
  h->buffers += RK_IPC_BUFFER_SIZE;
  h->buffer_count--;
  if (offset % RK_IPC_ALIGNMENT != 0 || !rk_range_ok(offset, *size, h->whole - h->body)) {
    return false;
  }
  *at = h->body + (size_t)offset;
  h->taken += rk_align_up((size_t)*size, RK_IPC_ALIGNMENT);
  return true;
}

static bool take_sized(head *h, uint64_t size)
{
  size_t at;
  uint64_t found;
  return take_buffer(h, &at, &found) && found == size;
}

static bool take_array(head *h, const rk_field *field, int64_t needed, int64_t *length);

/* `needed` < 0: of any length. */
static bool take_children(head *h, const rk_field *field, int64_t needed)
{
  int64_t length;
  for (size_t c = 0; c < field->child_count; c++) {
    if (!take_array(h, field->children + c, needed, &length)) {
      return false;
    }
  }
  return true;
}

static bool take_array(head *h, const rk_field *field, int64_t needed, int64_t *length)
{
  int64_t nulls;
  if (field->dictionary != NULL || !take_node(h, length, &nulls) || (needed >= 0 && *length != needed)) {
    return false;
  }
  if (field->type == RK_TYPE_NULL) {
    return nulls == *length;
  }
  const uint64_t count = (uint64_t)*length;
  if (rk_type_is_union(field->type)) {
    const bool dense = field->type == RK_TYPE_DENSE_UNION;
    return nulls == 0 && take_sized(h, count) && (!dense || take_sized(h, 4 * count)) &&
           take_children(h, field, dense ? -1 : *length);
  }
  if (!take_sized(h, nulls == 0 ? 0 : rk_bits_size(*length))) {
    return false;
  }
  const unsigned bits = rk_type_bits(field->type, field->size);
  if (bits == 1) {
    return take_sized(h, rk_bits_size(*length));
  }
  if (bits != 0 || field->type == RK_TYPE_FIXED_SIZE_BINARY) {
    return take_sized(h, count * (bits / 8));
  }
  const bool is_bytes = rk_type_is_bytes(field->type);
  if (is_bytes || rk_type_is_ranges(field->type)) {
    size_t at;
    uint64_t size;
    return take_sized(h, (count + 1) * (rk_type_is_wide(field->type) ? 8 : 4)) &&
           (is_bytes ? take_buffer(h, &at, &size) : take_children(h, field, -1));
  }
  if (field->type == RK_TYPE_FIXED_SIZE_LIST) {
    int64_t items;
    return !__builtin_mul_overflow(*length, (int64_t)field->size, &items) && take_children(h, field, items);
  }
  return take_children(h, field, *length);
}

/* ---- Columns ---- */

/* Ids or times. RK_ERR_TRUNCATED: the next columns can still tell how much they need. */
static rk_status take_values(head *h, const rk_field *field, int64_t row_count, struct ArrowArray *array)
{
  const size_t width = rk_type_bits(field->type, field->size) / 8;
  int64_t length, nulls;
  size_t at;
  uint64_t size;
  if (width == 0 || field->dictionary != NULL || !take_node(h, &length, &nulls) || length != row_count || nulls != 0 ||
      !take_sized(h, 0) || !take_buffer(h, &at, &size) || size != (uint64_t)length * width) {
    return RK_ERR_UNSUPPORTED;
  }
  const rk_status status = need(h, at + (size_t)size);
  if (status != RK_OK) {
    return status;
  }
  const void **buffers = rk_arena_array(h->arena, 2, sizeof *buffers);
  const uint8_t *values = h->data + at;
  if ((uintptr_t)values % 8 != 0) {
    void *copy = rk_arena_alloc(h->arena, (size_t)size + 1);
    values = copy == NULL ? NULL : memcpy(copy, values, (size_t)size);
  }
  if (buffers == NULL || values == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  buffers[1] = values;
  *array = (struct ArrowArray){.length = length, .n_buffers = 2, .buffers = buffers};
  return RK_OK;
}

static rk_status take_component(head *h, const rk_field *field, int64_t row_count, struct ArrowArray *array)
{
  int64_t length, nulls, items;
  if (field->type != RK_TYPE_LIST || !take_node(h, &length, &nulls) || length != row_count || nulls != 0 ||
      !take_sized(h, 0) || !take_sized(h, 4 * ((uint64_t)length + 1)) || !take_array(h, field->children, -1, &items)) {
    return RK_ERR_UNSUPPORTED;
  }
  const void **buffers = rk_arena_array(h->arena, 2, sizeof *buffers);
  int32_t *offsets = rk_arena_array(h->arena, (size_t)length + 1, sizeof *offsets);
  if (buffers == NULL || offsets == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  offsets[length] = length == 0 ? 0 : (int32_t)items;
  buffers[1] = offsets;
  *array = (struct ArrowArray){.length = length, .n_buffers = 2, .buffers = buffers};
  return RK_OK;
}

static bool is_data(const rk_field *field)
{
  for (size_t i = 0; i < field->metadata_count; i++) {
    if (strcmp(field->metadata[i].key, RK_KEY_KIND) == 0) {
      return strcmp(field->metadata[i].value, RK_KIND_DATA) == 0;
    }
  }
  return true;
}

static bool is_current(const rk_field *schema)
{
  for (size_t i = 0; i < schema->metadata_count; i++) {
    if (strcmp(schema->metadata[i].key, RK_KEY_SORBET_VERSION) == 0) {
      return strcmp(schema->metadata[i].value, RK_SORBET_VERSION) == 0;
    }
  }
  return false;
}

static rk_status take_columns(head *h, int64_t row_count, const struct ArrowArray *const **columns)
{
  const size_t count = h->schema->child_count;
  struct ArrowArray *arrays = rk_arena_array(h->arena, count + 1, sizeof *arrays);
  const struct ArrowArray **made = rk_arena_array(h->arena, count + 1, sizeof *made);
  rk_status status = arrays == NULL || made == NULL ? RK_ERR_NO_MEMORY : RK_OK;
  bool truncated = false;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    const rk_field *field = h->schema->children + i;
    made[i] = arrays + i;
    if (is_data(field)) {
      status = truncated ? RK_ERR_TRUNCATED : take_component(h, field, row_count, arrays + i);
    } else {
      status = take_values(h, field, row_count, arrays + i);
      truncated = truncated || status == RK_ERR_TRUNCATED;
      status = status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
  }
  *columns = made;
  return status == RK_OK && truncated ? RK_ERR_TRUNCATED : status;
}

rk_status rk_chunk_decode_head(rk_arena *arena, const void *data, size_t size, size_t whole, rk_chunk *chunk,
                               size_t *needed)
{
  head h = {.arena = arena, .data = data, .size = size, .whole = whole, .needed = needed};
  size_t at = 0;
  message m;
  *needed = 0;
  rk_status status = take_message(&h, &at, &m);
  if (status != RK_OK) {
    return status;
  }
  if (m.header_type != RK_HEADER_SCHEMA || m.body_size != 0) {
    return RK_ERR_UNSUPPORTED;
  }
  status = take_message(&h, &at, &m);
  if (status != RK_OK) {
    return status;
  }
  rk_fb_vector_at nodes = {0}, buffers = {0};
  const int64_t row_count = (int64_t)rk_fb_get(&m.fb, m.header, RK_BATCH_LENGTH, 8, 0);
  rk_fb_get_vector(&m.fb, m.header, RK_BATCH_NODES, RK_IPC_NODE_SIZE, &nodes);
  rk_fb_get_vector(&m.fb, m.header, RK_BATCH_BUFFERS, RK_IPC_BUFFER_SIZE, &buffers);
  const bool compressed = rk_fb_get_table(&m.fb, m.header, RK_BATCH_COMPRESSION).at != 0;
  if (m.header_type != RK_HEADER_BATCH || compressed || m.fb.bad || row_count < 0 || row_count >= INT32_MAX) {
    return RK_ERR_UNSUPPORTED;
  }
  h.nodes = m.fb.data + nodes.at;
  h.node_count = nodes.count;
  h.buffers = m.fb.data + buffers.at;
  h.buffer_count = buffers.count;
  h.body = at;
  status = rk_ipc_decode(arena, data, size, &h.schema, NULL, NULL, NULL);
  if (status != RK_OK) {
    return status == RK_ERR_NO_MEMORY ? status : RK_ERR_UNSUPPORTED;
  }
  const struct ArrowArray *const *columns;
  status = is_current(h.schema) ? take_columns(&h, row_count, &columns) : RK_ERR_UNSUPPORTED;
  if (status != RK_OK) {
    return status;
  }
  if (h.node_count != 0 || h.buffer_count != 0 || m.body_size != h.taken || whole - h.body != h.taken + END_SIZE) {
    return RK_ERR_UNSUPPORTED;
  }
  status = rk_chunk_from_columns(arena, h.schema, columns, row_count, chunk, NULL);
  return status == RK_OK || status == RK_ERR_NO_MEMORY ? status : RK_ERR_UNSUPPORTED;
}
