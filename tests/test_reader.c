/* The ordered timeline: order across chunks and inputs, repeats, clamping, filters, stores, writers, chunks, misuse. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

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

static void count_loss(void *context, const rk_loss *loss)
{
  reading *r = context;
  r->losses++;
  (void)snprintf(r->reason, sizeof r->reason, "%s", loss->reason);
}

static void drain(rk_reader *reader, reading *r)
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
static reading *read_all(const rk_reader_options *options, const rk_buffer *const *inputs, size_t count)
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

static void assert_order(const reading *r, const uint64_t *incs, size_t count)
{
  assert_int_equal(r->count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(r->rows[i].inc, incs[i]);
    assert_true(i == 0 || r->rows[i].key >= r->rows[i - 1].key);
  }
}

#define INC(tag, number) ((uint64_t)(tag) << 32 | (number))

/* ---- Order ---- */

static void chunks_of_many_writers_interleave(void **state)
{
  (void)state;
  rk_buffer a = {0};
  rk_buffer b = {0};
  test_begin(&a, NULL, NULL, false);
  test_begin(&b, NULL, "other", false);
  test_add_writer(&a, NULL, NULL, 1);
  const int64_t late[] = {50, 60, 70};
  const int64_t early[] = {10, 55, 65};
  const int64_t between[] = {20, 58, 90};
  test_add_chunk(&a, &(test_chunk){.entity = "/late", .tag = 1, .row_count = 3, .keys = late});
  test_add_chunk(&a, &(test_chunk){.entity = "/early", .tag = 2, .row_count = 3, .keys = early});
  test_add_chunk(&b, &(test_chunk){.entity = "/b", .recording = "other", .tag = 3, .row_count = 3, .keys = between});
  const uint64_t expected[] = {INC(2, 0), INC(3, 0), INC(1, 0), INC(2, 1), INC(3, 1),
                               INC(1, 1), INC(2, 2), INC(1, 2), INC(3, 2)};
  const rk_buffer *forward[] = {&a, &b};
  const rk_buffer *backward[] = {&b, &a};
  for (size_t i = 0; i < 2; i++) {
    reading *r = read_all(NULL, i ? backward : forward, 2);
    assert_order(r, expected, 9);
    assert_int_equal(r->losses, 0);
    assert_int_equal(r->stats.rows_indexed, 9);
    test_free(r);
  }
  rk_buffer_free(&a);
  rk_buffer_free(&b);
}

static void equal_keys_are_ordered_by_row_id_then_entity_then_components(void **state)
{
  (void)state;
  const int64_t keys[] = {5, 5};
  rk_buffer parts[2] = {{0}, {0}};
  for (size_t i = 0; i < 2; i++) { /* the same rows, one component each, as stock SDKs split a row over chunks */
    test_begin(&parts[i], NULL, NULL, true);
    test_add_chunk(
        &parts[i],
        &(test_chunk){
            .entity = "/x", .component = i ? "A:a" : "B:b", .tag = 9, .row_count = 2, .keys = keys, .unsealed = true});
    test_add_chunk(&parts[i],
                   &(test_chunk){.entity = i ? "/a" : "/b", .tag = 9, .row_count = 1, .keys = keys, .unsealed = true});
  }
  const rk_buffer *forward[] = {&parts[0], &parts[1]};
  const rk_buffer *backward[] = {&parts[1], &parts[0]};
  static const char *const names[] = {
      "/a Scalars:scalars", "/b Scalars:scalars", "/x A:a", "/x B:b", "/x A:a", "/x B:b"};
  for (size_t i = 0; i < 2; i++) {
    reading *r = read_all(NULL, i ? backward : forward, 2);
    assert_int_equal(r->count, 6);
    for (size_t j = 0; j < 6; j++) {
      char name[80];
      (void)snprintf(name, sizeof name, "%s %s", r->rows[j].entity, r->rows[j].component);
      assert_string_equal(name, names[j]);
    }
    test_free(r);
  }
  rk_buffer_free(&parts[0]);
  rk_buffer_free(&parts[1]);
}

static void unsorted_stock_chunks_are_sorted(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  const int64_t keys[] = {30, 10, 20, 10};
  test_add_chunk(&a, &(test_chunk){.entity = "/x", .tag = 7, .row_count = 4, .keys = keys, .unsealed = true});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(7, 1), INC(7, 3), INC(7, 2), INC(7, 0)};
  assert_order(r, expected, 4);
  assert_int_equal(r->stats.clamped_rows, 0);
  test_free(r);
  rk_buffer_free(&a);
}

/* Rows 0 to 5 of one writer over two chunks, where row 3's clock stepped back. */
static void a_writers_order_holds_when_its_clock_steps_back(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  test_add_writer(&a, NULL, NULL, 1);
  const int64_t even[] = {100, 300, 320};
  const int64_t odd[] = {200, 50, 330};
  const int64_t other[] = {60, 310};
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/odd", .tag = 1, .first_row = 1, .row_step = 2, .row_count = 3, .keys = odd});
  test_add_chunk(&a,
                 &(test_chunk){.entity = "/even", .tag = 1, .number = 1, .row_step = 2, .row_count = 3, .keys = even});
  test_add_chunk(&a, &(test_chunk){.entity = "/other", .tag = 2, .row_count = 2, .keys = other});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(2, 0), INC(1, 0), INC(1, 1), INC(1, 2), INC(1, 3), INC(2, 1), INC(1, 4), INC(1, 5)};
  assert_order(r, expected, 8);
  assert_int_equal(r->stats.clamped_rows, 1);
  assert_int_equal(r->rows[4].key, 300);
  test_free(r);
  rk_buffer_free(&a);
}

static void a_known_writers_order_holds_in_merged_chunks(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, false);
  test_add_writer(&a, NULL, NULL, 1);
  test_add_writer(&a, NULL, NULL, 2);
  const int64_t keys[] = {100, 90, 50, 200};
  const uint32_t tags[] = {1, 2, 1, 2};
  const uint32_t numbers[] = {0, 0, 1, 1};
  test_add_chunk(
      &a,
      &(test_chunk){
          .entity = "/x", .tag = 1, .row_count = 4, .keys = keys, .tags = tags, .numbers = numbers, .merged = true});
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  const uint64_t expected[] = {INC(2, 0), INC(1, 0), INC(1, 1), INC(2, 1)};
  assert_order(r, expected, 4);
  assert_int_equal(r->stats.clamped_rows, 1);
  test_free(r);
  rk_buffer_free(&a);
}

/* ---- Repeats ---- */

static void a_row_seen_again_is_yielded_once(void **state)
{
  (void)state;
  rk_buffer a = {0};
  rk_buffer b = {0};
  test_begin(&a, NULL, NULL, false);
  test_begin(&b, NULL, NULL, true);
  const int64_t keys[] = {1, 2, 3};
  const test_chunk chunk = {.entity = "/x", .tag = 1, .row_count = 3, .keys = keys};
  test_add_chunk(&a, &chunk);
  test_add_chunk(&a, &chunk); /* adopted twice */
  test_chunk stock = chunk;   /* rewritten by a stock tool */
  stock.unsealed = true;
  stock.chunk_salt = 99;
  test_add_chunk(&b, &stock);
  const rk_buffer *inputs[] = {&a, &b, &a};
  reading *r = read_all(NULL, inputs, 3);
  const uint64_t expected[] = {INC(1, 0), INC(1, 1), INC(1, 2)};
  assert_order(r, expected, 3);
  assert_int_equal(r->stats.duplicate_rows, 12);
  assert_int_equal(r->stats.rows_indexed, 15);
  test_free(r);
  rk_buffer_free(&a);
  rk_buffer_free(&b);
}

static void rows_of_other_stores_entities_or_components_are_no_repeats(void **state)
{
  (void)state;
  rk_buffer a = {0};
  test_begin(&a, NULL, NULL, true);
  const int64_t keys[] = {1};
  test_chunk chunk = {.entity = "/x", .tag = 1, .row_count = 1, .keys = keys, .unsealed = true};
  test_add_chunk(&a, &chunk);
  chunk.entity = "/y";
  test_add_chunk(&a, &chunk);
  chunk.component = "Other:thing";
  test_add_chunk(&a, &chunk);
  chunk.recording = "another";
  test_add_chunk(&a, &chunk);
  chunk.is_static = true;
  test_add_chunk(&a, &chunk);
  const rk_buffer *inputs[] = {&a};
  reading *r = read_all(NULL, inputs, 1);
  assert_int_equal(r->count, 5);
  assert_int_equal(r->stats.duplicate_rows, 0);
  test_free(r);
  const rk_reader_options fused = {.application_id = "fused", .recording_id = "one"};
  r = read_all(&fused, inputs, 1);
  assert_int_equal(r->count, 4); /* the stores' rows are one's now */
  test_free(r);
  rk_buffer_free(&a);
}

/* ---- Filters ---- */

static void add_filter_material(rk_buffer *a)
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
      cmocka_unit_test(chunks_of_many_writers_interleave),
      cmocka_unit_test(equal_keys_are_ordered_by_row_id_then_entity_then_components),
      cmocka_unit_test(unsorted_stock_chunks_are_sorted),
      cmocka_unit_test(a_writers_order_holds_when_its_clock_steps_back),
      cmocka_unit_test(a_known_writers_order_holds_in_merged_chunks),
      cmocka_unit_test(a_row_seen_again_is_yielded_once),
      cmocka_unit_test(rows_of_other_stores_entities_or_components_are_no_repeats),
      cmocka_unit_test(filters_admit_exactly_what_they_say),
      cmocka_unit_test(writers_without_records_are_told_apart),
      cmocka_unit_test(filters_can_be_replaced_before_the_first_row),
      cmocka_unit_test(stores_writers_and_rows_tell_each_other),
      cmocka_unit_test(chunks_are_described_in_file_order),
      cmocka_unit_test(a_seal_that_lies_about_its_rows_is_damage),
      cmocka_unit_test(inputs_that_cannot_be_read_say_why),
      cmocka_unit_test(options_that_make_no_sense_are_refused),
      cmocka_unit_test(files_and_pipes_read_like_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
