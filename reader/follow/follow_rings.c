/* What writers of this host still hold back (SPEC "Following"). Their files are read, never locked, mapped or changed,
 * and nothing in them is trusted: the worst that they can do is to hold rows back for a while, or not at all. */
#include "reader/follow/follow_rings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/numbering.h" /* rk_array_grow */
#include "format/spool.h"
#include "reader/file_io.h"
#include "reader/host_process.h"
#include "reader/spool/orphan_files.h"

#define FILES_KEPT_OPEN 256   /* by one watch; the rest is opened for each look */
#define PROCESS_RECORD  16384 /* the first record of a definitions file ends before */
#define TAGS_REMEMBERED 4096

typedef struct ring {
  uint64_t number;
  int fd; /* or -1 */
  bool listed, seen;
  uint32_t logging;      /* as last seen */
  int64_t not_before_ns; /* a call under way took its stamp later */
  int64_t looked_ns;     /* clock of the last look; INT64_MIN: none */
  uint64_t held_tail;    /* where it stood when it began to hold back, ... */
  uint32_t held_logging;
  int64_t held_since; /* ... and when that was; INT64_MAX: it does not */
} ring;

typedef struct process {
  rk_ring_process is;
  int fd; /* of the definitions, or -1 */
  bool listed, forgotten, alive;
  ring *rings;
  size_t ring_count, ring_capacity;
} process;

struct rk_ring_watch {
  char *directory;
  bool has_hash;
  uint64_t hash;
  int fd;            /* of the directory, or -1 */
  int64_t listed_ns; /* clock of the last listing; INT64_MIN: none */
  process *processes;
  size_t process_count, process_capacity;
  size_t open_count;
  uint32_t *tags; /* of rings seen, the latest TAGS_REMEMBERED of them */
  size_t tag_count;
};

rk_ring_watch *rk_ring_watch_new(const char *directory, const uint64_t *hash)
{
  rk_ring_watch *watch = calloc(1, sizeof *watch);
  char *copy = strdup(directory);
  uint32_t *tags = calloc(TAGS_REMEMBERED, sizeof *tags);
  if (watch == NULL || copy == NULL || tags == NULL) {
    free(watch);
    free(copy);
    free(tags);
    return NULL;
  }
  *watch = (rk_ring_watch){.directory = copy, .fd = -1, .listed_ns = INT64_MIN, .tags = tags};
  if (hash != NULL) {
    watch->has_hash = true;
    watch->hash = *hash;
  }
  return watch;
}

static void close_file(rk_ring_watch *watch, int *fd)
{
  if (*fd >= 0) {
    (void)close(*fd);
    *fd = -1;
    watch->open_count--;
  }
}

static void process_free(rk_ring_watch *watch, process *p)
{
  for (size_t i = 0; i < p->ring_count; i++) {
    close_file(watch, &p->rings[i].fd);
  }
  close_file(watch, &p->fd);
  free(p->rings);
}

void rk_ring_watch_free(rk_ring_watch *watch)
{
  if (watch == NULL) {
    return;
  }
  for (size_t i = 0; i < watch->process_count; i++) {
    process_free(watch, &watch->processes[i]);
  }
  if (watch->fd >= 0) {
    (void)close(watch->fd);
  }
  free(watch->processes);
  free(watch->tags);
  free(watch->directory);
  free(watch);
}

const char *rk_ring_watch_directory(const rk_ring_watch *watch)
{
  return watch->directory;
}

static void remember_tag(rk_ring_watch *watch, uint32_t tag)
{
  if (!rk_ring_watch_knows(watch, tag)) {
    watch->tags[watch->tag_count++ % TAGS_REMEMBERED] = tag;
  }
}

bool rk_ring_watch_knows(const rk_ring_watch *watch, uint32_t tag)
{
  const size_t count = watch->tag_count < TAGS_REMEMBERED ? watch->tag_count : TAGS_REMEMBERED;
  for (size_t i = count; i-- > 0;) {
    if (watch->tags[i] == tag) {
      return true;
    }
  }
  return false;
}

/* ---- Files ---- */

/* A descriptor of the process' file, which is kept in *kept if there is room; -1: it is gone or cannot be read. */
static int open_file(rk_ring_watch *watch, const process *p, uint64_t number, int *kept)
{
  if (*kept >= 0) {
    return *kept;
  }
  char name[64];
  if (number == RK_SPOOL_DEFINITIONS) {
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64 ".defs", p->is.hash, p->is.identity);
  } else {
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64 "-%" PRIu64 ".ring", p->is.hash, p->is.identity,
                   number);
  }
  const int fd = openat(watch->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat info;
  if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))) {
    (void)close(fd);
    return -1;
  }
  if (fd >= 0 && watch->open_count < FILES_KEPT_OPEN) {
    *kept = fd;
    watch->open_count++;
  }
  return fd;
}

static void done_with(int fd, const int *kept)
{
  if (fd >= 0 && fd != *kept) {
    (void)close(fd);
  }
}

/* What the definitions' first record says of the process. */
static void learn(rk_ring_watch *watch, process *p, int fd)
{
  uint8_t *bytes = calloc(1, PROCESS_RECORD);
  if (bytes == NULL) {
    return; /* the next look tries again */
  }
  ssize_t n;
  do {
    n = pread(fd, bytes, PROCESS_RECORD, 0);
  } while (n < 0 && errno == EINTR);
  rk_spool_definition first;
  size_t size;
  if (n > RK_SPOOL_MAGIC_SIZE && memcmp(bytes, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE) == 0 &&
      rk_spool_definition_decode(bytes + RK_SPOOL_MAGIC_SIZE, (size_t)n - RK_SPOOL_MAGIC_SIZE, &first, &size) ==
          RK_OK &&
      first.kind == RK_SPOOL_PROCESS && first.id == RK_SPOOL_VERSION) {
    p->is.known = true;
    p->is.pid = first.values[0];
    p->is.clock_offset = first.values[3];
  }
  (void)watch;
  free(bytes);
}

static bool is_locked(int fd)
{
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Whether the process is stopped, by a signal or a debugger. */
static bool is_stopped(int64_t pid)
{
  const char state = rk_process_state(pid);
  return state == 'T' || state == 't';
}

/* ---- The directory ---- */

static process *find_process(rk_ring_watch *watch, const rk_spool_file *file)
{
  for (size_t i = 0; i < watch->process_count; i++) {
    if (watch->processes[i].is.hash == file->hash && watch->processes[i].is.identity == file->process) {
      return &watch->processes[i];
    }
  }
  if (!rk_array_grow((void **)&watch->processes, &watch->process_capacity, watch->process_count + 1,
                     sizeof *watch->processes)) {
    return NULL;
  }
  process *p = &watch->processes[watch->process_count++];
  *p = (process){.is = {.hash = file->hash, .identity = file->process}, .fd = -1};
  return p;
}

static bool note_file(rk_ring_watch *watch, const rk_spool_file *file)
{
  process *p = find_process(watch, file);
  if (p == NULL) {
    return false;
  }
  if (file->number == RK_SPOOL_DEFINITIONS) {
    p->listed = true;
    return true;
  }
  for (size_t i = 0; i < p->ring_count; i++) {
    if (p->rings[i].number == file->number) {
      p->rings[i].listed = true;
      return true;
    }
  }
  if (!rk_array_grow((void **)&p->rings, &p->ring_capacity, p->ring_count + 1, sizeof *p->rings)) {
    return false;
  }
  /* It was not there at the last listing: whatever is in it came later. */
  p->rings[p->ring_count++] = (ring){.number = file->number,
                                     .fd = -1,
                                     .listed = true,
                                     .not_before_ns = INT64_MIN,
                                     .looked_ns = watch->listed_ns,
                                     .held_since = INT64_MAX};
  return true;
}

/* Forgets what the directory does not list any more: it was emptied before it was removed. */
static void sweep(rk_ring_watch *watch)
{
  for (size_t i = 0; i < watch->process_count;) {
    process *p = &watch->processes[i];
    for (size_t j = 0; j < p->ring_count;) {
      if (p->rings[j].listed) {
        j++;
        continue;
      }
      close_file(watch, &p->rings[j].fd);
      p->rings[j] = p->rings[--p->ring_count];
    }
    if (p->listed || p->ring_count > 0) {
      i++;
      continue;
    }
    process_free(watch, p);
    *p = watch->processes[--watch->process_count];
  }
}

static rk_status list_directory(rk_ring_watch *watch, int64_t now)
{
  if (watch->fd >= 0) { /* it may have been removed, and made anew */
    (void)close(watch->fd);
  }
  watch->fd = open(watch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; i < watch->process_count; i++) {
    process *p = &watch->processes[i];
    p->listed = false;
    for (size_t j = 0; j < p->ring_count; j++) {
      p->rings[j].listed = false;
    }
  }
  const int copy = watch->fd < 0 ? -1 : fcntl(watch->fd, F_DUPFD_CLOEXEC, 3);
  DIR *entries = copy < 0 ? NULL : fdopendir(copy);
  bool ok = true;
  if (entries != NULL) {
    for (const struct dirent *entry; ok && (entry = readdir(entries)) != NULL;) {
      rk_spool_file file;
      if (rk_spool_file_parse(entry->d_name, &file) && (!watch->has_hash || file.hash == watch->hash)) {
        ok = note_file(watch, &file);
      }
    }
    (void)closedir(entries);
  } else if (copy >= 0) {
    (void)close(copy);
  }
  if (!ok) {
    return RK_ERR_NO_MEMORY;
  }
  sweep(watch);
  watch->listed_ns = now;
  return RK_OK;
}

/* ---- Rings ---- */

typedef struct ring_state {
  uint32_t tag;
  uint32_t logging;
  uint64_t head, tail, size;
} ring_state;

/* The thread's `logging` is read before `head`: who is inside a call now is then seen there, or its row is. */
static bool read_state(int fd, ring_state *state)
{
  rk_ring_header header;
  uint32_t logging;
  if (rk_file_read(fd, &logging, sizeof logging, offsetof(rk_ring_header, logging)) != RK_OK) {
    return false;
  }
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (rk_file_read(fd, &header, sizeof header, 0) != RK_OK ||
      memcmp(header.magic, rk_spool_ring_magic, sizeof header.magic) != 0 || header.version != RK_SPOOL_VERSION ||
      header.size < RK_RING_SIZE_MIN || header.size > RK_RING_SIZE_MAX || (header.size & (header.size - 1)) != 0) {
    return false;
  }
  *state = (ring_state){
      .tag = header.tag, .logging = logging, .head = header.head, .tail = header.tail, .size = header.size};
  return true;
}

/* The stamp of the first row in [tail, head). RK_END: the tail has moved on, or the ring grown, meanwhile.
 * RK_ERR_CORRUPT. */
static rk_status first_stamp(int fd, const ring_state *state, int64_t *stamp)
{
  uint64_t at = state->tail;
  for (int skips = 0; skips < 2 && at < state->head; skips++) {
    uint8_t row[RK_SPOOL_ROW_HEADER] = {0};
    const uint64_t place = at & (state->size - 1);
    const size_t room = state->size - place < sizeof row ? (size_t)(state->size - place) : sizeof row;
    rk_ring_header after;
    if (rk_file_read(fd, row, room, RK_RING_HEADER_SIZE + place) != RK_OK ||
        rk_file_read(fd, &after, sizeof after, 0) != RK_OK) {
      return RK_ERR_CORRUPT;
    }
    if (after.tail != state->tail || after.size != state->size) {
      return RK_END;
    }
    if (rk_load_u32(row + 4) != RK_SPOOL_SKIP) {
      *stamp = rk_load_i64(row + 8);
      return room == sizeof row ? RK_OK : RK_ERR_CORRUPT;
    }
    at += rk_load_u32(row);
  }
  return RK_ERR_CORRUPT;
}

typedef enum hold { HOLD_NONE, HOLD_ROW, HOLD_CALL } hold;

/* What the ring holds back, from *bound on. `offset`: of the process' clock. */
static hold look_at(int fd, ring *r, bool alive, int64_t now, int64_t offset, uint32_t *tag, int64_t *bound)
{
  ring_state state;
  for (int attempt = 0; attempt < 16; attempt++) {
    if (!read_state(fd, &state)) {
      return HOLD_NONE; /* cut short, or nothing was logged yet */
    }
    *tag = state.tag;
    if (!r->seen || state.logging != r->logging) {
      r->not_before_ns = r->looked_ns;
      r->logging = state.logging;
      r->seen = true;
    }
    r->looked_ns = now;
    int64_t stamp = 0;
    if (state.tail < state.head && state.head - state.tail <= state.size) {
      const rk_status status = first_stamp(fd, &state, &stamp);
      if (status == RK_END) {
        continue;
      }
      if (r->held_tail != state.tail || r->held_since == INT64_MAX) {
        r->held_tail = state.tail;
        r->held_since = now;
      }
      *bound = stamp;
      return status == RK_OK ? HOLD_ROW : HOLD_NONE;
    }
    const rk_ring_header published = {.head = state.head, .logging = state.logging};
    if (!alive || !rk_ring_is_logging(&published)) {
      r->held_since = INT64_MAX;
      return HOLD_NONE;
    }
    if (r->held_logging != state.logging || r->held_since == INT64_MAX) {
      r->held_logging = state.logging;
      r->held_since = now;
    }
    *bound = r->not_before_ns == INT64_MIN ? INT64_MIN : r->not_before_ns + offset - RK_FOLLOW_GRACE_NS;
    return HOLD_CALL;
  }
  *bound = INT64_MIN; /* drained again and again while it was looked at: the next look will see */
  return HOLD_CALL;
}

static void lower(rk_ring_look *look, hold why, int64_t bound)
{
  if (bound < look->bound_ns) {
    look->bound_ns = bound;
  }
  look->by_row = look->by_row || why == HOLD_ROW;
  look->by_call = look->by_call || why == HOLD_CALL;
}

static void look_at_process(rk_ring_watch *watch, process *p, int64_t now, int64_t patience_ns, rk_ring_look *look)
{
  const int fd = open_file(watch, p, RK_SPOOL_DEFINITIONS, &p->fd);
  if (fd >= 0 && !p->is.known) {
    learn(watch, p, fd);
  }
  p->alive = fd >= 0 && is_locked(fd);
  done_with(fd, &p->fd);
  if (p->alive) {
    look->alive = true;
    if (p->is.known) {
      lower(look, HOLD_NONE, now + p->is.clock_offset - RK_FOLLOW_GRACE_NS);
    }
  }
  bool has_rows = false, asked = false, stopped = false;
  for (size_t i = 0; i < p->ring_count; i++) {
    ring *r = &p->rings[i];
    const int ring_fd = open_file(watch, p, r->number, &r->fd);
    int64_t bound = INT64_MAX;
    uint32_t tag = 0;
    hold why = HOLD_NONE;
    if (ring_fd >= 0) {
      why = look_at(ring_fd, r, p->alive, now, p->is.clock_offset, &tag, &bound);
      done_with(ring_fd, &r->fd);
    }
    if (tag != 0) {
      remember_tag(watch, tag);
    }
    if (why == HOLD_NONE) {
      continue;
    }
    has_rows = has_rows || why == HOLD_ROW;
    int64_t held = r->held_since == INT64_MAX ? 0 : now - r->held_since;
    if (p->alive && held > patience_ns) {
      stopped = asked ? stopped : is_stopped(p->is.pid);
      asked = true;
      held = stopped ? held : held / RK_FOLLOW_RUNNING;
    }
    if (held <= patience_ns || !p->alive) {
      lower(look, why, bound);
    }
  }
  if (!p->alive && has_rows && !look->has_dead) {
    look->has_dead = true;
    look->dead = p->is;
  }
}

rk_status rk_ring_watch_look(rk_ring_watch *watch, int64_t now, bool list, int64_t patience_ns, rk_ring_look *look)
{
  *look = (rk_ring_look){.bound_ns = INT64_MAX};
  if (list || watch->listed_ns == INT64_MIN) {
    const rk_status status = list_directory(watch, now);
    if (status != RK_OK) {
      return status;
    }
  }
  for (size_t i = 0; i < watch->process_count; i++) {
    if (!watch->processes[i].forgotten) {
      look_at_process(watch, &watch->processes[i], now, patience_ns, look);
    }
  }
  return RK_OK;
}

void rk_ring_watch_forget(rk_ring_watch *watch, const rk_ring_process *forget)
{
  for (size_t i = 0; i < watch->process_count; i++) {
    process *p = &watch->processes[i];
    if (p->is.hash == forget->hash && p->is.identity == forget->identity) {
      p->forgotten = true;
    }
  }
}
