/* Units of a Zstandard recording: one record each, as a zstd frame between two skippable ones (SPEC "Zstandard
 * recordings"). The leading one tells what is in it, the trailing one is its seal. */
#ifndef RK_FORMAT_ZST_H
#define RK_FORMAT_ZST_H

#include "format/buffer.h"
#include "format/frame.h"
#include "format/seal.h"

struct ZSTD_CCtx_s; /* of zstd.h */
struct ZSTD_DCtx_s;

#define RK_UNIT_HEAD_SIZE  96 /* the fixed beginning of the leading frame */
#define RK_UNIT_ENTRY_SIZE (RK_FRAME_HEADER_SIZE + RK_SEAL_SIZE)
#define RK_UNIT_LEAD_MIN   (RK_UNIT_HEAD_SIZE + 8) /* with its hash */
#define RK_UNIT_MIN        (RK_UNIT_LEAD_MIN + RK_SEAL_SIZE)
#define RK_UNIT_FRAMES_MAX 65536
#define RK_UNIT_PLAIN_MAX  (((uint64_t)2 << 30) + ((uint64_t)2 << 20)) /* a largest frame and what goes with it */
#define RK_UNIT_VERSION    1

enum { RK_UNIT_STREAM_HEADER = 1, RK_UNIT_STREAM_FOOTER = 2 }; /* flags of the lead: the record begins, ends with it */

/* What the fixed beginning tells. */
typedef struct rk_zst_unit {
  uint16_t flags;
  uint32_t frame_count;
  size_t lead_size;     /* of the whole leading frame */
  uint64_t size;        /* of the unit */
  uint64_t plain_size;  /* of the record; 0: a filler */
  uint64_t zstd_offset; /* within the unit: lead_size */
  uint64_t zstd_size;
} rk_zst_unit;

/* Layout of the lead, little-endian: 0 skippable magic 5D 2A 4D 18 | 4 u32 its size less 8 | 8 magic 89 "RKUNIT" 0A |
 * 16 u16 version | 18 u16 flags | 20 u32 frame_count | 24 u64 unit size | 32 u64 plain_size | 40 u64 zstd_size | 48 12
 * stream header | 60 u32 zero | 64 32 stream footer | 96 frame_count times frame header and seal | zeros | the last 8
 * XXH3-64 of the lead up to here. */
extern const uint8_t rk_unit_seal_magic[RK_SEAL_MAGIC_SIZE]; /* 5E 2A 4D 18 78 00 00 00 89 'R' 'K' 0A */

/* Reads the fixed beginning. RK_END: no unit begins here. RK_ERR_UNSUPPORTED: newer version; its size, in unit->size,
 * is where it always is. RK_ERR_CORRUPT: its numbers do not agree with each other. */
rk_status rk_unit_head_decode(const uint8_t head[RK_UNIT_HEAD_SIZE], rk_zst_unit *unit);
/* `lead` has the lead_size bytes of `unit`: its hash is right and its frames make up the record. */
bool rk_unit_lead_check(const uint8_t *lead, const rk_zst_unit *unit);
/* Frame `index` of a lead that was checked. RK_END: it has no seal. Else as rk_seal_decode. */
rk_status rk_unit_frame(const uint8_t *lead, uint32_t index, rk_frame_header *header, rk_seal *seal);
/* The seal of a unit, as rk_seal_decode: frame_size is the unit's, uncompressed_size the record's. */
rk_status rk_unit_seal_decode(const uint8_t block[RK_SEAL_SIZE], rk_seal *seal);
/* `unit` is whole, `size` bytes: both ends tell that size, and the hash is right. */
bool rk_unit_verify(const uint8_t *unit, size_t size);

/* A context for rk_unit_wrap, for ZSTD_freeCCtx; NULL when memory is short. level: -7 to 19. */
struct ZSTD_CCtx_s *rk_unit_context(int level);
/* Appends the unit of a plain record: an optional stream header, whole frames (sealed or not), an optional stream
 * footer behind an End. *begin: where in `out` it begins; a few bytes before it mean nothing. `recording_hash` is its
 * seal's where the frames tell none. RK_ERR_CORRUPT: no such record. RK_ERR_LIMIT: too large, or too many frames.
 * RK_ERR_NO_MEMORY. After a context's first records no memory is taken but by `out`. */
rk_status rk_unit_wrap(rk_buffer *out, struct ZSTD_CCtx_s *context, uint64_t recording_hash, const void *record,
                       size_t size, size_t *begin);
/* Appends the unit that says nothing: a pure function of its arguments. RK_UNIT_MIN <= size < 2^32. */
void rk_unit_filler(rk_buffer *out, uint64_t recording_hash, size_t size);

/* Appends the record of a whole unit, everything checked: hash, lead, what the zstd frame claims before memory is
 * taken, and that lead and record agree. RK_ERR_CORRUPT, RK_ERR_UNSUPPORTED, RK_ERR_NO_MEMORY. */
rk_status rk_unit_unwrap(rk_buffer *out, struct ZSTD_DCtx_s *context, const uint8_t *unit, size_t size);

#endif
