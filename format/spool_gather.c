/* Sorting a run of spooled rows into the chunks they will become (SPEC "Rows to chunks"). */
#include <string.h>

#include "format/spool_drain.h"

static rk_group *groups_of(const rk_drain *drain)
{
  return (rk_group *)(void *)drain->groups.data;
}

static size_t hash_key(uint32_t entity, uint32_t set, bool is_static)
{
  uint64_t h = ((uint64_t)entity << 32 | set) * 0x9E3779B97F4A7C15U + is_static;
  h ^= h >> 32;
  return (size_t)(h * 0xD6E8FEB86659FD93U >> 20);
}

/* Where the open group of this key is noted, or would be. */
static uint32_t *slot_of(rk_drain *drain, uint32_t entity, uint32_t set, bool is_static)
{
  uint32_t *slots = (uint32_t *)(void *)drain->slots.data;
  const size_t mask = drain->slots.size / sizeof *slots - 1;
  const rk_group *groups = groups_of(drain);
  size_t at = hash_key(entity, set, is_static) & mask;
  while (slots[at] != UINT32_MAX) {
    const rk_group *group = &groups[slots[at]];
    if (group->entity_id == entity && group->set_id == set && group->is_static == is_static) {
      break;
    }
    at = (at + 1) & mask;
  }
  return &slots[at];
}

/* Keeps the table at most half full. */
static bool grow_slots(rk_drain *drain)
{
  const size_t count = drain->slots.size / sizeof(uint32_t);
  if (drain->group_count * 2 < count) {
    return true;
  }
  const size_t fresh = count == 0 ? 64 : count * 2;
  rk_buffer_reset(&drain->slots);
  uint8_t *slots = rk_buffer_extend(&drain->slots, fresh * sizeof(uint32_t));
  if (slots == NULL) {
    return false;
  }
  memset(slots, 0xFF, fresh * sizeof(uint32_t));
  for (size_t i = 0; i < drain->group_count; i++) { /* of equal keys the last is the open one */
    const rk_group *group = &groups_of(drain)[i];
    *slot_of(drain, group->entity_id, group->set_id, group->is_static) = (uint32_t)i;
  }
  return true;
}

/* A new group for the row's key; NULL: memory is short. entity NULL in it: the row names what is not defined. */
static rk_group *add_group(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row)
{
  rk_group *group = rk_buffer_extend(&drain->groups, sizeof *group);
  if (group == NULL) {
    return NULL;
  }
  *group = (rk_group){.entity_id = row->entity,
                      .set_id = row->timeline_set,
                      .is_static = row->is_static,
                      .first = RK_NO_ROW,
                      .last = RK_NO_ROW};
  const int timeline_count = names->timelines(names->context, row->timeline_set, NULL);
  if (timeline_count >= 0) {
    group->entity = names->entity(names->context, row->entity);
    group->timeline_count = (uint32_t)timeline_count;
  }
  drain->group_count++;
  return group;
}

static rk_status add_row(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row, uint64_t position)
{
  if (!grow_slots(drain)) {
    return RK_ERR_NO_MEMORY;
  }
  uint32_t *slot = slot_of(drain, row->entity, row->timeline_set, row->is_static);
  rk_group *group = *slot == UINT32_MAX ? NULL : &groups_of(drain)[*slot];
  if (group == NULL || group->count == RK_CHUNK_ROWS || group->size + row->size > RK_CHUNK_SIZE) {
    group = add_group(drain, names, row);
    if (group == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    if (group->entity == NULL || row->timeline_count != group->timeline_count) {
      drain->group_count--;
      drain->groups.size -= sizeof *group;
      drain->damaged = true;
      return RK_OK;
    }
    *slot = (uint32_t)(drain->group_count - 1);
  } else if (row->timeline_count != group->timeline_count) {
    drain->damaged = true;
    return RK_OK;
  }
  rk_row_ref *ref = rk_buffer_extend(&drain->rows, sizeof *ref);
  if (ref == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *ref = (rk_row_ref){.position = position, .next = RK_NO_ROW};
  const uint32_t index = (uint32_t)(drain->rows.size / sizeof *ref - 1);
  if (group->count == 0) {
    group->first = index;
  } else {
    ((rk_row_ref *)(void *)drain->rows.data)[group->last].next = index;
  }
  group->last = index;
  group->count++;
  group->size += row->size;
  if (drain->row_count == 0) {
    drain->first_row = row->row_number;
  }
  drain->row_count++;
  return RK_OK;
}

rk_status rk_drain_gather(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source)
{
  rk_buffer_reset(&drain->rows);
  rk_buffer_reset(&drain->groups);
  rk_buffer_reset(&drain->slots);
  drain->group_count = 0;
  drain->row_count = 0;
  drain->first_row = 0;
  drain->damaged = false;
  for (uint64_t position = source->begin; position < source->end;) {
    rk_spool_row row;
    const rk_status status = rk_row_source_at(source, position, &row);
    if (status == RK_ERR_CORRUPT) {
      drain->damaged = true; /* where the next row begins is not known */
      break;
    }
    if (status == RK_OK && add_row(drain, names, &row, position) != RK_OK) {
      return RK_ERR_NO_MEMORY;
    }
    position += row.size;
  }
  return RK_OK;
}

const rk_group *rk_drain_group(const rk_drain *drain, size_t index)
{
  return &groups_of(drain)[index];
}

/* ---- Rows ---- */

rk_row_source rk_row_source_ring(const uint8_t *data, uint64_t size, uint64_t begin, uint64_t end)
{
  return (rk_row_source){.data = data, .size = size, .base = 0, .mask = size - 1, .begin = begin, .end = end};
}

rk_row_source rk_row_source_memory(const uint8_t *data, uint64_t size, uint64_t begin, uint64_t ring_size)
{
  return (rk_row_source){.data = data,
                         .size = size,
                         .base = begin,
                         .mask = UINT64_MAX,
                         .wrap = ring_size,
                         .begin = begin,
                         .end = begin + size};
}

rk_status rk_row_source_at(const rk_row_source *source, uint64_t position, rk_spool_row *row)
{
  const uint64_t at = (position - source->base) & source->mask;
  uint64_t available = source->size - at;
  if (source->wrap != 0) {
    const uint64_t contiguous = source->wrap - (position & (source->wrap - 1));
    available = contiguous < available ? contiguous : available;
  }
  const uint64_t left = source->end - position;
  return rk_spool_row_parse(source->data + at, (size_t)(left < available ? left : available), row);
}

uint64_t rk_row_source_pass(const rk_row_source *source, bool sound)
{
  if (!sound && source->end - source->begin <= RK_DRAIN_SIZE) {
    return source->end;
  }
  uint64_t end = source->begin;
  while (end < source->end) {
    rk_spool_row row;
    if (rk_row_source_at(source, end, &row) == RK_ERR_CORRUPT) {
      return sound ? end : source->end;
    }
    if (end != source->begin && end + row.size - source->begin > RK_DRAIN_SIZE) {
      break;
    }
    end += row.size;
  }
  return end;
}
