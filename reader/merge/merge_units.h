/* Frames become units of a Zstandard recording (SPEC "Zstandard recordings"). */
#ifndef RK_MERGE_UNITS_H
#define RK_MERGE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "reader/pool.h"
#include "rrdkit/status.h"

typedef struct rk_merge_units rk_merge_units;

/* Gathers frames into records of about 1 MiB and compresses them on the threads of `pool`. `recording_hash` is for
 * records whose frames tell none. NULL when memory is short. */
rk_merge_units *rk_merge_units_new(int level, uint64_t recording_hash, rk_pool *pool);
void rk_merge_units_free(rk_merge_units *units); /* NULL is allowed */
/* Appends whole frames (the first time behind the stream header). Finished units are written to `fd` in order and
 * counted in *stored. */
rk_status rk_merge_units_put(rk_merge_units *units, int fd, const void *data, size_t size, uint64_t *stored,
                             rk_error *error);
/* Writes all that is left, and the End frame with its stream footer as a unit of its own. */
rk_status rk_merge_units_finish(rk_merge_units *units, int fd, const void *end, size_t size, uint64_t *stored,
                                rk_error *error);

/* As write(), all of it; waits where the descriptor would block (merge_file.c). */
rk_status rk_merge_write(int fd, const void *data, size_t size, rk_error *error);

#endif
