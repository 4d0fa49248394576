/* Many processes of many threads log into one recording; then every row is read back and held against what was logged.
 *
 * usage: log_stress FILE PROCESSES THREADS ROWS MIN_SIZE MAX_SIZE
 * Payload sizes are log-uniform between MIN_SIZE and MAX_SIZE. Payloads are a function of (process, thread, row), so
 * the reader can make each again: a row that is missing, doubled, invented, altered, out of its writer's order or out
 * of time order fails the run. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/stress_rows.h"

typedef struct worker {
  const struct plan *plan;
  rk_recording *recording;
  const rk_component *key_component, *payload_component;
  unsigned writer;
  rk_status status;
} worker;

static void *work(void *argument)
{
  worker *self = argument;
  const struct plan *plan = self->plan;
  char path[32];
  snprintf(path, sizeof path, "stress/%u", self->writer % 7); /* entities are shared between writers */
  const rk_entity *entity = rk_entity_at(self->recording, path);
  const rk_timeline *timeline = rk_timeline_at(self->recording, "row", RK_TIMELINE_SEQUENCE);
  uint8_t *payload = malloc(plan->max_size + 8);
  self->status = payload == NULL ? RK_ERR_NO_MEMORY : RK_OK;
  for (unsigned row = 0; row < plan->rows && self->status == RK_OK; row++) {
    const uint64_t key = row_key(plan, self->writer, row);
    const rk_span blob = {.data = payload, .count = make_payload(plan, key, payload)};
    const rk_cell cells[] = {{.component = self->key_component, .count = 1, .values = &key},
                             {.component = self->payload_component, .count = 1, .values = &blob}};
    rk_time_set(self->recording, timeline, row);
    self->status = rk_log(self->recording, entity, cells, 2);
  }
  free(payload);
  return NULL;
}

static int run_process(const struct plan *plan, unsigned process)
{
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(plan->path, &(rk_recording_options){.application_id = "stress"}, &recording, &error) != RK_OK) {
    fprintf(stderr, "log_stress: %s\n", error.message);
    return 1;
  }
  const rk_component *key_component = rk_component_at(recording, "stress:key", "L", NULL, NULL);
  const rk_component *payload_component = rk_component_at(recording, "stress:payload", "+l(!:C)", NULL, NULL);
  pthread_t threads[256];
  worker workers[256];
  for (unsigned i = 0; i < plan->threads; i++) {
    workers[i] = (worker){plan, recording, key_component, payload_component, process * plan->threads + i, RK_OK};
    if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
      fprintf(stderr, "log_stress: cannot start a thread\n");
      return 1;
    }
  }
  int failed = 0;
  for (unsigned i = 0; i < plan->threads; i++) {
    pthread_join(threads[i], NULL);
    if (workers[i].status != RK_OK) {
      fprintf(stderr, "log_stress: writer %u: %s\n", workers[i].writer, rk_status_text(workers[i].status));
      failed = 1;
    }
  }
  if (rk_recording_close(recording) != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "log_stress: %s\n", error.message);
    failed = 1;
  }
  rk_recording_free(recording);
  return failed;
}

static void count_loss(void *context, const rk_loss *loss)
{
  fprintf(stderr, "log_stress: %s:%llu+%llu %s\n", loss->input, (unsigned long long)loss->offset,
          (unsigned long long)loss->length, loss->reason);
  ++*(unsigned *)context;
}

static int verify(const struct plan *plan)
{
  const unsigned writers = plan->processes * plan->threads;
  const uint64_t total = (uint64_t)writers * plan->rows;
  unsigned losses = 0, wrong = 0;
  unsigned *next = calloc(writers, sizeof *next); /* the row that each writer must show next */
  uint8_t *expected = malloc(plan->max_size + 8);
  rk_reader *reader = NULL;
  rk_error error = {0};
  if (next == NULL || expected == NULL ||
      rk_reader_open(&(rk_reader_options){.on_loss = count_loss, .context = &losses}, &reader, &error) != RK_OK ||
      rk_reader_add(reader, plan->path, NULL, &error) != RK_OK) {
    fprintf(stderr, "log_stress: %s\n", error.message);
    return 1;
  }
  uint64_t seen = 0;
  int64_t last_key_ns = INT64_MIN;
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    if (row->is_static) {
      continue; /* recording properties */
    }
    uint64_t key = 0;
    const char *problem = check_row(plan, row, &key, expected);
    if (problem == NULL) {
      const unsigned writer = (unsigned)(key / plan->rows);
      if (key % plan->rows != next[writer]) {
        problem = "a row missing, doubled or out of its writer's order";
      }
      next[writer] = (unsigned)(key % plan->rows) + 1;
    }
    if (problem == NULL && row->key_ns < last_key_ns) {
      problem = "out of time order";
    }
    last_key_ns = row->key_ns;
    if (problem != NULL && wrong++ < 10) {
      fprintf(stderr, "log_stress: key %llu: %s\n", (unsigned long long)key, problem);
    }
    seen++;
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  size_t writer_count;
  rk_reader_writers(reader, &writer_count);
  printf("%llu of %llu rows, %u wrong, %u losses, %llu duplicates, %llu clamped, %zu writers, %llu chunks\n",
         (unsigned long long)seen, (unsigned long long)total, wrong, losses, (unsigned long long)stats.duplicate_rows,
         (unsigned long long)stats.clamped_rows, writer_count, (unsigned long long)stats.chunk_count);
  const int failed = status != RK_END || seen != total || wrong != 0 || losses != 0 || stats.duplicate_rows != 0 ||
                     stats.clamped_rows != 0 || writer_count < writers;
  rk_reader_free(reader);
  free(expected);
  free(next);
  return failed;
}

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
  if (argc != 7) {
    fprintf(stderr, "usage: %s FILE PROCESSES THREADS ROWS MIN_SIZE MAX_SIZE\n", argv[0]);
    return 2;
  }
  const struct plan plan = {.path = argv[1],
                            .processes = (unsigned)atoi(argv[2]),
                            .threads = (unsigned)atoi(argv[3]),
                            .rows = (unsigned)atoi(argv[4]),
                            .min_size = (size_t)atol(argv[5]),
                            .max_size = (size_t)atol(argv[6])};
  if (plan.processes == 0 || plan.threads == 0 || plan.threads > 256 || plan.rows == 0 || plan.min_size == 0 ||
      plan.max_size < plan.min_size) {
    fprintf(stderr, "log_stress: impossible plan\n");
    return 2;
  }
  const double start = seconds();
  for (unsigned process = 0; process < plan.processes; process++) {
    const pid_t child = fork();
    if (child < 0) {
      perror("log_stress: fork");
      return 1;
    }
    if (child == 0) {
      return run_process(&plan, process);
    }
  }
  int failed = 0, wait_status;
  while (wait(&wait_status) > 0) {
    failed |= !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
  }
  const double recorded = seconds();
  failed |= verify(&plan);
  printf("recorded in %.2f s, read back in %.2f s\n", recorded - start, seconds() - recorded);
  return failed;
}
