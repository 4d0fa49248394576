/* One ring of a dead process, drained as its writer would have. */
#ifndef RK_WRITER_ADOPT_RING_H
#define RK_WRITER_ADOPT_RING_H

#include "format/spool_dictionary.h"
#include "writer/writer_internal.h"

/* Where an adopter may die: the test that dies there compiles this file with a definition of its own. */
#ifndef RK_ADOPT_POINT
#define RK_ADOPT_POINT(where) ((void)0)
#endif

/* One dead process' spool at work. */
typedef struct rk_orphan {
  rk_recording *recording;
  int directory;
  uint64_t process;
  rk_dictionary dictionary;
  rk_drain drain;
  rk_buffer out, rows;
  rk_packer packer;
  int ring; /* the ring file at work */
  rk_ring_header header;
  uint8_t *present; /* [chunks of the intent]: in the recording already */
  bool tell_drops;  /* the writer's count of dropped rows may not be in the recording */
  bool damaged;     /* something of it stays, unreadable */
} rk_orphan;

/* RK_OK: the ring is empty now and may go. RK_ERR_CORRUPT, RK_ERR_UNSUPPORTED, RK_ERR_NOT_RRD: it stays. Others may
 * pass with time. */
rk_status rk_adopt_ring(rk_orphan *o, const char *name, uint32_t number, rk_error *error);

#endif
