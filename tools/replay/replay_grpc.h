/* A replay to a native viewer: Rerun's MessageProxyService over gRPC (HTTP/2 without TLS). */
#ifndef TOOLS_REPLAY_GRPC_H
#define TOOLS_REPLAY_GRPC_H

#include "tools/replay/replay_pace.h"

/* "rerun+http://HOST:PORT/proxy", "HOST:PORT", "PORT", "HOST" as the URL of the service's WriteMessages; the caller
 * frees. NULL: none of these. */
char *grpc_url(const char *text);

/* Sends the stream until its end, each batch when it is due; what the receiver does not take in time waits in the
 * track. After a connection was lost it is made anew and everything sent again, since a viewer that was started anew
 * has nothing (one that had it drops what it knows). `on_tick` as in pace_to_fd. True: all was sent and taken. */
bool grpc_send(player *p, const char *url, bool (*on_tick)(void *context, const pace_stats *stats), void *context,
               pace_stats *stats);

#endif
