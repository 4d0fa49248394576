/* A chunk of the output: made from gathered rows, or looked at before it passes as it is. Runs on any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/chunk_frame.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/protobuf.h"
#include "reader/file_io.h"
#include "reader/merge/merge_internal.h"

enum { HEAD_SIZE = 1024, TAIL_MAX = 4096 };
/* Bytes of a payload that usually hold its schema and metadata. */
enum { HEAD_USUAL = 4096 };

static rk_status out_of_memory(rk_merge_item *item)
{
  return rk_fail(&item->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
}

/* ---- Scratch ---- */

static rk_merge_scratch *take_scratch(rk_merge *m)
{
  pthread_mutex_lock(&m->scratch_mutex);
  rk_merge_scratch *scratch = m->scratches;
  if (scratch != NULL) {
    m->scratches = scratch->next;
  }
  pthread_mutex_unlock(&m->scratch_mutex);
  return scratch != NULL ? scratch : calloc(1, sizeof *scratch);
}

static void give_scratch(rk_merge *m, rk_merge_scratch *scratch)
{
  rk_buffer_reset(&scratch->payload);
  pthread_mutex_lock(&m->scratch_mutex);
  scratch->next = m->scratches;
  m->scratches = scratch;
  pthread_mutex_unlock(&m->scratch_mutex);
}

/* ---- Gathered ---- */

static rk_status encode(rk_merge_item *item, rk_merge_scratch *scratch)
{
  const rk_chunk *view = &item->view;
  rk_status status = rk_chunk_summarise(&item->arena, view, &item->summary);
  rk_seal seal = {.flags = view->timeline_count == 0 ? RK_SEAL_STATIC : 0,
                  .writer = item->span.writer,
                  .first_row = item->span.first_row,
                  .row_count = (uint32_t)view->row_count,
                  .min_log_time = item->span.min_key,
                  .max_log_time = item->span.max_key,
                  .entity_hash = item->entity_hash,
                  .recording_hash = rk_recording_hash(item->store->application_id, item->store->recording_id),
                  .cut_rows = item->cut_rows,
                  .cut_size = item->cut_size};
  const rk_store_id store = rk_merge_store_id(item->store);
  status = status == RK_OK
               ? rk_chunk_frame_encode(&item->bytes, &scratch->payload, &store, item->merge->compression, view, &seal)
               : status;
  if (status != RK_OK) {
    return rk_fail(&item->error, status, RK_NO_OFFSET, "cannot encode a merged chunk: %s", rk_status_text(status));
  }
  item->frame = item->bytes.data;
  item->frame_size = item->bytes.size;
  item->uncompressed_size = seal.uncompressed_size;
  return RK_OK;
}

/* ---- Passing ---- */

/* A file's bytes can be read by any thread. */
static bool read_aside(const rk_source *source)
{
  return source->memory == NULL && source->fd >= 0;
}

void rk_merge_item_prepare(rk_merge_item *item)
{
  const rk_entry *entry = item->entry;
  if (entry == NULL) {
    return;
  }
  rk_source *source = &entry->input->source;
  item->frame_size = entry->size;
  if (source->memory != NULL) {
    item->frame = source->memory + entry->offset;
  } else if (read_aside(source)) {
    source->read_size += entry->size;
  } else {
    item->frame = rk_buffer_extend(&item->bytes, entry->size);
    item->status = item->frame == NULL
                       ? out_of_memory(item)
                       : rk_source_read(source, entry->offset, item->bytes.data, (size_t)item->frame_size);
    if (item->status == RK_ERR_IO) {
      (void)rk_fail_errno(&item->error, source->sys_errno, "cannot read a chunk");
    }
  }
}

static rk_status read_frame(rk_merge_item *item)
{
  enum { ALIGNMENT = 64 };
  const rk_entry *entry = item->entry;
  uint8_t *bytes = rk_buffer_extend(&item->bytes, entry->size + ALIGNMENT);
  if (bytes == NULL) {
    return out_of_memory(item);
  }
  /* Where its payload is aligned it is decoded without being copied. */
  bytes += (ALIGNMENT - ((uintptr_t)bytes + item->payload_offset) % ALIGNMENT) % ALIGNMENT;
  item->frame = bytes;
  const rk_status status = rk_file_read(entry->input->source.fd, bytes, entry->size, entry->offset);
  if (status == RK_ERR_TRUNCATED) {
    return rk_fail(&item->error, status, entry->offset, "the input shrank");
  }
  return status ? rk_fail_errno(&item->error, errno, "cannot read a chunk") : RK_OK;
}

/* The first `part` bytes of the payload, or more; scratch->payload holds what was unpacked. */
static rk_status unpack(const uint8_t **data, rk_merge_item *item, const rk_arrow_msg *msg, size_t part,
                        rk_merge_scratch *scratch)
{
  if (msg->compression == RK_COMPRESSION_NONE) {
    *data = msg->payload;
    return RK_OK;
  }
  *data = scratch->payload.data;
  if (scratch->payload.size >= part) {
    return RK_OK;
  }
  rk_buffer_reset(&scratch->payload);
  const rk_status status = rk_decompress_part(&scratch->payload, msg->compression, msg->payload, msg->payload_size,
                                              msg->uncompressed_size, part, &item->error);
  *data = scratch->payload.data;
  return status;
}

/* By the first bytes of the payload, which mostly suffice. RK_ERR_UNSUPPORTED: they do not. */
static rk_status look(rk_merge_item *item, const rk_arrow_msg *msg, size_t whole, rk_merge_scratch *scratch,
                      rk_chunk *chunk)
{
  size_t part = msg->compression == RK_COMPRESSION_NONE || whole < HEAD_USUAL ? whole : HEAD_USUAL;
  for (;;) {
    const uint8_t *data;
    rk_status status = unpack(&data, item, msg, part, scratch);
    if (status != RK_OK) {
      return status;
    }
    if (msg->compression != RK_COMPRESSION_NONE && scratch->payload.size < part) {
      return RK_ERR_UNSUPPORTED;
    }
    size_t needed = 0;
    status = rk_chunk_decode_head(&item->arena, data, part, whole, chunk, &needed);
    if (status != RK_ERR_TRUNCATED) {
      return status;
    }
    part = needed;
  }
}

/* What the footer needs of a chunk that was not decoded; and is it what its seal says? */
static rk_status summarise(rk_merge_item *item, const rk_arrow_msg *msg, rk_merge_scratch *scratch)
{
  size_t size = msg->compression == RK_COMPRESSION_NONE ? msg->payload_size : (size_t)msg->uncompressed_size;
  rk_chunk chunk;
  rk_status status = look(item, msg, size, scratch, &chunk);
  if (status == RK_ERR_UNSUPPORTED) {
    const uint8_t *payload;
    rk_arena_reset(&item->arena);
    status = unpack(&payload, item, msg, size, scratch);
    size = msg->compression == RK_COMPRESSION_NONE ? size : scratch->payload.size;
    status = status == RK_OK ? rk_chunk_decode(&item->arena, payload, size, &chunk, &item->error) : status;
  }
  if (status != RK_OK) {
    return status;
  }
  if ((uint64_t)chunk.row_count != item->entry->row_count || rk_tuid_compare(chunk.id, item->id) != 0 ||
      (chunk.timeline_count == 0) != item->entry->is_static ||
      XXH3_64bits(chunk.entity_path, strlen(chunk.entity_path)) != item->entity_hash) {
    return rk_fail(&item->error, RK_ERR_CORRUPT, item->entry->offset, "its seal does not describe its rows");
  }
  item->uncompressed_size = size;
  return rk_chunk_summarise(&item->arena, &chunk, &item->summary);
}

static rk_status check(rk_merge_item *item, rk_merge_scratch *scratch)
{
  rk_status status = item->status;
  status = status == RK_OK && item->frame == NULL ? read_frame(item) : status;
  if (status != RK_OK) {
    return status;
  }
  if (!rk_seal_verify(item->frame, (size_t)item->frame_size)) {
    return rk_fail(&item->error, RK_ERR_CORRUPT, item->entry->offset, "its hash is wrong");
  }
  if (item->has_summary) {
    return RK_OK;
  }
  rk_arrow_msg msg;
  status = rk_arrow_msg_decode(item->frame + RK_FRAME_HEADER_SIZE, (size_t)item->frame_size - RK_FRAME_HEADER_SIZE,
                               &msg, &item->error);
  return status == RK_OK ? summarise(item, &msg, scratch) : status;
}

void rk_merge_item_work(rk_task *task)
{
  rk_merge_item *item = (rk_merge_item *)task;
  rk_merge_scratch *scratch = take_scratch(item->merge);
  if (scratch == NULL) {
    item->status = out_of_memory(item);
    return;
  }
  item->status = item->chunk != NULL ? encode(item, scratch) : check(item, scratch);
  give_scratch(item->merge, scratch);
}

void rk_merge_item_free(rk_merge_item *item)
{
  rk_buffer_free(&item->bytes);
  rk_arena_free(&item->arena);
  free(item);
}

/* ---- Peeking ---- */

/* Where the payload's field and its data begin in a message's first `size` bytes, and where they end, perhaps later.
 * False: not found, or something is wrong. */
static bool find_payload(const uint8_t *head, size_t size, size_t *begin, size_t *data, uint64_t *end)
{
  enum { PAYLOAD_KEY = 5 << 3 | RK_PB_BYTES };
  rk_pb_cursor cursor = rk_pb_open(head, size);
  rk_pb_field field;
  for (*begin = 0; *begin < size && head[*begin] != PAYLOAD_KEY; *begin = (size_t)(cursor.p - head)) {
    if (rk_pb_next(&cursor, &field) <= 0) {
      return false;
    }
  }
  uint64_t length = 0;
  for (size_t i = 0; i < 5 && *begin + 1 + i < size; i++) {
    const uint8_t byte = head[*begin + 1 + i];
    length |= (uint64_t)(byte & 0x7F) << 7 * i;
    if (byte < 0x80) {
      *data = *begin + 2 + i;
      *end = *data + length;
      return true;
    }
  }
  return false;
}

bool rk_merge_peek_entry(rk_entry *entry, rk_merge_peek *peek)
{
  uint8_t message[HEAD_SIZE + 2 + TAIL_MAX];
  rk_source *source = &entry->input->source;
  const uint64_t offset = entry->offset + RK_FRAME_HEADER_SIZE;
  const uint64_t size = entry->size - RK_FRAME_HEADER_SIZE;
  const size_t head_size = size < HEAD_SIZE ? (size_t)size : HEAD_SIZE;
  size_t begin, data;
  uint64_t end;
  if (rk_source_read(source, offset, message, head_size) != RK_OK ||
      !find_payload(message, head_size, &begin, &data, &end) || end > size || size - end > TAIL_MAX ||
      size - end < RK_SEAL_SIZE) {
    return false;
  }
  /* The message as if its payload were empty. */
  const size_t tail_size = (size_t)(size - end);
  message[begin + 1] = 0;
  rk_seal seal;
  rk_arrow_msg msg;
  if (rk_source_read(source, offset + end, message + begin + 2, tail_size) != RK_OK ||
      rk_seal_decode(message + begin + 2 + tail_size - RK_SEAL_SIZE, &seal) != RK_OK ||
      rk_arrow_msg_decode(message, begin + 2 + tail_size, &msg, NULL) != RK_OK) {
    return false;
  }
  *peek = (rk_merge_peek){.compression = msg.compression,
                          .has_id = msg.has_chunk_id,
                          .id = msg.chunk_id,
                          .cut_rows = seal.cut_rows,
                          .cut_size = seal.cut_size,
                          .payload_offset = RK_FRAME_HEADER_SIZE + data};
  return true;
}
