/* Rows as CSV by RFC 4180: the columns are fixed by the schema of the selection before the first row. */
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/names.h"
#include "tools/print/eight.h"
#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/rows.h"
#include "tools/print/values.h"

struct csv_printer {
  names timelines, components; /* sorted by csv_header */
  bool recording, open_ended;
  out cell; /* one cell before quoting */
};

/* Columns before the timelines and components of the data; log_time is among them so that its place is known. */
static const char *const fixed_columns[] = {"entity", "log_time", "row_id", "writer", "host",
                                            "pid",    "tid",      "thread", "row",    "recording"};
enum { FIXED_COUNT = sizeof fixed_columns / sizeof fixed_columns[0] };

csv_printer *csv_new(void)
{
  csv_printer *c = cli_realloc(NULL, 1, sizeof *c);
  *c = (csv_printer){0};
  out_init(&c->cell, -1);
  return c;
}

void csv_free(csv_printer *c)
{
  if (c == NULL)
    return;
  names_free(&c->timelines);
  names_free(&c->components);
  out_free(&c->cell);
  free(c);
}

void csv_open_ended(csv_printer *c)
{
  c->open_ended = true;
}

void csv_chunk(csv_printer *c, const rk_chunk_info *chunk)
{
  for (size_t i = 0; i < chunk->timeline_count; i++)
    if (strcmp(chunk->timeline_min[i].timeline, "log_time") != 0)
      names_at(&c->timelines, chunk->timeline_min[i].timeline);
  for (size_t i = 0; i < chunk->component_count; i++)
    names_at(&c->components, chunk->components[i]);
}

static bool needs_quotes(const char *text, size_t size)
{
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word = eight_load(text + at);
    if ((eight_equal(word, ',') | eight_equal(word, '"') | eight_equal(word, '\n') | eight_equal(word, '\r')) != 0)
      return true;
  }
  for (; at < size; at++)
    if (text[at] == ',' || text[at] == '"' || text[at] == '\n' || text[at] == '\r')
      return true;
  return size > 0 && (text[0] == ' ' || text[size - 1] == ' ');
}

static void put_cell(out *o, const char *text, size_t size)
{
  if (!needs_quotes(text, size)) {
    out_bytes(o, text, size);
    return;
  }
  out_char(o, '"');
  for (const char *quote; (quote = memchr(text, '"', size)) != NULL;) {
    size_t before = (size_t)(quote - text) + 1;
    out_bytes(o, text, before);
    out_char(o, '"');
    text += before;
    size -= before;
  }
  out_bytes(o, text, size);
  out_char(o, '"');
}

static void put_text(out *o, const char *text)
{
  put_cell(o, text, strlen(text));
}

static bool is_fixed(const char *name)
{
  for (size_t i = 0; i < FIXED_COUNT; i++)
    if (strcmp(name, fixed_columns[i]) == 0)
      return true;
  return false;
}

/* A name that an earlier column has taken gets a prefix, so that every column's name is its own. */
static void put_column(csv_printer *c, out *o, const char *prefix, const char *name, bool taken)
{
  c->cell.size = 0;
  if (taken)
    out_text(&c->cell, prefix);
  out_text(&c->cell, name);
  out_char(o, ',');
  put_cell(o, c->cell.data, c->cell.size);
}

void csv_header(csv_printer *c, out *o, bool recording)
{
  c->recording = recording;
  names_sort(&c->timelines);
  names_sort(&c->components);
  for (size_t i = 0; i < (size_t)FIXED_COUNT - !recording; i++) {
    out_text(o, i == 0 ? "" : ",");
    out_text(o, fixed_columns[i]);
  }
  for (size_t i = 0; i < c->timelines.count; i++)
    put_column(c, o, "timeline:", c->timelines.list[i], is_fixed(c->timelines.list[i]));
  for (size_t i = 0; i < c->components.count; i++) {
    const char *name = c->components.list[i];
    put_column(c, o, "component:", name, is_fixed(name) || names_find(&c->timelines, name) != NAMES_NONE);
  }
  if (c->open_ended)
    put_column(c, o, "column:", "other",
               names_find(&c->timelines, "other") != NAMES_NONE || names_find(&c->components, "other") != NAMES_NONE);
  out_text(o, "\r\n");
}

static void put_unquoted(csv_printer *c, out *o)
{
  size_t quotes = c->cell.size >= 2 && c->cell.data[0] == '"';
  put_cell(o, c->cell.data + quotes, c->cell.size - 2 * quotes);
}

/* One number, moment or text stands bare, everything else as JSON. */
static void put_component(csv_printer *c, out *o, const rk_component_cell *cell)
{
  const char *bytes;
  size_t size;
  c->cell.size = 0;
  if (cell->count == 1 && values_is_text(cell->schema) && !values_is_null(cell->schema, cell->values, cell->start) &&
      values_bytes(cell->schema, cell->values, cell->start, &bytes, &size)) {
    put_cell(o, bytes, size);
    return;
  }
  if (cell->count != 1 || !values_is_scalar(cell->schema)) {
    values_array(&c->cell, cell->schema, cell->values, cell->start, cell->count);
    put_cell(o, c->cell.data, c->cell.size);
    return;
  }
  values_one(&c->cell, cell->schema, cell->values, cell->start);
  size_t quotes = c->cell.size >= 2 && c->cell.data[0] == '"';
  put_cell(o, c->cell.data + quotes, c->cell.size - 2 * quotes);
}

static void put_time(csv_printer *c, out *o, const rk_time_cell *cell)
{
  c->cell.size = 0;
  rows_time_cell(&c->cell, cell);
  put_unquoted(c, o);
}

static void put_fixed(csv_printer *c, out *o, const rk_row *row)
{
  put_text(o, row->entity_path);
  out_char(o, ',');
  const rk_time_cell *log_time = rows_timeline(row, "log_time");
  if (log_time != NULL)
    put_time(c, o, log_time);
  out_char(o, ',');
  rows_row_id(o, row->row_id);
  if (row->writer == NULL) {
    out_text(o, ",,,,,,");
  } else {
    out_char(o, ',');
    out_hex32(o, row->writer->tag);
    out_char(o, ',');
    put_text(o, row->writer->host);
    out_char(o, ',');
    out_int(o, row->writer->pid);
    out_char(o, ',');
    out_int(o, row->writer->tid);
    out_char(o, ',');
    put_text(o, row->writer->thread);
    out_char(o, ',');
    out_uint(o, row->row_number);
  }
  if (c->recording) {
    out_char(o, ',');
    put_text(o, row->store->recording_id);
  }
}

/* What has no column; nothing where all has one. */
static void put_other(csv_printer *c, out *o, const rk_row *row)
{
  size_t count = 0;
  c->cell.size = 0;
  for (size_t i = 0; i < row->timeline_count; i++) {
    const rk_time_cell *cell = &row->timelines[i];
    if (strcmp(cell->timeline, "log_time") == 0 || names_find(&c->timelines, cell->timeline) != NAMES_NONE)
      continue;
    out_text(&c->cell, count == 0 ? "{\"timelines\":{" : "");
    json_key(&c->cell, count++ == 0, cell->timeline);
    rows_time_cell(&c->cell, cell);
  }
  size_t timelines = count;
  for (size_t i = 0; i < row->component_count; i++) {
    const rk_component_cell *cell = &row->components[i];
    if (names_find(&c->components, cell->component) != NAMES_NONE)
      continue;
    if (count == timelines)
      out_text(&c->cell, timelines == 0 ? "{\"components\":{" : "},\"components\":{");
    json_key(&c->cell, count++ == timelines, cell->component);
    values_array(&c->cell, cell->schema, cell->values, cell->start, cell->count);
  }
  if (count == 0)
    return;
  out_text(&c->cell, "}}");
  put_cell(o, c->cell.data, c->cell.size);
}

void csv_row(csv_printer *c, out *o, const rk_row *row)
{
  put_fixed(c, o, row);
  for (size_t i = 0, next = 0; i < c->timelines.count; i++) {
    out_char(o, ',');
    while (next < row->timeline_count && strcmp(row->timelines[next].timeline, c->timelines.list[i]) < 0)
      next++;
    if (next < row->timeline_count && strcmp(row->timelines[next].timeline, c->timelines.list[i]) == 0)
      put_time(c, o, &row->timelines[next++]);
  }
  for (size_t i = 0, next = 0; i < c->components.count; i++) {
    out_char(o, ',');
    while (next < row->component_count && strcmp(row->components[next].component, c->components.list[i]) < 0)
      next++;
    if (next < row->component_count && strcmp(row->components[next].component, c->components.list[i]) == 0)
      put_component(c, o, &row->components[next++]);
  }
  if (c->open_ended) {
    out_char(o, ',');
    put_other(c, o, row);
  }
  out_text(o, "\r\n");
}
