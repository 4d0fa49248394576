/* Following: what living writers hold back, what dead ones leave, files whose writers cannot be seen, cursors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/spool.h"
#include "reader/follow/follow_cursor.h"
#include "rrdkit/rrdkit.h"
#include "tests/recordings.h"

#define LONG_NS  60000000000 /* nothing waits for it */
#define SHORT_NS 1000000

/* ---- Reading ---- */

#define SEEN_MAX 1000

typedef struct seen {
  rk_tuid ids[SEEN_MAX];
  char entities[SEEN_MAX][16];
  size_t count;
} seen;

/* Takes rows until none is certain, leaving out what the library logs itself. */
static rk_status take(rk_reader *reader, seen *s)
{
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    if (row->entity_path[1] == '_') {
      continue;
    }
    assert_true(s->count < SEEN_MAX);
    s->ids[s->count] = row->row_id;
    (void)snprintf(s->entities[s->count++], sizeof s->entities[0], "%s", row->entity_path);
  }
  return status;
}

/* Waits for `count` rows in all. */
static void expect_rows(rk_reader *reader, seen *s, size_t count)
{
  for (int i = 0; i < 1000 && s->count < count; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    if (s->count < count) {
      assert_int_equal(rk_reader_wait(reader, 100000000, NULL), RK_OK);
    }
  }
  assert_int_equal(s->count, count);
}

/* Nothing is certain although it was looked several times. */
static void expect_none(rk_reader *reader, seen *s)
{
  const size_t before = s->count;
  for (int i = 0; i < 5; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    assert_int_equal(rk_reader_wait(reader, 10000000, NULL), RK_OK);
  }
  assert_int_equal(take(reader, s), RK_AGAIN);
  assert_int_equal(s->count, before);
}

static void expect_end(rk_reader *reader, seen *s)
{
  rk_status status = RK_OK;
  for (int i = 0; i < 1000 && status == RK_OK; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    status = rk_reader_wait(reader, 100000000, NULL);
  }
  assert_int_equal(status, RK_END);
  assert_int_equal(take(reader, s), RK_AGAIN);
}

static rk_reader *follow(const char *path, int64_t delay_ns)
{
  const rk_reader_options options = {.follow = true, .follow_delay_ns = delay_ns};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, path, NULL, NULL), RK_OK);
  return reader;
}

/* ---- Writing ---- */

typedef struct scene {
  char directory[64];
  char path[96];
} scene;

static int make_scene(void **state)
{
  static scene s;
  (void)snprintf(s.directory, sizeof s.directory, "/tmp/rrdkit-follow-XXXXXX");
  if (!mkdtemp(s.directory)) {
    return -1;
  }
  (void)snprintf(s.path, sizeof s.path, "%s/run.rrd", s.directory);
  (void)unsetenv("RRDKIT_SPOOL_DIR");
  *state = &s;
  return 0;
}

static int remove_scene(void **state)
{
  const scene *s = *state;
  char command[128];
  (void)snprintf(command, sizeof command, "rm -rf %s", s->directory);
  return system(command);
}

/* Without a background thread that would flush. */
static rk_recording *open_recording(const scene *s)
{
  const rk_recording_options options = {
      .application_id = "app", .recording_id = "rec", .flush_age_ns = LONG_NS, .ring_size = 65536};
  rk_recording *recording;
  assert_int_equal(rk_recording_open(s->path, &options, &recording, NULL), RK_OK);
  return recording;
}

static void log_row(rk_recording *recording, const char *entity)
{
  const double value = 1;
  const rk_cell cell = {
      .component = rk_component_at(recording, "value", "g", NULL, NULL), .count = 1, .values = &value};
  assert_int_equal(rk_log(recording, rk_entity_at(recording, entity), &cell, 1), RK_OK);
}

static void finish(rk_recording *recording)
{
  assert_int_equal(rk_recording_finish(recording), RK_OK);
  rk_recording_free(recording);
}

/* ---- What writers hold back ---- */

static void rows_wait_for_earlier_ones_in_rings(void **state)
{
  const scene *s = *state;
  rk_recording *one = open_recording(s);
  rk_recording *two = open_recording(s);
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(one), RK_OK);
  assert_int_equal(rk_recording_flush(two), RK_OK);
  rk_reader *reader = follow(s->path, LONG_NS);
  seen rows = {0};
  expect_rows(reader, &rows, 1); /* those who have nothing to write hold nothing back */
  log_row(one, "one");
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(two), RK_OK);
  expect_none(reader, &rows);
  assert_int_equal(rk_recording_flush(one), RK_OK);
  expect_rows(reader, &rows, 3);
  assert_string_equal(rows.entities[1], "/one");
  assert_string_equal(rows.entities[2], "/two");
  assert_int_equal(rk_recording_close(one), RK_OK);
  rk_recording_free(one);
  log_row(two, "two");
  finish(two);
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 4);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.late_rows, 0);
  rk_reader_free(reader);
}

/* Marks the ring of the first row as one whose thread is inside a call, or not. */
static void set_logging(const scene *s, bool logging)
{
  char command[160];
  (void)snprintf(command, sizeof command, "ls -rt %s.spool/*-0.ring", s->path);
  FILE *names = popen(command, "r");
  char name[256] = "";
  assert_non_null(names);
  assert_non_null(fgets(name, sizeof name, names));
  (void)pclose(names);
  name[strcspn(name, "\n")] = '\0';
  const int fd = open(name, O_RDWR);
  assert_true(fd >= 0);
  rk_ring_header header;
  assert_int_equal(pread(fd, &header, sizeof header, 0), (ssize_t)sizeof header);
  assert_false(rk_ring_is_logging(&header)); /* no call is under way */
  header.logging = logging ? (uint32_t)header.head | 1U : 0;
  assert_int_equal(pwrite(fd, &header.logging, sizeof header.logging, offsetof(rk_ring_header, logging)),
                   (ssize_t)sizeof header.logging);
  (void)close(fd);
}

static void rows_wait_for_calls_under_way(void **state)
{
  const scene *s = *state;
  rk_recording *one = open_recording(s);
  rk_recording *two = open_recording(s);
  assert_int_equal(rk_recording_flush(one), RK_OK);
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(two), RK_OK);
  rk_reader *reader = follow(s->path, LONG_NS);
  seen rows = {0};
  expect_rows(reader, &rows, 1);
  set_logging(s, true);
  expect_none(reader, &rows);
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(two), RK_OK);
  expect_none(reader, &rows);
  log_row(one, "one"); /* its own call ends what seemed to be one */
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(one), RK_OK);
  assert_int_equal(rk_recording_flush(two), RK_OK);
  expect_rows(reader, &rows, 4);
  assert_string_equal(rows.entities[1], "/two");
  assert_string_equal(rows.entities[2], "/one");
  assert_string_equal(rows.entities[3], "/two");
  rk_recording_free(one);
  rk_recording_free(two);
  rk_reader_free(reader);
}

static void a_row_that_comes_too_late_is_yielded_and_counted(void **state)
{
  const scene *s = *state;
  rk_recording *one = open_recording(s);
  rk_recording *two = open_recording(s);
  assert_int_equal(rk_recording_flush(one), RK_OK);
  rk_reader *reader = follow(s->path, SHORT_NS);
  seen rows = {0};
  assert_int_equal(take(reader, &rows), RK_AGAIN);
  log_row(one, "one");
  log_row(two, "two");
  assert_int_equal(rk_recording_flush(two), RK_OK);
  expect_rows(reader, &rows, 1); /* after twenty times the delay */
  assert_string_equal(rows.entities[0], "/two");
  assert_int_equal(rk_recording_flush(one), RK_OK);
  expect_rows(reader, &rows, 2);
  assert_string_equal(rows.entities[1], "/one");
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.late_rows, 1);
  rk_recording_free(one);
  rk_recording_free(two);
  rk_reader_free(reader);
}

static void large_rows_and_new_threads_are_covered(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_recording(s);
  rk_reader *reader = follow(s->path, LONG_NS);
  static const double values[8000];
  const rk_cell cell = {
      .component = rk_component_at(recording, "value", "g", NULL, NULL), .count = 8000, .values = values};
  seen rows = {0};
  log_row(recording, "small");
  assert_int_equal(rk_log(recording, rk_entity_at(recording, "large"), &cell, 1),
                   RK_OK); /* brings the small one along */
  expect_rows(reader, &rows, 2);
  assert_string_equal(rows.entities[1], "/large");
  finish(recording);
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 2);
  rk_reader_free(reader);
}

static void what_the_dead_leave_is_read_once(void **state)
{
  const scene *s = *state;
  int begin[2], go[2];
  assert_int_equal(pipe(begin), 0);
  assert_int_equal(pipe(go), 0);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    rk_recording *recording = open_recording(s);
    log_row(recording, "first");
    rk_recording_flush(recording);
    char byte = 0;
    if (write(begin[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1) {
      for (int i = 0; i < 5; i++) {
        log_row(recording, i % 2 == 0 ? "left" : "right");
      }
    }
    (void)kill(getpid(), SIGKILL);
  }
  char byte = 0;
  assert_int_equal(read(begin[0], &byte, 1), 1);
  rk_reader *reader = follow(s->path, SHORT_NS);
  seen rows = {0};
  expect_rows(reader, &rows, 1);
  assert_int_equal(write(go[1], &byte, 1), 1);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  expect_rows(reader, &rows, 6); /* nobody has it open: from the spool */
  finish(open_recording(s));     /* adopts them */
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 6);
  rk_reader_free(reader);
  for (int i = 0; i < 2; i++) {
    (void)close(begin[i]);
    (void)close(go[i]);
  }
}

/* The adopter's chunks bear no clocks, and the first of a writer no number either: they are known by their rows. */
static void what_died_before_its_first_append_is_read_once(void **state)
{
  const scene *s = *state;
  for (int late = 0; late < 2; late++) { /* the reader is opened after the death */
    rk_recording *recording = open_recording(s);
    log_row(recording, "first");
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    rk_reader *reader = late ? NULL : follow(s->path, SHORT_NS);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      recording = open_recording(s);
      for (int i = 0; i < 5; i++) {
        log_row(recording, i % 2 == 0 ? "left" : "right");
      }
      (void)kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    reader = late ? follow(s->path, SHORT_NS) : reader;
    seen rows = {0};
    expect_rows(reader, &rows, 6);
    finish(open_recording(s)); /* adopts them */
    expect_end(reader, &rows);
    assert_int_equal(rows.count, 6);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 0);
    rk_reader_free(reader);
    assert_int_equal(unlink(s->path), 0);
  }
}

static void set_bytes(const scene *s, off_t at, const void *bytes, size_t size)
{
  const int fd = open(s->path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
  (void)close(fd);
}

/* A reader may look between the append that finds a torn record and its healing. */
static void a_torn_record_that_is_healed_is_no_loss(void **state)
{
  const scene *s = *state;
  for (int healed = 0; healed < 2; healed++) {
    rk_recording *recording = open_recording(s);
    log_row(recording, "before");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
    rk_reader *reader = follow(s->path, LONG_NS);
    seen rows = {0};
    expect_rows(reader, &rows, 1);
    uint8_t torn[1024];
    memset(torn, 0x55, sizeof torn);
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    set_bytes(s, info.st_size, torn, sizeof torn);
    log_row(recording, "after");
    assert_int_equal(rk_recording_flush(recording), RK_OK); /* heals */
    uint8_t filler[1024];
    const int fd = open(s->path, O_RDONLY);
    assert_int_equal(pread(fd, filler, sizeof filler, info.st_size), (ssize_t)sizeof filler);
    (void)close(fd);
    assert_true(memcmp(torn, filler, sizeof torn) != 0);
    set_bytes(s, info.st_size, torn, sizeof torn);
    expect_rows(reader, &rows, 2);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.loss_count, 0);
    finish(recording); /* heals again */
    if (!healed) {
      set_bytes(s, info.st_size, torn, sizeof torn);
    }
    expect_end(reader, &rows);
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.loss_count, healed ? 0 : 1);
    rk_reader_free(reader);
    assert_int_equal(unlink(s->path), 0);
  }
}

static void a_copy_that_grows_is_followed(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_recording(s);
  for (int i = 0; i < 20; i++) {
    log_row(recording, i % 2 == 0 ? "even" : "odd");
    assert_int_equal(rk_recording_flush(recording), RK_OK);
  }
  finish(recording);
  static uint8_t bytes[1 << 20];
  const int from = open(s->path, O_RDONLY);
  const ssize_t size = read(from, bytes, sizeof bytes);
  (void)close(from);
  assert_true(size > 8192 && (size_t)size < sizeof bytes);
  char path[128];
  (void)snprintf(path, sizeof path, "%s/copy.rrd", s->directory);
  const int to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_int_equal(write(to, bytes, 4096), 4096);
  rk_reader *reader = follow(path, SHORT_NS);
  seen rows = {0};
  for (ssize_t at = 4096; at < size;) { /* not by whole frames */
    const ssize_t part = size - at < 777 ? size - at : 777;
    assert_int_equal(write(to, bytes + at, (size_t)part), part);
    at += part;
    assert_int_equal(take(reader, &rows), RK_AGAIN);
    assert_int_equal(rk_reader_wait(reader, 2 * SHORT_NS, NULL), RK_OK);
  }
  (void)close(to);
  expect_end(reader, &rows);
  assert_int_equal(rows.count, 20);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, 0);
  rk_reader_free(reader);
}

static void a_finished_recording_that_goes_on_is_followed(void **state)
{
  const scene *s = *state;
  char other[128];
  rk_recording *first = open_recording(s);
  log_row(first, "first");
  scene beside = *s;
  (void)snprintf(beside.path, sizeof beside.path, "%s/other.rrd", s->directory);
  (void)snprintf(other, sizeof other, "%s", beside.path);
  rk_recording *held = open_recording(&beside); /* keeps the reader from its end */
  assert_int_equal(rk_recording_flush(held), RK_OK);
  const rk_reader_options options = {.follow = true, .follow_delay_ns = LONG_NS};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, other, NULL, NULL), RK_OK);
  seen rows = {0};
  finish(first);
  expect_rows(reader, &rows, 1);
  for (int i = 2; i < 5; i++) {
    rk_recording *again = open_recording(s);
    log_row(again, "again");
    finish(again);
    expect_rows(reader, &rows, (size_t)i);
  }
  finish(held);
  expect_end(reader, &rows);
  rk_reader_free(reader);
}

/* ---- Cursors ---- */

static void build(rk_buffer *out, bool unsealed)
{
  static const int64_t even[] = {10, 30, 50, 70};
  static const int64_t odd[] = {20, 40, 60, 80};
  static const int64_t other[] = {10, 45, 45, 90, 95};
  test_begin(out, NULL, NULL, unsealed);
  if (!unsealed) {
    test_add_writer(out, NULL, NULL, 1);
    test_add_writer(out, NULL, NULL, 2);
  }
  test_add_chunk(
      out,
      &(test_chunk){.entity = "/even", .tag = 1, .row_step = 2, .row_count = 4, .keys = even, .unsealed = unsealed});
  test_add_chunk(out, &(test_chunk){.entity = "/odd",
                                    .tag = 1,
                                    .number = 1,
                                    .first_row = 1,
                                    .row_step = 2,
                                    .row_count = 4,
                                    .keys = odd,
                                    .unsealed = unsealed});
  test_add_chunk(out, &(test_chunk){.entity = "/other", .tag = 2, .row_count = 5, .keys = other, .unsealed = unsealed});
}

static void resumes_at_every_row(void **state)
{
  (void)state;
  for (int unsealed = 0; unsealed < 2; unsealed++) {
    rk_buffer bytes = {0};
    build(&bytes, unsealed == 1);
    for (size_t stop = 0; stop <= 13; stop++) {
      seen rows = {0};
      rk_reader *reader;
      const rk_row *row;
      assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
      assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
      for (size_t i = 0; i < stop; i++) {
        assert_int_equal(rk_reader_next(reader, &row), RK_OK);
        rows.ids[rows.count++] = row->row_id;
      }
      char *cursor = rk_reader_cursor(reader);
      assert_non_null(cursor);
      assert_null(strchr(cursor, '\n'));
      rk_reader_free(reader);

      assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
      assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
      assert_int_equal(rk_reader_resume(reader, cursor, NULL), RK_OK);
      assert_int_equal(take(reader, &rows), RK_END);
      assert_int_equal(rows.count, 13);
      for (size_t i = 0; i < rows.count; i++) {
        for (size_t j = 0; j < i; j++) {
          assert_true(rk_tuid_compare(rows.ids[i], rows.ids[j]) != 0);
        }
      }
      rk_reader_stats stats;
      rk_reader_get_stats(reader, &stats);
      assert_int_equal(stats.rows_returned, 13 - stop);
      char *after = rk_reader_cursor(reader); /* of the whole, again */
      rk_reader_free(reader);
      assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
      assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
      assert_int_equal(rk_reader_resume(reader, after, NULL), RK_OK);
      assert_int_equal(rk_reader_next(reader, &row), RK_END);
      rk_reader_free(reader);
      free(cursor);
      free(after);
    }
    rk_buffer_free(&bytes);
  }
}

/* Rows 1 and 3 of a writer come into the file after 0, 2 and 4 were yielded. */
static void rows_of_chunks_that_were_not_known_are_not_passed_over(void **state)
{
  (void)state;
  static const int64_t keys[] = {10, 30, 50};
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  test_add_writer(&bytes, NULL, NULL, 1);
  test_add_chunk(&bytes,
                 &(test_chunk){.entity = "/a", .tag = 1, .number = 2, .row_step = 2, .row_count = 3, .keys = keys});
  const size_t size = bytes.size;
  test_add_chunk(
      &bytes,
      &(test_chunk){
          .entity = "/b", .tag = 1, .number = 1, .first_row = 1, .row_step = 2, .row_count = 2, .keys = keys + 1});
  test_add_chunk(
      &bytes, &(test_chunk){.entity = "/c", .tag = 1, .number = 3, .first_row = 5, .row_count = 1, .keys = keys + 2});
  rk_reader *reader;
  seen rows = {0};
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, size, NULL), RK_OK);
  assert_int_equal(take(reader, &rows), RK_END);
  assert_int_equal(rows.count, 3);
  char *cursor = rk_reader_cursor(reader);
  rk_reader_free(reader);
  rows.count = 0;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(rk_reader_resume(reader, cursor, NULL), RK_OK);
  assert_int_equal(take(reader, &rows), RK_END);
  assert_int_equal(rows.count, 3);
  assert_string_equal(rows.entities[0], "/b");
  assert_string_equal(rows.entities[2], "/c");
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
  free(cursor);
}

static const char sound[] =
    "{\"rrdkit_cursor\":1,\"last\":{\"key_ns\":-9223372036854775808,\"id\":"
    "\"0123456789abcdef00000000ffffffff\"},\"writers\":[{\"writer\":\"00000000000000ff-00000001\","
    "\"row\":4294967296,\"chunk\":9,\"missing\":[[0,0],[2,5],[8,8]]},"
    "{\"writer\":\"0000000000000000-00000001\",\"row\":0,\"chunk\":0,\"missing\":[]}]}";

static rk_status parse(const char *text, char **again)
{
  rk_positions positions = {.seed = 1};
  const rk_status status = rk_positions_parse(&positions, text, NULL);
  if (again) {
    *again = status == RK_OK ? rk_positions_format(&positions) : NULL;
  }
  rk_positions_free(&positions);
  return status;
}

static void cursor_texts_are_checked(void **state)
{
  (void)state;
  char *again;
  assert_int_equal(parse(sound, &again), RK_OK);
  assert_string_equal(again, sound);
  free(again);
  assert_int_equal(parse("{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[]} \r\n\t\n", &again), RK_OK);
  assert_string_equal(again, "{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[]}");
  free(again);
  char text[sizeof sound];
  for (size_t size = 0; size < sizeof sound - 1; size++) {
    memcpy(text, sound, size);
    text[size] = '\0';
    assert_int_equal(parse(text, NULL), RK_ERR_CORRUPT);
  }
  for (size_t at = 0; at < sizeof sound - 1; at++) { /* another text, or none: never the same */
    for (int bit = 0; bit < 8; bit++) {
      memcpy(text, sound, sizeof sound);
      text[at] = (char)(text[at] ^ 1 << bit);
      if (parse(text, &again) == RK_OK) {
        assert_string_equal(again, text);
        free(again);
      }
    }
  }
  static const struct {
    const char *text;
    rk_status status;
  } refused[] = {
      {"", RK_ERR_CORRUPT},
      {"{}", RK_ERR_CORRUPT},
      {"{\"rrdkit_cursor\":2,", RK_ERR_UNSUPPORTED},
      {"{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[]}x", RK_ERR_CORRUPT},
      {"{\"rrdkit_cursor\":1,\"last\":{\"key_ns\":-0,\"id\":\"0123456789abcdef00000000ffffffff\"},\"writers\":[]}",
       RK_ERR_CORRUPT},
      {"{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[{\"writer\":\"0000000000000000-00000001\",\"row\":4294967297,"
       "\"chunk\":0,\"missing\":[]}]}",
       RK_ERR_CORRUPT},
      {"{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[{\"writer\":\"0000000000000000-00000001\",\"row\":1,"
       "\"chunk\":3,\"missing\":[[1,3]]}]}",
       RK_ERR_CORRUPT}, /* beyond the chunks known */
      {"{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[{\"writer\":\"0000000000000000-00000001\",\"row\":1,"
       "\"chunk\":9,\"missing\":[[3,4],[4,5]]}]}",
       RK_ERR_CORRUPT}, /* not apart */
      {"{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[{\"writer\":\"0000000000000000-00000001\",\"row\":1,\"chunk\":"
       "0,"
       "\"missing\":[]},{\"writer\":\"0000000000000000-00000001\",\"row\":1,\"chunk\":0,\"missing\":[]}]}",
       RK_ERR_CORRUPT}, /* twice */
  };
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    assert_int_equal(parse(refused[i].text, NULL), refused[i].status);
  }
}

static void misuse_is_refused(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  build(&bytes, false);
  rk_reader *reader;
  const rk_row *row;
  const rk_reader_options options[] = {
      {.follow = true, .timeline = "x"}, {.follow = true, .wall_clock = true}, {.follow = true, .follow_delay_ns = -1}};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(rk_reader_open(&options[i], &reader, NULL), RK_ERR_MISUSE);
  }
  assert_int_equal(rk_reader_wait(NULL, 0, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
  assert_int_equal(rk_reader_wait(reader, 0, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_resume(reader, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_resume(reader, "x", NULL), RK_ERR_CORRUPT);
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_int_equal(rk_reader_resume(reader, sound, NULL), RK_ERR_MISUSE);
  rk_reader_free(reader);

  const rk_reader_options following = {.follow = true};
  assert_int_equal(rk_reader_open(&following, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_select(reader, &(rk_reader_options){.timeline = "x"}), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_add_memory(reader, "input", bytes.data, bytes.size, NULL), RK_OK);
  seen rows = {0};
  expect_end(reader, &rows); /* memory does not grow */
  assert_int_equal(rows.count, 13);
  assert_int_equal(rk_reader_wait(reader, -1, NULL), RK_END);
  rk_reader_free(reader);
  rk_buffer_free(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(rows_wait_for_earlier_ones_in_rings, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(rows_wait_for_calls_under_way, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_row_that_comes_too_late_is_yielded_and_counted, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(large_rows_and_new_threads_are_covered, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(what_the_dead_leave_is_read_once, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(what_died_before_its_first_append_is_read_once, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_torn_record_that_is_healed_is_no_loss, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_copy_that_grows_is_followed, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_finished_recording_that_goes_on_is_followed, make_scene, remove_scene),
      cmocka_unit_test(resumes_at_every_row),
      cmocka_unit_test(rows_of_chunks_that_were_not_known_are_not_passed_over),
      cmocka_unit_test(cursor_texts_are_checked),
      cmocka_unit_test(misuse_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
