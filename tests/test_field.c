/* Fields: type texts, comparison, packed sizes, the C data interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arrow_import.h"
#include "arrow_values.h"

static void text_of(const rk_field *field, char *out, size_t size)
{
  rk_buffer text = {0};
  rk_field_text(field, &text);
  assert_false(text.failed);
  assert_true(text.size <= size);
  memcpy(out, text.data, text.size);
  rk_buffer_free(&text);
}

static void test_text_round_trip(void **state)
{
  (void)state;
  static const char *const more[] = {
      "s",
      "I",
      "l",
      "C",
      "tDs",
      "tDm",
      "tDu",
      "ttm",
      "ttu",
      "tss:",
      "tsm:UTC",
      "d:10,-2",
      "+us:",
      "+ud:",
      "+l(\\e:f)",
      "+l(other:f)",
      "+s(:i,:i)",
      "+s(a\\(b\\)\\:\\,\\!\\\\:i)",
      "+s(x:tsn:A\\,B,y:u)",
      "+s(d:d:9,2,128,3:i)",
      "+m(things!:+s(k!:i,v:u))",
      "+s(u:+us:3(a:i),4:i)",
  };
  for (size_t i = 0; i < ARROW_TYPE_COUNT + sizeof more / sizeof *more; i++) {
    const char *text = i < ARROW_TYPE_COUNT ? arrow_types[i] : more[i - ARROW_TYPE_COUNT];
    rk_arena arena = {0};
    rk_field *field = arrow_field(&arena, text), *again;
    assert_string_equal(field->name, "item");
    assert_true(field->nullable);
    char shown[256];
    text_of(field, shown, sizeof shown);
    if (strncmp(text, "d:", 2) != 0 && strstr(text, "\\e") == NULL) {
      assert_string_equal(shown, text);
    }
    assert_int_equal(rk_field_parse(&arena, shown, &again, NULL), RK_OK);
    assert_true(rk_field_type_equal(field, again));

    struct ArrowSchema *schema;
    assert_int_equal(rk_field_export(&arena, field, &schema), RK_OK);
    again = arrow_import(&arena, schema);
    assert_true(rk_field_type_equal(field, again));
    assert_string_equal(again->name, "item");
    assert_true(again->nullable);
    schema->release(schema);
    assert_null(schema->release);

    rk_arena other = {0};
    rk_field *copy = rk_field_copy(&other, field);
    rk_arena_free(&arena);
    text_of(copy, shown + 128, 128);
    assert_string_equal(shown, shown + 128);
    rk_arena_free(&other);
  }
}

static void test_text_meaning(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_field *f = arrow_field(&arena, "+s(when!:tsu:Etc/GMT+1,sum:d:19,-4,256,:+w:2(!:f),\\e:+l(\\e:u))");
  assert_int_equal(f->child_count, 4);
  assert_string_equal(f->children[0].name, "when");
  assert_false(f->children[0].nullable);
  assert_int_equal(f->children[0].type, RK_TYPE_TIMESTAMP);
  assert_int_equal(f->children[0].unit, RK_UNIT_MICRO);
  assert_string_equal(f->children[0].timezone, "Etc/GMT+1");
  assert_int_equal(f->children[1].type, RK_TYPE_DECIMAL256);
  assert_int_equal(f->children[1].precision, 19);
  assert_int_equal(f->children[1].scale, -4);
  assert_string_equal(f->children[2].name, "");
  assert_int_equal(f->children[2].size, 2);
  assert_string_equal(f->children[2].children[0].name, "item");
  assert_false(f->children[2].children[0].nullable);
  assert_string_equal(f->children[3].children[0].name, "");
  f = arrow_field(&arena, "+ud:5,0(x:g,y:b)");
  assert_int_equal(f->type_ids[0], 5);
  assert_int_equal(f->type_ids[1], 0);
  assert_null(arrow_field(&arena, "tsn:")->timezone);
  rk_arena_free(&arena);
}

static void test_bad_texts(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "",
      "x",
      "ff",
      "f ",
      "+",
      "+l",
      "+l()",
      "+l(",
      "+l(f)",
      "+l(:f",
      "+l(:f))",
      "+l(:f,:f)",
      "+w",
      "+w:",
      "+w:3",
      "+w:-1(:f)",
      "+w:99999999999(:f)",
      "w:",
      "w:-1",
      "w:999999999",
      "f(:i)",
      "+m(:i)",
      "+m(:+s(a:i))",
      "+m(:+s(a:i,b:i,c:i))",
      "+us:0(a:i,b:i)",
      "+us:0,0(a:i,b:i)",
      "+us:200(a:i)",
      "+ud:0",
      "d:",
      "d:10",
      "d:0,0",
      "d:39,0",
      "d:77,0,256",
      "d:10,2,64",
      "tsn",
      "tsx:",
      "tx",
      "vu",
      "+vl(:i)",
      "+r(:i,:i)",
      "tiM",
      "+s(a:)",
      "+s(a:i,)",
      "+s(a)",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    rk_arena arena = {0};
    rk_field *field = NULL;
    rk_error error = {0};
    assert_int_equal(rk_field_parse(&arena, bad[i], &field, &error), RK_ERR_MISUSE);
    assert_null(field);
    assert_int_equal(error.status, RK_ERR_MISUSE);
    assert_true(error.message[0] != 0);
    rk_arena_free(&arena);
  }
}

static void test_depth(void **state)
{
  (void)state;
  for (int depth = RK_TYPE_DEPTH_MAX; depth <= RK_TYPE_DEPTH_MAX + 1; depth++) {
    char text[512] = "";
    for (int i = 0; i < depth; i++) {
      strcat(text, "+l(:");
    }
    strcat(text, "f");
    for (int i = 0; i < depth; i++) {
      strcat(text, ")");
    }
    rk_arena arena = {0};
    rk_field *field;
    assert_int_equal(rk_field_parse(&arena, text, &field, NULL), depth <= RK_TYPE_DEPTH_MAX ? RK_OK : RK_ERR_MISUSE);
    rk_arena_free(&arena);
  }
}

static void test_type_equal(void **state)
{
  (void)state;
  static const char *const pairs[][2] = {
      {"i", "I"},
      {"w:3", "w:4"},
      {"tsn:", "tsu:"},
      {"tsn:", "tsn:UTC"},
      {"tsn:UTC", "tsn:GMT"},
      {"tDn", "tDs"},
      {"d:9,2", "d:9,3"},
      {"d:9,2", "d:8,2"},
      {"+l(:f)", "+l(!:f)"},
      {"+l(:f)", "+l(x:f)"},
      {"+l(:f)", "+L(:f)"},
      {"+w:2(:f)", "+w:3(:f)"},
      {"+s(a:i)", "+s(a:i,b:i)"},
      {"+us:0(a:i)", "+ud:0(a:i)"},
      {"+us:0(a:i)", "+us:1(a:i)"},
      {"tts", "ttm"},
  };
  rk_arena arena = {0};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    const rk_field *a = arrow_field(&arena, pairs[i][0]), *b = arrow_field(&arena, pairs[i][1]);
    assert_false(rk_field_type_equal(a, b));
    assert_false(rk_field_type_equal(b, a));
    assert_true(rk_field_type_equal(a, arrow_field(&arena, pairs[i][0])));
  }
  rk_field *a = arrow_field(&arena, "f"), *b = arrow_field(&arena, "f");
  b->name = "other";
  b->nullable = false;
  assert_true(rk_field_type_equal(a, b));
  a = arrow_field(&arena, "i");
  b = arrow_field(&arena, "i");
  b->dictionary = arrow_field(&arena, "u");
  assert_false(rk_field_type_equal(a, b));
  a->dictionary = arrow_field(&arena, "z");
  assert_false(rk_field_type_equal(a, b));
  rk_arena_free(&arena);
}

static void test_packed_size(void **state)
{
  (void)state;
  static const struct {
    const char *type;
    size_t size;
  } rows[] = {
      {"f", 4},
      {"C", 1},
      {"e", 2},
      {"g", 8},
      {"tsn:", 8},
      {"w:16", 16},
      {"d:9,2", 16},
      {"+w:3(!:f)", 12},
      {"+w:3(:+w:3(:g))", 72},
      {"b", 0},
      {"u", 0},
      {"n", 0},
      {"+w:2(:b)", 0},
      {"+l(:f)", 0},
      {"+w:2(:+l(:f))", 0},
      {"+s(a:f)", 0},
      {"w:0", 0},
      {"+w:0(:f)", 0},
      {"+w:2147483647(:+w:2147483647(:+w:2147483647(:f)))", 0},
  };
  rk_arena arena = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(rk_field_packed_size(arrow_field(&arena, rows[i].type)), rows[i].size);
  }
  rk_arena_free(&arena);
}

static void test_metadata_and_dictionary_export(void **state)
{
  (void)state;
  rk_arena arena = {0};
  const rk_metadata metadata[] = {{"key", "value", 3, 5}, {"k", "a\0b", 1, 3}, {"empty", "", 5, 0}};
  rk_field *field = arrow_field(&arena, "S"), *again;
  field->name = "color";
  field->nullable = false;
  field->metadata = metadata;
  field->metadata_count = 3;
  field->dictionary = arrow_field(&arena, "U");
  struct ArrowSchema *schema;
  assert_int_equal(rk_field_export(&arena, field, &schema), RK_OK);
  assert_string_equal(schema->format, "S");
  assert_string_equal(schema->dictionary->format, "U");
  again = arrow_import(&arena, schema);
  assert_true(rk_field_type_equal(field, again));
  assert_false(again->nullable);
  assert_string_equal(again->name, "color");
  assert_string_equal(rk_field_metadata(again, "key"), "value");
  assert_string_equal(rk_field_metadata(again, "empty"), "");
  assert_null(rk_field_metadata(again, "none"));
  assert_int_equal(again->metadata[1].value_size, 3);
  assert_memory_equal(again->metadata[1].value, "a\0b", 4);
  again = rk_field_copy(&arena, field);
  assert_true(rk_field_type_equal(field, again));
  assert_string_equal(rk_field_metadata(again, "key"), "value");
  rk_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_round_trip),
      cmocka_unit_test(test_text_meaning),
      cmocka_unit_test(test_bad_texts),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_type_equal),
      cmocka_unit_test(test_packed_size),
      cmocka_unit_test(test_metadata_and_dictionary_export),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
