/* The inputs that the operands of a command line stand for: files, directories, globs, lists, each with its shift. */
#ifndef TOOLS_OPERANDS_H
#define TOOLS_OPERANDS_H

#include <sys/stat.h>

#include "tools/selection.h"

typedef struct operands {
  char **paths; /* "-", files, "ARCHIVE:PATTERN": what rk_reader_add takes */
  int64_t *shifts;
  size_t count;
  size_t failed; /* operands that stand for nothing; reported */
} operands;

/* Expands `count` operands and the list of `--files-from`:
 * - a directory stands for all recordings under it (*.rrd, *.rbl, *.rrd.zst), sorted, spools left out;
 * - "INPUT@+12ms" and "INPUT@-3.5s" for INPUT shifted, unless a file has that whole name;
 * - a glob that names no file for the files that match, sorted, also before the colon of "ARCHIVE:PATTERN".
 * What stands for nothing is reported; the exit code becomes `code`. */
void operands_expand(operands *o, const selection *s, char **operand, size_t count, int code);
void operands_free(operands *o);

/* "-", "-:PATTERN", or one of these shifted. */
bool operand_is_standard_input(const char *path);
/* stat of the file that such a path means: of standard input, of the archive of "ARCHIVE:PATTERN". */
bool operand_stat(const char *path, struct stat *s);

#endif
