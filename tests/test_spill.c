/* Sorting in temporary files: rows come in the same order however little memory there is, and what is held stays within
 * bounds. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "reader/timeline/timeline_internal.h"
#include "tests/arrow_msg.h"
#include "tests/chunks.h"
#include "tests/random_recordings.h"

static void assert_same(const yielded_rows *expected, const yielded_rows *rows, const char *what, uint64_t seed)
{
  assert_int_equal(rows->status, RK_END);
  for (size_t i = 0; i < expected->count && i < rows->count; i++) {
    if (!same_yielded(&expected->rows[i], &rows->rows[i])) {
      const yielded *a = &expected->rows[i];
      const yielded *b = &rows->rows[i];
      fail_msg("%s, seed %llu: row %zu is %lld/%llx of %s at %llu:%llu instead of %lld/%llx of %s at %llu:%llu", what,
               (unsigned long long)seed, i, (long long)b->key, (unsigned long long)b->id.inc, b->entity,
               (unsigned long long)b->input, (unsigned long long)b->offset, (long long)a->key,
               (unsigned long long)a->id.inc, a->entity, (unsigned long long)a->input, (unsigned long long)a->offset);
    }
  }
  assert_int_equal(expected->count, rows->count);
  assert_int_equal(expected->stats.duplicate_rows, rows->stats.duplicate_rows);
  assert_int_equal(expected->stats.clamped_rows, rows->stats.clamped_rows);
}

/* Reads the recording with plenty of memory, then with little. Adds what was spilled to *spilled. */
static void compare(const random_recording *r, const rk_reader_options *options, bool blueprints_first,
                    const char *what, uint64_t seed, uint64_t *spilled)
{
  static const uint64_t sizes[] = {1, 300000, 1000000};
  rk_reader *reader = random_open(r, options, MANY);
  assert_non_null(reader);
  reader->blueprints_first = blueprints_first;
  yielded_rows expected = read_rows(reader);
  assert_int_equal(expected.status, RK_END);
  assert_int_equal(expected.stats.spilled_size, 0);
  rk_reader_free(reader);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    reader = random_open(r, options, sizes[i]);
    assert_non_null(reader);
    reader->blueprints_first = blueprints_first;
    yielded_rows rows = read_rows(reader);
    rk_reader_free(reader);
    assert_same(&expected, &rows, what, seed);
    *spilled += rows.stats.spilled_size;
    free(rows.rows);
  }
  free(expected.rows);
}

static void little_memory_changes_nothing(void **state)
{
  (void)state;
  static const char *const some[] = {"/c/**"};
  static const uint32_t writers[] = {1, 3};
  static const char *const frame[] = {"frame"};
  static const struct {
    const char *name;
    rk_reader_options options;
    bool blueprints_first;
  } cases[] = {
      {"all", {0}, false},
      {"by frame", {.timeline = "frame"}, false},
      {"by frame, a part",
       {.timeline = "frame", .has_since = true, .since_ns = -5, .has_until = true, .until_ns = 9},
       false},
      {"by log_time", {.timeline = "log_time"}, true},
      {"blueprints first", {0}, true},
      {"a part", {.has_since = true, .since_ns = 20, .has_until = true, .until_ns = 60}, false},
      {"entities", {.entities = some, .entity_count = 1}, false},
      {"writers", {.writers = writers, .writer_count = 2}, false},
      {"without frame", {.dropped_timelines = frame, .dropped_timeline_count = 1}, false},
  };
  uint64_t spilled = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    const random_shape shape = {.spread = seed % 5 == 0 ? 1 : seed % 3 == 0 ? 10 : 200, .chunks = 12};
    random_recording r;
    random_make(&r, seed, &shape);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      if (i == 0 || seed % 8 + 1 == i) {
        compare(&r, &cases[i].options, cases[i].blueprints_first, cases[i].name, seed, &spilled);
      }
    }
    random_free(&r);
  }
  assert_true(spilled > 100000);
}

/* ---- Bounds ---- */

static void add_chunk_of(rk_buffer *out, const rk_chunk *chunk)
{
  rk_buffer payload = {0};
  rk_buffer packed = {0};
  rk_compression used;
  assert_int_equal(rk_chunk_encode(&payload, chunk), RK_OK);
  assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, payload.data, payload.size, NULL, &used), RK_OK);
  assert_int_equal(used, RK_COMPRESSION_LZ4);
  const rk_arrow_msg msg = {.store = test_store(NULL, NULL),
                            .compression = used,
                            .uncompressed_size = payload.size,
                            .payload = packed.data,
                            .payload_size = packed.size,
                            .has_chunk_id = true,
                            .chunk_id = chunk->id};
  const size_t start = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  put_arrow_msg(out, &msg);
  rk_frame_end(out, start);
  rk_buffer_free(&payload);
  rk_buffer_free(&packed);
}

/* Many chunks of one row each, all of the same time, in no order: all of them are due before the first row. */
static void many_small_chunks_of_one_time_stay_within_bounds(void **state)
{
  (void)state;
  enum { CHUNKS = 3000, BUDGET = 300000, LARGEST = 40000 };
  static const int64_t now[] = {1000};
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  for (uint32_t i = 0; i < CHUNKS; i++) {
    const uint32_t number = i * 1009 % CHUNKS;
    test_add_chunk(&a, &(test_chunk){.entity = random_entities[i % 4],
                                     .tag = 7,
                                     .first_row = number,
                                     .row_count = 1,
                                     .keys = now,
                                     .unsealed = true});
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", a.data, a.size, NULL), RK_OK);
  reader->max_memory = (uint64_t)4 * BUDGET;
  rk_row_ref ref;
  for (uint32_t i = 0; i < CHUNKS; i++) {
    assert_int_equal(rk_reader_next_ref(reader, &ref), RK_OK);
    assert_int_equal(ref.row_id.inc, rk_row_inc(7, i));
    assert_in_range(reader->timeline->held, 0, BUDGET + LARGEST);
  }
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_true(stats.spilled_size > 0);
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

/* Rows of several entities by turns: a block's pieces do not outweigh its rows. */
static void rows_of_many_entities_make_no_tiny_blocks(void **state)
{
  (void)state;
  enum { CHUNKS = 1024, ROWS = 64, BUDGET = 1000000 };
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  for (uint32_t c = 0; c < CHUNKS; c++) {
    int64_t keys[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
      keys[i] = 1000 + i * CHUNKS + c;
    }
    test_add_chunk(&a, &(test_chunk){.entity = random_entities[c % 4],
                                     .tag = 7,
                                     .first_row = c * ROWS,
                                     .row_count = ROWS,
                                     .keys = keys,
                                     .unsealed = true});
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", a.data, a.size, NULL), RK_OK);
  reader->max_memory = (uint64_t)4 * BUDGET;
  rk_row_ref ref;
  for (uint32_t i = 0; i < CHUNKS * ROWS; i++) {
    assert_int_equal(rk_reader_next_ref(reader, &ref), RK_OK);
    assert_int_equal(ref.key_ns, 1000 + i);
  }
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_in_range(stats.spilled_size, 1, 4 * a.size);
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

/* Copies of one row without end: they do not pile up. */
static void copies_of_a_row_do_not_pile_up(void **state)
{
  (void)state;
  enum { COPIES = 2000, BUDGET = 200000, LARGEST = 40000 };
  static const int64_t keys[] = {1000, 1001};
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  for (uint32_t i = 0; i < COPIES; i++) {
    test_add_chunk(
        &a,
        &(test_chunk){
            .entity = "/a", .tag = 7, .row_count = 2, .keys = keys, .chunk_salt = i * 1009 % COPIES, .unsealed = true});
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", a.data, a.size, NULL), RK_OK);
  reader->max_memory = (uint64_t)4 * BUDGET;
  rk_row_ref ref;
  for (uint32_t i = 0; i < 2; i++) {
    assert_int_equal(rk_reader_next_ref(reader, &ref), RK_OK);
    assert_int_equal(ref.row_id.inc, rk_row_inc(7, i));
    assert_in_range(reader->timeline->held, 0, BUDGET + LARGEST);
    rk_open_chunk *open; /* the first by chunk id is the one that is kept */
    assert_int_equal(rk_reader_reopen(reader, ref.origin, &open), RK_OK);
    assert_int_equal(open->chunk.id.inc, rk_row_inc(7, 0));
    rk_open_chunk_release(open);
  }
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.duplicate_rows, 2 * (COPIES - 1));
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

/* Chunks of a few very large rows that take turns: they are read again rather than copied. */
static void large_rows_are_read_again(void **state)
{
  (void)state;
  enum { ROWS = 3, CHUNKS = 3 };
  const uint64_t row_size = (uint64_t)33 << 20;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  for (uint32_t i = 0; i < CHUNKS; i++) {
    made_chunk made;
    assert_true(make_chunk(&made, &(chunk_recipe){.entity = random_entities[i],
                                                  .tag = 1 + i,
                                                  .row_count = ROWS,
                                                  .id_start = 100 + i,
                                                  .id_step = 10,
                                                  .timelines = {{"log_time", RK_TIMELINE_TIMESTAMP, 100 + i, 10}},
                                                  .components = {{"note", NULL, NULL, "u", 0, row_size}}}));
    add_chunk_of(&a, &made.chunk);
    made_chunk_free(&made);
  }
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&(rk_reader_options){.max_memory = (uint64_t)64 << 20}, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", a.data, a.size, NULL), RK_OK);
  const rk_row *row;
  for (uint32_t i = 0; i < ROWS * CHUNKS; i++) {
    assert_int_equal(rk_reader_next(reader, &row), RK_OK);
    assert_int_equal(row->row_id.inc, rk_row_inc(1 + i % CHUNKS, i / CHUNKS));
    assert_string_equal(row->entity_path, random_entities[i % CHUNKS]);
    const rk_component_cell *cell = &row->components[0];
    assert_int_equal(cell->count, 1);
    const int32_t *offsets = (const int32_t *)cell->values->buffers[1] + cell->values->offset + cell->start;
    assert_int_equal(offsets[1] - offsets[0], row_size);
    char text[32];
    (void)snprintf(text, sizeof text, "row %u of note", i / CHUNKS);
    assert_memory_equal((const char *)cell->values->buffers[2] + offsets[0], text, strlen(text));
    assert_in_range(reader->timeline->held, 0, 2 * ROWS * row_size);
  }
  assert_int_equal(rk_reader_next(reader, &row), RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.spilled_size, 0);
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

/* ---- Failing ---- */

static void a_directory_that_takes_no_files_is_an_error(void **state)
{
  (void)state;
  const random_shape shape = {.spread = 10, .chunks = 4};
  random_recording r;
  random_make(&r, 3, &shape);
  rk_reader *reader = random_open(&r, &(rk_reader_options){.temporary_directory = "/proc/self/fd"}, 1);
  yielded_rows rows = read_rows(reader);
  assert_int_equal(rows.status, RK_ERR_IO);
  rk_error error;
  rk_reader_error(reader, &error);
  assert_int_equal(error.status, RK_ERR_IO);
  assert_non_null(strstr(error.message, "temporary file"));
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_ERR_IO);
  free(rows.rows);
  rk_reader_free(reader);
  random_free(&r);
}

static void a_full_disk_is_an_error(void **state)
{
  (void)state;
  const random_shape shape = {.spread = 10, .chunks = 8};
  random_recording r;
  random_make(&r, 4, &shape);
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  assert_ptr_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  for (rlim_t limit = 0; limit <= 40960; limit += 8192) {
    rk_reader *reader = random_open(&r, NULL, 1);
    const struct rlimit small = {.rlim_cur = limit, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    yielded_rows rows = read_rows(reader);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rows.status, RK_ERR_IO);
    rk_error error;
    rk_reader_error(reader, &error);
    assert_int_equal(error.sys_errno, EFBIG);
    free(rows.rows);
    rk_reader_free(reader);
  }
  random_free(&r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(little_memory_changes_nothing),
      cmocka_unit_test(many_small_chunks_of_one_time_stay_within_bounds),
      cmocka_unit_test(rows_of_many_entities_make_no_tiny_blocks),
      cmocka_unit_test(copies_of_a_row_do_not_pile_up),
      cmocka_unit_test(large_rows_are_read_again),
      cmocka_unit_test(a_directory_that_takes_no_files_is_an_error),
      cmocka_unit_test(a_full_disk_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
