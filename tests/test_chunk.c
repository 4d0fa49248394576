/* Chunks: what is written, and that it is read back. */
#include "tests/typed_chunk.h"

#include <stdio.h>
#include <string.h>

#include "arrow_values.h"
#include "format/builder.h"
#include "format/codec.h"
#include "format/ipc.h"

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
  const rk_chunk chunk = typed_chunk(&maker, arrow_types, ARROW_TYPE_COUNT);
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

  rk_chunk fixed = typed_chunk(&maker, arrow_types, 1);
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

/* Three columns of an item a row, noise: their offsets are equal, and are stored once. */
static void test_offsets_repeat(void **state)
{
  (void)state;
  enum { MANY = 4096, COLUMNS = 3 };
  static const char *const types[COLUMNS] = {"I", "+w:3(!:f)", "f"};
  static const size_t sizes[COLUMNS] = {4, 12, 4};
  static uint8_t noise[MANY * 12], ids[MANY * RK_TUID_SIZE];
  rk_arena arena = {0};
  rk_chunk_component components[COLUMNS];
  rk_builder *builders[COLUMNS];
  size_t at_least = 0;
  uint64_t random = 1;
  for (size_t i = 0; i < COLUMNS; i++) {
    for (size_t k = 0; k < sizeof noise; k++) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      noise[k] = (uint8_t)(random >> 56);
    }
    char list[32];
    snprintf(list, sizeof list, "+l(:%s)", types[i]);
    const rk_field *field = arrow_field(&arena, list);
    builders[i] = rk_builder_new(field);
    assert_int_equal(rk_builder_append_lists(builders[i], noise, sizes[i], 1, MANY), RK_OK);
    components[i] = (rk_chunk_component){.name = i == 0   ? "A"
                                                 : i == 1 ? "B"
                                                          : "C",
                                         .item = field->children,
                                         .lists = rk_builder_view(builders[i])};
    at_least += MANY * sizes[i];
  }
  const rk_chunk chunk = {
      .entity_path = "/e", .row_count = MANY, .row_ids = ids, .component_count = COLUMNS, .components = components};
  rk_buffer out = {0}, packed = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  rk_compression used;
  assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, out.data, out.size, NULL, &used), RK_OK);
  assert_true(packed.size > at_least && packed.size < at_least + 4 * MANY + 4096);
  rk_chunk found;
  assert_int_equal(rk_chunk_decode(&arena, out.data, out.size, &found, NULL), RK_OK);
  expect_same(&chunk, &found);
  for (size_t i = 0; i < COLUMNS; i++) {
    rk_builder_free(builders[i]);
  }
  rk_buffer_free(&packed);
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

/* Chunks of more sets of columns than are kept, one after the other and again: the same bytes as without. */
static void test_kept_schemas(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 5};
  const rk_chunk whole = typed_chunk(&maker, arrow_types, ARROW_TYPE_COUNT);
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
  rk_chunk chunk = typed_chunk(&maker, types, 2);
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
  rk_chunk chunk = typed_chunk(&maker, arrow_types, 0);
  ((uint8_t *)(uintptr_t)chunk.row_ids)[0] = 1;
  rk_buffer out = {0};
  assert_int_equal(rk_chunk_encode(&out, &chunk), RK_OK);
  const rk_field *schema;
  assert_int_equal(rk_ipc_decode(&arena, out.data, out.size, &schema, NULL, NULL, NULL), RK_OK);
  assert_null(rk_field_metadata(schema->children, "rerun:is_sorted"));
  rk_buffer_free(&out);
  rk_arena_free(&arena);
}

static void test_damage(void **state)
{
  (void)state;
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 27};
  static const char *const types[] = {"+w:2(!:f)", "u"};
  const rk_chunk chunk = typed_chunk(&maker, types, 2);
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
      cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_offsets_repeat),
      cmocka_unit_test(test_kept_schemas),     cmocka_unit_test(test_schema_as_rerun_wants_it),
      cmocka_unit_test(test_unsorted_row_ids), cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
