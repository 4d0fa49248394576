/* rrd-dump: prints the rows of all inputs in one total order. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/follow/following.h"
#include "tools/follow/tail.h"
#include "tools/info/lanes.h"
#include "tools/inputs.h"
#include "tools/output_file.h"
#include "tools/print/rows.h"
#include "tools/terminal.h"

enum {
  OPTION_INFO = 256,
  OPTION_JSON,
  OPTION_BLUEPRINT,
  OPTION_WIDTH,
  OPTION_COLOUR,
  OPTION_LANES,
  OPTION_SVG,
  OPTION_ASCII,
  OPTION_UNICODE,
  OPTION_FULL,
  OPTION_TAIL,
  OPTION_RETRY,
  OPTION_CURSOR_FILE,
  OPTION_TIME
};

enum { LANES_MOST = 24 };

static const cli_option options[] = {
    ROW_OPTIONS,
    ORDER_OPTION,
    {'n', "rows", "N", "print the first N rows and stop"},
    {OPTION_TAIL, "tail", "N", "print only the last N rows of those that are there (and, with --follow, what comes)"},
    {OPTION_BLUEPRINT, "blueprint", NULL, "rows of blueprints too"},
    INPUT_OPTIONS,
    {'f', "follow", NULL, "go on with rows as they come, in order, until the recordings are finished, or Ctrl-C"},
    {OPTION_RETRY, "retry", NULL, "with --follow: wait for inputs that do not exist yet"},
    {OPTION_CURSOR_FILE, "cursor-file", "FILE",
     "go on behind the last row printed by the command that kept its place in FILE, and keep it there"},
    {0, NULL, NULL, "Output"},
    {'F', "format", "FORMAT", "text (default), ndjson or csv"},
    {'i', "info", NULL, "what the inputs hold instead of their rows: recordings, writers, entities, timelines, sizes"},
    {OPTION_JSON, "json", NULL, "with --info: as one JSON object; else: --format=ndjson"},
    {OPTION_LANES, "lanes", "N", "with --info: activity of the N busiest writers and entities (default 24), 0: none"},
    {OPTION_SVG, "svg", "FILE", "write the picture of activity that --info shows to FILE, as SVG"},
    {OPTION_ASCII, "ascii", NULL, "draw with ASCII alone (default where the output is no terminal with UTF-8)"},
    {OPTION_UNICODE, "unicode", NULL, "draw with Unicode's blocks everywhere"},
    {OPTION_TIME, "time", "STYLE",
     "times in text: utc (default), local, relative (to the first row), delta (to the row before), none, or two of "
     "them "
     "as in utc,delta"},
    {OPTION_FULL, "full", NULL, "text: every value in full; --info: look into every chunk of large inputs"},
    {OPTION_WIDTH, "width", "N", "cut lines of text to N columns, 0: never (default: the terminal's width)"},
    {OPTION_COLOUR, "color", "WHEN", "auto (default: on a terminal), always or never"},
    {0},
};

static const cli_tool tool = {
    .name = "rrd-dump",
    .usage = "[OPTION]... INPUT...",
    .summary = "Print the rows of Rerun recordings in one order: by time, across all files and writers.",
    .closing = SELECTION_CLOSING "\n"
                                 "Exit code: 0 clean, 1 an input or the output failed, 2 wrong usage, 3 done but\n"
                                 "data was lost or damaged (each place is told as file:offset+length reason\n"
                                 "writer).\n",
    .options = options,
};

typedef enum format { FORMAT_TEXT, FORMAT_NDJSON, FORMAT_CSV } format;

typedef struct request {
  selection selection;
  format format;
  bool info, json, blueprints, has_width, full, ascii, unicode, retry, has_tail;
  uint64_t rows, width, lanes, tail;
  const char *cursor_file;
  const char *svg;
  text_time times[2];
  terminal_colour colour;
} request;

static uint64_t parse_count(int id)
{
  char *end;
  errno = 0;
  unsigned long long value = strtoull(optarg, &end, 10);
  if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0)
    cli_usage_argument(id, "a number");
  return value;
}

static format parse_format(void)
{
  static const char *const formats[] = {"text", "ndjson", "csv"};
  for (int i = 0; i < 3; i++)
    if (strcmp(optarg, formats[i]) == 0)
      return (format)i;
  cli_usage_argument('F', "text, ndjson or csv");
}

static void parse_times(text_time times[2])
{
  static const struct {
    const char *name;
    text_time time;
  } time_names[] = {{"utc", TEXT_UTC},           {"absolute", TEXT_UTC}, {"local", TEXT_LOCAL},
                    {"relative", TEXT_RELATIVE}, {"delta", TEXT_DELTA},  {"none", TEXT_NO_TIME}};
  enum { COUNT = sizeof time_names / sizeof time_names[0] };
  times[0] = times[1] = TEXT_NO_TIME;
  const char *text = optarg;
  for (int part = 0; part < 2 && *text != '\0'; part++) {
    size_t size = strcspn(text, ","), i = 0;
    while (i < COUNT && (strlen(time_names[i].name) != size || strncmp(time_names[i].name, text, size) != 0))
      i++;
    if (i == COUNT)
      cli_usage_argument(OPTION_TIME, "utc, local, relative, delta or none, or two of them");
    times[part] = time_names[i].time;
    text += size;
    text += *text == ',' && text[1] != '\0';
  }
  if (*text != '\0' || text == optarg)
    cli_usage_argument(OPTION_TIME, "utc, local, relative, delta or none, or two of them");
}

static void parse(request *r, int argc, char **argv)
{
  *r = (request){.rows = UINT64_MAX, .lanes = LANES_MOST, .times = {TEXT_UTC, TEXT_NO_TIME}};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;) {
    switch (id) {
    case 'n':
      r->rows = parse_count(id);
      break;
    case 'F':
      r->format = parse_format();
      break;
    case 'i':
      r->info = true;
      break;
    case OPTION_JSON:
      r->json = true;
      break;
    case OPTION_BLUEPRINT:
      r->blueprints = true;
      break;
    case 'f':
      r->selection.follow = true;
      break;
    case OPTION_RETRY:
      r->retry = true;
      break;
    case OPTION_TAIL:
      r->tail = parse_count(id);
      r->has_tail = true;
      break;
    case OPTION_CURSOR_FILE:
      if (*optarg == '\0')
        cli_usage_argument(id, "a file");
      r->cursor_file = optarg;
      break;
    case OPTION_LANES:
      r->lanes = parse_count(id);
      break;
    case OPTION_SVG:
      if (*optarg == '\0')
        cli_usage_argument(id, "a file");
      r->svg = optarg;
      break;
    case OPTION_ASCII:
      r->ascii = true;
      r->unicode = false;
      break;
    case OPTION_UNICODE:
      r->unicode = true;
      r->ascii = false;
      break;
    case OPTION_TIME:
      parse_times(r->times);
      break;
    case OPTION_FULL:
      r->full = true;
      break;
    case OPTION_WIDTH:
      r->width = parse_count(id);
      r->has_width = true;
      break;
    case OPTION_COLOUR:
      if (!terminal_colour_parse(optarg, &r->colour))
        cli_usage_argument(id, "auto, always or never");
      break;
    default:
      selection_option(&r->selection, id);
    }
  }
  r->info |= r->svg != NULL;
  if (r->json && !r->info)
    r->format = FORMAT_NDJSON;
  if (r->svg != NULL && strcmp(r->svg, "-") == 0 && r->json)
    cli_usage("--svg=- and --json both go to standard output");
  if (r->info && (r->selection.follow || r->has_tail || r->cursor_file != NULL))
    cli_usage("--info neither follows nor keeps its place");
  if (r->selection.follow && (r->selection.timeline != NULL || r->selection.wall_clock))
    cli_usage("--follow is by log_time as it is, without --timeline and --wall-clock");
  if (r->retry && !r->selection.follow)
    cli_usage("--retry goes with --follow");
  if (r->has_tail && r->rows != UINT64_MAX)
    cli_usage("--tail and --rows exclude each other");
  if (r->full && !r->info)
    r->has_width = true; /* nothing is cut, unless --width says so */
  if (!r->has_width)
    r->width = terminal_width(STDOUT_FILENO);
}

static bool wanted(const request *r, const rk_store *store)
{
  return r->blueprints || store->kind == RK_STORE_RECORDING;
}

/* Rows tell their recording where there are several. */
static bool several_stores(const request *r, const rk_reader *reader)
{
  size_t count, seen = 0;
  const rk_store *const *stores = rk_reader_stores(reader, &count);
  for (size_t i = 0; i < count; i++)
    seen += wanted(r, stores[i]);
  return seen > 1;
}

static void reader_failed(const rk_reader *reader)
{
  rk_error error = {.status = RK_ERR_IO, .offset = RK_NO_OFFSET};
  rk_reader_error(reader, &error);
  cli_error_record(NULL, &error);
}

/* The CSV printer with the columns of all chunks of the selection; NULL after a failure. */
static csv_printer *make_csv(const request *r, rk_reader *reader, out *o, bool recording)
{
  csv_printer *csv = csv_new();
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_chunk(reader, &chunk)) == RK_OK)
    if (wanted(r, chunk->store))
      csv_chunk(csv, chunk);
  if (status == RK_END) {
    csv_header(csv, o, recording);
    return csv;
  }
  reader_failed(reader);
  csv_free(csv);
  return NULL;
}

/* At work on the rows. */
typedef struct printing {
  const request *r;
  rk_reader *reader;
  out *o;
  bool recording;
  csv_printer *csv;
  text_printer *text;
  tail *tail;      /* rows are held back for it */
  bool from_start; /* the tail is looked for among all rows */
  uint64_t printed;
  uint64_t in_time; /* of these, not static */
  uint64_t kept;    /* of these, before the place in the cursor file */
} printing;

static bool shows_passing_time(const request *r)
{
  bool passing = false;
  for (int i = 0; i < 2; i++)
    passing |= r->times[i] == TEXT_RELATIVE || r->times[i] == TEXT_DELTA;
  return passing && r->format == FORMAT_TEXT;
}

/* Where nothing speaks against it, reading begins near the end. */
static bool skip_to_tail(printing *p, inputs *in)
{
  const request *r = p->r;
  const selection *s = &r->selection;
  int64_t since_ns;
  bool plain = s->timeline == NULL && !s->since.given && !s->until.given && s->writer_count == 0 && !s->wall_clock &&
               !s->follow && r->cursor_file == NULL && !shows_passing_time(r) && in->failed == 0;
  for (size_t i = 0; i < in->operands.count; i++)
    plain = plain && !operand_is_standard_input(in->operands.paths[i]);
  p->from_start |= !plain || r->tail == 0 || !tail_start(p->reader, r->tail, r->blueprints, &since_ns);
  return p->from_start || inputs_begin_at(in, s, since_ns);
}

static bool printing_start(printing *p, inputs *in, bool resumed)
{
  const request *r = p->r;
  bool again = p->from_start;
  p->recording = several_stores(r, p->reader);
  if (r->format == FORMAT_CSV) {
    out unseen; /* the header of a second attempt */
    out_init(&unseen, -1);
    p->csv = make_csv(r, p->reader, again ? &unseen : p->o, p->recording);
    out_free(&unseen);
    if (p->csv == NULL)
      return false;
  }
  if (r->has_tail && !resumed) {
    p->tail = tail_new(r->tail, r->format == FORMAT_TEXT);
    if (!skip_to_tail(p, in))
      return false;
  }
  if (r->format == FORMAT_TEXT)
    p->text = text_new(&(text_options){.width = (size_t)r->width,
                                       .coloured = terminal_coloured(STDOUT_FILENO, r->colour),
                                       .recording = p->recording,
                                       .full = r->full,
                                       .by_time = r->selection.timeline == NULL,
                                       .times = {r->times[0], r->times[1]}},
                       p->reader);
  return true;
}

static void print_row(printing *p, const rk_row *row)
{
  out *o = p->tail != NULL ? tail_begin(p->tail) : p->o;
  if (p->text != NULL)
    text_row(p->text, o, row);
  else if (p->csv != NULL)
    csv_row(p->csv, o, row);
  else
    rows_ndjson(o, row, p->recording);
  if (p->tail != NULL)
    tail_end(p->tail);
  p->printed++;
  p->in_time += !row->is_static;
}

static void print_tail(printing *p)
{
  if (p->tail != NULL)
    tail_print(p->tail, p->o);
  tail_free(p->tail);
  p->tail = NULL;
}

/* What was printed is written out and will not be printed again. */
static bool keep_place(printing *p, bool last)
{
  if (p->r->cursor_file == NULL || p->tail != NULL)
    return true;
  if (!out_flush(p->o))
    return false;
  if (p->printed == p->kept && !last)
    return true;
  p->kept = p->printed;
  return cursor_save(p->r->cursor_file, p->reader, last);
}

/* All that is known was printed: waits for more. RK_OK: there may be. */
static rk_status wait_for_more(printing *p)
{
  print_tail(p);
  if (!keep_place(p, false))
    return RK_END;
  rk_status status = following_wait(p->reader, p->o);
  if (status == RK_OK && p->text != NULL) {
    text_learn(p->text, p->reader);
    if (following_resized() && !p->r->has_width)
      text_resize(p->text, terminal_width(STDOUT_FILENO));
  }
  return status;
}

static void printing_end(printing *p)
{
  tail_free(p->tail);
  csv_free(p->csv);
  text_free(p->text);
}

/* False: the tail was looked for too near the end; all has to be read, `from_start`. */
static bool print_rows(const request *r, inputs *in, out *o, bool from_start)
{
  rk_reader *reader = in->reader;
  printing p = {.r = r, .reader = reader, .o = o, .from_start = from_start};
  bool quiet = isatty(STDOUT_FILENO) || r->selection.follow, resumed = false;
  if ((r->cursor_file != NULL && !cursor_load(r->cursor_file, reader, &resumed)) || !printing_start(&p, in, resumed)) {
    printing_end(&p);
    return true;
  }
  const rk_row *row;
  rk_status status = RK_END;
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  uint64_t total = r->rows < stats.rows_indexed ? r->rows : stats.rows_indexed;
  while (p.printed < r->rows && o->error == 0 && !following_stopped()) {
    status = rk_reader_next(reader, &row);
    if (status == RK_AGAIN && (status = wait_for_more(&p)) == RK_OK)
      continue;
    if (status != RK_OK)
      break;
    if (!wanted(r, row->store))
      continue;
    print_row(&p, row);
    if (p.printed % 256 == 0 && !quiet)
      terminal_progress("dumping", "rows", p.printed, total);
    if (p.printed % 65536 == 0 && !keep_place(&p, false))
      break;
  }
  if (status != RK_END && status != RK_OK)
    reader_failed(reader);
  if (status == RK_END && p.tail != NULL && !p.from_start && p.in_time < r->tail) {
    printing_end(&p);
    return false;
  }
  print_tail(&p);
  keep_place(&p, true);
  rk_reader_get_stats(reader, &stats);
  if (stats.late_rows > 0)
    cli_note("%llu rows came after later ones had been printed", (unsigned long long)stats.late_rows);
  if (status == RK_END && r->selection.timeline != NULL && p.in_time == 0)
    cli_note("no row that is selected has a time on timeline '%s'", cli_printable(r->selection.timeline));
  printing_end(&p);
  return true;
}

static when_zone zone_of(const request *r)
{
  return r->times[0] == TEXT_LOCAL ? WHEN_LOCAL : r->times[0] == TEXT_UTC ? WHEN_UTC : WHEN_RELATIVE;
}

static void save_svg(const request *r, const info *i)
{
  output_file file;
  const inputs *in = i->inputs;
  for (size_t n = 0; n < in->count; n++) {
    char *path = (char *)in->list[n].path;
    if (output_is_input(r->svg, &path, 1))
      return;
  }
  if (!output_open(&file, r->svg, true))
    return;
  out o;
  out_init(&o, file.fd);
  lanes_svg(i, &o, (size_t)r->lanes, zone_of(r));
  if (!out_flush(&o))
    cli_error(output_name(r->svg), "%s", strerror(o.error));
  else
    output_commit(&file);
  out_free(&o);
  output_discard(&file);
}

static void print_info(const request *r, const inputs *in, out *o)
{
  info i;
  const selection *s = &r->selection;
  bool selected = s->entities.count + s->excluded.count > 0 || s->since.given || s->until.given || s->timeline != NULL;
  if (info_gather(&i, in, &(info_options){r->blueprints, r->full, selected, s->timeline}) != RK_END) {
    reader_failed(in->reader);
  } else if (r->svg != NULL && strcmp(r->svg, "-") == 0) {
    lanes_svg(&i, o, (size_t)r->lanes, zone_of(r));
  } else {
    if (r->svg != NULL)
      save_svg(r, &i);
    if (r->json || r->format == FORMAT_NDJSON)
      info_json(&i, o, (size_t)r->lanes);
    else
      info_text(&i, o, (size_t)r->lanes,
                &(lanes_style){.width = (size_t)r->width,
                               .coloured = terminal_coloured(STDOUT_FILENO, r->colour),
                               .ascii = r->ascii || (!r->unicode && !terminal_unicode(STDOUT_FILENO)),
                               .zone = zone_of(r)});
  }
  info_free(&i);
}

static void dump(const request *r, inputs *in, char **operand, size_t count, out *o)
{
  if (print_rows(r, in, o, false))
    return;
  inputs_free(in);
  inputs_expand(in, &r->selection, operand, count, false);
  in->told = true;
  if (inputs_read(in, &r->selection, false))
    print_rows(r, in, o, true);
}

int main(int argc, char **argv)
{
  request r;
  inputs in;
  out o;
  cli_start(&tool);
  parse(&r, argc, argv);
  out_init(&o, STDOUT_FILENO);
  if (r.selection.follow)
    following_start();
  if (r.retry && !following_await(argv + optind, (size_t)(argc - optind)))
    return cli_finish(&o);
  if (inputs_open(&in, &r.selection, argv + optind, (size_t)(argc - optind), false)) {
    if (r.info)
      print_info(&r, &in, &o);
    else
      dump(&r, &in, argv + optind, (size_t)(argc - optind), &o);
  }
  inputs_free(&in);
  selection_free(&r.selection);
  return cli_finish(&o);
}
