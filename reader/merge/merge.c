/* Merging: all rows of a reader, in its order, gathered into compact chunks of one recording; chunks that fit as they
 * are pass (SPEC "Merged recordings"). */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "format/error.h"
#include "reader/merge/merge_internal.h"

enum { DEFAULT_CHUNK_ROWS = 4096, DEFAULT_CHUNK_SIZE = 1 << 20, DEFAULT_LEVEL = 3 };
/* 32-bit Arrow offsets hold no more than 2 GiB; a last row comes on top. */
enum { CHUNK_SIZE_MAX = 512 << 20 };
/* What all places together may gather, and the least that each may. */
enum { GATHER_MAX = 96 << 20, GATHER_MIN = 4 << 10 };
enum { PROGRESS_ROWS = 8192 };

static unsigned core_count(void)
{
  cpu_set_t set;
  const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return count < 1 ? 1 : (unsigned)count;
}

rk_merge_options rk_merge_defaults(const rk_merge_options *options)
{
  rk_merge_options o = options != NULL ? *options : (rk_merge_options){0};
  o.chunk_rows = o.chunk_rows == 0 ? DEFAULT_CHUNK_ROWS : o.chunk_rows;
  o.chunk_size = o.chunk_size == 0 ? DEFAULT_CHUNK_SIZE : o.chunk_size;
  o.chunk_size = o.chunk_size > CHUNK_SIZE_MAX ? CHUNK_SIZE_MAX : o.chunk_size;
  o.threads = o.threads == 0 ? core_count() : o.threads;
  o.zstd_level = o.zstd_level == 0 ? DEFAULT_LEVEL : o.zstd_level;
  o.compression = o.zstd                                    ? RK_COMPRESSION_NONE
                  : o.compression == RK_COMPRESSION_DEFAULT ? RK_COMPRESSION_LZ4
                                                            : o.compression;
  return o;
}

uint64_t rk_merge_limit(const rk_merge_options *options, uint64_t entity_count)
{
  uint64_t limit = options->chunk_size;
  while (limit / 2 >= GATHER_MIN && entity_count > GATHER_MAX / limit) {
    limit /= 2;
  }
  return limit;
}

uint32_t rk_merge_count_entities(rk_reader *reader)
{
  const size_t count = reader->entries.count;
  uint8_t *seen = calloc(reader->places.count + 1, 1);
  rk_numbering distinct = {0};
  bool good = seen != NULL;
  for (size_t i = 0; i < count && good; i++) {
    const rk_entry *entry = rk_entry_at(reader, i);
    if (seen[entry->place] || entry->bare || !rk_filter_entry(reader, entry)) {
      continue;
    }
    seen[entry->place] = 1;
    const rk_place *place = rk_entry_place(reader, entry);
    const struct {
      const rk_store *store;
      uint64_t hash;
    } key = {place->store, place->entity_hash};
    size_t number;
    bool added;
    good = rk_numbering_put(&distinct, &key, sizeof key, &number, &added) == RK_OK;
  }
  uint32_t result = !good ? UINT32_MAX : (uint32_t)distinct.count;
  rk_numbering_free(&distinct);
  free(seen);
  const rk_filters *f = &reader->filters;
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count && good; i++) {
    const bool all = f->entities == NULL && f->excluded == NULL && f->writers == NULL && !f->has_since && !f->has_until;
    if (all && inputs[i]->merged_entities > result) {
      result = inputs[i]->merged_entities;
    }
  }
  return result;
}

/* Nothing comes between what was put so far and what follows. */
static rk_status put_all(rk_merge *m, rk_store_kind kind, rk_error *error)
{
  rk_status status = rk_merge_end_candidates(m, kind, error);
  status = status == RK_OK ? rk_merge_queue_release(m, 0, true, error) : status;
  status = status == RK_OK ? rk_merge_put_rest(m, kind, error) : status;
  return status == RK_OK ? rk_merge_queue_flush(m, error) : status;
}

/* Blueprints come first, each whole before it is activated: a viewer then never shows a half-made one. */
static rk_status finish_blueprints(rk_merge *m, rk_error *error)
{
  rk_status status = put_all(m, RK_STORE_BLUEPRINT, error);
  size_t count = 0;
  const rk_activation *activations = rk_reader_activations(m->reader, &count);
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = rk_merge_file_put_activation(&m->file, &activations[i], error);
  }
  m->blueprints_done = true;
  m->has_key = false;
  return status;
}

static bool report(const rk_merge *m, uint64_t rows_done, uint64_t rows_total)
{
  return m->options.on_progress == NULL ||
         m->options.on_progress(m->options.context, rows_done, rows_total, m->file.stored);
}

/* A row or a whole chunk of `store` is next, at `key`. */
static inline rk_status come_to(rk_merge *m, const rk_store *store, int64_t key, rk_error *error)
{
  rk_status status = RK_OK;
  if (!m->blueprints_done && store->kind == RK_STORE_RECORDING) {
    status = finish_blueprints(m, error);
  }
  if (m->has_key && key <= m->key) {
    return status;
  }
  m->has_key = true;
  m->key = key;
  if (status == RK_OK && m->queue.heap_count > 0) {
    const int64_t floor = rk_merge_lowest_floor(m);
    status = rk_merge_queue_release(m, floor < key ? floor : key, false, error);
  }
  return status;
}

static rk_status take_unit(rk_merge *m, const rk_unit *unit, rk_error *error)
{
  rk_status status = m->complete != NULL ? rk_merge_settle(m, error) : RK_OK;
  if (status != RK_OK) {
    return status;
  }
  if (unit->kind == RK_UNIT_WHOLE_END) {
    return rk_merge_put_whole(m, unit->entry, error);
  }
  if (unit->kind == RK_UNIT_OFFER) {
    status = come_to(m, rk_entry_store(m->reader, unit->entry), unit->entry->min_ns, error);
    if (status == RK_OK && rk_merge_takes_whole(m, unit->entry)) {
      rk_reader_take_whole(m->reader, unit->entry);
    }
    return status;
  }
  status = come_to(m, unit->row.store, unit->row.key_ns, error);
  rk_merge_place *place = unit->row.open->place;
  if (status == RK_OK && place == NULL && (place = rk_merge_find_place(m, &unit->row)) == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  return status == RK_OK ? rk_merge_add_row(m, place, &unit->row, error) : status;
}

static rk_status run(rk_merge *m, rk_error *error)
{
  const uint64_t rows_total = rk_reader_row_bound(m->reader);
  uint64_t rows_done = 0, reported = 0;
  rk_status status = RK_OK;
  while (status == RK_OK) {
    rk_unit unit;
    status = rk_reader_next_unit(m->reader, &unit);
    if (status == RK_END) {
      break;
    }
    if (status != RK_OK) {
      rk_error reason = {.status = status};
      rk_reader_error(m->reader, &reason);
      if (error != NULL) {
        *error = reason;
      }
      return status;
    }
    rows_done += unit.kind == RK_UNIT_ROW ? 1 : unit.kind == RK_UNIT_WHOLE_END ? unit.entry->row_count : 0;
    status = take_unit(m, &unit, error);
    if (status == RK_OK && rows_done - reported >= PROGRESS_ROWS) {
      reported = rows_done;
      if (!report(m, rows_done, rows_total)) {
        return RK_END;
      }
    }
  }
  if (status != RK_END) {
    return status;
  }
  status = m->blueprints_done ? RK_OK : finish_blueprints(m, error);
  status = status == RK_OK ? put_all(m, RK_STORE_RECORDING, error) : status;
  status = status == RK_OK ? rk_merge_file_finish(&m->file, error) : status;
  return status == RK_OK && !report(m, rows_done, rows_done) ? RK_END : status;
}

static rk_status open_merge(rk_merge *m, int fd, rk_error *error)
{
  rk_reader *reader = m->reader;
  const rk_merge_options *o = &m->options;
  rk_reader_blueprints_first(reader);
  pthread_mutex_init(&m->scratch_mutex, NULL);
  reader->pool = reader->pool != NULL ? reader->pool : rk_pool_new(o->threads);
  m->pool = reader->pool;
  if (m->pool == NULL || !rk_merge_queue_init(&m->queue, rk_pool_threads(m->pool))) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  m->compression = o->compression;
  m->passing = !o->recode && !reader->wall_clock && reader->dropped_timeline_count == 0;
  const uint32_t entity_count = rk_merge_count_entities(reader);
  if (entity_count == UINT32_MAX) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  m->limits = (rk_merge_limits){.rows = o->chunk_rows, .size = rk_merge_limit(o, entity_count)};
  return rk_merge_file_open(&m->file, fd, o->zstd ? o->zstd_level : 0, m->pool, entity_count, reader, error);
}

static void close_merge(rk_merge *m)
{
  if (m->pool != NULL) {
    rk_merge_queue_free(m);
  }
  for (size_t i = 0; i < m->place_numbers.count; i++) {
    rk_merge_place *place = m->places[i];
    if (place == NULL) {
      continue;
    }
    rk_merge_chunk_free(place->chunk);
    rk_merge_chunk_free(place->spare);
    if (place->candidate.open != NULL) {
      rk_open_chunk_release(place->candidate.open);
    }
  }
  free((void *)m->places);
  free((void *)m->entities);
  free(m->floors);
  rk_numbering_free(&m->place_numbers);
  rk_numbering_free(&m->entity_numbers);
  rk_buffer_free(&m->place_key);
  rk_arena_free(&m->arena);
  rk_merge_file_free(&m->file);
  while (m->scratches != NULL) {
    rk_merge_scratch *scratch = m->scratches;
    m->scratches = scratch->next;
    rk_buffer_free(&scratch->payload);
    free(scratch);
  }
  pthread_mutex_destroy(&m->scratch_mutex);
  free(m);
}

rk_status rk_reader_merge(rk_reader *reader, int fd, const rk_merge_options *options, rk_merge_report *out,
                          rk_error *error)
{
  if (out != NULL) {
    *out = (rk_merge_report){0};
  }
  if (reader == NULL || fd < 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "merging needs a reader and a descriptor");
  }
  if (reader->timeline != NULL || reader->filters.timeline != NULL || reader->follow) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET,
                   "a reader that orders by a timeline, follows or has been read from cannot be merged");
  }
  rk_merge *m = calloc(1, sizeof *m);
  if (m == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  m->reader = reader;
  m->options = rk_merge_defaults(options);
  rk_error reason = {0};
  rk_status status = open_merge(m, fd, &reason);
  status = status == RK_OK ? run(m, &reason) : status;
  m->report.bytes = m->file.stored;
  if (out != NULL) {
    *out = m->report;
  }
  close_merge(m);
  if (status != RK_OK && status != RK_END) {
    rk_reader_set_error(reader, &reason);
    if (error != NULL) {
      *error = reason;
    }
  }
  return status;
}
