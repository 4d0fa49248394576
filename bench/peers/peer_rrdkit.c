/* rrdkit itself, as a peer. One word more: "none", not to compress; a file that ends in .zst is one of zstd. */
#include <string.h>

#include "harness.h"
#include "rrdkit/rrdkit.h"

static rk_recording *recording;

static bool open_recording(const char *path, char **more)
{
  const bool plain = *more && strcmp(*more, "none") == 0;
  const rk_recording_options options = {.application_id = "bench",
                                        .compression = plain ? RK_COMPRESSION_NONE : RK_COMPRESSION_DEFAULT};
  return rk_recording_open(path, &options, &recording, NULL) == RK_OK;
}

static void log_rows(const uint8_t *data, uint64_t count)
{
  const rk_entity *entity = rk_entity_at(recording, "bench/e0");
  size_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    const rk_scalars row = {.scalars = (const double *)(const void *)(data + at), .scalars_count = 8};
    if (rk_log_scalars(recording, entity, &row) != RK_OK) {
      exit(1);
    }
    at = (at + ROW_SIZE) % ROWS_DATA;
  }
}

static void rest(void)
{
  rk_recording_flush(recording);
}

static bool close_recording(void)
{
  return rk_recording_close(recording) == RK_OK;
}

int main(int argc, char **argv)
{
  static _Alignas(double) uint8_t data[ROWS_DATA + ROW_SIZE];
  rows_fill(data, sizeof data);
  return harness_main(argc, argv, &(harness_peer){open_recording, log_rows, rest, close_recording}, data);
}
