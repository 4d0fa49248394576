/* Rows as they come to the file: every form of cell, timelines, static rows, properties, rows of any size. */
#include "tests/patience.h"
#include "tests/writing.h"

#include "writer/component.h"

/* ---- Rows ---- */

typedef struct values_check {
  unsigned rows;
} values_check;

static const struct ArrowArray *items_of(const appended_row *row, const char *name, int64_t *start, int64_t *count)
{
  const rk_chunk_component *component = appended_component(row->chunk, name);
  assert_non_null(component);
  assert_true(appended_present(component, row->index));
  *count = appended_items(component, row->index, start);
  return component->lists->children[0];
}

static void check_text(const struct ArrowArray *texts, int64_t at, const char *expected)
{
  const int32_t *offsets = texts->buffers[1];
  const int32_t size = offsets[at + 1] - offsets[at];
  assert_int_equal(size, strlen(expected));
  assert_memory_equal((const char *)texts->buffers[2] + offsets[at], expected, (size_t)size);
}

static void visit_values(void *context, const appended_row *row)
{
  values_check *check = context;
  int64_t at, n;
  if (strcmp(row->chunk->entity_path, "/forms") != 0) {
    return;
  }
  check->rows++;
  const struct ArrowArray *array = items_of(row, "u:packed", &at, &n);
  assert_int_equal(n, 2);
  const float *numbers = array->children[0]->buffers[1];
  assert_true(numbers[3 * at] == 1 && numbers[3 * at + 5] == 6);
  array = items_of(row, "u:bools", &at, &n);
  assert_int_equal(n, 3);
  const uint8_t *bits = array->buffers[1];
  for (int64_t i = 0; i < 3; i++) {
    assert_int_equal(bits[(at + i) / 8] >> ((at + i) % 8) & 1, i != 1);
  }
  array = items_of(row, "u:texts", &at, &n);
  assert_int_equal(n, 3);
  check_text(array, at, "plain");
  check_text(array, at + 1, "");
  check_text(array, at + 2, "bad\xEF\xBF\xBDtext");
  array = items_of(row, "u:blobs", &at, &n);
  assert_int_equal(n, 2);
  const int32_t *offsets = array->buffers[1];
  assert_int_equal(offsets[at + 1] - offsets[at], 4);
  assert_int_equal(offsets[at + 2] - offsets[at + 1], 0);
  assert_memory_equal((const uint8_t *)array->children[0]->buffers[1] + offsets[at], "blob", 4);
  array = items_of(row, "u:strips", &at, &n);
  assert_int_equal(n, 1);
  offsets = array->buffers[1];
  assert_int_equal(offsets[at + 1] - offsets[at], 2);
  const float *points = array->children[0]->children[0]->buffers[1];
  assert_true(points[2 * offsets[at]] == 0.5F && points[2 * offsets[at] + 3] == 3.5F);
  array = items_of(row, "u:binary", &at, &n);
  offsets = array->buffers[1];
  assert_int_equal(n, 1);
  assert_memory_equal((const uint8_t *)array->buffers[2] + offsets[at], "\0\1\2", 3);
  array = items_of(row, "u:empty", &at, &n);
  assert_int_equal(n, 0);
  array = items_of(row, "u:pairs", &at, &n);
  assert_int_equal(n, 2);
  check_text(array->children[0], array->offset + at, "k1");
  check_text(array->children[0], array->offset + at + 1, "k2");
  const int64_t *longs = array->children[1]->buffers[1];
  assert_true(longs[array->offset + at + 1] == -7);
}

/* Every form of cell arrives as it was given; the struct comes as a slice of an Arrow array. */
static void test_forms(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, NULL);
  const float packed[] = {1, 2, 3, 4, 5, 6};
  const bool bools[] = {true, false, true};
  const char *const texts[] = {"plain", "", "bad\xFFtext"};
  const rk_span blobs[] = {{.data = "blob", .count = 4}, {.data = NULL, .count = 0}};
  const float strip[] = {0.5F, 1.5F, 2.5F, 3.5F};
  const rk_span strips[] = {{.data = strip, .count = 2}};
  const rk_span binary[] = {{.data = "\0\1\2", .count = 3}};
  const int32_t key_offsets[] = {0, 2, 4, 6};
  const int64_t longs[] = {3, 5, -7};
  const void *key_buffers[] = {NULL, key_offsets, "k0k1k2"};
  const void *long_buffers[] = {NULL, longs};
  struct ArrowArray keys = {.length = 3, .n_buffers = 3, .buffers = key_buffers};
  struct ArrowArray values = {.length = 3, .n_buffers = 2, .buffers = long_buffers};
  struct ArrowArray *children[] = {&keys, &values};
  const void *pair_buffers[] = {NULL};
  const struct ArrowArray pairs = {
      .length = 2, .offset = 1, .n_buffers = 1, .n_children = 2, .buffers = pair_buffers, .children = children};
  const rk_cell cells[] = {
      {.component = rk_component_at(r, "u:packed", "+w:3(!:f)", NULL, NULL), .count = 2, .values = packed},
      {.component = rk_component_at(r, "u:bools", "b", NULL, NULL), .count = 3, .values = bools},
      {.component = rk_component_at(r, "u:texts", "u", NULL, NULL), .count = 3, .values = texts},
      {.component = rk_component_at(r, "u:blobs", "+l(!:C)", NULL, NULL), .count = 2, .values = blobs},
      {.component = rk_component_at(r, "u:strips", "+l(!:+w:2(!:f))", NULL, NULL), .count = 1, .values = strips},
      {.component = rk_component_at(r, "u:binary", "z", NULL, NULL), .count = 1, .values = binary},
      {.component = rk_component_at(r, "u:empty", "g", NULL, NULL)},
      {.component = rk_component_at(r, "u:pairs", "+s(key!:u,value!:l)", NULL, NULL), .array = &pairs},
  };
  const size_t count = sizeof cells / sizeof cells[0];
  for (int i = 0; i < 3; i++) {
    assert_int_equal(rk_log(r, rk_entity_at(r, "forms"), cells, count), RK_OK);
  }
  assert_int_equal(rk_log(r, rk_entity_at(r, "only"), cells + 2, 1), RK_OK);
  rk_recording_free(r);
  values_check check = {0};
  free(appended_read(s->path, visit_values, &check));
  assert_int_equal(check.rows, 3);
}

static void visit_union(void *context, const appended_row *row)
{
  unsigned *rows = context;
  const bool first = row->index == 0;
  if (strcmp(row->chunk->entity_path, "/mixed") != 0) {
    return;
  }
  (*rows)++;
  assert_int_equal(row->chunk->component_count, 2);
  assert_int_equal(appended_present(appended_component(row->chunk, "Scalars:scalars"), row->index), first);
  assert_int_equal(appended_present(appended_component(row->chunk, "TextLog:text"), row->index), !first);
}

/* Rows with different components of one entity share a chunk, with nulls where a row lacks one. */
static void test_columns_are_united(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, NULL);
  const rk_entity *entity = rk_entity_at(r, "mixed");
  const char *const text = "hello";
  const rk_cell cell = {.component = rk_component_builtin("TextLog:text"), .count = 1, .values = &text};
  assert_int_equal(log_scalar(r, entity, 1), RK_OK);
  assert_int_equal(rk_log(r, entity, &cell, 1), RK_OK);
  assert_int_equal(rk_log(r, entity, &cell, 1), RK_OK);
  rk_recording_free(r);
  unsigned rows = 0;
  free(appended_read(s->path, visit_union, &rows));
  assert_int_equal(rows, 3);
}

typedef struct time_check {
  unsigned rows, static_rows;
} time_check;

static const int64_t *timeline(const rk_chunk *chunk, const char *name, rk_timeline_kind kind)
{
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    if (strcmp(chunk->timelines[i].name, name) == 0) {
      assert_int_equal(chunk->timelines[i].kind, kind);
      return chunk->timelines[i].values;
    }
  }
  return NULL;
}

static void visit_times(void *context, const appended_row *row)
{
  time_check *check = context;
  if (strcmp(row->chunk->entity_path, "/t") != 0) {
    return;
  }
  if (row->is_static) {
    check->static_rows++;
    return;
  }
  int64_t at, n;
  const struct ArrowArray *values = items_of(row, "Scalars:scalars", &at, &n);
  const int which = (int)((const double *)values->buffers[1])[at];
  const int64_t *step = timeline(row->chunk, "step", RK_TIMELINE_SEQUENCE);
  const int64_t *lap = timeline(row->chunk, "lap", RK_TIMELINE_DURATION);
  const int64_t *sim = timeline(row->chunk, "a sim", RK_TIMELINE_TIMESTAMP);
  assert_int_equal(step != NULL, which == 1 || which == 2);
  assert_int_equal(lap != NULL, which == 2 || which == 3);
  assert_int_equal(sim != NULL, which == 2 || which == 3);
  assert_true(step == NULL || step[row->index] == which * 10);
  assert_true(lap == NULL || lap[row->index] == -5);
  assert_true(sim == NULL || sim[row->index] == 99);
  check->rows++;
}

static void test_timelines(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, NULL);
  const rk_entity *entity = rk_entity_at(r, "/t");
  assert_int_equal(log_scalar(r, entity, 0), RK_OK);
  assert_int_equal(rk_time_set_sequence(r, "step", 10), RK_OK);
  assert_int_equal(log_scalar(r, entity, 1), RK_OK);
  assert_int_equal(rk_time_set(r, rk_timeline_at(r, "step", RK_TIMELINE_SEQUENCE), 20), RK_OK);
  assert_int_equal(rk_time_set_duration_ns(r, "lap", -5), RK_OK);
  assert_int_equal(rk_time_set_timestamp_ns(r, "a sim", 99), RK_OK);
  assert_int_equal(log_scalar(r, entity, 2), RK_OK);
  const double value = 1;
  const rk_cell cell = {.component = rk_component_builtin("Scalars:scalars"), .count = 1, .values = &value};
  assert_int_equal(rk_log_static(r, entity, &cell, 1), RK_OK);
  assert_int_equal(rk_time_disable(r, "step"), RK_OK);
  assert_int_equal(rk_time_disable(r, "never set"), RK_OK);
  assert_int_equal(log_scalar(r, entity, 3), RK_OK);
  assert_int_equal(rk_time_reset(r), RK_OK);
  assert_int_equal(log_scalar(r, entity, 4), RK_OK);
  rk_recording_free(r);
  time_check check = {0};
  free(appended_read(s->path, visit_times, &check));
  assert_int_equal(check.rows, 5);
  assert_int_equal(check.static_rows, 1);
}

static void visit_properties(void *context, const appended_row *row)
{
  unsigned *found = context;
  int64_t at, n;
  assert_true(row->is_static);
  if (strcmp(row->chunk->entity_path, "/__properties/crew size") == 0 ||
      strcmp(row->chunk->entity_path, "/__properties/crew\\ size") == 0) {
    *found |= 4;
    return;
  }
  assert_string_equal(row->chunk->entity_path, "/__properties");
  const rk_chunk_component *start = appended_component(row->chunk, "RecordingInfo:start_time");
  if (start != NULL && appended_present(start, row->index)) {
    *found |= 1;
  }
  const rk_chunk_component *name = appended_component(row->chunk, "RecordingInfo:name");
  if (name != NULL && appended_present(name, row->index)) {
    const struct ArrowArray *texts = items_of(row, "RecordingInfo:name", &at, &n);
    check_text(texts, at, "first light");
    *found |= 2;
  }
}

static void test_properties(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, &(rk_recording_options){.name = "first light"});
  const double crew = 7;
  const rk_cell cell = {.component = rk_component_at(r, "crew", "g", NULL, NULL), .count = 1, .values = &crew};
  assert_int_equal(rk_log_static(r, rk_recording_property(r, "crew size"), &cell, 1), RK_OK);
  assert_null(rk_recording_property(r, ""));
  assert_null(rk_recording_property(r, "/"));
  assert_null(rk_recording_property(r, "__x"));
  assert_int_equal(rk_recording_set_name(r, NULL), RK_ERR_MISUSE);
  rk_recording_free(r);
  unsigned found = 0;
  free(appended_read(s->path, visit_properties, &found));
  assert_int_equal(found, 7);
}

/* ---- Sizes ---- */

typedef struct sizes_check {
  unsigned rows;
  uint64_t seen; /* a bit per size */
} sizes_check;

static const size_t sizes[] = {1, 100, 32000, 32760, 40000, 65536, 100000, 3000000, 7};

static void visit_sizes(void *context, const appended_row *row)
{
  sizes_check *check = context;
  if (row->is_static) {
    return;
  }
  int64_t at, n;
  const struct ArrowArray *bytes = items_of(row, "raw", &at, &n);
  const uint8_t *data = (const uint8_t *)bytes->buffers[1] + at;
  const size_t which = data[0];
  assert_true(which < sizeof sizes / sizeof sizes[0]);
  assert_int_equal(n, sizes[which]);
  for (int64_t i = 1; i < n; i++) {
    assert_int_equal(data[i], (uint8_t)(i * 7));
  }
  assert_true(row->number == which + 1); /* the start time was row 0: large rows keep their place */
  check->rows++;
}

/* Rows larger than the ring go straight to the file, in order. */
static void test_large_rows(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, &(rk_recording_options){.ring_size = 65536, .compression = RK_COMPRESSION_NONE});
  uint8_t *data = malloc(3000000);
  assert_non_null(data);
  const rk_component *raw = rk_component_at(r, "raw", "C", NULL, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (size_t k = 1; k < sizes[i]; k++) {
      data[k] = (uint8_t)(k * 7);
    }
    data[0] = (uint8_t)i;
    const rk_cell cell = {.component = raw, .count = sizes[i], .values = data};
    assert_int_equal(rk_log(r, rk_entity_at(r, "raw"), &cell, 1), RK_OK);
  }
  free(data);
  rk_recording_free(r);
  sizes_check check = {0};
  free(appended_read(s->path, visit_sizes, &check));
  assert_int_equal(check.rows, sizeof sizes / sizeof sizes[0]);
}

/* Many entities in turn through a small ring: chunks still gather what belongs together. */
static void test_many_entities(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, &(rk_recording_options){.flush_age_ns = 60000000000});
  char name[32];
  for (int i = 0; i < 20000; i++) {
    snprintf(name, sizeof name, "many/%d", i % 1000);
    assert_int_equal(log_scalar(r, rk_entity_at(r, name), i), RK_OK);
  }
  rk_recording_free(r);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 20001);
  assert_in_range(file->chunk_count, 1000, 8000);
  free(file);
}

/* A flush leaves everything in the file; the age does without one. */
static void test_flush_and_age(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, &(rk_recording_options){.flush_age_ns = 20000000});
  assert_int_equal(log_scalar(r, rk_entity_at(r, "a"), 1), RK_OK);
  assert_int_equal(rk_recording_flush(r), RK_OK);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 2);
  free(file);
  assert_int_equal(log_scalar(r, rk_entity_at(r, "a"), 2), RK_OK);
  rk_recording_stats stats = {0}; /* the file may be looked at only when nobody is writing it */
  unsigned looks = 0;
  while (stats.rows_appended < 3 && be_patient(&looks)) {
    rk_recording_get_stats(r, &stats);
  }
  file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 3);
  free(file);
  rk_recording_free(r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_forms),         IN_SCENE(test_columns_are_united), IN_SCENE(test_timelines),
      IN_SCENE(test_properties),    IN_SCENE(test_large_rows),         IN_SCENE(test_many_entities),
      IN_SCENE(test_flush_and_age),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
