/* Reading JSON that somebody else may have written: a pull reader over text in memory. */
#ifndef TOOLS_PACK_JSON_H
#define TOOLS_PACK_JSON_H

#include <stdbool.h>
#include <stdint.h>

typedef struct json_reader {
  const char *at, *end;
  bool failed; /* sticky */
} json_reader;

/* Takes '{' or '['. */
bool json_enter(json_reader *r, char bracket);
/* Whether another element follows, its comma taken; else the closing bracket is taken. `first`: none came yet. */
bool json_more(json_reader *r, char bracket, bool first);
/* A string, decoded, to be freed; NULL: none, or it holds a NUL or is not UTF-8. */
char *json_read_string(json_reader *r);
char *json_read_key(json_reader *r); /* the same, and the colon */
bool json_read_uint(json_reader *r, uint64_t *value);
/* Any value, nested at most 32 deep. */
bool json_skip(json_reader *r);
/* Nothing but white space is left, and nothing failed. */
bool json_end(json_reader *r);

#endif
