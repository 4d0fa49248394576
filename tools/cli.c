/* What every tool shares: options and help from one table, error lines, the exit code, output caught at exit. */
#include "tools/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/print/json.h"
#include "tools/terminal.h"

enum { ID_HELP = 1, ID_VERSION = 2, HELP_WIDTH = 80, HELP_COLUMN = 28 };

static const cli_tool *tool;
static int exit_code;

static const cli_option common_options[] = {
    {0, NULL, NULL, "Other"},
    {ID_HELP, "help", NULL, "print this help"},
    {ID_VERSION, "version", NULL, "print the version"},
    {0},
};

void cli_start(const cli_tool *the_tool)
{
  tool = the_tool;
  signal(SIGPIPE, SIG_IGN);
  /* no file of ours may come to stand for a standard stream that is closed: using one fails, as it should */
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
      exit(CLI_FAILED);
}

static bool is_end(const cli_option *option)
{
  return option->id == 0 && option->help == NULL;
}

/* Words of `text` from column `column`, wrapped to the help's width with a hanging indent of `indent`. */
static void wrap(out *o, const char *text, size_t column, size_t indent)
{
  while (*text != '\0') {
    size_t word = strcspn(text, " ");
    if (column > indent && column + 1 + word > HELP_WIDTH) {
      out_char(o, '\n');
      column = 0;
    }
    if (column < indent) {
      out_repeat(o, ' ', indent - column);
      column = indent;
    } else if (column > indent) {
      out_char(o, ' ');
      column++;
    }
    out_bytes(o, text, word);
    column += word;
    text += word + (text[word] == ' ');
  }
  out_char(o, '\n');
}

static void help_options(out *o, const cli_option *options)
{
  for (const cli_option *option = options; !is_end(option); option++) {
    if (option->id == 0) {
      out_format(o, "\n%s:\n", option->help);
      continue;
    }
    size_t start = o->size;
    bool letter = option->id >= '0' && option->id < 256;
    if (letter)
      out_format(o, "  -%c, --%s", option->id, option->name);
    else
      out_format(o, "      --%s", option->name);
    if (option->argument != NULL)
      out_format(o, "=%s", option->argument);
    size_t column = o->size - start;
    if (column > HELP_COLUMN - 2) {
      out_char(o, '\n');
      column = 0;
    }
    out_repeat(o, ' ', HELP_COLUMN - column);
    wrap(o, option->help, HELP_COLUMN, HELP_COLUMN);
  }
}

static _Noreturn void print_help(void)
{
  out text;
  out_init(&text, -1);
  out_format(&text, "Usage: %s %s\n", tool->name, tool->usage);
  wrap(&text, tool->summary, 0, 0);
  help_options(&text, tool->options);
  help_options(&text, common_options);
  if (tool->closing != NULL)
    out_format(&text, "\n%s", tool->closing);
  text.fd = STDOUT_FILENO;
  exit(cli_finish(&text));
}

static _Noreturn void print_version(void)
{
  out text;
  out_init(&text, STDOUT_FILENO);
  out_format(&text, "%s (rrdkit) %s\n", tool->name, rk_version());
  exit(cli_finish(&text));
}

/* Operands that stand for standard input with something behind: "-:PATTERN", "-@+12ms". getopt would take them for
 * options: while it is at work they begin with another character. */
enum { STANDARD_INPUT_MARK = 1 };

static void hide_operands(int argc, char **argv, char from, char to)
{
  for (int i = 1; i < argc; i++)
    if (argv[i][0] == from && (argv[i][1] == ':' || argv[i][1] == '@'))
      argv[i][0] = to;
}

int cli_option_next(int argc, char **argv)
{
  static struct option *longs;
  static char *shorts;
  if (longs == NULL) {
    size_t count = 0, letters = 0;
    for (const cli_option *p = tool->options; !is_end(p); p++)
      count++;
    longs = cli_realloc(NULL, count + 3, sizeof *longs);
    shorts = cli_realloc(NULL, 2 * count + 4, 1);
    shorts[letters++] = ':';
    count = 0;
    for (int table = 0; table < 2; table++)
      for (const cli_option *p = table == 0 ? tool->options : common_options; !is_end(p); p++) {
        if (p->id == 0)
          continue;
        bool argument = p->argument != NULL;
        longs[count++] = (struct option){p->name, argument ? required_argument : no_argument, NULL, p->id};
        if (p->id < '0' || p->id > 'z')
          continue;
        shorts[letters++] = (char)p->id;
        if (argument)
          shorts[letters++] = ':';
      }
    longs[count] = (struct option){0};
    shorts[letters] = '\0';
    hide_operands(argc, argv, '-', STANDARD_INPUT_MARK);
  }
  opterr = 0;
  int index = optind, id = getopt_long(argc, argv, shorts, longs, NULL);
  if (id == ID_HELP)
    print_help();
  if (id == ID_VERSION)
    print_version();
  if (id < 0)
    hide_operands(argc, argv, STANDARD_INPUT_MARK, '-');
  if (id != '?' && id != ':')
    return id;
  if (optopt >= '0' && optopt <= 'z' && argv[index][1] != '-')
    cli_usage(id == ':' ? "option -%c needs an argument" : "unknown option -%c", optopt);
  const char *given = argv[optind - 1];
  cli_usage(id == ':'     ? "option %s needs an argument"
            : optopt != 0 ? "option %s takes no argument"
                          : "unknown or ambiguous option %s",
            cli_printable(given));
}

/* One line on standard error, in one write: several tools may share it. */
static void error_line(const char *kind, const char *input, uint64_t offset, const char *format, va_list arguments)
{
  char text[1024];
  vsnprintf(text, sizeof text, format, arguments);
  out line;
  out_init(&line, -1);
  terminal_progress_clear(&line);
  out_format(&line, "%s: %s", tool->name, kind);
  if (input != NULL) {
    out_text(&line, cli_printable(strcmp(input, "-") == 0 ? "standard input" : input));
    out_text(&line, ": ");
  }
  out_text(&line, text);
  if (offset != RK_NO_OFFSET)
    out_format(&line, " (offset %" PRIu64 ")", offset);
  out_char(&line, '\n');
  line.fd = STDERR_FILENO;
  out_flush(&line);
  out_free(&line);
}

void cli_error(const char *input, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_line("", input, RK_NO_OFFSET, format, arguments);
  va_end(arguments);
  cli_worsen(CLI_FAILED);
}

void cli_note(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_line("note: ", NULL, RK_NO_OFFSET, format, arguments);
  va_end(arguments);
}

static void record_line(const char *input, uint64_t offset, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_line("", input, offset, format, arguments);
  va_end(arguments);
}

void cli_report(const char *input, const rk_error *error)
{
  const char *message = error->message[0] != '\0' ? error->message : rk_status_text(error->status);
  record_line(input, error->offset, "%s", message);
}

void cli_error_record(const char *input, const rk_error *error)
{
  cli_report(input, error);
  cli_worsen(CLI_FAILED);
}

void cli_loss(void *context, const rk_loss *loss)
{
  (void)context;
  out line;
  out_init(&line, -1);
  terminal_progress_clear(&line);
  out_text(&line, cli_printable(loss->input));
  out_format(&line, ":%" PRIu64 "+%" PRIu64 " ", loss->offset, loss->length);
  out_text(&line, cli_printable(loss->reason));
  if (loss->writer != 0)
    out_format(&line, " %08" PRIx32 "\n", loss->writer);
  else
    out_text(&line, " -\n");
  line.fd = STDERR_FILENO;
  out_flush(&line);
  out_free(&line);
  cli_worsen(CLI_LOST);
}

void cli_usage(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_line("", NULL, RK_NO_OFFSET, format, arguments);
  va_end(arguments);
  fprintf(stderr, "Try '%s --help'.\n", tool->name);
  exit(CLI_USAGE);
}

void cli_usage_argument(int id, const char *expected)
{
  const char *name = "";
  for (const cli_option *p = tool->options; !is_end(p); p++)
    if (p->id == id)
      name = p->name;
  cli_usage("--%s: '%s' is not %s", name, cli_printable(optarg), expected);
}

static int badness(int code)
{
  return code == CLI_CLEAN ? 0 : code == CLI_LOST ? 1 : code == CLI_FAILED ? 2 : 3;
}

void cli_worsen(int code)
{
  if (badness(code) > badness(exit_code))
    exit_code = code;
}

int cli_code(void)
{
  return exit_code;
}

int cli_finish(out *o)
{
  terminal_progress_end();
  int error = 0;
  if (o != NULL) {
    out_flush(o);
    error = o->error;
    if (close(STDOUT_FILENO) != 0 && error == 0 && errno != EBADF)
      error = errno;
    out_free(o);
  }
  if (error != 0 && error != EPIPE)
    cli_error("standard output", "%s", strerror(error));
  return exit_code;
}

void out_printable(out *o, const char *text, size_t size)
{
  for (size_t at = 0; at < size;) {
    uint32_t code = 0;
    size_t n = utf8_take(text + at, size - at, &code);
    unsigned char c = (unsigned char)text[at];
    if (n == 1 && code >= 0x20 && code < 0x7f && code != '\\')
      out_char(o, text[at]);
    else if (n <= 1 && (c == '\n' || c == '\t' || c == '\r' || c == '\\'))
      out_bytes(o, (char[]){'\\', c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : '\\'}, 2);
    else if (n <= 1)
      out_format(o, "\\x%02x", c);
    else if (code < 0xa0 || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
             code == 0x2028 || code == 0x2029)
      out_format(o, "\\u{%" PRIx32 "}", code);
    else
      out_bytes(o, text + at, n);
    at += n == 0 ? 1 : n;
  }
}

const char *cli_printable(const char *text)
{
  static out ring[4];
  static size_t next;
  out *o = &ring[next++ % 4];
  if (o->data == NULL)
    out_init(o, -1);
  o->size = 0;
  out_printable(o, text, strlen(text));
  out_char(o, '\0');
  return o->error != 0 ? "?" : o->data;
}

void *cli_realloc(void *data, size_t count, size_t size)
{
  data = reallocarray(data, count == 0 ? 1 : count, size);
  if (data == NULL) {
    cli_error(NULL, "out of memory");
    exit(exit_code);
  }
  return data;
}

char *cli_copy(const char *text)
{
  size_t size = strlen(text) + 1;
  return memcpy(cli_realloc(NULL, size, 1), text, size);
}
