/* The call that merges: what it refuses, outputs that fail or take little at a time, progress. */
#include "tests/merging.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

/* Rows that were taken would be missing, and another order or growing inputs have no one merged recording. */
static void test_misuse(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  const chunk_recipe data = {"/a", 1, 0, 4, 100, 1, {AT(100, 1)}, {NOTE(0, 0)}};
  put_chunk(&in, &recording_id, &data);
  const int fd = memfd_create("misuse", 0);
  rk_merge_report report = {.rows = 7};
  rk_reader *reader = open_inputs(&in, 1, NULL);
  const rk_row *row;
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_int_equal(rk_reader_merge(reader, fd, NULL, &report, NULL), RK_ERR_MISUSE);
  assert_int_equal(report.rows, 0);
  rk_reader_free(reader);
  static const rk_reader_options wrong[] = {{.timeline = "log_time"}, {.follow = true}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    reader = open_inputs(&in, 1, &wrong[i]);
    assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, NULL), RK_ERR_MISUSE);
    rk_reader_free(reader);
  }
  reader = open_inputs(&in, 1, NULL);
  assert_int_equal(rk_reader_merge(reader, -1, NULL, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_merge(NULL, fd, NULL, NULL, NULL), RK_ERR_MISUSE);
  rk_reader_free(reader);
  assert_int_equal(lseek(fd, 0, SEEK_END), 0);
  close(fd);
  rk_buffer_free(&in);
}

static void check_write_error(int fd, int sys_errno)
{
  rk_buffer in = make_recording(1);
  rk_reader *reader = open_inputs(&in, 1, NULL);
  rk_error error = {0};
  assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, &error), RK_ERR_IO);
  assert_int_equal(error.status, RK_ERR_IO);
  assert_int_equal(error.sys_errno, sys_errno);
  rk_error kept = {0};
  rk_reader_error(reader, &kept);
  assert_int_equal(kept.sys_errno, sys_errno);
  rk_reader_free(reader);
  rk_buffer_free(&in);
}

static void test_write_errors(void **state)
{
  (void)state;
  const int full = open("/dev/full", O_WRONLY);
  assert_true(full >= 0);
  check_write_error(full, ENOSPC);
  close(full);
  const int read_only = open("/dev/null", O_RDONLY);
  check_write_error(read_only, EBADF);
  close(read_only);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  close(ends[0]);
  const struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct sigaction before;
  sigaction(SIGPIPE, &ignore, &before);
  check_write_error(ends[1], EPIPE);
  sigaction(SIGPIPE, &before, NULL);
  close(ends[1]);
}

typedef struct draining {
  int fd;
  rk_buffer bytes;
} draining;

static void *drain(void *argument)
{
  draining *d = argument;
  uint8_t piece[777];
  ssize_t size;
  while ((size = read(d->fd, piece, sizeof piece)) > 0) {
    rk_buffer_append(&d->bytes, piece, (size_t)size);
  }
  return NULL;
}

/* A non-blocking pipe takes small pieces and says "not now" in between. */
static void test_short_writes(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  for (uint32_t i = 0; i < 40; i++) {
    const chunk_recipe recipe = {"/a", 1, 10 * i, 10, 100 * i, 1, {AT(100 * i, 1)}, {NOTE(0, 9000)}};
    put_chunk(&in, &recording_id, &recipe);
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_NONE};
  rk_buffer whole = merge_all(&in, 1, &options);
  assert_true(whole.size > 3 << 20);
  int ends[2];
  assert_int_equal(pipe2(ends, 0), 0);
  assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  draining d = {.fd = ends[0]};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, drain, &d), 0);
  rk_reader *reader = open_inputs(&in, 1, NULL);
  assert_int_equal(rk_reader_merge(reader, ends[1], &options, NULL, NULL), RK_OK);
  close(ends[1]);
  pthread_join(thread, NULL);
  close(ends[0]);
  assert_same(&whole, &d.bytes);
  rk_reader_free(reader);
  rk_buffer made[] = {in, whole, d.bytes};
  free_all(made, 3);
}

typedef struct progress {
  unsigned calls;
  uint64_t rows, total, bytes;
  bool stop;
} progress;

static bool note_progress(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  progress *p = context;
  assert_true(rows_done >= p->rows && rows_done <= rows_total && bytes_out >= p->bytes);
  p->calls++;
  p->rows = rows_done;
  p->total = rows_total;
  p->bytes = bytes_out;
  return !p->stop;
}

static void test_progress(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  const chunk_recipe recipe = {"/a", 1, 0, 40000, 100, 1, {AT(100, 1)}, {POINTS(0)}};
  put_chunk(&in, &recording_id, &recipe);
  progress p = {0};
  rk_merge_options options = {.on_progress = note_progress, .context = &p};
  rk_buffer merged = merge_all(&in, 1, &options);
  assert_true(p.calls > 2);
  assert_int_equal(p.rows, 40000);
  assert_int_equal(p.total, 40000);
  assert_int_equal(p.bytes, merged.size);
  p = (progress){.stop = true};
  rk_reader *reader = open_inputs(&in, 1, NULL);
  const int fd = memfd_create("stopped", 0);
  assert_int_equal(rk_reader_merge(reader, fd, &options, NULL, NULL), RK_END);
  assert_int_equal(p.calls, 1);
  close(fd);
  rk_reader_free(reader);
  rk_buffer made[] = {in, merged};
  free_all(made, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_misuse),
      cmocka_unit_test(test_write_errors),
      cmocka_unit_test(test_short_writes),
      cmocka_unit_test(test_progress),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
