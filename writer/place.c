/* Where a recording lies: network file systems, a file of its own per process there, and clear errors for paths that
 * do not serve (SPEC "Opening"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/writer_internal.h"

static bool is_network(int fd)
{
  static const uint32_t magics[] = {
      0x6969,     /* NFS */
      0xFF534D42, /* CIFS */
      0xFE534D42, /* SMB2 */
      0x517B,     /* SMB */
      0x5346414F, /* AFS */
      0x6B414653, /* kAFS */
      0x564C,     /* NCP */
      0x73757245, /* Coda */
      0x01021997, /* 9P */
      0x00C36400, /* Ceph */
      0x0BD00BD0, /* Lustre */
      0x47504653, /* GPFS */
      0x013111A8, /* IBRIX */
      0x7461636F, /* OCFS2 */
      0x01161970, /* GFS2 */
      0x65735546, /* FUSE: sshfs, s3fs and the like; what lies behind it cannot be told */
  };
  struct statfs info;
  if (fstatfs(fd, &info) != 0) {
    return false;
  }
  for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
    if ((uint32_t)info.f_type == magics[i]) {
      return true;
    }
  }
  return false;
}

bool (*rk_is_network)(int fd) = is_network;

/* Length of `path` up to its last slash, that included. */
static size_t directory_length(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

static char *absolute(const char *path)
{
  if (path[0] == '/') {
    return strdup(path);
  }
  char *directory = getcwd(NULL, 0), *whole = NULL;
  if (directory == NULL || asprintf(&whole, "%s/%s", directory, path) < 0) {
    whole = NULL;
  }
  free(directory);
  return whole;
}

/* On a network file system and with the policy for it: gives the recording a path of this process's own. */
static rk_status choose_own(rk_recording *recording, const rk_recording_options *options, rk_error *error)
{
  if (recording->network != RK_NETWORK_FILE_PER_PROCESS) {
    return RK_OK;
  }
  const char *path = recording->path;
  const size_t length = directory_length(path);
  char *directory = strndup(length == 0 ? "." : path, length == 0 ? 1 : length);
  const int fd = directory == NULL ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(directory);
  if (fd < 0) {
    return RK_OK; /* opening the recording will say why */
  }
  const bool network = rk_is_network(fd);
  close(fd);
  if (!network) {
    recording->network = RK_NETWORK_REFUSE;
    return RK_OK;
  }
  if (options->recording_id == NULL) {
    return rk_fail(
        error, RK_ERR_MISUSE, RK_NO_OFFSET,
        "a file per process on a network file system needs a recording id, so that the files belong together");
  }
  uint32_t random;
  const rk_status status = rk_random(&random, sizeof random, error);
  if (status != RK_OK) {
    return status;
  }
  char host[65];
  snprintf(host, sizeof host, "%s", rk_host_name());
  for (char *c = host; *c != '\0'; c++) {
    if (!rk_id_char(*c) && *c != '.') {
      *c = '_';
    }
  }
  const char *end = strrchr(path + length, '.');
  if (end != NULL && strcmp(end, ".zst") == 0) { /* ".rrd.zst" stays together */
    const char *before = memrchr(path + length, '.', (size_t)(end - (path + length)));
    end = before == NULL ? end : before;
  }
  const size_t stem = end == NULL || end == path + length ? strlen(path) : (size_t)(end - path);
  char *own = NULL;
  if (asprintf(&own, "%.*s.%s-%ld-%08x%s", (int)stem, path, host, (long)getpid(), (unsigned)random, path + stem) < 0) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a path");
  }
  free(recording->path);
  recording->path = own;
  return RK_OK;
}

rk_status rk_place_choose(rk_recording *recording, const char *path, const rk_recording_options *options,
                          rk_error *error)
{
  recording->path = realpath(path, NULL);
  if (recording->path == NULL) {
    recording->path = absolute(path);
  }
  const rk_status status = recording->path == NULL ? RK_ERR_NO_MEMORY : choose_own(recording, options, error);
  const char *chosen = options->spool_directory != NULL ? options->spool_directory : getenv("RRDKIT_SPOOL_DIR");
  if (chosen != NULL && chosen[0] != '\0') {
    recording->spool_directory = absolute(chosen);
  } else if (recording->path != NULL) {
    recording->spool_is_ours = true;
    if (asprintf(&recording->spool_directory, "%s.spool", recording->path) < 0) {
      recording->spool_directory = NULL;
    }
  }
  return recording->path != NULL && recording->spool_directory != NULL
             ? status
             : rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a path");
}

rk_status rk_place_error(const char *path, int failed, rk_error *error)
{
  switch (failed) {
  case EISDIR:
    rk_fail_errno(error, failed, "%.140s cannot be a recording", path);
    if (error != NULL) {
      error->status = RK_ERR_NOT_RRD;
    }
    return RK_ERR_NOT_RRD;
  case ENOENT:
    return rk_fail_errno(error, failed, "the directory of %.140s does not exist", path);
  case EACCES:
  case EPERM:
    return rk_fail_errno(error, failed, "no permission to append to %.140s", path);
  case EROFS:
    return rk_fail_errno(error, failed, "%.140s cannot be appended to", path);
  default:
    return rk_fail_errno(error, failed, "cannot open %.140s", path);
  }
}
