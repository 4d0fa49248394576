/* bench-kinds FILE KIND ROWS: one recording of rows of a kind, as bench_write_size.py writes them with other software.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench/peers/rows.h"
#include "rrdkit/rrdkit.h"

enum { POINTS = 100 };

static rk_status log_row(rk_recording *recording, const rk_entity *entity, const char *kind, uint64_t row,
                         const uint8_t *data)
{
  if (strcmp(kind, "random") == 0) {
    const void *values = data + row * ROW_SIZE % ROWS_DATA;
    return rk_log_scalars(recording, entity, &(rk_scalars){.scalars = values, .scalars_count = 8});
  }
  if (strcmp(kind, "scalar") == 0) {
    const double value = sin((double)row * 0.001);
    return rk_log_scalars(recording, entity, &(rk_scalars){.scalars = &value, .scalars_count = 1});
  }
  if (strcmp(kind, "text") == 0) {
    char text[64];
    snprintf(text, sizeof text, "joint %d reached its target after %d ms", (int)(row % 7), (int)(row * 31 % 1000));
    return rk_log_text_log(recording, entity, &(rk_text_log){.text = text, .level = RK_LEVEL_INFO});
  }
  rk_vec3 points[POINTS];
  for (int i = 0; i < POINTS; i++) {
    const double angle = (double)row * 0.01 + i;
    points[i] = (rk_vec3){(float)sin(angle), (float)cos(angle), (float)i};
  }
  return rk_log_points3d(recording, entity, &(rk_points3d){.positions = points, .positions_count = POINTS});
}

int main(int argc, char **argv)
{
  static uint8_t data[ROWS_DATA + ROW_SIZE];
  rk_recording *recording;
  rk_error error;
  if (argc != 4) {
    bench_die("usage: bench-kinds FILE random|scalar|text|points ROWS");
  }
  rows_fill(data, sizeof data);
  if (rk_recording_open(argv[1], &(rk_recording_options){.application_id = "bench"}, &recording, &error) != RK_OK) {
    bench_die("%s", error.message);
  }
  const rk_entity *entity = rk_entity_at(recording, "bench/e0");
  const rk_timeline *frame = rk_timeline_at(recording, "frame", RK_TIMELINE_SEQUENCE);
  const uint64_t rows = strtoull(argv[3], NULL, 10);
  for (uint64_t row = 0; row < rows; row++) {
    if (rk_time_set(recording, frame, (int64_t)row) != RK_OK ||
        log_row(recording, entity, argv[2], row, data) != RK_OK) {
      bench_die("a row was refused");
    }
  }
  if (rk_recording_finish(recording) != RK_OK) {
    bench_die("%s cannot be finished", argv[1]);
  }
  rk_recording_free(recording);
  return 0;
}
