/* Random access to an input: a regular file or memory. */
#ifndef RK_READER_SOURCE_H
#define RK_READER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/status.h"

#define RK_SOURCE_PEEK_MAX ((size_t)16384)
#define RK_SOURCE_WINDOW   ((size_t)65536)

typedef struct rk_zst rk_zst;

typedef struct rk_source {
  uint64_t size; /* as it was when opened */
  int fd;        /* -1: memory, or a Zstandard recording */
  const uint8_t *memory;
  rk_zst *zst;     /* a Zstandard recording, as its plain stream (source_zst.h); else NULL */
  uint8_t *window; /* [RK_SOURCE_WINDOW], files only */
  uint64_t window_offset;
  size_t window_size;
  size_t ahead;       /* how much a peek reads at least, at most RK_SOURCE_WINDOW: more where more will be asked for */
  uint64_t read_size; /* bytes read from the file so far */
  int sys_errno;      /* of the last failed read */
} rk_source;

/* Opens the regular file at `path` ("-": standard input, if it is one). RK_ERR_IO with errno (a directory: EISDIR,
 * something else: EINVAL), RK_ERR_TRUNCATED when there is not one byte, RK_ERR_NO_MEMORY. A
 * Zstandard recording is read as its plain stream. */
rk_status rk_source_open(rk_source *source, const char *path, rk_error *error);
/* The same of an open regular file, which is taken over if that succeeds. */
rk_status rk_source_open_fd(rk_source *source, int fd, rk_error *error);
/* The caller keeps `data` until rk_source_close. RK_ERR_TRUNCATED when size is 0. */
rk_status rk_source_open_memory(rk_source *source, const void *data, size_t size, rk_error *error);
void rk_source_close(rk_source *source);

/* Whether somebody writes it: holds a lock on it as participants of a shared recording do (SPEC "Participants"), or has
 * changed its size since it was opened. */
bool rk_source_live(const rk_source *source);
bool rk_source_locked(const rk_source *source); /* holds a lock, that is */

/* Takes the file's size anew; what was lent or kept of it before counts no longer. RK_ERR_IO. */
rk_status rk_source_refresh(rk_source *source);
/* Tells the kernel whether small pieces far from each other will be asked for, or what follows one another. */
void rk_source_advise(const rk_source *source, bool sparse);

/* Copies [offset, offset + size) to `out`. RK_ERR_TRUNCATED when the file has become shorter than that, RK_ERR_IO. */
rk_status rk_source_read(rk_source *source, uint64_t offset, void *out, size_t size);
/* Lends the bytes [offset, offset + size), size at most RK_SOURCE_PEEK_MAX, until the next peek. Status as for read. */
rk_status rk_source_peek(rk_source *source, uint64_t offset, size_t size, const uint8_t **data);

#endif
