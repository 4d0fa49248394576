/* The timeline against its definition: the order of rows, chunks taken whole, orders by other timelines, and entries
 * that are added while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader/timeline/timeline_internal.h"
#include "tests/random_recordings.h"

#define MANY ((uint64_t)1 << 30)

/* ---- The order, computed as row_order.h defines it ---- */

typedef struct model_row {
  yielded y;
  rk_tuid effective_id;
  int64_t effective_key;
  bool of_writer; /* of a chunk of one writer */
} model_row;

static int compare_ids(rk_tuid a, rk_tuid b)
{
  return rk_tuid_compare(a, b);
}

static int compare_identity(const yielded *a, const yielded *b)
{
  const int order = strcmp(a->entity, b->entity);
  return order ? order : strcmp(a->component, b->component);
}

static int by_number(const void *left, const void *right)
{
  const model_row *a = left;
  const model_row *b = right;
  if (a->of_writer != b->of_writer) {
    return a->of_writer ? -1 : 1;
  }
  if (a->y.id.inc != b->y.id.inc) {
    return a->y.id.inc < b->y.id.inc ? -1 : 1;
  }
  if (a->y.key != b->y.key) {
    return a->y.key < b->y.key ? -1 : 1;
  }
  return compare_ids(a->y.id, b->y.id);
}

static int by_order(const void *left, const void *right)
{
  const model_row *a = left;
  const model_row *b = right;
  if (a->effective_key != b->effective_key) {
    return a->effective_key < b->effective_key ? -1 : 1;
  }
  int order = compare_ids(a->effective_id, b->effective_id);
  if (order) {
    return order;
  }
  if (a->y.id.inc != b->y.id.inc) {
    return a->y.id.inc < b->y.id.inc ? -1 : 1;
  }
  if (a->y.key != b->y.key) {
    return a->y.key < b->y.key ? -1 : 1;
  }
  order = compare_ids(a->y.id, b->y.id);
  order = order ? order : compare_identity(&a->y, &b->y);
  return order ? order : (int)a->y.is_static - (int)b->y.is_static;
}

static bool same_row(const yielded *a, const yielded *b)
{
  return compare_ids(a->id, b->id) == 0 && compare_identity(a, b) == 0 && a->is_static == b->is_static;
}

/* All rows of all chunks, each chunk read by itself. */
static model_row *all_rows(rk_reader *reader, size_t *count)
{
  model_row *rows = NULL;
  *count = 0;
  for (size_t i = 0; i < reader->entries.count; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    rk_open_chunk *open;
    assert_int_equal(rk_reader_reopen(reader, entry, &open), RK_OK);
    const size_t chunk_rows = (size_t)open->chunk.row_count;
    rows = realloc(rows, (*count + chunk_rows) * sizeof *rows);
    for (uint32_t p = 0; p < chunk_rows; p++) {
      const uint32_t row = open->order ? open->order[p] : p;
      const rk_row_key own = rk_row_own_key(open, row);
      const rk_row_key effective = rk_row_effective_key(open, row);
      const rk_row_ref ref = {.open = open,
                              .row = row,
                              .origin = entry,
                              .origin_position = p,
                              .row_id = own.id,
                              .key_ns = own.key,
                              .stored_key_ns = own.key,
                              .is_static = open->stored_static};
      rk_row_ref named = ref;
      named.entity_path = open->entity_path;
      rows[(*count)++] = (model_row){.y = yielded_row(&named),
                                     .effective_key = effective.key,
                                     .effective_id = effective.id,
                                     .of_writer = entry->writer != 0 && !open->stored_static};
    }
    rk_open_chunk_release(open);
  }
  return rows;
}

static void rows_come_in_the_order_that_is_defined(void **state)
{
  (void)state;
  for (uint64_t seed = 100; seed < 130; seed++) {
    const random_shape shape = {.spread = seed % 4 == 0 ? 3 : 150, .chunks = 10};
    random_recording r;
    random_make(&r, seed, &shape);
    rk_reader *reader = random_open(&r, NULL, MANY);
    assert_non_null(reader);
    size_t count;
    model_row *model = all_rows(reader, &count);
    qsort(model, count, sizeof *model, by_number);
    for (size_t i = 1; i < count && model[i].of_writer; i++) {
      if (model[i].y.id.inc >> 32 == model[i - 1].y.id.inc >> 32 &&
          (model[i].effective_key < model[i - 1].effective_key ||
           (model[i].effective_key == model[i - 1].effective_key &&
            compare_ids(model[i].effective_id, model[i - 1].effective_id) < 0))) {
        model[i].effective_key = model[i - 1].effective_key;
        model[i].effective_id = model[i - 1].effective_id;
      }
    }
    qsort(model, count, sizeof *model, by_order);
    yielded_rows rows = read_rows(reader);
    size_t m = 0;
    for (size_t i = 0; i < rows.count; i++) {
      assert_true(m < count);
      assert_true(same_row(&rows.rows[i], &model[m].y));
      assert_int_equal(rows.rows[i].key, model[m].effective_key);
      while (++m < count && same_row(&rows.rows[i], &model[m].y)) { /* repeats */
      }
    }
    assert_int_equal(m, count);
    assert_int_equal(rows.count + rows.stats.duplicate_rows, count);
    free(rows.rows);
    free(model);
    rk_reader_free(reader);
    random_free(&r);
  }
}

static void another_timeline_orders(void **state)
{
  (void)state;
  for (uint64_t seed = 200; seed < 210; seed++) {
    const random_shape shape = {.spread = 50, .chunks = 10};
    random_recording r;
    random_make(&r, seed, &shape);
    rk_reader *plain = random_open(&r, NULL, MANY);
    yielded_rows all = read_rows(plain);
    size_t statics = 0;
    size_t on_frame = 0;
    size_t within = 0;
    for (size_t i = 0; i < all.count; i++) {
      size_t j = 0; /* copies that were clamped otherwise are apart */
      while (j < i && !same_row(&all.rows[i], &all.rows[j])) {
        j++;
      }
      if (j < i) {
        continue;
      }
      statics += all.rows[i].is_static;
      on_frame += !all.rows[i].is_static && all.rows[i].frame > -1000;
      within += !all.rows[i].is_static && all.rows[i].frame >= 3 && all.rows[i].frame < 12;
    }
    rk_reader_free(plain);
    static const rk_reader_options parts[] = {
        {.timeline = "frame"},
        {.timeline = "frame", .has_since = true, .since_ns = 3, .has_until = true, .until_ns = 12},
        {.timeline = "nothing"}};
    for (size_t p = 0; p < 3; p++) {
      rk_reader *reader = random_open(&r, &parts[p], MANY);
      yielded_rows rows = read_rows(reader);
      assert_int_equal(rows.status, RK_END);
      const size_t expected = p == 0 ? on_frame : p == 1 ? within : 0;
      assert_true(rows.count >= statics + expected); /* copies with other frames are apart: none of them is a repeat */
      assert_true(p != 2 || rows.count == statics);
      for (size_t i = 0; i < rows.count; i++) {
        const yielded *y = &rows.rows[i];
        const yielded *before = i > 0 ? y - 1 : NULL;
        assert_true(!before || before->is_static || !y->is_static);
        if (y->is_static) {
          continue;
        }
        assert_int_equal(y->key, y->frame);
        assert_true(p != 1 || (y->frame >= 3 && y->frame < 12));
        if (before && !before->is_static) {
          assert_true(before->frame < y->frame ||
                      (before->frame == y->frame &&
                       (before->log_time < y->log_time ||
                        (before->log_time == y->log_time && compare_ids(before->id, y->id) <= 0))));
        }
      }
      free(rows.rows);
      rk_reader_free(reader);
    }
    free(all.rows);
    random_free(&r);
  }
}

static bool stop(void *context, const char *input, uint64_t bytes_done, uint64_t bytes_total)
{
  (void)input;
  (void)bytes_done;
  (void)bytes_total;
  (*(unsigned *)context)++;
  return false;
}

static void looking_through_chunks_can_be_stopped(void **state)
{
  (void)state;
  const random_shape shape = {.spread = 50, .chunks = 10};
  random_recording r;
  random_make(&r, 1, &shape);
  unsigned calls = 0;
  rk_reader *reader = random_open(&r, &(rk_reader_options){.timeline = "frame"}, MANY);
  reader->on_progress = stop;
  reader->context = &calls;
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_END);
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_END);
  assert_int_equal(calls, 1);
  rk_reader_free(reader);
  random_free(&r);
}

/* ---- Chunks taken whole ---- */

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

/* ---- Growth ---- */

static rk_entry *last_entry(rk_reader *reader)
{
  return rk_entry_at(reader, reader->entries.count - 1);
}

/* Adds an entry as following does: the timeline runs already. */
static void grow(rk_reader *reader, rk_buffer *input)
{
  rk_timeline_state *timeline = reader->timeline;
  reader->timeline = NULL; /* inputs are added before the first row, says rk_reader_add */
  assert_int_equal(rk_reader_add_memory(reader, "more", input->data, input->size, NULL), RK_OK);
  reader->timeline = timeline;
  assert_int_equal(rk_timeline_add(reader, last_entry(reader)), RK_OK);
}

static void expect_row(rk_reader *reader, uint32_t tag, uint32_t number)
{
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_OK);
  assert_int_equal(ref.row_id.inc, rk_row_inc(tag, number));
}

static void expect_nothing_yet(rk_reader *reader)
{
  rk_row_ref ref;
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_AGAIN);
  assert_int_equal(rk_reader_next_ref(reader, &ref), RK_AGAIN);
}

static rk_buffer one_chunk(const test_chunk *chunk)
{
  rk_buffer out = {0};
  test_begin(&out, NULL, NULL, false);
  test_add_writer(&out, NULL, NULL, chunk->tag);
  test_add_chunk(&out, chunk);
  return out;
}

static void entries_can_be_added_while_it_runs(void **state)
{
  (void)state;
  static const int64_t begin[] = {10, 20, 30};
  static const int64_t next[] = {32, 34};
  static const int64_t late[] = {15, 33};
  static const int64_t unknown[] = {5, 40};
  static const int64_t inner[] = {31, 50};
  rk_buffer inputs[] = {
      one_chunk(&(test_chunk){.entity = "/a", .tag = 1, .row_count = 3, .keys = begin}),
      one_chunk(&(test_chunk){.entity = "/a", .tag = 1, .number = 1, .first_row = 4, .row_count = 2, .keys = next}),
      one_chunk(&(test_chunk){.entity = "/a", .tag = 2, .row_count = 2, .keys = late}),
      one_chunk(&(test_chunk){.entity = "/u", .tag = 3, .row_count = 2, .keys = unknown, .merged = true}),
      one_chunk(&(test_chunk){
          .entity = "/b", .tag = 1, .number = 2, .first_row = 3, .row_step = 3, .row_count = 2, .keys = inner}),
  };
  for (uint64_t memory = 1; memory <= MANY; memory *= MANY) {
    rk_reader *reader;
    assert_int_equal(rk_reader_open(&(rk_reader_options){.follow = true}, &reader, NULL), RK_OK);
    reader->max_memory = memory;
    assert_int_equal(rk_reader_add_memory(reader, "first", inputs[0].data, inputs[0].size, NULL), RK_OK);
    reader->has_limit = true;
    reader->limit_ns = 10;
    expect_nothing_yet(reader);
    reader->limit_ns = 30;
    expect_row(reader, 1, 0);
    expect_row(reader, 1, 1);
    expect_nothing_yet(reader);
    grow(reader, &inputs[2]); /* 15 comes after 20 has been yielded */
    expect_row(reader, 2, 0);
    expect_nothing_yet(reader);
    rk_reader_stats stats;
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 1);
    reader->limit_ns = 31;
    expect_row(reader, 1, 2);
    expect_nothing_yet(reader); /* the writer has run dry */
    grow(reader, &inputs[1]);
    reader->limit_ns = 1000;
    expect_row(reader, 1, 4); /* 32 */
    grow(reader, &inputs[4]); /* rows 3 and 6 of the same writer: 3 should have come before */
    expect_row(reader, 1, 3);
    expect_row(reader, 2, 1); /* 33 */
    expect_row(reader, 1, 5); /* 34 */
    grow(reader, &inputs[3]);
    expect_row(reader, 3, 0); /* 5 */
    expect_row(reader, 3, 1); /* 40 */
    expect_row(reader, 1, 6); /* 50 */
    expect_nothing_yet(reader);
    rk_reader_get_stats(reader, &stats);
    assert_int_equal(stats.late_rows, 3);
    assert_int_equal(stats.rows_returned, 11);
    rk_reader_free(reader);
  }
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    rk_buffer_free(&inputs[i]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_in_the_order_that_is_defined),
      cmocka_unit_test(another_timeline_orders),
      cmocka_unit_test(looking_through_chunks_can_be_stopped),
      cmocka_unit_test(chunks_that_overlap_nothing_are_offered),
      cmocka_unit_test(only_what_the_index_shows_alone_is_offered),
      cmocka_unit_test(an_origin_can_be_opened_again),
      cmocka_unit_test(entries_can_be_added_while_it_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
