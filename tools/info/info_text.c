/* What the inputs hold, for people. */
#include <inttypes.h>

#include "tools/info/lanes.h"
#include "tools/print/number.h"
#include "tools/print/text_table.h"
#include "tools/when.h"

static void cell_count(table *t, uint64_t value)
{
  out_uint(table_cell(t), value);
  table_next(t);
}

/* Shown only where there are any. */
static void cell_some(table *t, uint64_t value)
{
  out *o = table_cell(t);
  if (value > 0)
    out_uint(o, value);
  table_next(t);
}

static void cell_size(table *t, uint64_t size)
{
  out_size(table_cell(t), size);
  table_next(t);
}

static void cell_ratio(table *t, const tally *c)
{
  out *o = table_cell(t);
  if (c->described_size > 0)
    out_format(o, "%s%.2f", tally_is_exact(c) ? "" : "~", (double)c->uncompressed_size / (double)c->described_size);
  table_next(t);
}

/* "+1.23 s" after the first row of all; the span's length where `length`. */
static void cell_moment(table *t, const tally *c, int64_t from, int64_t ns)
{
  out *o = table_cell(t);
  if (c->min_ns <= c->max_ns) {
    out_char(o, '+');
    out_duration(o, ns - from);
  }
  table_next(t);
}

static void cell_time(table *t, const tally *c, int64_t ns)
{
  out *o = table_cell(t);
  if (c->min_ns <= c->max_ns)
    out_time(o, ns);
  table_next(t);
}

static void cell_rate(table *t, const tally *c)
{
  out *o = table_cell(t);
  double rate = tally_rate(c);
  if (rate > 0)
    out_format(o, rate < 10 ? "%.2f Hz" : rate < 1000 ? "%.1f Hz" : "%.0f Hz", rate);
  table_next(t);
}

/* Only where there are several; a column without content is not shown. */
static void cell_recording(const info *i, table *t, const rk_store *store)
{
  table_text(t, i->recording_count > 1 && store != NULL ? store->recording_id : "");
}

static void recordings(const info *i, table *t)
{
  for (size_t n = 0; n < i->recording_count; n++) {
    const info_recording *r = &i->recordings[n];
    table_text(t, r->store->application_id);
    table_text(t, r->store->recording_id);
    table_text(t, r->store->kind == RK_STORE_BLUEPRINT ? "blueprint" : "recording");
    cell_count(t, r->tally.rows);
    cell_some(t, r->tally.spool_rows);
    cell_time(t, &r->tally, r->tally.min_ns);
    out *o = table_cell(t);
    if (r->tally.min_ns <= r->tally.max_ns)
      out_duration(o, r->tally.max_ns - r->tally.min_ns);
    table_next(t);
  }
}

static void input_files(const info *i, table *t)
{
  size_t count;
  const rk_input_info *const *files = rk_reader_inputs(i->inputs->reader, &count);
  for (size_t n = 0; n < count && n < i->inputs->count; n++) {
    const tally *c = &i->input_tallies[n];
    cell_size(t, files[n]->size);
    out *o = table_cell(t);
    if (files[n]->compressed && files[n]->stored_size > 0)
      out_size(o, files[n]->stored_size);
    table_next(t);
    cell_count(t, c->chunks);
    cell_count(t, c->rows);
    cell_ratio(t, c);
    o = table_cell(t);
    out_text(o, files[n]->live ? "being written" : files[n]->finished ? "finished" : "");
    table_next(t);
    o = table_cell(t);
    if (files[n]->shift_ns != 0) {
      out_text(o, files[n]->shift_ns > 0 ? "+" : "");
      out_duration(o, files[n]->shift_ns);
    }
    table_next(t);
    table_text(t, files[n]->name);
  }
}

static void writers(const info *i, table *t)
{
  for (size_t n = 0; n < i->writer_count; n++) {
    const info_writer *w = &i->writers[n];
    cell_recording(i, t, w->writer == NULL ? NULL : w->writer->store);
    out_hex32(table_cell(t), w->tag);
    table_next(t);
    if (w->writer == NULL) {
      for (int column = 0; column < 5; column++)
        table_text(t, "?");
    } else {
      table_text(t, w->writer->host);
      out_int(table_cell(t), w->writer->pid);
      table_next(t);
      out_int(table_cell(t), w->writer->tid);
      table_next(t);
      table_text(t, w->writer->program);
      table_text(t, w->writer->thread);
    }
    cell_count(t, w->tally.rows);
    cell_some(t, w->tally.spool_rows);
    cell_size(t, w->tally.size);
    cell_moment(t, &w->tally, i->total.min_ns, w->tally.min_ns);
    cell_moment(t, &w->tally, i->total.min_ns, w->tally.max_ns);
  }
}

static void entities(const info *i, table *t)
{
  for (size_t n = 0; n < i->entity_count; n++) {
    const info_entity *e = &i->entities[n];
    cell_recording(i, t, e->store);
    table_text(t, e->path);
    cell_count(t, e->tally.rows);
    cell_size(t, e->tally.size);
    cell_ratio(t, &e->tally);
    cell_rate(t, &e->tally);
    out *o = table_cell(t);
    const char *archetype = "";
    size_t archetype_size = 0;
    for (size_t c = 0; c < e->components.count; c++) { /* "Boxes2D:centers,colors Scalars:scalars" */
      const char *name = e->components.list[c], *colon = strrchr(name, ':');
      size_t size = colon == NULL ? 0 : (size_t)(colon - name) + 1;
      bool same = c > 0 && size > 0 && size == archetype_size && strncmp(name, archetype, size) == 0;
      out_text(o, c == 0 ? "" : same ? "," : " ");
      const char *shown = same ? name + size : name;
      out_printable(o, shown, strlen(shown));
      archetype = name;
      archetype_size = size;
    }
    table_next(t);
  }
}

/* Values are those of the chunks that were looked at: the others may reach further. */
static void timelines(const info *i, table *t)
{
  bool exact = tally_is_exact(&i->total);
  for (size_t n = 0; n < i->timeline_count; n++) {
    const info_timeline *line = &i->timelines[n];
    int64_t ends[2] = {line->min, line->max};
    cell_recording(i, t, line->store);
    table_text(t, line->name);
    table_text(t, info_timeline_kind(line->kind));
    out *rows = table_cell(t);
    if (exact)
      out_uint(rows, line->rows);
    table_next(t);
    for (int end = 0; end < 2; end++) {
      out *o = table_cell(t);
      if (line->kind == RK_TIMELINE_TIMESTAMP)
        out_time(o, ends[end]);
      else if (line->kind == RK_TIMELINE_DURATION)
        out_format(o, "%.9g s", (double)ends[end] / 1e9);
      else
        out_int(o, ends[end]);
      table_next(t);
    }
  }
}

static void compression(const info *i, table *t)
{
  out *o = table_cell(t);
  out_uint(o, i->total.chunks);
  out_text(o, " chunks");
  if (!tally_is_exact(&i->total))
    out_format(o, ", %" PRIu64 " looked at", i->total.described_chunks);
  out_format(o, ": %" PRIu64 " LZ4, %" PRIu64 " plain", i->chunks_by_compression[RK_COMPRESSION_LZ4],
             i->chunks_by_compression[RK_COMPRESSION_NONE]);
  if (i->total.chunks > 0)
    out_format(o, ", %.1f rows each", (double)i->total.rows / (double)i->total.chunks);
  table_next(t);
  cell_size(t, i->total.uncompressed_size);
  cell_size(t, i->total.described_size);
  cell_ratio(t, &i->total);
}

/* What writers refused with full rings: one line, where there is any. */
static void dropped(const info *i, out *o, bool coloured)
{
  uint64_t total = 0;
  for (size_t n = 0; n < i->writer_count; n++)
    total += i->writers[n].writer == NULL ? 0 : i->writers[n].writer->dropped_rows;
  if (total == 0)
    return;
  out_format(o, "%sDropped%s: %" PRIu64 " rows refused by full rings, by writer", coloured ? "\033[1;31m" : "",
             coloured ? "\033[0m" : "", total);
  for (size_t n = 0; n < i->writer_count; n++) {
    const info_writer *w = &i->writers[n];
    if (w->writer != NULL && w->writer->dropped_rows > 0) {
      out_char(o, ' ');
      out_hex32(o, w->tag);
      out_format(o, ": %" PRIu64, w->writer->dropped_rows);
    }
  }
  out_char(o, '\n');
}

typedef struct section {
  const char *title;
  const char *heads[16];
  void (*fill)(const info *, table *);
} section;

void info_text(const info *i, out *o, size_t most, const lanes_style *style)
{
  size_t width = style->width;
  bool coloured = style->coloured;
  static const section sections[] = {
      {"Recordings",
       {"application", "recording", "kind", ">rows", ">in spools", "first row", "length", NULL},
       recordings},
      {"Inputs", {">size", ">compressed", ">chunks", ">rows", ">ratio", "state", ">shift", "file", NULL}, input_files},
      {"Writers",
       {"recording", "id", "host", ">pid", ">tid", "program", "thread", ">rows", ">in spools", ">size", ">first",
        ">last", NULL},
       writers},
      {"Timelines", {"recording", "name", "kind", ">rows", "from", "to", NULL}, timelines},
      {"Entities", {"recording", "entity", ">rows", ">size", ">ratio", ">rate", "components", NULL}, entities},
      {"Compression", {"stored as", ">plain", ">stored", ">ratio", NULL}, compression},
  };
  for (size_t n = 0; n < sizeof sections / sizeof sections[0]; n++) {
    table t;
    table_init(&t, sections[n].title, sections[n].heads);
    sections[n].fill(i, &t);
    table_print(&t, o, width, coloured);
    table_free(&t);
    if (n == 1)
      lanes_text(i, o, most, style);
  }
  dropped(i, o, coloured);
  if (i->total.spool_rows > 0)
    out_format(o, "%sSpools%s: %" PRIu64 " rows of writers that died before they were appended\n",
               coloured ? "\033[1m" : "", coloured ? "\033[0m" : "", i->total.spool_rows);
  if (i->stats.loss_count > 0) {
    out_format(o, "%sLost%s: %" PRIu64 " places, ", coloured ? "\033[1;31m" : "", coloured ? "\033[0m" : "",
               i->stats.loss_count);
    out_size(o, i->stats.lost_size);
    out_text(o, "\n");
  }
}
