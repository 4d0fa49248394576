/* An output chunk that gathers rows of one place. It takes down which rows of which source chunks they are, and copies
 * them a batch at a time, column by column. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/merge/merge_batch.h"

/* Memory of input chunks that may be kept for rows that are still to be copied. */
enum { HELD_MAX = 32 << 20 };
/* Runs of a batch. */
enum { RUNS_MAX = 1024 };

rk_merge_chunk *rk_merge_chunk_new(const rk_row_ref *ref, rk_merge_limits *limits)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_merge_chunk *chunk = calloc(1, sizeof *chunk);
  if (chunk == NULL) {
    return NULL;
  }
  chunk->limits = limits;
  chunk->version = rk_merge_number();
  chunk->batch = rk_merge_number();
  chunk->store = ref->store;
  chunk->entity_path = ref->entity_path;
  chunk->timeline_count = from->timeline_count;
  chunk->timelines = rk_arena_array(&chunk->arena, from->timeline_count + 1, sizeof *chunk->timelines);
  chunk->times = rk_arena_array(&chunk->arena, from->timeline_count + 1, sizeof *chunk->times);
  if (chunk->timelines == NULL || chunk->times == NULL) {
    rk_merge_chunk_free(chunk);
    return NULL;
  }
  for (size_t i = 0; i < from->timeline_count; i++) {
    chunk->timelines[i] = (rk_chunk_timeline){.name = from->timelines[i].name, .kind = from->timelines[i].kind};
  }
  return chunk;
}

void rk_merge_chunk_free(rk_merge_chunk *chunk)
{
  if (chunk == NULL) {
    return;
  }
  rk_merge_batch_end(chunk);
  for (size_t i = 0; i < chunk->timeline_count && chunk->times != NULL; i++) {
    free(chunk->times[i]);
  }
  for (size_t i = 0; i < chunk->column_count; i++) {
    rk_builder_free(chunk->columns[i]->builder);
  }
  free(chunk->columns);
  free(chunk->row_ids);
  free(chunk->sources);
  free(chunk->runs);
  free(chunk->slices);
  rk_arena_free(&chunk->arena);
  rk_arena_free(&chunk->view_arena);
  free(chunk);
}

static bool component_conflicts(const rk_merge_chunk *chunk, const rk_chunk_component *component)
{
  const rk_merge_column *column = rk_merge_find_column(chunk, component->name);
  return column != NULL && column->live && !rk_merge_column_fits(column, component);
}

bool rk_merge_chunk_conflicts(const rk_merge_chunk *chunk, const rk_chunk *from)
{
  for (size_t i = 0; i < from->component_count; i++) {
    if (component_conflicts(chunk, &from->components[i])) {
      return true;
    }
  }
  return false;
}

/* Whether there is a column for each component already. */
static bool has_columns(const rk_merge_chunk *chunk, const rk_chunk *from)
{
  for (size_t i = 0; i < from->component_count; i++) {
    const rk_merge_column *column = rk_merge_find_column(chunk, from->components[i].name);
    if (column == NULL || !column->live) {
      return false;
    }
  }
  return true;
}

static bool row_conflicts(const rk_merge_chunk *chunk, const rk_chunk *from, int64_t row)
{
  for (size_t i = 0; i < from->component_count; i++) {
    if (rk_merge_list_present(from->components[i].lists, row) && component_conflicts(chunk, &from->components[i])) {
      return true;
    }
  }
  return false;
}

/* Whether rows of `open` join the batch; begins another one for it where they do not. */
static rk_status choose_batch(rk_merge_chunk *chunk, rk_open_chunk *open)
{
  if (!chunk->alone && open->fits == chunk->version) {
    return RK_OK;
  }
  const rk_status status = rk_merge_batch_copy(chunk);
  if (open->fits != chunk->version) {
    chunk->conflicts = rk_merge_chunk_conflicts(chunk, &open->chunk);
    chunk->alone = chunk->conflicts || !has_columns(chunk, &open->chunk);
    open->fits = chunk->alone ? open->fits : chunk->version;
  }
  return status;
}

static RK_FAR bool add_source(rk_merge_chunk *chunk, rk_open_chunk *open)
{
  if (!rk_array_grow((void **)&chunk->sources, &chunk->source_capacity, chunk->source_count + 1,
                     sizeof *chunk->sources) ||
      rk_open_chunk_sizes(open) == NULL) {
    return false;
  }
  rk_open_chunk_retain(open);
  open->batch = chunk->batch;
  open->source = (uint32_t)chunk->source_count;
  chunk->sources[chunk->source_count++] = (rk_merge_source){.open = open};
  chunk->held += open->memory;
  chunk->limits->held += open->memory;
  chunk->at_once = chunk->limits->held > HELD_MAX;
  return true;
}

static inline bool begin_run(rk_merge_chunk *chunk, rk_open_chunk *open, uint32_t row)
{
  if ((chunk->run_count == chunk->run_capacity &&
       !rk_array_grow((void **)&chunk->runs, &chunk->run_capacity, chunk->run_count + 1, sizeof *chunk->runs)) ||
      (open->batch != chunk->batch && !add_source(chunk, open))) {
    return false;
  }
  chunk->runs[chunk->run_count++] = (rk_merge_run){.source = open->source, .start = row};
  return true;
}

static inline void note_row(rk_merge_chunk *chunk, const rk_row_ref *ref)
{
  const int64_t stored = ref->stored_key_ns;
  if (chunk->rows == 0) {
    chunk->first_key = ref->key_ns;
    chunk->first_id = ref->row_id;
    chunk->writer = ref->writer;
    chunk->span = (rk_merge_chunk_span){.writer = ref->writer == NULL ? 0 : ref->writer->tag,
                                        .first_row = ref->row_number,
                                        .min_key = stored,
                                        .max_key = stored};
    return;
  }
  if (chunk->writer != ref->writer) {
    chunk->writer = ref->writer;
    chunk->span.writer = 0; /* one tag of one store is one writer */
  }
  chunk->span.min_key = stored < chunk->span.min_key ? stored : chunk->span.min_key;
  chunk->span.max_key = stored > chunk->span.max_key ? stored : chunk->span.max_key;
}

rk_status rk_merge_chunk_append(rk_merge_chunk *chunk, const rk_row_ref *ref, bool *full)
{
  *full = false;
  rk_open_chunk *open = ref->open;
  const bool joined = open->batch == chunk->batch;
  bool goes_on = false;
  if (joined) {
    const rk_merge_run *last = &chunk->runs[chunk->run_count - 1];
    goes_on = open->source == last->source && last->start + last->count == ref->row;
  }
  if (!goes_on && (!joined || chunk->alone)) {
    const rk_status status = choose_batch(chunk, open);
    if (status != RK_OK) {
      return status;
    }
  }
  if (chunk->conflicts && row_conflicts(chunk, &open->chunk, ref->row)) {
    return RK_ERR_CONFLICT;
  }
  if (!goes_on && !begin_run(chunk, open, (uint32_t)ref->row)) {
    return RK_ERR_NO_MEMORY;
  }
  note_row(chunk, ref);
  chunk->runs[chunk->run_count - 1].count++;
  chunk->rows++;
  chunk->size += open->sizes[ref->row + 1] - open->sizes[ref->row];
  *full = chunk->rows >= chunk->limits->rows || chunk->size >= chunk->limits->size;
  const bool at_end = ref->row + 1 == open->chunk.row_count;
  return *full || at_end || chunk->at_once || chunk->run_count == RUNS_MAX ? rk_merge_batch_copy(chunk) : RK_OK;
}

uint32_t rk_merge_chunk_rows(const rk_merge_chunk *chunk)
{
  return chunk->rows;
}

uint64_t rk_merge_chunk_size(const rk_merge_chunk *chunk)
{
  return chunk->size;
}

const rk_store *rk_merge_chunk_store(const rk_merge_chunk *chunk)
{
  return chunk->store;
}

int64_t rk_merge_chunk_first_key(const rk_merge_chunk *chunk)
{
  return chunk->first_key;
}

int rk_merge_chunk_compare(const rk_merge_chunk *a, const rk_merge_chunk *b)
{
  if (a->first_key != b->first_key) {
    return a->first_key < b->first_key ? -1 : 1;
  }
  int order = rk_tuid_compare(a->first_id, b->first_id);
  order = order != 0 ? order : (int)a->store->kind - (int)b->store->kind;
  order = order != 0 ? order : strcmp(a->store->application_id, b->store->application_id);
  order = order != 0 ? order : strcmp(a->store->recording_id, b->store->recording_id);
  order = order != 0 ? order : strcmp(a->entity_path, b->entity_path);
  for (size_t i = 0; i < a->timeline_count && i < b->timeline_count && order == 0; i++) {
    order = strcmp(a->timelines[i].name, b->timelines[i].name);
    order = order != 0 ? order : (int)a->timelines[i].kind - (int)b->timelines[i].kind;
  }
  return order != 0 ? order : (a->timeline_count > b->timeline_count) - (a->timeline_count < b->timeline_count);
}

static int compare_components(const void *a, const void *b)
{
  return strcmp(((const rk_chunk_component *)a)->name, ((const rk_chunk_component *)b)->name);
}

static void hash_text(XXH3_state_t *state, const char *text)
{
  XXH3_64bits_update(state, text == NULL ? "\xff" : text, text == NULL ? 2 : strlen(text) + 1);
}

/* The same rows make the same id in every merge; different rows of one recording different ones. */
static rk_status derive_id(const rk_merge_chunk *chunk, rk_chunk *view)
{
  XXH3_state_t *state = XXH3_createState();
  rk_buffer type = {0};
  if (state == NULL || XXH3_64bits_reset(state) != XXH_OK) {
    XXH3_freeState(state);
    return RK_ERR_NO_MEMORY;
  }
  XXH3_64bits_update(state, chunk->store->kind == RK_STORE_BLUEPRINT ? "b" : "r", 2);
  hash_text(state, chunk->store->application_id);
  hash_text(state, chunk->store->recording_id);
  hash_text(state, chunk->entity_path);
  for (size_t i = 0; i < view->timeline_count; i++) {
    hash_text(state, view->timelines[i].name);
    XXH3_64bits_update(state, &view->timelines[i].values[0], sizeof(int64_t));
  }
  for (size_t i = 0; i < view->component_count; i++) {
    hash_text(state, view->components[i].name);
    hash_text(state, view->components[i].archetype);
    hash_text(state, view->components[i].component_type);
    rk_buffer_reset(&type);
    rk_field_text(view->components[i].item, &type);
    XXH3_64bits_update(state, type.data, type.size);
  }
  XXH3_64bits_update(state, view->row_ids, (size_t)view->row_count * RK_TUID_SIZE);
  view->id = (rk_tuid){.time_ns = chunk->first_id.time_ns, .inc = XXH3_64bits_digest(state)};
  const rk_status status = type.failed ? RK_ERR_NO_MEMORY : RK_OK;
  rk_buffer_free(&type);
  XXH3_freeState(state);
  return status;
}

rk_status rk_merge_chunk_view(rk_merge_chunk *chunk, rk_chunk *view, rk_merge_chunk_span *span)
{
  rk_status status = rk_merge_batch_copy(chunk);
  rk_arena_reset(&chunk->view_arena);
  rk_chunk_component *components = rk_arena_array(&chunk->view_arena, chunk->column_count + 1, sizeof *components);
  if (components == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  size_t component_count = 0;
  for (size_t i = 0; i < chunk->column_count && status == RK_OK; i++) {
    rk_merge_column *column = chunk->columns[i];
    if (!column->live) {
      continue;
    }
    status = rk_merge_column_pad(column, chunk->copied);
    components[component_count++] = (rk_chunk_component){.name = column->name,
                                                         .archetype = column->archetype,
                                                         .component_type = column->component_type,
                                                         .item = &column->list->children[0],
                                                         .lists = rk_builder_view(column->builder)};
  }
  if (status != RK_OK) {
    return status;
  }
  qsort(components, component_count, sizeof *components, compare_components);
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    chunk->timelines[i].values = chunk->times[i];
  }
  *view = (rk_chunk){.entity_path = chunk->entity_path,
                     .row_count = chunk->copied,
                     .row_ids = chunk->row_ids,
                     .timeline_count = chunk->timeline_count,
                     .timelines = chunk->timelines,
                     .component_count = component_count,
                     .components = components};
  *span = chunk->span;
  if (span->writer == 0) {
    span->first_row = 0;
  }
  return derive_id(chunk, view);
}

void rk_merge_chunk_reset(rk_merge_chunk *chunk)
{
  rk_merge_batch_end(chunk);
  for (size_t i = 0; i < chunk->column_count; i++) {
    rk_builder_reset(chunk->columns[i]->builder);
    chunk->columns[i]->live = false;
  }
  chunk->rows = chunk->copied = 0;
  chunk->size = 0;
  chunk->version = rk_merge_number();
}
