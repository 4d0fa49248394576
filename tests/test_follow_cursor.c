/* Cursors: following that goes on where an earlier reader stood, at any row, and texts that are no cursors. */
#include "tests/followed.h"

#include "reader/follow/follow_cursor.h"
#include "tests/recordings.h"

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
      cmocka_unit_test(resumes_at_every_row),
      cmocka_unit_test(rows_of_chunks_that_were_not_known_are_not_passed_over),
      cmocka_unit_test(cursor_texts_are_checked),
      cmocka_unit_test(misuse_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
