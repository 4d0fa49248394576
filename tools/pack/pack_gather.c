/* What goes into a bundle: the files behind the operands, recordings with what dead writers left in their spools. */
#include "tools/pack/pack_gather.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/cli.h"
#include "tools/print/json.h"
#include "tools/terminal.h"

typedef struct gathering {
  pack_manifest *m;
  const gather_options *options;
  struct stat output;
  bool has_output, failed;
} gathering;

static char *join(const char *a, const char *separator, const char *b)
{
  char *text = cli_realloc(NULL, strlen(a) + strlen(separator) + strlen(b) + 1, 1);
  strcpy(text, a);
  strcat(text, separator);
  return strcat(text, b);
}

static bool ends_with(const char *text, const char *ending)
{
  size_t size = strlen(text), end = strlen(ending);
  return size > end && strcmp(text + size - end, ending) == 0;
}

static void complain(gathering *g, const char *path, const char *what)
{
  cli_error(path, "%s", what);
  g->failed = true;
}

/* Whether somebody holds the lock that a process which writes it holds (SPEC "Participants"). */
static bool is_locked(const char *path)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  if (fd >= 0)
    close(fd);
  return locked;
}

/* ---- Members ---- */

static pack_member *add(gathering *g, const char *name, pack_kind kind, const char *path, uint64_t size)
{
  if (!pack_name_safe(name)) {
    complain(g, path, "cannot be a member of a bundle by that name: not UTF-8, or with control characters");
    return NULL;
  }
  pack_member *member = pack_manifest_add(g->m, name);
  member->kind = kind;
  member->path = cli_copy(path);
  member->size = size;
  return member;
}

/* ---- Recordings ---- */

/* By its first bytes, or by what people would expect behind the name. */
static bool is_recording(const char *path, const char *name)
{
  static const unsigned char unit[] = {0x5d, 0x2a, 0x4d, 0x18}; /* SPEC "Zstandard recordings" */
  unsigned char head[4] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
  if (fd >= 0)
    close(fd);
  return (n == 4 && (memcmp(head, "RRF", 3) == 0 || memcmp(head, unit, 4) == 0)) || ends_with(name, ".rrd") ||
         ends_with(name, ".rbl") || strstr(name, ".rrd.") != NULL || strstr(name, ".rbl.") != NULL;
}

/* Counts what the recording holds. `hashes`: of its recordings, as names of spool files begin with them. */
static void count(const gathering *g, pack_member *member, uint64_t **hashes, size_t *hash_count)
{
  const rk_reader_options options = {
      .ignore_spools = g->options->ignore_spool, .on_loss = cli_loss, .max_ratio = UINT32_MAX};
  rk_reader *reader = NULL;
  rk_error error = {.offset = RK_NO_OFFSET};
  rk_status status = rk_reader_open(&options, &reader, &error);
  if (status == RK_OK)
    status = rk_reader_add(reader, member->path, NULL, &error);
  if (status) {
    cli_report(member->path, &error);
    cli_worsen(CLI_LOST);
    cli_note("%s is packed as an attachment", cli_printable(member->path));
    member->kind = PACK_ATTACHMENT;
    rk_reader_free(reader);
    return;
  }
  rk_reader_stats stats;
  size_t writers, stores;
  rk_reader_get_stats(reader, &stats);
  rk_reader_writers(reader, &writers);
  const rk_store *const *list = rk_reader_stores(reader, &stores);
  out ids;
  out_init(&ids, -1);
  out_char(&ids, '[');
  *hashes = cli_realloc(NULL, stores, sizeof **hashes);
  for (size_t i = 0; i < stores; i++) {
    out_text(&ids, i == 0 ? "{" : ", {");
    json_key(&ids, true, "application_id");
    out_char(&ids, ' ');
    json_text(&ids, list[i]->application_id);
    out_text(&ids, ", ");
    json_key(&ids, true, "recording_id");
    out_char(&ids, ' ');
    json_text(&ids, list[i]->recording_id);
    out_char(&ids, '}');
    char *both = join(list[i]->application_id, "", "");
    size_t size = strlen(both);
    both = cli_realloc(both, size + strlen(list[i]->recording_id) + 2, 1);
    strcpy(both + size + 1, list[i]->recording_id); /* behind the NUL */
    (*hashes)[(*hash_count)++] = XXH3_64bits(both, size + 1 + strlen(list[i]->recording_id));
    free(both);
  }
  out_bytes(&ids, "]", 2);
  member->ids = cli_copy(ids.error != 0 ? "[]" : ids.data);
  out_free(&ids);
  member->counted = true;
  member->rows = stats.rows_indexed;
  member->spool_rows = stats.spool_rows;
  member->chunks = stats.chunk_count;
  member->writers = writers;
  rk_reader_free(reader);
}

/* "HASH-PROCESS.defs" or "HASH-PROCESS-N.ring": 33 characters say whose it is. */
static bool is_spool_file(const char *name)
{
  return strlen(name) > 33 && strspn(name, "0123456789abcdef") == 16 && name[16] == '-' &&
         strspn(name + 17, "0123456789abcdef") == 16 && (ends_with(name, ".defs") || ends_with(name, ".ring"));
}

/* Whether a process lives to whose spool the file belongs. */
static bool is_living(const char *directory, const char *file)
{
  char definitions[48];
  snprintf(definitions, sizeof definitions, "%.33s.defs", file);
  char *path = join(directory, "/", definitions);
  bool living = is_locked(path);
  free(path);
  return living;
}

static bool wanted(const char *file, const uint64_t *hashes, size_t hash_count)
{
  if (hashes == NULL)
    return true;
  uint64_t hash = strtoull((char[17]){file[0], file[1], file[2], file[3], file[4], file[5], file[6], file[7], file[8],
                                      file[9], file[10], file[11], file[12], file[13], file[14], file[15], 0},
                           NULL, 16);
  for (size_t i = 0; i < hash_count; i++)
    if (hashes[i] == hash)
      return true;
  return false;
}

/* The files of dead processes in a spool directory; with hashes only those of these recordings. */
static void add_spool(gathering *g, const char *name, const char *directory, const uint64_t *hashes, size_t hash_count)
{
  DIR *entries = opendir(directory);
  if (entries == NULL) {
    if (errno != ENOENT && errno != ENOTDIR)
      complain(g, directory, strerror(errno));
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (!is_spool_file(entry->d_name) || !wanted(entry->d_name, hashes, hash_count) ||
        is_living(directory, entry->d_name))
      continue;
    struct stat info;
    char *path = join(directory, "/", entry->d_name);
    char *spool = join(name, ".spool/", entry->d_name);
    if (lstat(path, &info) == 0 && S_ISREG(info.st_mode))
      add(g, spool, PACK_SPOOL, path, (uint64_t)info.st_size);
    free(spool);
    free(path);
  }
  closedir(entries);
}

static bool same_directory(const char *a, const char *b)
{
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Spools first: what is adopted meanwhile is then in both, not in neither. */
static void add_spools(gathering *g, const char *name, const char *path, const uint64_t *hashes, size_t hash_count)
{
  char *real = realpath(path, NULL);
  char *beside = join(real == NULL ? path : real, ".spool", "");
  add_spool(g, name, beside, NULL, 0);
  const char *shared = getenv("RRDKIT_SPOOL_DIR");
  if (shared != NULL && *shared != '\0' && hash_count > 0 && !same_directory(beside, shared))
    add_spool(g, name, shared, hashes, hash_count);
  free(beside);
  free(real);
}

static void add_recording(gathering *g, const char *name, const char *path)
{
  struct stat info;
  if (is_locked(path)) {
    if (!g->options->live) {
      complain(g, path, "somebody is writing it; wait for its end, or give --live to take it as far as it reaches");
      return;
    }
    cli_note("%s is being written: it is taken as far as it reaches", cli_printable(path));
  }
  pack_member draft = {.kind = PACK_RECORDING, .path = cli_copy(path)};
  uint64_t *hashes = NULL;
  size_t hash_count = 0;
  count(g, &draft, &hashes, &hash_count);
  if (draft.kind == PACK_RECORDING && !g->options->ignore_spool)
    add_spools(g, name, path, hashes, hash_count);
  pack_member *member = stat(path, &info) == 0 ? add(g, name, draft.kind, path, (uint64_t)info.st_size) : NULL;
  if (member != NULL) {
    draft.name = member->name;
    draft.size = member->size;
    free(draft.path);
    draft.path = member->path;
    *member = draft;
  } else {
    free(draft.path);
    free(draft.ids);
  }
  free(hashes);
}

/* ---- Files and directories ---- */

static void add_directory(gathering *g, const char *name, const char *path, int depth);

/* `operand`: named by the user, so symbolic links are followed. */
static void add_path(gathering *g, const char *name, const char *path, bool operand, int depth)
{
  struct stat info;
  if ((operand ? stat(path, &info) : lstat(path, &info)) != 0) {
    complain(g, path, strerror(errno));
  } else if (S_ISDIR(info.st_mode)) {
    add_directory(g, name, path, depth);
  } else if (!S_ISREG(info.st_mode)) {
    if (operand)
      complain(g, path, "neither a file nor a directory");
    else
      cli_note("%s is left out: neither a file nor a directory", cli_printable(path));
  } else if (!operand && g->has_output && info.st_dev == g->output.st_dev && info.st_ino == g->output.st_ino) {
    cli_note("%s is left out: it is the output", cli_printable(path));
  } else if (is_recording(path, name)) {
    terminal_progress("looking at recordings", "", g->m->count, 0);
    add_recording(g, name, path);
  } else {
    add(g, name, PACK_ATTACHMENT, path, (uint64_t)info.st_size);
  }
}

/* A spool's directory goes with the recording beside it. */
static bool is_spool_of_neighbour(const char *path)
{
  struct stat info;
  if (!ends_with(path, ".spool") || stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
    return false;
  char *recording = cli_copy(path);
  recording[strlen(recording) - strlen(".spool")] = '\0';
  bool found = stat(recording, &info) == 0 && S_ISREG(info.st_mode);
  free(recording);
  return found;
}

static void add_directory(gathering *g, const char *name, const char *path, int depth)
{
  DIR *entries = depth > 100 ? NULL : opendir(path);
  if (entries == NULL) {
    complain(g, path, depth > 100 ? "directories are nested too deep" : strerror(errno));
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    char *inner = join(path, path[strlen(path) - 1] == '/' ? "" : "/", entry->d_name);
    char *inner_name = join(name, *name == '\0' ? "" : "/", entry->d_name);
    if (!is_spool_of_neighbour(inner))
      add_path(g, inner_name, inner, false, depth + 1);
    free(inner_name);
    free(inner);
  }
  closedir(entries);
}

bool pack_gather(pack_manifest *m, const gather_options *options, char *const *paths, size_t count_of_paths)
{
  gathering g = {.m = m, .options = options};
  g.has_output = strcmp(options->output, "-") != 0 && stat(options->output, &g.output) == 0;
  for (size_t i = 0; i < count_of_paths; i++) {
    char *name = pack_name_of(paths[i]);
    struct stat info;
    if (strcmp(paths[i], "-") == 0)
      complain(&g, paths[i], "a member needs a name; give a file");
    else if (*name == '\0' && stat(paths[i], &info) == 0 && !S_ISDIR(info.st_mode))
      complain(&g, paths[i], "has no name");
    else if (!is_spool_of_neighbour(paths[i]) || !ends_with(name, ".spool"))
      add_path(&g, name, paths[i], true, 0);
    else { /* living writers' files are left out of it */
      name[strlen(name) - strlen(".spool")] = '\0';
      add_spool(&g, name, paths[i], NULL, 0);
    }
    free(name);
  }
  terminal_progress_end();
  pack_manifest_sort(m);
  size_t kept = 0;
  for (size_t i = 0; i < m->count; i++) { /* the same file named twice is one member */
    pack_member *member = &m->members[i], *before = kept == 0 ? NULL : &m->members[kept - 1];
    struct stat a, b;
    if (before != NULL && strcmp(before->name, member->name) == 0) {
      if (stat(before->path, &a) == 0 && stat(member->path, &b) == 0 &&
          (a.st_dev != b.st_dev || a.st_ino != b.st_ino)) {
        cli_error(member->path, "would be the member %s, and so would %s", cli_printable(member->name),
                  cli_printable(before->path));
        g.failed = true;
      }
      free(member->name);
      free(member->ids);
      free(member->path);
      if (before->kind == PACK_ATTACHMENT)
        before->kind = member->kind;
      continue;
    }
    if (strcmp(member->name, PACK_MANIFEST_NAME) == 0)
      complain(&g, member->path, "has the name of the bundle's manifest");
    m->members[kept++] = *member;
  }
  m->count = kept;
  return !g.failed;
}
