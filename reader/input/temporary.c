/* Temporary files without names: they vanish with the process. */
#include "reader/input/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *rk_temporary_directory(const char *directory)
{
  if (!directory || !*directory) {
    directory = getenv("TMPDIR");
  }
  return directory && *directory ? directory : "/var/tmp";
}

int rk_temporary_file(const char *directory)
{
  directory = rk_temporary_directory(directory);
  const int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
    return fd;
  }
  static const char pattern[] = "/rrdkit-XXXXXX"; /* file systems without O_TMPFILE */
  const size_t directory_size = strlen(directory);
  char *path = malloc(directory_size + sizeof pattern);
  if (!path) {
    errno = ENOMEM;
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
