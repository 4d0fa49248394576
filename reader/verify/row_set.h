/* A set of row numbers as runs: small while the numbers of a writer come nearly in order. */
#ifndef RK_READER_ROW_SET_H
#define RK_READER_ROW_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both ends belong to it. */
typedef struct rk_row_run {
  uint32_t first, last;
} rk_row_run;

/* Zero-initialise. Runs are sorted, apart from each other by at least one number. */
typedef struct rk_row_set {
  rk_row_run *runs;
  size_t count, capacity;
  rk_row_run *merged; /* room to work in */
  size_t merged_capacity;
} rk_row_set;

/* Adds runs that are sorted and do not overlap each other. *known: how many of their numbers were there already. False:
 * memory is short. */
bool rk_row_set_add(rk_row_set *set, const rk_row_run *runs, size_t count, uint64_t *known);
void rk_row_set_clear(rk_row_set *set); /* keeps the memory */
void rk_row_set_free(rk_row_set *set);

/* Room for `count` runs in *runs. False: memory is short. */
bool rk_row_runs_reserve(rk_row_run **runs, size_t *capacity, size_t count);

#endif
