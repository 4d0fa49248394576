/* What a tool does that follows inputs: waits, is stopped and resized by signals, and keeps its place in a file. */
#ifndef TOOLS_FOLLOWING_H
#define TOOLS_FOLLOWING_H

#include "rrdkit/reader.h"
#include "tools/out.h"

/* From now on SIGINT and SIGTERM ask to stop, the second time as usual, and SIGWINCH tells of another width. */
void following_start(void);
bool following_stopped(void);
bool following_resized(void); /* since the last call */

/* Waits until every operand among `names` that means a file exists and is not empty. False: asked to stop. */
bool following_await(char *const *names, size_t count);

/* Writes `o` out and waits for rows. RK_OK: go on; RK_END: no more will come, or nobody reads the output, or asked to
 * stop; else the reader failed. */
rk_status following_wait(rk_reader *reader, out *o);

/* Goes on where `path` says, if it exists. *found: it does. False: it could not; reported. */
bool cursor_load(const char *path, rk_reader *reader, bool *found);
/* Puts the reader's place into `path`: complete, or as it was. The rows must have been written out. `lasting`: also
 * when the machine goes down. False: reported. */
bool cursor_save(const char *path, const rk_reader *reader, bool lasting);

#endif
