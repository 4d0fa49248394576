/* Places of merging: rows of one store, entity and set of timelines gather there until a chunk is full. An original
 * chunk of some size, whose rows all come one after the other with nothing of its place between, passes as it is; it is
 * followed row by row without being copied (a candidate), and what it holds is gathered late should that turn out
 * wrong. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/error.h"
#include "reader/merge/merge_internal.h"

/* Bytes of input chunks that may be kept for candidates, and of empty chunks that are kept to be used again. */
enum { KEPT_MAX = 32 << 20, SPARE_MAX = 24 << 20 };

static rk_status out_of_memory(rk_error *error)
{
  return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
}

/* ---- Finding ---- */

static rk_merge_entity *find_entity(rk_merge *m, const rk_store *store, uint64_t entity_hash, bool make)
{
  const struct {
    const rk_store *store;
    uint64_t hash;
  } key = {store, entity_hash};
  if (!make) {
    const size_t known = rk_numbering_find(&m->entity_numbers, &key, sizeof key);
    return known == RK_NUMBERING_NONE ? NULL : m->entities[known];
  }
  size_t number;
  bool added;
  if (!rk_array_grow((void **)&m->entities, &m->entity_capacity, m->entity_numbers.count + 1, sizeof *m->entities) ||
      rk_numbering_put(&m->entity_numbers, &key, sizeof key, &number, &added) != RK_OK) {
    return NULL;
  }
  if (added) {
    m->entities[number] = rk_arena_alloc(&m->arena, sizeof **m->entities);
  }
  return m->entities[number];
}

static rk_merge_place *new_place(rk_merge *m, const rk_row_ref *ref)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_merge_place *place = rk_arena_alloc(&m->arena, sizeof *place);
  rk_chunk_timeline *timelines = rk_arena_array(&m->arena, from->timeline_count + 1, sizeof *timelines);
  if (place == NULL || timelines == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < from->timeline_count; i++) {
    timelines[i] = (rk_chunk_timeline){.name = from->timelines[i].name, .kind = from->timelines[i].kind};
  }
  *place = (rk_merge_place){.store = ref->store,
                            .entity_path = ref->entity_path,
                            .is_static = ref->is_static,
                            .timeline_count = from->timeline_count,
                            .timelines = timelines,
                            .entity_hash = XXH3_64bits(ref->entity_path, strlen(ref->entity_path))};
  place->entity = find_entity(m, place->store, place->entity_hash, true);
  return place->entity == NULL ? NULL : place;
}

/* Interned texts stand for themselves. */
rk_merge_place *rk_merge_find_place(rk_merge *m, const rk_row_ref *ref)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_buffer_reset(&m->place_key);
  rk_buffer_append(&m->place_key, &ref->store, sizeof ref->store);
  rk_buffer_append(&m->place_key, &ref->entity_path, sizeof ref->entity_path);
  rk_buffer_append(&m->place_key, ref->is_static ? "s" : "t", 1);
  for (size_t i = 0; i < from->timeline_count; i++) {
    const char kind = (char)from->timelines[i].kind;
    rk_buffer_append(&m->place_key, &from->timelines[i].name, sizeof from->timelines[i].name);
    rk_buffer_append(&m->place_key, &kind, 1);
  }
  size_t number;
  bool added;
  if (m->place_key.failed ||
      !rk_array_grow((void **)&m->places, &m->place_capacity, m->place_numbers.count + 1, sizeof(rk_merge_place *)) ||
      rk_numbering_put(&m->place_numbers, m->place_key.data, m->place_key.size, &number, &added) != RK_OK) {
    return NULL;
  }
  if (added) {
    m->places[number] = new_place(m, ref);
  }
  ref->open->place = m->places[number];
  return m->places[number];
}

/* ---- Gathering ---- */

static void note_busy(rk_merge_place *place, bool before)
{
  const bool now = place->chunk != NULL || place->candidate.entry != NULL;
  place->entity->busy += now && !before;
  place->entity->busy -= before && !now;
}

static bool is_busy(const rk_merge_place *place)
{
  return place->chunk != NULL || place->candidate.entry != NULL;
}

void rk_merge_recycle(rk_merge *m, rk_merge_place *place, rk_merge_chunk *chunk)
{
  const uint64_t size = rk_merge_chunk_size(chunk);
  rk_merge_chunk_reset(chunk);
  if (place->spare == NULL && m->spare_size + size <= SPARE_MAX) {
    place->spare = chunk;
    place->spare_size = size;
    m->spare_size += size;
  } else {
    rk_merge_chunk_free(chunk);
  }
}

static rk_status put_item(rk_merge *m, rk_merge_place *place, int64_t leave_key, bool full, bool last, rk_error *error)
{
  rk_merge_item *item = calloc(1, sizeof *item);
  if (item == NULL) {
    return out_of_memory(error);
  }
  item->merge = m;
  item->place = place;
  item->store = place->store;
  item->entity_hash = place->entity_hash;
  item->leave_key = leave_key;
  item->chunk = place->chunk;
  item->cut_rows = full ? m->limits.rows : 0;
  item->cut_size = full ? (uint32_t)m->limits.size : 0;
  place->chunk = NULL;
  note_busy(place, true);
  const rk_status status = rk_merge_chunk_view(item->chunk, &item->view, &item->span);
  if (status != RK_OK) {
    rk_merge_chunk_free(item->chunk);
    rk_merge_item_free(item);
    return rk_fail(error, status, RK_NO_OFFSET, "cannot gather a merged chunk: %s", rk_status_text(status));
  }
  item->id = item->view.id;
  return last ? rk_merge_queue_put_last(m, item, error) : rk_merge_queue_put(m, item, error);
}

/* What the place has gathered leaves. */
static rk_status emit(rk_merge *m, rk_merge_place *place, int64_t leave_key, bool full, rk_error *error)
{
  if (place->chunk == NULL || rk_merge_chunk_rows(place->chunk) == 0) {
    return RK_OK;
  }
  return put_item(m, place, leave_key, full, false, error);
}

/* What the place has gathered leaves, if there is any, and it has an empty chunk. */
static rk_status begin_chunk(rk_merge *m, rk_merge_place *place, const rk_row_ref *ref, rk_error *error)
{
  const rk_status status = emit(m, place, ref->key_ns, false, error);
  if (status != RK_OK) {
    return status;
  }
  const bool before = is_busy(place);
  place->chunk = place->spare != NULL ? place->spare : rk_merge_chunk_new(ref, &m->limits);
  m->spare_size -= place->spare != NULL ? place->spare_size : 0;
  place->spare = NULL;
  if (place->chunk == NULL) {
    return out_of_memory(error);
  }
  note_busy(place, before);
  return RK_OK;
}

static rk_status gather(rk_merge *m, rk_merge_place *place, const rk_row_ref *ref, rk_error *error)
{
  bool full = false;
  rk_status status = place->chunk == NULL ? RK_ERR_CONFLICT : rk_merge_chunk_append(place->chunk, ref, &full);
  if (status == RK_ERR_CONFLICT) {
    status = begin_chunk(m, place, ref, error);
    if (status != RK_OK) {
      return status;
    }
    status = rk_merge_chunk_append(place->chunk, ref, &full);
  }
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot gather a row of the merged recording: %s",
                   rk_status_text(status));
  }
  return full ? emit(m, place, ref->key_ns, true, error) : RK_OK;
}

/* ---- Floors ---- */

static bool floor_before(const rk_merge_floor *a, const rk_merge_floor *b)
{
  return a->key < b->key;
}

static bool add_floor(rk_merge *m, rk_merge_floor floor)
{
  if (!rk_array_grow((void **)&m->floors, &m->floor_capacity, m->floor_count + 1, sizeof *m->floors)) {
    return false;
  }
  size_t at = m->floor_count++;
  while (at > 0 && floor_before(&floor, &m->floors[(at - 1) / 2])) {
    m->floors[at] = m->floors[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  m->floors[at] = floor;
  return true;
}

static void drop_floor(rk_merge *m)
{
  const rk_merge_floor moving = m->floors[--m->floor_count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < m->floor_count; at = child) {
    if (child + 1 < m->floor_count && floor_before(&m->floors[child + 1], &m->floors[child])) {
      child++;
    }
    if (!floor_before(&m->floors[child], &moving)) {
      break;
    }
    m->floors[at] = m->floors[child];
  }
  if (m->floor_count > 0) {
    m->floors[at] = moving;
  }
}

int64_t rk_merge_lowest_floor(rk_merge *m)
{
  while (m->floor_count > 0) {
    const rk_merge_candidate *candidate = &m->floors[0].place->candidate;
    if (candidate->entry != NULL && candidate->serial == m->floors[0].serial) {
      return m->floors[0].key;
    }
    drop_floor(m);
  }
  return INT64_MAX;
}

/* ---- Candidates ---- */

static uint32_t row_at(const rk_open_chunk *open, uint32_t position)
{
  return open->order != NULL ? open->order[position] : position;
}

bool rk_merge_is_large(const rk_merge_options *o, const rk_entry *entry)
{
  const bool large = entry->row_count >= o->chunk_rows / 4 || entry->uncompressed_size >= o->chunk_size / 4;
  return large && entry->row_count <= o->chunk_rows &&
         (entry->row_count == 1 || entry->uncompressed_size <= 2 * o->chunk_size);
}

/* By the index: an original of the right size, of which nothing is changed. */
static bool may_pass(const rk_merge *m, const rk_entry *entry)
{
  return m->passing && entry->sealed && entry->numbered && entry->writer != 0 && !entry->contested &&
         entry->input->shift_ns == 0 && rk_merge_is_large(&m->options, entry);
}

/* Its seal and messages speak of the store that its rows are given. */
static bool keeps_store(const rk_merge *m, const rk_entry *entry)
{
  const rk_store *store = rk_entry_store(m->reader, entry);
  return store != NULL &&
         rk_entry_recording(m->reader, entry) == rk_recording_hash(store->application_id, store->recording_id);
}

/* The first key at which a chunk could be cut if the rows of the candidate were gathered after all. */
static int64_t floor_of(const rk_merge *m, const rk_merge_place *place, rk_open_chunk *open, int64_t first_key)
{
  const rk_chunk *chunk = &open->chunk;
  const uint64_t rows = place->chunk == NULL ? 0 : rk_merge_chunk_rows(place->chunk);
  const uint64_t size = place->chunk == NULL ? 0 : rk_merge_chunk_size(place->chunk);
  const uint64_t *sizes = rk_open_chunk_sizes(open);
  if (sizes == NULL || open->order != NULL || (place->chunk != NULL && rk_merge_chunk_conflicts(place->chunk, chunk))) {
    return first_key;
  }
  int64_t low = 0; /* so many rows do not fill it */
  int64_t high = chunk->row_count + 1;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (rows + (uint64_t)middle < m->limits.rows && size + sizes[middle] < m->limits.size) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return high > chunk->row_count ? INT64_MAX : open->keys[high - 1];
}

static void forget(rk_merge *m, rk_merge_place *place)
{
  m->kept_size -= place->candidate.held;
  place->candidate.entry = NULL;
  place->candidate.open = NULL;
  place->candidate.held = 0;
  note_busy(place, true);
}

/* Whether the row, the first of its chunk, begins a candidate. */
static bool begin(rk_merge *m, rk_merge_place *place, const rk_row_ref *ref)
{
  rk_entry *const entry = ref->origin;
  rk_open_chunk *open = ref->open;
  rk_merge_peek peek;
  if (entry == NULL || !may_pass(m, entry) || ref->key_ns != ref->stored_key_ns || !keeps_store(m, entry) ||
      !rk_merge_peek_entry(entry, &peek) || !peek.has_id || peek.compression != m->compression) {
    return false;
  }
  const bool whole = open->origin == entry; /* else a piece of it that lay in a temporary file */
  const int64_t floor = whole ? floor_of(m, place, open, ref->key_ns) : ref->key_ns;
  const uint64_t serial = ++m->serial;
  if (floor != INT64_MAX && !add_floor(m, (rk_merge_floor){.key = floor, .place = place, .serial = serial})) {
    return false;
  }
  const bool before = is_busy(place);
  place->candidate = (rk_merge_candidate){
      .entry = entry, .next = 1, .serial = serial, .first = *ref, .last_key = ref->key_ns, .id = peek.id};
  note_busy(place, before);
  m->complete = entry->row_count == 1 ? place : NULL;
  if (whole && m->kept_size + open->memory <= KEPT_MAX) {
    rk_open_chunk_retain(open);
    place->candidate.open = open;
    place->candidate.held = open->memory;
    m->kept_size += open->memory;
  }
  return true;
}

/* Its rows so far are gathered after all. */
static rk_status break_candidate(rk_merge *m, rk_merge_place *place, rk_error *error)
{
  const rk_merge_candidate candidate = place->candidate;
  rk_open_chunk *open = candidate.open;
  forget(m, place);
  if (open == NULL) {
    const rk_status status = rk_reader_reopen(m->reader, candidate.entry, &open);
    if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
      return rk_fail(error, status, RK_NO_OFFSET, "cannot read a chunk again: %s", rk_status_text(status));
    }
    if (status != RK_OK) {
      rk_reader_lose(m->reader, candidate.entry->input, candidate.entry->offset, candidate.entry->size, status,
                     "a chunk became unreadable while it was merged", candidate.entry->writer);
      return RK_OK;
    }
  }
  rk_status status = RK_OK;
  rk_row_ref ref = candidate.first;
  ref.open = open;
  for (uint32_t position = 0; position < candidate.next && status == RK_OK; position++) {
    const uint32_t row = row_at(open, position);
    ref.row = row;
    ref.origin_position = position;
    ref.row_id = rk_tuid_load(open->chunk.row_ids + (size_t)row * RK_TUID_SIZE);
    ref.row_number = ref.writer == NULL ? 0 : (uint32_t)ref.row_id.inc;
    ref.key_ns = ref.stored_key_ns = open->keys[row];
    status = gather(m, place, &ref, error);
  }
  rk_open_chunk_release(open);
  return status;
}

static rk_status pass(rk_merge *m, rk_merge_place *place, rk_error *error)
{
  const rk_merge_candidate candidate = place->candidate;
  rk_status status = emit(m, place, candidate.last_key, false, error);
  rk_merge_item *item = status == RK_OK ? calloc(1, sizeof *item) : NULL;
  if (item == NULL) {
    status = status == RK_OK ? out_of_memory(error) : status;
  } else {
    item->merge = m;
    item->store = place->store;
    item->entity_hash = place->entity_hash;
    item->leave_key = candidate.last_key;
    item->entry = candidate.entry;
    item->id = candidate.id;
  }
  forget(m, place);
  if (candidate.open != NULL) {
    if (item != NULL && rk_chunk_summarise(&item->arena, &candidate.open->chunk, &item->summary) == RK_OK) {
      item->has_summary = true;
      item->uncompressed_size = candidate.open->uncompressed_size;
    }
    rk_open_chunk_release(candidate.open);
  }
  return item == NULL ? status : rk_merge_queue_put(m, item, error);
}

rk_status rk_merge_settle(rk_merge *m, rk_error *error)
{
  rk_merge_place *place = m->complete;
  if (place == NULL) {
    return RK_OK;
  }
  m->complete = NULL;
  return place->candidate.entry->contested ? break_candidate(m, place, error) : pass(m, place, error);
}

rk_status rk_merge_end_candidates(rk_merge *m, rk_store_kind kind, rk_error *error)
{
  rk_status status = rk_merge_settle(m, error);
  for (size_t i = 0; i < m->place_numbers.count && status == RK_OK; i++) {
    rk_merge_place *place = m->places[i];
    if (place != NULL && place->store->kind == kind && place->candidate.entry != NULL) {
      status = break_candidate(m, place, error);
    }
  }
  return status;
}

rk_status rk_merge_add_row(rk_merge *m, rk_merge_place *place, const rk_row_ref *ref, rk_error *error)
{
  rk_merge_candidate *candidate = &place->candidate;
  if (candidate->entry != NULL) {
    if (ref->origin == candidate->entry && ref->origin_position == candidate->next &&
        ref->key_ns == ref->stored_key_ns) {
      candidate->last_key = ref->key_ns;
      candidate->next++;
      m->complete = candidate->next == candidate->entry->row_count ? place : NULL;
      return RK_OK;
    }
    const rk_status status = break_candidate(m, place, error);
    if (status != RK_OK) {
      return status;
    }
  }
  return ref->origin_position == 0 && begin(m, place, ref) ? RK_OK : gather(m, place, ref, error);
}

/* ---- Whole chunks ---- */

bool rk_merge_takes_whole(rk_merge *m, rk_entry *entry)
{
  if (!m->passing || !entry->sealed || entry->input->shift_ns != 0 || !keeps_store(m, entry)) {
    return false;
  }
  const rk_merge_entity *entity =
      find_entity(m, rk_entry_store(m->reader, entry), rk_entry_place(m->reader, entry)->entity_hash, false);
  rk_merge_peek peek;
  if ((entity != NULL && entity->busy > 0) || !rk_merge_peek_entry(entry, &peek) || !peek.has_id ||
      peek.compression != m->compression) {
    return false;
  }
  return entry->numbered ? may_pass(m, entry) : peek.cut_rows == m->limits.rows && peek.cut_size == m->limits.size;
}

rk_status rk_merge_put_whole(rk_merge *m, rk_entry *entry, rk_error *error)
{
  rk_merge_peek peek;
  if (!rk_merge_peek_entry(entry, &peek) || !peek.has_id) {
    rk_reader_lose(m->reader, entry->input, entry->offset, entry->size, RK_ERR_CORRUPT,
                   "a chunk became unreadable while it was merged", entry->writer);
    return RK_OK;
  }
  rk_merge_item *item = calloc(1, sizeof *item);
  if (item == NULL) {
    return out_of_memory(error);
  }
  item->merge = m;
  item->store = rk_entry_store(m->reader, entry);
  item->entity_hash = rk_entry_place(m->reader, entry)->entity_hash;
  item->leave_key = entry->max_ns;
  item->entry = entry;
  item->id = peek.id;
  item->payload_offset = peek.payload_offset;
  item->undecoded = true;
  return rk_merge_queue_put(m, item, error);
}

/* ---- The end ---- */

static int compare_places(const void *a, const void *b)
{
  return rk_merge_chunk_compare((*(rk_merge_place *const *)a)->chunk, (*(rk_merge_place *const *)b)->chunk);
}

rk_status rk_merge_put_rest(rk_merge *m, rk_store_kind kind, rk_error *error)
{
  rk_merge_place **rest = calloc(m->place_numbers.count + 1, sizeof(rk_merge_place *));
  if (rest == NULL) {
    return out_of_memory(error);
  }
  size_t count = 0;
  for (size_t i = 0; i < m->place_numbers.count; i++) {
    rk_merge_place *place = m->places[i];
    if (place != NULL && place->chunk != NULL && rk_merge_chunk_rows(place->chunk) > 0 && place->store->kind == kind) {
      rest[count++] = place;
    }
  }
  qsort(rest, count, sizeof *rest, compare_places);
  rk_status status = RK_OK;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = put_item(m, rest[i], INT64_MAX, false, true, error);
  }
  free((void *)rest);
  return status;
}
