/* What every peer in C and C++ does: PEER FILE ROWS THREADS [MORE...]. Each thread logs in bursts, between which it
 * rests, then its part of ROWS rows as fast as they go, until all of them are in the page cache; a line of JSON tells
 * the time of a call within bursts and of one as fast as they go, and seconds and processor seconds of the whole. */
#ifndef BENCH_PEERS_HARNESS_H
#define BENCH_PEERS_HARNESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

enum { BURSTS = 20, BURST = 1000, THREADS_MAX = 256 };

typedef struct harness_peer {
  bool (*open)(const char *path, char **more); /* NULL-terminated words behind THREADS */
  void (*log)(const uint8_t *data, uint64_t count);
  void (*rest)(void);  /* until little or nothing of the burst before is still to be written */
  bool (*close)(void); /* returns once all is in the page cache */
} harness_peer;

typedef struct harness_run {
  const harness_peer *peer;
  const uint8_t *data;
  uint64_t rows; /* of each thread */
  pthread_barrier_t start;
} harness_run;

typedef struct harness_thread {
  harness_run *run;
  pthread_t id;
  double call_ns;
} harness_thread;

static inline double harness_clock(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int harness_compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double harness_median(double *values, unsigned count)
{
  qsort(values, count, sizeof *values, harness_compare);
  return values[count / 2];
}

static inline void *harness_log(void *context)
{
  harness_thread *thread = (harness_thread *)context;
  harness_run *run = thread->run;
  double burst[BURSTS];
  for (int i = 0; i < BURSTS; i++) {
    run->peer->rest();
    const double begin = harness_clock(CLOCK_MONOTONIC);
    run->peer->log(run->data, BURST);
    burst[i] = harness_clock(CLOCK_MONOTONIC) - begin;
  }
  thread->call_ns = harness_median(burst, BURSTS) / BURST * 1e9;
  pthread_barrier_wait(&run->start);
  run->peer->log(run->data, run->rows);
  return NULL;
}

/* `data`: ROWS_DATA + ROW_SIZE bytes. */
static inline int harness_main(int argc, char **argv, const harness_peer *peer, const uint8_t *data)
{
  static harness_run run;
  static harness_thread threads[THREADS_MAX];
  const unsigned count = argc < 4 ? 0 : (unsigned)atoi(argv[3]);
  if (count == 0 || count > THREADS_MAX || !peer->open(argv[1], argv + 4)) {
    return 2;
  }
  run.peer = peer;
  run.data = data;
  run.rows = strtoull(argv[2], NULL, 10) / count;
  pthread_barrier_init(&run.start, NULL, count + 1);
  for (unsigned i = 0; i < count; i++) {
    threads[i].run = &run;
    pthread_create(&threads[i].id, NULL, harness_log, &threads[i]);
  }
  pthread_barrier_wait(&run.start);
  const double begin = harness_clock(CLOCK_MONOTONIC), cpu = harness_clock(CLOCK_PROCESS_CPUTIME_ID);
  double calls[THREADS_MAX];
  for (unsigned i = 0; i < count; i++) {
    pthread_join(threads[i].id, NULL);
    calls[i] = threads[i].call_ns;
  }
  const double called = harness_clock(CLOCK_MONOTONIC) - begin;
  if (!peer->close()) {
    return 1;
  }
  printf("{\"call_ns\":%.2f,\"sustained_ns\":%.2f,\"rows\":%.0f,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n",
         harness_median(calls, count), called / (double)run.rows * 1e9, (double)run.rows * count,
         harness_clock(CLOCK_MONOTONIC) - begin, harness_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}

#endif
