/* rrd-check: judges recordings, recovers what is undamaged, and finishes what nobody writes any more. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "rrdkit/recording.h"
#include "tools/check/check_report.h"
#include "tools/cli.h"
#include "tools/operands.h"
#include "tools/output_file.h"
#include "tools/terminal.h"

enum { OPTION_FAST = 256, OPTION_JSON, OPTION_RECOVER, OPTION_FORCE, OPTION_FINISH };

static const cli_option options[] = {
    {0, NULL, NULL, "Checking"},
    {OPTION_FAST, "fast", NULL, "check the hash of every chunk but do not decode it: rows are not judged one by one"},
    {OPTION_JSON, "json", NULL, "one JSON object on one line for each file"},
    {'q', "quiet", NULL, "print nothing but errors; the exit code tells"},
    {0, NULL, NULL, "Recovering"},
    {OPTION_RECOVER, "recover", NULL, "write everything undamaged of the one FILE, in order, to OUT"},
    {'o', "output", "OUT", "where to; - is standard output. An existing file is replaced when all is done"},
    {OPTION_FORCE, "force", NULL, "write to a terminal too"},
    {0, NULL, NULL, "Finishing"},
    {OPTION_FINISH, "finish", NULL,
     "as the only process that has FILE open: bring in what dead writers left, and leave End, footer and manifest"},
    INPUT_OPTIONS,
    {0},
};

static const cli_tool tool = {
    .name = "rrd-check",
    .usage = "[OPTION]... INPUT...",
    .summary = "Check Rerun recordings: structure, seals, contents, every writer's sequence without gaps, and footer. "
               "A recording that is being written is judged as far as it reaches.",
    .closing = INPUT_CLOSING "\n"
                             "Each loss is printed as file:offset+length reason writer, with the chunks and\n"
                             "rows that are missing by it where that is known; a summary of each file follows.\n"
                             "\n"
                             "Exit code: 0 sound, 1 failed, 2 wrong usage, 3 damaged, or rows are missing.\n",
    .options = options,
};

typedef struct request {
  selection selection;
  bool fast, json, quiet, recover, force, finish;
  const char *output;
} request;

static void parse(request *r, int argc, char **argv)
{
  *r = (request){0};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;) {
    switch (id) {
    case OPTION_FAST:
      r->fast = true;
      break;
    case OPTION_JSON:
      r->json = true;
      break;
    case 'q':
      r->quiet = true;
      break;
    case OPTION_RECOVER:
      r->recover = true;
      break;
    case 'o':
      if (r->output != NULL)
        cli_usage("more than one output");
      r->output = optarg;
      break;
    case OPTION_FORCE:
      r->force = true;
      break;
    case OPTION_FINISH:
      r->finish = true;
      break;
    default:
      selection_option(&r->selection, id);
    }
  }
  if (r->recover != (r->output != NULL))
    cli_usage(r->recover ? "no output; give -o OUT" : "-o needs --recover");
  if (r->recover && r->fast)
    cli_usage("--recover reads everything; leave out --fast");
  if (r->finish && r->recover)
    cli_usage("--recover leaves FILE alone and --finish does not; choose one");
}

/* What can be asked for only of some inputs. */
static void settle(const request *r, const operands *in)
{
  if (r->recover && in->count > 1)
    cli_usage("--recover takes one FILE; rrd-merge takes several");
  for (size_t i = 0; r->finish && i < in->count; i++) {
    if (strcmp(in->paths[i], "-") == 0)
      cli_usage("--finish needs a file, not standard input");
    if (access(in->paths[i], F_OK) != 0)
      cli_usage("--finish needs a file, not members of an archive");
  }
}

static bool on_check_progress(void *context, uint64_t done, uint64_t total)
{
  (void)context;
  terminal_progress("checking", "B", done, total);
  return true;
}

static bool on_scan_progress(void *context, const char *name, uint64_t done, uint64_t total)
{
  (void)context;
  (void)name;
  terminal_progress("scanning", "B", done, total);
  return true;
}

static bool on_recover_progress(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  (void)context;
  (void)bytes_out;
  terminal_progress("recovering", "rows", rows_done, rows_total);
  return true;
}

/* Opens and judges the file into *report; NULL, with *error, when that is impossible. The reader reports to *report as
 * long as it lives. */
static rk_reader *judge(const request *r, check_report *report, rk_error *error)
{
  const rk_reader_options told = {.ignore_spools = r->selection.ignore_spool,
                                  .max_memory = r->selection.max_memory,
                                  .temporary_directory = r->selection.temporary_directory,
                                  .max_ratio = r->selection.max_ratio,
                                  .on_loss = check_on_loss,
                                  .on_progress = r->quiet ? NULL : on_scan_progress,
                                  .context = report};
  const rk_verify_options how = {.fast = r->fast,
                                 .on_finding = check_on_finding,
                                 .on_progress = r->quiet ? NULL : on_check_progress,
                                 .context = report};
  rk_reader *reader = NULL;
  rk_reader_stats stats;
  rk_status status = rk_reader_open(&told, &reader, error);
  if (status == RK_OK)
    status = rk_reader_add(reader, report->file, NULL, error);
  if (status == RK_OK)
    status = rk_reader_verify(reader, &how, &report->verified, error);
  terminal_progress_end();
  if (status == RK_OK) {
    rk_reader_get_stats(reader, &stats);
    report->size = stats.input_size;
    return reader;
  }
  rk_reader_free(reader);
  return NULL;
}

/* Writes the rows of the judged reader, which passes over what is damaged. */
static void recover(const request *r, rk_reader *reader, check_report *report)
{
  output_file file;
  if (!output_open(&file, r->output, r->force))
    return;
  const rk_merge_options how = {.zstd = output_is_zst(r->output), .on_progress = r->quiet ? NULL : on_recover_progress};
  rk_error error = {.offset = RK_NO_OFFSET};
  const rk_status status = rk_reader_merge(reader, file.fd, &how, NULL, &error);
  if (report->verified.loss_count != report->told_count) { /* the file changed meanwhile */
    report->verified.sound = false;
    report->verified.loss_count = report->told_count;
  }
  terminal_progress_end();
  if (status == RK_OK) {
    output_commit(&file);
    return;
  }
  if (!(error.sys_errno == EPIPE && file.target == NULL)) /* a reader that had enough is no failure */
    output_failed(r->output, &error);
  output_discard(&file);
}

/* Leaves the file with End, footer and manifest. False: it is as it was; reported. */
static bool finish(const char *path)
{
  rk_recording *recording;
  rk_error error = {.offset = RK_NO_OFFSET};
  if (rk_recording_open(path, NULL, &recording, &error) != RK_OK) {
    cli_error_record(path, &error);
    return false;
  }
  const rk_status status = rk_recording_finish(recording);
  if (status) {
    error = (rk_error){.status = status, .offset = RK_NO_OFFSET};
    rk_recording_error(recording, &error);
    cli_error_record(path, &error);
  }
  rk_recording_free(recording);
  return status == RK_OK;
}

static void check(const request *r, const char *path, out *o)
{
  check_report report = {.file = path, .fast = r->fast};
  rk_error error = {.offset = RK_NO_OFFSET};
  rk_reader *reader = judge(r, &report, &error);
  if (r->finish && reader != NULL && (!report.verified.finished || report.verified.spool_row_count > 0) &&
      finish(path)) {
    rk_reader_free(reader); /* what was wrong before may have been repaired */
    check_report_free(&report);
    report = (check_report){.file = path, .fast = r->fast};
    reader = judge(r, &report, &error);
  }
  if (reader == NULL) {
    cli_error_record(path, &error);
    if (r->json && !r->quiet)
      check_print_json_failure(o, path, error.message[0] != '\0' ? error.message : rk_status_text(error.status));
  } else {
    if (r->recover)
      recover(r, reader, &report);
    if (!report.verified.sound)
      cli_worsen(CLI_LOST);
    if (!r->quiet)
      (r->json ? check_print_json : check_print_text)(o, &report);
  }
  rk_reader_free(reader);
  check_report_free(&report);
}

int main(int argc, char **argv)
{
  request r;
  cli_start(&tool);
  parse(&r, argc, argv);
  operands in;
  operands_expand(&in, &r.selection, argv + optind, (size_t)(argc - optind), CLI_FAILED);
  settle(&r, &in);
  const bool stdout_taken = r.recover && strcmp(r.output, "-") == 0;
  out o;
  out_init(&o, stdout_taken ? STDERR_FILENO : STDOUT_FILENO);
  const bool clash = r.recover && output_is_input(r.output, in.paths, in.count);
  for (size_t i = 0; i < in.count && !clash; i++) {
    check(&r, in.paths[i], &o);
    out_flush(&o);
  }
  operands_free(&in);
  selection_free(&r.selection);
  if (!stdout_taken)
    return cli_finish(&o);
  out_free(&o);
  return cli_finish(NULL);
}
