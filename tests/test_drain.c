/* The drain: every row of a ring, with every cell, comes out in the chunk of its entity and timelines, whatever shapes
 * follow each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arrow_values.h"
#include "format/bytes.h"
#include "format/codec.h"
#include "format/flat.h"
#include "format/frame.h"
#include "format/spool_drain.h"

enum { RING = 1 << 16, ENTITIES = 3, COMPONENTS = 3, ABSENT = -1, TAG = 77, ROWS_MAX = 3000 };

/* A row as it was logged: how many instances each component has, and what the values are made from. */
typedef struct logged {
  uint32_t entity, set;
  bool is_static;
  int counts[COMPONENTS];
  bool seen;
} logged;

typedef struct ring {
  rk_arena arena;
  const rk_field *lists[COMPONENTS]; /* double, 3 bytes, text */
  uint8_t *data;
  uint64_t head;
  logged rows[ROWS_MAX];
  uint32_t count;
} ring;

static const char *const entity_names[ENTITIES] = {"/a", "/b", "/c"};
static const char *const component_names[COMPONENTS] = {"numbers", "triples", "words"};

static const char *entity(void *context, uint32_t id)
{
  (void)context;
  return id < ENTITIES ? entity_names[id] : NULL;
}

static bool component(void *context, uint32_t id, rk_drain_component *out)
{
  const ring *r = context;
  if (id >= COMPONENTS) {
    return false;
  }
  *out = (rk_drain_component){.name = component_names[id], .item = &r->lists[id]->children[0], .list = r->lists[id]};
  return true;
}

static int timelines(void *context, uint32_t set, rk_chunk_timeline *out)
{
  (void)context;
  if (out != NULL && set == 1) {
    out[0] = (rk_chunk_timeline){.name = "frame", .kind = RK_TIMELINE_SEQUENCE};
  }
  return set < 2 ? (int)set : -1;
}

static double number_of(uint32_t row, int i)
{
  return row * 10.0 + i;
}

static size_t put_cell(ring *r, uint8_t *at, uint32_t id, int count, uint32_t row)
{
  uint8_t *data = at + RK_SPOOL_CELL_HEADER;
  size_t size = 0;
  if (id == 2) {
    char words[64];
    int32_t offsets[8] = {0};
    for (int i = 0; i < count; i++) {
      offsets[i + 1] = (int32_t)i + 1;
      words[i] = (char)('a' + (row + (uint32_t)i) % 26);
    }
    const void *buffers[] = {NULL, offsets, words};
    const struct ArrowArray array = {.length = count, .n_buffers = 3, .buffers = buffers};
    size = (size_t)(rk_flat_write(&r->lists[2]->children[0], &array, 0, count, data) - data);
  } else {
    for (int i = 0; i < count; i++) {
      const double number = number_of(row, i);
      const uint8_t triple[3] = {(uint8_t)row, (uint8_t)(row >> 8), (uint8_t)i};
      memcpy(data + size, id == 0 ? (const void *)&number : triple, id == 0 ? 8 : 3);
      size += id == 0 ? 8 : 3;
    }
  }
  rk_store_u32(at, id);
  rk_store_u32(at + 4, (uint32_t)count);
  rk_store_u32(at + 8, (uint32_t)size);
  rk_store_u32(at + 12, id == 2 ? RK_CELL_FLAT : RK_CELL_PACKED);
  return RK_SPOOL_CELL_HEADER + rk_align_up(size, 8);
}

static void put_row(ring *r, const logged *what)
{
  uint8_t row[512] = {0};
  const bool timed = what->set == 1 && !what->is_static;
  size_t size = RK_SPOOL_ROW_HEADER + (timed ? 8 : 0);
  uint32_t cells = 0;
  for (uint32_t i = 0; i < COMPONENTS; i++) {
    if (what->counts[i] != ABSENT) {
      size += put_cell(r, row + size, i, what->counts[i], r->count);
      cells++;
    }
  }
  rk_store_u32(row, (uint32_t)size);
  rk_store_u32(row + 4, r->count);
  rk_store_i64(row + 8, 1000 + r->count);
  rk_store_u32(row + 16, what->entity);
  rk_store_u32(row + 20, timed);
  rk_store_u32(row + 24, cells | (what->is_static ? 1U << 16 : 0) | (timed ? 1U << 24 : 0));
  rk_store_i64(row + 32, timed ? 5000 + r->count : rk_load_i64(row + 32));
  const uint64_t contiguous = RING - r->head % RING;
  if (size > contiguous) {
    rk_store_u32(r->data + r->head % RING, (uint32_t)contiguous);
    rk_store_u32(r->data + r->head % RING + 4, RK_SPOOL_SKIP);
    r->head += contiguous;
  }
  memcpy(r->data + r->head % RING, row, size);
  r->head += size;
  r->rows[r->count++] = *what;
}

static void expect_cell(const rk_chunk *chunk, int64_t at, uint32_t id, uint32_t row, int count)
{
  const rk_chunk_component *column = NULL;
  for (size_t i = 0; i < chunk->component_count; i++) {
    column = strcmp(chunk->components[i].name, component_names[id]) == 0 ? &chunk->components[i] : column;
  }
  const struct ArrowArray *lists = column == NULL ? NULL : column->lists;
  const uint8_t *validity = lists == NULL ? NULL : rk_array_validity(lists, RK_TYPE_LIST);
  if (lists == NULL || (validity != NULL && !rk_bit_get(validity, at))) {
    assert_int_equal(count, ABSENT);
    return;
  }
  const int32_t *offsets = lists->buffers[1];
  assert_int_equal(offsets[at + 1] - offsets[at], count);
  const struct ArrowArray *items = lists->children[0];
  for (int i = 0; i < count; i++) {
    const int32_t item = offsets[at] + i;
    if (id == 0) {
      assert_true(((const double *)items->buffers[1])[item] == number_of(row, i));
    } else if (id == 1) {
      const uint8_t triple[3] = {(uint8_t)row, (uint8_t)(row >> 8), (uint8_t)i};
      assert_memory_equal((const uint8_t *)items->children[0]->buffers[1] + (size_t)3 * (size_t)item, triple, 3);
    } else {
      const int32_t *ends = items->buffers[1];
      assert_int_equal(ends[item + 1] - ends[item], 1);
      assert_int_equal(((const char *)items->buffers[2])[ends[item]], 'a' + (row + (uint32_t)i) % 26);
    }
  }
}

static void expect_chunk(ring *r, const uint8_t *frame, size_t size, uint32_t *last)
{
  rk_error error;
  rk_arrow_msg message;
  rk_buffer ipc = {0};
  rk_arena arena = {0};
  rk_chunk chunk;
  assert_int_equal(rk_arrow_msg_decode(frame + RK_FRAME_HEADER_SIZE, size - RK_FRAME_HEADER_SIZE, &message, &error),
                   RK_OK);
  assert_int_equal(rk_decompress(&ipc, message.compression, message.payload, message.payload_size,
                                 message.uncompressed_size, &error),
                   RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, ipc.data, ipc.size, &chunk, &error), RK_OK);
  for (int64_t i = 0; i < chunk.row_count; i++) {
    const rk_tuid id = rk_tuid_load(chunk.row_ids + RK_TUID_SIZE * i);
    const uint32_t row = (uint32_t)id.inc;
    assert_int_equal(id.inc >> 32, TAG);
    assert_int_equal(id.time_ns, 1000 + row);
    assert_true(row < r->count && !r->rows[row].seen);
    assert_true(i == 0 || row > *last);
    logged *what = &r->rows[row];
    what->seen = true;
    assert_string_equal(chunk.entity_path, entity_names[what->entity]);
    assert_int_equal(chunk.timeline_count, what->is_static ? 0 : 1 + what->set);
    for (size_t t = 0; t < chunk.timeline_count; t++) {
      const bool is_frame = strcmp(chunk.timelines[t].name, "frame") == 0;
      assert_int_equal(chunk.timelines[t].values[i], (is_frame ? 5000 : 1000) + row);
    }
    for (uint32_t c = 0; c < COMPONENTS; c++) {
      expect_cell(&chunk, i, c, row, what->counts[c]);
    }
    *last = row;
  }
  rk_arena_free(&arena);
  rk_buffer_free(&ipc);
}

static void drain_all(ring *r, rk_drain *drain, uint64_t begin, rk_compression compression)
{
  const rk_drain_names names = {.context = r, .entity = entity, .component = component, .timelines = timelines};
  const rk_row_source source = rk_row_source_ring(r->data, RING, begin, r->head);
  const rk_drain_target target = {.store = {.kind = RK_STORE_RECORDING,
                                            .application_id = {.data = "app", .size = 3},
                                            .recording_id = {.data = "rec", .size = 3}},
                                  .compression = compression,
                                  .tag = TAG};
  assert_int_equal(rk_drain_gather(drain, &names, &source), RK_OK);
  assert_int_equal(drain->row_count, r->count);
  rk_buffer out = {0};
  for (size_t i = 0; i < drain->group_count; i++) {
    uint32_t last = 0;
    rk_buffer_reset(&out);
    assert_int_equal(rk_drain_encode(drain, &names, &source, &target, i, (uint32_t)i, &out), RK_OK);
    expect_chunk(r, out.data, out.size, &last);
  }
  assert_false(drain->damaged);
  for (uint32_t i = 0; i < r->count; i++) {
    assert_true(r->rows[i].seen);
  }
  rk_buffer_free(&out);
}

static void test_shapes(void **state)
{
  (void)state;
  ring *r = calloc(1, sizeof *r);
  assert_non_null(r);
  r->data = malloc(RING);
  assert_non_null(r->data);
  static const char *const types[COMPONENTS] = {"+l(:g)", "+l(:+w:3(!:C))", "+l(:u)"};
  for (int i = 0; i < COMPONENTS; i++) {
    r->lists[i] = arrow_field(&r->arena, types[i]);
  }
  rk_drain drain = {0}; /* used again and again, as the writer does */
  arrow_maker maker = {.state = 4711};
  for (int round = 0; round < 200; round++) {
    r->count = 0;
    r->head = (uint64_t)arrow_below(&maker, RING) / 8 * 8 + (uint64_t)round * RING;
    const uint64_t begin = r->head;
    /* Patterns of some rows that repeat, of which any may be of any shape, now and then interrupted. */
    logged pattern[6];
    int64_t length = 0, rest = 0;
    while (r->head - begin < RING - 2048 && r->count < ROWS_MAX) {
      if (rest == 0) {
        length = 1 + arrow_below(&maker, 6);
        rest = length * (1 + arrow_below(&maker, 40)) + arrow_below(&maker, 2);
        for (int64_t i = 0; i < length; i++) {
          pattern[i] = (logged){.entity = (uint32_t)arrow_below(&maker, ENTITIES),
                                .set = (uint32_t)arrow_below(&maker, 2),
                                .is_static = arrow_below(&maker, 8) == 0};
          pattern[i].set = pattern[i].is_static ? 0 : pattern[i].set;
          for (int c = 0; c < COMPONENTS; c++) {
            pattern[i].counts[c] = (int)arrow_below(&maker, 5) + ABSENT;
          }
          if (pattern[i].counts[0] == ABSENT && pattern[i].counts[1] == ABSENT) {
            pattern[i].counts[2] = 1;
          }
        }
      }
      put_row(r, &pattern[--rest % length]);
    }
    drain_all(r, &drain, begin, round % 2 == 0 ? RK_COMPRESSION_NONE : RK_COMPRESSION_LZ4);
  }
  rk_drain_free(&drain);
  free(r->data);
  rk_arena_free(&r->arena);
  free(r);
}

/* Entities in turns, with large rows between: a chunk that one of them did not fit into gets no small row any more, so
 * that each entity's chunks follow each other. */
static void test_full(void **state)
{
  (void)state;
  enum { LARGE_COUNT = 80000, SIZE = 32 << 20 };
  static const uint32_t turns[] = {0, 1, 0, 2};
  arrow_maker maker = {.state = 11};
  ring *r = calloc(1, sizeof *r);
  uint8_t *data = calloc(1, SIZE);
  assert_true(r != NULL && data != NULL);
  uint32_t count = 0;
  size_t size = 0;
  while (size < SIZE - (1 << 20)) {
    const size_t small = arrow_below(&maker, 3) == 0 ? 80 : 72;
    const size_t cell = arrow_below(&maker, 50) == 0 ? LARGE_COUNT * 8 : small;
    uint8_t *row = data + size;
    rk_store_u32(row, (uint32_t)(RK_SPOOL_ROW_HEADER + RK_SPOOL_CELL_HEADER + cell));
    rk_store_u32(row + 4, count);
    rk_store_u32(row + 16, turns[count % 4]);
    rk_store_u32(row + 24, 1);
    rk_store_u32(row + RK_SPOOL_ROW_HEADER + 4, (uint32_t)(cell / 8));
    rk_store_u32(row + RK_SPOOL_ROW_HEADER + 8, (uint32_t)cell);
    size += rk_load_u32(row);
    count++;
  }
  const rk_drain_names names = {.context = r, .entity = entity, .component = component, .timelines = timelines};
  const rk_row_source source = rk_row_source_memory(data, size, 0, 0);
  rk_drain drain = {0};
  assert_int_equal(rk_drain_gather(&drain, &names, &source), RK_OK);
  assert_int_equal(drain.row_count, count);
  const rk_row_run *runs = (const rk_row_run *)(void *)drain.runs.data;
  uint32_t last[ENTITIES] = {0, 0, 0}, total = 0;
  for (size_t i = 0; i < drain.group_count; i++) {
    const rk_group *group = rk_drain_group(&drain, i);
    uint32_t rows = 0;
    for (uint32_t at = group->first; at != RK_NO_RUN; at = runs[at].next) {
      for (uint32_t k = 0; k < runs[at].count; k++, rows++) {
        const uint8_t *row = data + runs[at].position + (size_t)k * runs[at].stride;
        assert_int_equal(rk_load_u32(row + 16), group->entity_id);
        assert_true(rk_load_u32(row + 4) >= last[group->entity_id]);
        last[group->entity_id] = rk_load_u32(row + 4) + 1;
      }
    }
    assert_int_equal(rows, group->count);
    assert_true(group->count <= RK_CHUNK_ROWS && group->size <= RK_CHUNK_SIZE);
    total += rows;
  }
  assert_int_equal(total, count);
  rk_drain_free(&drain);
  free(data);
  free(r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_full)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
