/* The replay's server: the page, the viewer's package, the stream, the state and the controls, on one address. */
#ifndef TOOLS_REPLAY_HTTP_H
#define TOOLS_REPLAY_HTTP_H

#include "tools/replay/replay_feed.h"

typedef struct http_server http_server;

typedef struct http_options {
  const char *address; /* numeric */
  uint16_t port;       /* 0: a free one */
  const char *viewer;  /* directory of the web viewer's package */
  const char *title;
  const char *timeline; /* that orders the replay */
  rk_timeline_kind kind;
  int64_t window;                /* positions that a viewer holds behind a jump; 0: all */
  const rk_store *const *stores; /* recordings; live as long as the server */
  size_t store_count;
} http_options;

/* Serves until http_close. NULL: reported. */
http_server *http_open(player *p, const http_options *options);
void http_close(http_server *s);
/* "http://127.0.0.1:4711/TOKEN/"; lives as long as the server. */
const char *http_url(const http_server *s);

feed_stats http_now(const http_server *s);

#endif
