/* Stamps by the processor's time-stamp counter: CLOCK_MONOTONIC, carried on between reads of it (SPEC "Timelines and
 * clock"). In identity.c but for what every row takes.
 *
 * A thread pairs the clock with the counter every HOLDS_NS (0.5 ms), and in between takes the counter to go on at the
 * pace from the pair before to the last one. A stamp is then less than 1 us off the clock: 0.3 us at most by the time
 * that reading the two pairs took, and 0.5 us where the clock was slewed by 500 ppm and is now slewed by 500 ppm the
 * other way. Whatever else may happen to clock, counter or thread (suspension, another clock source or one that is slow
 * to read, a counter that was set, long rests) ends a pair's time, and shows in a pair that took long or in a pace that
 * the pair before does not confirm; then the clock itself is read until two paces agree again. Where a pair, or another
 * processor, is a little behind the last stamp, that is taken again: stamps of a thread never step back.
 *
 * Those who follow the recording allow for the microsecond (SPEC "Following"): they take stamps to be not older than a
 * millisecond before `logging` was stored. That holds for any slewing the kernel does: even a tenth is 0.05 ms after
 * HOLDS_NS. */
#ifndef RK_WRITER_CLOCK_H
#define RK_WRITER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* One thread's. Zeroed: nothing is known. */
typedef struct rk_tick_clock {
  uint64_t ticks; /* the last pair: counter ... */
  int64_t ns;     /* ... and clock, ... */
  uint64_t doubt; /* ... read within so many ticks */
  double pace;    /* ns a tick from the pair before to this one */
  uint64_t rate;  /* the same by 2^32 */
  uint64_t span;  /* so many ticks after the pair are taken by the rate; 0: none */
  int64_t last;   /* stamp */
} rk_tick_clock;

static inline uint64_t rk_ticks(void)
{
#ifdef __x86_64__
  return __builtin_ia32_rdtsc();
#else
  return 0;
#endif
}

/* Whether the counter runs at one rate on all processors, and the kernel's clock goes by it. A variable, so that tests
 * can put another judge there. */
extern bool (*rk_ticks_usable)(void);

/* Reads the clock, and makes a pair of it if one is due. */
int64_t rk_tick_clock_read(rk_tick_clock *clock);
/* The clock was `ns` between two reads of the counter. */
void rk_tick_clock_pair(rk_tick_clock *clock, uint64_t before, int64_t ns, uint64_t after);

/* The stamp at `ticks`. `read`: rk_tick_clock_read, but in tests. */
static inline int64_t rk_tick_clock_stamp(rk_tick_clock *clock, uint64_t ticks, int64_t (*read)(rk_tick_clock *))
{
  const uint64_t since = ticks - clock->ticks;
  const int64_t ns =
      __builtin_expect(since < clock->span, 1) ? clock->ns + (int64_t)(since * clock->rate >> 32) : read(clock);
  return clock->last = ns > clock->last ? ns : clock->last;
}

#endif
