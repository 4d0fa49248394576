/* Footer payloads of any bytes: decoding neither crashes nor lets a chunk lie outside of the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/codec.h"
#include "format/footer.h"
#include "format/frame.h"
#include "format/protobuf.h"
#include "tests/chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

enum { FILE_SIZE = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t count;
  if (rk_footer_decode(&arena, data, size, FILE_SIZE, &manifests, &count, NULL) == RK_OK) {
    for (size_t i = 0; i < count; i++) {
      for (size_t c = 0; c < manifests[i].chunk_count; c++) {
        const rk_manifest_chunk *chunk = &manifests[i].chunks[c];
        if (chunk->byte_offset > FILE_SIZE || chunk->byte_size > FILE_SIZE - chunk->byte_offset ||
            strlen(chunk->entity_path) > 2147483647) {
          abort();
        }
      }
    }
  }
  rk_arena_free(&arena);
  return 0;
}

/* The footer of one chunk of a recording; with index 1 its batch is not compressed, so that changes reach Arrow. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const chunk_recipe recipe = {
      .entity = "/a",
      .tag = 7,
      .row_count = 2,
      .id_start = 10,
      .id_step = 1,
      .timelines = {{"log_time", RK_TIMELINE_TIMESTAMP, 5, 1}},
      .components = {{"Scalars:scalars", "rerun.archetypes.Scalars", "rerun.components.Scalar", "g", 0, 0}}};
  rk_buffer out = {0}, plain = {0};
  made_chunk made;
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  const bool good = index < 2 && manifest != NULL && make_chunk(&made, &recipe) &&
                    rk_manifest_add(manifest, &made.chunk, 128, 512, 900) == RK_OK &&
                    rk_footer_encode(&out, &manifest, 1, 0) == RK_OK;
  if (index < 2 && manifest != NULL) {
    made_chunk_free(&made);
  }
  rk_manifest_free(manifest);
  size_t size = 0;
  if (good) {
    const uint8_t *payload = out.data + RK_FRAME_HEADER_SIZE;
    size = out.size - RK_FRAME_HEADER_SIZE - RK_STREAM_FOOTER_SIZE;
    if (index == 1) {
      rk_pb_cursor cursor = rk_pb_open(payload, size);
      rk_pb_field manifest_field, field, part[5] = {0};
      (void)rk_pb_next(&cursor, &manifest_field);
      const size_t mark = rk_pb_begin(&plain, 1);
      cursor = rk_pb_open(manifest_field.data, manifest_field.size);
      while (rk_pb_next(&cursor, &field) > 0 && field.number != 4) {
        rk_pb_bytes(&plain, field.number, field.data, field.size);
      }
      cursor = rk_pb_open(field.data, field.size);
      while (rk_pb_next(&cursor, &field) > 0 && field.number < 5) {
        part[field.number] = field;
      }
      rk_buffer stream = {0};
      (void)rk_decompress(&stream, RK_COMPRESSION_LZ4, part[2].data, part[2].size, part[4].value, NULL);
      const size_t inner = rk_pb_begin(&plain, 4);
      rk_pb_varint(&plain, 1, 1);
      rk_pb_bytes(&plain, 2, stream.data, stream.size);
      rk_pb_end(&plain, inner);
      rk_pb_end(&plain, mark);
      rk_buffer_free(&stream);
      payload = plain.data;
      size = plain.size;
    }
    size = size <= capacity ? size : 0;
    memcpy(buffer, payload, size);
  }
  rk_buffer_free(&plain);
  rk_buffer_free(&out);
  return size;
}
