/* The spool's directory: made with the recording's rights, opened without following a link, and the only way to the
 * files in it (SPEC "Spool"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/writer_internal.h"

/* Gives `fd` the recording's group and the mode `mode`. Where the group cannot be given, its rights are those of all.
 */
static void share(int fd, mode_t mode, gid_t group)
{
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return;
  }
  if (info.st_gid != group && fchown(fd, (uid_t)-1, group) != 0) {
    mode = (mode & ~(mode_t)070) | (mode & 07) << 3;
  }
  if ((info.st_mode & 0777) != mode) {
    (void)fchmod(fd, mode);
  }
}

static mode_t mode_of(const rk_recording *recording, gid_t *group)
{
  struct stat info;
  if (fstat(recording->fd, &info) != 0) {
    *group = getegid();
    return 0600;
  }
  *group = info.st_gid;
  return (info.st_mode & 0666) | 0600;
}

static rk_status refused(const rk_recording *recording, int failed, rk_error *error)
{
  static const char advice[] = "choose another by the option spool_directory or RRDKIT_SPOOL_DIR";
  const char *path = recording->spool_directory;
  switch (failed) {
  case EACCES:
  case EPERM:
  case EROFS:
    return rk_fail_errno(error, failed, "cannot write in the spool directory %.90s (%s)", path, advice);
  case ELOOP:
  case ENOTDIR:
    return rk_fail_errno(error, failed, "the spool directory %.90s is a link or no directory (%s)", path, advice);
  case ENOENT:
    return rk_fail_errno(error, failed, "the spool directory %.90s cannot be made (%s)", path, advice);
  default:
    return rk_fail_errno(error, failed, "cannot make a spool in %.90s (%s)", path, advice);
  }
}

int rk_spool_create(const rk_recording *recording, const char *name, int flags)
{
  gid_t group;
  const mode_t mode = mode_of(recording, &group);
  const int fd = openat(recording->spool_fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) {
    share(fd, mode, group);
  }
  return fd;
}

rk_status rk_spool_enter(rk_recording *recording, const char *name, int flags, int *fd, rk_error *error)
{
  *fd = -1;
  for (int attempt = 0; attempt < 100; attempt++) {
    rk_spool_leave(recording);
    /* A place that the user chose may be a link; one that anybody could have made must not. */
    recording->spool_fd = open(recording->spool_directory,
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC | (recording->spool_is_ours ? O_NOFOLLOW : 0));
    if (recording->spool_fd < 0 && errno == ENOENT) {
      gid_t group;
      const mode_t mode = mode_of(recording, &group);
      const mode_t all = mode | (mode & 0444) >> 2;
      if (mkdir(recording->spool_directory, all) == 0) {
        const int made = open(recording->spool_directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (made >= 0) {
          share(made, all, group);
          close(made);
        }
      } else if (errno != EEXIST) {
        return refused(recording, errno, error);
      }
      continue;
    }
    if (recording->spool_fd < 0) {
      return refused(recording, errno, error);
    }
    *fd = rk_spool_create(recording, name, flags);
    if (*fd >= 0) {
      return RK_OK;
    }
    if (errno != ENOENT) { /* else a parting participant has just removed the directory */
      return refused(recording, errno, error);
    }
  }
  return rk_fail(error, RK_ERR_IO, RK_NO_OFFSET, "the spool directory %.100s comes and goes",
                 recording->spool_directory);
}

void rk_spool_leave(rk_recording *recording)
{
  if (recording->spool_fd >= 0) {
    close(recording->spool_fd);
    recording->spool_fd = -1;
  }
}
