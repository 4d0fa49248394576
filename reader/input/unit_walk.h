/* The forward walk over the units of a Zstandard recording: where each stands, what lies between that is none (SPEC
 * "Zstandard recordings", "Recovery"). */
#ifndef RK_READER_UNIT_WALK_H
#define RK_READER_UNIT_WALK_H

#include "format/zst.h"
#include "reader/input/source.h"

#define RK_UNIT_HASHES 64 /* recordings whose units are told from others' while getting back into step */

/* A unit that holds a record. */
typedef struct rk_unit_place {
  uint64_t offset; /* in the file */
  uint64_t plain;  /* of its record in the plain stream */
  uint32_t size;   /* of the unit */
  uint32_t lead_size;
  uint64_t plain_size;
  bool damaged; /* what it holds could not be had */
} rk_unit_place;

/* A range of the file that is no unit. */
typedef struct rk_unit_loss {
  uint64_t offset, length;
  uint64_t plain;   /* size of the plain stream before it */
  rk_status status; /* RK_ERR_TRUNCATED: up to the end of the file, which may be growing */
  bool at_end;      /* where the file ended then: what is there may be the beginning of a unit */
  const char *reason;
} rk_unit_loss;

typedef struct rk_unit_walk {
  rk_source *raw;
  uint64_t walked;     /* units or losses lead up to here */
  uint64_t plain_size; /* of all records so far */
  uint64_t filler_count;
  rk_unit_place *units;
  size_t unit_count, unit_capacity;
  rk_unit_loss *losses;
  size_t loss_count, loss_capacity;
  /* private */
  rk_buffer bytes; /* last read */
  uint64_t bytes_offset;
  size_t guess; /* how much is read at a unit's beginning */
  uint64_t known[RK_UNIT_HASHES];
  size_t known_count;
  uint64_t search_left; /* bytes that may yet be searched or hashed */
  bool checked_last;    /* the hash of the last unit was looked at */
  bool ended;           /* the last unit ends a stream, */
  uint64_t end_hash;    /* and this is its hash */
} rk_unit_walk;

/* Walks on to the end of `raw`, whose size may be another one now. RK_ERR_IO (raw->sys_errno), RK_ERR_NO_MEMORY. Taken
 * back and looked at again are a loss at the end, units that are no longer within the file, and one that ends a stream
 * where it stood last and is not there as it was: somebody has gone on with a finished recording.
 */
rk_status rk_unit_walk_on(rk_unit_walk *walk);
void rk_unit_walk_free(rk_unit_walk *walk);

#endif
