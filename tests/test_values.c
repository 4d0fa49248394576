/* The value printer: every Arrow type as JSON. */
#include "tests/printed.h"

#include "tools/print/values.h"

#include <string.h>

#include "tools/print/json.h"

#define SCHEMA(...)                                                                                                    \
  &(struct ArrowSchema)                                                                                                \
  {                                                                                                                    \
    __VA_ARGS__                                                                                                        \
  }
#define BUFFERS(...)                                                                                                   \
  .n_buffers = sizeof((const void *[]){__VA_ARGS__}) / sizeof(void *), .buffers = (const void *[])                     \
  {                                                                                                                    \
    __VA_ARGS__                                                                                                        \
  }

static const char *printed(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
  values_array(&sink, schema, array, 0, array->length);
  return taken();
}

static void primitives(void **state)
{
  (void)state;
  static const float singles[] = {1, 0.1F, -0.0F};
  static const double doubles[] = {0.5, 1e300};
  static const int64_t longs[] = {INT64_MIN, 1763640000123456789};
  static const uint64_t unsigneds[] = {UINT64_MAX};
  static const int32_t ints[] = {-5, 7};
  static const uint16_t halves[] = {0x3c00, 0x7c00, 0x3555};
  static const uint8_t bits[] = {0x0d}, second_null[] = {0x05};
  const struct {
    const char *format;
    int64_t length, offset;
    const void *validity, *values;
    const char *text;
  } rows[] = {
      {"f", 3, 0, NULL, singles, "[1,0.1,-0.0]"},
      {"f", 2, 1, NULL, singles, "[0.1,-0.0]"},
      {"f", 3, 0, second_null, singles, "[1,null,-0.0]"},
      {"g", 2, 0, NULL, doubles, "[0.5,1e300]"},
      {"l", 2, 0, NULL, longs, "[-9223372036854775808,1763640000123456789]"},
      {"L", 1, 0, NULL, unsigneds, "[18446744073709551615]"},
      {"i", 2, 0, NULL, ints, "[-5,7]"},
      {"I", 2, 0, NULL, ints, "[4294967291,7]"},
      {"c", 3, 0, NULL, "\xff\x7f\x80", "[-1,127,-128]"},
      {"C", 3, 0, NULL, "\xff\x7f\x00", "[255,127,0]"},
      {"s", 2, 0, NULL, (const int16_t[]){INT16_MIN, 1}, "[-32768,1]"},
      {"S", 2, 0, NULL, (const uint16_t[]){UINT16_MAX, 1}, "[65535,1]"},
      {"f", 2, 0, NULL, (const float[]){__builtin_inff(), 1.5F}, "[\"Infinity\",1.5]"},
      {"g", 2, 0, NULL, (const double[]){1e-6, __builtin_nan("")}, "[0.000001,\"NaN\"]"},
      {"e", 3, 0, NULL, halves, "[1,\"Infinity\",0.3333]"},
      {"b", 4, 0, NULL, bits, "[true,false,true,true]"},
      {"b", 2, 1, NULL, bits, "[false,true]"},
      {"tsn:", 1, 1, NULL, longs, "[\"2025-11-20T12:00:00.123456789Z\"]"},
      {"tss:UTC", 1, 0, NULL, (const int64_t[]){-1}, "[\"1969-12-31T23:59:59.000000000Z\"]"},
      {"tsm:", 1, 0, NULL, (const int64_t[]){-1}, "[\"1969-12-31T23:59:59.999000000Z\"]"},
      {"tDn", 1, 1, NULL, longs, "[1763640000123456789]"},
      {"tDs", 1, 0, NULL, (const int64_t[]){INT64_MAX}, "[9223372036854775807000000000]"},
      {"tdD", 2, 0, NULL, (const int32_t[]){0, -1}, "[\"1970-01-01\",\"1969-12-31\"]"},
      {"tdm", 1, 0, NULL, (const int64_t[]){86400000}, "[\"1970-01-02\"]"},
      {"tts", 1, 0, NULL, (const int32_t[]){3661}, "[\"01:01:01.000000000\"]"},
      {"ttn", 1, 0, NULL, (const int64_t[]){1}, "[\"00:00:00.000000001\"]"},
      {"d:10,2", 2, 0, NULL, (const int64_t[]){-12345, -1, 7, 0}, "[\"-123.45\",\"0.07\"]"},
      {"d:10,-2", 1, 0, NULL, (const int64_t[]){12, 0}, "[\"1200\"]"},
      {"d:40,0,256", 1, 0, NULL, (const uint64_t[]){0, 0, 1, 0}, "[\"340282366920938463463374607431768211456\"]"},
      {"w:3", 2, 0, NULL, "abcdef", "[\"YWJj\",\"ZGVm\"]"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct ArrowArray array = {.length = rows[i].length,
                               .offset = rows[i].offset,
                               .null_count = rows[i].validity != NULL,
                               BUFFERS(rows[i].validity, rows[i].values)};
    assert_string_equal(printed(SCHEMA(.format = rows[i].format), &array), rows[i].text);
  }
  struct ArrowArray nulls = {.length = 2, .null_count = 2};
  assert_string_equal(printed(SCHEMA(.format = "n"), &nulls), "[null,null]");
}

static void texts_and_blobs(void **state)
{
  (void)state;
  static const char bytes[] = "a\"b\\\n\x01\xc3\xa9\xff";
  static const int32_t ends[] = {0, 1, 3, 9, 9};
  struct ArrowArray array = {.length = 4, BUFFERS(NULL, ends, bytes)};
  assert_string_equal(printed(SCHEMA(.format = "u"), &array),
                      "[\"a\",\"\\\"b\",\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\",\"\"]");
  assert_string_equal(printed(SCHEMA(.format = "z"), &array), "[\"YQ==\",\"ImI=\",\"XAoBw6n/\",\"\"]");
  static const int64_t wide_ends[] = {0, 3};
  struct ArrowArray wide = {.length = 1, BUFFERS(NULL, wide_ends, "xyz")};
  assert_string_equal(printed(SCHEMA(.format = "U"), &wide), "[\"xyz\"]");

  struct ArrowSchema *byte = SCHEMA(.format = "C");
  struct ArrowArray items = {.length = 5, BUFFERS(NULL, "hello")};
  static const int32_t blob_ends[] = {0, 5, 5};
  struct ArrowArray blobs = {
      .length = 2, BUFFERS(NULL, blob_ends), .n_children = 1, .children = (struct ArrowArray *[]){&items}};
  struct ArrowSchema *blob = SCHEMA(.format = "+l", .n_children = 1, .children = &byte);
  assert_string_equal(printed(blob, &blobs), "[\"aGVsbG8=\",\"\"]");
  assert_true(values_is_blob(blob));
  items.null_count = 1;
  items.buffers = (const void *[]){"\x1e", "hello"};
  assert_string_equal(printed(blob, &blobs), "[[null,101,108,108,111],\"\"]");
}

static void base64_of_all_lengths(void **state)
{
  (void)state;
  static const char *const expected[] = {"\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"Zm9vYg==\""};
  for (size_t size = 0; size < 5; size++) {
    json_base64(&sink, (const uint8_t *)"foob", size);
    assert_string_equal(taken(), expected[size]);
  }
  static uint8_t large[10000];
  json_base64(&sink, large, sizeof large);
  assert_int_equal(strlen(taken()), 2 + (sizeof large + 2) / 3 * 4);
}

static void nested(void **state)
{
  (void)state;
  static const float numbers[] = {1, 2, 3, 4, 5, 6};
  struct ArrowSchema *number = SCHEMA(.format = "f");
  struct ArrowArray numbers_array = {.length = 6, BUFFERS(NULL, numbers)}, *numbers_child = &numbers_array;
  struct ArrowSchema *pair = SCHEMA(.format = "+w:2", .n_children = 1, .children = &number);
  struct ArrowArray pairs = {.length = 3, BUFFERS(NULL), .n_children = 1, .children = &numbers_child};
  assert_string_equal(printed(pair, &pairs), "[[1,2],[3,4],[5,6]]");
  struct ArrowArray later = {.length = 1, .offset = 2, BUFFERS(NULL), .n_children = 1, .children = &numbers_child};
  assert_string_equal(printed(pair, &later), "[[5,6]]");

  struct ArrowArray *pairs_child = &pairs;
  static const int32_t ends[] = {0, 2, 2, 3};
  struct ArrowArray strips = {
      .length = 3, .null_count = 1, BUFFERS("\x05", ends), .n_children = 1, .children = &pairs_child};
  assert_string_equal(printed(SCHEMA(.format = "+l", .n_children = 1, .children = &pair), &strips),
                      "[[[1,2],[3,4]],null,[[5,6]]]");

  struct ArrowSchema *members[] = {SCHEMA(.format = "f", .name = "x"), SCHEMA(.format = "u", .name = "na\"me")};
  static const int32_t text_ends[] = {0, 1, 2};
  struct ArrowArray texts = {.length = 2, BUFFERS(NULL, text_ends, "pq")};
  struct ArrowArray structs = {.length = 1,
                               .offset = 1,
                               BUFFERS(NULL),
                               .n_children = 2,
                               .children = (struct ArrowArray *[]){&numbers_array, &texts}};
  assert_string_equal(printed(SCHEMA(.format = "+s", .n_children = 2, .children = members), &structs),
                      "[{\"x\":2,\"na\\\"me\":\"q\"}]");
}

static void unions_and_dictionaries(void **state)
{
  (void)state;
  static const float numbers[] = {1, 2};
  static const int32_t text_ends[] = {0, 1, 2}, places[] = {1, 0, 0};
  static const int8_t types[] = {5, 7, 9};
  struct ArrowArray floats = {.length = 2, BUFFERS(NULL, numbers)};
  struct ArrowArray texts = {.length = 2, BUFFERS(NULL, text_ends, "pq")};
  struct ArrowSchema *members[] = {SCHEMA(.format = "f", .name = "x"), SCHEMA(.format = "u", .name = "t")};
  struct ArrowArray *children[] = {&floats, &texts};
  struct ArrowArray dense = {.length = 3, BUFFERS(types, places), .n_children = 2, .children = children};
  assert_string_equal(printed(SCHEMA(.format = "+ud:5,7", .n_children = 2, .children = members), &dense),
                      "[2,\"p\",null]");
  struct ArrowArray sparse = {.length = 2, BUFFERS(types), .n_children = 2, .children = children};
  assert_string_equal(printed(SCHEMA(.format = "+us:5,7", .n_children = 2, .children = members), &sparse), "[1,\"q\"]");
  static const int8_t indices[] = {1, 0, 1};
  struct ArrowArray coded = {.length = 3, BUFFERS(NULL, indices), .dictionary = &texts};
  assert_string_equal(printed(SCHEMA(.format = "c", .dictionary = SCHEMA(.format = "u")), &coded),
                      "[\"q\",\"p\",\"q\"]");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(primitives), cmocka_unit_test(texts_and_blobs),         cmocka_unit_test(base64_of_all_lengths),
      cmocka_unit_test(nested),     cmocka_unit_test(unions_and_dictionaries),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
