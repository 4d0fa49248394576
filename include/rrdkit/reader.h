/* Reading: one ordered timeline over any number of recordings.
 *
 * A reader takes inputs, then yields their rows in one total order that depends on the data alone: by (log_time, row
 * id); a row without log_time (static, or stock data without it) is ordered by the time in its row id. A row seen twice
 * (same store, entity, row id and components) is yielded once. A writer's own order is never broken. On request rows
 * are ordered by another timeline instead.
 *
 * Memory is bounded by max_memory whatever the inputs hold: chunks whose times overlap are sorted in temporary files
 * once they do not fit. A single row larger than that still passes.
 *
 * Threads: a reader belongs to one thread at a time. Everything it lends lives until the next call on that reader,
 * except what is said to live as long as the reader. All input bytes are treated as hostile. */
#ifndef RRDKIT_READER_H
#define RRDKIT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/arrow.h"
#include "rrdkit/recording.h" /* rk_timeline_kind, rk_compression */
#include "rrdkit/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rk_reader rk_reader;

/* 16 bytes, as Rerun shows them: 8 of ns since the epoch, 8 of increment; compare (time_ns, inc). */
typedef struct rk_tuid {
  uint64_t time_ns;
  uint64_t inc;
} rk_tuid;

typedef enum rk_store_kind { RK_STORE_RECORDING = 1, RK_STORE_BLUEPRINT = 2 } rk_store_kind;

/* A Rerun store. Lives as long as the reader. */
typedef struct rk_store {
  rk_store_kind kind;
  const char *application_id;
  const char *recording_id;
} rk_store;

/* One writer (a thread of a process) as its writer record tells. Lives as long as the reader. Unknown texts are "". */
typedef struct rk_writer_info {
  uint32_t tag; /* unique in the recording; the high half of its row ids' inc */
  const rk_store *store;
  const char *host;
  const char *boot_id;
  int64_t pid;
  int64_t tid;
  const char *thread; /* thread name at its first row */
  const char *program;
  int64_t start_ns;      /* on the recording's axis */
  uint64_t dropped_rows; /* that it refused with a full ring (RK_ERR_FULL), as far as it could still record it */
} rk_writer_info;

/* A byte range of an input that could not be used. Lent during the callback. */
typedef struct rk_loss {
  const char *input;
  uint64_t offset;
  uint64_t length;
  rk_status status;
  const char *reason; /* one line */
  uint32_t writer;    /* tag, or 0 where unknown */
} rk_loss;

/* Zero-initialise. Strings are copied. */
typedef struct rk_reader_options {
  const char *const
      *entities; /* globs over entity paths (`*` within a part, `**` across parts); any may match; NULL: all */
  size_t entity_count;
  const uint32_t *writers; /* tags; NULL: all */
  size_t writer_count;
  const char *const *excluded; /* globs over entity paths that do not pass although `entities` admits them */
  size_t excluded_count;
  /* Rows are ordered by this timeline and only those that carry it pass; static rows come first. Ties: log_time, then
   * row id. NULL: log_time, and all rows. */
  const char *timeline;
  bool has_since, has_until;
  int64_t since_ns, until_ns; /* on the order key: of `timeline`, else log_time; since <= t < until; static rows pass */
  const char *const *dropped_timelines; /* names of timelines that rows are yielded without; not log_time */
  size_t dropped_timeline_count;
  /* log_time becomes the wall clock of the host that logged the row, by the (monotonic, realtime) pairs in the seals,
   * interpolated; a clock that stepped back stands still until it has caught up (SPEC "Order"). Writers
   * without pairs stay as they are. */
  bool wall_clock;
  uint64_t max_memory; /* bytes; 0: 256 MiB; at least 16 MiB */
  const char
      *temporary_directory; /* NULL: TMPDIR or /var/tmp. Files in it have no names: they vanish with the process */
  uint32_t max_ratio;       /* of what is unpacked from a compressed input to its size; 0: 1000. More is RK_ERR_LIMIT */
  /* rk_reader_next says RK_AGAIN at the end of what is known instead of RK_END while inputs may grow
   * (rk_reader_wait). Not with `timeline` or `wall_clock`. */
  bool follow;
  int64_t follow_delay_ns;     /* see "Following"; 0: 3 s */
  const char *application_id;  /* non-NULL: every recording store's rows are given this id ... */
  const char *recording_id;    /* ... and this one: fuses recordings */
  bool ignore_spools;          /* only what the files themselves hold */
  const char *spool_directory; /* where writers of the inputs were told to keep their spools; NULL: RRDKIT_SPOOL_DIR */
  void (*on_loss)(void *context,
                  const rk_loss *loss); /* called as losses are met, by rk_reader_add and rk_reader_next */
  /* Called now and then by rk_reader_add, while it scans or unpacks, and while chunks are looked through for `timeline`
   * or sorted: bytes of the one `input` (NULL: of all). False stops: RK_END. */
  bool (*on_progress)(void *context, const char *input, uint64_t bytes_done, uint64_t bytes_total);
  void *context;
} rk_reader_options;

/* How one input is taken. Zero-initialise. */
typedef struct rk_input_options {
  int64_t shift_ns; /* added to log_time, and to the order key of rows in time that lack it */
} rk_input_options;

/* Makes a reader without inputs. RK_ERR_NO_MEMORY, RK_ERR_MISUSE. `options` and `error` may be NULL. */
RK_API rk_status rk_reader_open(const rk_reader_options *options, rk_reader **reader, rk_error *error);

/* Adds an input: a file's path, or "-" for standard input. It is scanned to its end as it is now. RK_OK also when parts
 * of it are damaged (on_loss has told). RK_ERR_IO (missing, a directory, unreadable), RK_ERR_NOT_RRD,
 * RK_ERR_UNSUPPORTED, RK_ERR_TRUNCATED (empty), RK_ERR_LIMIT, RK_END (on_progress stopped it): the input was not added
 * and the reader goes on without it. `options` may be NULL.
 *
 * A recording may be "run.rrd.zst" as rrdkit writes it, or compressed as a whole (zstd, gzip, xz, lz4, bzip2, ...). A
 * tar, zip, 7z or cpio archive, itself compressed or not, stands for all recordings in it with the spools beside them;
 * "ARCHIVE:PATTERN" for the members whose path in the archive matches the glob PATTERN (`*` within a part of the path,
 * `**` across parts), also of standard input ("-:PATTERN"). Links, encrypted members and what is no recording are left
 * out; a member that is named like a recording and cannot be read is a loss. Members are unpacked to temporary files
 * without names, never to paths of the archive's choosing.
 *
 * Rows that writers left in their spools when they died belong to a regular file as if they had been appended, each
 * once: spools are looked for in "<path>.spool" and in the spool directory of the options or the environment, and are
 * read without locking or changing anything. The spool of a living process is left alone. One that is damaged, cannot
 * be read, or lies beside the file but belongs to another recording is a loss whose input is the spool's file; so are
 * rows beyond 2 GiB of spools, which are held in memory, compressed. */
RK_API rk_status rk_reader_add(rk_reader *reader, const char *path, const rk_input_options *options, rk_error *error);

/* The same from memory, which the caller keeps until rk_reader_free. `name` is used in losses. */
RK_API rk_status rk_reader_add_memory(rk_reader *reader, const char *name, const void *data, size_t size,
                                      rk_error *error);

/* Replaces the reader's filters (entities, excluded, writers, timeline, since, until) by those of `options`, whose
 * other members are ignored, and starts rk_reader_next_chunk anew: for filters that depend on what the inputs hold (a
 * writer's thread name, a time relative to the beginning). After the inputs were added and before the first
 * rk_reader_next. Strings and arrays are copied. RK_ERR_MISUSE when too late, RK_ERR_NO_MEMORY. */
RK_API rk_status rk_reader_select(rk_reader *reader, const rk_reader_options *options);

/* One timeline's value in a row. */
typedef struct rk_time_cell {
  const char *timeline;
  rk_timeline_kind kind;
  int64_t value;
} rk_time_cell;

/* One component's values in a row: elements [start, start + count) of `values`, whose type is `schema`. */
typedef struct rk_component_cell {
  const char *component;      /* column name, e.g. "Points3D:positions" */
  const char *archetype;      /* or NULL */
  const char *component_type; /* or NULL */
  const struct ArrowSchema *schema;
  const struct ArrowArray *values;
  int64_t start;
  int64_t count;
} rk_component_cell;

typedef struct rk_row {
  rk_tuid row_id;
  int64_t key_ns; /* the time that ordered it */
  bool is_static;
  const rk_store *store;
  const char *entity_path;
  const rk_writer_info *writer; /* NULL: not written by rrdkit, or its writer record is lost */
  uint32_t row_number;          /* of that writer */
  size_t timeline_count;
  const rk_time_cell *timelines; /* sorted by name; empty for static rows */
  size_t component_count;
  const rk_component_cell *components; /* those that the row has (not null), sorted by name */
} rk_row;

/* The next row in order, lent until the next call. RK_END: no more. RK_ERR_NO_MEMORY or RK_ERR_IO end the reading;
 * damage does not: it is reported by on_loss and passed over. No input may be added after the first call. With `follow`
 * RK_AGAIN: no further row's place in the order is certain yet. */
RK_API rk_status rk_reader_next(rk_reader *reader, const rk_row **row);

/* ---- Following ----
 * With rk_reader_options.follow a row is yielded once no living writer can still append an earlier one: what they hold
 * in their rings tells (on this host, in the spool directory beside the file or that of the options), so idle writers
 * hold nothing back. One that is stopped holds others back for follow_delay_ns, one that runs and does not append
 * twenty times as long. What a writer leaves when it dies holds others back until somebody brings it in; where nobody
 * does for follow_delay_ns, or nobody has the recording open, it is read from the spool. Where rings cannot be seen
 * (another host, a copy of the file, files of other software) rows wait until they, or later ones, have been in the
 * file for follow_delay_ns. Rows that come later than all that are yielded when they come, and counted (late_rows). */

/* Waits until inputs may have grown or rows may have become certain, at most `timeout_ns` (negative: for ever), takes
 * in what has come, and looks for new spools. RK_OK: go on with rk_reader_next; also after a signal was handled.
 * RK_END: no input can grow any more (finished, and nobody has it open). RK_ERR_MISUSE: not opened to follow.
 * RK_ERR_IO, RK_ERR_NO_MEMORY. */
RK_API rk_status rk_reader_wait(rk_reader *reader, int64_t timeout_ns, rk_error *error);

/* Whether somebody has an input open to append, or it has grown beyond what was taken in: asked of the system now. Any
 * reader. */
RK_API bool rk_reader_live(const rk_reader *reader);

/* Where the reading stands, as text of the caller's (free with free()): one line of JSON with the last row's key and
 * id and, per writer, its next row number and the chunks known of it. NULL: no memory. */
RK_API char *rk_reader_cursor(const rk_reader *reader);
/* Rows that a reader with the same inputs and filters had yielded when it gave `cursor` are passed over, and no others:
 * of a writer by its row numbers, of other software's recordings by key and row id, so that of these a row that came
 * late is missed. After the inputs were added, before the first rk_reader_next. RK_ERR_MISUSE, RK_ERR_CORRUPT (no
 * cursor), RK_ERR_UNSUPPORTED (of another version). */
RK_API rk_status rk_reader_resume(rk_reader *reader, const char *cursor, rk_error *error);

/* What the inputs hold, from the index and from decoding what the index cannot tell. Applies the filters by whole
 * chunks only. */
typedef struct rk_chunk_info {
  const char *input;
  const rk_store *store;
  const char *entity_path;
  rk_tuid chunk_id;
  uint32_t writer; /* tag, 0: unknown */
  bool is_static;
  bool sealed;
  bool from_spool; /* rows that a dead writer left: the chunk that they would become, which is in no file yet */
  bool described;  /* what only its contents or a footer tell is there: see rk_reader_next_indexed */
  bool numbered;   /* as its writer appended it, not merged since: the next two count */
  uint32_t chunk_number, first_row; /* of its writer */
  uint64_t row_count;
  uint64_t offset;            /* of its frame in the input; means nothing when from_spool */
  uint64_t size;              /* of its frame */
  uint64_t uncompressed_size; /* of its Arrow payload */
  rk_compression compression;
  int64_t min_ns, max_ns; /* order key */
  size_t timeline_count;
  const rk_time_cell *timeline_min; /* smallest value on each timeline, sorted by name */
  const rk_time_cell *timeline_max;
  size_t component_count;
  const char *const *components;  /* column names, sorted */
  const uint64_t *component_rows; /* rows in which each is present */
  /* Whose rows they are, by their row ids, sorted by tag: those of writers that are known. A merged chunk has several.
   */
  size_t writer_count;
  const uint32_t *writers;
  const uint64_t *writer_rows;
} rk_chunk_info;

/* The next chunk in input and file order; independent of rk_reader_next. RK_END: no more. */
RK_API rk_status rk_reader_next_chunk(rk_reader *reader, const rk_chunk_info **chunk);

/* The same chunks, with a place in them of its own, from the index as far as that goes: for pictures of recordings that
 * are too large to be decoded. Where `described` is false the index does not tell chunk_id, uncompressed_size,
 * compression, timelines and components; they are zero. A chunk that only decoding would show to be damaged is given
 * like others. */
RK_API rk_status rk_reader_next_indexed(rk_reader *reader, const rk_chunk_info **chunk);
/* The chunk that rk_reader_next_indexed gave last, decoded. RK_END: it is damaged (on_loss has told). RK_ERR_MISUSE:
 * there is none. */
RK_API rk_status rk_reader_describe(rk_reader *reader, const rk_chunk_info **chunk);

/* The stores and writers of all inputs so far, sorted by id and by tag. The arrays live as long as the reader. */
RK_API const rk_store *const *rk_reader_stores(const rk_reader *reader, size_t *count);
RK_API const rk_writer_info *const *rk_reader_writers(const rk_reader *reader, size_t *count);

/* An input as it was taken: one per file, one per member of an archive. Lives as long as the reader. */
typedef struct rk_input_info {
  const char *name;     /* "-", a path, "ARCHIVE:MEMBER" */
  uint64_t size;        /* of the recording, unpacked */
  uint64_t stored_size; /* of the file or, for an archive's member, in the archive as far as known; else 0 */
  bool compressed;      /* "run.rrd.zst", or unpacked */
  bool live, finished;
  int64_t shift_ns;
  /* By the index, filters not applied; chunks that only decoding can tell about count for nothing here. */
  uint64_t chunk_count, row_count;
  int64_t min_ns, max_ns; /* order key, shift included, of recordings' rows in time; min > max: none */
} rk_input_info;
/* In the order of adding. */
RK_API const rk_input_info *const *rk_reader_inputs(const rk_reader *reader, size_t *count);

/* The clock of one host since one boot, by the pairs in its writers' seals. Lives as long as the reader. */
typedef struct rk_host_clock_step {
  int64_t at_ns; /* log_time: between this and the pair before */
  int64_t by_ns; /* the wall clock against the monotonic one; positive: forward */
} rk_host_clock_step;
typedef struct rk_host_clock {
  const char *host, *boot_id;
  uint64_t pair_count;
  int64_t first_ns, last_ns;             /* log_time of the first and the last pair */
  int64_t first_ahead_ns, last_ahead_ns; /* wall clock minus log_time there */
  size_t step_count; /* changes by more than 1 ms between neighbouring pairs beyond 500 ppm of slewing */
  const rk_host_clock_step *steps;
} rk_host_clock;
/* By boot id, without repeats. The array lives until an input is added. NULL with *count 0 too when memory is short. */
RK_API const rk_host_clock *const *rk_reader_host_clocks(rk_reader *reader, size_t *count);

/* Totals so far. */
typedef struct rk_reader_stats {
  uint64_t input_size; /* bytes of all inputs */
  uint64_t chunk_count;
  uint64_t rows_indexed;
  uint64_t spool_rows; /* of these, left by dead writers in their spools and not yet in the files */
  uint64_t rows_returned;
  uint64_t duplicate_rows; /* seen twice and yielded once */
  uint64_t clamped_rows;   /* key stepped back within a writer; order kept */
  uint64_t loss_count;
  uint64_t lost_size;    /* bytes */
  uint64_t frame_count;  /* sound ones of every kind; chunks are judged by their seals' place alone until read */
  uint64_t filler_count; /* frames that stand where a torn record was */
  uint64_t pending_size; /* bytes at the end of inputs that somebody is writing, not whole yet; no loss */
  uint64_t read_size;    /* bytes read from inputs */
  uint64_t spilled_size; /* bytes written to temporary files to sort overlapping chunks */
  uint64_t late_rows;    /* while following: came after later ones had been yielded */
} rk_reader_stats;
RK_API void rk_reader_get_stats(const rk_reader *reader, rk_reader_stats *stats);

/* The reader's last error. */
RK_API void rk_reader_error(const rk_reader *reader, rk_error *error);

/* NULL is allowed. */
RK_API void rk_reader_free(rk_reader *reader);

/* ---- Verifying ---- */

typedef enum rk_finding_kind {
  RK_FINDING_CHUNKS_MISSING = 1, /* chunks [first, last] of the writer. [offset, offset + length) of `input`: where they
                                    would stand, when the chunks around them tell; else `input` is NULL */
  RK_FINDING_ROWS_MISSING = 2,   /* rows [first, last] of the writer */
  RK_FINDING_CHUNK_ABSENT = 3,   /* a chunk of `rows` rows that the footer tells of is not there, or damaged */
  RK_FINDING_WRITER_UNKNOWN = 4, /* the writer's record is missing; its rows are there */
  RK_FINDING_CHUNK_CONFLICT = 5, /* the chunk there has the number, or row numbers, of another chunk of its writer */
  RK_FINDING_CHUNK_REPEATED = 6  /* the chunk there repeats another one. Harmless: its rows are read once */
} rk_finding_kind;

/* Something that the inputs lack, or have in excess, as the numbers in the seals, rows and footers tell. Lent during
 * the callback. */
typedef struct rk_finding {
  rk_finding_kind kind;
  uint32_t writer;      /* tag; 0: none */
  uint64_t first, last; /* chunk or row numbers */
  uint64_t rows;        /* how many rows are missing by this finding; 0: unknown or none */
  const char *input;    /* or NULL: all inputs together */
  uint64_t offset, length;
} rk_finding;

/* Zero-initialise. */
typedef struct rk_verify_options {
  bool fast; /* check the hash of every sealed chunk but decode none: rows are not judged one by one */
  void (*on_finding)(void *context, const rk_finding *finding);
  bool (*on_progress)(void *context, uint64_t bytes_done, uint64_t bytes_total); /* false stops: RK_END */
  void *context;
} rk_verify_options;

typedef struct rk_verify_report {
  bool sound;    /* no loss, and no finding but repeated chunks */
  bool live;     /* somebody has an input open to append: it was judged as far as it reached when it was added */
  bool finished; /* every input ends with a footer */
  uint64_t frame_count, filler_count;
  uint64_t chunk_count, row_count;              /* sound ones, repeats not counted; those of spools included */
  uint64_t spool_row_count, spool_writer_count; /* of these, in spools of dead writers and not yet in the inputs */
  uint64_t unsealed_chunk_count; /* of other software: without hash and number, so only decoding could judge them */
  uint64_t repeated_chunk_count, conflict_count;
  uint64_t writer_count, unknown_writer_count;
  uint64_t judged_writer_count;                    /* of these, those whose sequence was judged */
  uint64_t missing_chunk_count, missing_row_count; /* known ones; a writer's last rows leave no trace when lost */
  uint64_t loss_count, lost_size, pending_size;    /* as in rk_reader_stats */
} rk_verify_report;

/* Judges the inputs together, as pieces of the same recordings: every frame's hash, every chunk's contents, every
 * footer's manifest against the chunks, and the sequence of every writer: chunk numbers and row numbers without gaps
 * from 0. Merged recordings have no chunk numbers and may be selections, so their writers' sequence is not judged.
 * Damage that rk_reader_add did not see is told by on_loss; nothing is told again by later calls, which pass over what
 * was found damaged. The filters do not apply. Once, after the inputs were added and before rk_reader_next.
 * RK_ERR_MISUSE, RK_ERR_NO_MEMORY, RK_ERR_IO, RK_END (stopped); *report is filled in any case. */
RK_API rk_status rk_reader_verify(rk_reader *reader, const rk_verify_options *options, rk_verify_report *report,
                                  rk_error *error);

/* ---- Merging ---- */

typedef struct rk_merge_options {
  rk_compression compression; /* of the chunks */
  bool zstd;      /* the output is a "run.rrd.zst" (SPEC "Zstandard recordings"); its chunks are then not compressed */
  int zstd_level; /* 0: 3 */
  uint32_t chunk_rows; /* rows of an output chunk at most; 0: 4096 */
  uint64_t chunk_size; /* uncompressed bytes after which a chunk is cut; 0: 1 MiB */
  unsigned threads;    /* that encode and compress; 0: as many as there are cores */
  bool recode;         /* take no chunk as it is */
  bool (*on_progress)(void *context, uint64_t rows_done, uint64_t rows_total,
                      uint64_t bytes_out); /* false stops: RK_END */
  void *context;
} rk_merge_options;

typedef struct rk_merge_report {
  uint64_t rows, chunks, bytes;         /* of the output */
  uint64_t passed_chunks, passed_bytes; /* of these, taken as they are; undecoded: */
  uint64_t undecoded_chunks;
} rk_merge_report;

/* Writes all rows that rk_reader_next would yield to `fd` (any writable descriptor, written front to back) as one
 * recording file: ordered in time, compacted per store and entity, with writer records, End, footer and manifests. The
 * bytes depend on the rows, and on the chunks of writers that fit as they are, alone: not on the order of the inputs,
 * on how they were merged before, on max_memory or on threads. The filters spare blueprints, which come whole. The
 * reader is at its end after it. `report` (or NULL) is
 * filled in any case. RK_ERR_IO with sys_errno (EPIPE included). RK_ERR_MISUSE: the reader orders by a timeline or
 * follows, or rows were already taken. */
RK_API rk_status rk_reader_merge(rk_reader *reader, int fd, const rk_merge_options *options, rk_merge_report *report,
                                 rk_error *error);

/* What merging would meet, from the index alone. */
typedef struct rk_merge_plan {
  uint64_t rows, chunks;                      /* that pass the filters, repeats included */
  int64_t min_ns, max_ns;                     /* min > max: no rows in time */
  uint64_t repeated_chunks;                   /* by writer and chunk number, or chunk id where known */
  uint64_t undecoded_chunks, undecoded_bytes; /* overlap nothing of their entity and can be taken as they are */
  uint64_t overlap_size;                      /* most uncompressed bytes of chunks that are open at one time */
  int64_t overlap_ns;                         /* when that is */
  uint64_t spill_size; /* bytes that would go through temporary files, roughly; 0: it fits max_memory */
} rk_merge_plan;
RK_API rk_status rk_reader_plan(rk_reader *reader, const rk_merge_options *options, rk_merge_plan *plan,
                                rk_error *error);

/* ---- Streaming ----
 * Rows as stock messages for a viewer, in the reader's order, cut wherever the caller wants to wait: what `rerun -`,
 * the web viewer over HTTP and, message by message, its gRPC service take. */

typedef struct rk_stream rk_stream;

/* Zero-initialise. */
typedef struct rk_stream_options {
  rk_compression compression; /* of the chunks */
  uint32_t chunk_rows;        /* rows of a chunk at most; 0: 4096 */
  uint64_t chunk_size;        /* uncompressed bytes after which a chunk is cut; 0: 1 MiB */
} rk_stream_options;

/* One chunk of a batch. The texts live as long as the reader. */
typedef struct rk_stream_frame {
  size_t offset, size; /* in the batch */
  const rk_store *store;
  const char *entity_path;
  bool is_static;
  int64_t first_ns; /* order key of its first row */
  size_t component_count;
  const char *const *components; /* column names */
} rk_stream_frame;

/* A piece of the stream: whole frames, each a 16-byte header (u64 kind, u64 payload size, little-endian) and its
 * payload. Lent until the next call on the stream. */
typedef struct rk_stream_batch {
  const void *data;
  size_t size;
  uint64_t rows;
  const int64_t *keys;       /* order key of each row, ascending */
  int64_t first_ns, last_ns; /* of the first and the last row; 0, 0 where it has no rows */
  int64_t next_ns;           /* order key of the row that is due next; INT64_MAX: none, or not known yet */
  size_t frame_count;        /* chunks; other messages are not among them */
  const rk_stream_frame *frames;
} rk_stream_batch;

/* Takes the rows of `reader` from now on; the caller takes none himself, and frees the stream before the reader.
 * RK_ERR_MISUSE (rows were taken already), RK_ERR_NO_MEMORY. */
RK_API rk_status rk_stream_open(rk_reader *reader, const rk_stream_options *options, rk_stream **stream,
                                rk_error *error);

/* What comes before the rows: the stream header, a SetStoreInfo for every store, the blueprints whole, whatever the
 * filters, each activated as the inputs do. Once, first. Status as for rk_reader_next. */
RK_API rk_status rk_stream_begin(rk_stream *stream, rk_stream_batch *batch);

/* The next rows whose key is below `until_ns`, as many as fit about `max_size` bytes (0: 1 MiB), gathered into one
 * chunk per entity; a batch of no rows when the next one is not below it. RK_END: no more. RK_AGAIN: nothing certain
 * yet (the reader follows; see rk_reader_wait, which may be called between batches). Else as rk_reader_next. */
RK_API rk_status rk_stream_next(rk_stream *stream, int64_t until_ns, size_t max_size, rk_stream_batch *batch);

/* NULL is allowed. */
RK_API void rk_stream_free(rk_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
