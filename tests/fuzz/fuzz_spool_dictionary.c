/* The whole spool of a dead process: its definitions loaded, its rows drained by them to chunks, which must decode. The
 * definitions' hashes are made right first, so that what the bytes say is looked at. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/codec.h"
#include "format/frame.h"
#include "format/seal.h"
#include "format/spool_dictionary.h"
#include "tests/fuzz/spool_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

#define RECORD_MIN 88

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

/* As damage by chance would hardly leave them. */
static void mend(uint8_t *bytes, size_t size)
{
  if (size >= RK_SPOOL_MAGIC_SIZE) {
    memcpy(bytes, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  }
  for (size_t at = RK_SPOOL_MAGIC_SIZE; size - at >= RECORD_MIN && at < size;) {
    const size_t record = rk_load_u32(bytes + at);
    if (record < RECORD_MIN || record > size - at) {
      break;
    }
    if (at == RK_SPOOL_MAGIC_SIZE) {
      rk_store_u64(bytes + at + 40, rk_recording_hash("app", "rec"));
    }
    rk_store_u64(bytes + at + 8, XXH3_64bits(bytes + at + 16, record - 16));
    at += record;
  }
}

static void check_frame(const rk_buffer *out, size_t start)
{
  check(rk_seal_verify(out->data + start, out->size - start));
  rk_arrow_msg message;
  rk_error error = {0};
  check(rk_arrow_msg_decode(out->data + start + RK_FRAME_HEADER_SIZE, out->size - start - RK_FRAME_HEADER_SIZE,
                            &message, &error) == RK_OK);
  rk_buffer ipc = {0};
  rk_arena arena = {0};
  rk_chunk chunk;
  check(rk_decompress(&ipc, message.compression, message.payload, message.payload_size, message.uncompressed_size,
                      &error) == RK_OK);
  check(rk_chunk_decode(&arena, ipc.data, ipc.size, &chunk, &error) == RK_OK);
  rk_arena_free(&arena);
  rk_buffer_free(&ipc);
}

static void try_rows(rk_dictionary *dictionary, const uint8_t *rows, size_t size)
{
  const rk_drain_names names = rk_dictionary_names(dictionary);
  const rk_row_source source = rk_row_source_memory(rows, size, 0, 0);
  const uint64_t end = rk_row_source_pass(&source, true);
  check(end <= size);
  rk_drain drain = {0};
  check(rk_drain_gather(&drain, &names, &source) == RK_OK);
  const rk_drain_target target = {.store = rk_dictionary_store(dictionary),
                                  .recording_hash = dictionary->recording_hash,
                                  .compression = RK_COMPRESSION_LZ4,
                                  .tag = 7};
  rk_buffer out = {0};
  for (size_t i = 0; i < drain.group_count; i++) {
    const size_t start = out.size;
    if (rk_drain_encode(&drain, &names, &source, &target, i, (uint32_t)i, &out) == RK_OK) {
      check_frame(&out, start);
    } else {
      check(out.size == start);
    }
  }
  for (size_t i = 0; i < dictionary->writer_count; i++) {
    const rk_dictionary_writer *writer = rk_dictionary_writer_of(dictionary, dictionary->writers[i].tag);
    check(writer == &dictionary->writers[i]);
    const rk_writer_record record = rk_dictionary_writer_record(dictionary, writer);
    const size_t start = out.size;
    rk_writer_frame_encode(&out, &target.store, target.recording_hash, &record);
    rk_store_info info;
    check(rk_store_info_decode(out.data + start + RK_FRAME_HEADER_SIZE, out.size - start - RK_FRAME_HEADER_SIZE, &info,
                               NULL) == RK_OK &&
          info.has_writer);
  }
  rk_buffer_free(&out);
  rk_drain_free(&drain);
}

/* u32 size of the definitions, the definitions, rows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 4) {
    return 0;
  }
  const size_t given = rk_load_u32(data);
  const size_t definitions = given < size - 4 ? given : size - 4;
  uint8_t *copy = malloc(definitions + 1);
  check(copy != NULL);
  memcpy(copy, data + 4, definitions);
  mend(copy, definitions);
  rk_dictionary dictionary;
  rk_error error;
  const rk_status status = rk_dictionary_load(&dictionary, copy, definitions, &error);
  free(copy); /* nothing is lent from it */
  if (status == RK_OK) {
    const size_t left = size - 4 - definitions;
    uint64_t *rows = malloc(left + 8); /* aligned, as a ring is */
    check(rows != NULL);
    memcpy(rows, data + 4 + definitions, left);
    try_rows(&dictionary, (const uint8_t *)rows, left);
    free(rows);
  }
  rk_dictionary_free(&dictionary);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  if (index > 0) {
    return 0;
  }
  static const char ids[] = "app\0rec";
  static const uint32_t set[] = {0, 1};
  const rk_spool_definition definitions[] = {
      {.kind = RK_SPOOL_PROCESS, .id = RK_SPOOL_VERSION, .texts = {{"boot", 4}, {"host", 4}, {"program", 7}, {ids, 7}}},
      {.kind = RK_SPOOL_ENTITY, .id = 0, .texts = {{"/a", 2}}},
      {.kind = RK_SPOOL_ENTITY, .id = 1, .texts = {{"/b/c", 4}}},
      {.kind = RK_SPOOL_TIMELINE, .id = 0, .number = 1, .texts = {{"frame", 5}}},
      {.kind = RK_SPOOL_TIMELINE, .id = 1, .number = 2, .texts = {{"age", 3}}},
      {.kind = RK_SPOOL_TIMELINE_SET, .id = 1, .number = 2, .texts = {{(const char *)set, sizeof set}}},
      {.kind = RK_SPOOL_COMPONENT, .id = 300, .texts = {{"x:positions", 11}, {"x", 1}, {"P", 1}, {"+w:3(!:f)", 9}}},
      {.kind = RK_SPOOL_COMPONENT, .id = 5, .texts = {{"bytes", 5}, {0}, {0}, {"C", 1}}},
      {.kind = RK_SPOOL_WRITER, .id = 7, .texts = {{"main", 4}}},
  };
  rk_buffer out = {0};
  rk_buffer_append_zero(&out, 4);
  rk_buffer_append(&out, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++) {
    rk_spool_definition_encode(&out, &definitions[i]);
  }
  rk_store_u32(out.data, (uint32_t)out.size - 4);
  rk_buffer rows = {0};
  const float points[6] = {1, 2, 3, 4, 5, 6};
  put_row(&rows, 0, 0, 0, 0, 300, 2, points, sizeof points);
  put_row(&rows, 1, 1, 1, 2, 5, 3, "abc", 3);
  put_row(&rows, 2, 0, 0, 0, 5, 8, "abcdefgh", 8);
  rk_buffer_append(&out, rows.data, rows.size);
  rk_buffer_free(&rows);
  const size_t size = out.failed || out.size > capacity ? 0 : out.size;
  if (size > 0) {
    memcpy(buffer, out.data, size);
  }
  rk_buffer_free(&out);
  return size;
}
