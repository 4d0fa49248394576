/* The position of a replay as a function of the monotonic clock. Pure: the caller reads the clock and locks. */
#ifndef TOOLS_REPLAY_CLOCK_H
#define TOOLS_REPLAY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Positions are on the timeline that orders the replay: ns, or counts of a sequence. Moments are ns of CLOCK_MONOTONIC.
 */
typedef struct replay_clock {
  int64_t first, last; /* what can be played; `last` grows while the recording does */
  int64_t position;    /* at the moment `since` */
  int64_t since;
  double rate;  /* positions per ns at speed 1: 1 for times, frames per ns for sequences */
  double speed; /* > 0; INFINITY: as fast as it goes */
  bool playing;
  bool loop;
  bool live; /* stays at the end while the recording grows */
} replay_clock;

/* a + b, held at the ends: hostile recordings span more than 64 bits. */
int64_t clock_add(int64_t a, int64_t b);

/* Where the replay stands, within [first, last]; with `loop` it begins anew behind the end. */
int64_t clock_position(const replay_clock *c, int64_t now);
/* The moment at which `position` is reached; `now` when it is passed, INT64_MAX when it never will be as things are. */
int64_t clock_reached(const replay_clock *c, int64_t position, int64_t now);
/* The end has come, and there is no more to come or to repeat. */
bool clock_at_end(const replay_clock *c, int64_t now);

void clock_play(replay_clock *c, int64_t now); /* from the beginning, where it was at the end */
void clock_pause(replay_clock *c, int64_t now);
void clock_seek(replay_clock *c, int64_t position, int64_t now); /* leaves the live end */
void clock_set_speed(replay_clock *c, double speed, int64_t now);
void clock_set_loop(replay_clock *c, bool loop, int64_t now);
void clock_set_live(replay_clock *c, bool live, int64_t now);
/* The recording has grown, or its end became known. */
void clock_extend(replay_clock *c, int64_t last, int64_t now);

#endif
