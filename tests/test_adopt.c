/* Adoption: rows of processes that died in any way come in exactly once, whoever brings them. */
#include "tests/adopting.h"
#include "tests/patience.h"

#include <spawn.h>
#include <sys/mman.h>
#include <time.h>

static void pause_ms(long ms)
{
  const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

/* A process logs `rows` rows that nobody appends and dies. */
static void leave_orphan(const char *path, const rk_recording_options *options, uint32_t logger, uint32_t rows)
{
  const pid_t child = fork();
  if (child == 0) {
    log_many(open_at(path, options), logger, 0, rows);
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
}

static void die(int way)
{
  switch (way) {
  case 0:
    kill(getpid(), SIGKILL);
    break;
  case 1:
    _exit(0);
  case 2:
    signal(SIGABRT, SIG_DFL);
    abort();
  case 3:
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    break;
  default:
    quick_exit(0);
  }
}

/* Children that die in all ways, with the parent's handle and with one of their own. */
static void test_deaths(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &lazy);
  log_many(recording, 0, 0, 100);
  enum { WAYS = 5 };
  for (uint32_t i = 0; i < 2 * WAYS; i++) {
    const pid_t child = fork();
    if (child == 0) {
      log_many(i < WAYS ? recording : open_at(s->path, &lazy), 1 + i, 0, 100);
      die((int)(i % WAYS));
    }
    wait_status(child);
  }
  assert_true(count_entries(s->spool, ".defs") > 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  assert_in_range(stats.adoptions, 1, 2 * WAYS); /* those that opened it have adopted those before */
  rk_recording_free(recording);
  check_rows(s, 1 + 2 * WAYS, 100);
}

/* Nobody has it open any more: the next opener. */
static void test_next_opener(void **state)
{
  const scene *s = *state;
  leave_orphan(s->path, &lazy, 0, 500);
  leave_orphan(s->path, &lazy, 1, 500); /* this one has adopted the first when it opened */
  adopt_here(s->path);
  check_rows(s, 2, 500);
}

/* A participant that lives on finds them by itself, soon. */
static void test_background(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.recording_id = "adopted"});
  leave_orphan(s->path, &lazy, 0, 200);
  rk_recording_stats stats = {0};
  unsigned looks = 0;
  while (stats.adoptions == 0 && be_patient(&looks)) {
    rk_recording_get_stats(recording, &stats);
  }
  assert_int_equal(stats.adoptions, 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  check_rows(s, 1, 200);
}

/* What a dead process has started lives on: it must not look alive through that. */
static void test_survivors(void **state)
{
  const scene *s = *state;
  int pipe_ends[2];
  assert_int_equal(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording = open_at(s->path, &lazy);
    log_many(recording, 0, 0, 300);
    close(pipe_ends[1]);
    char *const arguments[] = {"sh", "-c", "read line <&3", NULL};
    pid_t spawned;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[0], 3);
    if (posix_spawn(&spawned, "/bin/sh", &actions, NULL, arguments, environ) != 0) {
      abort();
    }
    int ready[2];
    char byte;
    if (pipe(ready) != 0) {
      abort();
    }
    if (fork() == 0) { /* no exec: waits until the test closes the pipe */
      if (write(ready[1], "", 1) != 1) {
        abort();
      }
      _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    if (read(ready[0], &byte, 1) != 1) { /* before it runs, it has not let go of what it inherited */
      abort();
    }
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
  close(pipe_ends[0]);
  rk_recording *recording = open_at(s->path, NULL);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 300);
  close(pipe_ends[1]);
}

/* Killed at any moment while several threads log through small rings: what a call accepted is there, once. */
static void test_random_kills(void **state)
{
  const scene *s = *state;
  enum { ROUNDS = 40, LOGGERS = 3 };
  uint32_t(*accepted)[LOGGERS] =
      mmap(NULL, sizeof(uint32_t[ROUNDS][LOGGERS]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(accepted != MAP_FAILED);
  rk_recording *keeper = open_at(s->path, &(rk_recording_options){.recording_id = "adopted"});
  for (uint32_t round = 0; round < ROUNDS; round++) {
    pid_t children[LOGGERS];
    for (uint32_t l = 0; l < LOGGERS; l++) {
      children[l] = fork();
      if (children[l] == 0) {
        const rk_recording_options options = {
            .flush_age_ns = round % 2 == 0 ? 2000000 : 3600000000000, .recording_id = "adopted", .ring_size = 65536};
        rk_recording *own = l == 0 ? keeper : open_at(s->path, &options);
        char name[32];
        snprintf(name, sizeof name, "logger/%u", (unsigned)(round * LOGGERS + l));
        const rk_entity *entity = rk_entity_at(own, name);
        for (uint32_t i = 0;; i++) {
          log_stamp(own, entity, round * LOGGERS + l, i, extra_of(i));
          __atomic_store_n(&accepted[round][l], i + 1, __ATOMIC_RELEASE);
        }
      }
    }
    pause_ms(round % 20);
    for (uint32_t l = 0; l < LOGGERS; l++) {
      kill(children[l], SIGKILL);
      expect_killed(children[l]);
    }
  }
  assert_int_equal(rk_recording_close(keeper), RK_OK);
  rk_recording_free(keeper);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < ROUNDS * LOGGERS; i++) {
    const uint32_t said = accepted[i / LOGGERS][i % LOGGERS];
    assert_in_range(t.next[i], said, said + 1);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
  munmap(accepted, sizeof(uint32_t[ROUNDS][LOGGERS]));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_deaths),    IN_SCENE(test_next_opener),  IN_SCENE(test_background),
      IN_SCENE(test_survivors), IN_SCENE(test_random_kills),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
