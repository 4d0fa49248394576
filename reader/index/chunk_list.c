/* The chunks of all inputs, one after the other, from the index and by decoding. */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "reader/index/retime.h"
#include "reader/reader_state.h"

static uint64_t rows_with(const struct ArrowArray *lists, int64_t row_count)
{
  const uint8_t *valid = lists->buffers[0];
  if (!valid) {
    return (uint64_t)row_count;
  }
  uint64_t rows = 0;
  for (int64_t i = lists->offset; i < lists->offset + row_count; i++) {
    rows += valid[i / 8] >> (i % 8) & 1;
  }
  return rows;
}

typedef struct writer_rows {
  uint32_t tag;
  uint64_t rows;
} writer_rows;

static int compare_tags(const void *a, const void *b)
{
  const uint32_t x = ((const writer_rows *)a)->tag;
  const uint32_t y = ((const writer_rows *)b)->tag;
  return x < y ? -1 : x > y;
}

/* Whose rows an open chunk holds. False: no memory. */
static bool count_writers(rk_reader *reader, const rk_open_chunk *open, rk_chunk_info *info)
{
  rk_arena *arena = &reader->chunk_arena;
  const size_t row_count = (size_t)open->chunk.row_count;
  size_t slots = 16;
  while (slots < row_count * 2) {
    slots *= 2;
  }
  uint32_t *places = rk_arena_array(arena, slots, sizeof *places); /* 1 + place in the list; 0: free */
  writer_rows *list = rk_arena_array(arena, row_count + 1, sizeof *list);
  if (!places || !list) {
    return false;
  }
  memset(places, 0, slots * sizeof *places);
  size_t count = 0;
  for (size_t i = 0; i < row_count; i++) {
    const uint32_t tag = (uint32_t)(rk_tuid_load(open->chunk.row_ids + 16 * i).inc >> 32);
    size_t slot = tag * UINT32_C(2654435761) & (slots - 1);
    while (places[slot] != 0 && list[places[slot] - 1].tag != tag) {
      slot = (slot + 1) & (slots - 1);
    }
    if (places[slot] == 0) {
      list[count] = (writer_rows){.tag = tag};
      places[slot] = (uint32_t)++count;
    }
    list[places[slot] - 1].rows++;
  }
  qsort(list, count, sizeof *list, compare_tags);
  uint32_t *tags = rk_arena_array(arena, count + 1, sizeof *tags);
  uint64_t *rows = rk_arena_array(arena, count + 1, sizeof *rows);
  if (!tags || !rows) {
    return false;
  }
  size_t known = 0;
  for (size_t i = 0; i < count; i++) {
    if (rk_index_writer(reader, open->store, list[i].tag)) {
      tags[known] = list[i].tag;
      rows[known++] = list[i].rows;
    }
  }
  info->writer_count = known;
  info->writers = tags;
  info->writer_rows = rows;
  return true;
}

/* What the index tells of the chunk. */
static rk_chunk_info info_of(const rk_entry *entry, const rk_store *store, const char *entity_path)
{
  return (rk_chunk_info){.input = entry->input->name,
                         .store = store,
                         .entity_path = entity_path,
                         .writer = entry->writer,
                         .is_static = entry->is_static,
                         .sealed = entry->sealed,
                         .from_spool = entry->input->owned != NULL,
                         .numbered = entry->numbered,
                         .chunk_number = entry->chunk_number,
                         .first_row = entry->first_row,
                         .row_count = entry->row_count,
                         .offset = entry->offset,
                         .size = entry->size,
                         .min_ns = entry->min_ns,
                         .max_ns = entry->max_ns};
}

static rk_status describe(rk_reader *reader, const rk_entry *entry, const rk_open_chunk *open)
{
  const rk_chunk *chunk = &open->chunk;
  rk_arena *arena = &reader->chunk_arena;
  rk_arena_reset(arena);
  rk_time_cell *min = rk_arena_array(arena, chunk->timeline_count + 1, sizeof *min);
  rk_time_cell *max = rk_arena_array(arena, chunk->timeline_count + 1, sizeof *max);
  const char **names = rk_arena_array(arena, chunk->component_count + 1, sizeof *names);
  uint64_t *rows = rk_arena_array(arena, chunk->component_count + 1, sizeof *rows);
  if (!min || !max || !names || !rows) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    const rk_chunk_timeline *timeline = &chunk->timelines[i];
    min[i] = (rk_time_cell){.timeline = timeline->name, .kind = timeline->kind};
    max[i] = min[i];
    for (int64_t j = 0; j < chunk->row_count; j++) {
      const int64_t value = timeline->values[j];
      min[i].value = j == 0 || value < min[i].value ? value : min[i].value;
      max[i].value = j == 0 || value > max[i].value ? value : max[i].value;
    }
  }
  for (size_t i = 0; i < chunk->component_count; i++) {
    names[i] = chunk->components[i].name;
    rows[i] = rows_with(chunk->components[i].lists, chunk->row_count);
  }
  rk_chunk_info *info = &reader->chunk_info;
  *info = info_of(entry, open->store, open->entity_path);
  info->chunk_id = chunk->id;
  info->described = true;
  info->uncompressed_size = open->uncompressed_size;
  info->compression = open->compression;
  info->timeline_count = chunk->timeline_count;
  info->timeline_min = min;
  info->timeline_max = max;
  info->component_count = chunk->component_count;
  info->components = names;
  info->component_rows = rows;
  return count_writers(reader, open, info) ? RK_OK : RK_ERR_NO_MEMORY;
}

/* Decodes one; RK_END: it is damaged, or does not pass. */
static rk_status show_chunk(rk_reader *reader, rk_entry *entry, const rk_chunk_info **chunk)
{
  rk_open_chunk *open;
  rk_status status = rk_open_chunk_take(reader, entry, &open);
  if (status) {
    return status;
  }
  const bool pass = rk_filter_open(reader, open);
  if (pass) {
    status = describe(reader, entry, open);
  }
  rk_open_chunk_release(open);
  if (status) {
    const rk_error error = {.status = status, .offset = RK_NO_OFFSET, .message = "no memory to read"};
    return rk_reader_set_error(reader, &error);
  }
  *chunk = &reader->chunk_info;
  return pass ? RK_OK : RK_END;
}

/* The next entry that may pass the filters, by its place; NULL: no more. */
static rk_entry *next_entry(rk_reader *reader, size_t *place)
{
  while (*place < reader->entries.count) {
    rk_entry *entry = rk_entry_at(reader, (*place)++);
    if (!entry->lost && (entry->row_count == 0 || rk_filter_entry(reader, entry))) {
      return entry;
    }
  }
  return NULL;
}

/* RK_OK: chunks can be told of. */
static rk_status ready(rk_reader *reader)
{
  rk_error error = {.message = ""};
  if (reader->error.status) {
    return reader->error.status;
  }
  return rk_retime_settle(reader, &error) == RK_OK ? RK_OK : rk_reader_set_error(reader, &error);
}

/* The chunk of the next entry from *place on that passes: decoded, or (unless `decode`) as the index knows it where
 * that is enough. */
static rk_status next_chunk(rk_reader *reader, size_t *place, bool decode, const rk_chunk_info **chunk)
{
  rk_status status = ready(reader);
  status = status ? status : RK_END;
  for (rk_entry *entry; status == RK_END && (entry = next_entry(reader, place)) != NULL;) {
    const rk_place *known = rk_entry_place(reader, entry);
    if (decode || !known->entity_path || !known->store || (reader->filters.timeline && !entry->is_static)) {
      status = show_chunk(reader, entry, chunk);
    } else {
      reader->chunk_info = info_of(entry, known->store, known->entity_path);
      *chunk = &reader->chunk_info;
      status = RK_OK;
    }
  }
  return status;
}

rk_status rk_reader_next_chunk(rk_reader *reader, const rk_chunk_info **chunk)
{
  return next_chunk(reader, &reader->next_chunk, true, chunk);
}

rk_status rk_reader_next_indexed(rk_reader *reader, const rk_chunk_info **chunk)
{
  return next_chunk(reader, &reader->next_indexed, false, chunk);
}

rk_status rk_reader_describe(rk_reader *reader, const rk_chunk_info **chunk)
{
  if (reader->error.status) {
    return reader->error.status;
  }
  if (reader->next_indexed == 0) {
    return RK_ERR_MISUSE;
  }
  rk_entry *entry = rk_entry_at(reader, reader->next_indexed - 1);
  return entry->lost ? RK_END : show_chunk(reader, entry, chunk);
}
