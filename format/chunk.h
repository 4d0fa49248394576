/* A Rerun chunk: rows of one entity on one set of timelines, as Arrow columns (SPEC "Chunk"). */
#ifndef RK_FORMAT_CHUNK_H
#define RK_FORMAT_CHUNK_H

#include "format/codec.h"
#include "format/field.h"
#include "format/ipc.h"
#include "format/tuid.h"
#include "rrdkit/recording.h"

typedef struct rk_chunk_timeline {
  const char *name;
  rk_timeline_kind kind;
  const int64_t *values; /* [row_count], no nulls */
  bool is_sorted;        /* encode: computed by the encoder; decode: computed, the file's claim is not trusted */
} rk_chunk_timeline;

typedef struct rk_chunk_component {
  const char *name;               /* column name */
  const char *archetype;          /* or NULL */
  const char *component_type;     /* or NULL */
  const rk_field *item;           /* type of one instance (the list's child) */
  const struct ArrowArray *lists; /* List<item>, [row_count]; null row = not logged */
} rk_chunk_component;

#define RK_CHUNK_HEADS 8

/* Schemas of chunks that were encoded, known again by their columns. Zero-initialise. */
typedef struct rk_chunk_heads {
  struct {
    rk_buffer key;
    rk_ipc_head head;
  } of[RK_CHUNK_HEADS];
} rk_chunk_heads;

typedef struct rk_chunk {
  rk_tuid id;
  const char *entity_path; /* as in the file, e.g. "/world/robot" */
  int64_t row_count;
  const uint8_t *row_ids; /* [row_count][16], big-endian TUIDs */
  size_t timeline_count;  /* 0: static */
  const rk_chunk_timeline *timelines;
  size_t component_count;
  const rk_chunk_component *components;
  rk_chunk_heads *heads; /* encode: kept from chunk to chunk, where names and types stay where they are; or NULL */
  rk_pace *pace;         /* encode: of this chunk and those like it; or NULL */
} rk_chunk;

/* Appends the IPC stream to `out` as Rerun 0.33 writes it (sorbet 0.1.3), timelines and components in the given order
 * (callers sort by name). */
rk_status rk_chunk_encode(rk_buffer *out, const rk_chunk *chunk);
void rk_chunk_heads_free(rk_chunk_heads *heads);

/* Decodes an IPC stream into *chunk, all in `arena` and `data`. Older sorbet versions (0.23 and later) are brought to
 * today's names and shapes (chunk_legacy.c); non-list component columns become lists of one, dictionaries plain values.
 * Rows unsorted stay as they are. RK_ERR_UNSUPPORTED: a timeline of an unknown type; else as rk_ipc_decode. */
rk_status rk_chunk_decode(rk_arena *arena, const void *data, size_t size, rk_chunk *chunk, rk_error *error);
/* The same from the first `size` bytes of `whole`, where the stream is laid out as rk_chunk_encode does it and every
 * component is in every row: ids, times and types. Components' values are not looked at: their lists are stand-ins that
 * hold all instances in the last row and have no items. RK_ERR_TRUNCATED: *needed bytes are needed.
 * RK_ERR_UNSUPPORTED: it is another stream; decode it whole. RK_ERR_NO_MEMORY. */
rk_status rk_chunk_decode_head(rk_arena *arena, const void *data, size_t size, size_t whole, rk_chunk *chunk,
                               size_t *needed);

#endif
