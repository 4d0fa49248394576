/* How a block lies in the temporary file: this process alone reads it, so it holds pointers and native numbers. */
#ifndef RK_READER_SPILL_INTERNAL_H
#define RK_READER_SPILL_INTERNAL_H

#include "reader/spill.h"

#define RK_SPILL_ALIGNMENT      ((uint64_t)4096)     /* of blocks in the file, so that their room can be given back */
#define RK_SPILL_COMPRESSED_MAX ((size_t)1024 << 20) /* what the codec takes at once */
#define RK_SPILL_SIDES          7                    /* arrays beside a piece; by spill.c's SIDE_ numbers */

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

/* Sets the reader's error; RK_ERR_IO: of errno. */
rk_status rk_spill_fail(rk_spill *spill, rk_status status);
int rk_spill_descriptor(const rk_spill *spill);
rk_reader *rk_spill_reader(const rk_spill *spill);

#endif
