/* The rows of one ring of a dead process as the sealed frames that they would become (SPEC "Reading spools"): no I/O,
 * every byte is checked. */
#ifndef RK_READER_ORPHAN_ROWS_H
#define RK_READER_ORPHAN_ROWS_H

#include "format/spool_dictionary.h"

/* A range of a ring file whose rows cannot be used. */
typedef void rk_orphan_lost(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason,
                            uint32_t writer);

/* A ring as it was read from its file. */
typedef struct rk_orphan_ring {
  rk_ring_header header;
  uint64_t file_size;
  uint32_t number; /* in the file's name */
  uint8_t *data;   /* [header.size], of which the places of [tail, head) count */
} rk_orphan_ring;

/* Appends to `stream` who the ring's writer is, with its count of dropped rows, and the chunks of its rows, numbered as
 * the writer's drain would have done; what cannot be used goes to `lost`, and nothing is taken from a ring that does
 * not belong to these definitions. RK_ERR_NO_MEMORY. */
rk_status rk_orphan_rows_encode(rk_buffer *stream, rk_dictionary *dictionary, const rk_orphan_ring *ring,
                                rk_orphan_lost *lost, void *context);

#endif
