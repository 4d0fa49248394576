/* Finding the next sound frame or stream after damage, with bounded work on hostile inputs (SPEC "Recovery"). */
#include "reader/input/resync.h"

#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"

#define BLOCK_SIZE ((size_t)1 << 18)

static const uint8_t seal_magic[12] = {0xCA, 0x81, 0x0C, 0x7C, 0x89, 'R', 'K', 'S', 'E', 'A', 'L', '\n'};
static const uint8_t stream_magic[4] = {'R', 'R', 'F', '2'};

bool rk_resync_init(rk_resync *resync, rk_source *source)
{
  *resync = (rk_resync){.source = source, .steps_left = 1000000, .none_from = UINT64_MAX, .allowed_size = source->size};
  resync->search_left = source->size < UINT64_MAX / 16 ? 8 * source->size + ((uint64_t)1 << 20) : UINT64_MAX;
  resync->block = malloc(BLOCK_SIZE);
  return resync->block != NULL;
}

void rk_resync_extend(rk_resync *resync)
{
  const uint64_t more = ((uint64_t)1 << 20) + (resync->source->size - resync->allowed_size < UINT64_MAX / 16 &&
                                                       resync->source->size > resync->allowed_size
                                                   ? 8 * (resync->source->size - resync->allowed_size)
                                                   : 0);
  resync->search_left = resync->search_left > UINT64_MAX - more ? UINT64_MAX : resync->search_left + more;
  resync->allowed_size = resync->source->size > resync->allowed_size ? resync->source->size : resync->allowed_size;
  resync->none_from = UINT64_MAX;
  resync->block_size = 0;
}

void rk_resync_free(rk_resync *resync)
{
  rk_buffer_free(&resync->scratch);
  free(resync->block);
  resync->block = NULL;
}

bool rk_resync_known(const rk_resync *resync, uint64_t recording_hash)
{
  for (size_t i = 0; i < resync->known_count; i++) {
    if (resync->known[i] == recording_hash) {
      return true;
    }
  }
  return resync->known_count == 0 || resync->known_count == RK_KNOWN_HASHES;
}

void rk_resync_know(rk_resync *resync, uint64_t recording_hash)
{
  for (size_t i = 0; i < resync->known_count; i++) {
    if (resync->known[i] == recording_hash) {
      return;
    }
  }
  if (resync->known_count < RK_KNOWN_HASHES) {
    resync->known[resync->known_count++] = recording_hash;
    resync->none_from = UINT64_MAX;
  }
}

void rk_resync_forget(rk_resync *resync)
{
  resync->known_count = 0;
  resync->none_from = UINT64_MAX;
}

static bool spend(rk_resync *resync, uint64_t size)
{
  if (size > resync->search_left) {
    return false;
  }
  resync->search_left -= size;
  return true;
}

/* Lends [offset, offset + size), read into the scratch buffer unless it lies in memory. */
static rk_status whole(rk_resync *resync, uint64_t offset, uint64_t size, const uint8_t **bytes)
{
  if (size > RK_FRAME_MAX || !spend(resync, size)) {
    return RK_ERR_LIMIT;
  }
  if (!rk_range_ok(offset, size, resync->source->size)) {
    return RK_ERR_CORRUPT;
  }
  if (resync->source->memory) {
    *bytes = resync->source->memory + offset;
    return RK_OK;
  }
  rk_buffer_reset(&resync->scratch);
  uint8_t *copy = rk_buffer_extend(&resync->scratch, (size_t)size);
  if (!copy && size > 0) {
    return RK_ERR_NO_MEMORY;
  }
  *bytes = copy;
  const rk_status status = rk_source_read(resync->source, offset, copy, (size_t)size);
  return status == RK_ERR_TRUNCATED ? RK_ERR_CORRUPT : status;
}

rk_status rk_resync_verify(rk_resync *resync, uint64_t offset, uint64_t size)
{
  const uint8_t *frame;
  const rk_status status = whole(resync, offset, size, &frame);
  return status ? status : rk_seal_verify(frame, (size_t)size) ? RK_OK : RK_ERR_CORRUPT;
}

rk_status rk_resync_check_footer(rk_resync *resync, uint64_t offset, uint64_t size, uint32_t hash)
{
  const uint8_t *payload;
  const rk_status status = whole(resync, offset, size, &payload);
  return status ? status : rk_footer_hash(payload, (size_t)size) == hash ? RK_OK : RK_ERR_CORRUPT;
}

/* Lends the bytes from `from` on: at least `least` of them. RK_END: there are not so many. */
static rk_status block_at(rk_resync *resync, uint64_t from, size_t least, const uint8_t **bytes, size_t *size)
{
  const uint64_t rest = resync->source->size - from;
  if (resync->source->memory) {
    *bytes = resync->source->memory + from;
    *size = rest < BLOCK_SIZE ? (size_t)rest : BLOCK_SIZE;
    return *size < least ? RK_END : RK_OK;
  }
  if (from < resync->block_offset || !rk_range_ok(from - resync->block_offset, least, resync->block_size)) {
    const size_t want = rest < BLOCK_SIZE ? (size_t)rest : BLOCK_SIZE;
    resync->block_size = 0;
    const rk_status status = rk_source_read(resync->source, from, resync->block, want);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_END : status;
    }
    resync->block_offset = from;
    resync->block_size = want;
  }
  const size_t skip = (size_t)(from - resync->block_offset);
  *bytes = resync->block + skip;
  *size = resync->block_size - skip;
  return *size < least ? RK_END : RK_OK;
}

/* The next occurrence of `pattern` in [from, limit), RK_END when there is none or the allowance is spent. */
static rk_status search(rk_resync *resync, uint64_t from, uint64_t limit, const uint8_t *pattern, size_t pattern_size,
                        uint64_t *found)
{
  while (from < limit && limit - from >= pattern_size) {
    const uint8_t *bytes;
    size_t size;
    const rk_status status = block_at(resync, from, pattern_size, &bytes, &size);
    if (status) {
      return status;
    }
    size = limit - from < size ? (size_t)(limit - from) : size;
    const uint8_t *hit = memmem(bytes, size, pattern, pattern_size);
    if (!spend(resync, hit ? (uint64_t)(hit - bytes) + pattern_size : size)) {
      resync->search_left = 0;
      return RK_END;
    }
    if (hit) {
      *found = from + (uint64_t)(hit - bytes);
      return RK_OK;
    }
    from += size - (pattern_size - 1);
  }
  return RK_END;
}

/* Whether the seal at `block_offset` closes a sound frame that begins after `from`. RK_END: no. */
static rk_status try_seal(rk_resync *resync, uint64_t from, uint64_t block_offset, uint64_t *frame_offset)
{
  const uint8_t *bytes;
  rk_status status = rk_source_peek(resync->source, block_offset, RK_SEAL_SIZE, &bytes);
  if (status) {
    return status == RK_ERR_TRUNCATED ? RK_END : status;
  }
  rk_seal seal;
  if (rk_seal_decode(bytes, &seal) != RK_OK || !rk_resync_known(resync, seal.recording_hash)) {
    return RK_END;
  }
  const uint64_t end = block_offset + RK_SEAL_SIZE;
  if (seal.frame_size > end || end - seal.frame_size <= from) {
    return RK_END;
  }
  const uint64_t start = end - seal.frame_size;
  status = rk_source_peek(resync->source, start, RK_FRAME_HEADER_SIZE, &bytes);
  if (status) {
    return status == RK_ERR_TRUNCATED ? RK_END : status;
  }
  rk_frame_header header;
  if (!rk_frame_header_decode(bytes, &header) || header.kind == RK_FRAME_END ||
      header.size != seal.frame_size - RK_FRAME_HEADER_SIZE) {
    return RK_END;
  }
  status = rk_resync_verify(resync, start, seal.frame_size);
  *frame_offset = start;
  return status == RK_ERR_CORRUPT || status == RK_ERR_LIMIT ? RK_END : status;
}

static rk_status find_seal(rk_resync *resync, uint64_t from, uint64_t *frame_offset)
{
  if (from >= resync->none_from) {
    return RK_END;
  }
  uint64_t at = from;
  for (;;) {
    uint64_t hit;
    rk_status status = search(resync, at, resync->source->size, seal_magic, sizeof seal_magic, &hit);
    if (status == RK_END) {
      resync->none_from = from;
    }
    if (status) {
      return status;
    }
    status = try_seal(resync, from, hit, frame_offset);
    if (status != RK_END) {
      return status;
    }
    at = hit + 1;
  }
}

/* Whether the frames after the stream header at `offset` lead exactly to `limit`. */
static rk_status follow(rk_resync *resync, uint64_t offset, uint64_t limit, bool *reaches)
{
  *reaches = false;
  const uint8_t *bytes;
  uint64_t at = offset;
  while (at < limit) {
    if (resync->steps_left == 0) {
      return RK_OK;
    }
    resync->steps_left--;
    rk_status status = rk_source_peek(resync->source, at, RK_STREAM_HEADER_SIZE, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
    rk_stream_header stream;
    if (memcmp(bytes, stream_magic, sizeof stream_magic) == 0) {
      if (rk_stream_header_decode(bytes, &stream, NULL) != RK_OK) {
        return RK_OK;
      }
      at += RK_STREAM_HEADER_SIZE;
      continue;
    }
    status = rk_source_peek(resync->source, at, RK_FRAME_HEADER_SIZE, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
    rk_frame_header header;
    if (!rk_frame_header_decode(bytes, &header) ||
        !rk_range_ok(at + RK_FRAME_HEADER_SIZE, header.size, resync->source->size)) {
      return RK_OK;
    }
    at += RK_FRAME_HEADER_SIZE + header.size;
    if (header.kind == RK_FRAME_END && at < limit) {
      at += RK_STREAM_FOOTER_SIZE;
    }
  }
  *reaches = at == limit;
  return RK_OK;
}

static rk_status find_stream(rk_resync *resync, uint64_t from, uint64_t limit, uint64_t *offset)
{
  uint64_t at = from + 1;
  for (;;) {
    uint64_t hit;
    rk_status status = search(resync, at, limit, stream_magic, sizeof stream_magic, &hit);
    if (status) {
      return status;
    }
    const uint8_t *bytes;
    status = rk_source_peek(resync->source, hit, RK_STREAM_HEADER_SIZE, &bytes);
    if (status && status != RK_ERR_TRUNCATED) {
      return status;
    }
    rk_stream_header header;
    if (status == RK_OK && rk_stream_header_decode(bytes, &header, NULL) == RK_OK) {
      bool reaches;
      status = follow(resync, hit, limit, &reaches);
      if (status) {
        return status;
      }
      if (reaches) {
        *offset = hit;
        return RK_OK;
      }
    }
    at = hit + 1;
  }
}

rk_status rk_resync_find(rk_resync *resync, uint64_t from, rk_resync_kind *kind, uint64_t *offset)
{
  *kind = RK_RESYNC_NONE;
  uint64_t frame_offset = resync->source->size;
  rk_status status = find_seal(resync, from, &frame_offset);
  if (status && status != RK_END) {
    return status;
  }
  if (status == RK_OK) {
    *kind = RK_RESYNC_FRAME;
    *offset = frame_offset;
  } else {
    frame_offset = resync->source->size;
  }
  uint64_t stream_offset;
  status = find_stream(resync, from, frame_offset, &stream_offset);
  if (status && status != RK_END) {
    return status;
  }
  if (status == RK_OK) {
    *kind = RK_RESYNC_STREAM;
    *offset = stream_offset;
  }
  return RK_OK;
}
