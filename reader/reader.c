/* The reader's public face: inputs, rows, chunks and totals. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "format/error.h"
#include "format/tuid.h"
#include "reader/follow/follow.h"
#include "reader/index/retime.h"
#include "reader/input/archive.h"
#include "reader/input/source_zst.h"
#include "reader/pool.h"
#include "reader/reader_state.h"
#include "reader/spool/orphan.h"

#define MEMORY_DEFAULT ((uint64_t)256 << 20)
#define MEMORY_MIN     ((uint64_t)16 << 20)
#define RATIO_DEFAULT  1000
#define UNITS_PART     8 /* of the memory is for units of Zstandard recordings */

static char *keep_text(rk_reader *reader, const char *text)
{
  return (char *)(uintptr_t)rk_names_add(&reader->names, text, strlen(text));
}

static bool keep_dropped(rk_reader *reader, const rk_reader_options *options)
{
  const size_t count = options->dropped_timeline_count;
  reader->dropped_timelines = rk_arena_array(&reader->arena, count + 1, sizeof *reader->dropped_timelines);
  reader->dropped_timeline_count = reader->dropped_timelines ? count : 0;
  bool ok = reader->dropped_timelines != NULL;
  for (size_t i = 0; ok && i < count; i++) {
    reader->dropped_timelines[i] = keep_text(reader, options->dropped_timelines[i]);
    ok = reader->dropped_timelines[i] != NULL;
  }
  return ok;
}

rk_status rk_reader_open(const rk_reader_options *options, rk_reader **reader, rk_error *error)
{
  if (!reader) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "no place for the reader");
  }
  *reader = NULL;
  static const rk_reader_options defaults;
  const rk_reader_options *o = options ? options : &defaults;
  if (!rk_filters_sane(o) || (o->dropped_timeline_count > 0 && !o->dropped_timelines)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a filter's count without its values");
  }
  if (o->follow && (o->timeline || o->wall_clock || o->follow_delay_ns < 0)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "following is by log_time as it is, with a delay from 0 on");
  }
  for (size_t i = 0; i < o->dropped_timeline_count; i++) {
    if (strcmp(o->dropped_timelines[i], "log_time") == 0) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "log_time cannot be dropped");
    }
  }
  if ((o->application_id && !*o->application_id) || (o->recording_id && !*o->recording_id)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "an empty application or recording id");
  }
  rk_reader *r = calloc(1, sizeof *r);
  if (!r) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a reader");
  }
  if (getrandom(&r->names.seed, sizeof r->names.seed, GRND_NONBLOCK) != (ssize_t)sizeof r->names.seed) {
    r->names.seed = (uint64_t)(uintptr_t)r; /* only against hostile inputs; a guessable seed still reads right */
  }
  r->max_memory = o->max_memory == 0 ? MEMORY_DEFAULT : o->max_memory < MEMORY_MIN ? MEMORY_MIN : o->max_memory;
  r->max_ratio = o->max_ratio ? o->max_ratio : RATIO_DEFAULT;
  r->follow = o->follow;
  r->follow_delay_ns = o->follow_delay_ns;
  r->wall_clock = o->wall_clock;
  r->on_loss = o->on_loss;
  r->on_progress = o->on_progress;
  r->context = o->context;
  r->ignore_spools = o->ignore_spools;
  r->spool_directory = o->spool_directory ? keep_text(r, o->spool_directory) : NULL;
  r->log_time = keep_text(r, "log_time");
  r->temporary_directory = o->temporary_directory ? keep_text(r, o->temporary_directory) : NULL;
  r->application_id = o->application_id ? keep_text(r, o->application_id) : NULL;
  r->recording_id = o->recording_id ? keep_text(r, o->recording_id) : NULL;
  if (!r->log_time || (o->temporary_directory && !r->temporary_directory) || !keep_dropped(r, o) ||
      (o->application_id && !r->application_id) || (o->recording_id && !r->recording_id) ||
      (o->spool_directory && !r->spool_directory) || rk_filters_set(r, o) != RK_OK) {
    rk_reader_free(r);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a reader");
  }
  *reader = r;
  return RK_OK;
}

static void free_input(rk_input *input)
{
  rk_scan_free(input->scan);
  rk_source_close(&input->source);
  free(input->owned);
  free(input->hulls.items);
  free(input);
}

/* ---- Sorting what the index holds ---- */

static int compare_stores(const void *left, const void *right)
{
  const rk_store *a = *(const rk_store *const *)left;
  const rk_store *b = *(const rk_store *const *)right;
  if (a->kind != b->kind) {
    return a->kind < b->kind ? -1 : 1;
  }
  const int order = strcmp(a->application_id, b->application_id);
  return order ? order : strcmp(a->recording_id, b->recording_id);
}

static int compare_writers(const void *left, const void *right)
{
  const rk_writer_info *a = *(const rk_writer_info *const *)left;
  const rk_writer_info *b = *(const rk_writer_info *const *)right;
  if (a->tag != b->tag) {
    return a->tag < b->tag ? -1 : 1;
  }
  return compare_stores(&a->store, &b->store);
}

static int compare_activations(const void *left, const void *right)
{
  const rk_activation *a = left;
  const rk_activation *b = right;
  const int order = compare_stores(&a->blueprint, &b->blueprint);
  if (order) {
    return order;
  }
  const int x = a->make_active * 2 + a->make_default;
  const int y = b->make_active * 2 + b->make_default;
  return x - y;
}

static void sort_activations(rk_reader *reader)
{
  rk_activation *list = reader->activations.items;
  const size_t count = reader->activations.count;
  if (count < 2) {
    return;
  }
  qsort(list, count, sizeof *list, compare_activations);
  size_t kept = 1;
  for (size_t i = 1; i < count; i++) {
    if (compare_activations(&list[i], &list[kept - 1]) != 0) {
      list[kept++] = list[i];
    }
  }
  reader->activations.count = kept;
}

/* A sorted copy of a list of pointers, which lives as long as the reader. */
static const void *sorted_copy(rk_reader *reader, const rk_list *list, int (*compare)(const void *, const void *))
{
  void *copy = rk_arena_array(&reader->arena, list->count + 1, sizeof(void *));
  if (copy && list->count > 0) {
    memcpy(copy, list->items, list->count * sizeof(void *));
    qsort(copy, list->count, sizeof(void *), compare);
  }
  return copy;
}

/* What rk_reader_inputs tells, from the index. */
static bool describe_input(rk_reader *reader, rk_input *input, size_t first_entry)
{
  rk_input_info *info = &input->info;
  *info = (rk_input_info){.name = input->name,
                          .size = input->source.size,
                          .stored_size = input->unpacked ? input->stored_size : rk_source_stored_size(&input->source),
                          .compressed = input->unpacked || input->source.zst,
                          .live = input->live,
                          .finished = input->finished,
                          .shift_ns = input->shift_ns,
                          .min_ns = INT64_MAX,
                          .max_ns = INT64_MIN};
  for (size_t i = first_entry; i < reader->entries.count; i++) {
    const rk_entry *entry = rk_entry_at(reader, i);
    info->chunk_count++;
    info->row_count += entry->bare ? 0 : entry->row_count;
    rk_index_widen(reader, entry);
  }
  const rk_input_info **slot = rk_list_add(&reader->input_list, sizeof *slot);
  if (slot) {
    *slot = info;
  }
  return slot != NULL;
}

/* What begins neither as a recording nor as a unit may be units whose beginning is damaged. */
static rk_status index_input(rk_reader *reader, rk_input *input, rk_error *error)
{
  rk_status status = RK_OK;
  for (bool again = true; again;) {
    again = false;
    if (input->source.zst) {
      if (!reader->units && !(reader->units = rk_unit_cache_new((size_t)(reader->max_memory / UNITS_PART)))) {
        return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
      }
      rk_zst_share(&input->source, reader->units);
    }
    status = rk_index_input(reader, input, error);
    if (status == RK_ERR_NOT_RRD && !input->source.zst && !input->owned) {
      const rk_status found = rk_zst_attach(&input->source, true, error);
      again = found == RK_OK;
      status = found == RK_END || again ? status : found;
    }
  }
  reader->stats.input_size += input->source.size;
  return status;
}

rk_status rk_reader_add_source(rk_reader *reader, rk_input *input, const char *name, rk_orphans *orphans,
                               rk_error *error)
{
  const size_t entry_count = reader->entries.count;
  const size_t footer_count = reader->footers.count;
  const size_t input_count = reader->inputs.count;
  const rk_reader_stats stats = reader->stats;
  rk_retime_unsettle(reader);
  input->name = keep_text(reader, name);
  input->number = input_count;
  rk_input **slot = rk_list_add(&reader->inputs, sizeof *slot);
  rk_status status = RK_OK;
  if (!slot || !input->name) {
    reader->inputs.count = input_count;
    free_input(input);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  *slot = input;
  status = index_input(reader, input, error);
  if (status == RK_OK && orphans) {
    status = rk_orphans_add(reader, input, entry_count, orphans, error);
  }
  if (status == RK_OK && !describe_input(reader, input, entry_count)) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  if (status) {
    reader->entries.count = entry_count;
    reader->footers.count = footer_count;
    reader->stats = stats;
    while (reader->inputs.count > input_count) {
      free_input(((rk_input **)reader->inputs.items)[--reader->inputs.count]);
    }
  }
  sort_activations(reader);
  return status;
}

rk_status rk_reader_add(rk_reader *reader, const char *path, const rk_input_options *options, rk_error *error)
{
  if (!reader || !path || reader->timeline) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "inputs are added before the first row is read");
  }
  bool taken;
  rk_status status = rk_archive_add(reader, path, options, &taken, error);
  if (taken) {
    return status;
  }
  rk_input *input = calloc(1, sizeof *input);
  if (!input) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  input->shift_ns = options ? options->shift_ns : 0;
  rk_orphans orphans = {0};
  if (!reader->ignore_spools && strcmp(path, "-") != 0) {
    status = rk_orphans_read(&orphans, path, reader->spool_directory);
  }
  if (status) {
    status = rk_fail(error, status, RK_NO_OFFSET, "no memory to read spools");
  } else {
    status = rk_source_open(&input->source, path, error);
  }
  if (status) {
    free(input);
  } else {
    input->path = strcmp(path, "-") != 0 ? keep_text(reader, path) : NULL;
    status = rk_reader_add_source(reader, input, path, &orphans, error);
  }
  rk_orphans_free(&orphans);
  return status;
}

rk_status rk_reader_add_memory(rk_reader *reader, const char *name, const void *data, size_t size, rk_error *error)
{
  if (!reader || !name || (!data && size > 0) || reader->timeline) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "inputs are added before the first row is read");
  }
  rk_input *input = calloc(1, sizeof *input);
  if (!input) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  const rk_status status = rk_source_open_memory(&input->source, data, size, error);
  if (status) {
    free(input);
    return status;
  }
  return rk_reader_add_source(reader, input, name, NULL, error);
}

rk_status rk_reader_select(rk_reader *reader, const rk_reader_options *options)
{
  if (!reader || !options || reader->timeline || !rk_filters_sane(options) || (reader->follow && options->timeline)) {
    return RK_ERR_MISUSE;
  }
  const rk_status status = rk_filters_set(reader, options);
  if (status == RK_OK) {
    reader->next_chunk = reader->next_indexed = 0;
  }
  return status;
}

/* ---- Rows ---- */

rk_status rk_reader_take_ref(rk_reader *reader, rk_row_ref *ref)
{
  rk_error failed = {.offset = RK_NO_OFFSET};
  rk_status status = rk_follow_begin(reader, &failed);
  if (status) {
    (void)rk_reader_set_error(reader, &failed);
    return status;
  }
  while ((status = rk_reader_next_ref(reader, ref)) == RK_OK && !rk_follow_take(reader, ref, &status)) {
    if (status) {
      failed = (rk_error){.status = status, .offset = RK_NO_OFFSET, .message = "no memory for a row"};
      return rk_reader_set_error(reader, &failed);
    }
  }
  return status;
}

rk_status rk_reader_next(rk_reader *reader, const rk_row **row)
{
  rk_row_ref ref;
  const rk_status status = rk_reader_take_ref(reader, &ref);
  if (status) {
    return status;
  }
  const rk_chunk *chunk = &ref.open->chunk;
  rk_time_cell *times = rk_list_room(&reader->row_times, chunk->timeline_count + 1, sizeof *times);
  rk_component_cell *cells = rk_list_room(&reader->row_cells, chunk->component_count + 1, sizeof *cells);
  bool ok = times && cells;
  for (size_t i = 0; ok && i < chunk->timeline_count; i++) {
    const rk_chunk_timeline *timeline = &chunk->timelines[i];
    times[i] = (rk_time_cell){.timeline = timeline->name, .kind = timeline->kind, .value = timeline->values[ref.row]};
  }
  size_t count = 0;
  for (size_t i = 0; ok && i < chunk->component_count; i++) {
    const rk_chunk_component *component = &chunk->components[i];
    const struct ArrowArray *lists = component->lists;
    const int64_t at = lists->offset + ref.row;
    const uint8_t *valid = lists->buffers[0];
    if (valid && (valid[at / 8] >> (at % 8) & 1) == 0) {
      continue;
    }
    const int32_t *offsets = lists->buffers[1];
    const int64_t start = rk_load_i32(offsets + at);
    cells[count++] = (rk_component_cell){.component = component->name,
                                         .archetype = component->archetype,
                                         .component_type = component->component_type,
                                         .schema = rk_open_chunk_schema(ref.open, i),
                                         .values = lists->children[0],
                                         .start = start,
                                         .count = rk_load_i32(offsets + at + 1) - start};
    ok = cells[count - 1].schema != NULL;
  }
  if (!ok) {
    const rk_error error = {.status = RK_ERR_NO_MEMORY, .offset = RK_NO_OFFSET, .message = "no memory for a row"};
    return rk_reader_set_error(reader, &error);
  }
  reader->row = (rk_row){.row_id = ref.row_id,
                         .key_ns = ref.key_ns,
                         .is_static = ref.is_static,
                         .store = ref.store,
                         .entity_path = ref.entity_path,
                         .writer = ref.writer,
                         .row_number = ref.row_number,
                         .timeline_count = chunk->timeline_count,
                         .timelines = times,
                         .component_count = count,
                         .components = cells};
  *row = &reader->row;
  return RK_OK;
}

/* ---- Totals ---- */

const rk_store *const *rk_reader_stores(const rk_reader *reader, size_t *count)
{
  rk_reader *r = (rk_reader *)(uintptr_t)reader; /* sorted when asked for */
  if (r->sorted_store_count != r->store_list.count || !r->sorted_stores) {
    r->sorted_stores = sorted_copy(r, &r->store_list, compare_stores);
    r->sorted_store_count = r->sorted_stores ? r->store_list.count : 0;
  }
  *count = r->sorted_store_count;
  return r->sorted_stores;
}

const rk_writer_info *const *rk_reader_writers(const rk_reader *reader, size_t *count)
{
  rk_reader *r = (rk_reader *)(uintptr_t)reader;
  if (r->sorted_writer_count != r->writer_list.count || !r->sorted_writers) {
    r->sorted_writers = sorted_copy(r, &r->writer_list, compare_writers);
    r->sorted_writer_count = r->sorted_writers ? r->writer_list.count : 0;
  }
  *count = r->sorted_writer_count;
  return r->sorted_writers;
}

bool rk_reader_live(const rk_reader *reader)
{
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count; i++) {
    if (rk_source_live(&inputs[i]->source)) {
      return true;
    }
  }
  return false;
}

const rk_input_info *const *rk_reader_inputs(const rk_reader *reader, size_t *count)
{
  *count = reader->input_list.count;
  return (const rk_input_info *const *)reader->input_list.items;
}

const rk_activation *rk_reader_activations(const rk_reader *reader, size_t *count)
{
  *count = reader->activations.count;
  return reader->activations.items;
}

void rk_reader_get_stats(const rk_reader *reader, rk_reader_stats *stats)
{
  *stats = reader->stats;
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count; i++) {
    stats->read_size += inputs[i]->source.read_size;
  }
}

rk_status rk_reader_set_error(rk_reader *reader, const rk_error *error)
{
  reader->error = *error;
  return error->status;
}

void rk_reader_error(const rk_reader *reader, rk_error *error)
{
  *error = reader->error;
}

void rk_reader_free(rk_reader *reader)
{
  if (!reader) {
    return;
  }
  rk_timeline_free(reader->timeline);
  rk_pool_free(reader->pool);
  rk_clocks_free(reader->clocks);
  rk_follow_free(reader->follow_state);
  rk_input **inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count; i++) {
    free_input(inputs[i]);
  }
  rk_unit_cache_free(reader->units);
  rk_filters_free(reader);
  free(reader->inputs.items);
  free(reader->input_list.items);
  rk_blocks_free(&reader->entries);
  rk_blocks_free(&reader->places);
  free(reader->footers.items);
  free(reader->store_list.items);
  free(reader->writer_list.items);
  free(reader->activations.items);
  rk_table_free(&reader->stores);
  rk_table_free(&reader->by_recording);
  rk_table_free(&reader->writers);
  rk_table_free(&reader->recordings);
  rk_table_free(&reader->place_table);
  rk_table_free(&reader->entities);
  for (size_t i = 0; i < reader->spares.count; i++) {
    rk_buffer_free(&reader->spares.items[i]);
  }
  free(reader->row_times.items);
  free(reader->row_cells.items);
  rk_arena_free(&reader->chunk_arena);
  rk_arena_free(&reader->arena);
  rk_names_free(&reader->names);
  free(reader);
}
