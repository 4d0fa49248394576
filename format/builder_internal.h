/* What the parts of the builder share. */
#ifndef RK_FORMAT_BUILDER_INTERNAL_H
#define RK_FORMAT_BUILDER_INTERNAL_H

#include "format/builder.h"

struct rk_builder {
  rk_type_id type;
  unsigned bits;         /* of a fixed-width value, else 0 */
  bool wide;             /* 64-bit offsets */
  const rk_field *field; /* of the values where the type is dictionary-encoded */
  rk_type_id index_type; /* of a dictionary-encoded field's indices, else RK_TYPE_NULL */
  int64_t length;
  int64_t null_count;
  rk_buffer validity; /* empty until the first null */
  rk_buffer values;   /* values, offsets (one more than length) or type ids */
  rk_buffer data;     /* bytes of text and binary, offsets of dense unions */
  size_t child_count;
  rk_builder *children;
  rk_buffer parts;  /* for reader/slices.c */
  int8_t *child_of; /* unions: type id to child, -1 for none */
  struct ArrowArray view;
  const void *view_buffers[3];
  struct ArrowArray **view_children;
};

/* Text, binary and list types: values holds offsets. */
bool rk_builder_has_offsets(const rk_builder *b);

/* Whether the children hold what the elements so far account for and nothing more. */
bool rk_builder_is_settled(const rk_builder *b);
/* After a failure the first `length` elements remain. The status. */
rk_status rk_builder_settle(rk_builder *b, int64_t length, rk_status status);

/* These come before length grows; false: memory is short, and the caller truncates. */
bool rk_builder_grow_bits(rk_buffer *bits, int64_t length, int64_t count);
bool rk_builder_add_valid(rk_builder *b, int64_t count);

/* Elements [start, start + count) of the array, and `count` elements without content: null where `null`, else zero,
 * empty text, empty list. After a failure the caller truncates the outermost builder. */
rk_status rk_builder_add_slice(rk_builder *b, const struct ArrowArray *array, int64_t start, int64_t count);
rk_status rk_builder_add_blank(rk_builder *b, int64_t count, bool null);

#endif
