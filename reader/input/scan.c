/* The forward walk over an input's frames: streams, seals, damage and getting back into step (SPEC "Recovery"). */
#include "reader/input/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "reader/input/resync.h"

struct rk_scan {
  rk_source *source;
  const rk_scan_events *events;
  rk_resync resync;
  uint64_t stream_offset;
  uint64_t offset;
  rk_scan_frame last; /* handed over and taken */
  bool sealed;        /* seals were seen in this stream */
  bool verified_next; /* the frame at `offset` was verified while getting back into step */
  bool expect_stream; /* an End and its footer were read: only a stream header may follow */
  bool begun;
  bool has_tail; /* no sound frame begins at `offset` or behind it */
  rk_scan_tail tail;
  bool has_end; /* the End that was read last, */
  uint64_t end_offset, end_size;
  uint8_t end_bytes[RK_FRAME_HEADER_SIZE + RK_STREAM_FOOTER_SIZE]; /* its header and stream footer */
  unsigned steps;                                                  /* since progress was told */
  uint64_t told;                                                   /* offset then */
};

/* Of frames larger than this only both ends are read, of smaller ones what lies between too: one read takes many. */
#define SPARSE_FRAME   ((uint64_t)4096)
#define STEPS_PROGRESS 1024
#define BYTES_PROGRESS ((uint64_t)16 << 20)

/* What is wrong at the scan's offset. */
typedef struct damage {
  rk_status status;
  char reason[240];
} damage;

static damage damaged(rk_status status, const char *reason)
{
  damage d = {.status = status};
  (void)snprintf(d.reason, sizeof d.reason, "%s", reason);
  return d;
}

void rk_scan_know(rk_scan *scan, uint64_t recording_hash)
{
  rk_resync_know(&scan->resync, recording_hash);
}

static rk_status report(rk_scan *scan, uint64_t offset, uint64_t end, rk_status status, const char *reason)
{
  return scan->events->on_loss(scan->events->context, offset, end - offset, status, reason) ? RK_OK : RK_ERR_NO_MEMORY;
}

/* Whether [offset, end) holds zeros alone; reads on only while it does. */
static rk_status zero_filled(rk_scan *scan, uint64_t offset, uint64_t end, bool *zero)
{
  *zero = offset < end;
  while (*zero && offset < end) {
    const uint8_t *bytes;
    const size_t size = end - offset < 4096 ? (size_t)(end - offset) : 4096;
    const rk_status status = rk_source_peek(scan->source, offset, size, &bytes);
    if (status == RK_ERR_TRUNCATED) {
      break;
    }
    if (status) {
      return status;
    }
    *zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
    offset += size;
  }
  return RK_OK;
}

/* A frame that is not handed over, at the scan's offset: a filler or an End. */
static rk_status mark(rk_scan *scan, rk_frame_kind kind, uint64_t size, const rk_stream_footer *footer)
{
  const uint64_t offset = scan->offset;
  scan->offset += size;
  return !scan->events->on_mark ||
                 scan->events->on_mark(scan->events->context, kind, offset, size, scan->stream_offset, footer)
             ? RK_OK
             : RK_ERR_NO_MEMORY;
}

static void begin_stream(rk_scan *scan, uint64_t offset)
{
  scan->stream_offset = offset;
  scan->offset = offset + RK_STREAM_HEADER_SIZE;
  scan->sealed = false;
  scan->expect_stream = false;
  scan->verified_next = false;
  scan->has_end = false;
  rk_resync_forget(&scan->resync);
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

static const char torn[] = "torn: a frame ends early and others follow";

/* Finds where to go on after the damage at the scan's offset, and reports what lies between. */
static rk_status recover(rk_scan *scan, damage d)
{
  rk_resync_kind kind;
  uint64_t next = scan->source->size;
  uint64_t from = scan->offset;
  if (scan->last.offset + scan->last.size == from && scan->last.size > 2 * RK_FRAME_HEADER_SIZE) {
    from -= RK_STREAM_HEADER_SIZE + 1; /* cut by a few bytes, it took them from a stream header that follows */
  }
  scan->source->ahead = RK_SOURCE_PEEK_MAX;
  rk_status status = rk_resync_find(&scan->resync, from, &kind, &next);
  if (status) {
    return status;
  }
  if (kind == RK_RESYNC_STREAM && next < scan->offset) {
    const uint64_t end = next;
    begin_stream(scan, end);
    return scan->last.sealed ? RK_OK /* its hash will be found wrong */
                             : report(scan, scan->last.offset, end, RK_ERR_CORRUPT, torn);
  }
  if (kind == RK_RESYNC_NONE) {
    next = scan->source->size;
  } else if (d.status == RK_ERR_TRUNCATED) {
    d = damaged(RK_ERR_CORRUPT, torn);
  }
  bool zero;
  status = zero_filled(scan, scan->offset, next, &zero);
  if (status) {
    return status;
  }
  if (zero) {
    d = kind == RK_RESYNC_NONE ? damaged(RK_ERR_TRUNCATED, "zero-filled tail")
                               : damaged(RK_ERR_CORRUPT, "zero-filled range");
  }
  if (kind == RK_RESYNC_NONE) {
    scan->has_tail = true;
    scan->tail = (rk_scan_tail){.offset = scan->offset, .length = next - scan->offset, .status = d.status};
    memcpy(scan->tail.reason, d.reason, sizeof d.reason);
    return RK_OK;
  }
  status = report(scan, scan->offset, next, d.status, d.reason);
  scan->offset = next;
  scan->expect_stream = kind == RK_RESYNC_STREAM;
  scan->verified_next = kind == RK_RESYNC_FRAME;
  if (kind == RK_RESYNC_FRAME) {
    scan->sealed = true;
  }
  return status;
}

/* Whether reading can go on at `offset` by what the bytes there say. */
static rk_status plausible(rk_scan *scan, uint64_t offset, bool *yes)
{
  *yes = offset == scan->source->size;
  const uint8_t *bytes;
  rk_status status = rk_source_peek(scan->source, offset, RK_STREAM_HEADER_SIZE, &bytes);
  rk_stream_header stream;
  if (status == RK_OK && rk_stream_header_decode(bytes, &stream, NULL) == RK_OK) {
    *yes = true;
    return RK_OK;
  }
  if (status == RK_OK) {
    status = rk_source_peek(scan->source, offset, RK_FRAME_HEADER_SIZE, &bytes);
  }
  if (status) {
    return status == RK_ERR_TRUNCATED ? RK_OK : status;
  }
  rk_frame_header header;
  *yes = rk_frame_header_decode(bytes, &header) &&
         rk_range_ok(offset + RK_FRAME_HEADER_SIZE, header.size, scan->source->size);
  const uint64_t end = offset + RK_FRAME_HEADER_SIZE + (*yes ? header.size : 0);
  if (*yes && header.kind == RK_FRAME_END && end != scan->source->size) { /* zeros look like an End */
    rk_stream_footer footer;
    status = rk_source_peek(scan->source, end, RK_STREAM_FOOTER_SIZE, &bytes);
    *yes = status == RK_OK && rk_stream_footer_decode(bytes, &footer);
  }
  return status == RK_ERR_TRUNCATED ? RK_OK : status;
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
  const damage d = damaged(status, error.message[0] ? error.message : rk_status_text(status));
  if (!frame->sealed) { /* its length may be what is wrong: a sealed frame inside, or no frame after it, tells */
    bool yes;
    rk_status found = plausible(scan, frame->offset + frame->size, &yes);
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
      return recover(scan, d);
    }
  }
  scan->offset += frame->size;
  return report(scan, frame->offset, frame->offset + frame->size, d.status, d.reason);
}

/* Header and stream footer of an End of `size` bytes. */
static rk_status end_bytes(rk_source *source, uint64_t offset, uint64_t size, uint8_t *bytes)
{
  memset(bytes, 0, RK_FRAME_HEADER_SIZE + RK_STREAM_FOOTER_SIZE);
  rk_status status = rk_source_read(source, offset, bytes, RK_FRAME_HEADER_SIZE);
  if (status == RK_OK && size >= RK_FRAME_HEADER_SIZE + RK_STREAM_FOOTER_SIZE) {
    status = rk_source_read(source, offset + size - RK_STREAM_FOOTER_SIZE, bytes + RK_FRAME_HEADER_SIZE,
                            RK_STREAM_FOOTER_SIZE);
  }
  return status;
}

/* Keeps the End at the scan's offset in mind: somebody may join and remove it. False: RK_ERR_IO. */
static bool note_end(rk_scan *scan, uint64_t size)
{
  const rk_status status = end_bytes(scan->source, scan->offset, size, scan->end_bytes);
  scan->has_end = status == RK_OK;
  scan->end_offset = scan->offset;
  scan->end_size = size;
  return status != RK_ERR_IO;
}

/* An End frame whose payload is `size` bytes. */
static rk_status end_frame(rk_scan *scan, uint64_t size)
{
  const uint64_t payload = scan->offset + RK_FRAME_HEADER_SIZE;
  const uint64_t end = payload + size;
  const uint64_t rest = scan->source->size - end;
  const uint8_t *bytes;
  rk_seal seal;
  bool seal_like = false; /* a sealed frame whose kind was damaged */
  if (size >= RK_SEAL_SIZE) {
    const rk_status status = rk_source_peek(scan->source, end - RK_SEAL_SIZE, RK_SEAL_SIZE, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? recover(scan, damaged(RK_ERR_TRUNCATED, "the input shrank")) : status;
    }
    seal_like = rk_seal_decode(bytes, &seal) != RK_END;
  }
  if (rest == 0 && !seal_like) {
    return note_end(scan, end - scan->offset) ? mark(scan, RK_FRAME_END, end - scan->offset, NULL) : RK_ERR_IO;
  }
  if (rest < RK_STREAM_FOOTER_SIZE) {
    if (size == 0 || seal_like) {
      return recover(scan, damaged(RK_ERR_CORRUPT, "no frame begins here"));
    }
    const uint64_t start = scan->offset;
    scan->offset = end;
    const rk_status status = recover(scan, damaged(RK_ERR_TRUNCATED, "ends in the middle of a stream footer"));
    scan->offset = scan->has_tail ? start : scan->offset; /* where to go on should the rest come */
    return status;
  }
  rk_status status = rk_source_peek(scan->source, end, RK_STREAM_FOOTER_SIZE, &bytes);
  if (status) {
    return status == RK_ERR_TRUNCATED ? recover(scan, damaged(RK_ERR_TRUNCATED, "the input shrank")) : status;
  }
  rk_stream_footer footer;
  const bool is_footer = !seal_like && rk_stream_footer_decode(bytes, &footer) && footer.payload_size == size;
  const bool in_place = is_footer && footer.payload_offset == payload - scan->stream_offset;
  if (is_footer && !in_place && scan->source->zst) { /* units before it are lost: its offsets mean nothing */
    return note_end(scan, end + RK_STREAM_FOOTER_SIZE - scan->offset)
               ? mark(scan, RK_FRAME_END, end + RK_STREAM_FOOTER_SIZE - scan->offset, NULL)
               : RK_ERR_IO;
  }
  if (!in_place) {
    bool yes;
    status = plausible(scan, end, &yes);
    if (status) {
      return status;
    }
    if (yes && size == 0 && !scan->sealed) { /* an empty End without footer, and a further stream */
      rk_stream_header header;
      status = rk_source_peek(scan->source, end, RK_STREAM_HEADER_SIZE, &bytes);
      if (status == RK_OK && rk_stream_header_decode(bytes, &header, NULL) == RK_OK) {
        return mark(scan, RK_FRAME_END, end - scan->offset, NULL);
      }
    }
    return recover(scan, damaged(RK_ERR_CORRUPT, "no frame begins here"));
  }
  const uint64_t start = scan->offset;
  const uint64_t whole = end + RK_STREAM_FOOTER_SIZE - start;
  if (!note_end(scan, whole)) {
    return RK_ERR_IO;
  }
  scan->expect_stream = true;
  status = rk_resync_check_footer(&scan->resync, payload, size, footer.payload_hash);
  if (status == RK_ERR_CORRUPT) {
    scan->offset += whole;
    return report(scan, start, scan->offset, status, "the footer's hash is wrong; no row is in it");
  }
  return status && status != RK_ERR_LIMIT ? status : mark(scan, RK_FRAME_END, whole, &footer);
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
      return status == RK_ERR_TRUNCATED ? recover(scan, damaged(RK_ERR_TRUNCATED, "the input shrank")) : status;
    }
    const rk_status decoded = rk_seal_decode(block, &frame.seal);
    frame.sealed = decoded == RK_OK && frame.seal.frame_size == frame.size;
    if (decoded == RK_ERR_UNSUPPORTED) {
      scan->offset += frame.size;
      return report(scan, frame.offset, frame.offset + frame.size, RK_ERR_UNSUPPORTED,
                    "sealed by a newer version of rrdkit");
    }
  }
  if (!frame.sealed) {
    if (scan->sealed) {
      return recover(scan, damaged(RK_ERR_CORRUPT, "a frame without its seal"));
    }
    return deliver(scan, &frame);
  }
  if (frame.kind != RK_FRAME_SET_STORE_INFO && !rk_resync_known(&scan->resync, frame.seal.recording_hash)) {
    return recover(scan, damaged(RK_ERR_CORRUPT, "a frame of another recording"));
  }
  scan->sealed = true;
  if (frame.seal.flags & RK_SEAL_FILLER) {
    const rk_status status = frame.verified ? RK_OK : rk_resync_verify(&scan->resync, frame.offset, frame.size);
    if (status == RK_OK) {
      return mark(scan, frame.kind, frame.size, NULL);
    }
    if (status != RK_ERR_CORRUPT && status != RK_ERR_LIMIT) {
      return status;
    }
    scan->offset += frame.size;
    return report(scan, frame.offset, frame.offset + frame.size, RK_ERR_CORRUPT, "its hash is wrong");
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
      begin_stream(scan, scan->offset);
      return RK_OK;
    }
  }
  return recover(scan, damaged(RK_ERR_TRUNCATED, "ends in the middle of a frame header"));
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
    return status == RK_ERR_TRUNCATED ? recover(scan, damaged(RK_ERR_TRUNCATED, "the input shrank")) : status;
  }
  rk_stream_header stream;
  if (memcmp(bytes, "RRF", 3) == 0) {
    rk_error error;
    if (rk_stream_header_decode(bytes, &stream, &error) == RK_OK) {
      begin_stream(scan, scan->offset);
      return RK_OK;
    }
    return recover(scan, damaged(error.status, error.message));
  }
  if (scan->expect_stream) {
    scan->expect_stream = false;
    return recover(scan, damaged(RK_ERR_CORRUPT, "trailing bytes after the end of a stream"));
  }
  rk_frame_header header;
  if (!rk_frame_header_decode(bytes, &header)) {
    return recover(scan, damaged(RK_ERR_CORRUPT, "no frame begins here"));
  }
  if (header.size > rest - RK_FRAME_HEADER_SIZE) {
    return recover(scan, damaged(RK_ERR_TRUNCATED, "ends in the middle of a frame"));
  }
  return header.kind == RK_FRAME_END ? end_frame(scan, header.size) : data_frame(scan, header);
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
    begin_stream(scan, 0);
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
  return report(scan, 0, next, status, failed.message);
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

rk_status rk_scan_resume(rk_scan *scan, bool *end_gone, uint64_t *end_offset)
{
  scan->has_tail = false;
  rk_resync_extend(&scan->resync);
  *end_gone = false;
  if (!scan->has_end || scan->end_offset + scan->end_size != scan->offset) {
    return RK_OK;
  }
  uint8_t bytes[sizeof scan->end_bytes];
  const rk_status status = end_bytes(scan->source, scan->end_offset, scan->end_size, bytes);
  if (status && status != RK_ERR_TRUNCATED) {
    return status;
  }
  *end_gone = status != RK_OK || memcmp(bytes, scan->end_bytes, sizeof bytes) != 0;
  *end_offset = scan->end_offset;
  if (*end_gone) {
    scan->offset = scan->end_offset;
    scan->has_end = scan->expect_stream = false;
  }
  return RK_OK;
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
