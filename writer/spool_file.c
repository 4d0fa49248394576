/* The spool on disk: this process's definitions file and its threads' ring files (SPEC "Spool"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static rk_status define(rk_recording *recording, const rk_spool_definition *definition, rk_error *error)
{
  rk_buffer bytes = {0};
  rk_spool_definition_encode(&bytes, definition);
  const rk_status status = write_definitions(recording, &bytes, error);
  rk_buffer_free(&bytes);
  return status;
}

static rk_spool_definition entity_definition(const rk_entity *entity)
{
  return (rk_spool_definition){.kind = RK_SPOOL_ENTITY, .id = entity->id, .texts = {text_of(entity->path)}};
}

static rk_spool_definition timeline_definition(const rk_timeline *timeline)
{
  return (rk_spool_definition){.kind = RK_SPOOL_TIMELINE,
                               .id = timeline->id,
                               .number = (uint32_t)timeline->kind,
                               .texts = {text_of(timeline->name)}};
}

static rk_spool_definition time_set_definition(const rk_timeline_set *set)
{
  return (rk_spool_definition){
      .kind = RK_SPOOL_TIMELINE_SET,
      .id = set->id,
      .number = set->count,
      .texts = {{.data = (const char *)set->timelines, .size = set->count * sizeof set->timelines[0]}}};
}

static rk_spool_definition component_definition(const rk_component *component)
{
  return (rk_spool_definition){.kind = RK_SPOOL_COMPONENT,
                               .id = component->id,
                               .texts = {text_of(component->name), text_of(component->archetype),
                                         text_of(component->component_type), text_of(component->type)}};
}

rk_status rk_define_entity(rk_recording *recording, const rk_entity *entity, rk_error *error)
{
  const rk_spool_definition definition = entity_definition(entity);
  return define(recording, &definition, error);
}

rk_status rk_define_timeline(rk_recording *recording, const rk_timeline *timeline, rk_error *error)
{
  const rk_spool_definition definition = timeline_definition(timeline);
  return define(recording, &definition, error);
}

rk_status rk_define_time_set(rk_recording *recording, const rk_timeline_set *set, rk_error *error)
{
  const rk_spool_definition definition = time_set_definition(set);
  return define(recording, &definition, error);
}

rk_status rk_define_component(rk_recording *recording, const rk_component *component, rk_error *error)
{
  const rk_spool_definition definition = component_definition(component);
  const rk_status status = define(recording, &definition, error);
  if (status == RK_OK && component->recording == NULL) {
    __atomic_store_n(&recording->builtin_defined[component->id], 1, __ATOMIC_RELEASE);
  }
  return status;
}

rk_status rk_define_writer(rk_recording *recording, const rk_ring *ring, rk_error *error)
{
  const rk_spool_definition definition = {
      .kind = RK_SPOOL_WRITER,
      .id = ring->tag,
      .number = ring->number,
      .values = {ring->tid, ring->start_ns, ring->clock_monotonic, ring->clock_realtime},
      .texts = {text_of(ring->thread_name)}};
  return define(recording, &definition, error);
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
  for (size_t i = 0; i < recording->entities.count; i++) {
    const rk_spool_definition definition = entity_definition(recording->entities.items[i]);
    rk_spool_definition_encode(out, &definition);
  }
  for (size_t i = 0; i < recording->timelines.count; i++) {
    const rk_spool_definition definition = timeline_definition(recording->timelines.items[i]);
    rk_spool_definition_encode(out, &definition);
  }
  for (size_t i = 0; i < recording->time_sets.count; i++) {
    const rk_spool_definition definition = time_set_definition(recording->time_sets.items[i]);
    rk_spool_definition_encode(out, &definition);
  }
  for (size_t i = 0; i < recording->components.count; i++) {
    const rk_spool_definition definition = component_definition(recording->components.items[i]);
    rk_spool_definition_encode(out, &definition);
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

/* Every page present and writable, so that storing a row can neither fail nor fault in on a full disk. */
static rk_status populate(int fd, uint8_t *map, size_t size)
{
  if (madvise(map, size, MADV_POPULATE_WRITE) == 0) {
    return RK_OK;
  }
  if (errno != EINVAL) {
    return RK_ERR_IO;
  }
  const int failed = posix_fallocate(fd, 0, (off_t)size); /* kernels before 5.14: blocks first, then pages */
  if (failed != 0) {
    errno = failed;
    return RK_ERR_IO;
  }
  for (size_t at = 0; at < size; at += 4096) {
    *(volatile uint8_t *)(map + at) = 0;
  }
  return RK_OK;
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
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  int failed = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)map_size);
  rk_limit_guard_end(&guard);
  uint8_t *map = MAP_FAILED;
  if (failed == 0) {
    map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || madvise(map, map_size, MADV_DONTFORK) != 0 || populate(fd, map, map_size) != RK_OK) {
      failed = errno;
    }
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
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  bool done = posix_fallocate(fd, (off_t)before, (off_t)(after - before)) == 0;
  rk_limit_guard_end(&guard);
  uint8_t *map = done ? mremap(ring->header, before, after, MREMAP_MAYMOVE) : MAP_FAILED;
  done = map != MAP_FAILED;
  if (done) {
    ring->header = (rk_ring_header *)(void *)map;
    ring->data = map + RK_RING_HEADER_SIZE;
    done = populate(fd, map + before, after - before) == RK_OK;
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
