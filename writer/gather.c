/* Sorting a run of spooled rows into the chunks they will become. */
#include "writer/gather.h"

#include <string.h>

static rk_group *groups_of(const rk_gathered *gathered)
{
  return (rk_group *)(void *)gathered->groups.data;
}

static size_t hash_key(uint32_t entity, uint32_t set, bool is_static)
{
  uint64_t h = ((uint64_t)entity << 32 | set) * 0x9E3779B97F4A7C15U + is_static;
  h ^= h >> 32;
  return (size_t)(h * 0xD6E8FEB86659FD93U >> 20);
}

/* Where the open group of this key is noted, or would be. */
static uint32_t *slot_of(rk_gathered *gathered, uint32_t entity, uint32_t set, bool is_static)
{
  uint32_t *slots = (uint32_t *)(void *)gathered->slots.data;
  const size_t mask = gathered->slots.size / sizeof *slots - 1;
  const rk_group *groups = groups_of(gathered);
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
static bool grow_slots(rk_gathered *gathered)
{
  const size_t count = gathered->slots.size / sizeof(uint32_t);
  if (gathered->group_count * 2 < count) {
    return true;
  }
  const size_t fresh = count == 0 ? 64 : count * 2;
  rk_buffer_reset(&gathered->slots);
  uint8_t *slots = rk_buffer_extend(&gathered->slots, fresh * sizeof(uint32_t));
  if (slots == NULL) {
    return false;
  }
  memset(slots, 0xFF, fresh * sizeof(uint32_t));
  for (size_t i = 0; i < gathered->group_count; i++) { /* of equal keys the last is the open one */
    const rk_group *group = &groups_of(gathered)[i];
    *slot_of(gathered, group->entity_id, group->set_id, group->is_static) = (uint32_t)i;
  }
  return true;
}

/* A new group for the row's key; NULL: memory is short. entity NULL in it: the row names what is not defined. */
static rk_group *add_group(rk_recording *recording, rk_gathered *gathered, const rk_spool_row *row)
{
  rk_group *group = rk_buffer_extend(&gathered->groups, sizeof *group);
  if (group == NULL) {
    return NULL;
  }
  *group = (rk_group){.entity_id = row->entity,
                      .set_id = row->timeline_set,
                      .is_static = row->is_static,
                      .first = RK_NO_ROW,
                      .last = RK_NO_ROW};
  pthread_mutex_lock(&recording->mutex);
  if (row->entity < recording->entities.count && row->timeline_set <= recording->time_sets.count) {
    group->entity = recording->entities.items[row->entity];
    group->set = row->timeline_set == 0 ? NULL : recording->time_sets.items[row->timeline_set - 1];
  }
  pthread_mutex_unlock(&recording->mutex);
  gathered->group_count++;
  return group;
}

rk_status rk_source_row(const rk_row_source *source, uint64_t position, rk_spool_row *row)
{
  const uint64_t at = source->begin == 0 && source->end == source->size ? position : position & (source->size - 1);
  const uint64_t contiguous = source->size - at;
  const uint64_t left = source->end - position;
  return rk_spool_row_parse(source->data + at, (size_t)(left < contiguous ? left : contiguous), row);
}

static rk_status add_row(rk_recording *recording, rk_gathered *gathered, const rk_spool_row *row, uint64_t position)
{
  if (!grow_slots(gathered)) {
    return RK_ERR_NO_MEMORY;
  }
  uint32_t *slot = slot_of(gathered, row->entity, row->timeline_set, row->is_static);
  rk_group *group = *slot == UINT32_MAX ? NULL : &groups_of(gathered)[*slot];
  if (group == NULL || group->count == RK_CHUNK_ROWS || group->size + row->size > RK_CHUNK_SIZE) {
    group = add_group(recording, gathered, row);
    if (group == NULL) {
      return RK_ERR_NO_MEMORY;
    }
    if (group->entity == NULL || row->timeline_count != (group->set == NULL ? 0 : group->set->count)) {
      gathered->group_count--;
      gathered->groups.size -= sizeof *group;
      gathered->damaged = true;
      return RK_OK;
    }
    *slot = (uint32_t)(gathered->group_count - 1);
  } else if (row->timeline_count != (group->set == NULL ? 0 : group->set->count)) {
    gathered->damaged = true;
    return RK_OK;
  }
  rk_row_ref *ref = rk_buffer_extend(&gathered->rows, sizeof *ref);
  if (ref == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  *ref = (rk_row_ref){.position = position, .next = RK_NO_ROW};
  const uint32_t index = (uint32_t)(gathered->rows.size / sizeof *ref - 1);
  if (group->count == 0) {
    group->first = index;
  } else {
    ((rk_row_ref *)(void *)gathered->rows.data)[group->last].next = index;
  }
  group->last = index;
  group->count++;
  group->size += row->size;
  if (gathered->row_count == 0) {
    gathered->first_row = row->row_number;
  }
  gathered->row_count++;
  return RK_OK;
}

rk_status rk_gather(rk_recording *recording, const rk_row_source *source, rk_gathered *gathered)
{
  rk_buffer_reset(&gathered->rows);
  rk_buffer_reset(&gathered->groups);
  rk_buffer_reset(&gathered->slots);
  gathered->group_count = 0;
  gathered->row_count = 0;
  gathered->first_row = 0;
  gathered->damaged = false;
  for (uint64_t position = source->begin; position < source->end;) {
    rk_spool_row row;
    const rk_status status = rk_source_row(source, position, &row);
    if (status == RK_ERR_CORRUPT) {
      gathered->damaged = true; /* where the next row begins is not known */
      break;
    }
    if (status == RK_OK && add_row(recording, gathered, &row, position) != RK_OK) {
      return RK_ERR_NO_MEMORY;
    }
    position += row.size;
  }
  return RK_OK;
}

void rk_gathered_free(rk_gathered *gathered)
{
  rk_buffer_free(&gathered->rows);
  rk_buffer_free(&gathered->groups);
  rk_buffer_free(&gathered->slots);
}
