/* The inputs that the operands of a command line stand for: files, directories, globs, lists, each with its shift. */
#include "tools/operands.h"

#include <errno.h>
#include <fts.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct expansion {
  operands *to;
  int code; /* for the exit, where something stands for nothing */
} expansion;

static void add(operands *o, const char *path, int64_t shift_ns)
{
  if ((o->count & (o->count - 1)) == 0) {
    size_t room = o->count == 0 ? 1 : o->count * 2;
    o->paths = cli_realloc(o->paths, room, sizeof *o->paths);
    o->shifts = cli_realloc(o->shifts, room, sizeof *o->shifts);
  }
  o->paths[o->count] = cli_copy(path);
  o->shifts[o->count++] = shift_ns;
}

static void fail(expansion *e, const char *path, const char *message)
{
  rk_error error = {.status = RK_ERR_IO, .offset = RK_NO_OFFSET};
  snprintf(error.message, sizeof error.message, "%s", message);
  cli_report(path, &error);
  cli_worsen(e->code);
  e->to->failed++;
}

static bool exists(const char *path, bool *is_directory)
{
  struct stat s;
  if (stat(path, &s) != 0)
    return false;
  *is_directory = S_ISDIR(s.st_mode);
  return true;
}

static bool ends_with(const char *text, size_t size, const char *end)
{
  size_t end_size = strlen(end);
  return size > end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

static bool is_recording_name(const char *name, size_t size)
{
  return ends_with(name, size, ".rrd") || ends_with(name, size, ".rbl") || ends_with(name, size, ".rrd.zst");
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
  return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void add_directory(expansion *e, const char *path, int64_t shift_ns)
{
  char *copy = cli_copy(path), *roots[] = {copy, NULL};
  size_t before = e->to->count, failed = e->to->failed;
  FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
  if (tree == NULL)
    fail(e, path, strerror(errno));
  for (FTSENT *entry; tree != NULL && (entry = fts_read(tree)) != NULL;) {
    bool named = is_recording_name(entry->fts_name, entry->fts_namelen), is_directory = false;
    if (entry->fts_info == FTS_D && entry->fts_level > 0 && ends_with(entry->fts_name, entry->fts_namelen, ".spool"))
      fts_set(tree, entry, FTS_SKIP);
    else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
      fail(e, entry->fts_path, strerror(entry->fts_errno));
    else if (named && entry->fts_info == FTS_SL && !exists(entry->fts_path, &is_directory))
      fail(e, entry->fts_path, strerror(errno));
    else if (named && (entry->fts_info == FTS_F || (entry->fts_info == FTS_SL && !is_directory)))
      add(e->to, entry->fts_path, shift_ns);
  }
  if (tree != NULL)
    fts_close(tree);
  if (e->to->count == before && e->to->failed == failed)
    fail(e, path, "no recording (*.rrd, *.rbl, *.rrd.zst) is in this directory");
  free(copy);
}

static void add_existing(expansion *e, const char *path, bool is_directory, int64_t shift_ns)
{
  if (is_directory)
    add_directory(e, path, shift_ns);
  else
    add(e->to, path, shift_ns);
}

/* Adds what matches, with `rest` after it. False: nothing does. */
static bool add_matches(expansion *e, const char *pattern, const char *rest, int64_t shift_ns)
{
  if (strpbrk(pattern, "*?[") == NULL)
    return false;
  glob_t found;
  bool any = glob(pattern, 0, NULL, &found) == 0;
  for (size_t i = 0; any && i < found.gl_pathc; i++) {
    const char *match = found.gl_pathv[i];
    bool is_directory = false;
    exists(match, &is_directory);
    if (*rest == '\0') {
      add_existing(e, match, is_directory, shift_ns);
      continue;
    }
    char *whole = cli_realloc(NULL, strlen(match) + strlen(rest) + 1, 1);
    strcpy(stpcpy(whole, match), rest);
    add(e->to, whole, shift_ns);
    free(whole);
  }
  if (any)
    globfree(&found);
  return any;
}

bool operand_is_standard_input(const char *path)
{
  return path[0] == '-' && (path[1] == '\0' || path[1] == ':' || path[1] == '@');
}

bool operand_stat(const char *path, struct stat *s)
{
  if (operand_is_standard_input(path))
    return fstat(STDIN_FILENO, s) == 0;
  if (stat(path, s) == 0)
    return true;
  char *copy = cli_copy(path);
  bool found = false;
  for (const char *colon = strchr(path, ':'); colon != NULL && !found; colon = strchr(colon + 1, ':')) {
    copy[colon - path] = '\0';
    found = stat(copy, s) == 0 && !S_ISDIR(s->st_mode);
    copy[colon - path] = ':';
  }
  free(copy);
  return found;
}

/* "ARCHIVES:PATTERN" whose first part is a glob. */
static bool add_archives(expansion *e, const char *path, int64_t shift_ns)
{
  bool any = false;
  for (const char *colon = strchr(path, ':'); colon != NULL && !any; colon = strchr(colon + 1, ':')) {
    char *pattern = cli_copy(path);
    pattern[colon - path] = '\0';
    any = add_matches(e, pattern, colon, shift_ns);
    free(pattern);
  }
  return any;
}

static void expand(expansion *e, const char *path, int64_t shift_ns, bool may_shift)
{
  bool is_directory;
  if (strcmp(path, "-") != 0 && exists(path, &is_directory)) {
    add_existing(e, path, is_directory, shift_ns);
    return;
  }
  int missing = errno;
  const char *at = may_shift ? strrchr(path, '@') : NULL;
  int64_t shift;
  if (at != NULL && at > path && (at[1] == '+' || at[1] == '-') && duration_parse(at + 2, &shift)) {
    char *unshifted = cli_copy(path);
    unshifted[at - path] = '\0';
    expand(e, unshifted, at[1] == '-' ? -shift : shift, false);
    free(unshifted);
    return;
  }
  struct stat archive;
  if (operand_stat(path, &archive))
    add(e->to, path, shift_ns);
  else if (add_matches(e, path, "", shift_ns) || add_archives(e, path, shift_ns))
    return;
  else if (strpbrk(path, "*?[") != NULL)
    fail(e, path, "no file has this name or matches this pattern");
  else
    fail(e, path, strerror(missing));
}

static void expand_list(expansion *e, const selection *s)
{
  bool from_stdin = strcmp(s->files_from, "-") == 0;
  FILE *list = from_stdin ? stdin : fopen(s->files_from, "re");
  char *line = NULL;
  size_t room = 0;
  ssize_t size = 0;
  while (list != NULL && (size = getdelim(&line, &room, s->null ? '\0' : '\n', list)) >= 0) {
    if (size > 0 && line[size - 1] == (s->null ? '\0' : '\n'))
      line[--size] = '\0';
    if (size == 0)
      continue;
    if (memchr(line, '\0', (size_t)size) != NULL)
      fail(e, s->files_from, "a name in it holds a NUL; -0 is for names that end with one");
    else if (from_stdin && operand_is_standard_input(line))
      fail(e, s->files_from, "standard input holds the list, and cannot be an input too");
    else
      expand(e, line, 0, true);
  }
  if (list == NULL || ferror(list))
    fail(e, s->files_from, strerror(errno));
  free(line);
  if (list != NULL && !from_stdin)
    fclose(list);
}

void operands_expand(operands *o, const selection *s, char **operand, size_t count, int code)
{
  *o = (operands){0};
  expansion e = {.to = o, .code = code};
  if (count == 0 && s->files_from == NULL)
    cli_usage("no input file");
  if (s->null && s->files_from == NULL)
    cli_usage("-0 is about --files-from");
  for (size_t i = 0; i < count; i++) {
    if (s->files_from != NULL && strcmp(s->files_from, "-") == 0 && operand_is_standard_input(operand[i]))
      cli_usage("standard input holds the list of --files-from, and cannot be an input too");
    expand(&e, operand[i], 0, true);
  }
  if (s->files_from != NULL)
    expand_list(&e, s);
  if (o->count == 0 && o->failed == 0)
    fail(&e, s->files_from, "names no input");
}

void operands_free(operands *o)
{
  for (size_t i = 0; i < o->count; i++)
    free(o->paths[i]);
  free(o->paths);
  free(o->shifts);
  *o = (operands){0};
}
