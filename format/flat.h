/* Flat form (SPEC "Flat arrays"): one Arrow array as one run of bytes, as it lies in a spooled row.
 *
 * Nodes depth first, parent before children. A node: 0 u64 length | 8 u32 1 if a validity bitmap follows, else 0 | 12
 * u32 zero | then its buffers in Arrow's order (validity only if said), each zero-padded to 8 bytes. Arrays start at
 * element 0 and offsets at 0; a list's child is exactly as long as the last offset says, a fixed-size list's child
 * length * size, a struct's and a sparse union's children `length`, a dense union's what their nodes say. Booleans and
 * validity are bitmaps, least significant bit first. */
#ifndef RK_FORMAT_FLAT_H
#define RK_FORMAT_FLAT_H

#include "format/field.h"

#define RK_FLAT_NODE 16

/* Bytes that elements [start, start + count) of `array` take in flat form, or SIZE_MAX when the array has not the shape
 * of the type (buffer and child counts, missing buffers, ranges, offsets that fall, unknown type ids), is larger than
 * `limit`, or has more than 4096 elements that take no bytes. The array's buffers are the caller's and
 * trusted to be as long as the array says. */
size_t rk_flat_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count, size_t limit);
/* Writes them at `out` (8-byte aligned); returns the end. Only after rk_flat_size was content. */
uint8_t *rk_flat_write(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count,
                       uint8_t *out);

/* Reads an array of `count` elements that takes all of `data` (8-byte aligned). Everything is checked: bounds, offsets,
 * type ids; invalid UTF-8 is replaced by U+FFFD. Lent from `data` and `arena`. RK_ERR_CORRUPT, RK_ERR_NO_MEMORY. */
rk_status rk_flat_read(rk_arena *arena, const rk_field *field, const uint8_t *data, size_t size, int64_t count,
                       struct ArrowArray *array);

/* The same for the commonest of all, one valid text without nulls, lent from `data`. False: it is something else, or
 * not sound; read it as an array. */
bool rk_flat_text(const uint8_t *data, size_t size, const uint8_t **text, size_t *text_size);

#endif
