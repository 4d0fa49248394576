/* rrd-merge: writes the rows of all inputs as one recording, ordered in time. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/merge/merge_job.h"
#include "tools/output_file.h"
#include "tools/terminal.h"
#include "tools/when.h"

enum {
  OPTION_COMPRESSION = 256,
  OPTION_RECORDING_ID,
  OPTION_APPLICATION_ID,
  OPTION_CHUNK_ROWS,
  OPTION_CHUNK_BYTES,
  OPTION_RECODE,
  OPTION_FORCE,
  OPTION_DRY_RUN,
  OPTION_JSON,
  OPTION_REPORT,
  OPTION_THREADS,
  ZSTD_LEVEL_MIN = -7, /* as rk_recording_options.zstd_level */
  ZSTD_LEVEL_MAX = 19,
  THREADS_MAX = 1024,
};

static const cli_option options[] = {
    {0, NULL, NULL, "Output"},
    {'o', "output", "FILE",
     "the merged recording; - is standard output. An existing file is replaced when all is done"},
    {OPTION_COMPRESSION, "compression", "HOW",
     "lz4 (default), none, or zstd[:LEVEL] (default where FILE ends in .zst), level -7 to 19, default 3"},
    {OPTION_APPLICATION_ID, "application-id", "ID", "give all recordings this application id"},
    {OPTION_RECORDING_ID, "recording-id", "ID",
     "give all recordings this id, so that they become one; else different ones stay apart"},
    {OPTION_CHUNK_ROWS, "chunk-rows", "N", "at most N rows in a chunk (default 4096)"},
    {OPTION_CHUNK_BYTES, "chunk-bytes", "SIZE", "cut chunks after SIZE bytes, plain (default 1M)"},
    {OPTION_RECODE, "recode", NULL, "make all chunks anew; take none as it is"},
    {OPTION_FORCE, "force", NULL, "write to a terminal too"},
    ROW_OPTIONS,
    INPUT_OPTIONS,
    {0, NULL, NULL, "Running"},
    {OPTION_DRY_RUN, "dry-run", NULL,
     "write nothing; print what would be met: inputs, clocks and their steps, overlap, memory"},
    {OPTION_JSON, "json", NULL, "with --dry-run: as one JSON object"},
    {OPTION_REPORT, "report", "FILE", "write what was done to FILE, as one JSON object"},
    {OPTION_THREADS, "threads", "N", "encode and compress with N threads (default: as many as there are cores)"},
    {'k', "keep-going", NULL,
     "leave out inputs that cannot be read instead of writing nothing; the exit code is then 3"},
    {'q', "quiet", NULL, "no progress bar and no summary"},
    {'v', "verbose", NULL, "the summary also where standard error is no terminal"},
    {0},
};

static const cli_tool tool = {
    .name = "rrd-merge",
    .usage = "[OPTION]... -o OUT INPUT...",
    .summary = "Merge Rerun recordings into one that is ordered in time, compact and complete with footer. The result "
               "does not depend on the order of the inputs, and merging again changes nothing.",
    .closing = SELECTION_CLOSING "\n"
                                 "Exit code: 0 clean, 1 failed (nothing was written), 2 wrong usage, 3 done but\n"
                                 "data was lost or damaged (each place is told as file:offset+length reason\n"
                                 "writer).\n",
    .options = options,
};

static uint64_t parse_number(int id, uint64_t max, const char *expected)
{
  char *end;
  errno = 0;
  unsigned long long value = strtoull(optarg, &end, 10);
  if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || value == 0 || value > max)
    cli_usage_argument(id, expected);
  return value;
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

static void parse_compression(merge_request *r)
{
  char *end = optarg;
  errno = 0;
  r->merge.zstd = strncmp(optarg, "zstd", 4) == 0;
  r->merge.zstd_level = 0;
  r->merge.compression = strcmp(optarg, "lz4") == 0    ? RK_COMPRESSION_LZ4
                         : strcmp(optarg, "none") == 0 ? RK_COMPRESSION_NONE
                                                       : RK_COMPRESSION_DEFAULT;
  if (strcmp(optarg, "zstd") == 0 || r->merge.compression != RK_COMPRESSION_DEFAULT)
    return;
  long level = r->merge.zstd && optarg[4] == ':' ? strtol(optarg + 5, &end, 10) : 0;
  if (level == 0 || level < ZSTD_LEVEL_MIN || level > ZSTD_LEVEL_MAX || *end != '\0' || errno != 0)
    cli_usage_argument(OPTION_COMPRESSION, "lz4, none, zstd or zstd:LEVEL with a level from -7 to -1 or 1 to 19");
  r->merge.zstd_level = (int)level;
}

static bool parse_output_option(merge_request *r, int id)
{
  switch (id) {
  case 'o':
    if (r->output != NULL)
      cli_usage("more than one output");
    r->output = optarg;
    return true;
  case OPTION_COMPRESSION:
    parse_compression(r);
    return true;
  case OPTION_APPLICATION_ID:
    r->selection.application_id = parse_id(id, true);
    return true;
  case OPTION_RECORDING_ID:
    r->selection.recording_id = parse_id(id, false);
    return true;
  case OPTION_CHUNK_ROWS:
    r->merge.chunk_rows = (uint32_t)parse_number(id, UINT32_MAX, "a number of rows");
    return true;
  case OPTION_CHUNK_BYTES:
    if (!size_parse(optarg, &r->merge.chunk_size) || r->merge.chunk_size == 0)
      cli_usage_argument(id, "a size");
    return true;
  case OPTION_RECODE:
    r->merge.recode = true;
    return true;
  case OPTION_FORCE:
    r->force = true;
    return true;
  default:
    return false;
  }
}

static bool parse_running_option(merge_request *r, int id)
{
  switch (id) {
  case OPTION_DRY_RUN:
    r->dry_run = true;
    return true;
  case OPTION_JSON:
    r->json = true;
    return true;
  case OPTION_REPORT:
    if (r->report != NULL)
      cli_usage("more than one report");
    r->report = optarg;
    return true;
  case OPTION_THREADS:
    r->merge.threads = (unsigned)parse_number(id, THREADS_MAX, "a number of threads from 1 to 1024");
    return true;
  case 'k':
    r->keep_going = true;
    return true;
  case 'q':
    r->quiet = true;
    return true;
  case 'v':
    r->verbose = true;
    return true;
  default:
    return false;
  }
}

/* The name says what a file is: one that did not would open in no viewer, or be unpacked by no tool. */
static void settle_compression(merge_request *r)
{
  size_t size = r->output == NULL ? 0 : strlen(r->output);
  bool zst = size > 0 && output_is_zst(r->output);
  bool rrd = size >= 4 && strcmp(r->output + size - 4, ".rrd") == 0;
  if (zst && r->merge.compression != RK_COMPRESSION_DEFAULT)
    cli_usage("a name that ends in .zst is for --compression=zstd");
  if (rrd && r->merge.zstd)
    cli_usage("--compression=zstd makes a recording whose name ends in .rrd.zst");
  r->merge.zstd |= zst;
}

static void parse(merge_request *r, int argc, char **argv)
{
  *r = (merge_request){0};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;)
    if (!parse_output_option(r, id) && !parse_running_option(r, id))
      selection_option(&r->selection, id);
  if (r->output == NULL && !r->dry_run)
    cli_usage("no output; give -o FILE");
  if (r->json && !r->dry_run)
    cli_usage("--json is about --dry-run; --report=FILE tells what was done");
  if (r->report != NULL && r->dry_run)
    cli_usage("--dry-run does nothing to report");
  if (r->report != NULL && strcmp(r->report, r->output) == 0)
    cli_usage("output and report are to go to the same place");
  settle_compression(r);
}

static bool on_progress(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  (void)bytes_out;
  const merge_request *r = context;
  if (!r->quiet)
    terminal_progress("merging", "rows", rows_done, rows_total);
  return true;
}

static void summary(const inputs *in, const rk_merge_report *done, double seconds)
{
  rk_reader_stats stats;
  rk_reader_get_stats(in->reader, &stats);
  out o;
  out_init(&o, -1);
  terminal_progress_end();
  out_format(&o, "%zu input%s (", in->count, in->count == 1 ? "" : "s");
  out_size(&o, stats.input_size);
  out_format(&o, "), %" PRIu64 " rows", done->rows);
  if (stats.duplicate_rows > 0)
    out_format(&o, ", %" PRIu64 " seen twice", stats.duplicate_rows);
  if (stats.clamped_rows > 0)
    out_format(&o, ", %" PRIu64 " behind their writer's clock", stats.clamped_rows);
  if (stats.spilled_size > 0) {
    out_text(&o, ", ");
    out_size(&o, stats.spilled_size);
    out_text(&o, " through temporary files");
  }
  out_text(&o, " -> ");
  out_size(&o, done->bytes);
  if (done->passed_chunks > 0)
    out_format(&o, ", %" PRIu64 " of %" PRIu64 " chunks as they were,", done->passed_chunks, done->chunks);
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

typedef struct job {
  merge_request *request;
  inputs in;
  merge_losses losses;
  output_file output, report;
  rk_merge_report done;
  uint64_t sum;
  bool has_sum;
} job;

/* False: the output is not there. */
static bool write_merged(job *j)
{
  merge_request *r = j->request;
  rk_error error = {.offset = RK_NO_OFFSET};
  r->merge.on_progress = on_progress;
  r->merge.context = r;
  rk_status status = rk_reader_merge(j->in.reader, j->output.fd, &r->merge, &j->done, &error);
  terminal_progress_end();
  if (status == RK_OK) {
    j->has_sum = r->report != NULL && j->output.target != NULL && merge_sum_file(j->output.fd, &j->sum);
    return output_commit(&j->output);
  }
  /* a reader that had enough is no failure */
  if (!(error.sys_errno == EPIPE && j->output.target == NULL))
    output_failed(r->output, &error);
  output_discard(&j->output);
  return false;
}

static void write_report(job *j, double seconds)
{
  out o;
  out_init(&o, j->report.fd);
  merge_report_print(j->request, &j->in, &j->done, &j->losses, j->has_sum ? &j->sum : NULL, seconds, &o);
  if (out_flush(&o)) {
    output_commit(&j->report);
  } else {
    cli_error(j->request->report, "%s", strerror(o.error));
    output_discard(&j->report);
  }
  out_free(&o);
}

static void merge(job *j, double begin)
{
  merge_request *r = j->request;
  if (r->report != NULL && !output_open(&j->report, r->report, true))
    return;
  bool ok = output_open(&j->output, r->output, r->force) && write_merged(j);
  double seconds = now() - begin;
  if (ok && (r->verbose || (isatty(STDERR_FILENO) && !r->quiet)))
    summary(&j->in, &j->done, seconds);
  if (ok && r->report != NULL)
    write_report(j, seconds);
  else if (r->report != NULL)
    output_discard(&j->report);
}

static bool output_clashes(const merge_request *r, const operands *in)
{
  return (r->output != NULL && output_is_input(r->output, in->paths, in->count)) ||
         (r->report != NULL && output_is_input(r->report, in->paths, in->count));
}

static void run(merge_request *r, char **operand, size_t count, out *o)
{
  double begin = now();
  job j = {.request = r};
  inputs *in = &j.in;
  inputs_expand(in, &r->selection, operand, count, r->keep_going);
  in->on_loss = merge_losses_add;
  in->context = &j.losses;
  in->quiet = r->quiet;
  bool ready = !output_clashes(r, &in->operands) && inputs_read(in, &r->selection, r->keep_going);
  if (ready && r->dry_run) {
    merge_plan_print(r, in, o);
  } else if (ready && in->failed > 0 && !r->keep_going) {
    cli_note("nothing was written; --keep-going leaves out what cannot be read");
  } else if (ready) {
    merge(&j, begin);
  }
  inputs_free(in);
  merge_losses_free(&j.losses);
}

int main(int argc, char **argv)
{
  merge_request r;
  cli_start(&tool);
  parse(&r, argc, argv);
  out o;
  out_init(&o, STDOUT_FILENO);
  run(&r, argv + optind, (size_t)(argc - optind), &o);
  selection_free(&r.selection);
  if (r.dry_run)
    return cli_finish(&o);
  out_free(&o);
  return cli_finish(NULL);
}
