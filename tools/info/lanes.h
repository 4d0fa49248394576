/* Activity over time: one lane for each writer and each of the busiest entities, from the times of chunks. */
#ifndef TOOLS_LANES_H
#define TOOLS_LANES_H

#include "tools/info/info.h"
#include "tools/when.h"
#include "tools/who.h"

enum { LANE_GAP = 1, LANE_SPOOL = 2, LANE_MISSING = 4, LANE_DROPPED = 8 }; /* marks of a bin; the last of a lane */

/* A stretch of time: nothing came for far longer than usual, or chunks are missing. */
typedef struct lane_event {
  int64_t from, to;
  uint64_t first, count; /* missing chunks by their numbers; 0 for a gap */
} lane_event;

typedef enum lane_kind {
  LANE_WRITER,
  LANE_ENTITY,
  LANE_OTHERS, /* all that got no lane of their own, together */
  LANE_UNKNOWN /* rows whose writer is not known */
} lane_kind;

typedef struct lane {
  lane_kind kind;
  size_t number; /* in the info's list; LANE_OTHERS: how many they are */
  uint64_t rows; /* in time */
  uint64_t spool_rows;
  double *bins; /* [lanes.bin_count] rows */
  unsigned char *marks;
  double most; /* rows in the fullest bin */
  lane_event *gaps, *missing;
  size_t gap_count, missing_count;
  uint64_t missing_chunks, dropped_rows;
} lane;

typedef struct lanes {
  const info *info;
  int64_t begin, end; /* of all rows in time; begin > end: there are none */
  size_t bin_count;
  lane *writers, *entities;
  size_t writer_count, entity_count;
} lanes;

/* Chooses the lanes: at most `most` of each kind, the busiest, and one for the others. */
void lanes_choose(lanes *l, const info *i, size_t most);
/* Fills them, `bin_count` >= 1 bins over the whole time. Once. */
void lanes_fill(lanes *l, size_t bin_count);
void lanes_free(lanes *l);

/* The bin that a time falls into. */
size_t lanes_bin(const lanes *l, int64_t ns);
/* Length of a bin in the axis' unit; 0 where all is one instant. */
double lanes_bin_size(const lanes *l);

/* Its name, escaped. */
void out_lane(out *o, const lanes *l, const lane *one, const who *w);

typedef struct lanes_style {
  size_t width; /* 0: 100 columns */
  bool coloured, ascii;
  when_zone zone;
} lanes_style;
void info_text(const info *i, out *o, size_t most, const lanes_style *style);
void info_json(const info *i, out *o, size_t most);
void lanes_text(const info *i, out *o, size_t most, const lanes_style *style);
void lanes_json(const info *i, out *o, size_t most);
/* A self-contained picture. */
void lanes_svg(const info *i, out *o, size_t most, when_zone zone);

#endif
