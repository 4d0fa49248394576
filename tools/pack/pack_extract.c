/* Files of a bundle put into a directory: never outside it, never through a link, never half. */
#include "tools/pack/pack_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"

typedef struct extraction {
  const char *name;
  int fd, error;
} extraction;

static bool take_block(void *context, const void *block, size_t size)
{
  extraction *e = context;
  if (out_write(e->fd, block, size))
    return true;
  e->error = errno;
  return false;
}

/* The directory of the name's last part, made part by part; -1 with errno. The name is safe (pack_name_safe). */
static int open_parent(int root, const char *name, const char **base)
{
  int directory = fcntl(root, F_DUPFD_CLOEXEC, 3);
  for (const char *slash; directory >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
    char part[256];
    memcpy(part, name, (size_t)(slash - name));
    part[slash - name] = '\0';
    int inner = -1;
    if (mkdirat(directory, part, 0777) == 0 || errno == EEXIST)
      inner = openat(directory, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int saved = errno;
    close(directory);
    errno = saved;
    directory = inner;
  }
  *base = name;
  return directory;
}

/* A new file ".rrd-pack-XXXXXXXX" in the directory; -1 with errno. */
static int open_temporary(int directory, char name[32])
{
  for (int tries = 0; tries < 100; tries++) {
    unsigned salt = 0;
    if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
      salt = (unsigned)getpid() + (unsigned)tries;
    snprintf(name, 32, ".rrd-pack-%08x", salt);
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST)
      return fd;
  }
  return -1;
}

static bool put(int directory, const char *from, const char *to, bool force)
{
  struct stat info;
  if (force) {
    if (fstatat(directory, to, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode)) {
      errno = EISDIR;
      return false;
    }
    return renameat(directory, from, directory, to) == 0;
  }
  if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
    return true;
  if (errno != EINVAL && errno != ENOSYS)
    return false;
  return linkat(directory, from, directory, to, 0) == 0 && unlinkat(directory, from, 0) == 0;
}

bool pack_extract(bundle *b, int directory, bool force)
{
  const char *base;
  struct stat info;
  char temporary[32];
  extraction e = {.name = b->member->name, .fd = -1};
  int parent = open_parent(directory, b->member->name, &base);
  bool exists = parent >= 0 && !force && fstatat(parent, base, &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (parent >= 0 && !exists)
    e.fd = open_temporary(parent, temporary);
  if (e.fd < 0) {
    cli_error(b->member->name, "%s", exists ? "is there already; --force replaces it" : strerror(errno));
    if (parent >= 0)
      close(parent);
    return false;
  }
  bool ok = bundle_take(b, take_block, &e);
  if (ok && fsync(e.fd) != 0)
    e.error = errno;
  if (close(e.fd) != 0 && e.error == 0)
    e.error = errno;
  if (ok && e.error == 0 && !put(parent, temporary, base, force))
    e.error = errno;
  if (!ok || e.error != 0)
    unlinkat(parent, temporary, 0);
  if (e.error != 0)
    cli_error(b->member->name, "%s", e.error == EEXIST ? "is there already; --force replaces it" : strerror(e.error));
  close(parent);
  return ok && e.error == 0;
}
