/* Opening, logging every form of cell, timelines, static rows, properties, and calls that must change nothing. */
#include "tests/appended.h"
#include "tests/patience.h"

#include <errno.h>
#include <fcntl.h>

#include "format/flat.h"
#include "rrdkit/recording.h"
#include "writer/component.h"

static rk_recording *open_here(const scene *s, const rk_recording_options *options)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  if (rk_recording_open(s->path, options, &recording, &error) != RK_OK) {
    fail_msg("open: %s", error.message);
  }
  return recording;
}

static rk_status last_status(const rk_recording *recording)
{
  rk_error error;
  rk_recording_error(recording, &error);
  assert_true(error.status == RK_OK || error.message[0] != '\0');
  return error.status;
}

static rk_status log_scalar(rk_recording *recording, const rk_entity *entity, double value)
{
  const rk_cell cell = {.component = rk_component_builtin("Scalars:scalars"), .count = 1, .values = &value};
  return rk_log(recording, entity, &cell, 1);
}

/* ---- Opening ---- */

static void test_defaults(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_here(s, NULL);
  assert_string_equal(rk_recording_application_id(recording), "test_writer");
  assert_int_equal(strlen(rk_recording_recording_id(recording)), 36);
  char id[64];
  snprintf(id, sizeof id, "%s", rk_recording_recording_id(recording));
  assert_int_equal(count_entries(s->spool, ".defs"), 1);
  assert_int_equal(count_entries(s->spool, ".ring"), 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  assert_int_not_equal(access(s->spool, F_OK), 0); /* drained and gone */
  assert_int_equal(count_entries(s->directory, ""), 1);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_string_equal(file->application_id, "test_writer");
  assert_string_equal(file->recording_id, id);
  assert_int_equal(file->row_count, 1); /* the start time */
  assert_int_equal(file->writers[0].pid, getpid());
  free(file);
}

static void test_join(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_here(s, &(rk_recording_options){.application_id = "app", .recording_id = "rec \xC3\xA4"});
  rk_recording *second = open_here(s, NULL);
  assert_string_equal(rk_recording_application_id(second), "app");
  assert_string_equal(rk_recording_recording_id(second), "rec \xC3\xA4");
  const int64_t difference = rk_recording_now(second) - rk_recording_now(first);
  assert_in_range(difference + 1000000000, 0, 2000000000);
  rk_recording *third = open_here(s, &(rk_recording_options){.application_id = "app", .recording_id = "rec \xC3\xA4"});
  rk_recording *none;
  rk_error error = {0};
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.application_id = "other"}, &none, &error),
                   RK_ERR_CONFLICT);
  assert_null(none);
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.recording_id = "other"}, &none, &error),
                   RK_ERR_CONFLICT);
  rk_recording *const all[] = {first, second, third};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(log_scalar(all[i], rk_entity_at(all[i], "x"), i), RK_OK);
  }
  for (int i = 0; i < 3; i++) {
    rk_recording_free(all[i]);
  }
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->writer_count, 3);
  assert_int_equal(file->row_count, 4);
  free(file);
}

static void put_file(const char *path, const void *bytes, size_t size)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

static rk_status open_status(const char *path, const rk_recording_options *options)
{
  rk_recording *recording = (rk_recording *)1;
  rk_error error = {0};
  const rk_status status = rk_recording_open(path, options, &recording, &error);
  assert_true(status == RK_OK || (recording == NULL && error.status == status && error.message[0] != '\0'));
  if (status == RK_OK) {
    rk_recording_free(recording);
  }
  return status;
}

static void test_open_refused(void **state)
{
  const scene *s = *state;
  char long_id[200];
  memset(long_id, 'a', sizeof long_id);
  long_id[181] = '\0';
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = long_id}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = ""}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = "a b"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.recording_id = "a\nb"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.recording_id = "a\xFF"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.ring_size = 1}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.flush_age_ns = -1}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.compression = (rk_compression)9}), RK_ERR_MISUSE);
  assert_int_equal(open_status("", NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_recording_open(s->path, NULL, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(count_entries(s->directory, ""), 0);
  assert_int_equal(open_status(s->directory, NULL), RK_ERR_NOT_RRD);
  assert_int_equal(open_status("/nonexistent/run.rrd", NULL), RK_ERR_IO);
  assert_int_equal(open_status("/dev/null", NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "", 0);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "RRF", 3);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "hello, this is some text", 24);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_UNSUPPORTED);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* A recording whose first frame is damaged at any byte is never joined as if it were whole. */
static void test_join_damaged(void **state)
{
  const scene *s = *state;
  rk_recording_free(open_here(s, NULL));
  uint8_t bytes[8192];
  FILE *file = fopen(s->path, "rb");
  assert_non_null(file);
  const size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  const size_t first = RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE + rk_load_u64(bytes + RK_STREAM_HEADER_SIZE + 8);
  assert_true(first < size);
  for (size_t i = 0; i < first; i++) {
    if (i >= 4 && i < 9) {
      continue; /* version and compression of the stream header are advice */
    }
    bytes[i] ^= 0x10;
    put_file(s->path, bytes, size);
    assert_int_not_equal(open_status(s->path, NULL), RK_OK);
    bytes[i] ^= 0x10;
  }
  for (size_t i = 0; i < first; i++) {
    put_file(s->path, bytes, i);
    assert_int_not_equal(open_status(s->path, NULL), RK_OK);
  }
  put_file(s->path, bytes, first);
  assert_int_equal(open_status(s->path, NULL), RK_OK);
}

static void test_finished(void **state)
{
  const scene *s = *state;
  rk_recording_free(open_here(s, NULL));
  uint8_t footer[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer_encode(footer, &(rk_stream_footer){.payload_offset = 12, .payload_size = 1});
  FILE *file = fopen(s->path, "ab");
  assert_non_null(file);
  assert_int_equal(fwrite(footer, 1, sizeof footer, file), sizeof footer);
  fclose(file);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_UNSUPPORTED);
}

static void test_spool_directory(void **state)
{
  const scene *s = *state;
  char elsewhere[160];
  snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", s->directory);
  rk_recording *recording = open_here(s, &(rk_recording_options){.spool_directory = elsewhere, .ring_size = 70000});
  assert_int_equal(count_entries(elsewhere, ".ring"), 1);
  assert_int_not_equal(access(s->spool, F_OK), 0);
  rk_recording_free(recording);
  assert_int_equal(access(elsewhere, F_OK), 0); /* the user's directory stays */
  assert_int_equal(count_entries(elsewhere, ""), 0);
}

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

/* ---- Misuse ---- */

static void test_entities(void **state)
{
  rk_recording *r = open_here(*state, NULL);
  const rk_entity *entity = rk_entity_at(r, "world/robot");
  assert_non_null(entity);
  assert_ptr_equal(entity, rk_entity_at(r, "/world/robot"));
  assert_ptr_equal(entity, rk_entity_at(r, "world/robot"));
  assert_ptr_not_equal(entity, rk_entity_at(r, "world/robot2"));
  static const char *const bad[] = {"", "a//b", "a/\xFF", "__properties", "a/__b", NULL};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    rk_recording_clear_error(r);
    assert_null(rk_entity_at(r, bad[i]));
    assert_int_equal(last_status(r), RK_ERR_MISUSE);
    assert_int_equal(log_scalar(r, rk_entity_at(r, bad[i]), 1), RK_ERR_MISUSE);
  }
  assert_null(rk_entity_at(NULL, "a"));
  rk_recording_free(r);
}

static void test_components(void **state)
{
  rk_recording *r = open_here(*state, NULL);
  const rk_component *own = rk_component_at(r, "My:thing", "+w:2(!:f)", "my.Thing", NULL);
  assert_non_null(own);
  assert_ptr_equal(own, rk_component_at(r, "My:thing", "+w:2(!:f)", "my.Thing", NULL));
  assert_null(rk_component_at(r, "My:thing", "+w:3(!:f)", "my.Thing", NULL));
  assert_int_equal(last_status(r), RK_ERR_CONFLICT);
  assert_null(rk_component_at(r, "My:thing", "+w:2(!:f)", "my.Other", NULL));
  assert_int_equal(last_status(r), RK_ERR_CONFLICT);
  assert_null(
      rk_component_at(r, "Points3D:positions", "g", "rerun.archetypes.Points3D", "rerun.components.Position3D"));
  assert_int_equal(last_status(r), RK_ERR_CONFLICT);
  assert_ptr_equal(
      rk_component_at(r, "Points3D:positions", "+w:3(!:f)", "rerun.archetypes.Points3D", "rerun.components.Position3D"),
      rk_component_builtin("Points3D:positions"));
  assert_non_null(rk_component_at(r, "my color", "I", NULL, "rerun.components.Color"));
  static const struct {
    const char *name, *type, *archetype, *component_type;
  } bad[] = {{"", "g", NULL, NULL},
             {NULL, "g", NULL, NULL},
             {"a", NULL, NULL, NULL},
             {"a", "", NULL, NULL},
             {"a", "nonsense", NULL, NULL},
             {"a\xFF", "g", NULL, NULL},
             {"a", "g", "a\xFF", NULL},
             {"rerun.mine", "g", NULL, NULL},
             {"a", "g", "rerun.archetypes.Nothing", NULL},
             {"a", "g", NULL, "rerun.components.Nothing"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    rk_recording_clear_error(r);
    assert_null(rk_component_at(r, bad[i].name, bad[i].type, bad[i].archetype, bad[i].component_type));
    assert_int_equal(last_status(r), RK_ERR_MISUSE);
  }
  assert_null(rk_component_builtin("Points3D:nothing"));
  assert_null(rk_component_builtin(NULL));
  for (size_t i = 0; i < RK_BUILTIN_COMPONENT_COUNT; i++) {
    const rk_component *component = rk_component_at_index(i);
    assert_non_null(component);
    assert_ptr_equal(component, rk_component_builtin(rk_builtin_component_at(i).name));
  }
  assert_null(rk_component_at_index(RK_BUILTIN_COMPONENT_COUNT));
  rk_recording_free(r);
}

static void test_timelines_refused(void **state)
{
  rk_recording *r = open_here(*state, NULL);
  assert_non_null(rk_timeline_at(r, "step", RK_TIMELINE_SEQUENCE));
  assert_null(rk_timeline_at(r, "step", RK_TIMELINE_DURATION));
  assert_int_equal(last_status(r), RK_ERR_CONFLICT);
  assert_int_equal(rk_time_set_timestamp_ns(r, "step", 1), RK_ERR_CONFLICT);
  assert_null(rk_timeline_at(r, "", RK_TIMELINE_SEQUENCE));
  assert_null(rk_timeline_at(r, NULL, RK_TIMELINE_SEQUENCE));
  assert_null(rk_timeline_at(r, "log_time", RK_TIMELINE_TIMESTAMP));
  assert_null(rk_timeline_at(r, "\xC0\x80", RK_TIMELINE_SEQUENCE));
  assert_null(rk_timeline_at(r, "new", (rk_timeline_kind)7));
  assert_int_equal(last_status(r), RK_ERR_MISUSE);
  assert_int_equal(rk_time_set_sequence(r, "step", INT64_MIN), RK_ERR_MISUSE);
  rk_recording_clear_error(r);
  assert_int_equal(rk_time_set(r, NULL, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_time_disable(r, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_time_set_sequence(NULL, "step", 1), RK_ERR_MISUSE);
  char name[32];
  for (int i = 0; i < 254; i++) {
    snprintf(name, sizeof name, "t%d", i);
    assert_int_equal(rk_time_set_sequence(r, name, i), RK_OK);
  }
  assert_int_equal(rk_time_set_sequence(r, "step", 1), RK_OK);
  assert_int_equal(rk_time_set_sequence(r, "one too many", 1), RK_ERR_MISUSE);
  assert_int_equal(log_scalar(r, rk_entity_at(r, "x"), 1), RK_OK);
  rk_recording_free(r);
}

static void test_rows_refused(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s, NULL);
  char other_path[160];
  snprintf(other_path, sizeof other_path, "%s/other.rrd", s->directory);
  rk_recording *other = NULL;
  assert_int_equal(rk_recording_open(other_path, NULL, &other, NULL), RK_OK);
  const rk_entity *entity = rk_entity_at(r, "x");
  const double number = 1;
  const char *const no_text[] = {NULL};
  const rk_span no_data[] = {{.data = NULL, .count = 3}};
  const struct ArrowArray no_buffers = {.length = 1};
  const rk_component *scalars = rk_component_builtin("Scalars:scalars");
  const rk_component *format = rk_component_builtin("Image:format");
  const rk_cell scalar = {.component = scalars, .count = 1, .values = &number};
  const rk_cell bad[] = {
      {.component = NULL, .count = 1, .values = &number},
      {.component = scalars, .count = 1, .values = NULL},
      {.component = scalars, .count = SIZE_MAX / 4, .values = &number},
      {.component = scalars, .array = &no_buffers},
      {.component = rk_component_builtin("TextLog:text"), .count = 1, .values = no_text},
      {.component = rk_component_builtin("Asset3D:blob"), .count = 1, .values = no_data},
      {.component = format, .count = 1, .values = &number},
      {.component = rk_component_at(other, "theirs", "g", NULL, NULL), .count = 1, .values = &number},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    rk_recording_clear_error(r);
    assert_int_equal(rk_log(r, entity, &bad[i], 1), RK_ERR_MISUSE);
    assert_int_equal(last_status(r), RK_ERR_MISUSE);
    const rk_cell two[] = {{.component = rk_component_builtin("SeriesLines:widths"), .count = 0}, bad[i]};
    assert_int_equal(rk_log(r, entity, two, 2), RK_ERR_MISUSE);
  }
  const rk_cell twice[] = {scalar, scalar};
  assert_int_equal(rk_log(r, entity, twice, 2), RK_ERR_MISUSE);
  assert_int_equal(rk_log(r, entity, &scalar, 0), RK_ERR_MISUSE);
  assert_int_equal(rk_log(r, entity, NULL, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_log(r, rk_entity_at(other, "x"), &scalar, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_log(NULL, entity, &scalar, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_time_set(r, rk_timeline_at(other, "step", RK_TIMELINE_SEQUENCE), 1), RK_ERR_MISUSE);
  assert_int_equal(rk_log(r, entity, &scalar, 1), RK_OK);
  rk_recording_clear_error(r);
  assert_int_equal(last_status(r), RK_OK);
  assert_int_equal(rk_recording_close(r), RK_OK);
  assert_int_equal(rk_log(r, entity, &scalar, 1), RK_ERR_MISUSE);
  assert_int_equal(rk_recording_flush(r), RK_ERR_MISUSE);
  rk_recording_free(r);
  rk_recording_free(other);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 2); /* the start time and the one good row */
  free(file);
}

static void test_null_handles(void **state)
{
  (void)state;
  rk_error error = {.status = RK_ERR_IO};
  rk_recording_error(NULL, &error);
  assert_int_equal(error.status, RK_OK);
  rk_recording_error(NULL, NULL);
  rk_recording_clear_error(NULL);
  rk_recording_free(NULL);
  assert_int_equal(rk_recording_close(NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_recording_flush(NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_time_reset(NULL), RK_ERR_MISUSE);
  assert_null(rk_recording_application_id(NULL));
  assert_null(rk_recording_property(NULL, "x"));
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
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_defaults),
      IN_SCENE(test_join),
      IN_SCENE(test_open_refused),
      IN_SCENE(test_join_damaged),
      IN_SCENE(test_finished),
      IN_SCENE(test_spool_directory),
      IN_SCENE(test_forms),
      IN_SCENE(test_columns_are_united),
      IN_SCENE(test_timelines),
      IN_SCENE(test_properties),
      IN_SCENE(test_entities),
      IN_SCENE(test_components),
      IN_SCENE(test_timelines_refused),
      IN_SCENE(test_rows_refused),
      cmocka_unit_test(test_null_handles),
      IN_SCENE(test_large_rows),
      IN_SCENE(test_many_entities),
      IN_SCENE(test_flush_and_age),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
