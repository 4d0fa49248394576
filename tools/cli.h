/* What every tool shares: options and help from one table, error lines, the exit code, output caught at exit. */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/reader.h"
#include "rrdkit/status.h"
#include "tools/out.h"

/* Ordered by number only for the shell; cli_worsen knows which is worse. */
enum { CLI_CLEAN = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_LOST = 3 };

/* One option, or a heading of the help (id 0, the text in `help`). The table ends with a zero entry. */
typedef struct cli_option {
  int id; /* the letter, or 256 and more for options without one */
  const char *name;
  const char *argument; /* its name in the help; NULL: takes none */
  const char *help;
} cli_option;

typedef struct cli_tool {
  const char *name;
  const char *usage;   /* what follows the name in the usage line */
  const char *summary; /* a sentence or two */
  const char *closing; /* paragraphs after the options, each line at most 80 columns; or NULL */
  const cli_option *options;
} cli_tool;

/* `tool` lives until exit. Ignores SIGPIPE, so that a closed pipe is seen as EPIPE. */
void cli_start(const cli_tool *tool);
/* The next option's id, its argument in `optarg`; -1 when only operands are left, from argv[optind]. Answers --help and
 * --version, and wrong options, by exiting. */
int cli_option_next(int argc, char **argv);

/* "Try 'rrd-dump --help'." and exit code 2. */
_Noreturn void cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An argument that cannot be used: names the option as the user typed it or its long form. */
_Noreturn void cli_usage_argument(int id, const char *expected);

/* "rrd-dump: what", "rrd-dump: input: what (offset N)"; the exit code becomes at least 1. Input names and texts from
 * files must go through `cli_error`'s arguments by cli_printable. */
void cli_error(const char *input, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_error_record(const char *input, const rk_error *error);
void cli_report(const char *input, const rk_error *error); /* the same line; the exit code is the caller's affair */
/* "rrd-dump: note: ...": for the user, no failure. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* rk_reader_options.on_loss: "input:offset+length reason writer" ("-" where unknown); exit code at least 3. */
void cli_loss(void *context, const rk_loss *loss);

/* 0 < 3 < 1 < 2: never gets better. */
void cli_worsen(int code);
int cli_code(void);
/* Flushes and closes standard output and gives the exit code. EPIPE: the reader had enough; any other failure is
 * reported. `o` may be NULL where nothing went to stdout. */
int cli_finish(out *o);

/* Printable UTF-8 stays; control characters (also C1 and bidirectional ones) and stray bytes become escapes. */
void out_printable(out *o, const char *text, size_t size);
/* The same in a buffer that lives until the fourth call from now. */
const char *cli_printable(const char *text);

void *cli_realloc(void *data, size_t count, size_t size); /* exits with an error when memory is out */
char *cli_copy(const char *text);

#endif
