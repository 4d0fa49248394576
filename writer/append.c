/* The append: one write per record, and what a refused write leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/writer_internal.h"

/* Cuts the file back to `start` if this process is alone and nothing came after `end`. */
static bool take_back(rk_recording *recording, off_t start, off_t end)
{
  struct flock alone = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(recording->fd, F_OFD_SETLK, &alone) != 0) {
    return false;
  }
  const bool done = lseek(recording->fd, 0, SEEK_END) == end && ftruncate(recording->fd, start) == 0;
  rk_participants_lock(recording->fd, NULL);
  return done;
}

/* Overwrites the torn [start, end) in place with one frame that readers skip. */
static bool fill(rk_recording *recording, off_t start, off_t end)
{
  const size_t size = (size_t)(end - start);
  rk_buffer out = {0};
  const size_t frame = rk_frame_begin(&out, RK_FRAME_SET_STORE_INFO);
  const rk_store_info info = {
      .row_id = {.time_ns = (uint64_t)(rk_clock(CLOCK_MONOTONIC) + recording->clock_offset)},
      .store = {.kind = RK_STORE_RECORDING,
                .application_id = {.data = recording->application_id, .size = strlen(recording->application_id)},
                .recording_id = {.data = recording->recording_id, .size = strlen(recording->recording_id)}},
      .source_kind = 1,
      .store_version = rk_load_u32(rk_stream_header_bytes + 4)};
  rk_store_info_encode(&out, &info);
  const size_t pad_header = 3 + 4; /* tag of RK_PAD_FIELD, length as a four-byte varint */
  bool done = false;
  if (!out.failed && size % RK_FRAME_ALIGNMENT == 0 && start % RK_FRAME_ALIGNMENT == 0 &&
      out.size + pad_header + RK_SEAL_SIZE <= size && size < (size_t)1 << 28) {
    const size_t pad = size - out.size - pad_header - RK_SEAL_SIZE;
    const uint8_t header[7] = {
        0xC2,
        0x81 | 0,
        0x0C,
        (uint8_t)(pad | 0x80),
        (uint8_t)(pad >> 7 | 0x80),
        (uint8_t)(pad >> 14 | 0x80),
        (uint8_t)(pad >> 21 & 0x7F),
    };
    rk_buffer_append(&out, header, sizeof header);
    rk_buffer_append_zero(&out, pad);
    rk_seal seal = {.flags = RK_SEAL_FILLER, .recording_hash = recording->hash};
    rk_seal_frame(&out, frame, 0, &seal);
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", recording->fd);
    /* Linux appends even with pwrite where the descriptor says O_APPEND. */
    const int fd = out.failed || out.size != size ? -1 : open(link, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      done = pwrite(fd, out.data, size, start) == (ssize_t)size;
      close(fd);
    }
  }
  rk_buffer_free(&out);
  return done;
}

rk_status rk_append(rk_recording *recording, const void *record, size_t size, rk_error *error)
{
  const int cancel = rk_cancel_off();
  pthread_mutex_lock(&recording->append_mutex); /* waiting asleep is cheaper than spinning on the inode's lock */
  ssize_t n;
  do {
    n = write(recording->fd, record, size);
  } while (n < 0 && errno == EINTR);
  int failed = n < 0 ? errno : 0;
  if (n >= 0 && (size_t)n < size) {
    /* The position after an append is its end, and nobody else in this process appends now. */
    const off_t end = lseek(recording->fd, 0, SEEK_CUR);
    const uint8_t *rest = (const uint8_t *)record + n;
    size_t left = size - (size_t)n;
    const ssize_t more = lseek(recording->fd, 0, SEEK_END) == end ? write(recording->fd, rest, left) : 0;
    failed = more < 0 ? errno : ENOSPC;
    if (more == (ssize_t)left) {
      failed = 0;
    } else {
      const off_t torn_end = more > 0 ? lseek(recording->fd, 0, SEEK_CUR) : end;
      const off_t torn_start = end - n;
      if (!take_back(recording, torn_start, torn_end)) {
        fill(recording, torn_start, torn_end);
      }
    }
  }
  pthread_mutex_unlock(&recording->append_mutex);
  rk_cancel_restore(cancel);
  return failed == 0 ? RK_OK : rk_fail_errno(error, failed, "cannot append to %.120s", recording->path);
}
