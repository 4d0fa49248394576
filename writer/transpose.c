/* Rows of a group, transposed to the Arrow columns of a chunk and framed. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/chunk.h"
#include "format/codec.h"
#include "format/flat.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/transpose.h"

#define BUILDER_KEEP_SIZE ((size_t)256 << 10) /* larger ones are freed after use */

typedef struct column {
  const rk_component *component;
  uint32_t id;
  rk_builder *builder;
  int64_t filled;
  const struct ArrowArray *lists;
} column;

rk_scratch *rk_scratch_take(rk_recording *recording)
{
  pthread_mutex_lock(&recording->mutex);
  rk_scratch *scratch = recording->scratches;
  if (scratch != NULL) {
    recording->scratches = scratch->next;
  }
  pthread_mutex_unlock(&recording->mutex);
  return scratch != NULL ? scratch : calloc(1, sizeof *scratch);
}

static void trim(rk_buffer *buffer)
{
  if (buffer->capacity > 2 * RK_RECORD_SIZE) {
    rk_buffer_free(buffer);
  }
}

static void scratch_free(rk_scratch *scratch)
{
  rk_gathered_free(&scratch->gathered);
  rk_buffer *const buffers[] = {&scratch->columns, &scratch->row_ids, &scratch->times,
                                &scratch->ipc,     &scratch->packed,  &scratch->out};
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
    rk_buffer_free(buffers[i]);
  }
  rk_arena_free(&scratch->arena);
  for (size_t i = 0; i < RK_BUILDERS_MAX; i++) {
    rk_builder_free(scratch->builders[i].builder);
  }
  free(scratch);
}

void rk_scratch_give(rk_recording *recording, rk_scratch *scratch)
{
  trim(&scratch->times);
  trim(&scratch->ipc);
  trim(&scratch->packed);
  trim(&scratch->out);
  pthread_mutex_lock(&recording->mutex);
  scratch->next = recording->scratches;
  recording->scratches = scratch;
  pthread_mutex_unlock(&recording->mutex);
}

void rk_scratches_free(rk_recording *recording)
{
  for (rk_scratch *scratch = recording->scratches, *next; scratch != NULL; scratch = next) {
    next = scratch->next;
    scratch_free(scratch);
  }
  recording->scratches = NULL;
}

static rk_builder *builder_take(rk_scratch *scratch, const rk_component *component)
{
  for (size_t i = 0; i < RK_BUILDERS_MAX; i++) {
    if (scratch->builders[i].component == component && scratch->builders[i].builder != NULL) {
      rk_builder *builder = scratch->builders[i].builder;
      scratch->builders[i] = (rk_cached_builder){0};
      return builder;
    }
  }
  return rk_builder_new(&component->list);
}

static void builder_give(rk_scratch *scratch, const rk_component *component, rk_builder *builder)
{
  if (builder == NULL) {
    return;
  }
  for (size_t i = 0; i < RK_BUILDERS_MAX && rk_builder_size(builder) <= BUILDER_KEEP_SIZE; i++) {
    if (scratch->builders[i].builder == NULL) {
      rk_builder_reset(builder);
      scratch->builders[i] = (rk_cached_builder){.component = component, .builder = builder};
      return;
    }
  }
  rk_builder_free(builder);
}

static const rk_component *component_of(rk_recording *recording, uint32_t id)
{
  if (id < RK_BUILTIN_COMPONENT_COUNT) {
    return rk_component_at_index(id);
  }
  pthread_mutex_lock(&recording->mutex);
  const size_t at = id - RK_BUILTIN_COMPONENT_COUNT;
  const rk_component *component = at < recording->components.count ? recording->components.items[at] : NULL;
  pthread_mutex_unlock(&recording->mutex);
  return component;
}

/* The column of that component, made at need; `hint` is where it was in the row before. NULL: memory is short, or no
 * such component (*unknown). */
static column *column_of(rk_recording *recording, rk_scratch *scratch, uint32_t id, size_t hint, bool *unknown)
{
  column *columns = (column *)(void *)scratch->columns.data;
  const size_t count = scratch->columns.size / sizeof *columns;
  if (hint < count && columns[hint].id == id) {
    return &columns[hint];
  }
  for (size_t i = 0; i < count; i++) {
    if (columns[i].id == id) {
      return &columns[i];
    }
  }
  const rk_component *component = component_of(recording, id);
  *unknown = component == NULL;
  rk_builder *builder = component == NULL ? NULL : builder_take(scratch, component);
  column *fresh = builder == NULL ? NULL : rk_buffer_extend(&scratch->columns, sizeof *fresh);
  if (fresh == NULL) {
    rk_builder_free(builder);
    return NULL;
  }
  *fresh = (column){.component = component, .id = id, .builder = builder};
  return fresh;
}

/* RK_ERR_CORRUPT, RK_ERR_LIMIT: the cell cannot be taken, the builder may hold some of its items. */
static rk_status append_items(rk_scratch *scratch, const column *at, const rk_spool_cell *cell)
{
  rk_builder *items = rk_builder_child(at->builder, 0);
  if (cell->form == RK_CELL_PACKED) {
    const size_t each = rk_field_packed_size(at->component->item);
    if (each == 0 || (uint64_t)cell->count * each != cell->size) {
      return RK_ERR_CORRUPT;
    }
    return rk_builder_append_packed(items, cell->data, cell->count);
  }
  struct ArrowArray array;
  const rk_status status =
      rk_flat_read(&scratch->arena, at->component->item, cell->data, cell->size, (int64_t)cell->count, &array);
  return status != RK_OK ? status : rk_builder_append(items, &array, 0, array.length);
}

/* Puts the cells of row number `row` of the group into their columns. */
static rk_status add_cells(rk_recording *recording, rk_scratch *scratch, const rk_spool_row *row, int64_t index,
                           bool *damaged)
{
  rk_spool_cell cell;
  size_t position = 0;
  for (size_t hint = 0; rk_spool_cell_next(row, &position, &cell); hint++) {
    bool unknown = false;
    column *at = column_of(recording, scratch, cell.component, hint, &unknown);
    if (at == NULL && !unknown) {
      return RK_ERR_NO_MEMORY;
    }
    if (at == NULL || at->filled > index) { /* nothing of ours: the ring was stamped on */
      *damaged = true;
      continue;
    }
    rk_status status = RK_OK;
    if (at->filled < index) {
      status = rk_builder_append_nulls(at->builder, index - at->filled);
      at->filled = index;
    }
    if (status == RK_OK) {
      status = append_items(scratch, at, &cell);
      if (status == RK_ERR_CORRUPT || status == RK_ERR_LIMIT) {
        *damaged = true;
        continue;
      }
    }
    status = status != RK_OK ? status : rk_builder_close_list(at->builder);
    if (status != RK_OK) {
      return status;
    }
    at->filled++;
  }
  return RK_OK;
}

static int compare_columns(const void *a, const void *b)
{
  return strcmp(((const column *)a)->component->name, ((const column *)b)->component->name);
}

static int compare_timelines(const void *a, const void *b)
{
  return strcmp(((const rk_chunk_timeline *)a)->name, ((const rk_chunk_timeline *)b)->name);
}

/* The chunk's timelines over the values in scratch->times: log_time's row_count first, then the set's in its order. */
static size_t list_timelines(rk_recording *recording, const rk_scratch *scratch, const rk_group *group,
                             rk_chunk_timeline *timelines)
{
  if (group->is_static) {
    return 0;
  }
  const int64_t *values = (const int64_t *)(void *)scratch->times.data;
  timelines[0] = (rk_chunk_timeline){.name = "log_time", .kind = RK_TIMELINE_TIMESTAMP, .values = values};
  const size_t count = group->set == NULL ? 0 : group->set->count;
  pthread_mutex_lock(&recording->mutex);
  for (size_t i = 0; i < count; i++) {
    const rk_timeline *timeline = recording->timelines.items[group->set->timelines[i]];
    timelines[i + 1] =
        (rk_chunk_timeline){.name = timeline->name, .kind = timeline->kind, .values = values + (i + 1) * group->count};
  }
  pthread_mutex_unlock(&recording->mutex);
  qsort(timelines, count + 1, sizeof *timelines, compare_timelines);
  return count + 1;
}

/* Transposes the group's rows into scratch: row ids, times, columns. */
static rk_status transpose(rk_recording *recording, const rk_row_source *source, rk_scratch *scratch,
                           const rk_group *group, uint32_t tag, rk_seal *seal, bool *damaged)
{
  const size_t n = group->count;
  const size_t timeline_count = group->set == NULL ? 0 : group->set->count;
  rk_buffer_reset(&scratch->row_ids);
  rk_buffer_reset(&scratch->times);
  uint8_t *row_ids = rk_buffer_extend(&scratch->row_ids, n * RK_TUID_SIZE);
  uint8_t *times = rk_buffer_extend(&scratch->times, (timeline_count + 1) * n * sizeof(int64_t));
  if (row_ids == NULL || times == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_row_ref *refs = (const rk_row_ref *)(void *)scratch->gathered.rows.data;
  size_t index = 0;
  for (uint32_t at = group->first; at != RK_NO_ROW; at = refs[at].next, index++) {
    rk_spool_row row;
    if (rk_source_row(source, refs[at].position, &row) != RK_OK) {
      return RK_ERR_CORRUPT;
    }
    const rk_tuid id = {.time_ns = (uint64_t)row.stamp_ns, .inc = rk_row_inc(tag, row.row_number)};
    rk_tuid_store(row_ids + index * RK_TUID_SIZE, id);
    rk_store_i64(times + index * 8, row.stamp_ns);
    for (size_t i = 0; i < timeline_count; i++) {
      memcpy(times + ((i + 1) * n + index) * 8, row.times + i * 8, 8);
    }
    if (index == 0) {
      seal->first_row = row.row_number;
      seal->min_log_time = seal->max_log_time = row.stamp_ns;
    }
    seal->min_log_time = row.stamp_ns < seal->min_log_time ? row.stamp_ns : seal->min_log_time;
    seal->max_log_time = row.stamp_ns > seal->max_log_time ? row.stamp_ns : seal->max_log_time;
    const rk_status status = add_cells(recording, scratch, &row, (int64_t)index, damaged);
    if (status != RK_OK) {
      return status;
    }
  }
  column *columns = (column *)(void *)scratch->columns.data;
  const size_t column_count = scratch->columns.size / sizeof *columns;
  for (size_t i = 0; i < column_count; i++) {
    const int64_t missing = (int64_t)n - columns[i].filled;
    if (missing > 0 && rk_builder_append_nulls(columns[i].builder, missing) != RK_OK) {
      return RK_ERR_NO_MEMORY;
    }
    columns[i].lists = rk_builder_view(columns[i].builder);
  }
  if (column_count > 1) {
    qsort(columns, column_count, sizeof *columns, compare_columns);
  }
  return RK_OK;
}

rk_store_id rk_recording_store(const rk_recording *recording)
{
  return (rk_store_id){.kind = RK_STORE_RECORDING,
                       .application_id = {.data = recording->application_id, .size = strlen(recording->application_id)},
                       .recording_id = {.data = recording->recording_id, .size = strlen(recording->recording_id)}};
}

/* Appends the chunk's frame to scratch->out. */
static rk_status put_frame(rk_recording *recording, rk_scratch *scratch, const rk_chunk *chunk, rk_seal *seal)
{
  rk_buffer_reset(&scratch->ipc);
  rk_buffer_reset(&scratch->packed);
  rk_arrow_msg message = {.store = rk_recording_store(recording),
                          .has_chunk_id = true,
                          .is_static = chunk->timeline_count == 0,
                          .chunk_id = chunk->id};
  rk_status status = rk_chunk_encode(&scratch->ipc, chunk);
  const rk_buffer *payload = &scratch->ipc;
  message.compression = RK_COMPRESSION_NONE;
  if (status == RK_OK && recording->compression != RK_COMPRESSION_NONE) {
    payload = &scratch->packed;
    status = rk_compress(&scratch->packed, recording->compression, scratch->ipc.data, scratch->ipc.size,
                         &message.compression);
  }
  if (status != RK_OK) {
    return status;
  }
  message.uncompressed_size = seal->uncompressed_size = scratch->ipc.size;
  message.payload = payload->data;
  message.payload_size = payload->size;
  const size_t frame = rk_frame_begin(&scratch->out, RK_FRAME_ARROW_MSG);
  rk_arrow_msg_encode(&scratch->out, &message);
  rk_seal_frame(&scratch->out, frame, 0, seal);
  return scratch->out.failed ? RK_ERR_NO_MEMORY : RK_OK;
}

rk_status rk_group_encode(rk_recording *recording, const rk_ring *ring, const rk_row_source *source,
                          rk_scratch *scratch, const rk_group *group, uint32_t number, bool *damaged)
{
  rk_seal seal = {.flags = group->is_static ? RK_SEAL_STATIC : 0,
                  .writer = ring->tag,
                  .chunk_number = number,
                  .row_count = group->count,
                  .entity_hash = XXH3_64bits(group->entity->path, strlen(group->entity->path)),
                  .recording_hash = recording->hash};
  rk_clock_pair(&seal.clock_monotonic, &seal.clock_realtime);
  rk_buffer_reset(&scratch->columns);
  rk_arena_reset(&scratch->arena);
  rk_status status = transpose(recording, source, scratch, group, ring->tag, &seal, damaged);
  column *columns = (column *)(void *)scratch->columns.data;
  const size_t column_count = scratch->columns.size / sizeof *columns;
  rk_chunk_timeline timelines[RK_SPOOL_TIMELINES_MAX + 1];
  rk_chunk_component *components = rk_arena_array(&scratch->arena, column_count + 1, sizeof *components);
  if (status == RK_OK && components == NULL) {
    status = RK_ERR_NO_MEMORY;
  }
  if (status == RK_OK) {
    for (size_t i = 0; i < column_count; i++) {
      components[i] = (rk_chunk_component){.name = columns[i].component->name,
                                           .archetype = columns[i].component->archetype,
                                           .component_type = columns[i].component->component_type,
                                           .item = columns[i].component->item,
                                           .lists = columns[i].lists};
    }
    const rk_chunk chunk = {.id = rk_tuid_load(scratch->row_ids.data),
                            .entity_path = group->entity->path,
                            .row_count = group->count,
                            .row_ids = scratch->row_ids.data,
                            .timeline_count = list_timelines(recording, scratch, group, timelines),
                            .timelines = timelines,
                            .component_count = column_count,
                            .components = components};
    status = put_frame(recording, scratch, &chunk, &seal);
  }
  for (size_t i = 0; i < column_count; i++) {
    builder_give(scratch, columns[i].component, columns[i].builder);
  }
  return status;
}
