/* A reader's inputs: the stores, writers and chunks that they hold, and those that cannot be read. */
#include "tests/reading.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- What inputs hold ---- */

static void stores_writers_and_rows_tell_each_other(void **state)
{
  (void)state;
  rk_buffer a = {0};
  add_filter_material(&a);
  rk_buffer b = {0};
  test_begin(&b, NULL, NULL, true);
  static const int64_t keys[] = {1};
  test_add_chunk(&b, &(test_chunk){.entity = "/stock", .tag = 77, .row_count = 1, .keys = keys, .unsealed = true});
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "a", a.data, a.size, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "b", b.data, b.size, NULL), RK_OK);
  size_t count;
  const rk_store *const *stores = rk_reader_stores(reader, &count);
  assert_int_equal(count, 1);
  assert_string_equal(stores[0]->application_id, "app");
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  assert_int_equal(count, 2);
  assert_int_equal(writers[0]->tag, 1);
  assert_int_equal(writers[1]->tag, 2);
  assert_string_equal(writers[1]->program, "program");
  assert_ptr_equal(writers[0]->store, stores[0]);
  const rk_row *row;
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_string_equal(row->entity_path, "/stock");
  assert_null(row->writer);
  assert_ptr_equal(row->store, stores[0]);
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_string_equal(row->entity_path, "/b");
  assert_ptr_equal(row->writer, writers[1]);
  assert_int_equal(row->row_number, 0);
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_ptr_equal(row->writer, writers[0]);
  assert_int_equal(row->timeline_count, 2);
  assert_string_equal(row->timelines[0].timeline, "frame");
  assert_int_equal(row->timelines[0].kind, RK_TIMELINE_SEQUENCE);
  assert_int_equal(row->timelines[0].value, 1);
  assert_string_equal(row->timelines[1].timeline, "log_time");
  assert_int_equal(row->timelines[1].value, 10);
  assert_string_equal(row->components[0].component_type, "rerun.components.Scalar");
  rk_reader_free(reader);
  rk_buffer_free(&a);
  rk_buffer_free(&b);
}

static void chunks_are_described_in_file_order(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  const int64_t keys[] = {30, 40};
  const int64_t frames[] = {8, 3};
  const size_t offset =
      test_add_chunk(&a, &(test_chunk){.entity = "/x", .tag = 5, .row_count = 2, .keys = keys, .frames = frames});
  test_add_chunk(&a, &(test_chunk){.entity = "/empty", .tag = 5, .number = 1, .first_row = 2, .keys = keys});
  test_add_chunk(
      &a, &(test_chunk){
              .entity = "/bare", .component = "", .tag = 5, .number = 2, .first_row = 2, .row_count = 1, .keys = keys});
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "name", a.data, a.size, NULL), RK_OK);
  const rk_chunk_info *chunk;
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
  assert_string_equal(chunk->input, "name");
  assert_string_equal(chunk->entity_path, "/x");
  assert_int_equal(chunk->offset, offset);
  assert_int_equal(chunk->writer, 5);
  assert_int_equal(chunk->row_count, 2);
  assert_int_equal(chunk->min_ns, 30);
  assert_int_equal(chunk->max_ns, 40);
  assert_int_equal(chunk->timeline_count, 2);
  assert_string_equal(chunk->timeline_min[0].timeline, "frame");
  assert_int_equal(chunk->timeline_min[0].value, 3);
  assert_int_equal(chunk->timeline_max[0].value, 8);
  assert_int_equal(chunk->component_count, 1);
  assert_string_equal(chunk->components[0], "Scalars:scalars");
  assert_int_equal(chunk->component_rows[0], 2);
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
  assert_string_equal(chunk->entity_path, "/empty");
  assert_int_equal(chunk->row_count, 0);
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
  assert_string_equal(chunk->entity_path, "/bare");
  assert_int_equal(chunk->component_count, 0);
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_END);
  reading *r = test_calloc(1, sizeof *r);
  drain(reader, r);
  assert_int_equal(r->count, 2);
  assert_int_equal(r->stats.chunk_count, 3);
  test_free(r);
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

static void a_seal_that_lies_about_its_rows_is_damage(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  const int64_t keys[] = {30, 40};
  const uint32_t tags[] = {5, 6}; /* rows of another writer than the seal says */
  test_add_chunk(&a, &(test_chunk){.entity = "/x", .tag = 5, .row_count = 2, .keys = keys, .tags = tags});
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/y", .tag = 5, .number = 1, .first_row = 2, .row_count = 2, .keys = keys});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(5, 2), INC(5, 3)};
  assert_order(r, expected, 2);
  assert_int_equal(r->losses, 1);
  assert_int_equal(r->stats.loss_count, 1);
  test_free(r);
  rk_buffer_free(&a);
}

/* ---- Inputs that are none ---- */

static void inputs_that_cannot_be_read_say_why(void **state)
{
  (void)state;
  rk_reader *reader;
  rk_error error;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, "/nonexistent/file", NULL, &error), RK_ERR_IO);
  assert_int_equal(error.sys_errno, ENOENT);
  assert_int_equal(rk_reader_add(reader, "/", NULL, &error), RK_ERR_IO);
  assert_int_equal(error.sys_errno, EISDIR);
  assert_int_equal(rk_reader_add(reader, "/dev/null", NULL, &error), RK_ERR_TRUNCATED);
  assert_int_equal(rk_reader_add_memory(reader, "empty", "", 0, &error), RK_ERR_TRUNCATED);
  assert_int_equal(rk_reader_add_memory(reader, "short", "RRF2", 4, &error), RK_ERR_TRUNCATED);
  assert_int_equal(rk_reader_add_memory(reader, "text", "hello, this is no recording", 27, &error), RK_ERR_NOT_RRD);
  assert_int_equal(error.offset, 0);
  assert_int_equal(rk_reader_add_memory(reader, "old", "RRF0\0\0\0\0\0\2\0\0", 12, &error), RK_ERR_UNSUPPORTED);
  assert_int_equal(rk_reader_add(reader, NULL, NULL, &error), RK_ERR_MISUSE);
  const rk_row *row;
  assert_int_equal(rk_reader_next(reader, &row), RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.input_size, 0);
  rk_reader_free(reader);
  rk_reader_free(NULL);
}

static void options_that_make_no_sense_are_refused(void **state)
{
  (void)state;
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&(rk_reader_options){.entity_count = 1}, &reader, NULL), RK_ERR_MISUSE);
  assert_null(reader);
  assert_int_equal(rk_reader_open(&(rk_reader_options){.writer_count = 1}, &reader, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_open(&(rk_reader_options){.application_id = ""}, &reader, NULL), RK_ERR_MISUSE);
}

static void files_and_pipes_read_like_memory(void **state)
{
  (void)state;
  rk_buffer a = {0};
  add_filter_material(&a);
  for (size_t i = 0; i < 500; i++) { /* more than a peek and a pipe hold */
    static const int64_t keys[CHUNK_ROWS_MAX];
    test_add_chunk(&a, &(test_chunk){.entity = "/bulk",
                                     .tag = 3,
                                     .number = (uint32_t)i,
                                     .first_row = (uint32_t)i,
                                     .row_count = 1,
                                     .keys = keys,
                                     .plain = true});
  }
  char path[] = "/tmp/rrdkit-test-XXXXXX";
  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, a.data, a.size), (ssize_t)a.size);
  char command[128];
  (void)snprintf(command, sizeof command, "cat %s", path);
  const rk_buffer *inputs[] = {&a};
  reading *expected = read_all(NULL, inputs, 1);
  for (int piped = 0; piped < 2; piped++) {
    FILE *pipe = piped ? popen(command, "r") : NULL;
    char name[64];
    (void)snprintf(name, sizeof name, "/dev/fd/%d", pipe ? fileno(pipe) : -1);
    rk_reader *reader;
    assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add(reader, pipe ? name : path, NULL, NULL), RK_OK);
    reading *r = test_calloc(1, sizeof *r);
    drain(reader, r);
    assert_int_equal(r->count, expected->count);
    assert_memory_equal(r->rows, expected->rows, sizeof r->rows);
    assert_int_equal(r->stats.input_size, a.size);
    test_free(r);
    rk_reader_free(reader);
    if (pipe) {
      (void)pclose(pipe);
    }
  }
  test_free(expected);
  (void)close(fd);
  (void)unlink(path);
  rk_buffer_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stores_writers_and_rows_tell_each_other),   cmocka_unit_test(chunks_are_described_in_file_order),
      cmocka_unit_test(a_seal_that_lies_about_its_rows_is_damage), cmocka_unit_test(inputs_that_cannot_be_read_say_why),
      cmocka_unit_test(options_that_make_no_sense_are_refused),    cmocka_unit_test(files_and_pipes_read_like_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
