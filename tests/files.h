/* Whole files, read and written, for tests. */
#ifndef RK_TESTS_FILES_H
#define RK_TESTS_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct file_bytes {
  uint8_t *data;
  size_t size;
} file_bytes;

static inline file_bytes slurp(const char *path)
{
  file_bytes b = {0};
  struct stat info;
  const int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && fstat(fd, &info) == 0);
  b.size = (size_t)info.st_size;
  b.data = malloc(b.size);
  assert_non_null(b.data);
  assert_int_equal(read(fd, b.data, b.size), b.size);
  close(fd);
  return b;
}

static inline void put_file(const char *path, const void *data, size_t size)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

static inline void append_bytes(const char *path, const void *data, size_t size)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

#endif
