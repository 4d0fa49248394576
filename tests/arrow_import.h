/* A field from an exported schema of the C data interface; what it says must be right. */
#ifndef RK_TESTS_ARROW_IMPORT_H
#define RK_TESTS_ARROW_IMPORT_H

#include <assert.h>

#include "format/bytes.h"
#include "format/field_format.h"
#include "format/layout.h"

/* Metadata of the C data interface: int32 count, then int32 size and bytes of key and value each. Lent. */
static inline void arrow_import_metadata(rk_arena *arena, const char *bytes, rk_field *field)
{
  const uint32_t count = bytes == NULL ? 0 : rk_load_u32(bytes);
  rk_metadata *metadata = rk_arena_array(arena, count, sizeof *metadata);
  assert(metadata != NULL || count == 0);
  bytes += bytes == NULL ? 0 : 4;
  for (uint32_t i = 0; i < count; i++) {
    metadata[i].key_size = rk_load_u32(bytes);
    metadata[i].key = rk_arena_text(arena, bytes + 4, metadata[i].key_size);
    bytes += 4 + metadata[i].key_size;
    metadata[i].value_size = rk_load_u32(bytes);
    metadata[i].value = rk_arena_text(arena, bytes + 4, metadata[i].value_size);
    bytes += 4 + metadata[i].value_size;
  }
  field->metadata = metadata;
  field->metadata_count = count;
}

static inline rk_field *arrow_import(rk_arena *arena, const struct ArrowSchema *schema)
{
  rk_field *field = rk_arena_alloc(arena, sizeof *field);
  const char *text = schema->format;
  assert(field != NULL && rk_format_parse(arena, &text, false, field, NULL) == RK_OK && *text == '\0');
  field->name = rk_arena_text(arena, schema->name, strlen(schema->name));
  field->nullable = (schema->flags & ARROW_FLAG_NULLABLE) != 0;
  field->keys_sorted = (schema->flags & ARROW_FLAG_MAP_KEYS_SORTED) != 0;
  arrow_import_metadata(arena, schema->metadata, field);
  field->child_count = (size_t)schema->n_children;
  field->children = rk_arena_array(arena, field->child_count, sizeof *field->children);
  for (size_t i = 0; i < field->child_count; i++) {
    field->children[i] = *arrow_import(arena, schema->children[i]);
  }
  field->dictionary = schema->dictionary == NULL ? NULL : arrow_import(arena, schema->dictionary);
  assert(rk_field_check_children(field, NULL) == RK_OK);
  return field;
}

#endif
