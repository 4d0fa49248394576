/* The messages inside frames: SetStoreInfo with rrdkit's records, ArrowMsg, BlueprintActivationCommand (SPEC
 * "Messages"). */
#include "format/messages.h"

#include "format/error.h"
#include "format/frame.h"
#include "format/protobuf.h"
#include "format/utf8.h"

enum { WRITER_FIELD = 24602, RECORDING_FIELD = 24603 };
enum { STORE_KIND_BLUEPRINT = 2 };
enum { SOURCE_PYTHON = 2, SOURCE_RUST = 3, SOURCE_FILE = 4, SOURCE_OTHER = 6 };
enum { ENCODING_ARROW_IPC = 1 };

/* ---- Encoding ---- */

static void put_tuid(rk_buffer *out, uint32_t number, rk_tuid id)
{
  const size_t mark = rk_pb_begin(out, number);
  rk_pb_fixed64(out, 1, id.time_ns);
  rk_pb_fixed64(out, 2, id.inc);
  rk_pb_end(out, mark);
}

static void put_store_id(rk_buffer *out, uint32_t number, const rk_store_id *store)
{
  const size_t mark = rk_pb_begin(out, number);
  rk_pb_varint(out, 1, store->kind);
  rk_pb_bytes(out, 2, store->recording_id.data, store->recording_id.size);
  if (store->application_id.data != NULL) {
    const size_t inner = rk_pb_begin(out, 3);
    rk_pb_bytes(out, 1, store->application_id.data, store->application_id.size);
    rk_pb_end(out, inner);
  }
  rk_pb_end(out, mark);
}

/* Names come from the system as bytes; a thread's name may be cut inside a character. */
static void put_replaced(rk_buffer *out, uint32_t number, rk_text text)
{
  if (text.size > 0) {
    const size_t mark = rk_pb_begin(out, number);
    rk_utf8_append_replaced(out, text.data, text.size);
    rk_pb_end(out, mark);
  }
}

static void put_writer(rk_buffer *out, const rk_writer_record *writer)
{
  const size_t mark = rk_pb_begin(out, WRITER_FIELD);
  rk_pb_varint(out, 1, writer->tag);
  put_replaced(out, 2, writer->host);
  put_replaced(out, 3, writer->boot_id);
  put_replaced(out, 4, writer->thread);
  put_replaced(out, 5, writer->program);
  rk_pb_varint(out, 6, (uint64_t)writer->pid);
  rk_pb_varint(out, 7, (uint64_t)writer->tid);
  rk_pb_fixed64(out, 8, (uint64_t)writer->start_ns);
  rk_pb_fixed64(out, 9, (uint64_t)writer->clock_monotonic);
  rk_pb_fixed64(out, 10, (uint64_t)writer->clock_realtime);
  rk_pb_fixed64(out, 11, (uint64_t)writer->clock_offset);
  rk_pb_end(out, mark);
}

static void put_recording(rk_buffer *out, const rk_recording_record *recording)
{
  const size_t mark = rk_pb_begin(out, RECORDING_FIELD);
  rk_pb_fixed64(out, 1, (uint64_t)recording->clock_offset);
  put_replaced(out, 2, recording->boot_id);
  rk_pb_fixed64(out, 3, (uint64_t)recording->clock_monotonic);
  rk_pb_fixed64(out, 4, (uint64_t)recording->clock_realtime);
  rk_pb_end(out, mark);
}

static void put_source(rk_buffer *out, uint32_t kind)
{
  const size_t mark = rk_pb_begin(out, 5);
  rk_pb_varint(out, 1, kind);
  if (kind == SOURCE_PYTHON || kind == SOURCE_RUST || kind == SOURCE_OTHER) {
    rk_pb_bytes(out, 2, NULL, 0);
  } else if (kind == SOURCE_FILE) {
    static const uint8_t file_source_sdk[] = {0x0A, 0x02, 0x08, 0x05}; /* extra.payload = FileSource{kind SDK} */
    rk_pb_bytes(out, 2, file_source_sdk, sizeof file_source_sdk);
  }
  rk_pb_end(out, mark);
}

void rk_store_info_encode(rk_buffer *out, const rk_store_info *info)
{
  put_tuid(out, 1, info->row_id);
  const size_t mark = rk_pb_begin(out, 2);
  put_store_id(out, 2, &info->store);
  put_source(out, info->source_kind);
  if (info->store_version != 0) {
    const size_t version = rk_pb_begin(out, 6);
    rk_pb_varint(out, 1, (uint64_t)(int64_t)(int32_t)info->store_version);
    rk_pb_end(out, version);
  }
  rk_pb_end(out, mark);
  if (info->has_writer) {
    put_writer(out, &info->writer);
  }
  if (info->has_recording) {
    put_recording(out, &info->recording);
  }
}

void rk_arrow_msg_encode(rk_buffer *out, const rk_arrow_msg *msg)
{
  put_store_id(out, 1, &msg->store);
  rk_pb_varint(out, 2, msg->compression);
  rk_pb_varint(out, 3, msg->uncompressed_size);
  rk_pb_varint(out, 4, ENCODING_ARROW_IPC);
  rk_pb_bytes(out, 5, msg->payload, msg->payload_size);
  if (msg->has_chunk_id) {
    put_tuid(out, 6, msg->chunk_id);
  }
  if (msg->is_static) {
    rk_pb_varint(out, 7, 1);
  }
}

void rk_blueprint_activation_encode(rk_buffer *out, const rk_blueprint_activation *command)
{
  put_store_id(out, 1, &command->blueprint);
  if (command->make_active) {
    rk_pb_varint(out, 2, 1);
  }
  if (command->make_default) {
    rk_pb_varint(out, 3, 1);
  }
}

size_t rk_frame_begin(rk_buffer *out, unsigned kind)
{
  const size_t start = out->size;
  uint8_t *header = rk_buffer_extend(out, RK_FRAME_HEADER_SIZE);
  if (header != NULL) {
    rk_frame_header_encode(header, (rk_frame_header){.kind = (rk_frame_kind)kind, .size = 0});
  }
  return start;
}

void rk_frame_end(rk_buffer *out, size_t frame_start)
{
  if (!out->failed) {
    rk_store_u64(out->data + frame_start + 8, out->size - frame_start - RK_FRAME_HEADER_SIZE);
  }
}

/* ---- Decoding ---- */

/* One message under decoding. Fields of a repeated submessage are merged into the same struct, the last value of a
 * repeated scalar wins, and unknown fields are skipped, as protobuf demands. */
typedef struct decoding {
  const char *message;
  const uint8_t *start;
  rk_error *error;
  rk_status status;
} decoding;

static bool fail(decoding *d, rk_status status, const uint8_t *at, const char *what)
{
  d->status =
      rk_fail(d->error, status, at == NULL ? RK_NO_OFFSET : (uint64_t)(at - d->start), "%s: %s", d->message, what);
  return false;
}

/* True with the next field; false at the end (status OK) and on malformed bytes (status set). */
static bool next(decoding *d, rk_pb_cursor *cursor, rk_pb_field *field)
{
  const uint8_t *at = cursor->p;
  const int result = rk_pb_next(cursor, field);
  if (result < 0) {
    fail(d, RK_ERR_CORRUPT, at, "malformed protobuf");
  }
  return result > 0;
}

static bool want(decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_pb_wire wire)
{
  return field->wire == wire || fail(d, RK_ERR_CORRUPT, cursor->p, "field of the wrong wire type");
}

static bool get_text(decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_text *text)
{
  if (!want(d, cursor, field, RK_PB_BYTES)) {
    return false;
  }
  if (!rk_utf8_valid(field->data, field->size)) {
    return fail(d, RK_ERR_CORRUPT, field->data, "text is not UTF-8");
  }
  *text = (rk_text){.data = (const char *)field->data, .size = field->size};
  return true;
}

static bool get_fixed(decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, int64_t *value)
{
  if (!want(d, cursor, field, RK_PB_FIXED64)) {
    return false;
  }
  *value = (int64_t)field->value;
  return true;
}

static bool get_bool(decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, bool *value)
{
  if (!want(d, cursor, field, RK_PB_VARINT)) {
    return false;
  }
  *value = field->value != 0;
  return true;
}

typedef struct tuid_parts {
  bool present, has_time, has_inc;
  rk_tuid id;
} tuid_parts;

static bool get_tuid(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, tuid_parts *tuid)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  tuid->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    if (field.number == 1 || field.number == 2) {
      if (!want(d, &cursor, &field, RK_PB_FIXED64)) {
        return false;
      }
      *(field.number == 1 ? &tuid->id.time_ns : &tuid->id.inc) = field.value;
      *(field.number == 1 ? &tuid->has_time : &tuid->has_inc) = true;
    }
  }
  return d->status == RK_OK;
}

static bool tuid_complete(decoding *d, const tuid_parts *tuid)
{
  return (tuid->has_time && tuid->has_inc) || fail(d, RK_ERR_CORRUPT, NULL, "id without time_ns or inc");
}

static bool get_application_id(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_text *id)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  if (id->data == NULL) {
    *id = (rk_text){.data = "", .size = 0};
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    if (field.number == 1 && !get_text(d, &cursor, &field, id)) {
      return false;
    }
  }
  return d->status == RK_OK;
}

static bool get_store_id(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_store_id *store)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  if (store->kind == 0) {
    store->kind = RK_STORE_RECORDING;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = want(d, &cursor, &field, RK_PB_VARINT);
      store->kind = (uint32_t)field.value == STORE_KIND_BLUEPRINT ? RK_STORE_BLUEPRINT : RK_STORE_RECORDING;
    } else if (field.number == 2) {
      ok = get_text(d, &cursor, &field, &store->recording_id);
    } else if (field.number == 3) {
      ok = get_application_id(d, &cursor, &field, &store->application_id);
    }
    if (!ok) {
      return false;
    }
  }
  return d->status == RK_OK;
}

/* An absent application id can be known from an earlier SetStoreInfo; an empty one cannot. */
static bool store_complete(decoding *d, const rk_store_id *store)
{
  if (store->kind == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no store id");
  }
  if (store->recording_id.size == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no recording id");
  }
  if (store->application_id.data != NULL && store->application_id.size == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "empty application id");
  }
  return true;
}

typedef struct source_parts {
  bool present, has_extra;
  uint32_t kind;
} source_parts;

static bool get_source(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, source_parts *source)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  source->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    if (field.number == 1) {
      if (!want(d, &cursor, &field, RK_PB_VARINT)) {
        return false;
      }
      source->kind = (uint32_t)field.value;
    } else if (field.number == 2) {
      if (!want(d, &cursor, &field, RK_PB_BYTES)) {
        return false;
      }
      source->has_extra = true;
    }
  }
  return d->status == RK_OK;
}

static bool get_version(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, uint32_t *version)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    if (field.number == 1) {
      if (!want(d, &cursor, &field, RK_PB_VARINT)) {
        return false;
      }
      *version = (uint32_t)field.value;
    }
  }
  return d->status == RK_OK;
}

typedef struct info_parts {
  bool present;
  rk_text legacy_application_id; /* where Rerun 0.24 and earlier kept it */
  source_parts source;
} info_parts;

static bool get_info(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_store_info *info,
                     info_parts *parts)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  parts->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = get_application_id(d, &cursor, &field, &parts->legacy_application_id);
    } else if (field.number == 2) {
      ok = get_store_id(d, &cursor, &field, &info->store);
    } else if (field.number == 5) {
      ok = get_source(d, &cursor, &field, &parts->source);
    } else if (field.number == 6) {
      ok = get_version(d, &cursor, &field, &info->store_version);
    }
    if (!ok) {
      return false;
    }
  }
  return d->status == RK_OK;
}

static bool get_writer(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_writer_record *writer)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    bool ok = true;
    switch (field.number) {
    case 1:
      ok = want(d, &cursor, &field, RK_PB_VARINT);
      if (ok && field.value > UINT32_MAX) {
        return fail(d, RK_ERR_CORRUPT, cursor.p, "writer tag of more than 32 bits");
      }
      writer->tag = (uint32_t)field.value;
      break;
    case 2:
      ok = get_text(d, &cursor, &field, &writer->host);
      break;
    case 3:
      ok = get_text(d, &cursor, &field, &writer->boot_id);
      break;
    case 4:
      ok = get_text(d, &cursor, &field, &writer->thread);
      break;
    case 5:
      ok = get_text(d, &cursor, &field, &writer->program);
      break;
    case 6:
    case 7:
      ok = want(d, &cursor, &field, RK_PB_VARINT);
      *(field.number == 6 ? &writer->pid : &writer->tid) = (int64_t)field.value;
      break;
    case 8:
      ok = get_fixed(d, &cursor, &field, &writer->start_ns);
      break;
    case 9:
      ok = get_fixed(d, &cursor, &field, &writer->clock_monotonic);
      break;
    case 10:
      ok = get_fixed(d, &cursor, &field, &writer->clock_realtime);
      break;
    case 11:
      ok = get_fixed(d, &cursor, &field, &writer->clock_offset);
      break;
    default:
      break;
    }
    if (!ok) {
      return false;
    }
  }
  return d->status == RK_OK;
}

static bool get_recording(decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message,
                          rk_recording_record *recording, bool *has_offset)
{
  if (!want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = get_fixed(d, &cursor, &field, &recording->clock_offset);
      *has_offset = true;
    } else if (field.number == 2) {
      ok = get_text(d, &cursor, &field, &recording->boot_id);
    } else if (field.number == 3) {
      ok = get_fixed(d, &cursor, &field, &recording->clock_monotonic);
    } else if (field.number == 4) {
      ok = get_fixed(d, &cursor, &field, &recording->clock_realtime);
    }
    if (!ok) {
      return false;
    }
  }
  return d->status == RK_OK;
}

static bool store_info_complete(decoding *d, rk_store_info *info, const tuid_parts *row_id, const info_parts *parts,
                                bool has_offset)
{
  if (!row_id->present || !parts->present) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no row id or no info");
  }
  if (info->store.application_id.data == NULL) {
    info->store.application_id = parts->legacy_application_id;
  }
  if (!tuid_complete(d, row_id) || !store_complete(d, &info->store)) {
    return false;
  }
  if (info->store.application_id.data == NULL) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no application id");
  }
  const uint32_t kind = parts->source.kind;
  const bool needs_extra = kind == SOURCE_PYTHON || kind == SOURCE_RUST || kind == SOURCE_FILE || kind == SOURCE_OTHER;
  if (!parts->source.present || (needs_extra && !parts->source.has_extra)) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no store source, or one without its extra");
  }
  if (info->has_writer && info->writer.tag == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "writer record without a tag");
  }
  if (info->has_recording && !has_offset) {
    return fail(d, RK_ERR_CORRUPT, NULL, "recording record without a clock offset");
  }
  info->row_id = row_id->id;
  info->source_kind = kind;
  return true;
}

rk_status rk_store_info_decode(const void *data, size_t size, rk_store_info *info, rk_error *error)
{
  decoding d = {.message = "SetStoreInfo", .start = data, .error = error};
  rk_store_info result = {0};
  tuid_parts row_id = {0};
  info_parts parts = {0};
  bool has_offset = false;
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (next(&d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = get_tuid(&d, &cursor, &field, &row_id);
    } else if (field.number == 2) {
      ok = get_info(&d, &cursor, &field, &result, &parts);
    } else if (field.number == WRITER_FIELD) {
      ok = get_writer(&d, &cursor, &field, &result.writer);
      result.has_writer = true;
    } else if (field.number == RECORDING_FIELD) {
      ok = get_recording(&d, &cursor, &field, &result.recording, &has_offset);
      result.has_recording = true;
    }
    if (!ok) {
      return d.status;
    }
  }
  if (d.status == RK_OK && store_info_complete(&d, &result, &row_id, &parts, has_offset)) {
    *info = result;
  }
  return d.status;
}

static bool arrow_msg_complete(decoding *d, rk_arrow_msg *msg, const tuid_parts *chunk_id, uint32_t compression,
                               uint32_t encoding)
{
  if (!store_complete(d, &msg->store)) {
    return false;
  }
  if (encoding == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no encoding");
  }
  if (encoding != ENCODING_ARROW_IPC) {
    return fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown encoding");
  }
  if (compression > RK_COMPRESSION_LZ4) {
    return fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown compression");
  }
  if (msg->payload == NULL) {
    return fail(d, RK_ERR_CORRUPT, NULL, "no payload");
  }
  msg->compression = compression == RK_COMPRESSION_LZ4 ? RK_COMPRESSION_LZ4 : RK_COMPRESSION_NONE;
  if (msg->compression == RK_COMPRESSION_LZ4 && msg->uncompressed_size == 0) {
    return fail(d, RK_ERR_CORRUPT, NULL, "compressed payload without uncompressed size");
  }
  if (chunk_id->present && !tuid_complete(d, chunk_id)) {
    return false;
  }
  msg->has_chunk_id = chunk_id->present;
  msg->chunk_id = chunk_id->id;
  return true;
}

rk_status rk_arrow_msg_decode(const void *data, size_t size, rk_arrow_msg *msg, rk_error *error)
{
  decoding d = {.message = "ArrowMsg", .start = data, .error = error};
  rk_arrow_msg result = {0};
  tuid_parts chunk_id = {0};
  uint32_t compression = 0;
  uint32_t encoding = 0;
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (next(&d, &cursor, &field)) {
    bool ok = true;
    switch (field.number) {
    case 1:
      ok = get_store_id(&d, &cursor, &field, &result.store);
      break;
    case 2:
      ok = want(&d, &cursor, &field, RK_PB_VARINT);
      compression = (uint32_t)field.value;
      break;
    case 3:
      ok = want(&d, &cursor, &field, RK_PB_VARINT);
      result.uncompressed_size = field.value;
      break;
    case 4:
      ok = want(&d, &cursor, &field, RK_PB_VARINT);
      encoding = (uint32_t)field.value;
      break;
    case 5:
      ok = want(&d, &cursor, &field, RK_PB_BYTES);
      result.payload = field.data;
      result.payload_size = field.size;
      break;
    case 6:
      ok = get_tuid(&d, &cursor, &field, &chunk_id);
      break;
    case 7:
      ok = get_bool(&d, &cursor, &field, &result.is_static);
      break;
    default:
      break;
    }
    if (!ok) {
      return d.status;
    }
  }
  if (d.status == RK_OK && arrow_msg_complete(&d, &result, &chunk_id, compression, encoding)) {
    *msg = result;
  }
  return d.status;
}

rk_status rk_blueprint_activation_decode(const void *data, size_t size, rk_blueprint_activation *command,
                                         rk_error *error)
{
  decoding d = {.message = "BlueprintActivationCommand", .start = data, .error = error};
  rk_blueprint_activation result = {0};
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (next(&d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = get_store_id(&d, &cursor, &field, &result.blueprint);
    } else if (field.number == 2) {
      ok = get_bool(&d, &cursor, &field, &result.make_active);
    } else if (field.number == 3) {
      ok = get_bool(&d, &cursor, &field, &result.make_default);
    }
    if (!ok) {
      return d.status;
    }
  }
  if (d.status == RK_OK && store_complete(&d, &result.blueprint)) {
    *command = result;
  }
  return d.status;
}
