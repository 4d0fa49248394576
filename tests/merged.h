/* What a merged recording holds, frame by frame; every one of them sealed, right and aligned. */
#ifndef RK_TESTS_MERGED_H
#define RK_TESTS_MERGED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/chunk.h"
#include "format/codec.h"
#include "format/footer.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"

typedef struct seen_chunk {
  size_t offset; /* of the frame */
  bool blueprint;
  rk_seal seal;
  rk_tuid id;
  rk_compression compression;
  char entity[64];
  char columns[128]; /* names, a blank behind each */
  size_t timeline_count;
  int64_t first_log_time;
  bool sorted;
} seen_chunk;

enum { SEEN_MAX = 512 };
typedef struct seen_file {
  size_t chunk_count, activation_count, info_count, activation_after; /* chunks before the first activation */
  seen_chunk chunks[SEEN_MAX];
  rk_store_info infos[SEEN_MAX];
  size_t end_offset;
} seen_file;

static inline void look_at_chunk(seen_chunk *seen, const uint8_t *payload, size_t size)
{
  rk_arrow_msg msg;
  rk_arena arena = {0};
  rk_buffer plain = {0};
  rk_chunk chunk;
  assert_int_equal(rk_arrow_msg_decode(payload, size, &msg, NULL), RK_OK);
  assert_true(msg.has_chunk_id);
  assert_int_equal(rk_decompress(&plain, msg.compression, msg.payload, msg.payload_size, msg.uncompressed_size, NULL),
                   RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, plain.data, plain.size, &chunk, NULL), RK_OK);
  assert_int_equal(rk_tuid_compare(chunk.id, msg.chunk_id), 0);
  assert_int_equal(msg.is_static, chunk.timeline_count == 0);
  assert_int_equal(seen->seal.row_count, chunk.row_count);
  assert_int_equal(seen->seal.uncompressed_size, plain.size);
  assert_int_equal(seen->seal.entity_hash, XXH3_64bits(chunk.entity_path, strlen(chunk.entity_path)));
  seen->blueprint = msg.store.kind == RK_STORE_BLUEPRINT;
  seen->id = chunk.id;
  seen->compression = msg.compression;
  seen->timeline_count = chunk.timeline_count;
  (void)snprintf(seen->entity, sizeof seen->entity, "%s", chunk.entity_path);
  for (size_t i = 0; i < chunk.component_count; i++) {
    strncat(seen->columns, chunk.components[i].name, sizeof seen->columns - strlen(seen->columns) - 1);
    strncat(seen->columns, " ", sizeof seen->columns - strlen(seen->columns) - 1);
  }
  if (chunk.timeline_count > 0) {
    seen->first_log_time = chunk.timelines[0].values[0];
    seen->sorted = chunk.timelines[0].is_sorted;
  }
  rk_arena_free(&arena);
  rk_buffer_free(&plain);
}

/* Walks the frames: each sealed, right and aligned; then End, footer, and a manifest that finds every chunk. */
static inline seen_file *look_at(const rk_buffer *file)
{
  seen_file *seen = calloc(1, sizeof *seen);
  assert_non_null(seen);
  assert_memory_equal(file->data, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  size_t at = RK_STREAM_HEADER_SIZE;
  for (;;) {
    rk_frame_header header;
    assert_true(at + RK_FRAME_HEADER_SIZE <= file->size);
    assert_true(rk_frame_header_decode(file->data + at, &header));
    const size_t frame_size = RK_FRAME_HEADER_SIZE + (size_t)header.size;
    const uint8_t *payload = file->data + at + RK_FRAME_HEADER_SIZE;
    assert_true(frame_size <= file->size - at);
    if (header.kind == RK_FRAME_END) {
      seen->end_offset = at;
      break;
    }
    assert_true(rk_seal_verify(file->data + at, frame_size));
    assert_int_equal((at + frame_size) % RK_FRAME_ALIGNMENT, 0);
    rk_seal seal;
    assert_int_equal(rk_seal_decode(file->data + at + frame_size - RK_SEAL_SIZE, &seal), RK_OK);
    assert_int_equal(seal.chunk_number, 0);
    assert_int_equal(seal.clock_monotonic, 0);
    if (header.kind == RK_FRAME_ARROW_MSG) {
      assert_true(seen->chunk_count < SEEN_MAX);
      seen_chunk *chunk = &seen->chunks[seen->chunk_count++];
      chunk->offset = at;
      chunk->seal = seal;
      look_at_chunk(chunk, payload, (size_t)header.size);
    } else if (header.kind == RK_FRAME_SET_STORE_INFO) {
      assert_int_equal(seen->chunk_count, 0);
      assert_true(seen->info_count < SEEN_MAX);
      assert_int_equal(rk_store_info_decode(payload, (size_t)header.size, &seen->infos[seen->info_count++], NULL),
                       RK_OK);
    } else if (seen->activation_count++ == 0) {
      seen->activation_after = seen->chunk_count;
    }
    at += frame_size;
  }
  rk_stream_footer footer;
  assert_true(rk_stream_footer_decode(file->data + file->size - RK_STREAM_FOOTER_SIZE, &footer));
  assert_int_equal(footer.payload_offset, at + RK_FRAME_HEADER_SIZE);
  assert_int_equal(footer.payload_offset + footer.payload_size + RK_STREAM_FOOTER_SIZE, file->size);
  assert_int_equal(footer.payload_hash, rk_footer_hash(file->data + footer.payload_offset, footer.payload_size));
  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t manifest_count, listed = 0;
  assert_int_equal(rk_footer_decode(&arena, file->data + footer.payload_offset, footer.payload_size, file->size,
                                    &manifests, &manifest_count, NULL),
                   RK_OK);
  size_t next = 0;
  for (size_t i = 0; i < manifest_count; i++) {
    for (size_t c = 0; c < manifests[i].chunk_count; c++, listed++) {
      const rk_manifest_chunk *chunk = &manifests[i].chunks[c];
      for (next = 0; next < seen->chunk_count && seen->chunks[next].offset + 16 != chunk->byte_offset; next++) {
      }
      assert_true(next < seen->chunk_count);
      assert_int_equal(rk_tuid_compare(chunk->chunk_id, seen->chunks[next].id), 0);
      assert_int_equal(chunk->byte_size, seen->chunks[next].seal.frame_size - RK_FRAME_HEADER_SIZE);
      assert_int_equal(chunk->row_count, seen->chunks[next].seal.row_count);
      assert_int_equal(chunk->uncompressed_size, seen->chunks[next].seal.uncompressed_size);
      assert_string_equal(chunk->entity_path, seen->chunks[next].entity);
    }
  }
  assert_int_equal(listed, seen->chunk_count);
  for (size_t i = 0; i < seen->chunk_count; i++) {
    for (size_t j = 0; j < i; j++) {
      assert_int_not_equal(rk_tuid_compare(seen->chunks[i].id, seen->chunks[j].id), 0);
    }
  }
  rk_arena_free(&arena);
  return seen;
}

#endif
