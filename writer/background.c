/* The background thread: drains rings by fill and by the age of their oldest row. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "format/bytes.h"
#include "format/error.h"
#include "writer/writer_internal.h"

#define PAUSE_MIN 1000000    /* ns */
#define RETRY_NS  100000000  /* after a refused append */
#define WATCH_NS  1000000000 /* rk_watch runs at least so often */

void rk_background_note(rk_recording *recording, const rk_error *error)
{
  __atomic_add_fetch(&recording->counts.errors, 1, __ATOMIC_RELAXED);
  pthread_mutex_lock(&recording->mutex);
  if (recording->background_error.status == RK_OK) {
    recording->background_error = *error;
  }
  const bool is_news = recording->reported.status != error->status || recording->reported.sys_errno != error->sys_errno;
  if (is_news) {
    recording->reported = *error;
  }
  pthread_mutex_unlock(&recording->mutex);
  if (is_news && recording->on_error != NULL) {
    const int cancel = rk_cancel_off(); /* whatever the callback does, with locks held perhaps */
    recording->on_error(recording->context, error);
    rk_cancel_restore(cancel);
  }
}

void rk_background_adopt(rk_recording *recording)
{
  rk_error error = {0};
  if (rk_adopt_orphans(recording, &error) != RK_OK) {
    rk_background_note(recording, &error);
  }
}

/* Drains the ring if it is a quarter full, its oldest row is half the flush age old or it only has drops to tell of.
 * Returns after how long to look again: soon while it fills quickly. */
static int64_t tend(rk_recording *recording, rk_ring *ring)
{
  int64_t pause = recording->flush_age_ns / 2;
  pthread_mutex_lock(&ring->mutex);
  if (ring->header != NULL) {
    const uint64_t head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
    const uint64_t tail = ring->header->tail;
    const uint64_t used = head - tail;
    if (used != 0 || !rk_ring_told_drops(ring)) {
      rk_spool_row row;
      const uint64_t at = tail & (ring->size - 1);
      const size_t available = used < ring->size - at ? (size_t)used : (size_t)(ring->size - at);
      int64_t age = pause;
      if (rk_spool_row_parse(ring->data + at, available, &row) == RK_OK) {
        age = rk_clock(CLOCK_MONOTONIC) + recording->clock_offset - row.stamp_ns;
      }
      if (used >= ring->size / 4 || age >= pause) {
        rk_error error = {0};
        if (rk_ring_drain_locked(recording, ring, &error) != RK_OK) {
          rk_background_note(recording, &error);
          pause = pause < RETRY_NS ? pause : RETRY_NS;
          age = pause; /* what was refused is not tried again at once */
        }
      }
      if (age < pause) {
        /* At its present rate it is a quarter full after age * (size / 4) / used. */
        const int64_t until = (int64_t)((double)age * (double)ring->size / 4 / (double)used);
        const int64_t left = used >= ring->size / 4 ? until : until - age;
        pause = left < pause - age ? left : pause - age;
      }
    }
  }
  pthread_mutex_unlock(&ring->mutex);
  return pause;
}

static int64_t longest_pause(const rk_recording *recording)
{
  int64_t pause = recording->flush_age_ns / 2;
  pause = recording->sync_interval_ns > 0 && recording->sync_interval_ns < pause ? recording->sync_interval_ns : pause;
  return pause < WATCH_NS ? pause : WATCH_NS;
}

static void *run(void *argument)
{
  rk_recording *recording = argument;
  prctl(PR_SET_NAME, "rrdkit");
  int64_t pause = longest_pause(recording), adopted = rk_clock(CLOCK_MONOTONIC);
  pthread_mutex_lock(&recording->background_mutex);
  while (!recording->background_stops) {
    const int64_t at = rk_clock(CLOCK_MONOTONIC) + (pause < PAUSE_MIN ? PAUSE_MIN : pause);
    const struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    pthread_cond_clockwait(&recording->background_wake, &recording->background_mutex, CLOCK_MONOTONIC, &until);
    if (recording->background_stops) {
      break;
    }
    pthread_mutex_unlock(&recording->background_mutex);
    pause = longest_pause(recording);
    for (size_t i = 0;; i++) {
      pthread_mutex_lock(&recording->mutex);
      rk_ring *ring = i < recording->rings.count ? recording->rings.items[i] : NULL;
      pthread_mutex_unlock(&recording->mutex);
      if (ring == NULL) {
        break;
      }
      const int64_t wanted = tend(recording, ring);
      pause = wanted < pause ? wanted : pause;
    }
    rk_watch(recording);
    const int64_t now = rk_clock(CLOCK_MONOTONIC);
    if (now - adopted >= WATCH_NS) {
      rk_background_adopt(recording);
      adopted = now;
    }
    pthread_mutex_lock(&recording->background_mutex);
  }
  pthread_mutex_unlock(&recording->background_mutex);
  return NULL;
}

void rk_background_start(rk_recording *recording)
{
  pthread_mutex_lock(&recording->background_mutex);
  if (!recording->background_runs && !recording->background_stops) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    recording->background_runs = pthread_create(&recording->background, NULL, run, recording) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_mutex_unlock(&recording->background_mutex);
}

void rk_background_stop(rk_recording *recording)
{
  pthread_mutex_lock(&recording->background_mutex);
  const bool runs = recording->background_runs;
  recording->background_runs = false;
  recording->background_stops = true;
  pthread_cond_signal(&recording->background_wake);
  pthread_mutex_unlock(&recording->background_mutex);
  if (runs) {
    pthread_join(recording->background, NULL);
  }
}
