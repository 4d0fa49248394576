/* Leaves torn records in a recording as a dying writer would, and appends behind each.
 *
 * usage: log_torn FILE SIZE...
 * For each size: the first SIZE bytes of a record of another writer are appended, then a row by rrdkit. Prints how many
 * rows the file's whole frames then hold. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/frame.h"
#include "format/seal.h"
#include "rrdkit/rrdkit.h"

static rk_recording *open_one(const char *path)
{
  rk_recording *recording = NULL;
  rk_error error;
  if (rk_recording_open(path,
                        &(rk_recording_options){.application_id = "torn",
                                                .recording_id = "torn-1",
                                                .compression = RK_COMPRESSION_NONE,
                                                .flush_age_ns = 3600000000000},
                        &recording, &error) != RK_OK) {
    (void)fprintf(stderr, "log_torn: %s\n", error.message);
    exit(1);
  }
  return recording;
}

static void log_rows(rk_recording *recording, const char *entity, unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    double values[100] = {i};
    const rk_cell cell = {.component = rk_component_builtin("Scalars:scalars"), .count = 100, .values = values};
    if (rk_log(recording, rk_entity_at(recording, entity), &cell, 1) != RK_OK) {
      exit(1);
    }
  }
}

static void flush(rk_recording *recording)
{
  if (rk_recording_flush(recording) != RK_OK) {
    exit(1);
  }
}

/* A record of another writer of the same recording, made elsewhere. */
static uint8_t *make_record(const char *path, size_t *size)
{
  rk_recording *recording = open_one(path), *other = open_one(path);
  flush(recording);
  struct stat before, after;
  stat(path, &before);
  for (int i = 0; i < 4; i++) {
    char entity[16];
    (void)snprintf(entity, sizeof entity, "torn/%d", i);
    log_rows(other, entity, 16);
  }
  flush(other);
  stat(path, &after);
  *size = (size_t)(after.st_size - before.st_size);
  uint8_t *record = malloc(*size);
  const int fd = open(path, O_RDONLY);
  if (record == NULL || fd < 0 || pread(fd, record, *size, before.st_size) != (ssize_t)*size) {
    exit(1);
  }
  close(fd);
  rk_recording_free(other);
  rk_recording_free(recording);
  unlink(path);
  return record;
}

static size_t whole_rows(const uint8_t *record, size_t size)
{
  size_t rows = 0;
  for (size_t at = 0; at + RK_FRAME_HEADER_SIZE <= size;) {
    rk_frame_header header;
    rk_seal seal;
    if (!rk_frame_header_decode(record + at, &header)) {
      exit(1);
    }
    at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
    if (at <= size && rk_seal_decode(record + at - RK_SEAL_SIZE, &seal) == RK_OK) {
      rows += seal.row_count;
    }
  }
  return rows;
}

int main(int argc, char **argv)
{
  if (argc < 2) {
    (void)fprintf(stderr, "usage: log_torn FILE SIZE...\n");
    return 2;
  }
  const char *path = argv[1];
  size_t size;
  uint8_t *record = make_record(path, &size);
  rk_recording *keeper = open_one(path), *own = open_one(path);
  flush(keeper);
  size_t rows = 1; /* the start time */
  for (int i = 2; i < argc; i++) {
    size_t part = (size_t)atol(argv[i]);
    part = part < size ? part : size - 1;
    const int fd = open(path, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, record, part) != (ssize_t)part) {
      return 1;
    }
    close(fd);
    log_rows(own, "own", 1);
    flush(own);
    rows += whole_rows(record, part) + 1;
  }
  free(record);
  if (rk_recording_close(own) != RK_OK || rk_recording_close(keeper) != RK_OK) {
    return 1;
  }
  rk_recording_free(own);
  rk_recording_free(keeper);
  printf("%zu\n", rows);
  return 0;
}
