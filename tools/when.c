/* Times, durations and sizes: from what people type, and to text. */
#include "tools/when.h"

#include <inttypes.h>
#include <stddef.h>
#include <time.h>

#include "tools/print/number.h"

#define NS_PER_S INT64_C(1000000000)

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years counted from March so that leap days come last. */
static int64_t days_of(int64_t year, int month, int day)
{
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
  int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
  *day = (int)(of_year - (153 * m + 2) / 5 + 1);
  *month = (int)(m < 10 ? m + 3 : m - 9);
  *year = y + era * 400 + (*month <= 2);
}

static bool take_digits(const char **text, int count, int *value)
{
  *value = 0;
  for (int i = 0; i < count; i++, (*text)++) {
    if (**text < '0' || **text > '9')
      return false;
    *value = *value * 10 + (**text - '0');
  }
  return true;
}

static bool take(const char **text, char c)
{
  if (**text != c)
    return false;
  (*text)++;
  return true;
}

/* After a point: up to nine digits as ns, further ones cut. At least one. */
static bool take_fraction(const char **text, int64_t *ns)
{
  int64_t unit = NS_PER_S;
  const char *start = *text;
  for (*ns = 0; **text >= '0' && **text <= '9'; (*text)++) {
    unit /= 10;
    *ns += (**text - '0') * unit;
  }
  return *text > start;
}

static bool rfc3339_parse(const char *text, int64_t *ns)
{
  int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
  int64_t fraction = 0;
  static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (!take_digits(&text, 4, &year) || !take(&text, '-') || !take_digits(&text, 2, &month) || !take(&text, '-') ||
      !take_digits(&text, 2, &day))
    return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] + (month == 2 && leap))
    return false;
  if (*text != '\0') {
    if (*text != 'T' && *text != 't' && *text != ' ')
      return false;
    text++;
    if (!take_digits(&text, 2, &hour) || !take(&text, ':') || !take_digits(&text, 2, &minute))
      return false;
    if (take(&text, ':') && !take_digits(&text, 2, &second))
      return false;
    if (take(&text, '.') && !take_fraction(&text, &fraction))
      return false;
    if (*text == '+' || *text == '-') {
      int sign = *text++ == '-' ? -1 : 1, zone_hour, zone_minute;
      if (!take_digits(&text, 2, &zone_hour) || !take(&text, ':') || !take_digits(&text, 2, &zone_minute) ||
          zone_hour > 23 || zone_minute > 59)
        return false;
      zone = sign * (zone_hour * 60 + zone_minute);
    } else if (*text == 'Z' || *text == 'z') {
      text++;
    }
    if (*text != '\0' || hour > 23 || minute > 59 || second > 60)
      return false;
  }
  int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + (minute - zone) * 60 + second;
  return !__builtin_mul_overflow(seconds, NS_PER_S, ns) && !__builtin_add_overflow(*ns, fraction, ns);
}

/* A decimal number times `unit`; false on overflow or without digits. */
static bool scaled(int64_t whole, int64_t fraction, int64_t unit, int64_t *result)
{
  __extension__ typedef __int128 i128;
  i128 value = (i128)whole * unit + (i128)fraction * unit / NS_PER_S;
  *result = (int64_t)value;
  return value >= INT64_MIN && value <= INT64_MAX;
}

static bool take_number(const char **text, int64_t *whole, int64_t *fraction)
{
  const char *start = *text;
  *whole = *fraction = 0;
  for (; **text >= '0' && **text <= '9'; (*text)++)
    if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, **text - '0', whole))
      return false;
  bool digits = *text > start;
  if (take(text, '.'))
    digits = take_fraction(text, fraction) || digits;
  return digits;
}

static bool take_unit(const char **text, int64_t *unit)
{
  static const struct {
    const char *name;
    int64_t ns;
  } units[] = {
      {"ns", 1},       {"us", 1000},         {"µs", 1000},           {"ms", 1000000},        {"min", NS_PER_S * 60},
      {"s", NS_PER_S}, {"m", NS_PER_S * 60}, {"h", NS_PER_S * 3600}, {"d", NS_PER_S * 86400}};
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t size = strlen(units[i].name);
    if (strncmp(*text, units[i].name, size) == 0) {
      *text += size;
      *unit = units[i].ns;
      return true;
    }
  }
  return false;
}

bool duration_parse(const char *text, int64_t *ns)
{
  *ns = 0;
  do {
    int64_t whole, fraction, unit = NS_PER_S, part;
    if (!take_number(&text, &whole, &fraction))
      return false;
    if (!take_unit(&text, &unit) && *text != '\0')
      return false;
    if (!scaled(whole, fraction, unit, &part) || __builtin_add_overflow(*ns, part, ns))
      return false;
  } while (*text != '\0');
  return true;
}

bool when_parse(const char *text, when *result)
{
  *result = (when){.base = WHEN_EPOCH};
  if (*text == '+' || *text == '-') {
    result->base = *text == '+' ? WHEN_BEGIN : WHEN_END;
    bool ok = duration_parse(text + 1, &result->ns);
    if (*text == '-')
      result->ns = -result->ns;
    return ok;
  }
  if (*text != '@' && rfc3339_parse(text, &result->ns))
    return true;
  return duration_parse(text + (*text == '@'), &result->ns);
}

bool size_parse(const char *text, uint64_t *size)
{
  int64_t whole, fraction, unit = 1, result;
  if (!take_number(&text, &whole, &fraction))
    return false;
  static const char letters[] = "KMGT";
  const char *letter = *text == '\0' ? NULL : strchr(letters, *text == 'k' ? 'K' : *text);
  if (letter != NULL) {
    unit = INT64_C(1) << (10 * (letter - letters + 1));
    text++;
    if (take(&text, 'i') && *text != 'B')
      return false;
  }
  take(&text, 'B');
  if (*text != '\0' || !scaled(whole, fraction, unit, &result))
    return false;
  *size = (uint64_t)result;
  return true;
}

void out_clock(out *o, int64_t second_of_day, uint32_t ns, int digits)
{
  out_padded(o, (uint64_t)second_of_day / 3600, 2);
  out_char(o, ':');
  out_padded(o, (uint64_t)second_of_day / 60 % 60, 2);
  out_char(o, ':');
  out_padded(o, (uint64_t)second_of_day % 60, 2);
  if (digits > 0) {
    out_char(o, '.');
    uint64_t fraction = ns;
    for (int i = digits; i < 9; i++)
      fraction /= 10;
    out_padded(o, fraction, digits);
  }
}

void out_date(out *o, int64_t days)
{
  int64_t year;
  int month, day;
  date_of(days, &year, &month, &day);
  if (year >= 0 && year <= 9999) {
    out_padded(o, (uint64_t)year, 4);
  } else { /* ISO 8601's expanded form; RFC 3339 has none */
    if (year > 0)
      out_char(o, '+');
    out_int(o, year);
  }
  out_char(o, '-');
  out_padded(o, (uint64_t)month, 2);
  out_char(o, '-');
  out_padded(o, (uint64_t)day, 2);
}

void out_rfc3339(out *o, int64_t seconds, uint32_t ns, int digits)
{
  int64_t days = seconds / 86400, rest = seconds % 86400;
  if (rest < 0) {
    days--;
    rest += 86400;
  }
  out_date(o, days);
  out_char(o, 'T');
  out_clock(o, rest, ns, digits);
  out_char(o, 'Z');
}

int64_t when_zone_offset(when_zone zone, int64_t ns)
{
  static int64_t known_quarter = INT64_MIN, known_offset; /* zones change at full quarters of an hour */
  if (zone != WHEN_LOCAL)
    return 0;
  if (known_quarter == INT64_MIN)
    tzset();
  int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0), quarter = seconds / 900 - (seconds % 900 < 0);
  if (quarter != known_quarter) {
    time_t t = (time_t)seconds;
    struct tm local = {0};
    known_offset = localtime_r(&t, &local) == NULL ? 0 : local.tm_gmtoff * NS_PER_S;
    known_quarter = quarter;
  }
  return known_offset;
}

when_parts when_split(when_zone zone, int64_t ns)
{
  int64_t seconds = ns / NS_PER_S, rest = ns % NS_PER_S;
  if (rest < 0) {
    seconds--;
    rest += NS_PER_S;
  }
  seconds += when_zone_offset(zone, ns) / NS_PER_S;
  int64_t day = seconds / 86400, second = seconds % 86400;
  if (second < 0) {
    day--;
    second += 86400;
  }
  return (when_parts){day, second, (uint32_t)rest};
}

void out_moment(out *o, when_zone zone, int64_t ns)
{
  if (zone != WHEN_LOCAL) {
    out_time(o, ns);
    return;
  }
  when_parts parts = when_split(zone, ns);
  int64_t ahead = when_zone_offset(zone, ns) / (60 * NS_PER_S);
  out_date(o, parts.day);
  out_char(o, 'T');
  out_clock(o, parts.second, parts.ns, 9);
  out_char(o, ahead < 0 ? '-' : '+');
  ahead = ahead < 0 ? -ahead : ahead;
  out_padded(o, (uint64_t)ahead / 60, 2);
  out_char(o, ':');
  out_padded(o, (uint64_t)ahead % 60, 2);
}

/* Rows come in order: the text up to the second is kept. */
void out_time(out *o, int64_t ns)
{
  static int64_t known = INT64_MIN;
  static char text[20]; /* "2026-11-20T12:00:00." */
  int64_t seconds = ns / NS_PER_S, rest = ns % NS_PER_S;
  if (rest < 0) {
    seconds--;
    rest += NS_PER_S;
  }
  if (seconds != known) {
    out whole;
    out_init(&whole, -1);
    out_rfc3339(&whole, seconds, 0, 1);
    bool usual = whole.error == 0 && whole.size == sizeof text + 2; /* four digits of year */
    if (usual) {
      memcpy(text, whole.data, sizeof text);
      known = seconds;
    }
    out_free(&whole);
    if (!usual) {
      out_rfc3339(o, seconds, (uint32_t)rest, 9);
      return;
    }
  }
  out_bytes(o, text, sizeof text);
  out_padded(o, (uint64_t)rest, 9);
  out_char(o, 'Z');
}

void out_duration(out *o, int64_t ns)
{
  double s = (double)ns / 1e9, size = s < 0 ? -s : s;
  if (ns == 0)
    out_text(o, "0 s");
  else if (size < 1e-6)
    out_format(o, "%" PRId64 " ns", ns);
  else if (size < 1e-3)
    out_format(o, "%.3g µs", s * 1e6);
  else if (size < 0.9995)
    out_format(o, "%.3g ms", s * 1e3);
  else if (size < 100)
    out_format(o, "%.2f s", s);
  else if (size < 3600)
    out_format(o, "%d min %02d s", (int)s / 60, (int)s % 60);
  else if (size < 86400 * 2)
    out_format(o, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
  else
    out_format(o, "%.1f d", s / 86400);
}

void out_size(out *o, uint64_t size)
{
  static const char units[] = "KMGTPE";
  if (size < 1024) {
    out_uint(o, size);
    out_text(o, " B");
    return;
  }
  double value = (double)size / 1024;
  int unit = 0;
  for (; value >= 1023.95 && unit < 5; unit++)
    value /= 1024;
  out_format(o, "%.1f %ciB", value, units[unit]);
}
