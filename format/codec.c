/* Payload compression: none and LZ4 block (SPEC "ArrowMsg"). */
#include "format/codec.h"

#include <limits.h>
#include <lz4.h>

#include "format/bytes.h"
#include "format/error.h"

/* No LZ4 block holds more than this many times its own size. */
enum { LZ4_YIELD_MAX = 255 };

enum { SAMPLE = 8 << 10, BEFORE = 16 << 10, SAMPLED_MIN = 128 << 10, FAST = 4 };
/* Sizes of pieces that one sample is taken of for PACED of them. */
enum { PACED_MIN = SAMPLE + BEFORE, PACED_MAX = 1 << 20, PACED = 32 };

/* The size of a part late in the data, where a chunk has its values, as it is compressed in its place. */
static RK_FAR int sample(const char *data, size_t size, char *to, int bound, int acceleration)
{
  const char *part = data + (size / 4 * 3 < size - SAMPLE ? size / 4 * 3 : size - SAMPLE);
  LZ4_stream_t stream;
  LZ4_initStream(&stream, sizeof stream);
  LZ4_loadDict(&stream, part - BEFORE, BEFORE);
  return LZ4_compress_fast_continue(&stream, part, to, SAMPLE, bound, acceleration);
}

/* LZ4's, by a measured ratio: FAST where that costs a thirtieth of the size at most and more than half of it is left.
 * So it is where half of the bytes are noise, and FAST takes a third of the time off. Where they almost repeat it would
 * cost a tenth of the size; where little is left of them it would gain nothing. */
static int acceleration_for(const char *data, size_t size, char *to, int bound, rk_pace *pace)
{
  pace = size <= PACED_MAX ? pace : NULL; /* beside larger ones a sample is nothing */
  if (size < (pace == NULL ? SAMPLED_MIN : PACED_MIN)) {
    return 1;
  }
  if (pace != NULL && pace->left > 0) {
    pace->left--;
    return pace->acceleration;
  }
  const int slow = sample(data, size, to, bound, 1);
  const bool fast = slow > SAMPLE / 2 && sample(data, size, to, bound, FAST) <= slow + slow / 30;
  if (pace != NULL) {
    *pace = (rk_pace){.acceleration = fast ? FAST : 1, .left = PACED - 1};
  }
  return fast ? FAST : 1;
}

rk_status rk_compress(rk_buffer *out, rk_compression compression, const void *data, size_t size, rk_pace *pace,
                      rk_compression *used)
{
  if (compression != RK_COMPRESSION_NONE && size > 0 && size <= LZ4_MAX_INPUT_SIZE) {
    const int bound = LZ4_compressBound((int)size);
    if (!rk_buffer_reserve(out, (size_t)bound)) {
      return RK_ERR_NO_MEMORY;
    }
    char *to = (char *)out->data + out->size;
    const int packed = LZ4_compress_fast(data, to, (int)size, bound, acceleration_for(data, size, to, bound, pace));
    if (packed > 0 && (size_t)packed < size) {
      out->size += (size_t)packed;
      *used = RK_COMPRESSION_LZ4;
      return RK_OK;
    }
  }
  rk_buffer_append(out, data, size);
  *used = RK_COMPRESSION_NONE;
  return out->failed ? RK_ERR_NO_MEMORY : RK_OK;
}

/* `part` is at most uncompressed_size. */
static rk_status decompress_lz4(rk_buffer *out, const void *data, size_t size, uint64_t uncompressed_size, size_t part,
                                rk_error *error)
{
  if (uncompressed_size > RK_UNCOMPRESSED_MAX || uncompressed_size > INT_MAX || size > INT_MAX) {
    return rk_fail(error, RK_ERR_LIMIT, RK_NO_OFFSET, "payload claims %llu bytes uncompressed, beyond the limit",
                   (unsigned long long)uncompressed_size);
  }
  if (uncompressed_size > (uint64_t)size * LZ4_YIELD_MAX) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "LZ4: %zu bytes cannot hold the claimed %llu", size,
                   (unsigned long long)uncompressed_size);
  }
  const size_t room = part + 1;
  if (out->capacity == 0 && !out->failed ? !rk_buffer_reserve_exactly(out, room) : !rk_buffer_reserve(out, room)) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory for a payload of %llu bytes",
                   (unsigned long long)uncompressed_size);
  }
  char *to = (char *)out->data + out->size;
  const int unpacked = size == 0 ? -1
                       : part == uncompressed_size
                           ? LZ4_decompress_safe(data, to, (int)size, (int)part)
                           : LZ4_decompress_safe_partial(data, to, (int)size, (int)part, (int)part);
  if (unpacked < 0) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "LZ4: payload is damaged or longer than it claims");
  }
  out->size += (size_t)unpacked;
  return RK_OK;
}

rk_status rk_decompress_part(rk_buffer *out, rk_compression compression, const void *data, size_t size,
                             uint64_t uncompressed_size, size_t part, rk_error *error)
{
  if (compression == RK_COMPRESSION_LZ4) {
    part = part < uncompressed_size ? part : (size_t)uncompressed_size;
    return decompress_lz4(out, data, size, uncompressed_size, part, error);
  }
  if (compression != RK_COMPRESSION_NONE) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET, "unknown compression %d", (int)compression);
  }
  if (size > RK_UNCOMPRESSED_MAX) {
    return rk_fail(error, RK_ERR_LIMIT, RK_NO_OFFSET, "payload of %zu bytes is beyond the limit", size);
  }
  rk_buffer_append(out, data, part < size ? part : size);
  return out->failed ? rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory for a payload of %zu bytes", size)
                     : RK_OK;
}

rk_status rk_decompress(rk_buffer *out, rk_compression compression, const void *data, size_t size,
                        uint64_t uncompressed_size, rk_error *error)
{
  return rk_decompress_part(out, compression, data, size, uncompressed_size, SIZE_MAX, error);
}
