/* Lanes as a self-contained SVG: light or dark as its viewer is, with a tooltip for every stretch of a lane. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/cli.h"
#include "tools/info/lanes_axis.h"
#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/terminal.h"

enum {
  PICTURE_WIDTH = 1240,
  LEFT = 252, /* where lanes begin */
  RIGHT = 28, /* margin behind them */
  LANES_WIDTH = PICTURE_WIDTH - LEFT - RIGHT,
  BIN_WIDTH = 4,
  BINS = LANES_WIDTH / BIN_WIDTH,
  BINS_A_TIP = 4,
  LANE_HEIGHT = 30,
  LANE_STEP = 38,
  LABEL_COLUMNS = 30,
  COLOURS = 8
};

/* Every colour twice: renderers that know no media queries show the first. */
static const char style[] =
    "<style>\n"
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif}\n"
    ".back{fill:#fff}.ink{fill:#1b2430}.dim{fill:#667380;font-size:10.5px}.head{fill:#1b2430;font-size:17px;"
    "font-weight:600}.part{fill:#667380;font-size:11px;font-weight:600;letter-spacing:.08em}.name{fill:#1b2430;"
    "font-weight:600}.end{text-anchor:end}.strip{fill:#7c8b9a;fill-opacity:.1}.grid{stroke:#dfe4ea;stroke-width:1}\n"
    ".c0{fill:#3a7bd5}.c1{fill:#e07b28}.c2{fill:#2f9e63}.c3{fill:#b0489c}.c4{fill:#c9a100}.c5{fill:#1f9fb4}"
    ".c6{fill:#d4493f}.c7{fill:#7a5cc9}.ent{fill:#4a7f95}.oth{fill:#8d99a6}\n"
    ".spool{fill:#f0a400}.gap{stroke:#9aa5b1;stroke-width:1.5;stroke-dasharray:3 4}.miss{fill:#d81e2c;fill-opacity:.16}"
    ".missline{stroke:#d81e2c;stroke-width:1.5}.warn{fill:#c21020}.tip{fill:#000;fill-opacity:0}"
    ".tip:hover{fill-opacity:.08}\n"
    "@media (prefers-color-scheme:dark){.back{fill:#11151b}.ink,.head,.name{fill:#e4eaf1}.dim,.part{fill:#8d9aa9}"
    ".grid{stroke:#2b333d}.c0{fill:#5c9bf0}.c1{fill:#f2984e}.c2{fill:#4dbd82}.c3{fill:#d374c1}"
    ".c4{fill:#dfbd3c}.c5{fill:#46bfd3}.c6{fill:#f0736a}.c7{fill:#a288ee}.ent{fill:#78b0c6}.oth{fill:#7d8894}"
    ".spool{fill:#ffc23d}.gap{stroke:#5d6874}.miss{fill:#ff5a63;fill-opacity:.25}.missline{stroke:#ff5a63}"
    ".warn{fill:#ff7a80}.tip{fill:#fff}}\n"
    "</style>\n";

/* Printable text as XML's: five characters are its own, two code points it cannot hold. */
static void out_xml(out *o, const char *text, size_t size)
{
  for (size_t at = 0; at < size;) {
    uint32_t code = 0;
    size_t n = utf8_take(text + at, size - at, &code);
    const char *entity = code == '&'    ? "&amp;"
                         : code == '<'  ? "&lt;"
                         : code == '>'  ? "&gt;"
                         : code == '"'  ? "&quot;"
                         : code == '\'' ? "&#39;"
                                        : NULL;
    if (entity != NULL)
      out_text(o, entity);
    else if (n == 0 || code < 0x20 || code == 0xfffe || code == 0xffff)
      out_text(o, "\xef\xbf\xbd");
    else
      out_bytes(o, text + at, n);
    at += n == 0 ? 1 : n;
  }
}

typedef struct picture {
  const lanes *lanes;
  const info *info;
  out *o;
  who who;
  axis axis;
  out text; /* one piece before it is escaped */
  int y;
  unsigned seen;
} picture;

/* What is in p->text, cut to `columns` (0: whole); empties it. */
static void put(picture *p, size_t columns)
{
  out cut;
  out_init(&cut, -1);
  if (columns > 0)
    terminal_cut_middle(&cut, p->text.data, p->text.size, columns, false);
  else
    out_bytes(&cut, p->text.data, p->text.size);
  out_xml(p->o, cut.data, cut.size);
  out_free(&cut);
  p->text.size = 0;
}

static void open_text(picture *p, const char *classes, int x, int y)
{
  out_format(p->o, "<text class=\"%s\" x=\"%d\" y=\"%d\">", classes, x, y);
}

static void close_text(picture *p)
{
  out_text(p->o, "</text>\n");
}

static void put_rate(picture *p, double rows, double length)
{
  if (p->axis.kind == RK_TIMELINE_SEQUENCE || length <= 0)
    return;
  double rate = rows / (length / 1e9);
  if (rate >= 0.1)
    out_format(&p->text, ", %.4g rows/s", rate);
  else
    out_format(&p->text, ", %.4g rows/h", rate * 3600);
}

/* Who or what it is, beyond its name. */
static void describe(picture *p, const lane *one)
{
  out *t = &p->text;
  const info_writer *w = one->kind == LANE_WRITER ? &p->info->writers[one->number] : NULL;
  out_format(t, "%" PRIu64 " rows", one->rows);
  if (w != NULL && w->writer != NULL) {
    out_text(t, " · ");
    out_printable(t, w->writer->program, strlen(w->writer->program));
    out_format(t, " · pid %" PRId64, w->writer->pid);
    out_text(t, " · ");
    out_printable(t, w->writer->host, strlen(w->writer->host));
  } else if (one->kind == LANE_ENTITY) {
    const info_entity *e = &p->info->entities[one->number];
    for (size_t c = 0; c < e->components.count; c++) {
      out_text(t, c == 0 ? " · " : ", ");
      out_printable(t, e->components.list[c], strlen(e->components.list[c]));
    }
  }
}

/* The bins' outline; where `marks` is not 0 only those that carry it. */
static void draw_bins(picture *p, const lane *one, const char *class, unsigned marks)
{
  out *o = p->o;
  bool open = false, any = false;
  int floor = p->y + LANE_HEIGHT;
  for (size_t bin = 0; bin <= p->lanes->bin_count; bin++) {
    bool shown = bin < p->lanes->bin_count && one->bins[bin] > 0 && (marks == 0 || (one->marks[bin] & marks) != 0);
    if (shown && !any)
      out_format(o, "<path class=\"%s\" d=\"", class);
    if (shown && !open)
      out_format(o, "M%d %d", LEFT + (int)bin * BIN_WIDTH, floor);
    if (shown)
      out_format(o, "V%.1fH%d", floor - 1.5 - one->bins[bin] / one->most * (LANE_HEIGHT - 4),
                 LEFT + (int)(bin + 1) * BIN_WIDTH);
    if (!shown && open)
      out_format(o, "V%dZ", floor);
    open = shown;
    any |= shown;
  }
  if (any)
    out_text(o, "\"/>\n");
}

/* Stretches of bins that carry a mark. */
static void draw_marks(picture *p, const lane *one, unsigned mark)
{
  const lanes *l = p->lanes;
  for (size_t from = 0; from < l->bin_count; from++) {
    size_t to = from;
    while (to < l->bin_count && (one->marks[to] & mark) != 0)
      to++;
    if (to == from)
      continue;
    int x = LEFT + (int)from * BIN_WIDTH, end = LEFT + (int)to * BIN_WIDTH, middle = p->y + LANE_HEIGHT / 2;
    if (mark == LANE_GAP)
      out_format(p->o, "<path class=\"gap\" d=\"M%d %dH%d\"/>\n", x + 1, middle, end - 1);
    else
      out_format(p->o,
                 "<rect class=\"miss\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/><path class=\"missline\" "
                 "d=\"M%d %dV%dM%d %dV%d\"/>\n",
                 x, p->y, end - x, LANE_HEIGHT, x, p->y, p->y + LANE_HEIGHT, end, p->y, p->y + LANE_HEIGHT);
    from = to;
  }
}

static int64_t bin_begin(const lanes *l, size_t bin)
{
  double offset = lanes_bin_size(l) * (double)bin, span = (double)((uint64_t)l->end - (uint64_t)l->begin);
  return offset >= span ? l->end : (int64_t)((uint64_t)l->begin + (uint64_t)offset);
}

static void tip_of(picture *p, const lane *one, size_t from, size_t to)
{
  const lanes *l = p->lanes;
  double rows = 0;
  unsigned marks = 0;
  for (size_t bin = from; bin < to; bin++) {
    rows += one->bins[bin];
    marks |= one->marks[bin];
  }
  if (rows <= 0 && marks == 0)
    return;
  out_format(p->o, "<rect class=\"tip\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>",
             LEFT + (int)from * BIN_WIDTH, p->y, (int)(to - from) * BIN_WIDTH, LANE_HEIGHT);
  out_lane(&p->text, l, one, &p->who);
  out_text(&p->text, " · ");
  axis_moment(&p->text, &p->axis, bin_begin(l, from));
  put(p, 0);
  out_char(p->o, '\n');
  out_format(&p->text, "%s%.0f row%s", rows == (double)(int64_t)rows ? "" : "about ", rows,
             rows > 0.5 && rows < 1.5 ? "" : "s");
  put_rate(p, rows, lanes_bin_size(l) * (double)(to - from));
  if (marks & LANE_SPOOL)
    out_text(&p->text, "; left in the spool by a writer that died");
  if (marks & LANE_GAP)
    out_text(&p->text, "; nothing for far longer than usual");
  if (marks & LANE_MISSING)
    out_text(&p->text, "; chunks are missing");
  put(p, 0);
  out_text(p->o, "</title></rect>\n");
}

static void draw_lane(picture *p, const lane *one, const char *class)
{
  const lanes *l = p->lanes;
  out *o = p->o;
  out_text(o, "<g>\n<g><title>");
  out_lane(&p->text, l, one, &p->who);
  put(p, 0);
  out_char(o, '\n');
  describe(p, one);
  put(p, 0);
  out_text(o, "</title>");
  open_text(p, "name end", LEFT - 12, p->y + 13);
  out_lane(&p->text, l, one, &p->who);
  put(p, LABEL_COLUMNS);
  close_text(p);
  open_text(p, "dim end", LEFT - 12, p->y + 27);
  describe(p, one);
  put(p, LABEL_COLUMNS + 10);
  close_text(p);
  out_format(o, "</g><rect class=\"strip\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\"/>\n", LEFT, p->y,
             BINS * BIN_WIDTH, LANE_HEIGHT);
  draw_bins(p, one, class, 0);
  draw_bins(p, one, "spool", LANE_SPOOL);
  draw_marks(p, one, LANE_GAP);
  draw_marks(p, one, LANE_MISSING);
  for (size_t bin = 0; bin < l->bin_count; bin += BINS_A_TIP)
    tip_of(p, one, bin, bin + BINS_A_TIP < l->bin_count ? bin + BINS_A_TIP : l->bin_count);
  for (size_t bin = 0; bin < l->bin_count; bin++)
    p->seen |= one->marks[bin];
  uint64_t dropped = one->dropped_rows;
  if (dropped + one->missing_chunks > 0) {
    open_text(p, "warn end", LEFT + BINS * BIN_WIDTH - 4, p->y + 11);
    if (dropped > 0)
      out_format(o, "%" PRIu64 " rows dropped", dropped);
    if (one->missing_chunks > 0)
      out_format(o, "%s%" PRIu64 " chunks missing", dropped > 0 ? ", " : "", one->missing_chunks);
    close_text(p);
  }
  out_text(o, "</g>\n");
  p->y += LANE_STEP;
}

static void draw_axis(picture *p, int label_y, int from_y, int to_y)
{
  int64_t tick;
  if (!axis_first(&p->axis, &tick))
    return;
  do {
    double place = (double)((uint64_t)tick - (uint64_t)p->lanes->begin), size = lanes_bin_size(p->lanes);
    int x = LEFT + (int)(size > 0 ? place / size * BIN_WIDTH : 0);
    if (to_y > from_y)
      out_format(p->o, "<path class=\"grid\" d=\"M%d.5 %dV%d\"/>\n", x, from_y, to_y);
    axis_label(&p->text, &p->axis, tick);
    size_t width = p->text.size * 7;
    if (x + (int)width <= PICTURE_WIDTH) {
      open_text(p, "dim", x + 4, label_y);
      put(p, 0);
      close_text(p);
    }
    p->text.size = 0;
  } while (axis_next(&p->axis, &tick) && p->lanes->end > p->lanes->begin);
}

static void draw_part(picture *p, const char *title, const lane *list, size_t count)
{
  if (count == 0)
    return;
  int bottom = p->y + 14 + (int)count * LANE_STEP;
  open_text(p, "part end", LEFT - 12, p->y);
  out_text(p->o, title);
  close_text(p);
  draw_axis(p, p->y, p->y - 8, bottom - 4);
  p->y += 10;
  for (size_t n = 0; n < count; n++) {
    char class[8] = "oth";
    if (list[n].kind == LANE_ENTITY)
      memcpy(class, "ent", 4);
    else if (list[n].kind == LANE_WRITER)
      snprintf(class, sizeof class, "c%u", (unsigned)(n % COLOURS));
    draw_lane(p, &list[n], class);
  }
  p->y += 26;
}

static void draw_head(picture *p)
{
  const info *i = p->info;
  const lanes *l = p->lanes;
  open_text(p, "head", 24, 36);
  for (size_t n = 0; n < i->recording_count; n++)
    if (i->recordings[n].store->kind == RK_STORE_RECORDING) {
      const rk_store *store = i->recordings[n].store;
      out_printable(&p->text, store->application_id, strlen(store->application_id));
      out_text(&p->text, "  ");
      out_printable(&p->text, store->recording_id, strlen(store->recording_id));
      break;
    }
  put(p, 100);
  close_text(p);
  open_text(p, "dim", 24, 56);
  out_format(&p->text, "%" PRIu64 " rows of %zu entit%s by %zu writer%s", i->total.rows, i->entity_count,
             i->entity_count == 1 ? "y" : "ies", i->writer_count, i->writer_count == 1 ? "" : "s");
  if (i->recording_count > 1)
    out_format(&p->text, " in %zu recordings", i->recording_count);
  if (l->begin <= l->end) {
    out_text(&p->text, ", from ");
    axis_moment(&p->text, &p->axis, l->begin);
    out_text(&p->text, ", ");
    axis_length(&p->text, &p->axis, (double)((uint64_t)l->end - (uint64_t)l->begin));
  } else {
    out_text(&p->text, "; none has a time");
  }
  put(p, 0);
  close_text(p);
}

static void draw_legend(picture *p)
{
  static const struct {
    unsigned mark;
    const char *text;
    int width;
  } marks[] = {{LANE_GAP, "nothing for far longer than usual", 230},
               {LANE_SPOOL, "left in the spool by a writer that died", 250},
               {LANE_MISSING, "chunks missing, by their numbers", 210}};
  int x = LEFT;
  out *o = p->o;
  out_format(o,
             "<rect class=\"ent\" x=\"%d\" y=\"%d\" width=\"4\" height=\"6\"/><rect class=\"ent\" x=\"%d\" y=\"%d\" "
             "width=\"4\" height=\"11\"/>",
             x, p->y - 6, x + 5, p->y - 11);
  open_text(p, "dim", x + 16, p->y);
  out_text(o, "rows, each lane up to its own peak");
  close_text(p);
  x += 220;
  for (size_t n = 0; n < sizeof marks / sizeof marks[0]; n++) {
    if ((p->seen & marks[n].mark) == 0)
      continue;
    if (marks[n].mark == LANE_GAP)
      out_format(o, "<path class=\"gap\" d=\"M%d %dh18\"/>", x, p->y - 4);
    else if (marks[n].mark == LANE_SPOOL)
      out_format(o, "<rect class=\"spool\" x=\"%d\" y=\"%d\" width=\"10\" height=\"10\"/>", x + 6, p->y - 9);
    else
      out_format(o,
                 "<rect class=\"miss\" x=\"%d\" y=\"%d\" width=\"14\" height=\"12\"/><path class=\"missline\" "
                 "d=\"M%d %dv12M%d %dv12\"/>",
                 x + 2, p->y - 10, x + 2, p->y - 10, x + 16, p->y - 10);
    open_text(p, "dim", x + 24, p->y);
    out_text(o, marks[n].text);
    close_text(p);
    x += marks[n].width;
  }
}

void lanes_svg(const info *i, out *o, size_t most, when_zone zone)
{
  lanes all;
  lanes_choose(&all, i, most);
  bool any = all.begin <= all.end;
  if (any)
    lanes_fill(&all, BINS);
  picture p = {.lanes = &all, .info = i, .o = o, .who = who_of(i->inputs->reader), .y = 92};
  out_init(&p.text, -1);
  if (any)
    p.axis = axis_make(&all, zone, 90 / BIN_WIDTH, false);
  int parts = any ? (all.writer_count > 0) + (all.entity_count > 0) : 0;
  int height = 112 + (any ? (int)(all.writer_count + all.entity_count) * LANE_STEP : 0) + parts * 36;
  out_format(o,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
             "role=\"img\">\n<title>Activity of a recording</title>\n",
             PICTURE_WIDTH, height, PICTURE_WIDTH, height);
  out_text(o, style);
  out_format(o, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", PICTURE_WIDTH, height);
  draw_head(&p);
  if (any) {
    draw_part(&p, "WRITERS", all.writers, all.writer_count);
    draw_part(&p, "ENTITIES", all.entities, all.entity_count);
    draw_legend(&p);
  }
  out_text(o, "</svg>\n");
  out_free(&p.text);
  lanes_free(&all);
}
