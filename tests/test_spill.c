/* Sorting in temporary files: rows come in the same order however little memory there is, and what is held stays within
 * bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader/timeline_internal.h"
#include "tests/random_recordings.h"

#define MANY ((uint64_t)1 << 30)

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(little_memory_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
