/* LTTng-UST: a row is an event with an array of 64 bytes. The session is made, and waited for, by who calls this. */
#define TRACEPOINT_DEFINE
#define TRACEPOINT_CREATE_PROBES
#include "harness.h"
#include "lttng_rows.inc"

static bool nothing_to_open(const char *path, char **more)
{
  (void)path, (void)more;
  return true;
}

static void log_rows(const uint8_t *data, uint64_t count)
{
  size_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    tracepoint(bench, row, data + at);
    at = (at + ROW_SIZE) % ROWS_DATA;
  }
}

static void rest(void)
{
  usleep(5000);
}

static bool nothing_to_close(void)
{
  return true;
}

int main(int argc, char **argv)
{
  static uint8_t data[ROWS_DATA + ROW_SIZE];
  rows_fill(data, sizeof data);
  return harness_main(argc, argv, &(harness_peer){nothing_to_open, log_rows, rest, nothing_to_close}, data);
}
