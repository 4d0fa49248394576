/* The stream of messages and the events, to each client as they fall due. The replay's own thread resumes what has
 * something to send. */
#include "tools/replay/replay_feed.h"

#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "tools/cli.h"

enum { BLOCK_SIZE = 64 << 10 };
#define EVENT_NS  250000000  /* the state is told at least so often */
#define HANGUP_NS 2000000000 /* suspended clients that went away are noticed so soon */

typedef enum feed_kind { FEED_DATA, FEED_EVENTS } feed_kind;

/* A response without end. */
typedef struct feed feed;
struct feed {
  feeds *all;
  struct MHD_Connection *connection;
  feed_kind kind;
  feed *next; /* of those suspended */
  bool gone;
  /* FEED_DATA */
  bool from_start;
  int64_t from;
  bool begun;
  uint64_t at, end; /* of the file: bytes being sent */
  uint32_t rows;    /* in them */
  track_piece *pieces;
  size_t piece, piece_count;
  size_t batch;   /* the next one */
  uint64_t jumps; /* of the replay when it was opened */
  /* FEED_EVENTS */
  out text;
  size_t sent;
  uint64_t version;
  int64_t next_ns;
  bool due;
};

struct feeds {
  player *player;
  int64_t window;
  pthread_t thread;
  pthread_mutex_t mutex; /* all below */
  feed *suspended;
  bool stop;
  feed_stats stats;
};

/* ---- State ---- */

static void out_position(out *o, const char *name, int64_t position)
{
  out_format(o, "\"%s\":\"%" PRId64 "\",", name, position); /* as text: JavaScript's numbers end at 53 bits */
}

void feeds_state(feeds *all, out *o)
{
  player_state p = player_now(all->player);
  feed_stats stats = feeds_now(all);
  out_char(o, '{');
  out_position(o, "first", p.clock.first);
  out_position(o, "last", p.clock.last);
  out_position(o, "position", p.position);
  out_position(o, "ready",
               p.track.until < p.clock.first  ? p.clock.first
               : p.track.until > p.clock.last ? p.clock.last
                                              : p.track.until);
  out_position(o, "window", all->window);
  out_format(
      o,
      "\"version\":%" PRIu64 ",\"playing\":%s,\"buffering\":%s,\"loop\":%s,\"live\":%s,\"growing\":%s,\"finished\":%s,",
      p.version, p.clock.playing ? "true" : "false", p.buffering ? "true" : "false", p.clock.loop ? "true" : "false",
      p.clock.live ? "true" : "false", p.track.growing ? "true" : "false", p.finished ? "true" : "false");
  if (isinf(p.clock.speed))
    out_text(o, "\"speed\":\"max\",");
  else
    out_format(o, "\"speed\":%g,", p.clock.speed);
  out_format(
      o, "\"jumps\":%" PRIu64 ",\"rate\":%.9g,\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"viewers\":%u,\"failed\":%s}",
      p.jumps, p.clock.rate, stats.rows, stats.bytes, stats.viewers, p.track.failed ? "true" : "false");
}

static void write_event(feed *f, int64_t now)
{
  f->text.size = 0;
  f->sent = 0;
  out_text(&f->text, "data: ");
  feeds_state(f->all, &f->text);
  out_text(&f->text, "\n\n");
  f->next_ns = now + EVENT_NS;
  f->version = player_now(f->all->player).version;
  f->due = false;
}

/* ---- Feeds ---- */

/* Sets what goes out next. False: nothing is due; *over: nothing ever will be. Called by the server's thread alone. */
static bool next_range(feed *f, bool *over)
{
  track *t = player_track(f->all->player);
  track_state state = track_now(t);
  track_batch batch;
  int64_t next;
  *over = false;
  if (f->all->window > 0 && f->jumps != player_now(f->all->player).jumps) {
    *over = true; /* the page opens another */
    return false;
  }
  if (!f->begun) {
    if (!state.begun || (!f->from_start && !state.ended && state.until <= f->from)) {
      *over = state.ended;
      return false;
    }
    f->begun = true;
    f->at = 0;
    f->end = state.begin_size;
    if (!f->from_start) {
      f->batch = track_find(t, f->from);
      f->pieces = track_latest(t, f->batch, &f->piece_count);
    }
    return true;
  }
  if (f->piece < f->piece_count) {
    f->at = f->pieces[f->piece].offset;
    f->end = f->at + f->pieces[f->piece].size;
    f->piece++;
    return true;
  }
  size_t due = player_due(f->all->player, monotonic_ns(), &next);
  if (f->batch < due && track_batch_at(t, f->batch, &batch)) {
    f->batch++;
    f->at = batch.offset;
    f->end = batch.offset + batch.size;
    f->rows = batch.rows;
    return true;
  }
  *over = state.ended && f->batch >= state.count && track_now(t).count == state.count;
  return false;
}

/* Mutex held. */
static ssize_t suspend(feed *f)
{
  feeds *all = f->all;
  if (all->stop || f->gone)
    return MHD_CONTENT_READER_END_WITH_ERROR;
  f->next = all->suspended;
  all->suspended = f;
  MHD_suspend_connection(f->connection);
  return 0;
}

static ssize_t read_data(feed *f, char *buffer, size_t max)
{
  feeds *all = f->all;
  bool over = false;
  uint64_t seen = player_happenings(all->player);
  if (f->at == f->end && !next_range(f, &over)) {
    pthread_mutex_lock(&all->mutex);
    ssize_t n = over ? MHD_CONTENT_READER_END_OF_STREAM : suspend(f);
    pthread_mutex_unlock(&all->mutex);
    if (!over && player_happenings(all->player) != seen)
      player_wake(all->player); /* it may have become due meanwhile */
    return n;
  }
  size_t size = f->end - f->at < max ? (size_t)(f->end - f->at) : max;
  if (!track_read(player_track(all->player), f->at, buffer, size))
    return MHD_CONTENT_READER_END_WITH_ERROR;
  f->at += size;
  pthread_mutex_lock(&all->mutex);
  all->stats.bytes += size;
  if (f->at == f->end) {
    all->stats.rows += f->rows;
    f->rows = 0;
  }
  pthread_mutex_unlock(&all->mutex);
  return (ssize_t)size;
}

static ssize_t read_events(feed *f, char *buffer, size_t max)
{
  feeds *all = f->all;
  if (f->sent == f->text.size) {
    int64_t now = monotonic_ns();
    if (f->due || now >= f->next_ns || player_now(all->player).version != f->version)
      write_event(f, now);
    else {
      pthread_mutex_lock(&all->mutex);
      ssize_t n = suspend(f);
      pthread_mutex_unlock(&all->mutex);
      player_wake(all->player); /* it has the next deadline */
      return n;
    }
  }
  size_t size = f->text.size - f->sent < max ? f->text.size - f->sent : max;
  memcpy(buffer, f->text.data + f->sent, size);
  f->sent += size;
  return (ssize_t)size;
}

static ssize_t read_feed(void *context, uint64_t position, char *buffer, size_t max)
{
  feed *f = context;
  (void)position;
  return f->kind == FEED_DATA ? read_data(f, buffer, max) : read_events(f, buffer, max);
}

static void free_feed(void *context)
{
  feed *f = context;
  feeds *all = f->all;
  pthread_mutex_lock(&all->mutex);
  all->stats.viewers -= f->kind == FEED_DATA;
  pthread_mutex_unlock(&all->mutex);
  out_free(&f->text);
  free(f->pieces);
  free(f);
  player_wake(all->player);
}

static struct MHD_Response *make_feed(feeds *all, struct MHD_Connection *connection, feed_kind kind, const char *from)
{
  feed *f = calloc(1, sizeof *f);
  if (f == NULL)
    return NULL;
  *f = (feed){.all = all,
              .connection = connection,
              .kind = kind,
              .from_start = true,
              .due = true,
              .jumps = player_now(all->player).jumps};
  out_init(&f->text, -1);
  control seek;
  out line;
  out_init(&line, -1);
  if (from != NULL) {
    out_format(&line, "seek %s", from);
    if (line.error == 0 && control_parse(line.data, line.size, &seek)) {
      f->from_start = false;
      f->from = seek.position;
    }
  }
  out_free(&line);
  struct MHD_Response *response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_feed, f, free_feed);
  if (response == NULL) {
    free(f);
    return NULL;
  }
  pthread_mutex_lock(&all->mutex);
  all->stats.viewers += kind == FEED_DATA;
  pthread_mutex_unlock(&all->mutex);
  return response;
}

struct MHD_Response *feeds_data(feeds *all, struct MHD_Connection *connection, const char *from)
{
  return make_feed(all, connection, FEED_DATA, from);
}

struct MHD_Response *feeds_events(feeds *all, struct MHD_Connection *connection)
{
  return make_feed(all, connection, FEED_EVENTS, NULL);
}

/* ---- Waking what is due ---- */

static bool hung_up(struct MHD_Connection *connection)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  struct pollfd look = {.fd = info == NULL ? -1 : info->connect_fd, .events = POLLRDHUP};
  return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Mutex held. *next: when to look again at the latest. */
static void resume_due(feeds *all, int64_t now, bool look_for_hangups, int64_t *next)
{
  int64_t data_next;
  size_t due = player_due(all->player, now, &data_next);
  track_state state = track_now(player_track(all->player));
  player_state p = player_now(all->player);
  uint64_t version = p.version;
  *next = data_next < *next ? data_next : *next;
  for (feed **link = &all->suspended; *link != NULL;) {
    feed *f = *link;
    f->gone = f->gone || (look_for_hangups && hung_up(f->connection));
    bool resume = f->gone || all->stop;
    if (f->kind == FEED_DATA)
      resume = resume || (all->window > 0 && f->jumps != p.jumps) ||
               (f->begun ? f->batch < due || (state.ended && f->batch >= state.count) : state.begun || state.ended);
    else {
      f->due = now >= f->next_ns || version != f->version;
      resume = resume || f->due;
      *next = f->next_ns < *next && !f->due ? f->next_ns : *next;
    }
    if (resume) {
      *link = f->next;
      MHD_resume_connection(f->connection);
    } else
      link = &f->next;
  }
}

static void *wake_feeds(void *context)
{
  feeds *all = context;
  int64_t hangups = monotonic_ns();
  for (;;) {
    uint64_t seen = player_happenings(all->player);
    int64_t now = monotonic_ns(), next = now + HANGUP_NS;
    pthread_mutex_lock(&all->mutex);
    bool stop = all->stop, look = now - hangups >= HANGUP_NS;
    resume_due(all, now, look, &next);
    pthread_mutex_unlock(&all->mutex);
    hangups = look ? now : hangups;
    if (stop)
      return NULL;
    player_wait(all->player, seen, next);
  }
}

/* ---- All of them ---- */

feeds *feeds_open(player *p, int64_t window)
{
  feeds *all = cli_realloc(NULL, 1, sizeof *all);
  *all = (feeds){.player = p, .window = window};
  pthread_mutex_init(&all->mutex, NULL);
  int failed = pthread_create(&all->thread, NULL, wake_feeds, all);
  if (failed != 0) {
    cli_error(NULL, "cannot start a thread: %s", strerror(failed));
    exit(CLI_FAILED);
  }
  return all;
}

feed_stats feeds_now(feeds *all)
{
  pthread_mutex_lock(&all->mutex);
  feed_stats stats = all->stats;
  pthread_mutex_unlock(&all->mutex);
  return stats;
}

void feeds_stop(feeds *all)
{
  pthread_mutex_lock(&all->mutex);
  all->stop = true;
  pthread_mutex_unlock(&all->mutex);
  player_wake(all->player);
  pthread_join(all->thread, NULL);
}

void feeds_close(feeds *all)
{
  pthread_mutex_destroy(&all->mutex);
  free(all);
}
