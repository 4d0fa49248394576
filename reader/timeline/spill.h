/* Rows that do not fit into memory: sorted runs of them in one temporary file, which has no name and vanishes with the
 * process. A run is cut into blocks of neighbouring rows. Within a block rows of one store, entity and set of timelines
 * are a chunk again, with what the timeline knows of each row beside it (its effective key, where it comes from); the
 * block tells in which order to take rows from its pieces. */
#ifndef RK_READER_SPILL_H
#define RK_READER_SPILL_H

#include "reader/timeline/row_order.h"

typedef struct rk_spill rk_spill; /* the file and what is being gathered for it */

/* NULL: no memory. The file is made when first written. */
rk_spill *rk_spill_new(rk_reader *reader);
/* Blocks from now on hold about `size` bytes of rows, or one row, or, where rows go into many pieces, as much as those
 * take by themselves, but for that no more than `max` in all. */
void rk_spill_set_block_size(rk_spill *spill, uint64_t size, uint64_t max);
void rk_spill_free(rk_spill *spill); /* NULL is allowed; no run or block is used any more */

typedef struct rk_block_place {
  uint64_t offset;
  uint64_t stored_size, size;
  uint64_t hash; /* of the stored bytes */
  uint32_t row_count;
  bool compressed;
  rk_row_key first; /* of its first row: effective */
} rk_block_place;

/* Rows in order; made of blocks that are read once each, from the first to the last. */
typedef struct rk_run {
  rk_list blocks; /* rk_block_place */
  size_t next;
} rk_run;

/* Puts a row behind those of the run so far; `key` is its effective key. The block in progress goes to the file when it
 * is full. RK_ERR_IO and RK_ERR_NO_MEMORY are the reader's error. */
rk_status rk_spill_put(rk_spill *spill, rk_open_chunk *open, uint32_t row, uint32_t position, const rk_row_key *key);
/* Ends the run; *run is NULL when it has no rows. */
rk_status rk_spill_end(rk_spill *spill, rk_run **run);
void rk_run_free(rk_run *run);
static inline const rk_block_place *rk_run_next(const rk_run *run) /* NULL: all were read */
{
  return run->next < run->blocks.count ? (const rk_block_place *)run->blocks.items + run->next : NULL;
}

/* A block in memory. */
struct rk_block {
  unsigned references;
  rk_arena arena;
  rk_buffer data;
  rk_open_chunk *pieces;
  uint32_t piece_count, row_count;
  const uint32_t *steps; /* [row_count]: the piece of each row; its rows are taken in their order */
  uint32_t *taken;       /* [piece_count]: rows taken */
  uint64_t memory;
  rk_run *run; /* that it is of; the cursor's, not the block's */
  rk_spares *spares;
};

/* Reads the run's next block; its place in the file is given back. */
rk_status rk_spill_read(rk_spill *spill, rk_run *run, rk_block **block);
void rk_block_retain(rk_block *block);
void rk_block_release(rk_block *block);
rk_arena *rk_block_arena(rk_block *block);

#endif
