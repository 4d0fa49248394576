/* One input that is followed: its rings, what its dead writers left, and the key up to which its rows are all known. */
#include "reader/follow/follow_input.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "format/error.h"
#include "reader/follow/follow_rings.h"
#include "reader/host_process.h"
#include "reader/index/retime.h"
#include "reader/input/source_zst.h"
#include "reader/spool/orphan.h"

#define SAMPLES_MAX   1024
#define UNSEEN_FACTOR 10

/* That rows up to `key_ns` were in the file at `at`. */
typedef struct sample {
  int64_t at, key_ns;
} sample;

struct rk_followed {
  rk_input *input;
  bool locked; /* somebody has it open to append */
  bool ended;
  rk_orphan_places places;
  rk_ring_watch *rings[2]; /* beside, shared; NULL: none */
  int file_watch, parent_watch, spool_watches[2];
  bool list[2];
  rk_ring_look look;
  size_t judged;   /* entries of the index that were looked at */
  rk_list samples; /* sample */
  int64_t max_key_ns;
  int64_t unseen_at; /* when a chunk came of a writer whose ring was not seen; INT64_MIN: never */
  rk_ring_process dead;
  int64_t dead_since;
};

void rk_followed_free(rk_followed *fo)
{
  if (!fo) {
    return;
  }
  rk_ring_watch_free(fo->rings[0]);
  rk_ring_watch_free(fo->rings[1]);
  rk_orphan_places_free(&fo->places);
  free(fo->samples.items);
  free(fo);
}

/* Whether the input's name leads to the file that it was read from. */
static bool is_in_place(const rk_input *input, const struct stat *file)
{
  struct stat named;
  return stat(input->path, &named) == 0 && named.st_dev == file->st_dev && named.st_ino == file->st_ino;
}

/* What the input holds now has been there since it was changed last. */
static bool begin_samples(rk_followed *fo, const struct stat *file, int64_t now)
{
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  const int64_t since =
      ((int64_t)wall.tv_sec - (int64_t)file->st_mtim.tv_sec) * 1000000000 + wall.tv_nsec - file->st_mtim.tv_nsec;
  sample *first = rk_list_add(&fo->samples, sizeof *first);
  if (first) {
    *first = (sample){.at = now - (since > 0 ? since : 0), .key_ns = INT64_MIN};
  }
  return first != NULL;
}

static bool watch_parent(rk_followed *fo, const rk_events *events)
{
  char *parent = strdup(fo->places.beside);
  if (parent) {
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    rk_events_watch(events, parent, true, &fo->parent_watch);
    free(parent);
  }
  return parent != NULL;
}

/* Finds the places of its rings. False: no memory. */
static bool begin(rk_followed *fo, const rk_reader *reader, const rk_events *events, int64_t now)
{
  struct stat file;
  if (!fo->input->scan || fstat(rk_source_descriptor(&fo->input->source), &file) != 0) {
    return true; /* it cannot grow */
  }
  if (!rk_orphan_places_find(&fo->places, fo->input->path, reader->spool_directory)) {
    return false;
  }
  if (fo->places.beside) {
    fo->rings[0] = rk_ring_watch_new(fo->places.beside, NULL);
    if (!fo->rings[0] || !watch_parent(fo, events)) {
      return false;
    }
  }
  if (fo->places.shared && fo->places.has_hash) {
    fo->rings[1] = rk_ring_watch_new(fo->places.shared, &fo->places.recording_hash);
    if (!fo->rings[1]) {
      return false;
    }
  }
  rk_events_watch(events, fo->input->path, false, &fo->file_watch);
  return begin_samples(fo, &file, now);
}

static bool knows_ring(const rk_followed *fo, uint32_t tag)
{
  return (fo->rings[0] && rk_ring_watch_knows(fo->rings[0], tag)) ||
         (fo->rings[1] && rk_ring_watch_knows(fo->rings[1], tag));
}

/* Whether the writer may be appending from where its ring is not seen. */
static bool is_unseen(rk_reader *reader, const rk_followed *fo, const rk_entry *entry)
{
  const rk_store *store = rk_entry_store(reader, entry);
  if (!entry->sealed || entry->writer == 0) {
    return true;
  }
  if (knows_ring(fo, entry->writer)) {
    return false;
  }
  const rk_writer_entry *writer = store ? rk_index_writer(reader, store, entry->writer) : NULL;
  return !writer || !rk_boot_is_ours(writer->info.boot_id) || writer->info.pid <= 0 || writer->info.pid > INT32_MAX ||
         kill((pid_t)writer->info.pid, 0) == 0 || errno != ESRCH;
}

/* Entries that are new to the input. `first`: they were there when following began. */
static void judge_new(rk_reader *reader, rk_followed *fo, int64_t now, bool first)
{
  uint32_t last = 0;
  for (; fo->judged < reader->entries.count; fo->judged++) {
    const rk_entry *entry = rk_entry_at(reader, fo->judged);
    if (entry->input != fo->input || entry->row_count == 0) {
      continue;
    }
    fo->max_key_ns = entry->max_ns > fo->max_key_ns ? entry->max_ns : fo->max_key_ns;
    if (!first && (entry->writer == 0 || entry->writer != last) && is_unseen(reader, fo, entry)) {
      fo->unseen_at = now;
    }
    last = entry->writer;
  }
}

rk_followed *rk_followed_new(rk_reader *reader, rk_input *input, const rk_events *events, int64_t now)
{
  rk_followed *fo = calloc(1, sizeof *fo);
  if (!fo) {
    return NULL;
  }
  fo->input = input;
  fo->file_watch = fo->parent_watch = fo->spool_watches[0] = fo->spool_watches[1] = -1;
  fo->max_key_ns = fo->unseen_at = INT64_MIN;
  fo->dead_since = INT64_MAX;
  if (!begin(fo, reader, events, now)) {
    rk_followed_free(fo);
    return NULL;
  }
  judge_new(reader, fo, now, true);
  return fo;
}

/* ---- What is certain ---- */

static rk_status look(const rk_reader *reader, const rk_events *events, rk_followed *fo, int64_t now)
{
  fo->look = (rk_ring_look){.bound_ns = INT64_MAX};
  for (int i = 0; i < 2; i++) {
    if (!fo->rings[i]) {
      continue;
    }
    const bool list = fo->list[i] || fo->spool_watches[i] < 0;
    if (list) { /* watched first: what comes after the listing is an event */
      rk_events_watch(events, rk_ring_watch_directory(fo->rings[i]), true, &fo->spool_watches[i]);
      fo->list[i] = false;
    }
    rk_ring_look one;
    const rk_status status = rk_ring_watch_look(fo->rings[i], now, list, reader->follow_delay_ns, &one);
    if (status) {
      return status;
    }
    fo->look.alive = fo->look.alive || one.alive;
    fo->look.by_row = fo->look.by_row || one.by_row;
    fo->look.by_call = fo->look.by_call || one.by_call;
    fo->look.bound_ns = one.bound_ns < fo->look.bound_ns ? one.bound_ns : fo->look.bound_ns;
    if (one.has_dead && !fo->look.has_dead) {
      fo->look.has_dead = true;
      fo->look.dead = one.dead;
    }
  }
  return RK_OK;
}

/* Of a dead process whose rows nobody brings in: these become chunks of the input. */
static rk_status read_dead(rk_reader *reader, rk_followed *fo, rk_orphans *orphans, int64_t now)
{
  if (!fo->look.has_dead || reader->ignore_spools) {
    fo->dead_since = INT64_MAX;
    return RK_OK;
  }
  if (fo->dead_since == INT64_MAX || fo->dead.identity != fo->look.dead.identity) {
    fo->dead = fo->look.dead;
    fo->dead_since = now;
  }
  if (fo->locked && now - fo->dead_since < reader->follow_delay_ns) {
    return RK_OK; /* who has the recording open will */
  }
  orphans->has_hash = fo->places.has_hash;
  orphans->recording_hash = fo->places.recording_hash;
  rk_status status = rk_orphan_list_read(&orphans->beside, fo->places.beside, &fo->dead.hash, &fo->dead.identity);
  if (status == RK_OK && fo->places.shared) {
    status = rk_orphan_list_read(&orphans->shared, fo->places.shared, &fo->dead.hash, &fo->dead.identity);
  }
  for (int i = 0; i < 2; i++) {
    if (fo->rings[i]) {
      rk_ring_watch_forget(fo->rings[i], &fo->dead);
    }
  }
  fo->dead_since = INT64_MAX;
  return status;
}

/* By how long rows have been there. */
static int64_t delayed_limit(const rk_reader *reader, rk_followed *fo, int64_t now)
{
  sample *samples = fo->samples.items;
  const size_t count = fo->samples.count;
  if (count > 0 && samples[count - 1].key_ns < fo->max_key_ns) {
    sample *last = count == 1 && samples[0].key_ns == INT64_MIN ? samples
                   : count < SAMPLES_MAX                        ? rk_list_add(&fo->samples, sizeof *last)
                                                                : NULL;
    samples = fo->samples.items;
    if (last == samples) {
      samples[0].key_ns = fo->max_key_ns; /* what was there at the beginning: since then */
    } else if (last) {
      *last = (sample){.at = now, .key_ns = fo->max_key_ns};
    } else { /* too many, or no memory: later than it was */
      samples[count - 1] = (sample){.at = now, .key_ns = fo->max_key_ns};
    }
  }
  size_t passed = 0;
  while (passed < fo->samples.count && samples[passed].at <= now - reader->follow_delay_ns) {
    passed++;
  }
  if (passed == 0) {
    return INT64_MIN;
  }
  const int64_t key = samples[passed - 1].key_ns;
  memmove(samples, samples + passed - 1, (fo->samples.count - passed + 1) * sizeof *samples);
  fo->samples.count -= passed - 1;
  return key == INT64_MAX ? key : key + 1;
}

int64_t rk_followed_limit(rk_followed *fo, const rk_reader *reader, int64_t now)
{
  const int64_t delayed = delayed_limit(reader, fo, now);
  if (fo->ended) {
    return INT64_MAX;
  }
  const bool unseen = fo->unseen_at != INT64_MIN && now - fo->unseen_at < UNSEEN_FACTOR * reader->follow_delay_ns;
  int64_t limit = fo->look.bound_ns;
  if (fo->places.of_this_boot && !unseen) {
    const int64_t present = now + fo->places.clock_offset - RK_FOLLOW_GRACE_NS;
    limit = present < limit ? present : limit;
  }
  limit = limit == INT64_MAX || limit == INT64_MIN ? limit : rk_shift_ns(limit, fo->input->shift_ns);
  if (unseen || (!fo->places.of_this_boot && !fo->look.alive)) {
    limit = delayed < limit ? delayed : limit;
  }
  return limit;
}

void rk_followed_event(rk_followed *fo, int watch)
{
  for (int i = 0; i < 2; i++) {
    fo->list[i] = fo->list[i] || watch < 0 || watch == fo->spool_watches[i] || watch == fo->parent_watch;
  }
}

rk_status rk_followed_refresh(rk_followed *fo, rk_reader *reader, const rk_events *events, rk_doubts *doubts,
                              int64_t now, rk_error *error)
{
  struct stat file;
  if (!fo->input->scan || fstat(rk_source_descriptor(&fo->input->source), &file) != 0) {
    fo->ended = true;
    return RK_OK;
  }
  rk_status status = look(reader, events, fo, now);
  fo->locked = rk_source_locked(&fo->input->source);
  rk_orphans orphans = {0};
  status = status ? status : read_dead(reader, fo, &orphans, now);
  if (status == RK_OK) {
    status = rk_index_grow(reader, fo->input, error);
    if (status) {
      rk_orphans_free(&orphans);
      return status;
    }
    judge_new(reader, fo, now, false);
    status = rk_orphans_add(reader, fo->input, 0, &orphans, error);
  }
  rk_orphans_free(&orphans);
  if (status) {
    return rk_fail(error, status, RK_NO_OFFSET, "no memory to follow");
  }
  fo->ended = !fo->locked && !fo->look.has_dead && (fo->input->finished || !is_in_place(fo->input, &file));
  rk_doubts_settle(doubts, reader, fo->input, now, fo->ended);
  return RK_OK;
}

bool rk_followed_ended(const rk_followed *fo)
{
  return fo->ended;
}

bool rk_followed_by_call(const rk_followed *fo)
{
  return fo->look.by_call || !fo->look.by_row;
}

int64_t rk_followed_due_ns(const rk_followed *fo, const rk_reader *reader, int64_t now)
{
  const sample *samples = fo->samples.items;
  for (size_t i = 0; i < fo->samples.count; i++) { /* the first that is not passed yet */
    const int64_t due = samples[i].at + reader->follow_delay_ns - now;
    if (due > 0) {
      return due;
    }
  }
  return INT64_MAX;
}
