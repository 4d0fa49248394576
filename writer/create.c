/* Creating a recording so that no process sees it half made, or joining the one that is there (SPEC "Opening"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/writer_internal.h"

#define FIRST_FRAME_MAX ((size_t)64 << 10)

/* Whether the recording must not be there. */
static bool is_refused_place(const rk_recording *recording, int fd)
{
  return recording->network == RK_NETWORK_REFUSE && rk_is_network(fd);
}

rk_status rk_participants_lock(int fd, rk_error *error)
{
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) { /* who holds it exclusively does so for a moment */
    if (errno != EINTR) {
      return rk_fail_errno(error, errno, "cannot share the recording's lock");
    }
  }
  return RK_OK;
}

static rk_status random_uuid(char out[37], rk_error *error)
{
  uint8_t bytes[16];
  const rk_status status = rk_random(bytes, sizeof bytes, error);
  if (status != RK_OK) {
    return status;
  }
  bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40);
  bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
  char *at = out;
  for (int i = 0; i < 16; i++) {
    at += snprintf(at, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
  }
  return RK_OK;
}

bool rk_id_char(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static char *default_application_id(void)
{
  char *id = strndup(rk_program_name(), RK_ID_MAX);
  for (char *c = id; c != NULL && *c != '\0'; c++) {
    if (!rk_id_char(*c)) {
      *c = '_';
    }
  }
  if (id != NULL && id[0] == '\0') {
    free(id);
    id = strdup("rrdkit");
  }
  return id;
}

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

/* Stream header and the first frame, which carries the recording record. */
static void encode_start(rk_recording *recording, int64_t monotonic, int64_t realtime, rk_buffer *out)
{
  rk_buffer_append(out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  const size_t frame = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  const rk_store_info info = {.row_id = {.time_ns = (uint64_t)realtime, .inc = 0},
                              .store = {.kind = RK_STORE_RECORDING,
                                        .application_id = text_of(recording->application_id),
                                        .recording_id = text_of(recording->recording_id)},
                              .source_kind = 1,
                              .store_version = rk_load_u32(rk_stream_header_bytes + 4),
                              .has_recording = true,
                              .recording = {.clock_offset = recording->clock_offset,
                                            .boot_id = text_of(rk_boot_id()),
                                            .clock_monotonic = monotonic,
                                            .clock_realtime = realtime}};
  rk_store_info_encode(out, &info);
  rk_seal seal = {.recording_hash = recording->hash, .clock_monotonic = monotonic, .clock_realtime = realtime};
  rk_seal_frame(out, frame, RK_STREAM_HEADER_SIZE, &seal);
}

static rk_status write_all(int fd, const uint8_t *data, size_t size)
{
  while (size > 0) {
    const ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return RK_ERR_IO;
    }
    data += n;
    size -= (size_t)n;
  }
  return RK_OK;
}

/* RK_OK: created. RK_END: another process was first. */
static rk_status create(rk_recording *recording, const rk_recording_options *options, rk_error *error)
{
  char uuid[37];
  rk_status status = random_uuid(uuid, error);
  if (status != RK_OK) {
    return status;
  }
  recording->application_id =
      options->application_id != NULL ? strdup(options->application_id) : default_application_id();
  recording->recording_id = strdup(options->recording_id != NULL ? options->recording_id : uuid);
  char *temporary = NULL;
  if (recording->application_id == NULL || recording->recording_id == NULL ||
      asprintf(&temporary, "%s.%.8s.tmp", recording->path, uuid) < 0) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  }
  int64_t monotonic, realtime;
  rk_clock_pair(&monotonic, &realtime);
  recording->clock_offset = realtime - monotonic;
  recording->hash = rk_recording_hash(recording->application_id, recording->recording_id);
  rk_buffer start = {0};
  encode_start(recording, monotonic, realtime, &start);
  const mode_t mode = options->file_mode == 0 ? 0666 : (mode_t)(options->file_mode & 0777);
  const int fd = start.failed ? -1 : open(temporary, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (start.failed) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  } else if (fd < 0) {
    status = rk_place_error(recording->path, errno, error);
  } else if (is_refused_place(recording, fd)) {
    status = rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET,
                     "%.100s is on a network file system, which has no atomic append", recording->path);
  } else if (write_all(fd, start.data, start.size) != RK_OK) {
    status = rk_fail_errno(error, errno, "cannot write %.100s", recording->path);
  } else if ((status = rk_participants_lock(fd, error)) == RK_OK) {
    /* The lock comes first: a recording that is visible has a participant. */
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, recording->path, RENAME_NOREPLACE) != 0) {
      const int renamed = errno;
      if (renamed == EEXIST) {
        status = RK_END;
      } else if (link(temporary, recording->path) != 0) {
        status = errno == EEXIST ? RK_END : rk_fail_errno(error, errno, "cannot publish %.100s", recording->path);
      }
      unlink(temporary);
    }
  }
  if (status != RK_OK && fd >= 0) {
    unlink(temporary);
    close(fd);
  } else {
    recording->fd = fd;
  }
  rk_buffer_free(&start);
  free(temporary);
  if (status != RK_OK) {
    free(recording->application_id);
    free(recording->recording_id);
    recording->application_id = recording->recording_id = NULL;
  }
  return status;
}

static rk_status check_asked(const rk_recording *recording, const char *what, const char *asked, const char *found,
                             rk_error *error)
{
  if (asked == NULL || strcmp(asked, found) == 0) {
    return RK_OK;
  }
  return rk_fail(error, RK_ERR_CONFLICT, RK_NO_OFFSET, "%.60s already has the %s id \"%.60s\", not \"%.60s\"",
                 recording->path, what, found, asked);
}

static rk_status not_shared(const rk_recording *recording, rk_error *error)
{
  return rk_fail(error, RK_ERR_UNSUPPORTED, RK_STREAM_HEADER_SIZE,
                 "%.100s is a recording that was not made by rrdkit and cannot be shared", recording->path);
}

/* Reads the header and first frame of the recording behind `fd` and adopts its identity. */
static rk_status adopt(rk_recording *recording, const rk_recording_options *options, int fd, uint64_t file_size,
                       uint8_t *bytes, rk_error *error)
{
  if (file_size == 0) {
    return rk_fail(error, RK_ERR_NOT_RRD, 0, "%.100s exists and is empty", recording->path);
  }
  size_t size = 0;
  while (size < FIRST_FRAME_MAX) {
    const ssize_t n = pread(fd, bytes + size, FIRST_FRAME_MAX - size, (off_t)size);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return rk_fail_errno(error, errno, "cannot read %.100s", recording->path);
    }
    if (n == 0) {
      break;
    }
    size += (size_t)n;
  }
  rk_stream_header header;
  if (size < RK_STREAM_HEADER_SIZE) {
    return rk_fail(error, RK_ERR_NOT_RRD, size, "%.100s is not a Rerun recording", recording->path);
  }
  rk_status status = rk_stream_header_decode(bytes, &header, error);
  if (status != RK_OK) {
    return status;
  }
  rk_frame_header frame;
  if (size < RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE ||
      !rk_frame_header_decode(bytes + RK_STREAM_HEADER_SIZE, &frame) || frame.kind != RK_FRAME_SET_STORE_INFO ||
      frame.size > size - RK_STREAM_HEADER_SIZE - RK_FRAME_HEADER_SIZE ||
      !rk_seal_verify(bytes + RK_STREAM_HEADER_SIZE, RK_FRAME_HEADER_SIZE + (size_t)frame.size)) {
    return not_shared(recording, error);
  }
  rk_store_info info;
  status = rk_store_info_decode(bytes + RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE, (size_t)frame.size, &info, error);
  if (status != RK_OK) {
    return status;
  }
  if (!info.has_recording || info.store.kind != RK_STORE_RECORDING || info.store.application_id.data == NULL ||
      info.store.recording_id.data == NULL) {
    return not_shared(recording, error);
  }
  uint8_t end[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer footer;
  if (file_size >= sizeof end && pread(fd, end, sizeof end, (off_t)(file_size - sizeof end)) == (ssize_t)sizeof end &&
      rk_stream_footer_decode(end, &footer)) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, file_size - sizeof end, "%.100s is finished: it ends with a footer",
                   recording->path);
  }
  recording->application_id = strndup(info.store.application_id.data, info.store.application_id.size);
  recording->recording_id = strndup(info.store.recording_id.data, info.store.recording_id.size);
  if (recording->application_id == NULL || recording->recording_id == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  }
  recording->hash = rk_recording_hash(recording->application_id, recording->recording_id);
  recording->clock_offset = info.recording.clock_offset;
  const char *boot = rk_boot_id();
  if (info.recording.boot_id.size != strlen(boot) ||
      memcmp(info.recording.boot_id.data, boot, info.recording.boot_id.size) != 0) {
    int64_t monotonic, realtime; /* another boot: its monotonic clock is not ours */
    rk_clock_pair(&monotonic, &realtime);
    recording->clock_offset = realtime - monotonic;
  }
  status = check_asked(recording, "application", options->application_id, recording->application_id, error);
  return status != RK_OK ? status
                         : check_asked(recording, "recording", options->recording_id, recording->recording_id, error);
}

static rk_status join(rk_recording *recording, const rk_recording_options *options, int fd, rk_error *error)
{
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot open %.100s", recording->path);
  }
  if (!S_ISREG(info.st_mode)) {
    return rk_fail(error, RK_ERR_NOT_RRD, RK_NO_OFFSET, "%.100s is not a regular file", recording->path);
  }
  if (is_refused_place(recording, fd)) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET,
                   "%.100s is on a network file system, which has no atomic append", recording->path);
  }
  uint8_t *bytes = malloc(FIRST_FRAME_MAX);
  if (bytes == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  }
  rk_status status = adopt(recording, options, fd, (uint64_t)info.st_size, bytes, error);
  free(bytes);
  return status != RK_OK ? status : rk_participants_lock(fd, error);
}

rk_status rk_recording_attach(rk_recording *recording, const rk_recording_options *options, bool *created,
                              rk_error *error)
{
  for (int attempt = 0; attempt < 100; attempt++) {
    const int fd = open(recording->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
      const rk_status status = join(recording, options, fd, error);
      if (status != RK_OK) {
        close(fd);
        return status;
      }
      recording->fd = fd;
      *created = false;
      return RK_OK;
    }
    if (errno != ENOENT) {
      return rk_place_error(recording->path, errno, error);
    }
    const rk_status status = create(recording, options, error);
    if (status != RK_END) {
      *created = status == RK_OK;
      return status;
    }
  }
  return rk_fail(error, RK_ERR_IO, RK_NO_OFFSET, "%.100s comes and goes", recording->path);
}
