/* Arrow IPC: the Schema table to a tree of fields. */
#include "format/error.h"
#include "format/field_format.h"
#include "format/ipc_decode.h"
#include "format/layout.h"
#include "format/utf8.h"

#define FIELD_WORK    64
#define METADATA_WORK 32

static bool charge(rk_ipc_decoder *d, size_t count, size_t each)
{
  if (count > d->schema_work / each) {
    return false;
  }
  d->schema_work -= count * each;
  return true;
}

/* A name, key or value; "" where absent. `*text` lies in the arena. */
static rk_status decode_text(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t slot, bool allow_nul,
                             const char **text, size_t *size)
{
  *size = 0;
  const char *found = rk_fb_get_string(fb, table, slot, size);
  if (found == NULL) {
    *text = "";
    return fb->bad ? rk_ipc_corrupt(d, "damaged text in the schema") : RK_OK;
  }
  if (!charge(d, *size + 8, 1)) {
    return rk_ipc_corrupt(d, "the schema's texts overlap");
  }
  if (!rk_utf8_valid(found, *size)) {
    return rk_ipc_corrupt(d, "text in the schema is not UTF-8");
  }
  if (!allow_nul && memchr(found, 0, *size) != NULL) {
    return rk_ipc_corrupt(d, "NUL in a name");
  }
  *text = rk_arena_text(d->arena, found, *size);
  return *text == NULL ? rk_ipc_no_memory(d) : RK_OK;
}

static rk_status decode_metadata(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t slot,
                                 rk_field *field)
{
  rk_fb_vector_at vector;
  if (!rk_fb_get_vector(fb, table, slot, 4, &vector)) {
    return fb->bad ? rk_ipc_corrupt(d, "damaged metadata") : RK_OK;
  }
  if (!charge(d, vector.count, METADATA_WORK)) {
    return rk_ipc_corrupt(d, "the schema's tables overlap");
  }
  rk_metadata *metadata = rk_arena_array(d->arena, vector.count, sizeof *metadata);
  if (metadata == NULL) {
    return rk_ipc_no_memory(d);
  }
  for (size_t i = 0; i < vector.count; i++) {
    const rk_fb_table_at entry = rk_fb_vector_table(fb, vector, i);
    if (entry.at == 0) {
      return rk_ipc_corrupt(d, "damaged metadata");
    }
    rk_status status = decode_text(d, fb, entry, 0, false, &metadata[i].key, &metadata[i].key_size);
    if (status == RK_OK) {
      status = decode_text(d, fb, entry, 1, true, &metadata[i].value, &metadata[i].value_size);
    }
    if (status != RK_OK) {
      return status;
    }
  }
  field->metadata = metadata;
  field->metadata_count = vector.count;
  return RK_OK;
}

static bool decode_int(rk_fb_reader *fb, rk_fb_table_at table, rk_type_id *type)
{
  const uint64_t bits = rk_fb_get(fb, table, 0, 4, 0);
  const rk_type_id smallest = rk_fb_get(fb, table, 1, 1, 0) != 0 ? RK_TYPE_INT8 : RK_TYPE_UINT8;
  unsigned doubled = 0;
  while (doubled < 4 && bits != UINT64_C(8) << doubled) {
    doubled++;
  }
  *type = smallest + doubled % 4;
  return doubled < 4;
}

/* The first of the types of one number in the union, or the one that follows it by `step`, at most `last`. */
static bool decode_step(rk_fb_reader *fb, rk_fb_table_at table, uint64_t otherwise, unsigned last, rk_field *field)
{
  const uint64_t step = rk_fb_get(fb, table, 0, 2, otherwise);
  field->type += step <= last ? (unsigned)step : 0;
  return step <= last;
}

static bool decode_unit(rk_fb_reader *fb, rk_fb_table_at table, unsigned otherwise, rk_field *field)
{
  const unsigned unit = (unsigned)rk_fb_get(fb, table, 0, 2, otherwise);
  field->unit = (rk_time_unit)(unit & 3);
  return unit <= RK_UNIT_NANO;
}

static bool decode_time(rk_fb_reader *fb, rk_fb_table_at table, rk_field *field)
{
  const uint64_t bits = rk_fb_get(fb, table, 1, 4, 32);
  field->type = bits == 32 ? RK_TYPE_TIME32 : RK_TYPE_TIME64;
  return decode_unit(fb, table, RK_UNIT_MILLI, field) &&
         bits == (field->unit == RK_UNIT_SECOND || field->unit == RK_UNIT_MILLI ? 32U : 64U);
}

static bool decode_decimal(rk_fb_reader *fb, rk_fb_table_at table, rk_field *field)
{
  const uint64_t bits = rk_fb_get(fb, table, 2, 4, 128);
  field->type = bits == 128 ? RK_TYPE_DECIMAL128 : RK_TYPE_DECIMAL256;
  field->precision = (int32_t)rk_fb_get(fb, table, 0, 4, 0);
  field->scale = (int32_t)rk_fb_get(fb, table, 1, 4, 0);
  return (bits == 128 || bits == 256) && field->precision >= 1 && field->precision <= (bits == 128 ? 38 : 76) &&
         field->scale >= -128 && field->scale <= 127;
}

static bool decode_size(rk_fb_reader *fb, rk_fb_table_at table, int32_t max, rk_field *field)
{
  field->size = (int32_t)rk_fb_get(fb, table, 0, 4, 0);
  return field->size >= 0 && field->size <= max;
}

static rk_status decode_union(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t child_count,
                              rk_field *field)
{
  const bool known = decode_step(fb, table, 0, 1, field);
  rk_fb_vector_at ids;
  const bool has_ids = rk_fb_get_vector(fb, table, 1, 4, &ids);
  if (!known || child_count > 127 || (has_ids && ids.count != child_count)) {
    return rk_ipc_corrupt(d, "impossible union type");
  }
  int8_t *type_ids = rk_arena_array(d->arena, child_count, 1);
  if (type_ids == NULL) {
    return rk_ipc_no_memory(d);
  }
  for (size_t i = 0; i < child_count; i++) {
    const int32_t id = has_ids ? rk_load_i32(fb->data + ids.at + 4 * i) : (int32_t)i;
    if (id < 0 || id > 127) {
      return rk_ipc_corrupt(d, "impossible union type id");
    }
    type_ids[i] = (int8_t)id;
  }
  field->type_ids = type_ids;
  return RK_OK;
}

static rk_status decode_type(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t child_count,
                             rk_field *field)
{
  const unsigned id = (unsigned)rk_fb_get(fb, table, RK_FIELD_TYPE_TYPE, 1, 0);
  const rk_fb_table_at type = rk_fb_get_table(fb, table, RK_FIELD_TYPE);
  if (fb->bad || type.at == 0) {
    return rk_ipc_corrupt(d, "field without type");
  }
  field->type = rk_ipc_type_find(id);
  if (field->type == RK_TYPE_NULL && id != RK_FB_NULL) {
    return id == 0 ? rk_ipc_corrupt(d, "field without type")
                   : rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow type number %u is not supported", id);
  }
  bool ok = true;
  rk_status status = RK_OK;
  size_t size;
  switch (id) {
  case RK_FB_INT:
    ok = decode_int(fb, type, &field->type);
    break;
  case RK_FB_FLOAT:
    ok = decode_step(fb, type, 0, 2, field);
    break;
  case RK_FB_DECIMAL:
    ok = decode_decimal(fb, type, field);
    break;
  case RK_FB_DATE:
    ok = decode_step(fb, type, 1, 1, field);
    break;
  case RK_FB_TIME:
    ok = decode_time(fb, type, field);
    break;
  case RK_FB_TIMESTAMP:
    status = decode_text(d, fb, type, 1, false, &field->timezone, &size);
    field->timezone = size == 0 ? NULL : field->timezone;
    ok = decode_unit(fb, type, RK_UNIT_SECOND, field);
    break;
  case RK_FB_UNION:
    status = decode_union(d, fb, type, child_count, field);
    break;
  case RK_FB_FIXED_SIZE_BINARY:
    ok = decode_size(fb, type, RK_FIXED_SIZE_BINARY_MAX, field);
    break;
  case RK_FB_FIXED_SIZE_LIST:
    ok = decode_size(fb, type, INT32_MAX, field);
    break;
  case RK_FB_MAP:
    field->keys_sorted = rk_fb_get(fb, type, 0, 1, 0) != 0;
    break;
  case RK_FB_DURATION:
    ok = decode_unit(fb, type, RK_UNIT_MILLI, field);
    break;
  default:
    break;
  }
  if (status != RK_OK) {
    return status;
  }
  return ok && !fb->bad ? RK_OK : rk_ipc_corrupt(d, "impossible parameters of a type");
}

static rk_status decode_encoding(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at encoding, rk_field *field)
{
  rk_field *value = rk_arena_alloc(d->arena, sizeof *value);
  if (value == NULL) {
    return rk_ipc_no_memory(d);
  }
  *value = *field;
  value->metadata_count = 0;
  if (field->child_count != 0 || field->type == RK_TYPE_NULL || d->dictionary_count == RK_IPC_DICTIONARY_MAX) {
    return rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow IPC: %s",
                   field->child_count != 0 ? "dictionary of a nested type" : "too many dictionaries");
  }
  *field = (rk_field){.type = RK_TYPE_INT32,
                      .nullable = field->nullable,
                      .name = field->name,
                      .metadata_count = field->metadata_count,
                      .metadata = field->metadata,
                      .dictionary = value};
  const rk_fb_table_at index = rk_fb_get_table(fb, encoding, RK_DICTIONARY_INDEX_TYPE);
  const uint64_t id = rk_fb_get(fb, encoding, RK_DICTIONARY_ID, 8, 0);
  if (fb->bad || (index.at != 0 && !decode_int(fb, index, &field->type))) {
    return rk_ipc_corrupt(d, "impossible dictionary encoding");
  }
  d->dictionaries[d->dictionary_count++] = (rk_ipc_dictionary){.id = (int64_t)id, .value = value};
  return RK_OK;
}

static rk_status decode_children(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t slot, int depth,
                                 rk_field *parent);

static rk_status decode_field(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, int depth, rk_field *field)
{
  if (depth > RK_TYPE_DEPTH_MAX + 1) { /* a column may be a list of a type that is as deep as types may be */
    return rk_fail(d->error, RK_ERR_LIMIT, d->metadata_at, "Arrow type nested more than %d deep", RK_TYPE_DEPTH_MAX);
  }
  size_t size;
  rk_status status = decode_text(d, fb, table, RK_FIELD_NAME, false, &field->name, &size);
  if (status != RK_OK) {
    return status;
  }
  field->nullable = rk_fb_get(fb, table, RK_FIELD_NULLABLE, 1, 0) != 0;
  status = decode_children(d, fb, table, RK_FIELD_CHILDREN, depth + 1, field);
  if (status == RK_OK) {
    status = decode_type(d, fb, table, field->child_count, field);
  }
  if (status == RK_OK) {
    status = decode_metadata(d, fb, table, RK_FIELD_METADATA, field);
  }
  if (status != RK_OK) {
    return status;
  }
  if (rk_field_check_children(field, NULL) != RK_OK) {
    return rk_ipc_corrupt(d, "children do not suit the type");
  }
  const rk_fb_table_at encoding = rk_fb_get_table(fb, table, RK_FIELD_DICTIONARY);
  if (fb->bad) {
    return rk_ipc_corrupt(d, "damaged field");
  }
  return encoding.at == 0 ? RK_OK : decode_encoding(d, fb, encoding, field);
}

static rk_status decode_children(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t slot, int depth,
                                 rk_field *parent)
{
  rk_fb_vector_at vector;
  if (!rk_fb_get_vector(fb, table, slot, 4, &vector)) {
    return fb->bad ? rk_ipc_corrupt(d, "damaged list of fields") : RK_OK;
  }
  if (!charge(d, vector.count, FIELD_WORK)) {
    return rk_ipc_corrupt(d, "the schema's tables overlap");
  }
  parent->children = rk_arena_array(d->arena, vector.count, sizeof *parent->children);
  if (parent->children == NULL) {
    return rk_ipc_no_memory(d);
  }
  for (size_t i = 0; i < vector.count; i++) {
    const rk_fb_table_at child = rk_fb_vector_table(fb, vector, i);
    if (child.at == 0) {
      return rk_ipc_corrupt(d, "damaged list of fields");
    }
    const rk_status status = decode_field(d, fb, child, depth, parent->children + i);
    if (status != RK_OK) {
      return status;
    }
  }
  parent->child_count = vector.count;
  return RK_OK;
}

rk_status rk_ipc_decode_schema(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, rk_field **schema)
{
  d->schema_work = 8 * fb->size;
  rk_field *made = rk_arena_alloc(d->arena, sizeof *made);
  if (made == NULL) {
    return rk_ipc_no_memory(d);
  }
  made->type = RK_TYPE_STRUCT;
  made->name = "";
  if (rk_fb_get(fb, table, RK_SCHEMA_ENDIANNESS, 2, 0) != 0) {
    return rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow IPC: big-endian data");
  }
  rk_status status = decode_children(d, fb, table, RK_SCHEMA_FIELDS, 0, made);
  if (status == RK_OK) {
    status = decode_metadata(d, fb, table, RK_SCHEMA_METADATA, made);
  }
  if (status == RK_OK && fb->bad) {
    status = rk_ipc_corrupt(d, "damaged schema");
  }
  *schema = made;
  return status;
}
