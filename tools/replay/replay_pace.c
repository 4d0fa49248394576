/* A replay to one sink, each batch when it is due. */
#include "tools/replay/replay_pace.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/cli.h"

#define TICK_NS 200000000

/* Copies a range of the track. */
static bool copy(track *t, int fd, uint64_t offset, uint64_t size, char **buffer, size_t *capacity)
{
  if (*capacity < size)
    *buffer = cli_realloc(*buffer, *capacity = (size_t)size, 1);
  return track_read(t, offset, *buffer, (size_t)size) && out_write(fd, *buffer, (size_t)size);
}

bool pace_to_fd(player *p, int fd, bool (*on_tick)(void *context, const pace_stats *stats), void *context,
                pace_stats *stats)
{
  track *t = player_track(p);
  char *buffer = NULL;
  size_t capacity = 0, number = 0;
  int64_t tick = 0;
  bool begun = false, ok = true;
  *stats = (pace_stats){0};
  errno = 0;
  while (ok) {
    uint64_t seen = player_happenings(p);
    track_state state = track_now(t);
    int64_t now = monotonic_ns(), next = INT64_MAX;
    if (now - tick >= TICK_NS) {
      tick = now;
      errno = 0;
      if (!on_tick(context, stats)) {
        ok = false;
        break;
      }
    }
    if (!begun && state.begun) {
      begun = true;
      ok = copy(t, fd, 0, state.begin_size, &buffer, &capacity);
      stats->bytes += state.begin_size;
      continue;
    }
    size_t due = begun ? player_due(p, now, &next) : 0;
    track_batch batch;
    if (number < due && track_batch_at(t, number, &batch)) {
      ok = copy(t, fd, batch.offset, batch.size, &buffer, &capacity);
      number++;
      stats->bytes += batch.size;
      stats->rows += batch.rows;
      track_forget(t, batch.offset + batch.size);
      continue;
    }
    if (state.ended && (number == state.count || player_now(p).finished)) {
      errno = 0;
      ok = !state.failed;
      break;
    }
    int64_t until = tick + TICK_NS < next ? tick + TICK_NS : next;
    player_wait(p, seen, until);
    int64_t late = monotonic_ns() - next;
    if (next != INT64_MAX && late > stats->worst_ns)
      stats->worst_ns = late;
  }
  free(buffer);
  return ok;
}
