/* One input that may grow: what came of it, and up to which key its rows are all known. */
#ifndef RK_READER_FOLLOW_INPUT_H
#define RK_READER_FOLLOW_INPUT_H

#include "reader/follow/follow_doubts.h"
#include "reader/follow/follow_events.h"
#include "reader/reader_state.h"

typedef struct rk_followed rk_followed;

/* `now`: CLOCK_MONOTONIC, here and below. NULL: no memory. */
rk_followed *rk_followed_new(rk_reader *reader, rk_input *input, const rk_events *events, int64_t now);
void rk_followed_free(rk_followed *followed);
/* Something happened to that watch of the events; -1: perhaps to all. */
void rk_followed_event(rk_followed *followed, int watch);
/* Looks at its rings, indexes what the file has come to hold, and reads what dead processes left. The doubts that are
 * old enough are settled. */
rk_status rk_followed_refresh(rk_followed *followed, rk_reader *reader, const rk_events *events, rk_doubts *doubts,
                              int64_t now, rk_error *error);
/* Nobody writes it any more, and it was read to its end. */
bool rk_followed_ended(const rk_followed *followed);
/* Its rows with smaller keys are all known. */
int64_t rk_followed_limit(rk_followed *followed, const rk_reader *reader, int64_t now);
/* Whether a call under way, or nothing that is an event when it ends, holds its rows back. */
bool rk_followed_by_call(const rk_followed *followed);
/* How long after `now` rows are certain for having been there long enough; INT64_MAX: none are waiting. */
int64_t rk_followed_due_ns(const rk_followed *followed, const rk_reader *reader, int64_t now);

#endif
