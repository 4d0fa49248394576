/* The times that are played: of the recordings' own clock, or of a timeline of theirs. */
#include "tools/replay/replay_axis.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/when.h"

static void widen(axis *a, int64_t first, int64_t last)
{
  a->first = !a->known || first < a->first ? first : a->first;
  a->last = !a->known || last > a->last ? last : a->last;
  a->known = true;
}

bool axis_find(rk_reader *reader, const char *timeline, axis *a)
{
  *a = (axis){.kind = RK_TIMELINE_TIMESTAMP};
  if (timeline == NULL) {
    size_t count;
    const rk_input_info *const *list = rk_reader_inputs(reader, &count);
    for (size_t i = 0; i < count; i++)
      if (list[i]->min_ns <= list[i]->max_ns)
        widen(a, list[i]->min_ns, list[i]->max_ns);
    return true;
  }
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_chunk(reader, &chunk)) == RK_OK)
    for (size_t t = 0; t < chunk->timeline_count && chunk->store->kind == RK_STORE_RECORDING; t++)
      if (strcmp(chunk->timeline_min[t].timeline, timeline) == 0) {
        a->kind = chunk->timeline_min[t].kind;
        widen(a, chunk->timeline_min[t].value, chunk->timeline_max[t].value);
      }
  if (status != RK_END) {
    rk_error error = {.status = status, .offset = RK_NO_OFFSET};
    rk_reader_error(reader, &error);
    cli_error_record(NULL, &error);
    return false;
  }
  if (!a->known)
    cli_error(NULL, "no row is on timeline '%s'", cli_printable(timeline));
  return a->known;
}

bool axis_place(const moment *m, const char *option, const axis *a, int64_t *position)
{
  if (!m->given)
    return true;
  when w;
  if (a->kind == RK_TIMELINE_SEQUENCE) {
    char *end;
    errno = 0;
    w.ns = strtoll(m->text, &end, 10);
    w.base = *m->text == '+' ? WHEN_BEGIN : *m->text == '-' ? WHEN_END : WHEN_EPOCH;
    if (errno != 0 || end == m->text || *end != '\0') {
      cli_error(NULL, "--%s: '%s' is not a number, and the timeline counts", option, cli_printable(m->text));
      return false;
    }
  } else if (!when_parse(m->text, &w)) {
    cli_error(NULL, "--%s: '%s' is not a time", option, cli_printable(m->text));
    return false;
  }
  int64_t base = w.base == WHEN_BEGIN ? a->first : w.base == WHEN_END ? a->last : 0;
  if (__builtin_add_overflow(base, w.ns, position))
    *position = w.ns < 0 ? INT64_MIN : INT64_MAX;
  return true;
}

int64_t axis_positions(const axis *a, double fps, int64_t ns)
{
  return a->kind == RK_TIMELINE_SEQUENCE ? (int64_t)ceil((double)ns / 1e9 * fps) : ns;
}
