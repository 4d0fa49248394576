/* A chunk brought into memory: read, checked against its seal, decoded, its names interned and its rows put in order.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/utf8.h"
#include "reader/reader_state.h"
#include "reader/retime.h"
#include "reader/row_order.h"
#include "reader/spill.h"

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

/* Memory that was used before is mapped already, which is worth more than decoding costs. */
static void take_spare(rk_reader *reader, rk_buffer *buffer, uint64_t size)
{
  for (size_t i = 0; i < RK_SPARE_BUFFERS; i++) {
    rk_buffer *spare = &reader->spares[i];
    if (spare->capacity >= size && spare->capacity / 2 <= size) {
      *buffer = *spare;
      *spare = (rk_buffer){0};
      return;
    }
  }
}

static void give_spare(rk_buffer *spares, rk_buffer *buffer)
{
  rk_buffer *smallest = NULL;
  for (size_t i = 0; spares && i < RK_SPARE_BUFFERS; i++) {
    smallest = !smallest || spares[i].capacity < smallest->capacity ? &spares[i] : smallest;
  }
  if (smallest && smallest->capacity < buffer->capacity && buffer->capacity <= RK_SPARE_SIZE_MAX) {
    const rk_buffer old = *smallest;
    *smallest = *buffer;
    rk_buffer_reset(smallest);
    *buffer = old;
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
    give_spare(open->spares, &open->frame);
    give_spare(open->spares, &open->payload);
    free(open);
  }
}

/* The frame's bytes: lent from memory, else read into open->frame. */
static rk_status read_frame(rk_open_chunk *open, rk_entry *entry, const uint8_t **frame, rk_error *error)
{
  rk_source *source = &entry->input->source;
  if (source->memory) {
    *frame = source->memory + entry->offset;
  } else {
    const bool has_room = open->frame.capacity > 0 || rk_buffer_reserve_exactly(&open->frame, (size_t)entry->size);
    uint8_t *bytes = has_room ? rk_buffer_extend(&open->frame, (size_t)entry->size) : NULL;
    if (!bytes) {
      return RK_ERR_NO_MEMORY;
    }
    const rk_status status = rk_source_read(source, entry->offset, bytes, (size_t)entry->size);
    if (status == RK_ERR_IO) {
      char name[160];
      rk_escape(name, sizeof name, entry->input->name, strlen(entry->input->name));
      return rk_fail_errno(error, source->sys_errno, "cannot read %s", name);
    }
    if (status) {
      return rk_fail(error, status, entry->offset, "the input shrank");
    }
    *frame = bytes;
  }
  if (entry->sealed && !entry->verified) {
    if (!rk_seal_verify(*frame, (size_t)entry->size)) {
      return rk_fail(error, RK_ERR_CORRUPT, entry->offset, "its hash is wrong");
    }
    entry->verified = source->memory != NULL; /* a file may change */
  }
  return RK_OK;
}

rk_status rk_open_chunk_check(rk_entry *entry, rk_error *error)
{
  rk_open_chunk open = {0};
  const uint8_t *frame;
  const rk_status status = read_frame(&open, entry, &frame, error);
  rk_buffer_free(&open.frame);
  return status;
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

static uint64_t row_inc(const uint8_t *row_ids, uint32_t row)
{
  return rk_load_u64_be(row_ids + (size_t)row * RK_TUID_SIZE + 8);
}

/* What the seal said must hold, or the index would have ordered by a lie. */
static rk_status check_seal(const rk_reader *reader, const rk_open_chunk *open, const rk_entry *entry, int64_t min_ns,
                            rk_error *error)
{
  const bool early = open->chunk.row_count > 0 && min_ns < entry->min_ns && !reader->wall_clock; /* which learns */
  if ((uint64_t)open->chunk.row_count != entry->row_count || early) {
    return rk_fail(error, RK_ERR_CORRUPT, entry->offset, "its seal does not describe its rows");
  }
  if (entry->writer == 0) {
    return RK_OK;
  }
  for (int64_t i = 0; i < open->chunk.row_count; i++) {
    const uint64_t inc = row_inc(open->chunk.row_ids, (uint32_t)i);
    if ((uint32_t)(inc >> 32) != entry->writer || (uint32_t)inc < entry->first_row) {
      return rk_fail(error, RK_ERR_CORRUPT, entry->offset, "its seal does not describe its rows");
    }
  }
  return RK_OK;
}

/* Completes the index entry with what was read. */
static rk_status complete(rk_reader *reader, rk_open_chunk *open, rk_entry *entry, rk_error *error)
{
  const int64_t *times = open->ties ? open->ties : open->keys; /* of log_time, also where another timeline orders */
  int64_t min_ns = 0;
  int64_t max_ns = 0;
  for (int64_t i = 0; i < open->chunk.row_count; i++) {
    min_ns = i == 0 || times[i] < min_ns ? times[i] : min_ns;
    max_ns = i == 0 || times[i] > max_ns ? times[i] : max_ns;
  }
  if (entry->sealed) {
    const rk_status status = check_seal(reader, open, entry, min_ns, error);
    if (status) {
      return status;
    }
  }
  if (!rk_index_name(reader, entry, open->store, open->entity_path)) {
    return RK_ERR_NO_MEMORY;
  }
  if (entry->told) {
    reader->stats.rows_indexed += (uint64_t)open->chunk.row_count - entry->row_count;
  }
  entry->row_count = (uint32_t)open->chunk.row_count;
  entry->uncompressed_size = open->uncompressed_size < UINT32_MAX ? (uint32_t)open->uncompressed_size : UINT32_MAX;
  entry->min_ns = min_ns;
  entry->max_ns = max_ns;
  entry->is_static = open->stored_static;
  entry->bare = open->chunk.component_count == 0;
  entry->told = false;
  return RK_OK;
}

static rk_status decode(rk_reader *reader, rk_open_chunk *open, rk_entry *entry, rk_error *error)
{
  const uint8_t *frame = NULL;
  if (!entry->input->source.memory) {
    take_spare(reader, &open->frame, entry->size);
  }
  rk_status status = read_frame(open, entry, &frame, error);
  if (status) {
    return status;
  }
  rk_arrow_msg msg;
  status = rk_arrow_msg_decode(frame + RK_FRAME_HEADER_SIZE, (size_t)entry->size - RK_FRAME_HEADER_SIZE, &msg, error);
  if (status) {
    return status;
  }
  const rk_store_entry *store = rk_index_store(reader, &msg.store);
  if (!store) {
    return RK_ERR_NO_MEMORY;
  }
  open->store = &store->store;
  open->compression = msg.compression;
  open->payload_data = msg.payload;
  open->payload_size = msg.payload_size;
  if (msg.compression != RK_COMPRESSION_NONE) {
    take_spare(reader, &open->payload, msg.uncompressed_size);
    status =
        rk_decompress(&open->payload, msg.compression, msg.payload, msg.payload_size, msg.uncompressed_size, error);
    if (status) {
      return status;
    }
    give_spare(open->spares, &open->frame);
    open->payload_data = open->payload.data;
    open->payload_size = open->payload.size;
  }
  open->uncompressed_size = open->payload_size;
  status = rk_chunk_decode(&open->arena, open->payload_data, open->payload_size, &open->chunk, error);
  if (status == RK_OK && (open->chunk.row_count < 0 || open->chunk.row_count > UINT32_MAX)) {
    status = rk_fail(error, RK_ERR_LIMIT, entry->offset, "a chunk of too many rows");
  }
  status = status ? status : rk_open_chunk_names(reader, &open->arena, open, error);
  status = status ? status : rk_retime_chunk(reader, entry, open);
  open->rank = rk_open_chunk_rank(reader, open->store, open->stored_static);
  status = status ? status : rk_row_order_take(reader, open, entry->writer != 0);
  return status ? status : complete(reader, open, entry, error);
}

rk_status rk_open_chunk_load(rk_reader *reader, rk_entry *entry, rk_open_chunk **open, rk_error *error)
{
  rk_open_chunk *chunk = calloc(1, sizeof *chunk);
  if (!chunk) {
    return RK_ERR_NO_MEMORY;
  }
  chunk->references = 1;
  chunk->origin = entry;
  chunk->spares = reader->spares;
  const rk_status status = decode(reader, chunk, entry, error);
  if (status) {
    rk_open_chunk_release(chunk);
    return status;
  }
  chunk->memory = sizeof *chunk + chunk->frame.capacity + chunk->payload.capacity + rk_arena_size(&chunk->arena);
  *open = chunk;
  return RK_OK;
}
