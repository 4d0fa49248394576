/* The index of a file that grows, is torn, ends and goes on, is cut short or replaced. */
#include "tests/indexing.h"

#include <fcntl.h>
#include <stdlib.h>

typedef struct growing {
  char path[64];
  int writer; /* the descriptor of who appends, locked */
  rk_buffer bytes;
  told_loss loss;
  rk_reader *reader;
} growing;

static void set_lock(int fd, short type)
{
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

static void put(growing *g, size_t from, size_t to)
{
  assert_int_equal(pwrite(g->writer, g->bytes.data + from, to - from, (off_t)from), to - from);
}

static void begin_growing(growing *g)
{
  *g = (growing){.path = "/tmp/rrdkit-index-XXXXXX"};
  g->writer = mkostemp(g->path, O_CLOEXEC);
  assert_true(g->writer >= 0);
  set_lock(g->writer, F_RDLCK);
  test_begin(&g->bytes, NULL, NULL, false);
  test_add_writer(&g->bytes, NULL, NULL, 1);
  put(g, 0, g->bytes.size);
  const rk_reader_options options = {.on_loss = on_loss, .context = &g->loss, .follow = true};
  assert_int_equal(rk_reader_open(&options, &g->reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(g->reader, g->path, NULL, NULL), RK_OK);
}

static void end_growing(growing *g)
{
  rk_reader_free(g->reader);
  (void)close(g->writer);
  (void)unlink(g->path);
  rk_buffer_free(&g->bytes);
}

static rk_input *input_of(const growing *g)
{
  return ((rk_input **)g->reader->inputs.items)[0];
}

static size_t grow(growing *g)
{
  assert_int_equal(rk_index_grow(g->reader, input_of(g), NULL), RK_OK);
  return g->reader->entries.count;
}

static void append_row(growing *g, uint32_t number)
{
  const int64_t key = 1000 + number;
  test_add_chunk(
      &g->bytes,
      &(test_chunk){.entity = "/a", .tag = 1, .number = number, .first_row = number, .row_count = 1, .keys = &key});
}

static void a_record_that_grows_byte_by_byte(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  for (uint32_t number = 0; number < 3; number++) {
    const size_t start = g.bytes.size;
    append_row(&g, number);
    for (size_t at = start; at < g.bytes.size; at++) {
      assert_int_equal(grow(&g), number);
      assert_int_equal(stats_of(g.reader).pending_size, at - start);
      put(&g, at, at + 1);
    }
    assert_int_equal(grow(&g), number + 1);
    assert_int_equal(stats_of(g.reader).pending_size, 0);
  }
  assert_int_equal(g.loss.count, 0);
  assert_int_equal(stats_of(g.reader).input_size, g.bytes.size);
  end_growing(&g);
}

static void what_is_left_when_the_last_has_gone_is_a_loss(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  append_row(&g, 0);
  const size_t whole = g.bytes.size;
  append_row(&g, 1);
  put(&g, 0, whole + 100);
  assert_int_equal(grow(&g), 1);
  assert_int_equal(g.loss.count, 0);
  set_lock(g.writer, F_UNLCK);
  assert_int_equal(grow(&g), 1);
  assert_int_equal(grow(&g), 1);
  assert_int_equal(g.loss.count, 1);
  assert_int_equal(g.loss.offset, whole);
  assert_int_equal(g.loss.length, 100);
  assert_false(input_of(&g)->live);
  set_lock(g.writer, F_RDLCK); /* who comes next cuts it off and goes on */
  assert_int_equal(ftruncate(g.writer, (off_t)whole), 0);
  assert_int_equal(grow(&g), 1);
  put(&g, whole, g.bytes.size);
  assert_int_equal(grow(&g), 2);
  assert_int_equal(g.loss.count, 1);
  end_growing(&g);
}

static void a_torn_record_in_the_middle_is_told_once(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  const size_t start = g.bytes.size;
  rk_buffer_append_zero(&g.bytes, 1024); /* of a writer that died, not healed */
  memset(g.bytes.data + start, 0x55, 1024);
  put(&g, start, g.bytes.size);
  assert_int_equal(grow(&g), 0);
  assert_int_equal(g.loss.count, 0);
  const size_t next = g.bytes.size;
  append_row(&g, 0);
  put(&g, next, g.bytes.size);
  assert_int_equal(grow(&g), 1);
  assert_int_equal(g.loss.count, 1);
  assert_int_equal(g.loss.offset, start);
  assert_int_equal(g.loss.length, 1024);
  end_growing(&g);
}

/* A damaged file read in pieces of any size holds what it holds when it is read at once. */
static void pieces_make_the_same_whole(void **state)
{
  (void)state;
  uint32_t random = 1;
  for (unsigned round = 0; round < 200; round++) {
    growing g;
    begin_growing(&g);
    const size_t start = g.bytes.size;
    for (uint32_t number = 0; number < 8; number++) {
      append_row(&g, number);
      random = random * 1664525 + 1013904223;
      if (random >> 30 == 0) { /* torn */
        uint8_t part[900];
        memcpy(part, g.bytes.data + start, sizeof part);
        rk_buffer_append(&g.bytes, part, (random >> 8) % sizeof part);
      } else if (random >> 30 == 1) {
        rk_buffer_append_zero(&g.bytes, (random >> 8) % 900);
      }
    }
    append_row(&g, 8);
    for (size_t at = start; at < g.bytes.size;) {
      random = random * 1664525 + 1013904223;
      const size_t piece = 1 + (random >> 8) % 3000;
      const size_t to = g.bytes.size - at < piece ? g.bytes.size : at + piece;
      put(&g, at, to);
      (void)grow(&g);
      at = to;
    }
    rk_reader *reader;
    told_loss loss = {0};
    const rk_reader_options options = {.on_loss = on_loss, .context = &loss};
    assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "whole", g.bytes.data, g.bytes.size, NULL), RK_OK);
    assert_int_equal(g.reader->entries.count, reader->entries.count);
    for (size_t i = 0; i < reader->entries.count; i++) {
      assert_int_equal(rk_entry_at(g.reader, i)->offset, rk_entry_at(reader, i)->offset);
    }
    assert_int_equal(g.loss.count, loss.count);
    assert_int_equal(stats_of(g.reader).lost_size, stats_of(reader).lost_size);
    assert_int_equal(stats_of(g.reader).frame_count, stats_of(reader).frame_count);
    rk_reader_free(reader);
    end_growing(&g);
  }
}

static void rows_that_come_while_others_are_taken(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  for (uint32_t number = 0; number < 5; number++) {
    const size_t start = g.bytes.size;
    append_row(&g, number);
    put(&g, start, g.bytes.size);
    assert_int_equal(grow(&g), number + 1);
    rk_row_ref row; /* the timeline itself: when rows are certain is the follower's question */
    g.reader->has_limit = false;
    assert_int_equal(rk_reader_next_ref(g.reader, &row), RK_OK);
    assert_int_equal(row.row_number, number);
    assert_int_equal(rk_reader_next_ref(g.reader, &row), RK_AGAIN);
  }
  assert_int_equal(stats_of(g.reader).late_rows, 0);
  end_growing(&g);
}

static void an_end_that_is_removed_again(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  append_row(&g, 0);
  const size_t whole = g.bytes.size;
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  assert_int_equal(rk_footer_encode(&g.bytes, &manifest, 1, g.bytes.size), RK_OK);
  rk_manifest_free(manifest);
  const size_t finished = g.bytes.size;
  for (size_t at = 0; at < finished - whole; at += 9) { /* seen while it is written */
    put(&g, at ? whole : 0, whole + at);
    assert_int_equal(grow(&g), 1);
    assert_false(input_of(&g)->finished);
  }
  put(&g, whole, finished);
  assert_int_equal(grow(&g), 1);
  assert_true(input_of(&g)->finished);
  assert_int_equal(g.reader->footers.count, 1);
  assert_int_equal(grow(&g), 1);
  assert_int_equal(g.reader->footers.count, 1);
  g.bytes.size = whole;
  append_row(&g, 1);
  assert_true(g.bytes.size > finished);
  assert_int_equal(ftruncate(g.writer, (off_t)whole), 0);
  put(&g, whole, g.bytes.size);
  assert_int_equal(grow(&g), 2);
  assert_false(input_of(&g)->finished);
  assert_int_equal(g.reader->footers.count, 0);
  assert_int_equal(g.loss.count, 0);
  end_growing(&g);
}

static void a_file_that_is_cut_short_or_replaced(void **state)
{
  (void)state;
  growing g;
  begin_growing(&g);
  const size_t start = g.bytes.size;
  append_row(&g, 0);
  append_row(&g, 1);
  put(&g, start, g.bytes.size);
  assert_int_equal(grow(&g), 2);
  const uint64_t second = rk_entry_at(g.reader, 1)->offset;
  assert_int_equal(ftruncate(g.writer, (off_t)second), 0);
  assert_int_equal(grow(&g), 2);
  assert_int_equal(g.loss.count, 1);
  assert_int_equal(g.loss.offset, second);
  assert_int_equal(g.loss.length, g.bytes.size - second);
  assert_true(rk_entry_at(g.reader, 1)->lost);
  assert_false(rk_entry_at(g.reader, 0)->lost);
  put(&g, (size_t)second, g.bytes.size);
  assert_int_equal(grow(&g), 3);
  assert_int_equal(unlink(g.path), 0);
  assert_int_equal(grow(&g), 3);
  assert_int_equal(g.loss.count, 1);
  const int other = open(g.path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  assert_true(other >= 0);
  assert_int_equal(grow(&g), 3);
  assert_int_equal(grow(&g), 3);
  assert_int_equal(g.loss.count, 2);
  (void)close(other);
  end_growing(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_record_that_grows_byte_by_byte),
      cmocka_unit_test(what_is_left_when_the_last_has_gone_is_a_loss),
      cmocka_unit_test(a_torn_record_in_the_middle_is_told_once),
      cmocka_unit_test(pieces_make_the_same_whole),
      cmocka_unit_test(rows_that_come_while_others_are_taken),
      cmocka_unit_test(an_end_that_is_removed_again),
      cmocka_unit_test(a_file_that_is_cut_short_or_replaced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
