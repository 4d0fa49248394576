/* What is replayed and where it stands: the clock, the track, and who waits for either. */
#include "tools/replay/replay_player.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tools/cli.h"

struct player {
  player_options options;
  track *track;
  pthread_mutex_t mutex; /* all below */
  pthread_cond_t happened;
  uint64_t happenings, version, jumps;
  replay_clock clock;
  bool end_known;
  bool waits;
};

int64_t monotonic_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void on_change(void *context)
{
  player_wake(context);
}

player *player_open(rk_reader *reader, const player_options *options)
{
  player *p = cli_realloc(NULL, 1, sizeof *p);
  *p = (player){
      .options = *options, .end_known = options->last >= options->first, .waits = options->waits && !options->paused};
  pthread_condattr_t how;
  pthread_condattr_init(&how);
  pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->happened, &how);
  pthread_condattr_destroy(&how);
  p->clock = (replay_clock){.first = options->first,
                            .last = p->end_known ? options->last : options->first,
                            .position = options->first,
                            .since = monotonic_ns(),
                            .rate = options->rate,
                            .speed = options->speed,
                            .playing = !options->paused && !options->waits,
                            .loop = options->loop,
                            .live = options->live};
  p->options.track.on_change = on_change;
  p->options.track.context = p;
  p->options.track.follow = options->follow;
  p->track = track_open(reader, &p->options.track);
  if (p->track == NULL) {
    player_close(p);
    return NULL;
  }
  return p;
}

void player_close(player *p)
{
  if (p == NULL)
    return;
  track_close(p->track);
  pthread_mutex_destroy(&p->mutex);
  pthread_cond_destroy(&p->happened);
  free(p);
}

track *player_track(player *p)
{
  return p->track;
}

/* Mutex held. The end moves with a growing recording, and where it was not known before. */
static void learn_end(player *p, const track_state *t, int64_t now)
{
  track_batch last;
  if (t->count == 0 || !track_batch_at(p->track, t->count - 1, &last))
    return;
  if (last.last > p->clock.last && !p->options.has_until && (p->options.follow || !p->end_known))
    clock_extend(&p->clock, last.last, now);
}

/* Mutex held. The number of the first batch that is not reached, and its row's position; INT64_MAX: not known. */
static size_t next_batch(player *p, int64_t position, int64_t *first)
{
  track_batch batch;
  size_t number = track_find(p->track, position);
  while (track_batch_at(p->track, number, &batch) && batch.first <= position)
    number++;
  *first = track_batch_at(p->track, number, &batch) ? batch.first : INT64_MAX;
  return number;
}

/* Mutex held. Where the replay stands in a long gap, it goes on just before the gap's end. */
static int64_t squeeze(player *p, int64_t position, int64_t now)
{
  track_batch before;
  int64_t next;
  if (p->options.max_gap <= 0 || !p->clock.playing || p->clock.live)
    return position;
  size_t number = next_batch(p, position, &next);
  if (number == 0 || next == INT64_MAX || !track_batch_at(p->track, number - 1, &before))
    return position;
  if (position < clock_add(before.last, p->options.max_gap) || position >= next)
    return position;
  clock_seek(&p->clock, next, now);
  p->version++;
  return next;
}

/* Mutex held. */
static int64_t settle(player *p, const track_state *t, int64_t now, bool *buffering)
{
  learn_end(p, t, now);
  int64_t wanted = squeeze(p, clock_position(&p->clock, now), now);
  track_want(p->track, p->clock.playing && isinf(p->clock.speed) ? INT64_MAX : wanted);
  *buffering = !t->ended && !t->waiting && t->until <= wanted && wanted > p->clock.first;
  /* Not beyond the rows that are ready, but never back from where it was told to go on. */
  int64_t reached = t->until > p->clock.position ? t->until : p->clock.position;
  return *buffering && reached < wanted ? reached : wanted;
}

player_state player_now(player *p)
{
  player_state s = {.track = track_now(p->track)};
  int64_t now = monotonic_ns();
  pthread_mutex_lock(&p->mutex);
  s.position = settle(p, &s.track, now, &s.buffering);
  /* Reading could not keep up: time stands still meanwhile. */
  if (s.buffering && p->clock.playing && !isinf(p->clock.speed) && !p->clock.live) {
    p->clock.position = s.position;
    p->clock.since = now;
  }
  s.clock = p->clock;
  s.finished = s.track.ended && !s.buffering && clock_at_end(&p->clock, now);
  s.version = p->version;
  s.jumps = p->jumps;
  pthread_mutex_unlock(&p->mutex);
  return s;
}

/* Mutex held. */
static void step(player *p, int64_t direction, int64_t now)
{
  int64_t key, position = clock_position(&p->clock, now);
  clock_pause(&p->clock, now);
  if (track_neighbour(p->track, position, direction > 0, &key))
    clock_seek(&p->clock, key, now);
}

void player_control(player *p, const control *c)
{
  int64_t now = monotonic_ns();
  pthread_mutex_lock(&p->mutex);
  bool waited = p->waits;
  p->waits = false;
  switch (c->kind) {
  case CONTROL_PLAY:
    clock_play(&p->clock, now);
    break;
  case CONTROL_PAUSE:
    clock_pause(&p->clock, now);
    break;
  case CONTROL_TOGGLE:
    if (p->clock.playing && !clock_at_end(&p->clock, now))
      clock_pause(&p->clock, now);
    else {
      clock_pause(&p->clock, now);
      clock_play(&p->clock, now);
    }
    break;
  case CONTROL_SEEK:
    clock_seek(&p->clock, c->position, now);
    p->jumps++;
    break;
  case CONTROL_SKIP:
    p->jumps++;
    clock_seek(&p->clock, clock_add(clock_position(&p->clock, now), c->position), now);
    break;
  case CONTROL_STEP:
    step(p, c->position, now);
    break;
  case CONTROL_SPEED:
    clock_set_speed(&p->clock, c->speed, now);
    break;
  case CONTROL_LOOP:
    clock_set_loop(&p->clock, c->on, now);
    break;
  case CONTROL_READY:
    if (waited)
      clock_play(&p->clock, now);
    break;
  case CONTROL_LIVE:
    clock_set_live(&p->clock, c->on && p->options.follow, now);
    break;
  }
  p->version++;
  p->happenings++;
  pthread_cond_broadcast(&p->happened);
  pthread_mutex_unlock(&p->mutex);
}

size_t player_due(player *p, int64_t now, int64_t *next)
{
  track_state t = track_now(p->track);
  bool buffering;
  int64_t first;
  pthread_mutex_lock(&p->mutex);
  settle(p, &t, now, &buffering);
  int64_t lead = p->clock.playing ? p->options.lead : 0;
  int64_t position = clock_position(&p->clock, clock_add(now, lead));
  if (p->clock.loop && position < clock_position(&p->clock, now))
    position = p->clock.last; /* the lead looks into the next round */
  size_t due = isinf(p->clock.speed) && p->clock.playing ? t.count : next_batch(p, position, &first);
  *next = INT64_MAX;
  if (due < t.count && !isinf(p->clock.speed)) {
    *next = clock_reached(&p->clock, first, now);
    *next = *next == INT64_MAX ? *next : *next - lead;
  }
  if (p->options.max_gap > 0 && due < t.count && p->clock.playing) {
    track_batch before;
    if (due > 0 && track_batch_at(p->track, due - 1, &before)) {
      int64_t at = clock_reached(&p->clock, clock_add(before.last, p->options.max_gap), now);
      *next = at < *next ? at : *next;
    }
  }
  pthread_mutex_unlock(&p->mutex);
  return due;
}

uint64_t player_happenings(player *p)
{
  pthread_mutex_lock(&p->mutex);
  uint64_t happenings = p->happenings;
  pthread_mutex_unlock(&p->mutex);
  return happenings;
}

void player_wait(player *p, uint64_t seen, int64_t until)
{
  const struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
  pthread_mutex_lock(&p->mutex);
  while (p->happenings == seen)
    if (pthread_cond_timedwait(&p->happened, &p->mutex, &t) != 0)
      break;
  pthread_mutex_unlock(&p->mutex);
}

void player_wake(player *p)
{
  pthread_mutex_lock(&p->mutex);
  p->happenings++;
  pthread_cond_broadcast(&p->happened);
  pthread_mutex_unlock(&p->mutex);
}
