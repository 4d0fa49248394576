/* Who this process is, and its clocks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/writer_internal.h"

static char boot_id[40];
static char host_name[256];
static pthread_once_t identity_once = PTHREAD_ONCE_INIT;

static void read_identity(void)
{
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    const ssize_t n = read(fd, boot_id, sizeof boot_id - 1);
    close(fd);
    boot_id[n > 0 ? n : 0] = '\0';
    boot_id[strcspn(boot_id, "\n")] = '\0';
  }
  if (gethostname(host_name, sizeof host_name - 1) != 0) {
    host_name[0] = '\0';
  }
}

const char *rk_boot_id(void)
{
  pthread_once(&identity_once, read_identity);
  return boot_id;
}

const char *rk_host_name(void)
{
  pthread_once(&identity_once, read_identity);
  return host_name;
}

const char *rk_program_name(void)
{
  return program_invocation_short_name == NULL ? "" : program_invocation_short_name;
}

rk_status rk_random(void *out, size_t size, rk_error *error)
{
  uint8_t *at = out;
  while (size > 0) {
    const ssize_t n = getrandom(at, size, 0);
    if (n < 0 && errno != EINTR) {
      return rk_fail_errno(error, errno, "no random numbers");
    }
    if (n > 0) {
      at += n;
      size -= (size_t)n;
    }
  }
  return RK_OK;
}

int64_t rk_clock(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void rk_clock_pair(int64_t *monotonic, int64_t *realtime)
{
  int64_t best = INT64_MAX;
  for (int i = 0; i < 3; i++) {
    const int64_t before = rk_clock(CLOCK_MONOTONIC);
    const int64_t real = rk_clock(CLOCK_REALTIME);
    const int64_t width = rk_clock(CLOCK_MONOTONIC) - before;
    if (width < best) {
      best = width;
      *monotonic = before + width / 2;
      *realtime = real;
    }
  }
}
