/* What the background thread watches over besides draining: gaps, the file behind the path, durability. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/heal.h"
#include "writer/writer_internal.h"

#define PERIOD_NS   1000000000
#define WALK_FRAMES 4096 /* in one go */

rk_status rk_fdatasync(rk_recording *recording, rk_error *error)
{
  while (fdatasync(recording->fd) != 0) {
    if (errno != EINTR) {
      return rk_fail_errno(error, errno, "cannot bring %.100s to the disk", recording->path);
    }
  }
  return RK_OK;
}

/* Says once that the open file is not what others will find under its path; appending goes on. */
static void check_path(rk_recording *recording)
{
  struct stat open_file, named;
  if (recording->replaced || fstat(recording->fd, &open_file) != 0) {
    return;
  }
  rk_error error = {0};
  if (stat(recording->path, &named) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) {
      return;
    }
    rk_fail_errno(&error, errno, "%.100s was removed while it is being recorded; rows go to the removed file",
                  recording->path);
  } else if (named.st_dev != open_file.st_dev || named.st_ino != open_file.st_ino) {
    rk_fail_errno(&error, ESTALE, "%.100s was replaced while it is being recorded; rows go to the file of before",
                  recording->path);
  } else {
    return;
  }
  recording->replaced = true;
  rk_background_note(recording, &error);
}

void rk_watch(rk_recording *recording)
{
  const int64_t now = rk_clock(CLOCK_MONOTONIC);
  if (now - recording->watched_ns >= PERIOD_NS) {
    check_path(recording);
    rk_scratches_trim(recording);
    /* A long file that was there before is walked in pieces, with pauses. */
    recording->watched_ns = rk_heal_walk(recording, WALK_FRAMES) ? now : now - PERIOD_NS + PERIOD_NS / 10;
  }
  if (recording->sync_interval_ns > 0 && now - recording->synced_ns >= recording->sync_interval_ns) {
    const uint64_t bytes = __atomic_load_n(&recording->counts.bytes, __ATOMIC_RELAXED);
    rk_error error = {0};
    recording->synced_ns = now;
    if (bytes != recording->synced_bytes) {
      if (rk_fdatasync(recording, &error) != RK_OK) {
        rk_background_note(recording, &error);
      } else {
        __atomic_store_n(&recording->synced_bytes, bytes, __ATOMIC_RELAXED); /* tests look at it */
      }
    }
  }
}
