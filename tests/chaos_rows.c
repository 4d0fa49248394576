/* The chaos harness: random numbers, and logging rows. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chaos_rows.h"

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
  atomic_store(&truth->slots[logger->slot].file, round->file);
  logger->habit = chaos_habit_of(round, logger->slot);
  logger->entities = calloc(logger->habit.entities, sizeof *logger->entities);
  logger->key = rk_component_at(recording, "chaos:key", "L", NULL, NULL);
  logger->payload = rk_component_at(recording, "chaos:payload", "+l(!:C)", NULL, NULL);
  bool ready = logger->entities != NULL && logger->key != NULL && logger->payload != NULL;
  for (int i = 0; ready && i < CELL_ARRAY; i++) {
    logger->cells[i] = rk_component_at(recording, chaos_cell_names[i], chaos_cell_types[i], NULL, NULL);
    ready = logger->cells[i] != NULL;
  }
  for (int i = 0; ready && i <= CHAOS_TIMES; i++) {
    logger->timelines[i] = rk_timeline_at(recording, chaos_timelines[i].name, chaos_timelines[i].kind);
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
  rk_arena_free(&logger->arena);
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

/* One time by name, as a caller may. */
static rk_status set_by_name(rk_recording *recording, const chaos_timeline *timeline, int64_t value)
{
  return (timeline->kind == RK_TIMELINE_SEQUENCE   ? rk_time_set_sequence
          : timeline->kind == RK_TIMELINE_DURATION ? rk_time_set_duration_ns
                                                   : rk_time_set_timestamp_ns)(recording, timeline->name, value);
}

static bool set_times(chaos_logger *logger, uint64_t key, const chaos_row *row)
{
  rk_recording *recording = logger->recording;
  if (row->kind == KIND_STATIC) {
    return true; /* takes none of those that are set */
  }
  const bool anew = (row->state & 15) == 0;
  if (anew && rk_time_reset(recording) != RK_OK) {
    return false;
  }
  bool set = rk_time_set(recording, logger->timelines[0], chaos_time_of(key, 0)) == RK_OK;
  for (unsigned i = 0; i < CHAOS_TIMES; i++) {
    const int64_t value = chaos_time_of(key, 1 + i);
    if (row->times >> i & 1) {
      set &= ((row->state >> 8 & 3) == 0 ? set_by_name(recording, &chaos_timelines[1 + i], value)
                                         : rk_time_set(recording, logger->timelines[1 + i], value)) == RK_OK;
    } else if (!anew && (logger->times >> i & 1) != 0) {
      set &= rk_time_disable(recording, chaos_timelines[1 + i].name) == RK_OK;
    }
  }
  logger->times = set ? row->times : UINT32_MAX; /* which of them went wrong is not known */
  return set;
}

static rk_status log_many(chaos_logger *logger, const rk_entity *entity, uint64_t key, const chaos_row *row)
{
  rk_recording *recording = logger->recording;
  chaos_cells given;
  rk_arena_reset(&logger->arena);
  chaos_cells_of(row, logger->buffer, &logger->arena, &given);
  const void *const values[CELL_ARRAY] = {given.spans, given.texts, given.bools, given.packed};
  rk_cell cells[1 + CELL_COUNT] = {{.component = logger->key, .count = 1, .values = &key}};
  size_t count = 1;
  for (unsigned i = 0; i < CELL_COUNT; i++) {
    if ((given.present >> i & 1) != 0 && i != CELL_ARRAY) {
      cells[count++] = (rk_cell){.component = logger->cells[i], .count = given.counts[i], .values = values[i]};
    } else if ((given.present >> i & 1) != 0) {
      char name[24];
      chaos_array_name(given.type, name);
      cells[count++] =
          (rk_cell){.component = rk_component_at(recording, name, chaos_array_type(given.type), NULL, NULL),
                    .array = given.array};
      if (cells[count - 1].component == NULL) { /* its definition finds no room */
        return RK_ERR_IO;
      }
    }
  }
  for (size_t i = 0; (row->state >> 16 & 1) != 0 && i < count / 2; i++) {
    const rk_cell other = cells[i];
    cells[i] = cells[count - 1 - i];
    cells[count - 1 - i] = other;
  }
  return rk_log(recording, entity, cells, count);
}

static rk_status log_row(chaos_logger *logger, const rk_entity *entity, uint64_t key, const chaos_row *row)
{
  rk_recording *recording = logger->recording;
  const rk_span blob = {.data = logger->buffer, .count = row->size};
  const rk_cell cells[] = {{.component = logger->key, .count = 1, .values = &key},
                           {.component = logger->payload, .count = 1, .values = &blob}};
  switch (row->kind) {
  case KIND_BLOB:
    return rk_log(recording, entity, cells, 2);
  case KIND_STATIC:
    return rk_log_static(recording, entity, cells, 2);
  case KIND_TEXT:
    return rk_log_text(recording, entity, "CHAOS", (const char *)logger->buffer);
  case KIND_POINTS: {
    const size_t count = chaos_points_of(row);
    return rk_log_points3d(recording, entity,
                           &(rk_points3d){.positions = (const rk_vec3 *)(const void *)logger->buffer,
                                          .positions_count = count,
                                          .colors = (const rk_color *)(const void *)(logger->buffer + 12 * count),
                                          .colors_count = count});
  }
  case KIND_MANY:
    return log_many(logger, entity, key, row);
  case KIND_SCALAR:
  case KIND_COUNT:
    break;
  }
  return rk_log_scalar(recording, entity, chaos_scalar_of(row));
}

/* A call that must be refused, some of it written perhaps, and leave nothing behind. */
static void misuse(chaos_logger *logger, const rk_entity *entity, const chaos_row *row)
{
  rk_recording *recording = logger->recording;
  const char *const no_text = NULL;
  const uint64_t key = UINT64_MAX;
  const rk_span blob = {.data = logger->buffer, .count = row->size};
  const struct ArrowArray childless = {
      .length = 3, .n_buffers = 2, .buffers = (const void *[]){NULL, "0123456789abcdef"}};
  const rk_cell first = {.component = logger->key, .count = 1, .values = &key},
                payload = {.component = logger->payload, .count = 1, .values = &blob};
  const rk_cell bad[] = {first,
                         {.component = logger->cells[CELL_TEXTS], .count = 1, .values = &no_text},
                         {.component = logger->cells[CELL_SPANS], .array = &childless},
                         {.component = NULL}};
  rk_status status = RK_OK;
  switch (row->state >> 20 & 7) {
  case 0:
    status = rk_log(recording, NULL, &first, 1);
    break;
  case 1:
    status = rk_log(recording, entity, &first, 0);
    break;
  case 2:
    status = rk_time_set(recording, logger->timelines[0], INT64_MIN);
    break;
  case 3:
    status = rk_time_set_duration_ns(recording, chaos_timelines[0].name, 1);
    break;
  default:
    status = rk_log(recording, entity, (const rk_cell[]){first, payload, bad[row->state >> 20 & 3]}, 3);
  }
  if (status == RK_OK) {
    fprintf(stderr, "log_chaos: %d: a call of misuse %u was taken\n", (int)getpid(), (unsigned)(row->state >> 20 & 7));
    atomic_fetch_add(&logger->round->truth->failures, 1);
  }
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
  const chaos_row row = chaos_row_of(logger->round->seed, &logger->habit, key);
  const rk_entity *entity = entity_of(logger, row.entity);
  if (entity == NULL || !chaos_reserve(&logger->buffer, &logger->buffer_size, row.size + 32)) {
    return false;
  }
  chaos_fill(&row, logger->buffer);
  if (!set_times(logger, key, &row)) {
    return false;
  }
  if (logger->habit.mixed && (row.state >> 32 & 31) == 0) {
    misuse(logger, entity, &row);
  }
  atomic_store_explicit(&slot->started, index + 1, memory_order_release);
  const rk_status status = log_row(logger, entity, key, &row);
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
  atomic_fetch_sub_explicit(&truth->budget, (int64_t)row.size + 64, memory_order_relaxed);
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
