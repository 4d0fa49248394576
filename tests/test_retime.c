/* Times as the caller wants them: shifted inputs, wall clocks by the pairs in seals and records, dropped timelines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/reader_state.h"
#include "tests/recordings.h"

#define SECOND ((int64_t)1000000000)
#define OFFSET ((int64_t)1000 * SECOND) /* of log_time to the monotonic clock */

/* ---- Material ---- */

static void add_writer(rk_buffer *out, uint32_t tag, const char *boot, int64_t offset, int64_t monotonic,
                       int64_t realtime)
{
  const rk_store_info info = {.row_id = {.time_ns = 1, .inc = (uint64_t)tag << 32},
                              .store = test_store(NULL, NULL),
                              .source_kind = 1,
                              .store_version = 0x2100,
                              .has_writer = true,
                              .writer = {.tag = tag,
                                         .host = test_text("lab"),
                                         .boot_id = test_text(boot),
                                         .thread = test_text("t"),
                                         .program = test_text("p"),
                                         .clock_monotonic = monotonic,
                                         .clock_realtime = realtime,
                                         .clock_offset = offset}};
  test_add_info(out, &info, false);
}

/* One row at `seconds` of the monotonic clock, whose seal was made then, with the wall clock at that plus `ahead`. */
static size_t add_row(rk_buffer *out, uint32_t tag, uint32_t number, int64_t seconds, int64_t ahead)
{
  const int64_t key = OFFSET + seconds * SECOND;
  return test_add_chunk(out, &(test_chunk){.entity = "/a",
                                           .tag = tag,
                                           .number = number,
                                           .first_row = number,
                                           .row_count = 1,
                                           .keys = &key,
                                           .monotonic = seconds * SECOND,
                                           .realtime = OFFSET + seconds * SECOND + ahead});
}

typedef struct seen {
  int64_t keys[32];
  int64_t stored[32]; /* on log_time */
  uint32_t numbers[32];
  size_t count, timelines;
} seen;

static seen read_rows(rk_reader *reader)
{
  seen s = {0};
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    assert_true(s.count < 32);
    s.keys[s.count] = row->key_ns;
    s.numbers[s.count] = (uint32_t)row->row_id.inc;
    s.timelines += row->timeline_count;
    for (size_t i = 0; i < row->timeline_count; i++) {
      if (strcmp(row->timelines[i].timeline, "log_time") == 0) {
        s.stored[s.count] = row->timelines[i].value;
      }
    }
    s.count++;
  }
  assert_int_equal(status, RK_END);
  return s;
}

static rk_reader *open_reader(const rk_reader_options *options)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(options, &reader, NULL), RK_OK);
  return reader;
}

static void add_bytes(rk_reader *reader, const rk_buffer *bytes)
{
  assert_int_equal(rk_reader_add_memory(reader, "input", bytes->data, bytes->size, NULL), RK_OK);
}

static void add_shifted(rk_reader *reader, const rk_buffer *bytes, int64_t shift)
{
  const int fd = memfd_create("recording", MFD_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes->data, bytes->size), bytes->size);
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  assert_int_equal(rk_reader_add(reader, path, &(rk_input_options){.shift_ns = shift}, NULL), RK_OK);
  (void)close(fd);
}

/* ---- Shifts ---- */

static void a_shifted_input_moves_log_time_and_keys(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  test_add_writer(&bytes, NULL, NULL, 1);
  static const int64_t keys[] = {10, 30, 20};
  static const int64_t frames[] = {7, 8, 9};
  test_add_chunk(&bytes, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 3, .keys = keys, .frames = frames});
  test_add_chunk(
      &bytes,
      &(test_chunk){
          .entity = "/s", .tag = 1, .number = 1, .first_row = 3, .row_count = 1, .keys = keys, .is_static = true});
  rk_reader *reader = open_reader(NULL);
  add_shifted(reader, &bytes, 1000);
  size_t count;
  const rk_input_info *info = rk_reader_inputs(reader, &count)[0];
  assert_int_equal(info->shift_ns, 1000);
  assert_int_equal(info->min_ns, 1010);
  assert_int_equal(info->max_ns, 1030);
  const seen s = read_rows(reader);
  assert_int_equal(s.count, 4);
  assert_int_equal(s.keys[0], 10); /* the static row stays, and holds nothing back */
  assert_int_equal(s.keys[1], 1010);
  assert_int_equal(s.stored[1], 1010);
  assert_int_equal(s.keys[3], 1030);
  rk_reader_free(reader);
  static const struct {
    int64_t shift, since, until;
    size_t rows;
  } cases[] = {{-10, 0, 1, 2},
               {-10, 20, 21, 3 /* one is clamped */},
               {INT64_MAX, INT64_MAX, INT64_MAX, 1},
               {INT64_MIN, 0, 100, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) { /* the static row always passes */
    const rk_reader_options options = {
        .has_since = true, .since_ns = cases[i].since, .has_until = true, .until_ns = cases[i].until};
    reader = open_reader(&options);
    add_shifted(reader, &bytes, cases[i].shift);
    const seen t = read_rows(reader);
    if (t.count != cases[i].rows) {
      fail_msg("case %zu: %zu rows", i, t.count);
    }
    rk_reader_free(reader);
  }
  rk_buffer_free(&bytes);
}

static void rows_of_two_inputs_meet_where_the_shift_puts_them(void **state)
{
  (void)state;
  rk_buffer one = {0};
  rk_buffer two = {0};
  static const int64_t keys[] = {10, 20};
  static const int64_t frames[] = {1, 2};
  test_begin(&one, NULL, NULL, true);
  test_add_chunk(&one, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 2, .keys = keys, .unsealed = true});
  test_begin(&two, NULL, NULL, true); /* without log_time: ordered by the row ids' time, which is shifted */
  test_add_chunk(&two, &(test_chunk){.entity = "/b",
                                     .tag = 2,
                                     .row_count = 2,
                                     .keys = keys,
                                     .frames = frames,
                                     .no_log_time = true,
                                     .unsealed = true});
  rk_reader *reader = open_reader(NULL);
  add_shifted(reader, &one, 0);
  add_shifted(reader, &two, 5);
  const seen s = read_rows(reader);
  static const int64_t expected[] = {10, 15, 20, 25};
  assert_int_equal(s.count, 4);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(s.keys[i], expected[i]);
  }
  rk_reader_free(reader);
  rk_buffer_free(&one);
  rk_buffer_free(&two);
}

/* ---- The wall clock ---- */

static const rk_reader_options on_wall = {.wall_clock = true};

static void between_pairs_it_is_interpolated_and_outside_kept(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  add_writer(&bytes, 1, "boot-1", OFFSET, 10 * SECOND, OFFSET + 10 * SECOND); /* not ahead */
  static const int64_t keys[] = {OFFSET + 5 * SECOND, OFFSET + 10 * SECOND, OFFSET + 15 * SECOND, OFFSET + 20 * SECOND};
  test_add_chunk(&bytes, &(test_chunk){.entity = "/a",
                                       .tag = 1,
                                       .row_count = 4,
                                       .keys = keys,
                                       .monotonic = 20 * SECOND,
                                       .realtime = OFFSET + 20 * SECOND + 1000}); /* slewed by 1000 ns */
  const int64_t late = OFFSET + 25 * SECOND;
  test_add_chunk(
      &bytes,
      &(test_chunk){
          .entity = "/b", .tag = 1, .number = 1, .first_row = 4, .row_count = 1, .keys = &late}); /* no pair: adopted */
  rk_reader *reader = open_reader(&on_wall);
  add_bytes(reader, &bytes);
  const seen s = read_rows(reader);
  static const int64_t ahead[] = {0, 0, 500, 1000, 1000};
  assert_int_equal(s.count, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(s.keys[i] - (i < 4 ? keys[i] : late), ahead[i]);
    assert_int_equal(s.stored[i], s.keys[i]);
  }
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

static void a_clock_that_steps_back_stands_still(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  add_writer(&bytes, 1, "boot-1", OFFSET, SECOND, OFFSET + SECOND);
  for (uint32_t i = 0; i < 10; i++) { /* back by 3 s from the fifth on */
    add_row(&bytes, 1, i, 2 + i, i < 5 ? 0 : -3 * SECOND);
  }
  rk_reader *reader = open_reader(&on_wall);
  add_bytes(reader, &bytes);
  const seen s = read_rows(reader);
  assert_int_equal(s.count, 10);
  for (uint32_t i = 0; i < 10; i++) {
    assert_int_equal(s.numbers[i], i);
    const int64_t wall = OFFSET + (2 + (int64_t)i) * SECOND - (i < 5 ? 0 : 3 * SECOND);
    const int64_t held = OFFSET + 6 * SECOND;
    assert_int_equal(s.keys[i], i >= 5 && wall < held ? held : wall);
  }
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* Two hosts, whose monotonic clocks have nothing to do with each other and whose axes are apart, meet. */
static void hosts_meet_on_the_wall_clock(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  add_writer(&bytes, 1, "boot-1", OFFSET, SECOND, OFFSET + SECOND);
  add_writer(&bytes, 2, "boot-2", OFFSET, SECOND, OFFSET + SECOND + 1500000000); /* 1.5 s ahead of its axis */
  for (uint32_t i = 0; i < 3; i++) {
    add_row(&bytes, 1, i, 2 + i, 0);
    add_row(&bytes, 2, i, 2 + i, 1500000000);
  }
  rk_reader *reader = open_reader(&on_wall);
  add_bytes(reader, &bytes);
  const rk_chunk_info *chunk;
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
  add_bytes(reader, &bytes); /* after the index was used; the same rows again */
  const seen s = read_rows(reader);
  static const int64_t expected[] = {2000, 3000, 3500, 4000, 4500, 5500}; /* ms */
  assert_int_equal(s.count, 6);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(s.keys[i], OFFSET + expected[i] * 1000000);
  }
  rk_reader_free(reader);
  const rk_reader_options late = {.wall_clock = true, .has_since = true, .since_ns = OFFSET + 5 * SECOND};
  reader = open_reader(&late);
  add_bytes(reader, &bytes);
  assert_int_equal(read_rows(reader).count, 1);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* Rows of several writers in one chunk, as a merge makes them, move each by its own clock. */
static void a_merged_chunk_moves_row_by_row(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  add_writer(&bytes, 1, "boot-1", OFFSET, SECOND, OFFSET + SECOND);
  add_writer(&bytes, 2, "boot-2", OFFSET, SECOND, OFFSET + SECOND - 700);
  static const int64_t keys[] = {OFFSET + 10000, OFFSET + 10500, OFFSET + 11000};
  static const uint32_t tags[] = {1, 2, 77}; /* nobody knows the third */
  static const uint32_t numbers[] = {0, 0, 0};
  test_add_chunk(
      &bytes,
      &(test_chunk){.entity = "/a", .row_count = 3, .keys = keys, .tags = tags, .numbers = numbers, .merged = true});
  rk_reader *reader = open_reader(&on_wall);
  add_bytes(reader, &bytes);
  const seen s = read_rows(reader);
  assert_int_equal(s.count, 3);
  assert_int_equal(s.keys[0], OFFSET + 9800);
  assert_int_equal(s.keys[1], OFFSET + 10000);
  assert_int_equal(s.keys[2], OFFSET + 11000);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* A flipped bit in a seal must not move the rows of others. */
static void a_damaged_pair_counts_for_nothing(void **state)
{
  (void)state;
  for (uint32_t damaged = 0; damaged < 6; damaged++) {
    rk_buffer bytes = {0};
    test_begin(&bytes, NULL, NULL, false);
    add_writer(&bytes, 1, "boot-1", OFFSET, SECOND, OFFSET + SECOND);
    size_t end = 0;
    for (uint32_t i = 0; i < 6; i++) {
      add_row(&bytes, 1, i, 2 + i, 0);
      end = i == damaged ? bytes.size : end;
    }
    bytes.data[end - RK_SEAL_SIZE + 86] ^= 1; /* 2^48 ns of the realtime clock */
    rk_reader *reader = open_reader(&on_wall);
    add_bytes(reader, &bytes);
    const seen s = read_rows(reader);
    assert_int_equal(s.count, 5);
    for (size_t i = 0; i < 5; i++) {
      assert_int_equal(s.keys[i], OFFSET + (2 + (int64_t)s.numbers[i]) * SECOND);
    }
    rk_reader_free(reader);
    rk_buffer_free(&bytes);
  }
}

static void clocks_of_hosts_are_told_with_their_steps(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  add_writer(&bytes, 1, "boot-1", OFFSET, SECOND, OFFSET + SECOND + 5);
  add_writer(&bytes, 2, "boot-0", OFFSET, SECOND, OFFSET + SECOND);
  for (uint32_t i = 0; i < 6; i++) {
    add_row(&bytes, 1, i, 2 + i, i < 3 ? 5 : 2 * SECOND);
  }
  rk_reader *reader = open_reader(NULL);
  add_bytes(reader, &bytes);
  size_t count;
  const rk_host_clock *const *clocks = rk_reader_host_clocks(reader, &count);
  assert_int_equal(count, 2);
  assert_string_equal(clocks[0]->boot_id, "boot-0");
  assert_int_equal(clocks[0]->pair_count, 1);
  assert_int_equal(clocks[0]->step_count, 0);
  const rk_host_clock *clock = clocks[1];
  assert_string_equal(clock->host, "lab");
  assert_int_equal(clock->pair_count, 7);
  assert_int_equal(clock->first_ns, OFFSET + SECOND);
  assert_int_equal(clock->last_ns, OFFSET + 7 * SECOND);
  assert_int_equal(clock->first_ahead_ns, 5);
  assert_int_equal(clock->last_ahead_ns, 2 * SECOND);
  assert_int_equal(clock->step_count, 1);
  assert_int_equal(clock->steps[0].at_ns, OFFSET + 5 * SECOND);
  assert_int_equal(clock->steps[0].by_ns, 2 * SECOND - 5);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* Pairs at the ends of what fits: nothing overflows, and keys do not step back. */
static void absurd_clocks_do_no_harm(void **state)
{
  (void)state;
  static const int64_t values[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
  enum { N = sizeof values / sizeof *values };
  for (size_t i = 0; i < N * N * N; i++) {
    rk_buffer bytes = {0};
    test_begin(&bytes, NULL, NULL, false);
    add_writer(&bytes, 1, "boot-1", values[i % N], values[i / N % N], values[i / N / N]);
    const int64_t key = 1000;
    test_add_chunk(&bytes, &(test_chunk){.entity = "/a",
                                         .tag = 1,
                                         .row_count = 1,
                                         .keys = &key,
                                         .monotonic = values[i / N / N],
                                         .realtime = values[(i + 3) % N]});
    rk_reader *reader = open_reader(&on_wall);
    add_shifted(reader, &bytes, values[i / N % N]);
    assert_int_equal(read_rows(reader).count, 1);
    rk_reader_free(reader);
    rk_buffer_free(&bytes);
  }
}

/* ---- Dropped timelines ---- */

static void timelines_can_be_left_out(void **state)
{
  (void)state;
  static const char *const frame[] = {"frame", "none"};
  static const char *const log_time[] = {"log_time"};
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  test_add_writer(&bytes, NULL, NULL, 1);
  static const int64_t keys[] = {10, 20};
  test_add_chunk(&bytes, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 2, .keys = keys, .frames = keys});
  for (unsigned with = 0; with < 2; with++) {
    const rk_reader_options options = {.dropped_timelines = frame, .dropped_timeline_count = with ? 2 : 0};
    rk_reader *reader = open_reader(&options);
    add_bytes(reader, &bytes);
    const rk_chunk_info *chunk;
    assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
    assert_int_equal(chunk->timeline_count, with ? 1 : 2);
    const seen s = read_rows(reader);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.timelines, with ? 2 : 4);
    assert_int_equal(s.keys[0], 10);
    rk_reader_free(reader);
  }
  rk_reader *reader;
  const rk_reader_options refused = {.dropped_timelines = log_time, .dropped_timeline_count = 1};
  assert_int_equal(rk_reader_open(&refused, &reader, NULL), RK_ERR_MISUSE);
  rk_buffer_free(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_shifted_input_moves_log_time_and_keys),
      cmocka_unit_test(rows_of_two_inputs_meet_where_the_shift_puts_them),
      cmocka_unit_test(between_pairs_it_is_interpolated_and_outside_kept),
      cmocka_unit_test(a_clock_that_steps_back_stands_still),
      cmocka_unit_test(hosts_meet_on_the_wall_clock),
      cmocka_unit_test(a_merged_chunk_moves_row_by_row),
      cmocka_unit_test(a_damaged_pair_counts_for_nothing),
      cmocka_unit_test(clocks_of_hosts_are_told_with_their_steps),
      cmocka_unit_test(absurd_clocks_do_no_harm),
      cmocka_unit_test(timelines_can_be_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
