/* What writers of this host still hold back: the rings of all processes in a spool directory, looked at without lock
 * (SPEC "Following"). */
#ifndef RK_READER_FOLLOW_RINGS_H
#define RK_READER_FOLLOW_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/status.h"

#define RK_FOLLOW_GRACE_NS 1000000 /* a store of another core is seen within; no stamp is so far behind */

/* A process whose spool was seen. */
typedef struct rk_ring_process {
  uint64_t hash, identity;
  int64_t pid, clock_offset;
  bool known; /* its definitions file says the above */
} rk_ring_process;

typedef struct rk_ring_look {
  bool alive; /* a process lives that has logged */
  /* Every row of the writers here with a stamp below is in the recording; INT64_MAX: all of them are. */
  int64_t bound_ns;
  bool by_row;  /* a row in a ring bounds it, ... */
  bool by_call; /* a call under way */
  /* A process that died and whose rows nobody has brought in yet; its rows bound bound_ns. */
  bool has_dead;
  rk_ring_process dead;
} rk_ring_look;

typedef struct rk_ring_watch rk_ring_watch;

/* `directory` need not exist; `hash`: only files of that recording (NULL: of all). NULL: no memory. */
rk_ring_watch *rk_ring_watch_new(const char *directory, const uint64_t *hash);
void rk_ring_watch_free(rk_ring_watch *watch);
const char *rk_ring_watch_directory(const rk_ring_watch *watch);

/* Looks at every ring. `now`: CLOCK_MONOTONIC, read before. `list`: files may have come or gone since the last look.
 * `patience_ns`: how long a stopped process holds others back; one that runs holds them RK_FOLLOW_RUNNING times as
 * long. RK_ERR_NO_MEMORY. */
#define RK_FOLLOW_RUNNING 20
rk_status rk_ring_watch_look(rk_ring_watch *watch, int64_t now, bool list, int64_t patience_ns, rk_ring_look *look);
/* From now on the process' rows hold nothing back: they were read. */
void rk_ring_watch_forget(rk_ring_watch *watch, const rk_ring_process *process);
/* Whether a ring of that writer was seen. */
bool rk_ring_watch_knows(const rk_ring_watch *watch, uint32_t tag);

#endif
