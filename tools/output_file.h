/* A file written without a name, or under a temporary one beside its place, and put there complete; or standard output.
 */
#ifndef TOOLS_OUTPUT_FILE_H
#define TOOLS_OUTPUT_FILE_H

#include <stdbool.h>

#include "tools/cli.h"

typedef struct output_file {
  const char *path; /* as given */
  int fd;
  char *target;    /* the file that the path leads to; NULL: written in place (standard output, a device, a pipe) */
  char *temporary; /* its name until then; NULL: it has none */
} output_file;

/* Opens `path`, at most two at a time; "-" is standard output, refused on a terminal unless `force`. Reports its
 * failures. */
bool output_open(output_file *f, const char *path, bool force);
/* What to call it in a message: `path`, or "standard output" for "-". */
const char *output_name(const char *path);
/* Whether the file at `path` (or standard output) is one of these. Reports it. */
bool output_is_input(const char *path, char *const *paths, size_t count);
/* Whether the name is that of a "run.rrd.zst". */
bool output_is_zst(const char *path);
/* fsync, a name, rename over the target, fsync of the directory. Reports failures and then leaves the target alone. */
bool output_commit(output_file *f);
/* Reports why rk_reader_merge failed: names the output where it is to blame. */
void output_failed(const char *path, const rk_error *error);
/* Takes an uncommitted temporary file away. */
void output_discard(output_file *f);

#endif
