/* Writing the blocks of sorted runs to the temporary file. */
#include <xxhash.h>

#include "format/codec.h"
#include "reader/file_io.h"
#include "reader/input/temporary.h"
#include "reader/timeline/spill_internal.h"

static rk_status encode_piece(rk_spill *spill, rk_spill_gather *p, rk_spill_piece *head)
{
  rk_buffer *out = &spill->out;
  const size_t count = p->columns.count;
  rk_spill_column *columns = p->columns.items;
  rk_chunk_component *components = rk_arena_array(&spill->arena, count + 1, sizeof *components);
  if (!components) {
    return RK_ERR_NO_MEMORY;
  }
  rk_status status = RK_OK;
  for (size_t i = 0; i < count && status == RK_OK; i++) {
    status = rk_spill_pad(&columns[i], p->row_count);
    components[i] = (rk_chunk_component){.name = columns[i].name,
                                         .archetype = columns[i].archetype,
                                         .component_type = columns[i].component_type,
                                         .item = &columns[i].list->children[0],
                                         .lists = rk_builder_view(columns[i].builder)};
  }
  bool failed = p->row_ids.failed;
  for (size_t i = 0; i < p->timeline_count; i++) {
    failed = failed || p->times[i].failed;
    p->timelines[i].values = (const int64_t *)(const void *)p->times[i].data;
  }
  for (size_t i = 0; i < RK_SPILL_SIDES; i++) {
    failed = failed || p->side[i].failed;
  }
  if (status || failed) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_chunk chunk = {.entity_path = p->entity_path,
                          .row_count = p->row_count,
                          .row_ids = p->row_ids.data,
                          .timeline_count = p->timeline_count,
                          .timelines = p->timelines,
                          .component_count = count,
                          .components = components};
  *head = (rk_spill_piece){.store = p->store, .row_count = p->row_count, .stored_static = p->stored_static};
  rk_buffer_align(out, 64);
  head->payload_offset = out->size;
  status = rk_chunk_encode(out, &chunk);
  head->payload_size = out->size - head->payload_offset;
  for (size_t i = 0; i < RK_SPILL_SIDES; i++) {
    const bool needed = i == RK_SIDE_TIES ? p->has_ties : i < RK_SIDE_EFFECTIVE_KEYS || p->clamped;
    if (needed) {
      rk_buffer_align(out, 16);
      head->side_offsets[i] = out->size;
      rk_buffer_append(out, p->side[i].data, p->side[i].size);
    }
  }
  return status;
}

static rk_status encode_block(rk_spill *spill)
{
  rk_buffer *out = &spill->out;
  rk_buffer_reset(out);
  const size_t piece_count = spill->pieces.count;
  rk_spill_head head = {.piece_count = (uint32_t)piece_count,
                        .row_count = (uint32_t)(spill->steps.size / sizeof(uint32_t))};
  rk_spill_piece *heads = rk_arena_array(&spill->arena, piece_count, sizeof *heads);
  if (!heads) {
    return RK_ERR_NO_MEMORY;
  }
  rk_buffer_append(out, &head, sizeof head);
  rk_buffer_align(out, 16);
  head.steps_offset = out->size;
  rk_buffer_append(out, spill->steps.data, spill->steps.size);
  rk_buffer_align(out, 16);
  head.origins_offset = out->size;
  rk_buffer_append(out, spill->origins.items, spill->origins.count * sizeof(rk_origin));
  rk_status status = RK_OK;
  for (size_t i = 0; i < piece_count && status == RK_OK; i++) {
    status = encode_piece(spill, ((rk_spill_gather **)spill->pieces.items)[i], &heads[i]);
  }
  rk_buffer_align(out, 16);
  head.pieces_offset = out->size;
  rk_buffer_append(out, heads, piece_count * sizeof *heads);
  if (status || out->failed || spill->steps.failed) {
    return RK_ERR_NO_MEMORY;
  }
  memcpy(out->data, &head, sizeof head);
  return RK_OK;
}

rk_status rk_spill_end_block(rk_spill *spill)
{
  rk_status status = rk_spill_copy_rows(spill);
  status = status ? status : encode_block(spill);
  rk_compression used = RK_COMPRESSION_NONE;
  rk_buffer_reset(&spill->packed);
  if (status == RK_OK && spill->out.size <= RK_SPILL_COMPRESSED_MAX) {
    status = rk_compress(&spill->packed, RK_COMPRESSION_LZ4, spill->out.data, spill->out.size, NULL, &used);
  }
  rk_block_place *place = status ? NULL : rk_list_add(&spill->run->blocks, sizeof *place);
  if (!place) {
    return rk_spill_fail(spill, RK_ERR_NO_MEMORY);
  }
  const rk_buffer *stored = used == RK_COMPRESSION_NONE ? &spill->out : &spill->packed;
  *place = (rk_block_place){.offset = spill->end,
                            .stored_size = stored->size,
                            .size = spill->out.size,
                            .hash = XXH3_64bits(stored->data, stored->size),
                            .row_count = (uint32_t)(spill->steps.size / sizeof(uint32_t)),
                            .compressed = used != RK_COMPRESSION_NONE,
                            .first = spill->first};
  if (spill->fd < 0) {
    spill->fd = rk_temporary_file(spill->reader->temporary_directory);
  }
  if (spill->fd < 0 || rk_file_write(spill->fd, stored->data, stored->size, spill->end) != RK_OK) {
    return rk_spill_fail(spill, RK_ERR_IO);
  }
  spill->end += (stored->size + RK_SPILL_ALIGNMENT - 1) / RK_SPILL_ALIGNMENT * RK_SPILL_ALIGNMENT;
  spill->reader->stats.spilled_size += stored->size;
  rk_spill_reset(spill);
  if (spill->out.capacity > 8 * spill->block_size &&
      spill->out.capacity > spill->block_max) { /* a large row went through */
    rk_buffer_free(&spill->out);
    rk_buffer_free(&spill->packed);
  }
  return RK_OK;
}

rk_status rk_spill_end(rk_spill *spill, rk_run **run)
{
  *run = NULL;
  if (spill->steps.size > 0) {
    const rk_status status = rk_spill_end_block(spill);
    if (status) {
      return status;
    }
  }
  *run = spill->run;
  spill->run = NULL;
  return RK_OK;
}
