/* The chaos harness: rows as a function of (seed, slot, number): logging them and recognising them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

/* ---- Random numbers ---- */

uint64_t chaos_mix(uint64_t x)
{
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

uint64_t chaos_next(chaos_random *random)
{
  return random->state = chaos_mix(random->state);
}

uint64_t chaos_below(chaos_random *random, uint64_t bound)
{
  return (chaos_next(random) >> 11) % bound;
}

bool chaos_chance(chaos_random *random, unsigned percent)
{
  return chaos_below(random, 100) < percent;
}

uint64_t chaos_log_uniform(chaos_random *random, uint64_t min, uint64_t max)
{
  const double fraction = (double)(chaos_next(random) >> 11) / (double)(UINT64_C(1) << 53);
  const uint64_t value = (uint64_t)((double)min * pow((double)max / (double)min, fraction));
  return value > max ? max : value;
}

double chaos_seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void chaos_sleep_us(uint64_t us)
{
  const struct timespec pause = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
  nanosleep(&pause, NULL);
}

/* ---- What a row is ---- */

typedef enum chaos_kind {
  KIND_BLOB,   /* key and blob, by the generic call */
  KIND_STATIC, /* the same, static */
  KIND_TEXT,   /* TextLog */
  KIND_POINTS, /* Points3D */
  KIND_SCALAR, /* Scalars */
  KIND_COUNT
} chaos_kind;

enum { TIME_COUNT = 3 }; /* optional timelines; the first of all carries the key */

static const struct {
  const char *name;
  rk_timeline_kind kind;
} timelines[1 + TIME_COUNT] = {{"chaos", RK_TIMELINE_SEQUENCE},
                               {"tick", RK_TIMELINE_SEQUENCE},
                               {"since", RK_TIMELINE_DURATION},
                               {"wall", RK_TIMELINE_TIMESTAMP}};

chaos_habit chaos_habit_of(uint64_t seed, uint32_t slot)
{
  chaos_random random = {chaos_mix(seed ^ (uint64_t)slot << 20)};
  static const struct {
    uint64_t min, max;
    uint32_t weight;
  } sizes[] = {{16, 128, 40}, {16, 4096, 25}, {16, 256 << 10, 25}, {64 << 10, 256 << 10, 7}, {1 << 10, 3 << 20, 3}};
  uint64_t pick = chaos_below(&random, 100);
  size_t at = 0;
  while (pick >= sizes[at].weight) {
    pick -= sizes[at++].weight;
  }
  chaos_habit habit = {.min_size = sizes[at].min, .max_size = sizes[at].max};
  habit.entities = chaos_chance(&random, 10) ? 200 : 1 + (uint32_t)chaos_below(&random, 5);
  habit.first_entity = (uint32_t)chaos_below(&random, 20);
  habit.kind = chaos_chance(&random, 50) ? KIND_COUNT : KIND_BLOB;
  habit.pause_every = (uint32_t)chaos_log_uniform(&random, 1, 1000);
  habit.pause_us = chaos_chance(&random, 30) ? 0 : (uint32_t)chaos_log_uniform(&random, 10, 50000);
  habit.flush_every = chaos_chance(&random, 15) ? (uint32_t)chaos_log_uniform(&random, 5, 2000) : 0;
  return habit;
}

typedef struct row_plan {
  chaos_kind kind;
  uint32_t entity;
  uint32_t times; /* bits of the optional timelines */
  size_t size;
  uint64_t state; /* from which the contents come */
} row_plan;

static row_plan plan_of(uint64_t seed, const chaos_habit *habit, uint64_t key)
{
  chaos_random random = {chaos_mix(seed + 1) ^ chaos_mix(key)};
  row_plan plan;
  plan.kind = habit->kind == KIND_COUNT ? (chaos_kind)chaos_below(&random, KIND_COUNT) : (chaos_kind)habit->kind;
  if (plan.kind == KIND_BLOB && chaos_chance(&random, 1)) {
    plan.kind = KIND_STATIC;
  }
  plan.size = (size_t)chaos_log_uniform(&random, habit->min_size, habit->max_size);
  if (plan.kind == KIND_TEXT && plan.size > 8192) {
    plan.size = 8192;
  }
  plan.entity = habit->first_entity + (uint32_t)chaos_below(&random, habit->entities);
  plan.times = plan.kind == KIND_STATIC ? 0 : (uint32_t)chaos_mix(seed ^ key >> 6) & 7; /* the same for 64 rows */
  plan.state = chaos_next(&random);
  return plan;
}

static int64_t time_of(uint64_t key, unsigned timeline)
{
  return timeline == 0 ? (int64_t)key : (int64_t)(chaos_mix(key + timeline) >> 4);
}

static size_t points_of(const row_plan *plan)
{
  return plan->size < 16 ? 1 : plan->size / 16;
}

static double scalar_of(const row_plan *plan)
{
  return (double)(int64_t)(plan->state >> 16);
}

/* The bytes of a blob, the characters of a text, or positions and then colors. */
static void fill(const row_plan *plan, uint8_t *out)
{
  uint64_t state = plan->state;
  if (plan->kind == KIND_TEXT) {
    for (size_t i = 0; i < plan->size; i++) {
      state = i % 8 == 0 ? chaos_mix(state) : state >> 8;
      out[i] = (uint8_t)('0' + (state & 63));
    }
    out[plan->size] = '\0';
  } else if (plan->kind == KIND_POINTS) {
    const size_t count = points_of(plan);
    for (size_t i = 0; i < count; i++) {
      state = chaos_mix(state);
      const float xyz[3] = {(float)(state & 0xFFFF), (float)(state >> 16 & 0xFFFF), (float)(state >> 32 & 0xFFFF)};
      const uint32_t color = (uint32_t)(state >> 32);
      memcpy(out + 12 * i, xyz, 12);
      memcpy(out + 12 * count + 4 * i, &color, 4);
    }
  } else {
    for (size_t i = 0; i < plan->size; i += 8) {
      state = chaos_mix(state);
      memcpy(out + i, &state, 8);
    }
  }
}

static bool reserve(uint8_t **buffer, size_t *size, size_t wanted)
{
  if (*size < wanted) {
    free(*buffer);
    *buffer = malloc(wanted);
    *size = *buffer == NULL ? 0 : wanted;
  }
  return *buffer != NULL;
}

/* ---- Logging ---- */

bool chaos_logger_start(chaos_logger *logger, const chaos_round *round, rk_recording *recording)
{
  chaos_truth *truth = round->truth;
  *logger = (chaos_logger){.round = round, .recording = recording};
  if (atomic_load(&truth->slot_count) >= CHAOS_SLOTS ||
      (logger->slot = atomic_fetch_add(&truth->slot_count, 1)) >= CHAOS_SLOTS) {
    return false;
  }
  atomic_store(&truth->slots[logger->slot].pid, getpid());
  atomic_store(&truth->slots[logger->slot].tid, gettid());
  logger->habit = chaos_habit_of(round->seed, logger->slot);
  logger->entities = calloc(logger->habit.entities, sizeof *logger->entities);
  logger->key = rk_component_at(recording, "chaos:key", "L", NULL, NULL);
  logger->payload = rk_component_at(recording, "chaos:payload", "+l(!:C)", NULL, NULL);
  bool ready = logger->entities != NULL && logger->key != NULL && logger->payload != NULL;
  for (int i = 0; ready && i <= TIME_COUNT; i++) {
    logger->timelines[i] = rk_timeline_at(recording, timelines[i].name, timelines[i].kind);
    ready = logger->timelines[i] != NULL;
  }
  if (!ready) {
    chaos_logger_end(logger);
    return false;
  }
  rk_time_reset(recording); /* a fork's child has its parent's times */
  return true;
}

void chaos_logger_end(chaos_logger *logger)
{
  free(logger->entities);
  free(logger->buffer);
  logger->entities = NULL;
  logger->buffer = NULL;
}

static const rk_entity *entity_of(chaos_logger *logger, uint32_t entity)
{
  const rk_entity **known = &logger->entities[entity - logger->habit.first_entity];
  if (*known == NULL) {
    char path[32];
    snprintf(path, sizeof path, "chaos/%u", entity);
    *known = rk_entity_at(logger->recording, path);
  }
  return *known;
}

static bool set_times(chaos_logger *logger, uint64_t key, const row_plan *plan)
{
  bool set = rk_time_set(logger->recording, logger->timelines[0], time_of(key, 0)) == RK_OK;
  for (unsigned i = 0; i < TIME_COUNT; i++) {
    if (plan->times >> i & 1) {
      set &= rk_time_set(logger->recording, logger->timelines[1 + i], time_of(key, 1 + i)) == RK_OK;
    } else if (logger->times >> i & 1) {
      set &= rk_time_disable(logger->recording, timelines[1 + i].name) == RK_OK;
    }
  }
  logger->times = plan->times;
  return set;
}

static rk_status log_row(chaos_logger *logger, const rk_entity *entity, uint64_t key, const row_plan *plan)
{
  rk_recording *recording = logger->recording;
  const rk_span blob = {.data = logger->buffer, .count = plan->size};
  const rk_cell cells[] = {{.component = logger->key, .count = 1, .values = &key},
                           {.component = logger->payload, .count = 1, .values = &blob}};
  switch (plan->kind) {
  case KIND_BLOB:
    return rk_log(recording, entity, cells, 2);
  case KIND_STATIC:
    return rk_log_static(recording, entity, cells, 2);
  case KIND_TEXT:
    return rk_log_text(recording, entity, "CHAOS", (const char *)logger->buffer);
  case KIND_POINTS: {
    const size_t count = points_of(plan);
    return rk_log_points3d(recording, entity,
                           &(rk_points3d){.positions = (const rk_vec3 *)(const void *)logger->buffer,
                                          .positions_count = count,
                                          .colors = (const rk_color *)(const void *)(logger->buffer + 12 * count),
                                          .colors_count = count});
  }
  case KIND_SCALAR:
  case KIND_COUNT:
    break;
  }
  return rk_log_scalar(recording, entity, scalar_of(plan));
}

bool chaos_logger_log(chaos_logger *logger)
{
  chaos_truth *truth = logger->round->truth;
  chaos_slot *slot = &truth->slots[logger->slot];
  const uint64_t index = atomic_load_explicit(&slot->started, memory_order_relaxed);
  if (index >= UINT32_MAX || atomic_load_explicit(&truth->refusal_count, memory_order_relaxed) >= CHAOS_REFUSALS / 2) {
    return false;
  }
  const uint64_t key = CHAOS_KEY(logger->slot, index);
  const row_plan plan = plan_of(logger->round->seed, &logger->habit, key);
  const rk_entity *entity = entity_of(logger, plan.entity);
  if (entity == NULL || !reserve(&logger->buffer, &logger->buffer_size, plan.size + 32)) {
    return false;
  }
  fill(&plan, logger->buffer);
  if (!set_times(logger, key, &plan)) {
    return false;
  }
  atomic_store_explicit(&slot->started, index + 1, memory_order_release);
  const rk_status status = log_row(logger, entity, key, &plan);
  if (status != RK_OK) {
    const uint32_t refusal = atomic_fetch_add(&truth->refusal_count, 1);
    if (refusal < CHAOS_REFUSALS) {
      atomic_store(&truth->refusals[refusal], key + 1);
    }
    if (status == RK_ERR_FULL) {
      atomic_fetch_add(&slot->dropped, 1);
    }
  }
  atomic_store_explicit(&slot->returned, index + 1, memory_order_release);
  atomic_fetch_sub_explicit(&truth->budget, (int64_t)plan.size + 64, memory_order_relaxed);
  if (status == RK_ERR_IO || status == RK_ERR_FULL) {
    chaos_sleep_us(2000);
    return true; /* there may be room again */
  }
  if (status != RK_OK && status != RK_ERR_MISUSE) { /* closed meanwhile */
    fprintf(stderr, "log_chaos: %d: a row was refused: %s\n", (int)getpid(), rk_status_text(status));
    atomic_fetch_add(&truth->failures, 1);
  }
  return status == RK_OK;
}

/* ---- Recognising ---- */

static const rk_component_cell *find(const rk_row *row, const char *component)
{
  for (size_t i = 0; i < row->component_count; i++) {
    if (strcmp(row->components[i].component, component) == 0) {
      return &row->components[i];
    }
  }
  return NULL;
}

/* The `width`-byte values of a cell, from the array (or its items) that holds them. */
static bool values_equal(const struct ArrowArray *array, int64_t start, size_t count, size_t width,
                         const void *expected)
{
  const uint8_t *values = array->buffers[1];
  return memcmp(values + (size_t)(array->offset + start) * width, expected, count * width) == 0;
}

static bool text_equal(const rk_component_cell *cell, const char *expected, size_t size)
{
  const struct ArrowArray *array = cell->values;
  const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + cell->start;
  return cell->count == 1 && (size_t)(offsets[1] - offsets[0]) == size &&
         memcmp((const char *)array->buffers[2] + offsets[0], expected, size) == 0;
}

static bool blob_equal(const rk_component_cell *cell, const uint8_t *expected, size_t size)
{
  const struct ArrowArray *array = cell->values, *bytes = array->children[0];
  const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + cell->start;
  return cell->count == 1 && (size_t)(offsets[1] - offsets[0]) == size &&
         memcmp((const uint8_t *)bytes->buffers[1] + bytes->offset + offsets[0], expected, size) == 0;
}

static const char *check_values(const rk_row *row, const row_plan *plan, uint64_t key, const uint8_t *expected)
{
  const rk_component_cell *a = NULL, *b = NULL;
  switch (plan->kind) {
  case KIND_BLOB:
  case KIND_STATIC:
    a = find(row, "chaos:key");
    b = find(row, "chaos:payload");
    return row->component_count != 2 || a == NULL || b == NULL ? "other components"
           : a->count != 1 || !values_equal(a->values, a->start, 1, 8, &key) || !blob_equal(b, expected, plan->size)
               ? "another payload"
               : NULL;
  case KIND_TEXT:
    a = find(row, "TextLog:text");
    b = find(row, "TextLog:level");
    return row->component_count != 2 || a == NULL || b == NULL                                ? "other components"
           : !text_equal(a, (const char *)expected, plan->size) || !text_equal(b, "CHAOS", 5) ? "another text"
                                                                                              : NULL;
  case KIND_POINTS: {
    const size_t count = points_of(plan);
    a = find(row, "Points3D:positions");
    b = find(row, "Points3D:colors");
    if (row->component_count != 2 || a == NULL || b == NULL) {
      return "other components";
    }
    const struct ArrowArray *xyz = a->values->children[0];
    return (size_t)a->count != count || (size_t)b->count != count ||
                   !values_equal(xyz, 3 * (a->values->offset + a->start), 3 * count, 4, expected) ||
                   !values_equal(b->values, b->start, count, 4, expected + 12 * count)
               ? "other points"
               : NULL;
  }
  case KIND_SCALAR:
  case KIND_COUNT:
    break;
  }
  a = find(row, "Scalars:scalars");
  const double value = scalar_of(plan);
  return row->component_count != 1 || a == NULL                              ? "other components"
         : a->count != 1 || !values_equal(a->values, a->start, 1, 8, &value) ? "another value"
                                                                             : NULL;
}

static const char *check_times(const rk_row *row, const row_plan *plan, uint64_t key)
{
  size_t expected = row->is_static ? 0 : 2; /* log_time and the key */
  for (unsigned i = 0; i < TIME_COUNT; i++) {
    expected += plan->times >> i & 1;
  }
  if (row->timeline_count != expected) {
    return "other timelines";
  }
  for (size_t i = 0; i < row->timeline_count; i++) {
    const rk_time_cell *cell = &row->timelines[i];
    for (unsigned t = 0; t <= TIME_COUNT; t++) {
      if (strcmp(cell->timeline, timelines[t].name) == 0 &&
          (cell->value != time_of(key, t) || cell->kind != timelines[t].kind)) {
        return "another time";
      }
    }
  }
  return NULL;
}

static uint64_t key_of(const rk_row *row)
{
  if (row->is_static) {
    const rk_component_cell *cell = find(row, "chaos:key");
    if (cell == NULL || cell->count != 1 || strcmp(cell->schema->format, "L") != 0) {
      return UINT64_MAX;
    }
    return ((const uint64_t *)cell->values->buffers[1])[cell->values->offset + cell->start];
  }
  for (size_t i = 0; i < row->timeline_count; i++) {
    if (strcmp(row->timelines[i].timeline, timelines[0].name) == 0) {
      return (uint64_t)row->timelines[i].value;
    }
  }
  return UINT64_MAX;
}

const char *chaos_row_check(const chaos_round *round, const rk_row *row, uint64_t *key, uint8_t **buffer,
                            size_t *buffer_size)
{
  *key = key_of(row);
  const uint64_t slot = *key >> 32;
  if (*key == UINT64_MAX || slot >= atomic_load(&round->truth->slot_count)) {
    *key = UINT64_MAX;
    return "a row that nobody logged";
  }
  const chaos_slot *truth = &round->truth->slots[slot];
  if ((uint32_t)*key >= atomic_load(&truth->started)) {
    return "a row that was never started";
  }
  const chaos_habit habit = chaos_habit_of(round->seed, (uint32_t)slot);
  const row_plan plan = plan_of(round->seed, &habit, *key);
  char path[32];
  snprintf(path, sizeof path, "/chaos/%u", plan.entity);
  if (strcmp(row->entity_path, path) != 0) {
    return "another entity";
  }
  if (row->is_static != (plan.kind == KIND_STATIC)) {
    return "static or not";
  }
  if (row->writer == NULL || row->writer->pid != atomic_load(&truth->pid) ||
      row->writer->tid != atomic_load(&truth->tid)) {
    return "another writer's identity";
  }
  const char *problem = check_times(row, &plan, *key);
  if (problem != NULL) {
    return problem;
  }
  if (!reserve(buffer, buffer_size, plan.size + 32)) {
    return "no memory";
  }
  fill(&plan, *buffer);
  return check_values(row, &plan, *key, *buffer);
}
