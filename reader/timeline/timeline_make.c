/* Making the timeline from the index, and taking in what the index learns later. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/index/retime.h"
#include "reader/timeline/timeline_internal.h"

/* Left of max_memory to those who gather rows (merging). */
#define GATHERING_SIZE     ((uint64_t)96 << 20)
#define DEFAULT_MAX_MEMORY ((uint64_t)256 << 20)

static int compare_entries(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const int order = rk_entry_compare_writers(context, a, b);
  if (order != 0) {
    return order;
  }
  if (a->offered != b->offered) {
    return b->offered ? -1 : 1;
  }
  if (a->first_row != b->first_row) {
    return a->first_row < b->first_row ? -1 : 1;
  }
  if (a->min_ns != b->min_ns) {
    return a->min_ns < b->min_ns ? -1 : 1;
  }
  return a->input->number != b->input->number ? (a->input->number < b->input->number ? -1 : 1)
                                              : (a->offset < b->offset ? -1 : a->offset > b->offset);
}

/* ---- Writers ---- */

typedef struct writer_key {
  uint64_t recording_hash;
  uint32_t writer;
} writer_key;

static bool same_writer(const void *value, const void *key)
{
  const rk_strand *strand = value;
  const writer_key *k = key;
  return strand->writer == k->writer && strand->recording_hash == k->recording_hash;
}

static uint64_t writer_hash(const rk_reader *reader, const writer_key *key)
{
  const uint64_t parts[2] = {key->recording_hash, key->writer};
  return XXH3_64bits_withSeed(parts, sizeof parts, reader->names.seed);
}

static rk_strand *add_writer(const rk_reader *reader, rk_timeline_state *t, const rk_entry *entry)
{
  const writer_key key = {.recording_hash = rk_entry_recording(reader, entry), .writer = entry->writer};
  rk_strand *strand = rk_strand_new(true, rk_entry_rank(reader, entry));
  rk_strand **slot = strand ? rk_list_add(&t->strands, sizeof(rk_strand *)) : NULL;
  if (!slot) {
    free(strand);
    return NULL;
  }
  *slot = strand;
  strand->recording_hash = key.recording_hash;
  strand->writer = key.writer;
  return rk_table_add(&t->writers, writer_hash(reader, &key), strand) ? strand : NULL;
}

static bool by_number(const rk_reader *reader, const rk_entry *entry)
{
  return entry->writer != 0 && !entry->is_static && !reader->filters.timeline;
}

rk_status rk_timeline_place(rk_reader *reader, rk_timeline_state *t, rk_entry *entry)
{
  if (!by_number(reader, entry)) {
    return rk_waiting_push(&t->waiting[rk_entry_rank(reader, entry)],
                           (rk_waiting){.key = entry->min_ns, .entry = entry})
               ? RK_OK
               : RK_ERR_NO_MEMORY;
  }
  const writer_key key = {.recording_hash = rk_entry_recording(reader, entry), .writer = entry->writer};
  rk_strand *strand = rk_table_find(&t->writers, writer_hash(reader, &key), same_writer, &key);
  strand = strand ? strand : add_writer(reader, t, entry);
  rk_status status = strand ? rk_strand_add_entry(strand, entry) : RK_ERR_NO_MEMORY;
  if (status) {
    return status;
  }
  switch (strand->state) {
  case RK_STRAND_IDLE:
    return rk_timeline_close_strand(reader, t, strand);
  case RK_STRAND_CLOSED:
    (void)rk_strand_close(reader, strand);
    rk_strands_heapify(&t->closed);
    break;
  case RK_STRAND_OPEN:
    t->changed = true;
    break;
  }
  return RK_OK;
}

/* ---- Making ---- */

/* The hull of an entry on the timeline that orders. False in *carries: it has no row on it. */
static rk_status timeline_hull(rk_reader *reader, rk_entry *entry, bool *carries, int64_t *min, int64_t *max)
{
  rk_open_chunk *open;
  const rk_status status = rk_open_chunk_take(reader, entry, &open);
  *carries = false;
  if (status) {
    return status == RK_END ? RK_OK : status;
  }
  *carries = open->ties != NULL && open->chunk.row_count > 0;
  for (int64_t i = 0; i < open->chunk.row_count && *carries; i++) {
    *min = i == 0 || open->keys[i] < *min ? open->keys[i] : *min;
    *max = i == 0 || open->keys[i] > *max ? open->keys[i] : *max;
  }
  rk_open_chunk_release(open);
  return RK_OK;
}

/* An entry of a timeline other than log_time. */
static rk_status wait_on_timeline(rk_reader *reader, rk_timeline_state *t, rk_entry *entry)
{
  int64_t min = entry->min_ns;
  int64_t max = entry->max_ns;
  bool carries = true;
  if (!entry->is_static && !rk_filter_spares(reader, rk_entry_store(reader, entry))) {
    rk_status status = RK_OK;
    if (rk_index_timeline_hull(reader, entry, reader->filters.timeline, &min, &max)) {
      carries = min <= max;
    } else {
      status = timeline_hull(reader, entry, &carries, &min, &max);
    }
    const rk_filters *filters = &reader->filters;
    carries = carries && !(filters->has_since && max < filters->since_ns) &&
              !(filters->has_until && min >= filters->until_ns);
    if (status || !carries) {
      return status;
    }
  }
  t->row_bound += entry->row_count;
  return rk_waiting_push(&t->waiting[rk_entry_rank(reader, entry)], (rk_waiting){.key = min, .entry = entry})
             ? RK_OK
             : RK_ERR_NO_MEMORY;
}

static rk_status add_strands(const rk_reader *reader, rk_timeline_state *t, size_t count)
{
  qsort_r(t->entries, count, sizeof *t->entries, compare_entries, (void *)(uintptr_t)reader);
  rk_strand *strand = NULL;
  for (size_t i = 0; i < count; i++) {
    rk_entry *entry = t->entries[i];
    if (!strand || strand->writer != entry->writer || strand->recording_hash != rk_entry_recording(reader, entry)) {
      strand = add_writer(reader, t, entry);
      if (!strand) {
        return RK_ERR_NO_MEMORY;
      }
      strand->entries = &t->entries[i];
    }
    if (!entry->offered) {
      strand->entry_count++;
    } else if (strand->withheld_count++ == 0) {
      strand->withheld = &t->entries[i];
    }
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < t->strands.count && status == RK_OK; i++) {
    status = rk_timeline_close_strand(reader, t, ((rk_strand **)t->strands.items)[i]);
  }
  return status;
}

uint64_t rk_timeline_budget(const rk_reader *reader)
{
  const uint64_t total = reader->max_memory ? reader->max_memory : DEFAULT_MAX_MEMORY;
  const uint64_t other = GATHERING_SIZE + reader->entries.count * (sizeof(rk_entry) + sizeof(rk_waiting));
  return total > other && total - other > total / 4 ? total - other : total / 4;
}

static rk_status take_entries(rk_reader *reader, rk_timeline_state *t)
{
  const size_t total = reader->entries.count;
  size_t writers = 0;
  for (size_t i = 0; i < total; i++) {
    writers += by_number(reader, rk_entry_at(reader, i));
  }
  t->entries = calloc(writers + 1, sizeof(rk_entry *));
  rk_status status = t->entries ? RK_OK : RK_ERR_NO_MEMORY;
  size_t count = 0;
  for (size_t i = 0; i < total && status == RK_OK; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    if (entry->bare || !rk_filter_entry(reader, entry)) {
      continue;
    }
    if (reader->filters.timeline) {
      status = wait_on_timeline(reader, t, entry);
      if (status == RK_OK && i % 64 == 0 && reader->on_progress &&
          !reader->on_progress(reader->context, NULL, i, total)) {
        status = RK_END;
      }
      continue;
    }
    t->row_bound += entry->row_count;
    if (by_number(reader, entry)) {
      t->entries[count++] = entry;
    }
    if ((!by_number(reader, entry) || entry->offered) &&
        !rk_waiting_push(&t->waiting[rk_entry_rank(reader, entry)],
                         (rk_waiting){.key = entry->min_ns, .entry = entry})) {
      status = RK_ERR_NO_MEMORY;
    }
  }
  return status ? status : add_strands(reader, t, count);
}

rk_status rk_timeline_make(rk_reader *reader, bool offers)
{
  rk_error error = {.message = ""};
  rk_status status = rk_retime_settle(reader, &error);
  if (status) {
    return rk_reader_set_error(reader, &error);
  }
  rk_timeline_state *t = calloc(1, sizeof *t);
  status = t ? RK_OK : RK_ERR_NO_MEMORY;
  if (t) {
    t->offers = offers;
    t->budget = rk_timeline_budget(reader);
    status = offers ? rk_timeline_mark_offers(reader) : RK_OK;
  }
  reader->timeline = t;
  status = status ? status : take_entries(reader, t);
  return status ? status : rk_ahead_make(reader, t);
}

void rk_timeline_free(rk_timeline_state *t)
{
  if (!t) {
    return;
  }
  rk_ahead_free(t);
  rk_last_row_clear(&t->last);
  rk_strand **writers = t->strands.items;
  const rk_strand_heap *heaps[2] = {&t->open, &t->closed};
  for (size_t h = 0; h < 2; h++) {
    for (size_t i = 0; i < heaps[h]->count; i++) {
      if (!heaps[h]->items[i]->is_writer) {
        rk_strand_free(heaps[h]->items[i]);
      }
    }
    free(heaps[h]->items);
  }
  for (size_t i = 0; i < t->strands.count; i++) {
    rk_strand_free(writers[i]);
  }
  for (size_t i = 0; i < RK_RANKS; i++) {
    free(t->waiting[i].items);
    free(t->whole[i].items);
  }
  free(t->strands.items);
  rk_table_free(&t->writers);
  rk_spill_free(t->spill);
  free(t->entries);
  free(t);
}

rk_status rk_timeline_add(rk_reader *reader, rk_entry *entry)
{
  rk_timeline_state *t = reader->timeline;
  if (!t || entry->bare || !rk_filter_entry(reader, entry)) {
    return RK_OK;
  }
  t->quiet = false;
  if (reader->filters.timeline) {
    return wait_on_timeline(reader, t, entry);
  }
  t->row_bound += entry->row_count;
  return rk_timeline_place(reader, t, entry);
}

uint64_t rk_reader_row_bound(const rk_reader *reader)
{
  if (reader->timeline) {
    return reader->timeline->row_bound;
  }
  uint64_t rows = 0;
  for (size_t i = 0; i < reader->entries.count; i++) {
    const rk_entry *entry = rk_entry_at(reader, i);
    rows += !entry->bare && rk_filter_entry((rk_reader *)(uintptr_t)reader, entry) ? entry->row_count : 0;
  }
  return rows;
}
