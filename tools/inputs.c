/* The reader that a command line's inputs and selection make. */
#include "tools/inputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/terminal.h"

static bool rule_matches(const writer_rule *rule, const rk_writer_info *writer)
{
  switch (rule->by) {
  case BY_TAG:
    return writer->tag == (uint32_t)rule->number;
  case BY_PID:
    return writer->pid == rule->number;
  case BY_TID:
    return writer->tid == rule->number;
  case BY_THREAD:
    return strcmp(writer->thread, rule->text) == 0;
  case BY_PROGRAM:
    return strcmp(writer->program, rule->text) == 0;
  case BY_HOST:
    return strcmp(writer->host, rule->text) == 0;
  }
  return false;
}

/* Tags of the rules; an id counts even where its writer record is lost. A rule that nobody matches is an error. */
static bool resolve_writers(const inputs *in, const selection *s, uint32_t **tags, size_t *tag_count)
{
  size_t known, count = 0;
  const rk_writer_info *const *writers = rk_reader_writers(in->reader, &known);
  uint32_t *result = cli_realloc(NULL, known * s->writer_count + s->writer_count, sizeof *result);
  bool ok = true;
  for (size_t r = 0; r < s->writer_count; r++) {
    const writer_rule *rule = &s->writers[r];
    size_t before = count;
    for (size_t i = 0; i < known; i++)
      if (rule_matches(rule, writers[i]))
        result[count++] = writers[i]->tag;
    if (count > before)
      continue;
    if (rule->by == BY_TAG) {
      result[count++] = (uint32_t)rule->number;
      continue;
    }
    static const char *const names[] = {"id", "pid", "tid", "thread", "program", "host"};
    cli_error(NULL, "no writer has the %s '%s'", names[rule->by], cli_printable(rule->text));
    ok = false;
  }
  *tags = result;
  *tag_count = count;
  return ok;
}

/* What a timeline holds, of all recordings. */
typedef struct axis {
  bool counts; /* it is a sequence */
  bool known;
  int64_t min, max;
} axis;

static void widen(axis *a, int64_t min, int64_t max)
{
  a->min = !a->known || min < a->min ? min : a->min;
  a->max = !a->known || max > a->max ? max : a->max;
  a->known = true;
}

/* The first and last time of all recordings, by the index. */
static void find_time(rk_reader *reader, axis *a)
{
  size_t count;
  const rk_input_info *const *list = rk_reader_inputs(reader, &count);
  for (size_t i = 0; i < count; i++)
    if (list[i]->min_ns <= list[i]->max_ns)
      widen(a, list[i]->min_ns, list[i]->max_ns);
}

/* What the chunks hold on a timeline; decodes those whose times the index does not tell. */
static rk_status find_axis(rk_reader *reader, const char *timeline, axis *a)
{
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_indexed(reader, &chunk)) == RK_OK) {
    if (chunk->is_static || chunk->store->kind != RK_STORE_RECORDING)
      continue;
    if (!chunk->described && (status = rk_reader_describe(reader, &chunk)) != RK_OK) {
      if (status != RK_END)
        return status;
      continue;
    }
    for (size_t t = 0; t < chunk->timeline_count; t++)
      if (strcmp(chunk->timeline_min[t].timeline, timeline) == 0) {
        a->counts = chunk->timeline_min[t].kind == RK_TIMELINE_SEQUENCE;
        widen(a, chunk->timeline_min[t].value, chunk->timeline_max[t].value);
      }
  }
  return status;
}

/* False: not a time of this timeline; reported. */
static bool place_limit(const limit *l, const char *option, const selection *s, const axis *a, int64_t *result)
{
  *result = 0;
  if (!l->given)
    return true;
  if (!(a->counts ? l->has_number : l->has_time)) {
    if (a->counts)
      cli_error(NULL, "--%s: '%s' is not a number, and timeline '%s' counts", option, cli_printable(l->text),
                cli_printable(s->timeline));
    else
      cli_error(NULL, "--%s: '%s' is not a time", option, cli_printable(l->text));
    return false;
  }
  const when *w = a->counts ? &l->number : &l->time;
  int64_t base = w->base == WHEN_BEGIN ? a->min : w->base == WHEN_END ? a->max : 0;
  if (__builtin_add_overflow(base, w->ns, result))
    *result = w->ns < 0 ? INT64_MIN : INT64_MAX;
  return true;
}

static bool reader_failed(const inputs *in)
{
  rk_error error = {.status = RK_ERR_IO, .offset = RK_NO_OFFSET};
  rk_reader_error(in->reader, &error);
  cli_error_record(NULL, &error);
  return false;
}

static bool apply(inputs *in, const selection *s)
{
  const char *timeline = s->timeline != NULL && strcmp(s->timeline, "log_time") != 0 ? s->timeline : NULL;
  axis a = {0};
  if (timeline == NULL)
    find_time(in->reader, &a);
  else if ((s->since.given || s->until.given) && find_axis(in->reader, timeline, &a) != RK_END)
    return reader_failed(in);
  rk_reader_options filters = {.entities = s->entities.list,
                               .entity_count = s->entities.count,
                               .excluded = s->excluded.list,
                               .excluded_count = s->excluded.count,
                               .timeline = s->timeline,
                               .has_since = s->since.given,
                               .has_until = s->until.given};
  uint32_t *tags = NULL;
  bool ok = place_limit(&s->since, "since", s, &a, &filters.since_ns) &&
            place_limit(&s->until, "until", s, &a, &filters.until_ns) &&
            (s->writer_count == 0 || resolve_writers(in, s, &tags, &filters.writer_count));
  filters.writers = tags;
  if (ok)
    ok = rk_reader_select(in->reader, &filters) == RK_OK || reader_failed(in);
  free(tags);
  return ok;
}

static void on_loss(void *context, const rk_loss *loss)
{
  inputs *in = context;
  if (!in->told)
    cli_loss(NULL, loss);
  if (in->on_loss != NULL)
    in->on_loss(in->context, loss);
}

/* rk_reader_options.on_progress */
static bool on_progress(void *context, const char *name, uint64_t done, uint64_t total)
{
  const inputs *in = context;
  if (in->quiet)
    return true;
  if (name == NULL)
    terminal_progress("sorting", "B", done, total);
  else if (in->scan.total == 0)
    terminal_progress("scanning", "B", in->scan.before + done, in->operands.count == 1 ? total : 0);
  else
    terminal_progress("scanning", "B", in->scan.before + done, in->scan.total);
  return true;
}

static rk_reader_options options_of(inputs *in, const selection *s)
{
  return (rk_reader_options){.excluded = s->excluded.list,
                             .excluded_count = s->excluded.count,
                             .timeline = s->timeline,
                             .dropped_timelines = s->dropped_timelines.list,
                             .dropped_timeline_count = s->dropped_timelines.count,
                             .wall_clock = s->wall_clock,
                             .max_memory = s->max_memory,
                             .temporary_directory = s->temporary_directory,
                             .max_ratio = s->max_ratio,
                             .application_id = s->application_id,
                             .recording_id = s->recording_id,
                             .ignore_spools = s->ignore_spool,
                             .follow = s->follow,
                             .on_loss = on_loss,
                             .on_progress = on_progress,
                             .context = in};
}

static uint64_t file_size(const char *path)
{
  struct stat s;
  return operand_stat(path, &s) && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
}

static bool usable_directory(const char *path)
{
  struct stat s;
  errno = 0;
  if (path == NULL || (stat(path, &s) == 0 && S_ISDIR(s.st_mode) && access(path, W_OK | X_OK) == 0))
    return true;
  cli_error(path, "%s", errno == 0 ? strerror(ENOTDIR) : strerror(errno));
  return false;
}

void inputs_expand(inputs *in, const selection *s, char **operand, size_t count, bool tolerated)
{
  *in = (inputs){0};
  operands_expand(&in->operands, s, operand, count, tolerated ? CLI_LOST : CLI_FAILED);
  in->failed = in->operands.failed;
}

static void add(inputs *in, size_t i, uint64_t size, bool tolerated)
{
  const char *path = in->operands.paths[i];
  const rk_input_options how = {.shift_ns = in->operands.shifts[i]};
  rk_error error = {.offset = RK_NO_OFFSET};
  if (!in->quiet)
    terminal_progress("scanning", "B", in->scan.before, in->scan.total);
  rk_status status = rk_reader_add(in->reader, path, &how, &error);
  in->scan.before += size;
  if (status != RK_OK) {
    cli_report(path, &error);
    cli_worsen(tolerated ? CLI_LOST : CLI_FAILED);
    in->failed++;
  }
}

static void list_inputs(inputs *in)
{
  const rk_input_info *const *taken = rk_reader_inputs(in->reader, &in->count);
  in->list = cli_realloc(NULL, in->count, sizeof *in->list);
  for (size_t i = 0; i < in->count; i++)
    in->list[i] = (input){taken[i]->name, taken[i]->size};
}

bool inputs_read(inputs *in, const selection *s, bool tolerated)
{
  size_t count = in->operands.count;
  if (!usable_directory(s->temporary_directory))
    return false;
  const rk_reader_options options = options_of(in, s);
  rk_error error = {.offset = RK_NO_OFFSET};
  if (rk_reader_open(&options, &in->reader, &error) != RK_OK) {
    cli_error_record(NULL, &error);
    return false;
  }
  uint64_t *sizes = cli_realloc(NULL, count, sizeof *sizes);
  for (size_t i = 0; i < count; i++) {
    sizes[i] = file_size(in->operands.paths[i]);
    in->scan.total += sizes[i];
  }
  for (size_t i = 0; i < count; i++)
    add(in, i, sizes[i], tolerated);
  free(sizes);
  terminal_progress_end();
  list_inputs(in);
  if (in->count == 0)
    cli_worsen(CLI_FAILED);
  return in->count > 0 && apply(in, s);
}

bool inputs_open(inputs *in, const selection *s, char **operand, size_t count, bool tolerated)
{
  inputs_expand(in, s, operand, count, tolerated);
  return inputs_read(in, s, tolerated);
}

bool inputs_begin_at(inputs *in, const selection *s, int64_t since_ns)
{
  const rk_reader_options filters = {.entities = s->entities.list,
                                     .entity_count = s->entities.count,
                                     .excluded = s->excluded.list,
                                     .excluded_count = s->excluded.count,
                                     .has_since = true,
                                     .since_ns = since_ns};
  return rk_reader_select(in->reader, &filters) == RK_OK || reader_failed(in);
}

void inputs_free(inputs *in)
{
  rk_reader_free(in->reader);
  free(in->list);
  operands_free(&in->operands);
  *in = (inputs){0};
}
