/* Stamps by the time-stamp counter: on made-up machines on which all happens that may happen to a clock, and on this
 * one. */
#include "writer/clock.h"

#include <pthread.h>

#include "rrdkit/rrdkit.h"
#include "tests/appended.h"

#define SECOND ((int64_t)1000000000)
#define OFF_NS 1000 /* a stamp is no further off the clock */

/* ---- Made-up machines ---- */

/* What happens to a machine while a thread logs. */
typedef struct fate {
  const char *name;
  double ghz;
  uint64_t counter;     /* at the beginning */
  uint32_t gap;         /* between rows, ns at most */
  int64_t rest;         /* ns between bursts of 1000 rows */
  double slew;          /* ppm: now so, ... */
  uint32_t swing;       /* ... then the other way, each for so many ns at most; 0: always so */
  uint32_t apart;       /* ticks between processors */
  uint32_t clock_cost;  /* ns, to read it */
  uint32_t interrupted; /* one of so many reads of the clock takes 3 ms */
  int64_t suspended;    /* now and then the counter goes on for so many ns and the clock does not, ... */
  bool resets;          /* ... or the counter begins anew */
  double carried;       /* part of the rows for which the clock is not read, at least; 0: none */
} fate;

static const fate fates[] = {
    {.name = "steady", .ghz = 2.6, .gap = 40, .carried = 0.9},
    {.name = "slow counter", .ghz = 1, .gap = 40, .carried = 0.9},
    {.name = "fast counter", .ghz = 6, .gap = 40, .carried = 0.9},
    {.name = "counter wraps", .ghz = 2.6, .counter = UINT64_MAX - 5000000, .gap = 40, .carried = 0.9},
    {.name = "counter passes the sign", .ghz = 2.6, .counter = INT64_MAX - 5000000, .gap = 40, .carried = 0.9},
    {.name = "clock too fast", .ghz = 2.6, .gap = 40, .slew = 500, .carried = 0.9},
    {.name = "clock too slow", .ghz = 2.6, .gap = 40, .slew = -500, .carried = 0.9},
    {.name = "slewed to and fro", .ghz = 2.6, .gap = 40, .slew = 500, .swing = 3000000, .carried = 0.8},
    {.name = "slewed to and fro at once", .ghz = 2.6, .gap = 40, .slew = 500, .swing = 200000, .carried = 0.8},
    {.name = "processors apart", .ghz = 2.6, .gap = 40, .apart = 50, .carried = 0.9},
    {.name = "interrupted in pairs", .ghz = 2.6, .gap = 400, .interrupted = 5, .carried = 0.1},
    {.name = "stopped", .ghz = 2.6, .gap = 40, .rest = 10 * SECOND, .carried = 0.1},
    {.name = "hours between bursts", .ghz = 2.6, .gap = 2000, .rest = 7200 * SECOND, .carried = 0.1},
    {.name = "slewed between bursts",
     .ghz = 2.6,
     .gap = 2000,
     .rest = SECOND,
     .slew = 500,
     .swing = 2000000000,
     .carried = 0.1},
    {.name = "suspended", .ghz = 2.6, .gap = 400, .suspended = 10 * SECOND, .carried = 0.8},
    {.name = "suspended for 2 ms", .ghz = 2.6, .gap = 400, .suspended = 2000000, .carried = 0.8},
    {.name = "counter set back", .ghz = 2.6, .counter = 1U << 30, .gap = 400, .suspended = -SECOND / 4, .carried = 0.8},
    {.name = "counter begins anew", .ghz = 2.6, .counter = 1U << 30, .gap = 400, .resets = true, .carried = 0.8},
    {.name = "row now and then", .ghz = 2.6, .gap = 3000000, .carried = 0.1},
    {.name = "slow to read", .ghz = 2.6, .gap = 40, .clock_cost = 1200},
};

typedef struct machine {
  const fate *is;
  long double clock;   /* ns */
  long double counter; /* ticks since the beginning */
  int64_t until_swing;
  double slew;
  uint64_t random;
  size_t reads;
} machine;

static machine m;

static uint32_t below(uint32_t limit)
{
  m.random = m.random * 6364136223846793005U + 1442695040888963407U;
  return (uint32_t)((m.random >> 32) * limit >> 32);
}

static void pass(int64_t ns)
{
  while (ns > 0) {
    const int64_t part = m.is->swing != 0 && m.until_swing < ns ? m.until_swing : ns;
    m.clock += part * (1 + (long double)m.slew / 1000000);
    m.counter += part * (long double)m.is->ghz;
    m.until_swing -= part;
    ns -= part;
    if (m.is->swing != 0 && m.until_swing == 0) {
      m.slew = -m.slew;
      m.until_swing = 1 + below(m.is->swing);
    }
  }
}

static uint64_t count(void)
{
  return m.is->counter + (uint64_t)(int64_t)m.counter + (m.is->apart != 0 ? below(m.is->apart) : 0);
}

static int64_t read_clock(rk_tick_clock *clock)
{
  m.reads++;
  const uint64_t before = count();
  const bool interrupted = m.is->interrupted != 0 && below(m.is->interrupted) == 0;
  pass(interrupted ? below(3000000) : 13 + m.is->clock_cost / 2);
  const int64_t ns = (int64_t)m.clock;
  pass(interrupted ? below(3000000) : 13 + m.is->clock_cost / 2);
  rk_tick_clock_pair(clock, before, ns, count());
  return ns;
}

static void test_fates(void **state)
{
  (void)state;
  enum { ROWS = 300000, LEAP = 50000 };
  for (size_t f = 0; f < sizeof fates / sizeof fates[0]; f++) {
    const fate *is = &fates[f];
    m = (machine){.is = is, .clock = 1e12L, .slew = is->slew, .random = f};
    rk_tick_clock clock = {0};
    int64_t last = 0;
    for (size_t i = 0; i < ROWS; i++) {
      pass(1 + below(is->gap));
      if (i % 1000 == 0) {
        pass(is->rest);
      }
      if (i % LEAP == LEAP - 1) {
        m.counter = is->resets ? 0 : m.counter + is->suspended * (long double)is->ghz;
      }
      const int64_t begin = (int64_t)m.clock;
      const int64_t stamp = rk_tick_clock_stamp(&clock, count(), read_clock);
      if (stamp < begin - OFF_NS || stamp > (int64_t)m.clock + OFF_NS || stamp < last) {
        fail_msg("%s: row %zu: stamp %lld, the last %lld, at %lld to %lld", is->name, i, (long long)stamp,
                 (long long)last, (long long)begin, (long long)m.clock);
      }
      last = stamp;
    }
    const double carried = 1 - (double)m.reads / ROWS;
    if (is->carried > 0 ? carried < is->carried : m.reads != ROWS) {
      fail_msg("%s: %g of the rows without a read of the clock", is->name, carried);
    }
  }
}

/* ---- This machine ---- */

enum { LOGGERS = 4, LOGGED = 250000 };

typedef struct logger {
  rk_recording *recording;
  pthread_t thread;
  int64_t tid;
  int64_t before[LOGGED], after[LOGGED]; /* the clock around each call */
  size_t rows;
  int64_t last;
} logger;

static void *log_many(void *argument)
{
  logger *l = argument;
  l->tid = gettid();
  const rk_entity *entity = rk_entity_at(l->recording, "e");
  const double value = 1;
  for (size_t i = 0; i < LOGGED; i++) {
    l->before[i] = rk_recording_now(l->recording);
    if (rk_log_scalars(l->recording, entity, &(rk_scalars){.scalars = &value, .scalars_count = 1}) != RK_OK) {
      abort();
    }
    l->after[i] = rk_recording_now(l->recording);
  }
  return NULL;
}

static void judge(void *context, const appended_row *row)
{
  logger *l = context;
  while (l < (logger *)context + LOGGERS && l->tid != row->writer->tid) {
    l++;
  }
  if (l == (logger *)context + LOGGERS) {
    return; /* the recording's properties */
  }
  assert_int_equal(row->number, l->rows);
  l->rows++;
  assert_true(row->stamp >= l->before[row->number] - OFF_NS && row->stamp <= l->after[row->number] + OFF_NS);
  assert_true(row->stamp >= l->last);
  l->last = row->stamp;
}

static rk_recording *open_by(const scene *s, rk_clock_source clock)
{
  rk_recording *recording = NULL;
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.clock = clock}, &recording, NULL), RK_OK);
  return recording;
}

/* Whichever clock it is here. */
static void test_threads(void **state)
{
  const scene *s = *state;
  logger *loggers = calloc(LOGGERS, sizeof *loggers);
  assert_non_null(loggers);
  rk_recording *recording = open_by(s, RK_CLOCK_TSC);
  for (size_t i = 0; i < LOGGERS; i++) {
    loggers[i].recording = recording;
    assert_int_equal(pthread_create(&loggers[i].thread, NULL, log_many, &loggers[i]), 0);
  }
  for (size_t i = 0; i < LOGGERS; i++) {
    assert_int_equal(pthread_join(loggers[i].thread, NULL), 0);
  }
  rk_recording_free(recording);
  free(appended_read(s->path, judge, loggers));
  for (size_t i = 0; i < LOGGERS; i++) {
    assert_int_equal(loggers[i].rows, LOGGED);
  }
  free(loggers);
}

static bool says(const char *path, const char *text)
{
  FILE *file = fopen(path, "r");
  char line[8192];
  bool found = false;
  while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
    found = strstr(line, text) != NULL;
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

static void test_usable(void **state)
{
  (void)state;
  const bool expected = says("/proc/cpuinfo", " nonstop_tsc ") && says("/proc/cpuinfo", " constant_tsc ") &&
                        says("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n") &&
                        !says("/sys/devices/system/clocksource/clocksource0/current_clocksource", "_tsc");
  assert_int_equal(rk_ticks_usable(), expected);
}

static bool always(void)
{
  return true;
}

static bool never(void)
{
  return false;
}

static void test_choice(void **state)
{
  const scene *s = *state;
  static const struct {
    rk_clock_source asked;
    const char *environment;
    bool usable;
    rk_clock_source runs; /* RK_CLOCK_DEFAULT: refused */
  } cases[] = {
      {RK_CLOCK_DEFAULT, NULL, true, RK_CLOCK_MONOTONIC},
      {RK_CLOCK_DEFAULT, "", true, RK_CLOCK_MONOTONIC},
      {RK_CLOCK_DEFAULT, "monotonic", true, RK_CLOCK_MONOTONIC},
      {RK_CLOCK_DEFAULT, "tsc", true, RK_CLOCK_TSC},
      {RK_CLOCK_DEFAULT, "tsc", false, RK_CLOCK_MONOTONIC},
      {RK_CLOCK_DEFAULT, "tsc ", true, RK_CLOCK_DEFAULT},
      {RK_CLOCK_TSC, NULL, true, RK_CLOCK_TSC},
      {RK_CLOCK_TSC, NULL, false, RK_CLOCK_MONOTONIC},
      {RK_CLOCK_TSC, "monotonic", true, RK_CLOCK_TSC},
      {RK_CLOCK_MONOTONIC, "tsc", true, RK_CLOCK_MONOTONIC},
      {(rk_clock_source)3, NULL, true, RK_CLOCK_DEFAULT},
  };
  bool (*const before)(void) = rk_ticks_usable;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(
        cases[i].environment == NULL ? unsetenv("RRDKIT_CLOCK") : setenv("RRDKIT_CLOCK", cases[i].environment, 1), 0);
    rk_ticks_usable = cases[i].usable ? always : never;
    rk_recording *recording;
    const rk_status status =
        rk_recording_open(s->path, &(rk_recording_options){.clock = cases[i].asked}, &recording, NULL);
    assert_int_equal(status, cases[i].runs == RK_CLOCK_DEFAULT ? RK_ERR_MISUSE : RK_OK);
    assert_int_equal(rk_recording_clock(recording), cases[i].runs);
    rk_recording_free(recording);
  }
  rk_ticks_usable = before;
  unsetenv("RRDKIT_CLOCK");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fates),
      cmocka_unit_test(test_usable),
      IN_SCENE(test_threads),
      IN_SCENE(test_choice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
