/* rrdkit itself, as a peer. PEER FILE ROWS THREADS [none]; a file that ends in .zst is one of zstd. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"
#include "rrdkit/rrdkit.h"

static rk_recording *recording;
static pthread_barrier_t start;
static uint8_t data[ROWS_DATA + ROW_SIZE];
static uint64_t rows; /* of each thread */
static double call_ns;

static void log_rows(uint64_t count)
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

static void *run(void *number)
{
  double burst[BURSTS];
  for (int i = 0; i < BURSTS; i++) {
    rk_recording_flush(recording);
    const double begin = rows_clock(CLOCK_MONOTONIC);
    log_rows(BURST);
    burst[i] = rows_clock(CLOCK_MONOTONIC) - begin;
  }
  if (number == NULL) {
    call_ns = rows_call(burst);
  }
  pthread_barrier_wait(&start);
  log_rows(rows);
  return NULL;
}

int main(int argc, char **argv)
{
  pthread_t threads[256];
  const unsigned count = argc < 4 ? 0 : (unsigned)atoi(argv[3]);
  const rk_recording_options options = {
      .application_id = "bench",
      .compression = argc > 4 && strcmp(argv[4], "none") == 0 ? RK_COMPRESSION_NONE : RK_COMPRESSION_DEFAULT};
  if (count == 0 || count > 256 || rk_recording_open(argv[1], &options, &recording, NULL) != RK_OK) {
    return 2;
  }
  rows = strtoull(argv[2], NULL, 10) / count;
  rows_fill(data, sizeof data);
  pthread_barrier_init(&start, NULL, count + 1);
  for (unsigned i = 0; i < count; i++) {
    pthread_create(&threads[i], NULL, run, i == 0 ? NULL : &threads[i]);
  }
  pthread_barrier_wait(&start);
  const double begin = rows_clock(CLOCK_MONOTONIC), cpu = rows_clock(CLOCK_PROCESS_CPUTIME_ID);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
  }
  if (rk_recording_close(recording) != RK_OK) {
    return 1;
  }
  rows_tell(call_ns, (double)rows * count, rows_clock(CLOCK_MONOTONIC) - begin,
            rows_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  rk_recording_free(recording);
  return 0;
}
