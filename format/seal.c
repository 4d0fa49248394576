/* The seal: closing a frame with padding, seal and hash, and reading it back (SPEC "Seal", "Padding"). */
#include "format/seal.h"

#include <assert.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <xxhash.h>

#include "format/bytes.h"

/* Protobuf keys: (number << 3 | 2) as varints; both numbers need three bytes. */
const uint8_t rk_seal_magic[RK_SEAL_MAGIC_SIZE] = {0xCA, 0x81, 0x0C, 0x7C, 0x89, 'R', 'K', 'S', 'E', 'A', 'L', 0x0A};
static const uint8_t pad_key[3] = {0xC2, 0x81, 0x0C};
static_assert((RK_SEAL_FIELD << 3 | 2) == (0x4A | 0x01 << 7 | 0x0C << 14), "tag bytes CA 81 0C");
static_assert((RK_PAD_FIELD << 3 | 2) == (0x42 | 0x01 << 7 | 0x0C << 14), "tag bytes C2 81 0C");
static_assert(RK_SEAL_SIZE - 4 == 0x7C, "length byte");

enum { HASH_OFFSET = 120, RESERVED_OFFSET = 104, KNOWN_FLAGS = RK_SEAL_STATIC | RK_SEAL_FILLER | RK_SEAL_MERGED };

uint64_t rk_recording_hash(const char *application_id, const char *recording_id)
{
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, application_id, strlen(application_id) + 1);
  XXH3_64bits_update(&state, recording_id, strlen(recording_id));
  return XXH3_64bits_digest(&state);
}

/* A padding field takes at least key and length byte, so gaps of 1 to 3 bytes become 129 to 131. */
static void append_padding(rk_buffer *out, size_t gap)
{
  if (gap == 0) {
    return;
  }
  if (gap < sizeof pad_key + 1) {
    gap += RK_FRAME_ALIGNMENT;
  }
  const uint8_t length = (uint8_t)(gap - sizeof pad_key - 1);
  rk_buffer_append(out, pad_key, sizeof pad_key);
  rk_buffer_append(out, &length, 1);
  rk_buffer_append_zero(out, length);
}

void rk_seal_put(uint8_t block[RK_SEAL_SIZE], const uint8_t magic[RK_SEAL_MAGIC_SIZE], const rk_seal *seal)
{
  memcpy(block, magic, RK_SEAL_MAGIC_SIZE);
  rk_store_u16(block + 12, RK_SEAL_VERSION);
  rk_store_u16(block + 14, seal->flags);
  rk_store_u64(block + 16, seal->frame_size);
  rk_store_u32(block + 24, seal->writer);
  rk_store_u32(block + 28, seal->chunk_number);
  rk_store_u32(block + 32, seal->first_row);
  rk_store_u32(block + 36, seal->row_count);
  rk_store_i64(block + 40, seal->min_log_time);
  rk_store_i64(block + 48, seal->max_log_time);
  rk_store_u64(block + 56, seal->entity_hash);
  rk_store_u64(block + 64, seal->recording_hash);
  rk_store_i64(block + 72, seal->clock_monotonic);
  rk_store_i64(block + 80, seal->clock_realtime);
  rk_store_u64(block + 88, seal->uncompressed_size);
  rk_store_u32(block + 96, seal->cut_rows);
  rk_store_u32(block + 100, seal->cut_size);
  memset(block + RESERVED_OFFSET, 0, HASH_OFFSET - RESERVED_OFFSET);
}

void rk_seal_frame(rk_buffer *out, size_t frame_start, unsigned file_offset, rk_seal *seal)
{
  if (out->failed) {
    return;
  }
  const size_t end = file_offset + (out->size - frame_start);
  append_padding(out, rk_align_up(end, RK_FRAME_ALIGNMENT) - end);
  uint8_t *block = rk_buffer_extend(out, RK_SEAL_SIZE);
  if (block == NULL) {
    return;
  }
  uint8_t *frame = out->data + frame_start;
  seal->frame_size = out->size - frame_start;
  rk_store_u64(frame + 8, seal->frame_size - RK_FRAME_HEADER_SIZE);
  rk_seal_put(block, rk_seal_magic, seal);
  rk_store_u64(block + HASH_OFFSET, XXH3_64bits(frame, (size_t)seal->frame_size - 8));
}

rk_status rk_seal_get(const uint8_t block[RK_SEAL_SIZE], const uint8_t magic[RK_SEAL_MAGIC_SIZE], rk_seal *seal)
{
  if (memcmp(block, magic, RK_SEAL_MAGIC_SIZE) != 0) {
    return RK_END;
  }
  const uint16_t version = rk_load_u16(block + 12);
  if (version > RK_SEAL_VERSION) {
    return RK_ERR_UNSUPPORTED;
  }
  static const uint8_t zeros[HASH_OFFSET - RESERVED_OFFSET];
  const uint16_t flags = rk_load_u16(block + 14);
  const uint64_t frame_size = rk_load_u64(block + 16);
  if (version == 0 || (flags & ~KNOWN_FLAGS) != 0 || memcmp(block + RESERVED_OFFSET, zeros, sizeof zeros) != 0 ||
      frame_size < RK_FRAME_HEADER_SIZE + RK_SEAL_SIZE) {
    return RK_ERR_CORRUPT;
  }
  *seal = (rk_seal){.flags = flags,
                    .frame_size = frame_size,
                    .writer = rk_load_u32(block + 24),
                    .chunk_number = rk_load_u32(block + 28),
                    .first_row = rk_load_u32(block + 32),
                    .row_count = rk_load_u32(block + 36),
                    .min_log_time = rk_load_i64(block + 40),
                    .max_log_time = rk_load_i64(block + 48),
                    .entity_hash = rk_load_u64(block + 56),
                    .recording_hash = rk_load_u64(block + 64),
                    .clock_monotonic = rk_load_i64(block + 72),
                    .clock_realtime = rk_load_i64(block + 80),
                    .uncompressed_size = rk_load_u64(block + 88),
                    .cut_rows = rk_load_u32(block + 96),
                    .cut_size = rk_load_u32(block + 100)};
  return RK_OK;
}

rk_status rk_seal_decode(const uint8_t block[RK_SEAL_SIZE], rk_seal *seal)
{
  return rk_seal_get(block, rk_seal_magic, seal);
}

bool rk_seal_verify(const uint8_t *frame, size_t frame_size)
{
  if (frame_size < RK_FRAME_HEADER_SIZE + RK_SEAL_SIZE) {
    return false;
  }
  const uint8_t *block = frame + frame_size - RK_SEAL_SIZE;
  return memcmp(block, rk_seal_magic, sizeof rk_seal_magic) == 0 && rk_load_u64(block + 16) == frame_size &&
         rk_load_u64(frame + 8) == frame_size - RK_FRAME_HEADER_SIZE &&
         rk_load_u64(block + HASH_OFFSET) == XXH3_64bits(frame, frame_size - 8);
}
