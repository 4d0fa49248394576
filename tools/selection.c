/* Inputs and filters as given on the command line, and the reader that they make. */
#include "selection.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "terminal.h"

static bool parse_number(const char *text, int base, int64_t *number)
{
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, base);
  *number = value;
  return isalnum((unsigned char)*text) && *end == '\0' && errno == 0;
}

static writer_rule parse_writer(const char *text)
{
  static const struct {
    const char *prefix;
    writer_property by;
  } prefixes[] = {{"pid:", BY_PID},         {"tid:", BY_TID},   {"thread:", BY_THREAD},
                  {"program:", BY_PROGRAM}, {"host:", BY_HOST}, {"id:", BY_TAG}};
  writer_rule rule = {.by = BY_TAG, .text = text};
  for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
    size_t size = strlen(prefixes[i].prefix);
    if (strncmp(text, prefixes[i].prefix, size) == 0)
      rule = (writer_rule){.by = prefixes[i].by, .text = text + size};
  }
  bool ok = true;
  if (rule.by == BY_TAG)
    ok = parse_number(rule.text, 16, &rule.number) && rule.number > 0 && rule.number <= UINT32_MAX &&
         strlen(rule.text) <= 8;
  else if (rule.by == BY_PID || rule.by == BY_TID)
    ok = parse_number(rule.text, 10, &rule.number) && rule.number > 0;
  if (!ok)
    cli_usage_argument(SELECT_WRITER, "a writer: 8 hex digits, pid:N, tid:N, thread:NAME, program:NAME or host:NAME");
  return rule;
}

bool selection_option(selection *s, int id)
{
  switch (id) {
  case SELECT_ENTITY:
    if (*optarg == '\0')
      cli_usage_argument(id, "an entity path");
    s->entities = cli_realloc(s->entities, s->entity_count + 1, sizeof *s->entities);
    s->entities[s->entity_count++] = optarg;
    return true;
  case SELECT_SINCE:
    s->has_since = true;
    if (!when_parse(optarg, &s->since))
      cli_usage_argument(id, "a time");
    return true;
  case SELECT_UNTIL:
    s->has_until = true;
    if (!when_parse(optarg, &s->until))
      cli_usage_argument(id, "a time");
    return true;
  case SELECT_TIMELINE:
    if (*optarg == '\0')
      cli_usage_argument(id, "a timeline");
    s->timeline = optarg;
    return true;
  case SELECT_WRITER:
    s->writers = cli_realloc(s->writers, s->writer_count + 1, sizeof *s->writers);
    s->writers[s->writer_count++] = parse_writer(optarg);
    return true;
  case SELECT_IGNORE_SPOOL:
    s->ignore_spool = true;
    return true;
  default:
    return false;
  }
}

void selection_free(selection *s)
{
  free(s->entities);
  free(s->writers);
  *s = (selection){0};
}

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

/* First and last time of the rows of all recordings. */
static rk_status time_range(rk_reader *reader, int64_t *min_ns, int64_t *max_ns)
{
  const rk_chunk_info *chunk;
  rk_status status;
  *min_ns = INT64_MAX;
  *max_ns = INT64_MIN;
  while ((status = rk_reader_next_chunk(reader, &chunk)) == RK_OK) {
    if (chunk->is_static || chunk->store->kind != RK_STORE_RECORDING)
      continue;
    *min_ns = chunk->min_ns < *min_ns ? chunk->min_ns : *min_ns;
    *max_ns = chunk->max_ns > *max_ns ? chunk->max_ns : *max_ns;
  }
  return status;
}

static int64_t moment(const when *w, int64_t min_ns, int64_t max_ns)
{
  int64_t base = w->base == WHEN_BEGIN ? min_ns : w->base == WHEN_END ? max_ns : 0, result;
  if (__builtin_add_overflow(base, w->ns, &result))
    return w->ns < 0 ? INT64_MIN : INT64_MAX;
  return result;
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
  rk_reader_options filters = {.entities = s->entities, .entity_count = s->entity_count, .timeline = s->timeline};
  int64_t min_ns = 0, max_ns = 0;
  if ((s->has_since && s->since.base != WHEN_EPOCH) || (s->has_until && s->until.base != WHEN_EPOCH)) {
    if (time_range(in->reader, &min_ns, &max_ns) != RK_END)
      return reader_failed(in);
    if (min_ns > max_ns)
      min_ns = max_ns = 0;
  }
  filters.has_since = s->has_since;
  filters.since_ns = moment(&s->since, min_ns, max_ns);
  filters.has_until = s->has_until;
  filters.until_ns = moment(&s->until, min_ns, max_ns);
  uint32_t *tags = NULL;
  if (s->writer_count > 0 && !resolve_writers(in, s, &tags, &filters.writer_count)) {
    free(tags);
    return false;
  }
  filters.writers = tags;
  rk_status status = rk_reader_select(in->reader, &filters);
  free(tags);
  return status == RK_OK || reader_failed(in);
}

bool inputs_open(inputs *in, const selection *s, char **paths, size_t count, bool tolerated)
{
  *in = (inputs){0};
  rk_reader_options options = {.application_id = s->application_id,
                               .recording_id = s->recording_id,
                               .ignore_spools = s->ignore_spool,
                               .on_loss = cli_loss};
  rk_error error = {0};
  if (rk_reader_open(&options, &in->reader, &error) != RK_OK) {
    cli_error_record(NULL, &error);
    return false;
  }
  in->list = cli_realloc(NULL, count, sizeof *in->list);
  for (size_t i = 0; i < count; i++) {
    terminal_progress("scanning", "files", i, count);
    rk_reader_stats before, after;
    rk_reader_get_stats(in->reader, &before);
    error = (rk_error){.offset = RK_NO_OFFSET};
    if (rk_reader_add(in->reader, paths[i], NULL, &error) != RK_OK) {
      cli_report(paths[i], &error);
      cli_worsen(tolerated ? CLI_LOST : CLI_FAILED);
      continue;
    }
    rk_reader_get_stats(in->reader, &after);
    in->list[in->count++] = (input){paths[i], after.input_size - before.input_size};
  }
  terminal_progress_end();
  if (in->count == 0)
    cli_worsen(CLI_FAILED);
  return in->count > 0 && apply(in, s);
}

void inputs_free(inputs *in)
{
  rk_reader_free(in->reader);
  free(in->list);
  *in = (inputs){0};
}
