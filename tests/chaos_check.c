/* The chaos harness: recognising rows. */
#include <stdio.h>
#include <string.h>

#include "chaos_rows.h"
#include "format/layout.h"

static const rk_component_cell *find(const rk_row *row, const char *component)
{
  for (size_t i = 0; i < row->component_count; i++) {
    if (strcmp(row->components[i].component, component) == 0) {
      return &row->components[i];
    }
  }
  return NULL;
}

/* The `width`-byte values of a cell, from the array (or its items) that holds them. */
static bool values_equal(const struct ArrowArray *array, int64_t start, size_t count, size_t width,
                         const void *expected)
{
  const uint8_t *values = array->buffers[1];
  return memcmp(values + (size_t)(array->offset + start) * width, expected, count * width) == 0;
}

static bool text_equal(const rk_component_cell *cell, const char *expected, size_t size)
{
  const struct ArrowArray *array = cell->values;
  const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + cell->start;
  return cell->count == 1 && (size_t)(offsets[1] - offsets[0]) == size &&
         memcmp((const char *)array->buffers[2] + offsets[0], expected, size) == 0;
}

static bool blob_equal(const rk_component_cell *cell, const uint8_t *expected, size_t size)
{
  const struct ArrowArray *array = cell->values, *bytes = array->children[0];
  const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + cell->start;
  return cell->count == 1 && (size_t)(offsets[1] - offsets[0]) == size &&
         memcmp((const uint8_t *)bytes->buffers[1] + bytes->offset + offsets[0], expected, size) == 0;
}

static bool many_equal(const rk_component_cell *cell, unsigned which, const chaos_cells *given)
{
  const size_t count = given->counts[which];
  if ((size_t)cell->count != count || count == 0) {
    return count == 0 && cell->count == 0;
  }
  const struct ArrowArray *array = cell->values;
  const int64_t start = array->offset + cell->start;
  if (which == CELL_ARRAY) {
    return chaos_array_equal(given, array, cell->start);
  }
  if (which == CELL_PACKED) {
    return values_equal(array->children[0], 3 * start, 3 * count, 4, given->packed);
  }
  for (size_t i = 0; i < count; i++) {
    if (which == CELL_BOOLS) {
      if (rk_bit_get(array->buffers[1], start + (int64_t)i) != given->bools[i]) {
        return false;
      }
      continue;
    }
    const int32_t *offsets = (const int32_t *)array->buffers[1] + start + i;
    const struct ArrowArray *bytes = which == CELL_SPANS ? array->children[0] : NULL;
    const uint8_t *data =
        bytes != NULL ? (const uint8_t *)bytes->buffers[1] + bytes->offset : (const uint8_t *)array->buffers[2];
    const void *expected = which == CELL_SPANS ? given->spans[i].data : given->texts[i];
    const size_t size = which == CELL_SPANS ? given->spans[i].count : strlen(given->texts[i]);
    if ((size_t)(offsets[1] - offsets[0]) != size || (size != 0 && memcmp(data + offsets[0], expected, size) != 0)) {
      return false;
    }
  }
  return true;
}

static const char *check_many(const rk_row *row, const chaos_row *of, uint64_t key, const uint8_t *payload)
{
  rk_arena arena = {0};
  chaos_cells given;
  chaos_cells_of(of, payload, &arena, &given);
  const rk_component_cell *cell = find(row, "chaos:key");
  const char *wrong =
      cell == NULL || cell->count != 1 || !values_equal(cell->values, cell->start, 1, 8, &key) ? "another key" : NULL;
  size_t count = 1;
  for (unsigned i = 0; i < CELL_COUNT && wrong == NULL; i++) {
    char name[24];
    chaos_array_name(given.type, name);
    cell = find(row, i == CELL_ARRAY ? name : chaos_cell_names[i]);
    if ((given.present >> i & 1) != 0) {
      count++;
      wrong =
          cell == NULL || !many_equal(cell, i, &given)
              ? (const char *const[]){"other spans", "other texts", "other bools", "other vectors", "another array"}[i]
              : NULL;
    }
  }
  rk_arena_free(&arena);
  return wrong == NULL && row->component_count != count ? "other components" : wrong;
}

static const char *check_values(const rk_row *row, const chaos_row *of, uint64_t key, const uint8_t *expected)
{
  const rk_component_cell *a = NULL, *b = NULL;
  switch (of->kind) {
  case KIND_BLOB:
  case KIND_STATIC:
    a = find(row, "chaos:key");
    b = find(row, "chaos:payload");
    return row->component_count != 2 || a == NULL || b == NULL ? "other components"
           : a->count != 1 || !values_equal(a->values, a->start, 1, 8, &key) || !blob_equal(b, expected, of->size)
               ? "another payload"
               : NULL;
  case KIND_TEXT:
    a = find(row, "TextLog:text");
    b = find(row, "TextLog:level");
    return row->component_count != 2 || a == NULL || b == NULL                              ? "other components"
           : !text_equal(a, (const char *)expected, of->size) || !text_equal(b, "CHAOS", 5) ? "another text"
                                                                                            : NULL;
  case KIND_POINTS: {
    const size_t count = chaos_points_of(of);
    a = find(row, "Points3D:positions");
    b = find(row, "Points3D:colors");
    if (row->component_count != 2 || a == NULL || b == NULL) {
      return "other components";
    }
    const struct ArrowArray *xyz = a->values->children[0];
    return (size_t)a->count != count || (size_t)b->count != count ||
                   !values_equal(xyz, 3 * (a->values->offset + a->start), 3 * count, 4, expected) ||
                   !values_equal(b->values, b->start, count, 4, expected + 12 * count)
               ? "other points"
               : NULL;
  }
  case KIND_MANY:
    return check_many(row, of, key, expected);
  case KIND_SCALAR:
  case KIND_COUNT:
    break;
  }
  a = find(row, "Scalars:scalars");
  const double value = chaos_scalar_of(of);
  return row->component_count != 1 || a == NULL                              ? "other components"
         : a->count != 1 || !values_equal(a->values, a->start, 1, 8, &value) ? "another value"
                                                                             : NULL;
}

static const char *check_times(const rk_row *row, const chaos_row *of, uint64_t key)
{
  size_t expected = row->is_static ? 0 : 2; /* log_time and the key */
  for (unsigned i = 0; i < CHAOS_TIMES; i++) {
    expected += of->times >> i & 1;
  }
  if (row->timeline_count != expected) {
    return "other timelines";
  }
  for (size_t i = 0; i < row->timeline_count; i++) {
    const rk_time_cell *cell = &row->timelines[i];
    for (unsigned t = 0; t <= CHAOS_TIMES; t++) {
      if (strcmp(cell->timeline, chaos_timelines[t].name) == 0 &&
          ((t > 0 && (of->times >> (t - 1) & 1) == 0) || cell->value != chaos_time_of(key, t) ||
           cell->kind != chaos_timelines[t].kind)) {
        return "another time";
      }
    }
  }
  return NULL;
}

static uint64_t key_of(const rk_row *row)
{
  if (row->is_static) {
    const rk_component_cell *cell = find(row, "chaos:key");
    if (cell == NULL || cell->count != 1 || strcmp(cell->schema->format, "L") != 0) {
      return UINT64_MAX;
    }
    return ((const uint64_t *)cell->values->buffers[1])[cell->values->offset + cell->start];
  }
  for (size_t i = 0; i < row->timeline_count; i++) {
    if (strcmp(row->timelines[i].timeline, chaos_timelines[0].name) == 0) {
      return (uint64_t)row->timelines[i].value;
    }
  }
  return UINT64_MAX;
}

const char *chaos_row_check(const chaos_round *round, const rk_row *row, uint64_t *key, uint8_t **buffer,
                            size_t *buffer_size)
{
  *key = key_of(row);
  const uint64_t slot = *key >> 32;
  if (*key == UINT64_MAX || slot >= atomic_load(&round->truth->slot_count)) {
    *key = UINT64_MAX;
    return "a row that nobody logged";
  }
  const chaos_slot *truth = &round->truth->slots[slot];
  if ((uint32_t)*key >= atomic_load(&truth->started)) {
    return "a row that was never started";
  }
  const chaos_habit habit = chaos_habit_of(round, (uint32_t)slot);
  const chaos_row of = chaos_row_of(round->seed, &habit, *key);
  char path[32];
  snprintf(path, sizeof path, "/chaos/%u", of.entity);
  if (strcmp(row->entity_path, path) != 0) {
    return "another entity";
  }
  if (atomic_load(&truth->file) != round->file) {
    return "of the other recording";
  }
  if (row->is_static != (of.kind == KIND_STATIC)) {
    return "static or not";
  }
  if (row->writer == NULL || row->writer->pid != atomic_load(&truth->pid) ||
      row->writer->tid != atomic_load(&truth->tid)) {
    return "another writer's identity";
  }
  const char *problem = check_times(row, &of, *key);
  if (problem != NULL) {
    return problem;
  }
  if (!chaos_reserve(buffer, buffer_size, of.size + 32)) {
    return "no memory";
  }
  chaos_fill(&of, *buffer);
  return check_values(row, &of, *key, *buffer);
}
