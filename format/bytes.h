/* Little-endian loads and stores, alignment arithmetic and checked sums: the only way bytes become numbers here. */
#ifndef RK_FORMAT_BYTES_H
#define RK_FORMAT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Called from many places, none of them hot: one copy is enough. */
#define RK_FAR __attribute__((noinline))

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rrdkit lends Arrow buffers in place and therefore needs a little-endian machine"
#endif

static inline uint16_t rk_load_u16(const void *p)
{
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline uint32_t rk_load_u32(const void *p)
{
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline uint64_t rk_load_u64(const void *p)
{
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline int32_t rk_load_i32(const void *p)
{
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline int64_t rk_load_i64(const void *p)
{
  int64_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void rk_store_u16(void *p, uint16_t v)
{
  memcpy(p, &v, sizeof v);
}
static inline void rk_store_u32(void *p, uint32_t v)
{
  memcpy(p, &v, sizeof v);
}
static inline void rk_store_u64(void *p, uint64_t v)
{
  memcpy(p, &v, sizeof v);
}
static inline void rk_store_i32(void *p, int32_t v)
{
  memcpy(p, &v, sizeof v);
}
static inline void rk_store_i64(void *p, int64_t v)
{
  memcpy(p, &v, sizeof v);
}
static inline uint64_t rk_load_u64_be(const void *p)
{
  return __builtin_bswap64(rk_load_u64(p));
}
static inline void rk_store_u64_be(void *p, uint64_t v)
{
  rk_store_u64(p, __builtin_bswap64(v));
}

/* `alignment` is a power of two; the sum must not overflow. */
static inline size_t rk_align_up(size_t n, size_t alignment)
{
  return (n + alignment - 1) & ~(alignment - 1);
}

/* True when `offset + size <= limit` without overflow. */
static inline bool rk_range_ok(uint64_t offset, uint64_t size, uint64_t limit)
{
  return offset <= limit && size <= limit - offset;
}

#endif
