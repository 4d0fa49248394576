/* Filters on a reader: by time, entity, writer and timeline. */
#include "tests/reading.h"

static void filters_admit_exactly_what_they_say(void **state)
{
  (void)state;
  static const char *const glob_x[] = {"/a/x"};
  static const char *const glob_a[] = {"/a/*"};
  static const char *const glob_none[] = {"/c"};
  static const uint32_t one[] = {1};
  static const uint32_t both[] = {1, 2};
  static const struct {
    const char *name;
    rk_reader_options options;
    size_t rows;
  } cases[] = {
      {"none", {0}, 7},
      {"entity", {.entities = glob_x, .entity_count = 1}, 3},
      {"entities by glob", {.entities = glob_a, .entity_count = 1}, 6},
      {"no such entity", {.entities = glob_none, .entity_count = 1}, 0},
      {"writer", {.writers = one, .writer_count = 1}, 3},
      {"writers", {.writers = both, .writer_count = 2}, 7},
      {"timeline, and static rows", {.timeline = "frame"}, 4},
      {"no such timeline but static rows", {.timeline = "nothing"}, 1},
      {"since", {.has_since = true, .since_ns = 25}, 4},
      {"until", {.has_until = true, .until_ns = 15}, 2},
      {"since and until", {.has_since = true, .since_ns = 15, .has_until = true, .until_ns = 30}, 4},
      {"after everything", {.has_since = true, .since_ns = 1000}, 1},
      {"before everything", {.has_until = true, .until_ns = -1000}, 1},
  };
  rk_buffer a = {0};
  add_filter_material(&a);
  const rk_buffer *inputs[] = {&a};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    reading *r = read_all(&cases[i].options, inputs, 1);
    if (r->count != cases[i].rows) {
      fail_msg("%s: %zu rows", cases[i].name, r->count);
    }
    test_free(r);
  }
  rk_buffer_free(&a);
}

/* Their seals tell whose rows they are, also of static ones. */
static void writers_without_records_are_told_apart(void **state)
{
  (void)state;
  static const int64_t keys[] = {10, 20};
  static const uint32_t one[] = {1};
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  for (uint32_t tag = 1; tag <= 2; tag++) {
    test_add_chunk(&a, &(test_chunk){.entity = "/a", .tag = tag, .row_count = 2, .keys = keys});
    test_add_chunk(
        &a,
        &(test_chunk){
            .entity = "/s", .tag = tag, .number = 1, .first_row = 2, .row_count = 1, .keys = keys, .is_static = true});
  }
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(&(rk_reader_options){.writers = one, .writer_count = 1}, inputs, 1);
  assert_int_equal(r->count, 3);
  test_free(r);
  rk_buffer_free(&a);
}

static void filters_can_be_replaced_before_the_first_row(void **state)
{
  (void)state;
  rk_buffer a = {0};
  add_filter_material(&a);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "a", a.data, a.size, NULL), RK_OK);
  const rk_chunk_info *chunk;
  unsigned chunks = 0;
  while (rk_reader_next_chunk(reader, &chunk) == RK_OK) {
    chunks++;
  }
  assert_int_equal(chunks, 3);
  static const char *const glob[] = {"/b"};
  const rk_reader_options options = {.entities = glob, .entity_count = 1};
  assert_int_equal(rk_reader_select(reader, &options), RK_OK);
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_OK);
  assert_string_equal(chunk->entity_path, "/b");
  assert_true(chunk->is_static && chunk->sealed);
  assert_int_equal(rk_reader_next_chunk(reader, &chunk), RK_END);
  const rk_row *row;
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_true(row->is_static);
  assert_int_equal(row->timeline_count, 0);
  assert_int_equal(rk_reader_next(reader, &row), RK_END);
  assert_int_equal(rk_reader_select(reader, &options), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_add_memory(reader, "a", a.data, a.size, NULL), RK_ERR_MISUSE);
  rk_reader_free(reader);
  rk_buffer_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(filters_admit_exactly_what_they_say),
      cmocka_unit_test(writers_without_records_are_told_apart),
      cmocka_unit_test(filters_can_be_replaced_before_the_first_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
