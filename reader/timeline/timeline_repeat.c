/* Rows one by one: whether a row is the one before once more, and whether it is to be yielded at all. */
#include <stdlib.h>

#include "reader/timeline/timeline_internal.h"

bool rk_row_has_components(const rk_open_chunk *open, uint32_t row)
{
  if (open->dense) {
    return true;
  }
  size_t i = 0;
  while (i < open->chunk.component_count && !rk_row_has_component(open, i, row)) {
    i++;
  }
  return i < open->chunk.component_count;
}

static const rk_writer_entry *writer_of(const rk_reader *reader, rk_open_chunk *open, uint32_t tag)
{
  if (!open->has_writer || open->writer_tag != tag) {
    open->writer = rk_index_writer(reader, open->store, tag);
    open->writer_tag = tag;
    open->has_writer = open->writer != NULL || !reader->follow; /* its record may still come */
  }
  return open->writer;
}

static rk_entry *origin_of(const rk_open_chunk *open, uint32_t row)
{
  return open->origins ? open->origins[open->origin_index[row]].entry : open->origin;
}

bool rk_row_judge(const rk_reader *reader, const rk_cursor *c, int64_t key, const rk_writer_entry **writer)
{
  const uint32_t tag = (uint32_t)(c->inc >> 32);
  *writer = writer_of(reader, c->open, tag);
  /* A seal, too, tells that the row is a writer's. */
  const bool known = *writer || !reader->filters.writers || origin_of(c->open, c->row)->writer != 0;
  return rk_row_has_components(c->open, c->row) && rk_filter_row(reader, c->open, known ? tag : 0, key);
}

static bool same_names(const rk_list *list, const rk_open_chunk *open, uint32_t row)
{
  const char *const *names = list->items;
  size_t n = 0;
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    if (rk_row_has_component(open, i, row)) {
      if (n == list->count || names[n] != open->chunk.components[i].name) {
        return false;
      }
      n++;
    }
  }
  return n == list->count;
}

bool rk_last_row_same(const rk_last_row *last, const rk_open_chunk *open, uint32_t row)
{
  const bool is_static = open->chunk.timeline_count == 0;
  if (last->open) {
    return last->open->store == open->store && last->open->entity_path == open->entity_path &&
           (last->open->chunk.timeline_count == 0) == is_static &&
           rk_row_compare_components(last->open, last->row, open, row) == 0;
  }
  return last->store == open->store && last->entity_path == open->entity_path && last->is_static == is_static &&
         same_names(&last->names, open, row);
}

/* The last bytes of a sealed frame are the hash of all others. */
static bool same_frame(const rk_entry *a, const rk_entry *b)
{
  uint64_t x, y;
  return a->sealed && b->sealed && a->size == b->size &&
         rk_source_read(&a->input->source, a->offset + a->size - sizeof x, &x, sizeof x) == RK_OK &&
         rk_source_read(&b->input->source, b->offset + b->size - sizeof y, &y, sizeof y) == RK_OK && x == y;
}

void rk_last_row_repeated(rk_last_row *last, const rk_cursor *c)
{
  rk_entry *a = last->open ? origin_of(last->open, last->row) : last->origin;
  rk_entry *b = origin_of(c->open, c->row);
  if (a == b || (a->contested && b->contested)) {
    return;
  }
  bool alike = last->alike[0] == a && last->alike[1] == b;
  if (!alike && same_frame(a, b)) {
    last->alike[0] = a;
    last->alike[1] = b;
    alike = true;
  }
  a->contested = b->contested = !alike || a->contested || b->contested;
}

rk_status rk_last_row_relax(rk_last_row *last)
{
  rk_open_chunk *open = last->open;
  if (!last->held || (open->block ? open->block->references : open->references) > 1) {
    return RK_OK;
  }
  last->store = open->store;
  last->entity_path = open->entity_path;
  last->is_static = open->chunk.timeline_count == 0;
  last->names.count = 0;
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    if (rk_row_has_component(open, i, last->row)) {
      const char **name = rk_list_add(&last->names, sizeof *name);
      if (!name) {
        return RK_ERR_NO_MEMORY;
      }
      *name = open->chunk.components[i].name;
    }
  }
  last->origin = origin_of(open, last->row);
  last->open = NULL;
  last->held = false;
  rk_open_chunk_release(open);
  return RK_OK;
}

void rk_last_row_clear(rk_last_row *last)
{
  if (last->held) {
    rk_open_chunk_release(last->open);
  }
  free(last->names.items);
  *last = (rk_last_row){0};
}
