/* The terminal: its width, colour, display width of text, and the progress bar. */
#include "tools/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/when.h"

bool terminal_colour_parse(const char *text, terminal_colour *colour)
{
  static const char *const names[] = {"auto", "always", "never"};
  for (int i = 0; i < 3; i++)
    if (strcmp(text, names[i]) == 0) {
      *colour = (terminal_colour)i;
      return true;
    }
  return false;
}

bool terminal_coloured(int fd, terminal_colour colour)
{
  if (colour != COLOUR_AUTO)
    return colour == COLOUR_ALWAYS;
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  return (no == NULL || *no == '\0') && (term == NULL || strcmp(term, "dumb") != 0) && isatty(fd);
}

size_t terminal_width(int fd)
{
  if (!isatty(fd))
    return 0;
  const char *columns = getenv("COLUMNS");
  unsigned long given = columns == NULL ? 0 : strtoul(columns, NULL, 10);
  if (given > 0 && given < 100000)
    return given;
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

size_t terminal_text_width(const char *text, size_t size)
{
  size_t width = terminal_plain_prefix(text, size);
  for (size_t at = width; at < size;) {
    uint32_t code = 0;
    size_t n = utf8_take(text + at, size - at, &code);
    width += n == 0 ? 1 : terminal_code_width(code);
    at += n == 0 ? 1 : n;
  }
  return width;
}

void terminal_cut_middle(out *o, const char *text, size_t size, size_t width, bool plain)
{
  size_t columns = terminal_text_width(text, size);
  if (columns <= width || width == 0) {
    out_bytes(o, text, width == 0 ? 0 : size);
    return;
  }
  size_t left = (width - 1) / 2, right = width - 1 - left, column = 0, from = columns - right;
  bool cut = false;
  for (size_t at = 0; at < size;) { /* from: the first column of the end that stays */
    uint32_t code = 0;
    size_t n = utf8_take(text + at, size - at, &code);
    size_t wide = n == 0 ? 1 : terminal_code_width(code);
    n = n == 0 ? 1 : n;
    if (column + wide <= left && !cut) {
      out_bytes(o, text + at, n);
    } else if (!cut) {
      out_text(o, plain ? "~" : "…");
      cut = true;
    }
    if (cut && column >= from && (wide > 0 || column > from))
      out_bytes(o, text + at, n);
    column += wide;
    at += n;
  }
}

bool terminal_unicode(int fd)
{
  static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  if (!isatty(fd))
    return false;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = getenv(names[i]);
    if (value != NULL && *value != '\0') /* the first that is set decides */
      return strcasestr(value, "UTF-8") != NULL || strcasestr(value, "utf8") != NULL;
  }
  return false;
}

static struct {
  bool known, on, drawn;
  double begin, last;
} progress;

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void out_short_count(out *o, double value)
{
  static const char units[] = " kMG";
  int unit = 0;
  for (; value >= 999.5 && unit < 3; unit++)
    value /= 1000;
  if (unit == 0)
    out_format(o, "%.0f", value);
  else
    out_format(o, value < 10 ? "%.2f%c" : value < 100 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void out_amount(out *o, const char *unit, double value)
{
  if (strcmp(unit, "B") == 0)
    out_size(o, (uint64_t)value);
  else
    out_short_count(o, value);
}

static void draw(const char *what, const char *unit, uint64_t done, uint64_t total, double elapsed)
{
  out line, right;
  out_init(&line, -1);
  out_init(&right, -1);
  double rate = elapsed > 0 ? (double)done / elapsed : 0, share = total > 0 ? (double)done / (double)total : 0;
  if (share > 1)
    share = 1;
  if (total > 0)
    out_format(&right, " %3.0f %%", share * 100);
  out_text(&right, "  ");
  out_amount(&right, unit, (double)done);
  if (strcmp(unit, "B") != 0)
    out_format(&right, " %s", unit);
  out_text(&right, "  ");
  out_amount(&right, unit, rate);
  out_text(&right, "/s");
  if (total > 0 && rate > 0) {
    out_text(&right, "  ");
    out_duration(&right, (int64_t)((double)(total - (done < total ? done : total)) / rate) * 1000000000);
    out_text(&right, " left");
  }
  size_t width = terminal_width(STDERR_FILENO), taken = strlen(what) + terminal_text_width(right.data, right.size) + 1;
  out_text(&line, "\r\033[K");
  out_text(&line, what);
  if (total > 0 && width > taken + 12) {
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t cells = width - taken - 2 < 40 ? width - taken - 2 : 40;
    size_t filled = (size_t)(share * (double)cells * 8), full = filled / 8, rest = filled % 8;
    out_char(&line, ' ');
    for (size_t i = 0; i < full; i++)
      out_text(&line, "█");
    out_text(&line, eighths[rest]);
    out_repeat(&line, ' ', cells - full - (rest > 0));
  }
  if (taken < width)
    out_bytes(&line, right.data, right.size);
  line.fd = STDERR_FILENO;
  out_flush(&line);
  out_free(&line);
  out_free(&right);
  progress.drawn = true;
}

void terminal_progress(const char *what, const char *unit, uint64_t done, uint64_t total)
{
  if (!progress.known) {
    const char *term = getenv("TERM");
    progress.known = true;
    progress.on = isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
    progress.begin = progress.last = now();
    progress.last += 0.4;
  }
  if (!progress.on)
    return;
  double t = now();
  if (t - progress.last < 0.1)
    return;
  progress.last = t;
  draw(what, unit, done, total, t - progress.begin);
}

void terminal_progress_clear(out *o)
{
  if (progress.drawn)
    out_text(o, "\r\033[K");
  progress.drawn = false;
}

void terminal_progress_end(void)
{
  out line;
  out_init(&line, STDERR_FILENO);
  terminal_progress_clear(&line);
  out_flush(&line);
  out_free(&line);
  progress.known = progress.on = false;
}
