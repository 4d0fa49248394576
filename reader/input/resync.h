/* Finding the next sound frame or stream after damage, with bounded work on hostile inputs (SPEC "Recovery"). */
#ifndef RK_READER_RESYNC_H
#define RK_READER_RESYNC_H

#include "format/buffer.h"
#include "reader/input/scan.h"

#define RK_KNOWN_HASHES 64 /* stores of one stream whose frames are told from others' */

typedef struct rk_resync {
  rk_source *source;
  rk_buffer scratch; /* a frame under verification */
  uint8_t *block;    /* the searched block, files only */
  uint64_t block_offset;
  size_t block_size;
  uint64_t search_left;  /* bytes that may still be searched or hashed, over the whole input */
  uint64_t allowed_size; /* of the source, for which that was granted */
  uint64_t steps_left;   /* frame headers that may still be followed to judge a stream header */
  uint64_t known[RK_KNOWN_HASHES];
  size_t known_count;
  uint64_t none_from; /* no seal that counts belongs to a frame that begins at or after this offset */
} rk_resync;

bool rk_resync_init(rk_resync *resync, rk_source *source); /* false: memory is short */
/* The source may have another size, and other bytes where none were sound. */
void rk_resync_extend(rk_resync *resync);
void rk_resync_free(rk_resync *resync);
/* Whether a sealed frame of this recording hash belongs to the stream: true for any while none is known. */
bool rk_resync_known(const rk_resync *resync, uint64_t recording_hash);
void rk_resync_know(rk_resync *resync, uint64_t recording_hash);
void rk_resync_forget(rk_resync *resync); /* a new stream */

/* Whether the frame [offset, offset + size) is whole by its seal's hash. RK_OK, RK_ERR_CORRUPT, RK_ERR_LIMIT (larger
 * than RK_FRAME_MAX, or too much was hashed already), RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_resync_verify(rk_resync *resync, uint64_t offset, uint64_t size);

/* Whether the payload of an End frame has the hash that the stream footer tells. Status as for rk_resync_verify. */
rk_status rk_resync_check_footer(rk_resync *resync, uint64_t offset, uint64_t size, uint32_t hash);

typedef enum rk_resync_kind { RK_RESYNC_NONE, RK_RESYNC_FRAME, RK_RESYNC_STREAM } rk_resync_kind;

/* The next place after `from` at which reading can go on: a sealed and verified frame of a known recording (of any,
 * when none is known), or a stream header whose frames lead to that place or to the end of the input. */
rk_status rk_resync_find(rk_resync *resync, uint64_t from, rk_resync_kind *kind, uint64_t *offset);

#endif
