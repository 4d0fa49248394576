/* The chaos harness: a process that logs from many threads until it ends in one of many ways. */
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

#define HEARTBEAT_MAX 60 /* s */

typedef struct writer {
  const chaos_round *round;
  rk_recording *recording;
  uint32_t number;
  chaos_plan plan;
  _Atomic uint32_t stop;
} writer;

static bool stopped(const writer *w)
{
  return atomic_load(&w->stop) != 0 || atomic_load(&w->round->truth->stop) != 0;
}

/* Logs up to `rows` rows; what is beyond the round's budget has to wait, alive. */
static void log_rows(const writer *w, uint64_t rows)
{
  chaos_logger logger;
  if (!chaos_logger_start(&logger, w->round, w->recording)) {
    return;
  }
  chaos_random random = {chaos_mix(w->round->seed ^ logger.slot)};
  for (uint64_t row = 0; row < rows && !stopped(w);) {
    if (atomic_load_explicit(&w->round->truth->budget, memory_order_relaxed) <= 0) {
      chaos_sleep_us(2000);
      continue;
    }
    if (!chaos_logger_log(&logger)) {
      break;
    }
    row++;
    if (logger.habit.pause_us != 0 && row % logger.habit.pause_every == 0) {
      chaos_sleep_us(chaos_below(&random, logger.habit.pause_us));
    }
    if (logger.habit.flush_every != 0 && row % logger.habit.flush_every == 0) {
      if (chaos_chance(&random, 5)) {
        rk_recording_sync(w->recording);
      } else {
        rk_recording_flush(w->recording); /* may be refused where the disk is full */
      }
    }
  }
  chaos_logger_end(&logger);
}

static void *log_forever(void *argument)
{
  log_rows(argument, UINT64_MAX);
  return NULL;
}

static void *log_shortly(void *argument)
{
  const writer *w = argument;
  chaos_random random = {w->plan.seed ^ (uint64_t)gettid()};
  log_rows(w, chaos_below(&random, 50));
  return NULL;
}

/* Threads that come and go. */
static void *churn(void *argument)
{
  writer *w = argument;
  chaos_random random = {w->plan.seed ^ 1};
  while (!stopped(w) && atomic_load(&w->round->truth->slot_count) < CHAOS_SLOTS / 2) {
    pthread_t threads[16];
    const unsigned count = 1 + (unsigned)chaos_below(&random, 16);
    unsigned made = 0;
    while (made < count && pthread_create(&threads[made], NULL, log_shortly, w) == 0) {
      made++;
    }
    for (unsigned i = 0; i < made; i++) {
      pthread_join(threads[i], NULL);
    }
  }
  return NULL;
}

/* The end of a process, from whatever thread. CHAOS_END_CLOSE and _RETURN are the caller's. */
static void end_process(const writer *w, uint32_t number, chaos_end end)
{
  atomic_store(&w->round->truth->processes[number].ending, (int32_t)end);
  switch (end) {
  case CHAOS_END_EXIT:
    exit(0);
  case CHAOS_END_QUICK_EXIT:
    _exit(0);
  case CHAOS_END_SIGKILL:
    kill(getpid(), SIGKILL);
    break;
  case CHAOS_END_SIGSEGV:
    signal(SIGSEGV, SIG_DFL);
    kill(getpid(), SIGSEGV);
    break;
  case CHAOS_END_ABORT:
    signal(SIGABRT, SIG_DFL);
    kill(getpid(), SIGABRT); /* abort() itself can hang in the child of a fork that another thread's abort() met */
    break;
  case CHAOS_END_NONE:
  case CHAOS_END_CLOSE:
  case CHAOS_END_RETURN:
  case CHAOS_END_SIGXFSZ:
  case CHAOS_END_COUNT:
    return;
  }
  for (;;) {
    pause(); /* the signal is on its way */
  }
}

static void *exit_process(void *argument)
{
  const writer *w = argument;
  end_process(w, w->number, CHAOS_END_EXIT);
  return NULL;
}

/* ---- Fork storms ---- */

/* A forked child: it logs a little through the handle that it inherited, and dies. */
static _Noreturn void run_child(writer *w, uint32_t number, uint64_t seed)
{
  atomic_store(&w->round->truth->processes[number].pid, getpid());
  chaos_random random = {seed};
  pthread_t thread;
  const bool threaded = chaos_chance(&random, 30) && pthread_create(&thread, NULL, log_shortly, w) == 0;
  log_rows(w, chaos_log_uniform(&random, 1, 200));
  if (threaded && chaos_chance(&random, 50)) {
    pthread_join(thread, NULL);
  }
  static const chaos_end ends[] = {CHAOS_END_QUICK_EXIT, CHAOS_END_QUICK_EXIT, CHAOS_END_SIGKILL, CHAOS_END_ABORT,
                                   CHAOS_END_SIGSEGV,    CHAOS_END_EXIT,       CHAOS_END_CLOSE};
  chaos_end end = ends[chaos_below(&random, sizeof ends / sizeof ends[0])];
  if (end == CHAOS_END_EXIT && (w->plan.end == CHAOS_END_EXIT || w->plan.end == CHAOS_END_RETURN)) {
    end = CHAOS_END_QUICK_EXIT; /* exit() can hang in a child forked while another thread was in exit() */
  }
  end_process(w, number, end);
  atomic_store(&w->round->truth->processes[number].ending, CHAOS_END_CLOSE);
  const rk_status status = rk_recording_close(w->recording);
  if (status != RK_OK) {
    rk_error error;
    rk_recording_error(w->recording, &error);
    if (status != RK_ERR_IO) {
      fprintf(stderr, "log_chaos: a child's close: %s: %s\n", rk_status_text(status), error.message);
    }
  }
  _exit(status == RK_OK ? 0 : status == RK_ERR_IO ? CHAOS_REFUSED : 1);
}

static void reap(const writer *w)
{
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    const chaos_end end = chaos_process_ended(w->round, pid, status);
    atomic_fetch_add(&w->round->truth->ends[end], 1);
    if (end == CHAOS_END_NONE) {
      atomic_fetch_add(&w->round->truth->failures, 1);
    }
  }
}

static void *storm(void *argument)
{
  writer *w = argument;
  chaos_random random = {w->plan.seed ^ 2};
  while (!stopped(w)) {
    const unsigned count = 1 + (unsigned)chaos_below(&random, 6);
    for (unsigned i = 0; i < count; i++) {
      const uint64_t seed = chaos_next(&random);
      const uint32_t number = chaos_process_take(w->round->truth);
      if (number >= CHAOS_PROCESSES) {
        return NULL;
      }
      const pid_t child = fork();
      if (child == 0) {
        run_child(w, number, seed);
      }
    }
    chaos_sleep_us(chaos_log_uniform(&random, 100, 30000));
    reap(w);
  }
  return NULL;
}

/* ---- A process ---- */

static void apply_limit(const writer *w)
{
  struct stat info = {0};
  stat(w->round->path, &info);
  const rlim_t size = (rlim_t)info.st_size + w->plan.limit_size;
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, size});
  signal(SIGXFSZ, w->plan.limit_is_kind ? SIG_IGN : SIG_DFL);
}

static int fail(const char *what, rk_status status, const rk_error *error)
{
  if (status == RK_ERR_IO) {
    return CHAOS_REFUSED;
  }
  fprintf(stderr, "log_chaos: %d: %s: %s: %s\n", (int)getpid(), what, rk_status_text(status), error->message);
  return 1;
}

/* Waits for the end of its life, or of the round's. */
static void live(const writer *w)
{
  const double end = chaos_seconds() + w->plan.life_us / 1e6;
  const bool waits_to_be_killed = w->plan.by_harness;
  while (!stopped(w) && (waits_to_be_killed || chaos_seconds() < end)) {
    const double left = end - chaos_seconds();
    chaos_sleep_us(left > 0 && left < 2e-3 ? (uint64_t)(left * 1e6) : 2000);
    if (chaos_seconds() - (double)atomic_load(&w->round->truth->heartbeat) > HEARTBEAT_MAX) {
      _exit(0);
    }
  }
}

/* A crash that nobody planned: says where, and dies of it. */
static void crash(int signal_number)
{
  void *frames[64];
  signal(signal_number, SIG_DFL);
  backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
  kill(getpid(), signal_number);
}

int chaos_process_run(const chaos_round *round, uint32_t number)
{
  signal(SIGSEGV, crash);
  signal(SIGBUS, crash);
  static writer the; /* outlives main, as the threads may */
  writer *w = &the;
  *w = (writer){.round = round, .number = number, .plan = chaos_plan_of(round, number)};
  if (w->plan.limit) {
    apply_limit(w);
  }
  rk_error error = {0};
  const rk_status opened = rk_recording_open(round->path, &w->plan.options, &w->recording, &error);
  if (opened != RK_OK) {
    return fail("open", opened, &error);
  }
  pthread_t threads[10];
  unsigned count = 0;
  if (!w->plan.adopter) {
    for (unsigned i = 0; i < w->plan.threads; i++) {
      count += pthread_create(&threads[count], NULL, log_forever, w) == 0;
    }
    if (w->plan.churn) {
      count += pthread_create(&threads[count], NULL, churn, w) == 0;
    }
    if (w->plan.storm) {
      count += pthread_create(&threads[count], NULL, storm, w) == 0;
    }
  }
  live(w);
  const bool round_is_over = atomic_load(&round->truth->stop) != 0 && w->plan.by_harness;
  const chaos_end end = round_is_over ? CHAOS_END_CLOSE : w->plan.end;
  pthread_t exiter;
  if (end == CHAOS_END_EXIT && pthread_create(&exiter, NULL, exit_process, w) == 0) {
    for (;;) {
      pause();
    }
  }
  end_process(w, number, end);
  atomic_store(&round->truth->processes[number].ending, (int32_t)end);
  if (end == CHAOS_END_RETURN) {
    return 0;
  }
  chaos_random random = {w->plan.seed ^ 3};
  if (chaos_chance(&random, 50)) { /* else the recording is closed under the threads */
    atomic_store(&w->stop, 1);
    for (unsigned i = 0; i < count; i++) {
      pthread_join(threads[i], NULL);
    }
    count = 0;
  }
  const rk_status closed = rk_recording_close(w->recording);
  rk_recording_error(w->recording, &error);
  atomic_store(&w->stop, 1);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
  }
  reap(w);
  rk_recording_free(w->recording);
  return closed == RK_OK ? 0 : fail("close", closed, &error);
}
