/* Which chunks may be taken whole and undecoded: those whose hull of keys overlaps no other chunk of their place. */
#include <stdlib.h>

#include "reader/timeline/timeline_internal.h"

static bool admitted(rk_reader *reader, const rk_entry *entry)
{
  return !entry->bare && rk_filter_entry(reader, entry);
}

/* By store and entity, then by smallest key. */
static int compare_places(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  if (a->place != b->place) {
    const rk_place *x = rk_entry_place(context, a);
    const rk_place *y = rk_entry_place(context, b);
    if (x->store != y->store) {
      return (uintptr_t)x->store < (uintptr_t)y->store ? -1 : 1;
    }
    if (x->entity_hash != y->entity_hash) {
      return x->entity_hash < y->entity_hash ? -1 : 1;
    }
  }
  return a->min_ns < b->min_ns ? -1 : a->min_ns > b->min_ns;
}

static bool same_place(const rk_reader *reader, const rk_entry *a, const rk_entry *b)
{
  const rk_place *x = rk_entry_place(reader, a);
  const rk_place *y = rk_entry_place(reader, b);
  return x == y || (x->store == y->store && x->entity_hash == y->entity_hash);
}

static void mark_alone(const rk_reader *reader, rk_entry **entries, size_t count)
{
  const rk_entry *last = NULL; /* of the place so far, the one that reaches furthest */
  for (size_t i = 0; i < count; i++) {
    rk_entry *entry = entries[i];
    const bool first = !last || !same_place(reader, last, entry);
    const bool behind = first || entry->min_ns > last->max_ns;
    const bool before =
        i + 1 == count || !same_place(reader, entry, entries[i + 1]) || entries[i + 1]->min_ns > entry->max_ns;
    entry->offered = entry->offered && behind && before;
    last = first || entry->max_ns > last->max_ns ? entry : last;
  }
}

/* By writer, then by first row. */
static int compare_writers(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const int order = rk_entry_compare_writers(context, a, b);
  if (order != 0) {
    return order;
  }
  if (a->first_row != b->first_row) {
    return a->first_row < b->first_row ? -1 : 1;
  }
  return a->min_ns < b->min_ns ? -1 : a->min_ns > b->min_ns;
}

/* A writer whose keys may step back is clamped: its chunks are not what they seem. */
static void unmark_unsteady(const rk_reader *reader, rk_entry **entries, size_t count)
{
  for (size_t i = 0; i < count;) {
    size_t end = i;
    bool steady = true;
    int64_t before = INT64_MIN;
    do {
      if (!entries[end]->is_static) {
        steady = steady && entries[end]->min_ns >= before;
        before = entries[end]->min_ns;
      }
      end++;
    } while (end < count && rk_entry_compare_writers(reader, entries[end], entries[i]) == 0);
    for (; i < end; i++) {
      entries[i]->offered = entries[i]->offered && (steady || entries[i]->writer == 0);
    }
  }
}

/* Whether the index alone shows that all rows of the entry pass, as they are. */
static bool passes_whole(const rk_reader *reader, const rk_entry *entry)
{
  const rk_filters *filters = &reader->filters;
  return entry->sealed && !entry->told && entry->input->shift_ns == 0 &&
         ((!filters->entities && !filters->excluded) || rk_entry_path(reader, entry)) &&
         (!filters->has_since || entry->is_static || entry->min_ns >= filters->since_ns) &&
         (!filters->has_until || entry->is_static || entry->max_ns < filters->until_ns);
}

rk_status rk_timeline_mark_offers(rk_reader *reader)
{
  const rk_filters *filters = &reader->filters;
  if (filters->writers || filters->timeline || reader->wall_clock || reader->dropped_timeline_count > 0 ||
      reader->application_id || reader->recording_id || reader->follow) {
    return RK_OK;
  }
  const size_t total = reader->entries.count;
  rk_entry **entries = malloc((total + 1) * sizeof *entries);
  if (!entries) {
    return RK_ERR_NO_MEMORY;
  }
  size_t count = 0;
  bool known = true;
  for (size_t i = 0; i < total; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    if (admitted(reader, entry)) {
      entry->offered = passes_whole(reader, entry);
      known = known && rk_entry_place(reader, entry)->entity_hash != 0;
      entries[count++] = entry;
    }
  }
  if (known) {
    qsort_r(entries, count, sizeof *entries, compare_places, reader);
    mark_alone(reader, entries, count);
    qsort_r(entries, count, sizeof *entries, compare_writers, reader);
    unmark_unsteady(reader, entries, count);
  }
  for (size_t i = 0; i < count && !known; i++) {
    entries[i]->offered = false;
  }
  free(entries);
  return RK_OK;
}
