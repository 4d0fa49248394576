/* Arbitrary bytes as an input: scanned, every chunk described, every row walked to the last value, in order. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void require(bool holds)
{
  if (!holds) {
    abort();
  }
}

static uint64_t sum;

static void touch_text(const char *text)
{
  for (; *text; text++) {
    sum += (uint8_t)*text;
  }
}

/* Every element of the array is reachable. */
static void walk_array(const struct ArrowSchema *schema, const struct ArrowArray *array, int depth)
{
  require(depth < 64);
  touch_text(schema->format);
  require(array->length >= 0 && array->offset >= 0 && array->n_children == schema->n_children);
  for (int64_t i = 0; i < array->n_children; i++) {
    walk_array(schema->children[i], array->children[i], depth + 1);
  }
}

static void on_loss(void *context, const rk_loss *loss)
{
  const size_t *size = context;
  require(loss->offset <= *size && loss->length <= *size - loss->offset);
  touch_text(loss->reason);
}

static void walk_row(const rk_row *row)
{
  touch_text(row->entity_path);
  touch_text(row->store->application_id);
  require(row->is_static == (row->timeline_count == 0));
  for (size_t i = 0; i < row->timeline_count; i++) {
    touch_text(row->timelines[i].timeline);
    require(i == 0 || strcmp(row->timelines[i - 1].timeline, row->timelines[i].timeline) < 0);
    sum += (uint64_t)row->timelines[i].value;
  }
  for (size_t i = 0; i < row->component_count; i++) {
    const rk_component_cell *cell = &row->components[i];
    touch_text(cell->component);
    require(i == 0 || strcmp(row->components[i - 1].component, cell->component) < 0);
    require(cell->start >= 0 && cell->count >= 0 && cell->start + cell->count <= cell->values->length);
    walk_array(cell->schema, cell->values, 0);
  }
  if (row->writer) {
    touch_text(row->writer->host);
    require(row->writer->tag == (uint32_t)(row->row_id.inc >> 32));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  rk_reader *reader;
  static const char *const dropped[] = {"frame"};
  const rk_reader_options options = {.on_loss = on_loss,
                                     .context = &size,
                                     .wall_clock = size % 4 == 1,
                                     .timeline = size % 4 == 2 ? "frame" : NULL,
                                     .dropped_timelines = dropped,
                                     .dropped_timeline_count = size % 4 == 3 ? 1 : 0};
  require(rk_reader_open(&options, &reader, NULL) == RK_OK);
  rk_error error;
  rk_status status = rk_reader_add_memory(reader, "input", data, size, &error);
  require(status == RK_OK || status == error.status);
  const rk_chunk_info *chunk;
  while (rk_reader_next_chunk(reader, &chunk) == RK_OK) {
    touch_text(chunk->entity_path);
    require(chunk->offset <= size && chunk->size <= size - chunk->offset);
  }
  const rk_row *row;
  int64_t key = INT64_MIN;
  uint64_t rows = 0;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    require(options.timeline || row->key_ns >= key); /* there static rows come first */
    key = row->key_ns;
    walk_row(row);
    rows++;
  }
  require(status == RK_END);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  require(stats.rows_returned == rows && stats.rows_returned <= stats.rows_indexed);
  rk_reader_free(reader);
  return 0;
}

/* For driver.c: a sealed recording of two writers, an unsealed one, both together, a merged chunk, unsealed ones with a
 * footer, clocks. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const int64_t keys[] = {10, 20, 15};
  static const uint32_t tags[] = {1, 2, 1};
  static const uint32_t numbers[] = {0, 0, 1};
  rk_buffer out = {0};
  if (index == 0 || index == 2) {
    test_begin(&out, NULL, NULL, false);
    test_add_writer(&out, NULL, NULL, 1);
    test_add_chunk(&out, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 3, .keys = keys, .frames = keys});
    test_add_chunk(&out, &(test_chunk){.entity = "/b", .tag = 2, .row_count = 2, .keys = keys, .plain = true});
  }
  if (index == 1 || index == 2) {
    test_begin(&out, NULL, NULL, true);
    test_add_chunk(&out, &(test_chunk){.entity = "/a",
                                       .tag = 1,
                                       .row_count = 3,
                                       .keys = keys,
                                       .plain = true,
                                       .is_static = true,
                                       .unsealed = true});
  }
  if (index == 3) {
    test_begin(&out, NULL, NULL, false);
    test_add_writer(&out, NULL, NULL, 1);
    test_add_writer(&out, NULL, NULL, 2);
    test_add_chunk(
        &out,
        &(test_chunk){
            .entity = "/a", .tag = 1, .row_count = 3, .keys = keys, .tags = tags, .numbers = numbers, .merged = true});
  }
  if (index == 4) { /* chunks without seals, which the footer tells of */
    rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
    test_begin(&out, NULL, NULL, true);
    test_add_chunk(&out, &(test_chunk){.entity = "/a",
                                       .tag = 1,
                                       .row_count = 3,
                                       .keys = keys,
                                       .frames = keys,
                                       .plain = true,
                                       .unsealed = true,
                                       .manifest = manifest});
    test_add_chunk(&out, &(test_chunk){.entity = "/b",
                                       .tag = 2,
                                       .row_count = 2,
                                       .keys = keys,
                                       .plain = true,
                                       .unsealed = true,
                                       .manifest = manifest});
    (void)rk_footer_encode(&out, &manifest, 1, out.size);
    rk_manifest_free(manifest);
  }
  if (index == 5) { /* with clocks */
    test_begin(&out, NULL, NULL, false);
    test_add_writer(&out, NULL, NULL, 1);
    for (uint32_t i = 0; i < 3; i++) {
      test_add_chunk(&out, &(test_chunk){.entity = "/a",
                                         .tag = 1,
                                         .number = i,
                                         .first_row = i,
                                         .row_count = 1,
                                         .keys = &keys[i],
                                         .monotonic = keys[i],
                                         .realtime = 100 + (int64_t)i});
    }
  }
  const size_t size = out.size <= capacity ? out.size : 0;
  if (size > 0) {
    memcpy(buffer, out.data, size);
  }
  rk_buffer_free(&out);
  return size;
}
