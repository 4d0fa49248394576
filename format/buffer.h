/* A growable byte buffer with a sticky out-of-memory flag, so that encoders check once at the end. */
#ifndef RK_FORMAT_BUFFER_H
#define RK_FORMAT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rk_buffer {
  uint8_t *data; /* NULL while capacity is 0 */
  size_t size;
  size_t capacity;
  bool failed; /* an allocation failed; every later append is a no-op */
} rk_buffer;

/* Zero-initialise: `rk_buffer b = {0};`. */
void rk_buffer_free(rk_buffer *buffer);  /* back to zero */
void rk_buffer_reset(rk_buffer *buffer); /* size 0, failed false, memory kept */
bool rk_buffer_reserve(rk_buffer *buffer, size_t more);
/* Of an empty buffer without memory: this much and no more. */
bool rk_buffer_reserve_exactly(rk_buffer *buffer, size_t size);
/* Room for `size` bytes at the end, counted as written; NULL only when memory is short. Contents undefined. */
void *rk_buffer_extend(rk_buffer *buffer, size_t size);
void rk_buffer_append(rk_buffer *buffer, const void *data, size_t size);
void rk_buffer_append_zero(rk_buffer *buffer, size_t size);
/* Zeros until size is a multiple of `alignment` (a power of two). */
void rk_buffer_align(rk_buffer *buffer, size_t alignment);

#endif
