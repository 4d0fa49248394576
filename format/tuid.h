/* TUIDs (SPEC "Identifiers"): 16 bytes, big-endian in Arrow and in text, two fixed64 in protobuf. */
#ifndef RK_FORMAT_TUID_H
#define RK_FORMAT_TUID_H

#include <stdint.h>

#include "format/bytes.h"
#include "rrdkit/reader.h" /* rk_tuid */

#define RK_TUID_SIZE 16

static inline rk_tuid rk_tuid_load(const void *p)
{
  return (rk_tuid){.time_ns = rk_load_u64_be(p), .inc = rk_load_u64_be((const char *)p + 8)};
}
static inline void rk_tuid_store(void *p, rk_tuid id)
{
  rk_store_u64_be(p, id.time_ns);
  rk_store_u64_be((char *)p + 8, id.inc);
}
static inline int rk_tuid_compare(rk_tuid a, rk_tuid b)
{
  if (a.time_ns != b.time_ns) {
    return a.time_ns < b.time_ns ? -1 : 1;
  }
  return a.inc < b.inc ? -1 : a.inc > b.inc;
}
/* The row ids of a writer: inc = tag (high 32 bits) and row number (low 32). */
static inline uint64_t rk_row_inc(uint32_t tag, uint32_t row)
{
  return (uint64_t)tag << 32 | row;
}

#endif
