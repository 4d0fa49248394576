/* Gathering rows into the pieces of a block. */
#include "reader/timeline/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/builder.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/utf8.h"
#include "reader/input/temporary.h"
#include "reader/timeline/spill_internal.h"
#include "reader/value_size.h"

enum { PIECE_COST = 2048, COLUMN_COST = 1024, ROW_COST = 48 };

rk_spill *rk_spill_new(rk_reader *reader)
{
  rk_spill *spill = calloc(1, sizeof *spill);
  if (spill) {
    spill->reader = reader;
    spill->fd = -1;
    spill->number = 1;
  }
  return spill;
}

void rk_spill_set_block_size(rk_spill *spill, uint64_t size, uint64_t max)
{
  spill->block_size = size;
  spill->block_max = max > size ? max : size;
}

static void free_piece(rk_spill_gather *p)
{
  rk_spill_column *columns = p->columns.items;
  for (size_t i = 0; i < p->columns.count; i++) {
    rk_builder_free(columns[i].builder);
  }
  free(columns);
  rk_buffer_free(&p->row_ids);
  for (size_t i = 0; i < p->timeline_count && p->times; i++) {
    rk_buffer_free(&p->times[i]);
  }
  for (size_t i = 0; i < RK_SPILL_SIDES; i++) {
    rk_buffer_free(&p->side[i]);
  }
}

void rk_spill_reset(rk_spill *spill)
{
  if (spill->source) {
    rk_open_chunk_release(spill->source);
    spill->source = NULL;
  }
  rk_spill_gather **pieces = spill->pieces.items;
  for (size_t i = 0; i < spill->pieces.count; i++) {
    free_piece(pieces[i]);
  }
  spill->pieces.count = 0;
  spill->origins.count = 0;
  spill->number++;
  spill->size = spill->cost = 0;
  memset(spill->buckets, 0, sizeof spill->buckets);
  rk_buffer_reset(&spill->steps);
  rk_arena_reset(&spill->arena);
}

void rk_spill_free(rk_spill *spill)
{
  if (!spill) {
    return;
  }
  rk_spill_reset(spill);
  rk_run_free(spill->run);
  free(spill->pieces.items);
  free(spill->origins.items);
  rk_arena_free(&spill->arena);
  rk_buffer_free(&spill->steps);
  rk_buffer_free(&spill->out);
  rk_buffer_free(&spill->packed);
  if (spill->fd >= 0) {
    (void)close(spill->fd);
  }
  free(spill);
}

void rk_run_free(rk_run *run)
{
  if (run) {
    free(run->blocks.items);
    free(run);
  }
}

rk_status rk_spill_fail(rk_spill *spill, rk_status status)
{
  const int failed = errno;
  rk_error error = {0};
  if (status == RK_ERR_IO) {
    const char *directory = rk_temporary_directory(spill->reader->temporary_directory);
    char name[120];
    rk_escape(name, sizeof name, directory, strlen(directory));
    (void)rk_fail_errno(&error, failed, "rows do not fit into memory, and a temporary file in %s cannot take them",
                        name);
  } else {
    (void)rk_fail(&error, status, RK_NO_OFFSET, "no memory to sort rows");
  }
  return rk_reader_set_error(spill->reader, &error);
}

/* ---- Pieces ---- */

static rk_spill_column *find_column(const rk_spill_gather *p, const char *name)
{
  rk_spill_column *columns = p->columns.items;
  for (size_t i = 0; i < p->columns.count; i++) {
    if (columns[i].name == name) {
      return &columns[i];
    }
  }
  return NULL;
}

static bool takes(const rk_spill_gather *p, const rk_open_chunk *open)
{
  if (p->store != open->store || p->entity_path != open->entity_path ||
      p->timeline_count != open->chunk.timeline_count || p->stored_static != open->stored_static) {
    return false;
  }
  for (size_t i = 0; i < p->timeline_count; i++) {
    if (p->timelines[i].name != open->chunk.timelines[i].name ||
        p->timelines[i].kind != open->chunk.timelines[i].kind) {
      return false;
    }
  }
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    const rk_chunk_component *component = &open->chunk.components[i];
    const rk_spill_column *known = find_column(p, component->name);
    if (known && (known->archetype != component->archetype || known->component_type != component->component_type ||
                  !rk_field_type_equal(&known->list->children[0], component->item))) {
      return false;
    }
  }
  return true;
}

/* All columns of `open` that `p` lacks; so chunks that meet in one piece never disagree later. */
static bool add_columns(rk_spill *spill, rk_spill_gather *p, const rk_open_chunk *open)
{
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    const rk_chunk_component *component = &open->chunk.components[i];
    if (find_column(p, component->name)) {
      continue;
    }
    rk_spill_column *added = rk_list_add(&p->columns, sizeof *added);
    rk_field *list = rk_arena_alloc(&spill->arena, sizeof *list);
    rk_field *item = rk_field_copy(&spill->arena, component->item);
    if (!added || !list || !item) {
      return false;
    }
    *list =
        (rk_field){.type = RK_TYPE_LIST, .name = component->name, .nullable = true, .child_count = 1, .children = item};
    *added = (rk_spill_column){.name = component->name,
                               .archetype = component->archetype,
                               .component_type = component->component_type,
                               .list = list,
                               .builder = rk_builder_new(list)};
    if (!added->builder) {
      return false;
    }
    spill->cost += COLUMN_COST;
  }
  return true;
}

static rk_spill_gather *new_piece(rk_spill *spill, const rk_open_chunk *open)
{
  rk_spill_gather *p = rk_arena_alloc(&spill->arena, sizeof *p);
  rk_spill_gather **slot = p ? rk_list_add(&spill->pieces, sizeof(rk_spill_gather *)) : NULL;
  if (!slot) {
    return NULL;
  }
  *slot = p;
  p->number = (uint32_t)spill->pieces.count - 1;
  p->store = open->store;
  p->entity_path = open->entity_path;
  p->stored_static = open->stored_static;
  p->timelines = rk_arena_array(&spill->arena, open->chunk.timeline_count + 1, sizeof *p->timelines);
  p->times = rk_arena_array(&spill->arena, open->chunk.timeline_count + 1, sizeof *p->times);
  if (!p->timelines || !p->times) {
    return NULL;
  }
  p->timeline_count = open->chunk.timeline_count;
  for (size_t i = 0; i < p->timeline_count; i++) {
    p->timelines[i] = (rk_chunk_timeline){.name = open->chunk.timelines[i].name, .kind = open->chunk.timelines[i].kind};
  }
  spill->cost += PIECE_COST;
  return p;
}

/* The piece that rows of `open` go into. NULL: no memory. */
static rk_spill_gather *find_piece(rk_spill *spill, rk_open_chunk *open)
{
  if (open->gathering == spill->number) {
    return open->gathered;
  }
  const uint64_t place[2] = {(uint64_t)(uintptr_t)open->store, (uint64_t)(uintptr_t)open->entity_path};
  rk_spill_gather **bucket = &spill->buckets[XXH3_64bits(place, sizeof place) % RK_SPILL_BUCKETS];
  rk_spill_gather *p = *bucket;
  while (p && !takes(p, open)) {
    p = p->next;
  }
  if (!p) {
    p = new_piece(spill, open);
    if (!p) {
      return NULL;
    }
    p->next = *bucket;
    *bucket = p;
  }
  if (!add_columns(spill, p, open)) {
    return NULL;
  }
  open->gathering = spill->number;
  open->gathered = p;
  return p;
}

/* ---- Rows ---- */

static bool any_present(const rk_open_chunk *open, size_t component, int64_t start, int64_t count)
{
  for (int64_t row = start; row < start + count; row++) {
    if (rk_row_has_component(open, component, (uint32_t)row)) {
      return true;
    }
  }
  return false;
}

rk_status rk_spill_pad(const rk_spill_column *c, uint32_t rows)
{
  const int64_t missing = (int64_t)rows - rk_builder_length(c->builder);
  return missing > 0 ? rk_builder_append_nulls(c->builder, missing) : RK_OK;
}

rk_status rk_spill_copy_rows(rk_spill *spill)
{
  if (!spill->source) {
    return RK_OK;
  }
  rk_open_chunk *open = spill->source;
  rk_spill_gather *p = spill->target;
  const int64_t start = spill->start;
  const size_t count = (size_t)spill->count;
  rk_buffer_append(&p->row_ids, open->chunk.row_ids + (size_t)start * RK_TUID_SIZE, count * RK_TUID_SIZE);
  for (size_t i = 0; i < p->timeline_count; i++) {
    rk_buffer_append(&p->times[i], open->chunk.timelines[i].values + start, count * sizeof(int64_t));
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < open->chunk.component_count && status == RK_OK; i++) {
    if (any_present(open, i, start, spill->count)) {
      const rk_spill_column *c = find_column(p, open->chunk.components[i].name);
      status = rk_spill_pad(c, p->row_count - (uint32_t)count);
      status = status ? status : rk_builder_append(c->builder, open->chunk.components[i].lists, start, spill->count);
    }
  }
  rk_open_chunk_release(open);
  spill->source = NULL;
  return status;
}

static uint64_t row_size(const rk_open_chunk *open, uint32_t row)
{
  uint64_t size = ROW_COST + RK_TUID_SIZE + 8 * open->chunk.timeline_count;
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    if (rk_row_has_component(open, i, row)) {
      const rk_field list = {
          .type = RK_TYPE_LIST, .name = "", .child_count = 1, .children = (rk_field *)open->chunk.components[i].item};
      size += rk_value_size(&list, open->chunk.components[i].lists, row, 1);
    }
  }
  return size;
}

/* The number of the row's origin in the block. */
static bool number_origin(rk_spill *spill, rk_open_chunk *open, uint32_t row, uint32_t *number)
{
  const rk_origin origin = rk_row_origin(open, row);
  uint32_t *hint = &spill->origin_hints[((uintptr_t)origin.entry >> 6) % RK_SPILL_HINTS];
  const rk_origin *known = spill->origins.items;
  if (*hint < spill->origins.count && known[*hint].entry == origin.entry) {
    *number = *hint;
    return true;
  }
  rk_origin *added = rk_list_add(&spill->origins, sizeof *added);
  if (added) {
    *added = origin;
    *number = *hint = (uint32_t)spill->origins.count - 1;
  }
  return added != NULL;
}

static void put_side(rk_spill_gather *p, rk_open_chunk *open, uint32_t row, uint32_t position, uint32_t origin,
                     const rk_row_key *key)
{
  const rk_row_key own = rk_row_own_key(open, row);
  const uint32_t place = open->origin_rows ? open->origin_rows[row] : row;
  const uint32_t at = open->origin_positions ? open->origin_positions[row] : position;
  rk_buffer_append(&p->side[RK_SIDE_KEYS], &own.key, sizeof own.key);
  rk_buffer_append(&p->side[RK_SIDE_TIES], &own.tie, sizeof own.tie);
  rk_buffer_append(&p->side[RK_SIDE_INDEX], &origin, sizeof origin);
  rk_buffer_append(&p->side[RK_SIDE_ROWS], &place, sizeof place);
  rk_buffer_append(&p->side[RK_SIDE_POSITIONS], &at, sizeof at);
  rk_buffer_append(&p->side[RK_SIDE_EFFECTIVE_KEYS], &key->key, sizeof key->key);
  rk_buffer_append(&p->side[RK_SIDE_EFFECTIVE_IDS], &key->id, sizeof key->id);
  p->has_ties = p->has_ties || open->ties;
  p->clamped = p->clamped || own.key != key->key || rk_tuid_compare(own.id, key->id) != 0;
}

/* A block whose pieces take more than its rows would be mostly that: it goes on until the rows take as much. */
static bool is_full(const rk_spill *spill, uint64_t more)
{
  const uint64_t enough = spill->cost > spill->block_size ? spill->cost : spill->block_size;
  const uint64_t size = spill->size + more;
  return size > enough || size + spill->cost > spill->block_max;
}

rk_status rk_spill_put(rk_spill *spill, rk_open_chunk *open, uint32_t row, uint32_t position, const rk_row_key *key)
{
  const uint64_t size = row_size(open, row);
  rk_status status = RK_OK;
  if (spill->steps.size > 0 && is_full(spill, size)) {
    status = rk_spill_end_block(spill);
  }
  if (status) {
    return status;
  }
  if (!spill->run) {
    spill->run = calloc(1, sizeof *spill->run);
  }
  rk_spill_gather *p = find_piece(spill, open);
  if (p && spill->source && (spill->source != open || spill->start + spill->count != row)) {
    status = rk_spill_copy_rows(spill);
  }
  uint32_t origin = 0;
  if (!p || !spill->run || status || !number_origin(spill, open, row, &origin)) {
    return rk_spill_fail(spill, RK_ERR_NO_MEMORY);
  }
  if (!spill->source) {
    rk_open_chunk_retain(open);
    spill->source = open;
    spill->target = p;
    spill->start = row;
    spill->count = 0;
  }
  if (spill->steps.size == 0) {
    spill->first = *key;
  }
  put_side(p, open, row, position, origin, key);
  rk_buffer_append(&spill->steps, &p->number, sizeof p->number);
  spill->count++;
  spill->size += size;
  p->row_count++;
  return RK_OK;
}
