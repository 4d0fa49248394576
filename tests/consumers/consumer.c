/* What an outside project does: opens a recording, logs one row, closes it. */
#include <rrdkit/rrdkit.h>
#include <stdio.h>

int main(int argc, char **argv)
{
  if (argc != 2)
    return 2;
  rk_error error;
  rk_recording *recording;
  if (rk_recording_open(argv[1], NULL, &recording, &error) != RK_OK) {
    fprintf(stderr, "%s: %s\n", argv[1], error.message);
    return 1;
  }
  const rk_component *text = rk_component_builtin("TextLog:text");
  const char *const line = "logged by a consumer";
  const rk_cell cell = {.component = text, .count = 1, .values = &line};
  rk_status status = rk_log(recording, rk_entity_at(recording, "consumer"), &cell, 1);
  if (status == RK_OK)
    status = rk_recording_close(recording);
  if (status != RK_OK) {
    rk_recording_error(recording, &error);
    fprintf(stderr, "%s: %s\n", argv[1], error.message);
  }
  rk_recording_free(recording);
  printf("%s\n", rk_version());
  return status == RK_OK ? 0 : 1;
}
