/* Recordings whose frames are known, and what a reader says of their bytes, for the tests of damage. */
#ifndef RK_TESTS_SCANNING_H
#define RK_TESTS_SCANNING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

#define FRAMES_MAX 16
#define LOSSES_MAX 16

/* A recording and where its frames lie. */
typedef struct material {
  rk_buffer bytes;
  size_t frames[FRAMES_MAX + 1]; /* offsets; the last: the end */
  uint64_t incs[FRAMES_MAX];     /* of the one row in a chunk's frame; 0: not a chunk */
  size_t frame_count;
} material;

typedef struct lost {
  uint64_t offset, length;
  rk_status status;
  uint32_t writer;
  char reason[128];
} lost;

typedef struct result {
  size_t size; /* of the input */
  rk_status added;
  uint64_t incs[64];
  size_t count;
  lost losses[LOSSES_MAX];
  size_t loss_count;
} result;

static inline void on_loss(void *context, const rk_loss *loss)
{
  result *r = context;
  assert_true(loss->length > 0 && loss->offset <= r->size && loss->length <= r->size - loss->offset);
  assert_non_null(loss->reason);
  assert_null(strchr(loss->reason, '\n'));
  if (r->loss_count < LOSSES_MAX) {
    lost *l = &r->losses[r->loss_count];
    *l = (lost){.offset = loss->offset, .length = loss->length, .status = loss->status, .writer = loss->writer};
    (void)snprintf(l->reason, sizeof l->reason, "%s", loss->reason);
  }
  r->loss_count++;
}

/* Reads all rows and all chunks. Every row must be true: right value for its id. */
static inline void read_bytes(const void *data, size_t size, result *r)
{
  *r = (result){.size = size};
  rk_reader *reader;
  const rk_reader_options options = {.on_loss = on_loss, .context = r};
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  r->added = rk_reader_add_memory(reader, "input", data, size, NULL);
  const rk_row *row;
  while (rk_reader_next(reader, &row) == RK_OK) {
    assert_true(r->count < 64);
    r->incs[r->count++] = row->row_id.inc;
    assert_int_equal(row->component_count, 1);
    assert_int_equal(row->components[0].count, 1);
    assert_string_equal(row->store->recording_id, "rec");
    const double *values = row->components[0].values->buffers[1];
    assert_true(values[row->components[0].start] ==
                test_value((uint32_t)(row->row_id.inc >> 32), (uint32_t)row->row_id.inc));
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, r->loss_count);
  const rk_chunk_info *chunk;
  while (rk_reader_next_chunk(reader, &chunk) == RK_OK) {
    assert_true(chunk->offset + chunk->size <= size);
  }
  rk_reader_free(reader);
}

static inline void note_frame(material *m, uint64_t inc)
{
  m->incs[m->frame_count++] = inc;
  m->frames[m->frame_count] = m->bytes.size;
}

static inline void add_row(material *m, uint32_t tag, uint32_t number, bool unsealed)
{
  const int64_t key = 1000 + number;
  const char *const entities[] = {"/a", "/b"};
  test_add_chunk(&m->bytes, &(test_chunk){.entity = entities[number % 2],
                                          .tag = tag,
                                          .number = number,
                                          .first_row = number,
                                          .row_count = 1,
                                          .keys = &key,
                                          .unsealed = unsealed});
  note_frame(m, rk_row_inc(tag, number));
}

/* Two writers: SetStoreInfo, writer, row, row, writer, row, row. */
static inline void make_sealed(material *m)
{
  *m = (material){0};
  rk_buffer_append(&m->bytes, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  m->frames[0] = m->bytes.size;
  m->bytes.size = 0;
  test_begin(&m->bytes, NULL, NULL, false);
  note_frame(m, 0);
  for (uint32_t tag = 1; tag <= 2; tag++) {
    test_add_writer(&m->bytes, NULL, NULL, tag);
    note_frame(m, 0);
    add_row(m, tag, 0, false);
    add_row(m, tag, 1, false);
  }
}

static inline void make_unsealed(material *m)
{
  *m = (material){0};
  m->frames[0] = RK_STREAM_HEADER_SIZE;
  test_begin(&m->bytes, NULL, NULL, true);
  note_frame(m, 0);
  for (uint32_t number = 0; number < 4; number++) {
    add_row(m, 1, number, true);
  }
}

static inline bool has_row(const result *r, uint64_t inc)
{
  for (size_t i = 0; i < r->count; i++) {
    if (r->incs[i] == inc) {
      return true;
    }
  }
  return false;
}

#endif
