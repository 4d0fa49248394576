/* Losses in a file that others write: a torn record that its next neighbour is about to heal is none. */
#ifndef RK_READER_FOLLOW_DOUBTS_H
#define RK_READER_FOLLOW_DOUBTS_H

#include "reader/index/index.h"
#include "reader/reader_state.h"

#define RK_DOUBT_NS 2000000000 /* healing comes right after the append that found the gap */

/* Zero-initialise; free(list.items). */
typedef struct rk_doubts {
  rk_list list;
} rk_doubts;

/* Keeps the loss back. False: no memory. */
bool rk_doubts_add(rk_doubts *doubts, rk_input *input, const rk_pending_loss *loss, int64_t now);
/* Tells those of `input` that are old enough (or all of them) and are not healed. */
void rk_doubts_settle(rk_doubts *doubts, rk_reader *reader, const rk_input *input, int64_t now, bool all);

#endif
