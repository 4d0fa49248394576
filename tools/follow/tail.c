/* The last rows of many, as they are printed. */
#include "tools/follow/tail.h"

#include <stdlib.h>

#include "tools/cli.h"

typedef struct kept_row {
  char *data;
  size_t size;
} kept_row;

struct tail {
  uint64_t rows;
  bool headed;
  kept_row *items; /* a ring once there are `rows` of them */
  size_t count, capacity, oldest;
  out next;
  out heading; /* of rows before the oldest */
};

tail *tail_new(uint64_t rows, bool headed)
{
  tail *t = cli_realloc(NULL, 1, sizeof *t);
  *t = (tail){.rows = rows, .headed = headed};
  out_init(&t->next, -1);
  out_init(&t->heading, -1);
  return t;
}

out *tail_begin(tail *t)
{
  t->next.size = 0;
  return &t->next;
}

/* Of the lines before the last. */
static size_t heading_size(const tail *t, const char *row, size_t size)
{
  while (size > 1 && row[size - 2] != '\n')
    size--;
  return t->headed && size > 1 ? size - 1 : 0;
}

static void leave(tail *t, const char *row, size_t size)
{
  size_t heading = heading_size(t, row, size);
  if (heading == 0)
    return;
  t->heading.size = 0;
  out_bytes(&t->heading, row, heading);
}

void tail_end(tail *t)
{
  if (t->next.error != 0)
    cli_realloc(NULL, SIZE_MAX, 2); /* out of memory: said as everywhere */
  const out *row = &t->next;
  if (t->rows == 0) {
    leave(t, row->data, row->size);
    return;
  }
  size_t at = t->count;
  if (t->count == t->rows) {
    at = t->oldest;
    leave(t, t->items[at].data, t->items[at].size);
    t->oldest = (t->oldest + 1) % t->count;
  } else {
    if (t->count == t->capacity) {
      t->capacity = t->capacity == 0 ? 16 : t->capacity * 2;
      t->items = cli_realloc(t->items, t->capacity, sizeof *t->items);
    }
    t->items[t->count++] = (kept_row){0};
  }
  kept_row *kept = &t->items[at];
  kept->data = cli_realloc(kept->data, row->size, 1); /* no larger than it need be */
  memcpy(kept->data, row->data, row->size);
  kept->size = row->size;
}

void tail_print(tail *t, out *o)
{
  if (t->count == 0 || heading_size(t, t->items[t->oldest].data, t->items[t->oldest].size) == 0)
    out_bytes(o, t->heading.data, t->heading.size);
  for (size_t i = 0; i < t->count; i++) {
    const kept_row *row = &t->items[(t->oldest + i) % t->count];
    out_bytes(o, row->data, row->size);
  }
}

typedef struct start {
  int64_t ns;
  uint64_t rows;
} start;

static int later_first(const void *a, const void *b)
{
  int64_t x = ((const start *)a)->ns, y = ((const start *)b)->ns;
  return (x < y) - (x > y);
}

bool tail_start(rk_reader *reader, uint64_t rows, bool blueprints, int64_t *since_ns)
{
  start *starts = NULL;
  size_t count = 0;
  const rk_chunk_info *chunk;
  while (rk_reader_next_indexed(reader, &chunk) == RK_OK) {
    if (chunk->is_static || chunk->row_count == 0 || chunk->min_ns > chunk->max_ns ||
        (chunk->store->kind != RK_STORE_RECORDING && !blueprints))
      continue;
    if ((count & (count - 1)) == 0)
      starts = cli_realloc(starts, count == 0 ? 1 : count * 2, sizeof *starts);
    starts[count++] = (start){chunk->min_ns, chunk->row_count};
  }
  if (count > 0)
    qsort(starts, count, sizeof *starts, later_first);
  uint64_t found = 0;
  size_t at = 0;
  for (; at < count && found < rows; at++) {
    *since_ns = starts[at].ns;
    found += starts[at].rows;
  }
  free(starts);
  return at < count && found >= rows;
}

void tail_free(tail *t)
{
  if (t == NULL)
    return;
  for (size_t i = 0; i < t->count; i++)
    free(t->items[i].data);
  free(t->items);
  out_free(&t->next);
  out_free(&t->heading);
  free(t);
}
