/* Lanes: rows spread over bins, gaps, missing chunks, and axes of any length. */
#include "tools/info/lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/info/lanes_axis.h"
#include "tools/terminal.h"

#define S INT64_C(1000000000)

/* An info of one writer and one entity with these spans. */
typedef struct made {
  info info;
  info_writer writer;
  info_entity entity;
} made;

static void make(made *m, info_span *spans, size_t count)
{
  *m = (made){.writer = {.tag = 7, .numbered = true, .tally = {.min_ns = INT64_MAX, .max_ns = INT64_MIN}}};
  m->info = (info){.writers = &m->writer,
                   .writer_count = 1,
                   .entities = &m->entity,
                   .entity_count = 1,
                   .spans = spans,
                   .span_count = count,
                   .axis = RK_TIMELINE_TIMESTAMP,
                   .begin = INT64_MAX,
                   .end = INT64_MIN};
  for (size_t n = 0; n < count; n++) {
    m->info.begin = spans[n].min_ns < m->info.begin ? spans[n].min_ns : m->info.begin;
    m->info.end = spans[n].max_ns > m->info.end ? spans[n].max_ns : m->info.end;
    spans[n].numbered = true;
    m->writer.tally.rows += spans[n].rows;
  }
  m->writer.tally.min_ns = m->info.begin;
  m->writer.tally.max_ns = m->info.end;
  m->entity = (info_entity){.path = "/a", .tally = m->writer.tally};
}

static void rows_are_all_in_bins(void **state)
{
  (void)state;
  static const int64_t ends[][2] = {{0, 0},
                                    {0, 1},
                                    {5, 1000},
                                    {-S, S},
                                    {0, 30 * 86400 * S},
                                    {INT64_MIN, INT64_MAX},
                                    {INT64_MAX, INT64_MAX},
                                    {INT64_MIN, INT64_MIN}};
  for (size_t e = 0; e < sizeof ends / sizeof ends[0]; e++)
    for (size_t bins = 1; bins < 300; bins += 37) {
      info_span spans[] = {{.rows = 10, .min_ns = ends[e][0], .max_ns = ends[e][1]},
                           {.rows = 3, .min_ns = ends[e][1], .max_ns = ends[e][1], .chunk_number = 1},
                           {.rows = 2, .min_ns = ends[e][0], .max_ns = ends[e][0], .chunk_number = 2, .spool = true}};
      made m;
      lanes l;
      make(&m, spans, 3);
      lanes_choose(&l, &m.info, 5);
      lanes_fill(&l, bins);
      assert_int_equal(l.writer_count, 1);
      assert_int_equal(l.entity_count, 1);
      double sum = 0;
      for (size_t bin = 0; bin < bins; bin++)
        sum += l.writers[0].bins[bin];
      assert_true(sum > 14.999 && sum < 15.001);
      assert_int_equal(l.writers[0].rows, 15);
      assert_int_equal(l.writers[0].spool_rows, 2);
      assert_int_equal(l.writers[0].missing_count, 0);
      lanes_free(&l);
    }
}

/* One row a second, a chunk of ten rows each; then nothing for two minutes; then on. */
static void a_gap_is_marked(void **state)
{
  (void)state;
  info_span spans[20];
  for (size_t n = 0; n < 20; n++) {
    int64_t begin = (int64_t)n * 10 * S + (n >= 12 ? 120 * S : 0);
    spans[n] = (info_span){.rows = 10, .min_ns = begin, .max_ns = begin + 9 * S, .chunk_number = (uint32_t)n};
  }
  made m;
  lanes l;
  make(&m, spans, 20);
  lanes_choose(&l, &m.info, 5);
  lanes_fill(&l, 319);
  const lane *one = &l.entities[0];
  assert_int_equal(one->gap_count, 1);
  assert_int_equal(one->gaps[0].from, 119 * S);
  assert_int_equal(one->gaps[0].to, 240 * S);
  assert_int_equal(one->marks[180], LANE_GAP);
  assert_int_equal(one->marks[100], 0);
  assert_int_equal(one->marks[250], 0);
  lanes_free(&l);
}

static void numbers_tell_missing_chunks(void **state)
{
  (void)state;
  static const uint32_t numbers[] = {1, 2, 5, 6};
  info_span spans[4];
  for (size_t n = 0; n < 4; n++)
    spans[n] = (info_span){
        .rows = 1, .min_ns = (int64_t)n * 10 * S, .max_ns = (int64_t)n * 10 * S + 5 * S, .chunk_number = numbers[n]};
  made m;
  lanes l;
  make(&m, spans, 4);
  for (int selected = 0; selected < 2; selected++) {
    m.info.options.selected = selected != 0;
    lanes_choose(&l, &m.info, 5);
    lanes_fill(&l, 35);
    assert_int_equal(l.entities[0].missing_count, 0);
    assert_int_equal(l.writers[0].missing_count, selected ? 0 : 2);
    assert_int_equal(l.writers[0].missing_chunks, selected ? 0 : 3);
    if (!selected) {
      const lane_event *first = &l.writers[0].missing[0], *second = &l.writers[0].missing[1];
      assert_int_equal(first->first, 0);
      assert_int_equal(first->count, 1);
      assert_int_equal(second->first, 3);
      assert_int_equal(second->count, 2);
      assert_int_equal(second->from, 15 * S);
      assert_int_equal(second->to, 20 * S);
      assert_true((l.writers[0].marks[17] & LANE_MISSING) != 0);
    }
    lanes_free(&l);
  }
  m.writer.numbered = false; /* of a merged recording */
  m.info.options.selected = false;
  lanes_choose(&l, &m.info, 5);
  lanes_fill(&l, 35);
  assert_int_equal(l.writers[0].missing_count, 0);
  lanes_free(&l);
}

/* Ticks are in order, inside, and their labels do not touch, from one nanosecond to all of time. */
static void axes_of_any_length(void **state)
{
  (void)state;
  static const rk_timeline_kind kinds[] = {RK_TIMELINE_SEQUENCE, RK_TIMELINE_DURATION, RK_TIMELINE_TIMESTAMP};
  static const int64_t begins[] = {0, 1763640000123456789, -5 * S, INT64_MIN, INT64_MAX - 7};
  static const when_zone zones[] = {WHEN_UTC, WHEN_RELATIVE};
  out label;
  out_init(&label, -1);
  for (size_t k = 0; k < 3; k++)
    for (size_t z = 0; z < 2; z++)
      for (size_t b = 0; b < sizeof begins / sizeof begins[0]; b++)
        for (int bits = 0; bits < 64; bits++) {
          int64_t end;
          if (__builtin_add_overflow(begins[b], (int64_t)((UINT64_C(1) << bits) - 1), &end))
            end = INT64_MAX;
          info_span span = {.rows = 2, .min_ns = begins[b], .max_ns = end};
          made m;
          lanes l;
          make(&m, &span, 1);
          m.info.axis = kinds[k];
          lanes_choose(&l, &m.info, 1);
          lanes_fill(&l, 100);
          axis a = axis_make(&l, zones[z], 8, true);
          int64_t tick, before = INT64_MIN;
          size_t free_from = 0, ticks = 0;
          if (axis_first(&a, &tick))
            do {
              assert_true(tick >= begins[b] && tick <= end && (ticks == 0 || tick > before));
              before = tick;
              size_t column = lanes_bin(&l, tick);
              assert_true(end == begins[b] || ticks == 0 || column >= free_from);
              label.size = 0;
              axis_label(&label, &a, tick);
              assert_true(label.size > 0 && label.size < 40);
              free_from = column + terminal_text_width(label.data, label.size) + 1;
              assert_true(++ticks <= 20);
            } while (axis_next(&a, &tick));
          lanes_free(&l);
        }
  out_free(&label);
}

static void the_busiest_are_chosen(void **state)
{
  (void)state;
  enum { COUNT = 100 };
  info i = {.begin = 0, .end = 10};
  info_entity entities[COUNT];
  for (size_t n = 0; n < COUNT; n++)
    entities[n] = (info_entity){.path = "/e", .tally = {.rows = n * 37 % COUNT + 1, .min_ns = 0, .max_ns = 10}};
  entities[50].tally = (tally){.rows = 1000, .min_ns = INT64_MAX, .max_ns = INT64_MIN}; /* static only */
  i.entities = entities;
  i.entity_count = COUNT;
  lanes l;
  lanes_choose(&l, &i, 3);
  assert_int_equal(l.entity_count, 4);
  assert_int_equal(l.writer_count, 0);
  for (size_t n = 0; n < 3; n++)
    assert_true(entities[l.entities[n].number].tally.rows >= 98 &&
                (n == 0 || l.entities[n].number > l.entities[n - 1].number));
  assert_int_equal(l.entities[3].kind, LANE_OTHERS);
  assert_int_equal(l.entities[3].number, COUNT - 1 - 3);
  lanes_free(&l);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_all_in_bins),        cmocka_unit_test(a_gap_is_marked),
      cmocka_unit_test(numbers_tell_missing_chunks), cmocka_unit_test(axes_of_any_length),
      cmocka_unit_test(the_busiest_are_chosen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
