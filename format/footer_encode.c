/* Writes the End frame: manifests as Arrow batches, then the stream footer (SPEC "Footer"). */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/codec.h"
#include "format/footer_internal.h"
#include "format/frame.h"
#include "format/ipc.h"
#include "format/protobuf.h"

/* One batch or schema being put together; everything lies in the arena. */
typedef struct sheet {
  rk_arena *arena;
  size_t row_count;
  rk_field *fields;
  const struct ArrowArray **columns;
  size_t count, capacity;
  bool failed;
} sheet;

static RK_FAR void *take(sheet *s, size_t count, size_t size)
{
  void *memory = s->failed ? NULL : rk_arena_array(s->arena, count == 0 ? 1 : count, size);
  s->failed |= memory == NULL;
  return memory;
}

/* A field's metadata in the making. */
typedef struct pairs {
  rk_metadata list[8];
  size_t count;
} pairs;

/* Nothing where the value is NULL. */
static RK_FAR void add_pair(pairs *p, const char *key, const char *value)
{
  if (value != NULL) {
    p->list[p->count++] =
        (rk_metadata){.key = key, .value = value, .key_size = strlen(key), .value_size = strlen(value)};
  }
}

static void add_identity(pairs *p, const manifest_component *component)
{
  add_pair(p, "rerun:archetype", component->archetype);
  add_pair(p, "rerun:component", component->name);
  add_pair(p, "rerun:component_type", component->component_type);
}

/* The next column's field; its metadata keys must come sorted. NULL after a failure. */
static RK_FAR rk_field *add_field(sheet *s, const char *name, rk_type_id type, bool nullable)
{
  if (s->failed || s->count == s->capacity || name == NULL) {
    s->failed = true;
    return NULL;
  }
  rk_field *field = &s->fields[s->count++];
  *field = (rk_field){.type = type, .name = name, .nullable = nullable};
  return field;
}

static RK_FAR void set_metadata(sheet *s, rk_field *field, const pairs *p)
{
  rk_metadata *copy = take(s, p->count, sizeof *copy);
  if (copy != NULL && field != NULL) {
    memcpy(copy, p->list, p->count * sizeof *copy);
    field->metadata = copy;
    field->metadata_count = p->count;
  }
}

/* The array of the field added last: `buffer_count` buffers, of which the first is the validity. */
static RK_FAR void set_array(sheet *s, const void *validity, int64_t null_count, const void *values, const void *more)
{
  struct ArrowArray *array = take(s, 1, sizeof *array);
  const void **buffers = take(s, 3, sizeof *buffers);
  if (s->failed) {
    return;
  }
  buffers[0] = validity;
  buffers[1] = values;
  buffers[2] = more;
  *array = (struct ArrowArray){
      .length = (int64_t)s->row_count, .null_count = null_count, .n_buffers = more == NULL ? 2 : 3, .buffers = buffers};
  s->columns[s->count - 1] = array;
}

static void set_bit(uint8_t *bits, size_t i)
{
  bits[i >> 3] = (uint8_t)(bits[i >> 3] | 1u << (i & 7));
}

/* Parts joined by ':', then made safe the way Rerun does it: some characters become '_', leading ones go. */
static const char *column_name(sheet *s, const char *timeline, const manifest_component *component, const char *suffix)
{
  const char *archetype = component == NULL ? NULL : component->archetype;
  const char *field = component == NULL ? NULL : component->name;
  if (archetype != NULL) {
    static const char *const prefixes[] = {"rerun.archetypes.", "rerun.blueprint.archetypes.", "rerun."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
      if (strncmp(archetype, prefixes[i], strlen(prefixes[i])) == 0) {
        archetype += strlen(prefixes[i]);
        break;
      }
    }
    const size_t size = strlen(archetype);
    if (strncmp(field, archetype, size) == 0 && field[size] == ':') {
      field += size + 1;
    }
  }
  const char *const parts[] = {timeline, archetype, field, suffix};
  size_t size = 1;
  for (size_t i = 0; i < 4; i++) {
    size += parts[i] == NULL ? 0 : strlen(parts[i]) + 1;
  }
  char *name = take(s, size, 1);
  if (name == NULL) {
    return NULL;
  }
  size_t at = 0;
  for (size_t i = 0; i < 4; i++) {
    if (parts[i] == NULL || parts[i][0] == '\0') {
      continue;
    }
    if (at > 0) {
      name[at++] = ':';
    }
    for (const char *p = parts[i]; *p != '\0'; p++) {
      name[at++] = strchr(", -.\\", *p) != NULL ? '_' : *p;
    }
  }
  name[at] = '\0';
  return name + strspn(name, "_");
}

static void describe_index(sheet *s, rk_field *field, const char *index, const manifest_component *component)
{
  pairs p = {.count = 0};
  if (component != NULL) {
    add_identity(&p, component);
  }
  add_pair(&p, "rerun:index", index);
  set_metadata(s, field, &p);
}

static void set_timeline_type(rk_field *field, rk_timeline_kind kind)
{
  if (field != NULL) {
    field->type = kind == RK_TIMELINE_SEQUENCE   ? RK_TYPE_INT64
                  : kind == RK_TIMELINE_DURATION ? RK_TYPE_DURATION
                                                 : RK_TYPE_TIMESTAMP;
    field->unit = kind == RK_TIMELINE_SEQUENCE ? RK_UNIT_SECOND : RK_UNIT_NANO;
  }
}

/* The columns "...:start" and "...:end", and with a component "...:num_rows". */
static void add_range(sheet *s, const manifest_timeline *timeline, const manifest_component *component,
                      const index_column *range)
{
  for (int end = 0; end < 2; end++) {
    rk_field *field =
        add_field(s, column_name(s, timeline->name, component, end ? "end" : "start"), RK_TYPE_INT64, true);
    set_timeline_type(field, timeline->kind);
    describe_index(s, field, timeline->name, component);
    uint8_t *validity = take(s, (s->row_count + 7) / 8, 1);
    int64_t *values = take(s, s->row_count, sizeof *values);
    size_t valid = 0;
    for (size_t i = 0; i < range->count && !s->failed; i++) {
      const index_cell *cell = &range->cells[i];
      if (cell->has_range) {
        set_bit(validity, cell->chunk);
        values[cell->chunk] = end ? cell->end : cell->start;
        valid++;
      }
    }
    set_array(s, validity, (int64_t)(s->row_count - valid), values, NULL);
  }
  if (component != NULL) {
    rk_field *field = add_field(s, column_name(s, timeline->name, component, "num_rows"), RK_TYPE_UINT64, true);
    describe_index(s, field, timeline->name, component);
    uint64_t *values = take(s, s->row_count, sizeof *values);
    for (size_t i = 0; i < range->count && !s->failed; i++) {
      values[range->cells[i].chunk] = range->cells[i].row_count;
    }
    set_array(s, NULL, 0, values, NULL);
  }
}

static void add_statics(sheet *s, const manifest_component *component)
{
  rk_field *field = add_field(s, column_name(s, NULL, component, "has_static_data"), RK_TYPE_BOOL, false);
  describe_index(s, field, "rerun:static", component);
  uint8_t *values = take(s, (s->row_count + 7) / 8, 1);
  for (size_t i = 0; i < component->statics.count && !s->failed; i++) {
    set_bit(values, component->statics.cells[i].chunk);
  }
  set_array(s, NULL, 0, values, NULL);
}

static void add_numbers(sheet *s, const rk_manifest *manifest, const char *name, size_t member)
{
  add_field(s, name, RK_TYPE_UINT64, false);
  uint64_t *values = take(s, s->row_count, sizeof *values);
  for (size_t i = 0; i < s->row_count && !s->failed; i++) {
    memcpy(&values[i], (const char *)&manifest->chunks[i] + member, sizeof *values);
  }
  set_array(s, NULL, 0, values, NULL);
}

static void add_chunk_columns(sheet *s, const rk_manifest *manifest)
{
  size_t text_size = 0;
  for (size_t i = 0; i < s->row_count; i++) {
    text_size += strlen(manifest->chunks[i].entity_path);
  }
  s->failed |= text_size > INT32_MAX;
  int32_t *offsets = take(s, s->row_count + 1, sizeof *offsets);
  char *text = take(s, text_size, 1);
  uint8_t *ids = take(s, s->row_count, RK_TUID_SIZE);
  uint8_t *statics = take(s, (s->row_count + 7) / 8, 1);
  size_t at = 0;
  for (size_t i = 0; i < s->row_count && !s->failed; i++) {
    const manifest_chunk *chunk = &manifest->chunks[i];
    const size_t size = strlen(chunk->entity_path);
    memcpy(text + at, chunk->entity_path, size);
    at += size;
    offsets[i + 1] = (int32_t)at;
    rk_tuid_store(ids + i * RK_TUID_SIZE, chunk->id);
    if (chunk->is_static) {
      set_bit(statics, i);
    }
  }
  add_field(s, "chunk_entity_path", RK_TYPE_UTF8, false);
  set_array(s, NULL, 0, offsets, text);
  rk_field *id_field = add_field(s, "chunk_id", RK_TYPE_FIXED_SIZE_BINARY, false);
  if (id_field != NULL) {
    id_field->size = RK_TUID_SIZE;
  }
  set_array(s, NULL, 0, ids, NULL);
  add_field(s, "chunk_is_static", RK_TYPE_BOOL, false);
  set_array(s, NULL, 0, statics, NULL);
  add_numbers(s, manifest, "chunk_num_rows", offsetof(manifest_chunk, row_count));
  add_numbers(s, manifest, "chunk_byte_offset", offsetof(manifest_chunk, byte_offset));
  add_numbers(s, manifest, "chunk_byte_size", offsetof(manifest_chunk, byte_size));
  add_numbers(s, manifest, "chunk_byte_size_uncompressed", offsetof(manifest_chunk, uncompressed_size));
}

static RK_FAR int compare_text(const char *a, const char *b) /* NULL first */
{
  if (a == NULL || b == NULL) {
    return (a != NULL) - (b != NULL);
  }
  return strcmp(a, b);
}

static int compare_components(const void *a, const void *b, void *context)
{
  const manifest_component *const components = context;
  const manifest_component *const x = &components[*(const uint32_t *)a];
  const manifest_component *const y = &components[*(const uint32_t *)b];
  int order = compare_text(x->archetype, y->archetype);
  order = order != 0 ? order : compare_text(x->name, y->name);
  return order != 0 ? order : compare_text(x->component_type, y->component_type);
}

static int compare_timelines(const void *a, const void *b, void *context)
{
  const manifest_timeline *const timelines = context;
  return strcmp(timelines[*(const uint32_t *)a].name, timelines[*(const uint32_t *)b].name);
}

static int compare_pairs(const void *a, const void *b, void *context)
{
  const rk_manifest *const manifest = context;
  const manifest_pair *const x = &manifest->pairs[*(const uint32_t *)a];
  const manifest_pair *const y = &manifest->pairs[*(const uint32_t *)b];
  const int order = compare_timelines(&x->timeline, &y->timeline, manifest->timelines);
  return order != 0 ? order : compare_components(&x->component, &y->component, manifest->components);
}

static uint32_t *sorted(sheet *s, size_t count, int (*compare)(const void *, const void *, void *), void *context)
{
  uint32_t *order = take(s, count, sizeof *order);
  for (size_t i = 0; i < count && order != NULL; i++) {
    order[i] = (uint32_t)i;
  }
  if (order != NULL) {
    qsort_r(order, count, sizeof *order, compare, context);
  }
  return order;
}

static bool open_sheet(sheet *s, size_t capacity)
{
  s->capacity = capacity;
  s->fields = take(s, capacity, sizeof *s->fields);
  s->columns = take(s, capacity, sizeof(void *));
  return !s->failed;
}

/* The batch with one row per chunk. */
static RK_FAR rk_status encode_data(rk_arena *arena, rk_manifest *manifest, rk_buffer *out)
{
  const size_t component_count = manifest->component_numbering.count;
  const size_t timeline_count = manifest->timeline_numbering.count;
  const size_t pair_count = manifest->pair_numbering.count;
  sheet s = {.arena = arena, .row_count = manifest->chunk_count};
  if (!open_sheet(&s, 7 + component_count + 2 * timeline_count + 3 * pair_count)) {
    return RK_ERR_NO_MEMORY;
  }
  add_chunk_columns(&s, manifest);
  const uint32_t *order = sorted(&s, component_count, compare_components, manifest->components);
  for (size_t i = 0; i < component_count && !s.failed; i++) {
    add_statics(&s, &manifest->components[order[i]]);
  }
  order = sorted(&s, timeline_count, compare_timelines, manifest->timelines);
  for (size_t i = 0; i < timeline_count && !s.failed; i++) {
    const manifest_timeline *timeline = &manifest->timelines[order[i]];
    add_range(&s, timeline, NULL, &timeline->range);
  }
  order = sorted(&s, pair_count, compare_pairs, manifest);
  for (size_t i = 0; i < pair_count && !s.failed; i++) {
    const manifest_pair *pair = &manifest->pairs[order[i]];
    add_range(&s, &manifest->timelines[pair->timeline], &manifest->components[pair->component], &pair->range);
  }
  if (s.failed) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_field schema = {.type = RK_TYPE_STRUCT, .name = "", .child_count = s.count, .children = s.fields};
  return rk_ipc_encode(out, &schema, NULL, s.columns, (int64_t)s.row_count);
}

static int compare_field_names(const void *a, const void *b)
{
  return strcmp(((const rk_field *)a)->name, ((const rk_field *)b)->name);
}

static void add_schema_column(sheet *s, const rk_manifest *manifest, const manifest_column *column)
{
  const manifest_component *component = &manifest->components[column->component];
  rk_field *field = add_field(s, column->name, RK_TYPE_LIST, true);
  rk_field *item = take(s, 1, sizeof *item);
  if (s->failed) {
    return;
  }
  *item = *column->item;
  item->name = "item";
  item->nullable = true;
  field->child_count = 1;
  field->children = item;
  pairs p = {.count = 0};
  add_identity(&p, component);
  add_pair(&p, "rerun:entity_path", column->entity_path);
  add_pair(&p, "rerun:is_semantically_empty", column->is_empty ? "true" : NULL);
  add_pair(&p, "rerun:is_static", column->is_static ? "true" : NULL);
  const bool is_tombstone = compare_text(component->archetype, "rerun.archetypes.Clear") == 0 &&
                            strcmp(component->name, "Clear:is_recursive") == 0 &&
                            compare_text(component->component_type, "rerun.components.ClearIsRecursive") == 0;
  add_pair(&p, "rerun:is_tombstone", is_tombstone ? "true" : NULL);
  add_pair(&p, "rerun:kind", "data");
  set_metadata(s, field, &p);
}

rk_status rk_manifest_schema(rk_arena *arena, const rk_manifest *manifest, rk_field *schema)
{
  sheet s = {.arena = arena};
  if (!open_sheet(&s, 1 + manifest->timeline_numbering.count + manifest->column_numbering.count)) {
    return RK_ERR_NO_MEMORY;
  }
  if (manifest->chunk_count > 0) {
    rk_field *field = add_field(&s, "rerun.controls.RowId", RK_TYPE_FIXED_SIZE_BINARY, false);
    field->size = RK_TUID_SIZE;
    pairs p = {.count = 0};
    add_pair(&p, "ARROW:extension:metadata", "{\"namespace\":\"row\"}");
    add_pair(&p, "ARROW:extension:name", "rerun.datatypes.TUID");
    add_pair(&p, "rerun:kind", "control");
    set_metadata(&s, field, &p);
  }
  for (size_t i = 0; i < manifest->timeline_numbering.count; i++) {
    const manifest_timeline *timeline = &manifest->timelines[i];
    rk_field *field = add_field(&s, timeline->name, RK_TYPE_INT64, true);
    set_timeline_type(field, timeline->kind);
    pairs p = {.count = 0};
    add_pair(&p, "rerun:index_name", timeline->name);
    add_pair(&p, "rerun:kind", "index");
    set_metadata(&s, field, &p);
  }
  for (size_t i = 0; i < manifest->column_numbering.count; i++) {
    add_schema_column(&s, manifest, &manifest->columns[i]);
  }
  if (s.failed) {
    return RK_ERR_NO_MEMORY;
  }
  qsort(s.fields, s.count, sizeof *s.fields, compare_field_names);
  *schema = (rk_field){.type = RK_TYPE_STRUCT, .name = "", .child_count = s.count, .children = s.fields};
  return RK_OK;
}

/* The batch as a DataframePart. */
static rk_status put_part(rk_buffer *out, const rk_buffer *batch)
{
  rk_buffer packed = {0};
  rk_compression used;
  const rk_status status = rk_compress(&packed, RK_COMPRESSION_LZ4, batch->data, batch->size, NULL, &used);
  if (status == RK_OK) {
    const size_t part = rk_pb_begin(out, 4);
    rk_pb_varint(out, 1, 1);
    rk_pb_bytes(out, 2, packed.data, packed.size);
    rk_pb_varint(out, 3, used);
    rk_pb_varint(out, 4, batch->size);
    rk_pb_end(out, part);
  }
  rk_buffer_free(&packed);
  return status;
}

static RK_FAR rk_status encode_manifest(rk_buffer *out, rk_manifest *manifest)
{
  rk_arena arena = {0};
  rk_buffer scratch = {0};
  rk_field schema;
  uint8_t digest[RK_SHA256_SIZE];
  rk_status status = rk_manifest_schema(&arena, manifest, &schema);
  status = status == RK_OK ? rk_ipc_encode_schema(&scratch, &schema) : status;
  status = status == RK_OK ? rk_schema_hash(&schema, digest) : status;
  if (status == RK_OK) {
    const size_t message = rk_pb_begin(out, 1);
    const size_t store = rk_pb_begin(out, 1);
    rk_pb_varint(out, 1, manifest->kind);
    rk_pb_text(out, 2, manifest->recording_id);
    const size_t application = rk_pb_begin(out, 3);
    rk_pb_text(out, 1, manifest->application_id);
    rk_pb_end(out, application);
    rk_pb_end(out, store);
    const size_t schema_message = rk_pb_begin(out, 2);
    rk_pb_bytes(out, 1, scratch.data, scratch.size);
    rk_pb_end(out, schema_message);
    rk_pb_bytes(out, 3, digest, sizeof digest);
    rk_buffer_reset(&scratch);
    status = encode_data(&arena, manifest, &scratch);
    status = status == RK_OK ? put_part(out, &scratch) : status;
    rk_pb_end(out, message);
  }
  rk_buffer_free(&scratch);
  rk_arena_free(&arena);
  return status;
}

rk_status rk_footer_encode(rk_buffer *out, rk_manifest *const *manifests, size_t manifest_count, uint64_t file_offset)
{
  const size_t start = out->size;
  uint8_t *header = rk_buffer_extend(out, RK_FRAME_HEADER_SIZE);
  if (header == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  const size_t payload = out->size;
  for (size_t i = 0; i < manifest_count; i++) {
    const rk_status status = encode_manifest(out, manifests[i]);
    if (status != RK_OK) {
      return status;
    }
  }
  if (out->failed) {
    return RK_ERR_NO_MEMORY;
  }
  const size_t payload_size = out->size - payload;
  const rk_frame_header frame = {.kind = RK_FRAME_END, .size = payload_size};
  rk_frame_header_encode(out->data + start, frame);
  const rk_stream_footer footer = {.payload_offset = file_offset + RK_FRAME_HEADER_SIZE,
                                   .payload_size = payload_size,
                                   .payload_hash = rk_footer_hash(out->data + payload, payload_size)};
  uint8_t *trailer = rk_buffer_extend(out, RK_STREAM_FOOTER_SIZE);
  if (trailer == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  rk_stream_footer_encode(trailer, &footer);
  return RK_OK;
}
