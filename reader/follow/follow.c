/* Following inputs that grow: what is certain by the rings and the files, what has come, and what to wait for. */
#include "reader/follow/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "format/error.h"
#include "reader/follow/follow_cursor.h"
#include "reader/follow/follow_doubts.h"
#include "reader/follow/follow_events.h"
#include "reader/follow/follow_rings.h"
#include "reader/input/source_zst.h"
#include "reader/spool/orphan.h"

#define DELAY_NS      3000000000 /* rk_reader_options.follow_delay_ns */
#define SPACING_NS    5000000    /* between two looks */
#define CALL_NS       2000000    /* until a call under way is looked at again; doubled each time up to ... */
#define CALL_MOST_NS  32000000
#define ROW_NS        100000000  /* with rows held back by others in rings: their append is an event */
#define IDLE_NS       1000000000 /* with nothing held back */
#define BLIND_NS      20000000   /* without inotify */
#define SAMPLES_MAX   1024
#define UNSEEN_FACTOR 10

/* That rows up to `key_ns` were in the file at `at`. */
typedef struct sample {
  int64_t at, key_ns;
} sample;

/* Known rows of [min, max] that may be held back. */
typedef struct range {
  int64_t min_ns, max_ns;
} range;

typedef struct followed {
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
} followed;

struct rk_follow {
  rk_positions now, past;
  bool has_past;
  size_t noted; /* entries of the index that are in `now` */

  bool begun; /* the rest is in use */
  bool ended; /* and rk_reader_wait has said RK_OK since */
  rk_events events;
  rk_list inputs; /* followed * */
  rk_list held;   /* range */
  rk_doubts doubts;
  bool fresh; /* rows may have become certain since rk_reader_wait returned last */
  int64_t looked_at, call_pause_ns;
  int64_t limit_ns; /* INT64_MAX: none */
};

static int64_t clock_ns(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
  int64_t sum;
  return !__builtin_add_overflow(a, b, &sum) ? sum : b < 0 ? INT64_MIN : INT64_MAX;
}

static rk_follow *get(rk_reader *reader)
{
  if (!reader->follow_state) {
    reader->follow_state = calloc(1, sizeof *reader->follow_state);
    if (reader->follow_state) {
      reader->follow_state->events.fd = -1;
      reader->follow_state->now.seed = reader->follow_state->past.seed = reader->names.seed;
    }
  }
  return reader->follow_state;
}

static void followed_free(followed *fo)
{
  rk_ring_watch_free(fo->rings[0]);
  rk_ring_watch_free(fo->rings[1]);
  rk_orphan_places_free(&fo->places);
  free(fo->samples.items);
  free(fo);
}

void rk_follow_free(rk_follow *follow)
{
  if (!follow) {
    return;
  }
  followed **inputs = follow->inputs.items;
  for (size_t i = 0; i < follow->inputs.count; i++) {
    followed_free(inputs[i]);
  }
  free(follow->inputs.items);
  free(follow->held.items);
  free(follow->doubts.list.items);
  rk_events_close(&follow->events);
  rk_positions_free(&follow->now);
  rk_positions_free(&follow->past);
  free(follow);
}

/* ---- The index ---- */

/* Whether the chunk that bears the entry's number already is sound and the same. */
static bool is_repeated(rk_reader *reader, size_t at)
{
  const rk_entry *entry = rk_entry_at(reader, at);
  for (size_t i = at; i-- > 0;) {
    const rk_entry *other = rk_entry_at(reader, i);
    if (other->writer == entry->writer && other->chunk_number == entry->chunk_number && !other->lost &&
        other->place == entry->place && other->first_row == entry->first_row && other->row_count == entry->row_count) {
      return true;
    }
  }
  return false;
}

/* What the index has come to hold: chunks that it held before are dropped, the others join the timeline. */
static rk_status note_entries(rk_reader *reader, rk_follow *f)
{
  for (; f->noted < reader->entries.count; f->noted++) {
    rk_entry *entry = rk_entry_at(reader, f->noted);
    bool known;
    if (!rk_positions_chunk(&f->now, reader, entry, &known)) {
      return RK_ERR_NO_MEMORY;
    }
    if (!reader->follow) {
      continue;
    }
    if (known && reader->timeline && !entry->lost &&
        is_repeated(reader, f->noted)) { /* adopted after its rows were read from the spool */
      entry->lost = true;
      reader->stats.chunk_count--;
      reader->stats.rows_indexed -= entry->bare ? 0 : entry->row_count;
      reader->stats.duplicate_rows += entry->bare ? 0 : entry->row_count;
      continue;
    }
    if (entry->lost || entry->bare || !rk_filter_entry(reader, entry)) {
      continue;
    }
    range *held = rk_list_add(&f->held, sizeof *held);
    if (!held || (reader->timeline && rk_timeline_add(reader, entry) != RK_OK)) {
      return RK_ERR_NO_MEMORY;
    }
    *held = (range){.min_ns = entry->min_ns, .max_ns = entry->max_ns};
    f->fresh = f->fresh || entry->min_ns < f->limit_ns;
  }
  return RK_OK;
}

rk_status rk_follow_note(rk_reader *reader)
{
  rk_follow *f = get(reader);
  return f ? note_entries(reader, f) : RK_ERR_NO_MEMORY;
}

bool rk_follow_doubt(rk_reader *reader, rk_input *input, const rk_pending_loss *loss)
{
  rk_follow *f = reader->follow_state;
  return f && f->begun && rk_source_locked(&input->source) &&
         rk_doubts_add(&f->doubts, input, loss, clock_ns(CLOCK_MONOTONIC));
}

/* ---- Inputs ---- */

/* Whether the input's name leads to the file that it was read from. */
static bool is_in_place(const rk_input *input, const struct stat *file)
{
  struct stat named;
  return stat(input->path, &named) == 0 && named.st_dev == file->st_dev && named.st_ino == file->st_ino;
}

static rk_status add_input(rk_reader *reader, rk_follow *f, rk_input *input, int64_t now)
{
  followed *fo = calloc(1, sizeof *fo);
  followed **slot = fo ? rk_list_add(&f->inputs, sizeof(followed *)) : NULL;
  if (!slot) {
    free(fo);
    return RK_ERR_NO_MEMORY;
  }
  *slot = fo;
  fo->input = input;
  fo->file_watch = fo->parent_watch = fo->spool_watches[0] = fo->spool_watches[1] = -1;
  fo->max_key_ns = fo->unseen_at = INT64_MIN;
  fo->dead_since = INT64_MAX;
  struct stat file;
  if (!input->scan || fstat(rk_source_descriptor(&input->source), &file) != 0) {
    return RK_OK; /* it cannot grow */
  }
  if (!rk_orphan_places_find(&fo->places, input->path, reader->spool_directory)) {
    return RK_ERR_NO_MEMORY;
  }
  const uint64_t *hash = fo->places.has_hash ? &fo->places.recording_hash : NULL;
  if (fo->places.beside) {
    fo->rings[0] = rk_ring_watch_new(fo->places.beside, NULL);
    if (!fo->rings[0]) {
      return RK_ERR_NO_MEMORY;
    }
  }
  if (fo->places.shared && hash) {
    fo->rings[1] = rk_ring_watch_new(fo->places.shared, hash);
    if (!fo->rings[1]) {
      return RK_ERR_NO_MEMORY;
    }
  }
  rk_events_watch(&f->events, input->path, false, &fo->file_watch);
  char *parent = fo->places.beside ? strdup(fo->places.beside) : NULL;
  if (parent) {
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    rk_events_watch(&f->events, parent, true, &fo->parent_watch);
    free(parent);
  }
  /* What it holds now has been there since it was changed last. */
  const int64_t since = clock_ns(CLOCK_REALTIME) - ((int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec);
  sample *first = rk_list_add(&fo->samples, sizeof *first);
  if (first) {
    *first = (sample){.at = now - (since > 0 ? since : 0), .key_ns = INT64_MIN};
  }
  return first ? RK_OK : RK_ERR_NO_MEMORY;
}

static bool knows_ring(const followed *fo, uint32_t tag)
{
  return (fo->rings[0] && rk_ring_watch_knows(fo->rings[0], tag)) ||
         (fo->rings[1] && rk_ring_watch_knows(fo->rings[1], tag));
}

/* Whether the writer may be appending from where its ring is not seen. */
static bool is_unseen(rk_reader *reader, const followed *fo, const rk_entry *entry)
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
static void judge_new(rk_reader *reader, followed *fo, int64_t now, bool first)
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

/* ---- What is certain ---- */

static rk_status look(rk_reader *reader, rk_follow *f, followed *fo, int64_t now)
{
  fo->look = (rk_ring_look){.bound_ns = INT64_MAX};
  for (int i = 0; i < 2; i++) {
    if (!fo->rings[i]) {
      continue;
    }
    const bool list = fo->list[i] || fo->spool_watches[i] < 0;
    if (list) { /* watched first: what comes after the listing is an event */
      rk_events_watch(&f->events, rk_ring_watch_directory(fo->rings[i]), true, &fo->spool_watches[i]);
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
static rk_status read_dead(rk_reader *reader, followed *fo, rk_orphans *orphans, int64_t now)
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
static int64_t delayed_limit(rk_reader *reader, followed *fo, int64_t now)
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

/* Rows of the input with smaller keys are all known. */
static int64_t input_limit(rk_reader *reader, followed *fo, int64_t now)
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
  limit = limit == INT64_MAX || limit == INT64_MIN ? limit : add_saturated(limit, fo->input->shift_ns);
  if (unseen || (!fo->places.of_this_boot && !fo->look.alive)) {
    limit = delayed < limit ? delayed : limit;
  }
  return limit;
}

/* ---- One look at everything ---- */

static void on_event(void *context, int watch)
{
  rk_follow *f = context;
  followed **inputs = f->inputs.items;
  for (size_t i = 0; i < f->inputs.count; i++) {
    followed *fo = inputs[i];
    for (int j = 0; j < 2; j++) {
      fo->list[j] = fo->list[j] || watch < 0 || watch == fo->spool_watches[j] || watch == fo->parent_watch;
    }
  }
}

static rk_status refresh_input(rk_reader *reader, rk_follow *f, followed *fo, int64_t now, rk_error *error)
{
  struct stat file;
  if (!fo->input->scan || fstat(rk_source_descriptor(&fo->input->source), &file) != 0) {
    fo->ended = true;
    return RK_OK;
  }
  rk_status status = look(reader, f, fo, now);
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
  rk_doubts_settle(&f->doubts, reader, fo->input, now, fo->ended);
  return RK_OK;
}

/* Drops ranges below the limit. Whether there is one that the step from `before` to the limit lets rows of pass. */
static bool release(rk_follow *f, int64_t before)
{
  range *held = f->held.items;
  size_t kept = 0;
  bool any = false;
  for (size_t i = 0; i < f->held.count; i++) {
    any = any || (held[i].min_ns < f->limit_ns && held[i].max_ns >= before);
    if (held[i].max_ns >= f->limit_ns && f->limit_ns != INT64_MAX) {
      held[kept++] = held[i];
    }
  }
  f->held.count = kept;
  return any;
}

static rk_status refresh(rk_reader *reader, rk_follow *f, rk_error *error)
{
  rk_events_take(&f->events, on_event, f);
  const int64_t now = clock_ns(CLOCK_MONOTONIC);
  f->looked_at = now;
  int64_t limit = INT64_MAX;
  bool ended = true;
  for (size_t i = 0; i < f->inputs.count; i++) {
    followed *fo = ((followed **)f->inputs.items)[i];
    const rk_status status = refresh_input(reader, f, fo, now, error);
    if (status) {
      return status;
    }
    const int64_t one = input_limit(reader, fo, now);
    limit = one < limit ? one : limit;
    ended = ended && fo->ended;
  }
  const int64_t before = f->limit_ns;
  f->limit_ns = limit;
  reader->has_limit = limit != INT64_MAX;
  reader->limit_ns = limit;
  if (note_entries(reader, f) != RK_OK) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to follow");
  }
  f->fresh = release(f, before) || f->fresh;
  if (!ended) {
    f->ended = false;
  } else if (!f->ended) {
    f->ended = f->fresh = true;
  }
  return RK_OK;
}

rk_status rk_follow_begin(rk_reader *reader, rk_error *error)
{
  if (!reader->follow || (reader->follow_state && reader->follow_state->begun)) {
    return RK_OK;
  }
  rk_follow *f = get(reader);
  if (!f) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to follow");
  }
  f->begun = true;
  f->limit_ns = INT64_MIN;
  reader->follow_delay_ns = reader->follow_delay_ns == 0 ? DELAY_NS : reader->follow_delay_ns;
  rk_events_open(&f->events);
  const int64_t now = clock_ns(CLOCK_MONOTONIC);
  rk_input **inputs = reader->inputs.items;
  const size_t count = reader->inputs.count;
  bool ok = true;
  for (size_t i = 0; i < count && ok; i++) {
    if (inputs[i]->owned) {
      continue; /* rows of spools */
    }
    ok = add_input(reader, f, inputs[i], now) == RK_OK;
    if (ok) {
      judge_new(reader, ((followed **)f->inputs.items)[f->inputs.count - 1], now, true);
    }
  }
  return ok ? refresh(reader, f, error) : rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to follow");
}

/* ---- Waiting ---- */

/* When to look again though nothing happens. */
static int64_t pause_of(const rk_reader *reader, rk_follow *f)
{
  int64_t pause = IDLE_NS;
  bool by_call = false;
  followed *const *inputs = f->inputs.items;
  for (size_t i = 0; f->held.count > 0 && i < f->inputs.count; i++) {
    const followed *fo = inputs[i];
    if (fo->ended) {
      continue;
    }
    by_call = by_call || fo->look.by_call || !fo->look.by_row;
    pause = pause > ROW_NS ? ROW_NS : pause;
    const sample *samples = fo->samples.items;
    for (size_t j = 0; j < fo->samples.count; j++) { /* the first that is not passed yet */
      const int64_t due = samples[j].at + reader->follow_delay_ns - f->looked_at;
      if (due > 0) {
        pause = due < pause ? due : pause;
        break;
      }
    }
  }
  f->call_pause_ns = !by_call ? CALL_NS : f->call_pause_ns * 2 > CALL_MOST_NS ? CALL_MOST_NS : f->call_pause_ns * 2;
  pause = by_call && f->call_pause_ns < pause ? f->call_pause_ns : pause;
  return f->events.fd < 0 && pause > BLIND_NS ? BLIND_NS : pause;
}

rk_status rk_reader_wait(rk_reader *reader, int64_t timeout_ns, rk_error *error)
{
  if (!reader || !reader->follow) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "the reader was not opened to follow");
  }
  if (reader->error.status) {
    if (error) {
      *error = reader->error;
    }
    return reader->error.status;
  }
  const int64_t begin = clock_ns(CLOCK_MONOTONIC);
  rk_error failed = {.offset = RK_NO_OFFSET};
  rk_status status = rk_follow_begin(reader, &failed);
  rk_follow *f = reader->follow_state;
  if (status == RK_OK && f->ended && !f->fresh) {
    return RK_END;
  }
  f->call_pause_ns = CALL_NS / 2;
  bool waits = true;
  while (status == RK_OK && waits) {
    if (f->fresh) {
      break;
    }
    const int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (now - f->looked_at < SPACING_NS) {
      waits = rk_events_pause(SPACING_NS - (now - f->looked_at));
    }
    status = refresh(reader, f, &failed);
    if (status != RK_OK || f->fresh) {
      break;
    }
    const int64_t left = timeout_ns < 0 ? INT64_MAX : timeout_ns - (clock_ns(CLOCK_MONOTONIC) - begin);
    if (left <= 0) {
      break;
    }
    const int64_t pause = pause_of(reader, f);
    waits = waits && rk_events_wait(&f->events, left < pause ? left : pause);
  }
  if (status != RK_OK) {
    if (error) {
      *error = failed;
    }
    return rk_reader_set_error(reader, &failed);
  }
  f->fresh = false;
  return RK_OK;
}

/* ---- Cursors ---- */

bool rk_follow_take(rk_reader *reader, const rk_row_ref *ref, rk_status *status)
{
  rk_follow *f = get(reader);
  if (!f) {
    *status = RK_ERR_NO_MEMORY;
    return false;
  }
  if (f->has_past && rk_positions_passed(&f->past, reader, ref)) {
    reader->stats.rows_returned--;
    return false;
  }
  if (!rk_positions_row(&f->now, reader, ref)) {
    *status = RK_ERR_NO_MEMORY;
    return false;
  }
  return true;
}

char *rk_reader_cursor(const rk_reader *reader)
{
  rk_reader *r = (rk_reader *)(uintptr_t)reader; /* taken down when asked for */
  rk_follow *f = r ? get(r) : NULL;
  if (!f || note_entries(r, f) != RK_OK) {
    return NULL;
  }
  return rk_positions_format(&f->now);
}

rk_status rk_reader_resume(rk_reader *reader, const char *cursor, rk_error *error)
{
  if (!reader || !cursor || reader->timeline) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a reading is resumed before its first row");
  }
  rk_positions past = {.seed = reader->names.seed};
  rk_status status = rk_positions_parse(&past, cursor, error);
  rk_follow *f = status == RK_OK ? get(reader) : NULL;
  if (status == RK_OK && (!f || !rk_positions_copy(&f->now, &past))) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to resume");
  }
  if (status != RK_OK) {
    rk_positions_free(&past);
    return status;
  }
  rk_positions_free(&f->past);
  f->past = past;
  f->has_past = true;
  return RK_OK;
}
