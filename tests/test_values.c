/* The value printer: every Arrow type as JSON, and floats against strtod on random bit patterns. */
#include "tools/print/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/terminal.h"
#include "tools/when.h"

static out sink = {.fd = -1};

static const char *taken(void)
{
  out_char(&sink, '\0');
  assert_int_equal(sink.error, 0);
  sink.size = 0;
  return sink.data;
}

static uint64_t next_random(void)
{
  static uint64_t x = UINT64_C(88172645463325252);
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

static const char *double_text(double value)
{
  out_double(&sink, value);
  return taken();
}

/* Significant digits of a decimal text. */
static int digits_of(const char *text)
{
  int count = 0, zeros = 0;
  for (; *text != '\0' && *text != 'e'; text++) {
    if (*text == '0' && count > 0)
      zeros++;
    if (*text >= '1' && *text <= '9') {
      count += zeros + 1;
      zeros = 0;
    }
  }
  return count;
}

static void check_double(double value)
{
  const char *text = double_text(value);
  double back = strtod(text, NULL);
  if (memcmp(&back, &value, sizeof value) != 0)
    fail_msg("%a printed as %s", value, text);
}

static void doubles_read_back(void **state)
{
  (void)state;
  for (int i = 0; i < 400000; i++) {
    uint64_t bits = next_random();
    if (i % 4 == 0) /* numbers as people have them, not only as bits fall */
      bits = (bits & UINT64_C(0x800fffffffffffff)) | (UINT64_C(1023 - 30) + (uint64_t)i % 90) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    if (value == value) /* NaN has one form for many */
      check_double(value);
  }
  for (uint64_t exponent = 0; exponent < 0x7ff; exponent++) /* the uneven neighbours of powers of two */
    for (uint64_t low = 0; low < 3; low++) {
      uint64_t bits = (exponent << 52) + low - 1;
      double value;
      memcpy(&value, &bits, sizeof value);
      if (value == value)
        check_double(value);
    }
}

static void doubles_are_shortest(void **state)
{
  (void)state;
  for (int i = 0; i < 40000; i++) {
    uint64_t bits = next_random();
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!__builtin_isfinite(value) || value == 0)
      continue;
    char reference[40];
    int digits = 1;
    for (; digits < 17; digits++) {
      snprintf(reference, sizeof reference, "%.*e", digits - 1, value);
      if (strtod(reference, NULL) == value)
        break;
    }
    const char *text = double_text(value);
    if (digits_of(text) > digits)
      fail_msg("%s has more than %d digits", text, digits);
  }
}

static void floats_read_back(void **state)
{
  (void)state;
  for (uint64_t at = 0; at <= UINT32_MAX; at += 4799) {
    uint32_t bits = (uint32_t)at;
    float value;
    memcpy(&value, &bits, sizeof value);
    if (value != value)
      continue;
    out_float(&sink, value);
    const char *text = taken();
    float back = strtof(text, NULL);
    if (memcmp(&back, &value, sizeof value) != 0)
      fail_msg("%a printed as %s", (double)value, text);
  }
}

static double half_value(uint32_t bits)
{
  double mantissa = bits & 0x3ff;
  int exponent = (int)(bits >> 10 & 0x1f);
  double value = exponent == 0 ? mantissa * 0x1p-24 : (1024 + mantissa) * 0x1p-25;
  for (int i = 0; i < exponent; i++)
    value *= 2;
  return value;
}

/* Every positive half: the text lies nearer to it than to its neighbours. */
static void halves_read_back(void **state)
{
  (void)state;
  for (uint32_t bits = 1; bits < 0x7c00; bits++) {
    out_half(&sink, (uint16_t)bits);
    const char *text = taken();
    double read = strtod(text, NULL), value = half_value(bits), below = half_value(bits - 1);
    double above = bits == 0x7bff ? 65536 : half_value(bits + 1);
    if (read < (below + value) / 2 || read > (value + above) / 2)
      fail_msg("half %04x (%g) printed as %s", bits, value, text);
  }
}

static void chosen_doubles(void **state)
{
  (void)state;
  static const struct {
    double value;
    const char *text;
  } rows[] = {{0, "0"},
              {-0.0, "-0.0"},
              {1, "1"},
              {-1.5, "-1.5"},
              {0.1, "0.1"},
              {1.0 / 3, "0.3333333333333333"},
              {100, "100"},
              {1e20, "100000000000000000000"},
              {1e21, "1e21"},
              {1e23, "1e23"},
              {123456.789, "123456.789"},
              {0.000001, "0.000001"},
              {1e-7, "1e-7"},
              {-1.25e-9, "-1.25e-9"},
              {5e-324, "5e-324"},
              {2.2250738585072014e-308, "2.2250738585072014e-308"},
              {1.7976931348623157e308, "1.7976931348623157e308"},
              {9007199254740993.0, "9007199254740992"},
              {__builtin_inf(), "Infinity"},
              {-__builtin_inf(), "-Infinity"},
              {__builtin_nan(""), "NaN"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_string_equal(double_text(rows[i].value), rows[i].text);
}

static void integers(void **state)
{
  (void)state;
  static const int64_t values[] = {0, 1, -1, 9, 10, 99, -100, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    char expected[32];
    snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
    out_int(&sink, values[i]);
    assert_string_equal(taken(), expected);
  }
  out_uint(&sink, UINT64_MAX);
  assert_string_equal(taken(), "18446744073709551615");
  for (uint64_t power = 1; power <= UINT64_C(1000000000000000000); power *= 10)
    for (uint64_t n = 0; n < 1100; n++) { /* all small ones, and those around a further digit */
      char expected[32];
      snprintf(expected, sizeof expected, "%llu", (unsigned long long)(power + n - 1));
      out_uint(&sink, power + n - 1);
      assert_string_equal(taken(), expected);
    }
}

/* ---- Arrow ---- */

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

static void times_are_read(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    when_base base;
    int64_t ns;
  } rows[] = {
      {"1970-01-01T00:00:00Z", WHEN_EPOCH, 0},
      {"2025-11-20T12:00:00.123456789Z", WHEN_EPOCH, 1763640000123456789},
      {"2025-11-20 12:00", WHEN_EPOCH, 1763640000000000000},
      {"2025-11-20T13:30:00+01:30", WHEN_EPOCH, 1763640000000000000},
      {"2024-02-29", WHEN_EPOCH, 1709164800000000000},
      {"1969-12-31T23:59:59.5Z", WHEN_EPOCH, -500000000},
      {"1763640000.5", WHEN_EPOCH, 1763640000500000000},
      {"@1763640000", WHEN_EPOCH, 1763640000000000000},
      {"1763640000123456789ns", WHEN_EPOCH, 1763640000123456789},
      {"+1.5s", WHEN_BEGIN, 1500000000},
      {"+2m3s", WHEN_BEGIN, 123000000000},
      {"-10ms", WHEN_END, -10000000},
      {"+0", WHEN_BEGIN, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    when w;
    if (!when_parse(rows[i].text, &w) || w.base != rows[i].base || w.ns != rows[i].ns)
      fail_msg("%s", rows[i].text);
  }
  static const char *const bad[] = {"",
                                    "now",
                                    "2025-13-01",
                                    "2025-02-29",
                                    "2025-11-20T24:00",
                                    "12:00",
                                    "1x",
                                    "+",
                                    "-",
                                    "2025-11-2",
                                    "9999-12-31",
                                    "1e5",
                                    "1.5.5",
                                    "+-1",
                                    "2025-11-20T12:00:00Zz",
                                    "99999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    when w;
    if (when_parse(bad[i], &w))
      fail_msg("accepted: %s", bad[i]);
  }
}

static void times_read_back(void **state)
{
  (void)state;
  for (int i = 0; i < 20000; i++) {
    int64_t ns = (int64_t)next_random();
    if (ns / INT64_C(1000000000) < INT64_C(-9223372036))
      continue;
    out_time(&sink, ns);
    when w;
    if (!when_parse(taken(), &w) || w.ns != ns)
      fail_msg("%lld", (long long)ns);
  }
}

static void sizes_are_read(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    uint64_t size;
  } rows[] = {{"0", 0},       {"1024", 1024},      {"64K", 65536},
              {"64k", 65536}, {"1.5MiB", 1572864}, {"2GB", UINT64_C(2) << 30}};
  uint64_t size;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (!size_parse(rows[i].text, &size) || size != rows[i].size)
      fail_msg("%s", rows[i].text);
  assert_false(size_parse("", &size));
  assert_false(size_parse("K", &size));
  assert_false(size_parse("1X", &size));
  assert_false(size_parse("-1", &size));
  assert_false(size_parse("99999999999999999999", &size));
}

static void widths_of_text(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    size_t width;
  } rows[] = {{"", 0},
              {"plain text of more than a word", 30},
              {"\xc3\xa9", 1},                 /* e with acute */
              {"e\xcc\x81", 1},                /* e, combining acute */
              {"\xe6\x97\xa5\xe6\x9c\xac", 4}, /* two ideographs */
              {"\xf0\x9f\x98\x80", 2},         /* an emoji */
              {"\xf0\x9f\xaa\x90", 2},         /* a younger one */
              {"\xe2\x9c\x85", 2},             /* one that is no pictograph's block */
              {"\xe2\x80\x8d", 0},             /* zero-width joiner */
              {"\xe1\x84\x92\xe1\x85\xa1", 2}, /* Hangul: a consonant and its vowel */
              {"\xe0\xb8\x81\xe0\xb8\xb1", 1}, /* Thai: a consonant and the vowel above it */
              {"\xef\xbc\xa1", 2},             /* fullwidth A */
              {"\xef\xbd\xb1", 1}};            /* halfwidth katakana */
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_int_equal(terminal_text_width(rows[i].text, strlen(rows[i].text)), rows[i].width);
}

/* The ends stay, nothing is wider than asked, no character is torn. */
static void text_cut_in_the_middle(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    size_t width;
    const char *cut;
  } rows[] = {{"/world/robot/arm", 16, "/world/robot/arm"},
              {"/world/robot/arm", 15, "/world/~bot/arm"},
              {"/world/robot/arm", 4, "/~rm"},
              {"/world/robot/arm", 1, "~"},
              {"/world/robot/arm", 0, ""},
              {"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac", 5, "\xe6\x97\xa5~\xe6\x9c\xac"},
              {"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac", 4, "~\xe6\x9c\xac"},
              {"e\xcc\x81"
               "bcde\xcc\x81",
               3, "e\xcc\x81~e\xcc\x81"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    terminal_cut_middle(&sink, rows[i].text, strlen(rows[i].text), rows[i].width, true);
    assert_string_equal(taken(), rows[i].cut);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(widths_of_text),
      cmocka_unit_test(text_cut_in_the_middle),
      cmocka_unit_test(doubles_read_back),
      cmocka_unit_test(doubles_are_shortest),
      cmocka_unit_test(floats_read_back),
      cmocka_unit_test(halves_read_back),
      cmocka_unit_test(chosen_doubles),
      cmocka_unit_test(integers),
      cmocka_unit_test(primitives),
      cmocka_unit_test(texts_and_blobs),
      cmocka_unit_test(base64_of_all_lengths),
      cmocka_unit_test(nested),
      cmocka_unit_test(unions_and_dictionaries),
      cmocka_unit_test(times_are_read),
      cmocka_unit_test(times_read_back),
      cmocka_unit_test(sizes_are_read),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
