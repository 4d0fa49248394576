/* One line of text for people: styled, escaped, and cut to a width with an ellipsis. */
#include "tools/print/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/print/eight.h"
#include "tools/print/json.h"
#include "tools/terminal.h"

void line_init(line *l, size_t limit, bool coloured)
{
  *l = (line){.limit = limit, .coloured = coloured};
  out_init(&l->text, -1);
  out_init(&l->scratch, -1);
}

void line_clear(line *l)
{
  l->text.size = l->column = l->cut_at = 0;
  l->styled = l->full = false;
}

void line_free(line *l)
{
  out_free(&l->text);
  out_free(&l->scratch);
}

void line_style(line *l, const char *style)
{
  if (!l->coloured || l->full)
    return;
  bool on = style != NULL && *style != '\0';
  if (!on && !l->styled)
    return;
  out_text(&l->text, "\033[");
  out_text(&l->text, on ? style : "0");
  out_char(&l->text, 'm');
  l->styled = on;
}

void line_bytes(line *l, const char *text, size_t size)
{
  size_t plain = terminal_plain_prefix(text, size);
  if (l->limit == 0) {
    out_bytes(&l->text, text, size);
    l->column += plain;
    if (plain < size) /* no column follows a long text */
      l->column += size - plain >= 256 ? size - plain : terminal_text_width(text + plain, size - plain);
    return;
  }
  if (plain > 0 && !l->full) {
    size_t room = l->limit - l->column, taken = plain < room ? plain : room;
    out_bytes(&l->text, text, taken);
    l->column += taken;
    if (taken > 0)
      l->cut_at = l->column < l->limit ? l->text.size : l->text.size - 1;
    text += taken;
    size -= taken;
  }
  for (size_t at = 0; at < size && !l->full;) {
    uint32_t code = '?';
    size_t n = utf8_take(text + at, size - at, &code);
    n = n == 0 ? 1 : n;
    size_t width = terminal_code_width(code);
    if (l->column + width > l->limit) {
      l->text.size = l->cut_at;
      out_text(&l->text, "…");
      if (l->coloured)
        out_text(&l->text, "\033[0m");
      l->full = true;
      return;
    }
    out_bytes(&l->text, text + at, n);
    l->column += width;
    if (l->column < l->limit)
      l->cut_at = l->text.size;
    at += n;
  }
}

bool line_is_printable(const char *text, size_t size)
{
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word = eight_load(text + at);
    if ((eight_below(word, 0x20) | eight_equal(word, 0x7f) | eight_equal(word, '\\') | eight_not_ascii(word)) != 0)
      return false;
  }
  for (; at < size; at++)
    if ((unsigned char)(text[at] - 0x20) >= 0x5f || text[at] == '\\')
      return false;
  return true;
}

void line_printable(line *l, const char *text, size_t size)
{
  if (l->full)
    return;
  if (l->limit > 0 && size > l->limit * 4 + 64) /* the rest cannot be seen; a cut character ends behind the ellipsis */
    size = l->limit * 4 + 64;
  if (line_is_printable(text, size)) {
    out_bytes(line_ascii(l), text, size);
    line_ascii_end(l);
    return;
  }
  out_printable(&l->scratch, text, size);
  line_scratch(l);
}

void line_scratch(line *l)
{
  line_bytes(l, l->scratch.data, l->scratch.size);
  l->scratch.size = 0;
}

void line_format(line *l, const char *format, ...)
{
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  line_text(l, text);
}

void line_styled(line *l, const char *style, const char *text)
{
  line_style(l, style);
  line_text(l, text);
  line_style(l, NULL);
}

void line_pad(line *l, size_t column)
{
  static const char blanks[] = "                                ";
  while (l->column < column && !l->full) {
    size_t wanted = column - l->column;
    line_bytes(l, blanks, wanted < sizeof blanks - 1 ? wanted : sizeof blanks - 1);
  }
}

void line_print(line *l, out *o)
{
  line_style(l, NULL);
  out_bytes(o, l->text.data, l->text.size);
  out_char(o, '\n');
}
