/* Decoding ahead: chunks that will be due soon are read and decoded by the threads of the reader's pool, in the order
 * of their smallest keys, which is nearly the order in which the timeline opens them. Whatever was not decoded ahead is
 * decoded when it is opened. */
#include <stdlib.h>

#include "reader/pool.h"
#include "reader/timeline/chunk_load.h"
#include "reader/timeline/timeline_internal.h"

/* Of the memory for what is open. */
#define AHEAD_SHARE 8

typedef struct slot {
  rk_task task; /* first */
  rk_chunk_load load;
  rk_entry *entry; /* NULL: free */
  uint64_t size;
  uint64_t turn; /* of `turns`, when it was begun */
} slot;

struct rk_ahead {
  rk_pool *pool;
  rk_entry **schedule; /* by smallest key */
  size_t count, next;
  slot *slots;
  size_t slot_count;
  uint64_t size, size_max; /* of what the slots hold, roughly */
  uint64_t turns;          /* chunks opened so far */
};

static void run(rk_task *task)
{
  rk_chunk_load_run(&((slot *)(void *)task)->load);
}

static int compare_entries(const void *left, const void *right)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  return a->min_ns < b->min_ns ? -1 : a->min_ns > b->min_ns;
}

rk_status rk_ahead_make(rk_reader *reader, rk_timeline_state *t)
{
  const unsigned threads = reader->pool ? rk_pool_threads(reader->pool) : 1;
  if (threads < 2 || reader->filters.timeline) {
    return RK_OK;
  }
  rk_ahead *ahead = t->ahead = calloc(1, sizeof *ahead);
  if (!ahead) {
    return RK_ERR_NO_MEMORY;
  }
  ahead->pool = reader->pool;
  ahead->slot_count = 2 * threads + 2;
  ahead->slots = calloc(ahead->slot_count, sizeof *ahead->slots);
  ahead->schedule = malloc((reader->entries.count + 1) * sizeof(rk_entry *));
  if (!ahead->slots || !ahead->schedule) {
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < reader->entries.count; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    if (!entry->bare && rk_filter_entry(reader, entry)) {
      ahead->schedule[ahead->count++] = entry;
    }
  }
  qsort(ahead->schedule, ahead->count, sizeof(rk_entry *), compare_entries);
  ahead->size_max = t->budget / AHEAD_SHARE;
  t->budget -= ahead->size_max;
  return RK_OK;
}

static void drop(rk_ahead *ahead, slot *s)
{
  (void)rk_pool_cancel(ahead->pool, &s->task);
  rk_open_chunk_release(s->load.open);
  ahead->size -= s->size;
  s->entry = NULL;
}

void rk_ahead_free(rk_timeline_state *t)
{
  rk_ahead *ahead = t->ahead;
  if (!ahead) {
    return;
  }
  for (size_t i = 0; ahead->slots && i < ahead->slot_count; i++) {
    if (ahead->slots[i].entry) {
      drop(ahead, &ahead->slots[i]);
    }
  }
  free(ahead->slots);
  free(ahead->schedule);
  free(ahead);
  t->ahead = NULL;
}

/* The next chunk to decode; NULL: none, or the next does not fit. */
static rk_entry *next_entry(const rk_timeline_state *t, rk_ahead *ahead)
{
  for (; ahead->next < ahead->count; ahead->next++) {
    rk_entry *entry = ahead->schedule[ahead->next];
    if (!entry->opened && !entry->lost && (!entry->offered || t->refused)) {
      return ahead->size + entry->size + entry->uncompressed_size <= ahead->size_max ? entry : NULL;
    }
  }
  return NULL;
}

/* Begins as many as there is room for. What was begun and was not asked for since may never be: it goes. */
static void fill(rk_reader *reader, rk_timeline_state *t, rk_ahead *ahead)
{
  for (size_t i = 0; i < ahead->slot_count; i++) {
    slot *s = &ahead->slots[i];
    if (s->entry && s->turn + 8 * ahead->slot_count < ahead->turns) {
      drop(ahead, s);
    }
    rk_entry *entry = s->entry ? NULL : next_entry(t, ahead);
    if (!entry || rk_chunk_load_begin(reader, entry, &s->load) != RK_OK) {
      continue;
    }
    ahead->next++;
    s->entry = entry;
    s->turn = ahead->turns;
    s->size = (uint64_t)entry->size + entry->uncompressed_size;
    ahead->size += s->size;
    s->task.run = run;
    rk_pool_submit(ahead->pool, &s->task);
  }
}

rk_status rk_ahead_load(rk_reader *reader, rk_timeline_state *t, rk_entry *entry, rk_open_chunk **open, rk_error *error)
{
  rk_ahead *ahead = t->ahead;
  if (!ahead) {
    return rk_open_chunk_load(reader, entry, open, error);
  }
  ahead->turns++;
  slot *s = NULL;
  for (size_t i = 0; i < ahead->slot_count && !s; i++) {
    s = ahead->slots[i].entry == entry ? &ahead->slots[i] : NULL;
  }
  rk_status status;
  if (s) {
    rk_pool_wait(ahead->pool, &s->task);
    ahead->size -= s->size;
    s->entry = NULL;
    status = rk_chunk_load_finish(reader, &s->load, open, error);
  } else {
    entry->opened = true;
    status = rk_open_chunk_load(reader, entry, open, error);
  }
  fill(reader, t, ahead);
  return status;
}
