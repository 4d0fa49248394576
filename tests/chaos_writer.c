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
  chaos_round other; /* the same, of the other recording */
  char other_path[4400];
  rk_recording *recordings[CHAOS_HANDLES]; /* the first; a second handle on it; the other recording; NULL: none */
  uint32_t number;
  pid_t pid;
  chaos_plan plan;
  _Atomic uint32_t stop;
} writer;

static bool stopped(const writer *w)
{
  return atomic_load(&w->stop) != 0 || atomic_load(&w->round->truth->stop) != 0;
}

/* ---- Threads that log ---- */

/* A thread's loggers, one of each handle, by turns. */
typedef struct bundle {
  const writer *writer;
  unsigned count;
  chaos_logger loggers[CHAOS_HANDLES];
} bundle;

/* Thread-specific data whose destructors run before and after the library's own: glibc takes them as they were made. */
static pthread_key_t bundle_key, late_key;

static void end_bundle(void *data)
{
  bundle *b = data;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* a thread that returned may yet be cancelled here */
  for (unsigned i = 0; b->writer->plan.late && i < b->count; i++) {
    chaos_logger_log(&b->loggers[i]);
  }
  for (unsigned i = 0; i < b->count; i++) {
    chaos_logger_end(&b->loggers[i]);
  }
  free(b);
}

static bundle *make_bundle(const writer *w, unsigned least)
{
  bundle *b = malloc(sizeof *b);
  if (b != NULL) {
    b->writer = w;
    b->count = 0;
    for (unsigned i = 0; i < CHAOS_HANDLES; i++) {
      const chaos_round *round = i == 2 ? &w->other : w->round;
      b->count += w->recordings[i] != NULL && chaos_logger_start(&b->loggers[b->count], round, w->recordings[i]);
    }
    if (b->count < least) {
      end_bundle(b);
      b = NULL;
    }
  }
  return b;
}

/* Times that a thread's destructors log anew; in the last of glibc's passes the thread sanitizer has forgotten it. */
#ifdef __SANITIZE_THREAD__
#define LATE_PASSES 2
#else
#define LATE_PASSES 3
#endif

/* The library has given the thread's rings back: it takes others, as another writer. */
static void log_late(void *data)
{
  static _Thread_local int times;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  bundle *b = make_bundle(data, 0);
  if (b != NULL) {
    end_bundle(b);
  }
  if (++times < LATE_PASSES) {
    pthread_setspecific(late_key, data);
  }
}

/* Logs up to `rows` rows; what is beyond the round's budget has to wait, alive. */
static void log_rows(const writer *w, uint64_t rows)
{
  bundle *b = make_bundle(w, 1);
  if (b == NULL) {
    return;
  }
  pthread_setspecific(bundle_key, b); /* the thread's end ends it */
  if (w->plan.late) {
    pthread_setspecific(late_key, w);
  }
  chaos_random random = {chaos_mix(w->round->seed ^ b->loggers[0].slot)};
  for (uint64_t row = 0; row < rows && !stopped(w);) {
    pthread_testcancel();
    if (atomic_load_explicit(&w->round->truth->budget, memory_order_relaxed) <= 0) {
      chaos_sleep_us(2000);
      continue;
    }
    chaos_logger *logger = &b->loggers[chaos_below(&random, b->count)];
    if (!chaos_logger_log(logger)) {
      break;
    }
    row++;
    if (logger->habit.pause_us != 0 && row % logger->habit.pause_every == 0) {
      chaos_sleep_us(chaos_below(&random, logger->habit.pause_us));
    }
    if (logger->habit.flush_every != 0 && row % logger->habit.flush_every == 0) {
      if (chaos_chance(&random, 5)) {
        rk_recording_sync(logger->recording);
      } else {
        rk_recording_flush(logger->recording); /* may be refused where the disk is full */
      }
    }
  }
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

/* Threads that are cancelled wherever they are. */
static void *cancel(void *argument)
{
  writer *w = argument;
  chaos_random random = {w->plan.seed ^ 4};
  while (!stopped(w) && atomic_load(&w->round->truth->slot_count) < CHAOS_SLOTS / 2) {
    pthread_t threads[4];
    const unsigned count = 1 + (unsigned)chaos_below(&random, 4);
    unsigned made = 0;
    while (made < count && pthread_create(&threads[made], NULL, log_forever, w) == 0) {
      made++;
    }
    chaos_sleep_us(chaos_log_uniform(&random, 10, 50000));
    while (atomic_load(&w->round->truth->budget) <= 0 && !stopped(w)) {
      chaos_sleep_us(2000);
    }
    for (unsigned i = 0; i < made; i++) {
      pthread_cancel(threads[i]);
    }
    for (unsigned i = 0; i < made; i++) {
      pthread_join(threads[i], NULL);
    }
  }
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

/* ---- Exit handlers ---- */

static writer the; /* outlives main, as the threads may */

/* Registered after the library's own, and hence called before it closes. */
static void log_at_exit(void)
{
  pthread_t thread;
  if (the.pid == getpid() && the.recordings[0] != NULL) {
    if (gettid() != the.pid) { /* who may have opened the recording has logged its start already */
      log_late(&the);
    }
    if (pthread_create(&thread, NULL, log_shortly, &the) == 0) {
      pthread_join(thread, NULL);
    }
  }
}

/* Registered before it: all is closed. */
static void log_too_late(void)
{
  if (the.pid != getpid() || the.recordings[0] == NULL) {
    return;
  }
  for (unsigned i = 0; i < CHAOS_HANDLES; i++) {
    if (the.recordings[i] != NULL &&
        rk_log_scalar(the.recordings[i], rk_entity_at(the.recordings[i], "late"), 1) == RK_OK) {
      fprintf(stderr, "log_chaos: a row was taken after exit had closed the recording\n");
      atomic_fetch_add(&the.round->truth->failures, 1);
    }
  }
}

/* ---- Fork storms ---- */

static int fail(const char *what, rk_status status, const rk_error *error)
{
  if (status == RK_ERR_IO) {
    return CHAOS_REFUSED;
  }
  fprintf(stderr, "log_chaos: %d: %s: %s: %s\n", (int)getpid(), what, rk_status_text(status), error->message);
  return 1;
}

/* An exit status. */
static int close_all(const writer *w)
{
  int result = 0;
  for (unsigned i = 0; i < CHAOS_HANDLES; i++) {
    rk_recording *recording = w->recordings[i];
    if (recording != NULL) {
      const bool finish = w->plan.finish && i != 1;
      const rk_status status = finish ? rk_recording_finish(recording) : rk_recording_close(recording);
      /* Others have it open, or it was closed before the fork. */
      if (status != RK_OK && !(finish && (status == RK_ERR_CONFLICT || status == RK_ERR_MISUSE))) {
        rk_error error;
        rk_recording_error(recording, &error);
        const int failed = fail("close", status, &error);
        result = result == 1 ? 1 : failed;
      }
    }
  }
  return result;
}

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
  _exit(close_all(w));
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

/* While its process exits it forks no more once the library has closed: exit takes the handlers of forks away next, and
 * a child would find the library's locks as other threads held them. */
static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;

static void end_forking(void)
{
  if (the.pid == getpid()) {
    pthread_mutex_lock(&forking);
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
      pthread_mutex_lock(&forking);
      const uint32_t number = chaos_process_take(w->round->truth);
      const pid_t child = number >= CHAOS_PROCESSES ? -1 : fork();
      if (child == 0) {
        run_child(w, number, seed);
      }
      pthread_mutex_unlock(&forking);
      if (number >= CHAOS_PROCESSES) {
        return NULL;
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

/* The handles beside the first; where the system refuses, it goes without. */
static bool open_others(writer *w)
{
  for (unsigned i = 1; w->plan.pair && i < CHAOS_HANDLES; i++) {
    rk_error error = {0};
    const rk_status status =
        rk_recording_open(i == 2 ? w->other_path : w->round->path, &w->plan.options, &w->recordings[i], &error);
    if (status != RK_OK && fail("open", status, &error) == 1) {
      return false;
    }
  }
  return true;
}

static rk_status open_all(writer *w, rk_error *error)
{
  pthread_key_create(&bundle_key, end_bundle);
  if (w->plan.storm) {
    atexit(end_forking);
  }
  if (w->plan.late) {
    atexit(log_too_late);
  }
  const rk_status status = rk_recording_open(w->round->path, &w->plan.options, &w->recordings[0], error);
  if (status == RK_OK) {
    rk_recording_clear_error(w->recordings[0]); /* makes the library's key */
    if (w->plan.late) {
      atexit(log_at_exit);
    }
  }
  pthread_key_create(&late_key, log_late);
  return status;
}

int chaos_process_run(const chaos_round *round, uint32_t number)
{
  signal(SIGSEGV, crash);
  signal(SIGBUS, crash);
  writer *w = &the;
  *w = (writer){
      .round = round, .other = *round, .number = number, .plan = chaos_plan_of(round, number), .pid = getpid()};
  w->other.file = 1;
  w->other.path = w->other_path;
  chaos_other_path(round->path, w->other_path, sizeof w->other_path);
  if (w->plan.limit) {
    apply_limit(w);
  }
  rk_error error = {0};
  const rk_status opened = open_all(w, &error);
  if (opened != RK_OK) {
    return fail("open", opened, &error);
  }
  if (!open_others(w)) {
    return 1;
  }
  void *(*const helpers[])(void *) = {churn, storm, cancel};
  const bool helps[] = {w->plan.churn, w->plan.storm, w->plan.cancel};
  pthread_t threads[12];
  unsigned count = 0;
  for (unsigned i = 0; !w->plan.adopter && i < w->plan.threads; i++) {
    count += pthread_create(&threads[count], NULL, log_forever, w) == 0;
  }
  for (unsigned i = 0; !w->plan.adopter && i < 3; i++) {
    count += helps[i] && pthread_create(&threads[count], NULL, helpers[i], w) == 0;
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
  const int closed = close_all(w);
  atomic_store(&w->stop, 1);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
  }
  reap(w);
  for (unsigned i = 0; i < CHAOS_HANDLES; i++) {
    rk_recording_free(w->recordings[i]);
    w->recordings[i] = NULL;
  }
  return closed;
}
