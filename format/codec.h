/* Payload compression: none and LZ4 block. */
#ifndef RK_FORMAT_CODEC_H
#define RK_FORMAT_CODEC_H

#include "format/buffer.h"
#include "rrdkit/recording.h"
#include "rrdkit/status.h"

/* Most that a payload may claim to hold uncompressed; more is RK_ERR_LIMIT. */
#define RK_UNCOMPRESSED_MAX ((uint64_t)2 << 30)

/* What LZ4 does best with pieces of one kind, and for how many more of them that is taken for granted. Zero-initialise.
 */
typedef struct rk_pace {
  uint8_t acceleration, left;
} rk_pace;

/* Appends the compressed form of `data`. *used: what was used: NONE when LZ4 would not be smaller. `pace`: of pieces
 * like this one; NULL: it is judged by itself, and the same bytes always yield the same. */
rk_status rk_compress(rk_buffer *out, rk_compression compression, const void *data, size_t size, rk_pace *pace,
                      rk_compression *used);
/* Appends the uncompressed form; `uncompressed_size` is the message's claim, checked against RK_UNCOMPRESSED_MAX and
 * against what LZ4 can yield at most (255 times) before memory is taken. RK_ERR_CORRUPT, RK_ERR_LIMIT,
 * RK_ERR_NO_MEMORY. */
rk_status rk_decompress(rk_buffer *out, rk_compression compression, const void *data, size_t size,
                        uint64_t uncompressed_size, rk_error *error);
/* Appends only the first `part` bytes of it, or all where it is shorter; what lies behind them is not looked at. */
rk_status rk_decompress_part(rk_buffer *out, rk_compression compression, const void *data, size_t size,
                             uint64_t uncompressed_size, size_t part, rk_error *error);

#endif
