/* Waiting for files and directories to change: inotify, or nothing but the clock where there is none. */
#ifndef RK_READER_FOLLOW_EVENTS_H
#define RK_READER_FOLLOW_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "rrdkit/status.h"

typedef struct rk_events {
  int fd; /* -1: no inotify here */
} rk_events;

void rk_events_open(rk_events *events);
void rk_events_close(rk_events *events);
/* Watches a file for growth and for being closed, moved or removed, a directory for entries that come, go or are
 * closed. *watch: what the last call for the same place left there, -1 at first; -1 where it cannot be watched. A place
 * that has come to lead elsewhere is watched anew. */
void rk_events_watch(const rk_events *events, const char *path, bool directory, int *watch);
/* What has happened since the last call, without waiting. Calls on_event for each watch that something happened to;
 * with -1: events were lost, anything may have happened. */
void rk_events_take(const rk_events *events, void (*on_event)(void *context, int watch), void *context);
/* Waits for events, `timeout_ns` at most. False: a signal was handled. */
bool rk_events_wait(const rk_events *events, int64_t timeout_ns);
/* Waits whatever happens. False: a signal was handled. */
bool rk_events_pause(int64_t time_ns);

#endif
