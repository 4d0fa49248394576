/* An output chunk that gathers rows of one place. It takes down which rows of which source chunks they are, and copies
 * them a batch at a time, column by column. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/merge/merge_internal.h"

/* Memory of input chunks that may be kept for rows that are still to be copied. */
enum { HELD_MAX = 32 << 20 };
/* Runs of a batch. */
enum { RUNS_MAX = 1024 };

/* A component's column. Kept over a reset with its memory; `live` says whether the current rows have it. */
typedef struct merge_column {
  const char *name, *archetype, *component_type; /* interned by the reader */
  rk_field *list;                                /* List<item> in the chunk's arena */
  rk_builder *builder;
  bool live;
} merge_column;

/* A chunk that rows of the batch come from. */
typedef struct merge_source {
  rk_open_chunk *open;            /* retained */
  const struct ArrowArray *lists; /* of the column at hand */
} merge_source;

/* Neighbouring rows of one source. */
typedef struct merge_run {
  uint32_t source, start, count;
} merge_run;

struct rk_merge_chunk {
  rk_merge_limits *limits;
  uint64_t version; /* of its live columns; no two chunks have the same one */
  const rk_store *store;
  const char *entity_path;
  size_t timeline_count;
  rk_chunk_timeline *timelines; /* values point into times */
  int64_t **times;              /* [timeline_count][row_capacity] */
  uint8_t *row_ids;
  size_t row_capacity;
  rk_arena arena; /* timelines, types */
  merge_column **columns;
  size_t column_count, column_capacity;
  /* The rows since the last reset. */
  uint32_t rows, copied; /* all, and those that lie in the columns */
  uint64_t size;
  int64_t first_key;
  rk_tuid first_id;
  const rk_writer_info *writer; /* of the row before */
  rk_merge_chunk_span span;
  /* The batch: rows that are not copied yet. */
  uint64_t batch; /* its number; no two have the same one */
  merge_source *sources;
  size_t source_count, source_capacity;
  merge_run *runs;
  size_t run_count, run_capacity;
  rk_slice *slices; /* of the column at hand */
  size_t slice_capacity;
  uint64_t held;
  bool alone;     /* its one source lacks a column here, or has another one: no other joins it */
  bool conflicts; /* some column of that source differs from one here: look at each row */
  bool at_once;   /* too much is held: copy each row as it comes */
  /* For the view. */
  rk_arena view_arena;
};

static uint64_t new_number(void)
{
  static _Atomic uint64_t numbers;
  return ++numbers;
}

rk_merge_chunk *rk_merge_chunk_new(const rk_row_ref *ref, rk_merge_limits *limits)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_merge_chunk *chunk = calloc(1, sizeof *chunk);
  if (chunk == NULL) {
    return NULL;
  }
  chunk->limits = limits;
  chunk->version = new_number();
  chunk->batch = new_number();
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

static void end_batch(rk_merge_chunk *chunk)
{
  for (size_t i = 0; i < chunk->source_count; i++) {
    rk_open_chunk_release(chunk->sources[i].open);
  }
  chunk->source_count = chunk->run_count = 0;
  chunk->limits->held -= chunk->held;
  chunk->held = 0;
  chunk->alone = chunk->conflicts = false;
  chunk->batch = new_number();
}

void rk_merge_chunk_free(rk_merge_chunk *chunk)
{
  if (chunk == NULL) {
    return;
  }
  end_batch(chunk);
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

static bool list_present(const struct ArrowArray *lists, int64_t row)
{
  const uint8_t *validity = lists->buffers[0];
  const int64_t bit = lists->offset + row;
  return validity == NULL || (validity[bit >> 3] >> (bit & 7) & 1) != 0;
}

static bool any_present(const struct ArrowArray *lists, int64_t start, int64_t count)
{
  for (int64_t row = start; row < start + count; row++) {
    if (list_present(lists, row)) {
      return true;
    }
  }
  return false;
}

static merge_column *find_column(const rk_merge_chunk *chunk, const char *name)
{
  for (size_t i = 0; i < chunk->column_count; i++) {
    if (chunk->columns[i]->name == name) {
      return chunk->columns[i];
    }
  }
  return NULL;
}

static bool column_fits(const merge_column *column, const rk_chunk_component *component)
{
  return column->archetype == component->archetype && column->component_type == component->component_type &&
         rk_field_type_equal(&column->list->children[0], component->item);
}

static bool component_conflicts(const rk_merge_chunk *chunk, const rk_chunk_component *component)
{
  const merge_column *column = find_column(chunk, component->name);
  return column != NULL && column->live && !column_fits(column, component);
}

static bool grow_rows(rk_merge_chunk *chunk, size_t needed)
{
  if (needed <= chunk->row_capacity) {
    return true;
  }
  size_t capacity = chunk->row_capacity == 0 ? 64 : chunk->row_capacity;
  while (capacity < needed) {
    capacity *= 2;
  }
  uint8_t *row_ids = realloc(chunk->row_ids, capacity * RK_TUID_SIZE);
  if (row_ids == NULL) {
    return false;
  }
  chunk->row_ids = row_ids;
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    int64_t *times = realloc(chunk->times[i], capacity * sizeof *times);
    if (times == NULL) {
      return false;
    }
    chunk->times[i] = times;
  }
  chunk->row_capacity = capacity;
  return true;
}

static merge_column *add_column(rk_merge_chunk *chunk, const rk_chunk_component *component)
{
  merge_column *column = find_column(chunk, component->name);
  if (column == NULL) {
    if (!rk_array_grow((void **)&chunk->columns, &chunk->column_capacity, chunk->column_count + 1,
                       sizeof(merge_column *)) ||
        (column = rk_arena_alloc(&chunk->arena, sizeof *column)) == NULL) {
      return NULL;
    }
    chunk->columns[chunk->column_count++] = column;
  } else if (column_fits(column, component)) {
    return column;
  }
  rk_builder_free(column->builder);
  rk_field *list = rk_arena_alloc(&chunk->arena, sizeof *list);
  rk_field *item = rk_field_copy(&chunk->arena, component->item);
  *column = (merge_column){
      .name = component->name, .archetype = component->archetype, .component_type = component->component_type};
  if (list == NULL || item == NULL) {
    return NULL;
  }
  item->name = "item";
  item->nullable = true;
  *list =
      (rk_field){.type = RK_TYPE_LIST, .name = component->name, .nullable = true, .child_count = 1, .children = item};
  column->list = list;
  column->builder = rk_builder_new(list);
  return column->builder == NULL ? NULL : column;
}

/* Nulls up to `rows`. */
static rk_status pad_column(merge_column *column, uint32_t rows)
{
  const int64_t missing = (int64_t)rows - rk_builder_length(column->builder);
  return missing > 0 ? rk_builder_append_nulls(column->builder, missing) : RK_OK;
}

/* Columns of what a run of a source that is alone has, and that there were none for. */
static rk_status add_columns(rk_merge_chunk *chunk, const rk_chunk *from, const merge_run *run)
{
  for (size_t i = 0; i < from->component_count; i++) {
    if (!any_present(from->components[i].lists, run->start, run->count)) {
      continue;
    }
    merge_column *column = add_column(chunk, &from->components[i]);
    if (column == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    if (!column->live) {
      column->live = true;
      chunk->version = new_number();
    }
  }
  return RK_OK;
}

/* `size` is a constant: a single item, the usual case where it counts, is copied without a call. */
static inline uint8_t *copy_items(uint8_t *to, const void *items, const merge_run *run, size_t size)
{
  const uint8_t *from = (const uint8_t *)items + (size_t)run->start * size;
  if (run->count == 1) {
    memcpy(to, from, size);
  } else {
    memcpy(to, from, (size_t)run->count * size);
  }
  return to + (size_t)run->count * size;
}

static void copy_keys(rk_merge_chunk *chunk)
{
  uint8_t *ids = chunk->row_ids + (size_t)chunk->copied * RK_TUID_SIZE;
  for (size_t i = 0; i < chunk->run_count; i++) {
    const merge_run *run = &chunk->runs[i];
    ids = copy_items(ids, chunk->sources[run->source].open->chunk.row_ids, run, RK_TUID_SIZE);
  }
  for (size_t t = 0; t < chunk->timeline_count; t++) {
    uint8_t *times = (uint8_t *)(chunk->times[t] + chunk->copied);
    for (size_t i = 0; i < chunk->run_count; i++) {
      const merge_run *run = &chunk->runs[i];
      times = copy_items(times, chunk->sources[run->source].open->chunk.timelines[t].values, run, sizeof(int64_t));
    }
  }
}

/* The column's lists in each source that has it. */
static void find_lists(rk_merge_chunk *chunk, const merge_column *column)
{
  for (size_t s = 0; s < chunk->source_count; s++) {
    const rk_chunk *from = &chunk->sources[s].open->chunk;
    chunk->sources[s].lists = NULL;
    for (size_t i = 0; i < from->component_count; i++) {
      if (from->components[i].name == column->name &&
          (!chunk->conflicts || column_fits(column, &from->components[i]))) {
        chunk->sources[s].lists = from->components[i].lists;
      }
    }
  }
}

static rk_status copy_column(rk_merge_chunk *chunk, merge_column *column)
{
  find_lists(chunk, column);
  rk_status status = RK_OK;
  uint32_t row = chunk->copied;
  size_t count = 0;
  for (size_t i = 0; i < chunk->run_count && status == RK_OK; i++) {
    const merge_run *run = &chunk->runs[i];
    const struct ArrowArray *lists = chunk->sources[run->source].lists;
    if (lists != NULL) {
      status = count == 0 ? pad_column(column, row) : RK_OK;
      chunk->slices[count++] = (rk_slice){.array = lists, .start = run->start, .count = run->count};
    } else if (count > 0) {
      status = rk_builder_append_slices(column->builder, chunk->slices, count);
      count = 0;
    }
    row += run->count;
  }
  return status == RK_OK && count > 0 ? rk_builder_append_slices(column->builder, chunk->slices, count) : status;
}

static rk_status copy_batch(rk_merge_chunk *chunk)
{
  if (chunk->run_count == 0) {
    return RK_OK;
  }
  rk_status status = RK_ERR_NO_MEMORY;
  if (grow_rows(chunk, chunk->rows) &&
      rk_array_grow((void **)&chunk->slices, &chunk->slice_capacity, chunk->run_count, sizeof *chunk->slices)) {
    copy_keys(chunk);
    status = chunk->alone ? add_columns(chunk, &chunk->sources[0].open->chunk, &chunk->runs[0]) : RK_OK;
  }
  for (size_t i = 0; i < chunk->column_count && status == RK_OK; i++) {
    if (chunk->columns[i]->live) {
      status = copy_column(chunk, chunk->columns[i]);
    }
  }
  chunk->copied = chunk->rows;
  end_batch(chunk);
  return status;
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
    const merge_column *column = find_column(chunk, from->components[i].name);
    if (column == NULL || !column->live) {
      return false;
    }
  }
  return true;
}

static bool row_conflicts(const rk_merge_chunk *chunk, const rk_chunk *from, int64_t row)
{
  for (size_t i = 0; i < from->component_count; i++) {
    if (list_present(from->components[i].lists, row) && component_conflicts(chunk, &from->components[i])) {
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
  const rk_status status = copy_batch(chunk);
  if (open->fits != chunk->version) {
    chunk->conflicts = rk_merge_chunk_conflicts(chunk, &open->chunk);
    chunk->alone = chunk->conflicts || !has_columns(chunk, &open->chunk);
    open->fits = chunk->alone ? open->fits : chunk->version;
  }
  return status;
}

static bool add_source(rk_merge_chunk *chunk, rk_open_chunk *open)
{
  if (!rk_array_grow((void **)&chunk->sources, &chunk->source_capacity, chunk->source_count + 1,
                     sizeof *chunk->sources) ||
      rk_open_chunk_sizes(open) == NULL) {
    return false;
  }
  rk_open_chunk_retain(open);
  open->batch = chunk->batch;
  open->source = (uint32_t)chunk->source_count;
  chunk->sources[chunk->source_count++] = (merge_source){.open = open};
  chunk->held += open->memory;
  chunk->limits->held += open->memory;
  chunk->at_once = chunk->limits->held > HELD_MAX;
  return true;
}

static rk_status begin_run(rk_merge_chunk *chunk, rk_open_chunk *open, uint32_t row)
{
  if ((open->batch != chunk->batch && !add_source(chunk, open)) ||
      !rk_array_grow((void **)&chunk->runs, &chunk->run_capacity, chunk->run_count + 1, sizeof *chunk->runs)) {
    return RK_ERR_NO_MEMORY;
  }
  chunk->runs[chunk->run_count++] = (merge_run){.source = open->source, .start = row};
  return RK_OK;
}

static void note_row(rk_merge_chunk *chunk, const rk_row_ref *ref)
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
  const merge_run *last = chunk->run_count > 0 ? &chunk->runs[chunk->run_count - 1] : NULL;
  const bool goes_on = last != NULL && open->batch == chunk->batch && open->source == last->source &&
                       last->start + last->count == ref->row;
  rk_status status = goes_on ? RK_OK : choose_batch(chunk, open);
  if (status == RK_OK && chunk->conflicts && row_conflicts(chunk, &open->chunk, ref->row)) {
    return RK_ERR_CONFLICT;
  }
  status = status == RK_OK && !goes_on ? begin_run(chunk, open, (uint32_t)ref->row) : status;
  if (status != RK_OK) {
    return status;
  }
  note_row(chunk, ref);
  chunk->runs[chunk->run_count - 1].count++;
  chunk->rows++;
  chunk->size += open->sizes[ref->row + 1] - open->sizes[ref->row];
  *full = chunk->rows >= chunk->limits->rows || chunk->size >= chunk->limits->size;
  const bool at_end = ref->row + 1 == open->chunk.row_count;
  return *full || at_end || chunk->at_once || chunk->run_count == RUNS_MAX ? copy_batch(chunk) : RK_OK;
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
  rk_status status = copy_batch(chunk);
  rk_arena_reset(&chunk->view_arena);
  rk_chunk_component *components = rk_arena_array(&chunk->view_arena, chunk->column_count + 1, sizeof *components);
  if (components == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  size_t component_count = 0;
  for (size_t i = 0; i < chunk->column_count && status == RK_OK; i++) {
    merge_column *column = chunk->columns[i];
    if (!column->live) {
      continue;
    }
    status = pad_column(column, chunk->copied);
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
  end_batch(chunk);
  for (size_t i = 0; i < chunk->column_count; i++) {
    rk_builder_reset(chunk->columns[i]->builder);
    chunk->columns[i]->live = false;
  }
  chunk->rows = chunk->copied = 0;
  chunk->size = 0;
  chunk->version = new_number();
}
