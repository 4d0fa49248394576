/* Rows for people: one line each, in columns that stay where they are, cut to the terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/print/brief.h"
#include "tools/print/line.h"
#include "tools/print/number.h"
#include "tools/print/rows.h"
#include "tools/terminal.h"
#include "tools/when.h"
#include "tools/who.h"

/* From this width on the date stands in every line; else in a line of its own when it changes. */
enum { WIDE = 120, TIMES_MOST = 64, WRITER_MOST = 32, RECORDING_MOST = 36, ENTITY_MOST = 40 };
/* Timelines that have a column; further ones stand behind them. */
enum { TIMELINES = 6 };
/* Columns that turn out too narrow grow by so much at once, so that they settle soon. */
enum { COLUMN_STEP = 8 };
/* Chunks of the index that tell how wide entities are, before the first row. */
enum { CHUNKS_LOOKED_AT = 256, CHUNKS_DECODED = 8 };

#define NS_PER_S INT64_C(1000000000)

typedef struct label {
  const rk_writer_info *writer;
  out text;
} label;

typedef struct time_column {
  char *name;
  size_t width;
} time_column;

struct text_printer {
  text_options options;
  line line;
  who who;
  label *labels; /* by slot of the writer's tag; one that is taken is made anew */
  size_t label_slots;
  size_t writer_count; /* known when labels were made */
  time_column times[TIMELINES];
  size_t time_count;
  size_t times_most;                                  /* what they may take together */
  size_t writer_width, recording_width, entity_width; /* widest so far, in steps */
  size_t seconds_width[2];
  int64_t first_ns, last_ns; /* of rows in time */
  bool any_ns;
  int64_t day; /* last announced */
  bool day_known;
};

static void widen(size_t *width, size_t wanted, size_t most, bool full)
{
  wanted = wanted > most && !full ? most : wanted;
  if (wanted > *width)
    *width = *width == 0 ? wanted : *width + (wanted - *width + COLUMN_STEP - 1) / COLUMN_STEP * COLUMN_STEP;
  if (*width > most && !full)
    *width = most;
}

/* Before the first row: exactly as wide as is known to be needed. */
static void fit(size_t *width, size_t wanted, size_t most, bool full)
{
  wanted = wanted > most && !full ? most : wanted;
  *width = *width < wanted ? wanted : *width;
}

/* A third of the line at most. */
static size_t share(const text_printer *t, size_t most)
{
  size_t third = t->options.width / 3;
  return t->options.width == 0 || third > most ? most : third < 8 ? 8 : third;
}

static const out *label_of(text_printer *t, const rk_writer_info *writer)
{
  label *l = &t->labels[(writer->tag * UINT32_C(2654435761) >> 8) & (t->label_slots - 1)];
  if (l->writer != writer) {
    l->writer = writer;
    l->text.size = 0;
    out_who(&l->text, &t->who, writer);
  }
  return &l->text;
}

static bool is_wide(const text_printer *t)
{
  return t->options.width == 0 || t->options.width >= WIDE;
}

static size_t moment_width(const text_printer *t, int which)
{
  switch (t->options.times[which]) {
  case TEXT_NO_TIME:
    return 0;
  case TEXT_UTC:
    return is_wide(t) ? strlen("2026-11-20T12:00:00.123456789Z") : strlen("12:00:00.123456");
  case TEXT_LOCAL:
    return is_wide(t) ? strlen("2026-11-20T12:00:00.123456789+01:00") : strlen("12:00:00.123456");
  case TEXT_RELATIVE:
  case TEXT_DELTA:
    break;
  }
  return t->seconds_width[which] == 0 ? (is_wide(t) ? 14 : 11) : t->seconds_width[which];
}

/* Timelines leave to the columns behind them what these have, and an eighth of the line to the values. */
static void share_times(text_printer *t)
{
  size_t width = t->options.width, most = share(t, TIMES_MOST), rest = width / 8 < 8 ? 8 : width / 8;
  for (int which = 0; which < 2; which++)
    rest += moment_width(t, which) > 0 ? moment_width(t, which) + 2 : 0;
  rest += t->entity_width + 2 + (t->who.any ? t->writer_width + 2 : 0);
  rest += t->options.recording ? t->recording_width + 2 : 0;
  size_t left = rest < width ? width - rest : 0;
  t->times_most = width == 0 || most < left ? most : left;
}

void text_free(text_printer *t)
{
  if (t == NULL)
    return;
  for (size_t i = 0; i < t->label_slots; i++)
    out_free(&t->labels[i].text);
  for (size_t i = 0; i < t->time_count; i++)
    free(t->times[i].name);
  free(t->labels);
  line_free(&t->line);
  free(t);
}

void text_resize(text_printer *t, size_t width)
{
  t->options.width = t->line.limit = width;
  t->day_known = false;
  size_t writer = share(t, WRITER_MOST), recording = share(t, RECORDING_MOST), entity = share(t, ENTITY_MOST);
  if (!t->options.full) {
    t->writer_width = t->writer_width < writer ? t->writer_width : writer;
    t->recording_width = t->recording_width < recording ? t->recording_width : recording;
    t->entity_width = t->entity_width < entity ? t->entity_width : entity;
  }
  share_times(t);
}

static when_zone zone_of(text_time time)
{
  return time == TEXT_LOCAL ? WHEN_LOCAL : WHEN_UTC;
}

static void announce_day(text_printer *t, out *o, text_time time, int64_t ns)
{
  int64_t day = when_split(zone_of(time), ns).day;
  if (t->day_known && t->day == day)
    return;
  t->day_known = true;
  t->day = day;
  line *l = &t->line;
  line_clear(l);
  line_style(l, "2");
  line_text(l, "── ");
  out_date(&l->scratch, day);
  line_scratch(l);
  line_text(l, time == TEXT_LOCAL ? " local ──" : " UTC ──");
  line_print(l, o);
}

/* "+12.345678901": seconds, to the right of a column that fits what came so far. */
static void put_seconds(text_printer *t, int which, int64_t ns)
{
  line *l = &t->line;
  out *o = &l->scratch;
  uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
  int digits = is_wide(t) ? 9 : 6;
  out_char(o, ns < 0 ? '-' : '+');
  out_uint(o, size / (uint64_t)NS_PER_S);
  out_char(o, '.');
  uint64_t fraction = size % (uint64_t)NS_PER_S;
  for (int i = digits; i < 9; i++)
    fraction /= 10;
  out_padded(o, fraction, digits);
  if (o->size > t->seconds_width[which])
    t->seconds_width[which] = o->size < 14 ? (is_wide(t) ? 14 : 11) : o->size;
  line_pad(l, l->column + t->seconds_width[which] - (o->size < t->seconds_width[which] ? o->size : 0));
  line_scratch(l);
}

static void put_moment(text_printer *t, int which, const rk_row *row, int64_t ns)
{
  line *l = &t->line;
  text_time time = t->options.times[which];
  if (time == TEXT_RELATIVE) {
    put_seconds(t, which, (int64_t)((uint64_t)ns - (uint64_t)t->first_ns));
  } else if (time == TEXT_DELTA) {
    put_seconds(t, which, (int64_t)((uint64_t)ns - (uint64_t)t->last_ns));
  } else if (is_wide(t)) {
    out_moment(line_ascii(l), zone_of(time), ns);
    line_ascii_end(l);
  } else {
    when_parts parts = when_split(zone_of(time), ns);
    out_clock(line_ascii(l), parts.second, parts.ns, 6);
    line_ascii_end(l);
  }
  (void)row;
}

/* Times of the row, dim where they are not log_time but taken from the row's id; "static" in their place. */
static void put_moments(text_printer *t, const rk_row *row)
{
  line *l = &t->line;
  const rk_time_cell *log_time = rows_timeline(row, "log_time");
  bool shown = t->options.times[0] != TEXT_NO_TIME || t->options.times[1] != TEXT_NO_TIME;
  if (!shown)
    return;
  int64_t ns = t->options.by_time ? row->key_ns : log_time != NULL ? log_time->value : (int64_t)row->row_id.time_ns;
  if (!row->is_static && !t->any_ns) {
    t->first_ns = t->last_ns = ns;
    t->any_ns = true;
  }
  line_style(l, row->is_static || log_time == NULL ? "2" : NULL);
  for (int which = 0; which < 2; which++) {
    if (t->options.times[which] == TEXT_NO_TIME)
      continue;
    size_t start = l->column;
    bool first = start == 0;
    if (!first)
      line_text(l, "  ");
    start = l->column;
    if (!row->is_static)
      put_moment(t, which, row, ns);
    else if (first)
      line_text(l, "static");
    line_pad(l, start + moment_width(t, which));
  }
  line_style(l, NULL);
  if (!row->is_static)
    t->last_ns = ns;
  line_text(l, "  ");
}

/* Values of one kind are as wide as each other, nearly. */
static void out_value(out *o, const text_printer *t, const rk_time_cell *cell)
{
  if (cell->kind == RK_TIMELINE_SEQUENCE) {
    out_int(o, cell->value);
  } else if (cell->kind == RK_TIMELINE_DURATION) {
    int digits = t->options.full ? 9 : is_wide(t) ? 6 : 3;
    uint64_t size = cell->value < 0 ? 0 - (uint64_t)cell->value : (uint64_t)cell->value;
    uint64_t fraction = size % (uint64_t)NS_PER_S;
    for (int i = digits; i < 9; i++)
      fraction /= 10;
    out_text(o, cell->value < 0 ? "-" : "");
    out_uint(o, size / (uint64_t)NS_PER_S);
    out_char(o, '.');
    out_padded(o, fraction, digits);
    out_char(o, 's');
  } else if (is_wide(t)) {
    out_moment(o, zone_of(t->options.times[0]), cell->value);
  } else {
    when_parts parts = when_split(zone_of(t->options.times[0]), cell->value);
    out_clock(o, parts.second, parts.ns, 3);
  }
}

static void put_time(text_printer *t, const rk_time_cell *cell)
{
  line *l = &t->line;
  line_style(l, "2");
  line_printable(l, cell->timeline, strlen(cell->timeline));
  line_text(l, "=");
  line_style(l, NULL);
  out_value(line_ascii(l), t, cell);
  line_ascii_end(l);
}

/* The timeline's column, new where there is still one; NULL: none. */
static time_column *time_column_of(text_printer *t, const char *name)
{
  for (size_t i = 0; i < t->time_count; i++)
    if (strcmp(t->times[i].name, name) == 0)
      return &t->times[i];
  if (t->time_count == TIMELINES)
    return NULL;
  time_column *column = &t->times[t->time_count++];
  *column = (time_column){.name = cli_copy(name)};
  return column;
}

static void put_times(text_printer *t, const rk_row *row)
{
  line *l = &t->line;
  const rk_time_cell *cells[TIMELINES] = {NULL};
  for (size_t i = 0; i < row->timeline_count; i++) {
    if (strcmp(row->timelines[i].timeline, "log_time") == 0)
      continue;
    time_column *column = time_column_of(t, row->timelines[i].timeline);
    if (column != NULL)
      cells[column - t->times] = &row->timelines[i];
  }
  size_t start = l->column;
  for (size_t i = 0; i < t->time_count; i++) {
    if (l->column - start + t->times[i].width > t->times_most && !t->options.full)
      break; /* the rest has no room: other formats tell them */
    size_t from = l->column;
    if (cells[i] != NULL)
      put_time(t, cells[i]);
    size_t width = l->column - from;
    if (width > t->times[i].width)
      t->times[i].width = width + (t->times[i].width > 0 ? 1 : 0);
    line_pad(l, from + t->times[i].width);
    line_text(l, "  ");
  }
  for (size_t i = 0; i < row->timeline_count && t->options.full; i++) {
    bool shown = strcmp(row->timelines[i].timeline, "log_time") == 0;
    for (size_t c = 0; c < t->time_count; c++)
      shown |= cells[c] == &row->timelines[i];
    if (!shown) {
      put_time(t, &row->timelines[i]);
      line_text(l, "  ");
    }
  }
}

/* Widths of columns by the first chunks of the index. */
static void look_ahead(text_printer *t, rk_reader *reader)
{
  out *text = &t->line.scratch;
  const rk_chunk_info *chunk;
  for (int i = 0, decoded = 0; i < CHUNKS_LOOKED_AT && rk_reader_next_indexed(reader, &chunk) == RK_OK; i++) {
    text->size = 0;
    out_printable(text, chunk->entity_path, strlen(chunk->entity_path));
    fit(&t->entity_width, terminal_text_width(text->data, text->size), share(t, ENTITY_MOST), t->options.full);
    if (t->options.recording) {
      text->size = 0;
      out_printable(text, chunk->store->recording_id, strlen(chunk->store->recording_id));
      fit(&t->recording_width, terminal_text_width(text->data, text->size), share(t, RECORDING_MOST), t->options.full);
    }
    if (!chunk->is_static && !chunk->described &&
        (decoded++ >= CHUNKS_DECODED || rk_reader_describe(reader, &chunk) != RK_OK))
      continue;
    for (size_t c = 0; c < chunk->timeline_count; c++) {
      if (strcmp(chunk->timeline_max[c].timeline, "log_time") == 0)
        continue;
      time_column *column = time_column_of(t, chunk->timeline_max[c].timeline);
      const rk_time_cell *ends[] = {&chunk->timeline_min[c], &chunk->timeline_max[c]};
      for (size_t e = 0; e < 2 && column != NULL; e++) {
        text->size = 0;
        out_printable(text, column->name, strlen(column->name));
        size_t width = terminal_text_width(text->data, text->size) + 1;
        text->size = 0;
        out_value(text, t, ends[e]);
        width += text->size;
        column->width = width > column->width ? width : column->width;
      }
    }
  }
  text->size = 0;
}

void text_learn(text_printer *t, const rk_reader *reader)
{
  size_t count;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  if (count == t->writer_count)
    return;
  bool begun = t->writer_count > 0;
  t->writer_count = count;
  t->who = who_of(reader);
  for (size_t i = 0; i < t->label_slots; i++)
    t->labels[i].writer = NULL;
  for (size_t i = 0; i < count && i < 4096; i++) {
    const out *text = label_of(t, writers[i]);
    (begun ? widen : fit)(&t->writer_width, terminal_text_width(text->data, text->size), share(t, WRITER_MOST),
                          t->options.full);
  }
}

text_printer *text_new(const text_options *options, rk_reader *reader)
{
  text_printer *t = cli_realloc(NULL, 1, sizeof *t);
  *t = (text_printer){.options = *options};
  line_init(&t->line, options->width, options->coloured);
  t->line.in_full = options->full;
  size_t count;
  rk_reader_writers(reader, &count);
  for (t->label_slots = 64; t->label_slots < count * 2 && t->label_slots < 4096;)
    t->label_slots *= 2;
  t->labels = cli_realloc(NULL, t->label_slots, sizeof *t->labels);
  for (size_t i = 0; i < t->label_slots; i++) {
    t->labels[i] = (label){0};
    out_init(&t->labels[i].text, -1);
  }
  text_learn(t, reader);
  look_ahead(t, reader);
  share_times(t);
  return t;
}

/* Text that is printable as it is, in a column; what is too long for it loses its middle. */
static void put_column(text_printer *t, const char *style, const char *text, size_t size, size_t *width, size_t most)
{
  line *l = &t->line;
  size_t columns = terminal_text_width(text, size), start = l->column;
  widen(width, columns, share(t, most), t->options.full);
  line_style(l, style);
  if (columns > *width) {
    out cut;
    out_init(&cut, -1);
    terminal_cut_middle(&cut, text, size, *width, false);
    line_bytes(l, cut.data, cut.size);
    out_free(&cut);
  } else {
    line_bytes(l, text, size);
  }
  line_style(l, NULL);
  line_pad(l, start + *width);
}

/* A name of the data's in a column. */
static void put_name(text_printer *t, const char *style, const char *name, size_t *width, size_t most)
{
  size_t size = strlen(name);
  if (line_is_printable(name, size)) {
    put_column(t, style, name, size, width, most);
    return;
  }
  out text;
  out_init(&text, -1);
  out_printable(&text, name, size);
  put_column(t, style, text.data, text.size, width, most);
  out_free(&text);
}

static void put_writer(text_printer *t, const rk_row *row)
{
  if (row->writer != NULL) {
    const out *text = label_of(t, row->writer);
    put_column(t, who_style(row->writer->tag), text->data, text->size, &t->writer_width, WRITER_MOST);
  } else if (t->who.any) {
    put_column(t, "2", "-", 1, &t->writer_width, WRITER_MOST);
  } else {
    return;
  }
  line_text(&t->line, "  ");
}

void text_row(text_printer *t, out *o, const rk_row *row)
{
  text_time clock =
      t->options.times[0] == TEXT_UTC || t->options.times[0] == TEXT_LOCAL ? t->options.times[0] : t->options.times[1];
  if (!is_wide(t) && !row->is_static && (clock == TEXT_UTC || clock == TEXT_LOCAL) && t->options.by_time)
    announce_day(t, o, clock, row->key_ns);
  line *l = &t->line;
  line_clear(l);
  put_moments(t, row);
  put_times(t, row);
  put_writer(t, row);
  if (t->options.recording) {
    put_name(t, "2", row->store->recording_id, &t->recording_width, RECORDING_MOST);
    line_text(l, "  ");
  }
  put_name(t, "1;36", row->entity_path, &t->entity_width, ENTITY_MOST);
  line_text(l, "  ");
  brief_components(l, row);
  line_print(l, o);
}
