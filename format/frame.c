/* Stream header, frame header and stream footer (SPEC "Stream header", "Frames", "Footer"). */
#include "format/frame.h"

#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/error.h"

enum { SERIALIZER_PROTOBUF = 2, COMPRESSION_LAST = 1, MINOR_FIRST = 23, FOOTER_HASH_SEED = 7850921 };

const uint8_t rk_stream_header_bytes[RK_STREAM_HEADER_SIZE] = {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 2, 0, 0};

rk_status rk_stream_header_decode(const uint8_t bytes[RK_STREAM_HEADER_SIZE], rk_stream_header *header, rk_error *error)
{
  if (memcmp(bytes, "RRF0", 4) == 0 || memcmp(bytes, "RRF1", 4) == 0) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 0, "recording older than Rerun 0.23 (format RRF%c)", bytes[3]);
  }
  if (memcmp(bytes, "RRF2", 4) != 0) {
    return rk_fail(error, RK_ERR_NOT_RRD, 0, "not a Rerun recording (no RRF2 at its start)");
  }
  if (bytes[8] > COMPRESSION_LAST) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 8, "stream header: unknown compression %u", (unsigned)bytes[8]);
  }
  if (bytes[9] != SERIALIZER_PROTOBUF) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 9, "stream header: serializer %u is not protobuf", (unsigned)bytes[9]);
  }
  if (bytes[10] != 0 || bytes[11] != 0) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 10, "stream header: unknown options");
  }
  if (bytes[4] == 0 && bytes[5] < MINOR_FIRST) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, 4, "recording of Rerun %u.%u.%u: older than 0.23", (unsigned)bytes[4],
                   (unsigned)bytes[5], (unsigned)bytes[6]);
  }
  memcpy(header->version, bytes + 4, 4);
  header->compression = bytes[8];
  return RK_OK;
}

void rk_frame_header_encode(uint8_t out[RK_FRAME_HEADER_SIZE], rk_frame_header header)
{
  rk_store_u64(out, header.kind);
  rk_store_u64(out + 8, header.size);
}

bool rk_frame_header_decode(const uint8_t bytes[RK_FRAME_HEADER_SIZE], rk_frame_header *header)
{
  const uint64_t kind = rk_load_u64(bytes);
  if (kind > RK_FRAME_BLUEPRINT_ACTIVATION) {
    return false;
  }
  *header = (rk_frame_header){.kind = (rk_frame_kind)kind, .size = rk_load_u64(bytes + 8)};
  return true;
}

void rk_stream_footer_encode(uint8_t out[RK_STREAM_FOOTER_SIZE], const rk_stream_footer *footer)
{
  rk_store_u64(out, footer->payload_offset);
  rk_store_u64(out + 8, footer->payload_size);
  rk_store_u32(out + 16, footer->payload_hash);
  memcpy(out + 20, "RRF2FOOT", 8);
  rk_store_u32(out + 28, 1);
}

bool rk_stream_footer_decode(const uint8_t bytes[RK_STREAM_FOOTER_SIZE], rk_stream_footer *footer)
{
  if (memcmp(bytes + 20, "RRF2FOOT", 8) != 0 || rk_load_u32(bytes + 28) != 1) {
    return false;
  }
  *footer = (rk_stream_footer){.payload_offset = rk_load_u64(bytes),
                               .payload_size = rk_load_u64(bytes + 8),
                               .payload_hash = rk_load_u32(bytes + 16)};
  return true;
}

uint32_t rk_footer_hash(const void *payload, size_t size)
{
  return XXH32(payload, size, FOOTER_HASH_SEED);
}
