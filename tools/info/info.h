/* What the inputs hold, gathered from their chunks: recordings, writers, entities, timelines, compression. */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

#include "tools/inputs.h"
#include "tools/names.h"
#include "tools/out.h"

/* Rows, bytes and times of some set of chunks. */
typedef struct tally {
  uint64_t rows, static_rows, chunks;
  uint64_t spool_rows;       /* of these, in spools of dead writers */
  uint64_t size;             /* frames in the file */
  uint64_t described_chunks; /* of these, those whose contents were looked at: the next two are theirs */
  uint64_t described_size, uncompressed_size; /* frames, and their Arrow payloads */
  int64_t min_ns, max_ns;                     /* of rows - static_rows; min > max: none */
} tally;

/* A chunk, or one writer's share of one, in time. */
typedef struct info_span {
  size_t writer, entity; /* places in the info's lists; writer INFO_NOBODY: unknown */
  uint64_t rows;
  int64_t min_ns, max_ns; /* on the timeline that rows are ordered by */
  uint32_t chunk_number;  /* of its writer, when numbered */
  bool numbered, spool;
} info_span;

#define INFO_NOBODY ((size_t)-1)

typedef struct info_recording {
  const rk_store *store;
  tally tally;
} info_recording;

typedef struct info_writer {
  uint32_t tag;
  const rk_writer_info *writer; /* NULL: only its tag is known */
  tally tally;
  bool numbered; /* all its chunks are as it appended them: what its numbers lack is missing */
  size_t arrival;
} info_writer;

typedef struct info_entity {
  const rk_store *store;
  const char *path;
  tally tally;
  names components;
  uint64_t *component_rows; /* in chunks that were looked at */
  size_t arrival;
} info_entity;

typedef struct info_timeline {
  const rk_store *store;
  const char *name;
  rk_timeline_kind kind;
  int64_t min, max;
  uint64_t rows; /* in chunks that were looked at */
} info_timeline;

typedef struct info_options {
  bool blueprints;      /* count those stores too */
  bool all;             /* look into every chunk, however large the inputs are */
  bool selected;        /* rows were filtered: numbers that lack say nothing */
  const char *timeline; /* that rows are ordered by; NULL: log_time */
} info_options;

typedef struct info {
  const inputs *inputs;
  info_options options;
  rk_timeline_kind axis; /* kind of the spans' times */
  int64_t begin, end;    /* of all spans; begin > end: there are none */
  tally *input_tallies;  /* by input */
  size_t last_input;
  info_recording *recordings;
  size_t recording_count;
  info_writer *writers; /* sorted by first row's time, then tag */
  size_t writer_count;
  info_entity *entities; /* sorted by recording, then path */
  size_t entity_count;
  info_timeline *timelines;
  size_t timeline_count;
  tally total;
  info_span *spans; /* of rows in time */
  size_t span_count;
  uint64_t chunks_by_compression[3]; /* by rk_compression; of chunks that were looked at */
  uint64_t unsealed_chunks;
  rk_reader_stats stats;
  names keys; /* everything counted, for finding it again */
  size_t *places;
} info;

/* RK_END when all chunks were seen; else the reader's failure. Inputs too large to be decoded in a moment are known by
 * their index, and of every entity by the 1st, 2nd, 4th, 8th, ... chunk, 32768 in all. */
rk_status info_gather(info *i, const inputs *in, const info_options *options);
void info_free(info *i);

/* Rows a second; 0 where there is no span. */
double tally_rate(const tally *t);
/* Whether all its chunks were looked at. */
bool tally_is_exact(const tally *t);
const char *info_timeline_kind(rk_timeline_kind kind);

#endif
