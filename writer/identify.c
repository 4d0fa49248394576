/* What a file that is to be joined is (SPEC "Opening"). */
#include "writer/identify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/frame_scan.h"

#define STORE_INFO_MAX ((uint64_t)1 << 20)
#define UNIT_MAX       ((uint64_t)64 << 20) /* the first unit */
#define TORN_MAX       ((uint64_t)64 << 10) /* of a file without seals: more is not the start of a record of ours */

void rk_identity_free(rk_identity *identity)
{
  free(identity->application_id);
  free(identity->recording_id);
  *identity = (rk_identity){0};
}

static rk_status not_shared(const char *path, uint64_t offset, rk_error *error)
{
  return rk_fail(error, RK_ERR_UNSUPPORTED, offset, "%.100s is a recording that cannot be appended to", path);
}

static rk_status no_memory(rk_error *error)
{
  return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
}

static rk_status cannot_read(const char *path, rk_status status, rk_error *error)
{
  return status == RK_ERR_IO ? rk_fail_errno(error, errno, "cannot read %.100s", path)
                             : rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "%.100s shrinks", path);
}

static bool has_nul(rk_text text)
{
  return text.size != 0 && memchr(text.data, '\0', text.size) != NULL;
}

/* The unit that ends a stream at the end of the file, if one does. */
static bool last_unit(int fd, uint64_t size, rk_zst_unit *unit)
{
  uint8_t bytes[RK_SEAL_SIZE];
  rk_seal seal;
  return size >= RK_UNIT_MIN && rk_read_at(fd, bytes, RK_SEAL_SIZE, size - RK_SEAL_SIZE) == RK_OK &&
         rk_unit_seal_decode(bytes, &seal) == RK_OK && seal.frame_size <= size &&
         rk_read_at(fd, bytes, RK_UNIT_HEAD_SIZE, size - seal.frame_size) == RK_OK &&
         rk_unit_head_decode(bytes, unit) == RK_OK && unit->size == seal.frame_size &&
         (unit->flags & RK_UNIT_STREAM_FOOTER) != 0;
}

bool rk_is_finished(int fd)
{
  uint8_t bytes[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer footer;
  rk_zst_unit unit;
  struct stat info;
  return fstat(fd, &info) == 0 && info.st_size >= (off_t)sizeof bytes &&
         ((rk_read_at(fd, bytes, sizeof bytes, (uint64_t)info.st_size - sizeof bytes) == RK_OK &&
           rk_stream_footer_decode(bytes, &footer)) ||
          last_unit(fd, (uint64_t)info.st_size, &unit));
}

/* A stream footer that fits the End before it. */
static rk_status read_footer(int fd, const char *path, uint64_t size, rk_identity *identity, rk_error *error)
{
  uint8_t bytes[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer footer;
  rk_frame_header header;
  if (size < RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE + sizeof bytes) {
    return RK_OK;
  }
  rk_status status = rk_read_at(fd, bytes, sizeof bytes, size - sizeof bytes);
  if (status != RK_OK) {
    return cannot_read(path, status, error);
  }
  if (!rk_stream_footer_decode(bytes, &footer)) {
    return RK_OK;
  }
  const uint64_t footer_offset = size - sizeof bytes;
  if (footer.payload_offset < RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE || footer.payload_offset > footer_offset ||
      footer.payload_size != footer_offset - footer.payload_offset) {
    return not_shared(path, footer_offset, error); /* several streams, or damage */
  }
  status = rk_read_at(fd, bytes, RK_FRAME_HEADER_SIZE, footer.payload_offset - RK_FRAME_HEADER_SIZE);
  if (status != RK_OK) {
    return cannot_read(path, status, error);
  }
  if (!rk_frame_header_decode(bytes, &header) || header.kind != RK_FRAME_END || header.size != footer.payload_size) {
    return not_shared(path, footer_offset, error);
  }
  identity->finished = true;
  identity->end_frame = footer.payload_offset - RK_FRAME_HEADER_SIZE;
  return RK_OK;
}

/* Takes ids and record of the SetStoreInfo frame in `frame`. *found: it is the recording record's. */
static rk_status take_store_info(const rk_buffer *frame, uint64_t offset, const char *path, rk_identity *identity,
                                 bool *found, rk_error *error)
{
  rk_store_info info;
  const rk_status status =
      rk_store_info_decode(frame->data + RK_FRAME_HEADER_SIZE, frame->size - RK_FRAME_HEADER_SIZE, &info, error);
  if (status != RK_OK) {
    return status == RK_ERR_NO_MEMORY ? status : not_shared(path, offset, error);
  }
  const rk_text application = info.store.application_id, recording = info.store.recording_id;
  if (info.store.kind != RK_STORE_RECORDING || application.data == NULL || recording.data == NULL) {
    return RK_OK;
  }
  *found = info.has_recording && rk_seal_verify(frame->data, frame->size);
  if (info.has_recording && !*found) {
    return not_shared(path, offset, error); /* damaged */
  }
  if (*found || identity->application_id == NULL) {
    if (has_nul(application) || has_nul(recording)) {
      return not_shared(path, offset, error);
    }
    free(identity->application_id);
    free(identity->recording_id);
    identity->application_id = strndup(application.data, application.size);
    identity->recording_id = strndup(recording.data, recording.size);
    if (identity->application_id == NULL || identity->recording_id == NULL) {
      return no_memory(error);
    }
  }
  if (*found) {
    identity->clock_offset = info.recording.clock_offset;
    const size_t size = info.recording.boot_id.size;
    if (size < sizeof identity->boot_id) {
      memcpy(identity->boot_id, info.recording.boot_id.data, size);
      identity->boot_id[size] = '\0';
    }
  }
  return RK_OK;
}

/* Whether the frame at [offset, offset + size) has a seal, sound or not. */
static rk_status look_for_seal(int fd, const char *path, uint64_t offset, uint64_t size, bool *sealed, rk_error *error)
{
  uint8_t block[RK_SEAL_SIZE];
  rk_seal seal;
  *sealed = false;
  if (size < RK_FRAME_HEADER_SIZE + sizeof block) {
    return RK_OK;
  }
  const rk_status status = rk_read_at(fd, block, sizeof block, offset + size - sizeof block);
  if (status != RK_OK) {
    return cannot_read(path, status, error);
  }
  *sealed = rk_seal_decode(block, &seal) != RK_END;
  return RK_OK;
}

/* Whether the file's last [offset, size) may be the torn beginning of a frame that was to make it a shared one. */
static rk_status check_torn(int fd, const char *path, uint64_t offset, uint64_t size, rk_error *error)
{
  const uint64_t left = size - offset;
  uint8_t *bytes = left > TORN_MAX ? NULL : malloc((size_t)left);
  if (bytes == NULL) {
    return left > TORN_MAX ? not_shared(path, offset, error) : no_memory(error);
  }
  rk_status status = rk_read_at(fd, bytes, (size_t)left, offset);
  if (status != RK_OK) {
    status = cannot_read(path, status, error);
  } else {
    bool zeros = true;
    for (uint64_t i = 0; i < left && zeros; i++) {
      zeros = bytes[i] == 0;
    }
    static const uint8_t begun[8] = {RK_FRAME_SET_STORE_INFO};
    if (!zeros && memcmp(bytes, begun, left < sizeof begun ? (size_t)left : sizeof begun) != 0) {
      status = not_shared(path, offset, error);
    }
  }
  free(bytes);
  return status;
}

/* Walks the frames up to the recording record's, which is the first in what rrdkit made. */
static rk_status walk(int fd, const char *path, uint64_t size, rk_identity *identity, rk_buffer *frame, rk_error *error)
{
  const uint64_t end = identity->finished ? identity->end_frame : size;
  uint64_t offset = RK_STREAM_HEADER_SIZE;
  while (offset < end) {
    uint8_t bytes[RK_FRAME_HEADER_SIZE];
    rk_frame_header header;
    if (end - offset < sizeof bytes) {
      break;
    }
    rk_status status = rk_read_at(fd, bytes, sizeof bytes, offset);
    if (status != RK_OK) {
      return cannot_read(path, status, error);
    }
    if (!rk_frame_header_decode(bytes, &header)) {
      return not_shared(path, offset, error);
    }
    if (header.kind == RK_FRAME_END || header.size > end - offset - sizeof bytes) {
      break;
    }
    const uint64_t frame_size = sizeof bytes + header.size;
    if (header.kind == RK_FRAME_SET_STORE_INFO) {
      bool found = false;
      rk_buffer_reset(frame);
      uint8_t *whole = header.size > STORE_INFO_MAX ? NULL : rk_buffer_extend(frame, (size_t)frame_size);
      if (whole == NULL) {
        return header.size > STORE_INFO_MAX ? not_shared(path, offset, error) : no_memory(error);
      }
      status = rk_read_at(fd, whole, (size_t)frame_size, offset);
      if (status != RK_OK) {
        return cannot_read(path, status, error);
      }
      status = take_store_info(frame, offset, path, identity, &found, error);
      if (status != RK_OK) {
        return status;
      }
      if (found) {
        identity->shared = true;
        identity->floor = offset + frame_size;
        return RK_OK;
      }
    }
    bool sealed;
    status = look_for_seal(fd, path, offset, frame_size, &sealed, error);
    if (status != RK_OK || sealed) { /* no seal stands before the recording record's, unless that is damaged */
      return status != RK_OK ? status : not_shared(path, offset, error);
    }
    offset += frame_size;
  }
  identity->floor = offset;
  if (identity->application_id == NULL) {
    return not_shared(path, offset, error);
  }
  identity->torn = offset < end;
  return identity->torn ? check_torn(fd, path, offset, end, error) : RK_OK;
}

/* The first unit holds the stream header and the recording record's frame. */
static rk_status identify_units(int fd, const char *path, uint64_t size, const rk_zst_unit *unit, rk_identity *identity,
                                rk_error *error)
{
  rk_zst_unit last;
  if (unit->size > size || unit->size > UNIT_MAX || unit->plain_size > UNIT_MAX ||
      (unit->flags & RK_UNIT_STREAM_HEADER) == 0) {
    return not_shared(path, 0, error);
  }
  rk_buffer bytes = {0}, record = {0}, frame = {0};
  struct ZSTD_DCtx_s *context = ZSTD_createDCtx();
  uint8_t *out = rk_buffer_extend(&bytes, (size_t)unit->size);
  rk_status status = context == NULL || out == NULL ? no_memory(error) : rk_read_at(fd, out, (size_t)unit->size, 0);
  if (status == RK_OK) {
    status = rk_unit_unwrap(&record, context, out, (size_t)unit->size);
    status = status == RK_OK || status == RK_ERR_NO_MEMORY ? status : not_shared(path, 0, error);
  } else if (status != RK_ERR_NO_MEMORY) {
    status = cannot_read(path, status, error);
  }
  rk_frame_header header;
  for (size_t at = RK_STREAM_HEADER_SIZE; status == RK_OK && !identity->shared && at < record.size;
       at += RK_FRAME_HEADER_SIZE + (size_t)header.size) {
    rk_frame_header_decode(record.data + at, &header); /* the unit's frames make up its record */
    rk_buffer_reset(&frame);
    rk_buffer_append(&frame, record.data + at, RK_FRAME_HEADER_SIZE + (size_t)header.size);
    if (frame.failed) {
      status = no_memory(error);
    } else if (header.kind != RK_FRAME_SET_STORE_INFO) {
      break;
    } else {
      status = take_store_info(&frame, 0, path, identity, &identity->shared, error);
    }
  }
  if (status == RK_OK && !identity->shared) {
    status = not_shared(path, 0, error);
  }
  identity->floor = unit->size;
  identity->finished = last_unit(fd, size, &last) && last.frame_count == 1 && last.size <= size - identity->floor;
  identity->end_frame = identity->finished ? size - last.size : 0;
  rk_buffer_free(&bytes);
  rk_buffer_free(&record);
  rk_buffer_free(&frame);
  ZSTD_freeDCtx(context);
  return status;
}

/* What was merged may hold several recordings; it names them all before its first chunk. */
static rk_status check_single(int fd, const char *path, uint64_t size, const rk_identity *identity, rk_error *error)
{
  const bool plain = identity->framing == &rk_framing_plain;
  const uint64_t hash = rk_recording_hash(identity->application_id, identity->recording_id);
  rk_frame_scan scan = rk_frame_scan_begin(fd, identity->framing, plain ? identity->floor : 0, size, 0);
  uint64_t next = scan.offset;
  rk_status status = RK_OK;
  while (status == RK_OK && (status = rk_frame_scan_next(&scan, error)) == RK_OK) {
    if (scan.piece_offset > next || scan.header.kind != RK_FRAME_SET_STORE_INFO) {
      break;
    }
    next = scan.offset;
    if (scan.seal.recording_hash != hash) {
      status = rk_fail(error, RK_ERR_UNSUPPORTED, scan.piece_offset,
                       "%.100s holds several recordings and cannot be appended to", path);
    }
  }
  rk_frame_scan_free(&scan);
  return status == RK_END ? RK_OK : status;
}

rk_status rk_identify(int fd, const char *path, uint64_t size, rk_identity *identity, rk_error *error)
{
  *identity = (rk_identity){.framing = &rk_framing_plain};
  uint8_t bytes[RK_UNIT_HEAD_SIZE] = {0};
  if (size == 0) {
    return rk_fail(error, RK_ERR_NOT_RRD, 0, "%.100s exists and is empty", path);
  }
  if (size < RK_STREAM_HEADER_SIZE) {
    return rk_fail(error, RK_ERR_NOT_RRD, size, "%.100s is not a Rerun recording", path);
  }
  rk_status status = rk_read_at(fd, bytes, size < sizeof bytes ? (size_t)size : sizeof bytes, 0);
  if (status != RK_OK) {
    return cannot_read(path, status, error);
  }
  rk_zst_unit unit;
  status = rk_unit_head_decode(bytes, &unit);
  static const uint8_t zstd_magic[4] = {0x28, 0xB5, 0x2F, 0xFD};
  if (status != RK_END) {
    identity->framing = &rk_framing_zst;
    status = status == RK_OK ? identify_units(fd, path, size, &unit, identity, error) : not_shared(path, 0, error);
  } else if (memcmp(bytes, zstd_magic, sizeof zstd_magic) == 0) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 0, "%.100s was compressed as a whole and cannot be appended to", path);
  } else {
    rk_stream_header header;
    rk_buffer frame = {0};
    status = rk_stream_header_decode(bytes, &header, error);
    status = status != RK_OK ? status : read_footer(fd, path, size, identity, error);
    status = status != RK_OK ? status : walk(fd, path, size, identity, &frame, error);
    rk_buffer_free(&frame);
  }
  return status == RK_OK && identity->shared ? check_single(fd, path, size, identity, error) : status;
}
