/* Entities, components, timelines and rows that are refused: the call says why and changes nothing. */
#include "tests/writing.h"

#include "writer/component.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_entities),     IN_SCENE(test_components),           IN_SCENE(test_timelines_refused),
      IN_SCENE(test_rows_refused), cmocka_unit_test(test_null_handles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
