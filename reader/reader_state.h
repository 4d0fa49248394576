/* The reader's own state, shared by its parts and by nobody else. */
#ifndef RK_READER_STATE_H
#define RK_READER_STATE_H

#include "format/seal.h"
#include "reader/reader_internal.h"
#include "reader/source.h"
#include "reader/table.h"

typedef struct rk_input {
  const char *name; /* interned */
  rk_source source;
  uint64_t number; /* in the order of adding */
  bool live;       /* somebody was writing it when it was scanned */
  bool finished;   /* it ends with a stream footer */
  void *owned;     /* the source's memory: rows of spools; NULL: an input of the caller's */
} rk_input;

/* Where a sound End with its stream footer stands. */
typedef struct rk_footer_place {
  rk_input *input;
  uint64_t stream_offset;
  uint64_t offset, size; /* of the End frame and the stream footer together */
  uint64_t payload_size;
} rk_footer_place;

/* One chunk of the index. */
struct rk_entry {
  rk_input *input;
  uint64_t offset, size; /* of its frame */
  bool sealed, is_static, verified, lost;
  bool bare;     /* without components: its rows say nothing and are not yielded (so do Rerun's own readers) */
  bool numbered; /* its seal's chunk number counts: not of a merged recording, where all are 0 */
  uint32_t writer;
  uint32_t chunk_number, first_row; /* sealed only */
  uint64_t recording_hash;          /* sealed only */
  uint64_t entity_hash;             /* sealed only */
  uint64_t row_count;
  int64_t min_ns, max_ns;  /* order keys */
  const rk_store *store;   /* NULL: not known before decoding */
  const char *entity_path; /* interned; NULL: not known before decoding */
};

/* A loss that waits for the end of the scan, when the writer may be known. */
typedef struct rk_pending_loss {
  uint64_t offset, length;
  rk_status status;
  uint32_t writer;
  const char *reason; /* interned */
} rk_pending_loss;

typedef struct rk_list { /* a growing array */
  void *items;
  size_t count, capacity;
} rk_list;

/* Room for one more item of `size` bytes, zeroed and counted; NULL when memory is short. */
void *rk_list_add(rk_list *list, size_t size);

typedef struct rk_filters {
  const char **entities; /* NULL: all */
  size_t entity_count;
  uint32_t *writers; /* NULL: all */
  size_t writer_count;
  const char *timeline; /* interned; NULL: all */
  bool has_since, has_until;
  int64_t since_ns, until_ns;
} rk_filters;

typedef struct rk_timeline_state rk_timeline_state;

struct rk_reader {
  rk_names names;
  rk_arena arena; /* what lives as long as the reader */
  rk_filters filters;
  rk_table entity_matches;                   /* interned path -> whether the globs admit it */
  const char *application_id, *recording_id; /* overrides */
  bool ignore_spools;
  const char *spool_directory; /* NULL: the environment's */
  void (*on_loss)(void *context, const rk_loss *loss);
  void *context;
  const char *log_time; /* the interned timeline name */

  rk_list inputs;        /* rk_input * */
  rk_list entries;       /* rk_entry, in input and file order */
  rk_list footers;       /* rk_footer_place */
  rk_table stores;       /* rk_store_entry, by the ids in the files after overrides */
  rk_table by_recording; /* the first rk_store of each kind and recording id */
  rk_list store_list;    /* the same, rk_store * */
  rk_table writers;      /* rk_writer_entry */
  rk_list writer_list;   /* rk_writer_info * */
  rk_list activations;   /* rk_activation */
  rk_table recordings;   /* recording hash in seals -> store */
  rk_table entities;     /* entity hash in seals -> interned path */
  const rk_store *const *sorted_stores;
  const rk_writer_info *const *sorted_writers;
  size_t sorted_store_count, sorted_writer_count;

  bool blueprints_first;
  rk_timeline_state *timeline; /* made by the first rk_reader_next */
  size_t next_chunk, next_indexed;
  rk_arena chunk_arena; /* of the lent rk_chunk_info */
  rk_arena row_arena;   /* of the lent rk_row */
  rk_row row;
  rk_chunk_info chunk_info;
  rk_reader_stats stats;
  rk_error error;
};

struct rk_open_chunk {
  unsigned references;
  rk_arena arena;
  rk_buffer frame, payload;
  rk_chunk chunk;
  uint64_t uncompressed_size;
  rk_compression compression;
  const rk_store *store;
  const char *entity_path;
  const int64_t *keys;                /* [row_count]: order key of each row, not clamped */
  const uint32_t *order;              /* [row_count]: rows in their order; NULL: as they are */
  const struct ArrowSchema **schemas; /* [component_count], exported when asked for */
  const int64_t *effective_keys;      /* clamped keys and row ids by row; NULL: nothing was clamped */
  const rk_tuid *effective_ids;
  uint64_t payload_hash; /* when has_hash */
  const void *payload_data;
  size_t payload_size;
  bool has_hash;
  uint64_t input_number, offset; /* the last tie-break */
};

/* index.c */
rk_status rk_index_input(rk_reader *reader, rk_input *input, rk_error *error);
/* The store of that identity (after overrides); makes it. NULL when memory is short. */
rk_store_entry *rk_index_store(rk_reader *reader, const rk_store_id *id);
rk_writer_entry *rk_index_writer(const rk_reader *reader, const rk_store *store, uint32_t tag); /* or NULL */
/* Counts a loss and tells the caller. */
void rk_reader_lose(rk_reader *reader, const rk_input *input, uint64_t offset, uint64_t length, rk_status status,
                    const char *reason, uint32_t writer);

/* open_chunk.c */
/* Reads, checks and decodes a chunk; completes *entry with what only decoding tells. RK_ERR_NO_MEMORY and RK_ERR_IO
 * end the reading; every other failure says that this chunk is damaged. */
rk_status rk_open_chunk_load(rk_reader *reader, rk_entry *entry, rk_open_chunk **open, rk_error *error);
/* Only reads the frame and checks its seal's hash. Status as above. */
rk_status rk_open_chunk_check(rk_entry *entry, rk_error *error);

/* filter.c */
rk_status rk_filters_set(rk_reader *reader, const rk_reader_options *options);
void rk_filters_free(rk_reader *reader);
bool rk_filter_entry(rk_reader *reader, const rk_entry *entry); /* false: no row of it can pass */
bool rk_filter_open(rk_reader *reader, const rk_open_chunk *open);
bool rk_filter_row(const rk_reader *reader, const rk_open_chunk *open, uint32_t tag, int64_t key_ns);

/* timeline.c */
void rk_timeline_free(rk_timeline_state *timeline);

#endif
