/* The axis of the lanes: ticks in steps that people like, and their labels. */
#include "tools/info/lanes_axis.h"

#include "tools/print/number.h"
#include "tools/terminal.h"

#define NS_PER_S INT64_C(1000000000)
#define DAY      (86400 * NS_PER_S)

static const int64_t steps_of_time[] = {NS_PER_S * 15,
                                        NS_PER_S * 30,
                                        NS_PER_S * 60,
                                        NS_PER_S * 120,
                                        NS_PER_S * 300,
                                        NS_PER_S * 600,
                                        NS_PER_S * 900,
                                        NS_PER_S * 1800,
                                        NS_PER_S * 3600,
                                        NS_PER_S * 7200,
                                        NS_PER_S * 3600 * 3,
                                        NS_PER_S * 3600 * 6,
                                        NS_PER_S * 43200,
                                        DAY,
                                        DAY * 2,
                                        DAY * 5,
                                        DAY * 10,
                                        DAY * 30,
                                        DAY * 100,
                                        DAY * 365};

/* The next longer step: 1, 2, 5, 10, ...; for times from ten seconds on, what clocks and calendars have. */
static int64_t longer(const axis *a, int64_t step)
{
  if (a->kind != RK_TIMELINE_SEQUENCE && step >= 10 * NS_PER_S)
    for (size_t n = 0; n < sizeof steps_of_time / sizeof steps_of_time[0]; n++)
      if (steps_of_time[n] > step)
        return steps_of_time[n];
  int64_t unit = 1, result;
  while (step / unit >= 10)
    unit *= 10;
  int64_t digit = step / unit;
  if (a->kind != RK_TIMELINE_SEQUENCE && step >= 10 * NS_PER_S) /* beyond a year: doubled */
    digit = 1, unit = step;
  return __builtin_mul_overflow(unit, digit == 1 ? 2 : digit == 2 ? 5 : 10, &result) ? INT64_MAX : result;
}

static int64_t origin_of(const axis *a)
{
  return a->relative ? a->begin : 0;
}

bool axis_next(const axis *a, int64_t *tick)
{
  return !__builtin_add_overflow(*tick, a->step, tick) && *tick <= a->end;
}

bool axis_first(const axis *a, int64_t *tick)
{
  *tick = a->begin;
  if (a->relative)
    return true;
  int64_t shift = a->kind == RK_TIMELINE_TIMESTAMP ? when_zone_offset(a->zone, a->begin) : 0, local, rest;
  if (__builtin_add_overflow(a->begin, shift, &local))
    return false;
  rest = local % a->step;
  rest += rest < 0 ? a->step : 0;
  return rest == 0 || (!__builtin_add_overflow(*tick, a->step - rest, tick) && *tick <= a->end);
}

/* "250 ms", "1.5 s": exact, in the unit that suits the step. */
static void out_exact(out *o, int64_t ns, int64_t step, bool ascii)
{
  static const struct {
    int64_t ns;
    const char *name;
  } units[] = {{1, "ns"}, {1000, "µs"}, {1000000, "ms"}, {NS_PER_S, "s"}};
  size_t unit = 0;
  while (unit < 3 && step >= units[unit + 1].ns)
    unit++;
  if (step >= 60 * NS_PER_S) {
    int64_t seconds = ns / NS_PER_S;
    if (seconds >= 86400)
      out_format(o, "%lldd", (long long)(seconds / 86400));
    if (seconds >= 86400 && seconds % 86400 != 0)
      out_char(o, ' ');
    if (seconds < 86400 || seconds % 86400 != 0) {
      out_uint(o, (uint64_t)(seconds % 86400 / 3600));
      out_char(o, ':');
      out_padded(o, (uint64_t)(seconds / 60 % 60), 2);
    }
    return;
  }
  if (unit == 2 && ns >= NS_PER_S) { /* "1.5 s" rather than "1500 ms" */
    int digits = step >= 100000000 ? 1 : step >= 10000000 ? 2 : 3;
    uint64_t fraction = (uint64_t)(ns % NS_PER_S);
    for (int i = digits; i < 9; i++)
      fraction /= 10;
    out_int(o, ns / NS_PER_S);
    out_char(o, '.');
    out_padded(o, fraction, digits);
    out_text(o, " s");
    return;
  }
  out_int(o, ns / units[unit].ns);
  out_char(o, ' ');
  out_text(o, ascii && unit == 1 ? "us" : units[unit].name);
}

void axis_label(out *o, const axis *a, int64_t tick)
{
  if (a->kind == RK_TIMELINE_SEQUENCE) {
    out_int(o, tick);
    return;
  }
  uint64_t span = (uint64_t)a->end - (uint64_t)a->begin;
  if (a->relative || a->kind == RK_TIMELINE_DURATION) {
    int64_t value = (int64_t)((uint64_t)tick - (uint64_t)origin_of(a));
    out_text(o, value < 0 ? "" : "+");
    out_exact(o, value, a->step, a->ascii);
    return;
  }
  when_parts parts = when_split(a->zone, tick);
  if (span >= (uint64_t)DAY && a->step >= DAY) {
    out_date(o, parts.day);
    return;
  }
  if (span >= (uint64_t)DAY && parts.second == 0) {
    out_date(o, parts.day);
    return;
  }
  out_clock(o, parts.second, 0, 0);
  if (a->step % (60 * NS_PER_S) == 0)
    o->size -= 3; /* without seconds */
}

axis axis_make(const lanes *l, when_zone zone, size_t columns, bool ascii)
{
  uint64_t span = (uint64_t)l->end - (uint64_t)l->begin;
  axis a = {.kind = l->info->axis, .zone = zone, .ascii = ascii, .begin = l->begin, .end = l->end, .step = 1};
  /* the clock's seconds have no fractions: shorter pictures count from their beginning */
  a.relative = a.kind == RK_TIMELINE_TIMESTAMP && (zone == WHEN_RELATIVE || span < (uint64_t)NS_PER_S * 10);
  double size = lanes_bin_size(l);
  out label;
  out_init(&label, -1);
  for (; a.step < INT64_MAX; a.step = longer(&a, a.step)) {
    if ((double)a.step < size * (double)columns)
      continue;
    size_t widest = 0;
    int64_t tick;
    if (axis_first(&a, &tick))
      do {
        label.size = 0;
        axis_label(&label, &a, tick);
        size_t width = terminal_text_width(label.data, label.size) + 3;
        widest = width > widest ? width : widest;
      } while (axis_next(&a, &tick));
    if ((double)a.step >= size * (double)widest)
      break;
  }
  out_free(&label);
  return a;
}

void axis_moment(out *o, const axis *a, int64_t value)
{
  if (a->kind == RK_TIMELINE_SEQUENCE)
    out_int(o, value);
  else if (a->kind == RK_TIMELINE_DURATION)
    out_duration(o, value);
  else
    out_moment(o, a->zone == WHEN_RELATIVE ? WHEN_UTC : a->zone, value);
}

void axis_length(out *o, const axis *a, double length)
{
  if (a->kind == RK_TIMELINE_SEQUENCE)
    out_format(o, "%.4g", length);
  else
    out_duration(o, length < 9e18 ? (int64_t)(length + 0.5) : INT64_MAX);
}
