/* Sealed frames of a recording on disk, found from any place on, over damage, without trusting a length. */
#ifndef RK_WRITER_FRAME_SCAN_H
#define RK_WRITER_FRAME_SCAN_H

#include "format/buffer.h"
#include "format/frame.h"
#include "format/seal.h"
#include "rrdkit/status.h"
#include "writer/framing.h"

typedef struct rk_frame_scan {
  int fd;
  const rk_framing *framing;
  uint64_t offset, end;    /* what is left to scan */
  uint64_t recording_hash; /* 0: any */
  /* the frame found */
  uint64_t plain_offset; /* in the plain stream; of units it counts from where the scan began */
  rk_frame_header header;
  rk_seal seal;
  /* private */
  bool synced;     /* a piece's end is at `offset` */
  uint64_t budget; /* bytes that may yet be hashed for candidates */
  rk_buffer window, piece;
  uint64_t piece_offset;
  rk_seal piece_seal;
  /* frames within a unit */
  rk_zst_unit unit;
  uint32_t next_frame;
  uint64_t unit_plain, in_unit, plain_size; /* where its record begins, its frame just found, its end */
  uint64_t unpacked;                        /* offset of the unit in `record`, plus 1 */
  rk_buffer lead, record;
  struct ZSTD_DCtx_s *context;
} rk_frame_scan;

/* Scans [offset, end) of the file. */
rk_frame_scan rk_frame_scan_begin(int fd, const rk_framing *framing, uint64_t offset, uint64_t end,
                                  uint64_t recording_hash);
/* The next frame with a seal of this recording. RK_END; RK_ERR_IO, RK_ERR_NO_MEMORY, RK_ERR_CORRUPT (the bytes are made
 * to waste time). The hash has been checked only where the scan resumed after something else. */
rk_status rk_frame_scan_next(rk_frame_scan *scan, rk_error *error);
/* The whole frame just found, its hash checked; lent until the next call. NULL: unsound, or no memory. */
const uint8_t *rk_frame_scan_load(rk_frame_scan *scan);
/* The frame just found is unsound: the scan goes on within it. */
void rk_frame_scan_doubt(rk_frame_scan *scan);
void rk_frame_scan_free(rk_frame_scan *scan);

/* The end of the last piece in (floor, end] of the file that a sound seal of this recording closes, found from the end;
 * `floor` if there is none. RK_ERR_IO, RK_ERR_NO_MEMORY, RK_ERR_CORRUPT. */
rk_status rk_frame_scan_last(int fd, const rk_framing *framing, uint64_t floor, uint64_t end, uint64_t recording_hash,
                             uint64_t *last, rk_error *error);

/* Reads exactly `size` bytes. RK_END: the file is shorter. RK_ERR_IO with errno. */
rk_status rk_read_at(int fd, void *out, size_t size, uint64_t offset);

#endif
