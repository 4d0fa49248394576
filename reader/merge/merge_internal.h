/* What the parts of merging share.
 *
 *   merge.c        the stream of rows and whole chunks, place by place
 *   merge_place.c  a place: rows gathered, and the candidate that may pass as it is
 *   merge_chunk.c  rows gathered into one chunk
 *   merge_batch.c  these rows copied, column by column
 *   merge_queue.c  chunks on their way out, in the order in which they leave
 *   merge_item.c   encoding a chunk, or checking one that passes: on any thread
 *   merge_file.c   the file, front to back */
#ifndef RK_MERGE_INTERNAL_H
#define RK_MERGE_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include "format/builder.h"
#include "format/footer.h"
#include "format/messages.h"
#include "format/numbering.h"
#include "reader/merge/merge_units.h"
#include "reader/pool.h"
#include "reader/reader_state.h"
#include "reader/slices.h"
#include "reader/value_size.h"

typedef struct rk_merge rk_merge;
typedef struct rk_merge_chunk rk_merge_chunk;
typedef struct rk_merge_place rk_merge_place;

/* Names as messages take them. */
static inline rk_text rk_merge_text(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}
static inline rk_store_id rk_merge_store_id(const rk_store *store)
{
  return (rk_store_id){.kind = store->kind,
                       .application_id = rk_merge_text(store->application_id),
                       .recording_id = rk_merge_text(store->recording_id)};
}

/* ---- merge_chunk.c ---- */

/* When a chunk is full, and what is held for all of them together. */
typedef struct rk_merge_limits {
  uint32_t rows;
  uint64_t size;
  uint64_t held; /* bytes of input chunks that are kept because rows of them are still to be copied */
} rk_merge_limits;

/* For rows of the place of `ref`: store, entity, timelines. NULL when memory is short. */
rk_merge_chunk *rk_merge_chunk_new(const rk_row_ref *ref, rk_merge_limits *limits);
void rk_merge_chunk_free(rk_merge_chunk *chunk);
/* Appends a row of the place. *full: the chunk has reached a limit. RK_ERR_CONFLICT: nothing was appended; a component
 * has another type or meaning than in the rows before. */
rk_status rk_merge_chunk_append(rk_merge_chunk *chunk, const rk_row_ref *ref, bool *full);
/* Whether some column of `from` differs in type or meaning from one that is gathered. */
bool rk_merge_chunk_conflicts(const rk_merge_chunk *chunk, const rk_chunk *from);

uint32_t rk_merge_chunk_rows(const rk_merge_chunk *chunk);
uint64_t rk_merge_chunk_size(const rk_merge_chunk *chunk);
const rk_store *rk_merge_chunk_store(const rk_merge_chunk *chunk);
int64_t rk_merge_chunk_first_key(const rk_merge_chunk *chunk); /* of its first row; it has one */
/* By first row (key, row id), then store, entity and timelines. */
int rk_merge_chunk_compare(const rk_merge_chunk *a, const rk_merge_chunk *b);

/* What goes into the seal. */
typedef struct rk_merge_chunk_span {
  uint32_t writer; /* 0: several */
  uint32_t first_row;
  int64_t min_key, max_key;
} rk_merge_chunk_span;
/* The rows gathered so far as a chunk, lent until the chunk is next changed. Nothing of the inputs is held then. */
rk_status rk_merge_chunk_view(rk_merge_chunk *chunk, rk_chunk *view, rk_merge_chunk_span *span);
/* Empty again. */
void rk_merge_chunk_reset(rk_merge_chunk *chunk);

/* ---- merge_item.c ---- */

/* A chunk of the output on its way: gathered, or an input's frame that passes as it is. */
typedef struct rk_merge_item {
  rk_task task; /* first */
  rk_merge *merge;
  struct rk_merge_item *after; /* among those that leave */
  enum { RK_ITEM_NEW, RK_ITEM_RUNNING, RK_ITEM_SETTLED } stage;
  /* The order of leaving. */
  int64_t leave_key;
  rk_tuid id;
  const rk_store *store;
  uint64_t entity_hash;
  /* Gathered: */
  rk_merge_place *place;
  rk_merge_chunk *chunk; /* NULL: passes */
  rk_chunk view;
  rk_merge_chunk_span span;
  uint32_t cut_rows, cut_size;
  /* Passing: */
  rk_entry *entry;
  bool undecoded;
  size_t payload_offset; /* in the frame; 0: not known */
  bool has_summary;
  /* What the work makes of it. */
  rk_status status; /* of a passing one: RK_ERR_NO_MEMORY and RK_ERR_IO end the merge; others: it is damaged */
  rk_error error;
  rk_buffer bytes;      /* the frame, unless lent */
  const uint8_t *frame; /* in `bytes` or in the memory of an input */
  uint64_t frame_size;
  uint64_t uncompressed_size;
  bool in_file; /* the frame waits in the queue's temporary file, at file_offset */
  uint64_t file_offset;
  rk_arena arena;
  rk_chunk_summary summary;
} rk_merge_item;

/* Before the work, by the owner: reads the frame of a passing one whose input cannot be read from other threads. */
void rk_merge_item_prepare(rk_merge_item *item);
/* Runs on any thread. */
void rk_merge_item_work(rk_task *task);
void rk_merge_item_free(rk_merge_item *item);

/* What the ends of a frame tell, without decoding it. */
typedef struct rk_merge_peek {
  rk_compression compression;
  bool has_id;
  rk_tuid id;
  uint32_t cut_rows, cut_size;
  size_t payload_offset; /* in the frame */
} rk_merge_peek;
/* False: they do not tell. */
bool rk_merge_peek_entry(rk_entry *entry, rk_merge_peek *peek);

/* Buffers that whoever works takes for a while. */
typedef struct rk_merge_scratch {
  struct rk_merge_scratch *next;
  rk_buffer payload;
} rk_merge_scratch;

/* ---- merge_file.c ---- */

/* A recording file written front to back. */
typedef struct rk_merge_file {
  int fd;
  uint64_t written;        /* bytes of the plain stream that were handed on */
  uint64_t stored;         /* bytes in the file */
  rk_buffer out;           /* and those that follow */
  rk_merge_units *units;   /* NULL: a plain file */
  uint32_t entity_count;   /* into the seals of SetStoreInfo frames */
  rk_manifest **manifests; /* one per store, in the order of rk_reader_stores */
  const rk_store *const *stores;
  size_t store_count;
} rk_merge_file;

/* `pool` compresses where level is not 0: the file is then a "run.rrd.zst". `entity_count` goes into its seals. */
rk_status rk_merge_file_open(rk_merge_file *file, int fd, int level, rk_pool *pool, uint32_t entity_count,
                             const rk_reader *reader, rk_error *error);
/* A whole sealed frame that begins at a multiple of 128. */
rk_status rk_merge_file_put_chunk(rk_merge_file *file, const rk_store *store, const uint8_t *frame, size_t size,
                                  const rk_chunk_summary *summary, uint64_t uncompressed_size, rk_error *error);
rk_status rk_merge_file_put_activation(rk_merge_file *file, const rk_activation *activation, rk_error *error);
/* End, footer, everything written. */
rk_status rk_merge_file_finish(rk_merge_file *file, rk_error *error);
void rk_merge_file_free(rk_merge_file *file);
/* ---- merge_queue.c ---- */

/* Chunks leave in the order of (leave_key, id, ...). What may still be preceded by another one waits. */
typedef struct rk_merge_queue {
  rk_merge_item **heap; /* not leaving yet, the first to leave on top */
  size_t heap_count, heap_capacity;
  rk_merge_item *first_leaving, *last_leaving; /* in their order */
  size_t leaving_count;
  size_t running;       /* items that the pool has */
  rk_merge_item **ring; /* those, in the order of handing in */
  size_t ring_start, ring_size;
  uint64_t waiting_size; /* bytes of frames that are made and wait in memory */
  int fd;                /* of the temporary file that takes what is too much; -1: none yet */
  uint64_t file_size;
} rk_merge_queue;

bool rk_merge_queue_init(rk_merge_queue *queue, unsigned threads);
/* Takes the item over, whatever happens. */
rk_status rk_merge_queue_put(rk_merge *merge, rk_merge_item *item, rk_error *error);
/* From now on no item comes with a leave_key below `key` (`all`: none comes before these). Writes what is ready. */
rk_status rk_merge_queue_release(rk_merge *merge, int64_t key, bool all, rk_error *error);
/* Makes a gathered chunk's place and bytes certain at once: behind all that was put before. */
rk_status rk_merge_queue_put_last(rk_merge *merge, rk_merge_item *item, rk_error *error);
/* Everything that is leaving is written. */
rk_status rk_merge_queue_flush(rk_merge *merge, rk_error *error);
void rk_merge_queue_free(rk_merge *merge);

/* ---- What they all work on ---- */

/* A store's entity, with all its places. */
typedef struct rk_merge_entity {
  uint32_t busy; /* places of it that hold rows or a candidate */
} rk_merge_entity;

/* An original chunk whose rows have come one after the other so far. */
typedef struct rk_merge_candidate {
  rk_entry *entry; /* NULL: none */
  uint32_t next;   /* positions before it have come */
  uint64_t serial;
  rk_row_ref first;
  rk_open_chunk *open; /* kept, or NULL */
  uint64_t held;       /* bytes that count for it */
  int64_t last_key;
  rk_tuid id; /* of the chunk */
} rk_merge_candidate;

struct rk_merge_place {
  const rk_store *store;
  const char *entity_path;
  bool is_static;
  size_t timeline_count;
  const rk_chunk_timeline *timelines; /* names and kinds */
  uint64_t entity_hash;
  rk_merge_entity *entity;
  rk_merge_chunk *chunk; /* rows gathered; NULL: none */
  rk_merge_chunk *spare; /* an empty one, for the next */
  uint64_t spare_size;   /* that it held, roughly */
  rk_merge_candidate candidate;
};

/* While the candidate of `place` with that serial lives, chunks may come that leave at `key` or later. */
typedef struct rk_merge_floor {
  int64_t key;
  rk_merge_place *place;
  uint64_t serial;
} rk_merge_floor;

struct rk_merge {
  rk_reader *reader;
  rk_merge_options options;
  rk_merge_limits limits;
  rk_compression compression; /* of chunks */
  rk_merge_report report;
  rk_pool *pool;
  rk_merge_file file;
  rk_merge_queue queue;
  pthread_mutex_t scratch_mutex;
  rk_merge_scratch *scratches;
  rk_arena arena;             /* places, entities */
  rk_numbering place_numbers; /* by store, entity, timelines */
  rk_merge_place **places;
  size_t place_capacity;
  rk_buffer place_key;
  rk_numbering entity_numbers; /* by store and entity hash */
  rk_merge_entity **entities;
  size_t entity_capacity;
  rk_merge_floor *floors; /* heap; those of candidates that are gone are passed over */
  size_t floor_count, floor_capacity;
  uint64_t serial;
  rk_merge_place *complete; /* its candidate has all rows; passes unless the next unit says otherwise */
  int64_t key;              /* of the row before */
  bool has_key;
  bool passing; /* whether chunks may pass at all */
  bool blueprints_done;
  uint64_t spare_size; /* of all spares */
  uint64_t kept_size;  /* of all chunks that candidates keep open */
};

/* ---- merge.c ---- */

/* With everything that was left open filled in; NULL: all of it. */
rk_merge_options rk_merge_defaults(const rk_merge_options *options);
/* Bytes of values at which chunks are cut: less than chunk_size where many entities gather at once. */
uint64_t rk_merge_limit(const rk_merge_options *options, uint64_t entity_count);
/* Distinct entities of stores of which rows may come; where nothing is filtered at least as many as a merge whose
 * output is an input had, so that merging it again cuts at the same rows. UINT32_MAX: memory is short. */
uint32_t rk_merge_count_entities(rk_reader *reader);
/* Whether an original chunk is large enough to pass as it is, and not too large. */
bool rk_merge_is_large(const rk_merge_options *options, const rk_entry *entry);

/* ---- merge_place.c ---- */

/* The place of a row; makes it. NULL: memory is short. */
rk_merge_place *rk_merge_find_place(rk_merge *merge, const rk_row_ref *ref);
rk_status rk_merge_add_row(rk_merge *merge, rk_merge_place *place, const rk_row_ref *ref, rk_error *error);
/* The chunk whose rows have all come passes, or not. Before anything else is done with a new unit. */
rk_status rk_merge_settle(rk_merge *merge, rk_error *error);
/* Candidates of that kind of store that are not complete are none. */
rk_status rk_merge_end_candidates(rk_merge *merge, rk_store_kind kind, rk_error *error);
/* Whether a chunk of the index that is offered whole can be taken. */
bool rk_merge_takes_whole(rk_merge *merge, rk_entry *entry);
/* All before its end has come. */
rk_status rk_merge_put_whole(rk_merge *merge, rk_entry *entry, rk_error *error);
/* The smallest key at which chunks may still come for candidates; INT64_MAX: none. */
int64_t rk_merge_lowest_floor(rk_merge *merge);
/* What is left in places of one kind of store, by first row. */
rk_status rk_merge_put_rest(rk_merge *merge, rk_store_kind kind, rk_error *error);
/* A gathered chunk is done with: kept for its place or freed. */
void rk_merge_recycle(rk_merge *merge, rk_merge_place *place, rk_merge_chunk *chunk);

#endif
