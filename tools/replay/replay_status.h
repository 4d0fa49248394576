/* The line on standard error that tells how a replay goes, and whether somebody asked it to stop. */
#ifndef TOOLS_REPLAY_STATUS_H
#define TOOLS_REPLAY_STATUS_H

#include "tools/replay/replay_axis.h"
#include "tools/replay/replay_pace.h"
#include "tools/replay/replay_player.h"

typedef struct status_line {
  player *player;
  int signals; /* of status_signals */
  bool shown;  /* else only the rates are kept */
  bool stopped;
  int64_t at;
  uint64_t rows, bytes;
  double row_rate, byte_rate;
  axis axis;
} status_line;

/* Blocks SIGINT, SIGTERM and SIGHUP, before any thread; they come by the descriptor, which the caller closes. */
int status_signals(void);

/* One of them has come, or comes within `wait_ms`. */
bool status_stopped(status_line *l, int wait_ms);

/* `viewers` below 0: there is no page. */
void status_draw(status_line *l, uint64_t rows, uint64_t bytes, int viewers);

/* Takes the line away. */
void status_end(status_line *l);

/* As pace_to_fd and grpc_send want it; `context` is the line. */
bool status_on_tick(void *context, const pace_stats *stats);

#endif
