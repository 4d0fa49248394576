/* What is replayed and where it stands: the clock, the track, and who waits for either. Any thread. */
#ifndef TOOLS_REPLAY_PLAYER_H
#define TOOLS_REPLAY_PLAYER_H

#include "tools/replay/replay_clock.h"
#include "tools/replay/replay_request.h"
#include "tools/replay/replay_track.h"

typedef struct player player;

typedef struct player_options {
  int64_t first, last; /* of the range; last < first: not known before it has been read */
  bool has_until;      /* `last` is where to stop, not where the recording ends */
  double rate, speed;
  bool loop, live, paused;
  bool waits;      /* not paused, but for CONTROL_READY */
  int64_t max_gap; /* positions; longer ones are squeezed to it. 0: none is */
  int64_t lead;    /* ns: rows are given out so much before they are due */
  bool follow;
  track_options track; /* on_change, context and follow are the player's */
} player_options;

/* The reader must outlive it. NULL: reported. */
player *player_open(rk_reader *reader, const player_options *options);
void player_close(player *p);
track *player_track(player *p);

typedef struct player_state {
  replay_clock clock;
  track_state track;
  int64_t position; /* now, as far as there are rows ready */
  bool buffering;   /* it would be further, but for the rows */
  bool finished;    /* at the end, for good */
  uint64_t version; /* grows with every control and with what they see change */
  uint64_t jumps;   /* how often it was told where to go on */
} player_state;
player_state player_now(player *p);

void player_control(player *p, const control *c);

/* How many batches are due at `now`, and when (CLOCK_MONOTONIC) the next one will be: INT64_MAX when that depends on
 * somebody. */
size_t player_due(player *p, int64_t now, int64_t *next);

/* Waits until `until` (CLOCK_MONOTONIC) or until something happened since `seen` (player_happenings). */
uint64_t player_happenings(player *p);
void player_wait(player *p, uint64_t seen, int64_t until);
/* Lets all who wait look again. Safe in no signal handler. */
void player_wake(player *p);

int64_t monotonic_ns(void);

#endif
