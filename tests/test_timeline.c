/* The timeline against its definition: the order of rows, and orders by other timelines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader/timeline/row_order.h"
#include "tests/random_recordings.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_in_the_order_that_is_defined),
      cmocka_unit_test(another_timeline_orders),
      cmocka_unit_test(looking_through_chunks_can_be_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
