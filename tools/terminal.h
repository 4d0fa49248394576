/* The terminal: its width, colour, display width of text, and the progress bar. */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/out.h"
#include "tools/print/eight.h"

typedef enum terminal_colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } terminal_colour;

/* "auto", "always", "never". */
bool terminal_colour_parse(const char *text, terminal_colour *colour);
/* Whether to colour what goes to `fd`: NO_COLOR and TERM=dumb say no to "auto". */
bool terminal_coloured(int fd, terminal_colour colour);
/* Columns of the terminal at `fd`: COLUMNS, the terminal's own word, 80. 0: not a terminal. */
size_t terminal_width(int fd);

/* Columns that a code point takes: 0 combining, 2 East Asian wide and emoji, else 1. */
size_t terminal_code_width(uint32_t code);
/* Bytes at the start of printable text that are one column each. */
static inline size_t terminal_plain_prefix(const char *text, size_t size)
{
  size_t at = 0;
  while (at + 8 <= size && eight_not_ascii(eight_load(text + at)) == 0)
    at += 8;
  while (at < size && (unsigned char)text[at] < 0x80)
    at++;
  return at;
}
size_t terminal_text_width(const char *text, size_t size); /* of printable UTF-8 */

/* The text in at most `width` columns: where it is longer its middle gives way to "…" (plain: "~"). */
void terminal_cut_middle(out *o, const char *text, size_t size, size_t width, bool plain);

/* Whether what goes to `fd` may be drawn with more than ASCII: a terminal, by a UTF-8 locale. */
bool terminal_unicode(int fd);

/* A bar on standard error, if that is a terminal, drawn at most ten times a second and not in the first half second.
 * `unit` is what done and total count ("rows"), "B" being shown as sizes; total 0: unknown. */
void terminal_progress(const char *what, const char *unit, uint64_t done, uint64_t total);
/* Takes the bar away: before other output to the same terminal (appended to `o`), and for good. */
void terminal_progress_clear(out *o);
void terminal_progress_end(void);

#endif
