/* Records what check_cli.py knows: two threads, every kind of value that printing has to get right. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rrdkit/recording.h"

enum { ROWS = 30 };

static rk_recording *recording;
static int first_frame;

static void must(rk_status status, const char *what)
{
  if (status == RK_OK)
    return;
  rk_error error = {0};
  rk_recording_error(recording, &error);
  fprintf(stderr, "log_cli: %s: %s\n", what, error.message);
  exit(1);
}

static void log_boxes(const rk_entity *entity, int i)
{
  const float half_sizes[] = {(float)i, 2, 0.1F, 4.5F};
  const uint32_t colours[] = {0xff0000ff, 0x00ff0080};
  const rk_cell cells[] = {
      {.component = rk_component_builtin("Boxes2D:half_sizes"), .count = 2, .values = half_sizes},
      {.component = rk_component_builtin("Boxes2D:colors"), .count = 2, .values = colours},
  };
  must(rk_log(recording, entity, cells, 2), "boxes");
}

static void log_text(const rk_entity *entity, const char *thread, int i)
{
  char text[100];
  snprintf(text, sizeof text, "%s %d: \"quoted\", comma,\nnew line, \xc3\xa9, \x1b[31m", thread, i);
  const char *texts[] = {text}, *levels[] = {i % 2 == 0 ? "INFO" : "ERROR"};
  const rk_cell cells[] = {
      {.component = rk_component_builtin("TextLog:text"), .count = 1, .values = texts},
      {.component = rk_component_builtin("TextLog:level"), .count = 1, .values = levels},
  };
  must(rk_log(recording, entity, cells, 2), "text");
}

static void log_any(const rk_entity *entity, int i)
{
  const int64_t signeds[] = {INT64_MIN, i};
  const uint64_t unsigneds[] = {UINT64_MAX};
  const unsigned char bytes[] = {0, 1, 2, 253, 254, 255};
  const rk_span blobs[] = {{bytes, (size_t)i % 7}};
  const double doubles[] = {i * 0.1, -0.0, 1e300};
  const bool flags[] = {true, false};
  const rk_cell cells[] = {
      {.component = rk_component_at(recording, "signed", "l", NULL, NULL), .count = 2, .values = signeds},
      {.component = rk_component_at(recording, "unsigned", "L", NULL, NULL), .count = 1, .values = unsigneds},
      {.component = rk_component_at(recording, "blob", "+l(!:C)", NULL, NULL), .count = 1, .values = blobs},
      {.component = rk_component_at(recording, "row", "g", NULL, NULL), .count = 3, .values = doubles},
      {.component = rk_component_at(recording, "flags", "b", NULL, NULL), .count = 2, .values = flags},
      {.component = rk_component_at(recording, "empty", "f", NULL, NULL), .count = 0},
  };
  must(rk_log(recording, entity, cells, sizeof cells / sizeof cells[0]), "any");
}

static void *run(void *argument)
{
  const char *thread = argument;
  char path[64];
  pthread_setname_np(pthread_self(), thread);
  snprintf(path, sizeof path, "%s/boxes", thread);
  const rk_entity *boxes = rk_entity_at(recording, path), *log = rk_entity_at(recording, "log");
  const rk_entity *any = rk_entity_at(recording, "any"), *plot = rk_entity_at(recording, "plot");
  for (int i = first_frame; i < first_frame + ROWS; i++) {
    must(rk_time_set_sequence(recording, "frame", i), "frame");
    must(rk_time_set_duration_ns(recording, "elapsed", i * INT64_C(33333333)), "elapsed");
    log_boxes(boxes, i);
    log_text(log, thread, i);
    if (strcmp(thread, "alpha") == 0) {
      log_any(any, i);
    } else {
      const double scalar = i * 0.1;
      must(rk_log(recording, plot, &(rk_cell){rk_component_builtin("Scalars:scalars"), 1, &scalar, NULL}, 1), "plot");
    }
  }
  return NULL;
}

int main(int argc, char **argv)
{
  if (argc != 4) {
    fprintf(stderr, "usage: log_cli PATH RECORDING_ID FIRST_FRAME\n");
    return 2;
  }
  first_frame = atoi(argv[3]);
  rk_error error = {0};
  const rk_recording_options options = {.application_id = "check_cli", .recording_id = argv[2]};
  if (rk_recording_open(argv[1], &options, &recording, &error) != RK_OK) {
    fprintf(stderr, "log_cli: %s\n", error.message);
    return 1;
  }
  const char *name = "plot of \"beta\"";
  must(rk_log_static(recording, rk_entity_at(recording, "plot"),
                     &(rk_cell){rk_component_builtin("SeriesLines:names"), 1, &name, NULL}, 1),
       "static");
  pthread_t threads[2];
  static char names[][8] = {"alpha", "beta"};
  for (int i = 0; i < 2; i++)
    if (pthread_create(&threads[i], NULL, run, names[i]) != 0)
      return 1;
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], NULL);
  must(rk_recording_close(recording), "close");
  rk_recording_free(recording);
  return 0;
}
