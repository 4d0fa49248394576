/* Where a reading stands: the last row and, per writer, what was yielded of it; as text and back (reader.h
 * "Following"). */
#ifndef RK_READER_FOLLOW_CURSOR_H
#define RK_READER_FOLLOW_CURSOR_H

#include "reader/reader_state.h"

#define RK_CHUNK_GAPS_MAX 4096 /* of one writer; more are not told apart */

/* Chunk numbers [first, last]. */
typedef struct rk_chunk_gap {
  uint32_t first, last;
} rk_chunk_gap;

/* One writer's. */
typedef struct rk_position {
  uint64_t hash; /* of the recording, by the seals; 0: unsealed */
  uint32_t tag;
  uint64_t next_row;   /* those before it were yielded, or do not pass, unless their chunk was not known */
  uint64_t next_chunk; /* those before it are in the index, but for the gaps */
  rk_chunk_gap *gaps;  /* ascending, apart */
  size_t gap_count, gap_capacity;
} rk_position;

/* Zero-initialise, but for the seed, which keeps hostile files from colliding on purpose. */
typedef struct rk_positions {
  uint64_t seed;
  rk_table table; /* by hash and tag */
  rk_list list;   /* rk_position * */
  bool has_last;
  int64_t last_key_ns;
  rk_tuid last_id;
  const rk_position *recent;
} rk_positions;

void rk_positions_free(rk_positions *positions);
/* Takes down that the index holds the chunk. *known: it did before. False: no memory. */
bool rk_positions_chunk(rk_positions *positions, const rk_reader *reader, const rk_entry *entry, bool *known);
/* Takes down that the row was yielded. False: no memory. */
bool rk_positions_row(rk_positions *positions, const rk_reader *reader, const rk_row_ref *ref);
/* Whether the row was yielded when the positions were taken down. */
bool rk_positions_passed(const rk_positions *positions, const rk_reader *reader, const rk_row_ref *ref);

/* One line of JSON, to be freed; NULL: no memory. */
char *rk_positions_format(const rk_positions *positions);
/* Into empty *positions, to be freed in any case. RK_ERR_CORRUPT with what is wrong where, RK_ERR_NO_MEMORY. */
rk_status rk_positions_parse(rk_positions *positions, const char *text, rk_error *error);
/* What *from holds, into empty *to. False: no memory. */
bool rk_positions_copy(rk_positions *to, const rk_positions *from);

#endif
