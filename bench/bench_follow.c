/* Following: the time from a call that logs to the printed line, with many live writers, beside their flush age. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "rrdkit/rrdkit.h"

enum { WRITERS = 32, PAUSE_US = 10000, AGE_MS = 1000, ALLOWED_MS = 50 };
#define RECORDING "follow.rrd"

static double now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Logs, at random times, when that is. */
static int log_times(int number, double seconds)
{
  rk_recording *recording;
  const rk_recording_options options = {.application_id = "bench", .recording_id = "follow"};
  if (rk_recording_open(RECORDING, &options, &recording, NULL) != RK_OK) {
    return 1;
  }
  char name[16];
  snprintf(name, sizeof name, "writer_%d", number);
  const rk_entity *entity = rk_entity_at(recording, name);
  const rk_component *component = rk_component_at(recording, "called", "g", NULL, NULL);
  unsigned seed = (unsigned)number;
  int failed = 0;
  for (const double end = now_ns() + seconds * 1e9; now_ns() < end;) {
    const double called = now_ns();
    const rk_cell cell = {.component = component, .count = 1, .values = &called};
    failed |= rk_log(recording, entity, &cell, 1) != RK_OK;
    usleep((unsigned)rand_r(&seed) % (2 * PAUSE_US));
  }
  const rk_status status = rk_recording_finish(recording);
  rk_recording_free(recording);
  return failed || (status != RK_OK && status != RK_ERR_CONFLICT);
}

static pid_t start_follower(const bench_options *o, FILE **lines)
{
  int ends[2];
  if (pipe(ends) != 0) {
    bench_die("no pipe");
  }
  const pid_t pid = fork();
  if (pid == 0) {
    char program[4096];
    snprintf(program, sizeof program, "%s/rrd-dump", o->bin);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl(program, program, "--follow", "--retry", "--format=ndjson", "--entity=/writer_*", RECORDING, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  *lines = fdopen(ends[0], "r");
  if (*lines == NULL) {
    bench_die("no memory");
  }
  return pid;
}

static int compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void expect_success(pid_t pid, const char *what)
{
  int status;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    bench_die("%s failed", what);
  }
}

/* Latencies of one run in ms, sorted; their number. */
static size_t run(const bench_options *o, double **latencies)
{
  FILE *lines;
  const pid_t follower = start_follower(o, &lines);
  pid_t writers[WRITERS];
  for (int i = 0; i < WRITERS; i++) {
    writers[i] = fork();
    if (writers[i] == 0) {
      _exit(log_times(i, o->full ? 20 : 5));
    }
  }
  char *line = NULL;
  size_t capacity = 0, count = 0, room = 0;
  while (getline(&line, &capacity, lines) > 0) {
    const double seen = now_ns();
    const char *value = strstr(line, "\"called\":[");
    if (value == NULL) {
      bench_die("an unknown row: %s", line);
    }
    if (count == room) {
      room = room == 0 ? 65536 : room * 2;
      *latencies = realloc(*latencies, room * sizeof **latencies);
      if (*latencies == NULL) {
        bench_die("no memory");
      }
    }
    (*latencies)[count++] = (seen - strtod(value + strlen("\"called\":["), NULL)) / 1e6;
  }
  free(line);
  fclose(lines);
  for (int i = 0; i < WRITERS; i++) {
    expect_success(writers[i], "a writer");
  }
  expect_success(follower, "rrd-dump");
  bench_drop(RECORDING);
  qsort(*latencies, count, sizeof **latencies, compare);
  return count;
}

int main(int argc, char **argv)
{
  bench_options o;
  bench_start(&o, argc, argv);
  bench_pair median = {0}, late = {0};
  for (int i = 0; i < o.runs; i++) {
    double *latencies = NULL;
    const size_t count = run(&o, &latencies);
    if (count == 0) {
      bench_die("no row came");
    }
    bench_add(&median, latencies[count / 2], AGE_MS + ALLOWED_MS);
    bench_add(&late, latencies[count - 1 - count / 100], AGE_MS + ALLOWED_MS);
    free(latencies);
  }
  bench_tell(&o, "log call to line of rrd-dump -f, 32 writers, median", "ms", &median, "flush age + 50 ms",
             (bench_demand){0});
  bench_tell(&o, "log call to line of rrd-dump -f, 32 writers, p99", "ms", &late, "flush age + 50 ms",
             (bench_demand){.at_most = 1});
  return bench_finish(&o);
}
