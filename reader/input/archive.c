/* Inputs that are compressed, or archives: unpacked to temporary files without names, each recording an input of its
 * own. */
#include "reader/input/archive.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "format/utf8.h"
#include "reader/input/archive_members.h"
#include "reader/input/temporary.h"
#include "reader/spool/orphan.h"

/* What a path of the caller's stands for. */
typedef struct operand {
  char *path;          /* of a file; "-" is standard input */
  const char *pattern; /* behind the colon, within the caller's path; NULL: none */
  int fd;
} operand;

/* ---- Opening ---- */

static int open_path(const char *path)
{
  int fd;
  do {
    fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* The file, or else the longest beginning before a colon that is one. RK_ERR_NO_MEMORY; fd -1: there is none. */
static rk_status open_operand(operand *o, const char *path)
{
  *o = (operand){.path = strdup(path), .fd = -1};
  if (!o->path) {
    return RK_ERR_NO_MEMORY;
  }
  o->fd = open_path(path);
  while (o->fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)) {
    char *colon = strrchr(o->path, ':');
    if (!colon || colon == o->path) {
      break;
    }
    *colon = '\0';
    o->pattern = path + (colon - o->path) + 1;
    o->fd = open_path(o->path);
  }
  return RK_OK;
}

static void close_operand(operand *o)
{
  if (o->fd >= 0) {
    (void)close(o->fd);
  }
  free(o->path);
}

/* ---- Into the index ---- */

static void lose(rk_reader *reader, const char *name, const rk_error *error, uint64_t offset, uint64_t length)
{
  const rk_input named = {.name = name};
  rk_reader_lose(reader, &named, offset, length, error->status,
                 error->message[0] ? error->message : rk_status_text(error->status), 0);
}

static int compare_files(const void *left, const void *right)
{
  const rk_archive_spool_file *a = left;
  const rk_archive_spool_file *b = right;
  int order = strcmp(a->directory, b->directory);
  order = order ? order : strcmp(a->name, b->name);
  return order ? order : (a->number < b->number) - (a->number > b->number); /* of repeated ones the last comes first */
}

/* The files of one recording's spool among the sorted ones; *end: behind the last. */
static size_t find_files(const rk_archive_members *members, const char *directory, size_t *end)
{
  size_t low = 0;
  size_t high = members->file_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (strcmp(members->files[middle].directory, directory) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *end = low;
  while (*end < members->file_count && strcmp(members->files[*end].directory, directory) == 0) {
    ++*end;
  }
  return low;
}

static rk_status read_spool(rk_orphans *orphans, rk_source *source, rk_archive_members *members, const char *name,
                            const char *member)
{
  size_t end;
  const size_t first = find_files(members, member, &end);
  if (first == end) {
    return RK_OK;
  }
  rk_orphan_member *items = calloc(end - first, sizeof *items);
  char *spool = NULL;
  if (!items || asprintf(&spool, "%s.spool", name) < 0) {
    free(items);
    return RK_ERR_NO_MEMORY;
  }
  rk_orphan_members found = {.fd = members->spool_fd, .items = items};
  for (size_t i = first; i < end; i++) {
    rk_archive_spool_file *file = &members->files[i];
    file->used = true;
    if (found.count == 0 || strcmp(items[found.count - 1].name, file->name) != 0) {
      items[found.count++] = (rk_orphan_member){.name = file->name, .offset = file->offset, .size = file->size};
    }
  }
  const rk_status status = rk_orphans_read_members(orphans, source, spool, &found);
  free(spool);
  free(items);
  return status;
}

/* Adds one recording, or tells why not. Status of what ends everything. */
static rk_status add_recording(rk_reader *reader, rk_archive_members *members, rk_archive_recording *recording,
                               const char *name, const rk_input_options *options, size_t *added, rk_error *error)
{
  if (recording->fd < 0) {
    lose(reader, name, &recording->error, 0, 0);
    return RK_OK;
  }
  rk_input *input = calloc(1, sizeof *input);
  if (!input) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  *input = (rk_input){.shift_ns = options ? options->shift_ns : 0,
                      .unpacked = recording->unpacked,
                      .stored_size = recording->stored_size};
  rk_error reason = {.offset = RK_NO_OFFSET};
  rk_orphans orphans = {0};
  rk_status status = rk_source_open_fd(&input->source, recording->fd, &reason);
  if (status) {
    free(input);
  } else {
    recording->fd = -1;
    const uint64_t size = input->source.size;
    if (!reader->ignore_spools && recording->name) {
      status = read_spool(&orphans, &input->source, members, name, recording->name);
    }
    if (status) {
      rk_source_close(&input->source);
      free(input);
      status = rk_fail(&reason, status, RK_NO_OFFSET, "no memory to read spools");
    } else {
      status = rk_reader_add_source(reader, input, name, &orphans, &reason);
    }
    if (status == RK_OK && recording->error.status) {
      lose(reader, name, &recording->error, size, 0);
    }
  }
  rk_orphans_free(&orphans);
  if (status == RK_OK) {
    ++*added;
  } else if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO || status == RK_END || !recording->name) {
    if (error) {
      *error = reason;
    }
    return status;
  } else {
    lose(reader, name, &reason, 0, 0);
  }
  return RK_OK;
}

/* Spools whose recording is not there: their rows have no place. */
static rk_status lose_strays(rk_reader *reader, const rk_archive_members *members, const char *path)
{
  for (size_t i = 0; i < members->file_count; i++) {
    const char *directory = members->files[i].directory;
    const bool told = i > 0 && strcmp(members->files[i - 1].directory, directory) == 0;
    if (!members->files[i].used && !told) {
      char *name = NULL;
      if (asprintf(&name, "%s:%s.spool", path, directory) < 0) {
        return RK_ERR_NO_MEMORY;
      }
      const rk_error error = {.status = RK_ERR_CONFLICT, .message = "a spool without its recording"};
      lose(reader, name, &error, 0, 0);
      free(name);
    }
  }
  return RK_OK;
}

static rk_status add_members(rk_reader *reader, rk_archive_members *members, const char *path,
                             const rk_input_options *options, size_t *added, rk_error *error)
{
  if (members->file_count > 0) {
    qsort(members->files, members->file_count, sizeof *members->files, compare_files);
  }
  rk_status status = RK_OK;
  for (size_t i = 0; status == RK_OK && i < members->recording_count; i++) {
    rk_archive_recording *recording = &members->recordings[i];
    char *name = NULL;
    if (recording->name && asprintf(&name, "%s:%s", path, recording->name) < 0) {
      return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
    }
    status = add_recording(reader, members, recording, name ? name : path, options, added, error);
    free(name);
  }
  if (status == RK_OK && !reader->ignore_spools && lose_strays(reader, members, path) != RK_OK) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  return status;
}

/* ---- Unpacking ---- */

/* Formats that are read from their end need a file: what cannot seek is copied to one. */
static rk_status make_seekable(rk_layer *stream, int *copy, const char *temporary_directory)
{
  if (stream->seekable) {
    return RK_OK;
  }
  *copy = rk_temporary_file(temporary_directory);
  if (*copy < 0) {
    return rk_fail_errno(&stream->unpack->error, errno, "cannot make a temporary file");
  }
  uint64_t size;
  (void)rk_layer_copy(stream, *copy, 0, &size); /* cut short: the archive's reader will tell */
  return stream->unpack->error.status ? stream->unpack->error.status : rk_layer_replace(stream, *copy);
}

static bool is_readable(const rk_archive_members *members)
{
  for (size_t i = 0; i < members->recording_count; i++) {
    if (members->recordings[i].fd >= 0) {
      return true;
    }
  }
  return false;
}

/* Why an archive gave nothing. */
static rk_status tell_nothing(const rk_archive_members *members, const char *pattern, rk_error *error)
{
  char printable[64] = "";
  if (members->error.status) {
    if (error) {
      *error = members->error;
    }
    return members->error.status;
  }
  if (members->recording_count > 0) {
    const rk_archive_recording *first = &members->recordings[0];
    (void)rk_escape(printable, sizeof printable, first->name, strlen(first->name));
    return rk_fail(error, first->error.status, RK_NO_OFFSET, "no recording in the archive can be read: %s: %s",
                   printable, first->error.message);
  }
  if (pattern) {
    (void)rk_escape(printable, sizeof printable, pattern, strlen(pattern));
  }
  return rk_fail(error, RK_ERR_NOT_RRD, RK_NO_OFFSET, "no recording in the archive%s%s%s%s", pattern ? " matches " : "",
                 printable, members->listing[0] ? "; it holds " : "; it is empty", members->listing);
}

static rk_status unpack_archive(rk_reader *reader, rk_archive_members *members, rk_layer *stream, int format,
                                const char *pattern, rk_error *error)
{
  struct archive *archive;
  rk_status status = rk_layer_open_archive(stream, format, &archive, error);
  if (status) {
    return status;
  }
  status = rk_archive_members_read(members, stream->unpack, archive, stream->depth + 1, pattern,
                                   reader->temporary_directory);
  (void)archive_read_free(archive);
  if (status == RK_OK && !is_readable(members)) {
    status = tell_nothing(members, pattern, error);
  } else if (status && error) {
    *error = stream->unpack->error;
  }
  return status;
}

/* *taken false: a file that can be read as it is, or nothing that this knows. */
static rk_status unpack(rk_reader *reader, const operand *o, rk_archive_members *members, rk_unpack *limits,
                        bool *taken, rk_error *error)
{
  rk_layer stream;
  rk_content content = RK_CONTENT_OTHER;
  int code = 0;
  int copy = -1;
  rk_status status = rk_layer_of_file(&stream, limits, o->fd);
  if (status == RK_OK) {
    status = rk_layer_peel(&stream, &content, &code);
  }
  const bool archive = content == RK_CONTENT_ARCHIVE || content == RK_CONTENT_ARCHIVE_SEEKING;
  *taken = !stream.seekable || archive || o->pattern || limits->error.status;
  if (!*taken) {
    status = RK_OK;
  } else if (status) {
    const rk_error *reason = limits->error.status ? &limits->error : &stream.error;
    if (error) {
      *error = *reason;
    }
  } else if (archive) {
    status = content == RK_CONTENT_ARCHIVE ? RK_OK : make_seekable(&stream, &copy, reader->temporary_directory);
    if (status && error) {
      *error = limits->error;
    }
    if (status == RK_OK) {
      status = unpack_archive(reader, members, &stream, code, o->pattern, error);
    }
  } else if (content == RK_CONTENT_OTHER && stream.error.status) {
    status = stream.error.status;
    if (error) {
      *error = stream.error;
    }
  } else if (o->pattern) {
    status = rk_fail(error, RK_ERR_NOT_RRD, RK_NO_OFFSET, "not an archive, so nothing in it has a name");
  } else if (stream.depth > 0 && content == RK_CONTENT_OTHER) {
    status = rk_fail(error, RK_ERR_NOT_RRD, RK_NO_OFFSET, "compressed, but neither a recording nor an archive");
  } else {
    status = rk_archive_members_add(members, &stream, NULL, reader->temporary_directory);
    if (status && error) {
      *error = limits->error;
    }
    if (status == RK_OK) {
      members->recordings[0].stored_size = limits->stored;
      members->recordings[0].unpacked = stream.depth > 0;
    }
  }
  rk_layer_close(&stream);
  if (copy >= 0) {
    (void)close(copy);
  }
  return status;
}

rk_status rk_archive_add(rk_reader *reader, const char *path, const rk_input_options *options, bool *taken,
                         rk_error *error)
{
  *taken = false;
  operand o;
  if (open_operand(&o, path) != RK_OK) {
    *taken = true;
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  struct stat info;
  if (o.fd < 0 || fstat(o.fd, &info) != 0 || S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) && info.st_size == 0)) {
    close_operand(&o);
    return RK_OK;
  }
  rk_unpack limits = {
      .name = path, .max_ratio = reader->max_ratio, .on_progress = reader->on_progress, .context = reader->context};
  rk_archive_members members = {.spool_fd = -1};
  /* libarchive drops names that the thread's locale cannot tell. */
  const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  const locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
  rk_status status = unpack(reader, &o, &members, &limits, taken, error);
  if (utf8) {
    (void)uselocale(before);
    freelocale(utf8);
  }
  if (*taken && status == RK_OK) {
    size_t added = 0;
    reader->stats.read_size += limits.stored;
    status = add_members(reader, &members, o.path, options, &added, error);
    if (status == RK_OK && added == 0) { /* what was wrong with each was told */
      status = rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "no recording in the archive can be read");
    } else if (status == RK_OK && members.error.status) {
      const uint64_t end = limits.size > 0 && limits.stored > limits.size ? limits.size : limits.stored;
      lose(reader, o.path, &members.error, end, limits.size > end ? limits.size - end : 0);
    }
  }
  rk_archive_members_free(&members);
  close_operand(&o);
  return status;
}
