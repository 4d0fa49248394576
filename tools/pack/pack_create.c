/* Writing a bundle: the same bytes for the same members, whoever packs them, when, and with how many threads. */
#include "tools/pack/pack_create.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/cli.h"
#include "tools/pack/pack_sum.h"
#include "tools/terminal.h"

enum { BLOCK_SIZE = 1 << 18 };

pack_format pack_format_of(const char *name)
{
  static const struct {
    const char *ending;
    pack_format format;
  } endings[] = {{".tar.zst", PACK_TAR_ZST}, {".tzst", PACK_TAR_ZST}, {".tar.gz", PACK_TAR_GZ},
                 {".tgz", PACK_TAR_GZ},      {".tar", PACK_TAR},      {".zip", PACK_ZIP}};
  size_t size = strlen(name);
  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
    size_t end = strlen(endings[i].ending);
    if (size >= end && strcmp(name + size - end, endings[i].ending) == 0)
      return endings[i].format;
  }
  return PACK_NONE;
}

/* ---- Reading members ---- */

static uint64_t total_size(const pack_manifest *m)
{
  uint64_t total = 0;
  for (size_t i = 0; i < m->count; i++)
    total += m->members[i].size;
  return total;
}

/* Reads the first `size` bytes; each block to `take` (or nobody). Gives their sum. False: reported. */
static bool read_member(const pack_member *member, const char *what, uint64_t *done, uint64_t total, char *sum,
                        bool (*take)(void *context, const void *block, size_t size), void *context)
{
  int fd = open(member->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    cli_error(member->path, "%s", strerror(errno));
    return false;
  }
  unsigned char *block = cli_realloc(NULL, BLOCK_SIZE, 1);
  XXH3_state_t *state = pack_sum_begin();
  uint64_t left = member->size;
  bool ok = true;
  while (ok && left > 0) {
    ssize_t n = read(fd, block, left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      cli_error(member->path, "%s", n < 0 ? strerror(errno) : "changed while it was being packed: it became shorter");
      ok = false;
      break;
    }
    XXH3_128bits_update(state, block, (size_t)n);
    ok = take == NULL || take(context, block, (size_t)n);
    left -= (uint64_t)n;
    *done += (uint64_t)n;
    terminal_progress(what, "KiB", *done >> 10, total >> 10);
  }
  pack_sum_end(state, sum);
  free(block);
  close(fd);
  return ok;
}

bool pack_sums(pack_manifest *m)
{
  uint64_t done = 0, total = total_size(m);
  bool ok = true;
  for (size_t i = 0; ok && i < m->count; i++)
    ok = read_member(&m->members[i], "reading", &done, total, m->members[i].sum, NULL, NULL);
  terminal_progress_end();
  return ok;
}

/* ---- Writing ---- */

typedef struct creation {
  const output_file *file;
  struct archive *archive;
} creation;

static bool failed(const creation *c)
{
  /* a reader of standard output that had enough is no failure */
  if (!(archive_errno(c->archive) == EPIPE && c->file->target == NULL)) {
    /* "Write error" alone does not tell a full disk from a broken one */
    const int number = archive_errno(c->archive);
    const char *text = archive_error_string(c->archive);
    text = text == NULL ? "cannot be written" : cli_printable(text);
    if (number > 0)
      cli_error(output_name(c->file->path), "%s: %s", text, strerror(number));
    else
      cli_error(output_name(c->file->path), "%s", text);
  }
  return false;
}

static bool take_block(void *context, const void *block, size_t size)
{
  creation *c = context;
  return archive_write_data(c->archive, block, size) == (la_ssize_t)size || failed(c);
}

static bool begin_member(creation *c, const char *name, uint64_t size)
{
  struct archive_entry *entry = archive_entry_new();
  if (entry == NULL)
    return failed(c);
  archive_entry_set_pathname_utf8(entry, name);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, (la_int64_t)size);
  archive_entry_set_mtime(entry, 315532800, 0); /* 1980-01-01, the first that a zip can tell */
  bool ok = archive_write_header(c->archive, entry) >= ARCHIVE_WARN;
  archive_entry_free(entry);
  return ok || failed(c);
}

static bool set(creation *c, const char *module, const char *option, const char *value)
{
  return archive_write_set_option(c->archive, module, option, value) >= ARCHIVE_WARN || failed(c);
}

static bool prepare(creation *c, const create_options *options)
{
  struct archive *a = c->archive;
  char level[16], threads[16];
  snprintf(level, sizeof level, "%d", options->level);
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  /* Never 0: the bytes are the same for any number from 1 on. */
  snprintf(threads, sizeof threads, "%u", options->threads != 0 ? options->threads : cores > 0 ? (unsigned)cores : 1);
  if (options->format == PACK_ZIP) {
    setenv("TZ", "UTC", 1); /* a zip tells local time */
    tzset();
    if (archive_write_set_format_zip(a) < ARCHIVE_WARN || !set(c, "zip", "hdrcharset", "UTF-8"))
      return failed(c);
    return options->level == 0 || set(c, "zip", "compression-level", level);
  }
  if (archive_write_set_format_pax_restricted(a) < ARCHIVE_WARN)
    return failed(c);
  if (options->format == PACK_TAR_GZ)
    return (archive_write_add_filter_gzip(a) >= ARCHIVE_WARN || failed(c)) && set(c, "gzip", "timestamp", NULL) &&
           (options->level == 0 || set(c, "gzip", "compression-level", level));
  if (options->format == PACK_TAR_ZST)
    return (archive_write_add_filter_zstd(a) >= ARCHIVE_WARN || failed(c)) && set(c, "zstd", "threads", threads) &&
           (options->level == 0 || set(c, "zstd", "compression-level", level));
  return true;
}

static bool write_members(creation *c, const pack_manifest *m)
{
  out text;
  out_init(&text, -1);
  pack_manifest_write(m, &text);
  bool ok = text.error == 0 && text.size <= PACK_MANIFEST_MAX;
  if (!ok)
    cli_error(c->file->path, "too many members for one bundle");
  ok = ok && begin_member(c, PACK_MANIFEST_NAME, text.size) && take_block(c, text.data, text.size);
  out_free(&text);
  uint64_t done = 0, total = total_size(m);
  for (size_t i = 0; ok && i < m->count; i++) {
    const pack_member *member = &m->members[i];
    char sum[PACK_SUM_SIZE + 1];
    ok =
        begin_member(c, member->name, member->size) && read_member(member, "packing", &done, total, sum, take_block, c);
    if (ok && strcmp(sum, member->sum) != 0) {
      cli_error(member->path, "changed while it was being packed");
      ok = false;
    }
  }
  return ok;
}

bool pack_create(const output_file *file, const pack_manifest *m, const create_options *options)
{
  creation c = {.file = file, .archive = archive_write_new()};
  if (c.archive == NULL) {
    cli_error(NULL, "out of memory");
    return false;
  }
  bool ok = prepare(&c, options);
  if (ok)
    ok = (archive_write_set_bytes_in_last_block(c.archive, 1) >= ARCHIVE_WARN &&
          archive_write_open_fd(c.archive, file->fd) >= ARCHIVE_WARN) ||
         failed(&c);
  ok = ok && write_members(&c, m);
  if (ok)
    ok = archive_write_close(c.archive) >= ARCHIVE_WARN || failed(&c);
  else
    archive_write_fail(c.archive);
  archive_write_free(c.archive);
  terminal_progress_end();
  return ok;
}
