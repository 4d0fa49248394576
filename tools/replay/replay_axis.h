/* The axis a replay moves along: log_time, or a timeline of the recordings. */
#ifndef TOOLS_REPLAY_AXIS_H
#define TOOLS_REPLAY_AXIS_H

#include <rrdkit/reader.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct axis {
  rk_timeline_kind kind;
  bool known; /* a row lies on it */
  int64_t first, last;
} axis;

/* A moment as typed. */
typedef struct moment {
  bool given;
  const char *text;
} moment;

/* NULL is log_time, whose ends the index knows; of another timeline all chunks are looked at. False: the reader failed,
 * or no row is on the timeline, which is told. */
bool axis_find(rk_reader *reader, const char *timeline, axis *a);

/* Where the moment lies; unchanged if none is given. False: it is none of this axis, which is told as of `--option`. */
bool axis_place(const moment *m, const char *option, const axis *a, int64_t *position);

/* How far so much time reaches: counts at `fps` a second where the axis counts. */
int64_t axis_positions(const axis *a, double fps, int64_t ns);

#endif
