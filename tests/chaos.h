/* The chaos harness (docs/chaos.md): what its parts share. */
#ifndef RK_TESTS_CHAOS_H
#define RK_TESTS_CHAOS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "format/arena.h"
#include "rrdkit/rrdkit.h"

/* What may happen in a round. */
enum {
  CHAOS_KILL = 1 << 0,    /* SIGKILL */
  CHAOS_STOP = 1 << 1,    /* SIGSTOP, then SIGCONT or SIGKILL */
  CHAOS_CRASH = 1 << 2,   /* SIGSEGV, abort */
  CHAOS_EXIT = 1 << 3,    /* _exit, exit and return from main while threads log */
  CHAOS_FORK = 1 << 4,    /* children that log through the inherited handle and die */
  CHAOS_CHURN = 1 << 5,   /* short threads by the hundred */
  CHAOS_LIMIT = 1 << 6,   /* RLIMIT_FSIZE */
  CHAOS_TOOLS = 1 << 7,   /* rrd-dump, rrd-merge and a checking reader while all this goes on */
  CHAOS_ADOPT = 1 << 8,   /* processes that only open and close the recording, and are killed at it */
  CHAOS_ORPHANS = 1 << 9, /* judged a first time before anybody has adopted anything */
  CHAOS_SPOOL = 1 << 10,  /* a spool directory of the user's choice */
  CHAOS_MIX = 1 << 11,    /* rows of every shape, of sizes around what makes a difference to a ring; refused calls */
  CHAOS_PAIR = 1 << 12,   /* a second handle on the recording, and another recording, in one thread */
  CHAOS_CANCEL = 1 << 13, /* threads are cancelled */
  CHAOS_LATE = 1 << 14,   /* rows from atexit handlers and from destructors of thread-specific data */
  CHAOS_FINISH = 1 << 15, /* finished instead of closed */
  CHAOS_FOLLOW = 1 << 16, /* followed from its beginning, each row judged as it comes */
  CHAOS_TMPFS = 1 << 17,  /* on a small tmpfs that is filled and freed */
  CHAOS_EXT4 = 1 << 18    /* on a small ext4 that is filled and freed */
};
#define CHAOS_DISKS ((unsigned)CHAOS_TMPFS | (unsigned)CHAOS_EXT4)
const char *chaos_scenario_name(unsigned bit); /* NULL: no such bit */

/* Bytes logged in a round on a small file system, an eighth of it at a time, so that it lasts while the disk is full.
 */
#define CHAOS_DISK_BUDGET ((int64_t)24 << 20)

/* How a process may end; the order is that of chaos_end_names. */
typedef enum chaos_end {
  CHAOS_END_NONE, /* not yet */
  CHAOS_END_CLOSE,
  CHAOS_END_RETURN,
  CHAOS_END_EXIT,
  CHAOS_END_QUICK_EXIT, /* _exit */
  CHAOS_END_SIGKILL,
  CHAOS_END_SIGSEGV,
  CHAOS_END_ABORT,
  CHAOS_END_SIGXFSZ,
  CHAOS_END_COUNT
} chaos_end;
extern const char *const chaos_end_names[CHAOS_END_COUNT];

#define CHAOS_HANDLES   3 /* of a process, at most */
#define CHAOS_SLOTS     (1U << 16)
#define CHAOS_REFUSALS  (1U << 16)
#define CHAOS_PROCESSES 8192U

/* One writer: a thread of a process. `started` is stored before a call that logs, `returned` after it. */
typedef struct chaos_slot {
  _Atomic uint64_t started;
  _Atomic uint64_t returned;
  _Atomic uint64_t dropped; /* of those returned: with RK_ERR_FULL */
  _Atomic int32_t pid, tid;
  _Atomic uint32_t file; /* of the round's recordings */
  uint8_t padding[28];
} chaos_slot;

typedef struct chaos_process {
  _Atomic int32_t pid;
  _Atomic int32_t ending; /* chaos_end: stored before it ends itself */
} chaos_process;

/* Shared by the harness and all its processes; outlives each of them. */
typedef struct chaos_truth {
  uint64_t seed;
  unsigned scenario;
  _Atomic uint32_t stop;          /* 1: writers end as they had planned, now */
  _Atomic int64_t budget;         /* bytes that may still be logged in this round */
  _Atomic uint32_t slot_count;    /* taken */
  _Atomic uint32_t process_count; /* taken */
  _Atomic uint32_t refusal_count; /* taken */
  _Atomic uint32_t failures;      /* ends that nobody planned, seen by writers */
  _Atomic int64_t heartbeat;      /* of the harness, monotonic seconds; without it all processes end */
  _Atomic uint64_t ends[16];      /* chaos_end of children, seen by writers */
  chaos_slot slots[CHAOS_SLOTS];
  _Atomic uint64_t refusals[CHAOS_REFUSALS]; /* key + 1 of each row that a call refused */
  chaos_process processes[CHAOS_PROCESSES];
} chaos_truth;

typedef struct chaos_round {
  uint64_t seed;
  unsigned scenario;
  const char *path;            /* the recording */
  uint32_t file;               /* 0, or 1: the other recording, beside it */
  const char *spool_directory; /* NULL: the default */
  int truth_fd;
  chaos_truth *truth;
} chaos_round;

/* The other recording beside it. */
void chaos_other_path(const char *path, char *out, size_t size);

/* ---- Random numbers ---- */

typedef struct chaos_random {
  uint64_t state;
} chaos_random;
uint64_t chaos_mix(uint64_t x); /* splitmix64 */
uint64_t chaos_next(chaos_random *random);
uint64_t chaos_below(chaos_random *random, uint64_t bound);
bool chaos_chance(chaos_random *random, unsigned percent);
uint64_t chaos_log_uniform(chaos_random *random, uint64_t min, uint64_t max);
double chaos_seconds(void);
void chaos_sleep_us(uint64_t us);

/* ---- Rows (chaos_rows.c) ---- */

/* A row's key is its writer's slot and its number there; everything in it follows from the round's seed and the key. */
#define CHAOS_KEY(slot, index) ((uint64_t)(slot) << 32 | (index))

/* How one slot logs. */
typedef struct chaos_habit {
  uint64_t min_size, max_size;
  uint32_t entities, first_entity;
  uint32_t kind;        /* a chaos_kind, or CHAOS_KINDS: any */
  uint32_t pause_us;    /* longest pause between two rows */
  uint32_t pause_every; /* rows */
  uint32_t flush_every; /* rows; 0: never */
  uint32_t times_for;   /* rows with the same timelines */
  bool mixed;           /* kinds and sizes of all sorts: */
  uint32_t ring_shift, large_percent;
} chaos_habit;
chaos_habit chaos_habit_of(const chaos_round *round, uint32_t slot);

#define CHAOS_TIMELINES 11

/* What a thread needs to log rows of its slot. */
typedef struct chaos_logger {
  const chaos_round *round;
  rk_recording *recording;
  uint32_t slot;
  chaos_habit habit;
  const rk_component *key, *payload, *cells[4];
  const rk_timeline *timelines[CHAOS_TIMELINES];
  const rk_entity **entities;
  uint32_t times; /* of the optional timelines, those that are set */
  uint8_t *buffer;
  size_t buffer_size;
  rk_arena arena;
} chaos_logger;
/* Takes a slot. False: none is free, or the recording is closed. */
bool chaos_logger_start(chaos_logger *logger, const chaos_round *round, rk_recording *recording);
/* Logs the slot's next row and keeps the truth. False: the thread should end. */
bool chaos_logger_log(chaos_logger *logger);
void chaos_logger_end(chaos_logger *logger);

/* NULL: the row is what its key says; else what is wrong with it. *key is set where it can be told, else UINT64_MAX. */
const char *chaos_row_check(const chaos_round *round, const rk_row *row, uint64_t *key, uint8_t **buffer,
                            size_t *buffer_size);

/* ---- Processes (chaos_plan.c, chaos_writer.c) ---- */

/* What becomes of process `number` of a round: a function of the round's seed and scenario. */
typedef struct chaos_plan {
  chaos_end end;
  bool by_harness;  /* the harness sends the SIGKILL */
  bool whole_group; /* to its forked children, too */
  bool exec;        /* started by fork and exec */
  bool adopter;     /* logs nothing */
  bool churn, storm;
  bool limit;         /* RLIMIT_FSIZE */
  bool limit_is_kind; /* SIGXFSZ is ignored */
  bool pair, cancel, late, finish;
  uint32_t life_us;
  uint32_t stop_us; /* in state T before its end, or before it is let go on where the end is its own; 0: never */
  uint32_t threads;
  uint64_t seed;       /* for what else it does */
  uint64_t limit_size; /* beyond the recording's size at its start */
  rk_recording_options options;
} chaos_plan;
chaos_plan chaos_plan_of(const chaos_round *round, uint32_t number);

/* The exit status of a process that the system refused something where that was to be expected. */
#define CHAOS_REFUSED 3

/* Runs process `number` of the round; its exit status. */
int chaos_process_run(const chaos_round *round, uint32_t number);
/* Takes a number in the table of processes, or CHAOS_PROCESSES. */
uint32_t chaos_process_take(chaos_truth *truth);
/* How a process that waitpid told of has ended; CHAOS_END_NONE: in a way that nobody planned (which is printed). */
chaos_end chaos_process_ended(const chaos_round *round, pid_t pid, int status);

/* ---- Judgement (chaos_judge.c) ---- */

typedef struct chaos_verdict {
  uint64_t rows;   /* of writers, without the recording's properties */
  uint64_t stored; /* rows in the chunks, properties and duplicates included */
  uint64_t chunks;
  uint64_t writers;
  uint64_t losses;
  uint64_t pending; /* rows that were started, not accepted, and are there */
} chaos_verdict;

typedef enum chaos_strictness {
  CHAOS_LIVE,    /* others are writing: only what is there is judged */
  CHAOS_DEAD,    /* nobody has it open: every row is there; torn records may be reported */
  CHAOS_ADOPTED, /* every row is in the file, which has no loss */
  CHAOS_MERGED,  /* every row, in another file */
  CHAOS_FOLLOWED /* others are writing: no row may be missing before one that is there */
} chaos_strictness;

/* Reads `path` and holds it against the truth. The number of mistakes, of which the first are printed. */
unsigned chaos_judge(const chaos_round *round, const char *path, chaos_strictness strictness, chaos_verdict *verdict);
/* Walks the file's frames as a stock reader does. NULL: sound to its end; else what is wrong. */
const char *chaos_walk(const char *path);

/* ---- Small file systems (chaos_disk.c) ---- */

/* Mounts a small file system of that scenario at `directory`, in a mount namespace of this process. */
bool chaos_disk_mount(unsigned scenario, const char *directory, const char *image);
void chaos_disk_unmount(const char *directory, const char *image);
/* Fills the file system with a ballast file, or frees it again. */
void chaos_disk_fill(const char *ballast, chaos_random *random);

/* ---- A round (chaos_round.c) ---- */

typedef struct chaos_counts {
  uint64_t processes;
  uint64_t kills; /* deaths without close or exit handlers */
  uint64_t ends[CHAOS_END_COUNT];
  uint64_t tools;
} chaos_counts;

/* Lets processes come and go until `kills` of them died. The number of mistakes (hangs, crashes of their own). */
unsigned chaos_round_run(const chaos_round *round, const char *program, uint64_t kills, chaos_counts *counts);

/* ---- After a round (chaos_after.c) ---- */

/* The read side alone: every row must be found where it is, and nothing be changed. The number of mistakes. */
unsigned chaos_after_orphans(const chaos_round *round, const char *program, const char *spool, chaos_verdict *verdict);
/* Adopts; every row must be in the recording, which is sound, and nothing else be left. The number of mistakes. */
unsigned chaos_after_adoption(const chaos_round *round, const char *program, const char *spool, chaos_verdict *verdict);
/* Becomes the tool of that name beside `program`, with the arguments and then the path. */
_Noreturn void chaos_exec_tool(const char *program, const char *tool, const char *const *arguments, const char *path);

#endif
