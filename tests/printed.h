/* Output that stays in memory, and its text. */
#ifndef RK_TESTS_PRINTED_H
#define RK_TESTS_PRINTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/out.h"

static out sink = {.fd = -1};

static inline const char *taken(void)
{
  out_char(&sink, '\0');
  assert_int_equal(sink.error, 0);
  sink.size = 0;
  return sink.data;
}

static inline uint64_t next_random(void)
{
  static uint64_t x = UINT64_C(88172645463325252);
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

#endif
