/* Participants: who has the recording open to append, who is alone, and what only who is alone may do (SPEC
 * "Participants"). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "format/frame.h"
#include "writer/frame_scan.h"
#include "writer/writer_internal.h"

static int set_lock(int fd, short type, int command)
{
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  int result;
  do {
    result = fcntl(fd, command, &lock);
  } while (result != 0 && errno == EINTR);
  return result;
}

rk_status rk_participants_lock(int fd, rk_error *error)
{
  return set_lock(fd, F_RDLCK, F_OFD_SETLKW) == 0 ? RK_OK
                                                  : rk_fail_errno(error, errno, "cannot share the recording's lock");
}

bool rk_participants_alone(int fd)
{
  return set_lock(fd, F_WRLCK, F_OFD_SETLK) == 0;
}

void rk_participants_unlock(int fd)
{
  set_lock(fd, F_UNLCK, F_OFD_SETLK);
}

rk_status rk_tail_repair(rk_recording *recording, int fd, uint64_t floor, rk_error *error)
{
  struct stat info;
  uint64_t last;
  if (fstat(fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot read %.100s", recording->path);
  }
  const uint64_t size = (uint64_t)info.st_size;
  if (size <= floor) {
    return RK_OK;
  }
  rk_status status = rk_frame_scan_last(fd, recording->framing, floor, size, recording->hash, &last, error);
  if (status != RK_OK || last == size) {
    return status;
  }
  uint8_t head[RK_PIECE_HEAD_MAX] = {0};
  if (size - last >= RK_STREAM_HEADER_SIZE) {
    status = rk_read_at(fd, head, size - last < sizeof head ? (size_t)(size - last) : sizeof head, last);
    if (status != RK_OK) {
      return rk_fail_errno(error, errno, "cannot read %.100s", recording->path);
    }
    if (recording->framing->is_stream(head)) {
      return rk_fail(error, RK_ERR_UNSUPPORTED, last, "%.100s holds several streams and cannot be appended to",
                     recording->path);
    }
  }
  return ftruncate(fd, (off_t)last) == 0
             ? RK_OK
             : rk_fail_errno(error, errno, "cannot repair the end of %.100s", recording->path);
}

/* What the last one out does, alone. */
static rk_status leave_alone(rk_recording *recording, bool finish, rk_error *error)
{
  rk_status status = rk_adopt_orphans(recording, error);
  if (!rk_participants_alone(recording->fd)) { /* an append that failed may have let go */
    return status != RK_OK || !finish ? status : rk_fail(error, RK_ERR_CONFLICT, RK_NO_OFFSET, "others came");
  }
  rk_error why = {0};
  rk_status repaired = rk_tail_repair(recording, recording->fd, recording->floor, &why);
  struct stat info;
  if (repaired == RK_OK && (fstat(recording->fd, &info) != 0 || ftruncate(recording->fd, info.st_size) != 0)) {
    repaired = rk_fail_errno(&why, errno, "cannot release what was reserved for %.100s", recording->path);
  }
  if (status == RK_OK && repaired != RK_OK) {
    status = repaired;
    if (error != NULL) {
      *error = why;
    }
  }
  if (recording->spool_is_ours) {
    rmdir(recording->spool_directory); /* if it is empty */
  }
  return status == RK_OK && finish ? rk_finish_append(recording, error) : status;
}

rk_status rk_participants_leave(rk_recording *recording, bool finish, rk_error *error)
{
  if (recording->fd < 0) {
    return finish ? rk_fail(error, RK_ERR_IO, RK_NO_OFFSET, "the recording is not open") : RK_OK;
  }
  /* First let go: of several who leave at once the last to try is then alone. */
  rk_participants_unlock(recording->fd);
  rk_status status = RK_OK;
  if (rk_participants_alone(recording->fd)) {
    status = leave_alone(recording, finish, error);
  } else if (finish) {
    status =
        rk_fail(error, RK_ERR_CONFLICT, RK_NO_OFFSET, "%.100s is open elsewhere and is not finished", recording->path);
  }
  rk_participants_unlock(recording->fd); /* a child may have inherited the descriptor */
  return status;
}
