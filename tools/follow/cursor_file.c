/* A reader's place in a file of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/follow/following.h"

static bool failed(const char *path)
{
  cli_error(path, "%s", strerror(errno));
  return false;
}

/* Whether a place can be kept there: better known before rows are printed than behind them. */
static bool usable(const char *path)
{
  const char *slash = strrchr(path, '/');
  char *directory = slash == NULL ? cli_copy(".") : cli_copy(path);
  if (slash != NULL)
    directory[slash == path ? 1 : slash - path] = '\0';
  bool ok = access(directory, W_OK | X_OK) == 0;
  if (!ok)
    failed(path);
  free(directory);
  return ok;
}

bool cursor_load(const char *path, rk_reader *reader, bool *found)
{
  char *text = NULL;
  size_t capacity = 0;
  rk_error error = {.offset = RK_NO_OFFSET};
  *found = false;
  if (!usable(path))
    return false;
  FILE *file = fopen(path, "re");
  if (file == NULL)
    return errno == ENOENT || failed(path);
  errno = 0;
  ssize_t size = getdelim(&text, &capacity, '\0', file);
  bool ok = size >= 0 || (errno == 0 && !ferror(file));
  if (!ok)
    failed(path);
  fclose(file);
  if (ok && rk_reader_resume(reader, size > 0 ? text : "", &error) != RK_OK) {
    cli_error_record(path, &error);
    ok = false;
  }
  *found = ok;
  free(text);
  return ok;
}

static bool write_text(int fd, const char *text)
{
  out o;
  out_init(&o, fd);
  out_text(&o, text);
  out_char(&o, '\n');
  bool ok = out_flush(&o);
  errno = o.error;
  out_free(&o);
  return ok;
}

bool cursor_save(const char *path, const rk_reader *reader, bool lasting)
{
  char *text = rk_reader_cursor(reader), *temporary = NULL;
  if (text == NULL || asprintf(&temporary, "%s.new", path) < 0) {
    free(text);
    errno = ENOMEM;
    return failed(path);
  }
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
  bool ok = fd >= 0 && write_text(fd, text) && (!lasting || fsync(fd) == 0);
  int why = errno;
  if (fd >= 0 && close(fd) != 0 && ok) {
    ok = false;
    why = errno;
  }
  if (ok && rename(temporary, path) != 0) {
    ok = false;
    why = errno;
  }
  if (!ok && fd >= 0)
    unlink(temporary);
  free(temporary);
  free(text);
  errno = why;
  return ok || failed(path);
}
