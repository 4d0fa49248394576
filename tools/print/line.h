/* One line of text for people: styled, escaped, and cut to a width with an ellipsis. */
#ifndef TOOLS_LINE_H
#define TOOLS_LINE_H

#include <stdbool.h>

#include "tools/out.h"

typedef struct line {
  out text;
  out scratch;     /* for one piece before it is escaped and measured; empty between calls */
  size_t column;   /* where the next character goes */
  size_t limit;    /* columns at most; 0: no limit */
  size_t ascii_at; /* size of `text` at line_ascii */
  size_t cut_at;   /* size of `text` where the ellipsis would go */
  bool coloured, styled;
  bool full;    /* it was cut: nothing more can be seen */
  bool in_full; /* values are not elided */
} line;

void line_init(line *l, size_t limit, bool coloured);
void line_clear(line *l);
void line_free(line *l);
/* SGR parameters, e.g. "1;36"; NULL or "": back to normal. */
void line_style(line *l, const char *style);
/* Whether it is ASCII with nothing in it to escape. */
bool line_is_printable(const char *text, size_t size);
/* Text from files: control characters and stray bytes escaped. */
void line_printable(line *l, const char *text, size_t size);
/* Text of the tool's own, printable UTF-8. */
void line_bytes(line *l, const char *text, size_t size);
static inline void line_text(line *l, const char *text)
{
  line_bytes(l, text, strlen(text));
}
void line_format(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the caller has put into `scratch`, which must be printable UTF-8; empties it. */
void line_scratch(line *l);
/* Where the caller puts ASCII until line_ascii_end: cheaper, where nothing is cut, as it need not be looked at again.
 */
static inline out *line_ascii(line *l)
{
  l->ascii_at = l->text.size;
  return l->limit == 0 ? &l->text : &l->scratch;
}
static inline void line_ascii_end(line *l)
{
  if (l->limit == 0)
    l->column += l->text.size - l->ascii_at;
  else
    line_scratch(l);
}
/* In a style, then back to normal. */
void line_styled(line *l, const char *style, const char *text);
/* Spaces up to a column. */
void line_pad(line *l, size_t column);
/* Ends it: appends the line and a newline to `o`. */
void line_print(line *l, out *o);

#endif
