/* Activity over time: one lane for each writer and each of the busiest entities, from the times of chunks. */
#include "tools/info/lanes.h"

#include <stdlib.h>

#include "tools/cli.h"

/* How often the usual distance makes a gap. */
enum { GAP_FACTOR = 10 };

/* ---- Choosing ---- */

static const tally *tally_of(const info *i, lane_kind kind, size_t number)
{
  return kind == LANE_WRITER ? &i->writers[number].tally : &i->entities[number].tally;
}

static const info *compared;
static lane_kind compared_kind;

static int compare_busy(const void *a, const void *b)
{
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  uint64_t rows_x = tally_of(compared, compared_kind, x)->rows, rows_y = tally_of(compared, compared_kind, y)->rows;
  return rows_x != rows_y ? (rows_x > rows_y ? -1 : 1) : (x > y) - (x < y);
}

static int compare_numbers(const void *a, const void *b)
{
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

/* Lanes of one kind in the order of the info's list. */
static lane *choose(const info *i, lane_kind kind, size_t count, size_t most, size_t *lane_count)
{
  size_t *numbers = cli_realloc(NULL, count, sizeof *numbers), timed = 0;
  for (size_t n = 0; n < count; n++)
    if (tally_of(i, kind, n)->min_ns <= tally_of(i, kind, n)->max_ns)
      numbers[timed++] = n;
  compared = i;
  compared_kind = kind;
  if (timed > most)
    qsort(numbers, timed, sizeof *numbers, compare_busy);
  size_t chosen = timed < most ? timed : most;
  if (timed > most)
    qsort(numbers, chosen, sizeof *numbers, compare_numbers);
  lane *list = cli_realloc(NULL, chosen + 2, sizeof *list);
  for (size_t n = 0; n < chosen; n++)
    list[n] = (lane){.kind = kind, .number = numbers[n]};
  free(numbers);
  if (timed > most && most > 0)
    list[chosen++] = (lane){.kind = LANE_OTHERS, .number = timed - most};
  *lane_count = chosen;
  return list;
}

void lanes_choose(lanes *l, const info *i, size_t most)
{
  *l = (lanes){.info = i, .begin = i->begin, .end = i->end};
  l->writers = choose(i, LANE_WRITER, i->writer_count, most, &l->writer_count);
  l->entities = choose(i, LANE_ENTITY, i->entity_count, most, &l->entity_count);
  bool unknown = false;
  for (size_t n = 0; n < i->span_count && !unknown; n++)
    unknown = i->spans[n].writer == INFO_NOBODY;
  if (unknown && l->writer_count > 0)
    l->writers[l->writer_count++] = (lane){.kind = LANE_UNKNOWN};
}

/* ---- Filling ---- */

double lanes_bin_size(const lanes *l)
{
  return (double)((uint64_t)l->end - (uint64_t)l->begin) / (double)l->bin_count;
}

static double place_of(const lanes *l, int64_t ns)
{
  double size = lanes_bin_size(l);
  return size > 0 ? (double)((uint64_t)ns - (uint64_t)l->begin) / size : 0;
}

size_t lanes_bin(const lanes *l, int64_t ns)
{
  if (ns <= l->begin)
    return 0;
  double place = place_of(l, ns);
  return place >= (double)l->bin_count ? l->bin_count - 1 : (size_t)place;
}

/* Rows spread evenly over the time of their chunk. */
static void spread(const lanes *l, double *bins, const info_span *s)
{
  double from = place_of(l, s->min_ns), to = place_of(l, s->max_ns);
  size_t first = lanes_bin(l, s->min_ns), last = lanes_bin(l, s->max_ns);
  if (first == last || to <= from) {
    bins[first] += (double)s->rows;
    return;
  }
  for (size_t bin = first; bin <= last; bin++) {
    double left = from > (double)bin ? from : (double)bin, right = to < (double)bin + 1 ? to : (double)bin + 1;
    bins[bin] += right > left ? (double)s->rows * (right - left) / (to - from) : 0;
  }
}

static lane_event *add_event(lane_event **list, size_t *count)
{
  if ((*count & (*count - 1)) == 0)
    *list = cli_realloc(*list, *count == 0 ? 1 : *count * 2, sizeof **list);
  return &(*list)[(*count)++];
}

typedef struct interval {
  double ns, weight;
} interval;

static int compare_intervals(const void *a, const void *b)
{
  double x = ((const interval *)a)->ns, y = ((const interval *)b)->ns;
  return (x > y) - (x < y);
}

/* The lower median by weight; 0 of none. */
static double usual(interval *list, size_t count)
{
  double total = 0, sum = 0;
  if (count == 0)
    return 0;
  qsort(list, count, sizeof *list, compare_intervals);
  for (size_t n = 0; n < count; n++)
    total += list[n].weight;
  for (size_t n = 0; n < count; n++)
    if ((sum += list[n].weight) * 2 >= total)
      return list[n].ns;
  return list[count - 1].ns;
}

/* With many distances, what is as long as the longest twentieth of them is not unusual either. */
enum { MANY = 20, LONG_FACTOR = 3 };

static int compare_begin(const void *a, const void *b)
{
  const info_span *x = *(const info_span *const *)a, *y = *(const info_span *const *)b;
  return (x->min_ns > y->min_ns) - (x->min_ns < y->min_ns);
}

/* Distances between chunks that are far longer than the usual one: that of rows within chunks, and that of chunks. One
 * distance alone cannot tell whether it is usual. */
static void find_gaps(lane *one, const info_span **spans, size_t count)
{
  interval *inner = cli_realloc(NULL, count, sizeof *inner), *outer = cli_realloc(NULL, count, sizeof *outer);
  size_t inner_count = 0, outer_count = 0;
  int64_t end = spans[0]->max_ns;
  for (size_t n = 0; n < count; n++) {
    double length = (double)((uint64_t)spans[n]->max_ns - (uint64_t)spans[n]->min_ns);
    if (spans[n]->rows > 1)
      inner[inner_count++] = (interval){length / (double)(spans[n]->rows - 1), (double)(spans[n]->rows - 1)};
    if (n > 0 && spans[n]->min_ns > end)
      outer[outer_count++] = (interval){(double)((uint64_t)spans[n]->min_ns - (uint64_t)end), 1};
    end = spans[n]->max_ns > end ? spans[n]->max_ns : end;
  }
  double within = usual(inner, inner_count), between = outer_count > 1 ? usual(outer, outer_count) : 0;
  double least = GAP_FACTOR * (within > between ? within : between);
  if (outer_count >= MANY && outer[outer_count - outer_count / MANY - 1].ns * LONG_FACTOR > least) /* sorted */
    least = outer[outer_count - outer_count / MANY - 1].ns * LONG_FACTOR;
  free(inner);
  free(outer);
  if (least <= 0)
    return;
  end = spans[0]->max_ns;
  for (size_t n = 1; n < count; n++) {
    if (spans[n]->min_ns > end && (double)((uint64_t)spans[n]->min_ns - (uint64_t)end) > least)
      *add_event(&one->gaps, &one->gap_count) = (lane_event){.from = end, .to = spans[n]->min_ns};
    end = spans[n]->max_ns > end ? spans[n]->max_ns : end;
  }
}

static int compare_chunks(const void *a, const void *b)
{
  const info_span *x = *(const info_span *const *)a, *y = *(const info_span *const *)b;
  return (x->chunk_number > y->chunk_number) - (x->chunk_number < y->chunk_number);
}

/* A writer numbers its chunks from 0: what lacks is missing, in the time between its neighbours. */
static void find_missing(lane *one, const info_span **spans, size_t count)
{
  qsort(spans, count, sizeof(const info_span *), compare_chunks);
  uint64_t next = 0;
  const info_span *before = count > 0 ? spans[0] : NULL;
  for (size_t n = 0; n < count; before = spans[n++]) {
    const info_span *s = spans[n];
    if (s->chunk_number > next) {
      bool ordered = before->max_ns <= s->min_ns; /* chunks of several entities may cover the same time */
      *add_event(&one->missing, &one->missing_count) = (lane_event){.from = ordered ? before->max_ns : s->min_ns,
                                                                    .to = s->min_ns,
                                                                    .first = next,
                                                                    .count = s->chunk_number - next};
      one->missing_chunks += s->chunk_number - next;
    }
    next = (uint64_t)s->chunk_number + 1;
  }
}

static void mark(const lanes *l, lane *one)
{
  for (size_t n = 0; n < one->gap_count; n++)
    for (size_t bin = lanes_bin(l, one->gaps[n].from); bin <= lanes_bin(l, one->gaps[n].to); bin++)
      one->marks[bin] |= one->bins[bin] > 0 ? 0 : LANE_GAP;
  for (size_t n = 0; n < one->missing_count; n++) {
    size_t from = lanes_bin(l, one->missing[n].from), to = lanes_bin(l, one->missing[n].to);
    bool empty = false;
    for (size_t bin = from; bin <= to; bin++)
      empty |= one->bins[bin] <= 0;
    for (size_t bin = from; bin <= to; bin++) /* at least one bin; not those that have rows where others have none */
      one->marks[bin] |= empty && one->bins[bin] > 0 ? 0 : LANE_MISSING;
  }
}

static void fill(lanes *l, lane *one, const info_span **spans, size_t count)
{
  double *spool = cli_realloc(NULL, l->bin_count, sizeof *spool);
  one->bins = cli_realloc(NULL, l->bin_count, sizeof *one->bins);
  one->marks = cli_realloc(NULL, l->bin_count, 1);
  for (size_t bin = 0; bin < l->bin_count; bin++)
    one->bins[bin] = spool[bin] = one->marks[bin] = 0;
  size_t timed = 0, numbered = 0;
  const info_span **by_number = cli_realloc(NULL, count, sizeof *by_number);
  for (size_t n = 0; n < count; n++) {
    const info_span *s = spans[n];
    if (s->numbered)
      by_number[numbered++] = s;
    if (s->entity == INFO_NOBODY) /* static: only its numbers count */
      continue;
    spans[timed++] = s;
    one->rows += s->rows;
    one->spool_rows += s->spool ? s->rows : 0;
    spread(l, one->bins, s);
    if (s->spool)
      spread(l, spool, s);
  }
  for (size_t bin = 0; bin < l->bin_count; bin++) {
    one->most = one->bins[bin] > one->most ? one->bins[bin] : one->most;
    one->marks[bin] = spool[bin] * 2 > one->bins[bin] ? LANE_SPOOL : 0;
  }
  const rk_writer_info *writer = one->kind == LANE_WRITER ? l->info->writers[one->number].writer : NULL;
  one->dropped_rows = writer == NULL ? 0 : writer->dropped_rows;
  qsort(spans, timed, sizeof *spans, compare_begin);
  if (timed > 0 && (one->kind == LANE_WRITER || one->kind == LANE_ENTITY))
    find_gaps(one, spans, timed);
  if (one->kind == LANE_WRITER && l->info->writers[one->number].numbered && !l->info->options.selected)
    find_missing(one, by_number, numbered);
  mark(l, one);
  free(by_number);
  free(spool);
}

/* Spans by lane, then each lane's. */
static void fill_kind(lanes *l, lane *list, size_t lane_count, size_t item_count, bool writers)
{
  const info *i = l->info;
  enum { NO_LANE = 0 };
  size_t *lane_of = cli_realloc(NULL, item_count + 1, sizeof *lane_of); /* 1 + lane */
  size_t others = NO_LANE, unknown = NO_LANE;
  for (size_t n = 0; n < lane_count; n++) {
    others = list[n].kind == LANE_OTHERS ? n + 1 : others;
    unknown = list[n].kind == LANE_UNKNOWN ? n + 1 : unknown;
  }
  for (size_t n = 0; n < item_count; n++)
    lane_of[n] = others;
  for (size_t n = 0; n < lane_count; n++)
    if (list[n].kind == LANE_WRITER || list[n].kind == LANE_ENTITY)
      lane_of[list[n].number] = n + 1;
  size_t *starts = cli_realloc(NULL, lane_count + 2, sizeof *starts);
  for (size_t n = 0; n < lane_count + 2; n++)
    starts[n] = 0;
  const info_span **spans = cli_realloc(NULL, i->span_count, sizeof *spans);
  for (int pass = 0; pass < 2; pass++) {
    for (size_t n = 0; n < i->span_count; n++) {
      size_t item = writers ? i->spans[n].writer : i->spans[n].entity;
      size_t at = item != INFO_NOBODY ? lane_of[item] : writers ? unknown : NO_LANE;
      if (at == NO_LANE)
        continue;
      if (pass == 0)
        starts[at + 1]++;
      else
        spans[starts[at]++] = &i->spans[n];
    }
    for (size_t n = 1; n < lane_count + 2 && pass == 0; n++)
      starts[n] += starts[n - 1];
  }
  for (size_t n = 0; n < lane_count; n++) /* the second pass has moved each start to the next one */
    fill(l, &list[n], spans + starts[n], starts[n + 1] - starts[n]);
  free(lane_of);
  free(starts);
  free(spans);
}

void lanes_fill(lanes *l, size_t bin_count)
{
  l->bin_count = bin_count;
  fill_kind(l, l->writers, l->writer_count, l->info->writer_count, true);
  fill_kind(l, l->entities, l->entity_count, l->info->entity_count, false);
}

void out_lane(out *o, const lanes *l, const lane *one, const who *w)
{
  const char *path;
  switch (one->kind) {
  case LANE_WRITER:
    if (l->info->writers[one->number].writer != NULL)
      out_who(o, w, l->info->writers[one->number].writer);
    else
      out_format(o, "id:%08x", l->info->writers[one->number].tag);
    break;
  case LANE_ENTITY:
    path = l->info->entities[one->number].path;
    out_printable(o, path, strlen(path));
    break;
  case LANE_OTHERS:
    out_format(o, "(%zu others)", one->number);
    break;
  case LANE_UNKNOWN:
    out_text(o, "(unknown)");
  }
}

static void free_list(lane *list, size_t count)
{
  for (size_t n = 0; n < count; n++) {
    free(list[n].bins);
    free(list[n].marks);
    free(list[n].gaps);
    free(list[n].missing);
  }
  free(list);
}

void lanes_free(lanes *l)
{
  free_list(l->writers, l->writer_count);
  free_list(l->entities, l->entity_count);
  *l = (lanes){0};
}
