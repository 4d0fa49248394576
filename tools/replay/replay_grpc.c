/* A replay to a native viewer over gRPC: frames become WriteMessagesRequests of one client stream. */
#include "tools/replay/replay_grpc.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

enum { FRAME_HEADER = 16, STREAM_HEADER = 12, DEFAULT_PORT = 9876, RETRIES_MAX = 8 };
#define TICK_NS 200000000
#define METHOD  "/rerun.sdk_comms.v1alpha1.MessageProxyService/WriteMessages"

typedef struct sending {
  player *player;
  CURL *easy;
  pace_stats *stats;
  out frames;   /* a range of the track */
  out messages; /* the same as gRPC messages */
  size_t sent;  /* of messages */
  bool begun, all, paused;
  size_t number; /* of the next batch */
  uint32_t rows; /* in `messages` */
  int status;    /* grpc-status; -1: none came */
  char text[200];
  char error[CURL_ERROR_SIZE];
} sending;

/* ---- The URL ---- */

char *grpc_url(const char *text)
{
  static const char *const schemes[] = {"rerun+http://", "http://"};
  if (strstr(text, "https://") != NULL || strncmp(text, "rerun://", 8) == 0)
    return NULL; /* TLS */
  for (int i = 0; i < 2; i++)
    if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
      text += strlen(schemes[i]);
      break;
    }
  size_t size = strcspn(text, "/");
  if (text[size] != '\0' && strcmp(text + size, "/proxy") != 0 && strcmp(text + size, "/") != 0)
    return NULL;
  const char *host = text, *port = NULL;
  size_t host_size = size, port_size = 0, bracket = 0;
  if (size > 0 && text[0] == '[') {
    bracket = strcspn(text, "]") + 1;
    if (bracket > size)
      return NULL;
  }
  size_t colon = bracket + strcspn(text + bracket, ":/");
  if (strspn(text, "0123456789") == size && size > 0 && size <= 5) { /* a port alone */
    host = "127.0.0.1";
    host_size = 9;
    port = text;
    port_size = size;
  } else if (colon < size) {
    host_size = colon;
    port = text + colon + 1;
    port_size = size - colon - 1;
  }
  if (host_size == 0 || (port != NULL && (port_size == 0 || port_size > 5 || strspn(port, "0123456789") < port_size)))
    return NULL;
  unsigned long number = port == NULL ? DEFAULT_PORT : strtoul(port, NULL, 10);
  for (size_t i = 0; i < host_size; i++)
    if (!isalnum((unsigned char)host[i]) && strchr(".-_[]:", host[i]) == NULL)
      return NULL;
  if (number == 0 || number > 65535)
    return NULL;
  out url;
  out_init(&url, -1);
  out_format(&url, "http://%.*s:%lu%s", (int)host_size, host, number, METHOD);
  out_char(&url, '\0');
  char *copy = cli_copy(url.data);
  out_free(&url);
  return copy;
}

/* ---- Messages ---- */

static size_t varint(unsigned char *to, uint64_t value)
{
  size_t n = 0;
  for (; value >= 0x80; value >>= 7)
    to[n++] = (unsigned char)(value | 0x80);
  to[n++] = (unsigned char)value;
  return n;
}

static uint64_t load_u64(const char *p)
{
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--)
    value = value << 8 | (unsigned char)p[i];
  return value;
}

/* One frame as WriteMessagesRequest { log_msg { the frame's message } } behind gRPC's five bytes. */
static bool put_message(out *o, uint64_t kind, const char *payload, uint64_t size)
{
  static const unsigned char fields[] = {0, 0x0a, 0x12, 0x1a}; /* set_store_info 1, arrow_msg 2, activation 3 */
  unsigned char inner[11], outer[11], prefix[5] = {0};
  if (kind == 0 || kind > 3)
    return true;
  inner[0] = fields[kind];
  size_t inner_size = 1 + varint(inner + 1, size);
  outer[0] = 0x0a; /* log_msg 1 */
  size_t outer_size = 1 + varint(outer + 1, inner_size + size);
  uint64_t whole = outer_size + inner_size + size;
  if (whole > UINT32_MAX) {
    cli_error(NULL, "a message of more than 4 GiB cannot be sent over gRPC");
    return false;
  }
  for (int i = 0; i < 4; i++)
    prefix[1 + i] = (unsigned char)(whole >> (24 - 8 * i));
  out_bytes(o, prefix, sizeof prefix);
  out_bytes(o, outer, outer_size);
  out_bytes(o, inner, inner_size);
  out_bytes(o, payload, (size_t)size);
  return o->error == 0;
}

static bool load(sending *s, uint64_t offset, uint64_t size, size_t skip)
{
  s->frames.size = s->messages.size = s->sent = 0;
  char *to = out_reserve(&s->frames, (size_t)size);
  if (to == NULL || !track_read(player_track(s->player), offset, to, (size_t)size))
    return false;
  for (size_t at = skip; at + FRAME_HEADER <= size;) {
    uint64_t kind = load_u64(to + at), length = load_u64(to + at + 8);
    if (length > size - at - FRAME_HEADER || !put_message(&s->messages, kind, to + at + FRAME_HEADER, length))
      return false;
    at += FRAME_HEADER + (size_t)length;
  }
  return true;
}

/* Makes the next messages ready. False: nothing is due now, or all was sent (s->all); *next: when to look again. */
static bool fill(sending *s, int64_t *next, bool *failed)
{
  track *t = player_track(s->player);
  track_state state = track_now(t);
  track_batch batch;
  *failed = false;
  *next = INT64_MAX;
  if (!s->begun) {
    s->all = state.ended && !state.begun;
    if (!state.begun)
      return false;
    s->begun = true;
    *failed = !load(s, 0, state.begin_size, STREAM_HEADER);
    return !*failed;
  }
  size_t due = player_due(s->player, monotonic_ns(), next);
  if (s->number < due && track_batch_at(t, s->number, &batch)) {
    s->number++;
    s->rows = batch.rows;
    *failed = !load(s, batch.offset, batch.size, 0);
    return !*failed;
  }
  s->all = state.ended && (s->number >= state.count || player_now(s->player).finished);
  return false;
}

/* ---- libcurl ---- */

static size_t on_read(char *buffer, size_t size, size_t count, void *context)
{
  sending *s = context;
  int64_t next;
  bool failed;
  if (s->sent == s->messages.size) {
    s->stats->rows += s->rows;
    s->rows = 0;
    if (!fill(s, &next, &failed)) {
      s->paused = !failed && !s->all;
      return failed ? CURL_READFUNC_ABORT : s->all ? 0 : CURL_READFUNC_PAUSE;
    }
  }
  size_t n = s->messages.size - s->sent < size * count ? s->messages.size - s->sent : size * count;
  memcpy(buffer, s->messages.data + s->sent, n);
  s->sent += n;
  s->stats->bytes += n;
  return n;
}

/* Headers and trailers. */
static size_t on_header(char *line, size_t size, size_t count, void *context)
{
  sending *s = context;
  size *= count;
  if (size > 12 && strncasecmp(line, "grpc-status:", 12) == 0)
    s->status = atoi(line + 12);
  if (size > 13 && strncasecmp(line, "grpc-message:", 13) == 0) {
    size_t n = size - 13 < sizeof s->text ? size - 13 : sizeof s->text - 1;
    memcpy(s->text, line + 13, n);
    s->text[n] = '\0';
    s->text[strcspn(s->text, "\r\n")] = '\0';
  }
  return size;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
  (void)data;
  (void)context;
  return size * count; /* WriteMessagesResponse is empty */
}

static CURL *make_easy(sending *s, const char *url, struct curl_slist *headers)
{
  CURL *easy = curl_easy_init();
  if (easy == NULL)
    return NULL;
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(easy, CURLOPT_READDATA, s);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  return easy;
}

typedef enum outcome { SENT, LOST, REFUSED, STOPPED } outcome;

static outcome result_of(sending *s, CURLM *multi)
{
  int left;
  const CURLMsg *message = curl_multi_info_read(multi, &left);
  CURLcode code = message == NULL ? CURLE_GOT_NOTHING : message->data.result;
  long http = 0;
  curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &http);
  if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
    return REFUSED;
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    cli_error(NULL, "the replay's temporary file cannot be read");
    return STOPPED;
  }
  if (code == CURLE_OK && http == 200 && s->all && s->status <= 0)
    return SENT;
  if (code == CURLE_OK && s->status > 0) {
    cli_error(NULL, "the viewer refused the stream: gRPC status %d %s", s->status, cli_printable(s->text));
    return STOPPED;
  }
  if (code == CURLE_OK && http != 200) {
    cli_error(NULL, "what listens there is no Rerun viewer: HTTP status %ld", http);
    return STOPPED;
  }
  return LOST;
}

/* One connection, until its end. */
static outcome send_once(sending *s, bool (*on_tick)(void *context, const pace_stats *stats), void *context)
{
  CURLM *multi = curl_multi_init();
  int running = 1;
  int64_t tick = monotonic_ns();
  outcome result = STOPPED;
  s->begun = s->all = s->paused = false;
  s->number = s->sent = s->messages.size = 0;
  s->rows = 0;
  s->status = -1;
  s->error[0] = '\0';
  curl_multi_add_handle(multi, s->easy);
  for (;;) {
    int64_t next = INT64_MAX, now = monotonic_ns();
    bool failed;
    if (s->paused && s->sent == s->messages.size && (fill(s, &next, &failed) || s->all || failed)) {
      s->paused = false;
      curl_easy_pause(s->easy, CURLPAUSE_CONT);
    }
    curl_multi_perform(multi, &running);
    if (running == 0) {
      result = result_of(s, multi);
      break;
    }
    if (now - tick >= TICK_NS) {
      tick = now;
      if (!on_tick(context, s->stats))
        break;
    }
    /* Reading ahead tells nothing to libcurl, so that it is looked after a few milliseconds. */
    int64_t wait = next - monotonic_ns();
    wait = wait > 5000000 ? 5000000 : wait < 0 ? 0 : wait;
    curl_multi_poll(multi, NULL, 0, s->paused ? (int)(wait / 1000000) : 100, NULL);
  }
  curl_multi_remove_handle(multi, s->easy);
  curl_multi_cleanup(multi);
  return result;
}

/* Waits before another attempt. False: to stop. */
static bool back_off(player *p, unsigned attempt, bool (*on_tick)(void *context, const pace_stats *stats),
                     void *context, const pace_stats *stats)
{
  int64_t until = monotonic_ns() + (100000000LL << (attempt < 6 ? attempt : 6));
  while (monotonic_ns() < until) {
    if (!on_tick(context, stats))
      return false;
    uint64_t seen = player_happenings(p);
    int64_t now = monotonic_ns();
    player_wait(p, seen, now + TICK_NS < until ? now + TICK_NS : until);
  }
  return true;
}

bool grpc_send(player *p, const char *url, bool (*on_tick)(void *context, const pace_stats *stats), void *context,
               pace_stats *stats)
{
  sending s = {.player = p, .stats = stats};
  *stats = (pace_stats){0};
  curl_global_init(CURL_GLOBAL_DEFAULT);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/grpc");
  headers = curl_slist_append(headers, "TE: trailers");
  headers = curl_slist_append(headers, "Expect:");
  headers = curl_slist_append(headers, "User-Agent: rrd-replay");
  out_init(&s.frames, -1);
  out_init(&s.messages, -1);
  s.easy = make_easy(&s, url, headers);
  outcome result = STOPPED;
  bool connected = false;
  for (unsigned attempt = 0; s.easy != NULL; attempt++) {
    uint64_t before = stats->bytes;
    result = send_once(&s, on_tick, context);
    if (stats->bytes > before) { /* it had been connected */
      connected = true;
      attempt = 0;
    }
    if (result == SENT || result == STOPPED)
      break;
    if (!connected || attempt >= RETRIES_MAX) {
      cli_error(NULL, "%s %.*s: %s%s", result == REFUSED ? "nobody listens at" : "lost the connection to",
                (int)(strlen(url) - strlen(METHOD)), url, s.error[0] != '\0' ? s.error : "no answer",
                connected ? "" : ". Is a viewer running there (rerun --port N)?");
      result = STOPPED;
      break;
    }
    cli_note("lost the connection: %s; trying again", s.error[0] != '\0' ? s.error : "closed by the viewer");
    if (!back_off(p, attempt, on_tick, context, stats)) {
      result = STOPPED;
      break;
    }
  }
  curl_easy_cleanup(s.easy);
  curl_slist_free_all(headers);
  curl_global_cleanup();
  out_free(&s.frames);
  out_free(&s.messages);
  return result == SENT && !track_now(player_track(p)).failed;
}
