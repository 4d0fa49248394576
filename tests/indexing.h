/* Files in memory and what a reader says of them, for the tests of the index. */
#ifndef RK_TESTS_INDEXING_H
#define RK_TESTS_INDEXING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/reader_state.h"
#include "tests/recordings.h"

#define LARGE ((size_t)100000)

typedef struct told_loss {
  uint64_t offset, length;
  rk_status status;
  unsigned count;
} told_loss;

static inline void on_loss(void *context, const rk_loss *loss)
{
  told_loss *told = context;
  *told = (told_loss){.offset = loss->offset, .length = loss->length, .status = loss->status, .count = told->count + 1};
}

/* ---- Files ---- */

typedef struct file {
  int fd;
  char path[64];
} file;

static inline file make_file(const rk_buffer *bytes)
{
  file f = {.fd = memfd_create("recording", MFD_CLOEXEC)};
  assert_true(f.fd >= 0);
  assert_int_equal(write(f.fd, bytes->data, bytes->size), bytes->size);
  (void)snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
  return f;
}

static inline rk_reader *open_file(const rk_reader_options *options, const file *f)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, f->path, NULL, NULL), RK_OK);
  return reader;
}

static inline rk_reader_stats stats_of(const rk_reader *reader)
{
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  return stats;
}

static inline size_t count_rows(rk_reader *reader)
{
  const rk_row *row;
  size_t rows = 0;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    const double *values = row->components[0].values->buffers[1];
    assert_true(values[row->components[0].start] ==
                test_value((uint32_t)(row->row_id.inc >> 32), (uint32_t)row->row_id.inc));
    rows++;
  }
  assert_true(status == RK_END || status == RK_AGAIN);
  return rows;
}

#endif
