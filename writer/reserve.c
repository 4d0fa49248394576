/* Before a write: the file-size limit, and room reserved ahead of the end, so that a full disk refuses instead of
 * tearing (SPEC "Appending"). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "writer/writer_internal.h"

#define STEP     ((off_t)16 << 20)
#define STEP_MIN ((off_t)64 << 10)
#define AHEAD    ((off_t)4 << 20) /* what other processes may append meanwhile */

void rk_limit_guard_begin(rk_limit_guard *guard)
{
  sigset_t signal, pending;
  sigemptyset(&signal);
  sigaddset(&signal, SIGXFSZ);
  guard->was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
  pthread_sigmask(SIG_BLOCK, &signal, &guard->before);
}

void rk_limit_guard_end(const rk_limit_guard *guard)
{
  const int failed = errno;
  if (!guard->was_pending) {
    sigset_t signal;
    sigemptyset(&signal);
    sigaddset(&signal, SIGXFSZ);
    const struct timespec now = {0};
    sigtimedwait(&signal, NULL, &now);
  }
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
  errno = failed;
}

static bool is_limited(rk_tail *tail)
{
  struct rlimit limit;
  tail->limit =
      getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > (rlim_t)INT64_MAX
          ? INT64_MAX
          : (off_t)limit.rlim_cur;
  return tail->limit != INT64_MAX;
}

int rk_reserve(rk_recording *recording, size_t size)
{
  rk_tail *tail = &recording->tail;
  off_t end = tail->end;
  if (is_limited(tail)) {
    end = lseek(recording->fd, 0, SEEK_END);
    if ((off_t)size > tail->limit || end > tail->limit - (off_t)size) {
      return EFBIG;
    }
  }
  if (tail->no_reservation || (tail->end > 0 && end + (off_t)size + AHEAD <= tail->reserved)) {
    return 0;
  }
  end = lseek(recording->fd, 0, SEEK_END);
  const bool limited = tail->limit != INT64_MAX;
  if (limited && end > tail->limit - (off_t)size) {
    return EFBIG;
  }
  for (off_t step = STEP;;) {
    if (limited && step > tail->limit - end - (off_t)size) { /* some file systems ask for more than the limit's leave */
      step = tail->limit - end - (off_t)size;
    }
    if (fallocate(recording->fd, FALLOC_FL_KEEP_SIZE, end, (off_t)size + step) == 0) {
      tail->reserved = end + (off_t)size + step;
      return 0;
    }
    const int failed = errno;
    if (failed == EINTR) {
      continue;
    }
    if (failed == EOPNOTSUPP || failed == ENOSYS || failed == EINVAL || failed == ENODEV) {
      tail->no_reservation = true;
      return 0;
    }
    if (step == 0) {
      return failed;
    }
    step = step / 4 >= STEP_MIN ? step / 4 : 0;
  }
}
