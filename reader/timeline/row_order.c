/* The order of rows. Only data counts, so that the order of the inputs does not. */
#include "reader/timeline/row_order.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/index/retime.h"

bool rk_row_has_component(const rk_open_chunk *open, size_t component, uint32_t row)
{
  const struct ArrowArray *lists = open->chunk.components[component].lists;
  const uint8_t *valid = lists->buffers[0];
  const uint64_t bit = (uint64_t)lists->offset + row;
  return !valid || (valid[bit / 8] >> (bit % 8) & 1) != 0;
}

static int compare_stores(const rk_store *a, const rk_store *b)
{
  if (a == b) {
    return 0;
  }
  if (a->kind != b->kind) {
    return a->kind < b->kind ? -1 : 1;
  }
  const int order = strcmp(a->application_id, b->application_id);
  return order ? order : strcmp(a->recording_id, b->recording_id);
}

int rk_row_compare_components(const rk_open_chunk *a, uint32_t a_row, const rk_open_chunk *b, uint32_t b_row)
{
  size_t i = 0;
  size_t j = 0;
  for (;;) {
    while (i < a->chunk.component_count && !rk_row_has_component(a, i, a_row)) {
      i++;
    }
    while (j < b->chunk.component_count && !rk_row_has_component(b, j, b_row)) {
      j++;
    }
    const bool a_end = i == a->chunk.component_count;
    const bool b_end = j == b->chunk.component_count;
    if (a_end || b_end) {
      return a_end && b_end ? 0 : a_end ? -1 : 1;
    }
    if (a->chunk.components[i].name != b->chunk.components[j].name) {
      return strcmp(a->chunk.components[i].name, b->chunk.components[j].name);
    }
    i++;
    j++;
  }
}

/* ---- The rows of a chunk ---- */

int64_t rk_row_id_key(rk_tuid id)
{
  return id.time_ns > INT64_MAX ? INT64_MAX : (int64_t)id.time_ns;
}

typedef struct sorting {
  const rk_open_chunk *open;
  const int64_t *keys, *ties;
  const uint8_t *row_ids;
  const int64_t *effective_keys;
  const rk_tuid *effective_ids;
} sorting;

static int compare_rows(const void *left, const void *right, void *context)
{
  const sorting *s = context;
  const uint32_t a = *(const uint32_t *)left;
  const uint32_t b = *(const uint32_t *)right;
  if (s->keys[a] != s->keys[b]) {
    return s->keys[a] < s->keys[b] ? -1 : 1;
  }
  if (s->ties && s->ties[a] != s->ties[b]) {
    return s->ties[a] < s->ties[b] ? -1 : 1;
  }
  const int order = memcmp(s->row_ids + (size_t)a * RK_TUID_SIZE, s->row_ids + (size_t)b * RK_TUID_SIZE, RK_TUID_SIZE);
  if (order) {
    return order;
  }
  const int components = rk_row_compare_components(s->open, a, s->open, b);
  return components ? components : a < b ? -1 : a > b;
}

/* By writer and row number. */
static int compare_numbers(const void *left, const void *right, void *context)
{
  const sorting *s = context;
  const uint32_t a = *(const uint32_t *)left;
  const uint32_t b = *(const uint32_t *)right;
  const uint64_t x = rk_row_inc_at(s->row_ids, a);
  const uint64_t y = rk_row_inc_at(s->row_ids, b);
  return x != y ? (x < y ? -1 : 1) : compare_rows(left, right, context);
}

static int compare_effective(const void *left, const void *right, void *context)
{
  const sorting *s = context;
  const uint32_t a = *(const uint32_t *)left;
  const uint32_t b = *(const uint32_t *)right;
  if (s->effective_keys[a] != s->effective_keys[b]) {
    return s->effective_keys[a] < s->effective_keys[b] ? -1 : 1;
  }
  const int order = rk_tuid_compare(s->effective_ids[a], s->effective_ids[b]);
  return order ? order : compare_numbers(left, right, context);
}

/* A permutation of the rows under `compare`, NULL in *order when they lie so already. */
static rk_status put_in_order(rk_open_chunk *open, sorting *s, int (*compare)(const void *, const void *, void *),
                              const uint32_t **order)
{
  const size_t count = (size_t)open->chunk.row_count;
  *order = NULL;
  bool sorted = true;
  for (uint32_t i = 1; i < count && sorted; i++) {
    const uint32_t before = i - 1;
    sorted = compare(&before, &i, s) <= 0;
  }
  if (sorted) {
    return RK_OK;
  }
  uint32_t *rows = rk_arena_array(&open->arena, count, sizeof *rows);
  if (!rows) {
    return RK_ERR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < count; i++) {
    rows[i] = i;
  }
  qsort_r(rows, count, sizeof *rows, compare, s);
  *order = rows;
  return RK_OK;
}

/* So rows of a writer's chunk usually lie. */
static bool numbers_rise(const rk_chunk *chunk)
{
  uint64_t before = chunk->row_count > 0 ? rk_row_inc_at(chunk->row_ids, 0) : 0;
  for (uint32_t i = 1; i < chunk->row_count; i++) {
    const uint64_t inc = rk_row_inc_at(chunk->row_ids, i);
    if (inc <= before) {
      return false;
    }
    before = inc;
  }
  return true;
}

/* Rows of several writers: a known writer's key that steps back is clamped to that of its row before. */
static rk_status clamp(const rk_reader *reader, rk_open_chunk *open, sorting *s)
{
  const size_t count = (size_t)open->chunk.row_count;
  const uint32_t *order;
  rk_status status = put_in_order(open, s, compare_numbers, &order);
  if (status) {
    return status;
  }
  int64_t *keys = NULL;
  rk_tuid *ids = NULL;
  uint32_t before = 0;
  bool known = false;
  for (size_t i = 0; i < count; i++) {
    const uint32_t row = order ? order[i] : (uint32_t)i;
    const uint32_t tag = (uint32_t)(rk_row_inc_at(s->row_ids, row) >> 32);
    const bool same = i > 0 && tag == (uint32_t)(rk_row_inc_at(s->row_ids, before) >> 32);
    known = same ? known : rk_index_writer(reader, open->store, tag) != NULL;
    if (same && known) {
      const int64_t key = keys ? keys[before] : s->keys[before];
      const rk_tuid id = ids ? ids[before] : rk_tuid_load(s->row_ids + (size_t)before * RK_TUID_SIZE);
      const rk_tuid own = rk_tuid_load(s->row_ids + (size_t)row * RK_TUID_SIZE);
      if (s->keys[row] < key || (s->keys[row] == key && rk_tuid_compare(own, id) < 0)) {
        if (!keys) {
          keys = rk_arena_array(&open->arena, count, sizeof *keys);
          ids = rk_arena_array(&open->arena, count, sizeof *ids);
          if (!keys || !ids) {
            return RK_ERR_NO_MEMORY;
          }
          for (size_t j = 0; j < count; j++) {
            keys[j] = s->keys[j];
            ids[j] = rk_tuid_load(s->row_ids + j * RK_TUID_SIZE);
          }
        }
        keys[row] = key;
        ids[row] = id;
      }
    }
    before = row;
  }
  open->effective_keys = keys;
  open->effective_ids = ids;
  if (keys) {
    s->effective_keys = keys;
    s->effective_ids = ids;
    status = put_in_order(open, s, compare_effective, &open->order);
  }
  return status;
}

bool rk_row_is_log_time(const rk_reader *reader, const rk_chunk_timeline *timeline)
{
  return timeline->name == reader->log_time && timeline->kind == RK_TIMELINE_TIMESTAMP;
}

rk_status rk_row_order_take(rk_reader *reader, rk_open_chunk *open, bool of_writer)
{
  const rk_chunk *chunk = &open->chunk;
  const size_t count = (size_t)chunk->row_count;
  const int64_t *by = NULL; /* the values of the timeline that orders */
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    open->keys = rk_row_is_log_time(reader, &chunk->timelines[i]) ? chunk->timelines[i].values : open->keys;
    by = chunk->timelines[i].name == reader->filters.timeline ? chunk->timelines[i].values : by;
  }
  open->id_keyed = !open->keys;
  if (!open->keys) {
    int64_t *keys = rk_arena_array(&open->arena, count + 1, sizeof *keys);
    if (!keys) {
      return RK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
      keys[i] = rk_shift_ns(rk_row_id_key(rk_tuid_load(chunk->row_ids + i * RK_TUID_SIZE)), open->id_shift_ns);
    }
    open->keys = keys;
  }
  if (by) {
    open->ties = open->keys;
    open->keys = by;
  }
  sorting s = {.open = open, .keys = open->keys, .ties = open->ties, .row_ids = chunk->row_ids};
  if (reader->filters.timeline) {
    return put_in_order(open, &s, compare_rows, &open->order);
  }
  if (of_writer) {
    return numbers_rise(chunk) ? RK_OK : put_in_order(open, &s, compare_numbers, &open->order);
  }
  const rk_status status = put_in_order(open, &s, compare_rows, &open->order);
  return status || reader->writers.count == 0 || open->stored_static ? status : clamp(reader, open, &s);
}

/* ---- Rows of different chunks ---- */

rk_origin rk_row_origin(rk_open_chunk *open, uint32_t row)
{
  if (open->origins) {
    return open->origins[open->origin_index[row]];
  }
  if (!open->has_hash) {
    open->payload_hash = XXH3_64bits(open->payload_data, open->payload_size);
    open->has_hash = true;
  }
  return (rk_origin){.entry = open->origin, .chunk_id = open->chunk.id, .payload_hash = open->payload_hash};
}

int rk_row_compare(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row)
{
  int order = compare_stores(a->store, b->store);
  if (order == 0 && a->entity_path != b->entity_path) {
    order = strcmp(a->entity_path, b->entity_path);
  }
  order = order ? order : rk_row_compare_components(a, a_row, b, b_row);
  if (order) {
    return order;
  }
  if (a->chunk.timeline_count != b->chunk.timeline_count) { /* the fuller copy is the one that is kept */
    return a->chunk.timeline_count > b->chunk.timeline_count ? -1 : 1;
  }
  const rk_origin x = rk_row_origin(a, a_row);
  const rk_origin y = rk_row_origin(b, b_row);
  order = rk_tuid_compare(x.chunk_id, y.chunk_id);
  if (order) {
    return order;
  }
  if (x.payload_hash != y.payload_hash) {
    return x.payload_hash < y.payload_hash ? -1 : 1;
  }
  if (x.entry->input != y.entry->input) {
    return x.entry->input->number < y.entry->input->number ? -1 : 1;
  }
  if (x.entry != y.entry) {
    return x.entry->offset < y.entry->offset ? -1 : 1;
  }
  const uint32_t a_place = a->origin_rows ? a->origin_rows[a_row] : a_row;
  const uint32_t b_place = b->origin_rows ? b->origin_rows[b_row] : b_row;
  return a_place < b_place ? -1 : a_place > b_place;
}

int rk_row_compare_numbers(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row)
{
  const rk_row_key x = rk_row_own_key(a, a_row);
  const rk_row_key y = rk_row_own_key(b, b_row);
  if (x.id.inc != y.id.inc) {
    return x.id.inc < y.id.inc ? -1 : 1;
  }
  const int order = rk_row_key_compare(&x, &y);
  return order ? order : rk_row_compare(a, a_row, b, b_row);
}
