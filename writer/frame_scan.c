/* Finding the sealed frames of a recording on disk (SPEC "Recovery"). */
#include "writer/frame_scan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"

#define WINDOW      ((size_t)1 << 20)
#define MAGIC_PLACE 4 /* of the magic within a seal */
static const uint8_t magic[8] = {0x89, 'R', 'K', 'S', 'E', 'A', 'L', '\n'};

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

rk_frame_scan rk_frame_scan_begin(int fd, uint64_t offset, uint64_t end, uint64_t recording_hash)
{
  return (rk_frame_scan){.fd = fd,
                         .offset = offset,
                         .end = end,
                         .recording_hash = recording_hash,
                         .budget = 4 * (end > offset ? end - offset : 0) + ((uint64_t)64 << 20)};
}

void rk_frame_scan_free(rk_frame_scan *scan)
{
  rk_buffer_free(&scan->window);
  rk_buffer_free(&scan->frame);
}

/* Reads [offset, offset + size) into an emptied buffer. */
static rk_status load(int fd, rk_buffer *buffer, uint64_t offset, uint64_t size)
{
  rk_buffer_reset(buffer);
  uint8_t *out = size > SIZE_MAX / 2 ? NULL : rk_buffer_extend(buffer, (size_t)size);
  return out == NULL ? RK_ERR_NO_MEMORY : rk_read_at(fd, out, (size_t)size, offset);
}

/* Whether a frame of this recording begins at `offset` and ends at its seal at or before `end`. RK_END: no. */
static rk_status frame_at(rk_frame_scan *scan, uint64_t offset)
{
  uint8_t bytes[RK_SEAL_SIZE];
  if (offset > scan->end || scan->end - offset < RK_FRAME_HEADER_SIZE + RK_SEAL_SIZE) {
    return RK_END;
  }
  rk_status status = rk_read_at(scan->fd, bytes, RK_FRAME_HEADER_SIZE, offset);
  if (status != RK_OK) {
    return status;
  }
  if (!rk_frame_header_decode(bytes, &scan->header) || scan->header.size < RK_SEAL_SIZE ||
      scan->header.size > scan->end - offset - RK_FRAME_HEADER_SIZE) {
    return RK_END;
  }
  const uint64_t frame_size = RK_FRAME_HEADER_SIZE + scan->header.size;
  status = rk_read_at(scan->fd, bytes, sizeof bytes, offset + frame_size - RK_SEAL_SIZE);
  if (status != RK_OK) {
    return status;
  }
  if (rk_seal_decode(bytes, &scan->seal) != RK_OK || scan->seal.frame_size != frame_size ||
      scan->seal.recording_hash != scan->recording_hash) {
    return RK_END;
  }
  scan->frame_offset = offset;
  return RK_OK;
}

/* Hashes the frame that frame_at found. RK_END: unsound. */
static rk_status verify(rk_frame_scan *scan)
{
  if (scan->seal.frame_size > scan->budget) {
    return RK_ERR_CORRUPT;
  }
  scan->budget -= scan->seal.frame_size;
  const rk_status status = load(scan->fd, &scan->frame, scan->frame_offset, scan->seal.frame_size);
  if (status != RK_OK) {
    return status;
  }
  return rk_seal_verify(scan->frame.data, scan->frame.size) ? RK_OK : RK_END;
}

/* The frame that the seal whose magic is at `place` closes, if it begins at or after `floor` and is sound. */
static rk_status frame_before(rk_frame_scan *scan, uint64_t place, uint64_t floor)
{
  uint8_t bytes[RK_SEAL_SIZE];
  rk_seal seal;
  if (place < MAGIC_PLACE || scan->end - (place - MAGIC_PLACE) < RK_SEAL_SIZE) {
    return RK_END;
  }
  const uint64_t end = place - MAGIC_PLACE + RK_SEAL_SIZE;
  rk_status status = rk_read_at(scan->fd, bytes, sizeof bytes, end - RK_SEAL_SIZE);
  if (status != RK_OK) {
    return status;
  }
  if (rk_seal_decode(bytes, &seal) != RK_OK || seal.frame_size > end || end - seal.frame_size < floor) {
    return RK_END;
  }
  status = frame_at(scan, end - seal.frame_size);
  return status != RK_OK ? status : scan->seal.frame_size != seal.frame_size ? RK_END : verify(scan);
}

static rk_status search(rk_frame_scan *scan)
{
  const uint64_t floor = scan->offset;
  for (uint64_t at = floor; scan->end > at && scan->end - at >= sizeof magic;) {
    const uint64_t size = scan->end - at < WINDOW ? scan->end - at : WINDOW;
    rk_status status = load(scan->fd, &scan->window, at, size);
    if (status != RK_OK) {
      return status;
    }
    for (size_t from = 0;;) {
      const uint8_t *found = memmem(scan->window.data + from, (size_t)size - from, magic, sizeof magic);
      if (found == NULL) {
        break;
      }
      status = frame_before(scan, at + (size_t)(found - scan->window.data), floor);
      if (status != RK_END) {
        return status;
      }
      from = (size_t)(found - scan->window.data) + 1;
    }
    at += size == WINDOW ? size - (sizeof magic - 1) : size;
  }
  return RK_END;
}

rk_status rk_frame_scan_next(rk_frame_scan *scan, rk_error *error)
{
  rk_status status = frame_at(scan, scan->offset);
  if (status == RK_OK && !scan->synced) {
    status = verify(scan);
  }
  if (status == RK_END) {
    status = search(scan);
  }
  if (status != RK_OK) {
    return failed(status, error);
  }
  scan->synced = true;
  scan->offset = scan->frame_offset + scan->seal.frame_size;
  return RK_OK;
}

const uint8_t *rk_frame_scan_load(rk_frame_scan *scan)
{
  return load(scan->fd, &scan->frame, scan->frame_offset, scan->seal.frame_size) == RK_OK &&
                 rk_seal_verify(scan->frame.data, scan->frame.size)
             ? scan->frame.data
             : NULL;
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

rk_status rk_frame_scan_last(int fd, uint64_t floor, uint64_t end, uint64_t recording_hash, uint64_t *last,
                             rk_error *error)
{
  rk_frame_scan scan = rk_frame_scan_begin(fd, floor, end, recording_hash);
  rk_status status = RK_END;
  *last = floor;
  uint64_t high = end; /* no seal's magic begins at or behind it */
  if (end - floor >= RK_SEAL_SIZE) {
    status = frame_before(&scan, end - RK_SEAL_SIZE + MAGIC_PLACE, floor);
    high = status == RK_END ? data_end(fd, floor, end) : end;
  }
  while (status == RK_END && high > floor) {
    const uint64_t low = high - floor < WINDOW ? floor : high - WINDOW;
    const uint64_t more = end - high < sizeof magic - 1 ? end - high : sizeof magic - 1;
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
      if (scan.window.size - left >= sizeof magic && memcmp(found, magic, sizeof magic) == 0) {
        status = frame_before(&scan, low + left, floor);
      }
    }
    high = low;
  }
  if (status == RK_OK) {
    *last = scan.frame_offset + scan.seal.frame_size;
  }
  rk_frame_scan_free(&scan);
  return status == RK_END ? RK_OK : failed(status, error);
}
