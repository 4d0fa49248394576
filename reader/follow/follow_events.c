/* Waiting for files and directories to change. */
#include "reader/follow/follow_events.h"

#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

void rk_events_open(rk_events *events)
{
  events->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

void rk_events_close(rk_events *events)
{
  if (events->fd >= 0) {
    (void)close(events->fd);
    events->fd = -1;
  }
}

void rk_events_watch(const rk_events *events, const char *path, bool directory, int *watch)
{
  const uint32_t mask =
      directory ? IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_ONLYDIR
                : IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;
  /* The same place gives the same number again; the old one of another place goes when nobody has it open. */
  *watch = events->fd < 0 ? -1 : inotify_add_watch(events->fd, path, mask);
}

void rk_events_take(const rk_events *events, void (*on_event)(void *context, int watch), void *context)
{
  alignas(struct inotify_event) char bytes[4096];
  if (events->fd < 0) {
    return;
  }
  for (ssize_t n; (n = read(events->fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR);) {
    for (ssize_t at = 0; at < n;) {
      const struct inotify_event *event = (const void *)(bytes + at);
      on_event(context, (event->mask & IN_Q_OVERFLOW) != 0 ? -1 : event->wd);
      at += (ssize_t)(sizeof *event + event->len);
    }
  }
}

static bool wait_for(int fd, int64_t timeout_ns)
{
  struct pollfd events = {.fd = fd, .events = POLLIN};
  const int64_t time = timeout_ns < 0 ? 0 : timeout_ns;
  const struct timespec timeout = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
  return ppoll(&events, fd < 0 ? 0 : 1, &timeout, NULL) >= 0 || errno != EINTR;
}

bool rk_events_wait(const rk_events *events, int64_t timeout_ns)
{
  return wait_for(events->fd, timeout_ns);
}

bool rk_events_pause(int64_t time_ns)
{
  return wait_for(-1, time_ns);
}
