/* rrd-check's report as text: one line a loss, with the chunks and rows that are missing by it where that is known. */
#include <inttypes.h>
#include <stdlib.h>

#include "tools/check/check_report.h"
#include "tools/cli.h"
#include "tools/terminal.h"

#define NO_LOSS ((size_t)-1)
enum { RANGES_SHOWN = 8 };

/* The findings of one writer that belong together: missing chunks and rows. */
typedef struct missing {
  size_t begin, end; /* of the findings; those of other kinds are passed over */
  size_t loss;       /* the one loss that explains them, or NO_LOSS */
} missing;

static int compare_losses(const void *left, const void *right)
{
  const check_loss *a = left, *b = right;
  int order = strcmp(a->input, b->input);
  return order != 0 ? order : a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The number of losses of `input` before `offset`, and of all inputs before it. */
static size_t losses_before(const check_report *r, const char *input, uint64_t offset)
{
  size_t low = 0, high = r->loss_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    check_loss key = {.input = (char *)(uintptr_t)input, .offset = offset};
    if (compare_losses(&r->losses[middle], &key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The only loss that begins in the range. */
static size_t loss_within(const check_report *r, const rk_finding *f)
{
  if (f->input == NULL)
    return NO_LOSS;
  size_t first = losses_before(r, f->input, f->offset), end = losses_before(r, f->input, f->offset + f->length);
  return end - first == 1 ? first : NO_LOSS;
}

/* The loss that holds the range's first byte. */
static size_t loss_around(const check_report *r, const rk_finding *f)
{
  size_t after = losses_before(r, f->input, f->offset + 1);
  if (after == 0)
    return NO_LOSS;
  const check_loss *l = &r->losses[after - 1];
  return strcmp(l->input, f->input) == 0 && f->offset - l->offset < l->length ? after - 1 : NO_LOSS;
}

/* " chunks 3-4 7" of the findings of that kind; false: there are none. */
static bool ranges(out *o, const check_report *r, const missing *m, rk_finding_kind kind, const char *one,
                   const char *many)
{
  uint64_t total = 0;
  size_t count = 0;
  for (size_t i = m->begin; i < m->end; i++)
    if (r->findings[i].kind == kind) {
      total += r->findings[i].last - r->findings[i].first + 1;
      count++;
    }
  if (count == 0)
    return false;
  out_format(o, " %s", total == 1 ? one : many);
  size_t shown = 0;
  for (size_t i = m->begin; i < m->end && shown < RANGES_SHOWN; i++) {
    const rk_finding *f = &r->findings[i];
    if (f->kind != kind)
      continue;
    out_format(o, " %" PRIu64, f->first);
    if (f->last > f->first)
      out_format(o, "-%" PRIu64, f->last);
    shown++;
  }
  if (count > shown)
    out_text(o, " ...");
  if (count > 1)
    out_format(o, " (%" PRIu64 ")", total);
  return true;
}

static void chunks_and_rows(out *o, const check_report *r, const missing *m)
{
  size_t before = o->size;
  ranges(o, r, m, RK_FINDING_CHUNKS_MISSING, "chunk", "chunks");
  bool chunks = o->size > before;
  if (chunks)
    out_char(o, ',');
  if (!ranges(o, r, m, RK_FINDING_ROWS_MISSING, "row", "rows") && chunks)
    o->size--;
}

/* Findings in groups of one writer's missing chunks and rows; *count groups. */
static missing *group(const check_report *r, size_t *count)
{
  missing *groups = cli_realloc(NULL, r->finding_count, sizeof *groups);
  *count = 0;
  for (size_t i = 0; i < r->finding_count;) {
    const rk_finding *f = &r->findings[i];
    missing m = {.begin = i, .loss = NO_LOSS};
    size_t chunk_gaps = 0, gap = 0, wanted = 0;
    for (; i < r->finding_count && r->findings[i].writer == f->writer; i++) {
      rk_finding_kind kind = r->findings[i].kind;
      wanted += kind == RK_FINDING_CHUNKS_MISSING || kind == RK_FINDING_ROWS_MISSING;
      if (kind == RK_FINDING_CHUNKS_MISSING) {
        chunk_gaps++;
        gap = i;
      }
    }
    m.end = i;
    if (chunk_gaps == 1) /* of several gaps, none is known to be the one that a row was in */
      m.loss = loss_within(r, &r->findings[gap]);
    if (wanted > 0)
      groups[(*count)++] = m;
  }
  return groups;
}

static int compare_missing(const void *left, const void *right)
{
  const missing *a = left, *b = right;
  return a->loss != b->loss ? (a->loss < b->loss ? -1 : 1) : a->begin < b->begin ? -1 : a->begin > b->begin;
}

static void print_writer(out *o, uint32_t tag)
{
  if (tag == 0)
    out_text(o, " -");
  else
    out_format(o, " %08" PRIx32, tag);
}

/* Losses with what is missing by them, then what is missing without a loss. */
static void print_losses(out *o, check_report *r)
{
  size_t count;
  if (r->loss_count > 0)
    qsort(r->losses, r->loss_count, sizeof *r->losses, compare_losses);
  missing *groups = group(r, &count);
  uint64_t *footer_rows = cli_realloc(NULL, r->loss_count, sizeof *footer_rows); /* by loss */
  memset(footer_rows, 0, r->loss_count * sizeof *footer_rows);
  qsort(groups, count, sizeof *groups, compare_missing);
  for (size_t i = 0; i < r->finding_count; i++)
    if (r->findings[i].kind == RK_FINDING_CHUNK_ABSENT && r->loss_count > 0) {
      size_t loss = loss_around(r, &r->findings[i]);
      if (loss != NO_LOSS)
        footer_rows[loss] += r->findings[i].rows;
    }
  size_t next = 0;
  for (size_t i = 0; i < r->loss_count; i++) {
    const check_loss *l = &r->losses[i];
    out_text(o, cli_printable(l->input));
    out_format(o, ":%" PRIu64 "+%" PRIu64 " %s", l->offset, l->length, cli_printable(l->reason));
    bool explained = next < count && groups[next].loss == i;
    uint32_t writer = l->writer;
    if (writer == 0 && explained && !(next + 1 < count && groups[next + 1].loss == i))
      writer = r->findings[groups[next].begin].writer;
    print_writer(o, writer);
    for (; next < count && groups[next].loss == i; next++) {
      uint32_t whose = r->findings[groups[next].begin].writer;
      if (whose != writer)
        print_writer(o, whose);
      chunks_and_rows(o, r, &groups[next]);
    }
    if (!explained && footer_rows[i] > 0)
      out_format(o, " %" PRIu64 " row%s", footer_rows[i], footer_rows[i] == 1 ? "" : "s");
    out_char(o, '\n');
  }
  for (; next < count; next++) {
    const rk_finding *first = &r->findings[groups[next].begin];
    out_format(o, "%s: missing of writer %08" PRIx32 ":", cli_printable(r->file), first->writer);
    chunks_and_rows(o, r, &groups[next]);
    out_char(o, '\n');
  }
  free(footer_rows);
  free(groups);
}

static void print_others(out *o, const check_report *r)
{
  for (size_t i = 0; i < r->finding_count; i++) {
    const rk_finding *f = &r->findings[i];
    const char *what = f->kind == RK_FINDING_CHUNK_CONFLICT   ? "shares its number or rows with another chunk"
                       : f->kind == RK_FINDING_CHUNK_REPEATED ? "repeats another chunk; its rows are read once"
                                                              : NULL;
    if (what != NULL)
      out_format(o, "%s:%" PRIu64 "+%" PRIu64 " chunk %" PRIu64 " %s %08" PRIx32 "\n", cli_printable(f->input),
                 f->offset, f->length, f->first, what, f->writer);
    else if (f->kind == RK_FINDING_WRITER_UNKNOWN)
      out_format(o, "%s: the record of writer %08" PRIx32 " is missing\n", cli_printable(r->file), f->writer);
    else if (f->kind == RK_FINDING_CHUNK_ABSENT && (r->loss_count == 0 || loss_around(r, f) == NO_LOSS))
      out_format(o, "%s:%" PRIu64 "+%" PRIu64 " a chunk that the footer tells of is not there - %" PRIu64 " rows\n",
                 cli_printable(f->input), f->offset, f->length, f->rows);
  }
}

static void counted(out *o, const char *before, uint64_t count, const char *what)
{
  out_format(o, "%s%" PRIu64 " %s%s", before, count, what, count == 1 ? "" : "s");
}

static void print_summary(out *o, const check_report *r)
{
  const rk_verify_report *v = &r->verified;
  out_format(o, "%s: %s, %s", cli_printable(r->file), v->sound ? "sound" : "damaged",
             v->live       ? "live"
             : v->finished ? "finished"
                           : "not finished");
  counted(o, ": ", v->frame_count, "frame");
  counted(o, ", ", v->chunk_count, "chunk");
  counted(o, ", ", v->row_count, "row");
  counted(o, ", ", v->writer_count, "writer");
  if (v->missing_chunk_count > 0)
    counted(o, ", missing ", v->missing_chunk_count, "chunk");
  if (v->missing_row_count > 0)
    counted(o, ", missing ", v->missing_row_count, "row");
  if (v->judged_writer_count > 0 && v->missing_chunk_count == 0 && v->missing_row_count == 0 && v->loss_count == 0)
    out_text(o, ", no gaps");
  if (v->loss_count > 0) {
    counted(o, ", lost ", v->lost_size, "byte");
    counted(o, " in ", v->loss_count, "place");
  }
  if (v->filler_count > 0)
    counted(o, ", ", v->filler_count, "filler");
  if (v->repeated_chunk_count > 0)
    counted(o, ", ", v->repeated_chunk_count, "repeated chunk");
  if (v->conflict_count > 0)
    counted(o, ", ", v->conflict_count, "conflicting chunk");
  if (v->pending_size > 0)
    counted(o, ", not judged, for they are still being written: ", v->pending_size, "byte");
  if (v->spool_row_count > 0) {
    counted(o, "; ", v->spool_row_count, "row");
    counted(o, " of these in the spools of ", v->spool_writer_count, "dead writer");
  }
  if (v->chunk_count > 0 && v->unsealed_chunk_count == v->chunk_count)
    out_text(o, "; no seals: only structure and contents could be judged");
  else if (v->unsealed_chunk_count > 0)
    counted(o, "; judged without a seal: ", v->unsealed_chunk_count, "chunk");
  if (r->fast)
    out_text(o, "; fast: contents not judged");
  out_char(o, '\n');
}

void check_print_text(out *o, check_report *report)
{
  terminal_progress_end();
  print_losses(o, report);
  print_others(o, report);
  print_summary(o, report);
}
