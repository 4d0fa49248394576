/* Cells: what a caller hands over for one component, checked, measured and copied into a row. */
#ifndef RK_WRITER_CELL_H
#define RK_WRITER_CELL_H

#include "writer/writer_internal.h"

/* Bytes of the cell's data in a row, before padding. SIZE_MAX: not allowed, *error says why. */
size_t rk_cell_size(const rk_cell *cell, rk_error *error);
/* Writes the cell's header and data at `out`; returns the end, 8-byte aligned. `size` is what rk_cell_size said. */
uint8_t *rk_cell_write(const rk_cell *cell, size_t size, uint8_t *out);

#endif
