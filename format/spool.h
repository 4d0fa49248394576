/* The spool (SPEC "Spool"): the files in which rows wait for their append, so that they outlive their process.
 *
 * Per process one definitions file: an 8-byte magic, then definition records, each written before any row that uses it
 * is published. Per thread one ring file: a header page and a ring of rows. Little-endian throughout. Whoever holds the
 * definitions file and the rings of a process can finish that process's work; all of it is checked, never trusted. */
#ifndef RK_FORMAT_SPOOL_H
#define RK_FORMAT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/buffer.h"
#include "format/messages.h" /* rk_text */
#include "rrdkit/status.h"

#define RK_SPOOL_VERSION 1

/* ---- Definitions file ----
 * Offset 0: magic 89 "RKDEFS" 0A. Then records, each a multiple of 8 bytes long:
 *   0 u32 size of the record | 4 u32 kind | 8 u64 XXH3-64 of the record from offset 16 on | 16 u32 id | 20 u32 number |
 *   24 i64 values[6] | 72 u32 text sizes[4] | 88 the texts one after the other, no terminators | zeros up to size.
 * A last record that is cut short or fails its hash ends the file: nothing published refers to it. */

#define RK_SPOOL_MAGIC_SIZE 8
extern const uint8_t rk_spool_definitions_magic[RK_SPOOL_MAGIC_SIZE];
extern const uint8_t rk_spool_ring_magic[RK_SPOOL_MAGIC_SIZE];

typedef enum rk_spool_kind {
  RK_SPOOL_PROCESS = 1,   /* first record; id: RK_SPOOL_VERSION; values: pid, process identity (random), recording hash,
                             clock offset, clock pair (monotonic, realtime); texts: boot id, host, program,
                             application id NUL recording id */
  RK_SPOOL_ENTITY = 2,    /* id; texts: path */
  RK_SPOOL_COMPONENT = 3, /* id; texts: name, archetype, component type (empty: none), type text */
  RK_SPOOL_TIMELINE = 4,  /* id; number: rk_timeline_kind; texts: name */
  RK_SPOOL_TIMELINE_SET = 5, /* id, from 1 (0 is the empty set); number: timelines; texts: their ids as u32 each */
  RK_SPOOL_WRITER = 6 /* id: tag; number: ring file's number; values: tid, start, clock pair; texts: thread name */
} rk_spool_kind;

#define RK_SPOOL_VALUE_COUNT 6
#define RK_SPOOL_TEXT_COUNT  4

typedef struct rk_spool_definition {
  rk_spool_kind kind;
  uint32_t id;
  uint32_t number;
  int64_t values[RK_SPOOL_VALUE_COUNT];
  rk_text texts[RK_SPOOL_TEXT_COUNT];
} rk_spool_definition;

void rk_spool_definition_encode(rk_buffer *out, const rk_spool_definition *definition);
/* Reads the record at `data`; texts are lent. *size: its length. RK_END: no whole, intact record here. */
rk_status rk_spool_definition_decode(const void *data, size_t available, rk_spool_definition *definition, size_t *size);

/* ---- Ring file ----
 * A header page of 4096 bytes, then `size` bytes of ring. `head` and `tail` count bytes from the ring's first use on
 * and never wrap; a byte's place is its count modulo `size`. Rows lie in [tail, head). */

#define RK_RING_HEADER_SIZE 4096
#define RK_RING_SIZE_MIN    ((size_t)64 << 10)
#define RK_RING_SIZE_MAX    ((size_t)1 << 30)

typedef struct rk_ring_header {
  uint8_t magic[RK_SPOOL_MAGIC_SIZE]; /* 89 "RKRING" 0A */
  uint32_t version;
  uint32_t tag;            /* 12: of the writer whose rows lie here; changes only while the ring is empty */
  uint64_t size;           /* 16: power of two; grows only while the ring is empty */
  uint64_t recording_hash; /* 24 */
  uint64_t process;        /* 32: identity in the definitions file */
  uint32_t number;         /* 40: of this ring file in its process */
  uint32_t announced;      /* 44: 1 once the writer record is in the recording */
  uint64_t dropped_rows;   /* 48: of that writer, that its full ring refused */
  uint8_t reserved_a[8];
  uint64_t head; /* 64: stored with release order by the logging thread alone */
  /* 72: the low half of head, plus 1, from before a row takes its stamp until it is published, which moves head; stored
   * by the logging thread alone. See rk_ring_is_logging. */
  uint32_t logging;
  uint8_t reserved_b[52];
  uint64_t tail;         /* 128: stored by whoever drains, once the rows are appended */
  uint32_t chunk_number; /* 136: of the first chunk after `tail` */
  uint32_t reserved_c;
  /* The drain's intent, complete before the first append: rows in [intent_begin, intent_end) are being appended as
   * chunks numbered from intent_chunk_number on, all behind intent_file_offset. In force while intent_begin == tail <
   * intent_end; chunk_number may then be ahead already. */
  uint64_t intent_begin;        /* 144 */
  uint64_t intent_end;          /* 152 */
  uint32_t intent_first_row;    /* 160 */
  uint32_t intent_row_count;    /* 164 */
  uint64_t intent_file_offset;  /* 168: size of the recording before the first append */
  uint32_t intent_chunk_number; /* 176 */
} rk_ring_header;

/* Whether a drain was cut off: some of the chunks of [tail, intent_end) may be in the recording. */
static inline bool rk_ring_intent_in_force(const rk_ring_header *header)
{
  return header->intent_begin == header->tail && header->intent_end > header->tail;
}

/* Whether the thread is inside a call whose row has, or is about to take, a stamp and is not published. */
static inline bool rk_ring_is_logging(const rk_ring_header *header)
{
  return header->logging == ((uint32_t)header->head | 1U);
}

/* Checks a ring file's header against the file's size. RK_ERR_NOT_RRD (magic), RK_ERR_UNSUPPORTED (version),
 * RK_ERR_CORRUPT. */
rk_status rk_ring_header_check(const rk_ring_header *header, uint64_t file_size, rk_error *error);

/* ---- Rows ----
 * 8-byte aligned, never across the ring's end:
 *   0 u32 size, a multiple of 8 | 4 u32 row number | 8 i64 stamp | 16 u32 entity | 20 u32 timeline set | 24 u16 cell
 * count | 26 u8 flags (1 static) | 27 u8 timeline count | 28 u32 zero | 32 i64 timeline values, in the set's order |
 * then per cell: 0 u32 component | 4 u32 instance count | 8 u32 data size | 12 u32 form | 16 data, zero-padded to 8. A
 * row number of RK_SPOOL_SKIP marks a skip to the ring's end, of which only the size counts (it may be as short as 8
 * bytes). Forms: RK_CELL_PACKED, the instances' values side by side, for types with rk_field_packed_size > 0;
 * RK_CELL_FLAT, an Arrow array (flat.h). */

#define RK_SPOOL_ROW_HEADER    32
#define RK_SPOOL_CELL_HEADER   16
#define RK_SPOOL_ROW_MAX       ((size_t)1 << 30)
#define RK_SPOOL_CELLS_MAX     512
#define RK_SPOOL_TIMELINES_MAX 255
#define RK_SPOOL_SKIP          UINT32_MAX /* no row has this number */

enum { RK_CELL_PACKED = 0, RK_CELL_FLAT = 1 };

typedef struct rk_spool_row {
  uint32_t size;
  uint32_t row_number;
  int64_t stamp_ns;
  uint32_t entity;
  uint32_t timeline_set;
  bool is_static;
  uint8_t timeline_count;
  uint16_t cell_count;
  const uint8_t *times; /* timeline_count of i64 */
  const uint8_t *cells;
} rk_spool_row;

typedef struct rk_spool_cell {
  uint32_t component;
  uint32_t count;
  uint32_t form;
  uint32_t size;
  const uint8_t *data;
} rk_spool_cell;

/* The row at `data`, lent. RK_OK: checked whole, all its cells included. RK_END: a skip, only row->size is set.
 * RK_ERR_CORRUPT. */
rk_status rk_spool_row_parse(const uint8_t *data, size_t available, rk_spool_row *row);
/* Whether `next`, of which as many bytes are there, is a row of the same entity, timelines, size and shape as a sound
 * one, and hence as sound. */
bool rk_spool_row_alike(const uint8_t *sound, const uint8_t *next);
/* The cell at *position (0 first) of a parsed row; moves on. False: no more. */
bool rk_spool_cell_next(const rk_spool_row *row, size_t *position, rk_spool_cell *cell);

#endif
