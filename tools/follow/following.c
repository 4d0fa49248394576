/* What a tool does that follows inputs. */
#include "tools/follow/following.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/operands.h"

enum { WAKE_NS = 250000000, AWAIT_NS = 50000000 };

static volatile sig_atomic_t stopped, resized;

static void on_stop(int number)
{
  (void)number;
  stopped = 1;
}

static void on_resize(int number)
{
  (void)number;
  resized = 1;
}

void following_start(void)
{
  static const int signals[] = {SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction old;
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) /* ignored ones stay so */
      sigaction(signals[i], &(struct sigaction){.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND}, NULL);
  }
  sigaction(SIGWINCH, &(struct sigaction){.sa_handler = on_resize}, NULL);
}

bool following_stopped(void)
{
  return stopped != 0;
}

bool following_resized(void)
{
  bool yes = resized != 0;
  resized = 0;
  return yes;
}

/* "run.rrd@+1s" means "run.rrd". */
static bool is_there(const char *operand)
{
  struct stat s;
  const char *shift = strrchr(operand, '@');
  if (operand_is_standard_input(operand) || strpbrk(operand, "*?[") != NULL)
    return true; /* what a glob stands for is seen when it is expanded */
  if (stat(operand, &s) == 0)
    return !S_ISREG(s.st_mode) || s.st_size > 0;
  if (shift == NULL || shift == operand)
    return operand_stat(operand, &s);
  char *path = cli_copy(operand);
  path[shift - operand] = '\0';
  bool yes = operand_stat(path, &s) && (!S_ISREG(s.st_mode) || s.st_size > 0);
  free(path);
  return yes;
}

bool following_await(char *const *names, size_t count)
{
  for (size_t i = 0; i < count && !stopped;) {
    if (is_there(names[i]))
      i++;
    else
      nanosleep(&(struct timespec){.tv_nsec = AWAIT_NS}, NULL);
  }
  return !stopped;
}

/* Whether nobody will read the output any more. */
static bool is_deserted(int fd)
{
  struct pollfd p = {.fd = fd};
  return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)) != 0;
}

rk_status following_wait(rk_reader *reader, out *o)
{
  if (!out_flush(o) || is_deserted(o->fd) || stopped)
    return RK_END;
  rk_error error = {.offset = RK_NO_OFFSET};
  rk_status status = rk_reader_wait(reader, WAKE_NS, &error);
  if (status != RK_OK && status != RK_END)
    cli_error_record(NULL, &error);
  return status == RK_OK && stopped ? RK_END : status;
}
