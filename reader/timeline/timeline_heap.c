/* Heaps of the timeline: chunks that wait by their smallest key, strands by their first row or what is known of it. */
#include <stdlib.h>

#include "reader/timeline/timeline_internal.h"

/* By key; chunks of one key in the order of their inputs, which makes reading sequential. */
static bool waiting_before(const rk_waiting *a, const rk_waiting *b)
{
  if (a->key != b->key) {
    return a->key < b->key;
  }
  return a->entry->input == b->entry->input ? a->entry->offset < b->entry->offset
                                            : a->entry->input->number < b->entry->input->number;
}

bool rk_waiting_push(rk_waiting_heap *heap, rk_waiting item)
{
  if (heap->count == heap->capacity) {
    const size_t capacity = heap->capacity ? heap->capacity * 2 : 16;
    rk_waiting *larger = realloc(heap->items, capacity * sizeof *larger);
    if (!larger) {
      return false;
    }
    heap->items = larger;
    heap->capacity = capacity;
  }
  size_t at = heap->count++;
  while (at > 0 && waiting_before(&item, &heap->items[(at - 1) / 2])) {
    heap->items[at] = heap->items[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap->items[at] = item;
  return true;
}

rk_waiting rk_waiting_pop(rk_waiting_heap *heap)
{
  const rk_waiting first = heap->items[0];
  const rk_waiting moving = heap->items[--heap->count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
    if (child + 1 < heap->count && waiting_before(&heap->items[child + 1], &heap->items[child])) {
      child++;
    }
    if (!waiting_before(&heap->items[child], &moving)) {
      break;
    }
    heap->items[at] = heap->items[child];
  }
  if (heap->count > 0) {
    heap->items[at] = moving;
  }
  return first;
}

static inline bool strand_before(const rk_strand *a, const rk_strand *b)
{
  const int order = rk_row_key_compare(&a->head, &b->head);
  if (order || a->cursor_count == 0 || b->cursor_count == 0) {
    return order < 0;
  }
  const rk_cursor *x = &a->cursors[0];
  const rk_cursor *y = &b->cursors[0];
  return rk_row_compare_numbers(x->open, x->row, y->open, y->row) < 0;
}

void rk_strands_sift_down(rk_strand_heap *heap, size_t at)
{
  rk_strand *moving = heap->items[at];
  for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
    if (child + 1 < heap->count && strand_before(heap->items[child + 1], heap->items[child])) {
      child++;
    }
    if (!strand_before(heap->items[child], moving)) {
      break;
    }
    heap->items[at] = heap->items[child];
  }
  heap->items[at] = moving;
}

bool rk_strands_push(rk_strand_heap *heap, rk_strand *strand)
{
  if (heap->count == heap->capacity) {
    const size_t capacity = heap->capacity ? heap->capacity * 2 : 16;
    rk_strand **larger = realloc(heap->items, capacity * sizeof(rk_strand *));
    if (!larger) {
      return false;
    }
    heap->items = larger;
    heap->capacity = capacity;
  }
  size_t at = heap->count++;
  while (at > 0 && strand_before(strand, heap->items[(at - 1) / 2])) {
    heap->items[at] = heap->items[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap->items[at] = strand;
  return true;
}

rk_strand *rk_strands_pop(rk_strand_heap *heap)
{
  rk_strand *first = heap->items[0];
  heap->items[0] = heap->items[--heap->count];
  if (heap->count > 0) {
    rk_strands_sift_down(heap, 0);
  }
  return first;
}

void rk_strands_heapify(rk_strand_heap *heap)
{
  for (size_t i = heap->count / 2; i-- > 0;) {
    rk_strands_sift_down(heap, i);
  }
}
