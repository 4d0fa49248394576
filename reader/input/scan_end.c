/* The ends of streams on the walk over frames: End, its footer, and what others may do to them. */
#include <string.h>

#include "reader/input/scan_internal.h"

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

rk_status rk_scan_end_frame(rk_scan *scan, uint64_t size)
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
      return rk_scan_unread(scan, status);
    }
    seal_like = rk_seal_decode(bytes, &seal) != RK_END;
  }
  if (rest == 0 && !seal_like) {
    return note_end(scan, end - scan->offset) ? rk_scan_mark(scan, RK_FRAME_END, end - scan->offset, NULL) : RK_ERR_IO;
  }
  if (rest < RK_STREAM_FOOTER_SIZE) {
    if (size == 0 || seal_like) {
      return rk_scan_recover(scan, RK_ERR_CORRUPT, "no frame begins here");
    }
    const uint64_t start = scan->offset;
    scan->offset = end;
    const rk_status status = rk_scan_recover(scan, RK_ERR_TRUNCATED, "ends in the middle of a stream footer");
    scan->offset = scan->has_tail ? start : scan->offset; /* where to go on should the rest come */
    return status;
  }
  rk_status status = rk_source_peek(scan->source, end, RK_STREAM_FOOTER_SIZE, &bytes);
  if (status) {
    return rk_scan_unread(scan, status);
  }
  rk_stream_footer footer;
  const bool is_footer = !seal_like && rk_stream_footer_decode(bytes, &footer) && footer.payload_size == size;
  const bool in_place = is_footer && footer.payload_offset == payload - scan->stream_offset;
  if (is_footer && !in_place && scan->source->zst) { /* units before it are lost: its offsets mean nothing */
    return note_end(scan, end + RK_STREAM_FOOTER_SIZE - scan->offset)
               ? rk_scan_mark(scan, RK_FRAME_END, end + RK_STREAM_FOOTER_SIZE - scan->offset, NULL)
               : RK_ERR_IO;
  }
  if (!in_place) {
    bool yes;
    status = rk_scan_plausible(scan, end, &yes);
    if (status) {
      return status;
    }
    if (yes && size == 0 && !scan->sealed) { /* an empty End without footer, and a further stream */
      rk_stream_header header;
      status = rk_source_peek(scan->source, end, RK_STREAM_HEADER_SIZE, &bytes);
      if (status == RK_OK && rk_stream_header_decode(bytes, &header, NULL) == RK_OK) {
        return rk_scan_mark(scan, RK_FRAME_END, end - scan->offset, NULL);
      }
    }
    return rk_scan_recover(scan, RK_ERR_CORRUPT, "no frame begins here");
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
    return rk_scan_report(scan, start, scan->offset, status, "the footer's hash is wrong; no row is in it");
  }
  return status && status != RK_ERR_LIMIT ? status : rk_scan_mark(scan, RK_FRAME_END, whole, &footer);
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
