/* A set of row numbers as runs: small while the numbers of a writer come nearly in order. */
#include "reader/verify/row_set.h"

#include <stdlib.h>
#include <string.h>

bool rk_row_runs_reserve(rk_row_run **runs, size_t *capacity, size_t count)
{
  if (count <= *capacity) {
    return true;
  }
  const size_t larger = count < SIZE_MAX / sizeof **runs / 2 ? count + count / 2 + 16 : count;
  rk_row_run *grown = reallocarray(*runs, larger, sizeof *grown);
  if (!grown) {
    return false;
  }
  *runs = grown;
  *capacity = larger;
  return true;
}

/* The first run of the set from `from` on that ends at `number` or later. */
static size_t first_ending_at(const rk_row_set *set, size_t from, uint64_t number)
{
  size_t low = from;
  size_t high = set->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (set->runs[middle].last < number) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool rk_row_set_add(rk_row_set *set, const rk_row_run *runs, size_t count, uint64_t *known)
{
  *known = 0;
  if (count == 0) {
    return true;
  }
  /* only the runs that the new ones touch are merged with them: [low, high) */
  const uint32_t begin = runs[0].first;
  const uint64_t end = (uint64_t)runs[count - 1].last + 1;
  const size_t low = first_ending_at(set, 0, begin > 0 ? begin - 1 : 0);
  size_t high = first_ending_at(set, low, end);
  high += high < set->count && set->runs[high].first <= end;
  const size_t touched = high - low;
  if (!rk_row_runs_reserve(&set->merged, &set->merged_capacity, touched + count) ||
      !rk_row_runs_reserve(&set->runs, &set->capacity, set->count + count)) {
    return false;
  }
  const rk_row_run *old = set->runs + low;
  rk_row_run *merged = set->merged;
  size_t size = 0;
  for (size_t i = 0, j = 0; i < touched || j < count;) {
    const bool take_old = j == count || (i < touched && old[i].first <= runs[j].first);
    const rk_row_run next = take_old ? old[i++] : runs[j++];
    if (size > 0 && next.first <= (uint64_t)merged[size - 1].last + 1) {
      rk_row_run *last = &merged[size - 1];
      const uint32_t shared = next.last < last->last ? next.last : last->last;
      *known += next.first <= shared ? (uint64_t)shared - next.first + 1 : 0;
      last->last = next.last > last->last ? next.last : last->last;
    } else {
      merged[size++] = next;
    }
  }
  memmove(set->runs + low + size, set->runs + high, (set->count - high) * sizeof *set->runs);
  memcpy(set->runs + low, merged, size * sizeof *merged);
  set->count = set->count - touched + size;
  return true;
}

void rk_row_set_clear(rk_row_set *set)
{
  set->count = 0;
}

void rk_row_set_free(rk_row_set *set)
{
  free(set->runs);
  free(set->merged);
  *set = (rk_row_set){0};
}
