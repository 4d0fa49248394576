/* Rows as NDJSON, CSV and text for people. */
#ifndef TOOLS_ROWS_H
#define TOOLS_ROWS_H

#include "rrdkit/reader.h"
#include "tools/out.h"

/* One JSON object and a newline. `recording`: its "recording" member, for selections of several stores. */
void rows_ndjson(out *o, const rk_row *row, bool recording);

/* CSV by RFC 4180 whose columns the chunks of the selection fix beforehand. */
typedef struct csv_printer csv_printer;
csv_printer *csv_new(void);
/* Takes the columns that a chunk needs. */
void csv_chunk(csv_printer *c, const rk_chunk_info *chunk);
/* Rows may come that have more than the chunks told, as when following: a last column "other" takes that as a JSON
 * object of timelines and components. Before csv_header. */
void csv_open_ended(csv_printer *c);
void csv_header(csv_printer *c, out *o, bool recording);
void csv_row(csv_printer *c, out *o, const rk_row *row);
void csv_free(csv_printer *c);

/* One line a row. */
typedef struct text_printer text_printer;
/* How a row's time is told. */
typedef enum text_time {
  TEXT_NO_TIME,
  TEXT_UTC,      /* with the date, where there is room */
  TEXT_LOCAL,    /* the same by the clock of this place */
  TEXT_RELATIVE, /* seconds since the first row printed */
  TEXT_DELTA     /* seconds since the row printed before */
} text_time;

typedef struct text_options {
  size_t width; /* 0: not cut */
  bool coloured;
  bool recording; /* show the recording's id */
  bool full;      /* values and names in full */
  bool by_time;   /* rows are ordered by time, not by another timeline */
  text_time times[2];
} text_options;
/* Looks at the first chunks of the index (rk_reader_next_indexed) for the widths of columns. */
text_printer *text_new(const text_options *options, rk_reader *reader);
/* The reader may know of further writers. */
void text_learn(text_printer *t, const rk_reader *reader);
/* The terminal has another width now: for the rows to come. */
void text_resize(text_printer *t, size_t width);
void text_row(text_printer *t, out *o, const rk_row *row);
void text_free(text_printer *t);

/* A timeline's value as JSON: sequences and durations (ns) as integers, timestamps as RFC 3339 strings. */
void rows_time_cell(out *o, const rk_time_cell *cell);
void rows_row_id(out *o, rk_tuid id);
const rk_time_cell *rows_timeline(const rk_row *row, const char *name); /* or NULL */

#endif
