/* The work list of log_benchmark, the official repository's own benchmark, by rrdkit's typed calls. log-benchmark FILE
 * WORK COUNT; bench_log_benchmark.py has the list, bench/peers/rust the same with the official SDK.
 *
 * The rows are made before. A line of JSON tells the seconds until the last call returned, until all is in the page
 * cache, the processor's seconds, and rows and bytes of payload. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rrdkit/rrdkit.h"

typedef struct work {
  rk_recording *recording;
  size_t count, rows, bytes;
  double begin, cpu;
} work;

static double seconds(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(rk_status status)
{
  if (status != RK_OK) {
    fprintf(stderr, "log-benchmark: %s\n", rk_status_text(status));
    exit(1);
  }
}

static void *numbers(size_t count, size_t size)
{
  void *values = calloc(count, size);
  if (!values) {
    check(RK_ERR_NO_MEMORY);
  }
  return values;
}

static int64_t next(int64_t *state)
{
  *state = (1140671485 * *state + 128201163) % 16777216;
  return *state;
}

/* All is made: from here it counts. */
static void start(work *w)
{
  w->begin = seconds(CLOCK_MONOTONIC);
  w->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

typedef struct points {
  rk_vec3 *positions;
  rk_color *colors;
  float *radii;
} points;

static points make_points(work *w, int64_t state)
{
  points made = {numbers(w->count, sizeof(rk_vec3)), numbers(w->count, sizeof(rk_color)),
                 numbers(w->count, sizeof(float))};
  for (size_t i = 0; i < w->count; i++) {
    made.positions[i].x = (float)next(&state);
    made.positions[i].y = (float)next(&state);
    made.positions[i].z = (float)next(&state);
  }
  for (size_t i = 0; i < w->count; i++) {
    made.colors[i] = (rk_color)next(&state);
  }
  for (size_t i = 0; i < w->count; i++) {
    made.radii[i] = (float)next(&state);
  }
  w->bytes = w->count * (sizeof(rk_vec3) + sizeof(rk_color) + sizeof(float));
  return made;
}

/* COUNT points in one row. */
static void points3d_large_batch(work *w)
{
  const points made = make_points(w, 42);
  const rk_points3d row = {.positions = made.positions,
                           .positions_count = w->count,
                           .colors = made.colors,
                           .colors_count = w->count,
                           .radii = made.radii,
                           .radii_count = w->count,
                           .labels = (const char *[]){"some label"},
                           .labels_count = 1};
  w->rows = 1;
  start(w);
  check(rk_log_points3d(w->recording, rk_entity_at(w->recording, "large_batch"), &row));
}

/* COUNT rows of a point, each at a time of its own. */
static void points3d_many_individual(work *w)
{
  const points made = make_points(w, 1337);
  w->rows = w->count;
  start(w);
  const rk_entity *entity = rk_entity_at(w->recording, "single_point");
  const rk_timeline *timeline = rk_timeline_at(w->recording, "my_timeline", RK_TIMELINE_SEQUENCE);
  for (size_t i = 0; i < w->count; i++) {
    check(rk_time_set(w->recording, timeline, (int64_t)i));
    check(rk_log_points3d(w->recording, entity,
                          &(rk_points3d){.positions = &made.positions[i],
                                         .positions_count = 1,
                                         .colors = &made.colors[i],
                                         .colors_count = 1,
                                         .radii = &made.radii[i],
                                         .radii_count = 1}));
  }
}

/* A grid of boxes of one size, COUNT times; a size for all of them is an update, which the typed call refuses. */
static void boxes3d(work *w)
{
  enum { SIDE = 200, LOWEST = 10, HIGHEST = 20 };
  rk_vec3 *centers = numbers((size_t)SIDE * SIDE * HIGHEST, sizeof *centers);
  size_t boxes = 0;
  for (int x = 0; x < SIDE; x++) {
    for (int y = 0; y < SIDE; y++) {
      const float height = LOWEST + (HIGHEST - LOWEST) * (sinf((float)(x + y) * 0.1F) + 1) / 2;
      for (int z = 0; z < (int)roundf(height); z++) {
        centers[boxes++] = (rk_vec3){(float)x, (float)y, (float)z};
      }
    }
  }
  const rk_vec3 half_size = {0.5F, 0.5F, 0.5F};
  const uint8_t solid = RK_FILL_MODE_SOLID;
  const rk_cell row[] = {{.component = rk_component_builtin("Boxes3D:half_sizes"), .count = 1, .values = &half_size},
                         {.component = rk_component_builtin("Boxes3D:centers"), .count = boxes, .values = centers},
                         {.component = rk_component_builtin("Boxes3D:fill_mode"), .count = 1, .values = &solid}};
  w->rows = w->count;
  w->bytes = w->count * boxes * sizeof *centers;
  start(w);
  for (size_t i = 0; i < w->count; i++) {
    check(rk_log(w->recording, rk_entity_at(w->recording, "large_batch"), row, sizeof row / sizeof row[0]));
  }
}

/* Ten entities, COUNT times. */
static void transform3d(work *w)
{
  enum { ENTITIES = 10 };
  typedef struct transform {
    rk_vec3 translation;
    rk_mat3x3 mat3x3;
  } transform;
  w->rows = w->count * ENTITIES;
  w->bytes = w->rows * sizeof(transform);
  transform *made = numbers(w->rows, sizeof *made);
  int64_t state = 12345;
  for (size_t i = 0; i < w->rows; i++) {
    float *translation = &made[i].translation.x;
    for (int k = 0; k < 3; k++) {
      translation[k] = (float)(next(&state) % 1000) / 100;
    }
    for (int k = 0; k < 9; k++) {
      made[i].mat3x3.m[k] = (float)(next(&state) % 1000) / 500 - 1;
    }
  }
  start(w);
  const rk_timeline *frame = rk_timeline_at(w->recording, "frame", RK_TIMELINE_SEQUENCE);
  const rk_entity *entities[ENTITIES];
  for (size_t i = 0; i < ENTITIES; i++) {
    char path[32];
    snprintf(path, sizeof path, "transform_%zu", i);
    entities[i] = rk_entity_at(w->recording, path);
  }
  for (size_t i = 0; i < w->rows; i++) {
    check(rk_time_set(w->recording, frame, (int64_t)(i / ENTITIES)));
    check(rk_log_transform3d(w->recording, entities[i % ENTITIES],
                             &(rk_transform3d){.translation = &made[i].translation, .mat3x3 = &made[i].mat3x3}));
  }
}

/* A number each of 600 entities, COUNT times. */
static void scalars(work *w)
{
  enum { ENTITIES = 600 };
  w->rows = w->count * ENTITIES;
  w->bytes = w->rows * sizeof(double);
  double *made = numbers(w->rows, sizeof *made);
  int64_t state = 42;
  for (size_t i = ENTITIES; i < w->rows; i++) {
    made[i] = made[i - ENTITIES] + (double)next(&state) / 16777216 * 0.2 - 0.1;
  }
  start(w);
  const rk_timeline *frame = rk_timeline_at(w->recording, "frame", RK_TIMELINE_SEQUENCE);
  const rk_entity *entities[ENTITIES];
  for (size_t i = 0; i < ENTITIES; i++) {
    char path[32];
    snprintf(path, sizeof path, "scalar_%zu", i);
    entities[i] = rk_entity_at(w->recording, path);
  }
  for (size_t i = 0; i < w->rows; i++) {
    check(rk_time_set(w->recording, frame, (int64_t)(i / ENTITIES)));
    check(rk_log_scalars(w->recording, entities[i % ENTITIES], &(rk_scalars){.scalars = &made[i], .scalars_count = 1}));
  }
}

/* An image of COUNT x COUNT pixels, four times, each time with a pixel changed. */
static void image(work *w)
{
  enum { TIMES = 4 };
  const size_t size = w->count * w->count * 4;
  uint8_t *pixels = numbers(size, 1);
  const rk_image row = {.buffer = {pixels, size},
                        .format = {.width = (uint32_t)w->count,
                                   .height = (uint32_t)w->count,
                                   .color_model = RK_COLOR_MODEL_RGBA,
                                   .channel_datatype = RK_CHANNEL_DATATYPE_U8}};
  w->rows = TIMES;
  w->bytes = TIMES * size;
  memset(pixels, 1, size); /* or its memory would be made while it counts */
  start(w);
  for (size_t i = 0; i < TIMES; i++) {
    pixels[i]++;
    check(rk_log_image(w->recording, rk_entity_at(w->recording, "test_image"), &row));
  }
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*log)(work *);
  } list[] = {{"points3d_large_batch", points3d_large_batch},
              {"points3d_many_individual", points3d_many_individual},
              {"boxes3d", boxes3d},
              {"transform3d", transform3d},
              {"scalars", scalars},
              {"image", image}};
  work w = {.count = argc == 4 ? (size_t)strtoull(argv[3], NULL, 10) : 0};
  size_t i = 0;
  while (w.count > 0 && i < sizeof list / sizeof list[0] && strcmp(list[i].name, argv[2]) != 0) {
    i++;
  }
  if (w.count == 0 || i == sizeof list / sizeof list[0]) {
    fprintf(stderr, "usage: log-benchmark FILE WORK COUNT\n");
    return 2;
  }
  check(rk_recording_open(argv[1], &(rk_recording_options){.application_id = "log_benchmark"}, &w.recording, NULL));
  list[i].log(&w);
  const double called = seconds(CLOCK_MONOTONIC);
  check(rk_recording_flush(w.recording));
  printf("{\"call_seconds\":%.9f,\"seconds\":%.9f,\"cpu_seconds\":%.9f,\"rows\":%zu,\"bytes\":%zu}\n", called - w.begin,
         seconds(CLOCK_MONOTONIC) - w.begin, seconds(CLOCK_PROCESS_CPUTIME_ID) - w.cpu, w.rows, w.bytes);
  check(rk_recording_close(w.recording));
  rk_recording_free(w.recording);
  return 0;
}
