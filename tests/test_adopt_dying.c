/* Adopters that race and that die themselves. The adopter is compiled here with places at which it dies. */
static void die_at(const char *where);
#define RK_ADOPT_POINT(where) die_at(where)
#include "writer/adopt.c"
#include "writer/adopt_ring.c"

#include "tests/adopting.h"
#include "tests/orphans.h"

static int points_left = -1; /* dies at the point at which it becomes 0 */

static void die_at(const char *where)
{
  (void)where;
  if (points_left > 0 && --points_left == 0) {
    kill(getpid(), SIGKILL);
  }
}

static void test_racing_adopters(void **state)
{
  const scene *s = *state;
  enum { ORPHANS = 6, ADOPTERS = 8 };
  for (uint32_t i = 0; i < ORPHANS; i++) { /* with the adopter's points on, it dies before it looks at the others */
    const pid_t child = fork();
    if (child == 0) {
      points_left = 1;
      log_many(open_at(s->path, &lazy_and_small), i, 0, 1);
      kill(getpid(), SIGKILL);
    }
    expect_killed(child);
  }
  adopt_here(s->path);
  rk_recording *recording = open_at(s->path, &lazy);
  pid_t orphans[ORPHANS];
  for (uint32_t i = 0; i < ORPHANS; i++) {
    orphans[i] = fork();
    if (orphans[i] == 0) {
      log_many(recording, ORPHANS + i, 0, 700);
      kill(getpid(), SIGKILL);
    }
  }
  pid_t adopters[ADOPTERS];
  for (int i = 0; i < ADOPTERS; i++) {
    adopters[i] = fork();
    if (adopters[i] == 0) {
      for (int n = 0; n < 20; n++) {
        rk_recording_free(open_at(s->path, NULL));
      }
      _exit(0);
    }
  }
  for (int i = 0; i < ORPHANS; i++) {
    expect_killed(orphans[i]);
  }
  for (int i = 0; i < ADOPTERS; i++) {
    expect_done(adopters[i]);
  }
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = ORPHANS; i < 2 * ORPHANS; i++) {
    assert_int_equal(t.next[i], 700);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* Adopters that die at their first, second, third ... step, one after the other, until one gets through. */
static void test_dying_adopters(void **state)
{
  const scene *s = *state;
  for (int step = 1; step <= 12; step++) {
    const pid_t child = fork();
    if (child == 0) {
      rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 3600000000000,
                                                                         .recording_id = "adopted",
                                                                         .compression = RK_COMPRESSION_NONE,
                                                                         .ring_size = (size_t)16 << 20});
      log_many(recording, (uint32_t)step, 0, 3000); /* several passes, several records each */
      run_threads(recording, (uint32_t)(100 + step), 1, 50);
      kill(getpid(), SIGKILL);
    }
    expect_killed(child);
    for (int died = 0, status = 1; status != 0; died++) {
      assert_in_range(died, 0, 200);
      const pid_t adopter = fork();
      if (adopter == 0) {
        points_left = step + died / 3;
        adopt_here(s->path);
        _exit(0);
      }
      status = wait_status(adopter);
      assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
      assert_true(step > 4 || status != 0 || died > 0);
    }
  }
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t step = 1; step <= 12; step++) {
    assert_int_equal(t.next[step], 3000);
    assert_int_equal(t.next[100 + step], 50);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* A drain was cut off after it had noted where the file ended, which was within a record that was torn as well. Who
 * comes first cuts that off, so that the chunks come to lie before the noted place, and dies. */
static void test_cut_tail(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording = open_at(s->path, &lazy_and_small);
    if (rk_recording_flush(recording) != RK_OK) { /* the recording's start time */
      abort();
    }
    log_many(recording, 0, 0, 40);
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
  char *path = only(s->spool, ".ring");
  rk_ring_header header;
  const int ring = open(path, O_RDWR), file = open(s->path, O_WRONLY | O_APPEND);
  struct stat info;
  assert_true(ring >= 0 && file >= 0);
  assert_int_equal(pread(ring, &header, sizeof header, 0), sizeof header);
  assert_int_equal(fstat(file, &info), 0);
  static const uint8_t torn[1 << 16] = {RK_FRAME_ARROW_MSG, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8};
  assert_int_equal(write(file, torn, sizeof torn), sizeof torn);
  header.intent_begin = header.tail;
  header.intent_end = header.head;
  header.intent_row_count = 40;
  header.intent_first_row = 1;
  header.intent_file_offset = (uint64_t)info.st_size + sizeof torn;
  header.intent_chunk_number = header.chunk_number;
  assert_int_equal(pwrite(ring, &header, sizeof header, 0), sizeof header);
  close(ring);
  close(file);
  free(path);
  const pid_t adopter = fork();
  if (adopter == 0) {
    points_left = 3; /* claimed, intent, appended */
    adopt_here(s->path);
    _exit(0);
  }
  expect_killed(adopter);
  adopt_here(s->path);
  check_rows(s, 1, 40);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_racing_adopters),
      IN_SCENE(test_dying_adopters),
      IN_SCENE(test_cut_tail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
