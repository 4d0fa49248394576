/* Rows for people: one line each, in columns, cut to the terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "brief.h"
#include "cli.h"
#include "line.h"
#include "names.h"
#include "rows.h"
#include "terminal.h"
#include "when.h"

/* From this width on the date stands in every line; else in a line of its own when it changes. */
enum { WIDE = 120, TIMES_MOST = 40, WRITER_MOST = 32, ENTITY_MOST = 32 };

struct text_printer {
  text_options options;
  line line;
  bool many_hosts, many_processes, any_writer;
  bool show_tid;                                  /* threads of one process share a name */
  size_t times_width, writer_width, entity_width; /* widest so far */
  int64_t day;                                    /* last announced */
  bool day_known;
};

text_printer *text_new(const text_options *options, const rk_reader *reader)
{
  text_printer *t = cli_realloc(NULL, 1, sizeof *t);
  *t = (text_printer){.options = *options};
  line_init(&t->line, options->width, options->coloured);
  size_t count;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  names labels = {0};
  out label;
  out_init(&label, -1);
  for (size_t i = 0; i < count; i++) {
    t->any_writer = true;
    if (strcmp(writers[i]->host, writers[0]->host) != 0)
      t->many_hosts = true;
    if (writers[i]->pid != writers[0]->pid)
      t->many_processes = true;
    label.size = 0;
    out_format(&label, "%" PRId64 " %s %s", writers[i]->pid, writers[i]->host, writers[i]->thread);
    out_char(&label, '\0');
    if (label.error == 0)
      names_at(&labels, label.data);
  }
  t->show_tid = labels.count < count;
  names_free(&labels);
  out_free(&label);
  return t;
}

void text_free(text_printer *t)
{
  if (t == NULL)
    return;
  line_free(&t->line);
  free(t);
}

void text_resize(text_printer *t, size_t width)
{
  t->options.width = t->line.limit = width;
}

static bool is_wide(const text_printer *t)
{
  return t->options.width == 0 || t->options.width >= WIDE;
}

static int64_t floor_divide(int64_t value, int64_t by)
{
  return value / by - (value % by < 0);
}

static void announce_day(text_printer *t, out *o, int64_t day)
{
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
  line_text(l, " UTC ──");
  line_print(l, o);
}

/* The time that ordered the row; dim where it is not log_time but taken from the row's id. */
static void put_moment(text_printer *t, const rk_row *row)
{
  line *l = &t->line;
  size_t width = is_wide(t) ? strlen("2026-11-20T12:00:00.123456789Z") : strlen("12:00:00.123456");
  bool ordered_by_log_time = rows_timeline(row, "log_time") != NULL;
  line_style(l, row->is_static || !ordered_by_log_time ? "2" : NULL);
  if (row->is_static) {
    line_text(l, "static");
  } else if (is_wide(t)) {
    out_time(&l->scratch, row->key_ns);
    line_scratch(l);
  } else {
    int64_t second = floor_divide(row->key_ns, 1000000000);
    out_clock(&l->scratch, second - floor_divide(second, 86400) * 86400, (uint32_t)(row->key_ns - second * 1000000000),
              6);
    line_scratch(l);
  }
  line_pad(l, width);
  line_style(l, NULL);
}

/* Ends a column that is as wide as its widest content so far, up to `most`. */
static void end_column(line *l, size_t start, size_t *widest, size_t most)
{
  size_t width = l->column - start;
  if (width > *widest)
    *widest = width < most ? width : most;
  line_pad(l, start + *widest);
}

/* "...20.500000000Z" to "...20.5Z". */
static void drop_zeros(out *time)
{
  if (time->size < 12 || time->data[time->size - 11] != '.')
    return;
  time->size--;
  while (time->data[time->size - 1] == '0')
    time->size--;
  time->size -= time->data[time->size - 1] == '.';
  out_char(time, 'Z');
}

static void put_times(text_printer *t, const rk_row *row)
{
  line *l = &t->line;
  bool any = false;
  size_t start = l->column + 2;
  for (size_t i = 0; i < row->timeline_count; i++) {
    const rk_time_cell *cell = &row->timelines[i];
    if (strcmp(cell->timeline, "log_time") == 0)
      continue;
    line_text(l, any ? " " : "  ");
    any = true;
    line_style(l, "2");
    line_printable(l, cell->timeline, strlen(cell->timeline));
    line_text(l, "=");
    line_style(l, NULL);
    if (cell->kind == RK_TIMELINE_SEQUENCE)
      line_format(l, "%" PRId64, cell->value);
    else if (cell->kind == RK_TIMELINE_DURATION)
      line_format(l, "%.*gs", is_wide(t) ? 9 : 6, (double)cell->value / 1e9);
    else {
      out_time(&l->scratch, cell->value);
      drop_zeros(&l->scratch);
      line_scratch(l);
    }
  }
  if (!any && t->times_width > 0)
    line_text(l, "  ");
  if (any || t->times_width > 0)
    end_column(l, start, &t->times_width, TIMES_MOST);
}

static void put_writer(text_printer *t, const rk_row *row)
{
  line *l = &t->line;
  if (!t->any_writer)
    return;
  line_text(l, "  ");
  size_t start = l->column;
  const rk_writer_info *writer = row->writer;
  if (writer == NULL) {
    line_styled(l, "2", "-");
  } else {
    static const char *const styles[] = {"32", "33", "34", "35", "36", "92", "93", "94", "95"};
    line_style(l, styles[(writer->tag * UINT32_C(2654435761) >> 16) % (sizeof styles / sizeof styles[0])]);
    if (t->many_hosts) {
      line_printable(l, writer->host, strlen(writer->host));
      line_text(l, ":");
    }
    if (t->many_processes)
      line_format(l, "%" PRId64 ":", writer->pid);
    line_printable(l, writer->thread, strlen(writer->thread));
    if (t->show_tid || *writer->thread == '\0')
      line_format(l, "%s%" PRId64, *writer->thread == '\0' ? "" : "/", writer->tid);
    line_style(l, NULL);
  }
  end_column(l, start, &t->writer_width, WRITER_MOST);
}

void text_row(text_printer *t, out *o, const rk_row *row)
{
  if (!is_wide(t) && !row->is_static)
    announce_day(t, o, floor_divide(row->key_ns, INT64_C(86400000000000)));
  line *l = &t->line;
  line_clear(l);
  put_moment(t, row);
  put_times(t, row);
  put_writer(t, row);
  line_text(l, "  ");
  size_t start = l->column;
  if (t->options.recording) {
    line_style(l, "2");
    line_printable(l, row->store->recording_id, strlen(row->store->recording_id));
    line_text(l, " ");
    line_style(l, NULL);
  }
  line_style(l, "1;36");
  line_printable(l, row->entity_path, strlen(row->entity_path));
  line_style(l, NULL);
  end_column(l, start, &t->entity_width, ENTITY_MOST);
  line_text(l, "  ");
  brief_components(l, row);
  line_print(l, o);
}
