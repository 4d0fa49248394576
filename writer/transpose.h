/* One chunk of spooled rows: the memory it is made in, and its frame. */
#ifndef RK_WRITER_TRANSPOSE_H
#define RK_WRITER_TRANSPOSE_H

#include "writer/gather.h"
#include "writer/writer_internal.h"

#define RK_BUILDERS_MAX 32 /* kept for reuse */

typedef struct rk_cached_builder {
  const rk_component *component;
  rk_builder *builder; /* NULL: lent out or empty place */
} rk_cached_builder;

/* The memory of one drain at work; kept for the next one. */
struct rk_scratch {
  rk_scratch *next;
  rk_gathered gathered;
  rk_buffer columns; /* column[] */
  rk_buffer row_ids, times, ipc, packed, out;
  rk_arena arena;
  rk_cached_builder builders[RK_BUILDERS_MAX];
};

/* NULL: memory is short. */
rk_scratch *rk_scratch_take(rk_recording *recording);
void rk_scratch_give(rk_recording *recording, rk_scratch *scratch);

rk_store_id rk_recording_store(const rk_recording *recording);

/* Appends the frame of a group's chunk to scratch->out. Sets *damaged when something in the rows had to be left out.
 * RK_ERR_NO_MEMORY may pass with time, other failures do not. */
rk_status rk_group_encode(rk_recording *recording, const rk_ring *ring, const rk_row_source *source,
                          rk_scratch *scratch, const rk_group *group, uint32_t number, bool *damaged);

#endif
