/* Fields: widths, comparison, copies, and the C data interface's ArrowSchema. */
#include "format/field.h"

#include "format/bytes.h"
#include "format/error.h"
#include "format/field_format.h"
#include "format/layout.h"

unsigned rk_type_bits(rk_type_id type, int32_t size)
{
  switch (type) {
  case RK_TYPE_BOOL:
    return 1;
  case RK_TYPE_INT8:
  case RK_TYPE_UINT8:
    return 8;
  case RK_TYPE_INT16:
  case RK_TYPE_UINT16:
  case RK_TYPE_FLOAT16:
    return 16;
  case RK_TYPE_INT32:
  case RK_TYPE_UINT32:
  case RK_TYPE_FLOAT32:
  case RK_TYPE_DATE32:
  case RK_TYPE_TIME32:
    return 32;
  case RK_TYPE_INT64:
  case RK_TYPE_UINT64:
  case RK_TYPE_FLOAT64:
  case RK_TYPE_TIMESTAMP:
  case RK_TYPE_DURATION:
  case RK_TYPE_DATE64:
  case RK_TYPE_TIME64:
    return 64;
  case RK_TYPE_DECIMAL128:
    return 128;
  case RK_TYPE_DECIMAL256:
    return 256;
  case RK_TYPE_FIXED_SIZE_BINARY:
    return (unsigned)size * 8;
  default:
    return 0;
  }
}

size_t rk_field_packed_size(const rk_field *field)
{
  size_t size = 1;
  for (; field->dictionary == NULL && field->type == RK_TYPE_FIXED_SIZE_LIST; field = field->children) {
    if (__builtin_mul_overflow(size, (size_t)field->size, &size)) {
      return 0;
    }
  }
  const unsigned bits = field->dictionary != NULL ? 0 : rk_type_bits(field->type, field->size);
  return bits < 8 || __builtin_mul_overflow(size, (size_t)(bits / 8), &size) ? 0 : size;
}

static bool text_equal(const char *a, const char *b)
{
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool has_unit(rk_type_id type)
{
  return type == RK_TYPE_TIMESTAMP || type == RK_TYPE_DURATION || type == RK_TYPE_TIME32 || type == RK_TYPE_TIME64;
}

bool rk_field_type_equal(const rk_field *a, const rk_field *b)
{
  if (a == b) {
    return true;
  }
  if (a->type != b->type || a->child_count != b->child_count || a->size != b->size || a->precision != b->precision ||
      a->scale != b->scale || a->keys_sorted != b->keys_sorted || (has_unit(a->type) && a->unit != b->unit) ||
      !text_equal(a->timezone, b->timezone) || (a->dictionary == NULL) != (b->dictionary == NULL)) {
    return false;
  }
  if (a->dictionary != NULL && !rk_field_type_equal(a->dictionary, b->dictionary)) {
    return false;
  }
  if (rk_type_is_union(a->type) && a->child_count != 0 && memcmp(a->type_ids, b->type_ids, a->child_count) != 0) {
    return false;
  }
  for (size_t i = 0; i < a->child_count; i++) {
    const rk_field *x = a->children + i, *y = b->children + i;
    if (x->nullable != y->nullable || strcmp(x->name, y->name) != 0 || !rk_field_type_equal(x, y)) {
      return false;
    }
  }
  return true;
}

const char *rk_field_metadata(const rk_field *field, const char *key)
{
  for (size_t i = 0; i < field->metadata_count; i++) {
    if (strcmp(field->metadata[i].key, key) == 0) {
      return field->metadata[i].value;
    }
  }
  return NULL;
}

rk_status rk_field_check_children(const rk_field *field, rk_error *error)
{
  if (rk_type_is_ranges(field->type) || field->type == RK_TYPE_FIXED_SIZE_LIST) {
    if (field->child_count != 1) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a list type needs one child");
    }
    const rk_field *child = field->children;
    if (field->type == RK_TYPE_MAP && (child->type != RK_TYPE_STRUCT || child->child_count != 2)) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a map needs one struct child of key and value");
    }
  } else if (rk_type_is_union(field->type)) {
    bool seen[128] = {false};
    for (size_t i = 0; i < field->child_count; i++) {
      const int8_t id = field->type_ids[i];
      if (id < 0 || seen[id]) {
        return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "union type ids are distinct and not negative");
      }
      seen[id] = true;
    }
  } else if (field->type != RK_TYPE_STRUCT && field->child_count != 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "this type has no children");
  }
  return RK_OK;
}

/* ---- Export ---- */

static void release_schema(struct ArrowSchema *schema)
{
  schema->release = NULL;
}

static char *export_format(rk_arena *arena, const rk_field *field)
{
  rk_buffer text = {0};
  rk_format_append(field, false, &text);
  char *copy = text.failed ? NULL : rk_arena_text(arena, (const char *)text.data, text.size);
  rk_buffer_free(&text);
  return copy;
}

static char *export_metadata(rk_arena *arena, const rk_field *field)
{
  size_t size = 4;
  for (size_t i = 0; i < field->metadata_count; i++) {
    size += 8 + field->metadata[i].key_size + field->metadata[i].value_size;
  }
  char *bytes = rk_arena_alloc(arena, size);
  if (bytes == NULL) {
    return NULL;
  }
  char *at = bytes;
  rk_store_u32(at, (uint32_t)field->metadata_count);
  at += 4;
  for (size_t i = 0; i < field->metadata_count; i++) {
    const rk_metadata *m = field->metadata + i;
    rk_store_u32(at, (uint32_t)m->key_size);
    memcpy(at + 4, m->key, m->key_size);
    at += 4 + m->key_size;
    rk_store_u32(at, (uint32_t)m->value_size);
    memcpy(at + 4, m->value, m->value_size);
    at += 4 + m->value_size;
  }
  return bytes;
}

rk_status rk_field_export(rk_arena *arena, const rk_field *field, struct ArrowSchema **schema)
{
  struct ArrowSchema *made = rk_arena_alloc(arena, sizeof *made);
  if (made == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  made->format = export_format(arena, field);
  made->name = rk_arena_text(arena, field->name, strlen(field->name));
  made->metadata = field->metadata_count == 0 ? NULL : export_metadata(arena, field);
  made->flags = (field->nullable ? ARROW_FLAG_NULLABLE : 0) | (field->keys_sorted ? ARROW_FLAG_MAP_KEYS_SORTED : 0);
  made->n_children = (int64_t)field->child_count;
  made->children = rk_arena_array(arena, field->child_count, sizeof(struct ArrowSchema *));
  made->release = release_schema;
  if (made->format == NULL || made->name == NULL || (made->metadata == NULL && field->metadata_count != 0) ||
      made->children == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    const rk_status status = rk_field_export(arena, field->children + i, made->children + i);
    if (status != RK_OK) {
      return status;
    }
  }
  if (field->dictionary != NULL) {
    const rk_status status = rk_field_export(arena, field->dictionary, &made->dictionary);
    if (status != RK_OK) {
      return status;
    }
  }
  *schema = made;
  return RK_OK;
}

/* ---- Copy ---- */

static bool copy_into(rk_arena *arena, const rk_field *field, rk_field *copy)
{
  *copy = *field;
  copy->name = rk_arena_text(arena, field->name, strlen(field->name));
  if (copy->name == NULL) {
    return false;
  }
  if (field->timezone != NULL) {
    copy->timezone = rk_arena_text(arena, field->timezone, strlen(field->timezone));
    if (copy->timezone == NULL) {
      return false;
    }
  }
  if (field->type_ids != NULL) {
    int8_t *ids = rk_arena_array(arena, field->child_count, 1);
    if (ids == NULL) {
      return false;
    }
    memcpy(ids, field->type_ids, field->child_count);
    copy->type_ids = ids;
  }
  if (field->metadata_count != 0) {
    rk_metadata *metadata = rk_arena_array(arena, field->metadata_count, sizeof *metadata);
    if (metadata == NULL) {
      return false;
    }
    for (size_t i = 0; i < field->metadata_count; i++) {
      metadata[i] = field->metadata[i];
      metadata[i].key = rk_arena_text(arena, field->metadata[i].key, field->metadata[i].key_size);
      metadata[i].value = rk_arena_text(arena, field->metadata[i].value, field->metadata[i].value_size);
      if (metadata[i].key == NULL || metadata[i].value == NULL) {
        return false;
      }
    }
    copy->metadata = metadata;
  }
  copy->children = rk_arena_array(arena, field->child_count, sizeof *copy->children);
  if (copy->children == NULL) {
    return false;
  }
  for (size_t i = 0; i < field->child_count; i++) {
    if (!copy_into(arena, field->children + i, copy->children + i)) {
      return false;
    }
  }
  if (field->dictionary != NULL) {
    copy->dictionary = rk_field_copy(arena, field->dictionary);
    return copy->dictionary != NULL;
  }
  return true;
}

rk_field *rk_field_copy(rk_arena *arena, const rk_field *field)
{
  rk_field *copy = rk_arena_alloc(arena, sizeof *copy);
  return copy != NULL && copy_into(arena, field, copy) ? copy : NULL;
}
