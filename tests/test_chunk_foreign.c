/* Chunks of other writers: columns of other shapes, and those that are refused. */
#include "tests/typed_chunk.h"

#include <string.h>

#include "arrow_values.h"
#include "format/ipc.h"

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
  rk_chunk chunk = typed_chunk(&maker, arrow_types, 0);
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_null_times_are_refused),
      cmocka_unit_test(test_other_shapes),
      cmocka_unit_test(test_depth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
