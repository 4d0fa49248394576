/* Following files whose writers are gone, tear or cannot be seen. */
#include "tests/followed.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void what_the_dead_leave_is_read_once(void **state)
{
  const scene *s = *state;
  int begin[2], go[2];
  assert_int_equal(pipe(begin), 0);
  assert_int_equal(pipe(go), 0);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    rk_recording *recording = open_recording(s);
    log_row(recording, "first");
    rk_recording_flush(recording);
    char byte = 0;
    if (write(begin[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1) {
      for (int i = 0; i < 5; i++) {
        log_row(recording, i % 2 == 0 ? "left" : "right");
      }
    }
    (void)kill(getpid(), SIGKILL);
  }
  char byte = 0;
  assert_int_equal(read(begin[0], &byte, 1), 1);
  rk_reader *reader = follow(s->path, SHORT_NS);
  seen rows = {0};
  expect_rows(reader, &rows, 1);
  assert_int_equal(write(go[1], &byte, 1), 1);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  expect_rows(reader, &rows, 6); /* nobody has it open: from the spool */
  finish(open_recording(s));     /* adopts them */
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 6);
  rk_reader_free(reader);
  for (int i = 0; i < 2; i++) {
    (void)close(begin[i]);
    (void)close(go[i]);
  }
}

/* The adopter's chunks bear no clocks, and the first of a writer no number either: they are known by their rows. */
static void what_died_before_its_first_append_is_read_once(void **state)
{
  const scene *s = *state;
  for (int late = 0; late < 2; late++) { /* the reader is opened after the death */
    rk_recording *recording = open_recording(s);
    log_row(recording, "first");
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    rk_reader *reader = late ? NULL : follow(s->path, SHORT_NS);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      recording = open_recording(s);
      for (int i = 0; i < 5; i++) {
        log_row(recording, i % 2 == 0 ? "left" : "right");
      }
      (void)kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    reader = late ? follow(s->path, SHORT_NS) : reader;
    seen rows = {0};
    expect_rows(reader, &rows, 6);
    finish(open_recording(s)); /* adopts them */
    expect_end(reader, &rows);
    assert_int_equal(rows.count, 6);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 0);
    rk_reader_free(reader);
    assert_int_equal(unlink(s->path), 0);
  }
}

static void set_bytes(const scene *s, off_t at, const void *bytes, size_t size)
{
  const int fd = open(s->path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
  (void)close(fd);
}

/* A reader may look between the append that finds a torn record and its healing. */
static void a_torn_record_that_is_healed_is_no_loss(void **state)
{
  const scene *s = *state;
  for (int healed = 0; healed < 2; healed++) {
    rk_recording *recording = open_recording(s);
    log_row(recording, "before");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
    rk_reader *reader = follow(s->path, LONG_NS);
    seen rows = {0};
    expect_rows(reader, &rows, 1);
    uint8_t torn[1024];
    memset(torn, 0x55, sizeof torn);
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    set_bytes(s, info.st_size, torn, sizeof torn);
    log_row(recording, "after");
    assert_int_equal(rk_recording_flush(recording), RK_OK); /* heals */
    uint8_t filler[1024];
    const int fd = open(s->path, O_RDONLY);
    assert_int_equal(pread(fd, filler, sizeof filler, info.st_size), (ssize_t)sizeof filler);
    (void)close(fd);
    assert_true(memcmp(torn, filler, sizeof torn) != 0);
    set_bytes(s, info.st_size, torn, sizeof torn);
    expect_rows(reader, &rows, 2);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.loss_count, 0);
    finish(recording); /* heals again */
    if (!healed) {
      set_bytes(s, info.st_size, torn, sizeof torn);
    }
    expect_end(reader, &rows);
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.loss_count, healed ? 0 : 1);
    rk_reader_free(reader);
    assert_int_equal(unlink(s->path), 0);
  }
}

static off_t size_of(const scene *s)
{
  struct stat info;
  assert_int_equal(stat(s->path, &info), 0);
  return info.st_size;
}

/* The record is one of a process that died within its append; a reader looks while the next one is being appended. */
static void a_record_under_way_behind_a_torn_one_is_read(void **state)
{
  static const char *const names[] = {"run.rrd", "run.rrd.zst"};
  scene s = *(const scene *)*state;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    (void)snprintf(s.path, sizeof s.path, "%s/%s", s.directory, names[i]);
    rk_recording *recording = open_recording(&s);
    log_row(recording, "before");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
    rk_reader *reader = follow(s.path, LONG_NS);
    seen rows = {0};
    expect_rows(reader, &rows, 1);
    const off_t start = size_of(&s);
    log_row(recording, "torn");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
    const off_t middle = size_of(&s);
    log_row(recording, "after");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
    static uint8_t after[1 << 16];
    const int fd = open(s.path, O_RDONLY);
    const ssize_t size = pread(fd, after, sizeof after, middle);
    (void)close(fd);
    assert_true(size > 512 && (size_t)size < sizeof after && middle - start > 512);
    const off_t torn = middle - 128;
    assert_int_equal(truncate(s.path, torn), 0);
    set_bytes(&s, torn, after, 256); /* the torn one's size is there */
    expect_none(reader, &rows);
    set_bytes(&s, torn + 256, after + 256, (size_t)size - 256);
    expect_rows(reader, &rows, 2);
    assert_string_equal(rows.entities[1], "/after");
    finish(recording); /* heals */
    expect_end(reader, &rows);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(rows.count, 2);
    assert_int_equal(stats.loss_count, 0);
    rk_reader_free(reader);
  }
}

static void a_copy_that_grows_is_followed(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_recording(s);
  for (int i = 0; i < 20; i++) {
    log_row(recording, i % 2 == 0 ? "even" : "odd");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
  }
  finish(recording);
  static uint8_t bytes[1 << 20];
  const int from = open(s->path, O_RDONLY);
  const ssize_t size = read(from, bytes, sizeof bytes);
  (void)close(from);
  assert_true(size > 8192 && (size_t)size < sizeof bytes);
  char path[128];
  (void)snprintf(path, sizeof path, "%s/copy.rrd", s->directory);
  const int to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_int_equal(write(to, bytes, 4096), 4096);
  rk_reader *reader = follow(path, SHORT_NS);
  seen rows = {0};
  for (ssize_t at = 4096; at < size;) { /* not by whole frames */
    const ssize_t part = size - at < 777 ? size - at : 777;
    assert_int_equal(write(to, bytes + at, (size_t)part), part);
    at += part;
    assert_int_equal(take(reader, &rows), RK_AGAIN);
    assert_int_equal(rk_reader_wait(reader, 2 * SHORT_NS, NULL), RK_OK);
  }
  (void)close(to);
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 20);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, 0);
  rk_reader_free(reader);
}

static void a_finished_recording_that_goes_on_is_followed(void **state)
{
  const scene *s = *state;
  char other[128];
  rk_recording *first = open_recording(s);
  log_row(first, "first");
  scene beside = *s;
  (void)snprintf(beside.path, sizeof beside.path, "%s/other.rrd", s->directory);
  (void)snprintf(other, sizeof other, "%s", beside.path);
  rk_recording *held = open_recording(&beside); /* keeps the reader from its end */
  assert_int_equal(rk_recording_flush(held), RK_OK);
  const rk_reader_options options = {.follow = true, .follow_delay_ns = LONG_NS};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, other, NULL, NULL), RK_OK);
  seen rows = {0};
  finish(first);
  expect_rows(reader, &rows, 1);
  for (int i = 2; i < 5; i++) {
    rk_recording *again = open_recording(s);
    log_row(again, "again");
    finish(again);
    expect_rows(reader, &rows, (size_t)i);
  }
  finish(held);
  expect_end(reader, &rows);
  rk_reader_free(reader);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_the_dead_leave_is_read_once, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(what_died_before_its_first_append_is_read_once, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_torn_record_that_is_healed_is_no_loss, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_record_under_way_behind_a_torn_one_is_read, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_copy_that_grows_is_followed, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_finished_recording_that_goes_on_is_followed, make_scene, remove_scene),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
