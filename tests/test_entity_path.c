/* Entity paths: Rerun's normal form, refusals, and globs that stay cheap. */
#include "format/entity_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/alphanumeric.h"

static void normalizes(void **state)
{
  (void)state;
  /* The rows with a comment are from Rerun's own tests. */
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"/", "/"},
      {"foo", "/foo"},
      {"/foo/bar", "/foo/bar"},
      {"foo/bar:baz", "/foo/bar\\:baz"},                             /* Rerun */
      {"foo/42", "/foo/42"},                                         /* Rerun */
      {"foo/#bar/baz", "/foo/\\#bar/baz"},                           /* Rerun */
      {"foo/Hall\u00E5 D\u00E4r!", "/foo/Hall\u00E5\\ D\u00E4r\\!"}, /* Rerun */
      {"\u262E", "/\\u{262E}"},                                      /* Rerun */
      {"\\u{262e}", "/\\u{262E}"},
      {"Hall\\u{00E5}\\n\\r\\t", "/Hall\u00E5\\n\\r\\t"},
      {"\\u{0001}", "/\\u{0001}"},
      {"a\tb\nc\rd\x7F", "/a\\tb\\nc\\rd\\u{007F}"},
      {"Hello\\ world\\!\\ \\u{262E}", "/Hello\\ world\\!\\ \\u{262E}"},
      {"a-b_c.d", "/a-b_c.d"},
      {"a\\-b\\_c\\.d", "/a-b_c.d"},
      {"robot\\/arm", "/robot\\/arm"},
      {"robot\\\\/arm", "/robot\\\\\\/arm"}, /* a slash after a backslash never separates */
      {"back\\\\", "/back\\\\"},
      {"\\u{0041}", "/A"},
      {"\\u{00e9}\\u{4E2D}", "/\u00E9\u4E2D"},
      {"\u4E2D\u6587/\u0416", "/\u4E2D\u6587/\u0416"},
      {"\U0001F600", "/\U0001F600"}, /* Rerun writes \u{1F600}, which it cannot read */
      {"a*b", "/a\\*b"},
      {"__properties/x", "/__properties/x"},
      {"\u00A0\xC2\x85", "/\\u{00A0}\\u{0085}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer out = {0};
    rk_error error = {0};
    assert_int_equal(rk_entity_path_normalize(&out, rows[i].in, &error), RK_OK);
    assert_string_equal((char *)out.data, rows[i].out);
    assert_int_equal(out.size, strlen(rows[i].out) + 1);
    rk_buffer again = {0};
    assert_int_equal(rk_entity_path_normalize(&again, (char *)out.data, &error), RK_OK);
    assert_string_equal((char *)again.data, rows[i].out);
    assert_true(rk_entity_path_match(rows[i].out, rows[i].out));
    rk_buffer_free(&out);
    rk_buffer_free(&again);
  }
}

static void refuses(void **state)
{
  (void)state;
  static const char *const rows[] = {"",          "//",          "/foo/",        "foo//bar",  "//foo",   "foo\\",
                                     "C:\\Users", "\\u{26}",     "\\u{1F600}",   "\\u{D800}", "\\uABCD", "\\u{26XY}",
                                     "a/\xFF",    "a\\\xC3\xA9", "\xED\xA0\x80", "x\xC3"};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer out = {0};
    rk_buffer_append(&out, "keep", 4);
    rk_error error = {0};
    assert_int_equal(rk_entity_path_normalize(&out, rows[i], &error), RK_ERR_MISUSE);
    assert_int_equal(error.status, RK_ERR_MISUSE);
    assert_true(error.message[0] != '\0');
    assert_int_equal(out.size, 4);
    assert_int_equal(rk_entity_path_normalize(&out, rows[i], NULL), RK_ERR_MISUSE);
    rk_buffer_free(&out);
  }
}

static void limits_length(void **state)
{
  (void)state;
  char text[RK_ENTITY_PATH_MAX + 2];
  memset(text, 'a', sizeof text);
  text[0] = '/';
  text[RK_ENTITY_PATH_MAX] = '\0';
  rk_buffer out = {0};
  assert_int_equal(rk_entity_path_normalize(&out, text, NULL), RK_OK);
  assert_int_equal(out.size, RK_ENTITY_PATH_MAX + 1);
  rk_buffer_reset(&out);
  text[RK_ENTITY_PATH_MAX] = 'a';
  text[RK_ENTITY_PATH_MAX + 1] = '\0';
  assert_int_equal(rk_entity_path_normalize(&out, text, NULL), RK_ERR_MISUSE);
  memset(text + 1, ' ', RK_ENTITY_PATH_MAX / 2);
  text[1 + RK_ENTITY_PATH_MAX / 2] = '\0';
  assert_int_equal(rk_entity_path_normalize(&out, text, NULL), RK_ERR_MISUSE);
  assert_int_equal(out.size, 0);
  char *huge = malloc(10 * RK_ENTITY_PATH_MAX);
  assert_non_null(huge);
  memset(huge, 'a', 10 * RK_ENTITY_PATH_MAX - 1);
  huge[10 * RK_ENTITY_PATH_MAX - 1] = '\0';
  assert_int_equal(rk_entity_path_normalize(&out, huge, NULL), RK_ERR_MISUSE);
  free(huge);
  rk_buffer_free(&out);
}

static void knows_reserved(void **state)
{
  (void)state;
  assert_true(rk_entity_path_reserved("/__properties"));
  assert_true(rk_entity_path_reserved("/a/__b/c"));
  assert_false(rk_entity_path_reserved("/a__b/_c"));
  assert_false(rk_entity_path_reserved("/"));
  assert_false(rk_entity_path_reserved("/a\\/__b"));
}

static void knows_letters(void **state)
{
  (void)state;
  static const uint32_t yes[] = {'a', 'Z', '0', 0xAA, 0xB2, 0xE9, 0x416, 0x660, 0x2160, 0x4E2D, 0xFFDC, 0x0903, 0x24D0};
  static const uint32_t no[] = {'_', ' ', 0x7F, 0xA0, 0xD7, 0x262E, 0x2028, 0x0300, 0xE000, 0xFFFD, 0xFFFF, 0x1F600};
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
    assert_true(rk_alphanumeric(yes[i]));
  }
  for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
    assert_false(rk_alphanumeric(no[i]));
  }
}

static void matches(void **state)
{
  (void)state;
  static const struct {
    const char *glob, *path;
    bool match;
  } rows[] = {
      {"/a/b", "/a/b", true},
      {"a/b", "/a/b", true},
      {"/a/b", "a/b", true},
      {"/a", "/a/b", false},
      {"/a/b", "/a", false},
      {"/", "/", true},
      {"/", "/a", false},
      {"/*", "/a", true},
      {"*", "/a", true},
      {"*", "/a/b", false},
      {"**", "/a/b", true},
      {"**", "/", true},
      {"/**", "/", true},
      {"/a/**", "/a/b/c", true},
      {"/a/**", "/a", true},
      {"/a/**", "/ab", false},
      {"/a**", "/ab/c", true},
      {"/**/x", "/x", true},
      {"**/x", "/x", true},
      {"**/x", "/a/b/x", true},
      {"**/x", "/a/b/xx", false},
      {"/a/**/z", "/a/z", true},
      {"/a/**/z", "/a/b/c/z", true},
      {"/a/**/z", "/a/b/c/zz", false},
      {"/a/**/z", "/az", false},
      {"/a*c", "/abbc", true},
      {"/a*c", "/ab/c", false},
      {"/a**c", "/ab/c", true},
      {"/task_?", "/task_1", true},
      {"/task_?", "/task_12", false},
      {"/?", "/\u00E9", true},
      {"/a?b", "/a/b", false},
      {"/[ab]", "/a", true},
      {"/[ab]", "/c", false},
      {"/[a-c]x", "/bx", true},
      {"/[!a-c]x", "/bx", false},
      {"/[^a-c]x", "/dx", true},
      {"/[]]", "/\\]", true},
      {"/[a-]", "/-", true},
      {"/a[!x]b", "/a/b", false},
      {"/[\u00E0-\u00FF]", "/\u00E9", true},
      {"/[ab", "/\\[ab", true},
      {"/my image", "/my\\ image", true},
      {"/my\\ image", "/my\\ image", true},
      {"/my?image", "/my\\ image", true},
      {"/my*", "/my\\ image\\!", true},
      {"/\\*", "/\\*", true},
      {"/\\*", "/a", false},
      {"/*", "/a\\/b", true},
      {"/a\\/b", "/a\\/b", true},
      {"/a/b", "/a\\/b", false},
      {"/\\u{262E}", "/\\u{262E}", true},
      {"/\u262E", "/\\u{262E}", true},
      {"/***", "/a/b", true},
      {"", "/", true},
      {"", "/a", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rk_entity_path_match(rows[i].glob, rows[i].path) != rows[i].match) {
      fail_msg("%s on %s: expected %d", rows[i].glob, rows[i].path, rows[i].match);
    }
  }
}

/* A backtracking matcher would not return within the test's lifetime. */
static void stays_cheap(void **state)
{
  (void)state;
  char glob[200] = "";
  for (int i = 0; i < 30; i++) {
    strcat(glob, i % 2 == 0 ? "*a" : "**a");
  }
  strcat(glob, "b");
  char path[3000];
  memset(path, 'a', sizeof path);
  path[0] = '/';
  path[sizeof path - 1] = '\0';
  assert_false(rk_entity_path_match(glob, path));
  path[sizeof path - 2] = 'b';
  assert_true(rk_entity_path_match(glob, path));
  char huge[RK_ENTITY_PATH_MAX + 10];
  memset(huge, '*', sizeof huge);
  huge[sizeof huge - 1] = '\0';
  assert_false(rk_entity_path_match(huge, "/a"));
  huge[RK_ENTITY_PATH_MAX - 1] = '\0';
  assert_true(rk_entity_path_match(huge, "/a/b"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalizes),     cmocka_unit_test(refuses),       cmocka_unit_test(limits_length),
      cmocka_unit_test(knows_reserved), cmocka_unit_test(knows_letters), cmocka_unit_test(matches),
      cmocka_unit_test(stays_cheap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
