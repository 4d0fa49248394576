/* What gathering a chunk and copying its batches share. */
#ifndef RK_MERGE_BATCH_H
#define RK_MERGE_BATCH_H

#include "reader/merge/merge_internal.h"

/* A component's column. Kept over a reset with its memory; `live` says whether the current rows have it. */
typedef struct rk_merge_column {
  const char *name, *archetype, *component_type; /* interned by the reader */
  rk_field *list;                                /* List<item> in the chunk's arena */
  rk_builder *builder;
  bool live;
} rk_merge_column;

/* A chunk that rows of the batch come from. */
typedef struct rk_merge_source {
  rk_open_chunk *open;            /* retained */
  const struct ArrowArray *lists; /* of the column at hand */
} rk_merge_source;

/* Neighbouring rows of one source. */
typedef struct rk_merge_run {
  uint32_t source, start, count;
} rk_merge_run;

struct rk_merge_chunk {
  rk_merge_limits *limits;
  uint64_t version; /* of its live columns; no two chunks have the same one */
  const rk_store *store;
  const char *entity_path;
  size_t timeline_count;
  rk_chunk_timeline *timelines; /* values point into times */
  int64_t **times;              /* [timeline_count][row_capacity] */
  uint8_t *row_ids;
  size_t row_capacity;
  rk_arena arena; /* timelines, types */
  rk_merge_column **columns;
  size_t column_count, column_capacity;
  /* The rows since the last reset. */
  uint32_t rows, copied; /* all, and those that lie in the columns */
  uint64_t size;
  int64_t first_key;
  rk_tuid first_id;
  const rk_writer_info *writer; /* of the row before */
  rk_merge_chunk_span span;
  /* The batch: rows that are not copied yet. */
  uint64_t batch; /* its number; no two have the same one */
  rk_merge_source *sources;
  size_t source_count, source_capacity;
  rk_merge_run *runs;
  size_t run_count, run_capacity;
  rk_slice *slices; /* of the column at hand */
  size_t slice_capacity;
  uint64_t held;
  bool alone;     /* its one source lacks a column here, or has another one: no other joins it */
  bool conflicts; /* some column of that source differs from one here: look at each row */
  bool at_once;   /* too much is held: copy each row as it comes */
  /* For the view. */
  rk_arena view_arena;
};

/* Never 0, never the same. */
uint64_t rk_merge_number(void);
rk_merge_column *rk_merge_find_column(const rk_merge_chunk *chunk, const char *name);
bool rk_merge_column_fits(const rk_merge_column *column, const rk_chunk_component *component);
/* Nulls up to `rows`. */
rk_status rk_merge_column_pad(rk_merge_column *column, uint32_t rows);
static inline bool rk_merge_list_present(const struct ArrowArray *lists, int64_t row)
{
  const uint8_t *validity = lists->buffers[0];
  const int64_t bit = lists->offset + row;
  return validity == NULL || (validity[bit >> 3] >> (bit & 7) & 1) != 0;
}

/* Copies the rows of the batch, if there are any, and begins another one. */
rk_status rk_merge_batch_copy(rk_merge_chunk *chunk);
/* Begins another batch; what this one holds is let go. */
void rk_merge_batch_end(rk_merge_chunk *chunk);

#endif
