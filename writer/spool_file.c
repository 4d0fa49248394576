/* The spool on disk: this process's definitions file and its threads' ring files (SPEC "Spool"). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/writer_internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = text == NULL ? 0 : strlen(text)};
}

#define NAME_SIZE 64

/* "<recording hash>-<process identity><suffix>": the hash lets recordings share a directory. */
static void file_name(const rk_recording *recording, const char *suffix, char out[NAME_SIZE])
{
  snprintf(out, NAME_SIZE, "%016llx-%016llx%s", (unsigned long long)recording->hash,
           (unsigned long long)recording->identity, suffix);
}

static void ring_name(const rk_recording *recording, uint32_t number, char out[NAME_SIZE])
{
  char suffix[24];
  snprintf(suffix, sizeof suffix, "-%u.ring", (unsigned)number);
  file_name(recording, suffix, out);
}

/* ---- Definitions ---- */

/* Appends to the definitions file; a short write is taken back, so that the file stays readable. */
static rk_status write_definitions(rk_recording *recording, const rk_buffer *bytes, rk_error *error)
{
  if (bytes->failed) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a definition");
  }
  if (recording->definitions_fd < 0) {
    return RK_OK; /* written when the spool starts */
  }
  const int cancel = rk_cancel_off();
  ssize_t n;
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  do {
    n = write(recording->definitions_fd, bytes->data, bytes->size);
  } while (n < 0 && errno == EINTR);
  rk_limit_guard_end(&guard);
  const int write_errno = errno;
  rk_cancel_restore(cancel);
  if (n != (ssize_t)bytes->size) {
    const int failed = n < 0 ? write_errno : ENOSPC;
    if (n > 0 && ftruncate(recording->definitions_fd, (off_t)recording->definitions_size) != 0) {
      return rk_fail_errno(error, errno, "cannot take back a torn definition");
    }
    return rk_fail_errno(error, failed, "cannot write to the spool of %.80s", recording->path);
  }
  recording->definitions_size += bytes->size;
  return RK_OK;
}

/* Appends the definition of what `kind` says that `item` is. */
static void encode(rk_buffer *out, rk_spool_kind kind, const void *item)
{
  rk_spool_definition definition = {.kind = kind};
  if (kind == RK_SPOOL_ENTITY) {
    const rk_entity *entity = item;
    definition.id = entity->id;
    definition.texts[0] = text_of(entity->path);
  } else if (kind == RK_SPOOL_TIMELINE) {
    const rk_timeline *timeline = item;
    definition.id = timeline->id;
    definition.number = (uint32_t)timeline->kind;
    definition.texts[0] = text_of(timeline->name);
  } else if (kind == RK_SPOOL_TIMELINE_SET) {
    const rk_timeline_set *set = item;
    definition.id = set->id;
    definition.number = set->count;
    definition.texts[0] =
        (rk_text){.data = (const char *)set->timelines, .size = set->count * sizeof set->timelines[0]};
  } else if (kind == RK_SPOOL_COMPONENT) {
    const rk_component *component = item;
    const char *const texts[] = {component->name, component->archetype, component->component_type, component->type};
    definition.id = component->id;
    for (size_t i = 0; i < RK_SPOOL_TEXT_COUNT; i++) {
      definition.texts[i] = text_of(texts[i]);
    }
  } else {
    const rk_ring *ring = item;
    definition.id = ring->tag;
    definition.number = ring->number;
    definition.values[0] = ring->tid;
    definition.values[1] = ring->start_ns;
    definition.values[2] = ring->clock_monotonic;
    definition.values[3] = ring->clock_realtime;
    definition.texts[0] = text_of(ring->thread_name);
  }
  rk_spool_definition_encode(out, &definition);
}

rk_status rk_define(rk_recording *recording, rk_spool_kind kind, const void *item, rk_error *error)
{
  rk_buffer bytes = {0};
  encode(&bytes, kind, item);
  const rk_status status = write_definitions(recording, &bytes, error);
  rk_buffer_free(&bytes);
  return status;
}

static void encode_all(const rk_recording *recording, const rk_text *ids, rk_buffer *out)
{
  int64_t monotonic, realtime;
  rk_clock_pair(&monotonic, &realtime);
  rk_buffer_append(out, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  const rk_spool_definition process = {
      .kind = RK_SPOOL_PROCESS,
      .id = RK_SPOOL_VERSION,
      .values = {getpid(), (int64_t)recording->identity, (int64_t)recording->hash, recording->clock_offset, monotonic,
                 realtime},
      .texts = {text_of(rk_boot_id()), text_of(rk_host_name()), text_of(rk_program_name()), *ids}};
  rk_spool_definition_encode(out, &process);
  const struct {
    rk_spool_kind kind;
    const rk_pointers *items;
  } lists[] = {{RK_SPOOL_ENTITY, &recording->entities},
               {RK_SPOOL_TIMELINE, &recording->timelines},
               {RK_SPOOL_TIMELINE_SET, &recording->time_sets},
               {RK_SPOOL_COMPONENT, &recording->components}};
  for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++) {
    for (size_t i = 0; i < lists[list].items->count; i++) {
      encode(out, lists[list].kind, lists[list].items->items[i]);
    }
  }
}

/* Takes the lock of the definitions file just made. RK_END: somebody who adopts saw it without lock, took it for a dead
 * process' and removes it. */
static rk_status lock_definitions(const rk_recording *recording, int fd, const char *name, rk_error *error)
{
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct stat made, named;
  if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    return errno == EAGAIN || errno == EACCES
               ? RK_END
               : rk_fail_errno(error, errno, "cannot lock a spool in %.100s", recording->spool_directory);
  }
  return fstat(fd, &made) == 0 && fstatat(recording->spool_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                 made.st_dev == named.st_dev && made.st_ino == named.st_ino
             ? RK_OK
             : RK_END;
}

/* Makes the definitions file under a new process identity. RK_END: try again. */
static rk_status make_definitions(rk_recording *recording, rk_error *error)
{
  rk_status status = rk_random(&recording->identity, sizeof recording->identity, error);
  if (status != RK_OK) {
    return status;
  }
  rk_buffer ids = {0}, bytes = {0};
  rk_buffer_append(&ids, recording->application_id, strlen(recording->application_id) + 1);
  rk_buffer_append(&ids, recording->recording_id, strlen(recording->recording_id));
  const rk_text ids_text = {.data = (const char *)ids.data, .size = ids.size};
  encode_all(recording, &ids_text, &bytes);
  const bool failed = ids.failed || bytes.failed;
  rk_buffer_free(&ids);
  if (failed) {
    rk_buffer_free(&bytes);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for the spool");
  }
  char name[NAME_SIZE];
  file_name(recording, ".defs", name);
  int fd;
  status = rk_spool_enter(recording, name, O_RDWR | O_APPEND, &fd, error);
  status = status != RK_OK ? status : lock_definitions(recording, fd, name, error);
  if (status == RK_OK) {
    recording->definitions_fd = fd;
    recording->definitions_size = 0;
    status = write_definitions(recording, &bytes, error);
  }
  rk_buffer_free(&bytes);
  if (status != RK_OK) {
    if (fd >= 0) {
      unlinkat(recording->spool_fd, name, 0);
      close(fd);
    }
    recording->definitions_fd = -1;
  }
  return status;
}

rk_status rk_spool_start(rk_recording *recording, rk_error *error)
{
  rk_status status = recording->definitions_fd >= 0 ? RK_OK : RK_END;
  for (int attempt = 0; status == RK_END && attempt < 100; attempt++) {
    status = make_definitions(recording, error);
  }
  return status != RK_END ? status
                          : rk_fail(error, RK_ERR_IO, RK_NO_OFFSET, "the spool in %.100s is taken away again and again",
                                    recording->spool_directory);
}

void rk_spool_end(rk_recording *recording, bool keep)
{
  if (recording->definitions_fd < 0) {
    return;
  }
  char name[NAME_SIZE];
  for (uint32_t i = 0; !keep && i < recording->ring_count; i++) {
    ring_name(recording, i, name);
    unlinkat(recording->spool_fd, name, 0);
  }
  if (!keep) {
    file_name(recording, ".defs", name);
    unlinkat(recording->spool_fd, name, 0); /* last: while it is there, it tells whose the rings are */
  }
  close(recording->definitions_fd);
  recording->definitions_fd = -1;
  rk_spool_leave(recording);
  if (!keep && recording->spool_is_ours) {
    rmdir(recording->spool_directory);
  }
}

/* ---- Rings ---- */

/* Gives the file its bytes [from, to) with blocks for all of them. 0 or an errno. */
static int extend(int fd, size_t from, size_t to)
{
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  const int failed = posix_fallocate(fd, (off_t)from, (off_t)(to - from));
  rk_limit_guard_end(&guard);
  return failed;
}

/* Where a file system writes a page that was written back to a new place (btrfs), storing into it on a full disk would
 * raise SIGBUS. The file is empty. */
static void keep_in_place(int fd)
{
  int flags;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_NOCOW_FL;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags); /* elsewhere it is refused, or means nothing */
  }
}

/* Every page present and writable, so that storing a row can neither fail nor fault in on a full disk. The blocks are
 * there, and nothing else. */
static int populate(uint8_t *map, size_t size)
{
  if (madvise(map, size, MADV_POPULATE_WRITE) == 0) {
    return 0;
  }
  for (size_t at = 0; errno == EINVAL && at < size; at += 4096) { /* kernels before 5.14 */
    *(volatile uint8_t *)(map + at) = 0;
  }
  return errno == EINVAL ? 0 : errno;
}

rk_ring *rk_ring_create(rk_recording *recording, uint32_t number, rk_error *error)
{
  rk_ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) {
    rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a ring");
    return NULL;
  }
  const size_t map_size = RK_RING_HEADER_SIZE + recording->ring_size;
  char name[NAME_SIZE];
  ring_name(recording, number, name);
  const int fd = rk_spool_create(recording, name, O_RDWR);
  int failed = fd < 0 ? errno : 0;
  if (failed == 0) {
    keep_in_place(fd);
    failed = extend(fd, 0, map_size);
  }
  uint8_t *map = MAP_FAILED;
  if (failed == 0) {
    map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    failed = map == MAP_FAILED || madvise(map, map_size, MADV_DONTFORK) != 0 ? errno : populate(map, map_size);
  }
  if (failed != 0) {
    rk_fail_errno(error, failed, "cannot make a ring of %zu bytes in %.80s", recording->ring_size,
                  recording->spool_directory);
    if (map != MAP_FAILED) {
      munmap(map, map_size);
    }
    if (fd >= 0) {
      unlinkat(recording->spool_fd, name, 0);
    }
    free(ring);
    ring = NULL;
  } else {
    ring->header = (rk_ring_header *)(void *)map;
    ring->data = map + RK_RING_HEADER_SIZE;
    ring->size = recording->ring_size;
    ring->size_max = recording->ring_size_max;
    ring->number = number;
    pthread_mutex_init(&ring->mutex, NULL);
    rk_ring_header *header = ring->header;
    memcpy(header->magic, rk_spool_ring_magic, sizeof header->magic);
    header->version = RK_SPOOL_VERSION;
    header->size = ring->size;
    header->recording_hash = recording->hash;
    header->process = recording->identity;
    header->number = number;
  }
  if (fd >= 0) {
    close(fd); /* the mapping keeps the file */
  }
  return ring;
}

/* The file and its mapping `larger` instead of ring->size bytes. False: both are as they were. */
static bool enlarge(const rk_recording *recording, rk_ring *ring, size_t larger)
{
  const size_t before = RK_RING_HEADER_SIZE + ring->size, after = RK_RING_HEADER_SIZE + larger;
  char name[NAME_SIZE];
  ring_name(recording, ring->number, name);
  const int fd = openat(recording->spool_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  bool done = extend(fd, before, after) == 0;
  uint8_t *map = done ? mremap(ring->header, before, after, MREMAP_MAYMOVE) : MAP_FAILED;
  done = map != MAP_FAILED;
  if (done) {
    ring->header = (rk_ring_header *)(void *)map;
    ring->data = map + RK_RING_HEADER_SIZE;
    done = populate(map + before, after - before) == 0;
  }
  if (!done) {
    if (map != MAP_FAILED) {
      munmap(map + before, after - before);
    }
    (void)!ftruncate(fd, (off_t)before);
  }
  close(fd);
  return done;
}

void rk_ring_grow(rk_recording *recording, rk_ring *ring)
{
  const size_t wanted = ring->size * 4, larger = wanted < ring->size_max ? wanted : ring->size_max;
  const size_t more = larger - ring->size;
  __atomic_store_n(&ring->cramped, false, __ATOMIC_RELAXED);
  pthread_mutex_lock(&recording->mutex);
  bool grows = recording->rings_size + more <= RK_RINGS_GROWN_MAX;
  recording->rings_size += grows ? more : 0;
  pthread_mutex_unlock(&recording->mutex);
  const int cancel = rk_cancel_off();
  if (grows && enlarge(recording, ring, larger)) {
    ring->size = larger;
    __atomic_store_n(&ring->header->size, larger, __ATOMIC_RELEASE); /* before the next row moves head */
  } else {
    ring->size_max = ring->size;
    pthread_mutex_lock(&recording->mutex);
    recording->rings_size -= grows ? more : 0;
    pthread_mutex_unlock(&recording->mutex);
  }
  rk_cancel_restore(cancel);
}

void rk_ring_unmap(rk_ring *ring)
{
  if (ring->header != NULL) {
    munmap(ring->header, RK_RING_HEADER_SIZE + ring->size);
    ring->header = NULL;
    ring->data = NULL;
  }
}
