/* Arrow IPC: a RecordBatch and its body to arrays, everything validated. */
#include <lz4frame.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/ipc_decode.h"
#include "format/layout.h"
#include "format/utf8.h"

/* Elements of an array whose elements take no bytes (null, structs without children, ...). */
#define BARE_LENGTH_MAX ((int64_t)1 << 24)

/* What dictionary-encoded arrays may take when made plain: a few bytes may stand for a lot of text. */
#define PLAIN_SIZE_MIN   ((uint64_t)16 << 20)
#define PLAIN_FACTOR_MAX 64

/* Lent instead of NULL for buffers without bytes. */
static const uint64_t no_bytes[8];

typedef struct batch {
  rk_ipc_decoder *d;
  const uint8_t *nodes, *buffers; /* the next ones */
  size_t node_count, buffer_count;
  const uint8_t *body;
  size_t body_size;
  size_t body_left;  /* sizes of all buffers add up to the body's at most: overlap would multiply the work */
  uint64_t inflated; /* bytes that decompression made */
  bool is_lz4;
  LZ4F_dctx *lz4;
} batch;

typedef struct span {
  const uint8_t *data;
  size_t size;
} span;

/* Each returns its status here, where static analysis sees it. */
static RK_FAR rk_status fail(const batch *b, rk_status status, const char *what)
{
  rk_fail(b->d->error, status, b->d->metadata_at, "Arrow IPC: %s", what);
  return status;
}

static RK_FAR rk_status corrupt(const batch *b, const char *what)
{
  return fail(b, RK_ERR_CORRUPT, what);
}

static RK_FAR rk_status no_memory(const batch *b)
{
  rk_ipc_no_memory(b->d);
  return RK_ERR_NO_MEMORY;
}

static rk_status take_node(batch *b, int64_t *length, int64_t *null_count)
{
  if (b->node_count == 0) {
    return corrupt(b, "fewer nodes than fields");
  }
  *length = rk_load_i64(b->nodes);
  *null_count = rk_load_i64(b->nodes + 8);
  b->nodes += RK_IPC_NODE_SIZE;
  b->node_count--;
  return *length < 0 || *null_count < 0 || *null_count > *length ? corrupt(b, "impossible array length") : RK_OK;
}

/* The buffer's uncompressed bytes in the arena. */
static rk_status inflate(batch *b, span *s)
{
  if (s->size < 8) {
    return corrupt(b, "compressed buffer too small");
  }
  const int64_t claim = rk_load_i64(s->data);
  const uint8_t *from = s->data + 8;
  size_t from_size = s->size - 8;
  if (claim == -1) {
    *s = (span){from, from_size};
    return RK_OK;
  }
  if (claim < 0 || (uint64_t)claim > (uint64_t)from_size * 255) { /* more than LZ4 can pack */
    return corrupt(b, "impossible size of a compressed buffer");
  }
  b->inflated += (uint64_t)claim;
  if (b->inflated > RK_UNCOMPRESSED_MAX) {
    return fail(b, RK_ERR_LIMIT, "body of more than 2 GiB uncompressed");
  }
  if (b->lz4 == NULL && LZ4F_isError(LZ4F_createDecompressionContext(&b->lz4, LZ4F_VERSION))) {
    return no_memory(b);
  }
  uint8_t *to = rk_arena_alloc(b->d->arena, (size_t)claim);
  if (to == NULL) {
    return no_memory(b);
  }
  LZ4F_resetDecompressionContext(b->lz4);
  size_t made = 0, hint = 1;
  while (hint != 0 && from_size > 0) {
    size_t room = (size_t)claim - made, used = from_size;
    hint = LZ4F_decompress(b->lz4, to + made, &room, from, &used, NULL);
    if (LZ4F_isError(hint) || (room == 0 && used == 0)) {
      return corrupt(b, "damaged LZ4 frame in the body");
    }
    made += room;
    from += used;
    from_size -= used;
  }
  if (hint != 0 || made != (size_t)claim) {
    return corrupt(b, "damaged LZ4 frame in the body");
  }
  *s = (span){to, made};
  return RK_OK;
}

static rk_status take_buffer(batch *b, span *s)
{
  if (b->buffer_count == 0) {
    return corrupt(b, "fewer buffers than the fields need");
  }
  const uint64_t offset = rk_load_u64(b->buffers), size = rk_load_u64(b->buffers + 8);
  b->buffers += RK_IPC_BUFFER_SIZE;
  b->buffer_count--;
  if (!rk_range_ok(offset, size, b->body_size)) {
    return corrupt(b, "buffer outside of the body");
  }
  if (size > b->body_left) {
    return corrupt(b, "buffers overlap");
  }
  b->body_left -= (size_t)size;
  *s = (span){b->body + offset, (size_t)size};
  return b->is_lz4 && size != 0 ? inflate(b, s) : RK_OK;
}

/* `count` values of `width` bytes, aligned for them; copied where they are not. */
static rk_status take_values(batch *b, int64_t count, size_t width, span *s)
{
  rk_status status = take_buffer(b, s);
  if (status != RK_OK) {
    return status;
  }
  size_t size;
  if (__builtin_mul_overflow((size_t)count, width, &size) || s->size < size) {
    return corrupt(b, "buffer smaller than its array");
  }
  s->size = size;
  if (size == 0) {
    s->data = (const uint8_t *)no_bytes;
    return RK_OK;
  }
  const size_t alignment = width % 8 == 0 ? 8 : width % 4 == 0 ? 4 : width % 2 == 0 ? 2 : 1;
  if ((uintptr_t)s->data % alignment != 0) {
    void *copy = rk_arena_alloc(b->d->arena, size);
    if (copy == NULL) {
      return no_memory(b);
    }
    s->data = memcpy(copy, s->data, size);
  }
  return RK_OK;
}

static rk_status take_bits(batch *b, int64_t count, const void **bits)
{
  span s = {NULL, 0};
  const rk_status status = take_buffer(b, &s);
  if (status != RK_OK) {
    return status;
  }
  if (s.size < rk_bits_size(count)) {
    return corrupt(b, "bitmap smaller than its array");
  }
  *bits = count == 0 ? (const void *)no_bytes : s.data;
  return RK_OK;
}

static rk_status take_validity(batch *b, struct ArrowArray *array)
{
  if (array->null_count == 0) {
    span ignored = {NULL, 0};
    return take_buffer(b, &ignored);
  }
  const void *bits = NULL;
  const rk_status status = take_bits(b, array->length, &bits);
  if (status != RK_OK) {
    return status;
  }
  array->null_count = array->length - rk_bits_count(bits, 0, array->length);
  array->buffers[0] = array->null_count == 0 ? NULL : bits;
  return RK_OK;
}

/* length + 1 offsets that start at 0 or more and never step back; *end: the last. */
static rk_status take_offsets(batch *b, int64_t length, bool wide, const void **offsets, int64_t *end)
{
  span s = {NULL, 0};
  const size_t width = wide ? 8 : 4;
  *end = 0;
  if (length == 0) { /* may come without any */
    *offsets = no_bytes;
    return take_buffer(b, &s);
  }
  if (length == INT64_MAX) {
    return corrupt(b, "impossible array length");
  }
  const rk_status status = take_values(b, length + 1, width, &s);
  if (status != RK_OK) {
    return status;
  }
  bool bad = rk_offset_at(s.data, 0, wide) < 0;
  if (wide) {
    for (int64_t i = 0; i < length; i++) {
      bad |= rk_load_i64(s.data + 8 * i) > rk_load_i64(s.data + 8 * i + 8);
    }
  } else {
    for (int64_t i = 0; i < length; i++) {
      bad |= rk_load_i32(s.data + 4 * i) > rk_load_i32(s.data + 4 * i + 4);
    }
  }
  if (bad) {
    return corrupt(b, "offsets step back");
  }
  *offsets = s.data;
  *end = rk_offset_at(s.data, length, wide);
  return RK_OK;
}

static rk_status decode_bytes(batch *b, const rk_field *field, struct ArrowArray *array)
{
  const bool wide = rk_type_is_wide(field->type);
  int64_t end = 0;
  rk_status status = take_offsets(b, array->length, wide, array->buffers + 1, &end);
  if (status != RK_OK) {
    return status;
  }
  span s = {NULL, 0};
  status = take_buffer(b, &s);
  if (status != RK_OK) {
    return status;
  }
  if ((uint64_t)end > s.size) {
    return corrupt(b, "offsets beyond the bytes");
  }
  array->buffers[2] = s.size == 0 ? (const void *)no_bytes : s.data;
  if (field->type == RK_TYPE_UTF8 || field->type == RK_TYPE_LARGE_UTF8) {
    const void *offsets = array->buffers[1];
    const int64_t first = rk_offset_at(offsets, 0, wide);
    bool ok = rk_utf8_valid(s.data + first, (size_t)(end - first));
    for (int64_t i = 1; i < array->length && ok; i++) { /* each text begins with a whole character */
      const int64_t at = rk_offset_at(offsets, i, wide);
      ok = at == end || (s.data[at] & 0xC0) != 0x80;
    }
    if (!ok) {
      return corrupt(b, "text is not UTF-8");
    }
  }
  return RK_OK;
}

static rk_status decode_indices(batch *b, const rk_field *field, struct ArrowArray *array)
{
  const struct ArrowArray *values = rk_ipc_dictionary_array(b->d, field->dictionary);
  if (values == NULL) {
    return corrupt(b, "dictionary missing");
  }
  const unsigned bits = rk_type_bits(field->type, 0);
  const bool is_signed = field->type <= RK_TYPE_INT64;
  const uint8_t *indices = array->buffers[1], *validity = array->buffers[0];
  const rk_type_id type = field->dictionary->type;
  const bool wide = rk_type_is_wide(type), is_bytes = rk_type_is_bytes(type);
  for (int64_t i = 0; i < array->length; i++) {
    uint64_t index = 0;
    memcpy(&index, indices + (size_t)i * (bits / 8), bits / 8);
    if (is_signed && bits < 64 && index >> (bits - 1) != 0) {
      index = UINT64_MAX;
    }
    if (validity != NULL && !rk_bit_get(validity, i)) {
      continue;
    }
    if (index >= (uint64_t)values->length) {
      return corrupt(b, "index outside of the dictionary");
    }
    b->d->plain_size += (uint64_t)field->dictionary->size;
    if (is_bytes) {
      b->d->plain_size += (uint64_t)(rk_offset_at(values->buffers[1], (int64_t)index + 1, wide) -
                                     rk_offset_at(values->buffers[1], (int64_t)index, wide));
    }
    if (b->d->plain_size > PLAIN_SIZE_MIN && b->d->plain_size / PLAIN_FACTOR_MAX > b->d->size) {
      return fail(b, RK_ERR_LIMIT, "dictionaries stand for too much data");
    }
  }
  struct ArrowArray *own = rk_arena_alloc(b->d->arena, sizeof *own);
  if (own == NULL) {
    return no_memory(b);
  }
  *own = *values;
  array->dictionary = own;
  return RK_OK;
}

static rk_status decode_array(batch *b, const rk_field *field, struct ArrowArray *array);

static rk_status decode_children(batch *b, const rk_field *field, struct ArrowArray *array, int64_t needed)
{
  for (size_t c = 0; c < field->child_count; c++) {
    const rk_status status = decode_array(b, field->children + c, array->children[c]);
    if (status != RK_OK) {
      return status;
    }
    if (array->children[c]->length < needed) {
      return corrupt(b, "child array too short");
    }
  }
  return RK_OK;
}

/* Offsets of a child with elements of any size must grow, as the format asks for: elements used twice could multiply
 * what walking them costs. */
static rk_status check_dense(batch *b, const rk_field *field, struct ArrowArray *array)
{
  const int8_t *ids = array->buffers[0];
  const uint8_t *offsets = array->buffers[1];
  int8_t child_of[128];
  int64_t least[128] = {0};
  memset(child_of, -1, sizeof child_of);
  for (size_t c = 0; c < field->child_count; c++) {
    child_of[field->type_ids[c]] = (int8_t)c;
  }
  for (int64_t i = 0; i < array->length; i++) {
    const int c = ids[i] < 0 ? -1 : child_of[ids[i]];
    const int64_t offset = rk_load_i32(offsets + 4 * i);
    if (c < 0 || offset < 0 || offset >= array->children[c]->length) {
      return corrupt(b, "impossible union element");
    }
    const unsigned bits = rk_type_bits(field->children[c].type, field->children[c].size);
    if (offset < least[c] && (bits == 0 || bits > 256 || field->children[c].dictionary != NULL)) {
      return fail(b, RK_ERR_UNSUPPORTED, "union offsets that do not grow");
    }
    least[c] = offset + 1;
  }
  return RK_OK;
}

static rk_status decode_union(batch *b, const rk_field *field, struct ArrowArray *array)
{
  const bool dense = field->type == RK_TYPE_DENSE_UNION;
  span s = {NULL, 0};
  rk_status status = RK_OK;
  if (b->d->version == RK_IPC_V4) { /* had validity */
    if (array->null_count != 0) {
      return fail(b, RK_ERR_UNSUPPORTED, "union with nulls of its own");
    }
    status = take_buffer(b, &s);
  }
  array->null_count = 0;
  if (status == RK_OK) {
    status = take_values(b, array->length, 1, &s);
    array->buffers[0] = s.data;
  }
  if (status == RK_OK && dense) {
    status = take_values(b, array->length, 4, &s);
    array->buffers[1] = s.data;
  }
  if (status == RK_OK) {
    status = decode_children(b, field, array, dense ? 0 : array->length);
  }
  if (status != RK_OK) {
    return status;
  }
  if (dense) {
    return check_dense(b, field, array);
  }
  bool known[128] = {false};
  for (size_t c = 0; c < field->child_count; c++) {
    known[field->type_ids[c]] = true;
  }
  for (int64_t i = 0; i < array->length; i++) {
    const int8_t id = ((const int8_t *)array->buffers[0])[i];
    if (id < 0 || !known[id]) {
      return corrupt(b, "impossible union element");
    }
  }
  return RK_OK;
}

static void release_array(struct ArrowArray *array)
{
  array->release = NULL;
}

static rk_status make_array(batch *b, const rk_field *field, struct ArrowArray *array)
{
  array->n_buffers = rk_type_buffer_count(field->type);
  array->n_children = (int64_t)field->child_count;
  array->buffers = rk_arena_array(b->d->arena, 3, sizeof *array->buffers);
  array->children = rk_arena_array(b->d->arena, field->child_count, sizeof *array->children);
  struct ArrowArray *children = rk_arena_array(b->d->arena, field->child_count, sizeof *children);
  array->release = release_array;
  if (array->buffers == NULL || array->children == NULL || children == NULL) {
    return no_memory(b);
  }
  for (size_t c = 0; c < field->child_count; c++) {
    array->children[c] = children + c;
  }
  return take_node(b, &array->length, &array->null_count);
}

static rk_status decode_array(batch *b, const rk_field *field, struct ArrowArray *array)
{
  rk_status status = make_array(b, field, array);
  if (status != RK_OK) {
    return status;
  }
  const unsigned bits = rk_type_bits(field->type, field->size);
  const bool bare = field->type == RK_TYPE_NULL || (field->type == RK_TYPE_STRUCT && field->child_count == 0) ||
                    (field->type == RK_TYPE_FIXED_SIZE_LIST && field->size == 0) ||
                    (field->type == RK_TYPE_FIXED_SIZE_BINARY && bits == 0);
  if (bare && array->length > BARE_LENGTH_MAX) {
    return fail(b, RK_ERR_LIMIT, "too many elements without bytes");
  }
  if (field->type == RK_TYPE_NULL) {
    array->null_count = array->length;
    return RK_OK;
  }
  if (rk_type_is_union(field->type)) {
    return decode_union(b, field, array);
  }
  status = take_validity(b, array);
  if (status != RK_OK) {
    return status;
  }
  int64_t needed = array->length;
  if (rk_type_is_bytes(field->type)) {
    return decode_bytes(b, field, array);
  }
  if (bits == 1) {
    return take_bits(b, array->length, array->buffers + 1);
  }
  if (bits != 0 || field->type == RK_TYPE_FIXED_SIZE_BINARY) {
    span s = {NULL, 0};
    status = take_values(b, array->length, bits / 8, &s);
    if (status != RK_OK) {
      return status;
    }
    array->buffers[1] = s.data;
    return field->dictionary == NULL ? RK_OK : decode_indices(b, field, array);
  }
  if (rk_type_is_ranges(field->type)) {
    status = take_offsets(b, array->length, rk_type_is_wide(field->type), array->buffers + 1, &needed);
    if (status != RK_OK) {
      return status;
    }
  } else if (field->type == RK_TYPE_FIXED_SIZE_LIST &&
             __builtin_mul_overflow(array->length, (int64_t)field->size, &needed)) {
    return corrupt(b, "impossible array length");
  }
  return decode_children(b, field, array, needed);
}

static rk_status start_batch(batch *b, rk_fb_reader *fb, rk_fb_table_at table)
{
  rk_fb_vector_at nodes = {0}, buffers = {0};
  rk_fb_get_vector(fb, table, RK_BATCH_NODES, RK_IPC_NODE_SIZE, &nodes);
  rk_fb_get_vector(fb, table, RK_BATCH_BUFFERS, RK_IPC_BUFFER_SIZE, &buffers);
  const rk_fb_table_at compression = rk_fb_get_table(fb, table, RK_BATCH_COMPRESSION);
  b->nodes = fb->data + nodes.at;
  b->node_count = nodes.count;
  b->buffers = fb->data + buffers.at;
  b->buffer_count = buffers.count;
  if (compression.at != 0) {
    const unsigned codec = (unsigned)rk_fb_get(fb, compression, 0, 1, RK_BODY_LZ4_FRAME);
    const unsigned method = (unsigned)rk_fb_get(fb, compression, 1, 1, 0);
    if (codec != RK_BODY_LZ4_FRAME || method != 0) {
      return fail(b, RK_ERR_UNSUPPORTED, codec == RK_BODY_ZSTD ? "zstd body compression" : "unknown body compression");
    }
    b->is_lz4 = true;
  }
  return fb->bad ? corrupt(b, "damaged record batch metadata") : RK_OK;
}

rk_status rk_ipc_decode_batch(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t body_at,
                              size_t body_size, const rk_field *fields, size_t field_count,
                              const struct ArrowArray *const **columns, int64_t *row_count)
{
  batch b = {.d = d, .body = d->data + body_at, .body_size = body_size, .body_left = body_size};
  rk_status status = start_batch(&b, fb, table);
  if (status != RK_OK) {
    return status;
  }
  const int64_t length = (int64_t)rk_fb_get(fb, table, RK_BATCH_LENGTH, 8, 0);
  struct ArrowArray *arrays = rk_arena_array(d->arena, field_count, sizeof *arrays);
  const struct ArrowArray **made = rk_arena_array(d->arena, field_count, sizeof *made);
  if (arrays == NULL || made == NULL) {
    return no_memory(&b);
  }
  if (length < 0 || fb->bad || (field_count == 0 && length > BARE_LENGTH_MAX)) {
    return corrupt(&b, "impossible row count");
  }
  for (size_t i = 0; i < field_count && status == RK_OK; i++) {
    made[i] = arrays + i;
    status = decode_array(&b, fields + i, arrays + i);
    if (status == RK_OK && arrays[i].length != length) {
      status = corrupt(&b, "columns of different lengths");
    }
  }
  LZ4F_freeDecompressionContext(b.lz4);
  if (status == RK_OK) {
    *columns = made;
    *row_count = length;
  }
  return status;
}
