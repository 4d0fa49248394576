/* Random access to an input: a regular file, standard input or a pipe (copied to an unlinked temporary file), memory.
 */
#include "reader/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"

#define COPY_SIZE ((size_t)1 << 18)

static ssize_t read_again(int fd, void *out, size_t size)
{
  ssize_t n;
  do {
    n = read(fd, out, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

static bool write_all(int fd, const uint8_t *data, size_t size)
{
  while (size > 0) {
    const ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      errno = n == 0 ? EIO : errno;
      return false;
    }
    data += n;
    size -= (size_t)n;
  }
  return true;
}

/* A new unlinked file in the directory for temporary files, or -1 with errno. */
static int temporary_file(void)
{
  const char *directory = getenv("TMPDIR");
  if (!directory || !*directory) {
    directory = "/tmp";
  }
  const int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
    return fd;
  }
  static const char pattern[] = "/rrdkit-XXXXXX"; /* file systems without O_TMPFILE */
  const size_t directory_size = strlen(directory);
  char *path = malloc(directory_size + sizeof pattern);
  if (!path) {
    return -1;
  }
  memcpy(path, directory, directory_size);
  memcpy(path + directory_size, pattern, sizeof pattern);
  const int named = mkostemp(path, O_CLOEXEC);
  if (named >= 0) {
    (void)unlink(path);
  }
  free(path);
  return named;
}

/* Copies all of `fd` to a temporary file; *copy is it. */
static rk_status spool(int fd, int *copy, rk_error *error)
{
  uint8_t *block = malloc(COPY_SIZE);
  if (!block) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  *copy = temporary_file();
  if (*copy < 0) {
    const int failed = errno;
    free(block);
    return rk_fail_errno(error, failed, "cannot make a temporary file");
  }
  rk_status status = RK_OK;
  for (;;) {
    const ssize_t n = read_again(fd, block, COPY_SIZE);
    if (n == 0) {
      break;
    }
    if (n < 0) {
      status = rk_fail_errno(error, errno, "cannot read");
      break;
    }
    if (!write_all(*copy, block, (size_t)n)) {
      status = rk_fail_errno(error, errno, "cannot write a temporary file");
      break;
    }
  }
  free(block);
  if (status) {
    (void)close(*copy);
    *copy = -1;
  }
  return status;
}

/* Checks `fd`, copies what is not a regular file, and takes over the descriptor if that succeeds and `owned`. */
static rk_status adopt(rk_source *source, int fd, bool owned, rk_error *error)
{
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot read");
  }
  if (S_ISDIR(info.st_mode)) {
    return rk_fail_errno(error, EISDIR, "cannot read");
  }
  int use = fd;
  if (!S_ISREG(info.st_mode)) {
    const rk_status status = spool(fd, &use, error);
    if (status) {
      return status;
    }
  } else if (!owned) {
    use = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (use < 0) {
      return rk_fail_errno(error, errno, "cannot read");
    }
  }
  uint8_t *window = malloc(RK_SOURCE_WINDOW);
  rk_status status = RK_OK;
  if (!window) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  } else if (use != fd && fstat(use, &info) != 0) {
    status = rk_fail_errno(error, errno, "cannot read");
  } else if (info.st_size <= 0) {
    status = rk_fail(error, RK_ERR_TRUNCATED, 0, "the input is empty");
  }
  if (status) {
    free(window);
    if (use != fd) {
      (void)close(use);
    }
    return status;
  }
  if (owned && use != fd) {
    (void)close(fd);
  }
  *source = (rk_source){.fd = use, .size = (uint64_t)info.st_size, .window = window, .ahead = RK_SOURCE_PEEK_MAX};
  return RK_OK;
}

rk_status rk_source_open(rk_source *source, const char *path, rk_error *error)
{
  *source = (rk_source){.fd = -1};
  if (strcmp(path, "-") == 0) {
    return adopt(source, STDIN_FILENO, false, error);
  }
  int fd;
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return rk_fail_errno(error, errno, "cannot open");
  }
  const rk_status status = adopt(source, fd, true, error);
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
  return RK_OK;
}

void rk_source_close(rk_source *source)
{
  if (source->fd >= 0) {
    (void)close(source->fd);
  }
  free(source->window);
  *source = (rk_source){.fd = -1};
}

bool rk_source_live(const rk_source *source)
{
  struct stat info;
  if (source->fd < 0 || fstat(source->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return (uint64_t)info.st_size != source->size ||
         (fcntl(source->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
}

rk_status rk_source_refresh(rk_source *source)
{
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
  if (source->fd < 0) {
    if (size > 0) {
      memcpy(out, source->memory + offset, size);
    }
    return RK_OK;
  }
  uint8_t *p = out;
  while (size > 0) {
    const ssize_t n = pread(source->fd, p, size, (off_t)offset);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      source->sys_errno = errno;
      return RK_ERR_IO;
    }
    if (n == 0) {
      return RK_ERR_TRUNCATED;
    }
    source->read_size += (uint64_t)n;
    p += n;
    offset += (uint64_t)n;
    size -= (size_t)n;
  }
  return RK_OK;
}

rk_status rk_source_peek(rk_source *source, uint64_t offset, size_t size, const uint8_t **data)
{
  if (!rk_range_ok(offset, size, source->size)) {
    return RK_ERR_TRUNCATED;
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
