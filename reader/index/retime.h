/* Times as the caller wants them: shifted inputs, wall clocks, timelines left out (SPEC "Order"). */
#ifndef RK_READER_RETIME_H
#define RK_READER_RETIME_H

#include "reader/reader_state.h"

/* time + shift, held at the ends. */
static inline int64_t rk_shift_ns(int64_t time, int64_t shift)
{
  int64_t sum;
  return !__builtin_add_overflow(time, shift, &sum) ? sum : shift < 0 ? INT64_MIN : INT64_MAX;
}

/* To be called before the entries' keys are used, and whenever the filters' timeline is another: reads what footers
 * tell of that timeline; with wall_clock it learns the clocks of all hosts, and moves the keys
 * of all entries that were added since. Nothing to do costs nothing. RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_retime_settle(rk_reader *reader, rk_error *error);
/* An input is to be added: entries have their keys as they are in the files again, shifts included. */
void rk_retime_unsettle(rk_reader *reader);

/* Makes of a chunk that was decoded, its names interned and sorted, what the caller asked for: log_time moved,
 * timelines dropped; sets stored_static and id_shift_ns. Once per chunk, and not again for pieces of it that lay in a
 * temporary file. RK_ERR_NO_MEMORY. */
rk_status rk_retime_chunk(rk_reader *reader, const rk_entry *entry, rk_open_chunk *open);

void rk_clocks_free(rk_clocks *clocks);

#endif
