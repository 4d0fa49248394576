/* The forward walk over an input's frames: streams, seals, damage and getting back into step (SPEC "Recovery"). */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "reader/input/scan_internal.h"

/* Of frames larger than this only both ends are read, of smaller ones what lies between too: one read takes many. */
#define SPARSE_FRAME   ((uint64_t)4096)
#define STEPS_PROGRESS 1024
#define BYTES_PROGRESS ((uint64_t)16 << 20)

void rk_scan_begin_stream(rk_scan *scan, uint64_t offset)
{
  scan->stream_offset = offset;
  scan->offset = offset + RK_STREAM_HEADER_SIZE;
  scan->sealed = false;
  scan->expect_stream = false;
  scan->verified_next = false;
  scan->has_end = false;
  rk_resync_forget(&scan->resync);
}

rk_status rk_scan_mark(rk_scan *scan, rk_frame_kind kind, uint64_t size, const rk_stream_footer *footer)
{
  const uint64_t offset = scan->offset;
  scan->offset += size;
  return !scan->events->on_mark ||
                 scan->events->on_mark(scan->events->context, kind, offset, size, scan->stream_offset, footer)
             ? RK_OK
             : RK_ERR_NO_MEMORY;
}

void rk_scan_know(rk_scan *scan, uint64_t recording_hash)
{
  rk_resync_know(&scan->resync, recording_hash);
}

/* How far peeks read ahead, by the sizes of the frames met. */
static void look_ahead(rk_scan *scan, uint64_t frame_size)
{
  rk_source *source = scan->source;
  if (frame_size > SPARSE_FRAME) {
    source->ahead = 0;
  } else if (source->ahead < RK_SOURCE_WINDOW) {
    source->ahead = source->ahead < 512 ? 1024 : source->ahead * 2;
    source->ahead = source->ahead < RK_SOURCE_WINDOW ? source->ahead : RK_SOURCE_WINDOW;
  }
}

/* Hands over the frame; what the handler cannot use is a loss. */
static rk_status deliver(rk_scan *scan, const rk_scan_frame *frame)
{
  rk_error error = {.message = ""};
  rk_status status = scan->events->on_frame(scan->events->context, scan, frame, &error);
  if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
    return status;
  }
  if (status == RK_OK) {
    scan->offset += frame->size;
    scan->last = *frame;
    return RK_OK;
  }
  const char *reason = error.message[0] ? error.message : rk_status_text(status);
  if (!frame->sealed) { /* its length may be what is wrong: a sealed frame inside, or no frame after it, tells */
    bool yes;
    rk_status found = rk_scan_plausible(scan, frame->offset + frame->size, &yes);
    if (found) {
      return found;
    }
    rk_resync_kind kind;
    uint64_t next;
    if (yes) {
      found = rk_resync_find(&scan->resync, frame->offset, &kind, &next);
      if (found) {
        return found;
      }
      yes = kind != RK_RESYNC_FRAME || next >= frame->offset + frame->size;
    }
    if (!yes) {
      return rk_scan_recover(scan, status, reason);
    }
  }
  scan->offset += frame->size;
  return rk_scan_report(scan, frame->offset, frame->offset + frame->size, status, reason);
}

/* A frame of another kind; its header is sound. */
static rk_status data_frame(rk_scan *scan, rk_frame_header header)
{
  rk_scan_frame frame = {.kind = header.kind,
                         .offset = scan->offset,
                         .size = header.size + RK_FRAME_HEADER_SIZE,
                         .verified = scan->verified_next};
  scan->verified_next = false;
  look_ahead(scan, frame.size);
  if (header.size >= RK_SEAL_SIZE) {
    const uint8_t *block;
    const uint64_t rest = scan->source->size - (frame.offset + frame.size);
    const size_t next = rest < RK_FRAME_HEADER_SIZE ? (size_t)rest : RK_FRAME_HEADER_SIZE; /* the next header with it */
    const rk_status status =
        rk_source_peek(scan->source, frame.offset + frame.size - RK_SEAL_SIZE, RK_SEAL_SIZE + next, &block);
    if (status) {
      return rk_scan_unread(scan, status);
    }
    const rk_status decoded = rk_seal_decode(block, &frame.seal);
    frame.sealed = decoded == RK_OK && frame.seal.frame_size == frame.size;
    if (decoded == RK_ERR_UNSUPPORTED) {
      scan->offset += frame.size;
      return rk_scan_report(scan, frame.offset, frame.offset + frame.size, RK_ERR_UNSUPPORTED,
                            "sealed by a newer version of rrdkit");
    }
  }
  if (!frame.sealed) {
    if (scan->sealed) {
      return rk_scan_recover(scan, RK_ERR_CORRUPT, "a frame without its seal");
    }
    return deliver(scan, &frame);
  }
  if (frame.kind != RK_FRAME_SET_STORE_INFO && !rk_resync_known(&scan->resync, frame.seal.recording_hash)) {
    return rk_scan_recover(scan, RK_ERR_CORRUPT, "a frame of another recording");
  }
  scan->sealed = true;
  if (frame.seal.flags & RK_SEAL_FILLER) {
    const rk_status status = frame.verified ? RK_OK : rk_resync_verify(&scan->resync, frame.offset, frame.size);
    if (status == RK_OK) {
      return rk_scan_mark(scan, frame.kind, frame.size, NULL);
    }
    if (status != RK_ERR_CORRUPT && status != RK_ERR_LIMIT) {
      return status;
    }
    scan->offset += frame.size;
    return rk_scan_report(scan, frame.offset, frame.offset + frame.size, RK_ERR_CORRUPT, "its hash is wrong");
  }
  return deliver(scan, &frame);
}

/* Fewer bytes than a frame header are left. */
static rk_status short_tail(rk_scan *scan)
{
  const uint64_t rest = scan->source->size - scan->offset;
  const uint8_t *bytes;
  rk_stream_header header;
  if (rest == RK_STREAM_HEADER_SIZE) {
    const rk_status status = rk_source_peek(scan->source, scan->offset, (size_t)rest, &bytes);
    if (status && status != RK_ERR_TRUNCATED) {
      return status;
    }
    if (status == RK_OK && rk_stream_header_decode(bytes, &header, NULL) == RK_OK) {
      rk_scan_begin_stream(scan, scan->offset);
      return RK_OK;
    }
  }
  return rk_scan_recover(scan, RK_ERR_TRUNCATED, "ends in the middle of a frame header");
}

static rk_status step(rk_scan *scan)
{
  const uint64_t rest = scan->source->size - scan->offset;
  if (rest < RK_FRAME_HEADER_SIZE) {
    return short_tail(scan);
  }
  const uint8_t *bytes;
  const rk_status status = rk_source_peek(scan->source, scan->offset, RK_FRAME_HEADER_SIZE, &bytes);
  if (status) {
    return rk_scan_unread(scan, status);
  }
  rk_stream_header stream;
  if (memcmp(bytes, "RRF", 3) == 0) {
    rk_error error;
    if (rk_stream_header_decode(bytes, &stream, &error) == RK_OK) {
      rk_scan_begin_stream(scan, scan->offset);
      return RK_OK;
    }
    return rk_scan_recover(scan, error.status, error.message);
  }
  if (scan->expect_stream) {
    scan->expect_stream = false;
    return rk_scan_recover(scan, RK_ERR_CORRUPT, "trailing bytes after the end of a stream");
  }
  rk_frame_header header;
  if (!rk_frame_header_decode(bytes, &header)) {
    return rk_scan_recover(scan, RK_ERR_CORRUPT, "no frame begins here");
  }
  if (header.size > rest - RK_FRAME_HEADER_SIZE) {
    return rk_scan_recover(scan, RK_ERR_TRUNCATED, "ends in the middle of a frame");
  }
  return header.kind == RK_FRAME_END ? rk_scan_end_frame(scan, header.size) : data_frame(scan, header);
}

/* The stream header at offset 0; where it is damaged, sealed frames may still be found. */
static rk_status first_header(rk_scan *scan, rk_error *error)
{
  const uint8_t *bytes;
  uint8_t header_bytes[RK_STREAM_HEADER_SIZE] = {0};
  const size_t have = scan->source->size < RK_STREAM_HEADER_SIZE ? (size_t)scan->source->size : RK_STREAM_HEADER_SIZE;
  rk_status status = rk_source_peek(scan->source, 0, have, &bytes);
  if (status) {
    return status;
  }
  memcpy(header_bytes, bytes, have);
  rk_stream_header header;
  rk_error failed = {.message = ""};
  if (have < RK_STREAM_HEADER_SIZE) {
    return memcmp(header_bytes, rk_stream_header_bytes, have < 4 ? have : 4) == 0
               ? rk_fail(error, RK_ERR_TRUNCATED, have, "ends in the middle of the stream header")
               : rk_fail(error, RK_ERR_NOT_RRD, 0, "not a Rerun recording");
  }
  status = rk_stream_header_decode(header_bytes, &header, &failed);
  if (status == RK_OK) {
    rk_scan_begin_stream(scan, 0);
    return RK_OK;
  }
  if (scan->source->zst) { /* the unit that held it is lost; the first one found begins with a frame */
    scan->sealed = true;
    return RK_OK;
  }
  rk_resync_kind kind;
  uint64_t next;
  const rk_status found = rk_resync_find(&scan->resync, 0, &kind, &next);
  if (found) {
    return found;
  }
  if (kind != RK_RESYNC_FRAME) {
    if (error) {
      *error = failed;
    }
    return status;
  }
  scan->offset = next;
  scan->sealed = true;
  scan->verified_next = true;
  return rk_scan_report(scan, 0, next, status, failed.message);
}

rk_scan *rk_scan_new(rk_source *source)
{
  rk_scan *scan = calloc(1, sizeof *scan);
  if (!scan || !rk_resync_init(&scan->resync, source)) {
    free(scan);
    return NULL;
  }
  scan->source = source;
  return scan;
}

void rk_scan_free(rk_scan *scan)
{
  if (scan) {
    rk_resync_free(&scan->resync);
    free(scan);
  }
}

bool rk_scan_tail_of(const rk_scan *scan, rk_scan_tail *tail)
{
  if (scan->has_tail) {
    *tail = scan->tail;
  }
  return scan->has_tail;
}

uint64_t rk_scan_offset(const rk_scan *scan)
{
  return scan->offset;
}

void rk_scan_cut(rk_scan *scan, uint64_t offset)
{
  scan->offset = offset;
  scan->has_end = scan->expect_stream = scan->verified_next = false;
  scan->last = (rk_scan_frame){0};
}

static bool progress(rk_scan *scan)
{
  if (!scan->events->on_progress || (++scan->steps < STEPS_PROGRESS && scan->offset < scan->source->size &&
                                     scan->offset - scan->told < BYTES_PROGRESS)) {
    return true;
  }
  scan->steps = 0;
  scan->told = scan->offset;
  return scan->events->on_progress(scan->events->context, scan->offset);
}

rk_status rk_scan_run(rk_scan *scan, const rk_scan_events *events, rk_error *error)
{
  rk_source *source = scan->source;
  scan->events = events;
  rk_error failed = {.message = ""};
  rk_status status = RK_OK;
  source->ahead = 4096;
  if (!scan->begun) {
    status = first_header(scan, &failed);
    scan->begun = status == RK_OK;
  }
  while (status == RK_OK && !scan->has_tail && scan->offset < source->size) {
    status = step(scan);
    status = status == RK_OK && !progress(scan) ? RK_END : status;
  }
  source->ahead = RK_SOURCE_PEEK_MAX;
  if (status && error) {
    *error = failed;
  }
  if (status == RK_ERR_IO) {
    return rk_fail_errno(error, source->sys_errno, "cannot read");
  }
  if (status == RK_ERR_NO_MEMORY) {
    return rk_fail(error, RK_ERR_NO_MEMORY, scan->offset, "no memory to read");
  }
  return status == RK_END ? rk_fail(error, RK_END, scan->offset, "stopped") : status;
}
