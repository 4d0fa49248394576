/* Making room: what is open is sorted into runs that lie in a temporary file. */
#include <stdlib.h>

#include "reader/timeline/timeline_internal.h"

/* All runs that are made at once have one block in memory each when they are read again; this part of what may be open
 * is theirs, so what was spilled so many times can be read without being merged first. */
#define BLOCK_SHARE       256
#define BLOCK_SIZE_MAX    ((uint64_t)1 << 20)
#define BLOCK_SHARE_MAX   16 /* of a block whose rows are of many entities, and at most: */
#define MANY_SIZE_MAX     ((uint64_t)2 << 20)
#define SORTED_SIZE_MIN   ((uint64_t)256)
#define NUMBERED_SIZE_MIN ((uint64_t)32 << 10)

/* Blocks that are merged although nothing was yielded since others were: many short runs whose first rows are equal. */
#define MERGED_MIN 4

bool rk_timeline_full(const rk_timeline_state *t)
{
  return t->held > t->budget && t->cursor_count > 1 && (t->fresh || (t->returned >= MERGED_MIN && !t->stuck));
}

static uint64_t within(uint64_t size, uint64_t min, uint64_t max)
{
  size = size < min ? min : size;
  return size < max ? size : max;
}

static rk_status no_memory(rk_reader *reader)
{
  const rk_error error = {.status = RK_ERR_NO_MEMORY, .offset = RK_NO_OFFSET, .message = "no memory to sort rows"};
  return reader->error.status ? reader->error.status : rk_reader_set_error(reader, &error);
}

typedef struct strand_list {
  rk_strand **items;
  size_t count, capacity;
} strand_list;

static bool add_strand(strand_list *list, rk_strand *strand)
{
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 16;
    rk_strand **larger = realloc(list->items, capacity * sizeof(rk_strand *));
    if (!larger) {
      return false;
    }
    list->items = larger;
    list->capacity = capacity;
  }
  list->items[list->count++] = strand;
  return true;
}

/* Strands with rows that are read again, or whose first row's key is not certain, leave the heap. */
static rk_status sort_out(rk_reader *reader, rk_timeline_state *t, strand_list *rest)
{
  size_t kept = 0;
  rk_status status = RK_OK;
  for (size_t i = 0; i < t->open.count; i++) {
    rk_strand *strand = t->open.items[i];
    bool any = false;
    status = status ? status : rk_strand_put_back_large(reader, strand, &any);
    if (status || (!any && rk_strand_is_certain(strand))) {
      t->open.items[kept++] = strand;
    } else if (strand->cursor_count > 0) {
      status = add_strand(rest, strand) ? RK_OK : RK_ERR_NO_MEMORY;
    } else {
      status = rk_timeline_close_strand(reader, t, strand);
    }
  }
  if (kept < t->open.count) {
    t->open.count = kept;
    rk_strands_heapify(&t->open);
  }
  return status;
}

/* All rows of the heap whose order is known, in that order; a writer whose next row depends on a chunk that was not
 * opened yet goes to the rest. A row that comes again behind itself is left out: it would not be yielded. */
static rk_status spill_sorted(rk_reader *reader, rk_timeline_state *t, strand_list *rest, size_t *blocks)
{
  rk_last_row before = {0};
  rk_status status = RK_OK;
  while (t->open.count > 0 && status == RK_OK) {
    rk_strand *strand = t->open.items[0];
    const rk_cursor *c = &strand->cursors[0];
    const rk_writer_entry *writer;
    if (rk_last_row_is(&before, strand)) {
      rk_last_row_repeated(&before, c);
      reader->stats.duplicate_rows++;
    } else if (rk_row_passes(reader, c, strand->head.key, &writer)) {
      status = rk_spill_put(t->spill, c->open, c->row, c->position, &strand->head);
      rk_last_row_set(&before, strand);
      if (!before.held) {
        rk_open_chunk_retain(before.open);
        before.held = true;
      }
    }
    bool settled = false;
    status = status ? status : rk_strand_advance(reader, strand, &settled);
    if (status) {
      break;
    }
    if (settled && rk_strand_is_certain(strand)) {
      rk_strands_sift_down(&t->open, 0);
      continue;
    }
    (void)rk_strands_pop(&t->open);
    if (strand->cursor_count == 0) {
      status = rk_timeline_close_strand(reader, t, strand);
    } else {
      status = add_strand(rest, strand) ? RK_OK : RK_ERR_NO_MEMORY;
    }
  }
  rk_last_row_clear(&before);
  rk_run *run = NULL;
  status = status ? status : rk_spill_end(t->spill, &run);
  if (status || !run) {
    return status;
  }
  *blocks += run->blocks.count;
  rk_strand *sorted = rk_strand_new(false, 0);
  if (!sorted) {
    rk_run_free(run);
    return RK_ERR_NO_MEMORY;
  }
  status = rk_strand_add_return(sorted, &(rk_return){.key = rk_run_next(run)->first, .run = run});
  if (status) {
    rk_strand_free(sorted);
    return status;
  }
  return rk_timeline_close_strand(reader, t, sorted);
}

/* The rows of one writer by their numbers. */
static rk_status spill_numbered(rk_reader *reader, rk_timeline_state *t, rk_strand *strand, size_t *blocks)
{
  rk_status status = RK_OK;
  while (strand->cursor_count > 0 && status == RK_OK) {
    const rk_cursor *c = &strand->cursors[0];
    const rk_row_key own = rk_row_own_key(c->open, c->row);
    status = rk_spill_put(t->spill, c->open, c->row, c->position, &own);
    status = status ? status : rk_strand_skip(reader, strand);
  }
  rk_run *run = NULL;
  status = status ? status : rk_spill_end(t->spill, &run);
  if (status == RK_OK && run) {
    *blocks += run->blocks.count;
    status = rk_strand_add_return(strand, &(rk_return){.key = rk_run_next(run)->first, .run = run});
  }
  return status ? status : rk_timeline_close_strand(reader, t, strand);
}

rk_status rk_timeline_spill(rk_reader *reader, rk_timeline_state *t, rk_strand *extra)
{
  const size_t before = t->returned;
  const bool fresh = t->fresh;
  size_t blocks = 0;
  t->fresh = t->quiet = false;
  t->returned = 0;
  t->spill = t->spill ? t->spill : rk_spill_new(reader);
  strand_list rest = {0};
  rk_status status = t->spill ? RK_OK : RK_ERR_NO_MEMORY;
  status = status ? status : sort_out(reader, t, &rest);
  if (status == RK_OK && extra) {
    bool any;
    status = rk_strand_put_back_large(reader, extra, &any);
    status = status == RK_OK && !add_strand(&rest, extra) ? RK_ERR_NO_MEMORY : status;
  }
  const uint64_t size = within(t->budget / BLOCK_SHARE, SORTED_SIZE_MIN, BLOCK_SIZE_MAX);
  if (status == RK_OK) {
    rk_spill_set_block_size(t->spill, size, within(t->budget / BLOCK_SHARE_MAX, 0, MANY_SIZE_MAX));
    status = spill_sorted(reader, t, &rest, &blocks);
  }
  if (status == RK_OK && rest.count > 0) {
    rk_spill_set_block_size(t->spill, within(NUMBERED_SIZE_MIN, size / rest.count, size),
                            within(t->budget / BLOCK_SHARE_MAX, 0, MANY_SIZE_MAX));
  }
  for (size_t i = 0; i < rest.count && status == RK_OK; i++) {
    status = spill_numbered(reader, t, rest.items[i], &blocks);
  }
  free(rest.items);
  t->stuck = !fresh && blocks >= before;
  return status ? no_memory(reader) : RK_OK;
}
