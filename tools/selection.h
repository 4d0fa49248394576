/* Inputs and filters as given on the command line, and the reader that they make. */
#ifndef TOOLS_SELECTION_H
#define TOOLS_SELECTION_H

#include "cli.h"
#include "when.h"

enum {
  SELECT_ENTITY = 'e',
  SELECT_SINCE = 's',
  SELECT_UNTIL = 'u',
  SELECT_TIMELINE = 't',
  SELECT_WRITER = 'w',
  SELECT_IGNORE_SPOOL = 512,
};

#define SELECTION_OPTIONS                                                                                              \
  {0, NULL, NULL, "Rows"},                                                                                             \
      {SELECT_ENTITY, "entity", "GLOB",                                                                                \
       "only entities that match: '*' within a part of the path, '**' across parts (may be repeated)"},                \
      {SELECT_SINCE, "since", "TIME", "only rows at TIME or later; static rows always pass"},                          \
      {SELECT_UNTIL, "until", "TIME", "only rows before TIME"},                                                        \
      {SELECT_TIMELINE, "timeline", "NAME", "only rows that are on this timeline"},                                    \
      {SELECT_WRITER, "writer", "WHO",                                                                                 \
       "only rows of this writer: its id (8 hex digits), pid:N, tid:N, thread:NAME, program:NAME or host:NAME (may "   \
       "be repeated)"},                                                                                                \
  {                                                                                                                    \
    SELECT_IGNORE_SPOOL, "ignore-spool", NULL,                                                                         \
        "only what the files hold, without the rows that dead writers left in their spools"                            \
  }

#define SELECTION_CLOSING                                                                                              \
  "TIME: 2026-11-20T12:00:00.5Z (RFC 3339; UTC without zone), 1763640000.5 (seconds\n"                                 \
  "since 1970, or with a unit: 1763640000500ms), +1.5s (after the first row), -10s\n"                                  \
  "(before the last row). Units: ns us ms s m h d.\n"

typedef enum writer_property { BY_TAG, BY_PID, BY_TID, BY_THREAD, BY_PROGRAM, BY_HOST } writer_property;

typedef struct writer_rule {
  writer_property by;
  int64_t number;
  const char *text;
} writer_rule;

typedef struct selection {
  const char **entities;
  size_t entity_count;
  when since, until;
  bool has_since, has_until;
  const char *timeline;
  writer_rule *writers;
  size_t writer_count;
  const char *application_id, *recording_id;
  bool ignore_spool;
} selection;

/* Takes one of SELECTION_OPTIONS with optarg; false: not one of them. */
bool selection_option(selection *s, int id);
void selection_free(selection *s);

typedef struct input {
  const char *path;
  uint64_t size; /* bytes read from it */
} input;

typedef struct inputs {
  rk_reader *reader;
  input *list; /* those that could be read */
  size_t count;
} inputs;

/* Opens a reader, adds every path (one that fails is reported and left out, and makes the exit code 1, or 3 where that
 * is `tolerated` and others can be read) and applies the selection. False: nothing can be read; reported. */
bool inputs_open(inputs *in, const selection *s, char **paths, size_t count, bool tolerated);
void inputs_free(inputs *in);

#endif
