/* The End message: RrdFooter with one RrdManifest per store (SPEC "Footer"). */
#ifndef RK_FORMAT_FOOTER_H
#define RK_FORMAT_FOOTER_H

#include "format/chunk.h"
#include "format/messages.h"

typedef struct rk_manifest rk_manifest;

/* A manifest under construction for one store (its texts are copied). NULL when memory is short. */
rk_manifest *rk_manifest_new(rk_store_kind kind, const char *application_id, const char *recording_id);
/* Notes a chunk that was written: byte_offset and byte_size are of its ArrowMsg protobuf (past the frame header). After
 * RK_ERR_NO_MEMORY or RK_ERR_LIMIT the manifest is only good for rk_manifest_free. */
rk_status rk_manifest_add(rk_manifest *manifest, const rk_chunk *chunk, uint64_t byte_offset, uint64_t byte_size,
                          uint64_t uncompressed_size);
void rk_manifest_free(rk_manifest *manifest);

/* The same in two steps: what a manifest wants to know of a chunk, found on any thread, ... */
typedef struct rk_chunk_range {
  bool has_range; /* false: no row */
  int64_t start, end;
  uint64_t row_count;
} rk_chunk_range;
typedef struct rk_summary_component {
  const char *name, *archetype, *component_type;
  const rk_field *item;
  bool is_empty;                /* no instance in any row */
  const rk_chunk_range *ranges; /* [timeline_count]: over the rows that have it */
} rk_summary_component;
typedef struct rk_summary_timeline {
  const char *name;
  rk_timeline_kind kind;
  rk_chunk_range range;
} rk_summary_timeline;
typedef struct rk_chunk_summary {
  rk_tuid id;
  const char *entity_path;
  uint64_t row_count;
  size_t timeline_count, component_count;
  const rk_summary_timeline *timelines;
  const rk_summary_component *components;
} rk_chunk_summary;
/* In `arena`; texts are the chunk's own. RK_ERR_NO_MEMORY. */
rk_status rk_chunk_summarise(rk_arena *arena, const rk_chunk *chunk, rk_chunk_summary *summary);
/* ... and noting it. */
rk_status rk_manifest_add_summary(rk_manifest *manifest, const rk_chunk_summary *summary, uint64_t byte_offset,
                                  uint64_t byte_size, uint64_t uncompressed_size);

/* Appends the whole End frame and the 32-byte stream footer for a stream that starts at file offset 0; out's first byte
 * will be at `file_offset`. */
rk_status rk_footer_encode(rk_buffer *out, rk_manifest *const *manifests, size_t manifest_count, uint64_t file_offset);

/* One chunk as a manifest tells it. Lent from the arena. */
typedef struct rk_manifest_chunk {
  const char *entity_path;
  rk_tuid chunk_id;
  bool is_static;
  uint64_t row_count, byte_offset, byte_size, uncompressed_size;
  bool has_log_time;
  int64_t min_log_time, max_log_time;
  bool has_times; /* on the timeline that was asked for */
  int64_t min_time, max_time;
} rk_manifest_chunk;
/* Decodes an RrdFooter payload: for each manifest its store and chunks. Everything is checked against `file_size`. */
typedef struct rk_footer_manifest {
  rk_store_id store;
  size_t chunk_count;
  const rk_manifest_chunk *chunks;
} rk_footer_manifest;
rk_status rk_footer_decode(rk_arena *arena, const void *payload, size_t size, uint64_t file_size,
                           const rk_footer_manifest **manifests, size_t *manifest_count, rk_error *error);
/* The same with the chunks' times on `timeline`, of whatever kind. */
rk_status rk_footer_decode_times(rk_arena *arena, const void *payload, size_t size, uint64_t file_size,
                                 const char *timeline, const rk_footer_manifest **manifests, size_t *manifest_count,
                                 rk_error *error);

#endif
