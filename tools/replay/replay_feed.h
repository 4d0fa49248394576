/* Responses without end of the replay's server: the stream of messages, and events that tell its state. One that has
 * nothing due is suspended and resumed when it has, so that neither slow clients nor many cost anybody time. */
#ifndef TOOLS_REPLAY_FEED_H
#define TOOLS_REPLAY_FEED_H

#include "tools/out.h"
#include "tools/replay/replay_player.h"

struct MHD_Connection;
struct MHD_Response;

/* All feeds of a server. */
typedef struct feeds feeds;

/* `window`: positions that a viewer holds behind a jump; 0: all. */
feeds *feeds_open(player *p, int64_t window);
/* Ends those that are suspended; none is from now on. Then the daemon can be stopped. */
void feeds_stop(feeds *all);
/* Once the daemon is stopped. */
void feeds_close(feeds *all);

/* `from`: the position to begin at, as text of a client; NULL: the recording's beginning. NULL: no memory. */
struct MHD_Response *feeds_data(feeds *all, struct MHD_Connection *connection, const char *from);
struct MHD_Response *feeds_events(feeds *all, struct MHD_Connection *connection);
/* The state of the replay as JSON, as events tell it. */
void feeds_state(feeds *all, out *o);

typedef struct feed_stats {
  unsigned viewers; /* streams open now */
  uint64_t bytes;   /* of streams, sent so far */
  uint64_t rows;
} feed_stats;
feed_stats feeds_now(feeds *all);

#endif
