/* The rows that a reader yields from recordings in memory, in their order. */
#ifndef RK_TESTS_READING_H
#define RK_TESTS_READING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

typedef struct seen {
  uint64_t inc;
  int64_t key;
  double value;
  char entity[32];
  char component[32];
  bool is_static;
} seen;

#define SEEN_MAX 4096

typedef struct reading {
  seen rows[SEEN_MAX];
  size_t count;
  rk_reader_stats stats;
  unsigned losses;
  char reason[256];
} reading;

static inline void count_loss(void *context, const rk_loss *loss)
{
  reading *r = context;
  r->losses++;
  (void)snprintf(r->reason, sizeof r->reason, "%s", loss->reason);
}

static inline void drain(rk_reader *reader, reading *r)
{
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    assert_true(r->count < SEEN_MAX);
    seen *s = &r->rows[r->count++];
    *s = (seen){.inc = row->row_id.inc, .key = row->key_ns, .is_static = row->is_static};
    (void)snprintf(s->entity, sizeof s->entity, "%s", row->entity_path);
    if (row->component_count > 0) {
      const rk_component_cell *cell = &row->components[0];
      (void)snprintf(s->component, sizeof s->component, "%s", cell->component);
      assert_int_equal(cell->count, 1);
      assert_string_equal(cell->schema->format, "g");
      s->value = ((const double *)cell->values->buffers[1])[cell->values->offset + cell->start];
      assert_true(s->value == test_value((uint32_t)(row->row_id.inc >> 32), (uint32_t)row->row_id.inc));
    }
  }
  assert_int_equal(status, RK_END);
  assert_int_equal(rk_reader_next(reader, &row), RK_END);
  rk_reader_get_stats(reader, &r->stats);
  assert_int_equal(r->stats.rows_returned, r->count);
}

/* Reads `count` inputs in the order given. The caller frees. */
static inline reading *read_all(const rk_reader_options *options, const rk_buffer *const *inputs, size_t count)
{
  reading *r = test_calloc(1, sizeof *r);
  rk_reader_options o = options ? *options : (rk_reader_options){0};
  o.on_loss = count_loss;
  o.context = r;
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&o, &reader, NULL), RK_OK);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(rk_reader_add_memory(reader, "input", inputs[i]->data, inputs[i]->size, NULL), RK_OK);
  }
  drain(reader, r);
  rk_reader_free(reader);
  return r;
}

static inline void assert_order(const reading *r, const uint64_t *incs, size_t count)
{
  assert_int_equal(r->count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(r->rows[i].inc, incs[i]);
    assert_true(i == 0 || r->rows[i].key >= r->rows[i - 1].key);
  }
}

#define INC(tag, number) ((uint64_t)(tag) << 32 | (number))

/* ---- Filters ---- */

static inline void add_filter_material(rk_buffer *a)
{
  test_begin(a, NULL, NULL, false);
  test_add_writer(a, NULL, NULL, 1);
  test_add_writer(a, NULL, NULL, 2);
  static const int64_t first[] = {10, 20, 30};
  static const int64_t second[] = {15, 25, 35};
  static const int64_t frames[] = {1, 2, 3};
  static const int64_t static_key[] = {5};
  test_add_chunk(a, &(test_chunk){.entity = "/a/x", .tag = 1, .row_count = 3, .keys = first, .frames = frames});
  test_add_chunk(
      a, &(test_chunk){.entity = "/a/y", .tag = 2, .number = 1, .first_row = 1, .row_count = 3, .keys = second});
  test_add_chunk(a, &(test_chunk){.entity = "/b", .tag = 2, .row_count = 1, .keys = static_key, .is_static = true});
}

#endif
