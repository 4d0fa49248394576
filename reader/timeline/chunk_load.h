/* Bringing a chunk into memory in three steps, of which the second needs nothing of the reader. */
#ifndef RK_READER_CHUNK_LOAD_H
#define RK_READER_CHUNK_LOAD_H

#include "reader/reader_state.h"

typedef struct rk_chunk_load {
  rk_open_chunk *open;
  /* As the entry and its input were when the loading began. */
  rk_source source;
  const char *input_name;
  uint64_t offset, size, read_before;
  bool unverified;
  const uint8_t *frame;
  bool has_msg;
  rk_arrow_msg msg;
  rk_status status;
  rk_error error;
} rk_chunk_load;

/* RK_ERR_NO_MEMORY: nothing was begun. What fails otherwise shows at the end. */
rk_status rk_chunk_load_begin(rk_reader *reader, rk_entry *entry, rk_chunk_load *load);
/* On any thread, while nothing else uses the load and its input stays as it is. */
void rk_chunk_load_run(rk_chunk_load *load);
/* Status as for rk_open_chunk_load. `error` may be NULL. */
rk_status rk_chunk_load_finish(rk_reader *reader, rk_chunk_load *load, rk_open_chunk **open, rk_error *error);

/* Memory that was used before is mapped already, which is worth more than decoding costs: an empty buffer is given that
 * of a released chunk, if there is one of about that size; and back. */
void rk_spare_take(rk_spares *spares, rk_buffer *buffer, uint64_t size);
void rk_spare_give(rk_spares *spares, rk_buffer *buffer);

#endif
