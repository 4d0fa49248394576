/* Builds one Arrow array by appending slices of others: the one mechanism behind draining, merging and recutting. */
#ifndef RK_FORMAT_BUILDER_H
#define RK_FORMAT_BUILDER_H

#include "format/field.h"

typedef struct rk_builder rk_builder;

/* A builder for the type of `field`, which must outlive it (dictionary-encoded fields: builds the value type's plain
 * array). NULL when memory is short. */
rk_builder *rk_builder_new(const rk_field *field);
void rk_builder_free(rk_builder *builder);
void rk_builder_reset(rk_builder *builder); /* empty again, memory kept */

/* Appends elements [start, start + count) of `array`, whose type equals the builder's (dictionary arrays are decoded).
 * The array must be valid, as rk_ipc_decode guarantees. RK_ERR_NO_MEMORY; RK_ERR_LIMIT when 32-bit offsets would
 * overflow: the builder is unchanged but for spare memory. */
rk_status rk_builder_append(rk_builder *builder, const struct ArrowArray *array, int64_t start, int64_t count);
/* `count` null elements (for a type without validity, unions: the first child's null or default). */
rk_status rk_builder_append_nulls(rk_builder *builder, int64_t count);
/* Only for utf8 and binary types: one element. Bytes as given; UTF-8 validity is the caller's. */
rk_status rk_builder_append_bytes(rk_builder *builder, const void *bytes, size_t size);

/* For list types: append the items to rk_builder_child(b, 0), then close one element over all items since the last
 * close. */
rk_builder *rk_builder_child(rk_builder *builder, size_t index);
rk_status rk_builder_close_list(rk_builder *builder);
/* For lists of types with rk_field_packed_size > 0, and of any type if `count` is 0: `rows` elements of `count` packed
 * values each, the first at `values`, every other `stride` bytes behind the one before. */
rk_status rk_builder_append_lists(rk_builder *builder, const void *values, size_t stride, size_t count, size_t rows);

int64_t rk_builder_length(const rk_builder *builder);
size_t rk_builder_size(const rk_builder *builder); /* bytes of all buffers so far */

/* The array so far, lent until the builder is next changed. Never NULL. */
const struct ArrowArray *rk_builder_view(rk_builder *builder);

#endif
