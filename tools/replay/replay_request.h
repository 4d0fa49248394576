/* What a browser asks of the replay's server: pure parsing of hostile text. */
#ifndef TOOLS_REPLAY_REQUEST_H
#define TOOLS_REPLAY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLAY_TOKEN_SIZE = 32, REPLAY_CONTROL_MAX = 256 };

typedef enum route_kind {
  ROUTE_NONE,    /* 404 */
  ROUTE_FOREIGN, /* 404 as well: the token is missing or wrong */
  ROUTE_PAGE,
  ROUTE_SCRIPT,
  ROUTE_STYLE,
  ROUTE_ICON,
  ROUTE_VIEWER, /* `file` of the viewer's package */
  ROUTE_DATA,   /* the stream numbered `number` */
  ROUTE_EVENTS,
  ROUTE_CONTROL
} route_kind;

typedef struct route {
  route_kind kind;
  const char *file; /* one of a fixed list */
  uint64_t number;
} route;

/* `path` is a URL's path without query; everything lies below "/TOKEN/". */
route route_parse(const char *path, const char token[REPLAY_TOKEN_SIZE + 1]);

/* Whether a Host header names this server by one of its own addresses, so that no page of another site can reach it by
 * a name that it made to lead here. `address`: the one bound to, as text. `host` may be NULL. */
bool host_allowed(const char *host, const char *address, uint16_t port);
/* Whether an Origin header is of this server's own pages; NULL (none was sent) is. */
bool origin_allowed(const char *origin, const char *address, uint16_t port);

typedef enum control_kind {
  CONTROL_PLAY,
  CONTROL_PAUSE,
  CONTROL_TOGGLE,
  CONTROL_SEEK,  /* to `position` */
  CONTROL_SKIP,  /* by `position` */
  CONTROL_STEP,  /* to the next or (position < 0) previous row */
  CONTROL_SPEED, /* `speed`; INFINITY is "max" */
  CONTROL_LOOP,  /* on or off */
  CONTROL_LIVE,
  CONTROL_READY /* a viewer shows the recording: what waits for one begins to play */
} control_kind;

typedef struct control {
  control_kind kind;
  int64_t position;
  double speed;
  bool on;
} control;

/* "play", "pause", "toggle", "seek 1763640000000000000", "skip -5000000000", "step 1", "speed 0.5", "speed max",
 * "loop on", "live off", "ready". False: none of these. */
bool control_parse(const char *text, size_t size, control *c);

/* "0.5", "2x", "max": 0.1 to 1000. */
bool speed_parse(const char *text, double *speed);

#endif
