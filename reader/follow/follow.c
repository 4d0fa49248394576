/* Following inputs that grow: rows as soon as they are certain, what to wait for, and where the reading stands. */
#include "reader/follow/follow.h"

#include <stdlib.h>
#include <time.h>

#include "format/error.h"
#include "reader/follow/follow_cursor.h"
#include "reader/follow/follow_doubts.h"
#include "reader/follow/follow_events.h"
#include "reader/follow/follow_input.h"
#include "reader/input/source_zst.h"

#define DELAY_NS     3000000000 /* rk_reader_options.follow_delay_ns */
#define SPACING_NS   5000000    /* between two looks */
#define CALL_NS      2000000    /* until a call under way is looked at again; doubled each time up to ... */
#define CALL_MOST_NS 32000000
#define ROW_NS       100000000  /* with rows held back by others in rings: their append is an event */
#define IDLE_NS      1000000000 /* with nothing held back */
#define BLIND_NS     20000000   /* without inotify */

/* Known rows of [min, max] that may be held back. */
typedef struct range {
  int64_t min_ns, max_ns;
} range;

struct rk_follow {
  rk_positions now, past;
  bool has_past;
  size_t noted; /* entries of the index that are in `now` */

  bool begun; /* the rest is in use */
  bool ended; /* and rk_reader_wait has said RK_OK since */
  rk_events events;
  rk_list inputs; /* rk_followed * */
  rk_list held;   /* range */
  rk_doubts doubts;
  bool fresh; /* rows may have become certain since rk_reader_wait returned last */
  int64_t looked_at, call_pause_ns;
  int64_t limit_ns; /* INT64_MAX: none */
};

static int64_t clock_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

void rk_follow_free(rk_follow *follow)
{
  if (!follow) {
    return;
  }
  rk_followed **inputs = follow->inputs.items;
  for (size_t i = 0; i < follow->inputs.count; i++) {
    rk_followed_free(inputs[i]);
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

/* Whether the entry may be a writer's first chunk as an adopter appends it. Without clocks, its number 0 says nothing.
 */
static bool may_be_first(const rk_entry *entry)
{
  return entry->sealed && !entry->numbered && entry->writer != 0 && entry->chunk_number == 0 && entry->first_row == 0;
}

/* Whether the chunk that bears the entry's number already, read from a spool where numbers say nothing, is sound and
 * the same. */
static bool is_repeated(rk_reader *reader, size_t at)
{
  const rk_entry *entry = rk_entry_at(reader, at);
  for (size_t i = at; i-- > 0;) {
    const rk_entry *other = rk_entry_at(reader, i);
    if (other->writer == entry->writer && other->chunk_number == entry->chunk_number && !other->lost &&
        other->place == entry->place && other->first_row == entry->first_row && other->row_count == entry->row_count &&
        (entry->numbered || other->input->owned != NULL)) {
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
    known = known || (reader->stats.spool_rows > 0 && may_be_first(entry));
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
  return f && f->begun && rk_source_locked(&input->source) && rk_doubts_add(&f->doubts, input, loss, clock_ns());
}

/* ---- Inputs ---- */

/* ---- One look at everything ---- */

static void on_event(void *context, int watch)
{
  const rk_follow *f = context;
  rk_followed *const *inputs = f->inputs.items;
  for (size_t i = 0; i < f->inputs.count; i++) {
    rk_followed_event(inputs[i], watch);
  }
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
  const int64_t now = clock_ns();
  f->looked_at = now;
  int64_t limit = INT64_MAX;
  bool ended = true;
  for (size_t i = 0; i < f->inputs.count; i++) {
    rk_followed *fo = ((rk_followed **)f->inputs.items)[i];
    const rk_status status = rk_followed_refresh(fo, reader, &f->events, &f->doubts, now, error);
    if (status) {
      return status;
    }
    const int64_t one = rk_followed_limit(fo, reader, now);
    limit = one < limit ? one : limit;
    ended = ended && rk_followed_ended(fo);
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
  const int64_t now = clock_ns();
  rk_input **inputs = reader->inputs.items;
  const size_t count = reader->inputs.count;
  bool ok = true;
  for (size_t i = 0; i < count && ok; i++) {
    if (inputs[i]->owned) {
      continue; /* rows of spools */
    }
    rk_followed *fo = rk_followed_new(reader, inputs[i], &f->events, now);
    rk_followed **slot = fo ? rk_list_add(&f->inputs, sizeof *slot) : NULL;
    ok = slot != NULL;
    if (ok) {
      *slot = fo;
    } else {
      rk_followed_free(fo);
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
  rk_followed *const *inputs = f->inputs.items;
  for (size_t i = 0; f->held.count > 0 && i < f->inputs.count; i++) {
    if (rk_followed_ended(inputs[i])) {
      continue;
    }
    by_call = by_call || rk_followed_by_call(inputs[i]);
    const int64_t due = rk_followed_due_ns(inputs[i], reader, f->looked_at);
    pause = pause > ROW_NS ? ROW_NS : pause;
    pause = due < pause ? due : pause;
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
  const int64_t begin = clock_ns();
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
    const int64_t now = clock_ns();
    if (now - f->looked_at < SPACING_NS) {
      waits = rk_events_pause(SPACING_NS - (now - f->looked_at));
    }
    status = refresh(reader, f, &failed);
    if (status != RK_OK || f->fresh) {
      break;
    }
    const int64_t left = timeout_ns < 0 ? INT64_MAX : timeout_ns - (clock_ns() - begin);
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
