/* Streams of bytes whose compressions are taken off one by one, through libarchive, within limits. */
#ifndef RK_READER_UNPACK_H
#define RK_READER_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rrdkit/status.h"

struct archive;

#define RK_UNPACK_HEAD  ((size_t)4096)
#define RK_UNPACK_DEPTH 8 /* compressions and archives around a recording */

/* What all streams over one input share: its limits and what went wrong first. Zero-initialise; `max_ratio` and the
 * callback are the caller's. */
typedef struct rk_unpack {
  const char *name;
  uint32_t max_ratio;
  uint64_t size;                       /* of the input; 0: unknown */
  uint64_t stored;                     /* bytes of it that were read */
  uint64_t given[RK_UNPACK_DEPTH + 2]; /* bytes that came out at each depth */
  bool (*on_progress)(void *context, const char *input, uint64_t bytes_done, uint64_t bytes_total);
  void *context;
  rk_error error; /* of the system, of a limit, or stopped (RK_END): ends all reading; RK_OK: none */
} rk_unpack;

/* A stream: the bytes of a descriptor, or those of the current entry of an archive. */
typedef struct rk_layer {
  rk_unpack *unpack;
  unsigned depth;
  int fd;                 /* -1: `archive` */
  bool seekable, counted; /* counted: what is read from it is bytes of the input */
  uint64_t size;          /* of a seekable one */
  struct archive *archive;
  struct rk_layer *below; /* what `archive` reads, when it is this stream's own */
  uint64_t position;      /* of the next byte, in bytes given */
  uint8_t *buffer;        /* of a descriptor */
  const uint8_t *block;   /* what is left of the last block */
  size_t block_size;
  uint64_t hole; /* zeros that come next, then: */
  const uint8_t *kept;
  size_t kept_size;
  uint8_t head[RK_UNPACK_HEAD];
  size_t head_size, head_at; /* looked at but not yet given */
  bool ended;
  rk_error error; /* of this stream alone: damage */
} rk_layer;

typedef enum rk_content {
  RK_CONTENT_OTHER,
  RK_CONTENT_RECORDING,      /* a stream header, of any version */
  RK_CONTENT_ZST_RECORDING,  /* of rrdkit's own making (SPEC "Zstandard recordings") */
  RK_CONTENT_COMPRESSED,     /* *code is libarchive's filter */
  RK_CONTENT_ARCHIVE,        /* *code is libarchive's format; it is read front to back */
  RK_CONTENT_ARCHIVE_SEEKING /* the same, read from its end */
} rk_content;

/* What bytes are by their beginning. */
rk_content rk_content_of(const uint8_t *head, size_t size, int *code);

/* RK_ERR_NO_MEMORY. The descriptor stays the caller's; a regular file is read from its beginning, anything else from
 * where it is. */
rk_status rk_layer_of_file(rk_layer *stream, rk_unpack *unpack, int fd);
/* What `stream` was copied to: it is replaced by the bytes of `fd`, from the beginning. */
rk_status rk_layer_replace(rk_layer *stream, int fd);
/* The data of the archive's current entry, which `above` bytes of archives and compressions surround. */
void rk_layer_of_entry(rk_layer *stream, rk_unpack *unpack, struct archive *archive, unsigned depth);
/* What `below`, compressed by that filter, becomes; takes *below over (moved to memory of its own) whatever happens. */
rk_status rk_layer_decompress(rk_layer *stream, rk_layer *below, int filter);
/* Takes compressions off until the stream is something else; *content and *code say what. RK_ERR_LIMIT: too many. */
rk_status rk_layer_peel(rk_layer *stream, rk_content *content, int *code);
void rk_layer_close(rk_layer *stream);

/* The first bytes, up to RK_UNPACK_HEAD, without taking them. Fewer: the stream is shorter, or damaged there. */
rk_status rk_layer_head(rk_layer *stream, const uint8_t **head, size_t *size);
/* Lends the next bytes; *size 0 is the end. RK_ERR_CORRUPT, RK_ERR_TRUNCATED, or that of the rk_unpack. */
rk_status rk_layer_next(rk_layer *stream, const uint8_t **block, size_t *size);
/* What went wrong with `archive`: that of the rk_unpack first. Sets *error and returns its status. */
rk_status rk_unpack_failure(const rk_unpack *unpack, struct archive *archive, rk_error *error);
/* An archive of that format over the stream, which must outlive it. */
rk_status rk_layer_open_archive(rk_layer *stream, int format, struct archive **archive, rk_error *error);

/* Writes the rest of the stream to `fd` at `offset` and says how many bytes that were, also after an error. */
rk_status rk_layer_copy(rk_layer *stream, int fd, uint64_t offset, uint64_t *size);

#endif
