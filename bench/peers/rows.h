/* What every peer logs and how it tells of it. C and C++.
 *
 * A peer is called PEER FILE ROWS THREADS. Each thread logs its part of ROWS rows of 64 bytes in bursts, between which
 * it rests, then ROWS rows as fast as they go, until all of them are in the page cache; a line of JSON tells the time
 * of a call within bursts, and seconds, processor seconds and bytes of the whole. */
#ifndef BENCH_PEERS_ROWS_H
#define BENCH_PEERS_ROWS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  ROW_SIZE = 64,
  ROWS_DATA = 1 << 20, /* bytes after which the data repeats: beyond what codecs look back to */
  BURSTS = 20,
  BURST = 1000
};

/* Half of the bytes are random. */
static inline void rows_fill(uint8_t *data, size_t size)
{
  uint64_t state = 88172645463325252U;
  for (size_t i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    data[i] = i % 16 < 8 ? (uint8_t)(state >> 32) : (uint8_t)(i / 16 % 3);
  }
}

static inline double rows_clock(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int rows_compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* ns of a call: `burst` has the seconds of each burst. */
static inline double rows_call(double *burst)
{
  qsort(burst, BURSTS, sizeof *burst, rows_compare);
  return burst[BURSTS / 2] / BURST * 1e9;
}

static inline void rows_tell(double call_ns, double rows, double seconds, double cpu_seconds)
{
  printf("{\"call_ns\":%.2f,\"rows\":%.0f,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", call_ns, rows, seconds,
         cpu_seconds);
}

#endif
