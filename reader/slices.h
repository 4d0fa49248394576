/* Appending slices of many arrays to a builder at once, which is cheap where they are many and short. */
#ifndef RK_READER_SLICES_H
#define RK_READER_SLICES_H

#include "format/builder.h"

typedef struct rk_slice {
  const struct ArrowArray *array;
  int64_t start, count;
} rk_slice;

/* As rk_builder_append of one slice after the other, none of them empty; all are appended or none. */
rk_status rk_builder_append_slices(rk_builder *builder, const rk_slice *slices, size_t slice_count);

#endif
