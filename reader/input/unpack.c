/* Streams of bytes whose compressions are taken off one by one, through libarchive, within limits. */
#include "reader/input/unpack.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "format/utf8.h"
#include "reader/file_io.h"

#define BLOCK_SIZE ((size_t)65536)
/* What may come out of any input, however small: rings of spools are mostly zeros. */
#define SLACK ((uint64_t)16 << 20)

static const uint8_t zeros[BLOCK_SIZE];

/* ---- Failures ---- */

rk_status rk_unpack_failure(const rk_unpack *unpack, struct archive *archive, rk_error *error)
{
  if (unpack->error.status) {
    if (error) {
      *error = unpack->error;
    }
    return unpack->error.status;
  }
  const char *text = archive_error_string(archive);
  if (archive_errno(archive) == ENOMEM) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to unpack");
  }
  char printable[160];
  text = text ? rk_escape(printable, sizeof printable, text, strlen(text)) : "damaged";
  const uint64_t offset = unpack->size > 0 && unpack->stored > unpack->size ? unpack->size : unpack->stored;
  const bool ends = strcasestr(text, "truncated") || strcasestr(text, "premature") || strcasestr(text, "end of file");
  return rk_fail(error, ends ? RK_ERR_TRUNCATED : RK_ERR_CORRUPT, offset, "it cannot be unpacked: %s", text);
}

/* Whether `depth` has given no more than the input's size allows. */
static bool within_ratio(rk_unpack *unpack, unsigned depth, uint64_t more)
{
  const uint64_t stored = unpack->size > 0 && unpack->stored > unpack->size ? unpack->size : unpack->stored;
  uint64_t *given = &unpack->given[depth];
  uint64_t allowed;
  if (__builtin_mul_overflow(stored, (uint64_t)unpack->max_ratio, &allowed) ||
      __builtin_add_overflow(allowed, SLACK, &allowed)) {
    allowed = UINT64_MAX;
  }
  if (__builtin_add_overflow(*given, more, given) || *given > allowed) {
    (void)rk_fail(&unpack->error, RK_ERR_LIMIT, stored, "it unpacks to more than %u times its size", unpack->max_ratio);
    return false;
  }
  return true;
}

/* ---- A descriptor ---- */

static rk_status begin_file(rk_layer *stream, rk_unpack *unpack, int fd, unsigned depth, bool counted)
{
  memset(stream, 0, sizeof *stream);
  stream->unpack = unpack;
  stream->depth = depth;
  stream->fd = fd;
  stream->counted = counted;
  stream->buffer = malloc(BLOCK_SIZE);
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    stream->seekable = true;
    stream->size = (uint64_t)info.st_size;
  }
  return stream->buffer ? RK_OK : rk_fail(&unpack->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to unpack");
}

rk_status rk_layer_of_file(rk_layer *stream, rk_unpack *unpack, int fd)
{
  const rk_status status = begin_file(stream, unpack, fd, 0, true);
  unpack->size = stream->size;
  return status;
}

rk_status rk_layer_replace(rk_layer *stream, int fd)
{
  rk_unpack *unpack = stream->unpack;
  const unsigned depth = stream->depth;
  rk_layer_close(stream);
  return begin_file(stream, unpack, fd, depth, false);
}

static rk_status refill_from_file(rk_layer *stream)
{
  rk_unpack *unpack = stream->unpack;
  ssize_t n;
  do {
    n = stream->seekable ? pread(stream->fd, stream->buffer, BLOCK_SIZE, (off_t)stream->position)
                         : read(stream->fd, stream->buffer, BLOCK_SIZE);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return rk_fail_errno(&unpack->error, errno, "cannot read");
  }
  stream->ended = n == 0;
  stream->block = stream->buffer;
  stream->block_size = (size_t)n;
  if (!stream->counted) {
    return RK_OK;
  }
  unpack->stored += (uint64_t)n;
  const uint64_t done = unpack->size > 0 && unpack->stored > unpack->size ? unpack->size : unpack->stored;
  if (unpack->on_progress && !unpack->on_progress(unpack->context, unpack->name, done, unpack->size)) {
    return rk_fail(&unpack->error, RK_END, RK_NO_OFFSET, "stopped");
  }
  return RK_OK;
}

/* ---- An archive's current entry ---- */

void rk_layer_of_entry(rk_layer *stream, rk_unpack *unpack, struct archive *archive, unsigned depth)
{
  memset(stream, 0, sizeof *stream);
  stream->unpack = unpack;
  stream->depth = depth;
  stream->fd = -1;
  stream->archive = archive;
}

/* The next data of the entry; holes of sparse files become zeros. */
static rk_status refill_from_entry(rk_layer *stream)
{
  const uint64_t known = stream->position + stream->head_size - stream->head_at; /* a head is read ahead */
  if (stream->hole > 0) {
    stream->block = zeros;
    stream->block_size = stream->hole < BLOCK_SIZE ? (size_t)stream->hole : BLOCK_SIZE;
    stream->hole -= stream->block_size;
  } else if (stream->kept_size > 0) {
    stream->block = stream->kept;
    stream->block_size = stream->kept_size;
    stream->kept_size = 0;
  } else {
    const void *data = NULL;
    size_t size = 0;
    la_int64_t offset = (la_int64_t)known;
    int result;
    unsigned tries = 0;
    do {
      result = archive_read_data_block(stream->archive, &data, &size, &offset);
    } while (result == ARCHIVE_RETRY && ++tries < 16);
    if (result == ARCHIVE_EOF) {
      stream->ended = true;
      return RK_OK;
    }
    if (result != ARCHIVE_OK || offset < 0) {
      const rk_status status = rk_unpack_failure(stream->unpack, stream->archive, &stream->error);
      if (stream->unpack->error.status || result < ARCHIVE_WARN || size == 0 || !data) {
        stream->ended = true;
        return status;
      }
      stream->error.status = status; /* told when these last bytes were given */
    }
    if ((uint64_t)offset > known) {
      stream->hole = (uint64_t)offset - known;
      stream->kept = data;
      stream->kept_size = size;
      return RK_OK;
    }
    stream->block = data;
    stream->block_size = size;
  }
  return within_ratio(stream->unpack, stream->depth, stream->block_size) ? RK_OK : stream->unpack->error.status;
}

/* ---- Any stream ---- */

/* Makes `block` not empty, unless the stream has ended. */
static rk_status refill(rk_layer *stream)
{
  while (stream->block_size == 0 && !stream->ended) {
    if (stream->unpack->error.status) {
      return stream->unpack->error.status;
    }
    if (stream->error.status) {
      stream->ended = true;
      break;
    }
    const rk_status status = stream->fd >= 0 ? refill_from_file(stream) : refill_from_entry(stream);
    if (status) {
      return status;
    }
  }
  return stream->block_size > 0 ? RK_OK : stream->error.status;
}

rk_status rk_layer_head(rk_layer *stream, const uint8_t **head, size_t *size)
{
  while (stream->head_size < RK_UNPACK_HEAD) {
    if (refill(stream) != RK_OK || stream->block_size == 0) {
      break;
    }
    const size_t room = RK_UNPACK_HEAD - stream->head_size;
    const size_t n = stream->block_size < room ? stream->block_size : room;
    memcpy(stream->head + stream->head_size, stream->block, n);
    stream->head_size += n;
    stream->block += n;
    stream->block_size -= n;
    if (stream->seekable) { /* read again from there */
      stream->block_size = 0;
      break;
    }
  }
  *head = stream->head;
  *size = stream->head_size;
  if (stream->seekable) {
    stream->head_at = stream->head_size;
    stream->ended = false;
  }
  return stream->unpack->error.status;
}

rk_status rk_layer_next(rk_layer *stream, const uint8_t **block, size_t *size)
{
  *size = 0;
  if (stream->head_at < stream->head_size) {
    *block = stream->head + stream->head_at;
    *size = stream->head_size - stream->head_at;
    stream->head_at = stream->head_size;
  } else {
    const rk_status status = refill(stream);
    if (status) {
      return status;
    }
    *block = stream->block;
    *size = stream->block_size;
    stream->block_size = 0;
  }
  stream->position += *size;
  return RK_OK;
}

void rk_layer_close(rk_layer *stream)
{
  rk_layer *below = stream->below;
  if (below) { /* else the archive is somebody else's */
    (void)archive_read_free(stream->archive);
  }
  free(stream->buffer);
  stream->below = NULL;
  stream->buffer = NULL;
  stream->archive = NULL;
  while (below) {
    rk_layer *next = below->below;
    if (next) {
      (void)archive_read_free(below->archive);
    }
    free(below->buffer);
    free(below);
    below = next;
  }
}

rk_status rk_layer_copy(rk_layer *stream, int fd, uint64_t offset, uint64_t *size)
{
  *size = 0;
  for (;;) {
    const uint8_t *block;
    size_t n;
    const rk_status status = rk_layer_next(stream, &block, &n);
    if (status || n == 0) {
      return status;
    }
    if (rk_file_write(fd, block, n, offset + *size) != RK_OK) {
      return rk_fail_errno(&stream->unpack->error, errno, "cannot write a temporary file");
    }
    *size += n;
  }
}

/* ---- libarchive over a stream ---- */

static la_ssize_t on_read(struct archive *archive, void *context, const void **block)
{
  rk_layer *stream = context;
  const uint8_t *data = NULL;
  size_t size;
  const rk_status status = rk_layer_next(stream, &data, &size);
  if (status) {
    archive_set_error(archive, EIO, "%s", stream->error.message[0] ? stream->error.message : rk_status_text(status));
    return -1;
  }
  *block = data;
  return (la_ssize_t)size;
}

static la_int64_t on_skip(struct archive *archive, void *context, la_int64_t request)
{
  (void)archive;
  rk_layer *stream = context;
  if (!stream->seekable || request <= 0 || stream->position >= stream->size) {
    return 0;
  }
  const uint64_t rest = stream->size - stream->position;
  const uint64_t skipped = (uint64_t)request < rest ? (uint64_t)request : rest;
  stream->position += skipped;
  stream->unpack->stored += stream->counted ? skipped : 0;
  stream->block_size = 0;
  return (la_int64_t)skipped;
}

static la_int64_t on_seek(struct archive *archive, void *context, la_int64_t offset, int whence)
{
  rk_layer *stream = context;
  const uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? stream->position : stream->size;
  la_int64_t to;
  if (__builtin_add_overflow((la_int64_t)base, offset, &to) || to < 0 || (uint64_t)to > stream->size) {
    archive_set_error(archive, EINVAL, "truncated: a place outside the archive");
    return ARCHIVE_FATAL;
  }
  stream->position = (uint64_t)to;
  stream->block_size = 0;
  stream->ended = false;
  return to;
}

/* Opens `archive`, made and told what to expect, over the stream. */
static bool open_over(struct archive *archive, rk_layer *stream)
{
  (void)archive_read_set_read_callback(archive, on_read);
  (void)archive_read_set_skip_callback(archive, on_skip);
  if (stream->seekable) {
    (void)archive_read_set_seek_callback(archive, on_seek);
  }
  (void)archive_read_set_callback_data(archive, stream);
  return archive_read_open1(archive) == ARCHIVE_OK;
}

rk_status rk_layer_open_archive(rk_layer *stream, int format, struct archive **archive, rk_error *error)
{
  *archive = archive_read_new();
  if (!*archive) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to unpack");
  }
  if (archive_read_support_format_by_code(*archive, format) < ARCHIVE_WARN || !open_over(*archive, stream)) {
    const rk_status status = rk_unpack_failure(stream->unpack, *archive, error);
    (void)archive_read_free(*archive);
    *archive = NULL;
    return status;
  }
  return RK_OK;
}

/* That filter and no other, once: what it gives is looked at again. Two of them want to see the data before they are
 * added, which libarchive only lets them when it chooses among what is supported. */
static bool add_filter(struct archive *archive, int filter)
{
  switch (filter) {
  case ARCHIVE_FILTER_LZIP:
    return archive_read_support_filter_lzip(archive) >= ARCHIVE_WARN;
  case ARCHIVE_FILTER_COMPRESS:
    return archive_read_support_filter_compress(archive) >= ARCHIVE_WARN;
  default:
    return archive_read_append_filter(archive, filter) >= ARCHIVE_WARN;
  }
}

rk_status rk_layer_decompress(rk_layer *stream, rk_layer *below, int filter)
{
  rk_unpack *unpack = below->unpack;
  const unsigned depth = below->depth + 1;
  rk_layer *moved = malloc(sizeof *moved);
  struct archive *archive = moved ? archive_read_new() : NULL;
  if (!archive) {
    free(moved);
    rk_layer_close(below);
    rk_layer_of_entry(stream, unpack, NULL, depth);
    (void)rk_fail(&unpack->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to unpack");
    return RK_ERR_NO_MEMORY;
  }
  *moved = *below;
  rk_layer_of_entry(stream, unpack, archive, depth);
  stream->below = moved;
  struct archive_entry *entry;
  (void)archive_read_support_format_raw(archive);
  (void)archive_read_support_format_empty(archive);
  const bool opened = add_filter(archive, filter) && open_over(archive, moved);
  /* Damage before the first byte looks like emptiness, but for the error. */
  const bool sound = opened && archive_errno(archive) == 0;
  const int result = sound ? archive_read_next_header(archive, &entry) : ARCHIVE_FATAL;
  if (result == ARCHIVE_EOF) {
    stream->ended = true;
  } else if (result < ARCHIVE_WARN) {
    stream->ended = true;
    return rk_unpack_failure(unpack, archive, &stream->error);
  }
  return RK_OK;
}

rk_status rk_layer_peel(rk_layer *stream, rk_content *content, int *code)
{
  for (;;) {
    const uint8_t *head;
    size_t size;
    rk_status status = rk_layer_head(stream, &head, &size);
    if (status) {
      return status;
    }
    *content = rk_content_of(head, size, code);
    if (*content != RK_CONTENT_COMPRESSED) {
      return RK_OK;
    }
    if (stream->depth >= RK_UNPACK_DEPTH) {
      return rk_fail(&stream->unpack->error, RK_ERR_LIMIT, RK_NO_OFFSET, "compressed more than %d times",
                     RK_UNPACK_DEPTH);
    }
    rk_layer inner;
    status = rk_layer_decompress(&inner, stream, *code);
    *stream = inner;
    if (status) {
      return status;
    }
  }
}
