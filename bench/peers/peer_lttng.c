/* LTTng-UST: a row is an event with an array of 64 bytes. The session is made, and waited for, by who calls this. */
#define TRACEPOINT_DEFINE
#define TRACEPOINT_CREATE_PROBES
#include <pthread.h>
#include <unistd.h>

#include "lttng_rows.inc"
#include "rows.h"

static pthread_barrier_t start;
static uint8_t data[ROWS_DATA + ROW_SIZE];
static uint64_t rows;
static double call_ns;

static void log_rows(uint64_t count)
{
  size_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    tracepoint(bench, row, data + at);
    at = (at + ROW_SIZE) % ROWS_DATA;
  }
}

static void *run(void *number)
{
  double burst[BURSTS];
  for (int i = 0; i < BURSTS; i++) {
    usleep(5000);
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
  if (count == 0 || count > 256) {
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
  rows_tell(call_ns, (double)rows * count, rows_clock(CLOCK_MONOTONIC) - begin,
            rows_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}
