/* Reading and writing whole ranges of files: what is interrupted or short goes on. */
#include "reader/file_io.h"

#include <errno.h>
#include <unistd.h>

rk_status rk_file_read(int fd, void *out, size_t size, uint64_t offset)
{
  for (size_t done = 0; done < size;) {
    const ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
    if (n == 0) {
      errno = EIO;
      return RK_ERR_TRUNCATED;
    }
    if (n < 0 && errno != EINTR) {
      return RK_ERR_IO;
    }
    done += n > 0 ? (size_t)n : 0;
  }
  return RK_OK;
}

rk_status rk_file_write(int fd, const void *data, size_t size, uint64_t offset)
{
  for (size_t done = 0; done < size;) {
    const ssize_t n = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));
    if (n == 0) {
      errno = ENOSPC;
      return RK_ERR_IO;
    }
    if (n < 0 && errno != EINTR) {
      return RK_ERR_IO;
    }
    done += n > 0 ? (size_t)n : 0;
  }
  return RK_OK;
}
