/* A table for people: columns as wide as their content, fitted to a width by cutting the last one. */
#include "tools/print/text_table.h"

#include <stdlib.h>

#include "tools/cli.h"
#include "tools/print/line.h"
#include "tools/terminal.h"

out *table_cell(table *t)
{
  if ((t->count & (t->count - 1)) == 0)
    t->starts = cli_realloc(t->starts, t->count == 0 ? 1 : t->count * 2, sizeof *t->starts);
  t->starts[t->count++] = t->cells.size;
  return &t->cells;
}

void table_next(table *t)
{
  out_char(&t->cells, '\0');
}

void table_text(table *t, const char *text)
{
  out_printable(table_cell(t), text, strlen(text));
  table_next(t);
}

void table_init(table *t, const char *title, const char *const *heads)
{
  *t = (table){.title = title};
  out_init(&t->cells, -1);
  for (; heads[t->columns] != NULL; t->columns++) {
    t->numbers[t->columns] = heads[t->columns][0] == '>';
    table_text(t, heads[t->columns] + t->numbers[t->columns]);
  }
}

void table_print(table *t, out *o, size_t width, bool coloured)
{
  if (t->count <= t->columns || t->cells.error != 0)
    return;
  size_t widths[16] = {0};
  bool shown[16] = {false};
  for (size_t n = 0; n < t->count; n++) {
    const char *cell = t->cells.data + t->starts[n];
    size_t columns = terminal_text_width(cell, strlen(cell));
    if (columns > widths[n % t->columns])
      widths[n % t->columns] = columns;
    shown[n % t->columns] |= columns > 0 && n >= t->columns;
  }
  line l;
  line_init(&l, width, coloured);
  line_styled(&l, "1;36", t->title);
  line_print(&l, o);
  for (size_t n = 0; n < t->count; n++) {
    size_t column = n % t->columns;
    const char *cell = t->cells.data + t->starts[n];
    if (column == 0) {
      line_clear(&l);
      line_style(&l, n < t->columns ? "2" : NULL);
    }
    size_t start = l.column + 2;
    if (shown[column]) {
      line_text(&l, "  ");
      if (t->numbers[column])
        line_pad(&l, start + widths[column] - terminal_text_width(cell, strlen(cell)));
      line_text(&l, cell);
    }
    if (column + 1 == t->columns)
      line_print(&l, o);
    else if (shown[column])
      line_pad(&l, start + widths[column]);
  }
  line_free(&l);
  out_char(o, '\n');
}

void table_free(table *t)
{
  out_free(&t->cells);
  free(t->starts);
  *t = (table){0};
}
