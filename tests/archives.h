/* Archives built in memory for the tests of reading them. */
#ifndef RK_TESTS_ARCHIVES_H
#define RK_TESTS_ARCHIVES_H

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "format/buffer.h"

typedef struct test_member {
  const char *name;
  const void *data;
  size_t size;
  const char *link; /* non-NULL: a symbolic link, or with `hard` a hard link, to there */
  bool hard;
} test_member;

/* Appends the archive's bytes. `format` and `filter` are libarchive's codes. False: it could not be written. */
static inline bool test_archive(rk_buffer *out, int format, int filter, const test_member *members, size_t count)
{
  const size_t capacity = (size_t)8 << 20;
  uint8_t *bytes = malloc(capacity);
  size_t used = 0;
  struct archive *a = archive_write_new();
  bool ok = bytes && a && archive_write_set_format(a, format) >= ARCHIVE_WARN &&
            (filter == ARCHIVE_FILTER_NONE || archive_write_add_filter(a, filter) >= ARCHIVE_WARN) &&
            archive_write_set_bytes_per_block(a, 512) >= ARCHIVE_WARN &&
            archive_write_open_memory(a, bytes, capacity, &used) >= ARCHIVE_WARN;
  for (size_t i = 0; ok && i < count; i++) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, members[i].name);
    archive_entry_set_filetype(entry, members[i].link && !members[i].hard ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 1000000000, 0);
    archive_entry_set_size(entry, members[i].link ? 0 : (la_int64_t)members[i].size);
    if (members[i].link && members[i].hard) {
      archive_entry_set_hardlink(entry, members[i].link);
    } else if (members[i].link) {
      archive_entry_set_symlink(entry, members[i].link);
    }
    ok = archive_write_header(a, entry) >= ARCHIVE_WARN;
    if (ok && !members[i].link && members[i].size > 0) {
      ok = archive_write_data(a, members[i].data, members[i].size) == (la_ssize_t)members[i].size;
    }
    archive_entry_free(entry);
  }
  ok = ok && archive_write_close(a) >= ARCHIVE_WARN;
  archive_write_free(a);
  if (ok) {
    rk_buffer_append(out, bytes, used);
  }
  free(bytes);
  return ok && !out->failed;
}

/* The bytes compressed. */
static inline bool test_compressed(rk_buffer *out, int filter, const void *data, size_t size)
{
  return test_archive(out, ARCHIVE_FORMAT_RAW, filter, &(test_member){.name = "data", .data = data, .size = size}, 1);
}

#endif
