/* Verifying: every chunk's hash and contents, and the sequence of every writer by the numbers in seals and row ids. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/error.h"
#include "reader/verify/row_set.h"
#include "reader/verify/verify.h"

/* Runs of one writer's row numbers that are kept apart. Its rows come nearly in order; those of hostile inputs need
 * not. */
#define RUNS_MAX ((size_t)1 << 22)

/* A writer at judgement. */
typedef struct sequence {
  rk_entry **entries; /* its chunks by number */
  size_t count;
  bool judged; /* its chunks are numbered, and not all of them in merged recordings */
  bool live;
  bool damaged;     /* chunk numbers are missing, so missing rows are lost and not merely still to come */
  rk_row_set rows;  /* numbers of the rows that are there */
  rk_row_run *runs; /* of the chunk at hand */
  size_t runs_capacity;
  uint64_t settled; /* row numbers below it were judged already */
} sequence;

void rk_verify_find(rk_verifying *v, const rk_finding *finding)
{
  rk_verify_report *report = v->report;
  switch (finding->kind) {
  case RK_FINDING_CHUNKS_MISSING:
    report->missing_chunk_count += finding->last - finding->first + 1;
    break;
  case RK_FINDING_ROWS_MISSING:
    report->missing_row_count += finding->rows;
    break;
  case RK_FINDING_CHUNK_ABSENT:
    v->footer_rows += finding->rows;
    break;
  case RK_FINDING_WRITER_UNKNOWN:
    report->unknown_writer_count++;
    break;
  case RK_FINDING_CHUNK_CONFLICT:
    report->conflict_count++;
    break;
  case RK_FINDING_CHUNK_REPEATED:
    report->repeated_chunk_count++;
    break;
  }
  if (v->options->on_finding) {
    v->options->on_finding(v->options->context, finding);
  }
}

static rk_status progress(rk_verifying *v, uint64_t size)
{
  v->done += size;
  return !v->options->on_progress || v->options->on_progress(v->options->context, v->done, v->total) ? RK_OK : RK_END;
}

/* Checks a chunk; *open is NULL when it was not decoded: fast, or damaged (then entry->lost). */
static rk_status check_chunk(rk_verifying *v, rk_entry *entry, rk_open_chunk **open, rk_error *error)
{
  *open = NULL;
  if (entry->lost) {
    return progress(v, entry->size);
  }
  rk_error failed = {.offset = RK_NO_OFFSET, .message = ""};
  const bool decode = entry->told || (entry->sealed && !v->options->fast); /* others were decoded to be indexed */
  rk_status status = decode ? rk_open_chunk_load(v->reader, entry, open, &failed) : rk_open_chunk_check(entry, &failed);
  if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
    failed.status = status;
    if (failed.message[0] == '\0') {
      return rk_fail(error, status, RK_NO_OFFSET, "%s", rk_status_text(status));
    }
    if (error) {
      *error = failed;
    }
    return status;
  }
  if (status) {
    entry->lost = true;
    rk_reader_lose(v->reader, entry->input, entry->offset, entry->size, status,
                   failed.message[0] ? failed.message : rk_status_text(status), entry->writer);
  } else {
    v->report->chunk_count++;
    v->report->row_count += entry->bare ? 0 : entry->row_count;
    v->report->unsealed_chunk_count += !entry->sealed;
    v->report->spool_row_count += entry->input->owned && !entry->bare ? entry->row_count : 0;
    if (*open && v->chunk_ids) {
      v->chunk_ids[rk_verify_entry_from(v->reader, entry->input, entry->offset)] = (*open)->chunk.id;
    }
  }
  status = progress(v, entry->size);
  if (status && *open) {
    rk_open_chunk_release(*open);
    *open = NULL;
  }
  return status;
}

/* ---- Rows of a writer ---- */

static void find_rows(rk_verifying *v, const sequence *s, uint64_t first, uint64_t end)
{
  if (first < end) {
    rk_verify_find(v, &(rk_finding){.kind = RK_FINDING_ROWS_MISSING,
                                    .writer = s->entries[0]->writer,
                                    .first = first,
                                    .last = end - 1,
                                    .rows = end - first});
  }
}

/* Judges the first `count` runs and what lies before and between them, and forgets them. */
static void settle_rows(rk_verifying *v, sequence *s, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    find_rows(v, s, s->settled, s->rows.runs[i].first);
    s->settled = (uint64_t)s->rows.runs[i].last + 1;
  }
  if (count == 0) {
    return;
  }
  s->rows.count -= count;
  memmove(s->rows.runs, s->rows.runs + count, s->rows.count * sizeof *s->rows.runs);
}

/* Takes the chunk's row numbers in. *known: how many of them another chunk has, too. */
static bool take_rows(rk_verifying *v, sequence *s, const rk_open_chunk *open, uint64_t *known)
{
  const size_t count = (size_t)open->chunk.row_count;
  size_t size = 0;
  *known = 0;
  if (!rk_row_runs_reserve(&s->runs, &s->runs_capacity, count)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const size_t row = open->order ? open->order[i] : i;
    const uint32_t number = (uint32_t)rk_load_u64_be(open->chunk.row_ids + row * RK_TUID_SIZE + 8);
    if (number < s->settled) {
      continue;
    }
    if (size > 0 && number <= s->runs[size - 1].last) {
      ++*known; /* twice in one chunk */
    } else if (size > 0 && number == s->runs[size - 1].last + 1) {
      s->runs[size - 1].last = number;
    } else {
      s->runs[size++] = (rk_row_run){number, number};
    }
  }
  uint64_t elsewhere;
  if (!rk_row_set_add(&s->rows, s->runs, size, &elsewhere)) {
    return false;
  }
  *known += elsewhere;
  if (s->rows.count > RUNS_MAX) {
    settle_rows(v, s, s->rows.count / 2);
  }
  return true;
}

/* ---- Chunks of a writer ---- */

static void find_chunk(rk_verifying *v, rk_finding_kind kind, const rk_entry *entry)
{
  rk_verify_find(v, &(rk_finding){.kind = kind,
                                  .writer = entry->writer,
                                  .first = entry->chunk_number,
                                  .last = entry->chunk_number,
                                  .input = entry->input->name,
                                  .offset = entry->offset,
                                  .length = entry->size});
}

/* Numbers [first, entry's) are not there. */
static void find_gap(rk_verifying *v, sequence *s, uint64_t first, const rk_entry *before, const rk_entry *entry)
{
  rk_finding finding = {.kind = RK_FINDING_CHUNKS_MISSING,
                        .writer = entry->writer,
                        .first = first,
                        .last = (uint64_t)entry->chunk_number - 1};
  const uint64_t from = before ? before->offset + before->size : 0;
  if ((!before || before->input == entry->input) && !entry->input->owned && from <= entry->offset) {
    finding.input = entry->input->name;
    finding.offset = from;
    finding.length = entry->offset - from;
  }
  s->damaged = true;
  rk_verify_find(v, &finding);
}

/* Tells a chunk's contents from another's: all of them when it was decoded, else what its seal says. */
static uint64_t content(const rk_reader *reader, const rk_entry *entry, const rk_open_chunk *open)
{
  const uint64_t entity_hash = rk_entry_place(reader, entry)->entity_hash;
  const uint64_t facts[] = {entity_hash,
                            entry->row_count,
                            entry->first_row,
                            (uint64_t)entry->min_ns,
                            (uint64_t)entry->max_ns,
                            open ? open->chunk.id.time_ns : 0,
                            open ? open->chunk.id.inc : 0};
  return XXH3_64bits_withSeed(facts, sizeof facts, open ? XXH3_64bits(open->payload_data, open->payload_size) : 0);
}

static bool number_is_shared(const sequence *s, size_t i)
{
  const uint32_t number = s->entries[i]->chunk_number;
  return (i > 0 && s->entries[i - 1]->chunk_number == number) ||
         (i + 1 < s->count && s->entries[i + 1]->chunk_number == number);
}

static rk_status judge_chunks(rk_verifying *v, sequence *s, rk_error *error)
{
  const rk_entry *before = NULL; /* the last sound one */
  uint64_t expected = 0;
  uint64_t before_content = 0;
  for (size_t i = 0; i < s->count; i++) {
    rk_entry *entry = s->entries[i];
    rk_open_chunk *open;
    rk_status status = check_chunk(v, entry, &open, error);
    if (status) {
      return status;
    }
    if (entry->lost || !s->judged) {
      if (open) {
        rk_open_chunk_release(open);
      }
      continue;
    }
    const uint64_t this_content = number_is_shared(s, i) ? content(v->reader, entry, open) : 0;
    const bool in_spool = entry->input->owned != NULL; /* adopted meanwhile, its rows are in other chunks, too */
    const bool single = entry->numbered && !in_spool;
    const bool same_number = single && before && before->chunk_number == entry->chunk_number;
    const bool repeated = same_number && this_content == before_content;
    bool conflict = same_number && !repeated;
    if (entry->chunk_number > expected) {
      find_gap(v, s, expected, before, entry);
    }
    expected = (uint64_t)entry->chunk_number + 1;
    if (repeated) {
      v->report->chunk_count--;
      v->report->row_count -= entry->bare ? 0 : entry->row_count;
      find_chunk(v, RK_FINDING_CHUNK_REPEATED, entry);
    } else if (open) {
      uint64_t known;
      if (!take_rows(v, s, open, &known)) {
        status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to verify");
      }
      conflict = conflict || (known > 0 && single);
    }
    if (conflict) {
      find_chunk(v, RK_FINDING_CHUNK_CONFLICT, entry);
    }
    if (open) {
      rk_open_chunk_release(open);
    }
    if (status) {
      return status;
    }
    before = entry;
    before_content = this_content;
  }
  return RK_OK;
}

static rk_status judge_writer(rk_verifying *v, sequence *s, rk_error *error)
{
  s->judged = s->live = s->damaged = false;
  s->settled = 0;
  rk_row_set_clear(&s->rows);
  for (size_t i = 0; i < s->count; i++) {
    s->judged = s->judged || (s->entries[i]->numbered && !s->entries[i]->input->merged);
    s->live = s->live || s->entries[i]->input->live;
  }
  const rk_status status = judge_chunks(v, s, error);
  if (status) {
    return status;
  }
  const rk_entry *known = NULL;
  bool in_spool = false;
  for (size_t i = 0; i < s->count; i++) {
    if (!s->entries[i]->lost) {
      known = s->entries[i];
      in_spool = in_spool || known->input->owned;
    }
  }
  v->report->spool_writer_count += in_spool;
  v->report->judged_writer_count += s->judged && known;
  if (known && !rk_index_writer(v->reader, rk_entry_store(v->reader, known), known->writer)) {
    v->report->writer_count++;
    if (s->judged) {
      rk_verify_find(v, &(rk_finding){.kind = RK_FINDING_WRITER_UNKNOWN, .writer = known->writer});
    }
  }
  /* While chunks may still come, a row between others is one of theirs: no chunk that came after them is there. */
  if (s->judged && (s->damaged || !s->live)) {
    settle_rows(v, s, s->rows.count);
  }
  return RK_OK;
}

/* ---- All of them ---- */

static bool has_sequence(const rk_entry *entry)
{
  return entry->sealed && entry->writer != 0;
}

/* Chunks without sequence first, in file order; then writer by writer, chunks by number. */
static int compare_entries(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const bool sequenced = has_sequence(a);
  if (sequenced != has_sequence(b)) {
    return sequenced ? 1 : -1;
  }
  const uint64_t x = rk_entry_recording(context, a);
  const uint64_t y = rk_entry_recording(context, b);
  if (sequenced && x != y) {
    return x < y ? -1 : 1;
  }
  if (sequenced && a->writer != b->writer) {
    return a->writer < b->writer ? -1 : 1;
  }
  if (sequenced && a->chunk_number != b->chunk_number) {
    return a->chunk_number < b->chunk_number ? -1 : 1;
  }
  if (a->input->number != b->input->number) {
    return a->input->number < b->input->number ? -1 : 1;
  }
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static rk_status verify_chunks(rk_verifying *v, rk_entry **sorted, size_t count, rk_error *error)
{
  size_t i = 0;
  for (; i < count && !has_sequence(sorted[i]); i++) {
    rk_open_chunk *open;
    const rk_status status = check_chunk(v, sorted[i], &open, error);
    if (status) {
      return status;
    }
    if (open) {
      rk_open_chunk_release(open);
    }
  }
  sequence s = {0};
  rk_status status = RK_OK;
  while (i < count && status == RK_OK) {
    size_t end = i + 1;
    while (end < count && rk_entry_compare_writers(v->reader, sorted[end], sorted[i]) == 0) {
      end++;
    }
    s.entries = sorted + i;
    s.count = end - i;
    status = judge_writer(v, &s, error);
    i = end;
  }
  rk_row_set_free(&s.rows);
  free(s.runs);
  return status;
}

static rk_status verify(rk_verifying *v, rk_error *error)
{
  rk_reader *reader = v->reader;
  const size_t count = reader->entries.count;
  const bool keep_ids = reader->footers.count > 0 && !v->options->fast;
  rk_entry **sorted = calloc(count + 1, sizeof *sorted);
  v->chunk_ids = keep_ids ? calloc(count + 1, sizeof *v->chunk_ids) : NULL;
  if (!sorted || (keep_ids && !v->chunk_ids)) {
    free((void *)sorted);
    free(v->chunk_ids);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to verify");
  }
  for (size_t i = 0; i < count; i++) {
    sorted[i] = rk_entry_at(reader, i);
    v->total += sorted[i]->size;
  }
  qsort_r((void *)sorted, count, sizeof *sorted, compare_entries, reader);
  rk_status status = verify_chunks(v, sorted, count, error);
  status = status ? status : rk_verify_footers(v, error);
  free((void *)sorted);
  free(v->chunk_ids);
  return status;
}

rk_status rk_reader_verify(rk_reader *reader, const rk_verify_options *options, rk_verify_report *report,
                           rk_error *error)
{
  if (!reader || !report || reader->timeline) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a reader is verified before its first row is read");
  }
  static const rk_verify_options defaults;
  *report = (rk_verify_report){.finished = reader->inputs.count > 0, .writer_count = reader->writer_list.count};
  rk_verifying v = {.reader = reader, .options = options ? options : &defaults, .report = report};
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count; i++) {
    report->live = report->live || inputs[i]->live;
    report->finished = report->finished && inputs[i]->finished;
  }
  const rk_status status = verify(&v, error);
  if (v.footer_rows > report->missing_row_count) { /* both tell of the same rows */
    report->missing_row_count = v.footer_rows;
  }
  report->frame_count = reader->stats.frame_count;
  for (size_t i = 0; i < reader->entries.count; i++) {
    report->frame_count -= rk_entry_at(reader, i)->lost;
  }
  report->filler_count = reader->stats.filler_count;
  report->loss_count = reader->stats.loss_count;
  report->lost_size = reader->stats.lost_size;
  report->pending_size = reader->stats.pending_size;
  report->sound = status == RK_OK && report->loss_count == 0 && report->missing_chunk_count == 0 &&
                  report->missing_row_count == 0 && report->conflict_count == 0 && report->unknown_writer_count == 0;
  return status;
}
