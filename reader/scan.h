/* The forward walk over an input's frames: streams, seals, damage and getting back into step (SPEC "Recovery"). */
#ifndef RK_READER_SCAN_H
#define RK_READER_SCAN_H

#include "format/frame.h"
#include "format/seal.h"
#include "reader/source.h"

/* Frames larger than this are not read. */
#define RK_FRAME_MAX (((uint64_t)2 << 30) + ((uint64_t)1 << 20))

typedef struct rk_scan_frame {
  rk_frame_kind kind; /* never RK_FRAME_END */
  uint64_t offset;
  uint64_t size; /* frame header and seal included */
  bool sealed;   /* a seal of the right length is at its end; its hash has not been checked unless `verified` */
  bool verified;
  rk_seal seal;
} rk_scan_frame;

typedef struct rk_scan rk_scan;

typedef struct rk_scan_events {
  /* A frame, in file order. Anything but RK_OK says that the frame cannot be used: RK_ERR_NO_MEMORY and RK_ERR_IO end
   * the walk, the rest is a loss with the message of *error. May call rk_scan_know. */
  rk_status (*on_frame)(void *context, rk_scan *scan, const rk_scan_frame *frame, rk_error *error);
  /* A range that is not usable, in file order. False: memory is short. */
  bool (*on_loss)(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason);
  /* A sound filler (a SetStoreInfo), or the End of the stream that begins at `stream_offset`, its stream footer
   * included; `footer` is NULL for a filler and for an End that has none. NULL: nobody asks. False: memory is short. */
  bool (*on_mark)(void *context, rk_frame_kind kind, uint64_t offset, uint64_t size, uint64_t stream_offset,
                  const rk_stream_footer *footer);
  void *context;
} rk_scan_events;

/* Walks the whole source. RK_OK whatever was lost on the way. RK_ERR_NOT_RRD, RK_ERR_UNSUPPORTED, RK_ERR_TRUNCATED: not
 * even a stream header, and nothing sealed either; no event was sent. RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_scan_source(rk_source *source, const rk_scan_events *events, rk_error *error);

/* Sealed frames of this recording hash belong to the current stream; frames of hashes not known count as foreign once
 * one is. */
void rk_scan_know(rk_scan *scan, uint64_t recording_hash);

#endif
