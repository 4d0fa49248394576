/* SetStoreInfo, with rrdkit's writer record and recording record in it (SPEC "SetStoreInfo", "Writer record",
 * "Recording record"). */
#include "format/message_parts.h"
#include "format/utf8.h"

enum { WRITER_FIELD = 24602, RECORDING_FIELD = 24603 };
enum { SOURCE_PYTHON = 2, SOURCE_RUST = 3, SOURCE_FILE = 4, SOURCE_OTHER = 6 };

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
  if (writer->dropped_rows != 0) {
    rk_pb_varint(out, 12, writer->dropped_rows);
  }
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
  rk_put_tuid(out, 1, info->row_id);
  const size_t mark = rk_pb_begin(out, 2);
  rk_put_store_id(out, 2, &info->store);
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

static bool get_fixed(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, int64_t *value)
{
  if (!rk_decoding_want(d, cursor, field, RK_PB_FIXED64)) {
    return false;
  }
  *value = (int64_t)field->value;
  return true;
}

typedef struct source_parts {
  bool present, has_extra;
  uint32_t kind;
} source_parts;

static bool get_source(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, source_parts *source)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  source->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    if (field.number == 1) {
      if (!rk_decoding_want(d, &cursor, &field, RK_PB_VARINT)) {
        return false;
      }
      source->kind = (uint32_t)field.value;
    } else if (field.number == 2) {
      if (!rk_decoding_want(d, &cursor, &field, RK_PB_BYTES)) {
        return false;
      }
      source->has_extra = true;
    }
  }
  return d->status == RK_OK;
}

static bool get_version(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, uint32_t *version)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    if (field.number == 1) {
      if (!rk_decoding_want(d, &cursor, &field, RK_PB_VARINT)) {
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

static bool get_info(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_store_info *info,
                     info_parts *parts)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  parts->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = rk_get_application_id(d, &cursor, &field, &parts->legacy_application_id);
    } else if (field.number == 2) {
      ok = rk_get_store_id(d, &cursor, &field, &info->store);
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

static bool get_writer(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_writer_record *writer)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    bool ok = true;
    switch (field.number) {
    case 1:
      ok = rk_decoding_want(d, &cursor, &field, RK_PB_VARINT);
      if (ok && field.value > UINT32_MAX) {
        return rk_decoding_fail(d, RK_ERR_CORRUPT, cursor.p, "writer tag of more than 32 bits");
      }
      writer->tag = (uint32_t)field.value;
      break;
    case 2:
      ok = rk_get_text(d, &cursor, &field, &writer->host);
      break;
    case 3:
      ok = rk_get_text(d, &cursor, &field, &writer->boot_id);
      break;
    case 4:
      ok = rk_get_text(d, &cursor, &field, &writer->thread);
      break;
    case 5:
      ok = rk_get_text(d, &cursor, &field, &writer->program);
      break;
    case 6:
    case 7:
      ok = rk_decoding_want(d, &cursor, &field, RK_PB_VARINT);
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
    case 12:
      ok = rk_decoding_want(d, &cursor, &field, RK_PB_VARINT);
      writer->dropped_rows = field.value;
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

static bool get_recording(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message,
                          rk_recording_record *recording, bool *has_offset)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = get_fixed(d, &cursor, &field, &recording->clock_offset);
      *has_offset = true;
    } else if (field.number == 2) {
      ok = rk_get_text(d, &cursor, &field, &recording->boot_id);
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

static bool store_info_complete(rk_decoding *d, rk_store_info *info, const rk_tuid_parts *row_id,
                                const info_parts *parts, bool has_offset)
{
  if (!row_id->present || !parts->present) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no row id or no info");
  }
  if (info->store.application_id.data == NULL) {
    info->store.application_id = parts->legacy_application_id;
  }
  if (!rk_tuid_complete(d, row_id) || !rk_store_complete(d, &info->store)) {
    return false;
  }
  if (info->store.application_id.data == NULL) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no application id");
  }
  const uint32_t kind = parts->source.kind;
  const bool needs_extra = kind == SOURCE_PYTHON || kind == SOURCE_RUST || kind == SOURCE_FILE || kind == SOURCE_OTHER;
  if (!parts->source.present || (needs_extra && !parts->source.has_extra)) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no store source, or one without its extra");
  }
  if (info->has_writer && info->writer.tag == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "writer record without a tag");
  }
  if (info->has_recording && !has_offset) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "recording record without a clock offset");
  }
  info->row_id = row_id->id;
  info->source_kind = kind;
  return true;
}

rk_status rk_store_info_decode(const void *data, size_t size, rk_store_info *info, rk_error *error)
{
  rk_decoding d = {.message = "SetStoreInfo", .start = data, .error = error};
  rk_store_info result = {0};
  rk_tuid_parts row_id = {0};
  info_parts parts = {0};
  bool has_offset = false;
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (rk_decoding_next(&d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = rk_get_tuid(&d, &cursor, &field, &row_id);
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
