/* The order of rows beyond key and row id. Only data counts, so that the order of the inputs does not. */
#include "reader/row_order.h"

#include <string.h>
#include <xxhash.h>

bool rk_row_has_component(const rk_open_chunk *open, size_t component, uint32_t row)
{
  const struct ArrowArray *lists = open->chunk.components[component].lists;
  const uint8_t *valid = lists->buffers[0];
  const uint64_t bit = (uint64_t)lists->offset + row;
  return !valid || (valid[bit / 8] >> (bit % 8) & 1) != 0;
}

static int compare_stores(const rk_store *a, const rk_store *b)
{
  if (a == b) {
    return 0;
  }
  if (a->kind != b->kind) {
    return a->kind < b->kind ? -1 : 1;
  }
  const int order = strcmp(a->application_id, b->application_id);
  return order ? order : strcmp(a->recording_id, b->recording_id);
}

/* By the names of the components that the rows have. */
static int compare_component_sets(const rk_open_chunk *a, uint32_t a_row, const rk_open_chunk *b, uint32_t b_row)
{
  size_t i = 0;
  size_t j = 0;
  for (;;) {
    while (i < a->chunk.component_count && !rk_row_has_component(a, i, a_row)) {
      i++;
    }
    while (j < b->chunk.component_count && !rk_row_has_component(b, j, b_row)) {
      j++;
    }
    const bool a_end = i == a->chunk.component_count;
    const bool b_end = j == b->chunk.component_count;
    if (a_end || b_end) {
      return a_end && b_end ? 0 : a_end ? -1 : 1;
    }
    if (a->chunk.components[i].name != b->chunk.components[j].name) {
      return strcmp(a->chunk.components[i].name, b->chunk.components[j].name);
    }
    i++;
    j++;
  }
}

static uint64_t payload_hash(rk_open_chunk *open)
{
  if (!open->has_hash) {
    open->payload_hash = XXH3_64bits(open->payload_data, open->payload_size);
    open->has_hash = true;
  }
  return open->payload_hash;
}

int rk_row_compare(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row)
{
  int order = compare_stores(a->store, b->store);
  if (order == 0 && a->entity_path != b->entity_path) {
    order = strcmp(a->entity_path, b->entity_path);
  }
  order = order ? order : compare_component_sets(a, a_row, b, b_row);
  if (order) {
    return order;
  }
  if (a->chunk.timeline_count != b->chunk.timeline_count) { /* the fuller copy is the one that is kept */
    return a->chunk.timeline_count > b->chunk.timeline_count ? -1 : 1;
  }
  order = rk_tuid_compare(a->chunk.id, b->chunk.id);
  if (order) {
    return order;
  }
  const uint64_t x = payload_hash(a);
  const uint64_t y = payload_hash(b);
  if (x != y) {
    return x < y ? -1 : 1;
  }
  if (a->input_number != b->input_number) {
    return a->input_number < b->input_number ? -1 : 1;
  }
  return a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : (a_row < b_row ? -1 : a_row > b_row);
}
