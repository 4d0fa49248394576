/* Writing: every thread of every process appends rows to one shared recording.
 *
 * A row is what one call logs: some components of one entity, at the calling thread's current time on every timeline.
 * Logging copies the row into a ring that belongs to the calling thread and lies in a MAP_SHARED spool file: no lock,
 * no system call, no allocation in steady state. Rings are turned into chunks and appended to the recording by a
 * background thread (by size and age), by the owner when its ring is nearly full, and by flush, thread exit, close and
 * process exit. When a process dies before that, in whatever way, its rows outlive it in the spool: any process that
 * has the recording open brings them in, about once a second and when it closes, or else the next that opens it; each
 * row exactly once, as logged by the thread that logged it. Spools that are damaged or of another recording are left as
 * they are and reported (rk_recording_error, on_error).
 *
 * Threads: every function here may be called by any thread at any time, but not from a signal handler, and not after
 * `rk_recording_free`. After `fork` the child may go on using the handle: it is a new writer with empty rings; the
 * parent's rows stay the parent's. A child that another thread forks while its process is at the end of `exit` must
 * not: the system's handlers of forks are gone by then. */
#ifndef RRDKIT_RECORDING_H
#define RRDKIT_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/arrow.h"
#include "rrdkit/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rk_recording rk_recording; /* a recording opened to append */
typedef struct rk_entity rk_entity; /* an entity path of one recording, resolved; lives as long as the recording */
typedef struct rk_component rk_component; /* a component column: name, archetype, component type, Arrow type */
typedef struct rk_timeline rk_timeline;   /* a timeline of one recording; lives as long as the recording */

typedef enum rk_compression {
  RK_COMPRESSION_DEFAULT = 0, /* LZ4 */
  RK_COMPRESSION_NONE = 1,
  RK_COMPRESSION_LZ4 = 2
} rk_compression;

/* What a call does whose ring is full because the system refuses to append (disk full, quota, file-size limit, I/O
 * error). Rows already accepted stay in their rings, are tried again by the background thread, and go out once there is
 * room. A row that is not accepted is dropped: the call returns RK_ERR_FULL, and the number of dropped rows per writer
 * is written to the recording with its next rows (rk_writer_info.dropped_rows). */
typedef enum rk_full_policy {
  RK_FULL_BLOCK = 0,      /* wait for room, block_timeout_ns at most, then drop the row */
  RK_FULL_DROP_NEWEST = 1 /* drop the row at once */
} rk_full_policy;

typedef enum rk_network_policy {
  RK_NETWORK_REFUSE = 0, /* RK_ERR_UNSUPPORTED: a network file system has no append that is atomic between hosts */
  /* This process gets a file of its own beside `path`: "run.<host>-<pid>-<8 hex digits>.rrd" for "run.rrd". Needs a
   * recording_id, so that the files of all processes are one recording to the readers, which take them together. No
   * effect on other file systems. */
  RK_NETWORK_FILE_PER_PROCESS = 1
} rk_network_policy;

/* What stamps rows. Both give CLOCK_MONOTONIC and one order to the rows of a thread. */
typedef enum rk_clock_source {
  RK_CLOCK_DEFAULT = 0,   /* RRDKIT_CLOCK ("monotonic" or "tsc"), or else CLOCK_MONOTONIC */
  RK_CLOCK_MONOTONIC = 1, /* read for every row */
  /* The processor's time-stamp counter in between reads of CLOCK_MONOTONIC, at most 0.5 ms from one: less than 1 us
   * off, so that rows of two threads that are no further apart may change places. A row costs two fifths less where a
   * thread logs more often than every 0.1 ms, and more where it seldom logs. Only on x86-64 with an invariant counter
   * that the kernel itself has as clock source ("tsc", not "kvm-clock" or another that may change its rate as it
   * likes); elsewhere CLOCK_MONOTONIC is read, which rk_recording_clock tells. */
  RK_CLOCK_TSC = 2
} rk_clock_source;

/* Zero-initialise; every zero means the default. */
typedef struct rk_recording_options {
  const char
      *application_id; /* NULL: adopt when joining; when creating, the program's name. [A-Za-z0-9_-], at most 180 */
  const char *recording_id;   /* NULL: adopt when joining; when creating, a random UUID */
  const char *name;           /* RecordingInfo:name, written by the creator; NULL: none */
  rk_compression compression; /* of the chunks of a plain recording */
  int zstd_level;             /* of "run.rrd.zst"; 0: 1. -7 to 19 */
  size_t ring_size; /* bytes per thread, rounded up to a power of two; 0: RRDKIT_RING_SIZE or 1 MiB; 64 KiB to 1 GiB */
  /* A thread that logs so many entities that its chunks get few rows is given a larger ring, up to this size, rounded
   * likewise, as long as the rings of this process have not grown beyond 64 MiB together. 0: ring_size where that, or
   * the environment, sets one, else 16 MiB. */
  size_t ring_size_max;
  int64_t flush_age_ns; /* no accepted row waits longer for its append; 0: 1 s */
  /* NULL: RRDKIT_SPOOL_DIR or "<path>.spool" beside the recording. May be on another file system (tmpfs, say: then rows
   * do not survive a reboot). Made if only its last part is missing, with the recording's mode and group; the files in
   * it get these too, so that who may append to a recording may bring in the rows of those who died. */
  const char *spool_directory;
  uint32_t file_mode; /* permission bits of a created recording before umask; 0: 0666 */
  rk_full_policy on_full;
  int64_t block_timeout_ns; /* for RK_FULL_BLOCK; 0: 5 s; negative: for ever */
  int64_t sync_interval_ns; /* the background thread calls fdatasync so often while rows come; 0: never */
  rk_network_policy network;
  /* Told once when something begins to fail that no call may have returned (appends are refused, the file was removed
   * or replaced, rows damaged), and again when it fails otherwise or after it went well meanwhile. Called by the
   * background thread or by the thread whose call fails, perhaps with internal locks held: it may call
   * rk_recording_get_stats, and no other function on this recording. `error` is lent for the call. */
  void (*on_error)(void *context, const rk_error *error);
  void *context;
  rk_clock_source clock;
} rk_recording_options;

/* A path that ends in ".zst" ("run.rrd.zst") is a recording of independent zstd frames, one per record, compressed by
 * whichever thread drains: `zstd -dc` prints a plain recording. An existing file is joined as what it is, whatever its
 * name.
 *
 * Opens `path` to append: creates a recording (published complete, so no process ever sees a half-made one) or joins
 * the one that is there, whose ids and clock offset are adopted. Rows that dead processes have left in the spool are
 * brought in. Who is the first to open a recording that nobody has open repairs a torn or zeroed end, and goes on with
 * a finished recording (its footer is removed) and with a sound recording of other software. `options` and `error` may
 * be NULL. RK_ERR_CONFLICT: the file is a recording with another application or recording id than asked for.
 * RK_ERR_NOT_RRD: the file is something else. RK_ERR_UNSUPPORTED: a network file system, or a recording that cannot be
 * appended to: damaged at its beginning, compressed as a whole, or several streams or recordings in one file.
 * RK_ERR_IO, RK_ERR_NO_MEMORY, RK_ERR_MISUSE (options). On failure `*recording` is NULL. */
RK_API rk_status rk_recording_open(const char *path, const rk_recording_options *options, rk_recording **recording,
                                   rk_error *error);

/* Appends every row that any thread of this process has logged before the call, and returns when it is in the page
 * cache (survives the death of the process). RK_ERR_IO: some rows could not be appended, and sys_errno says why; they
 * stay in their rings and are tried again by the background thread, by the next flush and by close. */
RK_API rk_status rk_recording_flush(rk_recording *recording);

/* rk_recording_flush, then fdatasync: what was appended, by any process, is on the disk when it returns (survives a
 * crash of the kernel and loss of power). RK_ERR_IO: not so. */
RK_API rk_status rk_recording_sync(rk_recording *recording);

/* What happened in this process since the recording was opened (in a child of fork: since the fork). */
typedef struct rk_recording_stats {
  uint64_t rows_accepted; /* logged with RK_OK */
  uint64_t rows_appended; /* of these, in the file; the rest waits in rings */
  uint64_t rows_dropped;  /* calls that returned RK_ERR_FULL */
  uint64_t records;       /* appends */
  uint64_t bytes;         /* in these */
  uint64_t heals;         /* gaps left by torn records that were covered */
  uint64_t adoptions;     /* rings of dead writers that were brought in */
  uint64_t errors;        /* failures noted, retries included */
} rk_recording_stats;
RK_API void rk_recording_get_stats(const rk_recording *recording, rk_recording_stats *stats);

/* Flushes, stops the background thread, brings in what dead processes have left, and closes the files; if no other
 * process has the recording open, removes the spool. Logging after it fails with RK_ERR_MISUSE. Idempotent. On failure
 * the rows that could not be appended stay in the spool for the next who opens the recording. */
RK_API rk_status rk_recording_close(rk_recording *recording);

/* rk_recording_close, and, if no other process (nor another handle) has the recording open, appends the End frame with
 * footer and manifest that lazy readers and `rerun rrd verify` want. Opening the recording again removes them and goes
 * on. RK_ERR_CONFLICT: others have it open: it is closed here, but not finished. RK_ERR_MISUSE: it was closed before.
 * RK_ERR_IO, RK_ERR_NO_MEMORY: it is not finished, and sound as it was. */
RK_API rk_status rk_recording_finish(rk_recording *recording);

/* Closes if need be, and frees. No thread may use the handle any more. NULL is allowed. Never fails. */
RK_API void rk_recording_free(rk_recording *recording);

/* The error of the calling thread's last failed call on this recording; else the recording's first background failure
 * (an append that the system refused; sticky until rk_recording_clear_error). status RK_OK: none. */
RK_API void rk_recording_error(const rk_recording *recording, rk_error *error);
RK_API void rk_recording_clear_error(rk_recording *recording);

/* The recording's identity; the text lives as long as the recording. */
RK_API const char *rk_recording_application_id(const rk_recording *recording);
RK_API const char *rk_recording_recording_id(const rk_recording *recording);
/* The absolute path of the file appended to: with RK_NETWORK_FILE_PER_PROCESS not the one asked for. */
RK_API const char *rk_recording_path(const rk_recording *recording);

/* What stamps the rows of this process: RK_CLOCK_MONOTONIC or RK_CLOCK_TSC. */
RK_API rk_clock_source rk_recording_clock(const rk_recording *recording);

/* Now, in ns since the Unix epoch, on the recording's own axis (CLOCK_MONOTONIC plus the recording's offset). */
RK_API int64_t rk_recording_now(const rk_recording *recording);

/* ---- Entities ---- */

/* Resolves an entity path such as "world/robot" or "/world/robot": the same handle for the same path. NULL when the
 * path is empty, not UTF-8, malformed, reserved (a part that begins with "__") or memory is short; the calling thread's
 * error says so, and logging to a NULL entity returns it. Cached per thread: no lock after a thread's first use of a
 * path, but for hot loops keep the handle. */
RK_API const rk_entity *rk_entity_at(rk_recording *recording, const char *path);

/* ---- Time ---- */

typedef enum rk_timeline_kind {
  RK_TIMELINE_SEQUENCE = 1, /* Int64 */
  RK_TIMELINE_DURATION = 2, /* ns */
  RK_TIMELINE_TIMESTAMP = 3 /* ns since the Unix epoch */
} rk_timeline_kind;

/* The timeline of that name. NULL, with the thread's error: empty name, not UTF-8, "log_time" (written automatically),
 * or the name already has another kind in this process (RK_ERR_CONFLICT). */
RK_API const rk_timeline *rk_timeline_at(rk_recording *recording, const char *name, rk_timeline_kind kind);

/* Sets the calling thread's time on a timeline for all rows it logs from now on. INT64_MIN is reserved (RK_ERR_MISUSE).
 */
RK_API rk_status rk_time_set(rk_recording *recording, const rk_timeline *timeline, int64_t value);
RK_API rk_status rk_time_set_sequence(rk_recording *recording, const char *timeline, int64_t value);
RK_API rk_status rk_time_set_duration_ns(rk_recording *recording, const char *timeline, int64_t value_ns);
RK_API rk_status rk_time_set_timestamp_ns(rk_recording *recording, const char *timeline, int64_t since_epoch_ns);

/* The calling thread's later rows no longer carry this timeline (or any but log_time). */
RK_API rk_status rk_time_disable(rk_recording *recording, const char *timeline);
RK_API rk_status rk_time_reset(rk_recording *recording);

/* ---- Logging ---- */

/* One instance of a list-typed component whose items have a fixed width: a blob, a line strip. `count` is in items. */
typedef struct rk_span {
  const void *data;
  size_t count;
} rk_span;

/* The values of one component in one row. Give `array`, or `values`:
 * - type of fixed width (numbers, bool as one byte each, fixed-size lists of numbers): `count` packed values;
 * - utf8: `const char *[count]`, NUL-terminated;
 * - binary, list of a fixed-width type: `rk_span[count]`;
 * - any type: `array`, whose elements are the instances (`count` and `values` are ignored). It is only read during the
 * call. count 0 logs an explicitly empty list (clears the component). Text that is not valid UTF-8 is stored with each
 * maximal invalid part replaced by U+FFFD. */
typedef struct rk_cell {
  const rk_component *component;
  size_t count;
  const void *values;
  const struct ArrowArray *array;
} rk_cell;

/* Defines a component of the user's own, or finds the equal one defined before. `archetype` and `component_type` may be
 * NULL. With an archetype "myco.Frame" the column is named "<last part>:<name>" by the caller: `name` is the whole
 * column name. `type` is the Arrow type of one instance as C-data-interface format strings, children in parentheses,
 * separated by commas, each [name][!]:format with ! for not nullable: "g", "u", "+w:3(!:f)", "+l(!:C)",
 * "+s(width!:I,height!:I)". A missing list-child name is "item". NULL, with the thread's error: bad UTF-8, bad type, a
 * name under "rerun." that is not Rerun's (RK_ERR_MISUSE), or the name is already in use with another type
 * (RK_ERR_CONFLICT). */
RK_API const rk_component *rk_component_at(rk_recording *recording, const char *name, const char *type,
                                           const char *archetype, const char *component_type);

/* A component of a built-in archetype by its column name, e.g. "Points3D:positions". NULL if there is none. Any
 * recording. */
RK_API const rk_component *rk_component_builtin(const char *name);

/* Logs one row: cell_count >= 1 cells with distinct components. Returns when the row is in the ring: it then survives
 * the death of the process. A row larger than half of the ring is in the file when the call returns; for a second it
 * keeps memory of up to twice the row's size for the next one. RK_ERR_MISUSE, RK_ERR_CONFLICT: nothing was logged.
 * RK_ERR_FULL: the row was not accepted, but counted, because its ring is full and the system refuses to append
 * (rk_full_policy). */
RK_API rk_status rk_log(rk_recording *recording, const rk_entity *entity, const rk_cell *cells, size_t cell_count);

/* The same for data that holds at all times: no timelines; the last row logged wins. */
RK_API rk_status rk_log_static(rk_recording *recording, const rk_entity *entity, const rk_cell *cells,
                               size_t cell_count);

/* ---- Recording properties (static data at /__properties) ---- */

RK_API rk_status rk_recording_set_name(rk_recording *recording, const char *name);
RK_API rk_status rk_recording_set_start_time_ns(rk_recording *recording, int64_t since_epoch_ns);
/* The entity "/__properties/<name>" to log user properties to with rk_log_static. NULL as rk_entity_at. */
RK_API const rk_entity *rk_recording_property(rk_recording *recording, const char *name);

#ifdef __cplusplus
}
#endif
#endif
