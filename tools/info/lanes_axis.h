/* The axis of the lanes: ticks in steps that people like, and their labels. */
#ifndef TOOLS_LANES_AXIS_H
#define TOOLS_LANES_AXIS_H

#include "tools/info/lanes.h"

typedef struct axis {
  rk_timeline_kind kind;
  when_zone zone;
  bool ascii;
  bool relative; /* ticks count from `begin` */
  int64_t begin, end;
  int64_t step;
} axis;

/* The finest steps whose ticks are at least `columns` columns apart, more where their labels are longer. */
axis axis_make(const lanes *l, when_zone zone, size_t columns, bool ascii);
/* The first tick at or after the beginning, then the next after one; false: beyond the end. */
bool axis_first(const axis *a, int64_t *tick);
bool axis_next(const axis *a, int64_t *tick);
void axis_label(out *o, const axis *a, int64_t tick);
/* A moment on the axis in full, for events. */
void axis_moment(out *o, const axis *a, int64_t value);
/* A distance on it. */
void axis_length(out *o, const axis *a, double length);

#endif
