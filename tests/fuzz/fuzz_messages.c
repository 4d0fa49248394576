/* Frames, seals and messages from any bytes: what decodes encodes to something that decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "tests/arrow_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

static void check_text(rk_text a, rk_text b)
{
  check(a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0));
}

static void check_store(const rk_store_id *a, const rk_store_id *b)
{
  check(a->kind == b->kind);
  check_text(a->application_id, b->application_id);
  check_text(a->recording_id, b->recording_id);
}

static void try_store_info(const uint8_t *data, size_t size)
{
  rk_store_info a;
  if (rk_store_info_decode(data, size, &a, NULL) != RK_OK) {
    return;
  }
  rk_buffer out = {0};
  rk_store_info_encode(&out, &a);
  rk_store_info b;
  check(rk_store_info_decode(out.data, out.size, &b, NULL) == RK_OK);
  check(a.row_id.time_ns == b.row_id.time_ns && a.row_id.inc == b.row_id.inc);
  check(a.source_kind == b.source_kind && a.store_version == b.store_version);
  check_store(&a.store, &b.store);
  check(a.has_writer == b.has_writer && a.has_recording == b.has_recording);
  if (a.has_writer) {
    check(a.writer.tag == b.writer.tag && a.writer.pid == b.writer.pid && a.writer.tid == b.writer.tid);
    check(a.writer.start_ns == b.writer.start_ns && a.writer.clock_offset == b.writer.clock_offset);
    check_text(a.writer.host, b.writer.host);
    check_text(a.writer.boot_id, b.writer.boot_id);
    check_text(a.writer.thread, b.writer.thread);
    check_text(a.writer.program, b.writer.program);
  }
  if (a.has_recording) {
    check(a.recording.clock_offset == b.recording.clock_offset);
    check_text(a.recording.boot_id, b.recording.boot_id);
  }
  rk_buffer_free(&out);
}

static void try_arrow_msg(const uint8_t *data, size_t size)
{
  rk_arrow_msg a;
  if (rk_arrow_msg_decode(data, size, &a, NULL) != RK_OK || a.uncompressed_size >> 35 != 0) {
    return;
  }
  check(a.payload >= data && a.payload + a.payload_size <= data + size);
  rk_buffer out = {0};
  put_arrow_msg(&out, &a);
  rk_arrow_msg b;
  check(rk_arrow_msg_decode(out.data, out.size, &b, NULL) == RK_OK);
  check_store(&a.store, &b.store);
  check(a.compression == b.compression && a.uncompressed_size == b.uncompressed_size);
  check(a.payload_size == b.payload_size && memcmp(a.payload, b.payload, a.payload_size) == 0);
  check(a.has_chunk_id == b.has_chunk_id && a.is_static == b.is_static);
  check(!a.has_chunk_id || (a.chunk_id.time_ns == b.chunk_id.time_ns && a.chunk_id.inc == b.chunk_id.inc));
  rk_buffer_free(&out);
}

static void try_activation(const uint8_t *data, size_t size)
{
  rk_blueprint_activation a;
  if (rk_blueprint_activation_decode(data, size, &a, NULL) != RK_OK) {
    return;
  }
  rk_buffer out = {0};
  rk_blueprint_activation_encode(&out, &a);
  rk_blueprint_activation b;
  check(rk_blueprint_activation_decode(out.data, out.size, &b, NULL) == RK_OK);
  check_store(&a.blueprint, &b.blueprint);
  check(a.make_active == b.make_active && a.make_default == b.make_default);
  rk_buffer_free(&out);
}

static void try_frames(const uint8_t *data, size_t size)
{
  rk_stream_header stream_header;
  if (size >= RK_STREAM_HEADER_SIZE) {
    (void)rk_stream_header_decode(data, &stream_header, NULL);
  }
  rk_frame_header header;
  if (size >= RK_FRAME_HEADER_SIZE && rk_frame_header_decode(data, &header)) {
    uint8_t again[RK_FRAME_HEADER_SIZE];
    rk_frame_header_encode(again, header);
    check(memcmp(again, data, sizeof again) == 0);
  }
  rk_stream_footer footer;
  if (size >= RK_STREAM_FOOTER_SIZE && rk_stream_footer_decode(data, &footer)) {
    uint8_t again[RK_STREAM_FOOTER_SIZE];
    rk_stream_footer_encode(again, &footer);
    check(memcmp(again, data, sizeof again) == 0);
  }
  const bool sealed = rk_seal_verify(data, size);
  rk_seal seal;
  if (size >= RK_SEAL_SIZE && rk_seal_decode(data + size - RK_SEAL_SIZE, &seal) == RK_OK && sealed) {
    check(seal.frame_size == size);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0) {
    return 0;
  }
  try_store_info(data, size);
  try_arrow_msg(data, size);
  try_activation(data, size);
  try_frames(data, size);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  const rk_text app = {.data = "app", .size = 3};
  const rk_text rec = {.data = "rec", .size = 3};
  const rk_store_id store = {.kind = RK_STORE_RECORDING, .application_id = app, .recording_id = rec};
  rk_buffer out = {0};
  if (index < 2) {
    const size_t start = rk_frame_begin(&out, RK_FRAME_SET_STORE_INFO);
    rk_store_info_encode(&out, &(rk_store_info){.row_id = {.time_ns = 1, .inc = 2},
                                                .store = store,
                                                .source_kind = 1,
                                                .store_version = 0x2100,
                                                .has_writer = true,
                                                .writer = {.tag = 7, .host = app, .thread = rec, .pid = 1, .tid = 2},
                                                .has_recording = true,
                                                .recording = {.clock_offset = 5, .boot_id = rec}});
    rk_seal_frame(&out, start, 0, &(rk_seal){.writer = 7});
  } else if (index == 2) {
    put_arrow_msg(&out, &(rk_arrow_msg){.store = store,
                                        .compression = RK_COMPRESSION_LZ4,
                                        .uncompressed_size = 100,
                                        .payload = (const uint8_t *)"payload",
                                        .payload_size = 7,
                                        .has_chunk_id = true,
                                        .is_static = true});
  } else if (index == 3) {
    rk_blueprint_activation_encode(&out, &(rk_blueprint_activation){.blueprint = store, .make_active = true});
  } else if (index == 4) {
    rk_buffer_append(&out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  } else if (index == 5) {
    uint8_t footer[RK_STREAM_FOOTER_SIZE];
    rk_stream_footer_encode(footer, &(rk_stream_footer){.payload_offset = 28, .payload_size = 5});
    rk_buffer_append(&out, footer, sizeof footer);
  }
  const size_t skip = index == 1 ? RK_FRAME_HEADER_SIZE : 0; /* the message alone, and the whole frame */
  const size_t size = out.failed || out.size - skip > capacity ? 0 : out.size - skip;
  if (size > 0) {
    memcpy(buffer, out.data + skip, size);
  }
  rk_buffer_free(&out);
  return size;
}
