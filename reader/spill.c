/* Writing sorted runs to the temporary file. */
#include "reader/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/builder.h"
#include "format/codec.h"
#include "format/error.h"
#include "reader/merge_internal.h"
#include "reader/spill_internal.h"
#include "reader/temporary.h"

enum { BUCKETS = 64, ORIGIN_HINTS = 1024, PIECE_COST = 2048, COLUMN_COST = 1024, ROW_COST = 48 };
enum { SIDE_KEYS, SIDE_TIES, SIDE_INDEX, SIDE_ROWS, SIDE_POSITIONS, SIDE_EFFECTIVE_KEYS, SIDE_EFFECTIVE_IDS };

typedef struct column {
  const char *name, *archetype, *component_type; /* interned */
  rk_field *list;
  rk_builder *builder;
} column;

/* Rows of one store, entity and set of timelines, whose columns agree. */
typedef struct piece {
  struct piece *next; /* of its bucket */
  uint32_t number;
  const rk_store *store;
  const char *entity_path;
  rk_chunk_timeline *timelines;
  size_t timeline_count;
  bool stored_static;
  rk_list columns; /* column */
  rk_buffer row_ids;
  rk_buffer *times;
  rk_buffer side[RK_SPILL_SIDES];
  uint32_t row_count;
  bool has_ties, clamped;
} piece;

struct rk_spill {
  rk_reader *reader;
  uint64_t block_size;
  int fd;
  uint64_t end; /* of the file */
  rk_run *run;
  /* The block in progress. */
  uint64_t number; /* from 1 */
  rk_arena arena;
  rk_list pieces; /* piece * */
  piece *buckets[BUCKETS];
  rk_buffer steps;
  rk_list origins;                     /* rk_origin */
  uint32_t origin_hints[ORIGIN_HINTS]; /* by entry: where it may be in origins */
  uint64_t size;                       /* of its rows, roughly */
  rk_row_key first;
  /* Neighbouring rows of one chunk that are not copied yet. */
  rk_open_chunk *source; /* retained; NULL: none */
  piece *target;
  int64_t start, count;
  rk_buffer out, packed;
};

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

void rk_spill_set_block_size(rk_spill *spill, uint64_t size)
{
  spill->block_size = size;
}

static void free_piece(piece *p)
{
  column *columns = p->columns.items;
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

/* Begins the next block. */
static void reset(rk_spill *spill)
{
  if (spill->source) {
    rk_open_chunk_release(spill->source);
    spill->source = NULL;
  }
  piece **pieces = spill->pieces.items;
  for (size_t i = 0; i < spill->pieces.count; i++) {
    free_piece(pieces[i]);
  }
  spill->pieces.count = 0;
  spill->origins.count = 0;
  spill->number++;
  spill->size = 0;
  memset(spill->buckets, 0, sizeof spill->buckets);
  rk_buffer_reset(&spill->steps);
  rk_arena_reset(&spill->arena);
}

void rk_spill_free(rk_spill *spill)
{
  if (!spill) {
    return;
  }
  reset(spill);
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
    (void)rk_fail_errno(&error, failed, "cannot use a temporary file for rows that do not fit into memory");
  } else {
    (void)rk_fail(&error, status, RK_NO_OFFSET, "no memory to sort rows");
  }
  return rk_reader_set_error(spill->reader, &error);
}

int rk_spill_descriptor(const rk_spill *spill)
{
  return spill->fd;
}

rk_reader *rk_spill_reader(const rk_spill *spill)
{
  return spill->reader;
}

/* ---- Pieces ---- */

static column *find_column(const piece *p, const char *name)
{
  column *columns = p->columns.items;
  for (size_t i = 0; i < p->columns.count; i++) {
    if (columns[i].name == name) {
      return &columns[i];
    }
  }
  return NULL;
}

static bool takes(const piece *p, const rk_open_chunk *open)
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
    const column *known = find_column(p, component->name);
    if (known && (known->archetype != component->archetype || known->component_type != component->component_type ||
                  !rk_field_type_equal(&known->list->children[0], component->item))) {
      return false;
    }
  }
  return true;
}

/* All columns of `open` that `p` lacks; so chunks that meet in one piece never disagree later. */
static bool add_columns(rk_spill *spill, piece *p, const rk_open_chunk *open)
{
  for (size_t i = 0; i < open->chunk.component_count; i++) {
    const rk_chunk_component *component = &open->chunk.components[i];
    if (find_column(p, component->name)) {
      continue;
    }
    column *added = rk_list_add(&p->columns, sizeof *added);
    rk_field *list = rk_arena_alloc(&spill->arena, sizeof *list);
    rk_field *item = rk_field_copy(&spill->arena, component->item);
    if (!added || !list || !item) {
      return false;
    }
    *list =
        (rk_field){.type = RK_TYPE_LIST, .name = component->name, .nullable = true, .child_count = 1, .children = item};
    *added = (column){.name = component->name,
                      .archetype = component->archetype,
                      .component_type = component->component_type,
                      .list = list,
                      .builder = rk_builder_new(list)};
    if (!added->builder) {
      return false;
    }
    spill->size += COLUMN_COST;
  }
  return true;
}

static piece *new_piece(rk_spill *spill, const rk_open_chunk *open)
{
  piece *p = rk_arena_alloc(&spill->arena, sizeof *p);
  piece **slot = p ? rk_list_add(&spill->pieces, sizeof(piece *)) : NULL;
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
  spill->size += PIECE_COST;
  return p;
}

/* The piece that rows of `open` go into. NULL: no memory. */
static piece *find_piece(rk_spill *spill, rk_open_chunk *open)
{
  if (open->gathering == spill->number) {
    return open->gathered;
  }
  const uint64_t place[2] = {(uint64_t)(uintptr_t)open->store, (uint64_t)(uintptr_t)open->entity_path};
  piece **bucket = &spill->buckets[XXH3_64bits(place, sizeof place) % BUCKETS];
  piece *p = *bucket;
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

static rk_status pad(const column *c, uint32_t rows)
{
  const int64_t missing = (int64_t)rows - rk_builder_length(c->builder);
  return missing > 0 ? rk_builder_append_nulls(c->builder, missing) : RK_OK;
}

static rk_status copy_rows(rk_spill *spill)
{
  if (!spill->source) {
    return RK_OK;
  }
  rk_open_chunk *open = spill->source;
  piece *p = spill->target;
  const int64_t start = spill->start;
  const size_t count = (size_t)spill->count;
  rk_buffer_append(&p->row_ids, open->chunk.row_ids + (size_t)start * RK_TUID_SIZE, count * RK_TUID_SIZE);
  for (size_t i = 0; i < p->timeline_count; i++) {
    rk_buffer_append(&p->times[i], open->chunk.timelines[i].values + start, count * sizeof(int64_t));
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < open->chunk.component_count && status == RK_OK; i++) {
    if (any_present(open, i, start, spill->count)) {
      const column *c = find_column(p, open->chunk.components[i].name);
      status = pad(c, p->row_count - (uint32_t)count);
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
  uint32_t *hint = &spill->origin_hints[((uintptr_t)origin.entry >> 6) % ORIGIN_HINTS];
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

static void put_side(piece *p, rk_open_chunk *open, uint32_t row, uint32_t position, uint32_t origin,
                     const rk_row_key *key)
{
  const rk_row_key own = rk_row_own_key(open, row);
  const uint32_t place = open->origin_rows ? open->origin_rows[row] : row;
  const uint32_t at = open->origin_positions ? open->origin_positions[row] : position;
  rk_buffer_append(&p->side[SIDE_KEYS], &own.key, sizeof own.key);
  rk_buffer_append(&p->side[SIDE_TIES], &own.tie, sizeof own.tie);
  rk_buffer_append(&p->side[SIDE_INDEX], &origin, sizeof origin);
  rk_buffer_append(&p->side[SIDE_ROWS], &place, sizeof place);
  rk_buffer_append(&p->side[SIDE_POSITIONS], &at, sizeof at);
  rk_buffer_append(&p->side[SIDE_EFFECTIVE_KEYS], &key->key, sizeof key->key);
  rk_buffer_append(&p->side[SIDE_EFFECTIVE_IDS], &key->id, sizeof key->id);
  p->has_ties = p->has_ties || open->ties;
  p->clamped = p->clamped || own.key != key->key || rk_tuid_compare(own.id, key->id) != 0;
}

static rk_status end_block(rk_spill *spill);

rk_status rk_spill_put(rk_spill *spill, rk_open_chunk *open, uint32_t row, uint32_t position, const rk_row_key *key)
{
  const uint64_t size = row_size(open, row);
  rk_status status = RK_OK;
  if (spill->steps.size > 0 && spill->size + size > spill->block_size) {
    status = end_block(spill);
  }
  if (status) {
    return status;
  }
  if (!spill->run) {
    spill->run = calloc(1, sizeof *spill->run);
  }
  piece *p = find_piece(spill, open);
  if (p && spill->source && (spill->source != open || spill->start + spill->count != row)) {
    status = copy_rows(spill);
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

/* ---- Blocks ---- */

static rk_status encode_piece(rk_spill *spill, piece *p, rk_spill_piece *head)
{
  rk_buffer *out = &spill->out;
  const size_t count = p->columns.count;
  column *columns = p->columns.items;
  rk_chunk_component *components = rk_arena_array(&spill->arena, count + 1, sizeof *components);
  if (!components) {
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = pad(&columns[i], p->row_count);
    components[i] = (rk_chunk_component){.name = columns[i].name,
                                         .archetype = columns[i].archetype,
                                         .component_type = columns[i].component_type,
                                         .item = &columns[i].list->children[0],
                                         .lists = rk_builder_view(columns[i].builder)};
  }
  bool failed = p->row_ids.failed;
  for (size_t i = 0; i < p->timeline_count; i++) {
    failed = failed || p->times[i].failed;
    p->timelines[i].values = (const int64_t *)(const void *)p->times[i].data;
  }
  for (size_t i = 0; i < RK_SPILL_SIDES; i++) {
    failed = failed || p->side[i].failed;
  }
  if (status || failed) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_chunk chunk = {.entity_path = p->entity_path,
                          .row_count = p->row_count,
                          .row_ids = p->row_ids.data,
                          .timeline_count = p->timeline_count,
                          .timelines = p->timelines,
                          .component_count = count,
                          .components = components};
  *head = (rk_spill_piece){.store = p->store, .row_count = p->row_count, .stored_static = p->stored_static};
  rk_buffer_align(out, 64);
  head->payload_offset = out->size;
  status = rk_chunk_encode(out, &chunk);
  head->payload_size = out->size - head->payload_offset;
  for (size_t i = 0; i < RK_SPILL_SIDES; i++) {
    const bool needed = i == SIDE_TIES ? p->has_ties : i < SIDE_EFFECTIVE_KEYS || p->clamped;
    if (needed) {
      rk_buffer_align(out, 16);
      head->side_offsets[i] = out->size;
      rk_buffer_append(out, p->side[i].data, p->side[i].size);
    }
  }
  return status;
}

static rk_status encode_block(rk_spill *spill)
{
  rk_buffer *out = &spill->out;
  rk_buffer_reset(out);
  const size_t piece_count = spill->pieces.count;
  rk_spill_head head = {.piece_count = (uint32_t)piece_count,
                        .row_count = (uint32_t)(spill->steps.size / sizeof(uint32_t))};
  rk_spill_piece *heads = rk_arena_array(&spill->arena, piece_count, sizeof *heads);
  if (!heads) {
    return RK_ERR_NO_MEMORY;
  }
  rk_buffer_append(out, &head, sizeof head);
  rk_buffer_align(out, 16);
  head.steps_offset = out->size;
  rk_buffer_append(out, spill->steps.data, spill->steps.size);
  rk_buffer_align(out, 16);
  head.origins_offset = out->size;
  rk_buffer_append(out, spill->origins.items, spill->origins.count * sizeof(rk_origin));
  rk_status status = RK_OK;
  for (size_t i = 0; i < piece_count && status == RK_OK; i++) {
    status = encode_piece(spill, ((piece **)spill->pieces.items)[i], &heads[i]);
  }
  rk_buffer_align(out, 16);
  head.pieces_offset = out->size;
  rk_buffer_append(out, heads, piece_count * sizeof *heads);
  if (status || out->failed || spill->steps.failed) {
    return RK_ERR_NO_MEMORY;
  }
  memcpy(out->data, &head, sizeof head);
  return RK_OK;
}

static bool write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
  while (size > 0) {
    const ssize_t written = pwrite(fd, data, size, (off_t)offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      errno = written == 0 ? ENOSPC : errno;
      return false;
    }
    data += written;
    size -= (size_t)written;
    offset += (uint64_t)written;
  }
  return true;
}

static rk_status end_block(rk_spill *spill)
{
  rk_status status = copy_rows(spill);
  status = status ? status : encode_block(spill);
  rk_compression used = RK_COMPRESSION_NONE;
  rk_buffer_reset(&spill->packed);
  if (status == RK_OK && spill->out.size <= RK_SPILL_COMPRESSED_MAX) {
    status = rk_compress(&spill->packed, RK_COMPRESSION_LZ4, spill->out.data, spill->out.size, &used);
  }
  rk_block_place *place = status ? NULL : rk_list_add(&spill->run->blocks, sizeof *place);
  if (!place) {
    return rk_spill_fail(spill, RK_ERR_NO_MEMORY);
  }
  const rk_buffer *stored = used == RK_COMPRESSION_NONE ? &spill->out : &spill->packed;
  *place = (rk_block_place){.offset = spill->end,
                            .stored_size = stored->size,
                            .size = spill->out.size,
                            .hash = XXH3_64bits(stored->data, stored->size),
                            .row_count = (uint32_t)(spill->steps.size / sizeof(uint32_t)),
                            .compressed = used != RK_COMPRESSION_NONE,
                            .first = spill->first};
  if (spill->fd < 0) {
    spill->fd = rk_temporary_file(spill->reader->temporary_directory);
  }
  if (spill->fd < 0 || !write_all(spill->fd, stored->data, stored->size, spill->end)) {
    return rk_spill_fail(spill, RK_ERR_IO);
  }
  spill->end += (stored->size + RK_SPILL_ALIGNMENT - 1) / RK_SPILL_ALIGNMENT * RK_SPILL_ALIGNMENT;
  spill->reader->stats.spilled_size += stored->size;
  reset(spill);
  if (spill->out.capacity > 8 * spill->block_size) { /* a large row went through */
    rk_buffer_free(&spill->out);
    rk_buffer_free(&spill->packed);
  }
  return RK_OK;
}

rk_status rk_spill_end(rk_spill *spill, rk_run **run)
{
  *run = NULL;
  if (spill->steps.size > 0) {
    const rk_status status = end_block(spill);
    if (status) {
      return status;
    }
  }
  *run = spill->run;
  spill->run = NULL;
  return RK_OK;
}
