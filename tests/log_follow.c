/* Logs from several processes with pauses of random length, for who follows.
 *
 * log_follow FILE PROCESSES MILLISECONDS PAUSE_US AGE_MS SEED [finish]
 *
 * Every process has two threads and logs for that long: rows of one number, now and then a burst of them, now and then
 * one that is too large for its ring. The pids are printed, one a line; SIGTERM ends one's time, a process that is
 * killed ends nothing. With "finish" the last one out finishes the recording. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

enum { LARGE = 12000 }; /* numbers: more than half of the ring */

static rk_recording *recording;
static int64_t duration_ns;
static unsigned pause_us, seed;
static double large[LARGE];
static volatile sig_atomic_t told_to_end;

static void end_time(int number)
{
  (void)number;
  told_to_end = 1;
}

static int64_t now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *log_rows(void *name)
{
  const rk_entity *entity = rk_entity_at(recording, name);
  const rk_component *component = rk_component_at(recording, "value", "g", NULL, NULL);
  unsigned state = seed;
  for (const char *c = name; *c != '\0'; c++) {
    state = state * 31 + (unsigned char)*c;
  }
  double value = 0;
  const int64_t end = now() + duration_ns;
  while (now() < end && !told_to_end) {
    const int dice = rand_r(&state) % 100;
    const int rows = dice < 2 ? 100 : 1;
    for (int i = 0; i < rows; i++) {
      const bool is_large = dice == 99 && value > 0;
      const rk_cell cell = {.component = component, .count = is_large ? LARGE : 1, .values = is_large ? large : &value};
      if (rk_log(recording, entity, &cell, 1) != RK_OK) {
        abort();
      }
      value++;
    }
    usleep((unsigned)rand_r(&state) % (2 * pause_us + 1));
  }
  return NULL;
}

static int run(const char *path, int number, int64_t age_ns, bool finish)
{
  const rk_recording_options options = {
      .application_id = "follow", .recording_id = "follow", .ring_size = 65536, .flush_age_ns = age_ns};
  rk_error error = {0};
  if (rk_recording_open(path, &options, &recording, &error) != RK_OK) {
    fprintf(stderr, "log_follow: %s\n", error.message);
    return 1;
  }
  char names[2][32];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    snprintf(names[i], sizeof names[i], "p%d_%u/t%d", number, seed, i);
    if (pthread_create(&threads[i], NULL, log_rows, names[i]) != 0) {
      return 1;
    }
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
  }
  const rk_status status = finish ? rk_recording_finish(recording) : rk_recording_close(recording);
  rk_recording_free(recording);
  return status != RK_OK && status != RK_ERR_CONFLICT;
}

int main(int argc, char **argv)
{
  if (argc < 7) {
    return 2;
  }
  const int processes = atoi(argv[2]);
  duration_ns = (int64_t)atoi(argv[3]) * 1000000;
  pause_us = (unsigned)atoi(argv[4]);
  const int64_t age_ns = (int64_t)atoi(argv[5]) * 1000000;
  seed = (unsigned)atoi(argv[6]);
  const bool finish = argc > 7 && strcmp(argv[7], "finish") == 0;
  if (sigaction(SIGTERM, &(struct sigaction){.sa_handler = end_time, .sa_flags = SA_RESTART}, NULL) != 0) {
    return 1;
  }
  for (int i = 0; i < processes; i++) {
    const pid_t pid = fork();
    if (pid == 0) {
      _exit(run(argv[1], i, age_ns, finish));
    }
    printf("%d\n", (int)pid);
  }
  fflush(stdout);
  int result = 0, status;
  while (wait(&status) > 0) {
    result |= WIFEXITED(status) && WEXITSTATUS(status) != 0;
  }
  return result;
}
