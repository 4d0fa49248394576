/* Four processes share one recording, which the parent opened and the children inherited by fork. Each logs a text line
 * to "log" and a labelled box to "task_<i>". The last child leaves by _exit right after logging, as a crashed or
 * careless one would; its rows are in the recording like the others'. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

enum { PROCESSES = 4 };

static rk_status task(rk_recording *recording, int number)
{
  char text[256];
  snprintf(text, sizeof text, "task %d: process %d, thread %d, recording %s", number, (int)getpid(), (int)gettid(),
           rk_recording_recording_id(recording));
  rk_status status = rk_log_text(recording, rk_entity_at(recording, "log"), RK_LEVEL_INFO, text);
  if (status != RK_OK) {
    return status;
  }

  char path[32], label[32];
  snprintf(path, sizeof path, "task_%d", number);
  snprintf(label, sizeof label, "task %d", number);
  return rk_log_boxes2d(recording, rk_entity_at(recording, path),
                        &(rk_boxes2d){.half_sizes = &(rk_vec2){40, 20},
                                      .half_sizes_count = 1,
                                      .centers = &(rk_vec2){100 * (float)number, 0},
                                      .centers_count = 1,
                                      .labels = (const char *[]){label},
                                      .labels_count = 1});
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(argv[1], &(rk_recording_options){.application_id = "example-processes"}, &recording, &error) !=
      RK_OK) {
    fprintf(stderr, "example-processes: %s\n", error.message);
    return 1;
  }

  int failed = task(recording, 0) != RK_OK; /* the parent is the first of the four */
  for (int number = 1; number < PROCESSES; number++) {
    const pid_t child = fork();
    if (child == 0) {
      const rk_status status = task(recording, number);
      if (number == PROCESSES - 1) {
        _exit(status == RK_OK ? 0 : 1); /* skips every exit handler: the parent's close brings its rows in */
      }
      exit(status == RK_OK ? 0 : 1); /* the exit handler appends what is still in the rings */
    }
    if (child < 0) {
      perror("example-processes: fork");
      failed = 1;
    }
  }
  int wait_status;
  while (wait(&wait_status) > 0) {
    failed |= !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
  }

  if (rk_recording_close(recording) != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "example-processes: %s\n", error.message);
    failed = 1;
  }
  rk_recording_free(recording);
  return failed;
}
