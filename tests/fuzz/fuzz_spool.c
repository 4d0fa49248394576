/* Spool bytes of a dead process: definitions, ring headers, rows, and their flat arrays through a builder. */
#include <stdlib.h>
#include <string.h>

#include "format/builder.h"
#include "format/bytes.h"
#include "format/flat.h"
#include "format/spool.h"
#include "format/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static const char *const types[] = {
    "f",
    "b",
    "u",
    "+w:3(!:f)",
    "+l(!:C)",
    "+s(a!:u,b:b,c:+l(:l))",
    "+ud:0,1,5(none:n,i!:l,t!:+l(!:u))",
    "+us:3,7(f:f,t:u)",
    "+L(:U)",
};

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

static void try_definitions(const uint8_t *data, size_t size)
{
  rk_spool_definition definition;
  size_t record;
  for (size_t at = 0; rk_spool_definition_decode(data + at, size - at, &definition, &record) == RK_OK; at += record) {
    check(record > 0 && record <= size - at);
    rk_buffer out = {0};
    rk_spool_definition_encode(&out, &definition);
    rk_spool_definition again;
    size_t again_size;
    check(rk_spool_definition_decode(out.data, out.size, &again, &again_size) == RK_OK && again.id == definition.id);
    rk_buffer_free(&out);
  }
}

/* `component` chooses among the types; what can be read must be fit for a builder, and its text valid. */
static void try_cell(const rk_spool_cell *cell)
{
  rk_arena arena = {0};
  rk_field *field;
  struct ArrowArray array;
  check(rk_field_parse(&arena, types[cell->component % (sizeof types / sizeof types[0])], &field, NULL) == RK_OK);
  const uint32_t count = cell->count & 0xFFFF; /* a count alone may claim 2^31 nulls, which is slow, not wrong */
  if (rk_flat_read(&arena, field, cell->data, cell->size, count, &array) == RK_OK) {
    check(array.length == count);
    rk_builder *builder = rk_builder_new(field);
    check(builder != NULL);
    if (rk_builder_append(builder, &array, 0, array.length) == RK_OK) {
      check(rk_builder_length(builder) == count);
      if (field->type == RK_TYPE_UTF8) {
        check(rk_utf8_valid(array.buffers[2],
                            (size_t)rk_load_i32((const uint8_t *)array.buffers[1] + 4 * (size_t)count)));
      }
    }
    rk_builder_free(builder);
  }
  rk_arena_free(&arena);
}

static void try_rows(const uint8_t *data, size_t size)
{
  for (size_t at = 0; at < size;) {
    rk_spool_row row;
    const rk_status status = rk_spool_row_parse(data + at, size - at, &row);
    if (status == RK_ERR_CORRUPT) {
      return;
    }
    check(row.size >= 8 && row.size <= size - at);
    rk_spool_cell cell;
    size_t position = 0;
    unsigned cells = 0;
    while (status == RK_OK && rk_spool_cell_next(&row, &position, &cell)) {
      check(cell.data >= data + at && cell.data + cell.size <= data + at + row.size);
      try_cell(&cell);
      cells++;
    }
    check(status != RK_OK || cells == row.cell_count);
    at += row.size;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0) {
    return 0;
  }
  try_definitions(data, size);
  try_rows(data, size);
  rk_ring_header header;
  if (size >= sizeof header) {
    memcpy(&header, data, sizeof header);
    (void)rk_ring_header_check(&header, size, NULL);
  }
  return 0;
}

static void put_cell(rk_buffer *row, uint32_t component, uint32_t count, uint32_t form, const void *data, size_t size)
{
  uint8_t header[RK_SPOOL_CELL_HEADER];
  rk_store_u32(header, component);
  rk_store_u32(header + 4, count);
  rk_store_u32(header + 8, (uint32_t)size);
  rk_store_u32(header + 12, form);
  rk_buffer_append(row, header, sizeof header);
  rk_buffer_append(row, data, size);
  rk_buffer_align(row, 8);
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  rk_buffer out = {0};
  if (index == 0) {
    rk_spool_definition_encode(&out, &(rk_spool_definition){.kind = RK_SPOOL_ENTITY, .id = 1, .texts = {{"/a/b", 4}}});
    rk_spool_definition_encode(&out, &(rk_spool_definition){.kind = RK_SPOOL_WRITER, .id = 9, .texts = {{"t", 1}}});
  } else if (index <= sizeof types / sizeof types[0]) {
    const uint32_t component = index - 1;
    rk_arena arena = {0};
    rk_field *field;
    check(rk_field_parse(&arena, types[component], &field, NULL) == RK_OK);
    rk_builder *builder = rk_builder_new(field);
    check(builder != NULL && rk_builder_append_nulls(builder, 3) == RK_OK);
    const size_t size = rk_flat_size(field, rk_builder_view(builder), 0, 3, 4096);
    check(size <= 4096);
    uint8_t flat[4096];
    rk_flat_write(field, rk_builder_view(builder), 0, 3, flat);
    rk_buffer_append_zero(&out, RK_SPOOL_ROW_HEADER);
    put_cell(&out, component, 3, RK_CELL_FLAT, flat, size);
    put_cell(&out, 0, 2, RK_CELL_PACKED, "12345678", 8);
    rk_store_u16(out.data + 24, 2);
    rk_store_u32(out.data, (uint32_t)out.size);
    rk_builder_free(builder);
    rk_arena_free(&arena);
  } else if (index == sizeof types / sizeof types[0] + 1) {
    rk_ring_header header = {.version = RK_SPOOL_VERSION, .tag = 1, .size = RK_RING_SIZE_MIN};
    memcpy(header.magic, rk_spool_ring_magic, sizeof header.magic);
    rk_buffer_append(&out, &header, sizeof header);
    rk_buffer_append_zero(&out, RK_RING_HEADER_SIZE + RK_RING_SIZE_MIN - sizeof header);
  }
  const size_t size = out.failed || out.size > capacity ? 0 : out.size;
  if (size > 0) {
    memcpy(buffer, out.data, size);
  }
  rk_buffer_free(&out);
  return size;
}
