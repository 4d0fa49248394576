/* Chunks as Rerun 0.23 to 0.29 wrote them come out under today's names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/chunk_legacy.h"

#define KEYS_MAX 6

typedef struct column {
  const char *name;
  const char *keys[KEYS_MAX][2];
} column;

static rk_field make_field(rk_arena *arena, const column *c)
{
  rk_field field = {.type = RK_TYPE_INT64, .name = c->name};
  rk_metadata *list = rk_arena_array(arena, KEYS_MAX, sizeof *list);
  assert_non_null(list);
  for (size_t i = 0; i < KEYS_MAX && c->keys[i][0]; i++) {
    list[field.metadata_count++] = (rk_metadata){.key = c->keys[i][0],
                                                 .value = c->keys[i][1],
                                                 .key_size = strlen(c->keys[i][0]),
                                                 .value_size = strlen(c->keys[i][1])};
  }
  field.metadata = list;
  return field;
}

#define COLUMNS_MAX 8

typedef struct upgraded {
  rk_arena arena;
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  struct ArrowArray arrays[COLUMNS_MAX]; /* the length of each is its old place */
} upgraded;

static void upgrade(upgraded *u, const column *schema, const column *columns, size_t count)
{
  *u = (upgraded){0};
  rk_field *top = rk_arena_alloc(&u->arena, sizeof *top);
  rk_field *fields = rk_arena_array(&u->arena, COLUMNS_MAX, sizeof *fields);
  const struct ArrowArray **arrays = rk_arena_array(&u->arena, COLUMNS_MAX, sizeof *arrays);
  assert_true(top && fields && arrays && count <= COLUMNS_MAX);
  *top = make_field(&u->arena, schema);
  top->type = RK_TYPE_STRUCT;
  top->child_count = count;
  top->children = fields;
  for (size_t i = 0; i < count; i++) {
    fields[i] = make_field(&u->arena, &columns[i]);
    u->arrays[i].length = (int64_t)i;
    arrays[i] = &u->arrays[i];
  }
  u->schema = top;
  u->columns = arrays;
  assert_int_equal(rk_chunk_upgrade(&u->arena, &u->schema, &u->columns), RK_OK);
}

static void assert_key(const rk_field *field, const char *key, const char *value)
{
  const char *found = rk_field_metadata(field, key);
  if (!value) {
    assert_null(found);
    return;
  }
  assert_non_null(found);
  assert_string_equal(found, value);
}

static void rerun_0_23(void **state)
{
  (void)state;
  static const column schema = {"", {{"rerun.id", "chunk_1"}, {"rerun.entity_path", "/plot"}, {"rerun.version", "1"}}};
  static const column columns[] = {
      {"Scalar",
       {{"rerun.kind", "data"},
        {"rerun.archetype", "rerun.archetypes.Scalar"},
        {"rerun.archetype_field", "scalar"},
        {"rerun.component", "rerun.components.Scalar"}}},
      {"ScalarsIndicator",
       {{"rerun.kind", "data"},
        {"rerun.archetype", "rerun.archetypes.Scalars"},
        {"rerun.component", "rerun.components.ScalarsIndicator"}}},
      {"anything", {{"rerun.component", "anything"}}},
      {"frame", {{"rerun.kind", "time"}, {"rerun.index_name", "frame"}}},
      {"rerun.controls.RowId", {{"rerun.kind", "control"}}},
      {"labels",
       {{"rerun.kind", "data"},
        {"rerun.archetype", "rerun.blueprint.archetypes.Things"},
        {"rerun.archetype_field", "labels"},
        {"rerun.component", "rerun.components.Text"},
        {"rerun.is_sorted", "true"}}},
  };
  upgraded u;
  upgrade(&u, &schema, columns, 6);
  assert_int_equal(u.schema->child_count, 5);
  assert_key(u.schema, "rerun:id", "chunk_1");
  assert_key(u.schema, "rerun:entity_path", "/plot");
  assert_key(u.schema, "rerun.version", NULL);
  static const int64_t places[] = {4, 3, 0, 2, 5}; /* row id, index, components; the indicator is gone */
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(u.columns[i]->length, places[i]);
  }
  assert_key(&u.schema->children[1], "rerun:index_name", "frame");
  const rk_field *scalar = &u.schema->children[2];
  assert_key(scalar, "rerun:component", "Scalars:scalars");
  assert_key(scalar, "rerun:archetype", "rerun.archetypes.Scalars");
  assert_key(scalar, "rerun:component_type", "rerun.components.Scalar");
  assert_key(scalar, "rerun:kind", "data");
  assert_key(scalar, "rerun.component", NULL);
  assert_key(&u.schema->children[3], "rerun:component", "anything");
  assert_key(&u.schema->children[3], "rerun:component_type", NULL);
  assert_key(&u.schema->children[4], "rerun:component", "Things:labels");
  assert_key(&u.schema->children[4], "rerun:is_sorted", "true");
  rk_arena_free(&u.arena);
}

static void recording_properties_move(void **state)
{
  (void)state;
  static const column schema = {"", {{"rerun:version", "x"}, {"rerun:entity_path", "/__properties/recording"}}};
  static const column columns[] = {{"RecordingProperties:start_time",
                                    {{"rerun:archetype", "rerun.archetypes.RecordingProperties"},
                                     {"rerun:component", "RecordingProperties:RecordingProperties"}}}};
  upgraded u;
  upgrade(&u, &schema, columns, 1);
  assert_key(u.schema, "rerun:entity_path", "/__properties");
  assert_key(&u.schema->children[0], "rerun:archetype", "rerun.archetypes.RecordingInfo");
  assert_key(&u.schema->children[0], "rerun:component", "RecordingInfo:RecordingInfo");
  rk_arena_free(&u.arena);
}

/* Each rename happens below its version and not from it on. */
static void renames_by_version(void **state)
{
  (void)state;
  static const struct {
    const char *key, *from, *to;
    const char *last, *first; /* versions: the last that is renamed, the first that is not */
  } cases[] = {
      {"rerun:component_type", "rerun.components.PoseScale3D", "rerun.components.Scale3D", "0.1.1", "0.1.2"},
      {"rerun:component_type", "rerun.components.PoseRotationQuat", "rerun.components.RotationQuat", "0.1.0", "0.1.2"},
      {"rerun:component", "Transform3D:axis_length", "TransformAxes3D:axis_length", "0.1.1", "0.1.2"},
      {"rerun:component", "CoordinateFrame:frame_id", "CoordinateFrame:frame", "0.1.1", "0.1.3"},
      {"rerun:component_type", "rerun.components.SeriesVisible", "rerun.components.Visible", "0.1.2", "0.1.3"},
      {"rerun:component_type", "rerun.components.SeriesVisible", "rerun.components.Visible", "0.0.2", "1.0.0"},
      {"rerun:component_type", "rerun.components.SeriesVisible", "rerun.components.Visible", "0.1.2", "nonsense"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int newer = 0; newer < 2; newer++) {
      const column schema = {"", {{"sorbet:version", newer ? cases[i].first : cases[i].last}}};
      const column columns[] = {{"x", {{cases[i].key, cases[i].from}}}};
      upgraded u;
      upgrade(&u, &schema, columns, 1);
      assert_key(&u.schema->children[0], cases[i].key, newer ? cases[i].from : cases[i].to);
      rk_arena_free(&u.arena);
    }
  }
}

static void indicators_are_dropped_before_0_1_1(void **state)
{
  (void)state;
  static const column columns[] = {{"a", {{"rerun:component", "rerun.components.PointsIndicator"}}},
                                   {"b", {{"rerun:component", "b"}, {"rerun:is_indicator", "true"}}},
                                   {"c", {{"rerun:component", "c"}, {"rerun:is_indicator", "false"}}}};
  for (int newer = 0; newer < 2; newer++) {
    const column schema = {"", {{"sorbet:version", newer ? "0.1.1" : "0.1.0"}}};
    upgraded u;
    upgrade(&u, &schema, columns, 3);
    assert_int_equal(u.schema->child_count, newer ? 3 : 1);
    assert_key(&u.schema->children[newer ? 2 : 0], "rerun:component", "c");
    rk_arena_free(&u.arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rerun_0_23),
      cmocka_unit_test(recording_properties_move),
      cmocka_unit_test(renames_by_version),
      cmocka_unit_test(indicators_are_dropped_before_0_1_1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
