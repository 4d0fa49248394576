/* Collects what a footer says about each written chunk (SPEC "Footer"). */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/footer_internal.h"

rk_manifest *rk_manifest_new(rk_store_kind kind, const char *application_id, const char *recording_id)
{
  rk_manifest *manifest = calloc(1, sizeof *manifest);
  if (manifest == NULL) {
    return NULL;
  }
  manifest->kind = kind;
  manifest->application_id = rk_arena_text(&manifest->arena, application_id, strlen(application_id));
  manifest->recording_id = rk_arena_text(&manifest->arena, recording_id, strlen(recording_id));
  if (manifest->application_id == NULL || manifest->recording_id == NULL) {
    rk_manifest_free(manifest);
    return NULL;
  }
  return manifest;
}

void rk_manifest_free(rk_manifest *manifest)
{
  if (manifest == NULL) {
    return;
  }
  for (size_t i = 0; i < manifest->component_numbering.count; i++) {
    free(manifest->components[i].statics.cells);
  }
  for (size_t i = 0; i < manifest->timeline_numbering.count; i++) {
    free(manifest->timelines[i].range.cells);
  }
  for (size_t i = 0; i < manifest->pair_numbering.count; i++) {
    free(manifest->pairs[i].range.cells);
  }
  free(manifest->chunks);
  free(manifest->components);
  free(manifest->timelines);
  free(manifest->pairs);
  free(manifest->columns);
  rk_numbering_free(&manifest->component_numbering);
  rk_numbering_free(&manifest->timeline_numbering);
  rk_numbering_free(&manifest->pair_numbering);
  rk_numbering_free(&manifest->column_numbering);
  rk_arena_free(&manifest->arena);
  free(manifest);
}

static RK_FAR bool add_cell(index_column *column, index_cell cell)
{
  if (!rk_array_grow((void **)&column->cells, &column->capacity, column->count + 1, sizeof *column->cells)) {
    return false;
  }
  column->cells[column->count++] = cell;
  return true;
}

/* NULL for NULL. */
static RK_FAR bool copy_text(rk_manifest *manifest, const char *text, const char **copy)
{
  *copy = text == NULL ? NULL : rk_arena_text(&manifest->arena, text, strlen(text));
  return text == NULL || *copy != NULL;
}

/* Room for a new record is made before its number is given, so that table and array never disagree. */
static rk_status number_component(rk_manifest *manifest, const rk_summary_component *component, size_t *number)
{
  if (!rk_array_grow((void **)&manifest->components, &manifest->component_capacity,
                     manifest->component_numbering.count + 1, sizeof *manifest->components)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_buffer key = {0};
  const char *const parts[] = {component->archetype, component->name, component->component_type};
  for (size_t i = 0; i < 3; i++) { /* presence, text, NUL: no two components share a key */
    rk_buffer_append(&key, parts[i] == NULL ? "0" : "1", 1);
    rk_buffer_append(&key, parts[i] == NULL ? "" : parts[i], parts[i] == NULL ? 1 : strlen(parts[i]) + 1);
  }
  if (key.failed) {
    rk_buffer_free(&key);
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  *number = rk_numbering_find(&manifest->component_numbering, key.data, key.size);
  if (*number == RK_NUMBERING_NONE) {
    manifest_component record = {0};
    bool added;
    if (!copy_text(manifest, component->archetype, &record.archetype) ||
        !copy_text(manifest, component->name, &record.name) ||
        !copy_text(manifest, component->component_type, &record.component_type)) {
      status = RK_ERR_NO_MEMORY;
    } else {
      status = rk_numbering_put(&manifest->component_numbering, key.data, key.size, number, &added);
    }
    if (status == RK_OK) {
      manifest->components[*number] = record;
    }
  }
  rk_buffer_free(&key);
  return status;
}

static rk_status number_timeline(rk_manifest *manifest, const rk_summary_timeline *timeline, size_t *number)
{
  if (!rk_array_grow((void **)&manifest->timelines, &manifest->timeline_capacity,
                     manifest->timeline_numbering.count + 1, sizeof *manifest->timelines)) {
    return RK_ERR_NO_MEMORY;
  }
  bool added = false;
  const size_t known = rk_numbering_find(&manifest->timeline_numbering, timeline->name, strlen(timeline->name));
  if (known != RK_NUMBERING_NONE) {
    *number = known;
    return RK_OK;
  }
  manifest_timeline record = {.kind = timeline->kind};
  if (!copy_text(manifest, timeline->name, &record.name)) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status =
      rk_numbering_put(&manifest->timeline_numbering, timeline->name, strlen(timeline->name), number, &added);
  if (status == RK_OK) {
    manifest->timelines[*number] = record;
  }
  return status;
}

static rk_status number_pair(rk_manifest *manifest, size_t timeline, size_t component, size_t *number)
{
  if (!rk_array_grow((void **)&manifest->pairs, &manifest->pair_capacity, manifest->pair_numbering.count + 1,
                     sizeof *manifest->pairs)) {
    return RK_ERR_NO_MEMORY;
  }
  const uint32_t key[2] = {(uint32_t)timeline, (uint32_t)component};
  bool added = false;
  const rk_status status = rk_numbering_put(&manifest->pair_numbering, key, sizeof key, number, &added);
  if (status == RK_OK && added) {
    manifest->pairs[*number] = (manifest_pair){.timeline = key[0], .component = key[1]};
  }
  return status;
}

/* Whether row `row` of the list array is present. */
static bool list_present(const struct ArrowArray *lists, int64_t row)
{
  const uint8_t *validity = lists->buffers[0];
  const int64_t bit = lists->offset + row;
  return validity == NULL || (validity[bit >> 3] >> (bit & 7) & 1) != 0;
}

static bool lists_empty(const struct ArrowArray *lists)
{
  if (lists->length == 0) {
    return true;
  }
  const char *offsets = lists->buffers[1];
  return rk_load_i32(offsets + 4 * lists->offset) == rk_load_i32(offsets + 4 * (lists->offset + lists->length));
}

/* Properties of the recording stand under "property", everything else under its entity path. */
static void append_column_name(rk_buffer *out, const char *entity_path, const char *component)
{
  static const char properties[] = "/__properties";
  const size_t size = sizeof properties - 1;
  if (strncmp(entity_path, properties, size) == 0 && (entity_path[size] == '\0' || entity_path[size] == '/')) {
    rk_buffer_append(out, "property", 8);
    if (entity_path[size] == '/') {
      rk_buffer_append(out, ":", 1);
      rk_buffer_append(out, entity_path + size + 1, strlen(entity_path + size + 1));
    }
  } else {
    rk_buffer_append(out, entity_path, strlen(entity_path));
  }
  rk_buffer_append(out, ":", 1);
  rk_buffer_append(out, component, strlen(component) + 1);
}

static rk_status note_column(rk_manifest *manifest, const rk_chunk_summary *chunk,
                             const rk_summary_component *component, size_t component_number)
{
  if (!rk_array_grow((void **)&manifest->columns, &manifest->column_capacity, manifest->column_numbering.count + 1,
                     sizeof *manifest->columns)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_buffer name = {0};
  append_column_name(&name, chunk->entity_path, component->name);
  if (name.failed) {
    rk_buffer_free(&name);
    return RK_ERR_NO_MEMORY;
  }
  const bool is_static = chunk->timeline_count == 0;
  rk_status status = RK_OK;
  const size_t known = rk_numbering_find(&manifest->column_numbering, name.data, name.size - 1);
  if (known != RK_NUMBERING_NONE) {
    manifest->columns[known].is_static |= is_static;
    manifest->columns[known].is_empty &= component->is_empty;
  } else {
    manifest_column record = {.component = (uint32_t)component_number,
                              .is_static = is_static,
                              .is_empty = component->is_empty,
                              .item = rk_field_copy(&manifest->arena, component->item)};
    size_t number;
    bool added;
    if (record.item == NULL || !copy_text(manifest, (const char *)name.data, &record.name) ||
        !copy_text(manifest, chunk->entity_path, &record.entity_path)) {
      status = RK_ERR_NO_MEMORY;
    } else {
      status = rk_numbering_put(&manifest->column_numbering, name.data, name.size - 1, &number, &added);
    }
    if (status == RK_OK) {
      manifest->columns[number] = record;
    }
  }
  rk_buffer_free(&name);
  return status;
}

/* Range of a timeline over the rows in which `lists` (NULL: any) is present. */
static rk_chunk_range range_of(const rk_chunk *chunk, const rk_chunk_timeline *timeline, const struct ArrowArray *lists)
{
  rk_chunk_range range = {.start = INT64_MAX, .end = INT64_MIN};
  for (int64_t row = 0; row < chunk->row_count; row++) {
    if (lists != NULL && !list_present(lists, row)) {
      continue;
    }
    const int64_t value = timeline->values[row];
    range.start = value < range.start ? value : range.start;
    range.end = value > range.end ? value : range.end;
    range.row_count++;
  }
  range.has_range = range.row_count > 0;
  return range;
}

rk_status rk_chunk_summarise(rk_arena *arena, const rk_chunk *chunk, rk_chunk_summary *summary)
{
  rk_summary_timeline *timelines = rk_arena_array(arena, chunk->timeline_count + 1, sizeof *timelines);
  rk_summary_component *components = rk_arena_array(arena, chunk->component_count + 1, sizeof *components);
  if (timelines == NULL || components == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    const rk_chunk_timeline *timeline = &chunk->timelines[i];
    timelines[i] =
        (rk_summary_timeline){.name = timeline->name, .kind = timeline->kind, .range = range_of(chunk, timeline, NULL)};
  }
  for (size_t c = 0; c < chunk->component_count; c++) {
    const rk_chunk_component *component = &chunk->components[c];
    rk_chunk_range *ranges = rk_arena_array(arena, chunk->timeline_count + 1, sizeof *ranges);
    const rk_field *item = rk_field_copy(arena, component->item);
    if (ranges == NULL || item == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < chunk->timeline_count; i++) {
      ranges[i] = component->lists->buffers[0] == NULL ? timelines[i].range
                                                       : range_of(chunk, &chunk->timelines[i], component->lists);
    }
    components[c] = (rk_summary_component){.name = component->name,
                                           .archetype = component->archetype,
                                           .component_type = component->component_type,
                                           .item = item,
                                           .is_empty = lists_empty(component->lists),
                                           .ranges = ranges};
  }
  *summary = (rk_chunk_summary){.id = chunk->id,
                                .entity_path = chunk->entity_path,
                                .row_count = (uint64_t)chunk->row_count,
                                .timeline_count = chunk->timeline_count,
                                .component_count = chunk->component_count,
                                .timelines = timelines,
                                .components = components};
  return RK_OK;
}

static index_cell cell_of(uint32_t chunk_number, const rk_chunk_range *range)
{
  return (index_cell){.chunk = chunk_number,
                      .has_range = range->has_range,
                      .start = range->start,
                      .end = range->end,
                      .row_count = range->row_count};
}

rk_status rk_manifest_add_summary(rk_manifest *manifest, const rk_chunk_summary *chunk, uint64_t byte_offset,
                                  uint64_t byte_size, uint64_t uncompressed_size)
{
  if (manifest->chunk_count >= UINT32_MAX) {
    return RK_ERR_LIMIT;
  }
  manifest_chunk record = {.id = chunk->id,
                           .is_static = chunk->timeline_count == 0,
                           .row_count = chunk->row_count,
                           .byte_offset = byte_offset,
                           .byte_size = byte_size,
                           .uncompressed_size = uncompressed_size};
  if (!rk_array_grow((void **)&manifest->chunks, &manifest->chunk_capacity, manifest->chunk_count + 1,
                     sizeof *manifest->chunks) ||
      !copy_text(manifest, chunk->entity_path, &record.entity_path)) {
    return RK_ERR_NO_MEMORY;
  }
  const uint32_t chunk_number = (uint32_t)manifest->chunk_count;
  size_t numbers_capacity = 0;
  size_t *timeline_numbers = NULL;
  if (!rk_array_grow((void **)&timeline_numbers, &numbers_capacity, chunk->timeline_count + 1,
                     sizeof *timeline_numbers)) {
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < chunk->timeline_count && status == RK_OK; i++) {
    status = number_timeline(manifest, &chunk->timelines[i], &timeline_numbers[i]);
    if (status == RK_OK &&
        !add_cell(&manifest->timelines[timeline_numbers[i]].range, cell_of(chunk_number, &chunk->timelines[i].range))) {
      status = RK_ERR_NO_MEMORY;
    }
  }
  for (size_t c = 0; c < chunk->component_count && status == RK_OK; c++) {
    const rk_summary_component *component = &chunk->components[c];
    size_t number = 0;
    status = number_component(manifest, component, &number);
    if (status == RK_OK) {
      status = note_column(manifest, chunk, component, number);
    }
    if (status == RK_OK && chunk->timeline_count == 0 &&
        !add_cell(&manifest->components[number].statics, (index_cell){.chunk = chunk_number})) {
      status = RK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < chunk->timeline_count && status == RK_OK; i++) {
      size_t pair;
      status = number_pair(manifest, timeline_numbers[i], number, &pair);
      if (status == RK_OK && !add_cell(&manifest->pairs[pair].range, cell_of(chunk_number, &component->ranges[i]))) {
        status = RK_ERR_NO_MEMORY;
      }
    }
  }
  free(timeline_numbers);
  if (status == RK_OK) {
    manifest->chunks[manifest->chunk_count++] = record;
  }
  return status;
}

rk_status rk_manifest_add(rk_manifest *manifest, const rk_chunk *chunk, uint64_t byte_offset, uint64_t byte_size,
                          uint64_t uncompressed_size)
{
  rk_arena arena = {0};
  rk_chunk_summary summary;
  rk_status status = rk_chunk_summarise(&arena, chunk, &summary);
  status =
      status == RK_OK ? rk_manifest_add_summary(manifest, &summary, byte_offset, byte_size, uncompressed_size) : status;
  rk_arena_free(&arena);
  return status;
}
