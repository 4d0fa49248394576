/* The table of built-in components, what the typed calls refuse, and the arrays that the conversions make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/field.h"
#include "rrdkit/archetypes.h"
#include "writer/archetype_forms.h"
#include "writer/component.h"

static void table_is_sorted_and_parses(void **state)
{
  (void)state;
  assert_true(RK_BUILTIN_COMPONENT_COUNT > 250);
  rk_arena arena = {0};
  for (size_t i = 0; i < RK_BUILTIN_COMPONENT_COUNT; i++) {
    const rk_builtin_component at = rk_builtin_component_at(i), *component = &at;
    assert_int_equal(rk_builtin_component_find(component->name), i);
    if (i > 0) {
      assert_true(strcmp(rk_builtin_component_at(i - 1).name, component->name) < 0);
    }
    const char *colon = strchr(component->name, ':');
    assert_non_null(colon);
    assert_int_equal(strncmp(component->archetype, "rerun.archetypes.", 17), 0);
    assert_int_equal(strncmp(component->archetype + 17, component->name, (size_t)(colon - component->name)), 0);
    assert_int_equal(strlen(component->archetype + 17), colon - component->name);
    assert_int_equal(strncmp(component->component_type, "rerun.components.", 17), 0);
    rk_field *field;
    rk_error error;
    assert_int_equal(rk_field_parse(&arena, component->type, &field, &error), RK_OK);
    rk_buffer text = {0};
    rk_field_text(field, &text);
    rk_field *again;
    assert_int_equal(rk_field_parse(&arena, (const char *)text.data, &again, &error), RK_OK);
    assert_true(rk_field_type_equal(field, again));
    rk_buffer_free(&text);
  }
  rk_arena_free(&arena);
  assert_string_equal(rk_builtin_component_at(RK_BUILTIN_BOXES2D_HALF_SIZES).name, "Boxes2D:half_sizes");
  assert_string_equal(rk_builtin_component_at(RK_BUILTIN_BOXES2D_HALF_SIZES).type, "+w:2(!:f)");
  assert_ptr_equal(rk_component_builtin("Points3D:positions"), rk_component_at_index(RK_BUILTIN_POINTS3D_POSITIONS));
  assert_null(rk_component_builtin("Points3D:position"));
}

static const rk_vec2 two[2] = {{1, 2}, {3, 4}};
static const rk_color three_colors[3] = {RK_RGB(1, 2, 3), RK_RGB(4, 5, 6), RK_RGB(7, 8, 9)};
static const float lengths[3] = {1, 2, 3};
static const char *const texts[2] = {"a", "b"};
static const char *const half_null[2] = {"a", NULL};
static const rk_span bad_strips[2] = {{two, 2}, {NULL, 1}};
static const rk_axis_angle angles[2] = {{{0, 0, 1}, 1}, {{0, 1, 0}, 2}};
static const rk_graph_edge bad_edge = {"a", NULL};
static const uint64_t shape[2] = {2, 3}, huge[2] = {UINT64_C(1) << 40, UINT64_C(1) << 40}, large[1] = {1U << 31};
static const uint8_t bytes[6] = {1, 2, 3, 4, 5, 6};
static const rk_tensor_data good_tensor = {.shape = shape, .rank = 2, .datatype = RK_TENSOR_DATATYPE_U8, .data = bytes};

/* Calls that must be refused: the archetype's value, and words of the message. */
#define REFUSED(X)                                                                                                     \
  X(text_log, "TextLog:text is required", .level = RK_LEVEL_INFO)                                                      \
  X(boxes2d, "Boxes2D:half_sizes is required", .centers = two, .centers_count = 2)                                     \
  X(boxes2d, "Boxes2D:half_sizes has a count", .half_sizes_count = 2)                                                  \
  X(boxes2d, "Boxes2D:colors has 3 values for 2 instances", .half_sizes = two, .half_sizes_count = 2,                  \
    .colors = three_colors, .colors_count = 3)                                                                         \
  X(boxes2d, "Boxes2D:colors has 3 values for 0 instances", .half_sizes = two, .colors = three_colors,                 \
    .colors_count = 3)                                                                                                 \
  X(boxes2d, "Boxes2D:centers has a count", .half_sizes = two, .half_sizes_count = 2, .centers_count = 1)              \
  X(boxes2d, "Boxes2D:labels\": a text is NULL", .half_sizes = two, .half_sizes_count = 2, .labels = half_null,        \
    .labels_count = 2)                                                                                                 \
  X(capsules3d, "Capsules3D:radii is required", .lengths = lengths, .lengths_count = 3)                                \
  X(capsules3d, "Capsules3D:radii has 2 values for 3 instances", .lengths = lengths, .lengths_count = 3,               \
    .radii = lengths, .radii_count = 2)                                                                                \
  X(instance_poses3d, "InstancePoses3D:rotation_axis_angles has 2 values for 3 instances",                             \
    .quaternions = (const rk_quaternion[3]){{0}}, .quaternions_count = 3, .rotation_axis_angles = angles,              \
    .rotation_axis_angles_count = 2)                                                                                   \
  X(line_strips2d, "LineStrips2D:strips\": a span's data is NULL", .strips = bad_strips, .strips_count = 2)            \
  X(graph_edges, "GraphEdges:edges has a NULL", .edges = &bad_edge, .edges_count = 1)                                  \
  X(state_change, "StateChange:state\": a text is NULL", .state = half_null, .state_count = 2)                         \
  X(image, "Image:format is required", .buffer = {bytes, 6})                                                           \
  X(image, "Image:buffer has a count", .buffer = {NULL, 6}, .format = {.width = 2, .height = 3})                       \
  X(transform3d, "no field", .relation = (rk_transform_relation)0)                                                     \
  X(series_lines, "not a value of its enumeration", .aggregation_policy = (rk_aggregation_policy)256)                  \
  X(tensor, "Tensor:data is required", .value_range = &(const rk_range){0, 1})                                         \
  X(tensor, "no valid datatype", .data = &(const rk_tensor_data){.shape = shape, .rank = 2, .data = bytes})            \
  X(tensor, "no valid datatype",                                                                                       \
    .data = &(const rk_tensor_data){.shape = shape, .rank = 2, .datatype = 12, .data = bytes})                         \
  X(tensor, "values are NULL", .data = &(const rk_tensor_data){.shape = shape, .rank = 2, .datatype = 1})              \
  X(tensor, "values are NULL", .data = &(const rk_tensor_data){.rank = 2, .datatype = 1, .data = bytes})               \
  X(tensor, "has a NULL",                                                                                              \
    .data = &(const rk_tensor_data){.shape = shape, .rank = 2, .names = half_null, .datatype = 1, .data = bytes})      \
  X(tensor, "32-bit", .data = &(const rk_tensor_data){.shape = huge, .rank = 2, .datatype = 1, .data = bytes})         \
  X(tensor, "32-bit", .data = &(const rk_tensor_data){.shape = large, .rank = 1, .datatype = 1, .data = bytes})        \
  X(annotation_context, "AnnotationContext:context is required", .context_count = 0)                                   \
  X(annotation_context, "has a NULL", .context = &(const rk_class_description){.keypoint_annotations_count = 1},       \
    .context_count = 1)                                                                                                \
  X(annotation_context, "has a NULL", .context = &(const rk_class_description){.keypoint_connections_count = 1},       \
    .context_count = 1)

typedef struct fixture {
  char directory[64], path[96];
  rk_recording *recording;
  const rk_entity *entity;
} fixture;

static off_t size_of(const fixture *f)
{
  struct stat status;
  assert_int_equal(rk_recording_flush(f->recording), RK_OK);
  assert_int_equal(stat(f->path, &status), 0);
  return status.st_size;
}

static int open_recording(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  (void)snprintf(f->directory, sizeof f->directory, "/tmp/rk-archetypes-XXXXXX");
  assert_non_null(mkdtemp(f->directory));
  (void)snprintf(f->path, sizeof f->path, "%s/a.rrd", f->directory);
  assert_int_equal(rk_recording_open(f->path, NULL, &f->recording, NULL), RK_OK);
  f->entity = rk_entity_at(f->recording, "here");
  assert_non_null(f->entity);
  /* The writer has introduced itself before anything is measured. */
  assert_int_equal(rk_log_text(f->recording, f->entity, NULL, "first"), RK_OK);
  *state = f;
  return 0;
}

static int close_recording(void **state)
{
  fixture *f = *state;
  assert_int_equal(rk_recording_close(f->recording), RK_OK);
  rk_recording_free(f->recording);
  assert_int_equal(unlink(f->path), 0);
  assert_int_equal(rmdir(f->directory), 0);
  free(f);
  return 0;
}

static void refused_calls_say_why_and_log_nothing(void **state)
{
  const fixture *f = *state;
  const off_t before = size_of(f);
  rk_error error;
#define CALL(name, words, ...)                                                                                         \
  assert_int_equal(rk_log_##name(f->recording, f->entity, &(const rk_##name){__VA_ARGS__}), RK_ERR_MISUSE);            \
  rk_recording_error(f->recording, &error);                                                                            \
  assert_int_equal(error.status, RK_ERR_MISUSE);                                                                       \
  if (strstr(error.message, words) == NULL) {                                                                          \
    fail_msg("%s says \"%s\", not \"%s\"", #name, error.message, words);                                               \
  }                                                                                                                    \
  assert_int_equal(rk_log_static_##name(f->recording, f->entity, &(const rk_##name){__VA_ARGS__}), RK_ERR_MISUSE);
  REFUSED(CALL)
#undef CALL
  assert_int_equal(rk_log_boxes2d(f->recording, f->entity, NULL), RK_ERR_MISUSE);
  rk_recording_error(f->recording, &error);
  assert_non_null(strstr(error.message, "rk_boxes2d is NULL"));
  assert_int_equal(rk_log_clear(f->recording, NULL, &(const rk_clear){0}), RK_ERR_MISUSE);
  assert_int_equal(rk_log_text(NULL, f->entity, NULL, "text"), RK_ERR_MISUSE);
  assert_int_equal(rk_log_text_log(NULL, f->entity, &(const rk_text_log){.text = NULL}), RK_ERR_MISUSE);
  assert_int_equal(size_of(f), before);
}

static void accepted_calls_log(void **state)
{
  const fixture *f = *state;
  const off_t before = size_of(f);
  const float one = 1;
  /* One value for all, as many values as instances, explicitly empty lists, several fields that set the instances. */
  assert_int_equal(rk_log_boxes2d(f->recording, f->entity,
                                  &(const rk_boxes2d){.half_sizes = two,
                                                      .half_sizes_count = 2,
                                                      .centers = two,
                                                      .centers_count = 2,
                                                      .colors = three_colors,
                                                      .colors_count = 1,
                                                      .labels = texts}),
                   RK_OK);
  assert_int_equal(rk_log_boxes2d(f->recording, f->entity,
                                  &(const rk_boxes2d){.half_sizes = two, .colors = three_colors, .colors_count = 1}),
                   RK_OK);
  assert_int_equal(rk_log_capsules3d(
                       f->recording, f->entity,
                       &(const rk_capsules3d){.lengths = &one, .lengths_count = 1, .radii = lengths, .radii_count = 3}),
                   RK_OK);
  assert_int_equal(rk_log_tensor(f->recording, f->entity, &(const rk_tensor){.data = &good_tensor}), RK_OK);
  assert_int_equal(rk_log_clear(f->recording, f->entity, &(const rk_clear){0}), RK_OK);
  assert_int_equal(
      rk_log_static_series_lines(f->recording, f->entity, &(const rk_series_lines){.names = texts, .names_count = 2}),
      RK_OK);
  assert_true(size_of(f) > before);
}

static void axis_angles_split(void **state)
{
  (void)state;
  static rk_axis_angle many[5000]; /* far beyond the room on the stack */
  for (size_t i = 0; i < 5000; i++) {
    many[i] = (rk_axis_angle){{(float)i, (float)i + 1, (float)i + 2}, (float)i + 3};
  }
  static const size_t counts[] = {0, 1, 3, 5000};
  for (size_t c = 0; c < 4; c++) {
    const size_t count = counts[c];
    rk_form_room room;
    rk_form_room_open(&room);
    const struct ArrowArray *array;
    assert_int_equal(rk_form_convert(&room, RK_MEMBER_AXIS_ANGLES, many, count, &array), RK_DRAFT_SOUND);
    assert_int_equal(array->length, count);
    assert_int_equal(array->n_children, 2);
    assert_int_equal(array->children[0]->length, count);
    assert_int_equal(array->children[0]->children[0]->length, 3 * count);
    assert_int_equal(array->children[1]->length, count);
    const float *axes = array->children[0]->children[0]->buffers[1], *turned = array->children[1]->buffers[1];
    for (size_t i = 0; i < count; i++) {
      assert_true(axes[3 * i] == many[i].axis.x && axes[3 * i + 2] == many[i].axis.z && turned[i] == many[i].angle);
    }
    rk_form_room_free(&room);
  }
}

static void image_format_nulls(void **state)
{
  (void)state;
  rk_form_room room;
  rk_form_room_open(&room);
  const rk_image_format format = {.width = 7, .height = 8, .pixel_format = 0, .color_model = RK_COLOR_MODEL_RGBA};
  const struct ArrowArray *array;
  assert_int_equal(rk_form_convert(&room, RK_MEMBER_IMAGE_FORMAT, &format, 1, &array), RK_DRAFT_SOUND);
  assert_int_equal(array->n_children, 5);
  static const int64_t nulls[5] = {0, 0, 1, 0, 1};
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(array->children[i]->null_count, nulls[i]);
    assert_int_equal(array->children[i]->buffers[0] != NULL, nulls[i] != 0);
  }
  assert_int_equal(*(const uint32_t *)array->children[1]->buffers[1], 8);
  assert_int_equal(*(const uint8_t *)array->children[3]->buffers[1], RK_COLOR_MODEL_RGBA);
  rk_form_room_free(&room);
}

static void tensor_borrows_its_data(void **state)
{
  (void)state;
  rk_form_room room;
  rk_form_room_open(&room);
  const struct ArrowArray *array;
  assert_int_equal(rk_form_convert(&room, RK_MEMBER_TENSOR, &good_tensor, 1, &array), RK_DRAFT_SOUND);
  const struct ArrowArray *buffer = array->children[2];
  assert_int_equal(buffer->n_children, 12);
  assert_int_equal(*(const int8_t *)buffer->buffers[0], RK_TENSOR_DATATYPE_U8);
  assert_int_equal(*(const int32_t *)buffer->buffers[1], 0);
  assert_int_equal(buffer->children[1]->children[0]->length, 6);
  assert_ptr_equal(buffer->children[1]->children[0]->buffers[1], bytes);
  assert_int_equal(buffer->children[2]->length, 0);
  assert_int_equal(array->children[1]->null_count, 1);
  rk_form_room_free(&room);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_sorted_and_parses),
      cmocka_unit_test_setup_teardown(refused_calls_say_why_and_log_nothing, open_recording, close_recording),
      cmocka_unit_test_setup_teardown(accepted_calls_log, open_recording, close_recording),
      cmocka_unit_test(axis_angles_split),
      cmocka_unit_test(image_format_nulls),
      cmocka_unit_test(tensor_borrows_its_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
