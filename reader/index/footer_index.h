/* What footers tell of chunks, taken for the index where it can be checked (SPEC "Footer"). */
#ifndef RK_READER_FOOTER_INDEX_H
#define RK_READER_FOOTER_INDEX_H

#include "format/footer.h"
#include "reader/reader_state.h"

/* A chunk as the manifest of the input's last stream tells it. */
typedef struct rk_told_chunk {
  uint64_t offset; /* of its frame in the input */
  const rk_store_id *store;
  const rk_manifest_chunk *chunk;
} rk_told_chunk;

/* Zero-initialise. */
typedef struct rk_told {
  rk_told_chunk *chunks; /* by offset */
  size_t count, next;
  rk_arena arena;
  rk_buffer payload;
} rk_told;

/* Reads the footer at the end of the input. RK_OK too where there is none, or one whose hash, form or size speaks
 * against it: then nothing is told. RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_told_read(rk_told *told, rk_input *input, uint64_t max_memory);
/* The chunk whose frame is [offset, offset + size), or NULL. In ascending order of offsets. */
const rk_told_chunk *rk_told_find(rk_told *told, uint64_t offset, uint64_t size);
void rk_told_free(rk_told *told);

/* Reads what all footers tell of the timeline that the filters ask for, unless it is there. RK_ERR_IO,
 * RK_ERR_NO_MEMORY. */
rk_status rk_hulls_settle(rk_reader *reader);

#endif
