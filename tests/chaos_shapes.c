/* The chaos harness: rows as a function of (seed, slot, number). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_values.h"
#include "chaos_rows.h"

const chaos_timeline chaos_timelines[CHAOS_TIMELINES] = {{"chaos", RK_TIMELINE_SEQUENCE},
                                                         {"tick", RK_TIMELINE_SEQUENCE},
                                                         {"since", RK_TIMELINE_DURATION},
                                                         {"wall", RK_TIMELINE_TIMESTAMP},
                                                         {"more/0", RK_TIMELINE_SEQUENCE},
                                                         {"more/1", RK_TIMELINE_DURATION},
                                                         {"more/2", RK_TIMELINE_TIMESTAMP},
                                                         {"more/3", RK_TIMELINE_SEQUENCE},
                                                         {"a before", RK_TIMELINE_DURATION},
                                                         {"log_timf", RK_TIMELINE_TIMESTAMP},
                                                         {"\xC3\xA9t\xC3\xA9", RK_TIMELINE_SEQUENCE}};

chaos_habit chaos_habit_of(const chaos_round *round, uint32_t slot)
{
  chaos_random random = {chaos_mix(round->seed ^ (uint64_t)slot << 20)};
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
  habit.times_for = 64;
  if ((round->truth->scenario & CHAOS_MIX) != 0 && chaos_chance(&random, 70)) {
    habit.mixed = true;
    habit.ring_shift = (uint32_t)chaos_below(&random, (round->truth->scenario & CHAOS_DISKS) != 0 ? 3 : 5);
    habit.large_percent = (uint32_t)chaos_log_uniform(&random, 1, 60);
    habit.entities = chaos_chance(&random, 40) ? 50 + (uint32_t)chaos_below(&random, 1000) : habit.entities;
    habit.times_for = (uint32_t)chaos_log_uniform(&random, 1, 500);
  }
  return habit;
}

/* Small ones, and around what makes a difference to a ring. */
static size_t mixed_size(const chaos_habit *habit, chaos_random *random)
{
  if (!chaos_chance(random, habit->large_percent)) {
    return chaos_chance(random, 10) ? 0 : (size_t)chaos_log_uniform(random, 1, 300);
  }
  const size_t ring = (size_t)65536 << habit->ring_shift, off = (size_t)chaos_below(random, 600);
  switch (chaos_below(random, 8)) {
  case 0:
    return ring / 2 - off / 4;
  case 1:
  case 2:
    return ring / 2 - off;
  case 3:
    return ring / 4 + 300 - off;
  case 4:
    return ring - off;
  case 5:
    return chaos_chance(random, 20) ? (size_t)chaos_log_uniform(random, 1 << 20, 5 << 20) : ring * 2 + 300 - off;
  default:
    return (size_t)chaos_log_uniform(random, 300, ring / 2);
  }
}

static chaos_kind mixed_kind(chaos_random *random)
{
  static const chaos_kind kinds[] = {KIND_MANY, KIND_MANY,   KIND_MANY, KIND_BLOB,   KIND_BLOB,
                                     KIND_BLOB, KIND_STATIC, KIND_TEXT, KIND_POINTS, KIND_SCALAR};
  return kinds[chaos_below(random, sizeof kinds / sizeof kinds[0])];
}

chaos_row chaos_row_of(uint64_t seed, const chaos_habit *habit, uint64_t key)
{
  chaos_random random = {chaos_mix(seed + 1) ^ chaos_mix(key)};
  chaos_row row;
  if (habit->mixed) {
    row.kind = mixed_kind(&random);
    row.size = mixed_size(habit, &random);
  } else {
    row.kind = habit->kind == KIND_COUNT ? (chaos_kind)chaos_below(&random, KIND_MANY) : (chaos_kind)habit->kind;
    if (row.kind == KIND_BLOB && chaos_chance(&random, 1)) {
      row.kind = KIND_STATIC;
    }
    row.size = (size_t)chaos_log_uniform(&random, habit->min_size, habit->max_size);
    if (row.kind == KIND_TEXT && row.size > 8192) {
      row.size = 8192;
    }
  }
  row.entity = habit->first_entity + (uint32_t)chaos_below(&random, habit->entities);
  /* The same for some rows. */
  const uint64_t times = chaos_mix(seed ^ (key >> 32 << 32 | (uint32_t)key / habit->times_for));
  row.times = row.kind == KIND_STATIC ? 0 : (uint32_t)times & (habit->mixed ? (1U << CHAOS_TIMES) - 1 : 7);
  row.state = chaos_next(&random);
  return row;
}

int64_t chaos_time_of(uint64_t key, unsigned timeline)
{
  return timeline == 0 ? (int64_t)key : (int64_t)(chaos_mix(key + timeline) >> 4);
}

size_t chaos_points_of(const chaos_row *row)
{
  return row->size < 16 ? 1 : row->size / 16;
}

double chaos_scalar_of(const chaos_row *row)
{
  return (double)(int64_t)(row->state >> 16);
}

void chaos_fill(const chaos_row *row, uint8_t *out)
{
  uint64_t state = row->state;
  if (row->kind == KIND_TEXT) {
    for (size_t i = 0; i < row->size; i++) {
      state = i % 8 == 0 ? chaos_mix(state) : state >> 8;
      out[i] = (uint8_t)('0' + (state & 63));
    }
    out[row->size] = '\0';
  } else if (row->kind == KIND_POINTS) {
    const size_t count = chaos_points_of(row);
    for (size_t i = 0; i < count; i++) {
      state = chaos_mix(state);
      const float xyz[3] = {(float)(state & 0xFFFF), (float)(state >> 16 & 0xFFFF), (float)(state >> 32 & 0xFFFF)};
      const uint32_t color = (uint32_t)(state >> 32);
      memcpy(out + 12 * i, xyz, 12);
      memcpy(out + 12 * count + 4 * i, &color, 4);
    }
  } else {
    for (size_t i = 0; i < row->size; i += 8) {
      state = chaos_mix(state);
      memcpy(out + i, &state, 8);
    }
  }
}

bool chaos_reserve(uint8_t **buffer, size_t *size, size_t wanted)
{
  if (*size < wanted) {
    free(*buffer);
    *buffer = malloc(wanted);
    *size = *buffer == NULL ? 0 : wanted;
  }
  return *buffer != NULL;
}

/* ---- Cells of every form ---- */

const char *const chaos_cell_names[CELL_ARRAY] = {"chaos:spans", "chaos:texts", "chaos:bools", "chaos:packed"};
const char *const chaos_cell_types[CELL_ARRAY] = {"+l(!:C)", "u", "b", "+w:3(!:f)"};

const char *chaos_array_type(unsigned type)
{
  return arrow_types[type];
}

void chaos_array_name(unsigned type, char name[24])
{
  snprintf(name, 24, "chaos:array_%u", type);
}

void chaos_cells_of(const chaos_row *row, const uint8_t *payload, rk_arena *arena, chaos_cells *cells)
{
  chaos_random random = {chaos_mix(row->state + 5)};
  *cells = (chaos_cells){.present = 1U | (uint32_t)chaos_below(&random, 1U << CELL_COUNT)};
  size_t *counts = cells->counts;
  counts[CELL_SPANS] = row->size == 0 ? chaos_below(&random, 3) : 1 + chaos_below(&random, 4);
  for (size_t i = 0, at = 0; i < counts[CELL_SPANS]; i++) {
    const size_t left = row->size - at;
    const size_t size = i + 1 == counts[CELL_SPANS] ? left : (size_t)chaos_below(&random, left + 1);
    cells->spans[i] = (rk_span){.data = payload + at, .count = size};
    at += size;
  }
  counts[CELL_TEXTS] = chaos_below(&random, 6);
  for (size_t i = 0; i < counts[CELL_TEXTS]; i++) {
    snprintf(cells->text_bytes[i], sizeof cells->text_bytes[i], "%.*s\xE2\x82\xAC", (int)chaos_below(&random, 17),
             "abcdefghijklmnop");
    cells->texts[i] = cells->text_bytes[i];
  }
  counts[CELL_BOOLS] = chaos_below(&random, sizeof cells->bools);
  for (size_t i = 0; i < counts[CELL_BOOLS]; i++) {
    cells->bools[i] = (uint8_t)chaos_below(&random, 2);
  }
  counts[CELL_PACKED] = chaos_below(&random, 30);
  for (size_t i = 0; i < 3 * counts[CELL_PACKED]; i++) {
    cells->packed[i] = (float)chaos_below(&random, 1000);
  }
  cells->type = (unsigned)chaos_below(&random, ARROW_TYPE_COUNT);
  if ((cells->present >> CELL_ARRAY & 1) != 0) {
    arrow_maker maker = {.arena = arena, .state = chaos_next(&random) | 1};
    cells->field = arrow_field(arena, arrow_types[cells->type]);
    struct ArrowArray *array = arrow_make(&maker, cells->field, (int64_t)chaos_below(&random, 20));
    if (strcmp(arrow_types[cells->type], "w:0") == 0) { /* no bytes, but a buffer is asked for */
      array->buffers[1] = "";
    }
    cells->array = array;
    counts[CELL_ARRAY] = (size_t)array->length;
  }
}

bool chaos_array_equal(const chaos_cells *cells, const struct ArrowArray *values, int64_t start)
{
  return arrow_equal(cells->field, values, start, cells->array, 0, cells->array->length);
}
