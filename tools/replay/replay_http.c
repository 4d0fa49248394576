/* The replay's server: requests are checked and answered. One thread of libmicrohttpd serves all connections. */
#include "tools/replay/replay_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embedded/replay_page.h"
#include "tools/cli.h"
#include "tools/print/json.h"
#include "tools/replay/replay_feed.h"

enum {
  CONNECTIONS_MAX = 512,
  CONNECTION_MEMORY = 32 << 10,
  IDLE_SECONDS = 60 /* a client that neither reads nor asks */
};

struct http_server {
  player *player;
  http_options options;
  char token[REPLAY_TOKEN_SIZE + 1];
  char *url;
  uint16_t port;
  struct MHD_Daemon *daemon;
  pthread_mutex_t opening; /* `port` */
  feeds *feeds;
};

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
  feeds_state(s->feeds, &o);
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
  pthread_mutex_lock(&s->opening); /* the first request may be faster than http_open */
  uint16_t port = s->port;
  pthread_mutex_unlock(&s->opening);
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
        feeds_data(s->feeds, connection, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "from")),
        "application/octet-stream");
  default:
    return answer(connection, MHD_HTTP_OK, feeds_events(s->feeds, connection), "text/event-stream");
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
  *s = (http_server){.player = p, .options = *options, .feeds = feeds_open(p, options->window)};
  pthread_mutex_init(&s->opening, NULL);
  bool ok = make_token(s->token);
  if (!ok)
    cli_error(NULL, "no random numbers: %s", strerror(errno));
  pthread_mutex_lock(&s->opening);
  ok = ok && start_daemon(s);
  pthread_mutex_unlock(&s->opening);
  if (!ok) {
    feeds_stop(s->feeds);
    feeds_close(s->feeds);
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
  return s;
}

const char *http_url(const http_server *s)
{
  return s->url;
}

feed_stats http_now(const http_server *s)
{
  return feeds_now(s->feeds);
}

void http_close(http_server *s)
{
  if (s == NULL)
    return;
  feeds_stop(s->feeds);
  MHD_stop_daemon(s->daemon);
  feeds_close(s->feeds);
  pthread_mutex_destroy(&s->opening);
  free(s->url);
  free(s);
}
