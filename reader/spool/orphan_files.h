/* Spools found in a directory, read into memory: the files are neither locked nor mapped nor changed (SPEC "Reading
 * spools"). */
#ifndef RK_READER_ORPHAN_FILES_H
#define RK_READER_ORPHAN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/buffer.h"
#include "rrdkit/status.h"

/* Row bytes that are read for one recording at most; what exceeds it is a loss. */
#define RK_ORPHAN_SIZE_MAX ((uint64_t)2 << 30)

#define RK_SPOOL_DEFINITIONS UINT64_MAX

/* A file of a spool by what its name says. */
typedef struct rk_spool_file {
  uint64_t hash, process;
  uint64_t number; /* of a ring, or RK_SPOOL_DEFINITIONS, which sorts last */
} rk_spool_file;

/* "HASH-PROCESS.defs", "HASH-PROCESS-N.ring" as a writer spells them. */
bool rk_spool_file_parse(const char *name, rk_spool_file *file);

/* The rows of one dead process. */
typedef struct rk_orphan_spool {
  uint64_t recording_hash;
  char *path;       /* of its definitions file */
  rk_buffer stream; /* a recording of their own: stream header, writers, sealed chunks */
} rk_orphan_spool;

typedef struct rk_orphan_loss {
  char *path; /* of a file or of the directory */
  bool has_hash;
  uint64_t recording_hash; /* in the file's name */
  uint64_t offset, length;
  rk_status status;
  uint32_t writer;
  char reason[160];
} rk_orphan_loss;

/* Zero-initialise. */
typedef struct rk_orphan_list {
  rk_orphan_spool *spools;
  size_t spool_count, spool_capacity;
  rk_orphan_loss *losses;
  size_t loss_count, loss_capacity;
  uint64_t size; /* row bytes read */
} rk_orphan_list;

/* Files of a spool that lie one after another in one file, as they came out of an archive. */
typedef struct rk_orphan_member {
  const char *name; /* in the spool's directory */
  uint64_t offset, size;
} rk_orphan_member;

typedef struct rk_orphan_members {
  int fd;
  const rk_orphan_member *items; /* sorted by name, each name once */
  size_t count;
} rk_orphan_members;

/* Adds what the dead left in `directory`, which need not exist; `hash`: only of that recording (NULL: of all);
 * `process`: only of that one (NULL: of all). A process is alive while its lock is held, unless it is gone and another
 * works on its rows. RK_ERR_NO_MEMORY. */
rk_status rk_orphan_list_read(rk_orphan_list *list, const char *directory, const uint64_t *hash,
                              const uint64_t *process);
/* The same of members of an archive, all of whose writers are dead; `directory` only names them. */
rk_status rk_orphan_list_read_members(rk_orphan_list *list, const char *directory, const rk_orphan_members *members);
void rk_orphan_list_free(rk_orphan_list *list);

#endif
