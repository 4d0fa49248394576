/* Healing (SPEC "Healing"): what a torn record left is covered by a frame that says nothing, so that the file opens to
 * its end again. */
#ifndef RK_WRITER_HEAL_H
#define RK_WRITER_HEAL_H

#include "writer/writer_internal.h"

/* Opens the descriptor for repairs and sets the walk to the file's beginning. Before the first append; after fork. */
rk_status rk_heal_open(rk_recording *recording, rk_error *error);
void rk_heal_close(rk_recording *recording);

/* Appends to `out` the filler of [start, start + size): a pure function of these and the recording's ids. size is at
 * least rk_filler_min and below 2^28. */
void rk_filler_encode(const rk_recording *recording, uint64_t start, size_t size, rk_buffer *out);
size_t rk_filler_min(const rk_recording *recording);

/* Whether a frame of this recording seems to end at `offset`, judged by its last 128 bytes. */
bool rk_ends_sound(const rk_recording *recording, off_t offset);

/* Overwrites [start, end), which is final and no shorter than rk_filler_min, with fillers. 0 or an errno. */
int rk_heal_fill(rk_recording *recording, off_t start, off_t end);

/* Heals what lies before the sound frame at `offset` and is none itself, if there is such. The append mutex is held.
 * 0, or an errno: the walk will come back to it. */
int rk_heal_before(rk_recording *recording, off_t offset);

/* Walks on, by `frames` frames at most, towards the end of the file and heals what it meets, but not a torn tail: it
 * may still be growing. Every frame is visited once a process. True: at the end. */
bool rk_heal_walk(rk_recording *recording, size_t frames);

#endif
