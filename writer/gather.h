/* Sorting a run of spooled rows into the chunks they will become. */
#ifndef RK_WRITER_GATHER_H
#define RK_WRITER_GATHER_H

#include "writer/writer_internal.h"

/* Rows [begin, end) of a ring of `size` bytes (a power of two), or of memory of exactly that size with begin 0. */
typedef struct rk_row_source {
  const uint8_t *data;
  uint64_t size;
  uint64_t begin, end;
} rk_row_source;

#define RK_NO_ROW UINT32_MAX

typedef struct rk_row_ref {
  uint64_t position;
  uint32_t next; /* in the same group, or RK_NO_ROW */
} rk_row_ref;

/* Rows of one entity and one set of timelines, in writer order: a chunk to be. */
typedef struct rk_group {
  const rk_entity *entity;
  const rk_timeline_set *set; /* NULL: log_time alone */
  uint32_t entity_id, set_id;
  bool is_static;
  uint32_t first, last; /* row refs */
  uint32_t count;
  size_t size;
} rk_group;

typedef struct rk_gathered {
  rk_buffer rows;   /* rk_row_ref[] */
  rk_buffer groups; /* rk_group[], by first row */
  rk_buffer slots;  /* u32[]: hash table over the open groups */
  size_t group_count;
  uint32_t row_count;
  uint32_t first_row; /* number of the first row */
  bool damaged;       /* some rows were impossible and are left out */
} rk_gathered;

/* Fills `gathered` from nothing. The same rows always yield the same groups in the same order. RK_ERR_NO_MEMORY. */
rk_status rk_gather(rk_recording *recording, const rk_row_source *source, rk_gathered *gathered);
/* The row at `position`, as rk_spool_row_parse. */
rk_status rk_source_row(const rk_row_source *source, uint64_t position, rk_spool_row *row);
void rk_gathered_free(rk_gathered *gathered);

#endif
