/* Who this process is, and its clocks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

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

/* ---- The time-stamp counter ---- */

#define HOLDS_NS 500000 /* a pair */
#define DOUBT_NS 200    /* of two pairs together, at most */
#define AGREES   512    /* paces that differ by no more than this part: 1000 ppm of slewing, and both in doubt */

static bool is_usable(void)
{
#ifdef __x86_64__
  unsigned eax, ebx, ecx, edx;
  char source[4] = "";
  const int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    const bool is_whole = read(fd, source, sizeof source) == sizeof source;
    close(fd);
    return is_whole && memcmp(source, "tsc\n", sizeof source) == 0 && __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) &&
           (edx & 1U << 8) != 0; /* invariant */
  }
#endif
  return false;
}

bool (*rk_ticks_usable)(void) = is_usable;

void rk_tick_clock_pair(rk_tick_clock *clock, uint64_t before, int64_t ns, uint64_t after)
{
  const int64_t passed = ns - clock->ns;
  if (passed >= 0 && passed < HOLDS_NS / 2) {
    return;
  }
  const uint64_t doubt = after - before;
  const uint64_t ticks = before + doubt / 2;
  const double pace = (double)passed / (double)(int64_t)(ticks - clock->ticks); /* also negative or infinite */
  const double change = pace < clock->pace ? clock->pace - pace : pace - clock->pace;
  clock->span = 0;
  if (change <= pace / AGREES && (double)(doubt + clock->doubt) * pace <= DOUBT_NS) {
    clock->rate = (uint64_t)(pace * 0x1p32);
    clock->span = (uint64_t)(HOLDS_NS / pace);
  }
  clock->ticks = ticks;
  clock->ns = ns;
  clock->doubt = doubt;
  clock->pace = pace;
}

int64_t rk_tick_clock_read(rk_tick_clock *clock)
{
  const uint64_t before = rk_ticks();
  const int64_t ns = rk_clock(CLOCK_MONOTONIC);
  rk_tick_clock_pair(clock, before, ns, rk_ticks());
  return ns;
}
