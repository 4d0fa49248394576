/* Units of a Zstandard recording: wrapping a plain record and reading it back (SPEC "Zstandard recordings"). */
#include "format/zst.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "format/bytes.h"

static const uint8_t lead_magic[4] = {0x5D, 0x2A, 0x4D, 0x18};
static const uint8_t unit_magic[8] = {0x89, 'R', 'K', 'U', 'N', 'I', 'T', '\n'};
const uint8_t rk_unit_seal_magic[RK_SEAL_MAGIC_SIZE] = {0x5E, 0x2A, 0x4D, 0x18, RK_SEAL_SIZE - 8, 0, 0, 0,
                                                        0x89, 'R',  'K',  '\n'};

enum {
  STREAM_HEADER_OFFSET = 48,
  RESERVED_OFFSET = STREAM_HEADER_OFFSET + RK_STREAM_HEADER_SIZE,
  STREAM_FOOTER_OFFSET = 64,
  HASH_SIZE = 8,
  KNOWN_FLAGS = RK_UNIT_STREAM_HEADER | RK_UNIT_STREAM_FOOTER
};
static_assert(STREAM_FOOTER_OFFSET + RK_STREAM_FOOTER_SIZE == RK_UNIT_HEAD_SIZE, "the head ends with the footer");

static uint64_t lead_least(uint64_t frame_count)
{
  return RK_UNIT_LEAD_MIN + frame_count * RK_UNIT_ENTRY_SIZE;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

rk_status rk_unit_head_decode(const uint8_t head[RK_UNIT_HEAD_SIZE], rk_zst_unit *unit)
{
  if (memcmp(head, lead_magic, sizeof lead_magic) != 0 || memcmp(head + 8, unit_magic, sizeof unit_magic) != 0) {
    return RK_END;
  }
  const uint16_t version = rk_load_u16(head + 16);
  *unit = (rk_zst_unit){.flags = rk_load_u16(head + 18),
                        .frame_count = rk_load_u32(head + 20),
                        .size = rk_load_u64(head + 24),
                        .plain_size = rk_load_u64(head + 32),
                        .zstd_size = rk_load_u64(head + 40)};
  const uint64_t lead_size = (uint64_t)rk_load_u32(head + 4) + 8;
  if (version > RK_UNIT_VERSION) {
    return unit->size < RK_UNIT_MIN ? RK_ERR_CORRUPT : RK_ERR_UNSUPPORTED;
  }
  unit->lead_size = (size_t)lead_size;
  unit->zstd_offset = lead_size;
  const bool filler = unit->plain_size == 0;
  return version != 0 && (unit->flags & ~KNOWN_FLAGS) == 0 && unit->frame_count <= RK_UNIT_FRAMES_MAX &&
                 lead_size >= lead_least(unit->frame_count) &&
                 (filler || lead_size < lead_least(unit->frame_count) + RK_FRAME_ALIGNMENT) &&
                 (unit->zstd_size == 0) == filler && (!filler || (unit->frame_count == 0 && unit->flags == 0)) &&
                 unit->plain_size <= RK_UNIT_PLAIN_MAX && unit->zstd_size <= ZSTD_COMPRESSBOUND(RK_UNIT_PLAIN_MAX) &&
                 unit->size == lead_size + unit->zstd_size + RK_SEAL_SIZE
             ? RK_OK
             : RK_ERR_CORRUPT;
}

rk_status rk_unit_frame(const uint8_t *lead, uint32_t index, rk_frame_header *header, rk_seal *seal)
{
  const uint8_t *entry = lead + RK_UNIT_HEAD_SIZE + (size_t)index * RK_UNIT_ENTRY_SIZE;
  rk_frame_header_decode(entry, header);
  return rk_seal_decode(entry + RK_FRAME_HEADER_SIZE, seal);
}

/* What precedes the frames of a record, and what follows them. */
static uint64_t around(uint16_t flags)
{
  return ((flags & RK_UNIT_STREAM_HEADER) != 0 ? RK_STREAM_HEADER_SIZE : 0U) +
         ((flags & RK_UNIT_STREAM_FOOTER) != 0 ? RK_STREAM_FOOTER_SIZE : 0U);
}

bool rk_unit_lead_check(const uint8_t *lead, const rk_zst_unit *unit)
{
  if (rk_load_u64(lead + unit->lead_size - HASH_SIZE) != XXH3_64bits(lead, unit->lead_size - HASH_SIZE)) {
    return false;
  }
  uint64_t left = unit->plain_size;
  const uint64_t extra = around(unit->flags);
  const size_t entries = (size_t)unit->frame_count * RK_UNIT_ENTRY_SIZE;
  if (left < extra ||
      ((unit->flags & RK_UNIT_STREAM_HEADER) == 0 && !is_zero(lead + STREAM_HEADER_OFFSET, RK_STREAM_HEADER_SIZE)) ||
      !is_zero(lead + RESERVED_OFFSET, STREAM_FOOTER_OFFSET - RESERVED_OFFSET) ||
      ((unit->flags & RK_UNIT_STREAM_FOOTER) == 0 && !is_zero(lead + STREAM_FOOTER_OFFSET, RK_STREAM_FOOTER_SIZE)) ||
      !is_zero(lead + RK_UNIT_HEAD_SIZE + entries, unit->lead_size - RK_UNIT_HEAD_SIZE - entries - HASH_SIZE)) {
    return false;
  }
  left -= extra;
  rk_frame_header header = {.kind = RK_FRAME_ARROW_MSG};
  for (uint32_t i = 0; i < unit->frame_count; i++) {
    const uint8_t *entry = lead + RK_UNIT_HEAD_SIZE + (size_t)i * RK_UNIT_ENTRY_SIZE;
    if (!rk_frame_header_decode(entry, &header) || left < RK_FRAME_HEADER_SIZE ||
        header.size > left - RK_FRAME_HEADER_SIZE) {
      return false;
    }
    left -= RK_FRAME_HEADER_SIZE + header.size;
    rk_seal seal;
    const rk_status status = rk_seal_decode(entry + RK_FRAME_HEADER_SIZE, &seal);
    if (status == RK_END ? !is_zero(entry + RK_FRAME_HEADER_SIZE, RK_SEAL_SIZE)
                         : header.size < RK_SEAL_SIZE ||
                               rk_load_u64(entry + RK_FRAME_HEADER_SIZE + 16) != RK_FRAME_HEADER_SIZE + header.size) {
      return false;
    }
  }
  return left == 0 && ((unit->flags & RK_UNIT_STREAM_FOOTER) == 0 || header.kind == RK_FRAME_END);
}

rk_status rk_unit_seal_decode(const uint8_t block[RK_SEAL_SIZE], rk_seal *seal)
{
  return rk_seal_get(block, rk_unit_seal_magic, seal);
}

bool rk_unit_verify(const uint8_t *unit, size_t size)
{
  if (size < RK_UNIT_MIN) {
    return false;
  }
  const uint8_t *block = unit + size - RK_SEAL_SIZE;
  return memcmp(unit, lead_magic, sizeof lead_magic) == 0 && memcmp(unit + 8, unit_magic, sizeof unit_magic) == 0 &&
         memcmp(block, rk_unit_seal_magic, sizeof rk_unit_seal_magic) == 0 && rk_load_u64(unit + 24) == size &&
         rk_load_u64(block + 16) == size && rk_load_u64(block + RK_SEAL_SIZE - 8) == XXH3_64bits(unit, size - 8);
}

/* ---- Writing ---- */

struct ZSTD_CCtx_s *rk_unit_context(int level)
{
  struct ZSTD_CCtx_s *context = ZSTD_createCCtx();
  if (context != NULL && (ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)) ||
                          ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)))) {
    ZSTD_freeCCtx(context);
    context = NULL;
  }
  return context;
}

/* Closes the unit of `size` bytes at `unit`, all of which but the lead's hash and the seal is there. */
static void seal_unit(uint8_t *unit, size_t lead_size, rk_seal *seal)
{
  memcpy(unit, lead_magic, sizeof lead_magic);
  rk_store_u32(unit + 4, (uint32_t)(lead_size - 8));
  memcpy(unit + 8, unit_magic, sizeof unit_magic);
  rk_store_u16(unit + 16, RK_UNIT_VERSION);
  rk_store_u64(unit + 24, seal->frame_size);
  rk_store_u64(unit + lead_size - HASH_SIZE, XXH3_64bits(unit, lead_size - HASH_SIZE));
  uint8_t *block = unit + seal->frame_size - RK_SEAL_SIZE;
  rk_seal_put(block, rk_unit_seal_magic, seal);
  rk_store_u64(block + RK_SEAL_SIZE - 8, XXH3_64bits(unit, (size_t)seal->frame_size - 8));
}

void rk_unit_filler(rk_buffer *out, uint64_t recording_hash, size_t size)
{
  uint8_t *unit = rk_buffer_extend(out, size);
  if (unit != NULL) {
    memset(unit, 0, size);
    rk_seal seal = {.flags = RK_SEAL_FILLER, .frame_size = size, .recording_hash = recording_hash};
    seal_unit(unit, size - RK_SEAL_SIZE, &seal);
  }
}

/* Walks a record: what it is made of, and, where `entries` is not NULL, its frames' entries. False: no record. */
static bool walk_record(const uint8_t *record, size_t size, rk_zst_unit *unit, uint8_t *entries, rk_seal *common)
{
  size_t at = 0;
  *unit = (rk_zst_unit){.plain_size = size};
  if (size >= RK_STREAM_HEADER_SIZE && memcmp(record, rk_stream_header_bytes, 4) == 0) {
    unit->flags = RK_UNIT_STREAM_HEADER;
    at = RK_STREAM_HEADER_SIZE;
  }
  bool sealed = false;
  for (rk_frame_header header = {.kind = RK_FRAME_ARROW_MSG}; at < size; unit->frame_count++) {
    if (header.kind == RK_FRAME_END) {
      unit->flags |= RK_UNIT_STREAM_FOOTER;
      return size - at == RK_STREAM_FOOTER_SIZE;
    }
    if (size - at < RK_FRAME_HEADER_SIZE || !rk_frame_header_decode(record + at, &header) ||
        header.size > size - at - RK_FRAME_HEADER_SIZE) {
      return false;
    }
    const uint8_t *frame = record + at;
    at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
    if (entries == NULL) {
      continue;
    }
    uint8_t *entry = entries + (size_t)unit->frame_count * RK_UNIT_ENTRY_SIZE;
    memcpy(entry, frame, RK_FRAME_HEADER_SIZE);
    rk_seal seal;
    const uint8_t *block = record + at - RK_SEAL_SIZE;
    if (header.kind == RK_FRAME_END || header.size < RK_SEAL_SIZE || rk_seal_decode(block, &seal) != RK_OK ||
        seal.frame_size != header.size + RK_FRAME_HEADER_SIZE) {
      memset(entry + RK_FRAME_HEADER_SIZE, 0, RK_SEAL_SIZE);
      continue;
    }
    memcpy(entry + RK_FRAME_HEADER_SIZE, block, RK_SEAL_SIZE);
    if (!sealed) {
      common->writer = seal.writer;
      common->recording_hash = seal.recording_hash;
    }
    common->writer = common->writer == seal.writer ? seal.writer : 0;
    common->recording_hash = common->recording_hash == seal.recording_hash ? seal.recording_hash : 0;
    sealed = true;
  }
  return unit->frame_count > 0;
}

rk_status rk_unit_wrap(rk_buffer *out, struct ZSTD_CCtx_s *context, uint64_t recording_hash, const void *record,
                       size_t size, size_t *begin)
{
  rk_zst_unit unit;
  if (size > RK_UNIT_PLAIN_MAX) {
    return RK_ERR_LIMIT;
  }
  if (!walk_record(record, size, &unit, NULL, NULL)) {
    return RK_ERR_CORRUPT;
  }
  if (unit.frame_count > RK_UNIT_FRAMES_MAX) {
    return RK_ERR_LIMIT;
  }
  /* The lead grows to the front by what aligns the unit, which is known once the frame is there. */
  const size_t least = (size_t)lead_least(unit.frame_count);
  const size_t start = out->size + RK_FRAME_ALIGNMENT + least, bound = ZSTD_compressBound(size);
  if (!rk_buffer_reserve(out, RK_FRAME_ALIGNMENT + least + bound + RK_SEAL_SIZE)) {
    return RK_ERR_NO_MEMORY;
  }
  const size_t packed = ZSTD_compress2(context, out->data + start, bound, record, size);
  if (ZSTD_isError(packed)) {
    return RK_ERR_NO_MEMORY;
  }
  const size_t whole = rk_align_up(least + packed + RK_SEAL_SIZE, RK_FRAME_ALIGNMENT);
  const size_t lead_size = whole - packed - RK_SEAL_SIZE;
  uint8_t *at = out->data + start - lead_size;
  memset(at, 0, lead_size);
  rk_seal seal = {.frame_size = whole, .recording_hash = recording_hash, .uncompressed_size = size};
  walk_record(record, size, &unit, at + RK_UNIT_HEAD_SIZE, &seal);
  rk_store_u16(at + 18, unit.flags);
  rk_store_u32(at + 20, unit.frame_count);
  rk_store_u64(at + 32, size);
  rk_store_u64(at + 40, packed);
  if ((unit.flags & RK_UNIT_STREAM_HEADER) != 0) {
    memcpy(at + STREAM_HEADER_OFFSET, record, RK_STREAM_HEADER_SIZE);
  }
  if ((unit.flags & RK_UNIT_STREAM_FOOTER) != 0) {
    memcpy(at + STREAM_FOOTER_OFFSET, (const uint8_t *)record + size - RK_STREAM_FOOTER_SIZE, RK_STREAM_FOOTER_SIZE);
  }
  seal_unit(at, lead_size, &seal);
  *begin = (size_t)(at - out->data);
  out->size = *begin + whole;
  return RK_OK;
}

/* ---- Reading ---- */

/* Whether the lead tells of this record. */
static bool agrees(const uint8_t *lead, const rk_zst_unit *unit, const uint8_t *record)
{
  const uint8_t *end = record + unit->plain_size;
  if ((unit->flags & RK_UNIT_STREAM_HEADER) != 0) {
    if (memcmp(lead + STREAM_HEADER_OFFSET, record, RK_STREAM_HEADER_SIZE) != 0) {
      return false;
    }
    record += RK_STREAM_HEADER_SIZE;
  }
  for (uint32_t i = 0; i < unit->frame_count; i++) {
    const uint8_t *entry = lead + RK_UNIT_HEAD_SIZE + (size_t)i * RK_UNIT_ENTRY_SIZE;
    rk_frame_header header;
    if (memcmp(entry, record, RK_FRAME_HEADER_SIZE) != 0 || !rk_frame_header_decode(entry, &header)) {
      return false;
    }
    record += RK_FRAME_HEADER_SIZE + header.size;
    if (!is_zero(entry + RK_FRAME_HEADER_SIZE, RK_SEAL_SIZE) &&
        memcmp(entry + RK_FRAME_HEADER_SIZE, record - RK_SEAL_SIZE, RK_SEAL_SIZE) != 0) {
      return false;
    }
  }
  return (unit->flags & RK_UNIT_STREAM_FOOTER) == 0 ||
         memcmp(lead + STREAM_FOOTER_OFFSET, end - RK_STREAM_FOOTER_SIZE, RK_STREAM_FOOTER_SIZE) == 0;
}

rk_status rk_unit_unwrap(rk_buffer *out, struct ZSTD_DCtx_s *context, const uint8_t *bytes, size_t size)
{
  rk_zst_unit unit;
  if (size < RK_UNIT_MIN) {
    return RK_ERR_CORRUPT;
  }
  const rk_status status = rk_unit_head_decode(bytes, &unit);
  if (status != RK_OK) {
    return status == RK_END ? RK_ERR_CORRUPT : status;
  }
  if (!rk_unit_verify(bytes, size) || !rk_unit_lead_check(bytes, &unit)) {
    return RK_ERR_CORRUPT;
  }
  if (unit.plain_size == 0) {
    return RK_OK;
  }
  const uint8_t *frame = bytes + unit.zstd_offset;
  if (ZSTD_getFrameContentSize(frame, (size_t)unit.zstd_size) != unit.plain_size ||
      ZSTD_findFrameCompressedSize(frame, (size_t)unit.zstd_size) != unit.zstd_size) {
    return RK_ERR_CORRUPT;
  }
  if (!rk_buffer_reserve(out, (size_t)unit.plain_size)) {
    return RK_ERR_NO_MEMORY;
  }
  uint8_t *record = out->data + out->size;
  if (ZSTD_decompressDCtx(context, record, (size_t)unit.plain_size, frame, (size_t)unit.zstd_size) != unit.plain_size ||
      !agrees(bytes, &unit, record)) {
    return RK_ERR_CORRUPT;
  }
  out->size += (size_t)unit.plain_size;
  return RK_OK;
}
