/* The chaos harness: small file systems in a mount namespace of its own, and the ballast that fills them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

#define DISK_SIZE (96 << 20)

static bool unshared(void)
{
  static bool done;
  if (!done && (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)) {
    fprintf(stderr, "log_chaos: cannot make a mount namespace (needs root): %s\n", strerror(errno));
    return false;
  }
  return done = true;
}

static bool run(const char *const *arguments)
{
  const pid_t child = fork();
  if (child == 0) {
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "log_chaos: %s failed\n", arguments[0]);
    return false;
  }
  return true;
}

bool chaos_disk_mount(unsigned scenario, const char *directory, const char *image)
{
  if (!unshared() || (mkdir(directory, 0777) != 0 && errno != EEXIST)) {
    return false;
  }
  if ((scenario & CHAOS_TMPFS) != 0) {
    char options[32];
    snprintf(options, sizeof options, "size=%d", DISK_SIZE);
    if (mount("chaos", directory, "tmpfs", 0, options) != 0) {
      fprintf(stderr, "log_chaos: cannot mount a tmpfs: %s\n", strerror(errno));
      return false;
    }
    return true;
  }
  const int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool made = fd >= 0 && ftruncate(fd, DISK_SIZE) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return made && run((const char *const[]){"mkfs.ext4", "-q", "-F", "-m", "0", image, NULL}) &&
         run((const char *const[]){"mount", "-o", "loop", image, directory, NULL});
}

void chaos_disk_unmount(const char *directory, const char *image)
{
  if (umount2(directory, 0) != 0 && errno != EINVAL) {
    fprintf(stderr, "log_chaos: cannot unmount %s: %s\n", directory, strerror(errno));
    umount2(directory, MNT_DETACH);
  }
  rmdir(directory);
  unlink(image);
}

void chaos_disk_fill(const char *ballast, chaos_random *random)
{
  if (chaos_chance(random, 50)) {
    unlink(ballast);
    return;
  }
  const int fd = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct statvfs space;
  if (fd >= 0 && fstatvfs(fd, &space) == 0) {
    uint64_t left = (uint64_t)space.f_bavail * space.f_bsize;
    const uint64_t spare = chaos_chance(random, 50) ? 0 : chaos_below(random, 1 << 20);
    left = left > spare ? left - spare : 0;
    struct stat info;
    if (fstat(fd, &info) == 0 && left > 0 && fallocate(fd, 0, info.st_size, (off_t)left) != 0 && errno == ENOSPC) {
      (void)!fallocate(fd, 0, info.st_size, (off_t)(left / 4096 * 4096 * 9 / 10)); /* metadata takes some */
    }
  }
  if (fd >= 0) {
    close(fd);
  }
}
