/* Participants that finish the recording: the last one appends its end and footer. */
#include "tests/sessions.h"

#include <signal.h>
#include <sys/wait.h>

#include "writer/writer_internal.h"

static void test_finish(void **state)
{
  const scene *s = *state;
  for (uint32_t round = 0; round < 3; round++) {
    rk_recording *recording = open_at(s->path, &named); /* continues what the round before has finished */
    log_rows(recording, 100 * round, 100 * round + 100);
    assert_int_equal(rk_recording_finish(recording), RK_OK);
    assert_int_equal(rk_recording_finish(recording), RK_ERR_MISUSE);
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    const size_t end = check_footer(s->path, 0, 100 * round + 101);
    assert_int_equal(end % RK_FRAME_ALIGNMENT, 0);
  }
  rk_recording_free(open_at(s->path, &named));
  check_rows(s, 300); /* nothing but sealed frames again */
}

static void test_finish_conflict(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_at(s->path, &named), *second = open_at(s->path, &named);
  log_rows(first, 0, 10);
  assert_int_equal(rk_recording_finish(first), RK_ERR_CONFLICT);
  rk_error error;
  rk_recording_error(first, &error);
  assert_int_equal(error.status, RK_ERR_CONFLICT);
  rk_recording_free(first);
  assert_int_equal(rk_recording_finish(second), RK_OK);
  rk_recording_free(second);
  check_footer(s->path, 0, 11);
}

/* Finishing brings in what the dead have left. */
static void test_finish_adopts(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    log_rows(open_at(s->path, &named), 0, 20);
    kill(getpid(), SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  rk_recording *recording = open_at(s->path, &named);
  log_rows(recording, 20, 30);
  assert_int_equal(rk_recording_finish(recording), RK_OK);
  rk_recording_free(recording);
  check_footer(s->path, 0, 31);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_finish),
      IN_SCENE(test_finish_conflict),
      IN_SCENE(test_finish_adopts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
