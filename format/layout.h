/* Helpers over the buffers of Arrow arrays: validity bits, offsets, and which buffers a type has. */
#ifndef RK_FORMAT_LAYOUT_H
#define RK_FORMAT_LAYOUT_H

#include "format/bytes.h"
#include "format/field.h"

static inline bool rk_bit_get(const uint8_t *bits, int64_t i)
{
  return (bits[i / 8] >> (i % 8) & 1) != 0;
}
static inline void rk_bit_put(uint8_t *bits, int64_t i, bool value)
{
  const uint8_t mask = (uint8_t)(1U << (i % 8));
  bits[i / 8] = (uint8_t)(value ? bits[i / 8] | mask : bits[i / 8] & ~mask);
}
/* Bytes that hold `count` bits. */
static inline size_t rk_bits_size(int64_t count)
{
  return (size_t)count / 8 + (count % 8 != 0);
}
/* Bits [to_at, to_at + count) of `to` become those of `from` at from_at; no byte outside of either range is read. */
void rk_bits_copy(uint8_t *to, int64_t to_at, const uint8_t *from, int64_t from_at, int64_t count);
void rk_bits_fill(uint8_t *bits, int64_t at, int64_t count, bool value);
/* How many of the bits are set. */
int64_t rk_bits_count(const uint8_t *bits, int64_t at, int64_t count);
/* How many bits from `at` on equal the first, at most `count` (> 0). */
int64_t rk_bits_run(const uint8_t *bits, int64_t at, int64_t count);

/* `wide`: 64-bit offsets. */
static inline int64_t rk_offset_at(const void *offsets, int64_t i, bool wide)
{
  return wide ? rk_load_i64((const char *)offsets + 8 * i) : rk_load_i32((const char *)offsets + 4 * i);
}
/* to[i] = from[i] + delta for `count` offsets; the sums must fit. */
void rk_offsets_rebase(void *to, const void *from, int64_t count, bool wide, int64_t delta);

/* Whether `type` is one of the types of a set of RK_TYPE_BITs. */
#define RK_TYPE_BIT(type) (UINT64_C(1) << (type))
static inline bool rk_type_in(rk_type_id type, uint64_t set)
{
  return (set >> type & 1) != 0;
}
/* utf8 and binary, small and large */
static inline bool rk_type_is_bytes(rk_type_id type)
{
  return rk_type_in(type, RK_TYPE_BIT(RK_TYPE_UTF8) | RK_TYPE_BIT(RK_TYPE_BINARY) | RK_TYPE_BIT(RK_TYPE_LARGE_UTF8) |
                              RK_TYPE_BIT(RK_TYPE_LARGE_BINARY));
}
/* list, large list, map */
static inline bool rk_type_is_ranges(rk_type_id type)
{
  return rk_type_in(type, RK_TYPE_BIT(RK_TYPE_LIST) | RK_TYPE_BIT(RK_TYPE_LARGE_LIST) | RK_TYPE_BIT(RK_TYPE_MAP));
}
static inline bool rk_type_is_union(rk_type_id type)
{
  return type == RK_TYPE_SPARSE_UNION || type == RK_TYPE_DENSE_UNION;
}
/* offsets of 64 bits */
static inline bool rk_type_is_wide(rk_type_id type)
{
  return rk_type_in(type, RK_TYPE_BIT(RK_TYPE_LARGE_UTF8) | RK_TYPE_BIT(RK_TYPE_LARGE_BINARY) |
                              RK_TYPE_BIT(RK_TYPE_LARGE_LIST));
}
/* Buffers of an array as the C data interface and IPC (V5) count them; the first is the validity bitmap except for
 * null and unions. A dictionary-encoded field has the buffers of its index type. */
int64_t rk_type_buffer_count(rk_type_id type);

/* The array's validity bitmap, or NULL when every element is valid or the type has none. Index it with
 * array->offset + i. */
const uint8_t *rk_array_validity(const struct ArrowArray *array, rk_type_id type);

#endif
