/* Chunks that pass a merge as they are: which do, that their bytes are kept, what happens to damaged ones, and how much
 * is gathered beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/reader_state.h"
#include "tests/arrow_msg.h"
#include "tests/chunks.h"
#include "tests/recordings.h"

/* ---- Making ---- */

static rk_buffer begin(uint32_t writers)
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
static size_t add_texts(rk_buffer *out, const char *entity, uint32_t tag, uint32_t number, uint32_t first_row,
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
  assert_int_equal(rk_compress(&packed, written_as, payload.data, payload.size, &msg.compression), RK_OK);
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

static size_t frame_size_at(const rk_buffer *file, size_t offset)
{
  return RK_FRAME_HEADER_SIZE + (size_t)rk_load_u64(file->data + offset + 8);
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

static void on_loss(void *context, const rk_loss *loss)
{
  told *t = context;
  t->losses++;
  t->offset = loss->offset;
  t->length = loss->length;
  (void)snprintf(t->reason, sizeof t->reason, "%s", loss->reason);
}

static void add_file(rk_reader *reader, const rk_buffer *in)
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
static outcome merge(const rk_buffer *in, size_t count, rk_reader_options reader_options,
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

/* Whether the frame stands in the output, byte for byte and at a multiple of 128. */
static bool holds_frame(const rk_buffer *out, const rk_buffer *in, size_t offset)
{
  const size_t size = frame_size_at(in, offset);
  for (size_t at = 0; at + size <= out->size; at += RK_FRAME_ALIGNMENT) {
    if (memcmp(out->data + at, in->data + offset, size) == 0) {
      return true;
    }
  }
  return false;
}

static const rk_merge_options two_threads = {.threads = 2, .chunk_rows = 100}; /* LZ4 is the default */

/* ---- Tests ---- */

static void test_bytes_are_kept(void **state)
{
  (void)state;
  rk_buffer in = begin(2);
  size_t offsets[6];
  for (uint32_t i = 0; i < 3; i++) {
    offsets[i] = add_texts(&in, "/a", 1, i, i * 50, 50, 1000 + 500 * i, 10, 100);
    offsets[3 + i] = add_texts(&in, "/b", 2, i, i * 50, 50, 1003 + 500 * i, 10, 100);
  }
  outcome o = merge(&in, 1, (rk_reader_options){0}, &two_threads, NULL);
  assert_int_equal(o.report.rows, 300);
  assert_int_equal(o.report.chunks, 6);
  assert_int_equal(o.report.passed_chunks, 6);
  assert_int_equal(o.report.undecoded_chunks, 6);
  assert_int_equal(o.report.bytes, o.out.size);
  uint64_t bytes = 0;
  for (size_t i = 0; i < 6; i++) {
    assert_true(holds_frame(&o.out, &in, offsets[i]));
    bytes += frame_size_at(&in, offsets[i]);
  }
  assert_int_equal(o.report.passed_bytes, bytes);
  /* Nothing passes where it is not wanted, or where rows are changed. */
  static const struct {
    rk_reader_options reader;
    rk_merge_options merge;
  } none[] = {
      {{0}, {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 100, .recode = true}},
      {{0}, {.compression = RK_COMPRESSION_NONE, .chunk_rows = 100}},
      {{0}, {.zstd = true, .chunk_rows = 100}},
      {{0}, {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 49}},
      {{0}, {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 1000}},
      {{.recording_id = "other"}, {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 100}},
      {{.wall_clock = true}, {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 100}},
  };
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    outcome other = merge(&in, 1, none[i].reader, &none[i].merge, NULL);
    assert_int_equal(other.report.rows, 300);
    assert_int_equal(other.report.passed_chunks, 0);
    rk_buffer_free(&other.out);
  }
  /* The same ids said again change nothing. */
  const rk_reader_options same = {.application_id = "app", .recording_id = "rec"};
  outcome again = merge(&in, 1, same, &two_threads, NULL);
  assert_int_equal(again.out.size, o.out.size);
  assert_memory_equal(again.out.data, o.out.data, o.out.size);
  rk_buffer_free(&again.out);
  rk_buffer_free(&o.out);
  rk_buffer_free(&in);
}

/* A row of another writer between those of a chunk: all rows are gathered. Beside them: the chunk passes. */
static void test_rows_between(void **state)
{
  (void)state;
  rk_buffer in = begin(2);
  const size_t broken = add_texts(&in, "/a", 1, 0, 0, 50, 1000, 10, 10);
  const size_t between = add_texts(&in, "/a", 2, 0, 0, 1, 1245, 1, 10);
  const size_t whole = add_texts(&in, "/a", 1, 1, 50, 50, 2000, 10, 10);
  const size_t beside = add_texts(&in, "/a", 2, 1, 1, 60, 2490, 1, 10); /* its first row is at the other's last */
  outcome o = merge(&in, 1, (rk_reader_options){0}, &two_threads, NULL);
  assert_false(holds_frame(&o.out, &in, broken));
  assert_false(holds_frame(&o.out, &in, between));
  assert_true(holds_frame(&o.out, &in, whole));
  assert_true(holds_frame(&o.out, &in, beside));
  assert_int_equal(o.report.rows, 161);
  assert_int_equal(o.report.passed_chunks, 2);
  assert_int_equal(o.report.undecoded_chunks, 0);
  assert_int_equal(o.report.chunks, 3);
  /* Filters that take a row of a chunk break it, too; those that take others do not. */
  const rk_reader_options since = {.has_since = true, .since_ns = 2010};
  outcome part = merge(&in, 1, since, &two_threads, NULL);
  assert_int_equal(part.report.rows, 109);
  assert_false(holds_frame(&part.out, &in, whole));
  assert_true(holds_frame(&part.out, &in, beside));
  const rk_reader_options until = {.has_until = true, .until_ns = 2549};
  outcome early = merge(&in, 1, until, &two_threads, NULL);
  assert_int_equal(early.report.rows, 160);
  assert_true(holds_frame(&early.out, &in, whole));
  assert_false(holds_frame(&early.out, &in, beside));
  rk_buffer_free(&o.out);
  rk_buffer_free(&part.out);
  rk_buffer_free(&early.out);
  rk_buffer_free(&in);
}

/* A damaged chunk is a loss where it would have been copied, and the others are there. */
static void test_damaged(void **state)
{
  (void)state;
  rk_buffer in = begin(1);
  size_t offsets[3];
  for (uint32_t i = 0; i < 3; i++) {
    offsets[i] = add_texts(&in, "/a", 1, i, i * 50, 50, 1000 + 500 * i, 10, 100);
  }
  in.data[offsets[1] + 700] ^= 1;
  told t;
  outcome o = merge(&in, 1, (rk_reader_options){0}, &two_threads, &t);
  assert_int_equal(t.losses, 1);
  assert_int_equal(t.offset, offsets[1]);
  assert_int_equal(t.length, frame_size_at(&in, offsets[1]));
  assert_int_equal(o.stats.loss_count, 1);
  assert_int_equal(o.report.rows, 100);
  assert_int_equal(o.report.passed_chunks, 2);
  assert_false(holds_frame(&o.out, &in, offsets[1]));
  /* Its hash is sound, its rows are not what the seal says. */
  in.data[offsets[1] + 700] ^= 1;
  const size_t size = frame_size_at(&in, offsets[1]);
  uint8_t *seal = in.data + offsets[1] + size - RK_SEAL_SIZE;
  rk_store_u32(seal + 36, 49);
  rk_store_u64(seal + 120, XXH3_64bits(in.data + offsets[1], size - 8));
  outcome lie = merge(&in, 1, (rk_reader_options){0}, &two_threads, &t);
  assert_int_equal(t.losses, 1);
  assert_int_equal(lie.report.rows, 100);
  rk_buffer_free(&o.out);
  rk_buffer_free(&lie.out);
  rk_buffer_free(&in);
}

/* Every byte of a chunk's frame flipped, and its bits of the ends: a merge ends, and tells. */
static void test_flips(void **state)
{
  (void)state;
  rk_buffer in = begin(1);
  const size_t first = add_texts(&in, "/a", 1, 0, 0, 50, 1000, 10, 5);
  add_texts(&in, "/a", 1, 1, 50, 50, 2000, 10, 5);
  const size_t size = frame_size_at(&in, first);
  for (size_t i = 0; i < size * 8; i += i / 8 < 200 || i / 8 > size - 300 ? 1 : 8) {
    in.data[first + i / 8] ^= (uint8_t)(1u << i % 8);
    told t = {0};
    const rk_reader_options options = {.on_loss = on_loss, .context = &t};
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "input", in.data, in.size, NULL), RK_OK);
    const int fd = memfd_create("merged", 0);
    rk_merge_report report;
    assert_int_equal(rk_reader_merge(reader, fd, &two_threads, &report, NULL), RK_OK);
    assert_true(t.losses > 0);
    assert_in_range(report.rows, 0, 50);
    close(fd);
    rk_reader_free(reader);
    in.data[first + i / 8] ^= (uint8_t)(1u << i % 8);
  }
  rk_buffer_free(&in);
}

/* Chunks of a merged file that were full pass the next merge undecoded, and its seals tell why. */
static void test_full_chunks(void **state)
{
  (void)state;
  rk_buffer in = begin(1);
  for (uint32_t i = 0; i < 40; i++) { /* small ones */
    add_texts(&in, "/a", 1, i, i * 10, 10, 1000 + 100 * i, 10, 10);
  }
  outcome o = merge(&in, 1, (rk_reader_options){0}, &two_threads, NULL);
  assert_int_equal(o.report.chunks, 4);
  assert_int_equal(o.report.passed_chunks, 0);
  outcome again = merge(&o.out, 1, (rk_reader_options){0}, &two_threads, NULL);
  assert_int_equal(again.report.undecoded_chunks, 4);
  assert_int_equal(again.out.size, o.out.size);
  assert_memory_equal(again.out.data, o.out.data, o.out.size);
  const rk_merge_options larger = {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 200};
  outcome recut = merge(&o.out, 1, (rk_reader_options){0}, &larger, NULL);
  assert_int_equal(recut.report.passed_chunks, 0);
  assert_int_equal(recut.report.chunks, 2);
  rk_buffer_free(&o.out);
  rk_buffer_free(&again.out);
  rk_buffer_free(&recut.out);
  rk_buffer_free(&in);
}

typedef struct cuts {
  size_t chunks, cut, merged_frames;
  uint32_t rows, size, most_rows;
} cuts;

static cuts look_at(const rk_buffer *file)
{
  cuts c = {0};
  size_t at = RK_STREAM_HEADER_SIZE;
  for (;;) {
    rk_frame_header header;
    assert_true(rk_frame_header_decode(file->data + at, &header));
    const size_t size = RK_FRAME_HEADER_SIZE + (size_t)header.size;
    if (header.kind == RK_FRAME_END) {
      return c;
    }
    rk_seal seal;
    assert_true(rk_seal_verify(file->data + at, size));
    assert_int_equal(rk_seal_decode(file->data + at + size - RK_SEAL_SIZE, &seal), RK_OK);
    if (header.kind == RK_FRAME_SET_STORE_INFO) {
      assert_int_equal(seal.flags, RK_SEAL_MERGED);
      c.merged_frames++;
    } else {
      c.chunks++;
      c.most_rows = seal.row_count > c.most_rows ? seal.row_count : c.most_rows;
      if (seal.cut_rows != 0) {
        c.cut++;
        c.rows = seal.cut_rows;
        c.size = seal.cut_size;
      }
    }
    at += size;
  }
}

/* With many entities each gathers less. What a filter leaves of them is cut the same when it is merged again. */
static void test_many_entities(void **state)
{
  (void)state;
  enum { ENTITIES = 200 };
  rk_buffer in = begin(1);
  uint32_t number = 0;
  for (uint32_t i = 0; i < ENTITIES; i++) {
    char entity[32];
    (void)snprintf(entity, sizeof entity, "/e/%u", i);
    add_texts(&in, entity, 1, number, number, 1, 1000 + number, 1, 10);
    number++;
  }
  for (uint32_t i = 0; i < 30; i++) {
    add_texts(&in, "/e/7", 1, number, number, 1, 10000 + number, 1, 50000);
    number++;
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_LZ4, .chunk_rows = 10000};
  outcome o = merge(&in, 1, (rk_reader_options){0}, &options, NULL);
  const cuts c = look_at(&o.out);
  assert_int_equal(c.merged_frames, 2);
  assert_int_equal(c.rows, 10000);
  assert_int_equal(c.size, 256 << 10); /* 200 times 512 KiB is too much */
  assert_int_equal(c.cut, 5);
  assert_int_equal(c.most_rows, 7); /* and the small one */
  outcome again = merge(&o.out, 1, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(again.out.size, o.out.size);
  assert_memory_equal(again.out.data, o.out.data, o.out.size);
  static const char *const one = "/e/7";
  outcome few = merge(&in, 1, (rk_reader_options){.entities = &one, .entity_count = 1}, &options, NULL);
  assert_int_equal(look_at(&few.out).size, 1 << 20);
  rk_buffer_free(&few.out);
  /* All entities are there by the index, few by their rows. */
  const rk_reader_options late = {.has_since = true, .since_ns = 10000 + ENTITIES};
  few = merge(&o.out, 1, late, &options, NULL);
  outcome few_again = merge(&few.out, 1, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(few.out.size, few_again.out.size);
  assert_memory_equal(few.out.data, few_again.out.data, few.out.size);
  rk_buffer made[] = {o.out, again.out, few.out, few_again.out, in};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    rk_buffer_free(&made[i]);
  }
}

/* A chunk that long might pass and in the end does not: what must leave after its rows waits, in a temporary file. */
static void test_late_break(void **state)
{
  (void)state;
  written_as = RK_COMPRESSION_NONE;
  rk_buffer in[2] = {begin(3), begin(3)};
  add_texts(&in[0], "/slow", 1, 1, 0, 20, 1000, 1000, 40); /* before: the next could fill it */
  add_texts(&in[0], "/slow", 1, 2, 20, 90, 50000000, 1000000, 40);
  add_texts(&in[0], "/slow", 2, 1, 0, 1, 138500000, 1, 40); /* between its last rows */
  add_texts(&in[0], "/slow", 1, 3, 110, 90, 200000000, 1000000, 40);
  for (uint32_t i = 0; i < 60; i++) {
    add_texts(&in[1], "/fast", 3, i, i * 8, 8, (i < 30 ? 135000000 : 285000000) + 100 * i, 10, 100000);
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_NONE, .chunk_rows = 100, .chunk_size = 200000};
  outcome o = merge(in, 2, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(o.report.rows, 20 + 90 + 1 + 90 + 480);
  assert_int_equal(o.report.passed_chunks, 1); /* the second long one: nothing came between */
  assert_true(o.stats.spilled_size > 1 << 20);
  rk_buffer split[2] = {merge(&in[0], 1, (rk_reader_options){0}, &options, NULL).out,
                        merge(&in[1], 1, (rk_reader_options){0}, &options, NULL).out};
  outcome staged = merge(split, 2, (rk_reader_options){0}, &options, NULL);
  assert_int_equal(staged.stats.spilled_size, 0);
  assert_int_equal(staged.out.size, o.out.size);
  assert_memory_equal(staged.out.data, o.out.data, o.out.size);
  rk_buffer made[] = {o.out, split[0], split[1], staged.out, in[0], in[1]};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    rk_buffer_free(&made[i]);
  }
  written_as = RK_COMPRESSION_LZ4;
}

/* What a merge wrote and passed is sound as it is, though chunk numbers are missing. */
static void test_verified(void **state)
{
  (void)state;
  rk_buffer in = begin(2);
  for (uint32_t i = 0; i < 6; i++) {
    add_texts(&in, i % 2 == 0 ? "/a" : "/b", 1, i, i * 50, 50, 1000 + 500 * i, 10, 20);
  }
  static const char *const one = "/b";
  outcome o = merge(&in, 1, (rk_reader_options){.entities = &one, .entity_count = 1}, &two_threads, NULL);
  assert_int_equal(o.report.passed_chunks, 3);
  rk_reader *reader;
  rk_verify_report report;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "merged", o.out.data, o.out.size, NULL), RK_OK);
  assert_int_equal(rk_reader_verify(reader, NULL, &report, NULL), RK_OK);
  assert_true(report.sound && report.finished);
  assert_int_equal(report.judged_writer_count, 0);
  assert_int_equal(report.missing_chunk_count, 0);
  rk_reader_free(reader);
  /* Beside the recording itself its writers are judged, and the passed chunks are repeats. */
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "recording", in.data, in.size, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "merged", o.out.data, o.out.size, NULL), RK_OK);
  assert_int_equal(rk_reader_verify(reader, NULL, &report, NULL), RK_OK);
  assert_true(report.sound);
  assert_int_equal(report.judged_writer_count, 1);
  assert_int_equal(report.repeated_chunk_count, 3);
  rk_reader_free(reader);
  rk_buffer_free(&o.out);
  rk_buffer_free(&in);
}

/* Stopped at any report of progress, with tasks under way. */
static bool stop(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  (void)rows_total;
  (void)bytes_out;
  return rows_done < *(const uint64_t *)context;
}

static void test_stopped(void **state)
{
  (void)state;
  rk_buffer in = begin(2);
  for (uint32_t i = 0; i < 120; i++) {
    add_texts(&in, "/a", 1, i, i * 200, 200, 1000 + 2000 * i, 10, 20);
    add_texts(&in, "/b", 2, i, i * 10, 10, 1000 + 2000 * i, 10, 20);
  }
  for (uint64_t limit = 1; limit < 25000; limit += 4000) {
    const rk_merge_options options = {.threads = 3,
                                      .compression = RK_COMPRESSION_LZ4,
                                      .chunk_rows = 300,
                                      .zstd = limit % 3 == 0,
                                      .on_progress = stop,
                                      .context = &limit};
    rk_reader *reader;
    assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "input", in.data, in.size, NULL), RK_OK);
    const int fd = memfd_create("merged", 0);
    rk_merge_report report;
    assert_int_equal(rk_reader_merge(reader, fd, &options, &report, NULL), RK_END);
    close(fd);
    rk_reader_free(reader);
  }
  rk_buffer_free(&in);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bytes_are_kept), cmocka_unit_test(test_rows_between), cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_flips),          cmocka_unit_test(test_full_chunks),  cmocka_unit_test(test_many_entities),
      cmocka_unit_test(test_late_break),     cmocka_unit_test(test_verified),     cmocka_unit_test(test_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
