/* The timeline's units: chunks that overlap nothing are taken whole, and opened again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader/timeline/row_order.h"
#include "tests/random_recordings.h"

/* Reads by units. `take` of 4 offers are taken. Checks what the units promise. */
static size_t read_units(const random_recording *r, const yielded_rows *expected, uint32_t take, uint64_t max_memory)
{
  enum { WHOLE_MAX = 4096 };
  static const rk_entry *whole[WHOLE_MAX];
  static bool ended[WHOLE_MAX];
  size_t whole_count = 0;
  size_t offers = 0;
  random_recording dice = {.state = take + 5};
  rk_reader *reader = random_open(r, NULL, max_memory);
  assert_non_null(reader);
  yielded_rows rows = {0};
  rk_unit unit;
  int64_t now = INT64_MIN;
  rk_status status;
  while ((status = rk_reader_next_unit(reader, &unit)) == RK_OK) {
    if (unit.kind == RK_UNIT_ROW) {
      const yielded y = yielded_row(&unit.row);
      add_yielded(&rows, &y);
      for (size_t i = 0; i < whole_count; i++) {
        assert_true(unit.row.origin != whole[i]);
        assert_true(ended[i] || y.key <= whole[i]->max_ns);
        assert_true(!ended[i] || y.key > whole[i]->max_ns);
      }
      now = y.key;
      continue;
    }
    if (unit.kind == RK_UNIT_OFFER) {
      offers++;
      assert_true(unit.entry->min_ns >= now);
      if (random_below(&dice, 4) < take) {
        rk_reader_take_whole(reader, unit.entry);
        assert_true(whole_count < WHOLE_MAX);
        ended[whole_count] = false;
        whole[whole_count++] = unit.entry;
      }
      continue;
    }
    assert_int_equal(unit.kind, RK_UNIT_WHOLE_END);
    size_t i = 0;
    while (i < whole_count && whole[i] != unit.entry) {
      i++;
    }
    assert_true(i < whole_count && !ended[i]);
    ended[i] = true;
  }
  assert_int_equal(status, RK_END);
  size_t at = 0;
  for (size_t i = 0; i < expected->count; i++) {
    const yielded *y = &expected->rows[i];
    bool taken = false;
    for (size_t w = 0; w < whole_count; w++) {
      assert_true(ended[w]);
      taken = taken || (whole[w]->input->number == y->input && whole[w]->offset == y->offset);
    }
    if (!taken) {
      assert_true(at < rows.count);
      if (!same_yielded(y, &rows.rows[at])) {
        const yielded *b = &rows.rows[at];
        fail_msg("%u of 4 taken: row %zu is %lld/%llx from %llu:%llu[%u] instead of %lld/%llx from %llu:%llu[%u]", take,
                 at, (long long)b->key, (unsigned long long)b->id.inc, (unsigned long long)b->input,
                 (unsigned long long)b->offset, b->position, (long long)y->key, (unsigned long long)y->id.inc,
                 (unsigned long long)y->input, (unsigned long long)y->offset, y->position);
      }
      at++;
    }
  }
  assert_int_equal(at, rows.count);
  free(rows.rows);
  rk_reader_free(reader);
  return offers;
}

static void chunks_that_overlap_nothing_are_offered(void **state)
{
  (void)state;
  size_t offers = 0;
  for (uint64_t seed = 300; seed < 330; seed++) {
    const random_shape shape = {.steady = seed % 3 != 0, .spread = 3000, .chunks = 6};
    random_recording r;
    random_make(&r, seed, &shape);
    rk_reader *reader = random_open(&r, NULL, MANY);
    yielded_rows expected = read_rows(reader);
    rk_reader_free(reader);
    for (uint32_t take = 0; take <= 4; take += 2) {
      if (shape.steady) {
        offers += read_units(&r, &expected, take, MANY);
        offers += read_units(&r, &expected, take, 1);
      }
    }
    free(expected.rows);
    random_free(&r);
  }
  assert_true(offers > 100);
}

/* Which chunks are offered: by their hulls, ends included. */
static void only_what_the_index_shows_alone_is_offered(void **state)
{
  (void)state;
  static const int64_t first[] = {10, 20};
  static const int64_t touching[] = {20, 30};
  static const int64_t after[] = {31, 40};
  static const int64_t other[] = {15, 35};
  static const int64_t back[] = {50, 60};
  static const int64_t back_too[] = {41, 45};
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  test_add_writer(&a, NULL, NULL, 1);
  test_add_writer(&a, NULL, NULL, 2);
  test_add_chunk(&a, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 2, .keys = first});
  test_add_chunk(
      &a, &(test_chunk){.entity = "/a", .tag = 1, .number = 1, .first_row = 2, .row_count = 2, .keys = touching});
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/a", .tag = 1, .number = 2, .first_row = 4, .row_count = 2, .keys = after});
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/b", .tag = 1, .number = 3, .first_row = 6, .row_count = 2, .keys = back});
  test_add_chunk(&a, &(test_chunk){.entity = "/c", .tag = 2, .row_count = 2, .keys = back});
  test_add_chunk(
      &a, &(test_chunk){.entity = "/d", .tag = 2, .number = 1, .first_row = 2, .row_count = 2, .keys = back_too});
  test_add_chunk(&a, &(test_chunk){.entity = "/e", .tag = 3, .row_count = 2, .keys = other, .unsealed = true});
  static const char *const entities[] = {"/b"};
  static const uint32_t one[] = {1};
  static const struct {
    const char *name;
    rk_reader_options options;
    int64_t first_keys[3]; /* of what is offered; 0: no more */
  } cases[] = {{"all", {0}, {31, 50, 0}},
               {"a part of a chunk", {.has_since = true, .since_ns = 32}, {50, 0, 0}},
               {"whole chunks", {.has_since = true, .since_ns = 31, .has_until = true, .until_ns = 61}, {31, 50, 0}},
               {"until within", {.has_until = true, .until_ns = 60}, {31, 0, 0}},
               {"writers", {.writers = one, .writer_count = 1}, {0, 0, 0}},
               {"another id", {.recording_id = "new"}, {0, 0, 0}},
               {"an entity whose path is not known", {.entities = entities, .entity_count = 1}, {0, 0, 0}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&cases[i].options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "a", a.data, a.size, NULL), RK_OK);
    rk_unit unit;
    size_t n = 0;
    rk_status status;
    while ((status = rk_reader_next_unit(reader, &unit)) == RK_OK) {
      if (unit.kind == RK_UNIT_OFFER && unit.entry->min_ns != cases[i].first_keys[n++]) {
        fail_msg("%s: offered %lld", cases[i].name, (long long)unit.entry->min_ns);
      }
    }
    assert_int_equal(status, RK_END);
    if (cases[i].first_keys[n] != 0) {
      fail_msg("%s: only %zu are offered", cases[i].name, n);
    }
    rk_reader_free(reader);
  }
  rk_buffer_free(&a);
}

static void an_origin_can_be_opened_again(void **state)
{
  (void)state;
  const random_shape shape = {.spread = 40, .chunks = 8};
  random_recording r;
  random_make(&r, 5, &shape);
  for (uint64_t memory = 1; memory <= MANY; memory *= MANY) {
    rk_reader *reader = random_open(&r, NULL, memory);
    rk_row_ref ref;
    while (rk_reader_next_ref(reader, &ref) == RK_OK) {
      rk_open_chunk *open;
      assert_int_equal(rk_reader_reopen(reader, ref.origin, &open), RK_OK);
      const uint32_t row = open->order ? open->order[ref.origin_position] : ref.origin_position;
      assert_int_equal(rk_tuid_compare(rk_row_own_key(open, row).id, ref.row_id), 0);
      assert_ptr_equal(open->entity_path, ref.entity_path);
      rk_open_chunk_release(open);
    }
    rk_reader_free(reader);
  }
  random_free(&r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_that_overlap_nothing_are_offered),
      cmocka_unit_test(only_what_the_index_shows_alone_is_offered),
      cmocka_unit_test(an_origin_can_be_opened_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
