/* Rows of a group, transposed to the Arrow columns of a chunk and framed (SPEC "Chunk payload"). */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/chunk_frame.h"
#include "format/flat.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "format/spool_drain.h"

#define KEEP_SIZE          (2 * RK_CHUNK_SIZE)
#define BUILDERS_KEEP_SIZE RK_CHUNK_SIZE /* of all builders together; what is beyond is freed after use */

typedef struct column {
  rk_drain_component component;
  uint32_t id;
  rk_builder *builder;
  int64_t filled;
  const struct ArrowArray *lists;
} column;

void rk_drain_trim(rk_drain *drain)
{
  rk_buffer *const buffers[] = {&drain->times, &drain->ipc};
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
    if (buffers[i]->capacity > KEEP_SIZE) {
      rk_buffer_free(buffers[i]);
    }
  }
}

void rk_drain_free(rk_drain *drain)
{
  rk_buffer *const buffers[] = {&drain->runs,    &drain->groups, &drain->slots, &drain->columns,
                                &drain->row_ids, &drain->times,  &drain->ipc};
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
    rk_buffer_free(buffers[i]);
  }
  rk_chunk_heads_free(&drain->heads);
  rk_arena_free(&drain->arena);
  for (size_t i = 0; i < RK_BUILDERS_MAX; i++) {
    rk_builder_free(drain->builders[i].builder);
  }
  *drain = (rk_drain){0};
}

static rk_builder *builder_take(rk_drain *drain, const rk_field *list)
{
  for (size_t i = 0; i < RK_BUILDERS_MAX; i++) {
    if (drain->builders[i].list == list && drain->builders[i].builder != NULL) {
      rk_builder *builder = drain->builders[i].builder;
      drain->builders_size -= drain->builders[i].size;
      drain->builders[i] = (rk_cached_builder){0};
      return builder;
    }
  }
  return rk_builder_new(list);
}

static void builder_give(rk_drain *drain, const rk_field *list, rk_builder *builder)
{
  if (builder == NULL) {
    return;
  }
  const size_t size = rk_builder_size(builder);
  for (size_t i = 0; i < RK_BUILDERS_MAX && drain->builders_size + size <= BUILDERS_KEEP_SIZE; i++) {
    if (drain->builders[i].builder == NULL) {
      rk_builder_reset(builder);
      drain->builders[i] = (rk_cached_builder){.list = list, .builder = builder, .size = size};
      drain->builders_size += size;
      return;
    }
  }
  rk_builder_free(builder);
}

/* The column of that component, made at need; `hint` is where it was in the row before. NULL: memory is short, or no
 * such component (*unknown). */
static column *column_of(rk_drain *drain, const rk_drain_names *names, uint32_t id, size_t hint, bool *unknown)
{
  column *columns = (column *)(void *)drain->columns.data;
  const size_t count = drain->columns.size / sizeof *columns;
  if (hint < count && columns[hint].id == id) {
    return &columns[hint];
  }
  for (size_t i = 0; i < count; i++) {
    if (columns[i].id == id) {
      return &columns[i];
    }
  }
  rk_drain_component component;
  *unknown = !names->component(names->context, id, &component);
  rk_builder *builder = *unknown ? NULL : builder_take(drain, component.list);
  column *fresh = builder == NULL ? NULL : rk_buffer_extend(&drain->columns, sizeof *fresh);
  if (fresh == NULL) {
    rk_builder_free(builder);
    return NULL;
  }
  *fresh = (column){.component = component, .id = id, .builder = builder};
  return fresh;
}

/* Rows without this component since the column was last filled. */
static rk_status fill_up(column *at, int64_t index)
{
  const int64_t missing = index - at->filled;
  at->filled = index;
  return missing == 0 ? RK_OK : rk_builder_append_nulls(at->builder, missing);
}

/* The same cell of `count` rows, `stride` bytes apart, from row number `index` of the group on. A cell that cannot be
 * taken is left out. */
static rk_status add_cell(rk_drain *drain, column *at, const rk_spool_cell *cell, size_t stride, int64_t index,
                          uint32_t count)
{
  if (cell->form == RK_CELL_PACKED) {
    const size_t each = rk_field_packed_size(at->component.item);
    if ((each == 0 && cell->count > 0) || (uint64_t)cell->count * each != cell->size) {
      drain->damaged = true;
      return RK_OK;
    }
    rk_status status = fill_up(at, index);
    status = status != RK_OK ? status : rk_builder_append_lists(at->builder, cell->data, stride, cell->count, count);
    at->filled += status == RK_OK ? count : 0;
    drain->damaged |= status == RK_ERR_LIMIT;
    return status == RK_ERR_LIMIT ? RK_OK : status;
  }
  rk_builder *items = rk_builder_child(at->builder, 0);
  const bool is_text = at->component.item->type == RK_TYPE_UTF8 && cell->count == 1;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *data = cell->data + i * stride, *text;
    size_t text_size;
    rk_status status = fill_up(at, index + i);
    if (status == RK_OK && is_text && rk_flat_text(data, cell->size, &text, &text_size)) {
      status = rk_builder_append_bytes(items, text, text_size);
    } else if (status == RK_OK) {
      struct ArrowArray array;
      status = rk_flat_read(&drain->arena, at->component.item, data, cell->size, (int64_t)cell->count, &array);
      status = status != RK_OK ? status : rk_builder_append(items, &array, 0, array.length);
    }
    if (status == RK_ERR_CORRUPT || status == RK_ERR_LIMIT) {
      drain->damaged = true;
      continue;
    }
    status = status != RK_OK ? status : rk_builder_close_list(at->builder);
    if (status != RK_OK) {
      return status;
    }
    at->filled++;
  }
  return RK_OK;
}

/* Puts the cells of a run, whose first row is `row`, number `index` of the group, into their columns. */
static rk_status add_cells(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row, size_t stride,
                           int64_t index, uint32_t count)
{
  rk_spool_cell cell;
  size_t position = 0;
  for (size_t hint = 0; rk_spool_cell_next(row, &position, &cell); hint++) {
    bool unknown = false;
    column *at = column_of(drain, names, cell.component, hint, &unknown);
    if (at == NULL && !unknown) {
      return RK_ERR_NO_MEMORY;
    }
    if (at == NULL || at->filled > index) { /* nothing of ours: the ring was stamped on */
      drain->damaged = true;
      continue;
    }
    const rk_status status = add_cell(drain, at, &cell, stride, index, count);
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

static int compare_columns(const void *a, const void *b)
{
  return strcmp(((const column *)a)->component.name, ((const column *)b)->component.name);
}

static int compare_timelines(const void *a, const void *b)
{
  return strcmp(((const rk_chunk_timeline *)a)->name, ((const rk_chunk_timeline *)b)->name);
}

/* The chunk's timelines over the values in drain->times: log_time's row_count first, then the set's in its order. */
static size_t list_timelines(const rk_drain *drain, const rk_drain_names *names, const rk_group *group,
                             rk_chunk_timeline *timelines)
{
  if (group->is_static) {
    return 0;
  }
  const int64_t *values = (const int64_t *)(void *)drain->times.data;
  timelines[0] = (rk_chunk_timeline){.name = "log_time", .kind = RK_TIMELINE_TIMESTAMP, .values = values};
  names->timelines(names->context, group->set_id, timelines + 1);
  const size_t count = group->timeline_count;
  for (size_t i = 1; i <= count; i++) {
    timelines[i].values = values + i * group->count;
  }
  qsort(timelines, count + 1, sizeof *timelines, compare_timelines);
  return count + 1;
}

/* Row ids and stamps of a run. */
static void add_heads(const rk_spool_row *first, size_t stride, uint32_t count, uint32_t tag, uint8_t *row_ids,
                      uint8_t *times, rk_seal *seal)
{
  const uint8_t *row = first->times - RK_SPOOL_ROW_HEADER;
  int64_t low = seal->min_log_time, high = seal->max_log_time;
  for (size_t i = 0; i < count; i++, row += stride) {
    const uintptr_t ahead = (uintptr_t)row + 6 * stride; /* in a large ring rows of one entity lie far apart */
    __builtin_prefetch((const void *)ahead);
    __builtin_prefetch((const void *)(ahead + 64));
    const int64_t stamp = rk_load_i64(row + 8);
    const rk_tuid id = {.time_ns = (uint64_t)stamp, .inc = rk_row_inc(tag, rk_load_u32(row + 4))};
    rk_tuid_store(row_ids + i * RK_TUID_SIZE, id);
    rk_store_i64(times + i * 8, stamp);
    low = stamp < low ? stamp : low;
    high = stamp > high ? stamp : high;
  }
  seal->min_log_time = low;
  seal->max_log_time = high;
}

/* Transposes the group's rows: row ids, times, columns. */
static rk_status transpose(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source,
                           const rk_group *group, uint32_t tag, rk_seal *seal)
{
  const size_t n = group->count;
  const size_t timeline_count = group->timeline_count;
  rk_buffer_reset(&drain->row_ids);
  rk_buffer_reset(&drain->times);
  uint8_t *row_ids = rk_buffer_extend(&drain->row_ids, n * RK_TUID_SIZE);
  uint8_t *times = rk_buffer_extend(&drain->times, (timeline_count + 1) * n * sizeof(int64_t));
  if (row_ids == NULL || times == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_row_run *runs = (const rk_row_run *)(void *)drain->runs.data;
  seal->min_log_time = INT64_MAX;
  seal->max_log_time = INT64_MIN;
  size_t index = 0;
  for (uint32_t at = group->first; at != RK_NO_RUN; at = runs[at].next) {
    const uint32_t count = runs[at].count;
    const size_t stride = runs[at].stride;
    rk_spool_row row;
    if (rk_row_source_at(source, runs[at].position, &row) != RK_OK) {
      return RK_ERR_CORRUPT;
    }
    seal->first_row = index == 0 ? row.row_number : seal->first_row;
    add_heads(&row, stride, count, tag, row_ids + index * RK_TUID_SIZE, times + index * 8, seal);
    for (size_t i = 0; i < timeline_count; i++) {
      for (size_t k = 0; k < count; k++) {
        memcpy(times + ((i + 1) * n + index + k) * 8, row.times + k * stride + i * 8, 8);
      }
    }
    const rk_status status = add_cells(drain, names, &row, stride, (int64_t)index, count);
    if (status != RK_OK) {
      return status;
    }
    index += count;
  }
  column *columns = (column *)(void *)drain->columns.data;
  const size_t column_count = drain->columns.size / sizeof *columns;
  for (size_t i = 0; i < column_count; i++) {
    if (fill_up(&columns[i], (int64_t)n) != RK_OK) {
      return RK_ERR_NO_MEMORY;
    }
    columns[i].lists = rk_builder_view(columns[i].builder);
  }
  return RK_OK;
}

/* Frames the chunk over the ids, times and columns in `drain`, and gives the builders back. `status`: of what came
 * before. The seal's rows and times are told. */
static rk_status encode(rk_drain *drain, const rk_drain_names *names, const rk_group *group,
                        const rk_drain_target *target, uint32_t chunk_number, rk_status status, rk_seal *seal,
                        rk_buffer *out)
{
  column *columns = (column *)(void *)drain->columns.data;
  const size_t column_count = drain->columns.size / sizeof *columns;
  rk_chunk_timeline timelines[RK_SPOOL_TIMELINES_MAX + 1];
  rk_chunk_component *components = rk_arena_array(&drain->arena, column_count + 1, sizeof *components);
  if (status == RK_OK && components == NULL) {
    status = RK_ERR_NO_MEMORY;
  }
  if (status == RK_OK) {
    if (column_count > 1) {
      qsort(columns, column_count, sizeof *columns, compare_columns);
    }
    for (size_t i = 0; i < column_count; i++) {
      components[i] = (rk_chunk_component){.name = columns[i].component.name,
                                           .archetype = columns[i].component.archetype,
                                           .component_type = columns[i].component.component_type,
                                           .item = columns[i].component.item,
                                           .lists = columns[i].lists};
    }
    const rk_chunk chunk = {.id = rk_tuid_load(drain->row_ids.data),
                            .entity_path = group->entity,
                            .row_count = group->count,
                            .row_ids = drain->row_ids.data,
                            .timeline_count = list_timelines(drain, names, group, timelines),
                            .timelines = timelines,
                            .component_count = column_count,
                            .components = components,
                            .heads = &drain->heads,
                            .pace = &drain->paces[group->entity_id % RK_PACES]};
    seal->flags = group->is_static ? RK_SEAL_STATIC : 0;
    seal->writer = target->tag;
    seal->chunk_number = chunk_number;
    seal->row_count = group->count;
    seal->entity_hash = XXH3_64bits(group->entity, strlen(group->entity));
    seal->recording_hash = target->recording_hash;
    seal->clock_monotonic = target->clock_monotonic;
    seal->clock_realtime = target->clock_realtime;
    status = rk_chunk_frame_encode(out, &drain->ipc, &target->store, target->compression, &chunk, seal);
  }
  for (size_t i = 0; i < column_count; i++) {
    builder_give(drain, columns[i].component.list, columns[i].builder);
  }
  return status;
}

rk_status rk_drain_encode(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source,
                          const rk_drain_target *target, size_t index, uint32_t chunk_number, rk_buffer *out)
{
  const rk_group *group = rk_drain_group(drain, index);
  rk_seal seal = {0};
  rk_buffer_reset(&drain->columns);
  rk_arena_reset(&drain->arena);
  const rk_status status = transpose(drain, names, source, group, target->tag, &seal);
  return encode(drain, names, group, target, chunk_number, status, &seal, out);
}

/* A column of one row, all of whose items these are. NULL: memory is short. */
static RK_FAR const struct ArrowArray *list_of(rk_arena *arena, const struct ArrowArray *items)
{
  typedef struct list {
    struct ArrowArray array;
    struct ArrowArray *children[1];
    const void *buffers[2];
    int32_t offsets[2];
  } list;
  list *l = rk_arena_alloc(arena, sizeof *l);
  if (l != NULL) {
    l->offsets[1] = (int32_t)items->length;
    l->buffers[1] = l->offsets;
    l->children[0] = (struct ArrowArray *)(uintptr_t)items;
    l->array = (struct ArrowArray){
        .length = 1, .n_buffers = 2, .n_children = 1, .buffers = l->buffers, .children = l->children};
  }
  return l == NULL ? NULL : &l->array;
}

RK_FAR rk_status rk_drain_encode_row(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row,
                                     const rk_drain_cell *cells, size_t count, const rk_drain_target *target,
                                     uint32_t chunk_number, rk_buffer *out)
{
  const rk_group group = {.entity = names->entity(names->context, row->entity),
                          .entity_id = row->entity,
                          .set_id = row->timeline_set,
                          .timeline_count = row->timeline_count,
                          .is_static = row->is_static,
                          .count = 1};
  if (group.entity == NULL || names->timelines(names->context, row->timeline_set, NULL) != row->timeline_count) {
    return RK_ERR_MISUSE;
  }
  const rk_tuid id = {.time_ns = (uint64_t)row->stamp_ns, .inc = rk_row_inc(target->tag, row->row_number)};
  rk_seal seal = {.first_row = row->row_number, .min_log_time = row->stamp_ns, .max_log_time = row->stamp_ns};
  rk_buffer_reset(&drain->row_ids);
  rk_buffer_reset(&drain->times);
  rk_buffer_reset(&drain->columns);
  rk_arena_reset(&drain->arena);
  uint8_t *row_id = rk_buffer_extend(&drain->row_ids, RK_TUID_SIZE);
  rk_buffer_append(&drain->times, &row->stamp_ns, sizeof row->stamp_ns);
  rk_buffer_append(&drain->times, row->times, (size_t)8 * row->timeline_count);
  column *columns = rk_buffer_extend(&drain->columns, count * sizeof *columns);
  if (row_id == NULL || drain->times.failed || columns == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  rk_tuid_store(row_id, id);
  rk_status status = RK_OK;
  for (size_t i = 0; i < count; i++) {
    columns[i] = (column){.id = cells[i].component};
    if (!names->component(names->context, cells[i].component, &columns[i].component)) {
      status = RK_ERR_MISUSE;
    } else if (status == RK_OK && (columns[i].lists = list_of(&drain->arena, cells[i].items)) == NULL) {
      status = RK_ERR_NO_MEMORY;
    }
  }
  return encode(drain, names, &group, target, chunk_number, status, &seal, out);
}

void rk_writer_frame_encode(rk_buffer *out, const rk_store_id *store, uint64_t recording_hash,
                            const rk_writer_record *record)
{
  const rk_store_info info = {.row_id = {.time_ns = (uint64_t)record->start_ns, .inc = rk_row_inc(record->tag, 0)},
                              .store = *store,
                              .source_kind = 1,
                              .store_version = rk_load_u32(rk_stream_header_bytes + 4),
                              .has_writer = true,
                              .writer = *record};
  const size_t frame = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(out, &info);
  rk_seal seal = {.writer = record->tag,
                  .recording_hash = recording_hash,
                  .clock_monotonic = record->clock_monotonic,
                  .clock_realtime = record->clock_realtime};
  rk_seal_frame(out, frame, 0, &seal);
}
