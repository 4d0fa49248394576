/* Processes and threads that log rows into one recording at once, measured from their common start to the last flush.
 */
#include "fleet.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench/peers/rows.h"

enum { PROCESSES_MAX = 256 };

typedef struct fleet_shared {
  pthread_barrier_t start;
  struct {
    double begin, end, cpu;
  } process[PROCESSES_MAX];
} fleet_shared;

void *fleet_share(size_t size)
{
  void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    bench_die("out of memory");
  }
  return shared;
}

const uint8_t *fleet_data(size_t size)
{
  static uint8_t *data;
  static size_t made;
  if (made < size) {
    free(data);
    data = malloc(FLEET_DATA + size);
    if (data != NULL) {
      rows_fill(data, FLEET_DATA + size);
    }
    made = size;
  }
  return data != NULL ? data : (bench_die("out of memory"), NULL);
}

void fleet_log(fleet_worker *worker)
{
  const fleet_plan *plan = worker->plan;
  rk_cell cell = {.component = worker->scalars, .count = plan->size / 8};
  size_t at = 0;
  unsigned entity = 0;
  int failed = 0;
  for (uint64_t row = 0; row < plan->rows; row++) {
    cell.values = worker->data + at;
    failed |= (int)rk_log(worker->recording, worker->entities[entity], &cell, 1);
    at = at + plan->size < FLEET_DATA ? at + plan->size : 0;
    entity = entity + 1 < plan->entities ? entity + 1 : 0;
  }
  if (failed != 0) {
    bench_die("rows were refused");
  }
}

typedef struct thread {
  fleet_worker worker;
  fleet_shared *shared;
} thread;

static void *run_thread(void *argument)
{
  thread *t = argument;
  fleet_worker *worker = &t->worker;
  const fleet_plan *plan = worker->plan;
  /* Ring and handles are there before the start. */
  const rk_cell cell = {.component = worker->scalars, .count = plan->size / 8, .values = worker->data};
  if (rk_log(worker->recording, worker->entities[0], &cell, 1) != RK_OK) {
    bench_die("a row was refused");
  }
  pthread_barrier_wait(&t->shared->start);
  pthread_barrier_wait(&t->shared->start); /* every process took its time */
  (plan->work != NULL ? plan->work : fleet_log)(worker);
  return NULL;
}

static double cpu_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_process(const fleet_plan *plan, unsigned process, fleet_shared *shared)
{
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(plan->path, &plan->options, &recording, &error) != RK_OK) {
    bench_die("%s", error.message);
  }
  const rk_entity **entities = calloc(plan->entities, sizeof(const rk_entity *));
  thread *threads = calloc(plan->threads, sizeof *threads);
  pthread_t *ids = calloc(plan->threads, sizeof *ids);
  if (entities == NULL || threads == NULL || ids == NULL) {
    bench_die("out of memory");
  }
  for (unsigned i = 0; i < plan->entities; i++) {
    char path[32];
    snprintf(path, sizeof path, "bench/e%u", i);
    entities[i] = rk_entity_at(recording, path);
  }
  for (unsigned i = 0; i < plan->threads; i++) {
    threads[i] = (thread){.worker = {.plan = plan,
                                     .recording = recording,
                                     .scalars = rk_component_builtin("Scalars:scalars"),
                                     .entities = entities,
                                     .data = fleet_data(plan->size),
                                     .number = process * plan->threads + i},
                          .shared = shared};
    if (pthread_create(&ids[i], NULL, run_thread, &threads[i]) != 0) {
      bench_die("cannot make a thread");
    }
  }
  pthread_barrier_wait(&shared->start);
  shared->process[process].begin = bench_now();
  const double cpu = cpu_now();
  pthread_barrier_wait(&shared->start);
  for (unsigned i = 0; i < plan->threads; i++) {
    pthread_join(ids[i], NULL);
  }
  if (rk_recording_flush(recording) != RK_OK) {
    bench_die("rows cannot be flushed");
  }
  shared->process[process].end = bench_now();
  shared->process[process].cpu = cpu_now() - cpu;
  if (rk_recording_close(recording) != RK_OK) {
    bench_die("the recording cannot be closed");
  }
  rk_recording_free(recording);
}

void fleet_run(const fleet_plan *asked, fleet_result *result)
{
  fleet_plan plan = *asked;
  plan.processes += plan.processes == 0;
  plan.threads += plan.threads == 0;
  plan.entities += plan.entities == 0;
  pid_t children[PROCESSES_MAX];
  if (plan.processes > PROCESSES_MAX) {
    bench_die("too many processes");
  }
  fleet_shared *shared = fleet_share(sizeof *shared);
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->start, &attributes, plan.processes * (plan.threads + 1));
  fleet_data(plan.size);
  bench_drop(plan.path);
  fflush(stdout);
  for (unsigned i = 0; i < plan.processes; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      run_process(&plan, i, shared);
      _exit(0);
    }
  }
  bool failed = false;
  for (unsigned left = plan.processes; left > 0; left--) {
    int status;
    const pid_t ended = wait(&status);
    for (unsigned i = 0; i < plan.processes; i++) {
      if (children[i] == ended) {
        children[i] = -1;
      } else if (status != 0 && !failed && children[i] > 0) {
        kill(children[i], SIGKILL); /* it may wait for the one that failed */
      }
    }
    failed |= status != 0;
  }
  if (failed) {
    bench_die("a process that logs has failed");
  }
  *result = (fleet_result){.rows = (uint64_t)plan.processes * plan.threads * plan.rows,
                           .file_size = bench_file_size(plan.path)};
  double begin = shared->process[0].begin;
  double end = shared->process[0].end;
  for (unsigned i = 0; i < plan.processes; i++) {
    begin = shared->process[i].begin < begin ? shared->process[i].begin : begin;
    end = shared->process[i].end > end ? shared->process[i].end : end;
    result->cpu_seconds += shared->process[i].cpu;
  }
  result->seconds = end - begin;
  munmap(shared, sizeof *shared);
}
