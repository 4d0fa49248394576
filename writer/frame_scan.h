/* Sealed frames of a recording on disk, found from any place on, over damage, without trusting a length. */
#ifndef RK_WRITER_FRAME_SCAN_H
#define RK_WRITER_FRAME_SCAN_H

#include "format/buffer.h"
#include "format/frame.h"
#include "format/seal.h"
#include "rrdkit/status.h"

typedef struct rk_frame_scan {
  int fd;
  uint64_t offset, end; /* what is left to scan */
  uint64_t recording_hash;
  /* the frame found */
  uint64_t frame_offset;
  rk_frame_header header;
  rk_seal seal;
  /* private */
  bool synced;     /* a frame's end is at `offset` */
  uint64_t budget; /* bytes that may yet be hashed for candidates */
  rk_buffer window, frame;
} rk_frame_scan;

/* Scans [offset, end) of the file. */
rk_frame_scan rk_frame_scan_begin(int fd, uint64_t offset, uint64_t end, uint64_t recording_hash);
/* The next frame that a seal of this recording closes. RK_END; RK_ERR_IO, RK_ERR_NO_MEMORY, RK_ERR_CORRUPT (the bytes
 * are made to waste time). The hash has been checked only where the scan resumed after something else. */
rk_status rk_frame_scan_next(rk_frame_scan *scan, rk_error *error);
/* The whole frame just found, its hash checked; lent until the next call. NULL: unsound, or no memory. */
const uint8_t *rk_frame_scan_load(rk_frame_scan *scan);
void rk_frame_scan_free(rk_frame_scan *scan);

/* The end of the last frame in (floor, end] of the file that a sound seal of this recording closes, found from the end;
 * `floor` if there is none. RK_ERR_IO, RK_ERR_NO_MEMORY, RK_ERR_CORRUPT. */
rk_status rk_frame_scan_last(int fd, uint64_t floor, uint64_t end, uint64_t recording_hash, uint64_t *last,
                             rk_error *error);

/* Reads exactly `size` bytes. RK_END: the file is shorter. RK_ERR_IO with errno. */
rk_status rk_read_at(int fd, void *out, size_t size, uint64_t offset);

#endif
