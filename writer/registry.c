/* Entities, timelines and timeline sets of a recording, and each thread's caches over them. */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/entity_path.h"
#include "format/error.h"
#include "format/utf8.h"
#include "writer/writer_internal.h"

bool rk_pointers_reserve(rk_pointers *list)
{
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
    void **items = realloc(list->items, capacity * sizeof *items);
    if (items == NULL) {
      return false;
    }
    list->items = items;
    list->capacity = capacity;
  }
  return true;
}

bool rk_pointers_add(rk_pointers *list, void *item)
{
  if (!rk_pointers_reserve(list)) {
    return false;
  }
  list->items[list->count++] = item;
  return true;
}

static rk_status no_memory(rk_error *error)
{
  return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory");
}

rk_entity *rk_entity_intern(rk_recording *recording, const char *normal_path, rk_error *error)
{
  const size_t size = strlen(normal_path);
  rk_entity *entity = rk_map_get(&recording->entities_by_path, normal_path, size);
  if (entity != NULL) {
    return entity;
  }
  entity = rk_arena_alloc(&recording->arena, sizeof *entity + size + 1);
  /* Nothing may fail once it is in the definitions file: an id is defined once. */
  if (entity == NULL || !rk_pointers_reserve(&recording->entities) || !rk_map_reserve(&recording->entities_by_path)) {
    no_memory(error);
    return NULL;
  }
  entity->recording = recording;
  entity->id = (uint32_t)recording->entities.count;
  memcpy(entity->path, normal_path, size + 1);
  if (rk_define(recording, RK_SPOOL_ENTITY, entity, error) != RK_OK) {
    return NULL;
  }
  rk_pointers_add(&recording->entities, entity);
  rk_map_put(&recording->entities_by_path, entity->path, size, entity);
  return entity;
}

/* Remembers `value` under a copy of the key; a full memory only costs speed. */
static void cache(rk_thread *thread, rk_map *table, const void *key, size_t size, void *value)
{
  char *copy = rk_arena_text(&thread->keys, key, size);
  if (copy != NULL) {
    rk_map_put(table, copy, size, value);
  }
}

/* The entity below `root` ("" or a path) whose path from there `text` is; `what` it is to the user. */
static rk_entity *entity_below(rk_thread *thread, const char *root, const char *text, const char *what)
{
  rk_buffer normal = {0}, path = {0};
  rk_entity *entity = NULL;
  if (rk_entity_path_normalize(&normal, text, &thread->error) == RK_OK) {
    const char *below = (const char *)normal.data;
    rk_buffer_append(&path, root, strlen(root));
    rk_buffer_append(&path, below, strlen(below) + 1);
    if (rk_entity_path_reserved(below)) {
      rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s \"%.100s\": parts that begin with __ are reserved", what,
              below);
    } else if (path.failed) {
      no_memory(&thread->error);
    } else {
      rk_recording *recording = thread->recording;
      pthread_mutex_lock(&recording->mutex);
      entity = rk_entity_intern(recording, (const char *)path.data, &thread->error);
      pthread_mutex_unlock(&recording->mutex);
    }
  }
  rk_buffer_free(&normal);
  rk_buffer_free(&path);
  return entity;
}

RK_API const rk_entity *rk_entity_at(rk_recording *recording, const char *path)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  if (thread == NULL) {
    return NULL;
  }
  if (path == NULL) {
    rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "an entity path is NULL");
    return NULL;
  }
  const size_t size = strlen(path);
  rk_entity *entity = rk_map_get(&thread->entities, path, size);
  if (entity == NULL) {
    entity = entity_below(thread, "", path, "entity path");
    if (entity != NULL) {
      cache(thread, &thread->entities, path, size, entity);
    }
  }
  return entity;
}

RK_API const rk_entity *rk_recording_property(rk_recording *recording, const char *name)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  if (thread == NULL) {
    return NULL;
  }
  if (name == NULL || name[0] == '\0' || strcmp(name, "/") == 0) {
    rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a property needs a name");
    return NULL;
  }
  return entity_below(thread, "/__properties", name, "property");
}

/* ---- Timelines ---- */

static rk_timeline *timeline_intern(rk_recording *recording, const char *name, size_t size, rk_timeline_kind kind,
                                    rk_error *error)
{
  rk_timeline *timeline = rk_map_get(&recording->timelines_by_name, name, size);
  if (timeline != NULL) {
    return timeline;
  }
  timeline = rk_arena_alloc(&recording->arena, sizeof *timeline + size + 1);
  if (timeline == NULL || !rk_pointers_reserve(&recording->timelines) ||
      !rk_map_reserve(&recording->timelines_by_name)) {
    no_memory(error);
    return NULL;
  }
  timeline->recording = recording;
  timeline->id = (uint32_t)recording->timelines.count;
  timeline->kind = kind;
  memcpy(timeline->name, name, size + 1);
  if (rk_define(recording, RK_SPOOL_TIMELINE, timeline, error) != RK_OK) {
    return NULL;
  }
  rk_pointers_add(&recording->timelines, timeline);
  rk_map_put(&recording->timelines_by_name, timeline->name, size, timeline);
  return timeline;
}

static rk_status check_timeline(const char *name, size_t size, rk_timeline_kind kind, rk_error *error)
{
  if (size == 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline needs a name");
  }
  if (size > RK_NAME_MAX) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline's name is longer than %d bytes", RK_NAME_MAX);
  }
  if (!rk_utf8_valid(name, size)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline's name is not UTF-8");
  }
  if (strcmp(name, "log_time") == 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "timeline \"log_time\" is written automatically");
  }
  if (kind < RK_TIMELINE_SEQUENCE || kind > RK_TIMELINE_TIMESTAMP) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "timeline \"%.80s\": unknown kind %d", name, (int)kind);
  }
  return RK_OK;
}

static const rk_timeline *timeline_at(rk_thread *thread, const char *name, rk_timeline_kind kind)
{
  if (name == NULL) {
    rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline's name is NULL");
    return NULL;
  }
  const size_t size = strlen(name);
  rk_timeline *timeline = rk_map_get(&thread->timelines, name, size);
  if (timeline == NULL) {
    if (check_timeline(name, size, kind, &thread->error) != RK_OK) {
      return NULL;
    }
    rk_recording *recording = thread->recording;
    pthread_mutex_lock(&recording->mutex);
    timeline = timeline_intern(recording, name, size, kind, &thread->error);
    pthread_mutex_unlock(&recording->mutex);
    if (timeline == NULL) {
      return NULL;
    }
    cache(thread, &thread->timelines, name, size, timeline);
  }
  if (timeline->kind != kind) {
    rk_fail(&thread->error, RK_ERR_CONFLICT, RK_NO_OFFSET, "timeline \"%.80s\" already has another kind", name);
    return NULL;
  }
  return timeline;
}

RK_API const rk_timeline *rk_timeline_at(rk_recording *recording, const char *name, rk_timeline_kind kind)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  return thread == NULL ? NULL : timeline_at(thread, name, kind);
}

/* ---- A thread's times ---- */

/* Gives the thread's present timelines their set id. */
static rk_status resolve_set(rk_thread *thread)
{
  const uint32_t count = thread->time_count;
  uint32_t ids[RK_SPOOL_TIMELINES_MAX];
  ids[0] = 0; /* also where there are none */
  for (uint32_t i = 0; i < count; i++) {
    ids[i] = thread->time_values[i].timeline->id;
  }
  rk_timeline_set *set = rk_map_get(&thread->time_sets, ids, count * sizeof *ids);
  if (count != 0 && set == NULL) {
    rk_recording *recording = thread->recording;
    rk_status status = RK_OK;
    pthread_mutex_lock(&recording->mutex);
    set = rk_map_get(&recording->time_sets_by_ids, ids, count * sizeof *ids);
    if (set == NULL) {
      set = rk_arena_alloc(&recording->arena, sizeof *set + count * sizeof *ids);
      if (set != NULL &&
          (!rk_pointers_reserve(&recording->time_sets) || !rk_map_reserve(&recording->time_sets_by_ids))) {
        set = NULL;
      }
      if (set != NULL) {
        set->id = (uint32_t)recording->time_sets.count + 1;
        set->count = count;
        memcpy(set->timelines, ids, count * sizeof *ids);
        status = rk_define(recording, RK_SPOOL_TIMELINE_SET, set, &thread->error);
      }
      if (set != NULL && status == RK_OK) {
        rk_pointers_add(&recording->time_sets, set);
        rk_map_put(&recording->time_sets_by_ids, set->timelines, count * sizeof *ids, set);
      }
    }
    pthread_mutex_unlock(&recording->mutex);
    if (status != RK_OK) {
      return status;
    }
    if (set == NULL) {
      return no_memory(&thread->error);
    }
    cache(thread, &thread->time_sets, ids, count * sizeof *ids, set);
  }
  thread->time_set = set == NULL ? 0 : set->id;
  return RK_OK;
}

/* Where timeline `id` is, or would be, among the thread's times. */
static uint32_t place_of(const rk_thread *thread, uint32_t id)
{
  uint32_t at = 0;
  while (at < thread->time_count && thread->time_values[at].timeline->id < id) {
    at++;
  }
  return at;
}

static rk_status time_set(rk_thread *thread, const rk_timeline *timeline, int64_t value)
{
  if (timeline == NULL) {
    return thread->error.status == RK_OK ? rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline is NULL")
                                         : thread->error.status;
  }
  if (timeline->recording != thread->recording) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "the timeline is of another recording");
  }
  if (value == INT64_MIN) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "INT64_MIN is reserved for static data");
  }
  const uint32_t at = place_of(thread, timeline->id);
  rk_time_value *values = thread->time_values;
  if (at < thread->time_count && values[at].timeline == timeline) {
    values[at].value = value;
    return RK_OK;
  }
  if (thread->time_count == RK_SPOOL_TIMELINES_MAX) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "more than %d timelines at once",
                   RK_SPOOL_TIMELINES_MAX);
  }
  if (thread->time_count == thread->time_capacity) {
    const uint32_t capacity = thread->time_capacity == 0 ? 8 : thread->time_capacity * 2;
    values = realloc(values, capacity * sizeof *values);
    if (values == NULL) {
      return no_memory(&thread->error);
    }
    thread->time_values = values;
    thread->time_capacity = capacity;
  }
  memmove(values + at + 1, values + at, (thread->time_count - at) * sizeof *values);
  values[at] = (rk_time_value){.timeline = timeline, .value = value};
  thread->time_count++;
  const rk_status status = resolve_set(thread);
  if (status != RK_OK) {
    memmove(values + at, values + at + 1, (thread->time_count - at - 1) * sizeof *values);
    thread->time_count--;
  }
  return status;
}

static rk_status misuse_or_memory(const rk_recording *recording)
{
  return recording == NULL ? RK_ERR_MISUSE : RK_ERR_NO_MEMORY;
}

RK_API rk_status rk_time_set(rk_recording *recording, const rk_timeline *timeline, int64_t value)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  return thread == NULL ? misuse_or_memory(recording) : time_set(thread, timeline, value);
}

static rk_status set_by_name(rk_recording *recording, const char *name, rk_timeline_kind kind, int64_t value)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  if (thread == NULL) {
    return misuse_or_memory(recording);
  }
  const rk_timeline *timeline = timeline_at(thread, name, kind);
  return timeline == NULL ? thread->error.status : time_set(thread, timeline, value);
}

RK_API rk_status rk_time_set_sequence(rk_recording *recording, const char *timeline, int64_t value)
{
  return set_by_name(recording, timeline, RK_TIMELINE_SEQUENCE, value);
}

RK_API rk_status rk_time_set_duration_ns(rk_recording *recording, const char *timeline, int64_t value_ns)
{
  return set_by_name(recording, timeline, RK_TIMELINE_DURATION, value_ns);
}

RK_API rk_status rk_time_set_timestamp_ns(rk_recording *recording, const char *timeline, int64_t since_epoch_ns)
{
  return set_by_name(recording, timeline, RK_TIMELINE_TIMESTAMP, since_epoch_ns);
}

RK_API rk_status rk_time_disable(rk_recording *recording, const char *timeline)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  if (thread == NULL) {
    return misuse_or_memory(recording);
  }
  if (timeline == NULL) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a timeline's name is NULL");
  }
  rk_time_value *values = thread->time_values;
  for (uint32_t i = 0; i < thread->time_count; i++) {
    if (strcmp(values[i].timeline->name, timeline) == 0) {
      const rk_time_value gone = values[i];
      memmove(values + i, values + i + 1, (thread->time_count - i - 1) * sizeof *values);
      thread->time_count--;
      const rk_status status = resolve_set(thread);
      if (status != RK_OK) {
        memmove(values + i + 1, values + i, (thread->time_count - i) * sizeof *values);
        values[i] = gone;
        thread->time_count++;
      }
      return status;
    }
  }
  return RK_OK;
}

RK_API rk_status rk_time_reset(rk_recording *recording)
{
  rk_thread *thread = recording == NULL ? NULL : rk_thread_get(recording);
  if (thread == NULL) {
    return misuse_or_memory(recording);
  }
  thread->time_count = 0;
  return resolve_set(thread);
}
