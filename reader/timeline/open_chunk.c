/* A chunk in memory: who holds it, its names, its schemas. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/utf8.h"
#include "reader/index/retime.h"
#include "reader/timeline/chunk_load.h"
#include "reader/timeline/row_order.h"
#include "reader/timeline/spill.h"
#include "reader/value_size.h"

const rk_chunk *rk_open_chunk_data(const rk_open_chunk *open)
{
  return &open->chunk;
}

const struct ArrowSchema *rk_open_chunk_schema(const rk_open_chunk *open, size_t component)
{
  if (!open->schemas[component]) {
    rk_arena *arena = (rk_arena *)(open->block ? rk_block_arena(open->block) : &open->arena); /* when first asked for */
    struct ArrowSchema *schema;
    if (rk_field_export(arena, open->chunk.components[component].item, &schema) != RK_OK) {
      return NULL;
    }
    open->schemas[component] = schema;
  }
  return open->schemas[component];
}

const uint64_t *rk_open_chunk_sizes(rk_open_chunk *open)
{
  if (!open->sizes) {
    rk_arena *arena = open->block ? rk_block_arena(open->block) : &open->arena;
    uint64_t *sizes = rk_arena_array(arena, (size_t)open->chunk.row_count + 1, sizeof *sizes);
    open->sizes = sizes && rk_rows_measure(&open->chunk, sizes) ? sizes : NULL;
  }
  return open->sizes;
}

static rk_buffer remove_spare(rk_spares *spares, size_t at)
{
  const rk_buffer buffer = spares->items[at];
  spares->items[at] = spares->items[--spares->count];
  spares->size -= buffer.capacity;
  return buffer;
}

void rk_spare_take(rk_spares *spares, rk_buffer *buffer, uint64_t size)
{
  for (size_t i = spares->count; i-- > 0;) {
    const size_t capacity = spares->items[i].capacity;
    if (capacity >= size && capacity / 2 <= size) {
      *buffer = remove_spare(spares, i);
      return;
    }
  }
}

/* The larger ones stay. */
void rk_spare_give(rk_spares *spares, rk_buffer *buffer)
{
  const size_t capacity = buffer->capacity;
  bool keep = spares && capacity > 0 && capacity <= RK_SPARE_SIZE_MAX;
  while (keep && (spares->count == RK_SPARE_BUFFERS || spares->size + capacity > RK_SPARES_SIZE_MAX)) {
    size_t smallest = 0;
    for (size_t i = 1; i < spares->count; i++) {
      smallest = spares->items[i].capacity < spares->items[smallest].capacity ? i : smallest;
    }
    keep = spares->items[smallest].capacity < capacity;
    if (keep) {
      rk_buffer smaller = remove_spare(spares, smallest);
      rk_buffer_free(&smaller);
    }
  }
  if (keep) {
    rk_buffer_reset(buffer);
    spares->items[spares->count++] = *buffer;
    spares->size += capacity;
    *buffer = (rk_buffer){0};
  }
  rk_buffer_free(buffer);
}

void rk_open_chunk_retain(rk_open_chunk *open)
{
  if (open->block) {
    rk_block_retain(open->block);
  } else {
    open->references++;
  }
}

void rk_open_chunk_release(rk_open_chunk *open)
{
  if (open->block) {
    rk_block_release(open->block);
  } else if (--open->references == 0) {
    rk_arena_free(&open->arena);
    rk_spare_give(open->spares, &open->frame);
    rk_spare_give(open->spares, &open->payload);
    free(open);
  }
}

/* ---- Names ---- */

unsigned rk_open_chunk_rank(const rk_reader *reader, const rk_store *store, bool is_static)
{
  return (reader->blueprints_first && store->kind != RK_STORE_BLUEPRINT ? 2U : 0U) +
         (reader->filters.timeline && !is_static ? 1U : 0U);
}

static int compare_timelines(const void *left, const void *right)
{
  return strcmp(((const rk_chunk_timeline *)left)->name, ((const rk_chunk_timeline *)right)->name);
}

static int compare_components(const void *left, const void *right)
{
  return strcmp(((const rk_chunk_component *)left)->name, ((const rk_chunk_component *)right)->name);
}

static bool intern(rk_reader *reader, const char **text)
{
  if (*text) {
    *text = rk_names_add(&reader->names, *text, strlen(*text));
    return *text != NULL;
  }
  return true;
}

/* A column's items as they are written again: whatever else the file said of them is not kept. */
static bool plain_item(rk_arena *arena, const rk_field **item)
{
  const rk_field *as_read = *item;
  if (!as_read->nullable || as_read->metadata_count > 0 || strcmp(as_read->name, "item") != 0) {
    rk_field *plain = rk_arena_alloc(arena, sizeof *plain);
    if (!plain) {
      return false;
    }
    *plain = *as_read;
    plain->name = "item";
    plain->nullable = true;
    plain->metadata_count = 0;
    *item = plain;
  }
  return true;
}

/* A name that occurs twice is damage: it would make two cells of one column. */
rk_status rk_open_chunk_names(rk_reader *reader, rk_arena *arena, rk_open_chunk *open, rk_error *error)
{
  rk_chunk *chunk = &open->chunk;
  rk_chunk_timeline *timelines = rk_arena_array(arena, chunk->timeline_count + 1, sizeof *timelines);
  rk_chunk_component *components = rk_arena_array(arena, chunk->component_count + 1, sizeof *components);
  open->schemas = rk_arena_array(arena, chunk->component_count + 1, sizeof *open->schemas);
  open->entity_path = rk_names_add(&reader->names, chunk->entity_path, strlen(chunk->entity_path));
  if (!timelines || !components || !open->schemas || !open->entity_path) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    timelines[i] = chunk->timelines[i];
    if (!intern(reader, &timelines[i].name)) {
      return RK_ERR_NO_MEMORY;
    }
  }
  for (size_t i = 0; i < chunk->component_count; i++) {
    components[i] = chunk->components[i];
    if (!intern(reader, &components[i].name) || !intern(reader, &components[i].archetype) ||
        !intern(reader, &components[i].component_type) || !plain_item(arena, &components[i].item)) {
      return RK_ERR_NO_MEMORY;
    }
    open->dense = open->dense || components[i].lists->buffers[0] == NULL;
  }
  qsort(timelines, chunk->timeline_count, sizeof *timelines, compare_timelines);
  qsort(components, chunk->component_count, sizeof *components, compare_components);
  for (size_t i = 1; i < chunk->timeline_count; i++) {
    if (timelines[i].name == timelines[i - 1].name) {
      return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "a timeline occurs twice in a chunk");
    }
  }
  for (size_t i = 1; i < chunk->component_count; i++) {
    if (components[i].name == components[i - 1].name) {
      return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "a component occurs twice in a chunk");
    }
  }
  chunk->entity_path = open->entity_path;
  chunk->timelines = timelines;
  chunk->components = components;
  return RK_OK;
}
