/* Reads an RrdFooter of any writer: for each manifest its store and chunks (SPEC "Footer"). */
#include <string.h>

#include "format/bytes.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/footer.h"
#include "format/ipc.h"
#include "format/protobuf.h"
#include "format/utf8.h"

typedef struct message_bytes {
  const uint8_t *data;
  size_t size;
} message_bytes;

static RK_FAR rk_status corrupt(rk_error *error, const char *what)
{
  return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "footer: %s", what);
}

/* Text fields lend from the payload. */
static bool decode_text(const rk_pb_field *field, rk_text *text)
{
  *text = (rk_text){.data = (const char *)field->data, .size = field->size};
  return field->wire == RK_PB_BYTES && rk_utf8_valid(field->data, field->size);
}

static rk_status decode_store(message_bytes message, rk_store_id *store, rk_error *error)
{
  *store = (rk_store_id){.kind = RK_STORE_RECORDING};
  rk_pb_cursor cursor = rk_pb_open(message.data, message.size);
  rk_pb_field field;
  int more;
  while ((more = rk_pb_next(&cursor, &field)) > 0) {
    bool good = true;
    if (field.number == 1) {
      good = field.wire == RK_PB_VARINT;
      store->kind = field.value == RK_STORE_BLUEPRINT ? RK_STORE_BLUEPRINT : RK_STORE_RECORDING;
    } else if (field.number == 2) {
      good = decode_text(&field, &store->recording_id);
    } else if (field.number == 3) {
      good = field.wire == RK_PB_BYTES;
      rk_pb_cursor inner = rk_pb_open(field.data, good ? field.size : 0);
      rk_pb_field id;
      int inner_more;
      while (good && (inner_more = rk_pb_next(&inner, &id)) != 0) {
        good = inner_more > 0 && (id.number != 1 || decode_text(&id, &store->application_id));
      }
    }
    if (!good) {
      return corrupt(error, "store id");
    }
  }
  return more < 0 || store->recording_id.data == NULL ? corrupt(error, "store id") : RK_OK;
}

/* The DataframePart's IPC stream, uncompressed into the arena if need be. */
static RK_FAR rk_status decode_part(rk_arena *arena, message_bytes part, message_bytes *stream, rk_error *error)
{
  uint64_t version = 0, compression = 0, uncompressed_size = 0;
  *stream = (message_bytes){0};
  rk_pb_cursor cursor = rk_pb_open(part.data, part.size);
  rk_pb_field field;
  int more;
  while ((more = rk_pb_next(&cursor, &field)) > 0) {
    if (field.number == 2) {
      if (field.wire != RK_PB_BYTES) {
        return corrupt(error, "manifest payload");
      }
      *stream = (message_bytes){field.data, field.size};
    } else if (field.number == 1 || field.number == 3 || field.number == 4) {
      if (field.wire != RK_PB_VARINT) {
        return corrupt(error, "manifest payload");
      }
      *(field.number == 1 ? &version : field.number == 3 ? &compression : &uncompressed_size) = field.value;
    }
  }
  if (more < 0 || stream->data == NULL) {
    return corrupt(error, "manifest payload");
  }
  if (version != 1 || compression > 2) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET, "footer: manifest encoding");
  }
  if (compression != RK_COMPRESSION_LZ4) {
    return RK_OK;
  }
  rk_buffer plain = {0};
  rk_status status = rk_decompress(&plain, RK_COMPRESSION_LZ4, stream->data, stream->size, uncompressed_size, error);
  if (status == RK_OK) {
    uint8_t *copy = rk_arena_alloc(arena, plain.size == 0 ? 1 : plain.size);
    if (copy == NULL) {
      status = RK_ERR_NO_MEMORY;
    } else if (plain.size > 0) {
      memcpy(copy, plain.data, plain.size);
    }
    *stream = (message_bytes){copy, plain.size};
  }
  rk_buffer_free(&plain);
  return status;
}

typedef struct batch {
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t row_count;
} batch;

/* The column of that name and type; NULL if there is none or the type differs. */
static const struct ArrowArray *column_of(const batch *b, const char *name, rk_type_id type)
{
  for (size_t i = 0; i < b->schema->child_count; i++) {
    const rk_field *field = &b->schema->children[i];
    if (strcmp(field->name, name) == 0) {
      return field->type == type && field->dictionary == NULL ? b->columns[i] : NULL;
    }
  }
  return NULL;
}

static bool bit_at(const void *bits, int64_t i)
{
  return (((const uint8_t *)bits)[i >> 3] >> (i & 7) & 1) != 0;
}

static RK_FAR bool present(const struct ArrowArray *array, int64_t row)
{
  return array->buffers[0] == NULL || bit_at(array->buffers[0], array->offset + row);
}

static uint64_t number_at(const struct ArrowArray *array, int64_t row)
{
  return rk_load_u64((const char *)array->buffers[1] + 8 * (array->offset + row));
}

/* A timeline's columns of smallest and largest values; false: it has none. */
typedef struct times {
  const struct ArrowArray *start, *end;
} times;

static bool times_of(rk_arena *arena, const batch *b, const char *timeline, times *t)
{
  static const rk_type_id types[] = {RK_TYPE_TIMESTAMP, RK_TYPE_INT64, RK_TYPE_DURATION};
  const size_t size = strlen(timeline);
  char *name = rk_arena_alloc(arena, size + sizeof ":start");
  *t = (times){0};
  if (name == NULL) {
    return false;
  }
  memcpy(name, timeline, size);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    memcpy(name + size, ":start", sizeof ":start");
    t->start = column_of(b, name, types[i]);
    memcpy(name + size, ":end", sizeof ":end");
    t->end = column_of(b, name, types[i]);
    if (t->start != NULL && t->end != NULL) {
      return true;
    }
  }
  *t = (times){0};
  return true;
}

static bool time_range(const times *t, int64_t row, int64_t *min, int64_t *max)
{
  if (t->start == NULL || !present(t->start, row) || !present(t->end, row)) {
    return false;
  }
  *min = (int64_t)number_at(t->start, row);
  *max = (int64_t)number_at(t->end, row);
  return true;
}

static rk_status decode_chunks(rk_arena *arena, message_bytes stream, uint64_t file_size, const char *timeline,
                               rk_footer_manifest *manifest, rk_error *error)
{
  batch b = {0};
  const rk_status status = rk_ipc_decode(arena, stream.data, stream.size, &b.schema, &b.columns, &b.row_count, error);
  if (status != RK_OK) {
    return status;
  }
  const struct ArrowArray *paths = column_of(&b, "chunk_entity_path", RK_TYPE_UTF8);
  const struct ArrowArray *ids = column_of(&b, "chunk_id", RK_TYPE_FIXED_SIZE_BINARY);
  const struct ArrowArray *statics = column_of(&b, "chunk_is_static", RK_TYPE_BOOL);
  static const char *const names[] = {"chunk_num_rows", "chunk_byte_offset", "chunk_byte_size",
                                      "chunk_byte_size_uncompressed"};
  const struct ArrowArray *numbers[4];
  bool good = paths != NULL && ids != NULL && statics != NULL;
  for (size_t i = 0; i < 4; i++) {
    numbers[i] = column_of(&b, names[i], RK_TYPE_UINT64);
    good = good && numbers[i] != NULL;
  }
  for (size_t i = 0; i < b.schema->child_count && good; i++) {
    const rk_field *field = &b.schema->children[i];
    good = strcmp(field->name, "chunk_id") != 0 || field->size == RK_TUID_SIZE;
  }
  if (!good) {
    return corrupt(error, "a manifest lacks a column");
  }
  const times log_time = {.start = column_of(&b, "log_time:start", RK_TYPE_TIMESTAMP),
                          .end = column_of(&b, "log_time:end", RK_TYPE_TIMESTAMP)};
  times asked = {0};
  if (timeline != NULL && !times_of(arena, &b, timeline, &asked)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_manifest_chunk *chunks = rk_arena_array(arena, b.row_count == 0 ? 1 : (size_t)b.row_count, sizeof *chunks);
  if (chunks == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (int64_t row = 0; row < b.row_count; row++) {
    rk_manifest_chunk *chunk = &chunks[row];
    if (!present(paths, row) || !present(ids, row) || !present(statics, row)) {
      return corrupt(error, "a manifest's required column has nulls");
    }
    const char *offsets = (const char *)paths->buffers[1] + 4 * (paths->offset + row);
    const int32_t path_start = rk_load_i32(offsets);
    const int32_t path_size = rk_load_i32(offsets + 4) - path_start;
    chunk->entity_path =
        path_size == 0 ? "" : rk_arena_text(arena, (const char *)paths->buffers[2] + path_start, (size_t)path_size);
    if (chunk->entity_path == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    chunk->chunk_id = rk_tuid_load((const char *)ids->buffers[1] + RK_TUID_SIZE * (ids->offset + row));
    chunk->is_static = bit_at(statics->buffers[1], statics->offset + row);
    uint64_t *const members[] = {&chunk->row_count, &chunk->byte_offset, &chunk->byte_size, &chunk->uncompressed_size};
    for (size_t i = 0; i < 4; i++) {
      if (!present(numbers[i], row)) {
        return corrupt(error, "a manifest's required column has nulls");
      }
      *members[i] = number_at(numbers[i], row);
    }
    if (!rk_range_ok(chunk->byte_offset, chunk->byte_size, file_size)) {
      return corrupt(error, "a chunk lies outside of the file");
    }
    chunk->has_log_time =
        log_time.end != NULL && time_range(&log_time, row, &chunk->min_log_time, &chunk->max_log_time);
    chunk->has_times = time_range(&asked, row, &chunk->min_time, &chunk->max_time);
  }
  manifest->chunk_count = (size_t)b.row_count;
  manifest->chunks = chunks;
  return RK_OK;
}

static rk_status decode_manifest(rk_arena *arena, message_bytes message, uint64_t file_size, const char *timeline,
                                 rk_footer_manifest *manifest, rk_error *error)
{
  message_bytes store = {0}, part = {0}, stream;
  rk_pb_cursor cursor = rk_pb_open(message.data, message.size);
  rk_pb_field field;
  int more;
  while ((more = rk_pb_next(&cursor, &field)) > 0) {
    if ((field.number == 1 || field.number == 4) && field.wire != RK_PB_BYTES) {
      return corrupt(error, "manifest");
    }
    if (field.number == 1) {
      store = (message_bytes){field.data, field.size};
    } else if (field.number == 4) {
      part = (message_bytes){field.data, field.size};
    }
  }
  if (more < 0 || store.data == NULL || part.data == NULL) {
    return corrupt(error, "manifest");
  }
  rk_status status = decode_store(store, &manifest->store, error);
  status = status == RK_OK ? decode_part(arena, part, &stream, error) : status;
  return status == RK_OK ? decode_chunks(arena, stream, file_size, timeline, manifest, error) : status;
}

rk_status rk_footer_decode(rk_arena *arena, const void *payload, size_t size, uint64_t file_size,
                           const rk_footer_manifest **manifests, size_t *manifest_count, rk_error *error)
{
  return rk_footer_decode_times(arena, payload, size, file_size, NULL, manifests, manifest_count, error);
}

rk_status rk_footer_decode_times(rk_arena *arena, const void *payload, size_t size, uint64_t file_size,
                                 const char *timeline, const rk_footer_manifest **manifests, size_t *manifest_count,
                                 rk_error *error)
{
  size_t count = 0;
  rk_pb_field field;
  rk_pb_cursor cursor = rk_pb_open(payload, size);
  int more;
  while ((more = rk_pb_next(&cursor, &field)) > 0) {
    if (field.number == 1 && field.wire != RK_PB_BYTES) {
      return corrupt(error, "malformed");
    }
    count += field.number == 1;
  }
  if (more < 0) {
    return corrupt(error, "malformed");
  }
  rk_footer_manifest *decoded = rk_arena_array(arena, count == 0 ? 1 : count, sizeof *decoded);
  if (decoded == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  cursor = rk_pb_open(payload, size);
  for (size_t i = 0; rk_pb_next(&cursor, &field) > 0;) {
    if (field.number != 1) {
      continue;
    }
    const rk_status status =
        decode_manifest(arena, (message_bytes){field.data, field.size}, file_size, timeline, &decoded[i++], error);
    if (status != RK_OK) {
      return status;
    }
  }
  *manifests = decoded;
  *manifest_count = count;
  return RK_OK;
}
