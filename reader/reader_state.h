/* The reader's own state, shared by its parts and by nobody else. */
#ifndef RK_READER_STATE_H
#define RK_READER_STATE_H

#include <assert.h>

#include "format/seal.h"
#include "reader/input/scan.h"
#include "reader/input/source.h"
#include "reader/list.h"
#include "reader/reader_internal.h"
#include "reader/table.h"

typedef struct rk_input {
  const char *name; /* interned */
  rk_source source;
  uint64_t number;          /* in the order of adding */
  bool live;                /* somebody was writing it when it was scanned */
  bool was_locked;          /* while following: somebody had it open to append */
  bool finished;            /* it ends with a stream footer */
  bool merged;              /* its SetStoreInfo frames say that a merge wrote it ... */
  uint32_t merged_entities; /* ... and how many entities that merge had */
  void *owned;              /* the source's memory: rows of spools; NULL: an input of the caller's */
  struct rk_input *file;    /* whose spool it is; NULL: it is the caller's */
  int64_t shift_ns;
  rk_list hulls;         /* what footers tell of the chunks' times on the timeline that orders (footer_index.c) */
  rk_scan *scan;         /* where the walk stands, while the input may grow; else NULL */
  uint64_t pending_size; /* of the bytes at its end that are no whole frame yet */
  const char *path;      /* of the file itself, which may grow; NULL: standard input, memory, unpacked */
  bool has_told_tail;    /* what is left at told_tail was told as a loss */
  uint64_t told_tail;
  size_t told_units;     /* losses between the units of a Zstandard recording that were told */
  uint64_t filler_units; /* counted */
  bool replaced;         /* its path is another file's by now */
  bool unpacked;         /* the source is a temporary file, and: */
  uint64_t stored_size;  /* of what it was unpacked from */
  rk_input_info info;    /* of the caller's inputs, as rk_reader_inputs lends it */
} rk_input;

/* Where a sound End with its stream footer stands. */
typedef struct rk_footer_place {
  rk_input *input;
  uint64_t stream_offset;
  uint64_t offset, size; /* of the End frame and the stream footer together */
  uint64_t payload_size;
} rk_footer_place;

/* What chunks of one store and entity share. Never moves. */
typedef struct rk_place {
  const rk_store *store;   /* NULL: not known before decoding */
  const char *entity_path; /* interned; NULL: not known before a chunk of it was decoded */
  uint64_t recording_hash; /* of its seals; 0: chunks without seal */
  uint64_t entity_hash;    /* XXH3-64 of the path, by the seals where the path is not known */
  uint32_t number;
} rk_place;

/* One chunk of the index. There may be millions: it is kept at 64 bytes. Never moves while the reader lives (but
 * between rk_reader_add's beginning and its end). */
struct rk_entry {
  rk_input *input;
  uint64_t offset;        /* of its frame */
  int64_t min_ns, max_ns; /* order keys, of log_time or the row ids, as the rows have them (shifts included) */
  uint32_t size;          /* of its frame */
  uint32_t writer;
  uint32_t chunk_number, first_row; /* sealed only */
  uint32_t row_count;
  uint32_t uncompressed_size; /* of its Arrow payload; UINT32_MAX: as much or more */
  uint32_t place;             /* rk_entry_place */
  bool sealed : 1;
  bool is_static : 1;
  bool verified : 1;
  bool lost : 1;
  bool bare : 1;      /* without components: its rows say nothing and are not yielded (so do Rerun's own readers) */
  bool numbered : 1;  /* its seal's chunk number counts: an original, as a writer wrote it, not made by a merge */
  bool contested : 1; /* rows of it came from another chunk, too, that is not the same frame */
  bool offered : 1;   /* overlaps nothing of its place: may be taken whole (timeline_offer.c) */
  bool opened : 1;    /* the timeline has opened it, or taken it whole */
  bool told : 1;      /* a footer's word alone is behind row_count, keys and is_static: they may turn out differently */
};
static_assert(sizeof(rk_entry) <= 64, "a million chunks fit");

typedef struct rk_path_hashes {
  uint64_t *hashes; /* sorted */
  size_t count;
  bool all; /* every glob of the filter is a plain path */
} rk_path_hashes;

typedef struct rk_filters {
  const char **entities; /* NULL: all */
  size_t entity_count;
  const char **excluded;
  size_t excluded_count;
  rk_path_hashes entity_hashes, excluded_hashes; /* of globs that are plain paths */
  uint32_t *writers;                             /* NULL: all */
  size_t writer_count;
  const char *timeline; /* interned; NULL: all */
  bool has_since, has_until;
  bool by_row; /* they tell rows of one chunk apart */
  int64_t since_ns, until_ns;
} rk_filters;

typedef struct rk_clocks rk_clocks;
typedef struct rk_timeline_state rk_timeline_state;
typedef struct rk_follow rk_follow;

struct rk_orphans;

/* Memory of released chunks, for the next ones. */
enum { RK_SPARE_BUFFERS = 128, RK_SPARE_SIZE_MAX = 2 << 20, RK_SPARES_SIZE_MAX = 16 << 20 };
typedef struct rk_spares {
  rk_buffer items[RK_SPARE_BUFFERS];
  size_t count, size;
} rk_spares;

struct rk_reader {
  rk_names names;
  rk_arena arena; /* what lives as long as the reader */
  rk_filters filters;
  rk_table entity_matches;                   /* interned path -> whether the globs admit it */
  const char *application_id, *recording_id; /* overrides */
  bool ignore_spools;
  const char *spool_directory;     /* NULL: the environment's */
  uint64_t max_memory;             /* bytes */
  const char *temporary_directory; /* NULL: TMPDIR or /var/tmp */
  uint32_t max_ratio;
  bool follow, wall_clock;
  const char **dropped_timelines; /* interned */
  size_t dropped_timeline_count;
  void (*on_loss)(void *context, const rk_loss *loss);
  bool (*on_progress)(void *context, const char *input, uint64_t bytes_done, uint64_t bytes_total);
  void *context;
  const char *log_time; /* the interned timeline name */

  rk_list inputs;              /* rk_input * */
  struct rk_unit_cache *units; /* of inputs that are Zstandard recordings; NULL: there is none */
  rk_blocks entries;           /* rk_entry, in input and file order: rk_entry_at */
  rk_blocks places;            /* rk_place */
  rk_table place_table;        /* the same by store and hashes */
  rk_list input_list;          /* const rk_input_info *: the caller's */
  rk_list footers;             /* rk_footer_place */
  rk_table stores;             /* rk_store_entry, by the ids in the files after overrides */
  rk_table by_recording;       /* the first rk_store of each kind and recording id */
  rk_list store_list;          /* the same, rk_store * */
  rk_table writers;            /* rk_writer_entry */
  rk_list writer_list;         /* rk_writer_info * */
  rk_list activations;         /* rk_activation */
  rk_clocks *clocks;           /* NULL: not asked for yet */
  const char *hull_timeline;   /* of the inputs' hulls; NULL: there are none */
  size_t hull_footers;         /* how many footers they are from */
  rk_table recordings;         /* recording hash in seals -> store */
  rk_table entities;           /* entity hash in seals -> interned path */
  const rk_store *const *sorted_stores;
  const rk_writer_info *const *sorted_writers;
  size_t sorted_store_count, sorted_writer_count;

  bool blueprints_first;
  bool has_limit; /* rows with a key of `limit_ns` and above are held back: RK_AGAIN */
  int64_t limit_ns;
  rk_timeline_state *timeline; /* made by the first rk_reader_next */
  struct rk_pool *pool;        /* of the merge that runs or has run; NULL: none */
  rk_follow *follow_state;     /* made when needed */
  int64_t follow_delay_ns;
  size_t next_chunk, next_indexed;
  rk_spares spares;
  rk_arena chunk_arena;         /* of the lent rk_chunk_info */
  rk_list row_times, row_cells; /* rk_time_cell, rk_component_cell: of the lent rk_row */
  rk_row row;
  rk_chunk_info chunk_info;
  rk_reader_stats stats;
  rk_error error;
};

/* The chunk of an input that rows of a piece come from, with what its rows are told apart by. */
typedef struct rk_origin {
  rk_entry *entry;
  rk_tuid chunk_id;
  uint64_t payload_hash;
} rk_origin;

typedef struct rk_block rk_block; /* pieces of chunks, read back from a temporary file (spill.h) */

struct rk_open_chunk {
  /* What is asked for with every row lies together. */
  unsigned references;
  unsigned rank;      /* rows of a lower one come first */
  bool stored_static; /* without timelines as it is stored, whatever was dropped since */
  bool id_keyed;      /* without log_time: order keys come from row ids */
  bool dense;         /* every row has a component */
  bool has_writer;    /* the writer that was looked up last: */
  uint32_t writer_tag;
  const rk_writer_entry *writer;
  rk_block *block;               /* it is a piece of this block; NULL: a whole chunk */
  rk_entry *origin;              /* NULL: a piece */
  const int64_t *keys;           /* [row_count]: order key of each row, not clamped */
  const int64_t *ties;           /* [row_count]: what orders equal keys; NULL: nothing before the row id */
  const uint32_t *order;         /* [row_count]: rows in their order; NULL: as they are */
  const int64_t *effective_keys; /* clamped keys and row ids by row; NULL: nothing was clamped */
  const rk_tuid *effective_ids;
  const rk_store *store;
  const char *entity_path;
  rk_chunk chunk;
  /* Of merging: the place that its rows go to, or NULL; the version of a gathered chunk whose columns take them as they
   * are, 0: none; the batch that it is a source of, and which (merge_chunk.c). */
  void *place;
  uint64_t fits, batch;
  uint32_t source;
  const uint64_t *sizes; /* [row_count + 1]: rk_rows_measure, when asked for; else NULL */
  /* A piece: */
  const rk_origin *origins;         /* of the block */
  const uint32_t *origin_index;     /* [row_count] into them */
  const uint32_t *origin_rows;      /* [row_count]: the rows' places in their chunks' arrays */
  const uint32_t *origin_positions; /* [row_count] */
  /* The piece of a block that rows go into (spill.c). */
  uint64_t gathering;
  void *gathered;

  rk_arena arena;
  rk_buffer frame, payload;
  uint64_t uncompressed_size;
  rk_compression compression;
  int64_t id_shift_ns;                /* on order keys from row ids; none on those of static rows */
  const struct ArrowSchema **schemas; /* [component_count], exported when asked for */
  bool has_hash;
  uint64_t payload_hash; /* when has_hash */
  const void *payload_data;
  size_t payload_size;
  uint64_t memory;   /* bytes that it takes, or the block that it is a piece of */
  rk_spares *spares; /* the reader's; NULL: none */
};

static inline rk_entry *rk_entry_at(const rk_reader *reader, size_t i)
{
  return rk_blocks_at(&reader->entries, sizeof(rk_entry), i);
}
static inline rk_place *rk_entry_place(const rk_reader *reader, const rk_entry *entry)
{
  return rk_blocks_at(&reader->places, sizeof(rk_place), entry->place);
}
static inline const rk_store *rk_entry_store(const rk_reader *reader, const rk_entry *entry)
{
  return rk_entry_place(reader, entry)->store;
}
/* NULL: not known before decoding. */
static inline const char *rk_entry_path(const rk_reader *reader, const rk_entry *entry)
{
  return rk_entry_place(reader, entry)->entity_path;
}
static inline uint64_t rk_entry_recording(const rk_reader *reader, const rk_entry *entry)
{
  return rk_entry_place(reader, entry)->recording_hash;
}

/* < 0, 0, > 0: an order of the writers of entries, one of each recording, by which they can be sorted. */
static inline int rk_entry_compare_writers(const rk_reader *reader, const rk_entry *a, const rk_entry *b)
{
  if (a->writer != b->writer) {
    return a->writer < b->writer ? -1 : 1;
  }
  const uint64_t x = rk_entry_recording(reader, a);
  const uint64_t y = rk_entry_recording(reader, b);
  return x < y ? -1 : x > y;
}

/* reader.c */
/* Adds an opened source, whose spools were read to *orphans unless that is NULL; takes it over whatever happens. */
rk_status rk_reader_add_source(rk_reader *reader, rk_input *input, const char *name, struct rk_orphans *orphans,
                               rk_error *error);

/* index.c */
/* The place of that store and hashes; makes it. NULL when memory is short. */
rk_place *rk_index_place(rk_reader *reader, const rk_store *store, uint64_t recording_hash, uint64_t entity_hash);
/* Takes down what decoding told of a chunk's store and entity (interned). False: memory is short. */
bool rk_index_name(rk_reader *reader, rk_entry *entry, const rk_store *store, const char *entity_path);
rk_status rk_index_input(rk_reader *reader, rk_input *input, rk_error *error);
/* Following: indexes what an input has grown by since it was indexed last; new chunks join the timeline
 * (rk_follow_note). A record that is not whole yet is left for the next time; once nobody has the input open to append
 * it is a loss. A file that was cut short or replaced is told as a loss, whose chunks count as lost. Nothing happens to
 * inputs that cannot grow. RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_index_grow(rk_reader *reader, rk_input *input, rk_error *error);
/* Takes the entry's keys into its input's info. */
void rk_index_widen(const rk_reader *reader, const rk_entry *entry);
/* What footers tell of the chunk's values on `timeline` (interned; that of the filters, after rk_retime_settle); *min >
 * *max: it has none. False: unknown. Decoding may tell otherwise. */
bool rk_index_timeline_hull(const rk_reader *reader, const rk_entry *entry, const char *timeline, int64_t *min,
                            int64_t *max);
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
/* The same for one that walks over chunks: RK_END says that the chunk is damaged; it is lost, which was told.
 * RK_ERR_NO_MEMORY and RK_ERR_IO are the reader's error from then on. */
rk_status rk_open_chunk_take(rk_reader *reader, rk_entry *entry, rk_open_chunk **open);
/* What that makes of the status and the error of a load. */
rk_status rk_open_chunk_judge(rk_reader *reader, rk_entry *entry, rk_status status, rk_error *error);
/* Interns the names of a decoded chunk, sorts its timelines and components and sees which rows have any. */
rk_status rk_open_chunk_names(rk_reader *reader, rk_arena *arena, rk_open_chunk *open, rk_error *error);
unsigned rk_open_chunk_rank(const rk_reader *reader, const rk_store *store, bool is_static);
/* rk_rows_measure of its rows; NULL when memory is short. */
const uint64_t *rk_open_chunk_sizes(rk_open_chunk *open);
/* Only reads the frame and checks its seal's hash. Status as above. */
rk_status rk_open_chunk_check(rk_entry *entry, rk_error *error);

/* filter.c */
bool rk_filters_sane(const rk_reader_options *options); /* no count without values */
rk_status rk_filters_set(rk_reader *reader, const rk_reader_options *options);
void rk_filters_free(rk_reader *reader);
/* Filters are of recordings: where rows are for viewers (rk_reader_blueprints_first), blueprints pass whole, since what
 * is left of one would show nothing. */
bool rk_filter_spares(const rk_reader *reader, const rk_store *store);
bool rk_filter_entry(rk_reader *reader, const rk_entry *entry); /* false: no row of it can pass */
bool rk_filter_open(rk_reader *reader, const rk_open_chunk *open);
bool rk_filter_row(const rk_reader *reader, const rk_open_chunk *open, uint32_t tag, int64_t key_ns);

/* timeline.c */
/* Takes in an entry that was indexed while the timeline runs (before its first row there is nothing to do). A row of it
 * that sorts before what was yielded already is yielded next and counted (stats.late_rows). RK_ERR_NO_MEMORY. */
rk_status rk_timeline_add(rk_reader *reader, rk_entry *entry);
void rk_timeline_free(rk_timeline_state *timeline);

#endif
