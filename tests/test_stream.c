/* Streams for viewers: whatever the batches, they hold the reader's rows once, in order, as a recording that can be
 * read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

#define ROWS 40

/* Three writers that interleave on two entities, one static row. */
static void make_recording(rk_buffer *out)
{
  test_begin(out, NULL, NULL, false);
  int64_t keys[ROWS];
  for (uint32_t tag = 1; tag <= 3; tag++) {
    test_add_writer(out, NULL, NULL, tag);
    for (uint32_t i = 0; i < ROWS; i++) {
      keys[i] = 1000 + 10 * (int64_t)i + tag;
    }
    test_add_chunk(out, &(test_chunk){.entity = tag == 2 ? "/b" : "/a", .tag = tag, .row_count = ROWS, .keys = keys});
  }
  const int64_t start[] = {5};
  test_add_chunk(out, &(test_chunk){.entity = "/s", .tag = 4, .row_count = 1, .keys = start, .is_static = true});
}

static rk_reader *open_reader(const rk_buffer *input)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add_memory(reader, "input", input->data, input->size, NULL), RK_OK);
  return reader;
}

/* Both hold the same rows in the same order. */
static void assert_same_rows(const rk_buffer *a, const rk_buffer *b)
{
  rk_reader *x = open_reader(a);
  rk_reader *y = open_reader(b);
  uint64_t count = 0;
  for (;;) {
    const rk_row *p;
    const rk_row *q;
    const rk_status status = rk_reader_next(x, &p);
    assert_int_equal(rk_reader_next(y, &q), status);
    if (status == RK_END) {
      break;
    }
    assert_int_equal(status, RK_OK);
    assert_int_equal(p->row_id.inc, q->row_id.inc);
    assert_int_equal(p->row_id.time_ns, q->row_id.time_ns);
    assert_int_equal(p->key_ns, q->key_ns);
    assert_string_equal(p->entity_path, q->entity_path);
    assert_int_equal(p->is_static, q->is_static);
    assert_int_equal(p->component_count, 1);
    assert_int_equal(q->component_count, 1);
    count++;
  }
  assert_int_equal(count, 3 * ROWS + 1);
  rk_reader_free(x);
  rk_reader_free(y);
}

static void append(rk_buffer *all, const rk_stream_batch *batch)
{
  rk_buffer_append(all, batch->data, batch->size);
}

static void stream_all(const rk_buffer *input, const rk_stream_options *options, int64_t slice, size_t max_size)
{
  rk_reader *reader = open_reader(input);
  rk_stream *stream;
  rk_buffer all = {0};
  rk_stream_batch batch;
  assert_int_equal(rk_stream_open(reader, options, &stream, NULL), RK_OK);
  assert_int_equal(rk_stream_begin(stream, &batch), RK_OK);
  append(&all, &batch);
  int64_t until = slice == INT64_MAX ? INT64_MAX : 0;
  int64_t last = INT64_MIN;
  uint64_t rows = 0;
  rk_status status;
  while ((status = rk_stream_next(stream, until, max_size, &batch)) == RK_OK) {
    if (batch.rows == 0) {
      assert_int_equal(batch.size, 0);
      assert_true(batch.next_ns >= until);
      until += slice;
      continue;
    }
    assert_true(batch.first_ns >= last && batch.last_ns >= batch.first_ns && batch.last_ns < until);
    assert_true(batch.next_ns >= batch.last_ns);
    assert_true(batch.keys[0] == batch.first_ns && batch.keys[batch.rows - 1] == batch.last_ns);
    for (uint64_t i = 1; i < batch.rows; i++) {
      assert_true(batch.keys[i] >= batch.keys[i - 1]);
    }
    last = batch.last_ns;
    rows += batch.rows;
    append(&all, &batch);
  }
  assert_int_equal(status, RK_END);
  assert_int_equal(rows, 3 * ROWS + 1);
  rk_stream_free(stream);
  rk_reader_free(reader);
  assert_same_rows(input, &all);
  rk_buffer_free(&all);
}

static void batches_hold_every_row_once(void **state)
{
  (void)state;
  rk_buffer input = {0};
  make_recording(&input);
  stream_all(&input, NULL, INT64_MAX, 0);
  stream_all(&input, NULL, 25, 0);
  stream_all(&input, NULL, 1, 0);
  stream_all(&input, NULL, INT64_MAX, 1);
  stream_all(&input, &(rk_stream_options){.chunk_rows = 1}, INT64_MAX, 0);
  stream_all(&input, &(rk_stream_options){.chunk_size = 1, .compression = RK_COMPRESSION_NONE}, 100, 0);
  stream_all(&input, &(rk_stream_options){.chunk_rows = 3}, INT64_MAX, 100000);
  rk_buffer_free(&input);
}

/* One chunk per entity and batch, so that viewers have few. */
static void a_batch_is_compact(void **state)
{
  (void)state;
  rk_buffer input = {0};
  make_recording(&input);
  rk_reader *reader = open_reader(&input);
  rk_stream *stream;
  rk_stream_batch batch;
  assert_int_equal(rk_stream_open(reader, NULL, &stream, NULL), RK_OK);
  assert_int_equal(rk_stream_begin(stream, &batch), RK_OK);
  assert_int_equal(rk_stream_next(stream, INT64_MAX, 0, &batch), RK_OK);
  assert_int_equal(batch.rows, 3 * ROWS + 1);
  assert_int_equal(batch.frame_count, 3);
  size_t frames = 0;
  for (size_t at = 0; at < batch.size; frames++) {
    rk_frame_header header;
    assert_true(rk_frame_header_decode((const uint8_t *)batch.data + at, &header));
    assert_int_equal(header.kind, RK_FRAME_ARROW_MSG);
    assert_true(frames < 3);
    assert_int_equal(batch.frames[frames].offset, at);
    assert_int_equal(batch.frames[frames].size, RK_FRAME_HEADER_SIZE + header.size);
    assert_int_equal(batch.frames[frames].component_count, 1);
    at += RK_FRAME_HEADER_SIZE + header.size;
    assert_true(at <= batch.size);
  }
  assert_int_equal(frames, 3);
  rk_stream_free(stream);
  rk_reader_free(reader);
  rk_buffer_free(&input);
}

static void a_reader_that_was_read_is_refused(void **state)
{
  (void)state;
  rk_buffer input = {0};
  make_recording(&input);
  rk_reader *reader = open_reader(&input);
  const rk_row *row;
  rk_stream *stream;
  rk_error error = {0};
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_int_equal(rk_stream_open(reader, NULL, &stream, &error), RK_ERR_MISUSE);
  assert_true(error.message[0] != '\0');
  assert_int_equal(rk_stream_open(NULL, NULL, &stream, NULL), RK_ERR_MISUSE);
  rk_stream_free(NULL);
  rk_reader_free(reader);
  rk_buffer_free(&input);
}

static const rk_store_id blueprint_id = {RK_STORE_BLUEPRINT, {"app", 3}, {"blue", 4}};

/* A blueprint as a viewer saves one, a stream behind the stream: no seals, no log_time. */
static void add_blueprint(rk_buffer *out)
{
  rk_buffer_append(out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  const rk_store_info info = {.row_id = {.time_ns = 9, .inc = 9}, .store = blueprint_id, .store_version = 0x2100};
  test_add_info(out, &info, true);
  static const int64_t keys[] = {5000, 5001};
  static const int64_t frames[] = {1, 2};
  test_add_chunk(out, &(test_chunk){.entity = "/view",
                                    .tag = 77,
                                    .row_count = 2,
                                    .keys = keys,
                                    .frames = frames,
                                    .no_log_time = true,
                                    .unsealed = true,
                                    .blueprint = "blue"});
  const size_t start = rk_frame_begin(out, RK_FRAME_BLUEPRINT_ACTIVATION);
  const rk_blueprint_activation command = {.blueprint = blueprint_id, .make_active = true};
  rk_blueprint_activation_encode(out, &command);
  rk_frame_end(out, start);
}

/* Whatever is selected of the recording. */
static void blueprints_pass_whole(void **state)
{
  (void)state;
  static const char *const globs[] = {"/a"};
  static const uint32_t writers[] = {1};
  const struct {
    rk_reader_options options;
    uint64_t rows; /* of the recording */
  } cases[] = {
      {{0}, 3 * ROWS + 1},
      {{.entities = globs, .entity_count = 1}, 2 * ROWS},
      {{.excluded = globs, .excluded_count = 1}, ROWS + 1},
      {{.writers = writers, .writer_count = 1}, ROWS},
      {{.has_until = true, .until_ns = 1011}, 3 + 1}, /* the static row has no time */
      {{.has_since = true, .since_ns = 20000}, 1},
      {{.timeline = "log_time"}, 3 * ROWS + 1},
      {{.timeline = "frame"}, 1},
  };
  rk_buffer input = {0};
  make_recording(&input);
  add_blueprint(&input);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rk_reader *reader;
    rk_stream *stream;
    rk_stream_batch batch;
    rk_buffer all = {0};
    assert_int_equal(rk_reader_open(&cases[i].options, &reader, NULL), RK_OK);
    assert_int_equal(rk_reader_add_memory(reader, "input", input.data, input.size, NULL), RK_OK);
    assert_int_equal(rk_stream_open(reader, NULL, &stream, NULL), RK_OK);
    assert_int_equal(rk_stream_begin(stream, &batch), RK_OK);
    assert_int_equal(batch.rows, 2);
    append(&all, &batch);
    uint64_t rows = 0;
    while (rk_stream_next(stream, INT64_MAX, 0, &batch) == RK_OK) {
      rows += batch.rows;
      append(&all, &batch);
    }
    assert_int_equal(rows, cases[i].rows);
    rk_stream_free(stream);
    rk_reader_free(reader);
    reader = open_reader(&all);
    const rk_row *row;
    uint64_t of_blueprint = 0;
    while (rk_reader_next(reader, &row) == RK_OK) {
      of_blueprint += row->store->kind == RK_STORE_BLUEPRINT;
    }
    assert_int_equal(of_blueprint, 2);
    rk_reader_free(reader);
    size_t activations = 0;
    for (size_t at = RK_STREAM_HEADER_SIZE; at < all.size;) {
      rk_frame_header header;
      assert_true(rk_frame_header_decode(all.data + at, &header));
      activations += header.kind == RK_FRAME_BLUEPRINT_ACTIVATION;
      at += RK_FRAME_HEADER_SIZE + header.size;
    }
    assert_int_equal(activations, 1);
    rk_buffer_free(&all);
  }
  rk_buffer_free(&input);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(batches_hold_every_row_once),
                                     cmocka_unit_test(a_batch_is_compact), cmocka_unit_test(blueprints_pass_whole),
                                     cmocka_unit_test(a_reader_that_was_read_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
