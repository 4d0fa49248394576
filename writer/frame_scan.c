/* Finding the sealed frames of a recording on disk (SPEC "Recovery"). */
#include "writer/frame_scan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/error.h"

#define WINDOW ((size_t)1 << 20)

rk_status rk_read_at(int fd, void *out, size_t size, uint64_t offset)
{
  uint8_t *at = out;
  while (size > 0) {
    const ssize_t n = pread(fd, at, size, (off_t)offset);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return RK_ERR_IO;
    }
    if (n == 0) {
      return RK_END;
    }
    at += n;
    size -= (size_t)n;
    offset += (uint64_t)n;
  }
  return RK_OK;
}

static rk_status failed(rk_status status, rk_error *error)
{
  switch (status) {
  case RK_ERR_IO:
    return rk_fail_errno(error, errno, "cannot read the recording");
  case RK_ERR_NO_MEMORY:
    return rk_fail(error, status, RK_NO_OFFSET, "no memory to read the recording");
  case RK_ERR_CORRUPT:
    return rk_fail(error, status, RK_NO_OFFSET, "the recording is damaged beyond what can be searched");
  default:
    return status;
  }
}

rk_frame_scan rk_frame_scan_begin(int fd, const rk_framing *framing, uint64_t offset, uint64_t end,
                                  uint64_t recording_hash)
{
  return (rk_frame_scan){.fd = fd,
                         .framing = framing,
                         .offset = offset,
                         .end = end,
                         .recording_hash = recording_hash,
                         .budget = 4 * (end > offset ? end - offset : 0) + ((uint64_t)64 << 20)};
}

void rk_frame_scan_free(rk_frame_scan *scan)
{
  rk_buffer_free(&scan->window);
  rk_buffer_free(&scan->piece);
  rk_buffer_free(&scan->lead);
  rk_buffer_free(&scan->record);
  ZSTD_freeDCtx(scan->context);
  scan->context = NULL;
}

/* Reads [offset, offset + size) into an emptied buffer. */
static rk_status load(int fd, rk_buffer *buffer, uint64_t offset, uint64_t size)
{
  rk_buffer_reset(buffer);
  uint8_t *out = size > SIZE_MAX / 2 ? NULL : rk_buffer_extend(buffer, (size_t)size);
  return out == NULL ? RK_ERR_NO_MEMORY : rk_read_at(fd, out, (size_t)size, offset);
}

static bool is_of(const rk_frame_scan *scan, uint64_t recording_hash)
{
  return scan->recording_hash == 0 || recording_hash == scan->recording_hash;
}

/* Whether a piece of this recording begins at `offset` and ends at its seal at or before `end`. RK_END: no. */
static rk_status piece_at(rk_frame_scan *scan, uint64_t offset)
{
  uint8_t bytes[RK_SEAL_SIZE];
  const rk_framing *framing = scan->framing;
  if (offset > scan->end || scan->end - offset < framing->least) {
    return RK_END;
  }
  rk_status status = rk_read_at(scan->fd, bytes, framing->head_size, offset);
  if (status != RK_OK) {
    return status;
  }
  const uint64_t size = framing->size(bytes);
  if (size < framing->least || size > scan->end - offset ||
      (framing == &rk_framing_zst && rk_unit_head_decode(bytes, &scan->unit) != RK_OK)) {
    return RK_END;
  }
  if (framing == &rk_framing_plain) {
    rk_frame_header_decode(bytes, &scan->header);
  }
  status = rk_read_at(scan->fd, bytes, sizeof bytes, offset + size - RK_SEAL_SIZE);
  if (status != RK_OK) {
    return status;
  }
  if (framing->seal(bytes, &scan->piece_seal) != RK_OK || scan->piece_seal.frame_size != size ||
      !is_of(scan, scan->piece_seal.recording_hash)) {
    return RK_END;
  }
  scan->piece_offset = offset;
  return RK_OK;
}

static rk_status load_piece(rk_frame_scan *scan)
{
  const rk_status status = load(scan->fd, &scan->piece, scan->piece_offset, scan->piece_seal.frame_size);
  return status != RK_OK ? status : scan->framing->verify(scan->piece.data, scan->piece.size) ? RK_OK : RK_END;
}

/* Hashes the piece that piece_at found. RK_END: unsound. */
static rk_status verify(rk_frame_scan *scan)
{
  if (scan->piece_seal.frame_size > scan->budget) {
    return RK_ERR_CORRUPT;
  }
  scan->budget -= scan->piece_seal.frame_size;
  return load_piece(scan);
}

/* The piece that the seal at `place` closes, if it begins at or after `floor` and is sound. */
static rk_status piece_before(rk_frame_scan *scan, uint64_t place, uint64_t floor)
{
  uint8_t bytes[RK_SEAL_SIZE];
  rk_seal seal;
  if (place > scan->end || scan->end - place < RK_SEAL_SIZE) {
    return RK_END;
  }
  const uint64_t end = place + RK_SEAL_SIZE;
  rk_status status = rk_read_at(scan->fd, bytes, sizeof bytes, place);
  if (status != RK_OK) {
    return status;
  }
  if (scan->framing->seal(bytes, &seal) != RK_OK || seal.frame_size > end || end - seal.frame_size < floor) {
    return RK_END;
  }
  status = piece_at(scan, end - seal.frame_size);
  return status != RK_OK ? status : scan->piece_seal.frame_size != seal.frame_size ? RK_END : verify(scan);
}

static rk_status search(rk_frame_scan *scan)
{
  const uint8_t *magic = scan->framing->seal_magic;
  const uint64_t floor = scan->offset;
  for (uint64_t at = floor; scan->end > at && scan->end - at >= RK_SEAL_MAGIC_SIZE;) {
    const uint64_t size = scan->end - at < WINDOW ? scan->end - at : WINDOW;
    rk_status status = load(scan->fd, &scan->window, at, size);
    if (status != RK_OK) {
      return status;
    }
    for (size_t from = 0;;) {
      const uint8_t *found = memmem(scan->window.data + from, (size_t)size - from, magic, RK_SEAL_MAGIC_SIZE);
      if (found == NULL) {
        break;
      }
      status = piece_before(scan, at + (size_t)(found - scan->window.data), floor);
      if (status != RK_END) {
        return status;
      }
      from = (size_t)(found - scan->window.data) + 1;
    }
    at += size == WINDOW ? size - (RK_SEAL_MAGIC_SIZE - 1) : size;
  }
  return RK_END;
}

static rk_status next_piece(rk_frame_scan *scan)
{
  rk_status status = piece_at(scan, scan->offset);
  if (status == RK_OK && !scan->synced) {
    status = verify(scan);
  }
  if (status == RK_END) {
    status = search(scan);
  }
  if (status == RK_OK) {
    scan->synced = true;
    scan->offset = scan->piece_offset + scan->piece_seal.frame_size;
  }
  return status;
}

/* The next sealed frame that the current unit's leading frame tells of. RK_END: no more. */
static rk_status next_in_unit(rk_frame_scan *scan)
{
  while (scan->next_frame < scan->unit.frame_count) {
    const rk_status status = rk_unit_frame(scan->lead.data, scan->next_frame++, &scan->header, &scan->seal);
    scan->plain_offset = scan->in_unit;
    scan->in_unit += RK_FRAME_HEADER_SIZE + scan->header.size;
    if (status == RK_OK && is_of(scan, scan->seal.recording_hash)) {
      return RK_OK;
    }
  }
  return RK_END;
}

/* Goes into the unit that was found. */
static rk_status enter_unit(rk_frame_scan *scan)
{
  const rk_status status = load(scan->fd, &scan->lead, scan->piece_offset, scan->unit.lead_size);
  if (status != RK_OK) {
    return status;
  }
  scan->next_frame = 0;
  scan->unit_plain = scan->plain_size;
  scan->plain_size += scan->unit.plain_size;
  scan->in_unit = scan->unit_plain + ((scan->unit.flags & RK_UNIT_STREAM_HEADER) != 0 ? RK_STREAM_HEADER_SIZE : 0);
  if (!rk_unit_lead_check(scan->lead.data, &scan->unit)) {
    scan->unit.frame_count = 0;
  }
  return RK_OK;
}

rk_status rk_frame_scan_next(rk_frame_scan *scan, rk_error *error)
{
  rk_status status;
  if (scan->framing == &rk_framing_plain) {
    status = next_piece(scan);
    scan->plain_offset = scan->piece_offset;
    scan->seal = scan->piece_seal;
    return status == RK_OK ? RK_OK : failed(status, error);
  }
  while ((status = next_in_unit(scan)) == RK_END) {
    status = next_piece(scan);
    status = status != RK_OK ? status : enter_unit(scan);
    if (status != RK_OK) {
      break;
    }
  }
  return status == RK_OK ? RK_OK : failed(status, error);
}

void rk_frame_scan_doubt(rk_frame_scan *scan)
{
  scan->offset = scan->piece_offset + 1;
  scan->synced = false;
  scan->unit.frame_count = 0;
}

/* Unpacks the current unit, unless it was the last one unpacked. */
static bool unpack(rk_frame_scan *scan)
{
  if (scan->unpacked != scan->piece_offset + 1) {
    scan->unpacked = 0;
    rk_buffer_reset(&scan->record);
    if ((scan->context == NULL && (scan->context = ZSTD_createDCtx()) == NULL) || load_piece(scan) != RK_OK ||
        rk_unit_unwrap(&scan->record, scan->context, scan->piece.data, scan->piece.size) != RK_OK) {
      return false;
    }
    scan->unpacked = scan->piece_offset + 1;
  }
  return scan->record.size == scan->unit.plain_size;
}

const uint8_t *rk_frame_scan_load(rk_frame_scan *scan)
{
  if (scan->framing == &rk_framing_plain) {
    return load_piece(scan) == RK_OK ? scan->piece.data : NULL;
  }
  const uint8_t *frame = unpack(scan) ? scan->record.data + (scan->plain_offset - scan->unit_plain) : NULL;
  return frame != NULL && rk_seal_verify(frame, (size_t)scan->seal.frame_size) ? frame : NULL;
}

/* Where the file's last data may end: behind it are only holes. Halves the range in which SEEK_DATA still finds any. */
static uint64_t data_end(int fd, uint64_t floor, uint64_t end)
{
  if (lseek(fd, (off_t)floor, SEEK_DATA) < 0) {
    return errno == ENXIO ? floor : end;
  }
  uint64_t data = floor, none = end;
  while (none - data > 4096) {
    const uint64_t middle = data + (none - data) / 2;
    const off_t found = lseek(fd, (off_t)middle, SEEK_DATA);
    if (found < 0) {
      none = middle;
    } else {
      data = (uint64_t)found < none ? (uint64_t)found : middle;
    }
  }
  return none;
}

rk_status rk_frame_scan_last(int fd, const rk_framing *framing, uint64_t floor, uint64_t end, uint64_t recording_hash,
                             uint64_t *last, rk_error *error)
{
  rk_frame_scan scan = rk_frame_scan_begin(fd, framing, floor, end, recording_hash);
  const uint8_t *magic = framing->seal_magic;
  rk_status status = RK_END;
  *last = floor;
  uint64_t high = end; /* no seal begins at or behind it */
  if (end - floor >= RK_SEAL_SIZE) {
    status = piece_before(&scan, end - RK_SEAL_SIZE, floor);
    high = status == RK_END ? data_end(fd, floor, end) : end;
  }
  while (status == RK_END && high > floor) {
    const uint64_t low = high - floor < WINDOW ? floor : high - WINDOW;
    const uint64_t more = end - high < RK_SEAL_MAGIC_SIZE - 1 ? end - high : RK_SEAL_MAGIC_SIZE - 1;
    status = load(fd, &scan.window, low, high - low + more);
    if (status != RK_OK) {
      break;
    }
    status = RK_END;
    const uint8_t *data = scan.window.data;
    size_t left = (size_t)(high - low);
    while (status == RK_END && left > 0) {
      const uint8_t *found = memrchr(data, magic[0], left);
      if (found == NULL) {
        break;
      }
      left = (size_t)(found - data);
      if (scan.window.size - left >= RK_SEAL_MAGIC_SIZE && memcmp(found, magic, RK_SEAL_MAGIC_SIZE) == 0) {
        status = piece_before(&scan, low + left, floor);
      }
    }
    high = low;
  }
  if (status == RK_OK) {
    *last = scan.piece_offset + scan.piece_seal.frame_size;
  }
  rk_frame_scan_free(&scan);
  return status == RK_END ? RK_OK : failed(status, error);
}
