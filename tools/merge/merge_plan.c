/* What merging would meet: inputs, clocks, overlap, memory. */
#include "tools/merge/merge_job.h"
#include "tools/print/json.h"
#include "tools/print/line.h"
#include "tools/print/number.h"
#include "tools/print/text_table.h"
#include "tools/terminal.h"

typedef struct plan {
  const rk_input_info *const *inputs;
  const rk_host_clock *const *clocks;
  size_t input_count, clock_count;
  rk_merge_plan merge;
  rk_reader_stats stats;
  uint64_t max_memory;
} plan;

static void cell_count(table *t, uint64_t value)
{
  out_uint(table_cell(t), value);
  table_next(t);
}

static void cell_size(table *t, uint64_t size)
{
  out_size(table_cell(t), size);
  table_next(t);
}

static void out_signed_duration(out *o, int64_t ns)
{
  if (ns > 0)
    out_char(o, '+');
  out_duration(o, ns);
}

/* Nothing where it is 0. */
static void cell_shift(table *t, int64_t ns)
{
  out *o = table_cell(t);
  if (ns != 0)
    out_signed_duration(o, ns);
  table_next(t);
}

static void cell_time(table *t, bool known, int64_t ns)
{
  out *o = table_cell(t);
  if (known)
    out_time(o, ns);
  table_next(t);
}

static void print_inputs(const plan *p, out *o, size_t width, bool coloured)
{
  static const char *const heads[] = {">size", ">stored", ">chunks", ">rows", "first",
                                      ">span", ">shift",  "state",   "input", NULL};
  table t;
  table_init(&t, "Inputs", heads);
  for (size_t i = 0; i < p->input_count; i++) {
    const rk_input_info *in = p->inputs[i];
    bool in_time = in->min_ns <= in->max_ns;
    cell_size(&t, in->size);
    out *cell = table_cell(&t);
    if (in->compressed && in->stored_size > 0)
      out_size(cell, in->stored_size);
    table_next(&t);
    cell_count(&t, in->chunk_count);
    cell_count(&t, in->row_count);
    cell_time(&t, in_time, in->min_ns);
    cell = table_cell(&t);
    if (in_time)
      out_duration(cell, in->max_ns - in->min_ns);
    table_next(&t);
    cell_shift(&t, in->shift_ns);
    table_text(&t, in->live ? "live" : in->finished ? "finished" : "");
    table_text(&t, in->name);
  }
  table_print(&t, o, width, coloured);
  table_free(&t);
}

static void print_clocks(const plan *p, out *o, size_t width, bool coloured)
{
  static const char *const heads[] = {"host",   "boot",   ">pairs", "first", ">span", ">wall - log_time",
                                      ">drift", ">steps", NULL};
  table t;
  table_init(&t, "Clocks", heads);
  for (size_t i = 0; i < p->clock_count; i++) {
    const rk_host_clock *c = p->clocks[i];
    table_text(&t, c->host);
    out_printable(table_cell(&t), c->boot_id, strnlen(c->boot_id, 8));
    table_next(&t);
    cell_count(&t, c->pair_count);
    cell_time(&t, c->pair_count > 0, c->first_ns);
    out_duration(table_cell(&t), c->last_ns - c->first_ns);
    table_next(&t);
    out_signed_duration(table_cell(&t), c->first_ahead_ns);
    table_next(&t);
    cell_shift(&t, c->last_ahead_ns - c->first_ahead_ns);
    out *cell = table_cell(&t);
    if (c->step_count > 0)
      out_uint(cell, c->step_count);
    table_next(&t);
  }
  table_print(&t, o, width, coloured);
  table_free(&t);
  static const char *const step_heads[] = {"host", "boot", "at", ">by", NULL};
  table_init(&t, "Steps of wall clocks", step_heads);
  for (size_t i = 0; i < p->clock_count; i++)
    for (size_t s = 0; s < p->clocks[i]->step_count; s++) {
      const rk_host_clock *c = p->clocks[i];
      table_text(&t, c->host);
      out_printable(table_cell(&t), c->boot_id, strnlen(c->boot_id, 8));
      table_next(&t);
      cell_time(&t, true, c->steps[s].at_ns);
      out_signed_duration(table_cell(&t), c->steps[s].by_ns);
      table_next(&t);
    }
  table_print(&t, o, width, coloured);
  table_free(&t);
}

/* What is in the line's scratch, after its name. */
static void print_line(out *o, line *l, const char *name)
{
  line_text(l, "  ");
  line_styled(l, "2", name);
  line_pad(l, 13);
  line_scratch(l);
  line_print(l, o);
  line_clear(l);
}

static void print_merge(const plan *p, out *o, size_t width, bool coloured)
{
  const rk_merge_plan *m = &p->merge;
  line l;
  line_init(&l, width, coloured);
  line_styled(&l, "1;36", "Merge");
  line_print(&l, o);
  line_clear(&l);
  out *v = &l.scratch;
  out_uint(v, m->rows);
  out_text(v, m->rows == 1 ? " row in " : " rows in ");
  out_uint(v, m->chunks);
  out_text(v, m->chunks == 1 ? " chunk" : " chunks");
  print_line(o, &l, "pass");
  if (m->min_ns <= m->max_ns) {
    out_time(v, m->min_ns);
    out_text(v, " to ");
    out_time(v, m->max_ns);
    out_text(v, ", ");
    out_duration(v, m->max_ns - m->min_ns);
    print_line(o, &l, "time");
  }
  out_uint(v, m->undecoded_chunks);
  out_text(v, m->undecoded_chunks == 1 ? " chunk (" : " chunks (");
  out_size(v, m->undecoded_bytes);
  out_text(v, ") as they are, undecoded");
  print_line(o, &l, "taken");
  if (m->repeated_chunks > 0) {
    out_uint(v, m->repeated_chunks);
    out_text(v, m->repeated_chunks == 1 ? " chunk is there" : " chunks are there");
    out_text(v, " more than once");
    print_line(o, &l, "repeated");
  }
  out_text(v, "at most ");
  out_size(v, m->overlap_size);
  out_text(v, " of chunks at one time");
  if (m->overlap_size > 0 && m->min_ns <= m->max_ns) {
    out_text(v, ", ");
    out_signed_duration(v, m->overlap_ns - m->min_ns);
    out_text(v, " after the first row");
  }
  print_line(o, &l, "overlap");
  out_size(v, p->max_memory);
  if (m->spill_size > 0) {
    out_text(v, " to sort in; by the index very roughly ");
    out_size(v, m->spill_size);
    out_text(v, " would go through temporary files");
  } else {
    out_text(v, " to sort in; by the index nothing would go through temporary files");
  }
  print_line(o, &l, "memory");
  line_free(&l);
}

static void put_clock(out *o, const rk_host_clock *c)
{
  out_char(o, '{');
  json_key(o, true, "host");
  json_text(o, c->host);
  merge_json_text(o, "boot_id", c->boot_id);
  merge_json_number(o, "pairs", c->pair_count);
  merge_json_time(o, "first", c->pair_count > 0, c->first_ns);
  merge_json_time(o, "last", c->pair_count > 0, c->last_ns);
  json_key(o, false, "first_ahead_ns");
  out_int(o, c->first_ahead_ns);
  json_key(o, false, "last_ahead_ns");
  out_int(o, c->last_ahead_ns);
  json_key(o, false, "steps");
  out_char(o, '[');
  for (size_t s = 0; s < c->step_count; s++) {
    out_text(o, s == 0 ? "{\"at\":\"" : ",{\"at\":\"");
    out_time(o, c->steps[s].at_ns);
    out_text(o, "\",\"by_ns\":");
    out_int(o, c->steps[s].by_ns);
    out_char(o, '}');
  }
  out_text(o, "]}");
}

static void print_json(const plan *p, out *o)
{
  const rk_merge_plan *m = &p->merge;
  bool in_time = m->min_ns <= m->max_ns;
  out_text(o, "{\"inputs\":[");
  for (size_t i = 0; i < p->input_count; i++) {
    if (i > 0)
      out_char(o, ',');
    merge_json_input(o, p->inputs[i]);
    out_char(o, '}');
  }
  out_text(o, "],\"clocks\":[");
  for (size_t i = 0; i < p->clock_count; i++) {
    if (i > 0)
      out_char(o, ',');
    put_clock(o, p->clocks[i]);
  }
  out_text(o, "],\"merge\":{");
  json_key(o, true, "rows");
  out_uint(o, m->rows);
  merge_json_number(o, "chunks", m->chunks);
  merge_json_time(o, "first", in_time, m->min_ns);
  merge_json_time(o, "last", in_time, m->max_ns);
  merge_json_number(o, "repeated_chunks", m->repeated_chunks);
  merge_json_number(o, "undecoded_chunks", m->undecoded_chunks);
  merge_json_number(o, "undecoded_size", m->undecoded_bytes);
  merge_json_number(o, "overlap_size", m->overlap_size);
  merge_json_time(o, "overlap_at", in_time && m->overlap_size > 0, m->overlap_ns);
  merge_json_number(o, "max_memory", p->max_memory);
  merge_json_number(o, "spill_size", m->spill_size);
  out_text(o, "},\"losses\":{");
  json_key(o, true, "count");
  out_uint(o, p->stats.loss_count);
  merge_json_number(o, "size", p->stats.lost_size);
  out_text(o, "}}\n");
}

bool merge_plan_print(const merge_request *r, const inputs *in, out *o)
{
  plan p = {.max_memory = r->selection.max_memory != 0 ? r->selection.max_memory : UINT64_C(256) << 20};
  rk_error error = {.offset = RK_NO_OFFSET};
  if (rk_reader_plan(in->reader, &r->merge, &p.merge, &error) != RK_OK) {
    cli_error_record(NULL, &error);
    return false;
  }
  terminal_progress_end();
  p.inputs = rk_reader_inputs(in->reader, &p.input_count);
  p.clocks = rk_reader_host_clocks(in->reader, &p.clock_count);
  rk_reader_get_stats(in->reader, &p.stats);
  if (r->json) {
    print_json(&p, o);
    return true;
  }
  size_t width = terminal_width(o->fd);
  bool coloured = terminal_coloured(o->fd, COLOUR_AUTO);
  print_inputs(&p, o, width, coloured);
  print_clocks(&p, o, width, coloured);
  print_merge(&p, o, width, coloured);
  return true;
}
