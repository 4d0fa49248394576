/* Rows of a ring with one cell, as seeds. */
#ifndef RK_FUZZ_SPOOL_ROW_H
#define RK_FUZZ_SPOOL_ROW_H

#include <stdlib.h>

#include "format/buffer.h"
#include "format/bytes.h"
#include "format/spool.h"

/* Stamped 1000 + number. */
static inline void put_row(rk_buffer *out, uint32_t number, uint32_t entity, uint32_t set, unsigned timelines,
                           uint32_t component, uint32_t count, const void *values, size_t size)
{
  const size_t start = out->size;
  rk_buffer_append_zero(out, RK_SPOOL_ROW_HEADER + 8 * timelines + RK_SPOOL_CELL_HEADER);
  rk_buffer_append(out, values, size);
  rk_buffer_align(out, 8);
  if (out->failed) {
    abort();
  }
  uint8_t *row = out->data + start, *cell = row + RK_SPOOL_ROW_HEADER + 8 * timelines;
  rk_store_u32(row, (uint32_t)(out->size - start));
  rk_store_u32(row + 4, number);
  rk_store_u32(row + 8, 1000 + number);
  rk_store_u32(row + 16, entity);
  rk_store_u32(row + 20, set);
  rk_store_u16(row + 24, 1);
  row[27] = (uint8_t)timelines;
  rk_store_u32(cell, component);
  rk_store_u32(cell + 4, count);
  rk_store_u32(cell + 8, (uint32_t)size);
}

#endif
