/* What every tool takes about inputs and rows: options as given on the command line. */
#include "tools/selection.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

enum { LEAST_MEMORY = 16 << 20 };

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

/* "100", "+5" after the first, "-5" before the last; "@-5" is the number itself. */
static bool parse_count(const char *text, when *count)
{
  count->base = *text == '+' ? WHEN_BEGIN : *text == '-' ? WHEN_END : WHEN_EPOCH;
  const char *digits = text + (*text == '+' || *text == '-' || *text == '@');
  char *end;
  errno = 0;
  count->ns = strtoll(digits, &end, 10);
  bool signed_one = *text == '@' && *digits == '-';
  if (!isdigit((unsigned char)digits[signed_one]) || *end != '\0' || errno != 0)
    return false;
  if (*text == '-')
    count->ns = -count->ns;
  return true;
}

static void parse_limit(limit *l, int id)
{
  *l = (limit){.given = true, .text = optarg};
  l->has_time = when_parse(optarg, &l->time);
  l->has_number = parse_count(optarg, &l->number);
  if (!l->has_time && !l->has_number)
    cli_usage_argument(id, "a time");
}

static void add_text(texts *t, int id, const char *expected)
{
  if (*optarg == '\0')
    cli_usage_argument(id, expected);
  t->list = cli_realloc(t->list, t->count + 1, sizeof *t->list);
  t->list[t->count++] = optarg;
}

static bool input_option(selection *s, int id)
{
  int64_t ratio;
  switch (id) {
  case SELECT_FILES_FROM:
    if (s->files_from != NULL)
      cli_usage("more than one --files-from");
    s->files_from = optarg;
    return true;
  case SELECT_NULL:
    s->null = true;
    return true;
  case SELECT_IGNORE_SPOOL:
    s->ignore_spool = true;
    return true;
  case SELECT_MAX_MEMORY:
    if (!size_parse(optarg, &s->max_memory) || s->max_memory < LEAST_MEMORY)
      cli_usage_argument(id, "a size of at least 16M");
    return true;
  case SELECT_TEMPORARY_DIRECTORY:
    s->temporary_directory = optarg;
    return true;
  case SELECT_MAX_RATIO:
    if (!parse_number(optarg, 10, &ratio) || ratio < 1 || ratio > UINT32_MAX)
      cli_usage_argument(id, "a number from 1 on");
    s->max_ratio = (uint32_t)ratio;
    return true;
  default:
    return false;
  }
}

bool selection_option(selection *s, int id)
{
  switch (id) {
  case SELECT_ENTITY:
    add_text(&s->entities, id, "an entity path");
    return true;
  case SELECT_EXCLUDE:
    add_text(&s->excluded, id, "an entity path");
    return true;
  case SELECT_SINCE:
    parse_limit(&s->since, id);
    return true;
  case SELECT_UNTIL:
    parse_limit(&s->until, id);
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
  case SELECT_DROP_TIMELINE:
    if (strcmp(optarg, "log_time") == 0)
      cli_usage("--drop-timeline: every row keeps its log_time");
    add_text(&s->dropped_timelines, id, "a timeline");
    return true;
  case SELECT_WALL_CLOCK:
    s->wall_clock = true;
    return true;
  default:
    return input_option(s, id);
  }
}

void selection_free(selection *s)
{
  free(s->entities.list);
  free(s->excluded.list);
  free(s->dropped_timelines.list);
  free(s->writers);
  *s = (selection){0};
}
