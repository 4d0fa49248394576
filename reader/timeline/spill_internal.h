/* How a block lies in the temporary file: this process alone reads it, so it holds pointers and native numbers. */
#ifndef RK_READER_SPILL_INTERNAL_H
#define RK_READER_SPILL_INTERNAL_H

#include "format/builder.h"
#include "reader/timeline/spill.h"

#define RK_SPILL_ALIGNMENT      ((uint64_t)4096)     /* of blocks in the file, so that their room can be given back */
#define RK_SPILL_COMPRESSED_MAX ((size_t)1024 << 20) /* what the codec takes at once */

/* Arrays beside a piece, one item a row. */
enum {
  RK_SIDE_KEYS,
  RK_SIDE_TIES,
  RK_SIDE_INDEX,
  RK_SIDE_ROWS,
  RK_SIDE_POSITIONS,
  RK_SIDE_EFFECTIVE_KEYS,
  RK_SIDE_EFFECTIVE_IDS,
  RK_SPILL_SIDES
};

/* Offsets are from the beginning of the block. */
typedef struct rk_spill_head {
  uint32_t piece_count, row_count;
  uint64_t steps_offset, origins_offset, pieces_offset;
} rk_spill_head;

typedef struct rk_spill_piece {
  const rk_store *store;
  uint64_t payload_offset, payload_size; /* the chunk */
  uint64_t side_offsets[RK_SPILL_SIDES]; /* 0: not there */
  uint32_t row_count;
  bool stored_static;
} rk_spill_piece;

/* ---- A block in progress ---- */

enum { RK_SPILL_BUCKETS = 64, RK_SPILL_HINTS = 1024 };
typedef struct rk_spill_column {
  const char *name, *archetype, *component_type; /* interned */
  rk_field *list;
  rk_builder *builder;
} rk_spill_column;

/* Rows of one store, entity and set of timelines, whose columns agree. */
typedef struct rk_spill_gather {
  struct rk_spill_gather *next; /* of its bucket */
  uint32_t number;
  const rk_store *store;
  const char *entity_path;
  rk_chunk_timeline *timelines;
  size_t timeline_count;
  bool stored_static;
  rk_list columns; /* rk_spill_column */
  rk_buffer row_ids;
  rk_buffer *times;
  rk_buffer side[RK_SPILL_SIDES];
  uint32_t row_count;
  bool has_ties, clamped;
} rk_spill_gather;

struct rk_spill {
  rk_reader *reader;
  uint64_t block_size, block_max;
  int fd;
  uint64_t end; /* of the file */
  rk_run *run;
  /* The block in progress. */
  uint64_t number; /* from 1 */
  rk_arena arena;
  rk_list pieces; /* rk_spill_gather * */
  rk_spill_gather *buckets[RK_SPILL_BUCKETS];
  rk_buffer steps;
  rk_list origins;                       /* rk_origin */
  uint32_t origin_hints[RK_SPILL_HINTS]; /* by entry: where it may be in origins */
  uint64_t size, cost;                   /* of its rows, and of pieces and columns, roughly */
  rk_row_key first;
  /* Neighbouring rows of one chunk that are not copied yet. */
  rk_open_chunk *source; /* retained; NULL: none */
  rk_spill_gather *target;
  int64_t start, count;
  rk_buffer out, packed;
};

/* spill.c */
/* Sets the reader's error; RK_ERR_IO: of errno. */
rk_status rk_spill_fail(rk_spill *spill, rk_status status);
/* Copies the rows that wait for it. */
rk_status rk_spill_copy_rows(rk_spill *spill);
/* Nulls up to `rows`. */
rk_status rk_spill_pad(const rk_spill_column *c, uint32_t rows);
void rk_spill_reset(rk_spill *spill); /* begins the next block */

/* spill_write.c */
rk_status rk_spill_end_block(rk_spill *spill);

#endif
