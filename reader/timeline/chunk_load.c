/* Bringing a chunk into memory: read, checked against its seal, decoded, its names interned and its rows put in order.
 * The part between, which needs nothing of the reader, may be done on another thread. */
#include "reader/timeline/chunk_load.h"

#include <stdlib.h>
#include <string.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/utf8.h"
#include "reader/index/retime.h"
#include "reader/timeline/row_order.h"

/* ---- The frame ---- */

/* Its bytes: lent from memory, else read into load->open->frame. */
static rk_status read_frame(rk_chunk_load *load)
{
  rk_source *source = &load->source;
  rk_buffer *frame = &load->open->frame;
  if (source->memory) {
    load->frame = source->memory + load->offset;
    return RK_OK;
  }
  const bool has_room = frame->capacity > 0 || rk_buffer_reserve_exactly(frame, (size_t)load->size);
  uint8_t *bytes = has_room ? rk_buffer_extend(frame, (size_t)load->size) : NULL;
  if (!bytes) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status = rk_source_read(source, load->offset, bytes, (size_t)load->size);
  if (status == RK_ERR_IO) {
    char name[160];
    rk_escape(name, sizeof name, load->input_name, strlen(load->input_name));
    return rk_fail_errno(&load->error, source->sys_errno, "cannot read %s", name);
  }
  if (status) {
    return rk_fail(&load->error, status, load->offset, "the input shrank");
  }
  load->frame = bytes;
  return RK_OK;
}

static rk_status verify_frame(rk_chunk_load *load)
{
  if (load->unverified && !rk_seal_verify(load->frame, (size_t)load->size)) {
    return rk_fail(&load->error, RK_ERR_CORRUPT, load->offset, "its hash is wrong");
  }
  return RK_OK;
}

/* What was read counts for the input. */
static void note_reading(const rk_chunk_load *load, rk_entry *entry, bool sound)
{
  rk_source *source = &entry->input->source;
  if (!source->zst) {
    source->read_size += load->source.read_size - load->read_before;
  } else if (load->source.read_size > source->read_size) { /* counted for all of its readers together */
    source->read_size = load->source.read_size;
  }
  source->sys_errno = load->source.sys_errno;
  entry->verified = entry->verified || (sound && entry->sealed && source->memory != NULL); /* a file may change */
}

static void look_at_entry(rk_chunk_load *load, const rk_entry *entry)
{
  load->source = entry->input->source;
  load->read_before = load->source.read_size;
  load->input_name = entry->input->name;
  load->offset = entry->offset;
  load->size = entry->size;
  load->unverified = entry->sealed && !entry->verified;
}

rk_status rk_open_chunk_check(rk_entry *entry, rk_error *error)
{
  rk_open_chunk open = {0};
  rk_chunk_load load = {.open = &open};
  look_at_entry(&load, entry);
  rk_status status = read_frame(&load);
  status = status ? status : verify_frame(&load);
  note_reading(&load, entry, status == RK_OK);
  rk_buffer_free(&open.frame);
  if (error && status) {
    *error = load.error;
  }
  return status;
}

/* ---- What decoding tells ---- */

/* What the seal said must hold, or the index would have ordered by a lie. */
static rk_status check_seal(const rk_reader *reader, const rk_open_chunk *open, const rk_entry *entry, int64_t min_ns,
                            rk_error *error)
{
  const bool early = open->chunk.row_count > 0 && min_ns < entry->min_ns && !reader->wall_clock; /* which learns */
  if ((uint64_t)open->chunk.row_count != entry->row_count || early || open->stored_static != entry->is_static) {
    return rk_fail(error, RK_ERR_CORRUPT, entry->offset, "its seal does not describe its rows");
  }
  if (entry->writer == 0) {
    return RK_OK;
  }
  for (int64_t i = 0; i < open->chunk.row_count; i++) {
    const uint64_t inc = rk_row_inc_at(open->chunk.row_ids, (uint32_t)i);
    if ((uint32_t)(inc >> 32) != entry->writer || (uint32_t)inc < entry->first_row) {
      return rk_fail(error, RK_ERR_CORRUPT, entry->offset, "its seal does not describe its rows");
    }
  }
  return RK_OK;
}

/* Completes the index entry with what was read. */
static rk_status complete(rk_reader *reader, rk_open_chunk *open, rk_entry *entry, rk_error *error)
{
  const int64_t *times = open->ties ? open->ties : open->keys; /* of log_time, also where another timeline orders */
  int64_t min_ns = 0;
  int64_t max_ns = 0;
  for (int64_t i = 0; i < open->chunk.row_count; i++) {
    min_ns = i == 0 || times[i] < min_ns ? times[i] : min_ns;
    max_ns = i == 0 || times[i] > max_ns ? times[i] : max_ns;
  }
  if (entry->sealed) {
    const rk_status status = check_seal(reader, open, entry, min_ns, error);
    if (status) {
      return status;
    }
  }
  if (!rk_index_name(reader, entry, open->store, open->entity_path)) {
    return RK_ERR_NO_MEMORY;
  }
  if (entry->told) {
    reader->stats.rows_indexed += (uint64_t)open->chunk.row_count - entry->row_count;
  }
  entry->row_count = (uint32_t)open->chunk.row_count;
  entry->uncompressed_size = open->uncompressed_size < UINT32_MAX ? (uint32_t)open->uncompressed_size : UINT32_MAX;
  entry->min_ns = min_ns;
  entry->max_ns = max_ns;
  entry->is_static = open->stored_static;
  entry->bare = open->chunk.component_count == 0;
  entry->told = false;
  return RK_OK;
}

/* ---- Loading ---- */

rk_status rk_chunk_load_begin(rk_reader *reader, rk_entry *entry, rk_chunk_load *load)
{
  *load = (rk_chunk_load){.error = {.message = ""}};
  rk_open_chunk *open = calloc(1, sizeof *open);
  if (!open) {
    return RK_ERR_NO_MEMORY;
  }
  open->references = 1;
  open->origin = entry;
  open->spares = &reader->spares;
  load->open = open;
  look_at_entry(load, entry);
  if (!load->source.memory) {
    rk_spare_take(&reader->spares, &open->frame, load->size);
  }
  if (entry->uncompressed_size > 0) { /* as far as it is known; one more, for the codec */
    rk_spare_take(&reader->spares, &open->payload, (uint64_t)entry->uncompressed_size + 1);
  }
  return RK_OK;
}

static rk_status decode(rk_chunk_load *load)
{
  rk_open_chunk *open = load->open;
  rk_error *error = &load->error;
  rk_arrow_msg *msg = &load->msg;
  rk_status status = verify_frame(load);
  if (status == RK_OK) {
    status =
        rk_arrow_msg_decode(load->frame + RK_FRAME_HEADER_SIZE, (size_t)load->size - RK_FRAME_HEADER_SIZE, msg, error);
    load->has_msg = status == RK_OK;
  }
  if (status) {
    return status;
  }
  open->compression = msg->compression;
  open->payload_data = msg->payload;
  open->payload_size = msg->payload_size;
  if (msg->compression != RK_COMPRESSION_NONE) {
    status =
        rk_decompress(&open->payload, msg->compression, msg->payload, msg->payload_size, msg->uncompressed_size, error);
    if (status) {
      return status;
    }
    open->payload_data = open->payload.data;
    open->payload_size = open->payload.size;
  }
  open->uncompressed_size = open->payload_size;
  status = rk_chunk_decode(&open->arena, open->payload_data, open->payload_size, &open->chunk, error);
  if (status == RK_OK && (open->chunk.row_count < 0 || open->chunk.row_count > UINT32_MAX)) {
    status = rk_fail(error, RK_ERR_LIMIT, load->offset, "a chunk of too many rows");
  }
  return status;
}

void rk_chunk_load_run(rk_chunk_load *load)
{
  load->status = read_frame(load);
  load->status = load->status ? load->status : decode(load);
}

static rk_status finish(rk_reader *reader, rk_chunk_load *load, rk_entry *entry)
{
  rk_open_chunk *open = load->open;
  note_reading(load, entry, load->has_msg);
  const rk_store_entry *store = load->has_msg ? rk_index_store(reader, &load->msg.store) : NULL;
  if (load->status || !store) {
    return load->status ? load->status : RK_ERR_NO_MEMORY;
  }
  open->store = &store->store;
  if (open->compression != RK_COMPRESSION_NONE) {
    rk_spare_give(open->spares, &open->frame);
  } else {
    rk_spare_give(open->spares, &open->payload);
  }
  rk_status status = rk_open_chunk_names(reader, &open->arena, open, &load->error);
  status = status ? status : rk_retime_chunk(reader, entry, open);
  open->rank = rk_open_chunk_rank(reader, open->store, open->stored_static);
  status = status ? status : rk_row_order_take(reader, open, entry->writer != 0 && !entry->is_static);
  return status ? status : complete(reader, open, entry, &load->error);
}

rk_status rk_chunk_load_finish(rk_reader *reader, rk_chunk_load *load, rk_open_chunk **open, rk_error *error)
{
  rk_open_chunk *chunk = load->open;
  const rk_status status = finish(reader, load, chunk->origin);
  load->open = NULL;
  if (status) {
    if (error) {
      *error = load->error;
    }
    rk_open_chunk_release(chunk);
    return status;
  }
  chunk->memory = sizeof *chunk + chunk->frame.capacity + chunk->payload.capacity + rk_arena_size(&chunk->arena) +
                  (uint64_t)chunk->chunk.row_count * sizeof *chunk->sizes;
  *open = chunk;
  return RK_OK;
}

rk_status rk_open_chunk_load(rk_reader *reader, rk_entry *entry, rk_open_chunk **open, rk_error *error)
{
  rk_chunk_load load;
  const rk_status status = rk_chunk_load_begin(reader, entry, &load);
  if (status) {
    return status;
  }
  rk_chunk_load_run(&load);
  return rk_chunk_load_finish(reader, &load, open, error);
}

rk_status rk_open_chunk_judge(rk_reader *reader, rk_entry *entry, rk_status status, rk_error *error)
{
  if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
    error->status = status;
    return rk_reader_set_error(reader, error);
  }
  if (status) {
    entry->lost = true;
    rk_reader_lose(reader, entry->input, entry->offset, entry->size, status,
                   error->message[0] ? error->message : rk_status_text(status), entry->writer);
  }
  return status ? RK_END : RK_OK;
}

rk_status rk_open_chunk_take(rk_reader *reader, rk_entry *entry, rk_open_chunk **open)
{
  rk_error error = {.message = ""};
  const rk_status status = rk_open_chunk_load(reader, entry, open, &error);
  return rk_open_chunk_judge(reader, entry, status, &error);
}
