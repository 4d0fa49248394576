/* Chunks: encoding, as Rerun 0.33 to 0.36 write them. */
#include <stdio.h>
#include <xxhash.h>

#include "format/chunk.h"
#include "format/chunk_keys.h"
#include "format/ipc.h"

#define COLUMN_METADATA_MAX 4

/* Everything that one column needs beside the caller's arrays. */
typedef struct column {
  rk_metadata metadata[COLUMN_METADATA_MAX];
  rk_field item; /* components: the list's child */
  struct ArrowArray array;
  const void *buffers[2];
} column;

static RK_FAR void add_metadata(rk_field *field, rk_metadata *metadata, const char *key, const char *value)
{
  metadata[field->metadata_count++] =
      (rk_metadata){.key = key, .value = value, .key_size = strlen(key), .value_size = strlen(value)};
  field->metadata = metadata;
}

static bool row_ids_sorted(const uint8_t *ids, int64_t count)
{
  for (int64_t i = 1; i < count; i++) {
    if (rk_tuid_compare(rk_tuid_load(ids + RK_TUID_SIZE * (i - 1)), rk_tuid_load(ids + RK_TUID_SIZE * i)) > 0) {
      return false;
    }
  }
  return true;
}

static bool times_sorted(const int64_t *times, int64_t count)
{
  for (int64_t i = 1; i < count; i++) {
    if (times[i - 1] > times[i]) {
      return false;
    }
  }
  return true;
}

static const struct ArrowArray *lend_values(column *c, const void *values, int64_t count)
{
  c->buffers[1] = values;
  c->array = (struct ArrowArray){.length = count, .n_buffers = 2, .buffers = c->buffers};
  return &c->array;
}

static const struct ArrowArray *row_id_column(const rk_chunk *chunk, rk_field *field, column *c)
{
  *field = (rk_field){.type = RK_TYPE_FIXED_SIZE_BINARY, .size = RK_TUID_SIZE, .name = RK_ROW_ID_NAME};
  add_metadata(field, c->metadata, RK_KEY_KIND, RK_KIND_CONTROL);
  add_metadata(field, c->metadata, RK_KEY_EXTENSION_NAME, RK_ROW_ID_EXTENSION);
  add_metadata(field, c->metadata, RK_KEY_EXTENSION_METADATA, RK_ROW_ID_EXTENSION_METADATA);
  if (row_ids_sorted(chunk->row_ids, chunk->row_count)) {
    add_metadata(field, c->metadata, RK_KEY_IS_SORTED, "true");
  }
  return lend_values(c, chunk->row_ids, chunk->row_count);
}

static const struct ArrowArray *timeline_column(const rk_chunk *chunk, const rk_chunk_timeline *timeline,
                                                rk_field *field, column *c)
{
  *field = (rk_field){.type = timeline->kind == RK_TIMELINE_SEQUENCE   ? RK_TYPE_INT64
                              : timeline->kind == RK_TIMELINE_DURATION ? RK_TYPE_DURATION
                                                                       : RK_TYPE_TIMESTAMP,
                      .unit = RK_UNIT_NANO,
                      .nullable = true,
                      .name = timeline->name};
  add_metadata(field, c->metadata, RK_KEY_KIND, RK_KIND_INDEX);
  add_metadata(field, c->metadata, RK_KEY_INDEX_NAME, timeline->name);
  if (times_sorted(timeline->values, chunk->row_count)) {
    add_metadata(field, c->metadata, RK_KEY_IS_SORTED, "true");
  }
  return lend_values(c, timeline->values, chunk->row_count);
}

static void component_field(const rk_chunk_component *component, rk_field *field, column *c)
{
  c->item = *component->item;
  c->item.name = "item";
  c->item.nullable = true;
  c->item.metadata_count = 0;
  *field = (rk_field){
      .type = RK_TYPE_LIST, .nullable = true, .name = component->name, .child_count = 1, .children = &c->item};
  add_metadata(field, c->metadata, RK_KEY_KIND, RK_KIND_DATA);
  add_metadata(field, c->metadata, RK_KEY_COMPONENT, component->name);
  if (component->archetype != NULL) {
    add_metadata(field, c->metadata, RK_KEY_ARCHETYPE, component->archetype);
  }
  if (component->component_type != NULL) {
    add_metadata(field, c->metadata, RK_KEY_COMPONENT_TYPE, component->component_type);
  }
}

/* All that a schema says of its columns, by address; `fields` tells which are sorted. */
static rk_ipc_head *find_head(rk_arena *arena, const rk_chunk *chunk, const rk_field *fields)
{
  const size_t size = 1 + 3 * chunk->timeline_count + 4 * chunk->component_count;
  uintptr_t *key = chunk->heads == NULL ? NULL : rk_arena_array(arena, size, sizeof *key);
  if (key == NULL) {
    return NULL;
  }
  size_t at = 0;
  key[at++] = fields->metadata_count;
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    const rk_chunk_timeline *timeline = chunk->timelines + i;
    key[at++] = (uintptr_t)timeline->name;
    key[at++] = timeline->kind;
    key[at++] = fields[1 + i].metadata_count;
  }
  for (size_t i = 0; i < chunk->component_count; i++) {
    const rk_chunk_component *component = chunk->components + i;
    key[at++] = (uintptr_t)component->name;
    key[at++] = (uintptr_t)component->archetype;
    key[at++] = (uintptr_t)component->component_type;
    key[at++] = (uintptr_t)component->item;
  }
  const size_t slot = XXH3_64bits(key, size * sizeof *key) % RK_CHUNK_HEADS;
  rk_buffer *known = &chunk->heads->of[slot].key;
  rk_ipc_head *head = &chunk->heads->of[slot].head;
  if (known->size != size * sizeof *key || memcmp(known->data, key, known->size) != 0) {
    rk_buffer_reset(&head->bytes);
    rk_buffer_reset(known);
    rk_buffer_append(known, key, size * sizeof *key);
  }
  return known->failed ? NULL : head;
}

static rk_status encode(rk_buffer *out, const rk_chunk *chunk, rk_arena *arena)
{
  const size_t count = 1 + chunk->timeline_count + chunk->component_count;
  rk_field *fields = rk_arena_array(arena, count, sizeof *fields);
  column *columns = rk_arena_array(arena, count, sizeof *columns);
  const struct ArrowArray **arrays = rk_arena_array(arena, count, sizeof *arrays);
  if (fields == NULL || columns == NULL || arrays == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  arrays[0] = row_id_column(chunk, fields, columns);
  size_t at = 1;
  for (size_t i = 0; i < chunk->timeline_count; i++, at++) {
    arrays[at] = timeline_column(chunk, chunk->timelines + i, fields + at, columns + at);
  }
  for (size_t i = 0; i < chunk->component_count; i++, at++) {
    component_field(chunk->components + i, fields + at, columns + at);
    arrays[at] = chunk->components[i].lists;
  }
  char id[sizeof RK_CHUNK_ID_PREFIX + 32];
  snprintf(id, sizeof id, RK_CHUNK_ID_PREFIX "%016llX%016llx", (unsigned long long)chunk->id.time_ns,
           (unsigned long long)chunk->id.inc);
  rk_metadata metadata[3];
  rk_field schema = {.type = RK_TYPE_STRUCT, .name = "", .child_count = count, .children = fields};
  add_metadata(&schema, metadata, RK_KEY_ENTITY_PATH, chunk->entity_path);
  add_metadata(&schema, metadata, RK_KEY_CHUNK_ID, id);
  add_metadata(&schema, metadata, RK_KEY_SORBET_VERSION, RK_SORBET_VERSION);
  return rk_ipc_encode(out, &schema, find_head(arena, chunk, fields), arrays, chunk->row_count);
}

void rk_chunk_heads_free(rk_chunk_heads *heads)
{
  for (size_t i = 0; i < RK_CHUNK_HEADS; i++) {
    rk_buffer_free(&heads->of[i].key);
    rk_buffer_free(&heads->of[i].head.bytes);
  }
}

rk_status rk_chunk_encode(rk_buffer *out, const rk_chunk *chunk)
{
  rk_arena arena = {0};
  const rk_status status = encode(out, chunk, &arena);
  rk_arena_free(&arena);
  return status;
}
