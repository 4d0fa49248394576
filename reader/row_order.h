/* The order of rows beyond key and row id. Only data counts, so that the order of the inputs does not. */
#ifndef RK_READER_ROW_ORDER_H
#define RK_READER_ROW_ORDER_H

#include "reader/reader_state.h"

bool rk_row_has_component(const rk_open_chunk *open, size_t component, uint32_t row);

/* By store, entity and components, which make a row's identity; then, between copies of one row, the fuller first, by
 * chunk id and content. Below 0, 0, above 0; 0 only for a row and itself. */
int rk_row_compare(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row);

#endif
