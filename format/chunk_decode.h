/* What the two ways of decoding a chunk share. */
#ifndef RK_FORMAT_CHUNK_DECODE_H
#define RK_FORMAT_CHUNK_DECODE_H

#include "format/chunk.h"

/* The chunk of columns that have today's names and shapes. */
rk_status rk_chunk_from_columns(rk_arena *arena, const rk_field *schema, const struct ArrowArray *const *columns,
                                int64_t row_count, rk_chunk *chunk, rk_error *error);

#endif
