/* Strands: rows that come in a known order, from what is open of them and what is not. */
#include <stdlib.h>
#include <string.h>

#include "reader/timeline/timeline_internal.h"

#define LARGE_ROW ((uint64_t)32 << 20)

rk_strand *rk_strand_new(bool is_writer, unsigned rank)
{
  rk_strand *strand = calloc(1, sizeof *strand);
  if (strand) {
    strand->is_writer = is_writer;
    strand->rank = rank;
  }
  return strand;
}

/* Owned by the cursor; NULL: it is of one chunk. */
static rk_run *run_of(const rk_cursor *c)
{
  return c->open->block ? c->open->block->run : NULL;
}

void rk_strand_free(rk_strand *strand)
{
  for (size_t i = 0; i < strand->cursor_count; i++) {
    rk_run_free(run_of(&strand->cursors[i]));
    rk_open_chunk_release(strand->cursors[i].open);
  }
  for (size_t i = 0; i < strand->return_count; i++) {
    rk_run_free(strand->returns[i].run);
  }
  free(strand->cursors);
  free(strand->returns);
  if (strand->entry_capacity > 0) {
    free(strand->entries);
  }
  free(strand);
}

/* ---- Cursors ---- */

/* Rows of many chunks by turns: the processor does not foresee where the next one of this chunk lies. */
static inline void fetch_ahead(const rk_open_chunk *open, uint32_t row)
{
  enum { ROWS = 4 };
  __builtin_prefetch((const void *)((uintptr_t)open->keys + ((uintptr_t)row + ROWS) * sizeof *open->keys));
  __builtin_prefetch((const void *)((uintptr_t)open->chunk.row_ids + ((uintptr_t)row + ROWS) * RK_TUID_SIZE));
}

static inline void look_at(rk_cursor *c)
{
  rk_block *block = c->open->block;
  if (block) {
    const uint32_t piece = block->steps[c->position];
    c->open = &block->pieces[piece];
    c->row = block->taken[piece]++;
  } else {
    c->row = c->open->order ? c->open->order[c->position] : c->position;
  }
  c->inc = rk_row_inc_at(c->open->chunk.row_ids, c->row);
  fetch_ahead(c->open, c->row);
}

static bool cursor_before(const rk_cursor *a, const rk_cursor *b)
{
  return a->inc != b->inc ? a->inc < b->inc : rk_row_compare_numbers(a->open, a->row, b->open, b->row) < 0;
}

/* Puts the cursor where it belongs at or below `at`. */
static inline void put_cursor(rk_strand *strand, size_t at, rk_cursor moving)
{
  rk_cursor *heap = strand->cursors;
  const size_t count = strand->cursor_count;
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && cursor_before(&heap[child + 1], &heap[child])) {
      child++;
    }
    if (!cursor_before(&heap[child], &moving)) {
      break;
    }
    heap[at] = heap[child];
  }
  heap[at] = moving;
}

/* Takes the cursor over; releases it when memory is short. */
static rk_status add_cursor(rk_reader *reader, rk_strand *strand, rk_cursor *c)
{
  if (strand->cursor_count == strand->cursor_capacity) {
    const size_t capacity = strand->cursor_capacity ? strand->cursor_capacity * 2 : 1;
    rk_cursor *larger = realloc(strand->cursors, capacity * sizeof *larger);
    if (!larger) {
      rk_run_free(run_of(c));
      rk_open_chunk_release(c->open);
      return RK_ERR_NO_MEMORY;
    }
    strand->cursors = larger;
    strand->cursor_capacity = capacity;
  }
  rk_timeline_state *t = reader->timeline;
  t->held += c->open->memory;
  t->cursor_count++;
  look_at(c);
  size_t at = strand->cursor_count++;
  while (at > 0 && cursor_before(c, &strand->cursors[(at - 1) / 2])) {
    strand->cursors[at] = strand->cursors[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  strand->cursors[at] = *c;
  return RK_OK;
}

/* The first cursor is at its end, or given up. What is needed of the row that was yielded last is kept for it. */
static void drop_cursor(rk_reader *reader, rk_strand *strand)
{
  rk_timeline_state *t = reader->timeline;
  const rk_cursor *c = &strand->cursors[0];
  const rk_open_chunk *last = t->last.open;
  t->held -= c->open->memory;
  t->cursor_count--;
  if (last && !t->last.held && (last == c->open || (last->block && last->block == c->open->block))) {
    t->last.held = true;
  } else {
    rk_open_chunk_release(c->open);
  }
  strand->cursors[0] = strand->cursors[--strand->cursor_count];
}

rk_status rk_strand_open_entry(rk_reader *reader, rk_strand *strand, rk_entry *entry, uint32_t position)
{
  if (entry->lost || !rk_filter_entry(reader, entry)) { /* the path may be known by now */
    return RK_OK;
  }
  rk_timeline_state *t = reader->timeline;
  t->fresh = t->fresh || position == 0;
  rk_open_chunk *open;
  rk_error error = {.message = ""};
  const rk_status loaded = rk_ahead_load(reader, t, entry, &open, &error);
  entry->opened = true;
  const rk_status status = rk_open_chunk_judge(reader, entry, loaded, &error);
  if (status) {
    return status == RK_END ? RK_OK : status;
  }
  if (open->chunk.row_count <= (int64_t)position || open->chunk.component_count == 0 || !rk_filter_open(reader, open)) {
    rk_open_chunk_release(open);
    return RK_OK;
  }
  return add_cursor(reader, strand,
                    &(rk_cursor){.open = open, .position = position, .count = (uint32_t)open->chunk.row_count});
}

/* The next block of a run. Takes the run over. */
static rk_status open_run(rk_reader *reader, rk_strand *strand, rk_run *run)
{
  rk_block *block;
  reader->timeline->returned++;
  const rk_status status = rk_spill_read(reader->timeline->spill, run, &block);
  if (status) {
    rk_run_free(run);
    return status;
  }
  block->run = run;
  return add_cursor(reader, strand, &(rk_cursor){.open = block->pieces, .count = block->row_count});
}

/* ---- What is not open ---- */

/* As cursors: what comes first tells the smallest key that may come. */
static bool return_before(const rk_return *a, const rk_return *b)
{
  return a->key.id.inc != b->key.id.inc ? a->key.id.inc < b->key.id.inc : rk_row_key_compare(&a->key, &b->key) < 0;
}

rk_status rk_strand_add_return(rk_strand *strand, const rk_return *back)
{
  if (strand->return_count == strand->return_capacity) {
    const size_t capacity = strand->return_capacity ? strand->return_capacity * 2 : 1;
    rk_return *larger = realloc(strand->returns, capacity * sizeof *larger);
    if (!larger) {
      rk_run_free(back->run);
      return RK_ERR_NO_MEMORY;
    }
    strand->returns = larger;
    strand->return_capacity = capacity;
  }
  size_t at = strand->return_count++;
  while (at > 0 && return_before(back, &strand->returns[(at - 1) / 2])) {
    strand->returns[at] = strand->returns[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  strand->returns[at] = *back;
  return RK_OK;
}

static rk_return pop_return(rk_strand *strand)
{
  rk_return *heap = strand->returns;
  const rk_return first = heap[0];
  const rk_return moving = heap[--strand->return_count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < strand->return_count; at = child) {
    if (child + 1 < strand->return_count && return_before(&heap[child + 1], &heap[child])) {
      child++;
    }
    if (!return_before(&heap[child], &moving)) {
      break;
    }
    heap[at] = heap[child];
  }
  heap[at] = moving;
  return first;
}

static int compare_first_rows(const rk_entry *a, const rk_entry *b)
{
  if (a->first_row != b->first_row) {
    return a->first_row < b->first_row ? -1 : 1;
  }
  return a->min_ns < b->min_ns ? -1 : a->min_ns > b->min_ns;
}

rk_status rk_strand_add_entry(rk_strand *strand, rk_entry *entry)
{
  const size_t left = strand->entry_count - strand->entry_next;
  if (left + 1 > strand->entry_capacity || strand->entry_next > left + 16) {
    const size_t capacity = 2 * left + 16;
    rk_entry **own = malloc(capacity * sizeof(rk_entry *));
    if (!own) {
      return RK_ERR_NO_MEMORY;
    }
    if (left > 0) {
      memcpy(own, strand->entries + strand->entry_next, left * sizeof(rk_entry *));
    }
    if (strand->entry_capacity > 0) {
      free(strand->entries);
    }
    strand->entries = own;
    strand->entry_capacity = capacity;
    strand->entry_next = 0;
    strand->entry_count = left;
  } else if (strand->entry_count == strand->entry_capacity) {
    memmove(strand->entries, strand->entries + strand->entry_next, left * sizeof(rk_entry *));
    strand->entry_next = 0;
    strand->entry_count = left;
  }
  size_t at = strand->entry_count++;
  while (at > strand->entry_next && compare_first_rows(entry, strand->entries[at - 1]) < 0) {
    strand->entries[at] = strand->entries[at - 1];
    at--;
  }
  strand->entries[at] = entry;
  return RK_OK;
}

/* The smallest row number that what is not open may have, as a whole inc. False: everything is open. */
static bool next_number(const rk_strand *strand, uint64_t *inc)
{
  const bool has_entry = strand->entry_next < strand->entry_count;
  *inc = has_entry ? rk_row_inc(strand->writer, strand->entries[strand->entry_next]->first_row) : UINT64_MAX;
  if (strand->return_count > 0 && strand->returns[0].key.id.inc < *inc) {
    *inc = strand->returns[0].key.id.inc;
  }
  return has_entry || strand->return_count > 0;
}

static rk_status open_return(rk_reader *reader, rk_strand *strand)
{
  const rk_return back = pop_return(strand);
  const bool fresh = reader->timeline->fresh; /* what comes back is not opened for the first time */
  const rk_status status =
      back.run ? open_run(reader, strand, back.run) : rk_strand_open_entry(reader, strand, back.entry, back.position);
  reader->timeline->fresh = fresh;
  return status;
}

/* Chunks that were never opened go before what comes back, so that they are gone through once, however little memory
 * there is. */
static rk_status open_next(rk_reader *reader, rk_strand *strand)
{
  if (strand->entry_next < strand->entry_count) {
    rk_entry *entry = strand->entries[strand->entry_next];
    if (strand->return_count == 0 || rk_row_inc(strand->writer, entry->first_row) <= strand->returns[0].key.id.inc) {
      strand->entry_next++;
      return rk_strand_open_entry(reader, strand, entry, 0);
    }
  }
  return open_return(reader, strand);
}

/* ---- The first row ---- */

/* Whether a row may come to its writer's strand after rows of higher numbers: it was appended after they were yielded;
 * or it is of a chunk that was offered whole and not taken, and meanwhile they were spilled, not yielded (such writers'
 * keys do not step back, so there is nothing to clamp). */
static bool comes_late(const rk_reader *reader)
{
  return reader->follow || reader->timeline->offers;
}

/* Another key than the row's own. */
static RK_FAR void set_head(rk_strand *strand, const rk_row_key *head)
{
  strand->head = *head;
  strand->clamped = head->key != strand->own.key || rk_tuid_compare(head->id, strand->own.id) != 0;
}

static inline __attribute__((always_inline)) void take_head(const rk_reader *reader, rk_strand *strand)
{
  const rk_cursor *c = &strand->cursors[0];
  const rk_row_key own = rk_row_own_key(c->open, c->row);
  strand->own = own;
  strand->head = own;
  strand->late = strand->clamped = false;
  if (c->open->effective_keys) {
    const rk_row_key effective = rk_row_effective_key(c->open, c->row);
    set_head(strand, &effective);
  }
  if (strand->is_writer && strand->has_last) {
    strand->late = c->inc < strand->last_inc && comes_late(reader);
    if (!strand->late && rk_row_key_compare(&strand->head, &strand->last) < 0) {
      set_head(strand, &strand->last);
    }
  }
}

rk_status rk_strand_settle(rk_reader *reader, rk_strand *strand, bool *full)
{
  *full = false;
  rk_status status = RK_OK;
  if (!strand->is_writer && strand->cursor_count == 0 && strand->return_count > 0) {
    status = open_return(reader, strand);
  }
  uint64_t inc;
  while (status == RK_OK && strand->is_writer && next_number(strand, &inc) &&
         (strand->cursor_count == 0 || inc <= strand->cursors[0].inc)) {
    if (rk_timeline_full(reader->timeline)) {
      *full = true;
      return RK_OK;
    }
    status = open_next(reader, strand);
  }
  if (status == RK_OK && strand->cursor_count > 0) {
    take_head(reader, strand);
    (void)next_number(strand, &strand->due_inc);
  }
  return status;
}

/* The first cursor is at its end; the rest of its run comes back later. */
static RK_FAR rk_status end_cursor(rk_reader *reader, rk_strand *strand)
{
  rk_run *run = run_of(&strand->cursors[0]);
  drop_cursor(reader, strand);
  if (strand->cursor_count > 0) {
    put_cursor(strand, 0, strand->cursors[0]);
  }
  if (run && rk_run_next(run)) {
    return rk_strand_add_return(strand, &(rk_return){.key = rk_run_next(run)->first, .run = run});
  }
  rk_run_free(run);
  return RK_OK;
}

static inline rk_status move_on(rk_reader *reader, rk_strand *strand)
{
  rk_cursor c = strand->cursors[0]; /* a copy: what was just written in parts is slow to read as a whole */
  if (++c.position == c.count) {
    return end_cursor(reader, strand);
  }
  look_at(&c);
  put_cursor(strand, 0, c);
  return RK_OK;
}

rk_status rk_strand_advance(rk_reader *reader, rk_strand *strand, bool *settled)
{
  if (strand->is_writer && !strand->late) {
    strand->has_last = true;
    strand->last = strand->head;
    strand->last_inc = strand->cursors[0].inc;
  }
  const size_t cursors = strand->cursor_count;
  const rk_status status = move_on(reader, strand);
  *settled = status == RK_OK && strand->cursor_count > 0;
  if (!*settled) {
    return status;
  }
  if (strand->is_writer) {
    if (strand->cursor_count != cursors) {
      (void)next_number(strand, &strand->due_inc);
    }
    *settled = strand->cursors[0].inc < strand->due_inc;
  }
  take_head(reader, strand);
  return RK_OK;
}

bool rk_strand_is_certain(rk_strand *strand)
{
  while (strand->withheld_count > 0 && !strand->withheld[0]->offered) { /* taken, or refused and among the others */
    strand->withheld++;
    strand->withheld_count--;
  }
  return strand->withheld_count == 0 ||
         strand->cursors[0].inc < rk_row_inc(strand->writer, strand->withheld[0]->first_row);
}

rk_status rk_strand_skip(rk_reader *reader, rk_strand *strand)
{
  return move_on(reader, strand);
}

bool rk_strand_close(const rk_reader *reader, rk_strand *strand)
{
  const bool has_entry = strand->entry_next < strand->entry_count;
  if (!has_entry && strand->return_count == 0) {
    return false;
  }
  if (strand->return_count > 0) {
    strand->head = strand->returns[0].key;
  }
  if (has_entry) {
    const rk_row_key key = {.rank = strand->rank, .key = strand->entries[strand->entry_next]->min_ns, .tie = INT64_MIN};
    if (strand->return_count == 0 || rk_row_key_compare(&key, &strand->head) < 0) {
      strand->head = key;
    }
  }
  if (strand->is_writer && strand->has_last && !comes_late(reader) &&
      rk_row_key_compare(&strand->head, &strand->last) < 0) {
    strand->head = strand->last;
  }
  return true;
}

/* ---- Large rows ---- */

static bool is_large(const rk_cursor *c)
{
  return !c->open->block && c->open->uncompressed_size / (uint64_t)c->open->chunk.row_count >= LARGE_ROW;
}

rk_status rk_strand_put_back_large(rk_reader *reader, rk_strand *strand, bool *any)
{
  *any = false;
  for (size_t i = strand->cursor_count; i-- > 0;) {
    if (!is_large(&strand->cursors[i])) {
      continue;
    }
    *any = true;
    const rk_cursor c = strand->cursors[i];
    const rk_return back = {.key =
                                strand->is_writer ? rk_row_own_key(c.open, c.row) : rk_row_effective_key(c.open, c.row),
                            .entry = c.open->origin,
                            .position = c.position};
    strand->cursors[i] = strand->cursors[0];
    strand->cursors[0] = c;
    drop_cursor(reader, strand);
    const rk_status status = rk_strand_add_return(strand, &back);
    if (status) {
      return status;
    }
  }
  for (size_t i = strand->cursor_count / 2; *any && i-- > 0;) {
    put_cursor(strand, i, strand->cursors[i]);
  }
  return RK_OK;
}
