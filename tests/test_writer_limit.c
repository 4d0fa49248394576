/* Appends that the system refuses, and rings that are full because of it: nothing is lost, and the caller is told. */
#include "tests/children.h"
#include "tests/stamps.h"

#include <sys/resource.h>

/* The system refuses to let the file grow: rows stay in their ring, the error is told, and go out when there is room.
 */
static void test_file_limit(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rk_recording *recording = open_at(
        s->path,
        &(rk_recording_options){.ring_size = 65536, .compression = RK_COMPRESSION_NONE, .flush_age_ns = 60000000000});
    rk_recording_flush(recording);
    struct stat info;
    stat(s->path, &info);
    const struct rlimit tight = {.rlim_cur = (rlim_t)info.st_size + 8192, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const rk_entity *entity = rk_entity_at(recording, "x");
    for (uint32_t i = 0; i < 40; i++) {
      log_stamp(recording, entity, 0, i, 1000);
    }
    setrlimit(RLIMIT_FSIZE, &tight);
    rk_error error;
    if (rk_recording_flush(recording) != RK_ERR_IO) {
      _exit(1);
    }
    rk_recording_error(recording, &error);
    if (error.status != RK_ERR_IO || error.sys_errno == 0) {
      _exit(2);
    }
    struct stat after;
    stat(s->path, &after);
    if (after.st_size != info.st_size) { /* alone: the torn record was taken back */
      _exit(3);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    rk_recording_clear_error(recording);
    rk_recording_error(recording, &error);
    if (error.status != RK_OK) {
      _exit(4);
    }
    for (uint32_t i = 40; i < 100; i++) {
      log_stamp(recording, entity, 0, i, 1000);
    }
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 5);
  }
  expect_done(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 100);
}

/* The same with another participant: nothing is torn, so nothing needs to be covered. */
static void test_file_limit_shared(void **state)
{
  const scene *s = *state;
  int ready[2], go[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(go), 0);
  char byte = 0;
  const pid_t other = fork();
  if (other == 0) {
    rk_recording *recording = open_at(s->path, NULL);
    if (rk_recording_flush(recording) != RK_OK || write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) {
      _exit(1);
    }
    log_stamp(recording, rk_entity_at(recording, "y"), 1, 0, 0);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    struct stat info;
    stat(s->path, &info);
    const struct rlimit tight = {.rlim_cur = ((rlim_t)info.st_size + 8191) / 4096 * 4096, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    rk_recording *recording =
        open_at(s->path, &(rk_recording_options){.compression = RK_COMPRESSION_NONE, .flush_age_ns = 60000000000});
    for (uint32_t i = 0; i < 40; i++) {
      log_stamp(recording, rk_entity_at(recording, "x"), 0, i, 1000);
    }
    setrlimit(RLIMIT_FSIZE, &tight);
    if (rk_recording_flush(recording) != RK_ERR_IO) {
      _exit(1);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  expect_done(child);
  assert_int_equal(write(go[1], &byte, 1), 1);
  expect_done(other);
  for (int i = 0; i < 2; i++) {
    close(ready[i]);
    close(go[i]);
  }
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.next[0], 40);
  assert_int_equal(t.next[1], 1);
  assert_int_equal(file->filler_count, 0);
  free(file);
}

/* Nothing can be appended and the ring is full: the row is refused, and nothing that was accepted is lost. */
static void test_full_ring(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rk_recording *recording =
        open_at(s->path,
                &(rk_recording_options){.ring_size = 65536, .flush_age_ns = 60000000000, .block_timeout_ns = 50000000});
    rk_recording_flush(recording);
    const rk_entity *entity = rk_entity_at(recording, "x");
    log_stamp(recording, entity, 0, 0, 0);
    struct stat info;
    stat(s->path, &info);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit tight = {.rlim_cur = (rlim_t)info.st_size, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &tight);
    const rk_component *component = rk_component_at(recording, "stamp", "C", NULL, NULL);
    uint32_t next = 1;
    rk_status status = RK_OK;
    for (; next < 10000; next++) {
      const stamp head = {.logger = 0, .number = next, .check = check_of(0, next, 0)};
      const rk_cell cell = {.component = component, .count = sizeof head, .values = &head};
      status = rk_log(recording, entity, &cell, 1);
      if (status != RK_OK) {
        break;
      }
    }
    if (status != RK_ERR_FULL) {
      _exit(1);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    log_stamp(recording, entity, 0, next, 0);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  expect_done(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_true(t.rows > 500); /* without gaps, as the walk has checked */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
#endif
      IN_SCENE(test_file_limit),
      IN_SCENE(test_file_limit_shared),
      IN_SCENE(test_full_ring),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
