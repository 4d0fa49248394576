/* How records lie in the file: frame by frame, or each in a unit (SPEC "Padding and fillers", "Zstandard recordings").
 */
#include "writer/framing.h"

#include <string.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/messages.h"
#include "writer/writer_internal.h"

/* ---- Plain ---- */

static uint64_t frame_size(const uint8_t *head)
{
  rk_frame_header header;
  return rk_frame_header_decode(head, &header) && header.kind != RK_FRAME_END && header.size < (uint64_t)1 << 61
             ? RK_FRAME_HEADER_SIZE + header.size
             : 0;
}

static bool is_stream_header(const uint8_t *head)
{
  return memcmp(head, rk_stream_header_bytes, 4) == 0;
}

static size_t encode_message(const rk_recording *recording, uint64_t start, rk_buffer *out)
{
  const size_t frame = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  const rk_store_info info = {.row_id = {.time_ns = 0, .inc = start},
                              .store = rk_recording_store(recording),
                              .source_kind = 1,
                              .store_version = rk_load_u32(rk_stream_header_bytes + 4)};
  rk_store_info_encode(out, &info);
  return frame;
}

enum { PAD_HEADER = 3 + 4 }; /* key of RK_PAD_FIELD, length as a varint of four bytes */

static size_t frame_filler_min(const rk_recording *recording)
{
  rk_buffer out = {0};
  encode_message(recording, 0, &out);
  const size_t size = out.size + PAD_HEADER + RK_SEAL_SIZE;
  rk_buffer_free(&out);
  return size;
}

static void frame_filler(const rk_recording *recording, uint64_t start, size_t size, rk_buffer *out)
{
  const size_t frame = encode_message(recording, start, out);
  const size_t pad = size - (out->size - frame) - PAD_HEADER - RK_SEAL_SIZE;
  const uint8_t header[PAD_HEADER] = {
      0xC2,
      0x81,
      0x0C,
      (uint8_t)(pad | 0x80),
      (uint8_t)(pad >> 7 | 0x80),
      (uint8_t)(pad >> 14 | 0x80),
      (uint8_t)(pad >> 21 & 0x7F),
  };
  rk_buffer_append(out, header, sizeof header);
  rk_buffer_append_zero(out, pad);
  rk_seal seal = {.flags = RK_SEAL_FILLER, .recording_hash = recording->hash};
  /* The offset is told so that no further padding is wanted, wherever the frame ends. */
  rk_seal_frame(out, frame, (unsigned)((RK_FRAME_ALIGNMENT - size % RK_FRAME_ALIGNMENT) % RK_FRAME_ALIGNMENT), &seal);
}

const rk_framing rk_framing_plain = {.head_size = RK_FRAME_HEADER_SIZE,
                                     .least = RK_FRAME_HEADER_SIZE + RK_SEAL_SIZE,
                                     .start = RK_STREAM_HEADER_SIZE,
                                     .seal_magic = rk_seal_magic,
                                     .size = frame_size,
                                     .is_stream = is_stream_header,
                                     .seal = rk_seal_decode,
                                     .verify = rk_seal_verify,
                                     .filler_min = frame_filler_min,
                                     .filler = frame_filler};

/* ---- Zstandard ---- */

static uint64_t unit_size(const uint8_t *head)
{
  rk_zst_unit unit;
  const rk_status status = rk_unit_head_decode(head, &unit);
  return (status == RK_OK && (unit.flags & RK_UNIT_STREAM_FOOTER) == 0) ||
                 (status == RK_ERR_UNSUPPORTED && unit.size < (uint64_t)1 << 62)
             ? unit.size
             : 0;
}

static bool is_stream_unit(const uint8_t *head)
{
  rk_zst_unit unit;
  return rk_unit_head_decode(head, &unit) == RK_OK && (unit.flags & RK_UNIT_STREAM_HEADER) != 0;
}

static size_t unit_filler_min(const rk_recording *recording)
{
  (void)recording;
  return RK_UNIT_MIN;
}

static void unit_filler(const rk_recording *recording, uint64_t start, size_t size, rk_buffer *out)
{
  (void)start;
  rk_unit_filler(out, recording->hash, size);
}

const rk_framing rk_framing_zst = {.head_size = RK_UNIT_HEAD_SIZE,
                                   .least = RK_UNIT_MIN,
                                   .start = 0,
                                   .seal_magic = rk_unit_seal_magic,
                                   .size = unit_size,
                                   .is_stream = is_stream_unit,
                                   .seal = rk_unit_seal_decode,
                                   .verify = rk_unit_verify,
                                   .filler_min = unit_filler_min,
                                   .filler = unit_filler};

/* ---- Packing ---- */

rk_status rk_pack(const rk_recording *recording, rk_packer *packer, const void *record, size_t size,
                  const uint8_t **bytes, size_t *bytes_size)
{
  *bytes = record;
  *bytes_size = size;
  if (recording->framing != &rk_framing_zst) {
    return RK_OK;
  }
  if (packer->context == NULL && (packer->context = rk_unit_context(recording->zstd_level)) == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  size_t begin;
  rk_buffer_reset(&packer->unit);
  const rk_status status = rk_unit_wrap(&packer->unit, packer->context, recording->hash, record, size, &begin);
  if (status == RK_OK) {
    *bytes = packer->unit.data + begin;
    *bytes_size = packer->unit.size - begin;
  }
  return status;
}

void rk_packer_trim(rk_packer *packer)
{
  if (packer->unit.capacity > 2 * RK_RECORD_SIZE) {
    rk_packer_free(packer); /* the context has grown with the record */
  }
}

void rk_packer_free(rk_packer *packer)
{
  ZSTD_freeCCtx(packer->context);
  packer->context = NULL;
  rk_buffer_free(&packer->unit);
}
