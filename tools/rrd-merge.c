/* rrd-merge: writes the rows of all inputs as one recording, ordered in time. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "inputs.h"
#include "output_file.h"
#include "terminal.h"
#include "when.h"

enum {
  OPTION_COMPRESSION = 256,
  OPTION_RECORDING_ID,
  OPTION_APPLICATION_ID,
  OPTION_CHUNK_ROWS,
  OPTION_CHUNK_BYTES,
  OPTION_FORCE,
};

static const cli_option options[] = {
    {0, NULL, NULL, "Output"},
    {'o', "output", "FILE",
     "the merged recording; - is standard output. An existing file is replaced when all is done"},
    {OPTION_COMPRESSION, "compression", "HOW", "lz4 (default) or none"},
    {OPTION_APPLICATION_ID, "application-id", "ID", "give all recordings this application id"},
    {OPTION_RECORDING_ID, "recording-id", "ID", "give all recordings this id, so that they become one"},
    {OPTION_CHUNK_ROWS, "chunk-rows", "N", "at most N rows in a chunk (default 4096)"},
    {OPTION_CHUNK_BYTES, "chunk-bytes", "SIZE", "cut chunks after SIZE bytes, plain (default 1M)"},
    {OPTION_FORCE, "force", NULL, "write to a terminal too"},
    ROW_OPTIONS,
    INPUT_OPTIONS,
    {0, NULL, NULL, "Running"},
    {'k', "keep-going", NULL,
     "leave out inputs that cannot be read instead of writing nothing; the exit code is then 3"},
    {'q', "quiet", NULL, "no progress bar and no summary"},
    {'v', "verbose", NULL, "the summary also where standard error is no terminal"},
    {0},
};

static const cli_tool tool = {
    .name = "rrd-merge",
    .usage = "[OPTION]... -o OUT IN...",
    .summary = "Merge Rerun recordings into one that is ordered in time, compact and complete with footer. The result "
               "does not depend on the order of the inputs, and merging again changes nothing. IN - is standard input.",
    .closing = SELECTION_CLOSING "\n"
                                 "Exit code: 0 clean, 1 failed (nothing was written), 2 wrong usage, 3 done but\n"
                                 "data was lost or damaged (each place is told as file:offset+length reason\n"
                                 "writer).\n",
    .options = options,
};

typedef struct request {
  selection selection;
  rk_merge_options merge;
  const char *output;
  bool force, keep_going, quiet, verbose;
} request;

static uint32_t parse_rows(void)
{
  char *end;
  errno = 0;
  unsigned long value = strtoul(optarg, &end, 10);
  if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || value == 0 || value > UINT32_MAX)
    cli_usage_argument(OPTION_CHUNK_ROWS, "a number of rows");
  return (uint32_t)value;
}

/* What the stock viewer keeps as it is. */
static const char *parse_id(int id, bool application)
{
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  size_t size = strlen(optarg);
  if (size == 0 || (application && (size > 180 || strspn(optarg, plain) != size)))
    cli_usage_argument(id, application ? "an application id: letters, digits, _ and -, at most 180" : "a recording id");
  return optarg;
}

static bool parse_output_option(request *r, int id)
{
  switch (id) {
  case 'o':
    if (r->output != NULL)
      cli_usage("more than one output");
    r->output = optarg;
    return true;
  case OPTION_COMPRESSION:
    if (strcmp(optarg, "lz4") != 0 && strcmp(optarg, "none") != 0)
      cli_usage_argument(id, "lz4 or none");
    r->merge.compression = *optarg == 'l' ? RK_COMPRESSION_LZ4 : RK_COMPRESSION_NONE;
    return true;
  case OPTION_APPLICATION_ID:
    r->selection.application_id = parse_id(id, true);
    return true;
  case OPTION_RECORDING_ID:
    r->selection.recording_id = parse_id(id, false);
    return true;
  case OPTION_CHUNK_ROWS:
    r->merge.chunk_rows = parse_rows();
    return true;
  case OPTION_CHUNK_BYTES:
    if (!size_parse(optarg, &r->merge.chunk_size) || r->merge.chunk_size == 0)
      cli_usage_argument(id, "a size");
    return true;
  default:
    return false;
  }
}

static void parse(request *r, int argc, char **argv)
{
  *r = (request){0};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;) {
    if (parse_output_option(r, id))
      continue;
    switch (id) {
    case OPTION_FORCE:
      r->force = true;
      break;
    case 'k':
      r->keep_going = true;
      break;
    case 'q':
      r->quiet = true;
      break;
    case 'v':
      r->verbose = true;
      break;
    default:
      selection_option(&r->selection, id);
    }
  }
  if (r->output == NULL)
    cli_usage("no output; give -o FILE");
}

typedef struct totals {
  uint64_t rows, size;
} totals;

typedef struct progress_context {
  const request *request;
  totals *totals;
} progress_context;

static bool on_progress(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  const progress_context *p = context;
  *p->totals = (totals){rows_done, bytes_out};
  if (!p->request->quiet)
    terminal_progress("merging", "rows", rows_done, rows_total);
  return true;
}

static void summary(const inputs *in, const totals *t, double seconds)
{
  rk_reader_stats stats;
  rk_reader_get_stats(in->reader, &stats);
  out o;
  out_init(&o, -1);
  terminal_progress_end();
  out_format(&o, "%zu input%s (", in->count, in->count == 1 ? "" : "s");
  out_size(&o, stats.input_size);
  out_format(&o, "), %" PRIu64 " rows", stats.rows_returned);
  if (stats.duplicate_rows > 0)
    out_format(&o, ", %" PRIu64 " seen twice", stats.duplicate_rows);
  if (stats.clamped_rows > 0)
    out_format(&o, ", %" PRIu64 " behind their writer's clock", stats.clamped_rows);
  out_text(&o, " -> ");
  out_size(&o, t->size);
  out_format(&o, " in %.2f s", seconds);
  if (seconds > 0.001) {
    out_text(&o, " (");
    out_size(&o, (uint64_t)((double)stats.input_size / seconds));
    out_text(&o, "/s)");
  }
  out_char(&o, '\n');
  o.fd = STDERR_FILENO;
  out_flush(&o);
  out_free(&o);
}

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* False: the output is not there. */
static bool write_merged(request *r, inputs *in, output_file *file, totals *t)
{
  progress_context context = {r, t};
  rk_error error = {.offset = RK_NO_OFFSET};
  r->merge.on_progress = on_progress;
  r->merge.context = &context;
  rk_status status = rk_reader_merge(in->reader, file->fd, &r->merge, NULL, &error);
  terminal_progress_end();
  if (status == RK_OK || status == RK_END) {
    struct stat s;
    if (fstat(file->fd, &s) == 0 && file->temporary != NULL)
      t->size = (uint64_t)s.st_size;
    return output_commit(file);
  }
  /* a reader that had enough is no failure */
  if (!(error.sys_errno == EPIPE && file->temporary == NULL))
    cli_error_record(error.sys_errno != 0 ? r->output : NULL, &error);
  output_discard(file);
  return false;
}

static void merge(request *r, char **paths, size_t count)
{
  double begin = now();
  inputs in;
  inputs_expand(&in, &r->selection, paths, count, r->keep_going);
  bool opened = !output_is_input(r->output, in.operands.paths, in.operands.count) &&
                inputs_read(&in, &r->selection, r->keep_going);
  if (opened && in.failed > 0 && !r->keep_going) {
    cli_note("nothing was written; --keep-going leaves out what cannot be read");
    opened = false;
  }
  output_file file;
  totals t = {0};
  if (opened && output_open(&file, r->output, r->force) && write_merged(r, &in, &file, &t) &&
      (r->verbose || (isatty(STDERR_FILENO) && !r->quiet)))
    summary(&in, &t, now() - begin);
  inputs_free(&in);
}

int main(int argc, char **argv)
{
  request r;
  cli_start(&tool);
  parse(&r, argc, argv);
  char **paths = argv + optind;
  size_t count = (size_t)(argc - optind);
  merge(&r, paths, count);
  selection_free(&r.selection);
  return cli_finish(NULL);
}
