/* The Rerun web viewer's npm package: where it is, and getting it. */
#include "tools/replay/replay_viewer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "embedded/replay_package.h"
#include "tools/cli.h"

#define VIEWER_NAME "web-viewer-0.33.0"

/* "a/b": the caller frees. */
static char *join(const char *directory, const char *name)
{
  out path;
  out_init(&path, -1);
  out_format(&path, "%s/%s", directory, name);
  out_char(&path, '\0');
  char *copy = cli_copy(path.error == 0 ? path.data : "");
  out_free(&path);
  return copy;
}

static bool is_viewer(const char *directory)
{
  static const char *const files[] = {"index.js", "re_viewer.js", "re_viewer_bg.wasm"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    char *path = join(directory, files[i]);
    bool there = access(path, R_OK) == 0;
    free(path);
    if (!there)
      return false;
  }
  return true;
}

/* NULL: the user has no home. */
static char *cache_directory(void)
{
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache != NULL && cache[0] == '/')
    return join(cache, "rrdkit");
  return home != NULL && home[0] == '/' ? join(home, ".cache/rrdkit") : NULL;
}

/* Where an installed program finds its package's files. */
static char *shared_directory(void)
{
  char program[4096];
  ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
  if (size <= 0)
    return NULL;
  program[size] = '\0';
  char *slash = strrchr(program, '/');
  if (slash == NULL)
    return NULL;
  *slash = '\0';
  return join(program, "../share/rrdkit/web-viewer");
}

char *viewer_find(const char *given)
{
  const char *named = given != NULL ? given : getenv("RRDKIT_WEB_VIEWER");
  if (named != NULL && *named != '\0') {
    if (is_viewer(named))
      return cli_copy(named);
    cli_error(cli_printable(named), "this is not the @rerun-io/web-viewer package: index.js, re_viewer.js or "
                                    "re_viewer_bg.wasm is missing");
    return NULL;
  }
  char *candidates[2] = {shared_directory(), NULL}, *cache = cache_directory();
  if (cache != NULL)
    candidates[1] = join(cache, VIEWER_NAME);
  free(cache);
  char *found = NULL;
  for (int i = 0; i < 2; i++) {
    if (found == NULL && candidates[i] != NULL && is_viewer(candidates[i]))
      found = candidates[i];
    else
      free(candidates[i]);
  }
  if (found == NULL)
    cli_error(NULL, "the Rerun web viewer is not installed. Run 'rrd-replay --fetch-viewer' once (it needs npm and the "
                    "network), or name the @rerun-io/web-viewer package with --viewer DIR");
  return found;
}

/* ---- Fetching ---- */

static bool make_directories(char *path)
{
  for (char *p = path + 1;; p++) {
    if (*p != '/' && *p != '\0')
      continue;
    char end = *p;
    *p = '\0';
    int failed = mkdir(path, 0777) != 0 && errno != EEXIST;
    *p = end;
    if (failed) {
      cli_error(path, "cannot make this directory: %s", strerror(errno));
      return false;
    }
    if (end == '\0')
      return true;
  }
}

static bool write_file(const char *directory, const char *name, const unsigned char *data, size_t size)
{
  char *path = join(directory, name);
  FILE *f = fopen(path, "we");
  bool ok = f != NULL && fwrite(data, 1, size, f) == size;
  ok = (f == NULL || fclose(f) == 0) && ok;
  if (!ok)
    cli_error(path, "%s", strerror(errno));
  free(path);
  return ok;
}

/* Runs a program, its output going to standard error. */
static bool run(char *const arguments[])
{
  pid_t child = fork();
  if (child == 0) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(arguments[0], arguments);
    _exit(127);
  }
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return true;
  if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
    cli_error(NULL, "%s is not installed (Debian: apt-get install npm)", arguments[0]);
  else
    cli_error(NULL, "%s failed", arguments[0]);
  return false;
}

static bool fetch_into(const char *scratch, const char *target)
{
  char *npm[] = {"npm",       "ci",       "--ignore-scripts",         "--no-audit",
                 "--no-fund", "--prefix", (char *)(uintptr_t)scratch, "--loglevel=error",
                 NULL};
  if (!write_file(scratch, "package.json", package_json, package_json_size) ||
      !write_file(scratch, "package-lock.json", package_lock_json, package_lock_json_size) || !run(npm))
    return false;
  char *package = join(scratch, "node_modules/@rerun-io/web-viewer");
  bool ok = is_viewer(package);
  if (!ok)
    cli_error(cli_printable(package), "npm installed something else than the web viewer");
  else if (rename(package, target) != 0 && !is_viewer(target)) { /* else somebody was faster */
    cli_error(cli_printable(target), "%s", strerror(errno));
    ok = false;
  }
  free(package);
  return ok;
}

bool viewer_fetch(void)
{
  char *cache = cache_directory();
  if (cache == NULL) {
    cli_error(NULL, "neither XDG_CACHE_HOME nor HOME names a directory to put the viewer into");
    return false;
  }
  char *target = join(cache, VIEWER_NAME), *scratch = join(cache, ".fetch-XXXXXX");
  bool ok = is_viewer(target);
  if (!ok && make_directories(cache)) {
    if (mkdtemp(scratch) == NULL)
      cli_error(cli_printable(cache), "%s", strerror(errno));
    else {
      char *rm[] = {"rm", "-rf", "--", scratch, NULL};
      ok = fetch_into(scratch, target);
      run(rm);
    }
  }
  if (ok)
    cli_note("the web viewer is in %s", cli_printable(target));
  free(scratch);
  free(target);
  free(cache);
  return ok;
}
