/* Sorting a run of spooled rows into the chunks they will become (SPEC "Rows to chunks"). */
#include <string.h>

#include "format/bytes.h"
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
                      .first = RK_NO_RUN,
                      .last = RK_NO_RUN,
                      .follower = RK_NO_GROUP};
  const int timeline_count = names->timelines(names->context, row->timeline_set, NULL);
  if (timeline_count >= 0) {
    group->entity = names->entity(names->context, row->entity);
    group->timeline_count = (uint32_t)timeline_count;
  }
  drain->group_count++;
  return group;
}

static bool has_room(const rk_group *group, size_t size)
{
  return group->count < RK_CHUNK_ROWS && group->size + size <= RK_CHUNK_SIZE;
}

/* The open group that such a row goes to, made at need. RK_ERR_CORRUPT: the row is impossible. RK_ERR_NO_MEMORY. */
static rk_status group_for(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row, rk_group **group)
{
  if (!grow_slots(drain)) {
    return RK_ERR_NO_MEMORY;
  }
  uint32_t *slot = slot_of(drain, row->entity, row->timeline_set, row->is_static);
  *group = *slot == UINT32_MAX ? NULL : &groups_of(drain)[*slot];
  if (*group != NULL && has_room(*group, row->size)) {
    return row->timeline_count == (*group)->timeline_count ? RK_OK : RK_ERR_CORRUPT;
  }
  *group = add_group(drain, names, row);
  if (*group == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  if ((*group)->entity == NULL || row->timeline_count != (*group)->timeline_count) {
    drain->group_count--;
    drain->groups.size -= sizeof **group;
    return RK_ERR_CORRUPT;
  }
  if (*slot != UINT32_MAX) {
    groups_of(drain)[*slot].replaced = true;
  }
  *slot = (uint32_t)(drain->group_count - 1);
  return RK_OK;
}

static const uint8_t *bytes_at(const rk_row_source *source, uint64_t position)
{
  return source->data + ((position - source->base) & source->mask);
}

/* Bytes of the source that lie side by side from `position` on. */
static uint64_t available_at(const rk_row_source *source, uint64_t position)
{
  uint64_t available = source->size - ((position - source->base) & source->mask);
  if (source->wrap != 0) {
    const uint64_t contiguous = source->wrap - (position & (source->wrap - 1));
    available = contiguous < available ? contiguous : available;
  }
  const uint64_t left = source->end - position;
  return left < available ? left : available;
}

/* Takes one more row, of `size` bytes that are there, into the run, if it is of its shape and as far from the last one
 * as those are from each other: thus rows of several entities that take turns make one run each. */
static bool extend_run(rk_row_run *run, const rk_row_source *source, uint64_t position, size_t size)
{
  const uint64_t distance = position - run->position;
  const uint64_t stride = run->count == 1 ? distance : run->stride;
  const uint8_t *first = bytes_at(source, run->position), *next = bytes_at(source, position);
  if (stride > UINT32_MAX || distance != stride * run->count || first + distance != next ||
      rk_load_u32(first) != size || !rk_spool_row_alike(first, next)) {
    return false;
  }
  run->stride = (uint32_t)stride;
  run->count++;
  return true;
}

/* Takes the row at `position` if it is the next one of the group that had its turn after the last row's group the time
 * before: what entities in turns cost. Its size, or 0: it is to be looked at. */
static uint32_t take_in_turn(rk_drain *drain, const rk_row_source *source, uint64_t position)
{
  const uint32_t turn = drain->turn == RK_NO_GROUP ? RK_NO_GROUP : groups_of(drain)[drain->turn].follower;
  if (turn == RK_NO_GROUP) {
    return 0;
  }
  rk_group *group = &groups_of(drain)[turn];
  const uint64_t available = available_at(source, position);
  const uint32_t size = available < RK_SPOOL_ROW_HEADER ? 0 : rk_load_u32(bytes_at(source, position));
  if (size > available || group->replaced || !has_room(group, size) ||
      !extend_run(&((rk_row_run *)(void *)drain->runs.data)[group->last], source, position, size)) {
    return 0;
  }
  group->count++;
  group->size += size;
  drain->row_count++;
  drain->turn = turn;
  return size;
}

/* `count` rows of one shape side by side, of which `row` is the first. */
static rk_status add_rows(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source,
                          const rk_spool_row *row, uint64_t position, uint64_t count)
{
  while (count > 0) {
    rk_group *group;
    const rk_status status = group_for(drain, names, row, &group);
    if (status == RK_ERR_CORRUPT) {
      drain->damaged = true;
      return RK_OK;
    }
    if (status != RK_OK) {
      return status;
    }
    uint64_t taken = group->size < RK_CHUNK_SIZE ? (RK_CHUNK_SIZE - group->size) / row->size : 0;
    taken = taken < RK_CHUNK_ROWS - group->count ? taken : RK_CHUNK_ROWS - group->count;
    taken = taken == 0 ? 1 : taken < count ? taken : count;
    rk_row_run *runs = (rk_row_run *)(void *)drain->runs.data;
    if (count > 1 || group->count == 0 || !extend_run(&runs[group->last], source, position, row->size)) {
      const uint32_t index = (uint32_t)(drain->runs.size / sizeof *runs);
      rk_row_run *run = rk_buffer_extend(&drain->runs, sizeof *run);
      if (run == NULL) {
        return RK_ERR_NO_MEMORY;
      }
      *run = (rk_row_run){.position = position, .stride = row->size, .count = (uint32_t)taken, .next = RK_NO_RUN};
      if (group->count == 0) {
        group->first = index;
      } else {
        ((rk_row_run *)(void *)drain->runs.data)[group->last].next = index;
      }
      group->last = index;
    }
    group->count += (uint32_t)taken;
    group->size += taken * row->size;
    const uint32_t turn = (uint32_t)(group - groups_of(drain));
    if (drain->turn != RK_NO_GROUP && drain->turn != turn) {
      groups_of(drain)[drain->turn].follower = turn;
    }
    drain->turn = turn;
    if (drain->row_count == 0) {
      drain->first_row = row->row_number;
    }
    drain->row_count += (uint32_t)taken;
    position += taken * row->size;
    count -= taken;
  }
  return RK_OK;
}

rk_status rk_drain_gather(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source)
{
  rk_buffer_reset(&drain->runs);
  rk_buffer_reset(&drain->groups);
  rk_buffer_reset(&drain->slots);
  drain->group_count = 0;
  drain->row_count = 0;
  drain->first_row = 0;
  drain->damaged = false;
  drain->turn = RK_NO_GROUP;
  for (uint64_t position = source->begin; position < source->end;) {
    const uint32_t taken = take_in_turn(drain, source, position);
    if (taken != 0) {
      position += taken;
      continue;
    }
    rk_spool_row row;
    uint64_t count = 1;
    const rk_status status = rk_row_source_at(source, position, &row);
    if (status == RK_ERR_CORRUPT) {
      drain->damaged = true; /* where the next row begins is not known */
      break;
    }
    if (status == RK_OK) {
      count = rk_row_source_run(source, position, &row);
      if (add_rows(drain, names, source, &row, position, count) != RK_OK) {
        return RK_ERR_NO_MEMORY;
      }
    }
    position += count * row.size;
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
  return rk_spool_row_parse(bytes_at(source, position), (size_t)available_at(source, position), row);
}

uint64_t rk_row_source_run(const rk_row_source *source, uint64_t position, const rk_spool_row *row)
{
  const uint64_t available = available_at(source, position);
  const uint8_t *at = bytes_at(source, position);
  uint64_t count = 1;
  while ((count + 1) * row->size <= available && rk_spool_row_alike(at, at + count * row->size)) {
    count++;
  }
  return count;
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
