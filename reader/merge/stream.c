/* Streaming: a reader's rows gathered into one chunk per entity and batch, as frames without seals. */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/chunk_frame.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/numbering.h"
#include "reader/merge/merge_internal.h"
#include "reader/reader_state.h"

enum { KEPT_SIZE = 64 << 10 }; /* a chunk of up to so many bytes keeps its memory for the next batch */
enum { DEFAULT_CHUNK_ROWS = 4096, DEFAULT_CHUNK_SIZE = 1 << 20, DEFAULT_BATCH_SIZE = 1 << 20 };
enum { CHUNK_SIZE_MAX = 512 << 20 }; /* 32-bit Arrow offsets hold no more than 2 GiB; a last row comes on top */

struct rk_stream {
  rk_reader *reader;
  rk_stream_options options;
  rk_merge_limits limits;
  rk_numbering places; /* numbers chunks by store, entity and timelines */
  rk_merge_chunk **chunks;
  size_t chunk_capacity;
  size_t *used; /* numbers of the chunks that have rows */
  size_t used_count, used_capacity;
  rk_row_ref row; /* read and not yet taken */
  bool has_row;
  bool has_last;
  int64_t last_key; /* of the row before it */
  bool activated;   /* blueprints */
  rk_buffer key, payload, out;
  rk_arena arena; /* of the batch's frames */
  rk_stream_frame *frames;
  size_t frame_count, frame_capacity;
  int64_t *keys; /* of the batch's rows */
  size_t key_capacity;
};

rk_status rk_stream_open(rk_reader *reader, const rk_stream_options *options, rk_stream **stream, rk_error *error)
{
  if (reader == NULL || stream == NULL || reader->timeline != NULL) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a stream takes a reader of which no row was taken");
  }
  rk_stream *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a stream");
  }
  s->reader = reader;
  if (options != NULL) {
    s->options = *options;
  }
  s->options.chunk_rows = s->options.chunk_rows == 0 ? DEFAULT_CHUNK_ROWS : s->options.chunk_rows;
  s->options.chunk_size = s->options.chunk_size == 0 ? DEFAULT_CHUNK_SIZE : s->options.chunk_size;
  s->options.chunk_size = s->options.chunk_size > CHUNK_SIZE_MAX ? CHUNK_SIZE_MAX : s->options.chunk_size;
  s->limits = (rk_merge_limits){.rows = s->options.chunk_rows, .size = s->options.chunk_size};
  rk_reader_blueprints_first(reader);
  *stream = s;
  return RK_OK;
}

void rk_stream_free(rk_stream *stream)
{
  if (stream == NULL) {
    return;
  }
  for (size_t i = 0; i < stream->places.count; i++) {
    rk_merge_chunk_free(stream->chunks[i]);
  }
  free(stream->chunks);
  free(stream->used);
  free(stream->frames);
  free(stream->keys);
  rk_arena_free(&stream->arena);
  rk_numbering_free(&stream->places);
  rk_buffer_free(&stream->key);
  rk_buffer_free(&stream->payload);
  rk_buffer_free(&stream->out);
  free(stream);
}

static rk_status failed(rk_stream *stream, rk_status status)
{
  const rk_error error = {.status = status, .offset = RK_NO_OFFSET, .message = "cannot make a message of rows"};
  rk_error before = {0};
  rk_reader_error(stream->reader, &before);
  return before.status != RK_OK ? before.status : rk_reader_set_error(stream->reader, &error);
}

static void put_store(rk_stream *stream, const rk_store *store)
{
  const rk_store_entry *entry = rk_store_entry_of(store);
  const rk_store_info info = {.row_id = entry->row_id,
                              .store = rk_merge_store_id(store),
                              .source_kind = 1,
                              .store_version = rk_load_u32(rk_stream_header_bytes + 4)};
  const size_t start = rk_frame_begin(&stream->out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(&stream->out, &info);
  rk_frame_end(&stream->out, start);
}

/* The chunk that takes the row; interned texts stand for themselves. */
static rk_status find_chunk(rk_stream *stream, const rk_row_ref *ref, size_t *number)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_buffer *key = &stream->key;
  rk_buffer_reset(key);
  rk_buffer_append(key, &ref->store, sizeof ref->store);
  rk_buffer_append(key, &ref->entity_path, sizeof ref->entity_path);
  rk_buffer_append(key, ref->is_static ? "s" : "t", 1);
  for (size_t i = 0; i < from->timeline_count; i++) {
    const char kind = (char)from->timelines[i].kind;
    rk_buffer_append(key, &from->timelines[i].name, sizeof from->timelines[i].name);
    rk_buffer_append(key, &kind, 1);
  }
  bool added;
  if (key->failed || !rk_array_grow((void **)&stream->chunks, &stream->chunk_capacity, stream->places.count + 1,
                                    sizeof *stream->chunks)) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status = rk_numbering_put(&stream->places, key->data, key->size, number, &added);
  if (status != RK_OK) {
    return status;
  }
  if (added) {
    stream->chunks[*number] = NULL;
  }
  if (stream->chunks[*number] == NULL) {
    stream->chunks[*number] = rk_merge_chunk_new(ref, &stream->limits);
  }
  return stream->chunks[*number] == NULL ? RK_ERR_NO_MEMORY : RK_OK;
}

static bool note_frame(rk_stream *stream, const rk_chunk *view, const rk_store *store, int64_t first_ns, size_t start)
{
  const char **components = rk_arena_array(&stream->arena, view->component_count + 1, sizeof *components);
  if (components == NULL || !rk_array_grow((void **)&stream->frames, &stream->frame_capacity, stream->frame_count + 1,
                                           sizeof *stream->frames)) {
    return false;
  }
  for (size_t i = 0; i < view->component_count; i++) {
    components[i] = view->components[i].name;
  }
  stream->frames[stream->frame_count++] = (rk_stream_frame){.offset = start,
                                                            .size = stream->out.size - start,
                                                            .store = store,
                                                            .entity_path = view->entity_path,
                                                            .is_static = view->timeline_count == 0,
                                                            .first_ns = first_ns,
                                                            .component_count = view->component_count,
                                                            .components = components};
  return true;
}

static rk_status emit(rk_stream *stream, rk_merge_chunk *chunk)
{
  rk_chunk view;
  rk_merge_chunk_span span;
  const rk_store_id store = rk_merge_store_id(rk_merge_chunk_store(chunk));
  const size_t start = stream->out.size;
  rk_status status = rk_merge_chunk_view(chunk, &view, &span);
  status = status == RK_OK
               ? rk_chunk_frame_encode(&stream->out, &stream->payload, &store, stream->options.compression, &view, NULL)
               : status;
  if (status != RK_OK) {
    return status;
  }
  const bool noted = note_frame(stream, &view, rk_merge_chunk_store(chunk), rk_merge_chunk_first_key(chunk), start);
  rk_merge_chunk_reset(chunk);
  return noted ? RK_OK : RK_ERR_NO_MEMORY;
}

static int compare_chunks(const void *a, const void *b, void *context)
{
  const rk_stream *stream = context;
  return rk_merge_chunk_compare(stream->chunks[*(const size_t *)a], stream->chunks[*(const size_t *)b]);
}

/* All that was gathered, by first row. */
static rk_status emit_all(rk_stream *stream)
{
  size_t kept = 0;
  for (size_t i = 0; i < stream->used_count; i++) {
    if (rk_merge_chunk_rows(stream->chunks[stream->used[i]]) > 0) {
      stream->used[kept++] = stream->used[i];
    }
  }
  stream->used_count = 0;
  if (kept > 1) {
    qsort_r(stream->used, kept, sizeof *stream->used, compare_chunks, stream);
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < kept && status == RK_OK; i++) {
    rk_merge_chunk **chunk = &stream->chunks[stream->used[i]];
    if (*chunk == NULL || rk_merge_chunk_rows(*chunk) == 0) { /* one that was full stands there twice */
      continue;
    }
    const bool large = rk_merge_chunk_size(*chunk) > KEPT_SIZE;
    status = emit(stream, *chunk);
    if (large) { /* a hundred cameras would hold on to an image each */
      rk_merge_chunk_free(*chunk);
      *chunk = NULL;
    }
  }
  return status;
}

/* Gathers the row that was read. *size grows by about its bytes. */
static rk_status take_row(rk_stream *stream, size_t *size)
{
  size_t number = 0;
  rk_status status = find_chunk(stream, &stream->row, &number);
  if (status != RK_OK) {
    return status;
  }
  rk_merge_chunk *chunk = stream->chunks[number];
  if (rk_merge_chunk_rows(chunk) == 0) {
    if (!rk_array_grow((void **)&stream->used, &stream->used_capacity, stream->used_count + 1, sizeof *stream->used)) {
      return RK_ERR_NO_MEMORY;
    }
    stream->used[stream->used_count++] = number;
  }
  const uint64_t before = rk_merge_chunk_size(chunk);
  bool full;
  status = rk_merge_chunk_append(chunk, &stream->row, &full);
  if (status == RK_ERR_CONFLICT) {
    status = emit(stream, chunk);
    status = status == RK_OK ? rk_merge_chunk_append(chunk, &stream->row, &full) : status;
    *size += status == RK_OK ? rk_merge_chunk_size(chunk) : 0;
  } else if (status == RK_OK) {
    *size += rk_merge_chunk_size(chunk) - before;
  }
  if (status == RK_OK && full) {
    status = emit(stream, chunk);
  }
  stream->has_row = false;
  return status;
}

static rk_status peek_row(rk_stream *stream)
{
  if (stream->has_row) {
    return RK_OK;
  }
  const rk_status status = rk_reader_take_ref(stream->reader, &stream->row);
  stream->has_row = status == RK_OK;
  return status;
}

/* When the row that was read is due. A static row has no time: it is due as soon as it comes, first where another
 * timeline orders, and behind the last of an input that was shifted back. */
static int64_t key_of_row(const rk_stream *stream)
{
  if (!stream->row.is_static) {
    return stream->row.key_ns;
  }
  return stream->reader->filters.timeline ? INT64_MIN : stream->has_last ? stream->last_key : stream->row.key_ns;
}

static void hand_over(const rk_stream *stream, rk_stream_batch *batch)
{
  batch->data = stream->out.data;
  batch->size = stream->out.size;
  batch->next_ns = stream->has_row ? key_of_row(stream) : INT64_MAX;
  batch->frame_count = stream->frame_count;
  batch->frames = stream->frames;
  batch->keys = stream->keys;
}

static void start_batch(rk_stream *stream, rk_stream_batch *batch)
{
  *batch = (rk_stream_batch){.next_ns = INT64_MAX};
  rk_buffer_reset(&stream->out);
  rk_arena_reset(&stream->arena);
  stream->frame_count = 0;
}

/* Blueprints are whole: theirs goes out, then which ones are active. */
static rk_status activate(rk_stream *stream)
{
  size_t count = 0;
  const rk_activation *activations = rk_reader_activations(stream->reader, &count);
  const rk_status status = emit_all(stream);
  stream->activated = true;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    const rk_blueprint_activation command = {.blueprint = rk_merge_store_id(activations[i].blueprint),
                                             .make_active = activations[i].make_active,
                                             .make_default = activations[i].make_default};
    const size_t start = rk_frame_begin(&stream->out, RK_FRAME_BLUEPRINT_ACTIVATION);
    rk_blueprint_activation_encode(&stream->out, &command);
    rk_frame_end(&stream->out, start);
  }
  return status == RK_OK && stream->out.failed ? RK_ERR_NO_MEMORY : status;
}

rk_status rk_stream_begin(rk_stream *stream, rk_stream_batch *batch)
{
  start_batch(stream, batch);
  rk_buffer_append(&stream->out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  size_t count = 0;
  const rk_store *const *stores = rk_reader_stores(stream->reader, &count);
  for (size_t i = 0; i < count; i++) {
    put_store(stream, stores[i]);
  }
  rk_status status;
  size_t size = 0;
  while ((status = peek_row(stream)) == RK_OK && stream->row.store->kind == RK_STORE_BLUEPRINT) {
    stream->has_row = false;
    status = take_row(stream, &size);
    batch->rows++;
    if (status != RK_OK) {
      return failed(stream, status);
    }
  }
  if (status != RK_OK && status != RK_END && status != RK_AGAIN) {
    return status;
  }
  status = status == RK_AGAIN ? emit_all(stream) : activate(stream);
  if (status != RK_OK || stream->out.failed) {
    return failed(stream, status != RK_OK ? status : RK_ERR_NO_MEMORY);
  }
  hand_over(stream, batch);
  return RK_OK;
}

rk_status rk_stream_next(rk_stream *stream, int64_t until_ns, size_t max_size, rk_stream_batch *batch)
{
  start_batch(stream, batch);
  max_size = max_size == 0 ? DEFAULT_BATCH_SIZE : max_size;
  size_t size = 0;
  rk_status status;
  while ((status = peek_row(stream)) == RK_OK && key_of_row(stream) < until_ns && size < max_size) {
    const int64_t key = key_of_row(stream);
    if (!stream->activated && stream->row.store->kind != RK_STORE_BLUEPRINT) { /* they were not certain at first */
      status = activate(stream);
      if (status != RK_OK) {
        return failed(stream, status);
      }
    }
    status = rk_array_grow((void **)&stream->keys, &stream->key_capacity, (size_t)batch->rows + 1, sizeof *stream->keys)
                 ? take_row(stream, &size)
                 : RK_ERR_NO_MEMORY;
    if (status != RK_OK) {
      return failed(stream, status);
    }
    stream->keys[batch->rows] = stream->last_key = key;
    stream->has_last = true;
    batch->first_ns = batch->rows == 0 ? key : batch->first_ns;
    batch->last_ns = key;
    batch->rows++;
  }
  if (status != RK_OK && ((status != RK_END && status != RK_AGAIN) || batch->rows == 0)) {
    return status;
  }
  status = emit_all(stream);
  if (status != RK_OK) {
    return failed(stream, status);
  }
  hand_over(stream, batch);
  return RK_OK;
}
