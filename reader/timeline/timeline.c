/* The timeline: rows of all chunks in one order (row_order.h), in bounded memory.
 *
 * Rows come from *strands*, each of which yields its rows in that order. A writer is a strand: its chunks in time are
 * taken together by row number, so that its own order holds, and a row is clamped to the effective key of the row
 * before. Every chunk of rows of many or unknown writers is a strand of its own. Open strands meet in a heap by their
 * first rows; what is not open waits by the smallest key that it may have, and is opened when that is due.
 *
 * When what is open takes too much memory, all of it is sorted into runs in a temporary file (timeline_spill.c):
 * - Rows whose effective key is known go into one run, in their order, with that key. The run is a strand like a chunk.
 *   It is read block by block, a block when its first row is due, so it takes the memory of one block. Its writers'
 *   strands are then where they would be had the rows been yielded: what they hold next is clamped as before.
 * - A writer's rows that may still have to wait for a chunk which was not opened yet (its first row number is lower)
 * have no known effective key. They go into a run of that writer alone, by number, and come back to its strand like a
 * chunk whose first number is known.
 * - Chunks of very large rows are not copied: they are closed, and opened again for each row in its turn.
 * So the order is that of the rows alone, and is the same however often it comes to this. Chunks that were never opened
 * are opened before what comes back: they pass through memory once, and blocks of runs are read only when a row in them
 * is next. With `budget` bytes for what is open, runs are about that long and there can be 256 blocks in memory
 * (16 where rows are of many entities: a block's rows take as much as its pieces do); when more runs than that overlap,
 * their blocks are merged into longer runs by the same means. It ends, because after
 * everything was spilled that can happen again only when a row was yielded or a chunk was opened for the first time
 * (`fresh`), or when it made fewer blocks of many (many runs whose first rows have one key and id; where even that does
 * not help they are all held, one block each). */
#include <stdlib.h>

#include "reader/timeline/timeline_internal.h"

static rk_status fail(rk_reader *reader, rk_status status)
{
  static const rk_error stopped = {.status = RK_END, .offset = RK_NO_OFFSET, .message = "stopped"};
  const rk_error error = {.status = status, .offset = RK_NO_OFFSET, .message = "no memory to read on"};
  return reader->error.status ? reader->error.status
                              : rk_reader_set_error(reader, status == RK_END ? &stopped : &error);
}

rk_status rk_timeline_close_strand(const rk_reader *reader, rk_timeline_state *t, rk_strand *strand)
{
  const bool has_more = rk_strand_close(reader, strand);
  strand->state = has_more ? RK_STRAND_CLOSED : RK_STRAND_IDLE;
  if (has_more && rk_strands_push(&t->closed, strand)) {
    return RK_OK;
  }
  if (!strand->is_writer) {
    rk_strand_free(strand);
  }
  return has_more ? RK_ERR_NO_MEMORY : RK_OK;
}

/* ---- Opening what is due ---- */

static rk_waiting_heap *first_waiting(rk_timeline_state *t, unsigned *rank)
{
  for (unsigned i = 0; i < RK_RANKS; i++) {
    if (t->waiting[i].count > 0) {
      *rank = i;
      return &t->waiting[i];
    }
  }
  return NULL;
}

/* Gives a strand that is in no heap to the heap of open ones, or to where it belongs when it is at its end. */
static rk_status enter(rk_reader *reader, rk_timeline_state *t, rk_strand *strand)
{
  bool full = false;
  rk_status status = rk_strand_settle(reader, strand, &full);
  if (status == RK_OK && full) {
    return rk_timeline_spill(reader, t, strand);
  }
  if (status == RK_OK && strand->cursor_count == 0) {
    return rk_timeline_close_strand(reader, t, strand);
  }
  if (status == RK_OK && rk_strands_push(&t->open, strand)) {
    strand->state = RK_STRAND_OPEN;
    return RK_OK;
  }
  strand->state = RK_STRAND_IDLE;
  if (!strand->is_writer) {
    rk_strand_free(strand);
  }
  return status ? status : RK_ERR_NO_MEMORY;
}

static rk_status open_waiting(rk_reader *reader, rk_timeline_state *t, rk_waiting_heap *heap)
{
  rk_entry *entry = rk_waiting_pop(heap).entry;
  if (entry->offered) {
    t->offered = entry;
    t->told = t->taken = false;
    return RK_OK;
  }
  rk_strand *strand = rk_strand_new(false, rk_entry_rank(reader, entry));
  if (!strand) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status = rk_strand_open_entry(reader, strand, entry, 0);
  if (status || strand->cursor_count == 0) {
    rk_strand_free(strand);
    return status;
  }
  return enter(reader, t, strand);
}

/* Strands that are open may have to open what was added. */
static rk_status look_again(rk_reader *reader, rk_timeline_state *t)
{
  t->changed = false;
  rk_strand_heap had = t->open;
  t->open = (rk_strand_heap){0};
  rk_status status = RK_OK;
  for (size_t i = 0; i < had.count; i++) {
    if (status == RK_OK) {
      status = enter(reader, t, had.items[i]);
    } else if (!had.items[i]->is_writer) {
      rk_strand_free(had.items[i]);
    }
  }
  free(had.items);
  return status;
}

/* Opens everything that may hold a row not after the first of those that are open; stops at a chunk to offer. */
static rk_status open_due(rk_reader *reader, rk_timeline_state *t)
{
  rk_status status = t->changed ? look_again(reader, t) : RK_OK;
  while (status == RK_OK && !t->offered) {
    if (rk_timeline_full(t)) {
      status = rk_timeline_spill(reader, t, NULL);
      continue;
    }
    rk_row_key first = {.tie = INT64_MIN};
    rk_waiting_heap *waiting = first_waiting(t, &first.rank);
    first.key = waiting ? waiting->items[0].key : 0;
    const bool closed = t->closed.count > 0 && (!waiting || rk_row_key_compare(&t->closed.items[0]->head, &first) < 0);
    first = closed ? t->closed.items[0]->head : first;
    t->due = waiting || closed ? first : (rk_row_key){.rank = RK_RANKS};
    if ((!waiting && !closed) || (reader->has_limit && first.key >= reader->limit_ns) ||
        (t->open.count > 0 && rk_row_key_compare(&first, &t->open.items[0]->head) > 0)) {
      break;
    }
    status = closed ? enter(reader, t, rk_strands_pop(&t->closed)) : open_waiting(reader, t, waiting);
  }
  t->quiet = !t->offered && t->open.count > 0;
  return status;
}

/* Leaves the first row; its chunk may go with it. */
static rk_status advance(rk_reader *reader, rk_timeline_state *t)
{
  rk_strand *strand = t->open.items[0];
  bool settled;
  const rk_status status = rk_strand_advance(reader, strand, &settled);
  t->fresh = true;
  if (status) {
    return status;
  }
  if (settled) {
    rk_strands_sift_down(&t->open, 0);
    t->quiet = t->quiet && rk_row_key_compare(&t->open.items[0]->head, &t->due) < 0;
    return RK_OK;
  }
  t->quiet = false;
  (void)rk_strands_pop(&t->open);
  return strand->cursor_count > 0 ? enter(reader, t, strand) : rk_timeline_close_strand(reader, t, strand);
}

/* ---- Rows ---- */

static rk_status begin(rk_reader *reader, bool offers)
{
  if (reader->error.status) {
    return reader->error.status;
  }
  rk_status status = reader->timeline ? RK_OK : rk_timeline_make(reader, offers);
  return status || !reader->timeline->last.held ? status : rk_last_row_relax(&reader->timeline->last);
}

/* Late rows are counted where there can be any. */
static void note_yielded(rk_reader *reader, rk_timeline_state *t, const rk_row_key *key)
{
  if (t->has_yielded && rk_row_key_compare(key, &t->yielded) < 0) {
    reader->stats.late_rows++;
    return;
  }
  t->has_yielded = true;
  t->yielded = *key;
}

/* Yields the first row if it is one to yield, and leaves it. */
static rk_status take_first(rk_reader *reader, rk_timeline_state *t, rk_row_ref *ref, bool *yielded)
{
  const rk_strand *strand = t->open.items[0];
  const rk_cursor *c = &strand->cursors[0];
  const rk_row_key *key = &strand->head;
  const rk_writer_entry *writer = NULL;
  *yielded = false;
  if (rk_last_row_is(&t->last, strand)) {
    rk_last_row_repeated(&t->last, c);
    reader->stats.duplicate_rows++;
  } else if (rk_row_passes(reader, c, key->key, &writer)) {
    const rk_open_chunk *open = c->open;
    *yielded = true;
    rk_last_row_set(&t->last, strand);
    reader->stats.rows_returned++;
    reader->stats.clamped_rows += strand->clamped;
    if (reader->follow) {
      note_yielded(reader, t, key);
    }
    *ref = (rk_row_ref){.open = c->open,
                        .row = c->row,
                        .origin = open->origins ? open->origins[open->origin_index[c->row]].entry : open->origin,
                        .origin_position = open->origin_positions ? open->origin_positions[c->row] : c->position,
                        .row_id = strand->own.id,
                        .key_ns = key->key,
                        .stored_key_ns = open->id_keyed ? rk_row_id_key(strand->own.id) : strand->own.key,
                        .is_static = open->chunk.timeline_count == 0,
                        .store = open->store,
                        .entity_path = open->entity_path,
                        .writer = writer ? &writer->info : NULL,
                        .row_number = writer ? (uint32_t)strand->own.id.inc : 0};
  }
  return advance(reader, t);
}

/* Whether the row or chunk that comes next is behind the last key of one that was taken whole. */
static bool whole_ends(rk_timeline_state *t, const rk_row_key *next, rk_entry **entry)
{
  for (unsigned rank = 0; rank < RK_RANKS; rank++) {
    rk_waiting_heap *heap = &t->whole[rank];
    if (heap->count > 0 && (!next || rank < next->rank || (rank == next->rank && heap->items[0].key < next->key))) {
      *entry = rk_waiting_pop(heap).entry;
      t->whole_count--;
      return true;
    }
  }
  return false;
}

/* What became of the chunk that was offered. */
static rk_status settle_offer(rk_reader *reader, rk_timeline_state *t)
{
  rk_entry *entry = t->offered;
  t->offered = NULL;
  t->quiet = false;
  entry->offered = false;
  entry->opened = t->taken;
  t->refused = !t->taken;
  if (t->taken) {
    t->whole_count++;
    return rk_waiting_push(&t->whole[rk_entry_rank(reader, entry)], (rk_waiting){.key = entry->max_ns, .entry = entry})
               ? RK_OK
               : RK_ERR_NO_MEMORY;
  }
  return rk_timeline_place(reader, t, entry);
}

static rk_status next(rk_reader *reader, rk_unit *unit, bool offers)
{
  rk_status status = begin(reader, offers);
  rk_timeline_state *t = reader->timeline;
  for (;;) {
    if (status == RK_OK && t->offered && (t->told || !offers)) {
      status = settle_offer(reader, t);
    }
    if (status == RK_OK && !t->quiet && !t->offered) {
      status = open_due(reader, t);
    }
    if (status) {
      return fail(reader, status);
    }
    rk_row_key offered;
    const rk_row_key *key = t->open.count > 0 ? &t->open.items[0]->head : NULL;
    if (t->offered) {
      offered = (rk_row_key){.rank = rk_entry_rank(reader, t->offered), .key = t->offered->min_ns};
      key = &offered;
    }
    if (t->whole_count > 0 && whole_ends(t, key, &unit->entry)) {
      unit->kind = RK_UNIT_WHOLE_END;
      return RK_OK;
    }
    if (t->offered) {
      if (!offers) {
        continue;
      }
      t->told = true;
      unit->kind = RK_UNIT_OFFER;
      unit->entry = t->offered;
      return RK_OK;
    }
    if (!key) {
      return reader->follow || reader->has_limit ? RK_AGAIN : RK_END;
    }
    if (reader->has_limit && key->key >= reader->limit_ns) {
      t->quiet = false; /* what begins behind the limit was not opened */
      return RK_AGAIN;
    }
    bool yielded;
    status = take_first(reader, t, &unit->row, &yielded);
    if (status == RK_OK && yielded) {
      unit->kind = RK_UNIT_ROW;
      return RK_OK;
    }
  }
}

rk_status rk_reader_next_ref(rk_reader *reader, rk_row_ref *ref)
{
  rk_unit unit = {0};
  rk_status status;
  do {
    status = next(reader, &unit, false);
  } while (status == RK_OK && unit.kind != RK_UNIT_ROW);
  if (status == RK_OK) {
    *ref = unit.row;
  }
  return status;
}

rk_status rk_reader_next_unit(rk_reader *reader, rk_unit *unit)
{
  return next(reader, unit, true);
}

void rk_reader_take_whole(rk_reader *reader, rk_entry *entry)
{
  rk_timeline_state *t = reader->timeline;
  if (t && t->told && t->offered == entry) {
    t->taken = true;
  }
}

rk_status rk_reader_reopen(rk_reader *reader, rk_entry *origin, rk_open_chunk **open)
{
  rk_error error = {.message = ""};
  const rk_status status = rk_open_chunk_load(reader, origin, open, &error);
  if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
    error.status = status;
    return rk_reader_set_error(reader, &error);
  }
  return status;
}

void rk_reader_blueprints_first(rk_reader *reader)
{
  reader->blueprints_first = true;
}
