/* The spool of a dead process as a reader takes it: definitions and a ring become a stream of sealed frames, which must
 * then read without any loss: rows of that one writer alone, their numbers growing; static rows, which stand where
 * their own times put them, may come between. Hashes and names of the definitions and what ties the ring to them are
 * made right first, so that the rest is looked at. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/frame.h"
#include "format/seal.h"
#include "reader/spool/orphan_rows.h"
#include "rrdkit/reader.h"
#include "tests/fuzz/spool_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

enum { RECORD_MIN = 88, HEADER = sizeof(rk_ring_header), TAG = 7 };

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

static void mend_definitions(uint8_t *bytes, size_t size)
{
  if (size >= RK_SPOOL_MAGIC_SIZE) {
    memcpy(bytes, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  }
  for (size_t at = RK_SPOOL_MAGIC_SIZE; at < size && size - at >= RECORD_MIN;) {
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

static void mend_header(rk_ring_header *header, const rk_dictionary *dictionary)
{
  memcpy(header->magic, rk_spool_ring_magic, sizeof header->magic);
  header->version = RK_SPOOL_VERSION;
  header->size = RK_RING_SIZE_MIN;
  header->recording_hash = dictionary->recording_hash;
  header->process = dictionary->process;
}

typedef struct lost {
  uint64_t file_size;
  unsigned count;
} lost;

static void on_lost(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason,
                    uint32_t writer)
{
  lost *l = context;
  check(offset <= l->file_size && length <= l->file_size && status != RK_OK && reason != NULL && reason[0] != '\0');
  (void)writer;
  l->count++;
}

static void on_loss(void *context, const rk_loss *loss)
{
  (void)context;
  (void)loss;
  abort();
}

static void read_stream(const rk_buffer *stream, uint32_t tag)
{
  const rk_reader_options options = {.on_loss = on_loss};
  rk_reader *reader;
  check(rk_reader_open(&options, &reader, NULL) == RK_OK);
  check(rk_reader_add_memory(reader, "orphan", stream->data, stream->size, NULL) == RK_OK);
  const rk_row *row;
  rk_status status;
  int64_t before = -1;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    check(row->writer != NULL && row->writer->tag == tag);
    if (!row->is_static) {
      check(row->row_number > before);
      before = row->row_number;
    }
  }
  check(status == RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  check(stats.loss_count == 0 && stats.duplicate_rows == 0);
  rk_reader_free(reader);
}

/* u32 size of the definitions, the definitions, the ring's header, the ring from its beginning on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 4 + HEADER) {
    return 0;
  }
  const size_t given = rk_load_u32(data);
  const size_t definitions = given < size - 4 - HEADER ? given : size - 4 - HEADER;
  uint8_t *copy = malloc(definitions + 1);
  check(copy != NULL);
  memcpy(copy, data + 4, definitions);
  mend_definitions(copy, definitions);
  rk_dictionary dictionary;
  if (rk_dictionary_load(&dictionary, copy, definitions, NULL) == RK_OK) {
    rk_orphan_ring ring = {.file_size = RK_RING_HEADER_SIZE + RK_RING_SIZE_MIN};
    const uint8_t *rows = data + 4 + definitions + HEADER;
    const size_t row_size = size - 4 - definitions - HEADER;
    memcpy(&ring.header, data + 4 + definitions, HEADER);
    mend_header(&ring.header, &dictionary);
    ring.number = ring.header.number;
    ring.data = calloc(1, RK_RING_SIZE_MIN);
    check(ring.data != NULL);
    memcpy(ring.data, rows, row_size < RK_RING_SIZE_MIN ? row_size : RK_RING_SIZE_MIN);
    rk_buffer stream = {0};
    lost l = {.file_size = ring.file_size};
    rk_buffer_append(&stream, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
    check(rk_orphan_rows_encode(&stream, &dictionary, &ring, on_lost, &l) == RK_OK);
    check(stream.size > RK_STREAM_HEADER_SIZE || l.count > 0);
    read_stream(&stream, ring.header.tag);
    rk_buffer_free(&stream);
    free(ring.data);
  }
  rk_dictionary_free(&dictionary);
  free(copy);
  return 0;
}

/* 0: rows; 1: the same with an intent over the first of them; 2: rows on both sides of the ring's end. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  if (index > 2) {
    return 0;
  }
  static const char ids[] = "app\0rec";
  static const uint32_t set[] = {0};
  static const float points[6] = {1, 2, 3, 4, 5, 6};
  const rk_spool_definition definitions[] = {
      {.kind = RK_SPOOL_PROCESS, .id = RK_SPOOL_VERSION, .texts = {{"boot", 4}, {"host", 4}, {"program", 7}, {ids, 7}}},
      {.kind = RK_SPOOL_ENTITY, .id = 0, .texts = {{"/a", 2}}},
      {.kind = RK_SPOOL_TIMELINE, .id = 0, .number = 1, .texts = {{"frame", 5}}},
      {.kind = RK_SPOOL_TIMELINE_SET, .id = 1, .number = 1, .texts = {{(const char *)set, sizeof set}}},
      {.kind = RK_SPOOL_COMPONENT, .id = 300, .texts = {{"x:positions", 11}, {"x", 1}, {"P", 1}, {"+w:3(!:f)", 9}}},
      {.kind = RK_SPOOL_COMPONENT, .id = 5, .texts = {{"bytes", 5}, {0}, {0}, {"C", 1}}},
      {.kind = RK_SPOOL_WRITER, .id = TAG, .texts = {{"main", 4}}},
  };
  rk_buffer out = {0};
  rk_buffer rows = {0};
  rk_buffer_append_zero(&out, 4);
  rk_buffer_append(&out, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++) {
    rk_spool_definition_encode(&out, &definitions[i]);
  }
  check(!out.failed);
  rk_store_u32(out.data, (uint32_t)out.size - 4);
  put_row(&rows, 1, 0, 0, 0, 300, 2, points, sizeof points);
  const size_t first = rows.size;
  put_row(&rows, 2, 0, 1, 1, 5, 3, "abc", 3);
  put_row(&rows, 5, 0, 0, 0, 5, 8, "abcdefgh", 8);
  rk_ring_header header = {.tag = TAG, .head = rows.size, .chunk_number = 3, .intent_begin = 1};
  if (index == 1) {
    header.intent_begin = 0;
    header.intent_end = first;
    header.intent_first_row = 1;
    header.intent_row_count = 1;
    header.intent_chunk_number = 2;
  } else if (index == 2) { /* the skip to the end has been appended already */
    header.tail = RK_RING_SIZE_MIN;
    header.head += RK_RING_SIZE_MIN;
  }
  rk_buffer_append(&out, &header, sizeof header);
  rk_buffer_append(&out, rows.data, rows.size);
  rk_buffer_free(&rows);
  const size_t size = out.failed || out.size > capacity ? 0 : out.size;
  if (size > 0) {
    memcpy(buffer, out.data, size);
  }
  rk_buffer_free(&out);
  return size;
}
