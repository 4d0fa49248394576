/* Finishing a recording: End, manifests and stream footer behind its last frame (SPEC "Footer"). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/chunk.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/footer.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/numbering.h"
#include "writer/frame_scan.h"
#include "writer/writer_internal.h"

typedef struct finisher {
  rk_manifest **manifests; /* by the numbers of their stores */
  size_t count, capacity;
  rk_numbering stores;
  rk_buffer frame, payload, key;
  rk_arena arena;
} finisher;

/* The manifest of that store, made at need. NULL: no memory, or ids that no text can hold. */
static rk_manifest *manifest_of(finisher *f, const rk_store_id *store)
{
  const uint8_t kind = (uint8_t)store->kind, nul = 0;
  rk_buffer *key = &f->key;
  rk_buffer_reset(key);
  rk_buffer_append(key, &kind, 1);
  rk_buffer_append(key, store->application_id.data, store->application_id.size);
  rk_buffer_append(key, &nul, 1);
  const size_t recording = key->size;
  rk_buffer_append(key, store->recording_id.data, store->recording_id.size);
  rk_buffer_append(key, &nul, 1);
  size_t number;
  bool added;
  if (key->failed || rk_numbering_put(&f->stores, key->data, key->size, &number, &added) != RK_OK ||
      !rk_array_grow((void **)&f->manifests, &f->capacity, number + 1, sizeof(rk_manifest *))) {
    return NULL;
  }
  if (added) {
    f->manifests[number] =
        rk_manifest_new(store->kind, (const char *)key->data + 1, (const char *)key->data + recording);
    f->count = number + 1;
  }
  return f->manifests[number];
}

/* Notes the chunk of an ArrowMsg frame, which lies at `offset` of the plain stream. A message that cannot be read is
 * left out: it is damage, which a footer must not hide. */
static rk_status note_chunk(finisher *f, const uint8_t *frame, size_t frame_size, uint64_t offset)
{
  rk_arrow_msg message;
  rk_chunk chunk;
  const uint8_t *data = frame + RK_FRAME_HEADER_SIZE;
  const size_t size = frame_size - RK_FRAME_HEADER_SIZE;
  rk_arena_reset(&f->arena);
  rk_buffer_reset(&f->payload);
  rk_status status = rk_arrow_msg_decode(data, size, &message, NULL);
  if (status != RK_OK || message.store.application_id.data == NULL) {
    return status == RK_ERR_NO_MEMORY ? status : RK_OK;
  }
  status = rk_decompress(&f->payload, message.compression, message.payload, message.payload_size,
                         message.uncompressed_size, NULL);
  status = status != RK_OK ? status : rk_chunk_decode(&f->arena, f->payload.data, f->payload.size, &chunk, NULL);
  if (status != RK_OK) {
    return status == RK_ERR_NO_MEMORY ? status : RK_OK;
  }
  rk_manifest *manifest = manifest_of(f, &message.store);
  return manifest == NULL ? RK_ERR_NO_MEMORY
                          : rk_manifest_add(manifest, &chunk, offset + RK_FRAME_HEADER_SIZE, size, f->payload.size);
}

/* Reads the frame at `offset` into f->frame. RK_END: none begins there. */
static rk_status load_frame(finisher *f, int fd, uint64_t offset, uint64_t size, rk_frame_header *header)
{
  rk_buffer_reset(&f->frame);
  if (size - offset < RK_FRAME_HEADER_SIZE) {
    return RK_END;
  }
  uint8_t bytes[RK_FRAME_HEADER_SIZE];
  rk_status status = rk_read_at(fd, bytes, sizeof bytes, offset);
  if (status != RK_OK) {
    return status;
  }
  if (!rk_frame_header_decode(bytes, header) || header->kind == RK_FRAME_END ||
      header->size > size - offset - sizeof bytes) {
    return RK_END;
  }
  uint8_t *frame = rk_buffer_extend(&f->frame, sizeof bytes + (size_t)header->size);
  return frame == NULL ? RK_ERR_NO_MEMORY : rk_read_at(fd, frame, f->frame.size, offset);
}

/* The chunks that a recording held before it was a shared one: they have no seals. */
static rk_status note_unsealed(finisher *f, const rk_recording *recording)
{
  rk_status status = RK_OK;
  for (uint64_t offset = RK_STREAM_HEADER_SIZE; status == RK_OK && offset < recording->floor; offset += f->frame.size) {
    rk_frame_header header;
    status = load_frame(f, recording->fd, offset, recording->floor, &header);
    if (status == RK_OK && header.kind == RK_FRAME_ARROW_MSG) {
      status = note_chunk(f, f->frame.data, f->frame.size, offset);
    }
  }
  return status == RK_END ? RK_OK : status;
}

/* All chunks of the file's first `size` bytes. *plain_size: of the stream that they hold. */
static rk_status note_chunks(finisher *f, const rk_recording *recording, uint64_t size, uint64_t *plain_size,
                             rk_error *error)
{
  const bool plain = recording->framing == &rk_framing_plain;
  rk_status status = plain ? note_unsealed(f, recording) : RK_OK;
  if (status == RK_ERR_IO) {
    return rk_fail_errno(error, errno, "cannot read %.100s", recording->path);
  }
  rk_frame_scan scan = rk_frame_scan_begin(recording->fd, recording->framing, plain ? recording->floor : 0, size, 0);
  rk_error why = {0};
  while (status == RK_OK && (status = rk_frame_scan_next(&scan, &why)) == RK_OK) {
    const uint8_t *frame = rk_frame_scan_load(&scan);
    if (frame == NULL) {
      rk_frame_scan_doubt(&scan);
    } else if (scan.header.kind == RK_FRAME_ARROW_MSG) {
      status = note_chunk(f, frame, (size_t)scan.seal.frame_size, scan.plain_offset);
    }
  }
  *plain_size = plain ? size : scan.plain_size;
  rk_frame_scan_free(&scan);
  if (status == RK_END) {
    return RK_OK;
  }
  if (why.status != RK_OK) {
    if (error != NULL) {
      *error = why;
    }
    return why.status;
  }
  return rk_fail(error, status, RK_NO_OFFSET, "cannot finish %.100s: no memory", recording->path);
}

/* Without O_APPEND nothing is gained: alone, the end is ours. A write that fails is taken back. */
static rk_status write_footer(const rk_recording *recording, const rk_buffer *footer, uint64_t size, rk_error *error)
{
  rk_packer packer = {0};
  const uint8_t *bytes;
  size_t done = 0, left;
  if (rk_pack(recording, &packer, footer->data, footer->size, &bytes, &left) != RK_OK) {
    rk_packer_free(&packer);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to finish a recording");
  }
  rk_status status = RK_OK;
  while (status == RK_OK && done < left) {
    const ssize_t n = write(recording->fd, bytes + done, left - done);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      const int failed = n < 0 ? errno : ENOSPC;
      status = ftruncate(recording->fd, (off_t)size) != 0
                   ? rk_fail_errno(error, errno, "cannot take back a torn footer of %.100s", recording->path)
                   : rk_fail_errno(error, failed, "cannot finish %.100s", recording->path);
    }
    done += n > 0 ? (size_t)n : 0;
  }
  rk_packer_free(&packer);
  return status;
}

rk_status rk_finish_append(rk_recording *recording, rk_error *error)
{
  struct stat info;
  if (fstat(recording->fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot read %.100s", recording->path);
  }
  finisher f = {0};
  rk_buffer footer = {0};
  const rk_store_id store = rk_recording_store(recording);
  rk_status status = RK_OK;
  uint64_t plain_size = 0;
  if (manifest_of(&f, &store) == NULL) { /* also where it has no chunk */
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to finish a recording");
  } else {
    status = note_chunks(&f, recording, (uint64_t)info.st_size, &plain_size, error);
  }
  if (status == RK_OK) {
    status = rk_footer_encode(&footer, f.manifests, f.count, plain_size);
    status = status == RK_OK
                 ? write_footer(recording, &footer, (uint64_t)info.st_size, error)
                 : rk_fail(error, status, RK_NO_OFFSET, "cannot make the footer of %.100s", recording->path);
  }
  for (size_t i = 0; i < f.count; i++) {
    rk_manifest_free(f.manifests[i]);
  }
  free(f.manifests);
  rk_numbering_free(&f.stores);
  rk_buffer_free(&f.frame);
  rk_buffer_free(&f.payload);
  rk_buffer_free(&f.key);
  rk_buffer_free(&footer);
  rk_arena_free(&f.arena);
  return status;
}
