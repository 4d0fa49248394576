/* Times, durations and sizes: from what people type, and to text. */
#ifndef TOOLS_WHEN_H
#define TOOLS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/out.h"

typedef enum when_base { WHEN_EPOCH, WHEN_BEGIN, WHEN_END } when_base;

/* A moment as typed; BEGIN and END are those of the recording. */
typedef struct when {
  when_base base;
  int64_t ns;
} when;

/* RFC 3339 (date alone, space for T and a missing zone, meaning UTC, are accepted); seconds since the epoch, or with a
 * unit ns us ms s, an "@" before them is allowed; "+DURATION" after the beginning, "-DURATION" before the end. False:
 * not a time, or outside the years that 64 bits of ns hold. */
bool when_parse(const char *text, when *result);
/* "1.5s", "20ms", "2h30m"; a bare number is in seconds. */
bool duration_parse(const char *text, int64_t *ns);
/* "1048576", "64K", "1.5MiB", "2G": units of 1024. */
bool size_parse(const char *text, uint64_t *size);

/* Whose clock moments are shown by. WHEN_RELATIVE has none of its own: UTC, where a moment is wanted after all. */
typedef enum when_zone { WHEN_UTC, WHEN_LOCAL, WHEN_RELATIVE } when_zone;

typedef struct when_parts {
  int64_t day;    /* since 1970-01-01 */
  int64_t second; /* of the day */
  uint32_t ns;
} when_parts;

/* What the zone's clock is ahead of UTC at that moment, in ns. */
int64_t when_zone_offset(when_zone zone, int64_t ns);
when_parts when_split(when_zone zone, int64_t ns);
/* RFC 3339 with nine digits: "...Z", local with its offset "...+01:00". */
void out_moment(out *o, when_zone zone, int64_t ns);

/* "2026-11-20T12:00:00.123456789Z" from seconds since the epoch and a fraction in ns. */
void out_rfc3339(out *o, int64_t seconds, uint32_t ns, int digits);
void out_time(out *o, int64_t ns); /* the same from ns, nine digits */
void out_date(out *o, int64_t days);
void out_clock(out *o, int64_t second_of_day, uint32_t ns, int digits);
/* For people: "1.234 s", "2 h 03 min"; "12.3 KiB". */
void out_duration(out *o, int64_t ns);
void out_size(out *o, uint64_t size);

#endif
