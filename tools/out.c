/* A byte sink for everything the tools print. */
#include "tools/out.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUT_BLOCK = 1 << 16 };

void out_init(out *o, int fd)
{
  *o = (out){.fd = fd};
}

void out_free(out *o)
{
  free(o->data);
  *o = (out){.fd = -1};
}

bool out_write(int fd, const void *bytes, size_t size)
{
  const char *data = bytes;
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) { /* a descriptor that someone else made non-blocking */
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
      continue;
    }
    if (n == 0)
      errno = EIO;
    if (n <= 0)
      return false;
    data += n;
    size -= (size_t)n;
  }
  return true;
}

bool out_flush(out *o)
{
  if (o->fd >= 0 && o->size > 0) {
    if (o->error == 0 && !out_write(o->fd, o->data, o->size))
      o->error = errno;
    o->size = 0;
  }
  return o->error == 0;
}

char *out_reserve_slow(out *o, size_t size)
{
  if (o->fd >= 0 && o->size > 0 && !out_flush(o))
    return NULL;
  if (o->error != 0)
    return NULL;
  if (o->capacity - o->size >= size)
    return o->data + o->size;
  size_t capacity = o->capacity < OUT_BLOCK ? OUT_BLOCK : o->capacity * 2;
  while (capacity - o->size < size) {
    if (capacity > SIZE_MAX / 2) {
      o->error = ENOMEM;
      return NULL;
    }
    capacity *= 2;
  }
  char *data = realloc(o->data, capacity);
  if (data == NULL) {
    o->error = ENOMEM;
    return NULL;
  }
  o->data = data;
  o->capacity = capacity;
  return data + o->size;
}

void out_repeat(out *o, char c, size_t count)
{
  char *p = count > 0 ? out_reserve(o, count) : NULL;
  if (p == NULL)
    return;
  memset(p, c, count);
  out_advance(o, count);
}

void out_format(out *o, const char *format, ...)
{
  char small[256];
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int n = vsnprintf(small, sizeof small, format, arguments);
  if (n > 0 && (size_t)n < sizeof small) {
    out_bytes(o, small, (size_t)n);
  } else if (n > 0) {
    char *p = out_reserve(o, (size_t)n + 1);
    if (p != NULL) {
      vsnprintf(p, (size_t)n + 1, format, again);
      out_advance(o, (size_t)n);
    }
  }
  va_end(again);
  va_end(arguments);
}
