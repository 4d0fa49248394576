/* Whose a loss was: the writer whose chunk numbers have a gap just there, if it is one alone. */
#include <stdlib.h>

#include "reader/index/index.h"

static int compare_by_writer(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const int order = rk_entry_compare_writers(context, a, b);
  if (order != 0) {
    return order;
  }
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The loss that lies in (after, before), when it is one alone; losses are in file order. */
static rk_pending_loss *loss_between(const rk_list *losses, uint64_t after, uint64_t before)
{
  rk_pending_loss *list = losses->items;
  size_t low = 0;
  size_t high = losses->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (list[middle].offset < after) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool one =
      low < losses->count && list[low].offset < before && (low + 1 == losses->count || list[low + 1].offset >= before);
  return one ? &list[low] : NULL;
}

bool rk_index_attribute(rk_reader *reader, size_t first_entry, const rk_list *pending)
{
  const size_t count = reader->entries.count - first_entry;
  if (pending->count == 0 || count == 0) {
    return true;
  }
  const rk_entry **sorted = malloc(count * sizeof *sorted);
  bool *several = calloc(pending->count, sizeof *several);
  if (!sorted || !several) {
    free(sorted);
    free(several);
    return false;
  }
  size_t sealed = 0;
  for (size_t i = 0; i < count; i++) {
    const rk_entry *entry = rk_entry_at(reader, first_entry + i);
    if (entry->sealed && entry->writer != 0) {
      sorted[sealed++] = entry;
    }
  }
  qsort_r(sorted, sealed, sizeof *sorted, compare_by_writer, reader);
  rk_pending_loss *losses = pending->items;
  for (size_t i = 0; i < sealed; i++) {
    const bool first = i == 0 || rk_entry_compare_writers(reader, sorted[i - 1], sorted[i]) != 0;
    const uint32_t expected = first ? 0 : sorted[i - 1]->chunk_number + 1;
    if (sorted[i]->chunk_number == expected) {
      continue;
    }
    rk_pending_loss *loss = loss_between(pending, first ? 0 : sorted[i - 1]->offset, sorted[i]->offset);
    if (loss && loss->writer != 0 && loss->writer != sorted[i]->writer) {
      several[loss - losses] = true;
    } else if (loss) {
      loss->writer = sorted[i]->writer;
    }
  }
  for (size_t i = 0; i < pending->count; i++) {
    losses[i].writer = several[i] ? 0 : losses[i].writer;
  }
  free(sorted);
  free(several);
  return true;
}
