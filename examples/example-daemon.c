/* A thread that nobody joins: it logs a heartbeat for as long as its process lives and is cut off when main returns,
 * wherever it is at that moment. The process that it runs in is a child of the one that opened the recording. Nothing
 * is flushed or closed in the child; what the thread had logged is in the recording all the same. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

static rk_recording *recording;
static _Atomic long *beats; /* those that rk_log_scalar has accepted; shared with the parent */

static void sleep_us(long us)
{
  nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void *heartbeat(void *unused)
{
  (void)unused;
  for (long beat = 0;; beat++) {
    rk_time_set_sequence(recording, "beat", beat);
    if (rk_log_scalar(recording, rk_entity_at(recording, "daemon/heartbeat"), (double)(beat % 100)) != RK_OK) {
      return NULL; /* the process is ending */
    }
    atomic_store(beats, beat + 1);
    sleep_us(200);
  }
}

/* The child's work: returning from main is all that it does at its end. */
static int work(void)
{
  pthread_t thread;
  if (pthread_create(&thread, NULL, heartbeat, NULL) != 0 || pthread_detach(thread) != 0) {
    return 1;
  }
  for (int step = 0; step < 10; step++) {
    rk_log_text(recording, rk_entity_at(recording, "daemon/work"), RK_LEVEL_INFO, "one step further");
    sleep_us(20000);
  }
  return 0;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  rk_error error;
  beats = mmap(NULL, sizeof *beats, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (beats == MAP_FAILED || rk_recording_open(argv[1], &(rk_recording_options){.application_id = "example-daemon"},
                                               &recording, &error) != RK_OK) {
    fprintf(stderr, "example-daemon: %s\n", beats == MAP_FAILED ? "no shared memory" : error.message);
    return 1;
  }
  const pid_t child = fork();
  if (child == 0) {
    return work();
  }
  int status = -1, failed = child < 0 || waitpid(child, &status, 0) != child || status != 0;
  if (rk_recording_close(recording) != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "example-daemon: %s\n", error.message);
    failed = 1;
  }
  printf("the thread was cut off after %ld beats\n", atomic_load(beats));
  rk_recording_free(recording);
  return failed;
}
