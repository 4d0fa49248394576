/* Chunks that pass a merge as they are: which do, that their bytes are kept, and what happens to damaged ones. */
#include "tests/passing.h"

/* ---- Making ---- */

static size_t frame_size_at(const rk_buffer *file, size_t offset)
{
  return RK_FRAME_HEADER_SIZE + (size_t)rk_load_u64(file->data + offset + 8);
}

/* ---- Merging ---- */

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
      cmocka_unit_test(test_flips),          cmocka_unit_test(test_full_chunks),  cmocka_unit_test(test_verified),
      cmocka_unit_test(test_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
