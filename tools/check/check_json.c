/* rrd-check's report as JSON: one object on one line for each file. */
#include <inttypes.h>

#include "tools/check/check_report.h"
#include "tools/print/json.h"

static void number(out *o, const char *key, uint64_t value)
{
  json_key(o, false, key);
  out_format(o, "%" PRIu64, value);
}

static void flag(out *o, const char *key, bool value)
{
  json_key(o, false, key);
  out_text(o, value ? "true" : "false");
}

static void writer(out *o, uint32_t tag)
{
  json_key(o, false, "writer");
  if (tag == 0)
    out_text(o, "null");
  else
    out_format(o, "\"%08" PRIx32 "\"", tag);
}

static void loss(out *o, const check_loss *l)
{
  out_char(o, '{');
  json_key(o, true, "input");
  json_text(o, l->input);
  number(o, "offset", l->offset);
  number(o, "length", l->length);
  json_key(o, false, "reason");
  json_text(o, l->reason);
  writer(o, l->writer);
  out_char(o, '}');
}

static const char *kind_name(rk_finding_kind kind)
{
  switch (kind) {
  case RK_FINDING_CHUNKS_MISSING:
    return "chunks-missing";
  case RK_FINDING_ROWS_MISSING:
    return "rows-missing";
  case RK_FINDING_CHUNK_ABSENT:
    return "chunk-absent";
  case RK_FINDING_WRITER_UNKNOWN:
    return "writer-unknown";
  case RK_FINDING_CHUNK_CONFLICT:
    return "chunk-conflict";
  case RK_FINDING_CHUNK_REPEATED:
    return "chunk-repeated";
  }
  return "unknown";
}

static void finding(out *o, const rk_finding *f)
{
  out_char(o, '{');
  json_key(o, true, "kind");
  json_text(o, kind_name(f->kind));
  writer(o, f->writer);
  if (f->kind != RK_FINDING_WRITER_UNKNOWN && f->kind != RK_FINDING_CHUNK_ABSENT) {
    number(o, "first", f->first);
    number(o, "last", f->last);
  }
  if (f->kind == RK_FINDING_ROWS_MISSING || f->kind == RK_FINDING_CHUNK_ABSENT)
    number(o, "rows", f->rows);
  if (f->input != NULL) {
    json_key(o, false, "input");
    json_text(o, f->input);
    number(o, "offset", f->offset);
    number(o, "length", f->length);
  }
  out_char(o, '}');
}

void check_print_json(out *o, check_report *report)
{
  const rk_verify_report *v = &report->verified;
  out_char(o, '{');
  json_key(o, true, "file");
  json_text(o, report->file);
  json_key(o, false, "verdict");
  json_text(o, v->sound ? "sound" : "damaged");
  json_key(o, false, "state");
  json_text(o, v->live ? "live" : v->finished ? "finished" : "unfinished");
  flag(o, "fast", report->fast);
  number(o, "bytes", report->size);
  number(o, "frames", v->frame_count);
  number(o, "fillers", v->filler_count);
  number(o, "chunks", v->chunk_count);
  number(o, "unsealed_chunks", v->unsealed_chunk_count);
  number(o, "repeated_chunks", v->repeated_chunk_count);
  number(o, "conflicting_chunks", v->conflict_count);
  number(o, "missing_chunks", v->missing_chunk_count);
  number(o, "rows", v->row_count);
  number(o, "missing_rows", v->missing_row_count);
  number(o, "spool_rows", v->spool_row_count);
  number(o, "spool_writers", v->spool_writer_count);
  number(o, "writers", v->writer_count);
  number(o, "judged_writers", v->judged_writer_count);
  number(o, "unknown_writers", v->unknown_writer_count);
  number(o, "lost_ranges", v->loss_count);
  number(o, "lost_bytes", v->lost_size);
  number(o, "pending_bytes", v->pending_size);
  json_key(o, false, "losses");
  out_char(o, '[');
  for (size_t i = 0; i < report->loss_count; i++) {
    if (i > 0)
      out_char(o, ',');
    loss(o, &report->losses[i]);
  }
  out_char(o, ']');
  json_key(o, false, "findings");
  out_char(o, '[');
  for (size_t i = 0; i < report->finding_count; i++) {
    if (i > 0)
      out_char(o, ',');
    finding(o, &report->findings[i]);
  }
  out_text(o, "]}\n");
}

void check_print_json_failure(out *o, const char *file, const char *message)
{
  out_char(o, '{');
  json_key(o, true, "file");
  json_text(o, file);
  json_key(o, false, "verdict");
  json_text(o, "failed");
  json_key(o, false, "error");
  json_text(o, message);
  out_text(o, "}\n");
}
