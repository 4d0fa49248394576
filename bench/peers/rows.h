/* What every peer logs: rows of 64 bytes. C and C++. */
#ifndef BENCH_PEERS_ROWS_H
#define BENCH_PEERS_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum { ROW_SIZE = 64, ROWS_DATA = 1 << 20 /* bytes after which the data repeats: beyond what codecs look back to */ };

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

#endif
