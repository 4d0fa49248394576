/* Creating a recording so that no process sees it half made, or joining the one that is there; who comes first into one
 * that nobody has open makes it fit to be appended to (SPEC "Opening"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/identify.h"
#include "writer/writer_internal.h"

#define ATTEMPTS 1000

/* Whether the recording must not be there. */
static bool is_refused_place(const rk_recording *recording, int fd)
{
  return recording->network == RK_NETWORK_REFUSE && rk_is_network(fd);
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

/* The frame with the recording record, which will begin at `offset`: of a new recording the first, behind the stream
 * header. From its end on frames end at multiples of 128. */
static void encode_record(rk_recording *recording, int64_t monotonic, int64_t realtime, uint64_t offset, rk_buffer *out)
{
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
  rk_seal_frame(out, frame, (unsigned)(offset % RK_FRAME_ALIGNMENT), &seal);
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

static bool ends_with(const char *text, const char *end)
{
  const size_t size = strlen(text), end_size = strlen(end);
  return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static void use_framing(rk_recording *recording, const rk_framing *framing)
{
  recording->framing = framing;
  if (framing == &rk_framing_zst) {
    recording->compression = RK_COMPRESSION_NONE;
  }
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
  rk_packer packer = {0};
  const uint8_t *bytes = NULL;
  size_t size = 0;
  rk_buffer_append(&start, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  encode_record(recording, monotonic, realtime, RK_STREAM_HEADER_SIZE, &start);
  use_framing(recording, ends_with(recording->path, ".zst") ? &rk_framing_zst : &rk_framing_plain);
  const bool made = !start.failed && rk_pack(recording, &packer, start.data, start.size, &bytes, &size) == RK_OK;
  recording->floor = size;
  const mode_t mode = options->file_mode == 0 ? 0666 : (mode_t)(options->file_mode & 0777);
  const int fd = !made ? -1 : open(temporary, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (!made) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  } else if (fd < 0) {
    status = rk_place_error(recording->path, errno, error);
  } else if (is_refused_place(recording, fd)) {
    status = rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET,
                     "%.100s is on a network file system, which has no atomic append", recording->path);
  } else if (write_all(fd, bytes, size) != RK_OK) {
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
  rk_packer_free(&packer);
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

/* Takes over what the file says, or checks it against what is known already. */
static rk_status take_identity(rk_recording *recording, const rk_recording_options *options, rk_identity *identity,
                               rk_error *error)
{
  if (recording->application_id != NULL) { /* a child of fork finds its recording again */
    if (recording->framing != identity->framing || strcmp(recording->application_id, identity->application_id) != 0 ||
        strcmp(recording->recording_id, identity->recording_id) != 0) {
      return rk_fail(error, RK_ERR_CONFLICT, RK_NO_OFFSET, "%.120s is another recording now", recording->path);
    }
  } else {
    rk_status status = check_asked(recording, "application", options->application_id, identity->application_id, error);
    status = status != RK_OK
                 ? status
                 : check_asked(recording, "recording", options->recording_id, identity->recording_id, error);
    if (status != RK_OK) {
      return status;
    }
    recording->application_id = identity->application_id;
    recording->recording_id = identity->recording_id;
    identity->application_id = identity->recording_id = NULL;
    use_framing(recording, identity->framing);
    recording->hash = rk_recording_hash(recording->application_id, recording->recording_id);
    recording->clock_offset = identity->clock_offset;
    if (!identity->shared || identity->boot_id[0] == '\0' || strcmp(identity->boot_id, rk_boot_id()) != 0) {
      int64_t monotonic, realtime; /* another boot: its monotonic clock is not ours */
      rk_clock_pair(&monotonic, &realtime);
      recording->clock_offset = realtime - monotonic;
    }
  }
  recording->floor = identity->floor;
  return RK_OK;
}

/* Alone: makes a finished, torn or not yet shared recording one that can be appended to. */
static rk_status prepare(rk_recording *recording, int fd, const rk_identity *identity, rk_error *error)
{
  if (identity->finished && ftruncate(fd, (off_t)identity->end_frame) != 0) {
    return rk_fail_errno(error, errno, "cannot remove the footer of %.100s", recording->path);
  }
  if (identity->shared) {
    return rk_tail_repair(recording, fd, identity->floor, error);
  }
  if (identity->torn && ftruncate(fd, (off_t)identity->floor) != 0) {
    return rk_fail_errno(error, errno, "cannot repair the end of %.100s", recording->path);
  }
  int64_t monotonic, realtime;
  rk_clock_pair(&monotonic, &realtime);
  rk_buffer record = {0};
  encode_record(recording, monotonic, realtime, identity->floor, &record);
  rk_status status = RK_OK;
  if (record.failed) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  } else if (write_all(fd, record.data, record.size) != RK_OK) {
    status = rk_fail_errno(error, errno, "cannot write %.100s", recording->path);
    if (ftruncate(fd, (off_t)identity->floor) != 0) {
      rk_fail_errno(error, errno, "cannot take back a torn record of %.100s", recording->path);
    }
  } else {
    recording->floor = identity->floor + record.size;
  }
  rk_buffer_free(&record);
  return status;
}

/* RK_END: the file is another one now, or needs somebody alone while there are others: try again. */
static RK_FAR rk_status join_locked(rk_recording *recording, const rk_recording_options *options, int fd, bool alone,
                                    rk_error *error)
{
  struct stat info, named;
  if (fstat(fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot open %.100s", recording->path);
  }
  if (stat(recording->path, &named) != 0 || named.st_dev != info.st_dev || named.st_ino != info.st_ino) {
    return RK_END;
  }
  rk_identity identity;
  rk_status status = rk_identify(fd, recording->path, (uint64_t)info.st_size, &identity, error);
  if (status == RK_OK && !alone && (identity.finished || !identity.shared)) {
    status = RK_END;
  }
  status = status != RK_OK ? status : take_identity(recording, options, &identity, error);
  if (status == RK_OK && alone) {
    status = prepare(recording, fd, &identity, error);
    if (status != RK_OK && options != NULL) { /* or the next attempt would take them for known */
      free(recording->application_id);
      free(recording->recording_id);
      recording->application_id = recording->recording_id = NULL;
    }
  }
  rk_identity_free(&identity);
  return status;
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
  const bool alone = rk_participants_alone(fd);
  rk_status status = alone ? RK_OK : rk_participants_lock(fd, error);
  status = status != RK_OK ? status : join_locked(recording, options, fd, alone, error);
  if (status == RK_OK && alone) {
    status = rk_participants_lock(fd, error); /* from alone to shared without a gap */
  }
  if (status != RK_OK) {
    rk_participants_unlock(fd);
  }
  return status;
}

rk_status rk_recording_reattach(rk_recording *recording, int fd, rk_error *error)
{
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    const rk_status status = join(recording, NULL, fd, error);
    if (status != RK_END) {
      return status;
    }
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
  }
  return rk_fail(error, RK_ERR_IO, RK_NO_OFFSET, "%.100s comes and goes", recording->path);
}

rk_status rk_recording_attach(rk_recording *recording, const rk_recording_options *options, bool *created,
                              rk_error *error)
{
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    const int fd = open(recording->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
      const rk_status status = join(recording, options, fd, error);
      if (status == RK_OK) {
        recording->fd = fd;
        *created = false;
        return RK_OK;
      }
      close(fd);
      if (status != RK_END) {
        return status;
      }
      const struct timespec pause = {.tv_nsec = 1000000L * (attempt < 20 ? attempt : 20)};
      nanosleep(&pause, NULL);
      continue;
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
