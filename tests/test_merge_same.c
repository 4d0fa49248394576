/* One result: random recordings are merged in every order of the inputs, in every staging, again, with any number of
 * threads and any memory, and give the same bytes. */
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
#include "tests/recordings.h"

enum { FILES = 4, WRITERS = 5, SUBSETS = 1 << FILES };

typedef struct random_files {
  uint64_t state;
  rk_buffer files[FILES];
} random_files;

static uint32_t below(random_files *r, uint32_t limit)
{
  r->state = r->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(r->state >> 33) % limit;
}

static const char *const entities[] = {"/a", "/b", "/c/d", "/c/e", "/f"};
static const char *const components[] = {NULL, "X:x", "Y:y"};

/* The same chunk in another file; or the beginning of it only, as a spool holds rows that were appended since; or its
 * rows as a merge has them. */
static void repeat(random_files *r, const test_chunk *chunk)
{
  test_chunk again = *chunk;
  const uint32_t kind = below(r, 3);
  if (kind == 1) {
    again.row_count = 1 + below(r, chunk->row_count);
  } else if (kind == 2) {
    again.merged = true;
    again.number = 0;
    again.chunk_salt = 77;
  }
  test_add_chunk(&r->files[below(r, FILES)], &again);
}

/* Rows are dealt to up to three chunks at a time, so that a writer's chunks interleave; now and then a chunk of many
 * rows stands alone. Times never step back. */
static void add_writer(random_files *r, uint32_t tag, bool repeats)
{
  enum { BATCH = 3 };
  static int64_t keys[BATCH][CHUNK_ROWS_MAX];
  static int64_t frames[BATCH][CHUNK_ROWS_MAX];
  static uint32_t numbers[BATCH][CHUNK_ROWS_MAX];
  uint32_t number = 0, chunk_number = 1;
  int64_t now = below(r, 100);
  rk_buffer *file = &r->files[tag % FILES];
  for (uint32_t batches = 1 + below(r, 6); batches > 0; batches--) {
    uint32_t counts[BATCH] = {0};
    const uint32_t width = 1 + below(r, BATCH);
    const uint32_t step = below(r, 6);
    for (uint32_t rows = 1 + below(r, below(r, 2) ? 60 : 6); rows > 0; rows--) {
      const uint32_t c = below(r, width);
      now += step == 0 ? 0 : below(r, step);
      keys[c][counts[c]] = now;
      frames[c][counts[c]] = below(r, 50);
      numbers[c][counts[c]++] = number++;
    }
    for (uint32_t c = 0; c < width; c++) {
      const test_chunk chunk = {.entity = entities[below(r, 5)],
                                .component = components[below(r, 3)],
                                .tag = tag,
                                .number = chunk_number,
                                .first_row = numbers[c][0],
                                .row_count = counts[c],
                                .keys = keys[c],
                                .numbers = numbers[c],
                                .frames = below(r, 4) == 0 ? frames[c] : NULL,
                                .plain = below(r, 4) == 0,
                                .is_static = below(r, 16) == 0};
      if (counts[c] == 0) {
        continue;
      }
      chunk_number++;
      test_add_chunk(file, &chunk);
      for (uint32_t again = repeats ? below(r, 4) : 0; again > 1; again--) {
        repeat(r, &chunk);
      }
    }
  }
}

static random_files make_files(uint64_t seed, bool repeats)
{
  random_files r = {.state = seed * 7919 + 1};
  for (uint32_t i = 0; i < FILES; i++) {
    test_begin(&r.files[i], NULL, NULL, false);
  }
  for (uint32_t tag = 1; tag <= WRITERS; tag++) {
    for (uint32_t i = 0; i < FILES; i++) { /* repeats may come to any file */
      test_add_writer(&r.files[i], NULL, NULL, tag);
    }
  }
  for (uint32_t tag = 1; tag <= WRITERS; tag++) {
    add_writer(&r, tag, repeats);
  }
  return r;
}

static rk_merge_report last_report;

static rk_buffer merge(const rk_buffer *const *inputs, size_t count, const rk_merge_options *options, uint64_t memory)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  for (size_t i = 0; i < count; i++) {
    rk_error error = {0};
    if (rk_reader_add_memory(reader, "input", inputs[i]->data, inputs[i]->size, &error) != RK_OK) {
      fail_msg("input %zu: %s", i, error.message);
    }
  }
  if (memory != 0) {
    reader->max_memory = memory; /* less than the options allow */
  }
  const int fd = memfd_create("merged", 0);
  assert_true(fd >= 0);
  rk_error error = {0};
  if (rk_reader_merge(reader, fd, options, &last_report, &error) != RK_OK) {
    fail_msg("merge: %s", error.message);
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, 0);
  rk_buffer out = {0};
  const off_t size = lseek(fd, 0, SEEK_END);
  assert_int_equal(last_report.bytes, size);
  assert_int_equal(pread(fd, rk_buffer_extend(&out, (size_t)size), (size_t)size, 0), size);
  close(fd);
  rk_reader_free(reader);
  return out;
}

/* Its footer is what its chunks, each decoded whole, say. */
static void check_footer(const rk_buffer *file)
{
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  rk_buffer footer = {0};
  rk_frame_header header = {0};
  size_t at = RK_STREAM_HEADER_SIZE;
  for (;; at += RK_FRAME_HEADER_SIZE + (size_t)header.size) {
    const uint8_t *message = file->data + at + RK_FRAME_HEADER_SIZE;
    assert_true(at < file->size && rk_frame_header_decode(file->data + at, &header));
    if (header.kind == RK_FRAME_END) {
      break;
    }
    if (header.kind != RK_FRAME_ARROW_MSG) {
      continue;
    }
    rk_arena arena = {0};
    rk_buffer payload = {0};
    rk_arrow_msg msg;
    rk_chunk chunk;
    assert_int_equal(rk_arrow_msg_decode(message, (size_t)header.size, &msg, NULL), RK_OK);
    assert_int_equal(
        rk_decompress(&payload, msg.compression, msg.payload, msg.payload_size, msg.uncompressed_size, NULL), RK_OK);
    assert_int_equal(rk_chunk_decode(&arena, payload.data, payload.size, &chunk, NULL), RK_OK);
    assert_int_equal(rk_manifest_add(manifest, &chunk, at + RK_FRAME_HEADER_SIZE, header.size, payload.size), RK_OK);
    rk_buffer_free(&payload);
    rk_arena_free(&arena);
  }
  assert_int_equal(rk_footer_encode(&footer, &manifest, 1, at), RK_OK);
  assert_int_equal(footer.size, file->size - at);
  assert_memory_equal(footer.data, file->data + at, footer.size);
  rk_buffer_free(&footer);
  rk_manifest_free(manifest);
}

static void expect(const rk_buffer *expected, rk_buffer got, uint64_t seed, const char *how, unsigned a, unsigned b)
{
  if (expected->size != got.size || memcmp(expected->data, got.data, got.size) != 0) {
    if (getenv("RRDKIT_KEEP") != NULL) {
      FILE *f = fopen("expected.rrd", "wb");
      fwrite(expected->data, 1, expected->size, f);
      fclose(f);
      f = fopen("got.rrd", "wb");
      fwrite(got.data, 1, got.size, f);
      fclose(f);
    }
    fail_msg("seed %llu: %s %x %x: other bytes (%zu, not %zu)", (unsigned long long)seed, how, a, b, got.size,
             expected->size);
  }
  rk_buffer_free(&got);
}

/* The files of a subset, rotated and for odd `order` turned round. */
static size_t choose(const random_files *r, unsigned subset, unsigned order, const rk_buffer **inputs)
{
  size_t count = 0;
  for (unsigned i = 0; i < FILES; i++) {
    const unsigned at = (order % 2 == 0 ? i + order / 2 : 2 * FILES - 1 - i - order / 2) % FILES;
    if (subset >> at & 1) {
      inputs[count++] = &r->files[at];
    }
  }
  return count;
}

static void next_permutation(unsigned *list, unsigned count)
{
  unsigned i = count - 1;
  while (i > 0 && list[i - 1] >= list[i]) {
    i--;
  }
  if (i == 0) {
    return;
  }
  unsigned j = count - 1;
  while (list[j] <= list[i - 1]) {
    j--;
  }
  const unsigned swapped = list[i - 1];
  list[i - 1] = list[j];
  list[j] = swapped;
  for (unsigned a = i, b = count - 1; a < b; a++, b--) {
    const unsigned other = list[a];
    list[a] = list[b];
    list[b] = other;
  }
}

/* By induction over the subsets, every tree of stages gives what all inputs at once give. */
static void check_stages(const random_files *r, uint64_t seed, const rk_merge_options *options)
{
  rk_buffer whole[SUBSETS] = {{0}};
  for (unsigned s = 1; s < SUBSETS; s++) {
    const rk_buffer *inputs[FILES];
    const size_t count = choose(r, s, 0, inputs);
    whole[s] = merge(inputs, count, options, 0);
    if (!options->zstd) {
      check_footer(&whole[s]);
    }
    const rk_buffer *again[] = {&whole[s]};
    expect(&whole[s], merge(again, 1, options, 0), seed, "again", s, 0);
    for (unsigned a = (s - 1) & s; a > 0; a = (a - 1) & s) {
      const rk_buffer *halves[] = {&whole[a], &whole[s & ~a]};
      expect(&whole[s], merge(halves, 2, options, 0), seed, "in stages", a, s & ~a);
      const rk_buffer *mixed[FILES + 1];
      const size_t rest = choose(r, s & ~a, 1, mixed);
      mixed[rest] = &whole[a];
      expect(&whole[s], merge(mixed, rest + 1, options, 0), seed, "with what was merged", a, s & ~a);
    }
  }
  const rk_buffer *all = &whole[SUBSETS - 1];
  unsigned order[FILES] = {0, 1, 2, 3};
  for (unsigned i = 0; i < 24; i++, next_permutation(order, FILES)) {
    const rk_buffer *inputs[FILES];
    for (unsigned k = 0; k < FILES; k++) {
      inputs[k] = &r->files[order[k]];
    }
    rk_merge_options o = *options;
    o.threads = 1 + i % 4;
    expect(all, merge(inputs, FILES, &o, i % 3 == 0 ? 40000 : i % 3 == 1 ? 4000 : 0), seed, "in another order", i, 0);
  }
  for (unsigned s = 1; s < SUBSETS; s++) {
    rk_buffer_free(&whole[s]);
  }
}

static const rk_merge_options variants[] = {
    {.threads = 1, .compression = RK_COMPRESSION_LZ4, .chunk_rows = 40},
    {.threads = 1, .compression = RK_COMPRESSION_LZ4, .chunk_rows = 64, .chunk_size = 3000},
    {.threads = 1, .compression = RK_COMPRESSION_NONE, .chunk_rows = 20},
    {.threads = 1, .compression = RK_COMPRESSION_LZ4, .chunk_rows = 7},
    {.threads = 1, .compression = RK_COMPRESSION_LZ4},
    {.threads = 1, .compression = RK_COMPRESSION_LZ4, .chunk_rows = 40, .recode = true},
    {.threads = 1, .zstd = true, .chunk_rows = 40},
};

static void check_seeds(uint64_t first, uint64_t count, bool repeats)
{
  uint64_t passed = 0, chunks = 0;
  for (uint64_t seed = first; seed < first + count; seed++) {
    random_files r = make_files(seed, repeats);
    check_stages(&r, seed, &variants[seed % (sizeof variants / sizeof *variants)]);
    passed += last_report.passed_chunks;
    chunks += last_report.chunks;
    for (unsigned i = 0; i < FILES; i++) {
      rk_buffer_free(&r.files[i]);
    }
  }
  assert_true(passed > 0 && passed < chunks); /* else nothing was tried */
}

static void test_without_repeats(void **state)
{
  (void)state;
  check_seeds(1, 42, false);
}

static void test_with_repeats(void **state)
{
  (void)state;
  check_seeds(1001, 42, true);
}

int main(int argc, char **argv)
{
  if (argc >= 3) { /* to look for a seed: first and count, and a third one for no repeats */
    check_seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), argc == 3);
    return 0;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_without_repeats),
      cmocka_unit_test(test_with_repeats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
