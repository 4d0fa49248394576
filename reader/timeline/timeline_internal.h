/* What the parts of the timeline share (timeline.c tells how it works). */
#ifndef RK_READER_TIMELINE_INTERNAL_H
#define RK_READER_TIMELINE_INTERNAL_H

#include "reader/timeline/row_order.h"
#include "reader/timeline/spill.h"

/* ---- Strands: rows that come in a known order ---- */

/* One chunk, or a block of a run, held by the cursor. */
typedef struct rk_cursor {
  uint64_t inc;        /* of the current row */
  rk_open_chunk *open; /* of it */
  uint32_t row;        /* in its arrays */
  uint32_t position, count;
} rk_cursor;

/* What is not in memory but was: the rest of a run, or a chunk that is read again because its rows are large. */
typedef struct rk_return {
  rk_row_key key; /* of its first row: effective for a strand in key order, its own for a writer's */
  rk_run *run;    /* owned; NULL: */
  rk_entry *entry;
  uint32_t position;
} rk_return;

typedef enum rk_strand_state {
  RK_STRAND_IDLE,   /* has nothing */
  RK_STRAND_CLOSED, /* nothing of it is open; in the heap of closed ones */
  RK_STRAND_OPEN
} rk_strand_state;

/* Either one writer, whose rows come by row number and are clamped, or rows sorted by effective key: one chunk or one
 * run. */
typedef struct rk_strand {
  bool is_writer;
  rk_strand_state state;
  unsigned rank;
  uint64_t recording_hash; /* of a writer */
  uint32_t writer;
  rk_row_key head;    /* open: effective key of its first row; closed: none of its rows comes before */
  rk_row_key own;     /* open: the row's own */
  rk_cursor *cursors; /* of a writer: a heap by row number; else one */
  size_t cursor_count, cursor_capacity;
  /* A writer's chunks that were not opened yet, by first row. */
  rk_entry **entries;
  size_t entry_count, entry_next;
  size_t entry_capacity; /* 0: lent from the timeline's list */
  /* A writer's chunks that are to be offered, by first row: a row with a higher number may have to follow their rows.
   */
  rk_entry **withheld;
  size_t withheld_count;
  rk_return *returns; /* a writer: a heap by row number; else one */
  size_t return_count, return_capacity;
  uint64_t due_inc; /* a writer: rows with a smaller inc come before all that is not open */
  bool has_last;
  rk_row_key last; /* of the writer's row before: nothing of it comes earlier */
  uint64_t last_inc;
  bool clamped; /* the head's key or id are not its own */
  bool late;    /* the head was appended after rows that come after it had been yielded */
} rk_strand;

/* A chunk by a key of it. */
typedef struct rk_waiting {
  int64_t key;
  rk_entry *entry;
} rk_waiting;

/* Zero-initialise; free(items). */
typedef struct rk_waiting_heap {
  rk_waiting *items;
  size_t count, capacity;
} rk_waiting_heap;

/* By head; of equal heads the numbers of the first rows decide where both are open. */
typedef struct rk_strand_heap {
  rk_strand **items;
  size_t count, capacity;
} rk_strand_heap;

/* The row before, to know it when it comes again. */
typedef struct rk_last_row {
  bool known; /* there was one */
  bool held;  /* `open` is retained, as its cursor may be gone */
  rk_tuid id;
  rk_open_chunk *open; /* NULL: as follows */
  uint32_t row;
  const rk_store *store;
  const char *entity_path;
  bool is_static;
  rk_list names; /* const char *: its components */
  rk_entry *origin;
  const rk_entry *alike[2]; /* chunks that were found to be the same frame */
} rk_last_row;

typedef struct rk_ahead rk_ahead;

#define RK_RANKS 4

struct rk_timeline_state {
  rk_entry **entries;                /* of writers, sorted; strands lend parts of it */
  rk_table writers;                  /* rk_strand * by recording and tag */
  rk_list strands;                   /* the same, rk_strand *; all others are owned by the heap that they are in */
  rk_waiting_heap waiting[RK_RANKS]; /* chunks in key order that were not opened yet, by smallest key */
  rk_strand_heap closed, open;
  bool changed; /* an entry was added to an open strand */
  /* Nothing has to be opened while the first open strand's head is below `due`. */
  bool quiet;
  rk_row_key due;
  rk_last_row last; /* that was yielded */
  bool has_yielded; /* its key, when following: */
  rk_row_key yielded;
  rk_spill *spill;       /* NULL until something is spilled */
  uint64_t budget, held; /* bytes of what may be, and is, open */
  size_t cursor_count;   /* what is open */
  /* Since rows were spilled last: something was opened for the first time, or yielded; blocks read back; and whether
   * spilling without the former left as many blocks as there were. */
  bool fresh;
  size_t returned;
  bool stuck;
  rk_ahead *ahead; /* NULL: chunks are decoded when they are opened */
  /* Chunks taken whole. */
  bool offers;
  bool refused;                    /* the last one that was offered */
  rk_entry *offered;               /* due; NULL: none */
  bool told, taken;                /* it was offered, and taken */
  rk_waiting_heap whole[RK_RANKS]; /* taken, by last key, and how many these are: */
  size_t whole_count;
  uint64_t row_bound;
};

/* timeline_strand.c */
rk_strand *rk_strand_new(bool is_writer, unsigned rank);
void rk_strand_free(rk_strand *strand);
/* Opens a chunk and gives it to the strand. RK_OK also when it turned out damaged or filtered: then there is no further
 * cursor. */
rk_status rk_strand_open_entry(rk_reader *reader, rk_strand *strand, rk_entry *entry, uint32_t position);
/* Opens what has to be open to know the first row, and its key. *full: memory is, and not everything needed is open. */
rk_status rk_strand_settle(rk_reader *reader, rk_strand *strand, bool *full);
/* Leaves the first row. False in *settled: a writer's next row is not known before rk_strand_settle. */
rk_status rk_strand_advance(rk_reader *reader, rk_strand *strand, bool *settled);
/* Whether the effective key of the first row of an open strand is certain: no chunk that is still to be offered has
 * rows before it. */
bool rk_strand_is_certain(rk_strand *strand);
/* A row that a writer's strand holds is left in the order of numbers, whatever is not open. */
rk_status rk_strand_skip(rk_reader *reader, rk_strand *strand);
/* With nothing open: sets the head to what is known of what will come. False: nothing will. */
bool rk_strand_close(const rk_reader *reader, rk_strand *strand);
rk_status rk_strand_add_entry(rk_strand *strand, rk_entry *entry);
/* Takes its run over. */
rk_status rk_strand_add_return(rk_strand *strand, const rk_return *back);
/* Gives cursors up whose rows are so large that they are read again rather than copied; *any: there were such. Then the
 * first row is to be settled anew, or rows are left by rk_strand_skip. */
rk_status rk_strand_put_back_large(rk_reader *reader, rk_strand *strand, bool *any);

/* timeline_heap.c: false: memory is short */
bool rk_waiting_push(rk_waiting_heap *heap, rk_waiting item);
rk_waiting rk_waiting_pop(rk_waiting_heap *heap);
bool rk_strands_push(rk_strand_heap *heap, rk_strand *strand);
rk_strand *rk_strands_pop(rk_strand_heap *heap);
void rk_strands_sift_down(rk_strand_heap *heap, size_t at);
void rk_strands_heapify(rk_strand_heap *heap);

/* timeline_repeat.c */
bool rk_last_row_same(const rk_last_row *last, const rk_open_chunk *open, uint32_t row);
/* Of the first row of an open strand. */
static inline bool rk_last_row_is(const rk_last_row *last, const rk_strand *strand)
{
  const rk_cursor *c = &strand->cursors[0];
  return last->known && last->id.inc == strand->own.id.inc && last->id.time_ns == strand->own.id.time_ns &&
         rk_last_row_same(last, c->open, c->row);
}
/* Not held: who drops the cursor or keeps the row longer sees to that. */
static inline void rk_last_row_set(rk_last_row *last, const rk_strand *strand)
{
  const rk_cursor *c = &strand->cursors[0];
  if (last->held && last->open != c->open) {
    last->held = false;
    rk_open_chunk_release(last->open);
  }
  last->open = c->open;
  last->known = true;
  last->id = strand->own.id;
  last->row = c->row;
}
/* The row is that one again. Unless the chunks of both are the same frame, neither of them passes a merge as it is:
 * which of several different copies is kept depends on all that there are, and one stage of several does not know. */
void rk_last_row_repeated(rk_last_row *last, const rk_cursor *c);
/* Lets go of a held chunk if nobody else holds it. */
rk_status rk_last_row_relax(rk_last_row *last);
void rk_last_row_clear(rk_last_row *last);
/* A row without any says nothing; Rerun has no place for it but beside other rows of its chunk. */
bool rk_row_has_components(const rk_open_chunk *open, uint32_t row);
/* Whether it has components and the filters admit it; *writer: who wrote it, NULL where unknown. */
bool rk_row_judge(const rk_reader *reader, const rk_cursor *c, int64_t key, const rk_writer_entry **writer);
static inline bool rk_row_passes(const rk_reader *reader, const rk_cursor *c, int64_t key,
                                 const rk_writer_entry **writer)
{
  const rk_open_chunk *open = c->open;
  if (open->dense && open->has_writer && open->writer_tag == (uint32_t)(c->inc >> 32) && !reader->filters.by_row) {
    *writer = open->writer;
    return true;
  }
  return rk_row_judge(reader, c, key, writer);
}

/* timeline.c */
/* A strand that has nothing open and is in no heap: among the closed ones, or idle, or freed. */
rk_status rk_timeline_close_strand(const rk_reader *reader, rk_timeline_state *t, rk_strand *strand);

/* timeline_make.c */
/* Bytes that may be open at a time: max_memory without the index and what merging gathers, but at least a quarter. */
uint64_t rk_timeline_budget(const rk_reader *reader);
/* `offers`: chunks may be taken whole. RK_END: on_progress stopped it. */
rk_status rk_timeline_make(rk_reader *reader, bool offers);
/* Gives an entry to its writer's strand, or to those that wait. */
rk_status rk_timeline_place(rk_reader *reader, rk_timeline_state *t, rk_entry *entry);
static inline unsigned rk_entry_rank(const rk_reader *reader, const rk_entry *entry)
{
  return rk_open_chunk_rank(reader, rk_entry_store(reader, entry), entry->is_static);
}

/* timeline_spill.c */
bool rk_timeline_full(const rk_timeline_state *t);
/* Everything open goes to the temporary file and becomes closed strands; `extra` is a writer's strand that is in no
 * heap, or NULL. */
rk_status rk_timeline_spill(rk_reader *reader, rk_timeline_state *t, rk_strand *extra);

/* timeline_ahead.c */
/* For a reader with a pool of several threads. RK_ERR_NO_MEMORY. */
rk_status rk_ahead_make(rk_reader *reader, rk_timeline_state *t);
void rk_ahead_free(rk_timeline_state *t);
/* As rk_open_chunk_load. */
rk_status rk_ahead_load(rk_reader *reader, rk_timeline_state *t, rk_entry *entry, rk_open_chunk **open,
                        rk_error *error);

/* timeline_offer.c */
/* Marks the entries that may be taken whole. */
rk_status rk_timeline_mark_offers(rk_reader *reader);

#endif
