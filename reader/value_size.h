/* The size of rows as a function of their values alone, whatever buffers hold them: so that a chunk is cut at the same
 * row again when a merged recording is merged once more. */
#ifndef RK_READER_VALUE_SIZE_H
#define RK_READER_VALUE_SIZE_H

#include "format/chunk.h"

/* Bytes that elements [start, start + count) stand for. */
uint64_t rk_value_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count);
/* before[i]: the same of rows [0, i) of a chunk, ids and times included, for 0 to row_count. False: memory is short. */
bool rk_rows_measure(const rk_chunk *chunk, uint64_t *before);

#endif
