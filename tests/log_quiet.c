/* Logs rows between two getppid() calls, for a tracer to see that the logging path makes no system call.
 *
 * usage: log_quiet FILE. Before the first marker everything is warm (ring, handles, writer); the ring has room for all
 * that is logged between the markers, and only the calling thread is judged. */
#include <stdio.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

int main(int argc, char **argv)
{
  rk_recording *recording;
  rk_error error;
  if (argc != 2 || rk_recording_open(argv[1], &(rk_recording_options){.application_id = "quiet", .ring_size = 8 << 20},
                                     &recording, &error) != RK_OK) {
    fprintf(stderr, "log_quiet: cannot open\n");
    return 1;
  }
  const rk_entity *entity = rk_entity_at(recording, "boxes");
  const rk_timeline *frame = rk_timeline_at(recording, "frame", RK_TIMELINE_SEQUENCE);
  const rk_vec2 half_sizes[] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}};
  int failed = 0;
  for (int row = 0; row < 20100; row++) {
    if (row == 100) {
      (void)getppid();
    }
    failed |= rk_time_set(recording, frame, row) != RK_OK;
    failed |=
        rk_log_boxes2d(recording, entity, &(rk_boxes2d){.half_sizes = half_sizes, .half_sizes_count = 5}) != RK_OK;
    failed |= rk_log_text_log(recording, rk_entity_at(recording, "log"), &(rk_text_log){.text = "quiet"}) != RK_OK;
  }
  (void)getppid();
  failed |= rk_recording_close(recording) != RK_OK;
  rk_recording_free(recording);
  return failed;
}
