/* Lanes as JSON: rows by bin, and the stretches that are marked. */
#include "tools/info/lanes.h"
#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/rows.h"

enum { BINS = 120 };

static void put_value(out *o, const info *i, int64_t value)
{
  rows_time_cell(o, &(rk_time_cell){.kind = i->axis, .value = value});
}

static void put_events(out *o, const info *i, const char *key, const lane_event *list, size_t count, bool chunks)
{
  json_key(o, false, key);
  out_char(o, '[');
  for (size_t n = 0; n < count; n++) {
    out_text(o, n == 0 ? "{\"from\":" : ",{\"from\":");
    put_value(o, i, list[n].from);
    out_text(o, ",\"to\":");
    put_value(o, i, list[n].to);
    if (chunks) {
      out_text(o, ",\"first_chunk\":");
      out_uint(o, list[n].first);
      out_text(o, ",\"chunks\":");
      out_uint(o, list[n].count);
    }
    out_char(o, '}');
  }
  out_char(o, ']');
}

static void put_list(out *o, const lanes *l, const lane *list, size_t count)
{
  const info *i = l->info;
  out_char(o, '[');
  for (size_t n = 0; n < count; n++) {
    const lane *one = &list[n];
    out_text(o, n == 0 ? "{" : ",{");
    switch (one->kind) {
    case LANE_WRITER:
      out_text(o, "\"id\":\"");
      out_hex32(o, i->writers[one->number].tag);
      out_char(o, '"');
      break;
    case LANE_ENTITY:
      out_text(o, "\"entity\":");
      json_text(o, i->entities[one->number].path);
      out_text(o, ",\"recording_id\":");
      json_text(o, i->entities[one->number].store->recording_id);
      break;
    case LANE_OTHERS:
      out_text(o, "\"others\":");
      out_uint(o, one->number);
      break;
    case LANE_UNKNOWN:
      out_text(o, "\"id\":null");
    }
    out_text(o, ",\"rows\":");
    out_uint(o, one->rows);
    out_text(o, ",\"spool_rows\":");
    out_uint(o, one->spool_rows);
    out_text(o, ",\"bins\":[");
    for (size_t bin = 0; bin < l->bin_count; bin++) {
      if (bin > 0)
        out_char(o, ',');
      out_double(o, (double)(int64_t)(one->bins[bin] * 1000 + 0.5) / 1000); /* shares of chunks: no more is known */
    }
    out_char(o, ']');
    put_events(o, i, "gaps", one->gaps, one->gap_count, false);
    if (one->kind == LANE_WRITER)
      put_events(o, i, "missing", one->missing, one->missing_count, true);
    out_char(o, '}');
  }
  out_char(o, ']');
}

void lanes_json(const info *i, out *o, size_t most)
{
  lanes all;
  lanes_choose(&all, i, most);
  if (all.begin > all.end) {
    out_text(o, "null");
    lanes_free(&all);
    return;
  }
  lanes_fill(&all, BINS);
  out_text(o, "{\"timeline\":");
  json_text(o, i->options.timeline == NULL ? "log_time" : i->options.timeline);
  out_text(o, ",\"begin\":");
  put_value(o, i, all.begin);
  out_text(o, ",\"end\":");
  put_value(o, i, all.end);
  out_text(o, ",\"bin_size\":");
  out_double(o, lanes_bin_size(&all));
  out_text(o, ",\"writers\":");
  put_list(o, &all, all.writers, all.writer_count);
  out_text(o, ",\"entities\":");
  put_list(o, &all, all.entities, all.entity_count);
  out_char(o, '}');
  lanes_free(&all);
}
