/* Arbitrary bytes as a file that may be compressed or an archive: unpacked, every recording in it read to its end,
 * within limits, and with a pattern. libarchive's own parsers are met on the way. */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/input/unpack.h"
#include "rrdkit/reader.h"
#include "tests/archives.h"
#include "tests/recordings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void require(bool holds)
{
  if (!holds) {
    abort();
  }
}

static void on_loss(void *context, const rk_loss *loss)
{
  (void)context;
  require(loss->input[0] != '\0' && loss->reason[0] != '\0' && loss->status != RK_OK);
}

static bool on_progress(void *context, const char *input, uint64_t done, uint64_t total)
{
  (void)context;
  require(input != NULL && (total == 0 || done <= total));
  return true;
}

static void read_all(const char *path)
{
  const rk_reader_options options = {
      .on_loss = on_loss, .on_progress = on_progress, .max_ratio = 50, .temporary_directory = "/dev/shm"};
  rk_reader *reader;
  rk_error error;
  require(rk_reader_open(&options, &reader, NULL) == RK_OK);
  const rk_status status = rk_reader_add(reader, path, NULL, &error);
  require(status == RK_OK || (status == error.status && error.message[0] != '\0'));
  size_t count;
  const rk_input_info *const *inputs = rk_reader_inputs(reader, &count);
  require((count > 0) == (status == RK_OK));
  for (size_t i = 0; i < count; i++) {
    require(inputs[i]->name[0] != '\0' && inputs[i]->size > 0);
  }
  const rk_row *row;
  rk_status next;
  while ((next = rk_reader_next(reader, &row)) == RK_OK) {
    require(row->entity_path[0] == '/');
  }
  require(next == RK_END);
  rk_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  int code;
  (void)rk_content_of(data, size < RK_UNPACK_HEAD ? size : RK_UNPACK_HEAD, &code);
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  read_all(path);
  strcat(path, ":x/**");
  read_all(path);
  close(fd);
  return 0;
}

/* For driver.c: archives of two small recordings and a text, in every format; a compressed recording. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const int kinds[][2] = {{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_ZSTD},
                                 {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_GZIP},
                                 {ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP},
                                 {ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_LZ4}};
  static const int64_t keys[] = {10, 20};
  if (index >= sizeof kinds / sizeof kinds[0]) {
    return 0;
  }
  rk_buffer recording = {0}, out = {0};
  test_begin(&recording, NULL, NULL, false);
  test_add_writer(&recording, NULL, NULL, 1);
  test_add_chunk(&recording, &(test_chunk){.entity = "/a", .tag = 1, .row_count = 2, .keys = keys});
  const test_member members[] = {{"x/a.rrd", recording.data, recording.size, NULL, false},
                                 {"notes", "text", 4, NULL, false},
                                 {"b.rrd", recording.data, recording.size, NULL, false},
                                 {"b.rrd.spool/0123456789abcdef-0123456789abcdef.defs", "x", 1, NULL, false}};
  const size_t count = kinds[index][0] == ARCHIVE_FORMAT_RAW ? 1 : 4;
  require(test_archive(&out, kinds[index][0], kinds[index][1], members, count));
  const size_t size = out.size <= capacity ? out.size : 0;
  if (size > 0) {
    memcpy(buffer, out.data, size);
  }
  rk_buffer_free(&recording);
  rk_buffer_free(&out);
  return size;
}
