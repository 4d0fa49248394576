/* rrd-replay: plays recordings at the pace at which they were made, into the Rerun viewer. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/inputs.h"
#include "tools/output_file.h"
#include "tools/replay/replay_grpc.h"
#include "tools/replay/replay_http.h"
#include "tools/replay/replay_pace.h"
#include "tools/replay/replay_status.h"
#include "tools/replay/replay_viewer.h"
#include "tools/terminal.h"

enum {
  OPTION_CONNECT = 256,
  OPTION_BIND,
  OPTION_PORT,
  OPTION_VIEWER,
  OPTION_FETCH_VIEWER,
  OPTION_NO_BROWSER,
  OPTION_SPEED,
  OPTION_FROM,
  OPTION_TO,
  OPTION_LOOP,
  OPTION_PAUSED,
  OPTION_LIVE,
  OPTION_NO_FOLLOW,
  OPTION_MAX_GAP,
  OPTION_WINDOW,
  OPTION_BATCH,
  OPTION_FPS,
  OPTION_COMPRESSION,
};

enum { READER_MEMORY = 32 << 20 }; /* unless asked for */

static const cli_option options[] = {
    {0, NULL, NULL, "Where to (default: a page with the web viewer)"},
    {OPTION_CONNECT, "connect", "URL",
     "a native viewer: rerun+http://HOST:PORT/proxy, HOST:PORT or PORT; - is rerun+http://127.0.0.1:9876/proxy"},
    {'o', "output", "FILE", "a file as a viewer would get it, or - for standard output: rrd-replay -o - F | rerun -"},
    {OPTION_PORT, "port", "N", "serve the page at this port (default: a free one)"},
    {OPTION_BIND, "bind", "ADDRESS", "serve at this address instead of 127.0.0.1: others can then see the recording"},
    {OPTION_NO_BROWSER, "no-browser", NULL, "do not open a browser"},
    {OPTION_VIEWER, "viewer", "DIR", "the @rerun-io/web-viewer package (default: where --fetch-viewer puts it)"},
    {OPTION_FETCH_VIEWER, "fetch-viewer", NULL, "install that package into the user's cache with npm, and stop"},
    {0, NULL, NULL, "How"},
    {OPTION_SPEED, "speed", "X", "0.1 to 1000 times as fast as it was, or max (default 1)"},
    {OPTION_FROM, "from", "TIME", "begin there; what comes before is shown at once"},
    {OPTION_TO, "to", "TIME", "end there"},
    {OPTION_LOOP, "loop", NULL, "begin anew at the end"},
    {OPTION_PAUSED, "paused", NULL, "wait for play to be pressed"},
    {OPTION_LIVE, "live", NULL, "begin at the end of a recording that is being written, and stay there"},
    {OPTION_NO_FOLLOW, "no-follow", NULL, "end where the recording ends now, although somebody writes it"},
    {OPTION_MAX_GAP, "max-gap", "DURATION", "squeeze times without rows that are longer than this"},
    {OPTION_WINDOW, "window", "DURATION",
     "the page holds only so much behind a jump, and what else is needed to show what holds there"},
    {OPTION_BATCH, "batch", "DURATION",
     "rows of so much time go out together (default: 50ms; 4ms to a file or viewer)"},
    {OPTION_FPS, "fps", "N", "counts a second of a timeline that counts (default 30)"},
    {OPTION_COMPRESSION, "compression", "HOW", "of what is sent: lz4 (default) or none"},
    ROW_OPTIONS,
    ORDER_OPTION,
    INPUT_OPTIONS,
    {0, NULL, NULL, "Running"},
    {'q', "quiet", NULL, "no line of state"},
    {0},
};

static const cli_tool tool = {
    .name = "rrd-replay",
    .usage = "[OPTION]... FILE...",
    .summary = "Play Rerun recordings in the order and at the pace in which they were made, into the Rerun viewer: on "
               "a local page with controls, or into a native viewer. A recording that is still being written is "
               "followed. FILE - is standard input.",
    .closing = SELECTION_CLOSING "\n"
                                 "Exit code: 0 clean, 1 failed, 2 wrong usage, 3 done but data was lost or damaged\n"
                                 "(each place is told as file:offset+length reason writer).\n",
    .options = options,
};

typedef struct request {
  selection selection;
  const char *connect, *output, *bind, *viewer;
  uint16_t port;
  bool no_browser, loop, paused, live, no_follow, quiet, uncompressed, has_batch;
  double speed, fps;
  moment from, to;
  int64_t max_gap, window, batch;
} request;

static unsigned long parse_number(int id, unsigned long max, const char *expected)
{
  char *end;
  errno = 0;
  unsigned long value = strtoul(optarg, &end, 10);
  if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || value > max)
    cli_usage_argument(id, expected);
  return value;
}

static int64_t parse_duration(int id)
{
  int64_t ns;
  if (!duration_parse(optarg, &ns) || ns <= 0)
    cli_usage_argument(id, "a duration");
  return ns;
}

static void parse(request *r, int argc, char **argv)
{
  *r = (request){.bind = "127.0.0.1", .speed = 1, .fps = 30};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;) {
    switch (id) {
    case OPTION_CONNECT:
      r->connect = strcmp(optarg, "-") == 0 ? "127.0.0.1" : optarg;
      break;
    case 'o':
      r->output = optarg;
      break;
    case OPTION_PORT:
      r->port = (uint16_t)parse_number(id, 65535, "a port");
      break;
    case OPTION_BIND:
      r->bind = optarg;
      break;
    case OPTION_NO_BROWSER:
      r->no_browser = true;
      break;
    case OPTION_VIEWER:
      r->viewer = optarg;
      break;
    case OPTION_FETCH_VIEWER:
      exit(viewer_fetch() ? CLI_CLEAN : CLI_FAILED);
    case OPTION_SPEED:
      if (!speed_parse(optarg, &r->speed))
        cli_usage_argument(id, "0.1 to 1000, or max");
      break;
    case OPTION_FROM:
      r->from = (moment){true, optarg};
      break;
    case OPTION_TO:
      r->to = (moment){true, optarg};
      break;
    case OPTION_LOOP:
      r->loop = true;
      break;
    case OPTION_PAUSED:
      r->paused = true;
      break;
    case OPTION_LIVE:
      r->live = true;
      break;
    case OPTION_NO_FOLLOW:
      r->no_follow = true;
      break;
    case OPTION_MAX_GAP:
      r->max_gap = parse_duration(id);
      break;
    case OPTION_WINDOW:
      r->window = parse_duration(id);
      break;
    case OPTION_BATCH:
      r->batch = parse_duration(id);
      r->has_batch = true;
      break;
    case OPTION_FPS:
      r->fps = (double)parse_number(id, 1000000, "a number");
      if (r->fps == 0)
        cli_usage_argument(id, "a number above 0");
      break;
    case OPTION_COMPRESSION:
      if (strcmp(optarg, "lz4") != 0 && strcmp(optarg, "none") != 0)
        cli_usage_argument(id, "lz4 or none");
      r->uncompressed = *optarg == 'n';
      break;
    case 'q':
      r->quiet = true;
      break;
    default:
      selection_option(&r->selection, id);
    }
  }
  if (optind == argc && r->selection.files_from == NULL)
    cli_usage("no input file");
  if (r->connect != NULL && r->output != NULL)
    cli_usage("--connect and --output exclude each other");
  if (r->paused && (r->connect != NULL || r->output != NULL))
    cli_usage("--paused is for the page: nobody could press play");
  if (r->loop && (r->connect != NULL || r->output != NULL))
    cli_usage("--loop is for the page: a viewer that has all rows repeats them by itself");
}

/* ---- Where to ---- */

static void open_browser(const char *url)
{
  const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
  if (((x == NULL || *x == '\0') && (wayland == NULL || *wayland == '\0')) || !isatty(STDOUT_FILENO))
    return;
  if (fork() == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (fork() == 0) {
      execlp("xdg-open", "xdg-open", url, (char *)NULL);
      _exit(127);
    }
    _exit(0);
  }
  wait(NULL);
}

/* The recordings that are known. Before the reader is the player's. */
static const rk_store **list_recordings(rk_reader *reader, size_t *kept)
{
  size_t count;
  const rk_store *const *stores = rk_reader_stores(reader, &count);
  const rk_store **recordings = cli_realloc(NULL, count + 1, sizeof *recordings);
  *kept = 0;
  for (size_t i = 0; i < count; i++)
    if (stores[i]->kind == RK_STORE_RECORDING)
      recordings[(*kept)++] = stores[i];
  return recordings;
}

static void serve(const request *r, player *p, status_line *l, const inputs *in, const char *viewer,
                  const rk_store *const *recordings, size_t recording_count)
{
  const char *timeline = r->selection.timeline != NULL ? r->selection.timeline : "log_time";
  http_options how = {.address = r->bind,
                      .port = r->port,
                      .viewer = viewer,
                      .title = in->count == 1 ? in->list[0].path : "recordings",
                      .timeline = timeline,
                      .kind = l->axis.kind,
                      .window = r->window,
                      .stores = recordings,
                      .store_count = recording_count};
  http_server *server = http_open(p, &how);
  if (server != NULL) {
    out o;
    out_init(&o, STDOUT_FILENO);
    out_format(&o, "%s\n", http_url(server));
    out_flush(&o);
    out_free(&o);
    if (!r->no_browser)
      open_browser(http_url(server));
    while (!status_stopped(l, 200)) {
      feed_stats stats = http_now(server);
      status_draw(l, stats.rows, stats.bytes, (int)stats.viewers);
    }
    status_end(l);
    http_close(server);
  } else
    cli_worsen(CLI_FAILED);
}

static void connect_to(const request *r, player *p, status_line *l)
{
  pace_stats stats;
  char *url = grpc_url(r->connect);
  if (url == NULL)
    cli_usage("--connect: '%s' is not rerun+http://HOST:PORT/proxy, HOST:PORT or PORT", cli_printable(r->connect));
  bool ok = grpc_send(p, url, status_on_tick, l, &stats);
  status_end(l);
  if (!ok && !l->stopped)
    cli_worsen(CLI_FAILED);
  free(url);
}

static void write_to(const request *r, player *p, status_line *l)
{
  pace_stats stats;
  output_file file;
  if (!output_open(&file, r->output, false)) {
    cli_worsen(CLI_FAILED);
    return;
  }
  bool ok = pace_to_fd(p, file.fd, status_on_tick, l, &stats);
  int failed = errno;
  status_end(l);
  if (ok || l->stopped)
    ok = output_commit(&file);
  else if (failed != EPIPE && failed != 0)
    cli_error(output_name(r->output), "%s", strerror(failed));
  else if (failed == EPIPE)
    ok = true; /* the reader had enough */
  if (!ok)
    cli_worsen(CLI_FAILED);
  output_discard(&file);
}

static void replay(const request *r, const inputs *in, int signals, const char *viewer)
{
  status_line l = {.signals = signals, .shown = !r->quiet && isatty(STDERR_FILENO)};
  const char *timeline =
      r->selection.timeline != NULL && strcmp(r->selection.timeline, "log_time") != 0 ? r->selection.timeline : NULL;
  if (!axis_find(in->reader, timeline, &l.axis)) {
    cli_worsen(CLI_FAILED);
    return;
  }
  bool page = r->connect == NULL && r->output == NULL;
  double rate = l.axis.kind == RK_TIMELINE_SEQUENCE ? r->fps / 1e9 : 1, speed = isinf(r->speed) ? 1000 : r->speed;
  int64_t first = l.axis.first, last = l.axis.last;
  if (!axis_place(&r->from, "from", &l.axis, &first) || !axis_place(&r->to, "to", &l.axis, &last)) {
    cli_worsen(CLI_USAGE);
    return;
  }
  if (l.axis.known && last < first) {
    cli_error(NULL, "nothing lies between --from and --to");
    return;
  }
  int64_t batch = r->has_batch ? r->batch : page ? 50000000 : 4000000;
  int64_t slice = axis_positions(&l.axis, r->fps, (int64_t)((double)batch * (speed > 1 ? speed : 1)));
  player_options how = {.first = first,
                        .last = l.axis.known ? last : first - 1,
                        .has_until = r->to.given,
                        .rate = rate,
                        .speed = r->speed,
                        .loop = r->loop,
                        .live = r->live && !r->no_follow,
                        .paused = r->paused,
                        .waits = page && !r->live,
                        .max_gap = axis_positions(&l.axis, r->fps, r->max_gap),
                        .lead = page ? 250000000 : 0,
                        .follow = !r->no_follow,
                        .track = {.slice = slice < 1 ? 1 : slice,
                                  .ahead = axis_positions(&l.axis, r->fps, (int64_t)(5e9 * speed)),
                                  .keeps = r->output == NULL,
                                  .finds = page && r->window > 0,
                                  .compressed = !r->uncompressed}};
  size_t recording_count;
  const rk_store **recordings = list_recordings(in->reader, &recording_count);
  l.player = player_open(in->reader, &how);
  if (l.player == NULL) {
    free(recordings);
    cli_worsen(CLI_FAILED);
    return;
  }
  if (page)
    serve(r, l.player, &l, in, viewer, recordings, recording_count);
  else if (r->connect != NULL)
    connect_to(r, l.player, &l);
  else
    write_to(r, l.player, &l);
  if (track_now(player_track(l.player)).failed)
    cli_worsen(CLI_FAILED);
  player_close(l.player);
  free(recordings);
}

int main(int argc, char **argv)
{
  request r;
  inputs in;
  char *viewer = NULL;
  cli_start(&tool);
  parse(&r, argc, argv);
  if (r.connect == NULL && r.output == NULL && (viewer = viewer_find(r.viewer)) == NULL)
    return CLI_FAILED;
  /* What grows is followed in the order in which it is written, which another timeline or clock is not. */
  r.no_follow = r.no_follow || r.selection.wall_clock || r.selection.timeline != NULL;
  r.selection.follow = !r.no_follow;
  if (r.selection.max_memory == 0)
    r.selection.max_memory = READER_MEMORY;
  inputs_expand(&in, &r.selection, argv + optind, (size_t)(argc - optind), false);
  if ((r.output == NULL || !output_is_input(r.output, in.operands.paths, in.operands.count)) &&
      inputs_read(&in, &r.selection, false)) {
    int signals = status_signals();
    replay(&r, &in, signals, viewer);
    close(signals);
  }
  inputs_free(&in);
  selection_free(&r.selection);
  free(viewer);
  return cli_finish(NULL);
}
