/* What this host knows of a process that wrote: whether it was here, since the last boot, and what it does now. */
#include "reader/host_process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a small file of the kernel's, as text; empty where it cannot be read. */
static void read_text(const char *path, char *text, size_t capacity)
{
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, capacity - 1);
  if (fd >= 0) {
    (void)close(fd);
  }
  text[n > 0 ? n : 0] = '\0';
}

bool rk_boot_is_ours(const char *boot_id)
{
  char own[40];
  read_text("/proc/sys/kernel/random/boot_id", own, sizeof own);
  own[strcspn(own, "\n")] = '\0';
  return own[0] != '\0' && strcmp(own, boot_id) == 0;
}

char rk_process_state(int64_t pid)
{
  char path[48], text[512];
  (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
  read_text(path, text, sizeof text);
  const char *state = strrchr(text, ')'); /* the program's name before it may hold anything */
  return (char)(state != NULL && state[1] == ' ' ? state[2] : '\0');
}
