/* What the inputs hold, gathered from their chunks: recordings, writers, entities, timelines, compression. */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

#include "names.h"
#include "out.h"
#include "inputs.h"

/* Rows, bytes and times of some set of chunks. */
typedef struct tally {
  uint64_t rows, static_rows, chunks;
  uint64_t spool_rows;        /* of these, in spools of dead writers */
  uint64_t size;              /* frames in the file */
  uint64_t uncompressed_size; /* Arrow payloads */
  int64_t min_ns, max_ns;     /* of rows - static_rows; min > max: none */
} tally;

enum { ACTIVITY_BINS = 32 };

typedef struct info_recording {
  const rk_store *store;
  tally tally;
} info_recording;

typedef struct info_writer {
  uint32_t tag;
  const rk_writer_info *writer; /* NULL: only its tag is known */
  tally tally;
  double activity[ACTIVITY_BINS]; /* rows over the time of all recordings, each chunk spread evenly */
} info_writer;

typedef struct info_entity {
  const rk_store *store;
  const char *path;
  tally tally;
  names components;
  uint64_t *component_rows;
} info_entity;

typedef struct info_timeline {
  const rk_store *store;
  const char *name;
  rk_timeline_kind kind;
  int64_t min, max;
  uint64_t rows;
} info_timeline;

typedef struct info {
  const inputs *inputs;
  tally *input_tallies; /* by input */
  info_recording *recordings;
  size_t recording_count;
  info_writer *writers; /* sorted by first row's time, then tag */
  size_t writer_count;
  info_entity *entities; /* sorted by recording, then path */
  size_t entity_count;
  info_timeline *timelines;
  size_t timeline_count;
  tally total;
  uint64_t chunks_by_compression[3]; /* by rk_compression */
  uint64_t unsealed_chunks;
  rk_reader_stats stats;
  names keys; /* everything counted, for finding it again */
  size_t *places;
} info;

/* RK_END when all chunks were read; else the reader's failure. `blueprints`: count those stores too. */
rk_status info_gather(info *i, const inputs *in, bool blueprints);
void info_free(info *i);

/* Rows a second; 0 where there is no span. */
double tally_rate(const tally *t);
const char *info_timeline_kind(rk_timeline_kind kind);

void info_text(const info *i, out *o, size_t width, bool coloured);
void info_json(const info *i, out *o);

#endif
