/* The seal: the last 128 bytes of every frame that rrdkit writes (SPEC "Seal"). One protobuf field of number 24601 at
 * the end of the payload, which stock readers skip. Every sealed frame ends at a file offset that is a multiple of 128,
 * so a seal fills one aligned block. */
#ifndef RK_FORMAT_SEAL_H
#define RK_FORMAT_SEAL_H

#include "format/buffer.h"
#include "format/frame.h"
#include "format/tuid.h"

#define RK_SEAL_SIZE       128   /* with its protobuf tag and length (4 bytes) */
#define RK_SEAL_MAGIC_SIZE 12    /* tag, length, magic */
#define RK_SEAL_FIELD      24601 /* tag bytes CA 81 0C, length byte 7C */
#define RK_PAD_FIELD       24600 /* bytes field of zeros just before the seal */
#define RK_FRAME_ALIGNMENT 128
#define RK_SEAL_VERSION    1

/* Flags; others must be zero. MERGED: a SetStoreInfo of a file that a merge wrote. */
enum { RK_SEAL_STATIC = 1, RK_SEAL_FILLER = 2, RK_SEAL_MERGED = 4 };

typedef struct rk_seal {
  uint16_t flags;
  uint64_t frame_size;   /* frame header, payload, this seal included */
  uint32_t writer;       /* tag; 0: the recording itself, or rows of several writers */
  uint32_t chunk_number; /* of that writer, from 0 without gaps */
  uint32_t first_row;    /* row number of the chunk's first row */
  uint32_t row_count;
  int64_t min_log_time, max_log_time;      /* over the chunk's order keys; 0, 0 where there are no rows */
  uint64_t entity_hash;                    /* XXH3-64 of the entity path text; 0 where none */
  uint64_t recording_hash;                 /* rk_recording_hash */
  int64_t clock_monotonic, clock_realtime; /* pair read when the frame was made; 0, 0 unknown (merged) */
  uint64_t uncompressed_size;              /* of the Arrow payload */
  uint32_t cut_rows, cut_size; /* of a chunk that a merge cut because it was full: the limits then; cut_size of a
                                  SetStoreInfo of a merge: how many entities it had; else 0, 0 */
} rk_seal;

/* Layout, offsets within the 128 bytes, little-endian:
 *   0 tag and length CA 81 0C 7C | 4 magic 89 "RKSEAL" 0A | 12 u16 version | 14 u16 flags | 16 u64 frame_size | 24 u32
 * writer | 28 u32 chunk_number | 32 u32 first_row | 36 u32 row_count | 40 i64 min | 48 i64 max | 56 u64 entity_hash |
 *  64 u64 recording_hash | 72 i64 monotonic | 80 i64 realtime | 88 u64 uncompressed_size | 96 u32 cut_rows |
 * 100 u32 cut_size | 104 16 reserved zero bytes |
 * 120 u64 XXH3-64 over the frame from its first byte up to here. */

/* XXH3-64 of application id, a NUL, recording id. */
uint64_t rk_recording_hash(const char *application_id, const char *recording_id);

/* Completes the frame that starts at out->data + frame_start (frame header first, its payload size still open): appends
 * padding and the seal, so that file_offset + frame size is a multiple of 128, then writes the frame header's size and
 * the hash. `file_offset` is the frame's position modulo 128 (0 for every appended frame, 12 for the creator's first).
 * seal->frame_size is filled in. */
void rk_seal_frame(rk_buffer *out, size_t frame_start, unsigned file_offset, rk_seal *seal);

/* Reads the 128 bytes at `block`. RK_END: no seal here (no tag or magic). RK_ERR_UNSUPPORTED: newer version.
 * RK_ERR_CORRUPT: reserved bits. The hash is not checked (rk_seal_verify). Check order: magic, version, flags. */
rk_status rk_seal_decode(const uint8_t block[RK_SEAL_SIZE], rk_seal *seal);
/* The same with another beginning than a seal's: the seal of a unit (format/zst.h) has the same fields. */
rk_status rk_seal_get(const uint8_t block[RK_SEAL_SIZE], const uint8_t magic[RK_SEAL_MAGIC_SIZE], rk_seal *seal);
/* All of the block but its hash, frame_size included. */
void rk_seal_put(uint8_t block[RK_SEAL_SIZE], const uint8_t magic[RK_SEAL_MAGIC_SIZE], const rk_seal *seal);
extern const uint8_t rk_seal_magic[RK_SEAL_MAGIC_SIZE];
/* `frame` is whole, frame_size bytes, its last 128 the seal: header length, seal's frame_size and hash agree. */
bool rk_seal_verify(const uint8_t *frame, size_t frame_size);

#endif
