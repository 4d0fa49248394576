/* Chunks: what is written, and what is read back, also from other writers' columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arrow_values.h"
#include "format/chunk.h"
#include "format/chunk_keys.h"
#include "format/ipc.h"

enum { ROWS = 12 };

/* A chunk of ROWS rows over the types given, all memory in the arena. */
static rk_chunk make_chunk(arrow_maker *m, const char *const *types, size_t count)
{
  rk_arena *arena = m->arena;
  uint8_t *ids = arrow_need(rk_arena_alloc(arena, ROWS * RK_TUID_SIZE));
  int64_t *times = arrow_need(rk_arena_alloc(arena, ROWS * 8)), *steps = arrow_need(rk_arena_alloc(arena, ROWS * 8));
  for (int64_t i = 0; i < ROWS; i++) {
    rk_tuid_store(ids + RK_TUID_SIZE * i, (rk_tuid){.time_ns = 1000 + (uint64_t)i / 3, .inc = (uint64_t)i});
    times[i] = 1000 + i / 3;
    steps[i] = -i;
  }
  rk_chunk_timeline *timelines = arrow_need(rk_arena_array(arena, 3, sizeof *timelines));
  timelines[0] = (rk_chunk_timeline){"age", RK_TIMELINE_DURATION, times, false};
  timelines[1] = (rk_chunk_timeline){"log_time", RK_TIMELINE_TIMESTAMP, times, false};
  timelines[2] = (rk_chunk_timeline){"step", RK_TIMELINE_SEQUENCE, steps, true};
  rk_chunk_component *components = arrow_need(rk_arena_array(arena, count, sizeof *components));
  for (size_t i = 0; i < count; i++) {
    char *name = arrow_need(rk_arena_alloc(arena, 48)), list[128];
    snprintf(name, 48, "Things:component%02zu", i);
    snprintf(list, sizeof list, "+l(:%s)", types[i]);
    const rk_field *field = arrow_field(arena, list);
    components[i] = (rk_chunk_component){.name = name,
                                         .archetype = i % 2 == 0 ? "my.Things" : NULL,
                                         .component_type = i % 3 == 0 ? "my.components.Thing" : NULL,
                                         .item = field->children,
                                         .lists = arrow_make(m, field, ROWS)};
  }
  return (rk_chunk){.id = {.time_ns = 0xABCDEF0123456789, .inc = 0x00FEDCBA98765432},
                    .entity_path = "/world/robot",
                    .row_count = ROWS,
                    .row_ids = ids,
                    .timeline_count = 3,
                    .timelines = timelines,
                    .component_count = count,
                    .components = components};
}

static void expect_same(const rk_chunk *a, const rk_chunk *b)
{
  assert_int_equal(rk_tuid_compare(a->id, b->id), 0);
  assert_string_equal(a->entity_path, b->entity_path);
  assert_int_equal(a->row_count, b->row_count);
  assert_memory_equal(a->row_ids, b->row_ids, (size_t)a->row_count * RK_TUID_SIZE);
  assert_int_equal(a->timeline_count, b->timeline_count);
  for (size_t i = 0; i < a->timeline_count; i++) {
    assert_string_equal(a->timelines[i].name, b->timelines[i].name);
    assert_int_equal(a->timelines[i].kind, b->timelines[i].kind);
    assert_memory_equal(a->timelines[i].values, b->timelines[i].values, (size_t)a->row_count * 8);
  }
  assert_int_equal(a->component_count, b->component_count);
  for (size_t i = 0; i < a->component_count; i++) {
    const rk_chunk_component *x = a->components + i, *y = b->components + i;
    assert_string_equal(x->name, y->name);
    assert_true(x->archetype == NULL ? y->archetype == NULL : strcmp(x->archetype, y->archetype) == 0);
    assert_true(x->component_type == NULL ? y->component_type == NULL
                                          : strcmp(x->component_type, y->component_type) == 0);
    assert_true(rk_field_type_equal(x->item, y->item));
    const rk_field list = {.type = RK_TYPE_LIST, .child_count = 1, .children = (rk_field *)(uintptr_t)x->item};
    assert_true(arrow_equal(&list, x->lists, 0, y->lists, 0, a->row_count));
  }
}

static void test_round_trip(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 21};
  const rk_chunk chunk = make_chunk(&maker, arrow_types, ARROW_TYPE_COUNT);
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  rk_chunk found;
  rk_error error = {0};
  assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &found, &error), RK_OK);
  expect_same(&chunk, &found);
  assert_true(found.timelines[0].is_sorted);
  assert_true(found.timelines[1].is_sorted);
  assert_false(found.timelines[2].is_sorted); /* as it is, not as the caller said */
  rk_buffer again = {0};
  assert_int_equal(rk_chunk_encode(&again, &found), RK_OK);
  assert_int_equal(again.size, out.size);
  assert_memory_equal(again.data, out.data, out.size);
  rk_buffer_free(&again);
  rk_buffer_free(&out);

  rk_chunk fixed = make_chunk(&maker, arrow_types, 1);
  fixed.timeline_count = 0;
  assert_int_equal(rk_chunk_encode(&out, &fixed), RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &found, &error), RK_OK);
  expect_same(&fixed, &found);
  rk_buffer_free(&out);

  fixed.row_count = 0;
  fixed.component_count = 0;
  assert_int_equal(rk_chunk_encode(&out, &fixed), RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &found, &error), RK_OK);
  expect_same(&fixed, &found);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

/* Chunks of more sets of columns than are kept, one after the other and again: the same bytes as without. */
static void test_kept_schemas(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 5};
  const rk_chunk whole = make_chunk(&maker, arrow_types, ARROW_TYPE_COUNT);
  rk_chunk_heads heads = {0};
  rk_buffer plain = {0};
  rk_buffer kept = {0};
  int64_t *late = rk_arena_array(&arena, (size_t)whole.row_count, sizeof *late);
  assert_non_null(late);
  memcpy(late, whole.timelines[0].values, (size_t)whole.row_count * sizeof *late);
  late[0] = INT64_MAX; /* the same columns, but not sorted */
  for (size_t i = 0; i < 400; i++) {
    rk_chunk chunk = whole;
    rk_chunk_timeline timelines[8];
    assert_true(whole.timeline_count <= 8);
    memcpy(timelines, whole.timelines, whole.timeline_count * sizeof *timelines);
    chunk.component_count = i * 7 % (whole.component_count + 1);
    chunk.timeline_count = i / 3 % (whole.timeline_count + 1);
    timelines[0].values = i % 2 == 0 ? late : whole.timelines[0].values;
    timelines[0].name = i % 5 == 0 ? "other" : whole.timelines[0].name;
    chunk.timelines = timelines;
    chunk.id.inc += i;
    chunk.entity_path = i % 4 == 0 ? "/a/longer/path/than/the/other" : whole.entity_path;
    rk_buffer_reset(&plain);
    rk_buffer_reset(&kept);
    rk_buffer_append_zero(&kept, i % 3); /* a stream may begin anywhere */
    assert_int_equal(rk_chunk_encode(&plain, &chunk), RK_OK);
    chunk.heads = &heads;
    assert_int_equal(rk_chunk_encode(&kept, &chunk), RK_OK);
    assert_int_equal(kept.size - i % 3, plain.size);
    assert_memory_equal(kept.data + i % 3, plain.data, plain.size);
  }
  rk_chunk_heads_free(&heads);
  rk_buffer_free(&kept);
  rk_buffer_free(&plain);
  rk_arena_free(&arena);
}

static void expect_metadata(const rk_field *field, const char *text)
{
  char found[512] = "";
  for (size_t i = 0; i < field->metadata_count; i++) {
    const size_t used = strlen(found);
    snprintf(found + used, sizeof found - used, "%s=%s\n", field->metadata[i].key, field->metadata[i].value);
  }
  assert_string_equal(found, text);
}

static void test_schema_as_rerun_wants_it(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 22};
  static const char *const types[] = {"+w:2(!:f)", "u"};
  rk_chunk chunk = make_chunk(&maker, types, 2);
  rk_field item = *chunk.components[0].item; /* whatever the caller's field says of itself */
  item.name = "other";
  item.nullable = false;
  ((rk_chunk_component *)(uintptr_t)chunk.components)[0].item = &item;
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t rows;
  assert_int_equal(rk_ipc_decode(&arena, out.data, out.size, &schema, &columns, &rows, NULL), RK_OK);
  expect_metadata(schema, "rerun:entity_path=/world/robot\n"
                          "rerun:id=chunk_ABCDEF012345678900fedcba98765432\n"
                          "sorbet:version=0.1.3\n");
  const struct {
    const char *name, *type, *metadata;
    bool nullable;
  } expected[] = {
      {"rerun.controls.RowId", "w:16",
       "rerun:kind=control\nARROW:extension:name=rerun.datatypes.TUID\n"
       "ARROW:extension:metadata={\"namespace\":\"row\"}\nrerun:is_sorted=true\n",
       false},
      {"age", "tDn", "rerun:kind=index\nrerun:index_name=age\nrerun:is_sorted=true\n", true},
      {"log_time", "tsn:", "rerun:kind=index\nrerun:index_name=log_time\nrerun:is_sorted=true\n", true},
      {"step", "l", "rerun:kind=index\nrerun:index_name=step\n", true},
      {"Things:component00", "+l(:+w:2(!:f))",
       "rerun:kind=data\nrerun:component=Things:component00\nrerun:archetype=my.Things\n"
       "rerun:component_type=my.components.Thing\n",
       true},
      {"Things:component01", "+l(:u)", "rerun:kind=data\nrerun:component=Things:component01\n", true},
  };
  assert_int_equal(schema->child_count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < schema->child_count; i++) {
    const rk_field *field = schema->children + i;
    rk_buffer text = {0};
    rk_field_text(field, &text);
    assert_string_equal(field->name, expected[i].name);
    assert_string_equal((const char *)text.data, expected[i].type);
    assert_int_equal(field->nullable, expected[i].nullable);
    expect_metadata(field, expected[i].metadata);
    rk_buffer_free(&text);
  }
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

/* Row ids out of order lose the claim to be sorted. */
static void test_unsorted_row_ids(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 23};
  rk_chunk chunk = make_chunk(&maker, arrow_types, 0);
  ((uint8_t *)(uintptr_t)chunk.row_ids)[0] = 1;
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  const rk_field *schema;
  assert_int_equal(rk_ipc_decode(&arena, out.data, out.size, &schema, NULL, NULL, NULL), RK_OK);
  assert_null(rk_field_metadata(schema->children, "rerun:is_sorted"));
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

/* ---- Chunks of other writers ---- */

typedef struct column {
  const char *type, *name;
  const char *keys[8]; /* key, value, ... */
} column;

static rk_metadata *metadata_of(rk_arena *arena, const char *const *keys, size_t *count)
{
  rk_metadata *metadata = arrow_need(rk_arena_array(arena, 4, sizeof *metadata));
  for (*count = 0; *count < 4 && keys[2 * *count] != NULL; ++*count) {
    const char *key = keys[2 * *count], *value = keys[2 * *count + 1];
    metadata[*count] = (rk_metadata){key, value, strlen(key), strlen(value)};
  }
  return metadata;
}

/* Every value is valid, row ids and times rise. */
static void encode_columns(rk_arena *arena, rk_buffer *out, const char *const *keys, const column *columns,
                           size_t count, bool nulls)
{
  arrow_maker maker = {.arena = arena, .state = 24, .plain = true};
  rk_field schema = {.type = RK_TYPE_STRUCT, .name = "", .child_count = count};
  schema.metadata = metadata_of(arena, keys, &schema.metadata_count);
  schema.children = arrow_need(rk_arena_array(arena, count, sizeof *schema.children));
  const struct ArrowArray *arrays[8];
  for (size_t i = 0; i < count; i++) {
    rk_field *field = schema.children + i;
    *field = *arrow_field(arena, columns[i].type);
    field->name = columns[i].name;
    field->metadata = metadata_of(arena, columns[i].keys, &field->metadata_count);
    struct ArrowArray *array = arrow_make(&maker, field, 4);
    static const uint8_t second_null[] = {0x0D};
    array->null_count = nulls ? -1 : 0;
    if (rk_type_buffer_count(field->type) > 0) {
      array->buffers[0] = nulls ? second_null : NULL;
    }
    arrays[i] = array;
  }
  assert_int_equal(rk_ipc_encode(out, &schema, NULL, arrays, 4), RK_OK);
}

#define VERSION "sorbet:version", "0.1.3"
#define ID      "rerun:id", "0123456789abcdefFEDCBA9876543210"
#define PATH    "rerun:entity_path", "/a"
#define ROW_ID                                                                                                         \
  {                                                                                                                    \
    "w:16", "rerun.controls.RowId",                                                                                    \
    {                                                                                                                  \
      "rerun:kind", "control"                                                                                          \
    }                                                                                                                  \
  }
#define INDEX(type, name)                                                                                              \
  {                                                                                                                    \
    type, name,                                                                                                        \
    {                                                                                                                  \
      "rerun:kind", "index", "rerun:index_name", name                                                                  \
    }                                                                                                                  \
  }
#define DATA(type, name)                                                                                               \
  {                                                                                                                    \
    type, name,                                                                                                        \
    {                                                                                                                  \
      "rerun:kind", "data"                                                                                             \
    }                                                                                                                  \
  }

static void test_refusals(void **state)
{
  (void)state;
  static const struct {
    const char *keys[8];
    column columns[4];
    size_t count;
    bool nulls;
    rk_status status;
    const char *word; /* in the message */
  } rows[] = {
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("tsn:", "t"), DATA("+l(:f)", "c")}, 3, false, RK_OK, ""},
      {{VERSION, PATH}, {ROW_ID}, 1, false, RK_ERR_CORRUPT, "chunk id"},
      {{VERSION, "rerun:id", "chunk_0123", PATH}, {ROW_ID}, 1, false, RK_ERR_CORRUPT, "chunk id"},
      {{VERSION, "rerun:id", "0123456789abcdefFEDCBA98765432100", PATH},
       {ROW_ID},
       1,
       false,
       RK_ERR_CORRUPT,
       "chunk id"},
      {{VERSION, "rerun:id", "0123456789abcdefFEDCBA987654321g", PATH}, {ROW_ID}, 1, false, RK_ERR_CORRUPT, "chunk id"},
      {{VERSION, ID}, {ROW_ID}, 1, false, RK_ERR_CORRUPT, "entity path"},
      {{VERSION, ID, PATH}, {DATA("i", "x")}, 0, false, RK_ERR_CORRUPT, "row ids"},
      {{VERSION, ID, PATH}, {DATA("w:16", "rerun.controls.RowId")}, 1, false, RK_ERR_CORRUPT, "row ids"},
      {{VERSION, ID, PATH}, {{"w:8", "id", {"rerun:kind", "control"}}}, 1, false, RK_ERR_CORRUPT, "16 bytes"},
      {{VERSION, ID, PATH}, {{"z", "id", {"rerun:kind", "control"}}}, 1, false, RK_ERR_CORRUPT, "16 bytes"},
      {{VERSION, ID, PATH}, {ROW_ID}, 1, true, RK_ERR_CORRUPT, "missing"},
      {{VERSION, ID, PATH}, {ROW_ID, ROW_ID}, 2, false, RK_ERR_CORRUPT, "second"},
      {{VERSION, ID, PATH}, {ROW_ID, DATA("+l(:f)", "c"), INDEX("l", "t")}, 3, false, RK_ERR_CORRUPT, "after"},
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("tsu:", "t")}, 2, false, RK_ERR_UNSUPPORTED, "\"t\""},
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("tDs", "t")}, 2, false, RK_ERR_UNSUPPORTED, "type"},
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("i", "t")}, 2, false, RK_ERR_UNSUPPORTED, "type"},
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("g", "t\n")}, 2, false, RK_ERR_UNSUPPORTED, "type"},
      {{VERSION, ID, PATH}, {ROW_ID, INDEX("l", "")}, 2, false, RK_ERR_CORRUPT, "name"},
      {{VERSION, ID, PATH}, {ROW_ID, DATA("+l(:f)", "")}, 2, false, RK_ERR_CORRUPT, "name"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    rk_arena arena = {0};
    rk_buffer out = {0};
    encode_columns(&arena, &out, rows[i].keys, rows[i].columns, rows[i].count, rows[i].nulls);
    rk_chunk chunk;
    rk_error error = {0};
    assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &chunk, &error), rows[i].status);
    assert_int_equal(error.status, rows[i].status);
    assert_non_null(strstr(error.message, rows[i].word));
    assert_null(strchr(error.message, '\n'));
    rk_buffer_free(&out);
    rk_arena_free(&arena);
  }
}

static void test_null_times_are_refused(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 25};
  rk_chunk chunk = make_chunk(&maker, arrow_types, 0);
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t rows;
  assert_int_equal(rk_ipc_decode(&arena, out.data, out.size, &schema, &columns, &rows, NULL), RK_OK);
  static const uint8_t validity[] = {0xFF, 0x07};
  const void *buffers[] = {validity, columns[1]->buffers[1]};
  const struct ArrowArray nulls = {.length = ROWS, .null_count = 1, .n_buffers = 2, .buffers = buffers};
  const struct ArrowArray *changed[] = {columns[0], &nulls, columns[2], columns[3]};
  rk_buffer bad = {0};
  assert_int_equal(rk_ipc_encode(&bad, schema, NULL, changed, ROWS), RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, bad.data, bad.size, &chunk, NULL), RK_ERR_CORRUPT);
  rk_buffer_free(&bad);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

/* Columns that are not List<item> become so: 64-bit lists narrowed, values wrapped, null values null rows. */
static void test_other_shapes(void **state)
{
  (void)state;
  static const char *const types[] = {"+L(:u)", "f", "u", "+w:2(!:f)", "n", "+s(a:i)", "+ud:0,1(a:i,b:u)"};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    rk_arena arena = {0};
    arrow_maker maker = {.arena = &arena, .state = 26 + t};
    rk_field fields[2] = {*arrow_field(&arena, "w:16"), *arrow_field(&arena, types[t])};
    const rk_metadata control[] = {{"rerun:kind", "control", 10, 7}};
    const rk_metadata data[] = {{"rerun:component", "c", 15, 1}, {"rerun:archetype", "a.B", 15, 3}};
    const rk_metadata keys[] = {{"sorbet:version", "0.1.3", 14, 5},
                                {"rerun:id", "chunk_00000000000000010000000000000002", 8, 38},
                                {"rerun:entity_path", "/a", 17, 2}};
    fields[0].nullable = false;
    fields[0].metadata = control;
    fields[0].metadata_count = 1;
    fields[1].metadata = data;
    fields[1].metadata_count = 2;
    const rk_field schema = {.type = RK_TYPE_STRUCT,
                             .name = "",
                             .child_count = 2,
                             .children = fields,
                             .metadata = keys,
                             .metadata_count = 3};
    const struct ArrowArray *arrays[] = {arrow_make(&maker, fields, ROWS), arrow_make(&maker, fields + 1, ROWS)};
    rk_buffer out = {0};
    assert_int_equal(rk_ipc_encode(&out, &schema, NULL, arrays, ROWS), RK_OK);
    rk_chunk chunk;
    assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &chunk, NULL), RK_OK);
    assert_int_equal(chunk.id.time_ns, 1);
    assert_int_equal(chunk.id.inc, 2);
    assert_int_equal(chunk.timeline_count, 0);
    assert_int_equal(chunk.component_count, 1);
    const rk_chunk_component *component = chunk.components;
    assert_string_equal(component->name, "c");
    assert_string_equal(component->archetype, "a.B");
    assert_null(component->component_type);
    const bool is_list = fields[1].type == RK_TYPE_LARGE_LIST;
    const rk_field *item = is_list ? fields[1].children : fields + 1;
    assert_true(rk_field_type_equal(component->item, item));
    rk_field list = {.type = RK_TYPE_LIST, .child_count = 1, .children = (rk_field *)(uintptr_t)component->item};
    assert_int_equal(component->lists->length, ROWS);
    arrow_walk(&list, component->lists, 0, ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
      assert_int_equal(arrow_is_null(&list, component->lists, i), arrow_is_null(fields + 1, arrays[1], i));
      if (arrow_is_null(&list, component->lists, i)) {
        continue;
      }
      const int32_t *offsets = component->lists->buffers[1];
      const struct ArrowArray *items = component->lists->children[0];
      if (is_list) {
        const int64_t *wide = (const int64_t *)arrays[1]->buffers[1] + arrays[1]->offset + i;
        assert_int_equal(offsets[i + 1] - offsets[i], wide[1] - wide[0]);
        assert_true(arrow_equal(item, items, offsets[i], arrays[1]->children[0], wide[0], wide[1] - wide[0]));
      } else {
        assert_int_equal(offsets[i + 1] - offsets[i], 1);
        assert_true(arrow_element_equal(item, items, offsets[i], arrays[1], i));
      }
    }
    rk_buffer again = {0};
    assert_int_equal(rk_chunk_encode(&again, &chunk), RK_OK);
    rk_buffer_free(&again);
    rk_buffer_free(&out);
    rk_arena_free(&arena);
  }
}

/* The deepest type that a component may have survives; values one deeper than that cannot be wrapped. */
static void test_depth(void **state)
{
  (void)state;
  for (int depth = RK_TYPE_DEPTH_MAX; depth <= RK_TYPE_DEPTH_MAX + 2; depth++) {
    for (int is_list = 0; is_list < 2; is_list++) {
      rk_arena arena = {0};
      rk_field *field = arrow_field(&arena, "f");
      for (int i = 0; i < depth; i++) {
        rk_field *outer = arrow_field(&arena, i == depth - 1 && is_list ? "+l(:f)" : "+w:1(:f)");
        outer->children = field;
        field = outer;
      }
      rk_field fields[2] = {*arrow_field(&arena, "w:16"), *field};
      const rk_metadata control[] = {{"rerun:kind", "control", 10, 7}};
      const rk_metadata keys[] = {{"sorbet:version", "0.1.3", 14, 5},
                                  {"rerun:id", "00000000000000010000000000000002", 8, 32},
                                  {"rerun:entity_path", "/a", 17, 2}};
      fields[0].nullable = false;
      fields[0].metadata = control;
      fields[0].metadata_count = 1;
      fields[1].name = "c";
      const rk_field schema = {.type = RK_TYPE_STRUCT,
                               .name = "",
                               .child_count = 2,
                               .children = fields,
                               .metadata = keys,
                               .metadata_count = 3};
      arrow_maker maker = {.arena = &arena, .state = 28};
      const struct ArrowArray *arrays[] = {arrow_make(&maker, fields, 2), arrow_make(&maker, fields + 1, 2)};
      rk_buffer out = {0}, again = {0};
      assert_int_equal(rk_ipc_encode(&out, &schema, NULL, arrays, 2), RK_OK);
      rk_chunk chunk;
      const bool ok = depth <= RK_TYPE_DEPTH_MAX + is_list;
      assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &chunk, NULL), ok ? RK_OK : RK_ERR_LIMIT);
      if (ok) {
        assert_int_equal(rk_chunk_encode(&again, &chunk), RK_OK);
        assert_int_equal(rk_chunk_decode(&arena, again.data, again.size, &chunk, NULL), RK_OK);
      }
      rk_buffer_free(&again);
      rk_buffer_free(&out);
      rk_arena_free(&arena);
    }
  }
}

static void test_damage(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 27};
  static const char *const types[] = {"+w:2(!:f)", "u"};
  const rk_chunk chunk = make_chunk(&maker, types, 2);
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  size_t failures = 0;
  rk_arena other = {0};
  for (size_t bit = 0; bit < out.size * 8; bit++) {
    out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    rk_chunk found;
    rk_error error = {0};
    const rk_status status = rk_chunk_decode(&other, out.data, out.size, &found, &error);
    assert_int_equal(error.status, status);
    if (status != RK_OK) {
      failures++;
    } else {
      rk_buffer again = {0};
      assert_int_equal(rk_chunk_encode(&again, &found), RK_OK); /* touches every value */
      rk_buffer_free(&again);
    }
    rk_arena_reset(&other);
    out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  assert_true(failures > 1000);
  rk_arena_free(&other);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_kept_schemas),
      cmocka_unit_test(test_schema_as_rerun_wants_it),
      cmocka_unit_test(test_unsorted_row_ids),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_null_times_are_refused),
      cmocka_unit_test(test_other_shapes),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
