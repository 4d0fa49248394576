/* The recordings and spool files of an archive, unpacked. */
#include "reader/input/archive_members.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/entity_path.h"
#include "format/error.h"
#include "format/numbering.h"
#include "format/utf8.h"
#include "reader/input/archive.h"
#include "reader/input/temporary.h"

static rk_status no_memory(rk_unpack *unpack)
{
  return rk_fail(&unpack->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to unpack");
}

/* ---- Names ---- */

/* As the archive tells it, without what leads nowhere: "./", slashes at the beginning. It is never used as a path.
 * NULL: memory is short. */
static char *name_of(struct archive_entry *entry, size_t number)
{
  const char *name = archive_entry_pathname_utf8(entry);
  if (!name) {
    name = archive_entry_pathname(entry);
  }
  while (name && (*name == '/' || (name[0] == '.' && name[1] == '/'))) {
    name += *name == '/' ? 1 : 2;
  }
  char *copy = NULL;
  return name && *name ? strdup(name) : asprintf(&copy, "member %zu", number) < 0 ? NULL : copy;
}

static bool ends_with(const char *text, const char *ending)
{
  const size_t size = strlen(text);
  const size_t end = strlen(ending);
  return size >= end && strcmp(text + size - end, ending) == 0;
}

/* Whether people would expect a recording behind that name. */
static bool names_recording(const char *name)
{
  const char *slash = strrchr(name, '/');
  const char *base = slash ? slash + 1 : name;
  return ends_with(base, ".rrd") || ends_with(base, ".rbl") || strstr(base, ".rrd.") || strstr(base, ".rbl.");
}

/* Splits "DIRECTORY.spool/FILE" where FILE is named like a file of a spool. */
static bool names_spool_file(const char *name, size_t *directory_size, const char **file)
{
  const char *slash = strrchr(name, '/');
  if (!slash || slash - name < 7 || memcmp(slash - 6, ".spool", 6) != 0) {
    return false;
  }
  *directory_size = (size_t)(slash - name) - 6;
  *file = slash + 1;
  return ends_with(*file, ".defs") || ends_with(*file, ".ring");
}

/* `name` need not end with a NUL. */
static bool admits(const char *pattern, const char *name, size_t size)
{
  if (!pattern || (strlen(pattern) == size && memcmp(pattern, name, size) == 0)) {
    return true;
  }
  if (size > RK_ENTITY_PATH_MAX) {
    return false;
  }
  char path[2 * RK_ENTITY_PATH_MAX + 2] = "/"; /* as an entity's path, in which a backslash escapes */
  size_t at = 1;
  for (size_t i = 0; i < size; i++) {
    if (name[i] == '\\') {
      path[at++] = '\\';
    }
    path[at++] = name[i];
  }
  path[at] = '\0';
  return rk_entity_path_match(pattern, path);
}

static void list_name(rk_archive_members *members, const char *name)
{
  char printable[80];
  const size_t used = strlen(members->listing);
  if (used > 0 && ends_with(members->listing, ", ...")) {
    return;
  }
  (void)rk_escape(printable, sizeof printable, name, strlen(name));
  if (used + strlen(printable) + 6 < sizeof members->listing) {
    (void)snprintf(members->listing + used, sizeof members->listing - used, "%s%s", used > 0 ? ", " : "", printable);
  } else {
    (void)snprintf(members->listing + used, sizeof members->listing - used, ", ...");
  }
}

/* ---- Recordings ---- */

static rk_archive_recording *add_recording(rk_archive_members *members, const char *name)
{
  char *copy = name ? strdup(name) : NULL;
  if ((name && !copy) || !rk_array_grow((void **)&members->recordings, &members->recording_capacity,
                                        members->recording_count + 1, sizeof *members->recordings)) {
    free(copy);
    return NULL;
  }
  rk_archive_recording *recording = &members->recordings[members->recording_count++];
  *recording = (rk_archive_recording){.name = copy, .fd = -1, .unpacked = true};
  return recording;
}

/* Keeps what cut a member short. Status of what ends all reading, else RK_OK. */
static rk_status cut_short(rk_archive_recording *recording, const rk_layer *stream, rk_status status)
{
  if (stream->unpack->error.status) {
    return stream->unpack->error.status;
  }
  recording->error = stream->error;
  recording->error.status = status;
  return RK_OK;
}

rk_status rk_archive_members_add(rk_archive_members *members, rk_layer *stream, const char *name,
                                 const char *temporary_directory)
{
  rk_archive_recording *recording = add_recording(members, name);
  if (!recording) {
    return no_memory(stream->unpack);
  }
  recording->fd = rk_temporary_file(temporary_directory);
  if (recording->fd < 0) {
    return rk_fail_errno(&stream->unpack->error, errno, "cannot make a temporary file");
  }
  uint64_t size;
  const rk_status status = rk_layer_copy(stream, recording->fd, 0, &size);
  return status ? cut_short(recording, stream, status) : RK_OK;
}

static rk_status lose_member(rk_archive_members *members, rk_unpack *unpack, const char *name, rk_status status,
                             const char *reason)
{
  rk_archive_recording *recording = add_recording(members, name);
  if (!recording) {
    return no_memory(unpack);
  }
  (void)rk_fail(&recording->error, status, RK_NO_OFFSET, "%s", reason);
  return RK_OK;
}

/* ---- Files of spools ---- */

static rk_status add_spool_file(rk_archive_members *members, rk_layer *stream, const char *name, size_t directory_size,
                                const char *file, const char *temporary_directory)
{
  rk_unpack *unpack = stream->unpack;
  if (members->spool_fd < 0) {
    members->spool_fd = rk_temporary_file(temporary_directory);
    if (members->spool_fd < 0) {
      return rk_fail_errno(&unpack->error, errno, "cannot make a temporary file");
    }
  }
  rk_archive_spool_file added = {.directory = strndup(name, directory_size),
                                 .name = strdup(file),
                                 .offset = members->spool_size,
                                 .number = members->file_count};
  if (!added.directory || !added.name ||
      !rk_array_grow((void **)&members->files, &members->file_capacity, members->file_count + 1,
                     sizeof *members->files)) {
    free(added.directory);
    free(added.name);
    return no_memory(unpack);
  }
  /* One that is cut short is too short for what its header tells: a loss, told when it is read. */
  (void)rk_layer_copy(stream, members->spool_fd, members->spool_size, &added.size);
  members->spool_size += added.size;
  members->files[members->file_count++] = added;
  return unpack->error.status;
}

/* ---- The archive ---- */

static rk_status read_file(rk_archive_members *members, rk_unpack *unpack, struct archive *archive,
                           struct archive_entry *entry, unsigned depth, const char *name, const char *pattern,
                           const char *temporary_directory)
{
  size_t directory_size = strlen(name);
  const char *file;
  const bool in_spool = names_spool_file(name, &directory_size, &file);
  if (!in_spool) {
    list_name(members, name);
  }
  if (!admits(pattern, name, directory_size)) {
    return RK_OK;
  }
  if (archive_entry_is_encrypted(entry)) {
    return lose_member(members, unpack, name, RK_ERR_UNSUPPORTED, "it is encrypted");
  }
  rk_layer stream;
  rk_layer_of_entry(&stream, unpack, archive, depth);
  rk_content content = RK_CONTENT_OTHER;
  int code;
  rk_status status;
  if (in_spool) {
    status = add_spool_file(members, &stream, name, directory_size, file, temporary_directory);
  } else {
    const la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    status = rk_layer_peel(&stream, &content, &code);
    if (status == RK_OK && (content == RK_CONTENT_RECORDING || content == RK_CONTENT_ZST_RECORDING)) {
      status = rk_archive_members_add(members, &stream, name, temporary_directory);
      if (status == RK_OK) {
        members->recordings[members->recording_count - 1].stored_size = size > 0 ? (uint64_t)size : 0;
      }
    } else if (unpack->error.status) {
      status = unpack->error.status;
    } else if (names_recording(name)) {
      const uint8_t *head;
      size_t head_size = 0;
      (void)rk_layer_head(&stream, &head, &head_size);
      status = stream.error.status ? lose_member(members, unpack, name, stream.error.status, stream.error.message)
               : head_size == 0    ? lose_member(members, unpack, name, RK_ERR_TRUNCATED, "it is empty")
                                   : lose_member(members, unpack, name, RK_ERR_NOT_RRD, "not a Rerun recording");
    } else {
      status = RK_OK; /* damage to what is no recording matters to nobody */
    }
  }
  rk_layer_close(&stream);
  return status;
}

rk_status rk_archive_members_read(rk_archive_members *members, rk_unpack *unpack, struct archive *archive,
                                  unsigned depth, const char *pattern, const char *temporary_directory)
{
  for (unsigned retries = 0;;) {
    struct archive_entry *entry;
    const int result = archive_read_next_header(archive, &entry);
    if (result == ARCHIVE_EOF) {
      return RK_OK;
    }
    if (result == ARCHIVE_RETRY && ++retries < 1000) {
      continue;
    }
    if (result < ARCHIVE_WARN || result == ARCHIVE_RETRY) {
      (void)rk_unpack_failure(unpack, archive, &members->error);
      if (archive_read_has_encrypted_entries(archive) > 0) {
        (void)rk_fail(&members->error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET, "the archive is encrypted");
      }
      return unpack->error.status;
    }
    if (++members->seen > RK_ARCHIVE_MEMBERS_MAX) {
      return rk_fail(&unpack->error, RK_ERR_LIMIT, RK_NO_OFFSET, "an archive of more than %zu members",
                     RK_ARCHIVE_MEMBERS_MAX);
    }
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
      continue;
    }
    char *name = name_of(entry, members->seen);
    if (!name) {
      return no_memory(unpack);
    }
    const rk_status status = read_file(members, unpack, archive, entry, depth, name, pattern, temporary_directory);
    free(name);
    if (status) {
      return status;
    }
  }
}

void rk_archive_members_free(rk_archive_members *members)
{
  for (size_t i = 0; i < members->recording_count; i++) {
    if (members->recordings[i].fd >= 0) {
      (void)close(members->recordings[i].fd);
    }
    free(members->recordings[i].name);
  }
  for (size_t i = 0; i < members->file_count; i++) {
    free(members->files[i].directory);
    free(members->files[i].name);
  }
  if (members->spool_fd >= 0) {
    (void)close(members->spool_fd);
  }
  free(members->recordings);
  free(members->files);
  *members = (rk_archive_members){.spool_fd = -1};
}
