/* What every tool takes about inputs and rows: options as given on the command line. */
#ifndef TOOLS_SELECTION_H
#define TOOLS_SELECTION_H

#include "tools/cli.h"
#include "tools/when.h"

enum {
  SELECT_ENTITY = 'e',
  SELECT_EXCLUDE = 'x',
  SELECT_SINCE = 's',
  SELECT_UNTIL = 'u',
  SELECT_TIMELINE = 't',
  SELECT_WRITER = 'w',
  SELECT_NULL = '0',
  SELECT_IGNORE_SPOOL = 512,
  SELECT_FILES_FROM,
  SELECT_DROP_TIMELINE,
  SELECT_WALL_CLOCK,
  SELECT_MAX_MEMORY,
  SELECT_TEMPORARY_DIRECTORY,
  SELECT_MAX_RATIO,
};

#define ROW_OPTIONS                                                                                                    \
  {0, NULL, NULL, "Rows"},                                                                                             \
      {SELECT_ENTITY, "entity", "GLOB",                                                                                \
       "only entities that match: '*' within a part of the path, '**' across parts (may be repeated)"},                \
      {SELECT_EXCLUDE, "exclude", "GLOB", "not the entities that match, though --entity admits them (repeatable)"},    \
      {SELECT_SINCE, "since", "TIME", "only rows at TIME or later; static rows always pass"},                          \
      {SELECT_UNTIL, "until", "TIME", "only rows before TIME"},                                                        \
      {SELECT_WRITER, "writer", "WHO",                                                                                 \
       "only rows of this writer: its id (8 hex digits), pid:N, tid:N, thread:NAME, program:NAME or host:NAME (may "   \
       "be repeated)"},                                                                                                \
      {SELECT_DROP_TIMELINE, "drop-timeline", "NAME", "rows without their time on this timeline (may be repeated)"},   \
  {                                                                                                                    \
    SELECT_WALL_CLOCK, "wall-clock", NULL,                                                                             \
        "log_time as the wall clock of the logging host told it, instead of the clock that never steps"                \
  }

#define ORDER_OPTION                                                                                                   \
  {                                                                                                                    \
    SELECT_TIMELINE, "timeline", "NAME",                                                                               \
        "in the order of this timeline, only rows that are on it; TIMEs are on it too"                                 \
  }

#define INPUT_OPTIONS                                                                                                  \
  {0, NULL, NULL, "Inputs"},                                                                                           \
      {SELECT_FILES_FROM, "files-from", "FILE", "read names of further inputs from FILE, one a line; - is stdin"},     \
      {SELECT_NULL, "null", NULL, "names in --files-from end with NUL, not with a new line"},                          \
      {SELECT_IGNORE_SPOOL, "ignore-spool", NULL,                                                                      \
       "only what the files hold, without the rows that dead writers left in their spools"},                           \
      {SELECT_MAX_MEMORY, "max-memory", "SIZE", "sort in temporary files beyond this (default 256M, at least 16M)"},   \
      {SELECT_TEMPORARY_DIRECTORY, "temporary-directory", "DIR", "where these are (default TMPDIR or /var/tmp)"},      \
  {                                                                                                                    \
    SELECT_MAX_RATIO, "max-ratio", "N", "refuse to unpack more than N times an input's size (default 1000)"            \
  }

#define INPUT_CLOSING                                                                                                  \
  "An input is a recording (.rrd, .rrd.zst), a directory of them, an archive (tar,\n"                                  \
  "zip, 7z, ...) or ARCHIVE:PATTERN, a quoted glob that names no file, or - for\n"                                     \
  "standard input.\n"

#define SELECTION_CLOSING                                                                                              \
  INPUT_CLOSING "INPUT@+12ms or INPUT@-3.5s shifts all its rows in time.\n"                                            \
                "\n"                                                                                                   \
                "TIME: 2026-11-20T12:00:00.5Z (RFC 3339; UTC without zone), 1763640000.5 (seconds\n"                   \
                "since 1970, or with a unit: 1763640000500ms), +1.5s (after the first row), -10s\n"                    \
                "(before the last row). Units: ns us ms s m h d.\n"

/* A limit of time as typed. On a timeline that counts, `number` is what counts. */
typedef struct limit {
  bool given, has_time, has_number;
  const char *text;
  when time;
  when number;
} limit;

typedef enum writer_property { BY_TAG, BY_PID, BY_TID, BY_THREAD, BY_PROGRAM, BY_HOST } writer_property;

typedef struct writer_rule {
  writer_property by;
  int64_t number;
  const char *text;
} writer_rule;

typedef struct texts {
  const char **list;
  size_t count;
} texts;

typedef struct selection {
  texts entities, excluded, dropped_timelines;
  limit since, until;
  const char *timeline;
  writer_rule *writers;
  size_t writer_count;
  bool wall_clock;
  const char *application_id, *recording_id;
  const char *files_from;
  bool null;
  bool ignore_spool;
  bool follow; /* rk_reader_options.follow */
  uint64_t max_memory;
  const char *temporary_directory;
  uint32_t max_ratio;
} selection;

/* Takes one of ROW_OPTIONS, ORDER_OPTION or INPUT_OPTIONS with optarg; false: not one of them. */
bool selection_option(selection *s, int id);
void selection_free(selection *s);

#endif
