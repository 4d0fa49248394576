/* Writes a merged recording: stream header, stores and writers, chunks, activations, End and footer. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/seal.h"
#include "reader/merge/merge_internal.h"

enum { WRITE_SIZE = 1 << 20 };

/* Frames that pass are written from the buffer in which they were hashed: copy_file_range took 5 to 30 % more CPU time
 * (ext4, tmpfs), and frames are not aligned to blocks, so no file system could share them. */
rk_status rk_merge_write(int fd, const void *data, size_t size, rk_error *error)
{
  for (size_t done = 0; done < size;) {
    const ssize_t n = write(fd, (const char *)data + done, size - done);
    if (n > 0) {
      done += (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd ready = {.fd = fd, .events = POLLOUT};
      if (poll(&ready, 1, -1) < 0 && errno != EINTR) {
        return rk_fail_errno(error, errno, "cannot write the merged recording");
      }
    } else if (n == 0 || errno != EINTR) {
      return rk_fail_errno(error, n == 0 ? EIO : errno, "cannot write the merged recording");
    }
  }
  return RK_OK;
}

static rk_status put_bytes(rk_merge_file *file, const void *data, size_t size, rk_error *error)
{
  file->written += size;
  if (file->units != NULL) {
    return rk_merge_units_put(file->units, file->fd, data, size, &file->stored, error);
  }
  file->stored += size;
  return rk_merge_write(file->fd, data, size, error);
}

static rk_status write_out(rk_merge_file *file, rk_error *error)
{
  const rk_status status = put_bytes(file, file->out.data, file->out.size, error);
  rk_buffer_reset(&file->out);
  return status;
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
                        .store = rk_merge_store_id(store),
                        .source_kind = 1,
                        .store_version = rk_load_u32(rk_stream_header_bytes + 4)};
  if (writer == NULL && entry->has_recording) {
    info.has_recording = true;
    info.recording = (rk_recording_record){.clock_offset = entry->clock_offset,
                                           .boot_id = rk_merge_text(entry->boot_id),
                                           .clock_monotonic = entry->clock_monotonic,
                                           .clock_realtime = entry->clock_realtime};
  }
  if (writer != NULL) {
    const rk_writer_entry *clocks = rk_writer_entry_of(writer);
    info.has_writer = true;
    info.writer = (rk_writer_record){.tag = writer->tag,
                                     .host = rk_merge_text(writer->host),
                                     .boot_id = rk_merge_text(writer->boot_id),
                                     .thread = rk_merge_text(writer->thread),
                                     .program = rk_merge_text(writer->program),
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
  const rk_seal values = {.flags = RK_SEAL_MERGED, .writer = info.writer.tag, .cut_size = file->entity_count};
  return seal(file, start, store, values, error);
}

rk_status rk_merge_file_open(rk_merge_file *file, int fd, int level, rk_pool *pool, uint32_t entity_count,
                             const rk_reader *reader, rk_error *error)
{
  *file = (rk_merge_file){.fd = fd, .entity_count = entity_count};
  file->stores = rk_reader_stores(reader, &file->store_count);
  if (file->store_count == 0) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "nothing to merge: the inputs hold no recording");
  }
  file->manifests = calloc(file->store_count, sizeof(rk_manifest *));
  const rk_store *first = file->stores[0];
  file->units = level == 0
                    ? NULL
                    : rk_merge_units_new(level, rk_recording_hash(first->application_id, first->recording_id), pool);
  if (file->manifests == NULL || (level != 0 && file->units == NULL)) {
    return out_of_memory(error);
  }
  rk_buffer_append(&file->out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  rk_status status = RK_OK;
  for (size_t i = 0; i < file->store_count && status == RK_OK; i++) {
    const rk_store *store = file->stores[i];
    file->manifests[i] = rk_manifest_new(store->kind, store->application_id, store->recording_id);
    status = file->manifests[i] == NULL ? out_of_memory(error) : put_store(file, store, NULL, error);
  }
  size_t writer_count = 0;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &writer_count);
  for (size_t i = 0; i < writer_count && status == RK_OK; i++) {
    status = put_store(file, writers[i]->store, writers[i], error);
    if (status == RK_OK && file->out.size >= WRITE_SIZE) {
      status = write_out(file, error);
    }
  }
  return status;
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

rk_status rk_merge_file_put_chunk(rk_merge_file *file, const rk_store *store, const uint8_t *frame, size_t size,
                                  const rk_chunk_summary *summary, uint64_t uncompressed_size, rk_error *error)
{
  rk_status status =
      rk_manifest_add_summary(manifest_of(file, store), summary, file->written + file->out.size + RK_FRAME_HEADER_SIZE,
                              size - RK_FRAME_HEADER_SIZE, uncompressed_size);
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot index a merged chunk: %s", rk_status_text(status));
  }
  if (size < WRITE_SIZE / 4) {
    rk_buffer_append(&file->out, frame, size);
    status = file->out.failed ? out_of_memory(error) : RK_OK;
    return status == RK_OK && file->out.size >= WRITE_SIZE ? write_out(file, error) : status;
  }
  status = file->out.size > 0 ? write_out(file, error) : RK_OK;
  return status == RK_OK ? put_bytes(file, frame, size, error) : status;
}

rk_status rk_merge_file_put_activation(rk_merge_file *file, const rk_activation *activation, rk_error *error)
{
  const rk_blueprint_activation command = {.blueprint = rk_merge_store_id(activation->blueprint),
                                           .make_active = activation->make_active,
                                           .make_default = activation->make_default};
  const size_t start = rk_frame_begin(&file->out, RK_FRAME_BLUEPRINT_ACTIVATION);
  rk_blueprint_activation_encode(&file->out, &command);
  return seal(file, start, activation->blueprint, (rk_seal){0}, error);
}

rk_status rk_merge_file_finish(rk_merge_file *file, rk_error *error)
{
  rk_status status = write_out(file, error);
  if (status != RK_OK) {
    return status;
  }
  status = rk_footer_encode(&file->out, file->manifests, file->store_count, file->written);
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot write the footer: %s", rk_status_text(status));
  }
  if (file->units == NULL) {
    return write_out(file, error);
  }
  file->written += file->out.size;
  return rk_merge_units_finish(file->units, file->fd, file->out.data, file->out.size, &file->stored, error);
}

void rk_merge_file_free(rk_merge_file *file)
{
  for (size_t i = 0; i < file->store_count && file->manifests != NULL; i++) {
    rk_manifest_free(file->manifests[i]);
  }
  free(file->manifests);
  rk_merge_units_free(file->units);
  rk_buffer_free(&file->out);
}
