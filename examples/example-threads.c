/* Ten threads share one recording: each logs 1000 times five random boxes, in a colour of its own, to thread/<i>. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "rrdkit/rrdkit.h"

enum { THREADS = 10, ROWS = 1000, BOXES = 5 };

static const rk_color colors[THREADS] = {
    RK_RGB(230, 25, 75),  RK_RGB(60, 180, 75),  RK_RGB(255, 225, 25), RK_RGB(0, 130, 200),  RK_RGB(245, 130, 48),
    RK_RGB(145, 30, 180), RK_RGB(70, 240, 240), RK_RGB(240, 50, 230), RK_RGB(210, 245, 60), RK_RGB(250, 190, 212),
};

typedef struct worker {
  rk_recording *recording;
  unsigned number;
  rk_status status;
} worker;

static float random_below(unsigned *seed, float limit)
{
  return limit * (float)rand_r(seed) / (float)RAND_MAX;
}

static void *work(void *argument)
{
  worker *self = argument;
  unsigned seed = self->number + 1;
  char path[32];
  snprintf(path, sizeof path, "thread/%u", self->number);
  const rk_entity *entity = rk_entity_at(self->recording, path); /* resolved once, outside the loop */
  const rk_timeline *frame = rk_timeline_at(self->recording, "frame", RK_TIMELINE_SEQUENCE);

  for (int row = 0; row < ROWS && self->status == RK_OK; row++) {
    rk_vec2 half_sizes[BOXES], centers[BOXES];
    for (int box = 0; box < BOXES; box++) {
      half_sizes[box] = (rk_vec2){2 + random_below(&seed, 8), 2 + random_below(&seed, 8)};
      /* Each thread keeps to a column of its own, so that the picture shows who drew what. */
      centers[box] = (rk_vec2){30 * (float)self->number + random_below(&seed, 20), random_below(&seed, 200)};
    }
    rk_time_set(self->recording, frame, row);
    self->status = rk_log_boxes2d(self->recording, entity,
                                  &(rk_boxes2d){.half_sizes = half_sizes,
                                                .half_sizes_count = BOXES,
                                                .centers = centers,
                                                .centers_count = BOXES,
                                                .colors = &colors[self->number],
                                                .colors_count = 1});
  }
  return NULL;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(argv[1], &(rk_recording_options){.application_id = "example-threads"}, &recording, &error) !=
      RK_OK) {
    fprintf(stderr, "example-threads: %s\n", error.message);
    return 1;
  }

  pthread_t threads[THREADS];
  worker workers[THREADS];
  int started = 0, failed = 0;
  for (; started < THREADS; started++) {
    workers[started] = (worker){.recording = recording, .number = (unsigned)started};
    if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0) {
      fprintf(stderr, "example-threads: cannot start thread %d\n", started);
      failed = 1;
      break;
    }
  }
  for (int i = 0; i < started; i++) {
    pthread_join(threads[i], NULL);
    if (workers[i].status != RK_OK) {
      fprintf(stderr, "example-threads: thread %d: %s\n", i, rk_status_text(workers[i].status));
      failed = 1;
    }
  }

  if (rk_recording_close(recording) != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "example-threads: %s\n", error.message);
    failed = 1;
  }
  rk_recording_free(recording);
  return failed;
}
