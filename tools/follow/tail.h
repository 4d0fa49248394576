/* The last rows of many, as they are printed. */
#ifndef TOOLS_TAIL_H
#define TOOLS_TAIL_H

#include "rrdkit/reader.h"
#include "tools/out.h"

typedef struct tail tail;

/* `headed`: lines before the last of a row are a heading for the rows that follow. */
tail *tail_new(uint64_t rows, bool headed);
/* Where the next row is printed to, until tail_end. */
out *tail_begin(tail *t);
void tail_end(tail *t);
/* The last rows, oldest first. */
void tail_print(tail *t, out *o);
void tail_free(tail *t); /* NULL is allowed */

/* A time from which on, going by the index, there are `rows` rows, so that earlier ones need not be read; in fact there
 * are fewer where rows are there twice or damaged. Moves rk_reader_next_indexed. False: there is none. */
bool tail_start(rk_reader *reader, uint64_t rows, bool blueprints, int64_t *since_ns);

#endif
