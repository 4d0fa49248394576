/* The line that tells how a replay goes. */
#include "tools/replay/replay_status.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/terminal.h"
#include "tools/when.h"

static void out_offset(out *o, const status_line *l, int64_t offset)
{
  if (l->axis.kind == RK_TIMELINE_SEQUENCE)
    out_format(o, "%" PRId64, offset);
  else
    out_duration(o, offset);
}

void status_draw(status_line *l, uint64_t rows, uint64_t bytes, int viewers)
{
  int64_t now = monotonic_ns();
  if (now - l->at >= 1000000000) {
    double seconds = (double)(now - l->at) / 1e9;
    l->row_rate = l->at == 0 ? 0 : (double)(rows - l->rows) / seconds;
    l->byte_rate = l->at == 0 ? 0 : (double)(bytes - l->bytes) / seconds;
    l->rows = rows;
    l->bytes = bytes;
    l->at = now;
  }
  if (!l->shown)
    return;
  player_state p = player_now(l->player);
  out line;
  out_init(&line, STDERR_FILENO);
  out_text(&line, "\r\033[K");
  out_text(&line, p.finished        ? "end "
                  : p.buffering     ? "buffering "
                  : p.clock.live    ? "live "
                  : p.clock.playing ? ""
                                    : "paused ");
  out_offset(&line, l, p.position - p.clock.first);
  out_text(&line, " of ");
  out_offset(&line, l, p.clock.last - p.clock.first);
  if (isinf(p.clock.speed))
    out_text(&line, "  max");
  else
    out_format(&line, "  %gx", p.clock.speed);
  out_format(&line, "  %.0f rows/s  ", l->row_rate);
  out_size(&line, (uint64_t)l->byte_rate);
  out_text(&line, "/s");
  if (viewers >= 0)
    out_format(&line, "  %d viewer%s", viewers, viewers == 1 ? "" : "s");
  size_t width = terminal_width(STDERR_FILENO);
  if (width > 0 && line.size > width + 3)
    line.size = width + 3;
  out_flush(&line);
  out_free(&line);
}

void status_end(status_line *l)
{
  if (l->shown && write(STDERR_FILENO, "\r\033[K", 4) < 0)
    l->shown = false;
}

bool status_stopped(status_line *l, int wait_ms)
{
  struct pollfd look = {.fd = l->signals, .events = POLLIN};
  l->stopped = l->stopped || (poll(&look, 1, wait_ms) > 0 && (look.revents & POLLIN) != 0);
  return l->stopped;
}

bool status_on_tick(void *context, const pace_stats *stats)
{
  status_line *l = context;
  status_draw(l, stats->rows, stats->bytes, -1);
  return !status_stopped(l, 0);
}

int status_signals(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread */
  return signalfd(-1, &set, SFD_CLOEXEC);
}
