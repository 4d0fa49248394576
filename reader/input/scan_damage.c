/* Damage on the walk over frames: where reading goes on behind it, and what is lost in between. */
#include <stdio.h>
#include <string.h>

#include "format/bytes.h"
#include "reader/input/scan_internal.h"

rk_status rk_scan_report(rk_scan *scan, uint64_t offset, uint64_t end, rk_status status, const char *reason)
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

static const char torn[] = "torn: a frame ends early and others follow";

rk_status rk_scan_recover(rk_scan *scan, rk_status lost, const char *reason)
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
  if (kind != RK_RESYNC_NONE && next < scan->offset) { /* the last frame took bytes of what is sound */
    const uint64_t end = next;
    if (kind == RK_RESYNC_STREAM) {
      rk_scan_begin_stream(scan, end);
    } else {
      scan->offset = end;
      scan->expect_stream = false;
      scan->verified_next = scan->sealed = true;
    }
    return scan->last.sealed ? RK_OK /* its hash will be found wrong */
                             : rk_scan_report(scan, scan->last.offset, end, RK_ERR_CORRUPT, torn);
  }
  if (kind == RK_RESYNC_NONE) {
    next = scan->source->size;
  } else if (lost == RK_ERR_TRUNCATED) {
    lost = RK_ERR_CORRUPT;
    reason = torn;
  }
  bool zero;
  status = zero_filled(scan, scan->offset, next, &zero);
  if (status) {
    return status;
  }
  if (zero) {
    lost = kind == RK_RESYNC_NONE ? RK_ERR_TRUNCATED : RK_ERR_CORRUPT;
    reason = kind == RK_RESYNC_NONE ? "zero-filled tail" : "zero-filled range";
  }
  if (kind == RK_RESYNC_NONE) {
    scan->has_tail = true;
    scan->tail = (rk_scan_tail){.offset = scan->offset, .length = next - scan->offset, .status = lost};
    (void)snprintf(scan->tail.reason, sizeof scan->tail.reason, "%s", reason);
    return RK_OK;
  }
  status = rk_scan_report(scan, scan->offset, next, lost, reason);
  scan->offset = next;
  scan->expect_stream = kind == RK_RESYNC_STREAM;
  scan->verified_next = kind == RK_RESYNC_FRAME;
  if (kind == RK_RESYNC_FRAME) {
    scan->sealed = true;
  }
  return status;
}

rk_status rk_scan_unread(rk_scan *scan, rk_status status)
{
  return status == RK_ERR_TRUNCATED ? rk_scan_recover(scan, RK_ERR_TRUNCATED, "the input shrank") : status;
}

rk_status rk_scan_plausible(rk_scan *scan, uint64_t offset, bool *yes)
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
