/* Times and sizes as text, read and printed. */
#include "tests/printed.h"

#include "tools/when.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_are_read),
      cmocka_unit_test(times_read_back),
      cmocka_unit_test(sizes_are_read),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
