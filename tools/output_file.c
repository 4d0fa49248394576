/* A file written without a name, or under a temporary one beside its place, and put there complete; or standard output.
 */
#include "tools/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/operands.h"

/* What a fatal signal has to take away: an output, and a report on it. */
static const char *volatile doomed[2];

static void on_signal(int number)
{
  for (size_t i = 0; i < sizeof doomed / sizeof doomed[0]; i++) {
    const char *path = doomed[i];
    if (path != NULL)
      unlink(path);
  }
  signal(number, SIG_DFL);
  raise(number);
}

static void guard(const char *path)
{
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXFSZ, SIGXCPU};
  doomed[doomed[0] != NULL] = path;
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction old;
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
      sigaction(signals[i], &(struct sigaction){.sa_handler = on_signal}, NULL);
  }
}

static void unguard(const char *path)
{
  for (size_t i = 0; i < sizeof doomed / sizeof doomed[0]; i++)
    if (doomed[i] == path)
      doomed[i] = NULL;
}

const char *output_name(const char *path)
{
  return strcmp(path, "-") == 0 ? "standard output" : path;
}

static bool failed(const output_file *f)
{
  cli_error(output_name(f->path), "%s", strerror(errno));
  return false;
}

void output_failed(const char *path, const rk_error *error)
{
  /* else a chunk that cannot be read, or a temporary file */
  cli_error_record(strstr(error->message, "merged recording") != NULL ? output_name(path) : NULL, error);
}

bool output_is_zst(const char *path)
{
  size_t size = strlen(path);
  return size >= 4 && strcmp(path + size - 4, ".zst") == 0;
}

bool output_is_input(const char *path, char *const *paths, size_t count)
{
  struct stat out_stat, in_stat;
  int found = strcmp(path, "-") == 0 ? fstat(STDOUT_FILENO, &out_stat) : stat(path, &out_stat);
  if (found != 0 || !S_ISREG(out_stat.st_mode))
    return false;
  for (size_t i = 0; i < count; i++) {
    if (operand_stat(paths[i], &in_stat) && in_stat.st_dev == out_stat.st_dev && in_stat.st_ino == out_stat.st_ino) {
      cli_error(paths[i], "is also the output");
      return true;
    }
  }
  return false;
}

/* Of the target's name; "." where it has none. */
static char *directory_of(const char *path)
{
  const char *slash = strrchr(path, '/');
  char *directory = cli_copy(slash == NULL ? "." : slash == path ? "/" : path);
  if (slash != NULL && slash != path)
    directory[slash - path] = '\0';
  return directory;
}

/* A new file in the target's directory that has no name yet, so that nothing is left however the process ends; -1: the
 * file system has none, or it could not be given one later. */
static int open_nameless(const char *target)
{
  char *directory = directory_of(target), self[32];
  int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  free(directory);
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  if (fd >= 0 && access(self, F_OK) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* Gives the file a name ".NAME.xxxxxx" in the target's directory; with fd -1 makes it. Its descriptor, or -1. */
static int name_temporary(output_file *f, int fd)
{
  const char *slash = strrchr(f->target, '/');
  size_t directory = slash == NULL ? 0 : (size_t)(slash - f->target) + 1, name = strlen(f->target + directory);
  size_t kept = name < 200 ? name : 200; /* a name of 255 bytes has no room for more */
  size_t size = directory + kept + 16;
  char self[32], *temporary = cli_realloc(NULL, size, 1);
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int named = -1;
  uint32_t number;
  do {
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
      break;
    snprintf(temporary, size, "%.*s.%.*s.%06x", (int)directory, f->target, (int)kept, f->target + directory,
             number & 0xFFFFFF);
    named = fd < 0 ? open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
            : linkat(AT_FDCWD, self, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0 ? fd
                                                                                  : -1;
  } while (named < 0 && errno == EEXIST);
  int saved = errno;
  if (named >= 0)
    guard(temporary);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (named >= 0)
    f->temporary = temporary;
  else
    free(temporary);
  errno = saved;
  return named;
}

/* A new file to be put where the target is, with the permissions that a plain creation would give. */
static int open_aside(output_file *f)
{
  int fd = open_nameless(f->target);
  if (fd < 0 && (fd = name_temporary(f, -1)) < 0)
    return -1;
  f->fd = fd;
  struct stat old;
  mode_t mask = umask(0);
  umask(mask);
  mode_t mode = stat(f->target, &old) == 0 ? old.st_mode & 0777 : 0666 & ~mask;
  return fchmod(fd, mode) == 0 ? fd : -1;
}

bool output_open(output_file *f, const char *path, bool force)
{
  *f = (output_file){.path = path, .fd = -1};
  struct stat s;
  if (strcmp(path, "-") == 0) {
    f->fd = STDOUT_FILENO;
    if (force || !isatty(STDOUT_FILENO))
      return true;
    cli_error(NULL, "a recording is binary and standard output is a terminal; give -o FILE, or --force");
    return false;
  }
  if (stat(path, &s) == 0) {
    if (S_ISDIR(s.st_mode)) {
      errno = EISDIR;
      return failed(f);
    }
    if (!S_ISREG(s.st_mode)) {
      f->fd = open(path, O_WRONLY | O_CLOEXEC);
      return f->fd >= 0 || failed(f);
    }
    f->target = realpath(path, NULL); /* through a symbolic link to the file itself */
    if (f->target == NULL)
      return failed(f);
  } else if (errno == ENOENT) {
    f->target = cli_copy(path);
  } else {
    return failed(f);
  }
  if (open_aside(f) >= 0)
    return true;
  failed(f);
  output_discard(f);
  return false;
}

static bool sync_directory(const char *path)
{
  char *directory = directory_of(path);
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(directory);
  /* some file systems cannot sync a directory, and one may be writable but not readable */
  bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL;
  if (fd >= 0)
    close(fd);
  return ok;
}

bool output_commit(output_file *f)
{
  bool ok = f->target == NULL || (fsync(f->fd) == 0 && (f->temporary != NULL || name_temporary(f, f->fd) >= 0));
  int saved = errno;
  if (close(f->fd) != 0 && ok) {
    ok = false;
    saved = errno;
  }
  f->fd = -1;
  errno = saved;
  if (!ok) {
    failed(f);
  } else if (f->target != NULL) {
    ok = rename(f->temporary, f->target) == 0;
    if (ok) {
      unguard(f->temporary);
      free(f->temporary);
      f->temporary = NULL;
      ok = sync_directory(f->target);
    }
    if (!ok)
      failed(f);
  }
  output_discard(f);
  return ok;
}

void output_discard(output_file *f)
{
  if (f->fd >= 0)
    close(f->fd);
  if (f->temporary != NULL)
    unlink(f->temporary);
  unguard(f->temporary);
  free(f->temporary);
  free(f->target);
  *f = (output_file){.path = f->path, .fd = -1};
}
