/* The protobuf cursor and appenders: round trips, malformed bytes, every truncation. */
#include "format/protobuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hex.h"

static const uint64_t values[] = {0,          1,          127,        128,        16383,      16384,
                                  UINT32_MAX, 1ull << 32, 1ull << 56, 1ull << 62, 1ull << 63, UINT64_MAX};
enum { VALUE_COUNT = sizeof values / sizeof values[0] };

static void round_trip(void **state)
{
  (void)state;
  rk_buffer out = {0};
  for (size_t i = 0; i < VALUE_COUNT; i++) {
    uint8_t bytes[10];
    const int bits = values[i] == 0 ? 1 : 64 - __builtin_clzll(values[i]);
    assert_int_equal(rk_pb_put_varint(bytes, values[i]), (bits + 6) / 7);
    rk_pb_varint(&out, 1, values[i]);
    rk_pb_fixed64(&out, 15, values[i]);
    rk_pb_varint(&out, 16, values[i]);
    rk_pb_varint(&out, (1u << 29) - 1, values[i]);
  }
  rk_pb_text(&out, 2, "text");
  rk_pb_bytes(&out, 3, NULL, 0);
  rk_pb_cursor cursor = rk_pb_open(out.data, out.size);
  rk_pb_field field;
  for (size_t i = 0; i < VALUE_COUNT; i++) {
    static const uint32_t numbers[] = {1, 15, 16, (1u << 29) - 1};
    for (size_t k = 0; k < 4; k++) {
      assert_int_equal(rk_pb_next(&cursor, &field), 1);
      assert_int_equal(field.number, numbers[k]);
      assert_int_equal(field.wire, k == 1 ? RK_PB_FIXED64 : RK_PB_VARINT);
      assert_true(field.value == values[i]);
    }
  }
  assert_int_equal(rk_pb_next(&cursor, &field), 1);
  assert_int_equal(field.size, 4);
  assert_memory_equal(field.data, "text", 4);
  assert_int_equal(rk_pb_next(&cursor, &field), 1);
  assert_int_equal(field.size, 0);
  assert_int_equal(rk_pb_next(&cursor, &field), 0);
  assert_int_equal(rk_pb_next(&cursor, &field), 0);
  rk_buffer_free(&out);
}

static void nests(void **state)
{
  (void)state;
  static const size_t sizes[] = {0, 1, 100, 123, 124, 125, 126, 127, 128, 129, 16379, 16380, 16383, 16384, 70000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    rk_buffer out = {0};
    rk_buffer expected = {0};
    rk_buffer content = {0};
    memset(rk_buffer_extend(&content, sizes[i] + 1), 'c', sizes[i] + 1);
    const size_t outer = rk_pb_begin(&out, 1);
    const size_t inner = rk_pb_begin(&out, 2);
    rk_pb_bytes(&out, 3, content.data, sizes[i]);
    rk_pb_end(&out, inner);
    rk_pb_end(&out, outer);
    rk_buffer first = {0};
    rk_buffer second = {0};
    rk_pb_bytes(&first, 3, content.data, sizes[i]);
    rk_pb_bytes(&second, 2, first.data, first.size);
    rk_pb_bytes(&expected, 1, second.data, second.size);
    assert_int_equal(out.size, expected.size);
    assert_memory_equal(out.data, expected.data, out.size);
    rk_buffer_free(&out);
    rk_buffer_free(&expected);
    rk_buffer_free(&content);
    rk_buffer_free(&first);
    rk_buffer_free(&second);
  }
}

static int first_result(const char *hex)
{
  rk_buffer bytes = {0};
  assert_true(hex_append(&bytes, hex, strlen(hex)));
  rk_pb_cursor cursor = rk_pb_open(bytes.data, bytes.size);
  rk_pb_field field;
  const int result = rk_pb_next(&cursor, &field);
  rk_buffer_free(&bytes);
  return result;
}

static void malformed(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "00 00",                            /* field number 0 */
      "0b 0c",                            /* group */
      "0c",                               /* end of a group */
      "0e 00",                            /* wire type 6 */
      "0f 00",                            /* wire type 7 */
      "08",                               /* value missing */
      "08 80",                            /* varint cut */
      "08 ff ff ff ff ff ff ff ff ff 02", /* more than 64 bits */
      "08 80 80 80 80 80 80 80 80 80 80", /* eleven bytes */
      "0a 01",                            /* length past the end */
      "0a ff ff ff ff ff ff ff ff ff 01", /* length of 2^64-1 */
      "09 00 00 00 00 00 00 00",          /* seven of eight bytes */
      "0d 00 00 00",                      /* three of four bytes */
      "88 80 80 80 10 00",                /* key beyond 32 bits */
      "80",                               /* key cut */
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (first_result(bad[i]) != -1) {
      fail_msg("accepted: %s", bad[i]);
    }
  }
  assert_int_equal(first_result("08 80 80 80 80 80 80 80 80 80 01"), 1);
  assert_int_equal(first_result("08 80 00"), 1); /* padded, legal */
  assert_int_equal(first_result("0d 01 02 03 04"), 1);
  assert_int_equal(first_result("f8 ff ff ff 0f 00"), 1); /* the largest field number */
}

static void truncation(void **state)
{
  (void)state;
  rk_buffer out = {0};
  rk_pb_varint(&out, 300, UINT64_MAX);
  rk_pb_fixed64(&out, 2, 7);
  rk_pb_text(&out, 24601, "some text");
  for (size_t cut = 0; cut <= out.size; cut++) {
    uint8_t *exact = malloc(cut + 1);
    assert_non_null(exact);
    memcpy(exact, out.data, cut);
    rk_pb_cursor cursor = rk_pb_open(exact, cut);
    rk_pb_field field;
    int result;
    size_t count = 0;
    while ((result = rk_pb_next(&cursor, &field)) == 1) {
      count++;
    }
    const bool at_boundary = cut == 0 || cut == 12 || cut == 21 || cut == out.size;
    assert_int_equal(result, at_boundary ? 0 : -1);
    assert_int_equal(count, (cut >= 12) + (cut >= 21) + (cut == out.size));
    free(exact);
  }
  rk_buffer_free(&out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(nests),
      cmocka_unit_test(malformed),
      cmocka_unit_test(truncation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
