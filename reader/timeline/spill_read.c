/* Reading blocks of sorted runs back from the temporary file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/codec.h"
#include "reader/file_io.h"
#include "reader/timeline/chunk_load.h"
#include "reader/timeline/spill_internal.h"

void rk_block_retain(rk_block *block)
{
  block->references++;
}

void rk_block_release(rk_block *block)
{
  if (--block->references == 0) {
    rk_arena_free(&block->arena);
    rk_spare_give(block->spares, &block->data);
    free(block);
  }
}

rk_arena *rk_block_arena(rk_block *block)
{
  return &block->arena;
}

static rk_status read_data(int fd, const rk_block_place *place, rk_buffer *data)
{
  rk_buffer stored = {0};
  uint8_t *bytes = rk_buffer_reserve_exactly(&stored, (size_t)place->stored_size)
                       ? rk_buffer_extend(&stored, (size_t)place->stored_size)
                       : NULL;
  rk_status status = bytes ? RK_OK : RK_ERR_NO_MEMORY;
  if (status == RK_OK && rk_file_read(fd, bytes, stored.size, place->offset) != RK_OK) {
    status = RK_ERR_IO;
  } else if (status == RK_OK && XXH3_64bits(bytes, stored.size) != place->hash) {
    errno = EIO;
    status = RK_ERR_IO;
  }
  /* The room is not needed any more; a file system that cannot give it back keeps it until the end. */
  (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place->offset,
                  (off_t)((place->stored_size + RK_SPILL_ALIGNMENT - 1) / RK_SPILL_ALIGNMENT * RK_SPILL_ALIGNMENT));
  if (status == RK_OK && place->compressed) {
    status = rk_decompress(data, RK_COMPRESSION_LZ4, stored.data, stored.size, place->size, NULL);
    errno = EIO;
    status = status && status != RK_ERR_NO_MEMORY ? RK_ERR_IO : status;
  } else if (status == RK_OK) {
    *data = stored;
    stored = (rk_buffer){0};
  }
  const int failed = errno;
  rk_buffer_free(&stored);
  errno = failed;
  return status;
}

static const void *side(const rk_block *block, const rk_spill_piece *head, size_t i)
{
  return head->side_offsets[i] ? block->data.data + head->side_offsets[i] : NULL;
}

static rk_status open_piece(rk_reader *reader, rk_block *block, const rk_spill_head *head, const rk_spill_piece *from,
                            rk_open_chunk *open)
{
  rk_status status = rk_chunk_decode(&block->arena, block->data.data + from->payload_offset, (size_t)from->payload_size,
                                     &open->chunk, NULL);
  status = status ? status : rk_open_chunk_names(reader, &block->arena, open, NULL);
  if (status) {
    return status;
  }
  open->block = block;
  open->store = from->store;
  open->stored_static = from->stored_static;
  open->id_keyed = true;
  for (size_t i = 0; i < open->chunk.timeline_count; i++) {
    open->id_keyed = open->id_keyed && !rk_row_is_log_time(reader, &open->chunk.timelines[i]);
  }
  open->rank = rk_open_chunk_rank(reader, from->store, from->stored_static);
  open->uncompressed_size = from->payload_size;
  open->keys = side(block, from, RK_SIDE_KEYS);
  open->ties = side(block, from, RK_SIDE_TIES);
  open->origins = (const void *)(block->data.data + head->origins_offset);
  open->origin_index = side(block, from, RK_SIDE_INDEX);
  open->origin_rows = side(block, from, RK_SIDE_ROWS);
  open->origin_positions = side(block, from, RK_SIDE_POSITIONS);
  open->effective_keys = side(block, from, RK_SIDE_EFFECTIVE_KEYS);
  open->effective_ids = side(block, from, RK_SIDE_EFFECTIVE_IDS);
  return RK_OK;
}

static rk_status open_block(rk_reader *reader, rk_block *block)
{
  rk_spill_head head;
  memcpy(&head, block->data.data, sizeof head);
  const rk_spill_piece *pieces = (const void *)(block->data.data + head.pieces_offset);
  block->piece_count = head.piece_count;
  block->row_count = head.row_count;
  block->steps = (const void *)(block->data.data + head.steps_offset);
  block->taken = rk_arena_array(&block->arena, head.piece_count, sizeof *block->taken);
  block->pieces = rk_arena_array(&block->arena, head.piece_count, sizeof *block->pieces);
  if (!block->taken || !block->pieces) {
    return RK_ERR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < head.piece_count; i++) {
    const rk_status status = open_piece(reader, block, &head, &pieces[i], &block->pieces[i]);
    if (status) { /* it was written by this process: nothing but memory can fail */
      errno = EIO;
      return status == RK_ERR_NO_MEMORY ? status : RK_ERR_IO;
    }
  }
  block->memory = sizeof *block + block->data.capacity + rk_arena_size(&block->arena) +
                  block->row_count * sizeof *block->pieces->sizes;
  for (uint32_t i = 0; i < block->piece_count; i++) {
    block->pieces[i].memory = block->memory; /* who keeps one keeps all */
  }
  return RK_OK;
}

rk_status rk_spill_read(rk_spill *spill, rk_run *run, rk_block **block)
{
  const rk_block_place *place = rk_run_next(run);
  rk_block *b = calloc(1, sizeof *b);
  if (!b) {
    return rk_spill_fail(spill, RK_ERR_NO_MEMORY);
  }
  b->references = 1;
  b->spares = &spill->reader->spares;
  if (place->compressed) {
    rk_spare_take(b->spares, &b->data, place->size + 1);
  }
  rk_status status = read_data(spill->fd, place, &b->data);
  status = status ? status : open_block(spill->reader, b);
  if (status) {
    const int failed = errno;
    rk_block_release(b);
    errno = failed;
    return rk_spill_fail(spill, status);
  }
  run->next++;
  *block = b;
  return RK_OK;
}
