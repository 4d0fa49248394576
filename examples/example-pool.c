/* A pool of 128 worker threads fed from a queue and stopped cooperatively; every job is logged by whichever worker ran
 * it. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "rrdkit/rrdkit.h"

enum { WORKERS = 128, JOBS = 2000, QUEUE = 256 };

struct pool {
  rk_recording *recording;
  const rk_entity *log;
  const rk_entity *duration;
  const rk_timeline *job_timeline;
  pthread_mutex_t mutex;
  pthread_cond_t not_empty, not_full;
  int jobs[QUEUE]; /* a ring */
  int head, count;
  bool stopping;
  int logged; /* jobs whose rows were accepted */
};

static bool take(struct pool *pool, int *job)
{
  pthread_mutex_lock(&pool->mutex);
  while (pool->count == 0 && !pool->stopping) {
    pthread_cond_wait(&pool->not_empty, &pool->mutex);
  }
  const bool got = pool->count > 0; /* what is queued is finished before a worker stops */
  if (got) {
    *job = pool->jobs[pool->head];
    pool->head = (pool->head + 1) % QUEUE;
    pool->count--;
    pthread_cond_signal(&pool->not_full);
  }
  pthread_mutex_unlock(&pool->mutex);
  return got;
}

static void submit(struct pool *pool, int job)
{
  pthread_mutex_lock(&pool->mutex);
  while (pool->count == QUEUE) {
    pthread_cond_wait(&pool->not_full, &pool->mutex);
  }
  pool->jobs[(pool->head + pool->count) % QUEUE] = job;
  pool->count++;
  pthread_cond_signal(&pool->not_empty);
  pthread_mutex_unlock(&pool->mutex);
}

static unsigned collatz(unsigned n) /* the work: how many steps until 1 */
{
  unsigned steps = 0;
  for (unsigned long long at = n; at != 1; steps++) {
    at = at % 2 == 0 ? at / 2 : 3 * at + 1;
  }
  return steps;
}

static void *work(void *argument)
{
  struct pool *pool = argument;
  for (int job; take(pool, &job);) {
    const int64_t start = rk_recording_now(pool->recording);
    const unsigned steps = collatz((unsigned)job + 1);
    nanosleep(&(struct timespec){.tv_nsec = 1000 * (long)(steps % 200)}, NULL);

    char text[96];
    snprintf(text, sizeof text, "job %d: %u steps", job, steps);
    rk_time_set(pool->recording, pool->job_timeline, job);
    const double milliseconds = (double)(rk_recording_now(pool->recording) - start) / 1e6;
    const rk_status line = rk_log_text(pool->recording, pool->log, RK_LEVEL_DEBUG, text);
    const rk_status value = rk_log_scalar(pool->recording, pool->duration, milliseconds);
    if (line == RK_OK && value == RK_OK) {
      pthread_mutex_lock(&pool->mutex);
      pool->logged++;
      pthread_mutex_unlock(&pool->mutex);
    }
  }
  return NULL;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  /* Each worker has a ring of its own: 128 small ones do for short rows. */
  const rk_recording_options options = {.application_id = "example-pool", .ring_size = 64 * 1024};
  struct pool pool = {
      .mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER, .not_full = PTHREAD_COND_INITIALIZER};
  rk_error error;
  if (rk_recording_open(argv[1], &options, &pool.recording, &error) != RK_OK) {
    fprintf(stderr, "example-pool: %s\n", error.message);
    return 1;
  }
  pool.log = rk_entity_at(pool.recording, "jobs/log");
  pool.duration = rk_entity_at(pool.recording, "jobs/milliseconds");
  pool.job_timeline = rk_timeline_at(pool.recording, "job", RK_TIMELINE_SEQUENCE);

  pthread_t threads[WORKERS];
  int started = 0;
  while (started < WORKERS && pthread_create(&threads[started], NULL, work, &pool) == 0) {
    started++;
  }
  for (int job = 0; started > 0 && job < JOBS; job++) {
    submit(&pool, job);
  }
  pthread_mutex_lock(&pool.mutex);
  pool.stopping = true;
  pthread_cond_broadcast(&pool.not_empty);
  pthread_mutex_unlock(&pool.mutex);
  for (int i = 0; i < started; i++) {
    pthread_join(threads[i], NULL);
  }

  int failed = started != WORKERS || pool.logged != JOBS;
  if (rk_recording_close(pool.recording) != RK_OK) {
    rk_recording_error(pool.recording, &error);
    fprintf(stderr, "example-pool: %s\n", error.message);
    failed = 1;
  }
  printf("%d workers logged %d of %d jobs\n", started, pool.logged, JOBS);
  rk_recording_free(pool.recording);
  return failed;
}
