/* A replay to one sink, each batch when it is due. */
#ifndef TOOLS_REPLAY_PACE_H
#define TOOLS_REPLAY_PACE_H

#include "tools/replay/replay_player.h"

typedef struct pace_stats {
  uint64_t bytes, rows;
  int64_t worst_ns; /* most that a batch went out after its time */
} pace_stats;

/* Writes the stream to `fd` until its end. `on_tick` is called a few times a second; false stops. True: all was
 * written; false: stopped, or a failure (errno; 0: reading failed, reported). */
bool pace_to_fd(player *p, int fd, bool (*on_tick)(void *context, const pace_stats *stats), void *context,
                pace_stats *stats);

#endif
