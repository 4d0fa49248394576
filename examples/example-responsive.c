/* A control loop at 100 Hz stays on time while workers log images and progress; it prints its worst lateness. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "rrdkit/rrdkit.h"

enum { WORKERS = 2, WIDTH = 320, HEIGHT = 240, TICKS = 200, PERIOD_NS = 10 * 1000 * 1000 };

struct shared {
  rk_recording *recording;
  atomic_bool stop;
  atomic_int failures;
};

typedef struct worker {
  struct shared *shared;
  int number;
} worker;

static void *work(void *argument)
{
  const worker *self = argument;
  rk_recording *recording = self->shared->recording;
  char image_path[32], progress_path[32];
  snprintf(image_path, sizeof image_path, "camera/%d", self->number);
  snprintf(progress_path, sizeof progress_path, "progress/%d", self->number);
  const rk_entity *image = rk_entity_at(recording, image_path);
  const rk_entity *progress = rk_entity_at(recording, progress_path);

  static const rk_image_format format = {
      .width = WIDTH, .height = HEIGHT, .color_model = RK_COLOR_MODEL_RGB, .channel_datatype = RK_CHANNEL_DATATYPE_U8};
  uint8_t pixels[HEIGHT][WIDTH][3];
  for (unsigned frame = 0; !atomic_load(&self->shared->stop); frame++) {
    for (unsigned y = 0; y < HEIGHT; y++) {
      for (unsigned x = 0; x < WIDTH; x++) {
        pixels[y][x][0] = (uint8_t)(x + frame);
        pixels[y][x][1] = (uint8_t)(y + 2 * frame);
        pixels[y][x][2] = (uint8_t)(self->number * 100);
      }
    }
    const rk_status logged = rk_log_image(
        recording, image, &(rk_image){.buffer = {.data = pixels, .count = sizeof pixels}, .format = format});
    const double frames = frame;
    const rk_status counted = rk_log_scalar(recording, progress, frames);
    if (logged != RK_OK || counted != RK_OK) {
      atomic_fetch_add(&self->shared->failures, 1);
    }
    nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
  }
  return NULL;
}

static int64_t to_ns(struct timespec t)
{
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return to_ns(t);
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  struct shared shared = {0};
  rk_error error;
  if (rk_recording_open(argv[1], &(rk_recording_options){.application_id = "example-responsive"}, &shared.recording,
                        &error) != RK_OK) {
    fprintf(stderr, "example-responsive: %s\n", error.message);
    return 1;
  }

  pthread_t threads[WORKERS];
  worker workers[WORKERS];
  int started = 0;
  for (; started < WORKERS; started++) {
    workers[started] = (worker){.shared = &shared, .number = started};
    if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0) {
      break;
    }
  }

  const rk_entity *loop = rk_entity_at(shared.recording, "loop/lateness_us");
  const rk_timeline *tick_timeline = rk_timeline_at(shared.recording, "tick", RK_TIMELINE_SEQUENCE);
  int64_t due = now_ns() + PERIOD_NS, worst_wakeup = 0, worst_logging = 0;
  for (int tick = 0; tick < TICKS; tick++, due += PERIOD_NS) {
    const struct timespec until = from_ns(due);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
    const int64_t awake = now_ns();
    const double lateness_us = (double)(awake - due) / 1e3;
    rk_time_set(shared.recording, tick_timeline, tick);
    if (rk_log_scalar(shared.recording, loop, lateness_us) != RK_OK) {
      atomic_fetch_add(&shared.failures, 1);
    }
    const int64_t logged = now_ns();
    worst_wakeup = awake - due > worst_wakeup ? awake - due : worst_wakeup;
    worst_logging = logged - awake > worst_logging ? logged - awake : worst_logging;
  }

  atomic_store(&shared.stop, true);
  for (int i = 0; i < started; i++) {
    pthread_join(threads[i], NULL);
  }
  int failed = started != WORKERS || atomic_load(&shared.failures) != 0;
  if (rk_recording_close(shared.recording) != RK_OK) {
    rk_recording_error(shared.recording, &error);
    fprintf(stderr, "example-responsive: %s\n", error.message);
    failed = 1;
  }
  printf("%d ticks of 10 ms: woke at most %.3f ms late (the scheduler), logging took at most %.3f ms\n", TICKS,
         (double)worst_wakeup / 1e6, (double)worst_logging / 1e6);
  rk_recording_free(shared.recording);
  return failed;
}
