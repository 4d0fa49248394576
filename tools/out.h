/* A byte sink for everything the tools print: a growing buffer that, given a descriptor, is written out when large. */
#ifndef TOOLS_OUT_H
#define TOOLS_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct out {
  char *data;
  size_t size, capacity;
  int fd;    /* -1: memory only, grows without end */
  int error; /* errno of the first failure (ENOMEM included); everything after it is dropped */
} out;

void out_init(out *o, int fd);
/* Writes what is buffered; memory-only sinks keep it. False after a failure, now or earlier. */
bool out_flush(out *o);
void out_free(out *o);
/* Writes all of it, waiting where the descriptor does not block. False with errno. */
bool out_write(int fd, const void *bytes, size_t size);

/* Room for `size` bytes at the returned place, to be taken with out_advance; NULL after a failure. */
char *out_reserve_slow(out *o, size_t size);
static inline char *out_reserve(out *o, size_t size)
{
  return o->capacity - o->size >= size ? o->data + o->size : out_reserve_slow(o, size);
}
static inline void out_advance(out *o, size_t size)
{
  o->size += size;
}

static inline void out_bytes(out *o, const void *bytes, size_t size)
{
  char *p = size > 0 ? out_reserve(o, size) : NULL;
  if (p == NULL)
    return;
  memcpy(p, bytes, size);
  out_advance(o, size);
}
static inline void out_char(out *o, char c)
{
  char *p = out_reserve(o, 1);
  if (p == NULL)
    return;
  *p = c;
  out_advance(o, 1);
}
static inline void out_text(out *o, const char *text)
{
  out_bytes(o, text, strlen(text));
}
void out_repeat(out *o, char c, size_t count);
void out_format(out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
