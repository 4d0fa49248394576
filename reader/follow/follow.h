/* Following inputs that grow (reader.h "Following"), and where the reading stands. */
#ifndef RK_READER_FOLLOW_H
#define RK_READER_FOLLOW_H

#include "reader/index/index.h"
#include "reader/reader_state.h"

/* Before a row is looked for: with `follow`, the first time, sees what is certain. Status as for rk_reader_next. */
rk_status rk_follow_begin(rk_reader *reader, rk_error *error);
/* What the index has come to hold joins the timeline, if that runs, but for chunks that it held before (adopted after
 * they were read from a spool). RK_ERR_NO_MEMORY. */
rk_status rk_follow_note(rk_reader *reader);
/* Whether the loss is kept back for a while, since a writer may be about to heal it. */
bool rk_follow_doubt(rk_reader *reader, rk_input *input, const rk_pending_loss *loss);
/* Whether the row is to be yielded: false when the cursor that was resumed from has passed it. Takes its place down.
 * RK_ERR_NO_MEMORY in *status. */
bool rk_follow_take(rk_reader *reader, const rk_row_ref *ref, rk_status *status);
void rk_follow_free(rk_follow *follow);

#endif
