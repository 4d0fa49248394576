/* Adoption: the rows of writers that died are brought into the recording, exactly once, under the dead writers' own
 * identity (SPEC "Adoption"). Nothing in another process' spool is trusted: it is read into memory, never mapped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/adopt_ring.h"
#include "writer/frame_scan.h"

#define DEFINITIONS_MAX ((uint64_t)1 << 30)

static bool parse_name(const char *name, uint64_t *hash, uint64_t *process, const char **rest)
{
  unsigned used = 0;
  uint64_t values[2] = {0, 0};
  for (int i = 0; i < 2; i++) {
    for (int digit = 0; digit < 16; digit++, used++) {
      const char c = name[used];
      const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (value < 0) {
        return false;
      }
      values[i] = values[i] << 4 | (unsigned)value;
    }
    if (i == 0 && name[used++] != '-') {
      return false;
    }
  }
  *hash = values[0];
  *process = values[1];
  *rest = name + used;
  return true;
}

static bool stays(rk_status status)
{
  return status == RK_ERR_CORRUPT || status == RK_ERR_UNSUPPORTED || status == RK_ERR_NOT_RRD;
}

/* All rings of the process. `known` is false where its definitions tell nothing: any ring is then damage. */
static rk_status adopt_rings(rk_orphan *o, bool known, rk_error *error)
{
  const int copy = openat(o->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = copy < 0 ? NULL : fdopendir(copy);
  if (entries == NULL) {
    if (copy >= 0) {
      close(copy);
    }
    return rk_fail_errno(error, errno, "cannot read a spool directory");
  }
  rk_status first = RK_OK;
  for (struct dirent *entry; first == RK_OK && (entry = readdir(entries)) != NULL;) {
    uint64_t hash, process;
    const char *rest;
    unsigned number;
    char expected[32];
    if (!parse_name(entry->d_name, &hash, &process, &rest) || hash != o->recording->hash || process != o->process ||
        sscanf(rest, "-%u.ring", &number) != 1) {
      continue;
    }
    snprintf(expected, sizeof expected, "-%u.ring", number);
    if (strcmp(rest, expected) != 0) {
      continue;
    }
    rk_error why = {0};
    const rk_status status =
        known ? rk_adopt_ring(o, entry->d_name, number, &why)
              : rk_fail(&why, RK_ERR_CORRUPT, RK_NO_OFFSET, "rings of a dead process without their definitions");
    if (status == RK_OK) {
      unlinkat(o->directory, entry->d_name, 0);
      RK_ADOPT_POINT("ring removed");
    } else if (stays(status)) {
      o->damaged = true;
      rk_background_note(o->recording, &why);
    } else {
      first = status;
      *error = why;
    }
  }
  closedir(entries);
  return first;
}

/* ---- A process ---- */

static bool same_text(const char *a, const char *b)
{
  return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Loads the definitions. RK_END: there are none. */
static rk_status load_dictionary(rk_orphan *o, int fd, uint64_t size, rk_error *error)
{
  rk_buffer bytes = {0};
  if (size > DEFINITIONS_MAX) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "a spool's definitions are too large");
  }
  void *out = rk_buffer_extend(&bytes, (size_t)size + 1);
  rk_status status = out == NULL ? RK_ERR_NO_MEMORY : rk_read_at(fd, out, (size_t)size, 0);
  if (status == RK_ERR_NO_MEMORY) {
    rk_fail(error, status, RK_NO_OFFSET, "no memory to adopt rows");
  } else if (status != RK_OK) {
    status = rk_fail_errno(error, errno, "cannot read a spool's definitions");
  } else {
    status = rk_dictionary_load(&o->dictionary, out, (size_t)size, error);
  }
  rk_buffer_free(&bytes);
  if (status == RK_OK && (o->dictionary.recording_hash != o->recording->hash || o->dictionary.process != o->process ||
                          !same_text(o->dictionary.application_id, o->recording->application_id) ||
                          !same_text(o->dictionary.recording_id, o->recording->recording_id))) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "a spool's definitions are of another recording");
  }
  return status;
}

/* Opens the definitions and takes their lock. -1: the process lives, or the file is no more. */
static int claim(rk_recording *recording, int directory, const char *name, struct stat *info)
{
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct stat named;
  pthread_mutex_lock(&recording->mutex); /* a child forked now would keep the lock: it closes adopt_fd */
  const int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && fstat(fd, info) == 0 && S_ISREG(info->st_mode) && fcntl(fd, F_OFD_SETLK, &lock) == 0 &&
      fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == info->st_ino &&
      named.st_dev == info->st_dev && fstat(fd, info) == 0) {
    recording->adopt_fd = fd;
    pthread_mutex_unlock(&recording->mutex);
    return fd;
  }
  const int why = errno;
  if (fd >= 0) {
    close(fd);
  }
  pthread_mutex_unlock(&recording->mutex);
  errno = fd < 0 ? why : 0;
  return -1;
}

static void unclaim(rk_recording *recording, int fd)
{
  pthread_mutex_lock(&recording->mutex);
  recording->adopt_fd = -1;
  close(fd);
  pthread_mutex_unlock(&recording->mutex);
}

static bool is_set_aside(const rk_recording *recording, uint64_t process)
{
  const uint64_t *list = (const uint64_t *)(const void *)recording->set_aside.data;
  for (size_t i = 0; i < recording->set_aside.size / sizeof *list; i++) {
    if (list[i] == process) {
      return true;
    }
  }
  return false;
}

/* RK_OK also where there was nothing to do; else why rows wait. */
static rk_status adopt_process(rk_recording *recording, int directory, const char *name, uint64_t process,
                               rk_error *error)
{
  struct stat info;
  const int fd = claim(recording, directory, name, &info);
  if (fd < 0) {
    if (errno != EACCES && errno != EPERM && errno != ELOOP) {
      return RK_OK;
    }
    rk_error why = {0};
    rk_fail_errno(&why, errno, "cannot look into a spool beside %.80s", recording->path);
    rk_background_note(recording, &why);
    rk_buffer_append(&recording->set_aside, &process, sizeof process);
    return RK_OK;
  }
  rk_orphan *o = calloc(1, sizeof *o);
  if (o == NULL) {
    unclaim(recording, fd);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to adopt rows");
  }
  o->recording = recording;
  o->directory = directory;
  o->process = process;
  rk_error why = {0};
  rk_status status = load_dictionary(o, fd, (uint64_t)info.st_size, &why);
  RK_ADOPT_POINT("claimed");
  if (stays(status)) {
    o->damaged = true;
    rk_background_note(recording, &why);
    status = RK_OK;
  } else if (status == RK_OK || status == RK_END) {
    status = adopt_rings(o, status == RK_OK, &why);
  }
  if (status != RK_OK) {
    *error = why;
  } else if (o->damaged) {
    rk_buffer_append(&recording->set_aside, &process, sizeof process);
  } else {
    unlinkat(directory, name, 0); /* last: while it is there, it tells whose the rings are */
  }
  rk_dictionary_free(&o->dictionary);
  rk_drain_free(&o->drain);
  rk_buffer_free(&o->out);
  rk_buffer_free(&o->rows);
  rk_packer_free(&o->packer);
  free(o);
  unclaim(recording, fd);
  return status;
}

static void note_foreign(rk_recording *recording)
{
  if (recording->noted_foreign || !recording->spool_is_ours) {
    return; /* a directory that somebody chose may serve many recordings */
  }
  recording->noted_foreign = true;
  rk_error why = {0};
  rk_fail(&why, RK_ERR_CONFLICT, RK_NO_OFFSET, "the spool beside %.120s also holds rows of another recording",
          recording->path);
  rk_background_note(recording, &why);
}

rk_status rk_adopt_orphans(rk_recording *recording, rk_error *error)
{
  pthread_mutex_lock(&recording->adopt_mutex);
  pthread_mutex_lock(&recording->mutex);
  const uint64_t own = recording->definitions_fd >= 0 ? recording->identity : 0;
  pthread_mutex_unlock(&recording->mutex);
  const int directory = open(recording->spool_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int copy = directory < 0 ? -1 : openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = copy < 0 ? NULL : fdopendir(copy);
  rk_status first = RK_OK;
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    uint64_t hash, process;
    const char *rest;
    if (!parse_name(entry->d_name, &hash, &process, &rest) || strcmp(rest, ".defs") != 0) {
      continue;
    }
    if (hash != recording->hash) {
      note_foreign(recording);
    } else if (process != own && !is_set_aside(recording, process)) {
      rk_error why = {0};
      const rk_status status = adopt_process(recording, directory, entry->d_name, process, &why);
      if (status != RK_OK && first == RK_OK) {
        first = status;
        *error = why;
      }
    }
  }
  if (entries != NULL) {
    closedir(entries);
  } else if (copy >= 0) {
    close(copy);
  }
  if (directory >= 0) {
    close(directory);
  }
  pthread_mutex_unlock(&recording->adopt_mutex);
  return first;
}
