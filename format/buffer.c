/* A growable byte buffer with a sticky out-of-memory flag. */
#include "format/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"

void rk_buffer_free(rk_buffer *buffer)
{
  free(buffer->data);
  *buffer = (rk_buffer){0};
}

void rk_buffer_reset(rk_buffer *buffer)
{
  buffer->size = 0;
  buffer->failed = false;
}

bool rk_buffer_reserve(rk_buffer *buffer, size_t more)
{
  if (buffer->failed) {
    return false;
  }
  if (more <= buffer->capacity - buffer->size) {
    return true;
  }
  size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
  while (capacity - buffer->size < more && capacity <= SIZE_MAX / 2) {
    capacity *= 2;
  }
  void *data = capacity - buffer->size < more ? NULL : realloc(buffer->data, capacity);
  if (data == NULL) {
    buffer->failed = true;
    return false;
  }
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool rk_buffer_reserve_exactly(rk_buffer *buffer, size_t size)
{
  if (buffer->failed) {
    return false;
  }
  buffer->data = malloc(size > 0 ? size : 1);
  buffer->capacity = buffer->data == NULL ? 0 : size;
  buffer->failed = buffer->data == NULL;
  return buffer->data != NULL;
}

void *rk_buffer_extend(rk_buffer *buffer, size_t size)
{
  if (!rk_buffer_reserve(buffer, size > 0 || buffer->data != NULL ? size : 1)) { /* NULL + 0 is undefined */
    return NULL;
  }
  void *at = buffer->data + buffer->size;
  buffer->size += size;
  return at;
}

void rk_buffer_append(rk_buffer *buffer, const void *data, size_t size)
{
  void *at = size == 0 ? NULL : rk_buffer_extend(buffer, size);
  if (at != NULL) {
    memcpy(at, data, size);
  }
}

void rk_buffer_append_zero(rk_buffer *buffer, size_t size)
{
  void *at = size == 0 ? NULL : rk_buffer_extend(buffer, size);
  if (at != NULL) {
    memset(at, 0, size);
  }
}

void rk_buffer_align(rk_buffer *buffer, size_t alignment)
{
  rk_buffer_append_zero(buffer, rk_align_up(buffer->size, alignment) - buffer->size);
}
