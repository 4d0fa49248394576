/* Rows larger than half of a ring: values of every form and type arrive as they do by way of the ring. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appended.h"
#include "arrow_import.h"
#include "arrow_values.h"
#include "format/flat.h"
#include "patience.h"
#include "rrdkit/reader.h"

enum { LARGE = 100000 };

static rk_recording *open_here(const scene *s)
{
  rk_recording *recording;
  rk_error error = {0};
  const rk_status status = rk_recording_open(s->path, &(rk_recording_options){.ring_size = 65536}, &recording, &error);
  if (status != RK_OK) {
    fail_msg("%s", error.message);
  }
  return recording;
}

/* Logs the cell twice: as a row that fits the ring, and beside bytes for which there is none. */
static void log_both(rk_recording *recording, const rk_cell *cell)
{
  static uint8_t bytes[LARGE];
  const rk_component *pad = rk_component_at(recording, "zz_pad", "C", NULL, NULL);
  const rk_cell cells[] = {{.component = pad, .count = LARGE, .values = bytes}, *cell};
  const rk_entity *entity = rk_entity_at(recording, "a");
  bytes[LARGE - 1] = 77;
  if (rk_log(recording, entity, cell, 1) != RK_OK || rk_log(recording, entity, cells, 2) != RK_OK) {
    rk_error error;
    rk_recording_error(recording, &error);
    fail_msg("%s", error.message);
  }
}

typedef void visit_cell(void *context, unsigned index, const rk_component_cell *cell);

/* Reads the recording: `visit` gets the cell of each row that was logged, two of the same after each other. */
static void read_all(const scene *s, visit_cell *visit, void *context, unsigned expected)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  const rk_row *row;
  rk_status status;
  unsigned index = 0;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    if (row->row_number == 0) { /* the start time */
      continue;
    }
    assert_int_equal(row->row_number, index + 1);
    assert_int_equal(row->timeline_count, row->is_static ? 0 : 2);
    if (!row->is_static) {
      assert_string_equal(row->timelines[0].timeline, "frame");
      assert_int_equal(row->timelines[0].value, index / 2);
    }
    assert_int_equal(row->component_count, 1 + index % 2);
    if (index % 2 == 1) {
      const rk_component_cell *pad = &row->components[1];
      assert_string_equal(pad->component, "zz_pad");
      assert_int_equal(pad->count, LARGE);
      assert_int_equal(((const uint8_t *)pad->values->buffers[1])[pad->values->offset + pad->start + LARGE - 1], 77);
    }
    visit(context, index++, &row->components[0]);
  }
  assert_int_equal(status, RK_END);
  assert_int_equal(index, expected);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, 0);
  rk_reader_free(reader);
}

/* ---- Arrays ---- */

typedef struct given {
  const rk_field *field;
  struct ArrowArray array;
} given;

static void visit_array(void *context, unsigned index, const rk_component_cell *cell)
{
  const given *g = (const given *)context + index / 2;
  assert_int_equal(cell->count, g->array.length);
  assert_true(arrow_equal(g->field, cell->values, cell->start, &g->array, 0, g->array.length));
}

/* Arrays of every type, sliced too, with nulls. */
static void test_arrays(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s);
  rk_arena arena = {0};
  given of[2 * ARROW_TYPE_COUNT];
  for (unsigned i = 0; i < 2 * ARROW_TYPE_COUNT; i++) {
    arrow_maker maker = {.arena = &arena, .state = 1 + i};
    of[i].field = arrow_field(&arena, arrow_types[i / 2]);
    of[i].array = *arrow_make(&maker, of[i].field, 40);
    if (strcmp(arrow_types[i / 2], "w:0") == 0) { /* no bytes, but a buffer is asked for */
      of[i].array.buffers[1] = "";
    }
    if (i % 2 == 1) {
      of[i].array.offset += 5;
      of[i].array.length -= 11;
      of[i].array.null_count = -1;
    }
    char name[32];
    snprintf(name, sizeof name, "type_%u", i / 2);
    const rk_cell cell = {.component = rk_component_at(r, name, arrow_types[i / 2], NULL, NULL), .array = &of[i].array};
    assert_int_equal(rk_time_set_sequence(r, "frame", i), RK_OK);
    log_both(r, &cell);
  }
  rk_recording_free(r);
  read_all(s, visit_array, of, 4 * ARROW_TYPE_COUNT);
  rk_arena_free(&arena);
}

static void visit_empty(void *context, unsigned index, const rk_component_cell *cell)
{
  (void)context, (void)index;
  assert_int_equal(cell->count, 0);
}

/* No instances, of every type, without an array. */
static void test_empty(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s);
  for (unsigned i = 0; i < ARROW_TYPE_COUNT; i++) {
    char name[32];
    snprintf(name, sizeof name, "type_%u", i);
    const rk_cell cell = {.component = rk_component_at(r, name, arrow_types[i], NULL, NULL)};
    assert_int_equal(rk_time_set_sequence(r, "frame", i), RK_OK);
    log_both(r, &cell);
  }
  rk_recording_free(r);
  read_all(s, visit_empty, NULL, 2 * ARROW_TYPE_COUNT);
}

/* ---- Values ---- */

typedef struct seen {
  const size_t *counts;
  uint8_t *flat; /* of the small row */
  size_t size;
} seen;

static void visit_values(void *context, unsigned index, const rk_component_cell *cell)
{
  seen *of = context;
  rk_arena arena = {0};
  const rk_field *field = arrow_import(&arena, cell->schema);
  const size_t size = rk_flat_size(field, cell->values, cell->start, cell->count, 1 << 20);
  assert_int_not_equal(size, SIZE_MAX);
  uint8_t *flat = calloc(1, size);
  assert_non_null(flat);
  rk_flat_write(field, cell->values, cell->start, cell->count, flat);
  assert_int_equal(cell->count, of->counts[index / 2]);
  if (index % 2 == 0) {
    of->flat = flat;
    of->size = size;
  } else {
    assert_int_equal(of->size, size);
    assert_memory_equal(of->flat, flat, size);
    free(of->flat);
    free(flat);
  }
  rk_arena_free(&arena);
}

static void test_values(void **state)
{
  static const double numbers[] = {1, 2.5, -3};
  static const float vectors[] = {1, 2, 3, 4, 5, 6};
  static const uint8_t bools[] = {1, 0, 7, 0, 0, 1, 1, 1, 0, 1}, blob[] = {9, 8, 7, 6, 5};
  static const char *const texts[] = {"", "good", "bad \xC3\x28 \xFF", "\xE2\x82\xAC"};
  static const rk_span one[] = {{blob, 5}}, none[] = {{NULL, 0}}, many[] = {{blob, 5}, {blob + 1, 0}, {blob + 2, 3}},
                       strip[] = {{vectors, 2}};
  static const struct {
    const char *type;
    const void *values;
    size_t count;
  } forms[] = {
      {"g", numbers, 3},
      {"+w:3(!:f)", vectors, 2},
      {"+w:2(!:+w:3(!:f))", vectors, 1},
      {"b", bools, 10},
      {"u", texts, 4},
      {"U", texts, 4},
      {"u", texts + 1, 1},
      {"+l(!:C)", one, 1},
      {"+l(!:C)", none, 1},
      {"+l(!:C)", many, 3},
      {"+L(!:C)", one, 1},
      {"z", one, 1},
      {"Z", one, 1},
      {"Z", many, 3},
      {"z", none, 1},
      {"+l(!:+w:3(!:f))", strip, 1},
      {"w:5", blob, 1},
      {"ttn", numbers, 3},
  };
  enum { FORMS = sizeof forms / sizeof forms[0] };
  const scene *s = *state;
  rk_recording *r = open_here(s);
  size_t counts[FORMS];
  for (unsigned i = 0; i < FORMS; i++) {
    char name[32];
    snprintf(name, sizeof name, "form_%u", i);
    const rk_cell cell = {.component = rk_component_at(r, name, forms[i].type, NULL, NULL),
                          .count = forms[i].count,
                          .values = forms[i].values};
    counts[i] = forms[i].count;
    assert_int_equal(rk_time_set_sequence(r, "frame", i), RK_OK);
    log_both(r, &cell);
  }
  rk_recording_free(r);
  read_all(s, visit_values, &(seen){.counts = counts}, 2 * FORMS);
}

/* ---- Refusals ---- */

/* Offsets that fall and ids of no child, which are not taken by way of the ring either; the row number is not used. */
static void test_refused(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s);
  static const int32_t offsets[] = {0, LARGE, 5, LARGE};
  static uint8_t bytes[LARGE];
  const struct ArrowArray child = {.length = LARGE, .n_buffers = 2, .buffers = (const void *[]){NULL, bytes}},
                          *children[] = {&child};
  const struct ArrowArray lists = {.length = 3,
                                   .n_buffers = 2,
                                   .n_children = 1,
                                   .buffers = (const void *[]){NULL, offsets},
                                   .children = (struct ArrowArray **)(uintptr_t)children};
  const rk_entity *entity = rk_entity_at(r, "a");
  const rk_cell bad = {.component = rk_component_at(r, "lists", "+l(!:C)", NULL, NULL), .array = &lists};
  assert_int_equal(rk_log(r, entity, &bad, 1), RK_ERR_MISUSE);
  rk_error error;
  rk_recording_error(r, &error);
  assert_non_null(strstr(error.message, "array"));
  static const int8_t ids[] = {0, 9, 0};
  static const int32_t at[] = {0, 1, 2};
  const struct ArrowArray parts = {.length = 3,
                                   .n_buffers = 2,
                                   .n_children = 1,
                                   .buffers = (const void *[]){ids, at},
                                   .children = (struct ArrowArray **)(uintptr_t)children};
  const rk_cell unknown = {.component = rk_component_at(r, "parts", "+ud:0(a!:C)", NULL, NULL), .array = &parts};
  const rk_cell both[] = {unknown,
                          {.component = rk_component_at(r, "bytes", "C", NULL, NULL), .count = LARGE, .values = bytes}};
  assert_int_equal(rk_log(r, entity, both, 2), RK_ERR_MISUSE);
  const rk_cell good = {.component = rk_component_at(r, "bytes", "C", NULL, NULL), .count = LARGE, .values = bytes};
  assert_int_equal(rk_log_static(r, entity, &good, 1), RK_OK);
  assert_int_equal(rk_log(r, entity, &good, 1), RK_OK);
  rk_recording_free(r);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 3);
  free(file);
}

/* The same in rows that fit the ring, where only the drain would find out, too late for the caller; and elements that
 * take no bytes, of which a chunk's rows could have more than offsets can count. Rows beside them stay. */
static void test_refused_small(void **state)
{
  const scene *s = *state;
  rk_recording *r = open_here(s);
  static const int32_t falling[] = {0, 3, 1, 3}, at[] = {0, 1, 9};
  static const int8_t known[] = {0, 0, 0}, unknown[] = {0, 9, 0};
  const struct ArrowArray bytes = {.length = 3, .n_buffers = 2, .buffers = (const void *[]){NULL, "abc"}},
                          *children[] = {&bytes};
  struct ArrowArray **const below = (struct ArrowArray **)(uintptr_t)children;
  const int64_t most = 4096;
  const struct {
    const char *type;
    struct ArrowArray array;
  } bad[] = {
      {"+l(!:C)", {3, 0, 0, 2, 1, (const void *[]){NULL, falling}, below, NULL, NULL, NULL}},
      {"u", {3, 0, 0, 3, 0, (const void *[]){NULL, falling, "abc"}, NULL, NULL, NULL, NULL}},
      {"+ud:0(a!:C)", {3, 0, 0, 2, 1, (const void *[]){unknown, at}, below, NULL, NULL, NULL}},
      {"+ud:0(a!:C)", {3, 0, 0, 2, 1, (const void *[]){known, at}, below, NULL, NULL, NULL}},
      {"+us:0(a!:C)", {3, 0, 0, 1, 1, (const void *[]){unknown}, below, NULL, NULL, NULL}},
      {"n", {most + 1, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL}},
      {"+s", {most + 1, 0, 0, 1, 0, (const void *[]){NULL}, NULL, NULL, NULL, NULL}},
      {"w:0", {most + 1, 0, 0, 2, 0, (const void *[]){NULL, ""}, NULL, NULL, NULL, NULL}},
  };
  const rk_entity *entity = rk_entity_at(r, "a");
  const rk_component *number = rk_component_at(r, "number", "i", NULL, NULL);
  enum { BAD = sizeof bad / sizeof bad[0] };
  for (int32_t i = 0; i < BAD; i++) {
    char name[32];
    snprintf(name, sizeof name, "bad_%d", i);
    const rk_cell cells[] = {{.component = number, .count = 1, .values = &i},
                             {.component = rk_component_at(r, name, bad[i].type, NULL, NULL), .array = &bad[i].array}};
    assert_int_equal(rk_log(r, entity, cells, 2), RK_ERR_MISUSE);
    assert_int_equal(rk_log(r, entity, cells, 1), RK_OK);
  }
  const struct ArrowArray nulls = {.length = most};
  const rk_cell many = {.component = rk_component_at(r, "nulls", "n", NULL, NULL), .array = &nulls};
  for (int i = 0; i < 4096; i++) {
    assert_int_equal(rk_log(r, entity, &many, 1), RK_OK);
  }
  rk_recording_free(r);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 1 + BAD + 4096);
  free(file);
}

/* ---- Memory ---- */

/* What a large row took is kept for the next one and given back when none comes. The sanitizers' allocators tell
 * nothing here. */
static void test_memory(void **state)
{
  enum { SIZE = 40 << 20 }; /* more than malloc ever takes from its heap */
  const scene *s = *state;
  rk_recording *r = open_here(s);
  uint8_t *bytes = calloc(1, SIZE);
  assert_non_null(bytes);
  const rk_cell cell = {.component = rk_component_at(r, "bytes", "C", NULL, NULL), .count = SIZE, .values = bytes};
  const size_t before = mallinfo2().hblkhd;
  assert_int_equal(rk_log(r, rk_entity_at(r, "a"), &cell, 1), RK_OK);
  assert_true(before == 0 || mallinfo2().hblkhd >= before + SIZE);
  for (unsigned looks = 0; mallinfo2().hblkhd > before && be_patient(&looks);) {
  }
  assert_true(mallinfo2().hblkhd <= before);
  assert_int_equal(rk_log(r, rk_entity_at(r, "a"), &cell, 1), RK_OK);
  free(bytes);
  rk_recording_free(r);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->row_count, 3);
  free(file);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_arrays),  IN_SCENE(test_empty),         IN_SCENE(test_values),
      IN_SCENE(test_refused), IN_SCENE(test_refused_small), IN_SCENE(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
