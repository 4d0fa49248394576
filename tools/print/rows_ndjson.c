/* Rows as newline-delimited JSON. */
#include <inttypes.h>

#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/rows.h"
#include "tools/print/values.h"
#include "tools/when.h"

void rows_time_cell(out *o, const rk_time_cell *cell)
{
  if (cell->kind != RK_TIMELINE_TIMESTAMP) {
    out_int(o, cell->value);
    return;
  }
  out_char(o, '"');
  out_time(o, cell->value);
  out_char(o, '"');
}

void rows_row_id(out *o, rk_tuid id)
{
  out_hex64(o, id.time_ns);
  out_hex64(o, id.inc);
}

const rk_time_cell *rows_timeline(const rk_row *row, const char *name)
{
  for (size_t i = 0; i < row->timeline_count; i++)
    if (strcmp(row->timelines[i].timeline, name) == 0)
      return &row->timelines[i];
  return NULL;
}

static void make_writer(out *o, const rk_writer_info *writer)
{
  out_text(o, "{\"id\":\"");
  out_hex32(o, writer->tag);
  out_text(o, "\",\"host\":");
  json_text(o, writer->host);
  out_text(o, ",\"pid\":");
  out_int(o, writer->pid);
  out_text(o, ",\"tid\":");
  out_int(o, writer->tid);
  out_text(o, ",\"thread\":");
  json_text(o, writer->thread);
  out_char(o, '}');
}

/* Writers live as long as their reader: their text is made once, while their slot is not taken by another. */
static void print_writer(out *o, const rk_writer_info *writer)
{
  enum { SLOTS = 256 };
  static struct {
    const rk_writer_info *writer;
    const rk_store *store;
    uint32_t tag;
    out text;
  } known[SLOTS];
  size_t at = (writer->tag * UINT32_C(2654435761)) >> 24;
  if (known[at].writer != writer || known[at].tag != writer->tag || known[at].store != writer->store) {
    if (known[at].writer == NULL)
      out_init(&known[at].text, -1);
    known[at].writer = writer;
    known[at].store = writer->store;
    known[at].tag = writer->tag;
    known[at].text.size = 0;
    make_writer(&known[at].text, writer);
    if (known[at].text.error != 0)
      o->error = known[at].text.error;
  }
  out_bytes(o, known[at].text.data, known[at].text.size);
}

void rows_ndjson(out *o, const rk_row *row, bool recording)
{
  out_text(o, "{\"entity\":");
  json_text(o, row->entity_path);
  out_text(o, ",\"timelines\":{");
  const rk_time_cell *log_time = rows_timeline(row, "log_time");
  if (log_time != NULL) {
    json_key(o, true, log_time->timeline);
    rows_time_cell(o, log_time);
  }
  bool first = log_time == NULL;
  for (size_t i = 0; i < row->timeline_count; i++) {
    if (&row->timelines[i] == log_time)
      continue;
    json_key(o, first, row->timelines[i].timeline);
    rows_time_cell(o, &row->timelines[i]);
    first = false;
  }
  out_text(o, "},\"row_id\":\"");
  rows_row_id(o, row->row_id);
  if (row->writer == NULL) {
    out_text(o, "\",\"writer\":null,\"row\":null");
  } else {
    out_text(o, "\",\"writer\":");
    print_writer(o, row->writer);
    out_text(o, ",\"row\":");
    out_uint(o, row->row_number);
  }
  out_text(o, ",\"components\":{");
  for (size_t i = 0; i < row->component_count; i++) {
    const rk_component_cell *cell = &row->components[i];
    json_key(o, i == 0, cell->component);
    values_array(o, cell->schema, cell->values, cell->start, cell->count);
  }
  out_char(o, '}');
  if (recording) {
    out_text(o, ",\"recording\":");
    json_text(o, row->store->recording_id);
  }
  out_text(o, "}\n");
}
