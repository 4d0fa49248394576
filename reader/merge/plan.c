/* What merging would meet, from the index alone: rows and chunks, repeats, overlap in time, what passes undecoded. */
#include <stdlib.h>
#include <string.h>

#include "format/error.h"
#include "reader/merge/merge_internal.h"
#include "reader/timeline/timeline_internal.h"

/* What one input's chunks are like, by one of them. */
typedef struct sample {
  bool taken, known;
  rk_compression compression;
} sample;

typedef struct planning {
  rk_reader *reader;
  rk_merge_options options;
  rk_merge_limits limits;
  rk_merge_plan *plan;
  rk_entry **entries;
  size_t count;
  sample *samples; /* by input number */
} planning;

/* ---- Repeats ---- */

static int compare_numbers(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const uint64_t keys[][2] = {{rk_entry_recording(context, a), rk_entry_recording(context, b)},
                              {a->writer, b->writer},
                              {a->numbered, b->numbered},
                              {a->numbered ? a->chunk_number : 0, b->numbered ? b->chunk_number : 0},
                              {a->first_row, b->first_row},
                              {a->row_count, b->row_count},
                              {a->place, b->place}};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (keys[i][0] != keys[i][1]) {
      return keys[i][0] < keys[i][1] ? -1 : 1;
    }
  }
  return 0;
}

static void count_repeats(planning *p)
{
  qsort_r(p->entries, p->count, sizeof(rk_entry *), compare_numbers, p->reader);
  for (size_t i = 1; i < p->count; i++) {
    const rk_entry *entry = p->entries[i];
    p->plan->repeated_chunks +=
        entry->sealed && entry->writer != 0 && compare_numbers(&p->entries[i - 1], &p->entries[i], p->reader) == 0;
  }
}

/* ---- What passes ---- */

static bool has_compression(planning *p, rk_entry *entry)
{
  sample *s = &p->samples[entry->input->number];
  if (!s->taken) {
    rk_merge_peek peek;
    s->taken = true;
    s->known = rk_merge_peek_entry(entry, &peek);
    s->compression = peek.compression;
  }
  return s->known && s->compression == p->options.compression;
}

static bool stays_undecoded(planning *p, rk_entry *entry)
{
  if (p->options.recode || !entry->offered || !has_compression(p, entry)) {
    return false;
  }
  if (entry->numbered) {
    return rk_merge_is_large(&p->options, entry);
  }
  return entry->row_count == p->limits.rows || entry->uncompressed_size >= p->limits.size;
}

/* ---- Overlap ---- */

static int compare_minima(const void *left, const void *right)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  return a->min_ns < b->min_ns ? -1 : a->min_ns > b->min_ns;
}

static void push(rk_entry **heap, size_t at, rk_entry *entry)
{
  while (at > 0 && entry->max_ns < heap[(at - 1) / 2]->max_ns) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = entry;
}

static rk_entry *pop(rk_entry **heap, size_t count)
{
  rk_entry *first = heap[0];
  rk_entry *moving = heap[count - 1];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < count - 1; at = child) {
    child += child + 1 < count - 1 && heap[child + 1]->max_ns < heap[child]->max_ns;
    if (moving->max_ns <= heap[child]->max_ns) {
      break;
    }
    heap[at] = heap[child];
  }
  heap[at] = moving;
  return first;
}

/* Sweeps over the times of chunks: a chunk is open from its smallest key to its largest. */
static rk_status sweep(planning *p, uint64_t budget)
{
  rk_entry **open = malloc((p->count + 1) * sizeof(rk_entry *));
  if (open == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  qsort(p->entries, p->count, sizeof(rk_entry *), compare_minima);
  size_t open_count = 0;
  uint64_t size = 0, held = 0; /* of what is open, and of what of it is in memory */
  for (size_t i = 0; i < p->count; i++) {
    rk_entry *entry = p->entries[i];
    if (stays_undecoded(p, entry)) {
      p->plan->undecoded_chunks++;
      p->plan->undecoded_bytes += entry->size;
      continue;
    }
    while (open_count > 0 && open[0]->max_ns < entry->min_ns) {
      const uint64_t closed = pop(open, open_count--)->uncompressed_size;
      size -= closed;
      held -= closed < held ? closed : held;
    }
    push(open, open_count++, entry);
    size += entry->uncompressed_size;
    held += entry->uncompressed_size;
    if (size > p->plan->overlap_size) {
      p->plan->overlap_size = size;
      p->plan->overlap_ns = entry->min_ns;
    }
    if (held > budget) { /* all of it is sorted into the file */
      p->plan->spill_size += held;
      held = 0;
    }
  }
  free((void *)open);
  return RK_OK;
}

static rk_status make_plan(planning *p)
{
  rk_reader *reader = p->reader;
  rk_merge_plan *plan = p->plan;
  const size_t total = reader->entries.count;
  p->entries = malloc((total + 1) * sizeof(rk_entry *));
  p->samples = calloc(reader->inputs.count + 1, sizeof *p->samples);
  if (p->entries == NULL || p->samples == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < total; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    if (entry->bare || !rk_filter_entry(reader, entry)) {
      continue;
    }
    p->entries[p->count++] = entry;
    plan->rows += entry->row_count;
    if (!entry->is_static) {
      plan->min_ns = entry->min_ns < plan->min_ns ? entry->min_ns : plan->min_ns;
      plan->max_ns = entry->max_ns > plan->max_ns ? entry->max_ns : plan->max_ns;
    }
  }
  plan->chunks = p->count;
  count_repeats(p);
  rk_status status = rk_timeline_mark_offers(reader);
  return status == RK_OK ? sweep(p, rk_timeline_budget(reader)) : status;
}

rk_status rk_reader_plan(rk_reader *reader, const rk_merge_options *options, rk_merge_plan *plan, rk_error *error)
{
  if (reader == NULL || plan == NULL || reader->timeline != NULL || reader->filters.timeline != NULL ||
      reader->follow) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a plan needs a reader that could be merged");
  }
  *plan = (rk_merge_plan){.min_ns = INT64_MAX, .max_ns = INT64_MIN};
  planning p = {.reader = reader, .options = rk_merge_defaults(options), .plan = plan};
  const bool as_it_was = reader->blueprints_first;
  reader->blueprints_first = true; /* as merging has them */
  p.limits = (rk_merge_limits){.rows = p.options.chunk_rows,
                               .size = rk_merge_limit(&p.options, rk_merge_count_entities(reader))};
  const rk_status status = make_plan(&p);
  reader->blueprints_first = as_it_was;
  free((void *)p.entries);
  free(p.samples);
  return status == RK_OK ? RK_OK : rk_fail(error, status, RK_NO_OFFSET, "no memory to plan");
}
