/* The timeline: rows of all chunks in one order. A source is either one writer, whose chunks are taken together by row
 * number so that its own order holds, or one chunk of rows of many or unknown writers. Sources meet in a heap by (key,
 * row id, and the rest of the row's identity); a chunk is opened when its smallest key is due. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/reader_state.h"
#include "reader/retime.h"
#include "reader/row_order.h"

typedef struct cursor {
  rk_open_chunk *open;
  uint32_t position; /* in the chunk's order */
} cursor;

typedef struct source {
  rk_entry **pending; /* a writer's chunks by first row; lent from the timeline's list */
  size_t pending_count, pending_next;
  cursor *cursors; /* heap by row number */
  size_t cursor_count, cursor_capacity;
  bool is_writer, has_last;
  bool later;       /* not a blueprint's where those come first */
  int64_t last_key; /* of the writer's row before: nothing of it comes earlier */
  rk_tuid last_id;
  int64_t key; /* of the first row of the first cursor */
  rk_tuid id;
} source;

struct rk_timeline_state {
  rk_entry **entries; /* all that pass the filters, sorted by source */
  source *sources;    /* writers first, then one for each other chunk */
  size_t source_count;
  source **pending; /* heap by the smallest key that may come */
  size_t pending_count;
  source **heap; /* open sources by their head */
  size_t heap_count;
  rk_open_chunk *lent; /* of the row that was returned last */
  /* The row returned last, to know it when it comes again. */
  bool has_row;
  rk_tuid row_id;
  const rk_store *store;
  const char *entity_path;
  bool row_static;
  rk_list names; /* const char *: its components */
  uint64_t row_bound;
};

static uint32_t row_at(const rk_open_chunk *open, uint32_t position)
{
  return open->order ? open->order[position] : position;
}

static uint32_t cursor_row(const cursor *c)
{
  return row_at(c->open, c->position);
}

static rk_tuid row_id_at(const rk_open_chunk *open, uint32_t row)
{
  return rk_tuid_load(open->chunk.row_ids + (size_t)row * RK_TUID_SIZE);
}

/* A row without any says nothing; Rerun has no place for it but beside other rows of its chunk. */
static bool has_components(const rk_open_chunk *open, uint32_t row)
{
  size_t i = 0;
  while (i < open->chunk.component_count && !rk_row_has_component(open, i, row)) {
    i++;
  }
  return i < open->chunk.component_count;
}

static bool cursor_before(const cursor *a, const cursor *b)
{
  const uint32_t a_row = cursor_row(a);
  const uint32_t b_row = cursor_row(b);
  const uint64_t x = row_id_at(a->open, a_row).inc;
  const uint64_t y = row_id_at(b->open, b_row).inc;
  return x != y ? x < y : rk_row_compare(a->open, a_row, b->open, b_row) < 0;
}

static bool source_before(const source *a, const source *b)
{
  if (a->later != b->later) {
    return b->later;
  }
  if (a->key != b->key) {
    return a->key < b->key;
  }
  const int order = rk_tuid_compare(a->id, b->id);
  if (order) {
    return order < 0;
  }
  const cursor *x = &a->cursors[0];
  const cursor *y = &b->cursors[0];
  return rk_row_compare(x->open, cursor_row(x), y->open, cursor_row(y)) < 0;
}

/* ---- Heaps ---- */

static void cursor_sift_down(source *s, size_t at)
{
  cursor moving = s->cursors[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= s->cursor_count) {
      break;
    }
    if (child + 1 < s->cursor_count && cursor_before(&s->cursors[child + 1], &s->cursors[child])) {
      child++;
    }
    if (!cursor_before(&s->cursors[child], &moving)) {
      break;
    }
    s->cursors[at] = s->cursors[child];
    at = child;
  }
  s->cursors[at] = moving;
}

static rk_status cursor_add(source *s, rk_open_chunk *open)
{
  if (s->cursor_count == s->cursor_capacity) {
    const size_t capacity = s->cursor_capacity ? s->cursor_capacity * 2 : 1;
    cursor *larger = realloc(s->cursors, capacity * sizeof *larger);
    if (!larger) {
      return RK_ERR_NO_MEMORY;
    }
    s->cursors = larger;
    s->cursor_capacity = capacity;
  }
  const cursor added = {.open = open};
  size_t at = s->cursor_count++;
  while (at > 0 && cursor_before(&added, &s->cursors[(at - 1) / 2])) {
    s->cursors[at] = s->cursors[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  s->cursors[at] = added;
  return RK_OK;
}

typedef bool before_fn(const source *a, const source *b);

static void sift_down(source **heap, size_t count, size_t at, before_fn *before)
{
  source *moving = heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= count) {
      break;
    }
    if (child + 1 < count && before(heap[child + 1], heap[child])) {
      child++;
    }
    if (!before(heap[child], moving)) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moving;
}

static void sift_up(source **heap, size_t at, before_fn *before)
{
  source *moving = heap[at];
  while (at > 0 && before(moving, heap[(at - 1) / 2])) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = moving;
}

/* The smallest key that a source without open chunks can yield. */
static int64_t bound(const source *s)
{
  const int64_t key = s->pending[s->pending_next]->min_ns;
  return s->has_last && s->last_key > key ? s->last_key : key;
}

static bool bound_before(const source *a, const source *b)
{
  return a->later != b->later ? b->later : bound(a) < bound(b);
}

/* Whether a row of the pending source `a` may have to come before or beside the head of `b`. */
static bool is_due(const source *a, const source *b)
{
  return a->later != b->later ? b->later : bound(a) <= b->key;
}

/* ---- Making the sources ---- */

static int compare_entries(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  if ((a->writer != 0) != (b->writer != 0)) {
    return a->writer != 0 ? -1 : 1;
  }
  if (a->writer != 0) {
    const uint64_t x = rk_entry_recording(context, a);
    const uint64_t y = rk_entry_recording(context, b);
    if (x != y) {
      return x < y ? -1 : 1;
    }
    if (a->writer != b->writer) {
      return a->writer < b->writer ? -1 : 1;
    }
    if (a->first_row != b->first_row) {
      return a->first_row < b->first_row ? -1 : 1;
    }
  }
  return a->min_ns != b->min_ns                 ? (a->min_ns < b->min_ns ? -1 : 1)
         : a->input->number != b->input->number ? (a->input->number < b->input->number ? -1 : 1)
                                                : (a->offset < b->offset ? -1 : a->offset > b->offset);
}

static bool same_source(const rk_reader *reader, const rk_entry *a, const rk_entry *b)
{
  return a->writer != 0 && a->writer == b->writer && rk_entry_recording(reader, a) == rk_entry_recording(reader, b);
}

static rk_status make_timeline(rk_reader *reader)
{
  rk_error error = {.message = ""};
  const rk_status settled = rk_retime_settle(reader, &error);
  if (settled) {
    return rk_reader_set_error(reader, &error);
  }
  rk_timeline_state *t = calloc(1, sizeof *t);
  if (!t) {
    return RK_ERR_NO_MEMORY;
  }
  const size_t total = reader->entries.count;
  t->entries = calloc(total + 1, sizeof *t->entries);
  t->sources = calloc(total + 1, sizeof *t->sources);
  t->pending = calloc(total + 1, sizeof *t->pending);
  t->heap = calloc(total + 1, sizeof *t->heap);
  if (!t->entries || !t->sources || !t->pending || !t->heap) {
    rk_timeline_free(t);
    return RK_ERR_NO_MEMORY;
  }
  size_t count = 0;
  for (size_t i = 0; i < total; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    if (!entry->bare && rk_filter_entry(reader, entry)) {
      t->entries[count++] = entry;
      t->row_bound += entry->row_count;
    }
  }
  qsort_r(t->entries, count, sizeof *t->entries, compare_entries, reader);
  for (size_t i = 0; i < count;) {
    size_t end = i + 1;
    while (end < count && same_source(reader, t->entries[i], t->entries[end])) {
      end++;
    }
    source *s = &t->sources[t->source_count++];
    *s = (source){.pending = &t->entries[i],
                  .pending_count = end - i,
                  .is_writer = t->entries[i]->writer != 0,
                  .later =
                      reader->blueprints_first && rk_entry_store(reader, t->entries[i])->kind != RK_STORE_BLUEPRINT};
    t->pending[t->pending_count++] = s;
    i = end;
  }
  for (size_t i = t->pending_count / 2; i-- > 0;) {
    sift_down(t->pending, t->pending_count, i, bound_before);
  }
  reader->timeline = t;
  return RK_OK;
}

void rk_timeline_free(rk_timeline_state *t)
{
  if (!t) {
    return;
  }
  if (t->lent) {
    rk_open_chunk_release(t->lent);
  }
  for (size_t i = 0; i < t->source_count; i++) {
    for (size_t j = 0; j < t->sources[i].cursor_count; j++) {
      rk_open_chunk_release(t->sources[i].cursors[j].open);
    }
    free(t->sources[i].cursors);
  }
  free(t->entries);
  free(t->sources);
  free(t->pending);
  free(t->heap);
  free(t->names.items);
  free(t);
}

/* ---- Advancing ---- */

/* Opens the next pending chunk of `s`. RK_OK also when it turned out damaged or filtered. */
static rk_status open_next(rk_reader *reader, source *s)
{
  rk_entry *entry = s->pending[s->pending_next++];
  if (entry->lost || !rk_filter_entry(reader, entry)) { /* the path may be known by now */
    return RK_OK;
  }
  rk_open_chunk *open;
  rk_error error = {.message = ""};
  rk_status status = rk_open_chunk_load(reader, entry, &open, &error);
  if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
    error.status = status;
    return rk_reader_set_error(reader, &error);
  }
  if (status) {
    entry->lost = true;
    rk_reader_lose(reader, entry->input, entry->offset, entry->size, status,
                   error.message[0] ? error.message : rk_status_text(status), entry->writer);
    return RK_OK;
  }
  if (open->chunk.row_count == 0 || open->chunk.component_count == 0 || !rk_filter_open(reader, open)) {
    rk_open_chunk_release(open);
    return RK_OK;
  }
  status = cursor_add(s, open);
  if (status) {
    rk_open_chunk_release(open);
  }
  return status;
}

/* Opens what is due in `s` and sets its head's key. False in *has when the source is at its end. */
static rk_status settle(rk_reader *reader, source *s, bool *has)
{
  while (s->pending_next < s->pending_count) {
    if (s->cursor_count > 0) {
      const uint32_t number = (uint32_t)row_id_at(s->cursors[0].open, cursor_row(&s->cursors[0])).inc;
      if (!s->is_writer || s->pending[s->pending_next]->first_row > number) {
        break;
      }
    }
    const rk_status status = open_next(reader, s);
    if (status) {
      return status;
    }
  }
  *has = s->cursor_count > 0;
  if (!*has) {
    return RK_OK;
  }
  const rk_open_chunk *open = s->cursors[0].open;
  const uint32_t row = cursor_row(&s->cursors[0]);
  s->key = open->effective_keys ? open->effective_keys[row] : open->keys[row];
  s->id = open->effective_ids ? open->effective_ids[row] : row_id_at(open, row);
  if (s->is_writer && s->has_last &&
      (s->key < s->last_key || (s->key == s->last_key && rk_tuid_compare(s->id, s->last_id) < 0))) {
    s->key = s->last_key;
    s->id = s->last_id;
  }
  return RK_OK;
}

/* Opens every source that may hold a row not after the head of the open ones. */
static rk_status open_due(rk_reader *reader, rk_timeline_state *t)
{
  while (t->pending_count > 0 && (t->heap_count == 0 || is_due(t->pending[0], t->heap[0]))) {
    source *s = t->pending[0];
    bool has;
    const rk_status status = settle(reader, s, &has);
    if (status) {
      return status;
    }
    t->pending[0] = t->pending[--t->pending_count];
    if (t->pending_count > 0) {
      sift_down(t->pending, t->pending_count, 0, bound_before);
    }
    if (has) {
      t->heap[t->heap_count++] = s;
      sift_up(t->heap, t->heap_count - 1, source_before);
    }
  }
  return RK_OK;
}

/* Leaves the head row of the first source; its chunk stays while its row is lent. */
static rk_status advance(rk_reader *reader, rk_timeline_state *t)
{
  source *s = t->heap[0];
  cursor *c = &s->cursors[0];
  s->has_last = true;
  s->last_key = s->key;
  s->last_id = s->id;
  c->position++;
  if (c->position == (uint64_t)c->open->chunk.row_count) {
    rk_open_chunk_release(c->open);
    *c = s->cursors[--s->cursor_count];
  }
  if (s->cursor_count > 0) {
    cursor_sift_down(s, 0);
  } else if (s->pending_next < s->pending_count) { /* closed until its next chunk is due */
    t->heap[0] = t->heap[--t->heap_count];
    if (t->heap_count > 0) {
      sift_down(t->heap, t->heap_count, 0, source_before);
    }
    t->pending[t->pending_count++] = s;
    sift_up(t->pending, t->pending_count - 1, bound_before);
    return RK_OK;
  }
  bool has;
  const rk_status status = settle(reader, s, &has);
  if (status) {
    return status;
  }
  if (!has) {
    t->heap[0] = t->heap[--t->heap_count];
  }
  if (t->heap_count > 0) {
    sift_down(t->heap, t->heap_count, 0, source_before);
  }
  return RK_OK;
}

/* ---- Repeats ---- */

static bool is_repeat(const rk_timeline_state *t, const rk_open_chunk *open, uint32_t row)
{
  if (!t->has_row || rk_tuid_compare(t->row_id, row_id_at(open, row)) != 0 || t->store != open->store ||
      t->entity_path != open->entity_path || t->row_static != (open->chunk.timeline_count == 0)) {
    return false;
  }
  const char *const *names = t->names.items;
  size_t n = 0;
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    if (rk_row_has_component(open, i, row)) {
      if (n == t->names.count || names[n] != open->chunk.components[i].name) {
        return false;
      }
      n++;
    }
  }
  return n == t->names.count;
}

static rk_status remember(rk_timeline_state *t, const rk_open_chunk *open, uint32_t row)
{
  t->has_row = true;
  t->row_id = row_id_at(open, row);
  t->store = open->store;
  t->entity_path = open->entity_path;
  t->row_static = open->chunk.timeline_count == 0;
  t->names.count = 0;
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    if (rk_row_has_component(open, i, row)) {
      const char **name = rk_list_add(&t->names, sizeof *name);
      if (!name) {
        return RK_ERR_NO_MEMORY;
      }
      *name = open->chunk.components[i].name;
    }
  }
  return RK_OK;
}

rk_status rk_reader_next_ref(rk_reader *reader, rk_row_ref *ref)
{
  if (reader->error.status) {
    return reader->error.status;
  }
  rk_status status = reader->timeline ? RK_OK : make_timeline(reader);
  rk_timeline_state *t = reader->timeline;
  if (status == RK_OK && t->lent) {
    rk_open_chunk_release(t->lent);
    t->lent = NULL;
  }
  while (status == RK_OK) {
    status = open_due(reader, t);
    if (status) {
      break;
    }
    if (t->heap_count == 0) {
      return reader->follow ? RK_AGAIN : RK_END;
    }
    const source *s = t->heap[0];
    if (reader->has_limit && s->key >= reader->limit_ns) {
      return RK_AGAIN;
    }
    rk_open_chunk *open = s->cursors[0].open;
    const uint32_t row = cursor_row(&s->cursors[0]);
    const rk_tuid id = row_id_at(open, row);
    const uint32_t position = s->cursors[0].position;
    const int64_t key = s->key;
    const bool clamped = key != open->keys[row] || rk_tuid_compare(s->id, id) != 0;
    const rk_writer_entry *writer = rk_index_writer(reader, open->store, (uint32_t)(id.inc >> 32));
    const bool repeated = is_repeat(t, open, row);
    const bool pass = !repeated && has_components(open, row) &&
                      rk_filter_row(reader, open, writer || s->is_writer ? (uint32_t)(id.inc >> 32) : 0, key);
    if (pass) {
      rk_open_chunk_retain(open);
      t->lent = open;
      status = remember(t, open, row);
    }
    reader->stats.duplicate_rows += repeated;
    if (status == RK_OK) {
      status = advance(reader, t);
    }
    if (status == RK_OK && pass) {
      reader->stats.rows_returned++;
      reader->stats.clamped_rows += clamped;
      *ref = (rk_row_ref){.open = open,
                          .row = row,
                          .origin = open->origin,
                          .origin_position = position,
                          .row_id = id,
                          .key_ns = key,
                          .stored_key_ns = open->keys[row],
                          .is_static = open->chunk.timeline_count == 0,
                          .store = open->store,
                          .entity_path = open->entity_path,
                          .writer = writer ? &writer->info : NULL,
                          .row_number = writer ? (uint32_t)id.inc : 0};
      return RK_OK;
    }
  }
  const rk_error error = {.status = status, .offset = RK_NO_OFFSET, .message = "no memory to read on"};
  return reader->error.status ? reader->error.status : rk_reader_set_error(reader, &error);
}

rk_status rk_reader_next_unit(rk_reader *reader, rk_unit *unit)
{
  *unit = (rk_unit){.kind = RK_UNIT_ROW};
  return rk_reader_next_ref(reader, &unit->row);
}

void rk_reader_take_whole(rk_reader *reader, rk_entry *entry)
{
  (void)reader;
  (void)entry;
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
