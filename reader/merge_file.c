/* Writes a merged recording: stream header, stores and writers, chunks, activations, End and footer. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/seal.h"
#include "reader/merge_internal.h"

enum { WRITE_SIZE = 1 << 20 };

static rk_status write_out(rk_merge_file *file, rk_error *error)
{
  size_t done = 0;
  while (done < file->out.size) {
    const ssize_t n = write(file->fd, file->out.data + done, file->out.size - done);
    if (n > 0) {
      done += (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd ready = {.fd = file->fd, .events = POLLOUT};
      if (poll(&ready, 1, -1) < 0 && errno != EINTR) {
        return rk_fail_errno(error, errno, "cannot write the merged recording");
      }
    } else if (n == 0 || errno != EINTR) {
      return rk_fail_errno(error, n == 0 ? EIO : errno, "cannot write the merged recording");
    }
  }
  file->written += done;
  rk_buffer_reset(&file->out);
  return RK_OK;
}

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

static rk_store_id store_id_of(const rk_store *store)
{
  return (rk_store_id){.kind = store->kind,
                       .application_id = text_of(store->application_id),
                       .recording_id = text_of(store->recording_id)};
}

static rk_status out_of_memory(rk_error *error)
{
  return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
}

/* Seals the frame that starts at out.data + start; writes when enough has gathered. */
static rk_status seal(rk_merge_file *file, size_t start, const rk_store *store, rk_seal seal_values, rk_error *error)
{
  seal_values.recording_hash = rk_recording_hash(store->application_id, store->recording_id);
  rk_seal_frame(&file->out, start, (unsigned)((file->written + start) % RK_FRAME_ALIGNMENT), &seal_values);
  return file->out.failed ? out_of_memory(error) : RK_OK;
}

/* The same message makes the same row id, without a clock. */
static rk_tuid derived_row_id(const rk_store *store, uint32_t writer)
{
  const uint64_t inc = rk_recording_hash(store->application_id, store->recording_id);
  return (rk_tuid){.time_ns = 0, .inc = (inc ^ (uint64_t)store->kind << 32 ^ writer) >> 1};
}

static rk_status put_store(rk_merge_file *file, const rk_store *store, const rk_writer_info *writer, rk_error *error)
{
  const rk_store_entry *entry = rk_store_entry_of(store);
  rk_store_info info = {.row_id = derived_row_id(store, writer == NULL ? 0 : writer->tag),
                        .store = store_id_of(store),
                        .source_kind = 1,
                        .store_version = rk_load_u32(rk_stream_header_bytes + 4)};
  if (writer == NULL && entry->has_recording) {
    info.has_recording = true;
    info.recording = (rk_recording_record){.clock_offset = entry->clock_offset,
                                           .boot_id = text_of(entry->boot_id),
                                           .clock_monotonic = entry->clock_monotonic,
                                           .clock_realtime = entry->clock_realtime};
  }
  if (writer != NULL) {
    const rk_writer_entry *clocks = rk_writer_entry_of(writer);
    info.has_writer = true;
    info.writer = (rk_writer_record){.tag = writer->tag,
                                     .host = text_of(writer->host),
                                     .boot_id = text_of(writer->boot_id),
                                     .thread = text_of(writer->thread),
                                     .program = text_of(writer->program),
                                     .pid = writer->pid,
                                     .tid = writer->tid,
                                     .start_ns = writer->start_ns,
                                     .clock_monotonic = clocks->clock_monotonic,
                                     .clock_realtime = clocks->clock_realtime,
                                     .clock_offset = clocks->clock_offset,
                                     .dropped_rows = writer->dropped_rows};
  }
  const size_t start = rk_frame_begin(&file->out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(&file->out, &info);
  return seal(file, start, store, (rk_seal){.writer = info.writer.tag}, error);
}

rk_status rk_merge_file_open(rk_merge_file *file, int fd, rk_compression compression, const rk_reader *reader,
                             rk_error *error)
{
  *file = (rk_merge_file){.fd = fd, .compression = compression};
  file->stores = rk_reader_stores(reader, &file->store_count);
  if (file->store_count == 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "nothing to merge: the inputs hold no recording");
  }
  file->manifests = calloc(file->store_count, sizeof(rk_manifest *));
  if (file->manifests == NULL) {
    return out_of_memory(error);
  }
  rk_buffer_append(&file->out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  for (size_t i = 0; i < file->store_count; i++) {
    const rk_store *store = file->stores[i];
    file->manifests[i] = rk_manifest_new(store->kind, store->application_id, store->recording_id);
    if (file->manifests[i] == NULL) {
      return out_of_memory(error);
    }
    const rk_status status = put_store(file, store, NULL, error);
    if (status != RK_OK) {
      return status;
    }
  }
  size_t writer_count = 0;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &writer_count);
  for (size_t i = 0; i < writer_count; i++) {
    const rk_status status = put_store(file, writers[i]->store, writers[i], error);
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

static rk_manifest *manifest_of(const rk_merge_file *file, const rk_store *store)
{
  for (size_t i = 0; i < file->store_count; i++) {
    if (file->stores[i] == store) {
      return file->manifests[i];
    }
  }
  return NULL;
}

rk_status rk_merge_file_put_chunk(rk_merge_file *file, rk_merge_chunk *chunk, rk_error *error)
{
  const rk_store *store = rk_merge_chunk_store(chunk);
  rk_chunk view;
  rk_merge_chunk_span span;
  rk_buffer_reset(&file->payload);
  rk_buffer_reset(&file->packed);
  rk_arrow_msg msg = {.store = store_id_of(store), .has_chunk_id = true};
  rk_status status = rk_merge_chunk_view(chunk, &view, &span);
  status = status == RK_OK ? rk_chunk_encode(&file->payload, &view) : status;
  status = status == RK_OK
               ? rk_compress(&file->packed, file->compression, file->payload.data, file->payload.size, &msg.compression)
               : status;
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot encode a merged chunk: %s", rk_status_text(status));
  }
  msg.uncompressed_size = file->payload.size;
  msg.payload = file->packed.data;
  msg.payload_size = file->packed.size;
  msg.is_static = view.timeline_count == 0;
  msg.chunk_id = view.id;
  const size_t start = rk_frame_begin(&file->out, RK_FRAME_ARROW_MSG);
  rk_arrow_msg_encode(&file->out, &msg);
  const rk_seal values = {.flags = msg.is_static ? RK_SEAL_STATIC : 0,
                          .writer = span.writer,
                          .first_row = span.first_row,
                          .row_count = (uint32_t)view.row_count,
                          .min_log_time = span.min_key,
                          .max_log_time = span.max_key,
                          .entity_hash = XXH3_64bits(view.entity_path, strlen(view.entity_path)),
                          .uncompressed_size = msg.uncompressed_size};
  status = seal(file, start, store, values, error);
  if (status != RK_OK) {
    return status;
  }
  status = rk_manifest_add(manifest_of(file, store), &view, file->written + start + RK_FRAME_HEADER_SIZE,
                           file->out.size - start - RK_FRAME_HEADER_SIZE, msg.uncompressed_size);
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot index a merged chunk: %s", rk_status_text(status));
  }
  return file->out.size >= WRITE_SIZE ? write_out(file, error) : RK_OK;
}

rk_status rk_merge_file_put_activation(rk_merge_file *file, const rk_activation *activation, rk_error *error)
{
  const rk_blueprint_activation command = {.blueprint = store_id_of(activation->blueprint),
                                           .make_active = activation->make_active,
                                           .make_default = activation->make_default};
  const size_t start = rk_frame_begin(&file->out, RK_FRAME_BLUEPRINT_ACTIVATION);
  rk_blueprint_activation_encode(&file->out, &command);
  return seal(file, start, activation->blueprint, (rk_seal){0}, error);
}

rk_status rk_merge_file_finish(rk_merge_file *file, rk_error *error)
{
  const rk_status status =
      rk_footer_encode(&file->out, file->manifests, file->store_count, file->written + file->out.size);
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot write the footer: %s", rk_status_text(status));
  }
  return write_out(file, error);
}

void rk_merge_file_free(rk_merge_file *file)
{
  for (size_t i = 0; i < file->store_count && file->manifests != NULL; i++) {
    rk_manifest_free(file->manifests[i]);
  }
  free(file->manifests);
  rk_buffer_free(&file->out);
  rk_buffer_free(&file->payload);
  rk_buffer_free(&file->packed);
}
