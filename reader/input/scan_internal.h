/* What the parts of the walk share: its state, damage and how it goes on behind it (scan_damage.c), and the ends of
 * streams (scan_end.c). */
#ifndef RK_READER_SCAN_INTERNAL_H
#define RK_READER_SCAN_INTERNAL_H

#include "reader/input/resync.h"
#include "reader/input/scan.h"

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

/* Finds where to go on after the damage at the scan's offset, and reports what lies between, as `lost` for `reason`
 * unless that shows it to be something else. */
rk_status rk_scan_recover(rk_scan *scan, rk_status lost, const char *reason);
/* The same where bytes could not be read though the size promises them: the input shrank, unless `status` is worse. */
rk_status rk_scan_unread(rk_scan *scan, rk_status status);
/* Tells of the loss of [offset, end). */
rk_status rk_scan_report(rk_scan *scan, uint64_t offset, uint64_t end, rk_status status, const char *reason);
/* Whether reading can go on at `offset` by what the bytes there say. */
rk_status rk_scan_plausible(rk_scan *scan, uint64_t offset, bool *yes);

void rk_scan_begin_stream(rk_scan *scan, uint64_t offset);
/* A frame that is not handed over, at the scan's offset: a filler or an End. */
rk_status rk_scan_mark(rk_scan *scan, rk_frame_kind kind, uint64_t size, const rk_stream_footer *footer);
/* An End frame whose payload is `size` bytes. */
rk_status rk_scan_end_frame(rk_scan *scan, uint64_t size);

#endif
