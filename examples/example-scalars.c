/* Four processes plot sensor curves over log_time and a "step" sequence. Each opens the recording for itself by its
 * path: whoever comes first creates it, the others join. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

enum { SENSORS = 4, STEPS = 2000 };

static const char *const names[SENSORS] = {"sine", "sawtooth", "damped", "noise"};
static const rk_color colors[SENSORS] = {RK_RGB(230, 25, 75), RK_RGB(60, 180, 75), RK_RGB(0, 130, 200),
                                         RK_RGB(245, 130, 48)};

static double read_sensor(int sensor, int step)
{
  const double t = step / 50.0;
  switch (sensor) {
  case 0:
    return sin(t);
  case 1:
    return fmod(t, 2) - 1;
  case 2:
    return exp(-t / 5) * cos(3 * t);
  default:
    return (double)rand() / RAND_MAX - 0.5;
  }
}

static int run_sensor(const char *path, int sensor)
{
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(path, &(rk_recording_options){.application_id = "example-scalars"}, &recording, &error) !=
      RK_OK) {
    fprintf(stderr, "example-scalars: %s\n", error.message);
    return 1;
  }
  char entity_path[64];
  snprintf(entity_path, sizeof entity_path, "sensors/%s", names[sensor]);
  const rk_entity *entity = rk_entity_at(recording, entity_path);
  rk_status status = rk_log_static_series_lines(
      recording, entity,
      &(rk_series_lines){
          .colors = &colors[sensor], .colors_count = 1, .names = (const char *[]){names[sensor]}, .names_count = 1});
  for (int step = 0; step < STEPS && status == RK_OK; step++) {
    const double value = read_sensor(sensor, step);
    rk_time_set_sequence(recording, "step", step);
    status = rk_log_scalar(recording, entity, value);
    nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
  }
  const rk_status closed = rk_recording_close(recording);
  if (status != RK_OK || closed != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "example-scalars: %s\n", error.message);
  }
  rk_recording_free(recording);
  return status != RK_OK || closed != RK_OK;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUT.rrd\n", argv[0]);
    return 2;
  }
  int failed = 0;
  for (int sensor = 0; sensor < SENSORS; sensor++) {
    const pid_t child = fork();
    if (child == 0) {
      return run_sensor(argv[1], sensor);
    }
    if (child < 0) {
      perror("example-scalars: fork");
      failed = 1;
    }
  }
  int wait_status;
  while (wait(&wait_status) > 0) {
    failed |= !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
  }
  return failed;
}
