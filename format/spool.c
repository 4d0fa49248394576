/* The spool's definitions, ring header and rows (SPEC "Spool"), read as the checked data of a dead process. */
#include "format/spool.h"

#include <assert.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/error.h"

#define DEFINITION_HEADER 88
#define DEFINITION_HASHED 16 /* the hash covers the record from here on */

const uint8_t rk_spool_definitions_magic[RK_SPOOL_MAGIC_SIZE] = {0x89, 'R', 'K', 'D', 'E', 'F', 'S', '\n'};
const uint8_t rk_spool_ring_magic[RK_SPOOL_MAGIC_SIZE] = {0x89, 'R', 'K', 'R', 'I', 'N', 'G', '\n'};

static_assert(offsetof(rk_ring_header, tag) == 12 && offsetof(rk_ring_header, size) == 16 &&
                  offsetof(rk_ring_header, announced) == 44 && offsetof(rk_ring_header, head) == 64 &&
                  offsetof(rk_ring_header, logging) == 72 && offsetof(rk_ring_header, tail) == 128 &&
                  offsetof(rk_ring_header, intent_begin) == 144 && offsetof(rk_ring_header, intent_row_count) == 164 &&
                  offsetof(rk_ring_header, intent_file_offset) == 168 &&
                  offsetof(rk_ring_header, intent_chunk_number) == 176,
              "the ring header's layout is part of SPEC.md");

void rk_spool_definition_encode(rk_buffer *out, const rk_spool_definition *definition)
{
  size_t size = DEFINITION_HEADER;
  for (size_t i = 0; i < RK_SPOOL_TEXT_COUNT; i++) {
    size += definition->texts[i].size;
  }
  size = rk_align_up(size, 8);
  uint8_t *record = size > UINT32_MAX ? NULL : rk_buffer_extend(out, size);
  if (record == NULL) {
    out->failed = true;
    return;
  }
  memset(record, 0, size);
  rk_store_u32(record, (uint32_t)size);
  rk_store_u32(record + 4, (uint32_t)definition->kind);
  rk_store_u32(record + 16, definition->id);
  rk_store_u32(record + 20, definition->number);
  for (size_t i = 0; i < RK_SPOOL_VALUE_COUNT; i++) {
    rk_store_i64(record + 24 + 8 * i, definition->values[i]);
  }
  uint8_t *text = record + DEFINITION_HEADER;
  for (size_t i = 0; i < RK_SPOOL_TEXT_COUNT; i++) {
    rk_store_u32(record + 72 + 4 * i, (uint32_t)definition->texts[i].size);
    if (definition->texts[i].size != 0) {
      memcpy(text, definition->texts[i].data, definition->texts[i].size);
      text += definition->texts[i].size;
    }
  }
  rk_store_u64(record + 8, XXH3_64bits(record + DEFINITION_HASHED, size - DEFINITION_HASHED));
}

rk_status rk_spool_definition_decode(const void *data, size_t available, rk_spool_definition *definition, size_t *size)
{
  const uint8_t *record = data;
  if (available < DEFINITION_HEADER) {
    return RK_END;
  }
  const size_t record_size = rk_load_u32(record);
  const uint32_t kind = rk_load_u32(record + 4);
  if (record_size < DEFINITION_HEADER || record_size % 8 != 0 || record_size > available || kind < RK_SPOOL_PROCESS ||
      kind > RK_SPOOL_WRITER ||
      rk_load_u64(record + 8) != XXH3_64bits(record + DEFINITION_HASHED, record_size - DEFINITION_HASHED)) {
    return RK_END;
  }
  definition->kind = (rk_spool_kind)kind;
  definition->id = rk_load_u32(record + 16);
  definition->number = rk_load_u32(record + 20);
  for (size_t i = 0; i < RK_SPOOL_VALUE_COUNT; i++) {
    definition->values[i] = rk_load_i64(record + 24 + 8 * i);
  }
  size_t at = DEFINITION_HEADER;
  for (size_t i = 0; i < RK_SPOOL_TEXT_COUNT; i++) {
    const size_t text_size = rk_load_u32(record + 72 + 4 * i);
    if (text_size > record_size - at) {
      return RK_END;
    }
    definition->texts[i] = (rk_text){.data = (const char *)record + at, .size = text_size};
    at += text_size;
  }
  *size = record_size;
  return RK_OK;
}

rk_status rk_ring_header_check(const rk_ring_header *header, uint64_t file_size, rk_error *error)
{
  if (file_size < RK_RING_HEADER_SIZE || memcmp(header->magic, rk_spool_ring_magic, RK_SPOOL_MAGIC_SIZE) != 0) {
    return rk_fail(error, RK_ERR_NOT_RRD, 0, "not a ring file of rrdkit");
  }
  if (header->version != RK_SPOOL_VERSION) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, offsetof(rk_ring_header, version), "ring file of version %u",
                   (unsigned)header->version);
  }
  const uint64_t size = header->size;
  if (size < RK_RING_SIZE_MIN || size > RK_RING_SIZE_MAX || (size & (size - 1)) != 0 ||
      size > file_size - RK_RING_HEADER_SIZE || header->tag == 0) {
    return rk_fail(error, RK_ERR_CORRUPT, offsetof(rk_ring_header, size), "ring file with an impossible header");
  }
  const uint64_t head = header->head, tail = header->tail;
  if (tail > head || head - tail > size || head % 8 != 0 || tail % 8 != 0) {
    return rk_fail(error, RK_ERR_CORRUPT, offsetof(rk_ring_header, head), "ring file with impossible positions");
  }
  if (rk_ring_intent_in_force(header) && (header->intent_end > head || header->intent_end % 8 != 0)) {
    return rk_fail(error, RK_ERR_CORRUPT, offsetof(rk_ring_header, intent_end), "ring file with an impossible intent");
  }
  return RK_OK;
}

static bool parse_cell(const uint8_t *data, size_t available, rk_spool_cell *cell)
{
  if (available < RK_SPOOL_CELL_HEADER) {
    return false;
  }
  *cell = (rk_spool_cell){.component = rk_load_u32(data),
                          .count = rk_load_u32(data + 4),
                          .size = rk_load_u32(data + 8),
                          .form = rk_load_u32(data + 12),
                          .data = data + RK_SPOOL_CELL_HEADER};
  return cell->size <= RK_SPOOL_ROW_MAX && cell->form <= RK_CELL_FLAT &&
         rk_align_up(cell->size, 8) <= available - RK_SPOOL_CELL_HEADER;
}

rk_status rk_spool_row_parse(const uint8_t *data, size_t available, rk_spool_row *row)
{
  if (available < 8) {
    return RK_ERR_CORRUPT;
  }
  const uint32_t size = rk_load_u32(data);
  if (size < 8 || size % 8 != 0 || size > available) {
    return RK_ERR_CORRUPT;
  }
  *row = (rk_spool_row){.size = size, .row_number = rk_load_u32(data + 4)};
  if (row->row_number == RK_SPOOL_SKIP) {
    return RK_END;
  }
  if (size < RK_SPOOL_ROW_HEADER || (data[26] & ~1) != 0 || rk_load_u32(data + 28) != 0) {
    return RK_ERR_CORRUPT;
  }
  row->stamp_ns = rk_load_i64(data + 8);
  row->entity = rk_load_u32(data + 16);
  row->timeline_set = rk_load_u32(data + 20);
  row->cell_count = rk_load_u16(data + 24);
  row->is_static = data[26] != 0;
  row->timeline_count = data[27];
  row->times = data + RK_SPOOL_ROW_HEADER;
  size_t at = RK_SPOOL_ROW_HEADER + (size_t)8 * row->timeline_count;
  if (at > size || row->cell_count == 0 || row->cell_count > RK_SPOOL_CELLS_MAX) {
    return RK_ERR_CORRUPT;
  }
  row->cells = data + at;
  for (unsigned i = 0; i < row->cell_count; i++) {
    rk_spool_cell cell;
    if (!parse_cell(data + at, size - at, &cell)) {
      return RK_ERR_CORRUPT;
    }
    at += RK_SPOOL_CELL_HEADER + rk_align_up(cell.size, 8);
  }
  return at == size ? RK_OK : RK_ERR_CORRUPT;
}

bool rk_spool_row_alike(const uint8_t *sound, const uint8_t *next)
{
  if (rk_load_u32(next) != rk_load_u32(sound) || rk_load_u32(next + 4) == RK_SPOOL_SKIP ||
      memcmp(next + 16, sound + 16, RK_SPOOL_ROW_HEADER - 16) != 0) {
    return false;
  }
  size_t at = RK_SPOOL_ROW_HEADER + (size_t)8 * sound[27];
  for (unsigned left = rk_load_u16(sound + 24); left > 0; left--) {
    if (memcmp(next + at, sound + at, RK_SPOOL_CELL_HEADER) != 0) {
      return false;
    }
    at += RK_SPOOL_CELL_HEADER + rk_align_up(rk_load_u32(sound + at + 8), 8);
  }
  return true;
}

bool rk_spool_cell_next(const rk_spool_row *row, size_t *position, rk_spool_cell *cell)
{
  const size_t header = RK_SPOOL_ROW_HEADER + (size_t)8 * row->timeline_count;
  const size_t available = row->size - header;
  if (*position >= available || !parse_cell(row->cells + *position, available - *position, cell)) {
    return false;
  }
  *position += RK_SPOOL_CELL_HEADER + rk_align_up(cell->size, 8);
  return true;
}
