/* Plain recordings made into Zstandard recordings, for tests. */
#ifndef RK_TEST_UNITS_H
#define RK_TEST_UNITS_H

#include <stdlib.h>
#include <zstd.h>

#include "format/zst.h"

#define TEST_UNITS_MAX 256

typedef struct test_units {
  rk_buffer bytes;
  size_t count;
  size_t offset[TEST_UNITS_MAX + 1]; /* of each unit in `bytes`; then their end */
  size_t plain[TEST_UNITS_MAX + 1];  /* of each unit's record in the plain stream */
} test_units;

static inline void test_units_free(test_units *units)
{
  rk_buffer_free(&units->bytes);
}

/* Appends a whole unit's bytes without what precedes them. */
static inline void test_wrap(test_units *units, const uint8_t *record, size_t size)
{
  rk_buffer out = {0};
  size_t begin;
  struct ZSTD_CCtx_s *context = rk_unit_context(1);
  if (context == NULL || units->count == TEST_UNITS_MAX ||
      rk_unit_wrap(&out, context, 0, record, size, &begin) != RK_OK) {
    abort();
  }
  rk_buffer_append(&units->bytes, out.data + begin, out.size - begin);
  ZSTD_freeCCtx(context);
  rk_buffer_free(&out);
  units->count++;
  units->offset[units->count] = units->bytes.size;
  units->plain[units->count] = units->plain[units->count - 1] + size;
}

/* The plain recording in records of `frames` frames, stream headers and footers with those next to them. */
static inline test_units test_units_of(const uint8_t *plain, size_t size, size_t frames)
{
  test_units units = {0};
  size_t begin = 0, at = 0, count = 0;
  while (at < size) {
    rk_frame_header header;
    if (size - at >= RK_STREAM_HEADER_SIZE && memcmp(plain + at, rk_stream_header_bytes, 4) == 0) {
      if (at > begin) {
        test_wrap(&units, plain + begin, at - begin);
      }
      begin = at;
      at += RK_STREAM_HEADER_SIZE;
      count = 0;
    }
    if (!rk_frame_header_decode(plain + at, &header)) {
      abort();
    }
    if (header.kind == RK_FRAME_END && at > begin) {
      test_wrap(&units, plain + begin, at - begin);
      begin = at;
    }
    at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
    if (header.kind == RK_FRAME_END && size - at >= RK_STREAM_FOOTER_SIZE) {
      at += RK_STREAM_FOOTER_SIZE;
    }
    if (++count == frames || header.kind == RK_FRAME_END || at == size) {
      test_wrap(&units, plain + begin, at - begin);
      begin = at;
      count = 0;
    }
  }
  return units;
}

#endif
