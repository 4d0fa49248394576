/* The clocks of hosts by the (monotonic, realtime) pairs that their writers noted. */
#ifndef RK_READER_CLOCKS_H
#define RK_READER_CLOCKS_H

#include "reader/reader_state.h"

typedef struct rk_clock_pair {
  int64_t monotonic, realtime;
  int64_t wall;    /* realtime, made monotone */
  rk_entry *entry; /* whose seal tells it; NULL: a record tells it, whose hash was found right */
} rk_clock_pair;

/* One host since one boot. */
typedef struct rk_boot {
  const char *boot_id, *host; /* interned */
  int64_t offset;             /* of log_time to CLOCK_MONOTONIC */
  rk_list pairs;              /* rk_clock_pair, sorted by the monotonic clock once settled */
  size_t settled;             /* pairs that were there then */
  rk_list steps;              /* rk_host_clock_step */
  rk_host_clock info;
} rk_boot;

struct rk_clocks {
  rk_list boots;  /* rk_boot * */
  rk_table by_id; /* the same by the id's pointer */
  rk_table seen;  /* rk_writer_entry and rk_store_entry whose pairs were taken */
  size_t entries_seen;
  rk_list infos;   /* const rk_host_clock *, sorted by boot id */
  rk_blocks hulls; /* rk_hull of the first entries, before they were moved */
  bool ready;
};

typedef struct rk_hull {
  int64_t min_ns, max_ns;
} rk_hull;

/* Takes in all pairs that the index tells of and does not have yet. RK_ERR_IO, RK_ERR_NO_MEMORY. */
rk_status rk_clocks_learn(rk_reader *reader, rk_error *error);
/* The boot whose clock stamped the rows of that writer, and the offset of their log_time to CLOCK_MONOTONIC; NULL:
 * nobody knows. `sealed`: the writer is a chunk's by its seal; others are known by their record alone. */
const rk_boot *rk_clocks_of(const rk_reader *reader, const rk_store *store, uint32_t tag, bool sealed, int64_t *offset);
/* Wall clock where the monotonic one showed `monotonic`; never steps back. */
int64_t rk_clocks_wall(const rk_boot *boot, int64_t monotonic);

#endif
