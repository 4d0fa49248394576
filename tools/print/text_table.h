/* A table for people: columns as wide as their content, fitted to a width by cutting the last one;
 * a column without content is not shown. */
#ifndef TOOLS_TEXT_TABLE_H
#define TOOLS_TEXT_TABLE_H

#include <stdbool.h>

#include "tools/out.h"

typedef struct table {
  out cells; /* NUL-terminated, printable */
  size_t *starts;
  size_t count, columns;
  const char *title;
  bool numbers[16]; /* columns aligned to the right */
} table;

/* `heads`: NULL-terminated column heads; one that begins with '>' is aligned to the right. At most 16. */
void table_init(table *t, const char *title, const char *const *heads);
/* The sink for the next cell, to be ended by table_next. */
out *table_cell(table *t);
void table_next(table *t);
void table_text(table *t, const char *text); /* one whole cell; text from files is escaped */
void table_print(table *t, out *o, size_t width, bool coloured);
void table_free(table *t);

#endif
