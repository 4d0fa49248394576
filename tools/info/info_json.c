/* What the inputs hold, as one JSON object whose members are stable. */
#include "tools/info/lanes.h"
#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/rows.h"
#include "tools/when.h"

static void put_text(out *o, bool first, const char *key, const char *value)
{
  json_key(o, first, key);
  json_text(o, value);
}

static void put_number(out *o, bool first, const char *key, uint64_t value)
{
  json_key(o, first, key);
  out_uint(o, value);
}

static void put_moment(out *o, const char *key, const tally *t, int64_t ns)
{
  json_key(o, false, key);
  if (t->min_ns > t->max_ns) {
    out_text(o, "null");
    return;
  }
  out_char(o, '"');
  out_time(o, ns);
  out_char(o, '"');
}

/* The members that every tally shows, after others. */
static void put_tally(out *o, const tally *t)
{
  put_number(o, false, "rows", t->rows);
  put_number(o, false, "static_rows", t->static_rows);
  put_number(o, false, "spool_rows", t->spool_rows);
  put_number(o, false, "chunks", t->chunks);
  put_number(o, false, "size", t->size);
  json_key(o, false, "uncompressed_size");
  if (tally_is_exact(t))
    out_uint(o, t->uncompressed_size);
  else
    out_text(o, "null");
  put_moment(o, "first", t, t->min_ns);
  put_moment(o, "last", t, t->max_ns);
  json_key(o, false, "rate_hz");
  out_double(o, tally_rate(t));
}

static void put_id(out *o, bool first, const char *key, uint32_t tag)
{
  json_key(o, first, key);
  out_char(o, '"');
  out_hex32(o, tag);
  out_char(o, '"');
}

static void open_item(out *o, size_t n)
{
  out_text(o, n == 0 ? "{" : ",{");
}

static void put_recordings(const info *i, out *o)
{
  for (size_t n = 0; n < i->recording_count; n++) {
    const info_recording *r = &i->recordings[n];
    open_item(o, n);
    put_text(o, true, "kind", r->store->kind == RK_STORE_BLUEPRINT ? "blueprint" : "recording");
    put_text(o, false, "application_id", r->store->application_id);
    put_text(o, false, "recording_id", r->store->recording_id);
    put_tally(o, &r->tally);
    out_char(o, '}');
  }
}

static void put_writers(const info *i, out *o)
{
  for (size_t n = 0; n < i->writer_count; n++) {
    const info_writer *w = &i->writers[n];
    open_item(o, n);
    put_id(o, true, "id", w->tag);
    if (w->writer == NULL) {
      out_text(o, ",\"recording_id\":null,\"host\":null,\"boot_id\":null,\"pid\":null,\"tid\":null,\"program\":null,"
                  "\"thread\":null,\"start\":null,\"dropped_rows\":null");
    } else {
      put_text(o, false, "recording_id", w->writer->store->recording_id);
      put_text(o, false, "host", w->writer->host);
      put_text(o, false, "boot_id", w->writer->boot_id);
      json_key(o, false, "pid");
      out_int(o, w->writer->pid);
      json_key(o, false, "tid");
      out_int(o, w->writer->tid);
      put_text(o, false, "program", w->writer->program);
      put_text(o, false, "thread", w->writer->thread);
      json_key(o, false, "start");
      out_char(o, '"');
      out_time(o, w->writer->start_ns);
      out_char(o, '"');
      json_key(o, false, "dropped_rows");
      out_uint(o, w->writer->dropped_rows);
    }
    put_tally(o, &w->tally);
    out_char(o, '}');
  }
}

static void put_entities(const info *i, out *o)
{
  for (size_t n = 0; n < i->entity_count; n++) {
    const info_entity *e = &i->entities[n];
    open_item(o, n);
    put_text(o, true, "entity", e->path);
    put_text(o, false, "recording_id", e->store->recording_id);
    put_tally(o, &e->tally);
    json_key(o, false, "components");
    out_char(o, '{');
    for (size_t c = 0; c < e->components.count; c++) {
      json_key(o, c == 0, e->components.list[c]);
      if (tally_is_exact(&e->tally))
        out_uint(o, e->component_rows[c]);
      else
        out_text(o, "null");
    }
    out_text(o, "}}");
  }
}

static void put_timelines(const info *i, out *o)
{
  for (size_t n = 0; n < i->timeline_count; n++) {
    const info_timeline *t = &i->timelines[n];
    open_item(o, n);
    put_text(o, true, "name", t->name);
    put_text(o, false, "recording_id", t->store->recording_id);
    put_text(o, false, "kind", info_timeline_kind(t->kind));
    json_key(o, false, "min");
    rows_time_cell(o, &(rk_time_cell){t->name, t->kind, t->min});
    json_key(o, false, "max");
    rows_time_cell(o, &(rk_time_cell){t->name, t->kind, t->max});
    json_key(o, false, "rows");
    if (tally_is_exact(&i->total))
      out_uint(o, t->rows);
    else
      out_text(o, "null");
    out_char(o, '}');
  }
}

void info_json(const info *i, out *o, size_t most)
{
  out_text(o, "{\"inputs\":[");
  size_t count;
  const rk_input_info *const *files = rk_reader_inputs(i->inputs->reader, &count);
  for (size_t n = 0; n < count && n < i->inputs->count; n++) {
    const rk_input_info *in = files[n];
    open_item(o, n);
    put_text(o, true, "name", in->name);
    put_number(o, false, "input_size", in->size);
    put_number(o, false, "stored_size", in->stored_size);
    out_text(o, in->compressed ? ",\"compressed\":true" : ",\"compressed\":false");
    out_text(o, in->live ? ",\"live\":true" : ",\"live\":false");
    out_text(o, in->finished ? ",\"finished\":true" : ",\"finished\":false");
    json_key(o, false, "shift_ns");
    out_int(o, in->shift_ns);
    put_tally(o, &i->input_tallies[n]);
    out_char(o, '}');
  }
  out_text(o, "],\"recordings\":[");
  put_recordings(i, o);
  out_text(o, "],\"writers\":[");
  put_writers(i, o);
  out_text(o, "],\"entities\":[");
  put_entities(i, o);
  out_text(o, "],\"timelines\":[");
  put_timelines(i, o);
  out_text(o, "],\"compression\":{");
  put_number(o, true, "lz4_chunks", i->chunks_by_compression[RK_COMPRESSION_LZ4]);
  put_number(o, false, "none_chunks", i->chunks_by_compression[RK_COMPRESSION_NONE]);
  put_number(o, false, "described_chunks", i->total.described_chunks);
  put_number(o, false, "size", i->total.described_size);
  put_number(o, false, "uncompressed_size", i->total.uncompressed_size);
  json_key(o, false, "ratio");
  out_double(o,
             i->total.described_size == 0 ? 1 : (double)i->total.uncompressed_size / (double)i->total.described_size);
  out_text(o, "},\"losses\":{");
  put_number(o, true, "count", i->stats.loss_count);
  put_number(o, false, "size", i->stats.lost_size);
  out_text(o, "},\"total\":{");
  put_number(o, true, "input_size", i->stats.input_size);
  put_number(o, false, "unsealed_chunks", i->unsealed_chunks);
  put_tally(o, &i->total);
  out_text(o, "},\"lanes\":");
  lanes_json(i, o, most);
  out_text(o, "}\n");
}
