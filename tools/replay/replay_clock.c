/* The position of a replay as a function of the monotonic clock. */
#include "tools/replay/replay_clock.h"

#include <math.h>

int64_t clock_add(int64_t a, int64_t b)
{
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static int64_t subtract(int64_t a, int64_t b)
{
  int64_t difference;
  return __builtin_sub_overflow(a, b, &difference) ? (a > b ? INT64_MAX : INT64_MIN) : difference;
}

static int64_t to_integer(double value)
{
  return value >= 9.2e18 ? INT64_MAX : value <= -9.2e18 ? INT64_MIN : (int64_t)value;
}

static int64_t clamp(const replay_clock *c, int64_t position)
{
  return position > c->last ? c->last : position < c->first ? c->first : position;
}

/* Times at speed 1 advance by integers, so that no hour of them is off by a rounding. */
static int64_t advance(const replay_clock *c, int64_t elapsed)
{
  double factor = c->rate * c->speed;
  return factor == 1 ? elapsed : to_integer(floor((double)elapsed * factor + 1e-6)); /* what is due is reached */
}

int64_t clock_position(const replay_clock *c, int64_t now)
{
  if (c->live)
    return c->last;
  if (!c->playing || now <= c->since)
    return clamp(c, c->position);
  if (isinf(c->speed))
    return c->last;
  int64_t position = clock_add(c->position, advance(c, now - c->since)), length = subtract(c->last, c->first);
  if (c->loop && position > c->last && length > 0)
    return c->first + subtract(position, c->first) % length;
  return clamp(c, position);
}

int64_t clock_reached(const replay_clock *c, int64_t position, int64_t now)
{
  int64_t at = clock_position(c, now);
  if (position <= at)
    return now;
  if (!c->playing || c->live || position > c->last)
    return INT64_MAX;
  double wait = (double)subtract(position, at) / (c->rate * c->speed);
  return clock_add(now, to_integer(ceil(wait - 1e-3)));
}

bool clock_at_end(const replay_clock *c, int64_t now)
{
  return !c->loop && !c->live && clock_position(c, now) == c->last;
}

static void settle(replay_clock *c, int64_t now)
{
  c->position = clock_position(c, now);
  c->since = now;
}

void clock_play(replay_clock *c, int64_t now)
{
  settle(c, now);
  if (!c->playing && c->position == c->last && !c->live)
    c->position = c->first;
  c->playing = true;
}

void clock_pause(replay_clock *c, int64_t now)
{
  settle(c, now);
  c->playing = c->live = false;
}

void clock_seek(replay_clock *c, int64_t position, int64_t now)
{
  c->live = false;
  c->position = clamp(c, position);
  c->since = now;
}

void clock_set_speed(replay_clock *c, double speed, int64_t now)
{
  settle(c, now);
  c->speed = speed;
}

void clock_set_loop(replay_clock *c, bool loop, int64_t now)
{
  settle(c, now);
  c->loop = loop;
}

void clock_set_live(replay_clock *c, bool live, int64_t now)
{
  settle(c, now);
  c->live = live;
  c->playing = c->playing || live;
}

void clock_extend(replay_clock *c, int64_t last, int64_t now)
{
  settle(c, now);
  c->last = last > c->last ? last : c->last;
}
