/* What the reader's parts share, and what merging takes from reading: stores, writers, activations and decoded rows. */
#ifndef RK_READER_INTERNAL_H
#define RK_READER_INTERNAL_H

#include "format/chunk.h"
#include "format/messages.h"
#include "rrdkit/reader.h"

/* A store with what its SetStoreInfo messages told. Texts are interned: two equal texts of one reader are one pointer,
 * and live as long as the reader. */
typedef struct rk_store_entry {
  rk_store store; /* first: an rk_store of a reader is one of these */
  bool has_info;  /* a SetStoreInfo was seen; else only chunks named it */
  rk_tuid row_id;
  uint32_t source_kind;
  uint32_t store_version; /* the newest seen */
  bool has_recording;     /* the recording record; the smallest of several (fused recordings) */
  int64_t clock_offset, clock_monotonic, clock_realtime;
  const char *boot_id;
} rk_store_entry;

/* A writer with its clocks. */
typedef struct rk_writer_entry {
  rk_writer_info info; /* first: an rk_writer_info of a reader is one of these */
  int64_t clock_monotonic, clock_realtime, clock_offset;
} rk_writer_entry;

static inline const rk_store_entry *rk_store_entry_of(const rk_store *store)
{
  return (const rk_store_entry *)store;
}
static inline const rk_writer_entry *rk_writer_entry_of(const rk_writer_info *writer)
{
  return (const rk_writer_entry *)writer;
}

/* A BlueprintActivationCommand. */
typedef struct rk_activation {
  const rk_store *blueprint;
  bool make_active, make_default;
} rk_activation;

/* All of them, without repeats, sorted by store, then flags. Lives until an input is added. RK_ERR_NO_MEMORY shows as
 * the error of rk_reader_add. */
const rk_activation *rk_reader_activations(const rk_reader *reader, size_t *count);

/* A decoded chunk while rows of it are due. Component and timeline names, archetypes and component types are interned,
 * timelines and components sorted by name. */
typedef struct rk_open_chunk rk_open_chunk;
const rk_chunk *rk_open_chunk_data(const rk_open_chunk *open);
/* The item type of a component as an exported schema; lives as long as the open chunk. */
const struct ArrowSchema *rk_open_chunk_schema(const rk_open_chunk *open, size_t component);
/* Keeps it (and so its arrays) beyond the next call; balance with release. */
void rk_open_chunk_retain(rk_open_chunk *open);
void rk_open_chunk_release(rk_open_chunk *open);

typedef struct rk_entry rk_entry; /* a chunk of the index (reader_state.h) */

/* A row by its place in a decoded chunk. */
typedef struct rk_row_ref {
  rk_open_chunk *open; /* lent until the next call unless retained */
  int64_t row;         /* in the chunk's arrays; successive rows of a chunk need not be neighbours */
  /* The chunk of an input that the row comes from, also when `open` is a piece of it that lay in a temporary file, and
   * the row's position there in the timeline's order: a whole chunk in order is positions 0, 1, ... row_count - 1. */
  rk_entry *origin;
  uint32_t origin_position;
  rk_tuid row_id;
  int64_t key_ns;
  int64_t stored_key_ns; /* the same before clamping: what a seal speaks of */
  bool is_static;
  const rk_store *store;
  const char *entity_path; /* interned: one pointer per path in this reader */
  const rk_writer_info *writer;
  uint32_t row_number;
} rk_row_ref;

/* As rk_reader_next, without making cells of the row: the same rows in the same order, one stream for both calls. */
rk_status rk_reader_next_ref(rk_reader *reader, rk_row_ref *ref);
/* The same for a reader that may follow or have a cursor, as rk_reader_next heeds both. */
rk_status rk_reader_take_ref(rk_reader *reader, rk_row_ref *ref);

/* For merging: the stream of rk_reader_next_ref in which a chunk can also be taken whole and undecoded. */
typedef enum rk_unit_kind {
  RK_UNIT_ROW = 1,
  /* The first row of `entry` is due. By the index all its rows pass the filters as they are (no shift, no dropped
   * timeline, no other store id), nothing else of its store and entity lies between its keys, ends included, and its
   * writer's order is not in question. Answer by rk_reader_take_whole before the next call, or its rows follow. */
  RK_UNIT_OFFER,
  RK_UNIT_WHOLE_END /* everything up to the last key of an `entry` that was taken whole has been yielded */
} rk_unit_kind;
typedef struct rk_unit {
  rk_unit_kind kind;
  rk_row_ref row;  /* RK_UNIT_ROW */
  rk_entry *entry; /* the others */
} rk_unit;
rk_status rk_reader_next_unit(rk_reader *reader, rk_unit *unit);
void rk_reader_take_whole(rk_reader *reader, rk_entry *entry);
/* Decodes an origin again: `order` of the open chunk is that of origin_position. Release it. Status as for
 * rk_reader_next; RK_ERR_CORRUPT and the like: it was damaged meanwhile. */
rk_status rk_reader_reopen(rk_reader *reader, rk_entry *origin, rk_open_chunk **open);

/* From now on rows of blueprint stores come before all others, each part in order, and pass all filters. Before the
 * first row; for merging and viewers. */
void rk_reader_blueprints_first(rk_reader *reader);

/* Rows that the index holds after filtering by whole chunks: the most that rk_reader_next_ref can yield. */
uint64_t rk_reader_row_bound(const rk_reader *reader);

/* Sets the reader's sticky error record (rk_reader_error) and returns its status. */
rk_status rk_reader_set_error(rk_reader *reader, const rk_error *error);

#endif
