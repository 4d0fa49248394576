/* What the parts of merging share: output chunks that gather rows, and the file that takes them. */
#ifndef RK_MERGE_INTERNAL_H
#define RK_MERGE_INTERNAL_H

#include "format/builder.h"
#include "format/footer.h"
#include "reader/reader_internal.h"

/* ---- merge_size.c ---- */

/* Bytes that elements [start, start + count) stand for: a function of the values alone, whatever buffers hold them, so
 * that a chunk is cut at the same row again when the output is merged once more. */
uint64_t rk_value_size(const rk_field *field, const struct ArrowArray *array, int64_t start, int64_t count);

/* ---- merge_chunk.c ---- */

/* A chunk being gathered: rows of one store, entity and set of timelines. */
typedef struct rk_merge_chunk rk_merge_chunk;

/* For the place of `ref`: store, entity, timelines. NULL when memory is short. */
rk_merge_chunk *rk_merge_chunk_new(const rk_row_ref *ref);
void rk_merge_chunk_free(rk_merge_chunk *chunk);
/* Whether rows of ref's source chunk belong here. */
bool rk_merge_chunk_takes(const rk_merge_chunk *chunk, const rk_row_ref *ref);
/* Appends a row that the chunk takes. RK_ERR_CONFLICT: nothing was appended; a component has another type or meaning
 * than in the rows before. The source chunk is retained until the row is copied. */
rk_status rk_merge_chunk_append(rk_merge_chunk *chunk, const rk_row_ref *ref);

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
/* The rows gathered so far as a chunk, lent until the chunk is next changed. */
rk_status rk_merge_chunk_view(rk_merge_chunk *chunk, rk_chunk *view, rk_merge_chunk_span *span);
/* Empty again. */
void rk_merge_chunk_reset(rk_merge_chunk *chunk);

/* ---- merge_file.c ---- */

/* A recording file written front to back. */
typedef struct rk_merge_file {
  int fd;
  rk_compression compression;
  uint64_t written; /* bytes that are in the file */
  rk_buffer out;    /* and those that follow */
  rk_buffer payload, packed;
  rk_manifest **manifests; /* one per store, in the order of rk_reader_stores */
  const rk_store *const *stores;
  size_t store_count;
} rk_merge_file;

rk_status rk_merge_file_open(rk_merge_file *file, int fd, rk_compression compression, const rk_reader *reader,
                             rk_error *error);
rk_status rk_merge_file_put_chunk(rk_merge_file *file, rk_merge_chunk *chunk, rk_error *error);
rk_status rk_merge_file_put_activation(rk_merge_file *file, const rk_activation *activation, rk_error *error);
/* End, footer, everything written. */
rk_status rk_merge_file_finish(rk_merge_file *file, rk_error *error);
void rk_merge_file_free(rk_merge_file *file);

#endif
