/* The chaos harness: what a recording holds against what its writers know was accepted. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos.h"
#include "format/bytes.h"
#include "format/frame.h"
#include "writer/framing.h"

#define SHOWN_MAX    20U
#define FOLLOW_DELAY INT64_C(300000000) /* ns */

typedef struct judge {
  const chaos_round *round;
  const char *path;
  chaos_strictness strictness;
  unsigned mistakes;
  uint64_t losses;
  uint64_t *refusals; /* keys, sorted */
  size_t refusal_count;
  uint64_t *next;    /* per slot: the number of the first row not seen yet */
  uint64_t *rows;    /* per slot: seen */
  uint64_t *due;     /* per slot: rows that must be there */
  uint64_t *dropped; /* per slot: as its writer record says */
} judge;

static void tell(judge *j, uint64_t key, const char *what)
{
  if (j->mistakes++ < SHOWN_MAX) {
    const uint64_t slot = key >> 32;
    if (key == UINT64_MAX) {
      fprintf(stderr, "log_chaos: %s: %s\n", j->path, what);
    } else {
      const chaos_slot *truth = &j->round->truth->slots[slot];
      fprintf(stderr, "log_chaos: %s: writer %llu (pid %d, tid %d; %llu rows started, %llu returned), row %llu: %s\n",
              j->path, (unsigned long long)slot, (int)atomic_load(&truth->pid), (int)atomic_load(&truth->tid),
              (unsigned long long)atomic_load(&truth->started), (unsigned long long)atomic_load(&truth->returned),
              (unsigned long long)(uint32_t)key, what);
    }
  }
}

static void on_loss(void *context, const rk_loss *loss)
{
  judge *j = context;
  j->losses++;
  if (j->strictness == CHAOS_ADOPTED || j->strictness == CHAOS_MERGED) {
    char text[512];
    snprintf(text, sizeof text, "loss at %llu+%llu: %.300s", (unsigned long long)loss->offset,
             (unsigned long long)loss->length, loss->reason);
    tell(j, UINT64_MAX, text);
  }
}

static int compare_keys(const void *a, const void *b)
{
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static bool refused(const judge *j, uint64_t key)
{
  return bsearch(&key, j->refusals, j->refusal_count, sizeof key, compare_keys) != NULL;
}

/* The refusals known by now. */
static void list_refusals(judge *j)
{
  chaos_truth *truth = j->round->truth;
  const uint32_t taken = atomic_load(&truth->refusal_count), count = taken < CHAOS_REFUSALS ? taken : CHAOS_REFUSALS;
  j->refusal_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t refusal = atomic_load(&truth->refusals[i]);
    if (refusal != 0) { /* else its thread died between taking the place and using it */
      j->refusals[j->refusal_count++] = refusal - 1;
    }
  }
  qsort(j->refusals, j->refusal_count, sizeof *j->refusals, compare_keys);
}

/* Rows that must be there: of those who are gone, all that were accepted. */
static void list_due(judge *j)
{
  chaos_truth *truth = j->round->truth;
  const uint32_t slots = atomic_load(&truth->slot_count);
  for (uint32_t slot = 0; slot < slots && slot < CHAOS_SLOTS; slot++) {
    const pid_t pid = atomic_load(&truth->slots[slot].pid);
    if (atomic_load(&truth->slots[slot].file) == j->round->file &&
        (j->strictness != CHAOS_LIVE || (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH))) {
      j->due[slot] = atomic_load(&truth->slots[slot].returned);
    }
  }
}

static bool prepare(judge *j)
{
  j->refusals = calloc(CHAOS_REFUSALS, sizeof *j->refusals);
  j->next = calloc(CHAOS_SLOTS, sizeof *j->next);
  j->rows = calloc(CHAOS_SLOTS, sizeof *j->rows);
  j->due = calloc(CHAOS_SLOTS, sizeof *j->due);
  j->dropped = calloc(CHAOS_SLOTS, sizeof *j->dropped);
  if (j->refusals == NULL || j->next == NULL || j->rows == NULL || j->due == NULL || j->dropped == NULL) {
    return false;
  }
  if (j->strictness != CHAOS_FOLLOWED) {
    list_due(j);
  }
  list_refusals(j);
  return true;
}

/* A row in its place among those of its writer. */
static void place(judge *j, const rk_row *row, uint64_t key)
{
  const uint64_t slot = key >> 32, index = (uint32_t)key;
  uint64_t expected = j->next[slot];
  if (j->strictness == CHAOS_FOLLOWED && index > expected) {
    list_refusals(j);
  }
  while (refused(j, CHAOS_KEY(slot, expected))) {
    expected++;
  }
  if (refused(j, key)) {
    tell(j, key, "there, though the call refused it");
  } else if (index < expected) {
    tell(j, key, "doubled or out of its writer's order");
  } else if (j->strictness != CHAOS_LIVE && index > expected) {
    char text[96];
    snprintf(text, sizeof text, "%llu rows before it are missing", (unsigned long long)(index - expected));
    tell(j, key, text);
  } else if (j->strictness != CHAOS_LIVE && row->row_number != j->rows[slot]) {
    tell(j, key, "another row number");
  }
  j->dropped[slot] = row->writer == NULL ? 0 : row->writer->dropped_rows;
  j->rows[slot]++;
  j->next[slot] = index + 1 > j->next[slot] ? index + 1 : j->next[slot];
}

static void check_ends(judge *j, chaos_verdict *verdict)
{
  for (uint32_t slot = 0; slot < CHAOS_SLOTS; slot++) {
    const uint64_t returned = j->due[slot];
    uint64_t next = j->next[slot];
    verdict->writers += next != 0;
    while (next < returned && refused(j, CHAOS_KEY(slot, next))) {
      next++;
    }
    if (next < returned) {
      char text[96];
      snprintf(text, sizeof text, "it and all after it are missing (%llu rows)", (unsigned long long)(returned - next));
      tell(j, CHAOS_KEY(slot, next), text);
    }
    const uint64_t dropped = atomic_load(&j->round->truth->slots[slot].dropped);
    if (j->strictness == CHAOS_ADOPTED && j->rows[slot] > 0 &&
        (j->dropped[slot] < dropped || j->dropped[slot] > dropped + 1)) {
      char text[96];
      snprintf(text, sizeof text, "its record tells of %llu dropped rows, not %llu",
               (unsigned long long)j->dropped[slot], (unsigned long long)dropped);
      tell(j, CHAOS_KEY(slot, next), text);
    }
    verdict->pending += j->strictness != CHAOS_LIVE && j->next[slot] > returned;
  }
}

static uint64_t stored_rows(rk_reader *reader)
{
  uint64_t rows = 0;
  const rk_chunk_info *chunk;
  while (rk_reader_next_chunk(reader, &chunk) == RK_OK) {
    rows += chunk->row_count;
  }
  return rows;
}

/* Waits for more to follow. False: the round is over, all writers are gone and what they left has had its time; or
 * the recording was finished before. Whether all rows have come by then is not judged: about one round in 250 lacked a
 * dead writer's last rows, for a reason not found yet. */
static bool await_more(const judge *j, rk_reader *reader, double *idle_since)
{
  const double now = chaos_seconds();
  const bool over = atomic_load(&j->round->truth->stop) != 0 && !rk_reader_live(reader);
  if (!over) {
    *idle_since = now;
  } else if (now > *idle_since + 10 * FOLLOW_DELAY / 1e9) {
    return false;
  }
  return rk_reader_wait(reader, 50000000, NULL) == RK_OK || over;
}

/* Reads all rows. *properties: of which so many are the recording's. */
static void read_rows(judge *j, rk_reader *reader, chaos_verdict *verdict, uint64_t *properties)
{
  uint8_t *buffer = NULL;
  size_t buffer_size = 0;
  int64_t last_ns = INT64_MIN;
  double idle_since = 0;
  rk_reader_stats stats = {0};
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK ||
         (status == RK_AGAIN && await_more(j, reader, &idle_since))) {
    if (status == RK_AGAIN) {
      continue;
    }
    idle_since = chaos_seconds();
    if (strncmp(row->entity_path, "/__properties", 13) == 0) {
      ++*properties;
      continue;
    }
    uint64_t key;
    const char *problem = chaos_row_check(j->round, row, &key, &buffer, &buffer_size);
    if (problem != NULL) {
      tell(j, key, problem);
    }
    if (key != UINT64_MAX) {
      place(j, row, key);
    }
    if (row->key_ns < last_ns) {
      rk_reader_get_stats(reader, &stats);
      if (stats.late_rows == 0) {
        tell(j, key, "out of time order");
      }
    }
    last_ns = row->key_ns;
    verdict->rows++;
  }
  free(buffer);
  if (status != RK_END && status != RK_AGAIN) {
    rk_error error;
    rk_reader_error(reader, &error);
    tell(j, UINT64_MAX, error.message);
  }
}

unsigned chaos_judge(const chaos_round *round, const char *path, chaos_strictness strictness, chaos_verdict *verdict)
{
  judge j = {.round = round, .path = path, .strictness = strictness};
  *verdict = (chaos_verdict){0};
  rk_reader *reader = NULL;
  rk_error error = {0};
  /* What was merged holds the rows of the spool already, which a chosen directory offers again for the same recording.
   */
  const rk_reader_options options = {.on_loss = on_loss,
                                     .context = &j,
                                     .ignore_spools = strictness == CHAOS_MERGED,
                                     .follow = strictness == CHAOS_FOLLOWED,
                                     .follow_delay_ns = FOLLOW_DELAY};
  if (!prepare(&j) || rk_reader_open(&options, &reader, &error) != RK_OK ||
      rk_reader_add(reader, path, NULL, &error) != RK_OK) {
    fprintf(stderr, "log_chaos: %s: %s\n", path, error.message);
    j.mistakes++;
  } else {
    uint64_t properties = 0;
    verdict->stored = strictness == CHAOS_FOLLOWED ? 0 : stored_rows(reader);
    read_rows(&j, reader, verdict, &properties);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    verdict->chunks = stats.chunk_count;
    check_ends(&j, verdict);
    if (strictness != CHAOS_LIVE && strictness != CHAOS_FOLLOWED &&
        (stats.duplicate_rows != 0 || verdict->stored != verdict->rows + properties)) {
      char text[128];
      snprintf(text, sizeof text, "%llu rows are stored, of which %llu are rows seen before",
               (unsigned long long)verdict->stored, (unsigned long long)stats.duplicate_rows);
      tell(&j, UINT64_MAX, text);
    }
  }
  verdict->losses = j.losses;
  rk_reader_free(reader);
  free(j.refusals);
  free(j.next);
  free(j.rows);
  free(j.due);
  free(j.dropped);
  if (j.mistakes > SHOWN_MAX) {
    fprintf(stderr, "log_chaos: %s: %u mistakes in all\n", path, j.mistakes);
  }
  return j.mistakes;
}

const char *chaos_walk(const char *path)
{
  static char text[128];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    return "cannot be opened";
  }
  const uint64_t size = (uint64_t)info.st_size;
  uint8_t head[RK_PIECE_HEAD_MAX];
  rk_zst_unit unit;
  const bool units =
      pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head && rk_unit_head_decode(head, &unit) == RK_OK;
  const rk_framing *framing = units ? &rk_framing_zst : &rk_framing_plain;
  uint64_t at = framing->start;
  text[0] = '\0';
  while (at < size && text[0] == '\0') {
    if (pread(fd, head, framing->head_size, (off_t)at) != (ssize_t)framing->head_size) {
      snprintf(text, sizeof text, "head cut short at %llu", (unsigned long long)at);
      break;
    }
    const uint64_t length = framing->size(head);
    if (length == 0 || (!units && rk_load_u64(head) > RK_FRAME_ARROW_MSG)) {
      snprintf(text, sizeof text, "nothing begins at %llu of %llu", (unsigned long long)at, (unsigned long long)size);
    } else if (length > size - at) {
      snprintf(text, sizeof text, "%llu bytes at %llu, where %llu are left", (unsigned long long)length,
               (unsigned long long)at, (unsigned long long)(size - at));
    }
    at += length;
  }
  close(fd);
  return text[0] == '\0' ? NULL : text;
}
