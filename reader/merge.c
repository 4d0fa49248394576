/* Merging: all rows of a reader, in its order, gathered into compact chunks of one recording. */
#include <stdlib.h>
#include <string.h>

#include "format/error.h"
#include "format/numbering.h"
#include "reader/merge_internal.h"

enum { DEFAULT_CHUNK_ROWS = 4096, DEFAULT_CHUNK_SIZE = 1 << 20 };
/* 32-bit Arrow offsets hold no more than 2 GiB; a last row comes on top. */
enum { CHUNK_SIZE_MAX = 512 << 20 };
enum { RECENT_COUNT = 256, PROGRESS_ROWS = 8192 };

typedef struct merge {
  rk_reader *reader;
  rk_merge_file file;
  rk_merge_options options;
  rk_numbering places; /* numbers chunks by store, entity and timelines */
  rk_merge_chunk **chunks;
  size_t chunk_capacity;
  rk_merge_chunk *recent[RECENT_COUNT]; /* by source chunk; a hint */
  rk_buffer key;
  bool blueprints_done;
} merge;

/* Interned texts stand for themselves. */
static rk_status find_chunk(merge *m, const rk_row_ref *ref, rk_merge_chunk **chunk)
{
  rk_merge_chunk **hint = &m->recent[((uintptr_t)ref->open >> 6) % RECENT_COUNT];
  if (*hint != NULL && rk_merge_chunk_takes(*hint, ref)) {
    *chunk = *hint;
    return RK_OK;
  }
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_buffer_reset(&m->key);
  rk_buffer_append(&m->key, &ref->store, sizeof ref->store);
  rk_buffer_append(&m->key, &ref->entity_path, sizeof ref->entity_path);
  rk_buffer_append(&m->key, ref->is_static ? "s" : "t", 1);
  for (size_t i = 0; i < from->timeline_count; i++) {
    const char kind = (char)from->timelines[i].kind;
    rk_buffer_append(&m->key, &from->timelines[i].name, sizeof from->timelines[i].name);
    rk_buffer_append(&m->key, &kind, 1);
  }
  size_t number;
  bool added;
  if (m->key.failed ||
      !rk_array_grow((void **)&m->chunks, &m->chunk_capacity, m->places.count + 1, sizeof *m->chunks)) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status = rk_numbering_put(&m->places, m->key.data, m->key.size, &number, &added);
  if (status != RK_OK) {
    return status;
  }
  if (added) {
    m->chunks[number] = NULL;
  }
  if (m->chunks[number] == NULL) {
    m->chunks[number] = rk_merge_chunk_new(ref);
  }
  *hint = *chunk = m->chunks[number];
  return *chunk == NULL ? RK_ERR_NO_MEMORY : RK_OK;
}

static rk_status emit(merge *m, rk_merge_chunk *chunk, rk_error *error)
{
  const rk_status status = rk_merge_file_put_chunk(&m->file, chunk, error);
  rk_merge_chunk_reset(chunk);
  return status;
}

static int compare_chunks(const void *a, const void *b)
{
  return rk_merge_chunk_compare(*(rk_merge_chunk *const *)a, *(rk_merge_chunk *const *)b);
}

/* Emits what is left in the chunks of one kind of store, by first row. */
static rk_status emit_rest(merge *m, rk_store_kind kind, rk_error *error)
{
  rk_merge_chunk **rest = calloc(m->places.count + 1, sizeof(rk_merge_chunk *));
  if (rest == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  size_t count = 0;
  for (size_t i = 0; i < m->places.count; i++) {
    rk_merge_chunk *chunk = m->chunks[i];
    if (chunk != NULL && rk_merge_chunk_rows(chunk) > 0 && rk_merge_chunk_store(chunk)->kind == kind) {
      rest[count++] = chunk;
    }
  }
  qsort(rest, count, sizeof *rest, compare_chunks);
  rk_status status = RK_OK;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = emit(m, rest[i], error);
  }
  free(rest);
  return status;
}

/* Blueprints come first, each whole before it is activated: a viewer then never shows a half-made one. */
static rk_status finish_blueprints(merge *m, rk_error *error)
{
  rk_status status = emit_rest(m, RK_STORE_BLUEPRINT, error);
  size_t count = 0;
  const rk_activation *activations = rk_reader_activations(m->reader, &count);
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = rk_merge_file_put_activation(&m->file, &activations[i], error);
  }
  m->blueprints_done = true;
  return status;
}

static rk_status add_row(merge *m, const rk_row_ref *ref, rk_error *error)
{
  if (ref->store->kind == RK_STORE_RECORDING && !m->blueprints_done) {
    const rk_status status = finish_blueprints(m, error);
    if (status != RK_OK) {
      return status;
    }
  }
  rk_merge_chunk *chunk = NULL;
  rk_status status = find_chunk(m, ref, &chunk);
  status = status == RK_OK ? rk_merge_chunk_append(chunk, ref) : status;
  if (status == RK_ERR_CONFLICT) {
    status = emit(m, chunk, error);
    if (status != RK_OK) {
      return status;
    }
    status = rk_merge_chunk_append(chunk, ref);
  }
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot gather a row of the merged recording: %s",
                   rk_status_text(status));
  }
  if (rk_merge_chunk_rows(chunk) >= m->options.chunk_rows || rk_merge_chunk_size(chunk) >= m->options.chunk_size) {
    return emit(m, chunk, error);
  }
  return RK_OK;
}

static bool report(const merge *m, uint64_t rows_done, uint64_t rows_total)
{
  return m->options.on_progress == NULL ||
         m->options.on_progress(m->options.context, rows_done, rows_total, m->file.written + m->file.out.size);
}

static rk_status run(merge *m, rk_error *error)
{
  const uint64_t rows_total = rk_reader_row_bound(m->reader);
  uint64_t rows_done = 0;
  rk_row_ref ref;
  rk_status status = RK_OK;
  rk_reader_blueprints_first(m->reader);
  while (status == RK_OK) {
    status = rk_reader_next_ref(m->reader, &ref);
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
    status = add_row(m, &ref, error);
    if (status == RK_OK && ++rows_done % PROGRESS_ROWS == 0 && !report(m, rows_done, rows_total)) {
      return RK_END;
    }
  }
  if (status != RK_END) {
    return status;
  }
  if (!m->blueprints_done) {
    status = finish_blueprints(m, error);
    if (status != RK_OK) {
      return status;
    }
  }
  status = emit_rest(m, RK_STORE_BLUEPRINT, error); /* none, unless the caller had begun to read */
  status = status == RK_OK ? emit_rest(m, RK_STORE_RECORDING, error) : status;
  status = status == RK_OK ? rk_merge_file_finish(&m->file, error) : status;
  return status == RK_OK && !report(m, rows_done, rows_done) ? RK_END : status;
}

rk_status rk_reader_merge(rk_reader *reader, int fd, const rk_merge_options *options, rk_merge_report *report,
                          rk_error *error)
{
  (void)report;
  if (reader == NULL || fd < 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "merging needs a reader and a descriptor");
  }
  merge m = {.reader = reader};
  if (options != NULL) {
    m.options = *options;
  }
  m.options.chunk_rows = m.options.chunk_rows == 0 ? DEFAULT_CHUNK_ROWS : m.options.chunk_rows;
  m.options.chunk_size = m.options.chunk_size == 0 ? DEFAULT_CHUNK_SIZE : m.options.chunk_size;
  m.options.chunk_size = m.options.chunk_size > CHUNK_SIZE_MAX ? CHUNK_SIZE_MAX : m.options.chunk_size;
  rk_error reason = {0};
  rk_status status = rk_merge_file_open(&m.file, fd, m.options.compression, reader, &reason);
  status = status == RK_OK ? run(&m, &reason) : status;
  for (size_t i = 0; i < m.places.count; i++) {
    rk_merge_chunk_free(m.chunks[i]);
  }
  free(m.chunks);
  rk_numbering_free(&m.places);
  rk_buffer_free(&m.key);
  rk_merge_file_free(&m.file);
  if (status != RK_OK && status != RK_END) {
    rk_reader_set_error(reader, &reason);
    if (error != NULL) {
      *error = reason;
    }
  }
  return status;
}
