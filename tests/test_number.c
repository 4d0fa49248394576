/* Numbers as text: the shortest that reads back, against strtod on random bit patterns. */
#include "tests/printed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/print/number.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doubles_read_back), cmocka_unit_test(doubles_are_shortest), cmocka_unit_test(floats_read_back),
      cmocka_unit_test(halves_read_back),  cmocka_unit_test(chosen_doubles),       cmocka_unit_test(integers),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
