/* Chunks: decoding; older forms are upgraded to today's (sorbet 0.1.3) first. */
#include "format/chunk_decode.h"
#include "format/chunk_keys.h"
#include "format/chunk_legacy.h"
#include "format/dictionary.h"
#include "format/error.h"
#include "format/ipc.h"
#include "format/layout.h"
#include "format/utf8.h"

typedef struct decoder {
  rk_arena *arena;
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t row_count;
  rk_error *error;
} decoder;

/* A message about one column, whose name is shown escaped. */
static RK_FAR rk_status fail(const decoder *d, rk_status status, const rk_field *column, const char *what)
{
  if (column == NULL) {
    return rk_fail(d->error, status, RK_NO_OFFSET, "chunk: %s", what);
  }
  char name[80];
  return rk_fail(d->error, status, RK_NO_OFFSET, "chunk: column \"%s\": %s",
                 rk_escape(name, sizeof name, column->name, strlen(column->name)), what);
}

static RK_FAR rk_status no_memory(const decoder *d)
{
  return rk_fail(d->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory");
}

/* The value, NULL if absent or with a NUL inside. */
static const char *metadata_text(const rk_field *field, const char *key)
{
  for (size_t i = 0; i < field->metadata_count; i++) {
    const rk_metadata *m = field->metadata + i;
    if (strcmp(m->key, key) == 0) {
      return strlen(m->value) == m->value_size ? m->value : NULL;
    }
  }
  return NULL;
}

static int hex_digit(char c)
{
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_id(const char *text, rk_tuid *id)
{
  uint64_t parts[2] = {0};
  if (strncmp(text, RK_CHUNK_ID_PREFIX, strlen(RK_CHUNK_ID_PREFIX)) == 0) {
    text += strlen(RK_CHUNK_ID_PREFIX);
  }
  for (int i = 0; i < 32; i++) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) {
      return false;
    }
    parts[i / 16] = parts[i / 16] << 4 | (uint64_t)digit;
  }
  *id = (rk_tuid){.time_ns = parts[0], .inc = parts[1]};
  return text[32] == 0;
}

typedef enum column_kind { KIND_CONTROL, KIND_INDEX, KIND_DATA } column_kind;

static column_kind kind_of(const rk_field *field)
{
  const char *kind = metadata_text(field, RK_KEY_KIND);
  if (kind == NULL) {
    return KIND_DATA;
  }
  if (strcmp(kind, RK_KIND_CONTROL) == 0 || strcmp(kind, "row_id") == 0) {
    return KIND_CONTROL;
  }
  return strcmp(kind, RK_KIND_INDEX) == 0 || strcmp(kind, "time") == 0 ? KIND_INDEX : KIND_DATA;
}

static rk_status decode_row_ids(const decoder *d, rk_chunk *chunk)
{
  const rk_field *field = d->schema->children;
  if (d->schema->child_count == 0 || kind_of(field) != KIND_CONTROL) {
    return fail(d, RK_ERR_CORRUPT, NULL, "the first column is not the row ids");
  }
  if (field->type != RK_TYPE_FIXED_SIZE_BINARY || field->size != RK_TUID_SIZE || field->dictionary != NULL) {
    return fail(d, RK_ERR_CORRUPT, field, "row ids are not of 16 bytes each");
  }
  if (d->columns[0]->null_count != 0) {
    return fail(d, RK_ERR_CORRUPT, field, "row id missing");
  }
  chunk->row_ids = (const uint8_t *)d->columns[0]->buffers[1] + RK_TUID_SIZE * d->columns[0]->offset;
  return RK_OK;
}

static rk_status decode_timeline(const decoder *d, const rk_field *field, const struct ArrowArray *array,
                                 rk_chunk_timeline *timeline)
{
  const char *name = metadata_text(field, RK_KEY_INDEX_NAME);
  timeline->name = name == NULL ? field->name : name;
  if (*timeline->name == 0) {
    return fail(d, RK_ERR_CORRUPT, field, "timeline without a name");
  }
  if (field->dictionary == NULL && field->type == RK_TYPE_INT64) {
    timeline->kind = RK_TIMELINE_SEQUENCE;
  } else if (field->dictionary == NULL && field->unit == RK_UNIT_NANO && field->type == RK_TYPE_DURATION) {
    timeline->kind = RK_TIMELINE_DURATION;
  } else if (field->dictionary == NULL && field->unit == RK_UNIT_NANO && field->type == RK_TYPE_TIMESTAMP) {
    timeline->kind = RK_TIMELINE_TIMESTAMP;
  } else {
    return fail(d, RK_ERR_UNSUPPORTED, field, "not a type of timeline that is known");
  }
  if (array->null_count != 0) {
    return fail(d, RK_ERR_CORRUPT, field, "timeline with nulls");
  }
  timeline->values = (const int64_t *)array->buffers[1] + array->offset;
  timeline->is_sorted = true;
  for (int64_t i = 1; i < d->row_count && timeline->is_sorted; i++) {
    timeline->is_sorted = timeline->values[i - 1] <= timeline->values[i];
  }
  return RK_OK;
}

/* A List<item> over `items` with room for offsets; the validity is that of `from`. */
static struct ArrowArray *make_list(const decoder *d, const struct ArrowArray *from, const uint8_t *validity,
                                    struct ArrowArray *items, int32_t **offsets)
{
  struct ArrowArray *list = rk_arena_alloc(d->arena, sizeof *list);
  const void **buffers = rk_arena_array(d->arena, 2, sizeof *buffers);
  struct ArrowArray **children = rk_arena_array(d->arena, 1, sizeof *children);
  *offsets = rk_arena_array(d->arena, (size_t)d->row_count + 1, sizeof **offsets);
  if (list == NULL || buffers == NULL || children == NULL || *offsets == NULL) {
    return NULL;
  }
  buffers[0] = validity;
  buffers[1] = *offsets;
  children[0] = items;
  *list = (struct ArrowArray){.length = d->row_count,
                              .null_count = validity == NULL ? 0 : from->null_count,
                              .n_buffers = 2,
                              .n_children = 1,
                              .buffers = buffers,
                              .children = children,
                              .release = from->release};
  return list;
}

/* 64-bit offsets become 32-bit ones. */
static rk_status narrow_list(const decoder *d, const rk_field *field, const struct ArrowArray *array,
                             const struct ArrowArray **lists)
{
  int32_t *offsets;
  struct ArrowArray *list = make_list(d, array, rk_array_validity(array, field->type), array->children[0], &offsets);
  if (list == NULL) {
    return no_memory(d);
  }
  const void *wide = array->buffers[1];
  if (rk_offset_at(wide, d->row_count, true) > INT32_MAX) {
    return fail(d, RK_ERR_LIMIT, field, "more than 2^31 instances");
  }
  for (int64_t i = 0; i <= d->row_count; i++) {
    offsets[i] = (int32_t)rk_offset_at(wide, i, true);
  }
  *lists = list;
  return RK_OK;
}

/* Every value becomes a list of one, null values null rows (which cover their value unseen). */
static rk_status wrap_values(const decoder *d, const rk_field *field, const struct ArrowArray *array,
                             const struct ArrowArray **lists)
{
  struct ArrowArray *items = rk_arena_alloc(d->arena, sizeof *items);
  int32_t *offsets;
  if (items == NULL) {
    return no_memory(d);
  }
  *items = *array;
  const uint8_t *validity = rk_array_validity(array, field->type);
  if (field->type == RK_TYPE_NULL) {
    validity = rk_arena_alloc(d->arena, rk_bits_size(d->row_count) + 1);
    if (validity == NULL) {
      return no_memory(d);
    }
  }
  struct ArrowArray *list = make_list(d, array, validity, items, &offsets);
  if (list == NULL) {
    return no_memory(d);
  }
  for (int64_t i = 0; i <= d->row_count; i++) {
    offsets[i] = (int32_t)i;
  }
  *lists = list;
  return RK_OK;
}

static RK_FAR int depth_of(const rk_field *field)
{
  int deepest = 0;
  for (size_t c = 0; c < field->child_count; c++) {
    const int depth = 1 + depth_of(field->children + c);
    deepest = depth > deepest ? depth : deepest;
  }
  return deepest;
}

static rk_status decode_component(const decoder *d, const rk_field *field, const struct ArrowArray *array,
                                  rk_chunk_component *component)
{
  const char *name = metadata_text(field, RK_KEY_COMPONENT);
  component->name = name == NULL ? field->name : name;
  component->archetype = metadata_text(field, RK_KEY_ARCHETYPE);
  component->component_type = metadata_text(field, RK_KEY_COMPONENT_TYPE);
  if (*component->name == 0) {
    return fail(d, RK_ERR_CORRUPT, field, "component without a name");
  }
  const rk_status status = rk_dictionary_expand(d->arena, field, array, &field, &array);
  if (status != RK_OK) {
    return status == RK_ERR_LIMIT ? fail(d, status, field, "dictionary-encoded text of more than 2 GiB") : no_memory(d);
  }
  component->item = field->children;
  component->lists = array;
  if (field->type == RK_TYPE_LIST) {
    return RK_OK;
  }
  if (field->type == RK_TYPE_LARGE_LIST) {
    return narrow_list(d, field, array, &component->lists);
  }
  component->item = field;
  if (depth_of(field) > RK_TYPE_DEPTH_MAX) { /* as lists they could not be written and read again */
    return fail(d, RK_ERR_LIMIT, field, "type nested too deep");
  }
  return wrap_values(d, field, array, &component->lists);
}

static rk_status decode_columns(const decoder *d, rk_chunk *chunk)
{
  rk_status status = decode_row_ids(d, chunk);
  if (status != RK_OK) {
    return status;
  }
  const size_t count = d->schema->child_count;
  rk_chunk_timeline *timelines = rk_arena_array(d->arena, count, sizeof *timelines);
  rk_chunk_component *components = rk_arena_array(d->arena, count, sizeof *components);
  if (timelines == NULL || components == NULL) {
    return no_memory(d);
  }
  for (size_t i = 1; i < count && status == RK_OK; i++) {
    const rk_field *field = d->schema->children + i;
    switch (kind_of(field)) {
    case KIND_CONTROL:
      return fail(d, RK_ERR_CORRUPT, field, "second column of row ids");
    case KIND_INDEX:
      if (chunk->component_count != 0) {
        return fail(d, RK_ERR_CORRUPT, field, "timeline after components");
      }
      status = decode_timeline(d, field, d->columns[i], timelines + chunk->timeline_count++);
      break;
    case KIND_DATA:
      status = decode_component(d, field, d->columns[i], components + chunk->component_count++);
      break;
    }
  }
  chunk->timelines = timelines;
  chunk->components = components;
  return status;
}

rk_status rk_chunk_from_columns(rk_arena *arena, const rk_field *schema, const struct ArrowArray *const *columns,
                                int64_t row_count, rk_chunk *chunk, rk_error *error)
{
  const decoder d = {.arena = arena, .schema = schema, .columns = columns, .row_count = row_count, .error = error};
  *chunk = (rk_chunk){.row_count = row_count};
  const char *id = metadata_text(schema, RK_KEY_CHUNK_ID);
  chunk->entity_path = metadata_text(schema, RK_KEY_ENTITY_PATH);
  if (id == NULL || !parse_id(id, &chunk->id)) {
    return fail(&d, RK_ERR_CORRUPT, NULL, "no chunk id");
  }
  if (chunk->entity_path == NULL) {
    return fail(&d, RK_ERR_CORRUPT, NULL, "no entity path");
  }
  if (row_count > INT32_MAX - 1) {
    return fail(&d, RK_ERR_LIMIT, NULL, "too many rows");
  }
  return decode_columns(&d, chunk);
}

rk_status rk_chunk_decode(rk_arena *arena, const void *data, size_t size, rk_chunk *chunk, rk_error *error)
{
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t row_count;
  const rk_status status = rk_ipc_decode(arena, data, size, &schema, &columns, &row_count, error);
  if (status != RK_OK) {
    return status;
  }
  if (rk_chunk_upgrade(arena, &schema, &columns) != RK_OK) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory");
  }
  return rk_chunk_from_columns(arena, schema, columns, row_count, chunk, error);
}
