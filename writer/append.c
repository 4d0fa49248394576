/* The append: one write per record, and what a refused or torn one leaves behind (SPEC "Appending"). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "format/error.h"
#include "format/seal.h"
#include "writer/heal.h"
#include "writer/writer_internal.h"

#define PROBE_SIZE 4096

/* Cuts the file back to `start` if this process is alone and nothing came after `end`. */
static bool take_back(rk_recording *recording, off_t start, off_t end)
{
  if (!rk_participants_alone(recording->fd)) {
    return false;
  }
  const bool done = lseek(recording->fd, 0, SEEK_END) == end && ftruncate(recording->fd, start) == 0;
  rk_participants_lock(recording->fd, NULL);
  if (done) {
    recording->tail.reserved = 0; /* ftruncate released it */
  }
  return done;
}

static ssize_t write_record(int fd, const void *data, size_t size)
{
  ssize_t n;
  do {
    n = write(fd, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

static int append_reserved(rk_recording *recording, const void *record, size_t size)
{
  rk_tail *tail = &recording->tail;
  const ssize_t n = write_record(recording->fd, record, size);
  if (n <= 0) {
    return n < 0 ? errno : ENOSPC;
  }
  /* The position after an append is its end, and nobody else in this process appends now. */
  const off_t end = lseek(recording->fd, 0, SEEK_CUR), start = end - n;
  if ((size_t)n < size) {
    tail->reserved = 0;
    /* Nothing of it may count. A piece too short for a filler holds no whole frame: it is the next one's to heal. */
    if (!take_back(recording, start, end) && n >= (off_t)rk_filler_min(recording)) {
      rk_heal_fill(recording, start, end);
    }
    return tail->limit != INT64_MAX && end >= tail->limit ? EFBIG : ENOSPC;
  }
  const bool follows_own = start == tail->end;
  tail->end = end;
  if (!follows_own) {
    rk_heal_before(recording, start); /* if it cannot now, the walk will */
  }
  return 0;
}

int rk_append_raw(rk_recording *recording, const void *pieces, size_t size)
{
  rk_tail *tail = &recording->tail;
  if (recording->fd < 0) {
    return EBADF;
  }
  const int refused = rk_reserve(recording, size);
  if (refused != 0) {
    return refused;
  }
  rk_limit_guard guard; /* others may reach the limit first */
  const bool limited = tail->limit != INT64_MAX;
  if (limited) {
    rk_limit_guard_begin(&guard);
  }
  const int failed = append_reserved(recording, pieces, size);
  if (limited) {
    rk_limit_guard_end(&guard);
  }
  return failed;
}

/* After a misaligned record: a filler that ends at a multiple of 128 again. */
static void align(rk_recording *recording)
{
  rk_buffer out = {0};
  const size_t least = rk_filler_min(recording);
  for (int attempt = 0; attempt < 3 && recording->tail.end % RK_FRAME_ALIGNMENT != 0; attempt++) {
    const off_t end = recording->tail.end;
    const size_t missing = (size_t)(RK_FRAME_ALIGNMENT - (end + (off_t)least) % RK_FRAME_ALIGNMENT);
    rk_buffer_reset(&out);
    rk_filler_encode(recording, (uint64_t)end, least + missing, &out);
    if (out.failed || rk_append_raw(recording, out.data, out.size) != 0) {
      break;
    }
  }
  rk_buffer_free(&out);
}

rk_status rk_append(rk_recording *recording, rk_packer *packer, const void *record, size_t size, rk_error *error)
{
  const uint8_t *bytes;
  const rk_status packed = rk_pack(recording, packer, record, size, &bytes, &size);
  if (packed != RK_OK) {
    return rk_fail(error, packed, RK_NO_OFFSET, "no memory to compress a record");
  }
  const int cancel = rk_cancel_off();
  pthread_mutex_lock(&recording->append_mutex); /* waiting asleep is cheaper than spinning on the inode's lock */
  const int failed = rk_append_raw(recording, bytes, size);
  if (failed == 0) {
    if (recording->tail.end % RK_FRAME_ALIGNMENT != 0) {
      align(recording);
    }
    __atomic_add_fetch(&recording->counts.records, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&recording->counts.bytes, size, __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&recording->append_mutex);
  rk_cancel_restore(cancel);
  if (__atomic_exchange_n(&recording->refused, failed != 0, __ATOMIC_RELAXED) && failed == 0) {
    pthread_mutex_lock(&recording->mutex);
    recording->reported.status = RK_OK; /* the next failure is news */
    pthread_mutex_unlock(&recording->mutex);
  }
  return failed == 0 ? RK_OK : rk_fail_errno(error, failed, "cannot append to %.120s", recording->path);
}

rk_status rk_append_probe(rk_recording *recording, rk_error *error)
{
  if (!__atomic_load_n(&recording->refused, __ATOMIC_RELAXED)) {
    return RK_OK;
  }
  const int cancel = rk_cancel_off();
  pthread_mutex_lock(&recording->append_mutex);
  const int failed = recording->fd < 0 ? EBADF : rk_reserve(recording, PROBE_SIZE);
  pthread_mutex_unlock(&recording->append_mutex);
  rk_cancel_restore(cancel);
  return failed == 0 ? RK_OK : rk_fail_errno(error, failed, "cannot append to %.120s", recording->path);
}
