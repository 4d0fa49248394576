/* What dead writers left in the spools of an input, as further chunks of that input. */
#ifndef RK_READER_ORPHAN_H
#define RK_READER_ORPHAN_H

#include "reader/reader_state.h"
#include "reader/spool/orphan_files.h"

/* Where the spools of a file lie. */
typedef struct rk_orphan_places {
  bool has_hash; /* the file begins with this recording */
  uint64_t recording_hash;
  bool of_this_boot;    /* it was begun on this host since it was booted, ... */
  int64_t clock_offset; /* ... and this makes CLOCK_MONOTONIC its axis */
  char *beside;         /* its own spool directory; NULL: `path` is no regular file */
  char
      *shared; /* the directory of the option or the environment, of which only this recording's files count; or NULL */
} rk_orphan_places;
/* The directories need not exist. False: no memory. */
bool rk_orphan_places_find(rk_orphan_places *places, const char *path, const char *spool_directory);
void rk_orphan_places_free(rk_orphan_places *places);

struct rk_orphans {
  bool has_hash; /* the file begins with this recording */
  uint64_t recording_hash;
  rk_orphan_list beside; /* in the file's own spool directory */
  rk_orphan_list shared; /* in the directory of the option or the environment */
};
typedef struct rk_orphans rk_orphans;

/* Reads the spools of the file at `path`. To be called before the file's size is taken: a row that is adopted in
 * between is then met twice, not missed. Zero-initialise *orphans. RK_ERR_NO_MEMORY. */
rk_status rk_orphans_read(rk_orphans *orphans, const char *path, const char *spool_directory);
/* The same of a recording from an archive, opened as `source`, whose spool's files are those members; `spool` names it.
 */
rk_status rk_orphans_read_members(rk_orphans *orphans, rk_source *source, const char *spool,
                                  const rk_orphan_members *members);
/* Reports the losses and adds the chunks that the index does not hold already; after the file itself was indexed as
 * `input`, whose entries begin at `first_entry`. RK_ERR_NO_MEMORY; inputs may have been added before it. */
rk_status rk_orphans_add(rk_reader *reader, rk_input *input, size_t first_entry, rk_orphans *orphans, rk_error *error);
void rk_orphans_free(rk_orphans *orphans);

#endif
