/* The replay's server. One thread of libmicrohttpd serves all connections; a stream that has nothing due is suspended,
 * and the replay's own thread resumes it when it has, so that neither slow clients nor many cost anybody time. */
#include "tools/replay/replay_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embedded/replay_page.h"
#include "tools/cli.h"
#include "tools/print/json.h"

enum {
  CONNECTIONS_MAX = 512,
  CONNECTION_MEMORY = 32 << 10,
  IDLE_SECONDS = 60, /* a client that neither reads nor asks */
  BLOCK_SIZE = 64 << 10
};
#define EVENT_NS  250000000  /* the state is told at least so often */
#define HANGUP_NS 2000000000 /* suspended clients that went away are noticed so soon */

typedef enum feed_kind { FEED_DATA, FEED_EVENTS } feed_kind;

/* A response without end. */
typedef struct feed feed;
struct feed {
  http_server *server;
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

struct http_server {
  player *player;
  http_options options;
  char token[REPLAY_TOKEN_SIZE + 1];
  char *url;
  uint16_t port;
  struct MHD_Daemon *daemon;
  pthread_t thread;
  pthread_mutex_t mutex; /* all below */
  feed *suspended;
  bool stop;
  http_stats stats;
};

/* ---- State ---- */

static void out_position(out *o, const char *name, int64_t position)
{
  out_format(o, "\"%s\":\"%" PRId64 "\",", name, position); /* as text: JavaScript's numbers end at 53 bits */
}

static void write_state(http_server *s, out *o)
{
  player_state p = player_now(s->player);
  http_stats stats = http_now(s);
  out_char(o, '{');
  out_position(o, "first", p.clock.first);
  out_position(o, "last", p.clock.last);
  out_position(o, "position", p.position);
  out_position(o, "ready",
               p.track.until < p.clock.first  ? p.clock.first
               : p.track.until > p.clock.last ? p.clock.last
                                              : p.track.until);
  out_position(o, "window", s->options.window);
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
  write_state(f->server, &f->text);
  out_text(&f->text, "\n\n");
  f->next_ns = now + EVENT_NS;
  f->version = player_now(f->server->player).version;
  f->due = false;
}

/* ---- Feeds ---- */

/* Sets what goes out next. False: nothing is due; *over: nothing ever will be. Called by the server's thread alone. */
static bool next_range(feed *f, bool *over)
{
  track *t = player_track(f->server->player);
  track_state state = track_now(t);
  track_batch batch;
  int64_t next;
  *over = false;
  if (f->server->options.window > 0 && f->jumps != player_now(f->server->player).jumps) {
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
  size_t due = player_due(f->server->player, monotonic_ns(), &next);
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
  http_server *s = f->server;
  if (s->stop || f->gone)
    return MHD_CONTENT_READER_END_WITH_ERROR;
  f->next = s->suspended;
  s->suspended = f;
  MHD_suspend_connection(f->connection);
  return 0;
}

static ssize_t read_data(feed *f, char *buffer, size_t max)
{
  http_server *s = f->server;
  bool over = false;
  uint64_t seen = player_happenings(s->player);
  if (f->at == f->end && !next_range(f, &over)) {
    pthread_mutex_lock(&s->mutex);
    ssize_t n = over ? MHD_CONTENT_READER_END_OF_STREAM : suspend(f);
    pthread_mutex_unlock(&s->mutex);
    if (!over && player_happenings(s->player) != seen)
      player_wake(s->player); /* it may have become due meanwhile */
    return n;
  }
  size_t size = f->end - f->at < max ? (size_t)(f->end - f->at) : max;
  if (!track_read(player_track(s->player), f->at, buffer, size))
    return MHD_CONTENT_READER_END_WITH_ERROR;
  f->at += size;
  pthread_mutex_lock(&s->mutex);
  s->stats.bytes += size;
  if (f->at == f->end) {
    s->stats.rows += f->rows;
    f->rows = 0;
  }
  pthread_mutex_unlock(&s->mutex);
  return (ssize_t)size;
}

static ssize_t read_events(feed *f, char *buffer, size_t max)
{
  http_server *s = f->server;
  if (f->sent == f->text.size) {
    int64_t now = monotonic_ns();
    if (f->due || now >= f->next_ns || player_now(s->player).version != f->version)
      write_event(f, now);
    else {
      pthread_mutex_lock(&s->mutex);
      ssize_t n = suspend(f);
      pthread_mutex_unlock(&s->mutex);
      player_wake(s->player); /* it has the next deadline */
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
  http_server *s = f->server;
  pthread_mutex_lock(&s->mutex);
  s->stats.viewers -= f->kind == FEED_DATA;
  pthread_mutex_unlock(&s->mutex);
  out_free(&f->text);
  free(f->pieces);
  free(f);
  player_wake(s->player);
}

static struct MHD_Response *make_feed(http_server *s, struct MHD_Connection *connection, feed_kind kind,
                                      const char *from)
{
  feed *f = calloc(1, sizeof *f);
  if (f == NULL)
    return NULL;
  *f = (feed){.server = s,
              .connection = connection,
              .kind = kind,
              .from_start = true,
              .due = true,
              .jumps = player_now(s->player).jumps};
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
  pthread_mutex_lock(&s->mutex);
  s->stats.viewers += kind == FEED_DATA;
  pthread_mutex_unlock(&s->mutex);
  return response;
}

/* ---- Requests ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, struct MHD_Response *response,
                              const char *type)
{
  static const char *const headers[][2] = {
      {"Cache-Control", "no-store"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Content-Security-Policy",
       "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
       "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
       "connect-src 'self' data: blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"}};
  if (response == NULL)
    return MHD_NO;
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
    MHD_add_response_header(response, headers[i][0], headers[i][1]);
  MHD_add_response_header(response, "Content-Type", type);
  enum MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned code, const char *text)
{
  return answer(connection, code,
                MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY),
                "text/plain; charset=utf-8");
}

static enum MHD_Result answer_part(struct MHD_Connection *connection, const char *data, size_t size, const char *type)
{
  return answer(connection, MHD_HTTP_OK,
                MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT), type);
}

/* The page's own settings, which do not change while it is open. */
static enum MHD_Result answer_page(http_server *s, struct MHD_Connection *connection)
{
  static const char mark[] = "\"REPLAY\"";
  const char *page = (const char *)replay_page_html, *at = memmem(page, replay_page_html_size, mark, sizeof mark - 1);
  out settings, o;
  out_init(&settings, -1);
  out_text(&settings, "{\"title\":");
  json_text(&settings, s->options.title);
  out_text(&settings, ",\"timeline\":");
  json_text(&settings, s->options.timeline);
  out_format(&settings, ",\"kind\":\"%s\",\"recordings\":[",
             s->options.kind == RK_TIMELINE_SEQUENCE   ? "sequence"
             : s->options.kind == RK_TIMELINE_DURATION ? "duration"
                                                       : "timestamp");
  for (size_t i = 0; i < s->options.store_count; i++) {
    out_text(&settings, i > 0 ? ",{\"application\":" : "{\"application\":");
    json_text(&settings, s->options.stores[i]->application_id);
    out_text(&settings, ",\"recording\":");
    json_text(&settings, s->options.stores[i]->recording_id);
    out_char(&settings, '}');
  }
  out_text(&settings, "]}");
  out_init(&o, -1);
  out_bytes(&o, page, (size_t)(at - page));
  for (size_t i = 0; i < settings.size; i++) /* no text of a recording may end the element */
    if (settings.data[i] == '<')
      out_text(&o, "\\u003c");
    else
      out_char(&o, settings.data[i]);
  o.error = o.error != 0 ? o.error : settings.error;
  out_free(&settings);
  out_bytes(&o, at + sizeof mark - 1, replay_page_html_size - (size_t)(at - page) - (sizeof mark - 1));
  enum MHD_Result result = o.error != 0 ? MHD_NO
                                        : answer(connection, MHD_HTTP_OK,
                                                 MHD_create_response_from_buffer(o.size, o.data, MHD_RESPMEM_MUST_COPY),
                                                 "text/html; charset=utf-8");
  out_free(&o);
  return result;
}

static enum MHD_Result answer_file(http_server *s, struct MHD_Connection *connection, const char *name)
{
  out path;
  struct stat info;
  out_init(&path, -1);
  out_format(&path, "%s/%s", s->options.viewer, name);
  out_char(&path, '\0');
  int fd = path.error == 0 ? open(path.data, O_RDONLY | O_CLOEXEC) : -1;
  out_free(&path);
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (fd >= 0)
      close(fd);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found\n");
  }
  size_t size = strlen(name);
  return answer(connection, MHD_HTTP_OK, MHD_create_response_from_fd64((uint64_t)info.st_size, fd),
                size > 5 && strcmp(name + size - 5, ".wasm") == 0 ? "application/wasm" : "text/javascript");
}

/* The body of a control, as it comes. */
typedef struct body {
  size_t size;
  bool too_long;
  char text[REPLAY_CONTROL_MAX];
} body;

static enum MHD_Result handle_control(http_server *s, struct MHD_Connection *connection, const char *data, size_t *size,
                                      void **context)
{
  body *b = *context;
  if (b == NULL) {
    *context = b = calloc(1, sizeof *b);
    return b == NULL ? MHD_NO : MHD_YES;
  }
  if (*size > 0) {
    b->too_long = b->too_long || *size > sizeof b->text - b->size;
    if (!b->too_long) {
      memcpy(b->text + b->size, data, *size);
      b->size += *size;
    }
    *size = 0;
    return MHD_YES;
  }
  control c;
  if (b->too_long)
    return answer_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "too long\n");
  if (!control_parse(b->text, b->size, &c))
    return answer_text(connection, MHD_HTTP_BAD_REQUEST, "not a control\n");
  player_control(s->player, &c);
  out o;
  out_init(&o, -1);
  write_state(s, &o);
  enum MHD_Result result =
      answer(connection, MHD_HTTP_OK, MHD_create_response_from_buffer(o.size, o.data, MHD_RESPMEM_MUST_COPY),
             "application/json");
  out_free(&o);
  return result;
}

static void request_done(void *server, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
  (void)server;
  (void)connection;
  (void)code;
  free(*context);
  *context = NULL;
}

static enum MHD_Result handle(void *server, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **context)
{
  http_server *s = server;
  const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
  const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
  (void)version;
  pthread_mutex_lock(&s->mutex); /* the first request may be faster than http_open */
  uint16_t port = s->port;
  pthread_mutex_unlock(&s->mutex);
  if (!host_allowed(host, s->options.address, port) || !origin_allowed(origin, s->options.address, port))
    return answer_text(connection, MHD_HTTP_FORBIDDEN, "this server has another name\n");
  route r = route_parse(url, s->token);
  if (r.kind == ROUTE_NONE || r.kind == ROUTE_FOREIGN)
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found\n");
  if (r.kind == ROUTE_CONTROL)
    return strcmp(method, "POST") == 0 ? handle_control(s, connection, data, size, context)
                                       : answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only POST\n");
  if (strcmp(method, "GET") != 0)
    return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
  switch (r.kind) {
  case ROUTE_PAGE:
    return answer_page(s, connection);
  case ROUTE_SCRIPT:
    return answer_part(connection, (const char *)replay_page_js, replay_page_js_size, "text/javascript; charset=utf-8");
  case ROUTE_STYLE:
    return answer_part(connection, (const char *)replay_page_css, replay_page_css_size, "text/css; charset=utf-8");
  case ROUTE_ICON:
    return answer_part(connection, (const char *)replay_page_svg, replay_page_svg_size, "image/svg+xml");
  case ROUTE_VIEWER:
    return answer_file(s, connection, r.file);
  case ROUTE_DATA:
    return answer(
        connection, MHD_HTTP_OK,
        make_feed(s, connection, FEED_DATA, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "from")),
        "application/octet-stream");
  default:
    return answer(connection, MHD_HTTP_OK, make_feed(s, connection, FEED_EVENTS, NULL), "text/event-stream");
  }
}

/* ---- Waking what is due ---- */

static bool hung_up(struct MHD_Connection *connection)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  struct pollfd look = {.fd = info == NULL ? -1 : info->connect_fd, .events = POLLRDHUP};
  return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Mutex held. *next: when to look again at the latest. */
static void resume_due(http_server *s, int64_t now, bool look_for_hangups, int64_t *next)
{
  int64_t data_next;
  size_t due = player_due(s->player, now, &data_next);
  track_state state = track_now(player_track(s->player));
  player_state p = player_now(s->player);
  uint64_t version = p.version;
  *next = data_next < *next ? data_next : *next;
  for (feed **link = &s->suspended; *link != NULL;) {
    feed *f = *link;
    f->gone = f->gone || (look_for_hangups && hung_up(f->connection));
    bool resume = f->gone || s->stop;
    if (f->kind == FEED_DATA)
      resume = resume || (s->options.window > 0 && f->jumps != p.jumps) ||
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

static void *wake_feeds(void *server)
{
  http_server *s = server;
  int64_t hangups = monotonic_ns();
  for (;;) {
    uint64_t seen = player_happenings(s->player);
    int64_t now = monotonic_ns(), next = now + HANGUP_NS;
    pthread_mutex_lock(&s->mutex);
    bool stop = s->stop, look = now - hangups >= HANGUP_NS;
    resume_due(s, now, look, &next);
    pthread_mutex_unlock(&s->mutex);
    hangups = look ? now : hangups;
    if (stop)
      return NULL;
    player_wait(s->player, seen, next);
  }
}

/* ---- Opening ---- */

static bool make_token(char token[REPLAY_TOKEN_SIZE + 1])
{
  uint8_t bytes[REPLAY_TOKEN_SIZE / 2];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    return false;
  for (size_t i = 0; i < sizeof bytes; i++)
    snprintf(token + 2 * i, 3, "%02x", bytes[i]);
  return true;
}

static bool start_daemon(http_server *s)
{
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(s->options.port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(s->options.port)};
  const struct sockaddr *address;
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
  if (inet_pton(AF_INET, s->options.address, &v4.sin_addr) == 1)
    address = (const struct sockaddr *)&v4;
  else if (inet_pton(AF_INET6, s->options.address, &v6.sin6_addr) == 1) {
    address = (const struct sockaddr *)&v6;
    flags |= MHD_USE_IPv6;
  } else {
    cli_error(NULL, "'%s' is not a numeric address", cli_printable(s->options.address));
    return false;
  }
  errno = 0;
  s->daemon =
      MHD_start_daemon(flags, s->options.port, NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR, address,
                       MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                       (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                       MHD_OPTION_NOTIFY_COMPLETED, request_done, NULL, MHD_OPTION_END);
  if (s->daemon == NULL) {
    cli_error(NULL, "cannot serve at %s port %u: %s", cli_printable(s->options.address), (unsigned)s->options.port,
              errno != 0 ? strerror(errno) : "the server does not start");
    return false;
  }
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
  s->port = info == NULL ? s->options.port : info->port;
  return true;
}

http_server *http_open(player *p, const http_options *options)
{
  http_server *s = cli_realloc(NULL, 1, sizeof *s);
  *s = (http_server){.player = p, .options = *options};
  pthread_mutex_init(&s->mutex, NULL);
  bool ok = make_token(s->token);
  if (!ok)
    cli_error(NULL, "no random numbers: %s", strerror(errno));
  pthread_mutex_lock(&s->mutex);
  ok = ok && start_daemon(s);
  pthread_mutex_unlock(&s->mutex);
  if (!ok) {
    free(s);
    return NULL;
  }
  bool v6 = strchr(options->address, ':') != NULL;
  out url;
  out_init(&url, -1);
  out_format(&url, v6 ? "http://[%s]:%u/%s/" : "http://%s:%u/%s/", options->address, (unsigned)s->port, s->token);
  out_char(&url, '\0');
  s->url = cli_copy(url.data);
  out_free(&url);
  int failed = pthread_create(&s->thread, NULL, wake_feeds, s);
  if (failed != 0) {
    cli_error(NULL, "cannot start a thread: %s", strerror(failed));
    exit(CLI_FAILED);
  }
  return s;
}

const char *http_url(const http_server *s)
{
  return s->url;
}

http_stats http_now(http_server *s)
{
  pthread_mutex_lock(&s->mutex);
  http_stats stats = s->stats;
  pthread_mutex_unlock(&s->mutex);
  return stats;
}

void http_close(http_server *s)
{
  if (s == NULL)
    return;
  pthread_mutex_lock(&s->mutex);
  s->stop = true;
  pthread_mutex_unlock(&s->mutex);
  player_wake(s->player);
  pthread_join(s->thread, NULL);
  MHD_stop_daemon(s->daemon);
  pthread_mutex_destroy(&s->mutex);
  free(s->url);
  free(s);
}
