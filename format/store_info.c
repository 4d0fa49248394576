/* SetStoreInfo, with rrdkit's writer record and recording record in it (SPEC "SetStoreInfo", "Writer record",
 * "Recording record"). */
#include <assert.h>
#include <stddef.h>

#include "format/message_parts.h"

enum { WRITER_FIELD = 24602, RECORDING_FIELD = 24603 };
enum { SOURCE_PYTHON = 2, SOURCE_RUST = 3, SOURCE_FILE = 4, SOURCE_OTHER = 6 };

/* A SetStoreInfo under decoding. */
typedef struct parts {
  rk_store_info info;
  rk_tuid_parts row_id;
  bool has_info, has_source, has_extra, has_offset;
  rk_text legacy_application_id; /* where Rerun 0.24 and earlier kept it */
} parts;

static_assert(offsetof(parts, info) == 0, "the encoder follows the same tables");

enum { TOP, INFO, SOURCE, VERSION, WRITER, RECORDING };
static const rk_parts tables[] = {
    [TOP] = {{1, RK_PART_TUID, 0, offsetof(parts, row_id), 0},
             {2, RK_PART_MESSAGE, INFO, 0, 1 + offsetof(parts, has_info)},
             {WRITER_FIELD, RK_PART_MESSAGE, WRITER, offsetof(parts, info.writer),
              1 + offsetof(parts, info.has_writer)},
             {RECORDING_FIELD, RK_PART_MESSAGE, RECORDING, 0, 1 + offsetof(parts, info.has_recording)}},
    [INFO] = {{1, RK_PART_APPLICATION_ID, 0, offsetof(parts, legacy_application_id), 0},
              {2, RK_PART_STORE_ID, 0, offsetof(parts, info.store), 0},
              {5, RK_PART_MESSAGE, SOURCE, 0, 1 + offsetof(parts, has_source)},
              {6, RK_PART_MESSAGE, VERSION, offsetof(parts, info.store_version), 0}},
    [SOURCE] = {{1, RK_PART_UINT32, 0, offsetof(parts, info.source_kind), 0},
                {2, RK_PART_NOTED, 0, 0, 1 + offsetof(parts, has_extra)}},
    [VERSION] = {{1, RK_PART_UINT32, 0, 0, 0}},
    [WRITER] = {{1, RK_PART_TAG, 0, offsetof(rk_writer_record, tag), 0},
                {2, RK_PART_TEXT, 0, offsetof(rk_writer_record, host), 0},
                {3, RK_PART_TEXT, 0, offsetof(rk_writer_record, boot_id), 0},
                {4, RK_PART_TEXT, 0, offsetof(rk_writer_record, thread), 0}, /* may be cut inside a character */
                {5, RK_PART_TEXT, 0, offsetof(rk_writer_record, program), 0},
                {6, RK_PART_VARINT, 0, offsetof(rk_writer_record, pid), 0},
                {7, RK_PART_VARINT, 0, offsetof(rk_writer_record, tid), 0},
                {8, RK_PART_FIXED64, 0, offsetof(rk_writer_record, start_ns), 0},
                {9, RK_PART_FIXED64, 0, offsetof(rk_writer_record, clock_monotonic), 0},
                {10, RK_PART_FIXED64, 0, offsetof(rk_writer_record, clock_realtime), 0},
                {11, RK_PART_FIXED64, 0, offsetof(rk_writer_record, clock_offset), 0},
                {12, RK_PART_VARINT, 0, offsetof(rk_writer_record, dropped_rows), 0}},
    [RECORDING] = {{1, RK_PART_FIXED64, 0, offsetof(parts, info.recording.clock_offset),
                    1 + offsetof(parts, has_offset)},
                   {2, RK_PART_TEXT, 0, offsetof(parts, info.recording.boot_id), 0},
                   {3, RK_PART_FIXED64, 0, offsetof(parts, info.recording.clock_monotonic), 0},
                   {4, RK_PART_FIXED64, 0, offsetof(parts, info.recording.clock_realtime), 0}},
};

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
    rk_put_parts(out, WRITER_FIELD, tables[WRITER], &info->writer);
  }
  if (info->has_recording) {
    rk_put_parts(out, RECORDING_FIELD, tables[RECORDING], info);
  }
}

static bool complete(rk_decoding *d, parts *p)
{
  if (!p->row_id.present || !p->has_info) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no row id or no info");
  }
  rk_store_info *info = &p->info;
  if (info->store.application_id.data == NULL) {
    info->store.application_id = p->legacy_application_id;
  }
  if (!rk_tuid_complete(d, &p->row_id) || !rk_store_complete(d, &info->store)) {
    return false;
  }
  if (info->store.application_id.data == NULL) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no application id");
  }
  const uint32_t kind = info->source_kind;
  const bool needs_extra = kind == SOURCE_PYTHON || kind == SOURCE_RUST || kind == SOURCE_FILE || kind == SOURCE_OTHER;
  if (!p->has_source || (needs_extra && !p->has_extra)) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no store source, or one without its extra");
  }
  if (info->has_writer && info->writer.tag == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "writer record without a tag");
  }
  if (info->has_recording && !p->has_offset) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "recording record without a clock offset");
  }
  info->row_id = p->row_id.id;
  return true;
}

rk_status rk_store_info_decode(const void *data, size_t size, rk_store_info *info, rk_error *error)
{
  rk_decoding d = {.message = "SetStoreInfo", .start = data, .error = error};
  parts p = {0};
  if (rk_get_parts(&d, data, size, tables, TOP, &p) && complete(&d, &p)) {
    *info = p.info;
  }
  return d.status;
}
