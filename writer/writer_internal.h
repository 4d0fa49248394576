/* The structures that the files of writer/ share.
 *
 * Lock order: process list -> close_mutex -> adopt_mutex or a ring's mutex -> recording mutex -> append_mutex. Logging
 * takes none of them unless its ring is nearly full. */
#ifndef RK_WRITER_WRITER_INTERNAL_H
#define RK_WRITER_WRITER_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "format/arena.h"
#include "format/buffer.h"
#include "format/messages.h"
#include "format/spool.h"
#include "format/spool_drain.h"
#include "rrdkit/recording.h"
#include "writer/clock.h"
#include "writer/component.h"
#include "writer/framing.h"
#include "writer/map.h"

#define RK_NAME_MAX              4096
#define RK_ID_MAX                180
#define RK_RECORD_SIZE           ((size_t)1 << 20) /* one append is at most this, unless a single frame is larger */
#define RK_THREAD_NAME_SIZE      16
#define RK_FLUSH_AGE_DEFAULT     1000000000
#define RK_RING_SIZE_DEFAULT     ((size_t)1 << 20)
#define RK_RING_GROWN_DEFAULT    ((size_t)16 << 20)
#define RK_RINGS_GROWN_MAX       ((size_t)64 << 20) /* no ring grows beyond this sum of a recording's rings */
#define RK_BLOCK_TIMEOUT_DEFAULT 5000000000
#define RK_CLOSE_WALK_FRAMES     ((size_t)1 << 20)

/* A growable list of pointers. */
typedef struct rk_pointers {
  void **items;
  size_t count, capacity;
} rk_pointers;
bool rk_pointers_reserve(rk_pointers *list); /* the next add does not fail */
bool rk_pointers_add(rk_pointers *list, void *item);

struct rk_entity {
  const rk_recording *recording;
  uint32_t id;
  char path[]; /* normal form */
};

struct rk_timeline {
  const rk_recording *recording;
  uint32_t id;
  rk_timeline_kind kind;
  char name[];
};

typedef struct rk_timeline_set {
  uint32_t id;
  uint32_t count;
  uint32_t timelines[]; /* ids */
} rk_timeline_set;

/* A ring file in use. The struct lives as long as the recording; threads come and go. */
typedef struct rk_ring {
  rk_ring_header *header; /* the mapping; NULL once closed */
  uint8_t *data;
  size_t size;     /* grows while the ring is empty, by its thread's hand */
  size_t size_max; /* not beyond this */
  bool cramped;    /* atomic: larger, it would give chunks of more rows */
  uint32_t number;
  pthread_mutex_t mutex; /* who drains; guards all below and the header's tail and intent */
  uint32_t tag;
  pid_t pid, tid;
  char thread_name[RK_THREAD_NAME_SIZE];
  int64_t start_ns, clock_monotonic, clock_realtime;
  bool announced;
  uint64_t recorded_drops; /* as the recording has them; atomic */
  uint32_t chunk_number;   /* of the first chunk after the tail */
  uint64_t resume_end;     /* where resume_chunks > 0: the drain of [tail, resume_end) was refused after ... */
  uint32_t resume_chunks;  /* ... so many of its chunks were appended */
  /* guarded by the recording's mutex */
  bool in_use;
} rk_ring;

typedef struct rk_time_value {
  const rk_timeline *timeline;
  int64_t value;
} rk_time_value;

/* What one thread has of one recording. Made and freed by that thread alone (and by fork's child). */
typedef struct rk_thread rk_thread;
struct rk_thread {
  /* The hot path reads these. */
  uint64_t serial; /* equals the recording's while this thread may log without looking further; else 0 */
  uint32_t busy;   /* 1 inside a call that logs: close waits for it */
  uint32_t row;    /* next row number */
  uint8_t *data;
  uint64_t size;
  uint64_t head;
  uint64_t tail;              /* as last seen */
  rk_ring_header *header;     /* the ring's */
  int64_t full_until_ns;      /* drop newest: until then the disk is not asked again */
  rk_time_value *time_values; /* sorted by timeline id */
  uint32_t time_count;
  uint32_t time_set; /* id of that set of timelines */
  rk_tick_clock clock;

  uint64_t unique; /* of the recording */
  rk_recording *recording;
  rk_ring *ring;
  rk_thread *next; /* this thread's list */
  uint32_t time_capacity;
  rk_error error;
  rk_arena keys; /* of the caches below */
  rk_map entities;
  rk_map timelines;
  rk_map time_sets;
};

typedef struct rk_scratch rk_scratch;

/* What is known of the recording's end, guarded by the append mutex, and the walk that looks for gaps, guarded by its
 * own, which comes before. */
typedef struct rk_tail {
  int repair_fd;  /* O_RDWR without O_APPEND, of its own, for in-place repairs; -1: closed */
  off_t end;      /* of this process's last record, all before it in step or left to the walk; 0: none yet */
  off_t reserved; /* blocks are allocated up to here, as far as this process knows */
  bool no_reservation;
  off_t limit; /* RLIMIT_FSIZE at the last look; INT64_MAX: none */
  pthread_mutex_t walk_mutex;
  off_t walked; /* frames lead up to here */
  off_t last;   /* where the last of them begins, if it is sealed but its hash was not checked; else -1 */
  bool walked_sealed;
  off_t stuck_at, stuck_limit; /* nothing could be healed there while the file was so long */
} rk_tail;

/* Counted with relaxed atomics. */
typedef struct rk_counts {
  uint64_t rows_before; /* accepted by threads that are gone, and by writers that a thread was before */
  uint64_t rows_appended, rows_dropped, records, bytes, heals, adoptions, errors;
} rk_counts;

struct rk_recording {
  uint64_t serial; /* atomic; new after fork and close, so that every thread's fast path fails once */
  int64_t clock_offset;
  rk_clock_source clock; /* not the default */
  uint64_t unique;

  char *path;            /* absolute */
  char *spool_directory; /* absolute */
  bool spool_is_ours;    /* default place: removed when empty */
  char *application_id, *recording_id;
  uint64_t hash;
  uint64_t floor; /* end of the recording record's frame: up to there the file is sound, from there on it is sealed */
  const rk_framing *framing;
  rk_compression compression; /* of chunks: none in units */
  int zstd_level;
  size_t ring_size, ring_size_max;
  int64_t flush_age_ns;
  int fd;             /* O_RDWR | O_APPEND; holds the participants' lock */
  int32_t references; /* atomic: the handle, exiting threads, process exit */
  rk_recording *next; /* process list */

  pthread_mutex_t close_mutex;
  bool closed; /* guarded by mutex */
  rk_status close_status;

  pthread_mutex_t mutex; /* registries, lists of threads and rings, definitions file */
  rk_arena arena;
  rk_pointers entities, timelines, time_sets, components; /* by id (time_sets from 1, components after the built-ins) */
  rk_map entities_by_path, timelines_by_name, time_sets_by_ids, components_by_name;
  uint8_t builtin_defined[RK_BUILTIN_COMPONENT_COUNT]; /* atomic; 1 once in the definitions file */
  rk_pointers threads, rings;
  uint32_t ring_count; /* numbers given out */
  size_t rings_size;   /* of all rings */
  int definitions_fd;  /* -1 until the first ring; holds this process's lock */
  int spool_fd;        /* the directory; -1 until the first ring */
  uint64_t definitions_size;
  uint64_t identity;                     /* of this process in the spool; random */
  rk_scratch *scratches;                 /* free ones */
  unsigned scratch_count, scratch_limit; /* free and lent ones */
  pthread_cond_t scratch_wake;
  int adopt_fd; /* definitions of the dead process that is being adopted, or -1 */
  rk_error background_error;

  pthread_mutex_t adopt_mutex; /* one thread at a time adopts; it has the following */
  rk_buffer set_aside;         /* u64[]: processes whose spools are damaged, and were reported */
  bool noted_foreign;

  pthread_mutex_t append_mutex;
  rk_tail tail;
  rk_counts counts;

  rk_full_policy on_full;
  int64_t block_timeout_ns; /* < 0: for ever */
  int64_t sync_interval_ns; /* 0: never */
  rk_network_policy network;
  void (*on_error)(void *context, const rk_error *error);
  void *context;
  rk_error reported; /* guarded by mutex: what on_error was last told, until an append succeeds */
  bool refused;      /* atomic: the last append was refused */
  bool replaced;     /* the path no longer leads to the open file, and this was said */
  int64_t watched_ns, synced_ns;
  uint64_t synced_bytes;

  pthread_mutex_t background_mutex;
  pthread_cond_t background_wake;
  pthread_t background;
  bool background_runs, background_stops;
};

/* Around system calls that are cancellation points: a thread cancelled there would keep our locks for ever. */
static inline int rk_cancel_off(void)
{
  int before = PTHREAD_CANCEL_ENABLE;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  return before;
}
static inline void rk_cancel_restore(int before)
{
  pthread_setcancelstate(before, NULL);
}

/* ---- identity.c ---- */
const char *rk_boot_id(void); /* "" when unknown */
const char *rk_host_name(void);
const char *rk_program_name(void);
rk_status rk_random(void *out, size_t size, rk_error *error);
int64_t rk_clock(clockid_t clock);
/* (monotonic, realtime), read as close together as may be. */
void rk_clock_pair(int64_t *monotonic, int64_t *realtime);

/* ---- create.c ---- */
/* Creates or joins recording->path: sets fd, ids, hash, clock offset; *created. The options are checked. */
rk_status rk_recording_attach(rk_recording *recording, const rk_recording_options *options, bool *created,
                              rk_error *error);
bool rk_id_char(char c); /* allowed in an application id */
/* The same for a child's descriptor: the ids are known and must be found again. */
rk_status rk_recording_reattach(rk_recording *recording, int fd, rk_error *error);

/* ---- participants.c ---- */
/* Shares the participants' lock on a descriptor, waiting for who is alone. */
rk_status rk_participants_lock(int fd, rk_error *error);
/* Takes the lock exclusively, from shared or none, if nobody else has it. */
bool rk_participants_alone(int fd);
void rk_participants_unlock(int fd);
/* Alone: cuts off what is no whole sound frame behind the last one; [0, floor) is sound. RK_ERR_UNSUPPORTED: another
 * stream lies there. */
rk_status rk_tail_repair(rk_recording *recording, int fd, uint64_t floor, rk_error *error);
/* The last act of a participant whose rows and spool are gone: if no other is left, adopts what orphans there still
 * are, repairs the tail, releases reserved space, removes the spool directory and, if asked, finishes the recording.
 * RK_ERR_CONFLICT: asked to finish, but others are there. The lock is released. */
rk_status rk_participants_leave(rk_recording *recording, bool finish, rk_error *error);

/* ---- finish.c ---- */
/* Alone: appends End, manifests and footer. */
rk_status rk_finish_append(rk_recording *recording, rk_error *error);

/* ---- registry.c; all with the recording's mutex held ---- */
rk_entity *rk_entity_intern(rk_recording *recording, const char *normal_path, rk_error *error);

/* ---- spool_directory.c ---- */
/* Opens the spool's directory, which is made if need be, and makes the file `name` in it. The recording's mutex is
 * held. */
rk_status rk_spool_enter(rk_recording *recording, const char *name, int flags, int *fd, rk_error *error);
void rk_spool_leave(rk_recording *recording);
/* A new file in the directory that was entered, with the recording's mode and group. -1: errno. */
int rk_spool_create(const rk_recording *recording, const char *name, int flags);

/* ---- spool_file.c ---- */
/* Makes the directory and this process's definitions file, and writes what is defined so far. Mutex held. */
rk_status rk_spool_start(rk_recording *recording, rk_error *error);
/* Appends the definition of an rk_entity, rk_component, rk_timeline, rk_timeline_set or (a writer) rk_ring, if the
 * spool has started. Mutex held. */
rk_status rk_define(rk_recording *recording, rk_spool_kind kind, const void *item, rk_error *error);
/* A ring file, made, allocated and mapped. No lock. */
rk_ring *rk_ring_create(rk_recording *recording, uint32_t number, rk_error *error);
void rk_ring_unmap(rk_ring *ring);
/* Makes the ring four times as large; where that cannot be, it stays as it is for good. The ring is empty, its mutex is
 * held, its thread calls. */
void rk_ring_grow(rk_recording *recording, rk_ring *ring);
/* Removes this process's files (keep: only closes them) and the directory if it is ours and empty. Mutex held. */
void rk_spool_end(rk_recording *recording, bool keep);

/* ---- thread.c ---- */
/* The calling thread's record of this recording, made at need; NULL: no memory. No ring yet. */
rk_thread *rk_thread_get(rk_recording *recording);
/* Where the calling thread's errors go; may be NULL. */
rk_error *rk_thread_error(rk_recording *recording);
/* The slow half of entering: busy is set and a ring is there on success. */
rk_thread *rk_thread_enter_slow(rk_recording *recording, rk_status *status);
/* A new tag and row numbers from 0 for the thread's ring, which is empty. */
rk_status rk_thread_renew(rk_thread *thread, rk_error *error);
/* The thread's own notes of where its ring lies. */
static inline void rk_thread_note_ring(rk_thread *thread)
{
  thread->header = thread->ring->header;
  thread->data = thread->ring->data;
  thread->size = thread->ring->size;
}
void rk_threads_forget_after_fork(rk_recording *recording);
/* Waits until no other thread is inside a call that logs; new ones find the recording closed. This thread may be inside
 * one itself, when a signal handler leaves the process by exit: that row is not published. */
void rk_thread_await_others(rk_recording *recording);
/* The thread's most recent record; NULL at first. */
extern _Thread_local rk_thread *rk_thread_current __attribute__((tls_model("initial-exec")));

/* ---- drain.c ---- */
/* Appends all rows of the ring as they are now. RK_OK, or why some stay. Takes the ring's mutex. */
rk_status rk_ring_drain(rk_recording *recording, rk_ring *ring, rk_error *error);
rk_status rk_ring_drain_locked(rk_recording *recording, rk_ring *ring, rk_error *error);
/* Appends one row that is not in the ring, after the ring's own. The ring's mutex is held and the ring is empty. */
rk_status rk_ring_append_row(rk_recording *recording, rk_ring *ring, const rk_spool_row *row,
                             const rk_drain_cell *cells, size_t cell_count, rk_error *error);
/* Whether the recording knows of all rows that the ring's writer dropped. */
static inline bool rk_ring_told_drops(const rk_ring *ring)
{
  return __atomic_load_n(&ring->header->dropped_rows, __ATOMIC_RELAXED) ==
         __atomic_load_n(&ring->recorded_drops, __ATOMIC_RELAXED);
}
/* Gives back memory that was kept for large rows, when none came for a while. */
void rk_scratches_trim(rk_recording *recording);
void rk_scratches_free(rk_recording *recording);
void rk_scratches_forget_after_fork(rk_recording *recording);
rk_store_id rk_recording_store(const rk_recording *recording);

/* ---- append.c ---- */
/* One write of whole sealed frames, and healing of what lies before them. On failure nothing of them counts as written.
 */
rk_status rk_append(rk_recording *recording, rk_packer *packer, const void *record, size_t size, rk_error *error);
/* While appends are refused: whether they still would be, before rows are made into chunks for nothing. */
rk_status rk_append_probe(rk_recording *recording, rk_error *error);
/* The same of whole pieces, with the append mutex held. 0 or an errno. */
int rk_append_raw(rk_recording *recording, const void *pieces, size_t size);

/* ---- reserve.c ---- */
/* Between begin and end the file-size limit refuses with EFBIG and kills nobody: SIGXFSZ is kept from the thread. */
typedef struct rk_limit_guard {
  sigset_t before;
  bool was_pending;
} rk_limit_guard;
void rk_limit_guard_begin(rk_limit_guard *guard);
void rk_limit_guard_end(const rk_limit_guard *guard);
/* Room for a record of `size` bytes at the end, and leave to write it. 0, or the errno with which it would be refused.
 * The append mutex is held. */
int rk_reserve(rk_recording *recording, size_t size);

/* ---- full.c ---- */
/* Makes room for `size` bytes in a row at the head; a skip to the ring's end may be needed first. RK_ERR_FULL: the row
 * is dropped and counted. */
rk_status rk_make_room(rk_thread *thread, size_t size);
/* An append was refused with the thread's error: waits or gives up as the recording's policy says. RK_OK: try again.
 * Otherwise the row is dropped and counted. `*since`: 0 at first. */
rk_status rk_wait_or_drop(rk_thread *thread, int64_t *since);
/* The ring is three quarters full: drains it, unless the background thread is at it. */
void rk_drain_early(rk_thread *thread);
/* All row numbers are used: the thread goes on as a new writer. */
rk_status rk_thread_wrap(rk_thread *thread);
/* The built-in component's definition goes to the spool, before its first row. */
rk_status rk_define_builtin(rk_thread *thread, const rk_component *component);

/* ---- large.c ---- */
/* A row too large for the ring, checked and stamped, goes straight to the file, after the ring's rows. */
rk_status rk_log_large(rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count,
                       bool is_static, size_t size, int64_t stamp);

/* ---- watch.c ---- */
/* What the background thread does about once a second besides draining: the walk, the path's file, fdatasync. */
void rk_watch(rk_recording *recording);
rk_status rk_fdatasync(rk_recording *recording, rk_error *error);

/* ---- place.c ---- */
/* Whether the file system behind `fd` is one on which O_APPEND writes of several hosts are not atomic. A variable, so
 * that tests can put another judge there. */
extern bool (*rk_is_network)(int fd);
/* Sets the paths of the file and of the spool: names that are the same for all who mean the same file (symbolic links
 * are followed where the file is there), or, on a network file system with the policy for it, this process's own. */
rk_status rk_place_choose(rk_recording *recording, const char *path, const rk_recording_options *options,
                          rk_error *error);
/* The error of a failed open or create, said clearly. */
rk_status rk_place_error(const char *path, int failed, rk_error *error);

/* ---- adopt.c ---- */
/* Brings in the rows of processes that died. What cannot be read stays and is noted once. RK_OK, or why readable rows
 * still wait. No lock may be held. */
rk_status rk_adopt_orphans(rk_recording *recording, rk_error *error);

/* ---- background.c ---- */
void rk_background_start(rk_recording *recording); /* at first ring; idempotent; without it owners drain alone */
void rk_background_stop(rk_recording *recording);
/* Notes the first failure that no call could return. */
void rk_background_note(rk_recording *recording, const rk_error *error);
/* Rows of others that cannot be brought in now are noted; they wait for the next. */
void rk_background_adopt(rk_recording *recording);

/* ---- recording.c ---- */
rk_status rk_recording_drain_all(rk_recording *recording, rk_error *error);
void rk_recording_release(rk_recording *recording);

/* ---- process.c ---- */
/* Attaches the recording, gives it its unique number and lists it. */
rk_status rk_process_add(rk_recording *recording, const rk_recording_options *options, bool *created, rk_error *error);
void rk_process_remove(rk_recording *recording);
/* The open recording of that number with one more reference, or NULL. */
rk_recording *rk_process_find(uint64_t unique);
bool rk_process_knows(uint64_t unique);
uint64_t rk_process_serial(void); /* never the same twice in a process */
/* After it every other thread of the process has seen this thread's earlier stores, or will not read old ones. */
void rk_process_barrier(void);

#endif
