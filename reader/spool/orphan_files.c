/* Spool files by their names: those of a directory or an archive, process by process (SPEC "Reading spools"). */
#include "reader/spool/orphan_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/bytes.h"
#include "reader/spool/orphan_process.h"

typedef struct spool_files {
  rk_spool_file *items;
  size_t count, capacity;
} spool_files;

static bool parse_hex(const char *text, uint64_t *value)
{
  *value = 0;
  for (int i = 0; i < 16; i++) {
    const char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
    *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}

/* "HASH-PROCESS.defs", "HASH-PROCESS-N.ring" as a writer spells them. */
bool rk_spool_file_parse(const char *name, rk_spool_file *file)
{
  if (strlen(name) < 33 || !parse_hex(name, &file->hash) || name[16] != '-' || !parse_hex(name + 17, &file->process)) {
    return false;
  }
  file->number = RK_SPOOL_DEFINITIONS;
  if (strcmp(name + 33, ".defs") == 0) {
    return true;
  }
  char spelled[64];
  unsigned number;
  if (sscanf(name + 33, "-%9u.ring", &number) != 1) {
    return false;
  }
  (void)snprintf(spelled, sizeof spelled, "-%u.ring", number);
  file->number = number;
  return strcmp(spelled, name + 33) == 0;
}

static int compare_files(const void *left, const void *right)
{
  const rk_spool_file *a = left;
  const rk_spool_file *b = right;
  if (a->hash != b->hash) {
    return a->hash < b->hash ? -1 : 1;
  }
  if (a->process != b->process) {
    return a->process < b->process ? -1 : 1;
  }
  return a->number < b->number ? -1 : a->number > b->number;
}

static void list_file(rk_orphan_finding *f, const char *name, const uint64_t *hash, const uint64_t *process,
                      spool_files *files)
{
  rk_spool_file file;
  if (!rk_spool_file_parse(name, &file) || (hash != NULL && file.hash != *hash) ||
      (process != NULL && file.process != *process)) {
    return;
  }
  if (!rk_array_grow((void **)&files->items, &files->capacity, files->count + 1, sizeof *files->items)) {
    f->no_memory = true;
    return;
  }
  files->items[files->count++] = file;
}

/* The spool files that the directory lists. */
static void list_files(rk_orphan_finding *f, DIR *directory, const uint64_t *hash, const uint64_t *process,
                       spool_files *files)
{
  while (!f->no_memory) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (entry == NULL) {
      if (errno != 0) {
        rk_orphan_process_unread(f, errno);
      }
      break;
    }
    list_file(f, entry->d_name, hash, process, files);
  }
}

static void read_files(rk_orphan_finding *f, spool_files *files)
{
  if (files->count > 0) {
    qsort(files->items, files->count, sizeof *files->items, compare_files);
  }
  for (size_t i = 0; i < files->count && !f->no_memory;) {
    size_t end = i + 1;
    while (end < files->count && files->items[end].hash == files->items[i].hash &&
           files->items[end].process == files->items[i].process) {
      end++;
    }
    rk_orphan_process_read(f, &files->items[i], end - i);
    i = end;
  }
  free(files->items);
}

rk_status rk_orphan_list_read_members(rk_orphan_list *list, const char *directory, const rk_orphan_members *members)
{
  rk_orphan_finding f = {.list = list, .directory = directory, .members = members, .directory_fd = -1};
  spool_files files = {0};
  for (size_t i = 0; i < members->count && !f.no_memory; i++) {
    list_file(&f, members->items[i].name, NULL, NULL, &files);
  }
  read_files(&f, &files);
  return f.no_memory ? RK_ERR_NO_MEMORY : RK_OK;
}

rk_status rk_orphan_list_read(rk_orphan_list *list, const char *directory, const uint64_t *hash,
                              const uint64_t *process)
{
  rk_orphan_finding f = {.list = list, .directory = directory};
  f.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (f.directory_fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)) {
    return RK_OK;
  }
  const int listed = f.directory_fd < 0 ? -1 : fcntl(f.directory_fd, F_DUPFD_CLOEXEC, 3);
  DIR *entries = listed < 0 ? NULL : fdopendir(listed);
  if (entries == NULL) {
    rk_orphan_process_unread(&f, errno);
    if (listed >= 0) {
      (void)close(listed);
    }
  } else {
    spool_files files = {0};
    list_files(&f, entries, hash, process, &files);
    (void)closedir(entries);
    read_files(&f, &files);
  }
  if (f.directory_fd >= 0) {
    (void)close(f.directory_fd);
  }
  return f.no_memory ? RK_ERR_NO_MEMORY : RK_OK;
}

void rk_orphan_list_free(rk_orphan_list *list)
{
  for (size_t i = 0; i < list->spool_count; i++) {
    free(list->spools[i].path);
    rk_buffer_free(&list->spools[i].stream);
  }
  for (size_t i = 0; i < list->loss_count; i++) {
    free(list->losses[i].path);
  }
  free(list->spools);
  free(list->losses);
  *list = (rk_orphan_list){0};
}
