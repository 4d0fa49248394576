/* What a call does beyond writing its row: draining its ring when that is full or nearly so, and waiting, or dropping
 * the row and counting it, while the system refuses to append. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/bytes.h"
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

rk_status rk_wait_or_drop(rk_thread *thread, int64_t *since)
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

/* Drains the thread's own ring. `wait`: also if the background thread is at it. RK_END: it is, and was not waited for.
 */
static rk_status drain_own(rk_thread *thread, bool wait)
{
  rk_ring *ring = thread->ring;
  if (wait) {
    pthread_mutex_lock(&ring->mutex);
  } else if (pthread_mutex_trylock(&ring->mutex) != 0) {
    return RK_END;
  }
  const rk_status status = rk_ring_drain_locked(thread->recording, ring, &thread->error);
  if (status == RK_OK && __atomic_load_n(&ring->cramped, __ATOMIC_RELAXED)) {
    rk_ring_grow(thread->recording, ring);
    rk_thread_note_ring(thread);
  }
  pthread_mutex_unlock(&ring->mutex);
  if (status != RK_OK) {
    rk_background_note(thread->recording, &thread->error);
  }
  thread->tail = __atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE);
  return status;
}

rk_status rk_make_room(rk_thread *thread, size_t size)
{
  int64_t since = 0;
  for (int attempt = 0; attempt < 3;) {
    thread->tail = __atomic_load_n(&thread->ring->header->tail, __ATOMIC_ACQUIRE);
    const uint64_t contiguous = thread->size - (thread->head & (thread->size - 1));
    const uint64_t needed = size <= contiguous ? size : contiguous + size;
    if (needed <= thread->size - (thread->head - thread->tail)) {
      if (size > contiguous) {
        uint8_t *skip = thread->data + (thread->head & (thread->size - 1));
        rk_store_u32(skip, (uint32_t)contiguous);
        rk_store_u32(skip + 4, RK_SPOOL_SKIP);
        thread->head += contiguous; /* published with the row */
      }
      return RK_OK;
    }
    if (thread->full_until_ns != 0 && rk_clock(CLOCK_MONOTONIC) < thread->full_until_ns) {
      return rk_wait_or_drop(thread, &since);
    }
    rk_status status = drain_own(thread, true);
    if (status == RK_OK) {
      attempt++;
    } else if (status != RK_ERR_IO || (status = rk_wait_or_drop(thread, &since)) != RK_OK) {
      return status;
    }
  }
  return rk_fail(&thread->error, RK_ERR_IO, RK_NO_OFFSET, "the ring stays full");
}

void rk_drain_early(rk_thread *thread)
{
  thread->tail = __atomic_load_n(&thread->ring->header->tail, __ATOMIC_ACQUIRE);
  if ((thread->head - thread->tail > thread->size / 4 * 3 ||
       __atomic_load_n(&thread->ring->cramped, __ATOMIC_RELAXED)) &&
      !__atomic_load_n(&thread->recording->refused, __ATOMIC_RELAXED)) { /* else the background thread tries */
    const rk_error before = thread->error;
    drain_own(thread, false); /* the row is accepted; a failure is noted for the recording */
    thread->error = before;
  }
}

rk_status rk_thread_wrap(rk_thread *thread)
{
  const rk_status status = drain_own(thread, true);
  return status == RK_OK ? rk_thread_renew(thread, &thread->error) : status;
}

rk_status rk_define_builtin(rk_thread *thread, const rk_component *component)
{
  rk_recording *recording = thread->recording;
  rk_status status = RK_OK;
  pthread_mutex_lock(&recording->mutex);
  if (__atomic_load_n(&recording->builtin_defined[component->id], __ATOMIC_RELAXED) == 0) {
    status = rk_define(recording, RK_SPOOL_COMPONENT, component, &thread->error);
    __atomic_store_n(&recording->builtin_defined[component->id], status == RK_OK, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&recording->mutex);
  return status;
}
