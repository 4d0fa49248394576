/* The drain: spooled rows sorted into groups and groups encoded as chunk frames (SPEC "Rows to chunks"). One mechanism
 * for the living writer, for who adopts a dead one's ring, and for who only reads it: the chunks are a function of the
 * rows and of what their ids stand for. */
#ifndef RK_FORMAT_SPOOL_DRAIN_H
#define RK_FORMAT_SPOOL_DRAIN_H

#include "format/arena.h"
#include "format/builder.h"
#include "format/chunk.h"
#include "format/messages.h"
#include "format/spool.h"

#define RK_CHUNK_ROWS ((uint32_t)4096)
#define RK_CHUNK_SIZE ((size_t)1 << 20)  /* row bytes of a group, unless one row is larger */
#define RK_DRAIN_SIZE ((size_t)16 << 20) /* ring bytes that one pass takes at most, unless one row is larger */

/* ---- What ids stand for ---- */

typedef struct rk_drain_component {
  const char *name, *archetype, *component_type; /* the last two may be NULL */
  const rk_field *item;                          /* type of one instance */
  const rk_field *list;                          /* List<item>; the component's identity: the same for the same id */
} rk_drain_component;

/* What is found must stay where it is as long as the drain lives. */
typedef struct rk_drain_names {
  void *context;
  const char *(*entity)(void *context, uint32_t id); /* the path in normal form; NULL: unknown */
  bool (*component)(void *context, uint32_t id, rk_drain_component *component);
  /* Puts names and kinds of the set's timelines, in the set's order, into `timelines` (RK_SPOOL_TIMELINES_MAX; NULL:
   * only counts). Returns how many, -1: unknown. */
  int (*timelines)(void *context, uint32_t set, rk_chunk_timeline *timelines);
} rk_drain_names;

/* ---- Rows ---- */

/* Rows at positions [begin, end). Position p lies at data[(p - base) & mask], `size` bytes are there. No row crosses a
 * multiple of `wrap`, a power of two; 0: there is none. */
typedef struct rk_row_source {
  const uint8_t *data;
  uint64_t size, base, mask, wrap;
  uint64_t begin, end;
} rk_row_source;

/* Of a ring of `size` bytes, a power of two. */
rk_row_source rk_row_source_ring(const uint8_t *data, uint64_t size, uint64_t begin, uint64_t end);
/* Of memory that holds just the positions [begin, begin + size) of a ring of `ring_size` bytes; 0: of no ring. */
rk_row_source rk_row_source_memory(const uint8_t *data, uint64_t size, uint64_t begin, uint64_t ring_size);
/* The row at `position`, as rk_spool_row_parse. */
rk_status rk_row_source_at(const rk_row_source *source, uint64_t position, rk_spool_row *row);
/* How many rows from this one on, which was parsed at `position`, are of its shape, lie side by side and are as sound
 * as it is. */
uint64_t rk_row_source_run(const rk_row_source *source, uint64_t position, const rk_spool_row *row);
/* Where a pass over the source's rows ends: RK_DRAIN_SIZE on at a row's end, or at source->end. `sound`: the end is at
 * damage where that comes first; else damage ends the search and the pass takes all. */
uint64_t rk_row_source_pass(const rk_row_source *source, bool sound);

/* ---- Gathering ---- */

#define RK_NO_RUN   UINT32_MAX
#define RK_NO_GROUP UINT32_MAX

/* Rows of one shape (the same size, cells of the same components and sizes) that lie at equal distances. */
typedef struct rk_row_run {
  uint64_t position; /* of the first */
  uint32_t stride;
  uint32_t count;
  uint32_t next; /* run of the same group, or RK_NO_RUN */
} rk_row_run;

/* Rows of one entity and one set of timelines, in writer order: a chunk to be. */
typedef struct rk_group {
  const char *entity;
  uint32_t entity_id, set_id;
  uint32_t timeline_count; /* of the set */
  bool is_static;
  bool replaced;        /* by a later one of the same rows: nothing is added to it */
  uint32_t first, last; /* runs */
  uint32_t follower;    /* the group that last had a row right after one of this, or RK_NO_GROUP */
  uint32_t count;
  size_t size;
} rk_group;

#define RK_BUILDERS_MAX 32 /* kept for reuse */
#define RK_PACES        1024

typedef struct rk_cached_builder {
  const rk_field *list;
  rk_builder *builder; /* NULL: lent out or empty place */
  size_t size;         /* when it was last used */
} rk_cached_builder;

/* One drain at work: what it gathered, and memory that the next one reuses. Zero-initialise. */
typedef struct rk_drain {
  size_t group_count;
  uint32_t row_count;
  uint32_t first_row; /* number of the first row */
  bool damaged;       /* some rows, or parts of them, were impossible and are left out */
  /* private */
  rk_buffer runs;   /* rk_row_run[] */
  rk_buffer groups; /* rk_group[], by first row */
  rk_buffer slots;  /* u32[]: hash table over the open groups */
  uint32_t turn;    /* group of the last row, or RK_NO_GROUP */
  rk_buffer columns;
  rk_buffer row_ids, times, ipc;
  rk_chunk_heads heads;
  rk_pace paces[RK_PACES]; /* of entities, by their ids */
  rk_arena arena;
  rk_cached_builder builders[RK_BUILDERS_MAX];
  size_t builders_size; /* of those */
} rk_drain;

/* Gathers the source's rows, from nothing. The same rows always yield the same groups in the same order.
 * RK_ERR_NO_MEMORY. */
rk_status rk_drain_gather(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source);
const rk_group *rk_drain_group(const rk_drain *drain, size_t index);
void rk_drain_trim(rk_drain *drain); /* gives back what an unusually large drain took */
void rk_drain_free(rk_drain *drain); /* back to zero */

/* ---- Encoding ---- */

typedef struct rk_drain_target {
  rk_store_id store;
  uint64_t recording_hash;
  rk_compression compression;
  uint32_t tag;
  int64_t clock_monotonic, clock_realtime; /* for the seal; 0, 0: unknown, as in all frames that another process makes
                                              of a writer's rows */
} rk_drain_target;

/* Appends the frame of the chunk that gathered group `index` becomes; its number is `chunk_number`. Sets drain->damaged
 * when something in the rows had to be left out. On failure `out` is as it was; RK_ERR_NO_MEMORY may pass with time,
 * other failures do not. */
rk_status rk_drain_encode(rk_drain *drain, const rk_drain_names *names, const rk_row_source *source,
                          const rk_drain_target *target, size_t index, uint32_t chunk_number, rk_buffer *out);

/* Values of one component in a row: an array of instances, lent. */
typedef struct rk_drain_cell {
  uint32_t component;
  const struct ArrowArray *items;
} rk_drain_cell;

/* The same for a single row that was not spooled: its head, whose size counts the values, and `count` cells of
 * different components in place of those behind it. The values are copied once, into the frame. Gathered groups stay as
 * they are. RK_ERR_MISUSE: ids that stand for nothing, or arrays not of their components' types. */
rk_status rk_drain_encode_row(rk_drain *drain, const rk_drain_names *names, const rk_spool_row *row,
                              const rk_drain_cell *cells, size_t count, const rk_drain_target *target,
                              uint32_t chunk_number, rk_buffer *out);

/* Appends the SetStoreInfo frame with which a writer presents itself. */
void rk_writer_frame_encode(rk_buffer *out, const rk_store_id *store, uint64_t recording_hash,
                            const rk_writer_record *record);

#endif
