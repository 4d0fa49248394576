/* The index: what is read to make it, chunks from footers, filters that keep chunks from being read, growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/reader_state.h"
#include "tests/recordings.h"

#define LARGE ((size_t)100000)

typedef struct told_loss {
  uint64_t offset, length;
  rk_status status;
  unsigned count;
} told_loss;

static void on_loss(void *context, const rk_loss *loss)
{
  told_loss *told = context;
  *told = (told_loss){.offset = loss->offset, .length = loss->length, .status = loss->status, .count = told->count + 1};
}

/* ---- Files ---- */

typedef struct file {
  int fd;
  char path[64];
} file;

static file make_file(const rk_buffer *bytes)
{
  file f = {.fd = memfd_create("recording", MFD_CLOEXEC)};
  assert_true(f.fd >= 0);
  assert_int_equal(write(f.fd, bytes->data, bytes->size), bytes->size);
  (void)snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
  return f;
}

static rk_reader *open_file(const rk_reader_options *options, const file *f)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, f->path, NULL, NULL), RK_OK);
  return reader;
}

static rk_reader_stats stats_of(const rk_reader *reader)
{
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  return stats;
}

static size_t count_rows(rk_reader *reader)
{
  const rk_row *row;
  size_t rows = 0;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    const double *values = row->components[0].values->buffers[1];
    assert_true(values[row->components[0].start] ==
                test_value((uint32_t)(row->row_id.inc >> 32), (uint32_t)row->row_id.inc));
    rows++;
  }
  assert_true(status == RK_END || status == RK_AGAIN);
  return rows;
}

/* ---- What is read ---- */

enum { MANY = 200 };

/* Chunks of one row each by two writers on two entities, at 1000, 1001, ...; large ones unless `small`. */
static void make_many(rk_buffer *bytes, bool small)
{
  test_begin(bytes, NULL, NULL, false);
  test_add_writer(bytes, NULL, NULL, 1);
  test_add_writer(bytes, NULL, NULL, 2);
  for (uint32_t i = 0; i < MANY; i++) {
    const int64_t key = 1000 + i;
    test_add_chunk(bytes, &(test_chunk){.entity = i % 2 ? "/odd" : "/even",
                                        .tag = 1 + i % 2,
                                        .number = i / 2,
                                        .first_row = i / 2,
                                        .row_count = 1,
                                        .keys = &key,
                                        .padding = small ? 0 : LARGE});
  }
}

static void a_large_frame_costs_its_ends_alone(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, false);
  const file f = make_file(&bytes);
  rk_reader *reader = open_file(NULL, &f);
  const rk_reader_stats stats = stats_of(reader);
  assert_int_equal(stats.chunk_count, MANY);
  assert_in_range(stats.read_size, MANY * 128, MANY * 160 + 65536);
  assert_int_equal(count_rows(reader), MANY);
  assert_true(stats_of(reader).read_size > bytes.size);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void small_frames_are_read_many_at_once(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, true);
  const file f = make_file(&bytes);
  rk_reader *reader = open_file(NULL, &f);
  const rk_reader_stats stats = stats_of(reader);
  assert_int_equal(stats.chunk_count, MANY);
  assert_true(stats.read_size < 2 * bytes.size);
  assert_int_equal(count_rows(reader), MANY);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

/* What the filters exclude as the index tells is not read. */
static void what_cannot_pass_is_not_read(void **state)
{
  (void)state;
  static const char *const even[] = {"/even"};
  static const char *const bare[] = {"even"};
  static const char *const other[] = {"/other", "/else"};
  static const char *const pattern[] = {"/ev*"};
  static const uint32_t first[] = {1};
  static const struct {
    const char *name;
    rk_reader_options options;
    size_t rows, chunks; /* that pass, and that are read at most */
  } cases[] = {
      {"time", {.has_since = true, .since_ns = 1010, .has_until = true, .until_ns = 1015}, 5, 5},
      {"writer", {.writers = first, .writer_count = 1}, MANY / 2, MANY / 2},
      {"plain path", {.entities = even, .entity_count = 1}, MANY / 2, MANY / 2},
      {"path without slash", {.entities = bare, .entity_count = 1}, MANY / 2, MANY / 2},
      {"no such path", {.entities = other, .entity_count = 2}, 0, 0},
      {"pattern", {.entities = pattern, .entity_count = 1}, MANY / 2, MANY / 2 + 1},
      {"excluded path", {.excluded = even, .excluded_count = 1}, MANY / 2, MANY / 2},
      {"excluded pattern", {.excluded = pattern, .excluded_count = 1}, MANY / 2, MANY / 2 + 1},
      {"excluded again", {.entities = pattern, .entity_count = 1, .excluded = even, .excluded_count = 1}, 0, 1},
  };
  rk_buffer bytes = {0};
  make_many(&bytes, false);
  const file f = make_file(&bytes);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rk_reader *reader = open_file(&cases[i].options, &f);
    const uint64_t before = stats_of(reader).read_size;
    const size_t rows = count_rows(reader);
    const uint64_t size = stats_of(reader).read_size - before;
    if (rows != cases[i].rows || size > cases[i].chunks * (LARGE + 2048)) {
      fail_msg("%s: %zu rows, %llu bytes read", cases[i].name, rows, (unsigned long long)size);
    }
    rk_reader_free(reader);
  }
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void inputs_tell_what_the_index_holds(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_many(&bytes, true);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "one", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "two", bytes.data, bytes.size, NULL), RK_OK);
  size_t count;
  const rk_input_info *const *inputs = rk_reader_inputs(reader, &count);
  assert_int_equal(count, 2);
  assert_string_equal(inputs[1]->name, "two");
  assert_int_equal(inputs[0]->chunk_count, MANY);
  assert_int_equal(inputs[0]->row_count, MANY);
  assert_int_equal(inputs[0]->min_ns, 1000);
  assert_int_equal(inputs[0]->max_ns, 1000 + MANY - 1);
  assert_int_equal(inputs[1]->size, bytes.size);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

static bool stop_at_half(void *context, const char *input, uint64_t done, uint64_t total)
{
  unsigned *calls = context;
  assert_non_null(input);
  assert_true(done <= total);
  ++*calls;
  return done < total / 2;
}

static void progress_can_stop_an_input(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  for (unsigned i = 0; i < 2; i++) {
    make_many(&bytes, false);
  }
  unsigned calls = 0;
  const rk_reader_options options = {.on_progress = stop_at_half, .context = &calls};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "one", bytes.data, bytes.size, NULL), RK_END);
  assert_true(calls > 0);
  assert_int_equal(stats_of(reader).chunk_count, 0);
  size_t count;
  (void)rk_reader_inputs(reader, &count);
  assert_int_equal(count, 0);
  assert_int_equal(count_rows(reader), 0);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* ---- Footers ---- */

enum { STOCK = 20 };

typedef struct lie {
  uint32_t rows_more;
  int64_t keys_more;
  size_t offset; /* by how much it is off */
  bool path;
} lie;

static const lie none;

static int64_t stock_keys[STOCK][2];

/* Unsealed chunks of two rows at (10i, 10i + 5), and a footer that tells of them, true but for `untrue`. */
static void make_stock(rk_buffer *bytes, bool footer, const lie *untrue, size_t padding)
{
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  test_begin(bytes, NULL, NULL, true);
  for (uint32_t i = 0; i < STOCK; i++) {
    stock_keys[i][0] = 10 * (int64_t)i;
    stock_keys[i][1] = 10 * (int64_t)i + 5;
    static const int64_t frames[STOCK][2];
    test_chunk chunk = {.entity = i % 2 ? "/b" : "/a",
                        .tag = 9,
                        .number = i,
                        .first_row = 2 * i,
                        .row_count = 2,
                        .keys = stock_keys[i],
                        .frames = i % 4 == 0 ? frames[i] : NULL,
                        .padding = padding,
                        .unsealed = true};
    const size_t start = test_add_chunk(bytes, &chunk);
    rk_buffer told = {0}; /* the chunk as the manifest has it */
    const int64_t keys[] = {stock_keys[i][0] + untrue->keys_more, stock_keys[i][1] + untrue->keys_more, 0};
    chunk.manifest = manifest;
    chunk.keys = keys;
    chunk.row_count += untrue->rows_more;
    chunk.entity = untrue->path ? "/c" : chunk.entity;
    rk_buffer_append_zero(&told, start + untrue->offset);
    (void)test_add_chunk(&told, &chunk);
    rk_buffer_free(&told);
  }
  if (footer) {
    assert_int_equal(rk_footer_encode(bytes, &manifest, 1, bytes->size), RK_OK);
  }
  rk_manifest_free(manifest);
}

static void a_sound_footer_saves_decoding(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, true, &none, LARGE);
  const file f = make_file(&bytes);
  const rk_reader_options options = {.has_since = true, .since_ns = 50, .has_until = true, .until_ns = 70};
  rk_reader *reader = open_file(&options, &f);
  assert_int_equal(stats_of(reader).chunk_count, STOCK);
  assert_int_equal(stats_of(reader).rows_indexed, 2 * STOCK);
  assert_true(stats_of(reader).read_size < LARGE);
  assert_int_equal(rk_entry_at(reader, 3)->min_ns, 30);
  assert_string_equal(rk_entry_path(reader, rk_entry_at(reader, 3)), "/b");
  assert_int_equal(count_rows(reader), 4);
  assert_true(stats_of(reader).read_size < 4 * LARGE);
  rk_reader_free(reader);
  close(f.fd);
  rk_buffer_free(&bytes);
}

static void a_footer_that_lies_loses_no_row(void **state)
{
  (void)state;
  static const lie lies[] = {
      {.rows_more = 1}, {.keys_more = 1000000}, {.keys_more = -1000000}, {.offset = 1}, {.path = true}};
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    rk_buffer bytes = {0};
    make_stock(&bytes, true, &lies[i], 0);
    told_loss loss = {0};
    const rk_reader_options options = {.on_loss = on_loss, .context = &loss};
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
    assert_int_equal(count_rows(reader), 2 * STOCK);
    assert_int_equal(loss.count, 0);
    rk_reader_free(reader);
    rk_buffer_free(&bytes);
  }
}

/* Any bit of the footer: all rows are there, and decoded if need be. */
static void a_footer_with_a_flipped_bit_is_not_used(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, false, &none, 0);
  const size_t footer = bytes.size;
  bytes.size = 0;
  make_stock(&bytes, true, &none, 0);
  for (size_t bit = footer * 8; bit < bytes.size * 8; bit += 7) {
    bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    rk_reader *reader;
    assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
    assert_false(rk_entry_at(reader, 0)->told);
    assert_int_equal(count_rows(reader), 2 * STOCK);
    rk_reader_free(reader);
    bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  rk_buffer_free(&bytes);
}

static void a_footer_tells_the_times_of_any_timeline(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  make_stock(&bytes, true, &none, 0);
  const rk_reader_options options = {.timeline = "frame"};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "stock", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(count_rows(reader), 2 * (STOCK / 4));
  int64_t min, max;
  const char *frame = reader->filters.timeline;
  assert_true(rk_index_timeline_hull(reader, rk_entry_at(reader, 4), frame, &min, &max));
  assert_int_equal(min, 0);
  assert_int_equal(max, 0);
  assert_true(rk_index_timeline_hull(reader, rk_entry_at(reader, 5), frame, &min, &max));
  assert_true(min > max);
  assert_false(rk_index_timeline_hull(reader, rk_entry_at(reader, 5), "frame", &min, &max));
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

/* ---- The same damage with every way of reading ---- */

/* Flips bits in the frame's first 24 and last 130 bytes, which the walk reads, of a file of large frames. */
static void bits_at_both_ends_of_large_frames(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  size_t frames[8];
  test_begin(&bytes, NULL, NULL, false);
  test_add_writer(&bytes, NULL, NULL, 1);
  for (uint32_t i = 0; i < 4; i++) {
    const int64_t key = 1000 + i;
    frames[i] = test_add_chunk(&bytes, &(test_chunk){.entity = "/a",
                                                     .tag = 1,
                                                     .number = i,
                                                     .first_row = i,
                                                     .row_count = 1,
                                                     .keys = &key,
                                                     .padding = i % 2 ? 20000 : 0});
  }
  frames[4] = bytes.size;
  const file f = make_file(&bytes);
  for (size_t i = 0; i < 4; i++) {
    for (size_t n = 0; n < (24 + 130) * 8; n++) {
      const unsigned bit = n % 8;
      const size_t at = n / 8 < 24 ? frames[i] + n / 8 : frames[i + 1] - (n / 8 - 24) - 1;
      const uint8_t flipped = (uint8_t)(bytes.data[at] ^ 1u << bit);
      assert_int_equal(pwrite(f.fd, &flipped, 1, (off_t)at), 1);
      told_loss loss = {0};
      const rk_reader_options options = {.on_loss = on_loss, .context = &loss};
      rk_reader *reader = open_file(&options, &f);
      const size_t rows = count_rows(reader);
      if (rows != 3 || loss.count != 1 || loss.offset != frames[i] || loss.length != frames[i + 1] - frames[i]) {
        fail_msg("bit %u of byte %zu of chunk %zu: %zu rows, %u losses, the last at %llu", bit, n / 8, i, rows,
                 loss.count, (unsigned long long)loss.offset);
      }
      rk_reader_free(reader);
      assert_int_equal(pwrite(f.fd, bytes.data + at, 1, (off_t)at), 1);
    }
  }
  close(f.fd);
  rk_buffer_free(&bytes);
}

/* ---- Growth ---- */

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
      cmocka_unit_test(a_large_frame_costs_its_ends_alone),
      cmocka_unit_test(small_frames_are_read_many_at_once),
      cmocka_unit_test(what_cannot_pass_is_not_read),
      cmocka_unit_test(inputs_tell_what_the_index_holds),
      cmocka_unit_test(progress_can_stop_an_input),
      cmocka_unit_test(a_sound_footer_saves_decoding),
      cmocka_unit_test(a_footer_that_lies_loses_no_row),
      cmocka_unit_test(a_footer_with_a_flipped_bit_is_not_used),
      cmocka_unit_test(a_footer_tells_the_times_of_any_timeline),
      cmocka_unit_test(bits_at_both_ends_of_large_frames),
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
