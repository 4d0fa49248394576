/* UTF-8: every boundary of table 3-7, replacement of maximal subparts, escaping for messages. */
#include "format/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(uint32_t c, uint8_t *out)
{
  if (c < 0x80) {
    out[0] = (uint8_t)c;
    return 1;
  }
  const size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--) {
    out[i] = (uint8_t)(0x80 | (c & 0x3F));
    c >>= 6;
  }
  out[0] = (uint8_t)((size == 2 ? 0xC0 : size == 3 ? 0xE0 : 0xF0) | c);
  return size;
}

static void every_code_point(void **state)
{
  (void)state;
  for (uint32_t c = 0; c < 0x120000; c++) {
    uint8_t text[4];
    const size_t size = encode(c, text);
    const bool expected = c < 0x110000 && (c < 0xD800 || c > 0xDFFF);
    if (rk_utf8_valid(text, size) != expected) {
      fail_msg("U+%04X", c);
    }
    for (size_t cut = 1; cut < size; cut++) {
      assert_false(rk_utf8_valid(text, cut));
      assert_false(rk_utf8_valid(text + cut, size - cut));
    }
  }
}

static void every_two_bytes(void **state)
{
  (void)state;
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned b = 0; b < 256; b++) {
      const uint8_t text[2] = {(uint8_t)a, (uint8_t)b};
      const bool expected = (a < 0x80 && b < 0x80) || (a >= 0xC2 && a < 0xE0 && b >= 0x80 && b < 0xC0);
      assert_int_equal(rk_utf8_valid(text, 2), expected);
    }
  }
}

/* The fast path takes eight bytes at once: a bad byte at every place of every length must be seen. */
static void every_place(void **state)
{
  (void)state;
  for (size_t size = 1; size < 40; size++) {
    uint8_t *text = malloc(size); /* exact, so that a sanitizer sees a read past the end */
    assert_non_null(text);
    for (size_t at = 0; at < size; at++) {
      memset(text, 'x', size);
      assert_true(rk_utf8_valid(text, size));
      text[at] = 0xC3;
      assert_false(rk_utf8_valid(text, size));
      text[at] = 0x80;
      assert_false(rk_utf8_valid(text, size));
    }
    free(text);
  }
  assert_true(rk_utf8_valid(NULL, 0));
}

static void replaces(void **state)
{
  (void)state;
#define R "\xEF\xBF\xBD"
  /* From the Unicode standard, section 3.9, tables 3-8 to 3-11. */
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"plain \xC3\xA9", "plain \xC3\xA9"},
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", R R R R R R R R "A"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", R R R R R R R R "A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", R R R R R "A" R R "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A"},
      {"a\xF0\x9F\x98", "a" R},
      {"\xC3", R},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer out = {0};
    rk_utf8_append_replaced(&out, rows[i].in, strlen(rows[i].in));
    assert_int_equal(out.size, strlen(rows[i].out));
    assert_true(out.size == 0 || memcmp(out.data, rows[i].out, out.size) == 0);
    assert_true(rk_utf8_valid(out.data, out.size));
    rk_buffer_free(&out);
  }
}

static void escapes(void **state)
{
  (void)state;
  static const struct {
    const char *in;
    size_t out_size;
    const char *out;
  } rows[] = {
      {"plain", 16, "plain"},
      {"caf\xC3\xA9", 16, "caf\xC3\xA9"},
      {"a\nb", 16, "a\\x0Ab"},
      {"\x1B[31m", 16, "\\x1B[31m"},
      {"\xC2\x9B", 16, "\\xC2\\x9B"},          /* C1 control */
      {"\xE2\x80\xAE", 16, "\\xE2\\x80\\xAE"}, /* right-to-left override */
      {"\xFF", 16, "\\xFF"},
      {"abcdef", 7, "abcdef"},
      {"abcdefg", 7, "abc..."},
      {"ab\n\n", 9, "ab..."},
      {"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 8, "\xC3\xA9\xC3\xA9..."},
      {"abc", 3, ".."},
      {"abc", 1, ""},
      {"", 1, ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char *out = malloc(rows[i].out_size);
    assert_non_null(out);
    assert_ptr_equal(rk_escape(out, rows[i].out_size, rows[i].in, strlen(rows[i].in)), out);
    assert_string_equal(out, rows[i].out);
    free(out);
  }
  char untouched = 'x';
  rk_escape(&untouched, 0, "abc", 3);
  assert_int_equal(untouched, 'x');
  char nul[16];
  assert_string_equal(rk_escape(nul, sizeof nul, "a\0b", 3), "a\\x00b");
}

/* Whatever the input and the room: terminated, valid, in bounds. */
static void escapes_anything(void **state)
{
  (void)state;
  uint32_t random = 1;
  for (int round = 0; round < 20000; round++) {
    uint8_t in[24];
    for (size_t i = 0; i < sizeof in; i++) {
      random = random * 1664525u + 1013904223u;
      in[i] = (uint8_t)(random >> 24);
    }
    const size_t room = 1 + random % 40;
    char *out = malloc(room);
    assert_non_null(out);
    rk_escape(out, room, in, random % (sizeof in + 1));
    assert_true(strnlen(out, room) < room);
    assert_true(rk_utf8_valid(out, strlen(out)));
    free(out);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_point), cmocka_unit_test(every_two_bytes), cmocka_unit_test(every_place),
      cmocka_unit_test(replaces),         cmocka_unit_test(escapes),         cmocka_unit_test(escapes_anything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
