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
} rk_manifest_chunk;
/* Decodes an RrdFooter payload: for each manifest its store and chunks. Everything is checked against `file_size`. */
typedef struct rk_footer_manifest {
  rk_store_id store;
  size_t chunk_count;
  const rk_manifest_chunk *chunks;
} rk_footer_manifest;
rk_status rk_footer_decode(rk_arena *arena, const void *payload, size_t size, uint64_t file_size,
                           const rk_footer_manifest **manifests, size_t *manifest_count, rk_error *error);

#endif
