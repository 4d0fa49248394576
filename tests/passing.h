/* Recordings of texts whose chunks may pass a merge as they are, and what became of them. */
#ifndef RK_TESTS_PASSING_H
#define RK_TESTS_PASSING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/reader_state.h"
#include "tests/arrow_msg.h"
#include "tests/chunks.h"
#include "tests/recordings.h"

/* ---- Making ---- */

static inline rk_buffer begin(uint32_t writers)
{
  rk_buffer out = {0};
  test_begin(&out, NULL, NULL, false);
  for (uint32_t tag = 1; tag <= writers; tag++) {
    test_add_writer(&out, NULL, NULL, tag);
  }
  return out;
}

/* How the writers compress. */
static rk_compression written_as = RK_COMPRESSION_LZ4;

/* A writer's chunk of texts of `text_size` bytes, one row every `step` ns from `start` on. Returns its offset. */
static inline size_t add_texts(rk_buffer *out, const char *entity, uint32_t tag, uint32_t number, uint32_t first_row,
                               uint32_t rows, int64_t start, int64_t step, size_t text_size)
{
  const chunk_recipe recipe = {entity,
                               tag,
                               first_row,
                               rows,
                               (uint64_t)start,
                               (uint64_t)step,
                               {{"log_time", RK_TIMELINE_TIMESTAMP, start, step}},
                               {{"note", NULL, NULL, "u", 0, text_size}}};
  made_chunk made;
  rk_buffer payload = {0}, packed = {0};
  assert_true(make_chunk(&made, &recipe));
  assert_int_equal(rk_chunk_encode(&payload, &made.chunk), RK_OK);
  rk_arrow_msg msg = {.store = test_store(NULL, NULL),
                      .uncompressed_size = payload.size,
                      .has_chunk_id = true,
                      .chunk_id = made.chunk.id};
  assert_int_equal(rk_compress(&packed, written_as, payload.data, payload.size, NULL, &msg.compression), RK_OK);
  msg.payload = packed.data;
  msg.payload_size = packed.size;
  const size_t frame = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  put_arrow_msg(out, &msg);
  rk_seal seal = {.writer = tag,
                  .chunk_number = number,
                  .first_row = first_row,
                  .row_count = rows,
                  .min_log_time = start,
                  .max_log_time = start + step * (int64_t)(rows - 1),
                  .entity_hash = XXH3_64bits(entity, strlen(entity)),
                  .recording_hash = rk_recording_hash("app", "rec"),
                  .clock_monotonic = 5,
                  .clock_realtime = 6,
                  .uncompressed_size = payload.size};
  rk_seal_frame(out, frame, (unsigned)(frame % RK_FRAME_ALIGNMENT), &seal);
  assert_false(out->failed);
  made_chunk_free(&made);
  rk_buffer_free(&payload);
  rk_buffer_free(&packed);
  return frame;
}

/* ---- Merging ---- */

typedef struct outcome {
  rk_buffer out;
  rk_merge_report report;
  rk_reader_stats stats;
} outcome;

typedef struct told {
  size_t losses;
  uint64_t offset, length;
  char reason[128];
} told;

static inline void on_loss(void *context, const rk_loss *loss)
{
  told *t = context;
  t->losses++;
  t->offset = loss->offset;
  t->length = loss->length;
  (void)snprintf(t->reason, sizeof t->reason, "%s", loss->reason);
}

static inline void add_file(rk_reader *reader, const rk_buffer *in)
{
  char path[64];
  const int fd = memfd_create("input", 0);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, in->data, in->size), in->size);
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  assert_int_equal(rk_reader_add(reader, path, NULL, NULL), RK_OK);
  close(fd);
}

/* From files, or from memory, which gives the same. */
static inline outcome merge(const rk_buffer *in, size_t count, rk_reader_options reader_options,
                            const rk_merge_options *options, told *t)
{
  outcome results[2];
  told discarded = {0};
  for (int files = 0; files < 2; files++) {
    reader_options.on_loss = on_loss;
    reader_options.context = t == NULL ? &discarded : t;
    if (t != NULL) {
      *t = (told){0};
    }
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&reader_options, &reader, NULL), RK_OK);
    for (size_t i = 0; i < count; i++) {
      if (files) {
        add_file(reader, &in[i]);
      } else {
        assert_int_equal(rk_reader_add_memory(reader, "input", in[i].data, in[i].size, NULL), RK_OK);
      }
    }
    outcome *o = &results[files];
    *o = (outcome){0};
    const int fd = memfd_create("merged", 0);
    rk_error error = {0};
    if (rk_reader_merge(reader, fd, options, &o->report, &error) != RK_OK) {
      fail_msg("merge: %s", error.message);
    }
    rk_reader_get_stats(reader, &o->stats);
    const off_t size = lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, rk_buffer_extend(&o->out, (size_t)size), (size_t)size, 0), size);
    close(fd);
    rk_reader_free(reader);
  }
  assert_int_equal(results[0].out.size, results[1].out.size);
  assert_memory_equal(results[0].out.data, results[1].out.data, results[0].out.size);
  assert_memory_equal(&results[0].report, &results[1].report, sizeof results[0].report);
  assert_true(t != NULL || discarded.losses == 0);
  rk_buffer_free(&results[1].out);
  return results[0];
}

#endif
