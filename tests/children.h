/* How a child process ended, for tests. */
#ifndef RK_TESTS_CHILDREN_H
#define RK_TESTS_CHILDREN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

static inline int wait_status(pid_t child)
{
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static inline void expect_killed(pid_t child)
{
  const int status = wait_status(child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static inline void expect_done(pid_t child)
{
  const int status = wait_status(child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
