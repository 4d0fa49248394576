/* Lanes drawn in text: a column for a stretch of time, its height for the rows in it. */
#include <inttypes.h>

#include "tools/info/lanes_axis.h"
#include "tools/print/line.h"
#include "tools/print/number.h"
#include "tools/terminal.h"

enum { WIDTH_PIPED = 100, BINS_LEAST = 16, LABEL_LEAST = 12, EVENTS_MOST = 8 };

typedef struct drawing {
  const lanes *lanes;
  const lanes_style *style;
  who who;
  axis axis;
  size_t label_width, rows_width, rate_width;
  line line;
  unsigned seen; /* marks that the legend explains */
} drawing;

/* "12.3k": at most five columns. */
static void out_short(out *o, double value)
{
  static const char units[] = " kMGTPE";
  int unit = 0;
  for (; value >= 999.5 && unit < 6; unit++)
    value /= 1000;
  if (unit == 0)
    out_format(o, value >= 10 || value == (double)(int)value ? "%.0f" : "%.1f", value);
  else
    out_format(o, value < 9.995 ? "%.2f%c" : value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

/* The rate in the fullest bin. */
static void out_peak(out *o, const drawing *d, const lane *one)
{
  double size = lanes_bin_size(d->lanes);
  if (d->axis.kind == RK_TIMELINE_SEQUENCE || size <= 0)
    return;
  double rate = one->most / (size / 1e9);
  if (rate >= 0.1) {
    out_short(o, rate);
    out_text(o, "/s");
  } else {
    out_short(o, rate * 3600);
    out_text(o, "/h");
  }
}

static const char *symbol(const drawing *d, const lane *one, size_t bin, const char **style)
{
  static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}, *const ascii[] = {".", ":", "-", "=",
                                                                                                  "+", "*", "#", "@"};
  bool plain = d->style->ascii;
  *style = NULL;
  if (one->marks[bin] & LANE_MISSING) {
    *style = "1;31";
    return plain ? "X" : "✗";
  }
  if (one->marks[bin] & LANE_SPOOL) {
    *style = "1;33";
    return plain ? "S" : "◆";
  }
  if (one->bins[bin] > 0) {
    int level = (int)(one->bins[bin] / one->most * 8);
    return (plain ? ascii : blocks)[level > 7 ? 7 : level];
  }
  *style = "2";
  return one->marks[bin] & LANE_GAP ? (plain ? "_" : "╌") : " ";
}

/* A cell of `width` columns, to the left or right of its room; too long ones lose their middle. */
static void put_cell(drawing *d, const char *style, size_t width, bool right)
{
  line *l = &d->line;
  size_t end = l->column + width;
  out cut;
  out_init(&cut, -1);
  terminal_cut_middle(&cut, l->scratch.data, l->scratch.size, width, d->style->ascii);
  l->scratch.size = 0;
  if (right)
    line_pad(l, end - terminal_text_width(cut.data, cut.size));
  line_style(l, style);
  out_bytes(&l->scratch, cut.data, cut.size);
  line_scratch(l);
  line_style(l, NULL);
  line_pad(l, end);
  out_free(&cut);
}

static void draw_lane(drawing *d, out *o, const lane *one)
{
  line *l = &d->line;
  const info *i = d->lanes->info;
  line_clear(l);
  line_text(l, "  ");
  out_lane(&l->scratch, d->lanes, one, &d->who);
  const char *own = one->kind == LANE_WRITER   ? who_style(i->writers[one->number].tag)
                    : one->kind == LANE_ENTITY ? "1;36"
                                               : "2";
  put_cell(d, own, d->label_width, false);
  if (one->dropped_rows > 0) {
    line_styled(l, "1;31", d->style->ascii ? "!" : "▼");
    line_text(l, " ");
    d->seen |= LANE_DROPPED;
  } else {
    line_text(l, "  ");
  }
  out_uint(&l->scratch, one->rows);
  put_cell(d, NULL, d->rows_width, true);
  if (d->rate_width > 0) {
    line_text(l, "  ");
    out_peak(&l->scratch, d, one);
    put_cell(d, "2", d->rate_width, true);
  }
  line_text(l, "  ");
  const char *last = NULL;
  own = one->kind == LANE_ENTITY ? "36" : own;
  size_t end = d->lanes->bin_count; /* blanks at the end stay away */
  while (end > 0 && one->bins[end - 1] <= 0 && one->marks[end - 1] == 0)
    end--;
  for (size_t bin = 0; bin < end; bin++) {
    const char *style, *text = symbol(d, one, bin, &style);
    style = style == NULL ? own : style;
    if (style != last) {
      line_style(l, NULL);
      line_style(l, style);
    }
    last = style;
    line_text(l, text);
    d->seen |= one->marks[bin];
  }
  line_print(l, o);
}

static void draw_axis(drawing *d, out *o, const char *what)
{
  line *l = &d->line;
  const lanes *all = d->lanes;
  bool ascii = d->style->ascii;
  line_clear(l);
  line_text(l, "  ");
  out_text(&l->scratch, what);
  put_cell(d, "2", d->label_width, false);
  line_text(l, "  ");
  out_text(&l->scratch, "rows");
  put_cell(d, "2", d->rows_width, true);
  if (d->rate_width > 0) {
    line_text(l, "  ");
    out_text(&l->scratch, "peak");
    put_cell(d, "2", d->rate_width, true);
  }
  line_text(l, "  ");
  line_style(l, "2");
  size_t start = l->column;
  int64_t tick;
  if (axis_first(&d->axis, &tick) && all->end > all->begin)
    do {
      size_t column = start + lanes_bin(all, tick);
      axis_label(&l->scratch, &d->axis, tick);
      size_t width = terminal_text_width(l->scratch.data, l->scratch.size);
      while (l->column < column && !l->full)
        line_text(l, ascii ? "-" : "─");
      if (column + 1 + width <= start + all->bin_count) {
        line_text(l, ascii ? "|" : "┬");
        line_scratch(l);
      }
      l->scratch.size = 0;
    } while (axis_next(&d->axis, &tick));
  while (all->end > all->begin && l->column < start + all->bin_count && !l->full)
    line_text(l, ascii ? "-" : "─");
  line_style(l, NULL);
  line_print(l, o);
}

static void draw_legend(drawing *d, out *o)
{
  static const struct {
    unsigned mark;
    const char *symbol, *plain, *style, *text;
  } marks[] = {{LANE_GAP, "╌", "_", "2", "nothing for far longer than usual"},
               {LANE_SPOOL, "◆", "S", "1;33", "left in the spool by a writer that died"},
               {LANE_MISSING, "✗", "X", "1;31", "chunks missing, by their numbers"},
               {LANE_DROPPED, "▼", "!", "1;31", "rows dropped, as its ring was full"}};
  line *l = &d->line;
  line_clear(l);
  line_text(l, "  ");
  line_styled(l, "2", d->style->ascii ? ".:-=+*#@" : "▁▂▃▄▅▆▇█");
  line_text(l, " rows, each lane up to its own peak");
  line_print(l, o);
  for (size_t n = 0; n < sizeof marks / sizeof marks[0]; n++) {
    if ((d->seen & marks[n].mark) == 0)
      continue;
    line_clear(l);
    line_text(l, "  ");
    line_styled(l, marks[n].style, d->style->ascii ? marks[n].plain : marks[n].symbol);
    line_text(l, " ");
    line_text(l, marks[n].text);
    line_print(l, o);
  }
}

/* What numbers say to be missing: a line each, the first ones. */
static void list_missing(drawing *d, out *o)
{
  line *l = &d->line;
  uint64_t events = 0, chunks = 0;
  for (size_t n = 0; n < d->lanes->writer_count; n++) {
    const lane *one = &d->lanes->writers[n];
    for (size_t m = 0; m < one->missing_count; m++) {
      const lane_event *e = &one->missing[m];
      chunks += e->count;
      if (events++ >= EVENTS_MOST)
        continue;
      line_clear(l);
      line_text(l, "  ");
      out_lane(&l->scratch, d->lanes, one, &d->who);
      line_scratch(l);
      if (e->count == 1)
        line_format(l, ": chunk %" PRIu64 " missing, between ", e->first);
      else
        line_format(l, ": chunks %" PRIu64 " to %" PRIu64 " missing, between ", e->first, e->first + e->count - 1);
      axis_moment(&l->scratch, &d->axis, e->from);
      line_scratch(l);
      line_text(l, " and ");
      axis_moment(&l->scratch, &d->axis, e->to);
      line_scratch(l);
      line_print(l, o);
    }
  }
  if (events > EVENTS_MOST)
    out_format(o, "  ... %" PRIu64 " places in all, %" PRIu64 " chunks\n", events, chunks);
}

static void widen(drawing *d, const lane *list, size_t count)
{
  out *text = &d->line.scratch;
  for (size_t n = 0; n < count; n++) {
    out_lane(text, d->lanes, &list[n], &d->who);
    size_t width = terminal_text_width(text->data, text->size);
    d->label_width = width > d->label_width ? width : d->label_width;
    text->size = 0;
  }
}

void lanes_text(const info *i, out *o, size_t most, const lanes_style *style)
{
  lanes all;
  lanes_choose(&all, i, most);
  if (all.begin > all.end || all.writer_count + all.entity_count == 0) {
    lanes_free(&all);
    return;
  }
  drawing d = {.lanes = &all, .style = style, .who = who_of(i->inputs->reader), .rows_width = 4};
  size_t width = style->width == 0 ? WIDTH_PIPED : style->width;
  line_init(&d.line, width, style->coloured);
  widen(&d, all.writers, all.writer_count);
  widen(&d, all.entities, all.entity_count);
  for (uint64_t rows = i->total.rows; rows >= 10000; rows /= 10)
    d.rows_width++;
  bool timed = i->axis != RK_TIMELINE_SEQUENCE && all.end > all.begin;
  d.rate_width = timed && width >= 60 ? 7 : 0;
  size_t fixed = 2 + 2 + d.rows_width + 2 + (d.rate_width > 0 ? d.rate_width + 2 : 0);
  size_t room = width > fixed + LABEL_LEAST + BINS_LEAST ? width - fixed : LABEL_LEAST + BINS_LEAST;
  size_t label_most = room / 3 > LABEL_LEAST ? room / 3 : LABEL_LEAST;
  d.label_width = d.label_width < 6 ? 6 : d.label_width < label_most ? d.label_width : label_most;
  lanes_fill(&all, room - d.label_width);
  d.axis = axis_make(&all, style->zone, 8, style->ascii);

  line *l = &d.line;
  line_styled(l, "1;36", "Activity");
  line_text(l, "  from ");
  axis_moment(&l->scratch, &d.axis, all.begin);
  line_scratch(l);
  line_text(l, ", ");
  axis_length(&l->scratch, &d.axis, (double)((uint64_t)all.end - (uint64_t)all.begin));
  line_scratch(l);
  if (all.end > all.begin) {
    line_text(l, "; a column is ");
    axis_length(&l->scratch, &d.axis, lanes_bin_size(&all));
    line_scratch(l);
  }
  line_print(l, o);
  if (all.writer_count > 0)
    draw_axis(&d, o, "writer");
  for (size_t n = 0; n < all.writer_count; n++)
    draw_lane(&d, o, &all.writers[n]);
  if (all.entity_count > 0)
    draw_axis(&d, o, "entity");
  for (size_t n = 0; n < all.entity_count; n++)
    draw_lane(&d, o, &all.entities[n]);
  draw_legend(&d, o);
  list_missing(&d, o);
  out_char(o, '\n');
  line_free(&d.line);
  lanes_free(&all);
}
