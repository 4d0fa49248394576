/* Arrow IPC streams and chunks: decode, walk over every value, append to builders, encode again; the beginning of a
 * chunk tells what the whole of it does. */
#include <stdlib.h>

#include "format/builder.h"
#include "format/chunk.h"
#include "format/ipc.h"
#include "tests/arrow_values.h"
#include "tests/summaries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

/* Arrays without bytes may be long; walking and copying those is slow and finds nothing. */
enum { ROWS_MAX = 4096, ELEMENTS_MAX = 1 << 16 };

static int64_t element_count(const rk_field *field, const struct ArrowArray *array)
{
  int64_t count = array->length;
  for (size_t c = 0; c < field->child_count; c++) {
    count += element_count(field->children + c, array->children[c]);
  }
  return count;
}

static void need(bool condition)
{
  if (!condition) {
    abort();
  }
}

/* Copies the column through a builder in two pieces; the copy must equal the plain form of the original. */
static void rebuild(rk_arena *arena, const rk_field *field, const struct ArrowArray *array)
{
  const rk_field *plain_field;
  const struct ArrowArray *plain;
  need(rk_dictionary_expand(arena, field, array, &plain_field, &plain) == RK_OK);
  rk_builder *builder = rk_builder_new(field);
  need(builder != NULL);
  const int64_t first = array->length / 3;
  need(rk_builder_append(builder, array, 0, first) == RK_OK);
  need(rk_builder_append(builder, array, first, array->length - first) == RK_OK);
  const struct ArrowArray *view = rk_builder_view(builder);
  need(view->length == array->length);
  need(arrow_equal(plain_field, view, 0, plain, 0, array->length));

  rk_buffer out = {0};
  rk_field named = *plain_field;
  const rk_field schema = {.type = RK_TYPE_STRUCT, .name = "", .child_count = 1, .children = &named};
  need(rk_ipc_encode(&out, &schema, NULL, &view, array->length) == RK_OK);
  const rk_field *again;
  const struct ArrowArray *const *columns;
  int64_t rows;
  need(rk_ipc_decode(arena, out.data, out.size, &again, &columns, &rows, NULL) == RK_OK);
  need(rows == array->length && arrow_equal(plain_field, columns[0], 0, plain, 0, rows));
  rk_buffer_free(&out);
  rk_builder_free(builder);
}

/* A part of the bytes, then as many as are asked for. */
static void look_at_head(const uint8_t *data, size_t size)
{
  rk_arena arena = {0};
  rk_chunk head, chunk;
  size_t part = size / 3, needed = 0;
  rk_status status;
  while ((status = rk_chunk_decode_head(&arena, data, part, size, &head, &needed)) == RK_ERR_TRUNCATED) {
    need(needed > part && needed <= size);
    part = needed;
  }
  if (status == RK_OK && rk_chunk_decode(&arena, data, size, &chunk, NULL) == RK_OK) {
    rk_chunk_summary a, b;
    need(rk_chunk_summarise(&arena, &head, &a) == RK_OK && rk_chunk_summarise(&arena, &chunk, &b) == RK_OK);
    need(same_summary(&a, &b, false));
  }
  rk_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  look_at_head(data, size);
  rk_arena arena = {0};
  const rk_field *schema;
  const struct ArrowArray *const *columns;
  int64_t rows;
  rk_error error = {0};
  rk_status status = rk_ipc_decode(&arena, data, size, &schema, &columns, &rows, &error);
  need(error.status == status);
  if (status == RK_OK && rows <= ROWS_MAX) {
    for (size_t i = 0; i < schema->child_count; i++) {
      if (element_count(schema->children + i, columns[i]) <= ELEMENTS_MAX) {
        arrow_walk(schema->children + i, columns[i], 0, rows);
        rebuild(&arena, schema->children + i, columns[i]);
      }
    }
  }
  rk_chunk chunk;
  status = rk_chunk_decode(&arena, data, size, &chunk, NULL);
  if (status == RK_OK && chunk.row_count <= ROWS_MAX) {
    rk_buffer out = {0};
    rk_chunk again;
    need(rk_chunk_encode(&out, &chunk) == RK_OK);
    need(rk_chunk_decode(&arena, out.data, out.size, &again, NULL) == RK_OK);
    need(again.component_count == chunk.component_count && again.row_count == chunk.row_count);
    rk_buffer_free(&out);
  }
  rk_arena_free(&arena);
  return 0;
}

/* For each type a chunk with one such component. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  if (index >= ARROW_TYPE_COUNT) {
    return 0;
  }
  enum { ROWS = 5 };
  rk_arena arena = {0};
  arrow_maker maker = {.arena = &arena, .state = 1 + index};
  uint8_t ids[ROWS * RK_TUID_SIZE] = {0};
  const int64_t times[ROWS] = {1, 2, 3, 4, 5};
  rk_field *list = arrow_field(&arena, "+l(:n)");
  list->children[0] = *arrow_field(&arena, arrow_types[index]);
  const rk_chunk_timeline timeline = {"t", RK_TIMELINE_SEQUENCE, times, true};
  const rk_chunk_component component = {"c", "a", "t", list->children, arrow_make(&maker, list, ROWS)};
  const rk_chunk chunk = {.entity_path = "/e",
                          .row_count = ROWS,
                          .row_ids = ids,
                          .timeline_count = 1,
                          .timelines = &timeline,
                          .component_count = 1,
                          .components = &component};
  rk_buffer out = {0};
  need(rk_chunk_encode(&out, &chunk) == RK_OK && out.size <= capacity);
  memcpy(buffer, out.data, out.size);
  const size_t size = out.size;
  rk_buffer_free(&out);
  rk_arena_free(&arena);
  return size;
}
