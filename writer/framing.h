/* How records lie in the file: frame by frame in a plain recording, each wrapped in a unit in a Zstandard one (SPEC
 * "Frames", "Zstandard recordings"). A *piece* is what has a size at its beginning and a seal at its end, by which it
 * is found, judged and, where it is torn, covered: a frame of a plain recording, a unit of the other. */
#ifndef RK_WRITER_FRAMING_H
#define RK_WRITER_FRAMING_H

#include "format/zst.h"

#define RK_PIECE_HEAD_MAX RK_UNIT_HEAD_SIZE

struct rk_recording;

typedef struct rk_framing {
  size_t head_size;          /* bytes at a piece's beginning that tell its size */
  size_t least;              /* no piece is smaller */
  size_t start;              /* of the first piece in the file */
  const uint8_t *seal_magic; /* [RK_SEAL_MAGIC_SIZE] */
  /* The size of the piece that begins with these bytes, less than 2^62; 0: none does, or what ends a stream. */
  uint64_t (*size)(const uint8_t *head);
  /* Whether these bytes begin a stream. */
  bool (*is_stream)(const uint8_t *head);
  rk_status (*seal)(const uint8_t block[RK_SEAL_SIZE], rk_seal *seal); /* rk_seal_decode */
  bool (*verify)(const uint8_t *piece, size_t size);                   /* rk_seal_verify */
  /* A piece that says nothing: its least size, and what one of `size` bytes that begins at `start` is; a function of
   * these and the recording's ids alone. size below 2^28. */
  size_t (*filler_min)(const struct rk_recording *recording);
  void (*filler)(const struct rk_recording *recording, uint64_t start, size_t size, rk_buffer *out);
} rk_framing;

extern const rk_framing rk_framing_plain, rk_framing_zst;

/* Makes units of records; kept by who appends, so that nothing is allocated for each. Zero-initialise. */
typedef struct rk_packer {
  struct ZSTD_CCtx_s *context;
  rk_buffer unit;
} rk_packer;

/* What is to be written for a record, lent until the next call: itself, or its unit. RK_ERR_NO_MEMORY, RK_ERR_LIMIT. */
rk_status rk_pack(const struct rk_recording *recording, rk_packer *packer, const void *record, size_t size,
                  const uint8_t **bytes, size_t *bytes_size);
/* Gives back what a large record took. */
void rk_packer_trim(rk_packer *packer);
void rk_packer_free(rk_packer *packer);

#endif
