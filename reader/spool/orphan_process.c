/* The spool files of one process: judged, read, and what their rows become. */
#include "reader/spool/orphan_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "reader/file_io.h"
#include "reader/host_process.h"

#define DEFINITIONS_MAX ((uint64_t)256 << 20)

/* An open spool file: all of a file, or a part. */
typedef struct opened {
  int fd;              /* -1: none */
  uint64_t base, size; /* size as it was when opened */
} opened;

/* ---- Losses ---- */

static char *path_of(const char *directory, const rk_spool_file *file)
{
  char *path = NULL;
  int n;
  if (file == NULL) {
    return strdup(directory);
  }
  if (file->number == RK_SPOOL_DEFINITIONS) {
    n = asprintf(&path, "%s/%016" PRIx64 "-%016" PRIx64 ".defs", directory, file->hash, file->process);
  } else {
    n = asprintf(&path, "%s/%016" PRIx64 "-%016" PRIx64 "-%" PRIu64 ".ring", directory, file->hash, file->process,
                 file->number);
  }
  return n < 0 ? NULL : path;
}

static void lose(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason, uint32_t writer)
{
  rk_orphan_finding *f = context;
  rk_orphan_list *list = f->list;
  char *path = path_of(f->directory, f->file);
  if (path == NULL ||
      !rk_array_grow((void **)&list->losses, &list->loss_capacity, list->loss_count + 1, sizeof *list->losses)) {
    free(path);
    f->no_memory = true;
    return;
  }
  rk_orphan_loss *loss = &list->losses[list->loss_count++];
  *loss = (rk_orphan_loss){.path = path,
                           .has_hash = f->file != NULL,
                           .recording_hash = f->file == NULL ? 0 : f->file->hash,
                           .offset = offset,
                           .length = length,
                           .status = status,
                           .writer = writer};
  (void)snprintf(loss->reason, sizeof loss->reason, "%s", reason);
}

void rk_orphan_process_unread(rk_orphan_finding *f, int failed)
{
  rk_error error;
  (void)rk_fail_errno(&error, failed, "cannot read");
  lose(f, 0, 0, RK_ERR_IO, error.message, 0);
}

/* ---- Files ---- */

static int compare_member(const void *name, const void *member)
{
  return strcmp(name, ((const rk_orphan_member *)member)->name);
}

static int open_named(rk_orphan_finding *f, const char *path, opened *file)
{
  if (f->members != NULL) {
    const rk_orphan_member *member =
        bsearch(path + 2, f->members->items, f->members->count, sizeof *member, compare_member); /* behind "./" */
    if (member == NULL) {
      errno = ENOENT;
      return -1;
    }
    file->base = member->offset;
    file->size = member->size;
    return fcntl(f->members->fd, F_DUPFD_CLOEXEC, 3);
  }
  int fd;
  do {
    fd = openat(f->directory_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* The regular file; fd -1: it is gone, or a loss was told. */
static opened open_file(rk_orphan_finding *f, const rk_spool_file *file)
{
  opened found = {.fd = -1};
  f->file = file;
  char *path = path_of(".", file);
  if (path == NULL) {
    f->no_memory = true;
    return found;
  }
  found.fd = open_named(f, path, &found);
  free(path);
  struct stat info;
  if (found.fd < 0 || fstat(found.fd, &info) != 0) {
    if (errno == ENOENT) { /* adopted meanwhile: its rows are in the recording */
      return found;
    }
    rk_orphan_process_unread(f, errno);
  } else if (!S_ISREG(info.st_mode)) {
    lose(f, 0, 0, RK_ERR_CORRUPT, "not a regular file", 0);
  } else {
    found.size = f->members != NULL ? found.size : (uint64_t)info.st_size;
    return found;
  }
  if (found.fd >= 0) {
    (void)close(found.fd);
  }
  found.fd = -1;
  return found;
}

static void close_file(const opened *file)
{
  if (file->fd >= 0) {
    (void)close(file->fd);
  }
}

/* False: the file is shorter or cannot be read; told. */
static bool read_at(rk_orphan_finding *f, const opened *file, void *out, uint64_t size, uint64_t offset)
{
  if (f->members != NULL && !rk_range_ok(offset, size, file->size)) {
    lose(f, offset, size, RK_ERR_TRUNCATED, "the file is too short", 0);
    return false;
  }
  const rk_status status = rk_file_read(file->fd, out, size, file->base + offset);
  if (status == RK_ERR_TRUNCATED) {
    lose(f, offset, size, status, "the file is too short", 0);
  } else if (status) {
    rk_orphan_process_unread(f, errno);
  }
  return status == RK_OK;
}

/* ---- Rings ---- */

/* Reads the rows of [tail, head) to their places, and the header once more: an adopter may have moved the tail on, and
 * a living writer, should this be one, may have used the places before it again. What lies before the tail is in the
 * recording. False: no rows, or told. */
static bool read_rows(rk_orphan_finding *f, const opened *file, rk_orphan_ring *ring)
{
  rk_ring_header *header = &ring->header;
  const uint64_t head = header->head;
  const uint64_t size = header->size;
  const uint64_t begin = header->tail & (size - 1);
  const uint64_t count = head - header->tail;
  const uint64_t first = count < size - begin ? count : size - begin;
  rk_ring_header after;
  if (!read_at(f, file, ring->data + begin, first, RK_RING_HEADER_SIZE + begin) ||
      !read_at(f, file, ring->data, count - first, RK_RING_HEADER_SIZE) || !read_at(f, file, &after, sizeof after, 0)) {
    return false;
  }
  if (after.tail == header->tail && after.tag == header->tag && after.size == size) {
    after.head = head;
    *header = after;
    return true;
  }
  if (after.tail >= head || after.tail < header->tail || after.tag != header->tag || after.size != size) {
    return false;
  }
  after.head = head;
  after.intent_end = after.intent_end > head ? 0 : after.intent_end;
  *header = after;
  return true;
}

static void read_ring(rk_orphan_finding *f, const rk_spool_file *file)
{
  rk_orphan_ring *ring = &f->rings[f->ring_count];
  *ring = (rk_orphan_ring){.number = (uint32_t)file->number};
  const opened ring_file = open_file(f, file);
  if (ring_file.fd < 0) {
    return;
  }
  ring->file_size = ring_file.size;
  rk_error error;
  rk_status status;
  const uint64_t known = sizeof ring->header;
  bool kept = false;
  if (ring->file_size == 0 || !read_at(f, &ring_file, &ring->header, known, 0) ||
      (ring->header.head == 0 && ring->header.tail == 0 && ring->header.dropped_rows == 0)) {
    (void)0; /* told, or nothing was ever logged into it */
  } else if ((status = rk_ring_header_check(&ring->header, ring->file_size, &error)) != RK_OK) {
    lose(f, error.offset, ring->file_size - error.offset, status, error.message, 0);
  } else if (ring->header.head != ring->header.tail || ring->header.dropped_rows != 0) {
    const uint64_t count = ring->header.head - ring->header.tail;
    if (count > RK_ORPHAN_SIZE_MAX - f->list->size) {
      lose(f, 0, ring->file_size, RK_ERR_LIMIT, "too many rows in spools", ring->header.tag);
    } else if ((ring->data = calloc(1, ring->header.size)) == NULL) {
      f->no_memory = true;
    } else {
      f->list->size += count;
      kept = read_rows(f, &ring_file, ring);
    }
  }
  close_file(&ring_file);
  if (kept) {
    f->ring_count++;
  } else {
    free(ring->data);
  }
}

/* ---- Definitions ---- */

/* The file's bytes; NULL: told. */
static uint8_t *read_definitions(rk_orphan_finding *f, const opened *file, uint64_t size)
{
  if (size > DEFINITIONS_MAX) {
    lose(f, 0, size, RK_ERR_LIMIT, "too many definitions", 0);
    return NULL;
  }
  uint8_t *bytes = malloc(size + 1);
  if (bytes == NULL) {
    f->no_memory = true;
  } else if (!read_at(f, file, bytes, size, 0)) {
    free(bytes);
    bytes = NULL;
  }
  return bytes;
}

/* False: told. */
static bool load(rk_orphan_finding *f, rk_dictionary *dictionary, const uint8_t *bytes, uint64_t size)
{
  rk_error error = {.offset = 0, .message = ""};
  const rk_status status = rk_dictionary_load(dictionary, bytes, size, &error);
  if (status == RK_ERR_NO_MEMORY) {
    f->no_memory = true;
  } else if (status == RK_END) {
    lose(f, 0, size, RK_ERR_TRUNCATED, "rows without definitions", 0);
  } else if (status != RK_OK) {
    const uint64_t offset = error.offset > size ? 0 : error.offset;
    lose(f, offset, size - offset, status, error.message, 0);
  } else if (dictionary->recording_hash != f->file->hash || dictionary->process != f->file->process) {
    lose(f, 0, size, RK_ERR_CORRUPT, "definitions of another spool than the name says", 0);
  } else {
    return true;
  }
  return false;
}

/* No such process, or one that only waits for its parent to ask how it ended. */
static bool is_gone(int64_t pid)
{
  if (kill((pid_t)pid, 0) != 0) {
    return errno == ESRCH;
  }
  const char state = rk_process_state(pid);
  return state == 'Z' || state == 'X';
}

/* Whether the process lives whose lock this is. The lock of a process that is gone is an adopter's: what it appends
 * may come too late for this reader, so its spool is read. */
static bool is_alive(rk_orphan_finding *f, const opened *file)
{
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  const uint64_t size = file->size;
  if (f->members != NULL || fcntl(file->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) {
    return false;
  }
  if (size > DEFINITIONS_MAX) {
    return true;
  }
  bool gone = false;
  uint8_t *bytes = read_definitions(f, file, size);
  if (bytes != NULL) {
    rk_dictionary dictionary;
    gone = rk_dictionary_load(&dictionary, bytes, size, NULL) == RK_OK && dictionary.pid > 0 &&
           dictionary.pid <= INT32_MAX && rk_boot_is_ours(dictionary.boot_id) && is_gone(dictionary.pid);
    rk_dictionary_free(&dictionary);
    free(bytes);
  }
  return !gone;
}

/* ---- A process ---- */

/* The rows of the rings as a spool of the list. */
static void add_spool(rk_orphan_finding *f, const rk_spool_file *definitions, const opened *file)
{
  struct stat info;
  rk_orphan_list *list = f->list;
  f->file = definitions;
  if (file->fd < 0 || fstat(file->fd, &info) != 0) {
    lose(f, 0, 0, RK_ERR_TRUNCATED, "rows without definitions", 0);
    return;
  }
  const uint64_t size = f->members != NULL ? file->size : (uint64_t)info.st_size; /* it may have grown */
  uint8_t *bytes = read_definitions(f, file, size);
  rk_dictionary dictionary = {0};
  rk_orphan_spool spool = {.recording_hash = definitions->hash};
  if (bytes != NULL && load(f, &dictionary, bytes, size)) {
    rk_buffer_append(&spool.stream, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
    for (size_t i = 0; i < f->ring_count && !f->no_memory; i++) {
      const rk_spool_file ring = {
          .hash = definitions->hash, .process = definitions->process, .number = f->rings[i].number};
      f->file = &ring;
      f->no_memory = rk_orphan_rows_encode(&spool.stream, &dictionary, &f->rings[i], lose, f) != RK_OK;
      f->file = definitions;
    }
    spool.path = path_of(f->directory, definitions);
    if (spool.path == NULL ||
        !rk_array_grow((void **)&list->spools, &list->spool_capacity, list->spool_count + 1, sizeof *list->spools)) {
      f->no_memory = true;
    }
  }
  if (spool.path != NULL && !f->no_memory) {
    list->spools[list->spool_count++] = spool;
  } else {
    free(spool.path);
    rk_buffer_free(&spool.stream);
  }
  rk_dictionary_free(&dictionary);
  free(bytes);
}

/* The rings among the files of one dead process, and what their rows become. */
static void read_rings(rk_orphan_finding *f, const rk_spool_file *files, size_t count, const rk_spool_file *definitions,
                       const opened *definitions_file)
{
  f->ring_count = 0;
  f->rings = calloc(count, sizeof *f->rings);
  f->no_memory = f->rings == NULL;
  for (size_t i = 0; i < count && !f->no_memory; i++) {
    if (files[i].number != RK_SPOOL_DEFINITIONS) {
      read_ring(f, &files[i]);
    }
  }
  if (f->ring_count > 0 && !f->no_memory) {
    add_spool(f, definitions, definitions_file); /* read after the rows: what they use was defined before */
  }
  for (size_t i = 0; i < f->ring_count; i++) {
    free(f->rings[i].data);
  }
  free(f->rings);
  f->rings = NULL;
}

void rk_orphan_process_read(rk_orphan_finding *f, const rk_spool_file *files, size_t count)
{
  const rk_spool_file definitions = {.hash = files->hash, .process = files->process, .number = RK_SPOOL_DEFINITIONS};
  const size_t losses = f->list->loss_count;
  const opened file = open_file(f, &definitions); /* also where the listing missed it: it may be new */
  const bool unreadable = f->list->loss_count > losses;
  if (!unreadable && !f->no_memory && (file.fd < 0 || !is_alive(f, &file))) {
    read_rings(f, files, count, &definitions, &file);
  }
  close_file(&file);
  f->file = NULL;
}
