/* Many processes on one recording, forks and exits. Apart from the tests of threads because the thread sanitizer does
 * not follow threads into a child. */
#include "tests/children.h"
#include "tests/patience.h"
#include "tests/stamps.h"

#include <fcntl.h>

static void test_processes(void **state)
{
  const scene *s = *state;
  pid_t children[4];
  for (uint32_t p = 0; p < 4; p++) {
    children[p] = fork();
    if (children[p] == 0) { /* all race to create it */
      rk_recording *recording = open_at(s->path, &(rk_recording_options){.recording_id = "shared"});
      run_threads(recording, 4 * p, 4, 1000);
      _exit(rk_recording_close(recording) == RK_OK ? 0 : 1);
    }
  }
  for (int p = 0; p < 4; p++) {
    expect_done(children[p]);
  }
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.rows, 4 * 4 * 1000);
  assert_int_equal(file->writer_count, 17);
  assert_string_equal(file->recording_id, "shared");
  free(file);
  assert_int_not_equal(access(s->spool, F_OK), 0);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* Forks of a process that has threads: not under the address sanitizer, whose own allocator may stay locked in the
 * child. */
#ifndef __SANITIZE_ADDRESS__

/* A forked child goes on with the handle as a writer of its own; the parent's rows stay the parent's. */
static void test_fork(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
  const rk_entity *entity = rk_entity_at(recording, "parent");
  rk_time_set_sequence(recording, "step", 1);
  for (uint32_t i = 0; i < 100; i++) {
    log_stamp(recording, entity, 0, i, 0);
  }
  pid_t children[3];
  for (uint32_t c = 0; c < 3; c++) {
    children[c] = fork();
    if (children[c] == 0) {
      char name[32];
      snprintf(name, sizeof name, "child/%u", (unsigned)c);
      for (uint32_t i = 0; i < 50; i++) {
        log_stamp(recording, rk_entity_at(recording, name), 1 + c, i, 0);
      }
      run_threads(recording, 10 + c, 1, 100);
      if (c == 0) {
        exit(0); /* without close: process exit drains */
      }
      _exit(rk_recording_close(recording) == RK_OK ? 0 : 1);
    }
  }
  const pid_t silent = fork();
  if (silent == 0) {
    exit(0); /* never logged: nothing of the parent's may be written or removed */
  }
  for (int c = 0; c < 3; c++) {
    expect_done(children[c]);
  }
  expect_done(silent);
  for (uint32_t i = 100; i < 200; i++) {
    log_stamp(recording, entity, 0, i, 0);
  }
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.next[0], 200);
  for (uint32_t c = 0; c < 3; c++) {
    assert_int_equal(t.next[1 + c], 50);
    assert_int_equal(t.next[10 + c], 100);
  }
  assert_int_equal(file->writer_count, 1 + 3 * 2);
  size_t ours = 0;
  for (size_t i = 0; i < file->writer_count; i++) {
    ours += file->writers[i].pid == getpid();
  }
  assert_int_equal(ours, 1);
  free(file);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* Forking while other threads log: the child inherits no held lock. */
static void test_fork_meanwhile(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 2000000});
  pthread_t ids[2];
  job jobs[2];
  for (uint32_t i = 0; i < 2; i++) {
    jobs[i] = (job){.recording = recording, .logger = i, .count = 20000};
    assert_int_equal(pthread_create(&ids[i], NULL, run, &jobs[i]), 0);
  }
  for (uint32_t c = 0; c < 10; c++) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      char name[32];
      snprintf(name, sizeof name, "child/%u", (unsigned)c);
      log_stamp(recording, rk_entity_at(recording, name), 100 + c, 0, 0);
      _exit(rk_recording_flush(recording) == RK_OK ? 0 : 1);
    }
    expect_done(child);
  }
  for (uint32_t i = 0; i < 2; i++) {
    pthread_join(ids[i], NULL);
  }
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 2 * 20000 + 10);
}

static bool locked(const char *path, short type)
{
  const int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  const bool free_now = fcntl(fd, F_OFD_SETLK, &lock) == 0;
  close(fd);
  return !free_now;
}

/* A child that lives on does not keep its dead parent looking alive. */
static void test_locks(void **state)
{
  const scene *s = *state;
  int ready[2], go[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(go), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
    log_stamp(recording, rk_entity_at(recording, "x"), 0, 0, 0);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      char byte = 0;
      if (write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1) {
        _exit(0);
      }
      _exit(1);
    }
    char byte = 0;
    (void)!write(ready[1], &byte, 1);
    raise(SIGKILL);
  }
  char bytes[2];
  for (size_t got = 0; got < 2;) {
    const ssize_t n = read(ready[0], bytes + got, 2 - got);
    assert_true(n > 0);
    got += (size_t)n;
  }
  int status;
  assert_int_equal(waitpid(parent, &status, 0), parent);
  assert_true(WIFSIGNALED(status));
  DIR *entries = opendir(s->spool);
  assert_non_null(entries);
  size_t found = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (dot != NULL && strcmp(dot, ".defs") == 0) {
      char path[512];
      snprintf(path, sizeof path, "%s/%s", s->spool, entry->d_name);
      assert_false(locked(path, F_WRLCK));
      found++;
    }
  }
  closedir(entries);
  assert_int_equal(found, 1);
  assert_true(locked(s->path, F_WRLCK)); /* the grandchild takes part */
  assert_int_equal(write(go[1], bytes, 1), 1);
  unsigned looks = 0;
  while (locked(s->path, F_WRLCK) && be_patient(&looks)) {
  }
  assert_false(locked(s->path, F_WRLCK));
  close(ready[0]);
  close(ready[1]);
  close(go[0]);
  close(go[1]);
}

#endif

/* Leaving by exit with the recording open, from the main thread, while another thread waits. */
static void *sleep_long(void *argument)
{
  log_stamp(argument, rk_entity_at(argument, "sleeper"), 1, 0, 0);
  sleep(600);
  return NULL;
}

static void test_exit(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
    pthread_t sleeper;
    if (pthread_create(&sleeper, NULL, sleep_long, recording) != 0) {
      abort();
    }
    for (uint32_t i = 0; i < 10; i++) {
      log_stamp(recording, rk_entity_at(recording, "x"), 0, i, 0);
    }
    rk_recording_stats stats = {0};
    unsigned looks = 0;
    while (stats.rows_accepted < 1 + 10 + 1 && be_patient(&looks)) { /* the start time, ours, the sleeper's */
      rk_recording_get_stats(recording, &stats);
    }
    exit(0);
  }
  expect_done(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.next[0], 10);
  assert_int_equal(t.next[1], 1);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
      IN_SCENE(test_fork),      IN_SCENE(test_fork_meanwhile), IN_SCENE(test_locks),
#endif
      IN_SCENE(test_processes), IN_SCENE(test_exit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
