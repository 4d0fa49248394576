/* An output chunk that gathers rows of one place: copied in runs, one run being neighbouring rows of one source chunk.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/merge/merge_internal.h"

/* Memory of input chunks that may be kept for rows that are still to be copied. */
enum { HELD_MAX = 32 << 20 };

/* A component's column. Kept over a reset with its memory; `live` says whether the current rows have it. */
typedef struct merge_column {
  const char *name, *archetype, *component_type; /* interned by the reader */
  rk_field *list;                                /* List<item> in the chunk's arena */
  rk_builder *builder;
  bool live;
} merge_column;

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
  uint32_t copied;
  uint64_t size; /* of the copied ones and of the `known` ones of the run */
  int64_t first_key;
  rk_tuid first_id;
  const rk_writer_info *writer; /* of the row before */
  rk_merge_chunk_span span;
  /* The run not copied yet: `count` rows from `start` on. It is known that the first `known` rows there are copied
   * before the chunk is full. */
  rk_open_chunk *source; /* retained; NULL: none */
  int64_t start;
  uint32_t count, known;
  uint64_t held;
  bool conflicts; /* some column of `source` differs from one here: look at each row */
  bool at_once;   /* too much is held: copy each row as it comes */
  /* For the view. */
  rk_arena view_arena;
};

static void change_version(rk_merge_chunk *chunk)
{
  static _Atomic uint64_t versions;
  chunk->version = ++versions;
}

rk_merge_chunk *rk_merge_chunk_new(const rk_row_ref *ref, rk_merge_limits *limits)
{
  const rk_chunk *from = rk_open_chunk_data(ref->open);
  rk_merge_chunk *chunk = calloc(1, sizeof *chunk);
  if (chunk == NULL) {
    return NULL;
  }
  chunk->limits = limits;
  change_version(chunk);
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

static void let_go(rk_merge_chunk *chunk)
{
  if (chunk->source != NULL) {
    rk_open_chunk_release(chunk->source);
    chunk->source = NULL;
    chunk->limits->held -= chunk->held;
    chunk->held = 0;
  }
  chunk->count = chunk->known = 0;
}

void rk_merge_chunk_free(rk_merge_chunk *chunk)
{
  if (chunk == NULL) {
    return;
  }
  let_go(chunk);
  for (size_t i = 0; i < chunk->timeline_count && chunk->times != NULL; i++) {
    free(chunk->times[i]);
  }
  for (size_t i = 0; i < chunk->column_count; i++) {
    rk_builder_free(chunk->columns[i]->builder);
  }
  free(chunk->columns);
  free(chunk->row_ids);
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

static rk_status copy_run(rk_merge_chunk *chunk)
{
  if (chunk->source == NULL) {
    return RK_OK;
  }
  const rk_chunk *from = rk_open_chunk_data(chunk->source);
  const bool fits = chunk->source->fits == chunk->version;
  const int64_t start = chunk->start;
  const uint32_t count = chunk->count;
  rk_status status = grow_rows(chunk, (size_t)chunk->copied + count) ? RK_OK : RK_ERR_NO_MEMORY;
  if (status == RK_OK) {
    memcpy(chunk->row_ids + (size_t)chunk->copied * RK_TUID_SIZE, from->row_ids + (size_t)start * RK_TUID_SIZE,
           (size_t)count * RK_TUID_SIZE);
    for (size_t i = 0; i < chunk->timeline_count; i++) {
      memcpy(chunk->times[i] + chunk->copied, from->timelines[i].values + start, (size_t)count * sizeof(int64_t));
    }
  }
  for (size_t i = 0; i < from->component_count && status == RK_OK; i++) {
    const rk_chunk_component *component = &from->components[i];
    if (!any_present(component->lists, start, count)) {
      continue;
    }
    merge_column *column = fits ? find_column(chunk, component->name) : add_column(chunk, component);
    if (column == NULL) {
      status = RK_ERR_NO_MEMORY;
      break;
    }
    if (!column->live) {
      column->live = true;
      change_version(chunk);
    }
    status = pad_column(column, chunk->copied);
    status = status == RK_OK ? rk_builder_append(column->builder, component->lists, start, count) : status;
  }
  if (chunk->known > count) {
    chunk->size -= rk_rows_size(from, start + count, chunk->known - count);
  }
  chunk->copied += count;
  let_go(chunk);
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

static rk_status begin_run(rk_merge_chunk *chunk, const rk_row_ref *ref)
{
  const rk_status status = copy_run(chunk);
  if (status != RK_OK) {
    return status;
  }
  rk_open_chunk_retain(ref->open);
  chunk->source = ref->open;
  chunk->start = ref->row;
  chunk->held = ref->open->memory;
  chunk->limits->held += chunk->held;
  chunk->at_once = chunk->limits->held > HELD_MAX;
  if (ref->open->fits == chunk->version) {
    chunk->conflicts = false;
    return RK_OK;
  }
  chunk->conflicts = rk_merge_chunk_conflicts(chunk, &ref->open->chunk);
  if (!chunk->conflicts && has_columns(chunk, &ref->open->chunk)) {
    ref->open->fits = chunk->version;
  }
  return RK_OK;
}

/* The run is as long as what is known of it: looks ahead, ever further while that goes well. Whether the row behind it
 * fills the chunk. */
static bool look_ahead(rk_merge_chunk *chunk)
{
  const rk_chunk *from = rk_open_chunk_data(chunk->source);
  const int64_t at = chunk->start + chunk->known;
  const int64_t rows_left = from->row_count - at;
  const int64_t room = (int64_t)chunk->limits->rows - 1 - (int64_t)chunk->copied - chunk->known;
  int64_t step = chunk->known == 0 ? 1 : chunk->known;
  step = step > rows_left ? rows_left : step;
  for (step = step > room ? room : step; step > 0; step /= 2) {
    const uint64_t size = rk_rows_size(from, at, step);
    if (chunk->size + size < chunk->limits->size) {
      chunk->size += size;
      chunk->known += (uint32_t)step;
      return false;
    }
  }
  chunk->size += rk_rows_size(from, at, 1);
  chunk->known++;
  return true;
}

static void note_row(rk_merge_chunk *chunk, const rk_row_ref *ref)
{
  const int64_t stored = ref->stored_key_ns;
  if (chunk->copied == 0 && chunk->count == 0) {
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
  rk_status status = RK_OK;
  if (chunk->source != ref->open || chunk->start + chunk->count != ref->row) {
    status = begin_run(chunk, ref);
  } else if (chunk->count < chunk->known && !chunk->conflicts) {
    note_row(chunk, ref);
    chunk->count++;
    return RK_OK;
  }
  if (status != RK_OK) {
    return status;
  }
  if (chunk->conflicts && row_conflicts(chunk, rk_open_chunk_data(chunk->source), ref->row)) {
    return RK_ERR_CONFLICT;
  }
  note_row(chunk, ref);
  if (chunk->count == chunk->known) {
    *full = look_ahead(chunk);
  }
  chunk->count++;
  const bool at_end = ref->row + 1 == rk_open_chunk_data(chunk->source)->row_count;
  return *full || at_end || chunk->at_once ? copy_run(chunk) : RK_OK;
}

uint32_t rk_merge_chunk_rows(const rk_merge_chunk *chunk)
{
  return chunk->copied + chunk->count;
}

uint64_t rk_merge_chunk_size(const rk_merge_chunk *chunk)
{
  if (chunk->known <= chunk->count) {
    return chunk->size;
  }
  return chunk->size -
         rk_rows_size(rk_open_chunk_data(chunk->source), chunk->start + chunk->count, chunk->known - chunk->count);
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
  rk_status status = copy_run(chunk);
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
  let_go(chunk);
  for (size_t i = 0; i < chunk->column_count; i++) {
    rk_builder_reset(chunk->columns[i]->builder);
    chunk->columns[i]->live = false;
  }
  chunk->copied = 0;
  chunk->size = 0;
  change_version(chunk);
}
