/* Text as wide as a terminal shows it, and cut to a width. */
#include "tests/printed.h"

#include <string.h>

#include "tools/terminal.h"

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
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
