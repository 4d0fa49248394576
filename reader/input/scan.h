/* The forward walk over an input's frames: streams, seals, damage and getting back into step (SPEC "Recovery"). */
#ifndef RK_READER_SCAN_H
#define RK_READER_SCAN_H

#include "format/frame.h"
#include "format/seal.h"
#include "reader/input/source.h"

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
  /* Now and then: how far the walk is. NULL: nobody asks. False: the walk is to end, with RK_END. */
  bool (*on_progress)(void *context, uint64_t offset);
  void *context;
} rk_scan_events;

/* What is at the end of the source and is no frame yet, or none any more. */
typedef struct rk_scan_tail {
  uint64_t offset, length;
  rk_status status;
  char reason[240];
} rk_scan_tail;

/* A walk over `source`, which stays the caller's and must not move. NULL when memory is short. */
rk_scan *rk_scan_new(rk_source *source);
void rk_scan_free(rk_scan *scan);
/* Walks from where it stands to the end of the source. RK_OK whatever was lost on the way. RK_ERR_NOT_RRD,
 * RK_ERR_UNSUPPORTED, RK_ERR_TRUNCATED: not even a stream header, and nothing sealed either; no event was sent.
 * RK_ERR_IO, RK_ERR_NO_MEMORY, RK_END. */
rk_status rk_scan_run(rk_scan *scan, const rk_scan_events *events, rk_error *error);
/* Where the walk stands: behind the last frame that it handed over or marked, or the last loss. What cannot be a whole
 * frame at the end of the source is no event: *tail tells of it. False: nothing is there. */
bool rk_scan_tail_of(const rk_scan *scan, rk_scan_tail *tail);
uint64_t rk_scan_offset(const rk_scan *scan);
/* The source has another size: the walk can go on. An End at which the source ended is no longer passed when it is not
 * there as it was; *end_gone then tells so, and *end_offset where it was. RK_ERR_IO. */
rk_status rk_scan_resume(rk_scan *scan, bool *end_gone, uint64_t *end_offset);
/* The source ends at `offset`, before where the walk stands: it goes on there. */
void rk_scan_cut(rk_scan *scan, uint64_t offset);

/* Sealed frames of this recording hash belong to the current stream; frames of hashes not known count as foreign once
 * one is. */
void rk_scan_know(rk_scan *scan, uint64_t recording_hash);

#endif
