/* The spool files of one process: is it dead, and which rows did it leave (SPEC "Reading spools")? */
#ifndef RK_READER_ORPHAN_PROCESS_H
#define RK_READER_ORPHAN_PROCESS_H

#include "reader/spool/orphan_files.h"
#include "reader/spool/orphan_rows.h"

/* At work on one process' spool. */
typedef struct rk_orphan_finding {
  rk_orphan_list *list;
  const char *directory;
  const rk_orphan_members *members; /* NULL: the files are in directory_fd */
  int directory_fd;
  const rk_spool_file *file; /* that losses are about */
  rk_orphan_ring *rings;     /* those with rows, or a count of dropped ones; as many as files */
  size_t ring_count;
  bool no_memory;
} rk_orphan_finding;

/* `files`: those of one process, as they were found. What a dead one left joins the list; a living one has nothing. */
void rk_orphan_process_read(rk_orphan_finding *finding, const rk_spool_file *files, size_t count);
/* A loss of the whole file, or of the directory when there is no file, for an errno. */
void rk_orphan_process_unread(rk_orphan_finding *finding, int sys_errno);

#endif
