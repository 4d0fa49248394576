/* Logs 20 rows that are appended and 30 that are not, and leaves without a word: usage: log_left PATH. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

int main(int argc, char **argv)
{
  rk_recording *recording;
  rk_error error;
  const rk_recording_options options = {.application_id = "left", .flush_age_ns = INT64_C(3600) * 1000000000};
  if (argc != 2 || rk_recording_open(argv[1], &options, &recording, &error) != RK_OK) {
    fprintf(stderr, "log_left: cannot open\n");
    return 1;
  }
  const rk_entity *entity = rk_entity_at(recording, "plot");
  for (int row = 0; row < 50; row++) {
    const double scalar = row;
    const rk_cell cell = {.component = rk_component_builtin("Scalars:scalars"), .count = 1, .values = &scalar};
    if (rk_log(recording, entity, &cell, 1) != RK_OK || (row == 19 && rk_recording_flush(recording) != RK_OK)) {
      fprintf(stderr, "log_left: cannot log\n");
      return 1;
    }
  }
  _exit(0);
}
