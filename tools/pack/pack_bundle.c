/* Reading a bundle front to back, every member against the manifest. */
#include "tools/pack/pack_bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/pack/pack_sum.h"
#include "tools/terminal.h"

static void damage(bundle *b, const char *member, const char *what)
{
  rk_error error = {.offset = RK_NO_OFFSET};
  strncpy(error.message, what, sizeof error.message - 1);
  char *name = member == NULL ? NULL : cli_realloc(NULL, strlen(b->path) + strlen(member) + 2, 1);
  if (name != NULL) {
    strcpy(name, b->path);
    strcat(name, ":");
    strcat(name, member);
  }
  cli_report(name == NULL ? b->path : name, &error);
  free(name);
  cli_worsen(CLI_LOST);
  b->damaged = true;
}

static const char *reason(struct archive *archive)
{
  const char *text = archive_error_string(archive);
  return text == NULL ? "it cannot be read" : cli_printable(text);
}

static void progress(const bundle *b)
{
  const uint64_t done = (uint64_t)archive_filter_bytes(b->archive, -1);
  terminal_progress("reading", "KiB", (done > b->size && b->size > 0 ? b->size : done) >> 10, b->size >> 10);
}

/* The next header; NULL: the end, or *failed. */
static struct archive_entry *next_entry(bundle *b, bool *failed)
{
  struct archive_entry *entry = NULL;
  int result;
  unsigned tries = 0;
  do {
    result = archive_read_next_header(b->archive, &entry);
  } while (result == ARCHIVE_RETRY && ++tries < 100);
  *failed = result != ARCHIVE_EOF && result < ARCHIVE_WARN;
  return result == ARCHIVE_EOF || result < ARCHIVE_WARN ? NULL : entry;
}

static bool read_manifest(bundle *b)
{
  bool failed;
  struct archive_entry *entry = next_entry(b, &failed);
  const char *name = entry == NULL ? NULL : archive_entry_pathname_utf8(entry);
  if (failed) {
    cli_error(b->path, "%s", reason(b->archive));
    return false;
  }
  if (name == NULL || strcmp(name, PACK_MANIFEST_NAME) != 0 || archive_entry_filetype(entry) != AE_IFREG) {
    cli_error(b->path, "not a bundle of rrd-pack: it does not begin with " PACK_MANIFEST_NAME);
    return false;
  }
  static char block[1 << 16];
  la_ssize_t n;
  while ((n = archive_read_data(b->archive, block, sizeof block)) > 0 && b->text.size <= PACK_MANIFEST_MAX)
    out_bytes(&b->text, block, (size_t)n);
  if (n < 0)
    cli_error(b->path, "%s", reason(b->archive));
  else if (n > 0 || b->text.error != 0 || !pack_manifest_parse(&b->manifest, b->text.data, b->text.size))
    cli_error(b->path, "its manifest is damaged, or newer than this rrd-pack");
  else
    return true;
  return false;
}

bool bundle_open(bundle *b, const char *path)
{
  *b = (bundle){.path = path, .fd = STDIN_FILENO};
  out_init(&b->text, -1);
  struct stat info;
  if (strcmp(path, "-") != 0)
    b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (b->fd < 0 || fstat(b->fd, &info) != 0 || (S_ISDIR(info.st_mode) && (errno = EISDIR) != 0)) {
    cli_error(path, "%s", strerror(errno));
    return false;
  }
  b->size = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
  b->archive = archive_read_new();
  if (b->archive == NULL) {
    cli_error(NULL, "out of memory");
    return false;
  }
  archive_read_support_filter_gzip(b->archive);
  archive_read_support_filter_zstd(b->archive);
  archive_read_support_format_tar(b->archive);
  archive_read_support_format_zip(b->archive);
  if (archive_read_open_fd(b->archive, b->fd, 1 << 16) < ARCHIVE_WARN) {
    cli_error(path, "%s", reason(b->archive));
    return false;
  }
  return read_manifest(b);
}

bool bundle_next(bundle *b)
{
  for (;;) {
    bool failed;
    struct archive_entry *entry = next_entry(b, &failed);
    if (entry == NULL) {
      if (failed)
        damage(b, NULL, reason(b->archive));
      return false;
    }
    progress(b);
    b->name = archive_entry_pathname_utf8(entry);
    b->member = b->name == NULL ? NULL : pack_manifest_find(&b->manifest, b->name);
    if (b->member == NULL || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL)
      damage(b, b->name == NULL ? "?" : b->name, "the manifest knows no such member");
    else if (b->member->met++ > 0)
      damage(b, b->name, "it is there twice");
    else
      return true;
  }
}

bool bundle_take(bundle *b, bool (*take)(void *context, const void *block, size_t size), void *context)
{
  static char block[1 << 16];
  XXH3_state_t *state = pack_sum_begin();
  char sum[PACK_SUM_SIZE + 1];
  uint64_t size = 0;
  la_ssize_t n = 0;
  bool taken = true;
  while (taken && size <= b->member->size && (n = archive_read_data(b->archive, block, sizeof block)) > 0) {
    XXH3_128bits_update(state, block, (size_t)n);
    size += (uint64_t)n;
    taken = size > b->member->size || take == NULL || take(context, block, (size_t)n);
    progress(b);
  }
  pack_sum_end(state, sum);
  if (!taken)
    return false;
  if (n < 0)
    damage(b, b->name, reason(b->archive));
  else if (size != b->member->size)
    damage(b, b->name,
           size < b->member->size ? "it is shorter than the manifest says" : "it is longer than the manifest says");
  else if (strcmp(sum, b->member->sum) != 0)
    damage(b, b->name, "its sum is not the manifest's");
  else
    return true;
  return false;
}

void bundle_check_missing(bundle *b)
{
  for (size_t i = 0; i < b->manifest.count; i++)
    if (b->manifest.members[i].met == 0)
      damage(b, b->manifest.members[i].name, "it is missing");
}

void bundle_close(bundle *b)
{
  terminal_progress_end();
  if (b->archive != NULL)
    archive_read_free(b->archive);
  if (b->fd > STDIN_FILENO)
    close(b->fd);
  pack_manifest_free(&b->manifest);
  out_free(&b->text);
}
