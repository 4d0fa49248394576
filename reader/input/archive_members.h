/* The recordings and spool files of an archive, unpacked. */
#ifndef RK_READER_ARCHIVE_MEMBERS_H
#define RK_READER_ARCHIVE_MEMBERS_H

#include "reader/input/unpack.h"
#include "reader/reader_state.h"
#include "reader/spool/orphan_files.h"

typedef struct rk_archive_recording {
  char *name;    /* in the archive; NULL: the input itself, compressed */
  int fd;        /* -1: it could not be unpacked at all */
  bool unpacked; /* and not only copied */
  uint64_t stored_size;
  rk_error error; /* what cut it short; RK_OK: it is whole */
} rk_archive_recording;

typedef struct rk_archive_spool_file {
  char *directory; /* without ".spool": the recording's name */
  char *name;      /* in it */
  uint64_t offset, size, number;
  bool used; /* its recording is an input */
} rk_archive_spool_file;

/* Zero-initialise; spool_fd -1. */
typedef struct rk_archive_members {
  rk_archive_recording *recordings;
  size_t recording_count, recording_capacity;
  rk_archive_spool_file *files;
  size_t file_count, file_capacity;
  int spool_fd; /* holds all of them */
  uint64_t spool_size;
  size_t seen;       /* members of any kind */
  char listing[128]; /* names of files, as far as they fit */
  rk_error error;    /* where reading the archive ended early; RK_OK: not so */
} rk_archive_members;

/* Unpacks what `archive` holds and `pattern` (NULL: everything) admits. What is wrong with the archive or a member is
 * kept with it; other failures end it: RK_ERR_NO_MEMORY, RK_ERR_IO, RK_ERR_LIMIT, RK_END. */
rk_status rk_archive_members_read(rk_archive_members *members, rk_unpack *unpack, struct archive *archive,
                                  unsigned depth, const char *pattern, const char *temporary_directory);
/* Unpacks a stream that is a recording. */
rk_status rk_archive_members_add(rk_archive_members *members, rk_layer *stream, const char *name,
                                 const char *temporary_directory);
void rk_archive_members_free(rk_archive_members *members);

#endif
