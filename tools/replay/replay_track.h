/* A replay's messages: a thread reads rows, gathers them by short slices of the timeline and puts them into a temporary
 * file without a name, a little ahead of where the replay stands. What was put there stays, so that viewers that come
 * late, are slow or go back read it at their own pace. */
#ifndef TOOLS_REPLAY_TRACK_H
#define TOOLS_REPLAY_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rrdkit/reader.h"

typedef struct track track;

typedef struct track_options {
  int64_t slice;                    /* positions that one batch spans at most */
  int64_t ahead;                    /* positions that are made ready beyond what is wanted */
  bool follow;                      /* the reader follows: wait for more at its end */
  bool keeps;                       /* false: what track_forget was told of may go */
  bool finds;                       /* track_latest is wanted */
  bool compressed;                  /* chunks */
  void (*on_change)(void *context); /* something was added, or the end has come; called by the thread, no lock held */
  void *context;
} track_options;

typedef struct track_batch {
  int64_t first, last; /* order keys */
  uint64_t offset;     /* of its frames; its rows' keys follow them, i64 each */
  uint32_t size;
  uint32_t rows;
} track_batch;

typedef struct track_state {
  size_t count;        /* batches */
  uint64_t begin_size; /* bytes that come before the first batch: header, stores, blueprints */
  uint64_t size;       /* bytes in the file */
  uint64_t rows;
  int64_t until;      /* every row below is in; INT64_MAX: all are */
  bool begun;         /* begin_size is known */
  bool ended, failed; /* no more comes; because reading failed (reported) */
  bool waiting;       /* for a recording to grow */
  bool growing;       /* somebody has one open to write, when this was looked at last */
} track_state;

/* Starts the thread; `reader` is the track's from now on, but not freed by it. NULL: reported. */
track *track_open(rk_reader *reader, const track_options *options);
/* Stops the thread. NULL is allowed. */
void track_close(track *t);

/* What lies before `position` is wanted, and `ahead` beyond it. */
void track_want(track *t, int64_t position);
track_state track_now(track *t);
/* False: there is none of that number yet. */
bool track_batch_at(track *t, size_t number, track_batch *batch);
/* The first batch whose last key is not below `position`; the count of batches when none is. */
size_t track_find(track *t, int64_t position);
/* The key of the first row behind `position`, or (forward false) of the last before it, as far as is known. False:
 * there is none. */
bool track_neighbour(track *t, int64_t position, bool forward, int64_t *key);
/* Bytes [offset, offset + size) that are in the file. False: the file cannot be read; errno. */
bool track_read(track *t, uint64_t offset, void *data, size_t size);
/* Nobody reads what lies below `offset` again. */
void track_forget(track *t, uint64_t offset);

typedef struct track_piece {
  uint64_t offset;
  uint32_t size;
} track_piece;
/* The chunks among the batches before `number` that a viewer needs to show what holds then: all static ones, and the
 * last of every entity and component. Sorted by offset; the caller frees. */
track_piece *track_latest(track *t, size_t number, size_t *count);

#endif
