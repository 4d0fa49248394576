/* What a call does whose ring is full while the system refuses to append: wait, or drop its row and count it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "format/error.h"
#include "writer/writer_internal.h"

#define RETRY_NS 20000000 /* between two tries of a waiting call */
#define QUIET_NS 10000000 /* after a refusal, for which rows are dropped without asking the disk */

static rk_status drop(rk_thread *thread)
{
  rk_recording *recording = thread->recording;
  __atomic_add_fetch(&thread->ring->header->dropped_rows, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&recording->counts.rows_dropped, 1, __ATOMIC_RELAXED);
  rk_error *error = &thread->error;
  const char *prefix = "row dropped, its ring is full: ";
  if (strncmp(error->message, prefix, strlen(prefix)) != 0) {
    char why[sizeof error->message];
    memcpy(why, error->message, sizeof why);
    snprintf(error->message, sizeof error->message, "%s%.*s", prefix, (int)(sizeof why - strlen(prefix) - 1), why);
  }
  error->offset = RK_NO_OFFSET;
  return error->status = RK_ERR_FULL;
}

rk_status rk_full(rk_thread *thread, int64_t *since)
{
  rk_recording *recording = thread->recording;
  const int64_t now = rk_clock(CLOCK_MONOTONIC);
  if (recording->on_full == RK_FULL_DROP_NEWEST) {
    if (now >= thread->full_until_ns) {
      thread->full_until_ns = now + QUIET_NS;
    }
    return drop(thread);
  }
  *since = *since == 0 ? now : *since;
  const int64_t left = recording->block_timeout_ns < 0 ? INT64_MAX : recording->block_timeout_ns - (now - *since);
  if (left <= 0) {
    return drop(thread);
  }
  if (__atomic_load_n(&recording->serial, __ATOMIC_ACQUIRE) != thread->serial) { /* close waits for this call */
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "the recording was closed while its ring was full");
  }
  const struct timespec pause = {.tv_nsec = left < RETRY_NS ? left : RETRY_NS};
  const int cancel = rk_cancel_off();
  nanosleep(&pause, NULL);
  rk_cancel_restore(cancel);
  return RK_OK;
}
