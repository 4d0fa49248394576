/* Brings chunks of older sorbet versions (Rerun 0.23 and later) to today's names and column order. The version steps
 * follow Rerun's published migrations: 0.0.1 and 0.0.2 (Rerun 0.23, "rerun." keys), 0.1.0 (0.24), 0.1.1 (to 0.27),
 * 0.1.2 (to 0.29), 0.1.3. */
#include "format/chunk_legacy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "format/bytes.h"

#define VERSION(major, minor, patch) ((uint64_t)(major) << 40 | (uint64_t)(minor) << 20 | (uint64_t)(patch))

/* "1.2.3", anything after the patch number ignored. False: not a version. */
static bool parse_version(const char *text, uint64_t *version)
{
  unsigned part[3];
  if (sscanf(text, "%6u.%6u.%6u", &part[0], &part[1], &part[2]) != 3) {
    return false;
  }
  *version = VERSION(part[0], part[1], part[2]);
  return true;
}

static RK_FAR bool starts_with(const char *text, const char *prefix)
{
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static RK_FAR bool ends_with(const char *text, const char *suffix)
{
  const size_t text_size = strlen(text);
  const size_t suffix_size = strlen(suffix);
  return text_size >= suffix_size && memcmp(text + text_size - suffix_size, suffix, suffix_size) == 0;
}

/* A metadata list that can be changed: a copy with room for one more key per component key. */
typedef struct keys {
  rk_arena *arena;
  rk_metadata *list;
  size_t count;
  bool failed;
} keys;

#define SPARE_KEYS 4

static keys keys_copy(rk_arena *arena, const rk_field *field)
{
  keys k = {.arena = arena, .count = field->metadata_count};
  k.list = rk_arena_array(arena, field->metadata_count + SPARE_KEYS, sizeof *k.list);
  if (!k.list) {
    return (keys){.arena = arena, .failed = true};
  }
  if (field->metadata_count > 0) {
    memcpy(k.list, field->metadata, field->metadata_count * sizeof *k.list);
  }
  return k;
}

/* Where the key is; the count if it is not there. */
static RK_FAR size_t keys_find(const keys *k, const char *key)
{
  size_t i = 0;
  while (i < k->count && strcmp(k->list[i].key, key) != 0) {
    i++;
  }
  return i;
}

static const char *keys_get(const keys *k, const char *key)
{
  const size_t i = keys_find(k, key);
  return i < k->count ? k->list[i].value : NULL;
}

static const char *keys_take(keys *k, const char *key)
{
  const size_t i = keys_find(k, key);
  if (i == k->count) {
    return NULL;
  }
  const char *value = k->list[i].value;
  k->list[i] = k->list[--k->count];
  return value;
}

/* The callers set at most SPARE_KEYS keys that are not there yet. */
static RK_FAR void keys_set(keys *k, const char *key, const char *value)
{
  if (k->failed || !value) {
    return;
  }
  const size_t i = keys_find(k, key);
  k->count += i == k->count;
  k->list[i] = (rk_metadata){.key = key, .value = value, .key_size = strlen(key), .value_size = strlen(value)};
}

/* "rerun.x" keys to "rerun:x". */
static void keys_colon(keys *k)
{
  for (size_t i = 0; i < k->count; i++) {
    if (!starts_with(k->list[i].key, "rerun.")) {
      continue;
    }
    char *key = rk_arena_text(k->arena, k->list[i].key, strlen(k->list[i].key));
    if (!key) {
      k->failed = true;
      return;
    }
    key[5] = ':';
    k->list[i].key = key;
  }
}

/* `pairs`: old and new name, each with its NUL, and an empty one at the end. */
static const char *renamed(const char *pairs, const char *text)
{
  while (*pairs != '\0') {
    const char *to = pairs + strlen(pairs) + 1;
    if (strcmp(pairs, text) == 0) {
      return to;
    }
    pairs = to + strlen(to) + 1;
  }
  return text;
}

/* 0.0.1 to 0.0.2: archetypes that 0.23 deprecated. */
static void rename_archetypes(keys *k)
{
  static const char archetypes[] = "rerun.archetypes.Scalar\0rerun.archetypes.Scalars\0"
                                   "rerun.archetypes.SeriesLine\0rerun.archetypes.SeriesLines\0"
                                   "rerun.archetypes.SeriesPoint\0rerun.archetypes.SeriesPoints\0";
  static const char fields[] = "scalar\0scalars\0"
                               "color\0colors\0"
                               "width\0widths\0"
                               "name\0names\0"
                               "marker\0markers\0"
                               "marker_size\0marker_sizes\0";
  const char *archetype = keys_get(k, "rerun.archetype");
  if (!archetype) {
    return;
  }
  const char *new_archetype = renamed(archetypes, archetype);
  if (new_archetype == archetype) {
    return;
  }
  keys_set(k, "rerun.archetype", new_archetype);
  const char *field = keys_get(k, "rerun.archetype_field");
  if (field) {
    keys_set(k, "rerun.archetype_field", renamed(fields, field));
  }
}

static const char *trim_archetype(const char *name)
{
  while (starts_with(name, "rerun.archetypes.")) {
    name += strlen("rerun.archetypes.");
  }
  while (starts_with(name, "rerun.blueprint.archetypes.")) {
    name += strlen("rerun.blueprint.archetypes.");
  }
  return name;
}

static const char *join(keys *k, const char *a, const char *separator, const char *b)
{
  const size_t a_size = strlen(a);
  const size_t s_size = strlen(separator);
  const size_t b_size = strlen(b);
  char *text = rk_arena_alloc(k->arena, a_size + s_size + b_size + 1);
  if (!text) {
    k->failed = true;
    return NULL;
  }
  memcpy(text, a, a_size);
  memcpy(text + a_size, separator, s_size);
  memcpy(text + a_size + s_size, b, b_size + 1);
  return text;
}

/* 0.0.2 to 0.1.0: (archetype, archetype_field, component) become archetype, "Short:field", component_type. */
static void rewire_component(keys *k, const char *field_name)
{
  const bool indicator = ends_with(field_name, "Indicator");
  const char *component = keys_take(k, "rerun.component");
  const char *archetype = component || indicator ? keys_take(k, "rerun.archetype") : NULL;
  const char *field = component || indicator ? keys_take(k, "rerun.archetype_field") : NULL;
  if (indicator) {
    if (!component) {
      component = starts_with(field_name, "rerun.") ? field_name : join(k, "rerun.components.", "", field_name);
    }
    keys_set(k, "rerun:component", component);
    return;
  }
  if (!component) {
    return;
  }
  const char *type = NULL;
  const char *identifier = component;
  if (archetype && field) {
    identifier = join(k, trim_archetype(archetype), ":", field);
    type = component;
  } else if (field) {
    identifier = field;
    type = component;
  } else if (archetype && ends_with(component, "Indicator")) {
    archetype = NULL;
  } else if (archetype) {
    type = component;
  }
  keys_set(k, "rerun:archetype", archetype);
  keys_set(k, "rerun:component", identifier);
  keys_set(k, "rerun:component_type", type);
}

/* Every "RecordingProperties" in `text` as "RecordingInfo". */
static const char *recording_info(keys *k, const char *text)
{
  static const char old_name[] = "RecordingProperties";
  static const char new_name[] = "RecordingInfo";
  static_assert(sizeof new_name <= sizeof old_name, "the copy does not grow");
  if (!strstr(text, old_name)) {
    return text;
  }
  char *copy = rk_arena_text(k->arena, text, strlen(text));
  if (!copy) {
    k->failed = true;
    return text;
  }
  for (char *p = copy; (p = strstr(p, old_name)) != NULL; p += sizeof new_name - 1) {
    memcpy(p, new_name, sizeof new_name - 1);
    const char *rest = p + sizeof old_name - 1;
    memmove(p + sizeof new_name - 1, rest, strlen(rest) + 1);
  }
  return copy;
}

static void port_recording_info(keys *k)
{
  for (size_t i = 0; i < k->count; i++) {
    const char *value = recording_info(k, k->list[i].value);
    if (strcmp(k->list[i].key, "rerun:entity_path") == 0 && strcmp(value, "/__properties/recording") == 0) {
      value = "/__properties";
    }
    if (value != k->list[i].value) {
      k->list[i].value = value;
      k->list[i].value_size = strlen(value);
    }
  }
}

/* 0.1.1 to 0.1.2. */
static void rename_transforms(keys *k)
{
  static const char types[] = "rerun.components.PoseTranslation3D\0rerun.components.Translation3D\0"
                              "rerun.components.PoseRotationAxisAngle\0rerun.components.RotationAxisAngle\0"
                              "rerun.components.PoseRotationQuat\0rerun.components.RotationQuat\0"
                              "rerun.components.PoseScale3D\0rerun.components.Scale3D\0"
                              "rerun.components.PoseTransformMat3x3\0rerun.components.TransformMat3x3\0";
  const char *type = keys_get(k, "rerun:component_type");
  if (type && renamed(types, type) != type) {
    keys_set(k, "rerun:component_type", renamed(types, type));
  }
  const char *component = keys_get(k, "rerun:component");
  if (component && strcmp(component, "Transform3D:axis_length") == 0) {
    keys_set(k, "rerun:archetype", "rerun.archetypes.TransformAxes3D");
    keys_set(k, "rerun:component", "TransformAxes3D:axis_length");
  } else if (component && strcmp(component, "CoordinateFrame:frame_id") == 0) {
    keys_set(k, "rerun:component", "CoordinateFrame:frame");
  }
}

/* 0.1.2 to 0.1.3. */
static void rename_visible(keys *k)
{
  const char *type = keys_get(k, "rerun:component_type");
  if (type && strcmp(type, "rerun.components.SeriesVisible") == 0) {
    keys_set(k, "rerun:component_type", "rerun.components.Visible");
  }
}

static RK_FAR void upgrade_keys(keys *k, const char *field_name, uint64_t version)
{
  if (version < VERSION(0, 0, 2)) {
    rename_archetypes(k);
  }
  if (version < VERSION(0, 1, 0)) {
    rewire_component(k, field_name);
    keys_colon(k);
    port_recording_info(k);
  }
  if (version < VERSION(0, 1, 2)) {
    rename_transforms(k);
  }
  if (version < VERSION(0, 1, 3)) {
    rename_visible(k);
  }
}

/* 0 row id, 1 index, 2 component. */
static int column_group(const rk_field *field)
{
  const char *kind = rk_field_metadata(field, "rerun:kind");
  if (kind && (strcmp(kind, "control") == 0 || strcmp(kind, "row_id") == 0)) {
    return 0;
  }
  return kind && (strcmp(kind, "index") == 0 || strcmp(kind, "time") == 0) ? 1 : 2;
}

static bool is_indicator(const rk_field *field)
{
  const char *flag = rk_field_metadata(field, "rerun:is_indicator");
  if (flag) {
    return strcmp(flag, "true") == 0;
  }
  const char *component = rk_field_metadata(field, "rerun:component");
  return component && starts_with(component, "rerun.components.") && ends_with(component, "Indicator");
}

static bool schema_version(const rk_field *schema, uint64_t *version)
{
  const char *text = rk_field_metadata(schema, "sorbet:version");
  if (text) {
    return parse_version(text, version);
  }
  *version = rk_field_metadata(schema, "rerun:version") ? VERSION(0, 0, 2) : VERSION(0, 0, 1);
  return true;
}

rk_status rk_chunk_upgrade(rk_arena *arena, const rk_field **schema, const struct ArrowArray *const **columns)
{
  const rk_field *old = *schema;
  uint64_t version;
  if (!schema_version(old, &version) || version >= VERSION(0, 1, 3)) {
    return RK_OK;
  }
  rk_field *fields = rk_arena_array(arena, old->child_count, sizeof *fields);
  rk_field *ordered = rk_arena_array(arena, old->child_count, sizeof *ordered);
  const struct ArrowArray **arrays = rk_arena_array(arena, old->child_count, sizeof *arrays);
  rk_field *top = rk_arena_alloc(arena, sizeof *top);
  if (!top || (old->child_count > 0 && (!fields || !ordered || !arrays))) {
    return RK_ERR_NO_MEMORY;
  }

  for (size_t i = 0; i < old->child_count; i++) {
    keys k = keys_copy(arena, &old->children[i]);
    if (!k.failed) {
      upgrade_keys(&k, old->children[i].name, version);
    }
    if (k.failed) {
      return RK_ERR_NO_MEMORY;
    }
    fields[i] = old->children[i];
    fields[i].metadata = k.list;
    fields[i].metadata_count = k.count;
  }

  size_t count = 0;
  for (int group = 0; group < 3; group++) {
    for (size_t i = 0; i < old->child_count; i++) {
      if (column_group(&fields[i]) == group &&
          !(version < VERSION(0, 1, 1) && group == 2 && is_indicator(&fields[i]))) {
        ordered[count] = fields[i];
        arrays[count] = (*columns)[i];
        count++;
      }
    }
  }

  keys k = keys_copy(arena, old);
  if (!k.failed && version < VERSION(0, 1, 0)) {
    (void)keys_take(&k, "rerun.version");
    keys_colon(&k);
    port_recording_info(&k);
  }
  if (k.failed) {
    return RK_ERR_NO_MEMORY;
  }
  *top = *old;
  top->children = ordered;
  top->child_count = count;
  top->metadata = k.list;
  top->metadata_count = k.count;
  *schema = top;
  *columns = arrays;
  return RK_OK;
}
