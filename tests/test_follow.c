/* Following living writers: what they hold back is waited for, and no longer. */
#include "tests/followed.h"

#include <fcntl.h>
#include <unistd.h>

#include "format/spool.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(rows_wait_for_earlier_ones_in_rings, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(rows_wait_for_calls_under_way, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(a_row_that_comes_too_late_is_yielded_and_counted, make_scene, remove_scene),
      cmocka_unit_test_setup_teardown(large_rows_and_new_threads_are_covered, make_scene, remove_scene),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
