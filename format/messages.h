/* The protobuf messages inside frames: StoreId, SetStoreInfo, ArrowMsg, BlueprintActivationCommand, and rrdkit's
 * records in SetStoreInfo. */
#ifndef RK_FORMAT_MESSAGES_H
#define RK_FORMAT_MESSAGES_H

#include "format/buffer.h"
#include "format/tuid.h"
#include "rrdkit/reader.h"
#include "rrdkit/recording.h"
#include "rrdkit/status.h"

/* Text lent from the message; not NUL-terminated; UTF-8 checked. data NULL: absent. */
typedef struct rk_text {
  const char *data;
  size_t size;
} rk_text;

typedef struct rk_store_id {
  rk_store_kind kind;
  rk_text application_id, recording_id;
} rk_store_id;

/* Who a writer is (unknown field 24602 of a SetStoreInfo; SPEC "Writer record"). The encoder replaces invalid UTF-8. */
typedef struct rk_writer_record {
  uint32_t tag;                            /* 1 varint, required, not 0 */
  rk_text host, boot_id, thread, program;  /* 2 3 4 5 strings */
  int64_t pid, tid;                        /* 6 7 varint */
  int64_t start_ns;                        /* 8 fixed64: on the recording's axis */
  int64_t clock_monotonic, clock_realtime; /* 9 10 fixed64: pair at start */
  int64_t clock_offset;                    /* 11 fixed64: what this writer adds to CLOCK_MONOTONIC */
  uint64_t dropped_rows;                   /* 12 varint: that its full ring refused so far */
} rk_writer_record;

/* What the creator fixed (unknown field 24603 of the first SetStoreInfo; SPEC "Recording record"). */
typedef struct rk_recording_record {
  int64_t clock_offset;                    /* 1 fixed64, required: ns to add to CLOCK_MONOTONIC of the boot below */
  rk_text boot_id;                         /* 2 string */
  int64_t clock_monotonic, clock_realtime; /* 3 4 fixed64 */
} rk_recording_record;

typedef struct rk_store_info {
  rk_tuid row_id;
  rk_store_id store;
  uint32_t source_kind;   /* rerun-wire.md StoreSource; 1 = C SDK */
  uint32_t store_version; /* version bytes as LE u32; 0 absent */
  bool has_writer, has_recording;
  rk_writer_record writer;
  rk_recording_record recording;
} rk_store_info;

typedef struct rk_arrow_msg {
  rk_store_id store;
  rk_compression compression;
  uint64_t uncompressed_size;
  const uint8_t *payload;
  size_t payload_size;
  bool has_chunk_id, is_static;
  rk_tuid chunk_id;
} rk_arrow_msg;

typedef struct rk_blueprint_activation {
  rk_store_id blueprint;
  bool make_active, make_default;
} rk_blueprint_activation;

/* Encoders append the message only; frame header and seal are the caller's (rk_frame_begin). */
void rk_store_info_encode(rk_buffer *out, const rk_store_info *info);
/* An ArrowMsg: begin, append the payload, end. begin returns where the payload goes; end takes all but store and
 * payload from *msg. Payloads are below 32 GiB. */
size_t rk_arrow_msg_begin(rk_buffer *out, const rk_store_id *store);
void rk_arrow_msg_end(rk_buffer *out, size_t payload, const rk_arrow_msg *msg);
void rk_blueprint_activation_encode(rk_buffer *out, const rk_blueprint_activation *command);

/* Decoders lend from `data`. RK_ERR_CORRUPT (malformed, required field absent, wrong wire type, not UTF-8),
 * RK_ERR_UNSUPPORTED (encoding, compression). */
rk_status rk_store_info_decode(const void *data, size_t size, rk_store_info *info, rk_error *error);
rk_status rk_arrow_msg_decode(const void *data, size_t size, rk_arrow_msg *msg, rk_error *error);
rk_status rk_blueprint_activation_decode(const void *data, size_t size, rk_blueprint_activation *command,
                                         rk_error *error);

/* Starts a frame of `kind` at out->size and returns that offset; rk_frame_end (no seal) or rk_seal_frame completes it.
 */
size_t rk_frame_begin(rk_buffer *out, unsigned kind);
void rk_frame_end(rk_buffer *out, size_t frame_start);

#endif
