/* Random access to an input: a regular file or memory. */
#include "reader/input/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "reader/file_io.h"
#include "reader/input/source_zst.h"

/* Takes units for what they hold. On failure the descriptor is the caller's again. */
static rk_status look_into(rk_source *source, rk_error *error)
{
  const rk_status status = rk_zst_attach(source, false, error);
  if (status == RK_OK || status == RK_END) {
    return RK_OK;
  }
  free(source->window);
  *source = (rk_source){.fd = -1};
  return status;
}

rk_status rk_source_open_fd(rk_source *source, int fd, rk_error *error)
{
  *source = (rk_source){.fd = -1};
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot read");
  }
  if (!S_ISREG(info.st_mode)) {
    return rk_fail_errno(error, S_ISDIR(info.st_mode) ? EISDIR : EINVAL, "cannot read");
  }
  if (info.st_size <= 0) {
    return rk_fail(error, RK_ERR_TRUNCATED, 0, "the input is empty");
  }
  uint8_t *window = malloc(RK_SOURCE_WINDOW);
  if (!window) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  *source = (rk_source){.fd = fd, .size = (uint64_t)info.st_size, .window = window, .ahead = RK_SOURCE_PEEK_MAX};
  return look_into(source, error);
}

rk_status rk_source_open(rk_source *source, const char *path, rk_error *error)
{
  *source = (rk_source){.fd = -1};
  int fd;
  do {
    fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return rk_fail_errno(error, errno, "cannot open");
  }
  const rk_status status = rk_source_open_fd(source, fd, error);
  if (status) {
    (void)close(fd);
  }
  return status;
}

rk_status rk_source_open_memory(rk_source *source, const void *data, size_t size, rk_error *error)
{
  *source = (rk_source){.fd = -1};
  if (size == 0) {
    return rk_fail(error, RK_ERR_TRUNCATED, 0, "the input is empty");
  }
  source->memory = data;
  source->size = size;
  return look_into(source, error);
}

void rk_source_close(rk_source *source)
{
  rk_zst_detach(source);
  if (source->fd >= 0) {
    (void)close(source->fd);
  }
  free(source->window);
  *source = (rk_source){.fd = -1};
}

bool rk_source_locked(const rk_source *source)
{
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  const int fd = rk_source_descriptor(source);
  return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool rk_source_live(const rk_source *source)
{
  if (source->zst) {
    return rk_source_live(rk_zst_raw(source));
  }
  struct stat info;
  if (source->fd < 0 || fstat(source->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  return (uint64_t)info.st_size != source->size || rk_source_locked(source);
}

rk_status rk_source_refresh(rk_source *source)
{
  if (source->zst) {
    return rk_zst_grow(source);
  }
  struct stat info;
  if (source->fd < 0) {
    return RK_OK;
  }
  if (fstat(source->fd, &info) != 0) {
    source->sys_errno = errno;
    return RK_ERR_IO;
  }
  source->size = info.st_size > 0 ? (uint64_t)info.st_size : 0;
  source->window_size = 0;
  return RK_OK;
}

void rk_source_advise(const rk_source *source, bool sparse)
{
  if (source->fd >= 0) {
    (void)posix_fadvise(source->fd, 0, 0, sparse ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
  }
}

rk_status rk_source_read(rk_source *source, uint64_t offset, void *out, size_t size)
{
  if (!rk_range_ok(offset, size, source->size)) {
    return RK_ERR_TRUNCATED;
  }
  if (source->zst) {
    return rk_zst_read(source, offset, out, size);
  }
  if (source->fd < 0) {
    if (size > 0) {
      memcpy(out, source->memory + offset, size);
    }
    return RK_OK;
  }
  const rk_status status = rk_file_read(source->fd, out, size, offset);
  source->sys_errno = status == RK_ERR_IO ? errno : source->sys_errno;
  source->read_size += status == RK_OK ? size : 0;
  return status;
}

rk_status rk_source_peek(rk_source *source, uint64_t offset, size_t size, const uint8_t **data)
{
  if (!rk_range_ok(offset, size, source->size)) {
    return RK_ERR_TRUNCATED;
  }
  if (source->zst) {
    return rk_zst_peek(source, offset, size, data);
  }
  if (source->fd < 0) {
    *data = source->memory + offset;
    return RK_OK;
  }
  if (offset < source->window_offset ||
      !rk_range_ok(offset - source->window_offset, size, (uint64_t)source->window_size)) {
    const uint64_t rest = source->size - offset;
    const size_t most = size > source->ahead ? size : source->ahead;
    const size_t want = rest < most ? (size_t)rest : most;
    source->window_size = 0;
    rk_status status = rk_source_read(source, offset, source->window, want);
    if (status == RK_ERR_TRUNCATED && want > size) { /* shorter than it was: what was asked for may still be there */
      status = rk_source_read(source, offset, source->window, size);
      if (status == RK_OK) {
        source->window_size = size;
      }
    } else if (status == RK_OK) {
      source->window_size = want;
    }
    if (status) {
      return status;
    }
    source->window_offset = offset;
  }
  *data = source->window + (offset - source->window_offset);
  return RK_OK;
}
