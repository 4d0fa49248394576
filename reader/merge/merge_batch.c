/* A batch of rows that were taken down, copied into the columns of the chunk that gathers them. */
#include "reader/merge/merge_batch.h"

#include <stdlib.h>
#include <string.h>

uint64_t rk_merge_number(void)
{
  static _Atomic uint64_t numbers;
  return ++numbers;
}

void rk_merge_batch_end(rk_merge_chunk *chunk)
{
  for (size_t i = 0; i < chunk->source_count; i++) {
    rk_open_chunk_release(chunk->sources[i].open);
  }
  chunk->source_count = chunk->run_count = 0;
  chunk->limits->held -= chunk->held;
  chunk->held = 0;
  chunk->alone = chunk->conflicts = false;
  chunk->batch = rk_merge_number();
}

rk_merge_column *rk_merge_find_column(const rk_merge_chunk *chunk, const char *name)
{
  for (size_t i = 0; i < chunk->column_count; i++) {
    if (chunk->columns[i]->name == name) {
      return chunk->columns[i];
    }
  }
  return NULL;
}

bool rk_merge_column_fits(const rk_merge_column *column, const rk_chunk_component *component)
{
  return column->archetype == component->archetype && column->component_type == component->component_type &&
         rk_field_type_equal(&column->list->children[0], component->item);
}

static bool any_present(const struct ArrowArray *lists, int64_t start, int64_t count)
{
  for (int64_t row = start; row < start + count; row++) {
    if (rk_merge_list_present(lists, row)) {
      return true;
    }
  }
  return false;
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

static rk_merge_column *add_column(rk_merge_chunk *chunk, const rk_chunk_component *component)
{
  rk_merge_column *column = rk_merge_find_column(chunk, component->name);
  if (column == NULL) {
    if (!rk_array_grow((void **)&chunk->columns, &chunk->column_capacity, chunk->column_count + 1,
                       sizeof(rk_merge_column *)) ||
        (column = rk_arena_alloc(&chunk->arena, sizeof *column)) == NULL) {
      return NULL;
    }
    chunk->columns[chunk->column_count++] = column;
  } else if (rk_merge_column_fits(column, component)) {
    return column;
  }
  rk_builder_free(column->builder);
  rk_field *list = rk_arena_alloc(&chunk->arena, sizeof *list);
  rk_field *item = rk_field_copy(&chunk->arena, component->item);
  *column = (rk_merge_column){
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

rk_status rk_merge_column_pad(rk_merge_column *column, uint32_t rows)
{
  const int64_t missing = (int64_t)rows - rk_builder_length(column->builder);
  return missing > 0 ? rk_builder_append_nulls(column->builder, missing) : RK_OK;
}

/* Columns of what a run of a source that is alone has, and that there were none for. */
static rk_status add_columns(rk_merge_chunk *chunk, const rk_chunk *from, const rk_merge_run *run)
{
  for (size_t i = 0; i < from->component_count; i++) {
    if (!any_present(from->components[i].lists, run->start, run->count)) {
      continue;
    }
    rk_merge_column *column = add_column(chunk, &from->components[i]);
    if (column == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    if (!column->live) {
      column->live = true;
      chunk->version = rk_merge_number();
    }
  }
  return RK_OK;
}

/* `size` is a constant: a single item, the usual case where it counts, is copied without a call. */
static inline uint8_t *copy_items(uint8_t *to, const void *items, const rk_merge_run *run, size_t size)
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
    const rk_merge_run *run = &chunk->runs[i];
    ids = copy_items(ids, chunk->sources[run->source].open->chunk.row_ids, run, RK_TUID_SIZE);
  }
  for (size_t t = 0; t < chunk->timeline_count; t++) {
    uint8_t *times = (uint8_t *)(chunk->times[t] + chunk->copied);
    for (size_t i = 0; i < chunk->run_count; i++) {
      const rk_merge_run *run = &chunk->runs[i];
      times = copy_items(times, chunk->sources[run->source].open->chunk.timelines[t].values, run, sizeof(int64_t));
    }
  }
}

/* The column's lists in each source that has it. */
static void find_lists(rk_merge_chunk *chunk, const rk_merge_column *column)
{
  for (size_t s = 0; s < chunk->source_count; s++) {
    const rk_chunk *from = &chunk->sources[s].open->chunk;
    chunk->sources[s].lists = NULL;
    for (size_t i = 0; i < from->component_count; i++) {
      if (from->components[i].name == column->name &&
          (!chunk->conflicts || rk_merge_column_fits(column, &from->components[i]))) {
        chunk->sources[s].lists = from->components[i].lists;
      }
    }
  }
}

static rk_status copy_column(rk_merge_chunk *chunk, rk_merge_column *column)
{
  find_lists(chunk, column);
  rk_status status = RK_OK;
  uint32_t row = chunk->copied;
  size_t count = 0;
  for (size_t i = 0; i < chunk->run_count && status == RK_OK; i++) {
    const rk_merge_run *run = &chunk->runs[i];
    const struct ArrowArray *lists = chunk->sources[run->source].lists;
    if (lists != NULL) {
      status = count == 0 ? rk_merge_column_pad(column, row) : RK_OK;
      chunk->slices[count++] = (rk_slice){.array = lists, .start = run->start, .count = run->count};
    } else if (count > 0) {
      status = rk_builder_append_slices(column->builder, chunk->slices, count);
      count = 0;
    }
    row += run->count;
  }
  return status == RK_OK && count > 0 ? rk_builder_append_slices(column->builder, chunk->slices, count) : status;
}

rk_status rk_merge_batch_copy(rk_merge_chunk *chunk)
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
  rk_merge_batch_end(chunk);
  return status;
}
