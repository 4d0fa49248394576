/* rrd-pack: bundles recordings, spools of dead writers and attachments with their sums; lists, verifies, unpacks. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/check/check_report.h"
#include "tools/cli.h"
#include "tools/output_file.h"
#include "tools/pack/pack_bundle.h"
#include "tools/pack/pack_create.h"
#include "tools/pack/pack_extract.h"
#include "tools/pack/pack_gather.h"
#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/text_table.h"
#include "tools/terminal.h"

enum {
  OPTION_LIST = 256,
  OPTION_VERIFY,
  OPTION_EXTRACT,
  OPTION_JSON,
  OPTION_FORMAT,
  OPTION_LEVEL,
  OPTION_THREADS,
  OPTION_LIVE,
  OPTION_IGNORE_SPOOL,
  OPTION_FORCE
};

static const cli_option options[] = {
    {0, NULL, NULL, "Packing"},
    {'o', "output", "BUNDLE",
     "pack the files and directories to BUNDLE: .tar.zst, .tar.gz, .tar or .zip; - is standard output. An existing "
     "file "
     "is replaced when all is done"},
    {OPTION_FORMAT, "format", "HOW", "tar.zst, tar.gz, tar or zip, whatever BUNDLE is named"},
    {OPTION_LEVEL, "level", "N", "compress harder or faster: 1 to 19 for .tar.zst, 1 to 9 for the others"},
    {OPTION_THREADS, "threads", "N", "compress with N threads (default: all cores); the bytes do not depend on it"},
    {OPTION_LIVE, "live", NULL, "take recordings that somebody is writing too, as far as they reach"},
    {OPTION_IGNORE_SPOOL, "ignore-spool", NULL, "leave out what dead writers left in their spools"},
    {0, NULL, NULL, "Reading"},
    {OPTION_LIST, "list", NULL, "what BUNDLE holds, by its manifest"},
    {OPTION_VERIFY, "verify", NULL, "check every member's sum, and that the recordings are sound"},
    {OPTION_EXTRACT, "extract", NULL,
     "unpack all members, or those that match MEMBER (a name, a directory, or a glob), with the spools of recordings"},
    {'C', "directory", "DIR", "where to unpack to (default: here)"},
    {OPTION_JSON, "json", NULL, "with --list the manifest, with --verify an object on one line"},
    {0, NULL, NULL, "Running"},
    {OPTION_FORCE, "force", NULL, "replace existing files when unpacking; write to a terminal too"},
    {'q', "quiet", NULL, "print nothing but errors"},
    {0},
};

static const cli_tool tool = {
    .name = "rrd-pack",
    .usage = "-o BUNDLE FILE...\n       rrd-pack --list|--verify BUNDLE...\n       rrd-pack --extract [-C DIR] BUNDLE "
             "[MEMBER]...",
    .summary =
        "Bundle Rerun recordings, with what dead writers left in their spools, and any other files. A bundle has a "
        "manifest with the sum of every member; the same files give the same bytes. The other tools read the "
        "recordings in it where they are.",
    .closing = "Exit code: 0 clean, 1 failed, 2 wrong usage, 3 done but data is damaged, missing\n"
               "or not what the manifest says.\n",
    .options = options,
};

typedef enum action { PACK, LIST, VERIFY, EXTRACT } action;

typedef struct request {
  action action;
  const char *output, *directory;
  create_options create;
  bool live, ignore_spool, json, force, quiet, packing_option;
} request;

static int parse_number(int id, int most)
{
  char *end;
  errno = 0;
  long value = strtol(optarg, &end, 10);
  if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || value < 1 || value > most)
    cli_usage_argument(id, id == OPTION_LEVEL ? "a level" : "a number of threads");
  return (int)value;
}

static void set_action(request *r, action what)
{
  if (r->action != PACK && r->action != what)
    cli_usage("--list, --verify and --extract exclude each other");
  r->action = what;
}

static void parse_option(request *r, int id)
{
  r->packing_option |= id == OPTION_FORMAT || id == OPTION_LEVEL || id == OPTION_THREADS || id == OPTION_LIVE ||
                       id == OPTION_IGNORE_SPOOL;
  switch (id) {
  case 'o':
    if (r->output != NULL)
      cli_usage("more than one output");
    r->output = optarg;
    break;
  case OPTION_FORMAT:
    r->create.format = strcmp(optarg, "tar.zst") == 0  ? PACK_TAR_ZST
                       : strcmp(optarg, "tar.gz") == 0 ? PACK_TAR_GZ
                       : strcmp(optarg, "tar") == 0    ? PACK_TAR
                       : strcmp(optarg, "zip") == 0    ? PACK_ZIP
                                                       : PACK_NONE;
    if (r->create.format == PACK_NONE)
      cli_usage_argument(id, "tar.zst, tar.gz, tar or zip");
    break;
  case OPTION_LEVEL:
    r->create.level = parse_number(id, 19);
    break;
  case OPTION_THREADS:
    r->create.threads = (unsigned)parse_number(id, 256);
    break;
  case OPTION_LIVE:
    r->live = true;
    break;
  case OPTION_IGNORE_SPOOL:
    r->ignore_spool = true;
    break;
  case OPTION_LIST:
    set_action(r, LIST);
    break;
  case OPTION_VERIFY:
    set_action(r, VERIFY);
    break;
  case OPTION_EXTRACT:
    set_action(r, EXTRACT);
    break;
  case 'C':
    r->directory = optarg;
    break;
  case OPTION_JSON:
    r->json = true;
    break;
  case OPTION_FORCE:
    r->force = true;
    break;
  case 'q':
    r->quiet = true;
    break;
  }
}

static void parse(request *r, int argc, char **argv)
{
  *r = (request){0};
  for (int id; (id = cli_option_next(argc, argv)) >= 0;)
    parse_option(r, id);
  if (r->action == PACK && r->output == NULL)
    cli_usage("nothing to do; give -o BUNDLE, --list, --verify or --extract");
  if (r->action != PACK && (r->output != NULL || r->packing_option))
    cli_usage("-o and the options of packing do not go with --list, --verify or --extract");
  if (r->json && r->action != LIST && r->action != VERIFY)
    cli_usage("--json goes with --list or --verify");
  if (r->directory != NULL && r->action != EXTRACT)
    cli_usage("-C goes with --extract");
  if (optind == argc)
    cli_usage(r->action == PACK ? "nothing to pack" : "no bundle");
  if (r->action != PACK)
    return;
  if (r->create.format == PACK_NONE)
    r->create.format = strcmp(r->output, "-") == 0 ? PACK_TAR_ZST : pack_format_of(r->output);
  if (r->create.format == PACK_NONE)
    cli_usage("'%s' does not end with .tar.zst, .tar.gz, .tar or .zip; give --format", cli_printable(r->output));
  if (r->create.format != PACK_TAR_ZST && r->create.level > 9)
    cli_usage("--level: 1 to 9 in this format");
}

/* ---- Packing ---- */

static void pack(const request *r, char *const *paths, size_t count)
{
  pack_manifest m = {0};
  output_file file;
  const gather_options how = {.live = r->live, .ignore_spool = r->ignore_spool, .output = r->output};
  if (!output_is_input(r->output, paths, count) && pack_gather(&m, &how, paths, count) && pack_sums(&m) &&
      output_open(&file, r->output, r->force)) {
    if (pack_create(&file, &m, &r->create))
      output_commit(&file);
    else
      output_discard(&file);
  }
  pack_manifest_free(&m);
}

/* ---- Listing ---- */

static void print_list(out *o, const bundle *b)
{
  table t;
  table_init(&t, b->path, (const char *const[]){"kind", ">size", ">rows", ">in spools", ">writers", "name", NULL});
  for (size_t i = 0; i < b->manifest.count; i++) {
    const pack_member *member = &b->manifest.members[i];
    table_text(&t, pack_kind_name(member->kind));
    out_uint(table_cell(&t), member->size);
    table_next(&t);
    const uint64_t numbers[] = {member->rows, member->spool_rows, member->writers};
    for (size_t n = 0; n < 3; n++) {
      out *cell = table_cell(&t);
      if (member->counted && (n != 1 || numbers[n] > 0))
        out_uint(cell, numbers[n]);
      table_next(&t);
    }
    table_text(&t, member->name);
  }
  table_print(&t, o, terminal_width(STDOUT_FILENO), terminal_coloured(STDOUT_FILENO, COLOUR_AUTO));
  table_free(&t);
}

static void list(const request *r, const char *path, out *o)
{
  bundle b;
  if (bundle_open(&b, path)) {
    if (r->json)
      out_bytes(o, b.text.data, b.text.size);
    else
      print_list(o, &b);
  }
  bundle_close(&b);
}

/* ---- Verifying ---- */

/* Judges the recordings in the bundle, all together, as rrd-check does. */
static void judge(const request *r, const char *path, out *o)
{
  check_report report = {.file = path};
  const rk_reader_options told = {.on_loss = check_on_loss, .context = &report, .max_ratio = UINT32_MAX};
  const rk_verify_options how = {.on_finding = check_on_finding, .context = &report};
  rk_reader *reader = NULL;
  rk_reader_stats stats;
  rk_error error = {.offset = RK_NO_OFFSET};
  rk_status status = rk_reader_open(&told, &reader, &error);
  if (status == RK_OK)
    status = rk_reader_add(reader, path, NULL, &error);
  if (status == RK_OK)
    status = rk_reader_verify(reader, &how, &report.verified, &error);
  if (status) {
    cli_error_record(path, &error);
    if (r->json)
      check_print_json_failure(o, path, error.message);
  } else {
    rk_reader_get_stats(reader, &stats);
    report.size = stats.input_size;
    if (!report.verified.sound)
      cli_worsen(CLI_LOST);
    if (!r->quiet)
      (r->json ? check_print_json : check_print_text)(o, &report);
  }
  rk_reader_free(reader);
  check_report_free(&report);
}

static void verify(const request *r, const char *path, out *o)
{
  bundle b;
  size_t recordings = 0;
  uint64_t size = 0;
  if (strcmp(path, "-") == 0) {
    cli_error(path, "is read twice to be verified; give a file");
    return;
  }
  bool opened = bundle_open(&b, path);
  if (opened) {
    while (bundle_next(&b))
      (void)bundle_take(&b, NULL, NULL);
    bundle_check_missing(&b);
    for (size_t i = 0; i < b.manifest.count; i++) {
      recordings += b.manifest.members[i].kind == PACK_RECORDING;
      size += b.manifest.members[i].size;
    }
    terminal_progress_end();
    if (!r->quiet && !r->json) {
      out_text(o, cli_printable(path));
      out_format(o, ": %zu members, %" PRIu64 " bytes: %s\n", b.manifest.count, size,
                 b.damaged ? "not what the manifest says" : "as the manifest says");
    } else if (r->json && recordings == 0) {
      out_text(o, "{\"file\":");
      json_text(o, path);
      out_format(o, ",\"sound\":%s}\n", b.damaged ? "false" : "true");
    }
  }
  bundle_close(&b);
  if (opened && recordings > 0)
    judge(r, path, o);
}

/* ---- Unpacking ---- */

/* Whether `what` (a name, a directory or a glob) names the member or the recording whose spool it belongs to. */
static bool matches(const char *what, const pack_member *member)
{
  char *name = cli_copy(member->name);
  const char *spool = member->kind == PACK_SPOOL ? strstr(name, ".spool/") : NULL;
  size_t size = strlen(what);
  while (size > 1 && what[size - 1] == '/')
    size--;
  bool found = (strncmp(name, what, size) == 0 && (name[size] == '\0' || name[size] == '/')) ||
               fnmatch(what, name, FNM_PATHNAME) == 0;
  if (!found && spool != NULL) {
    name[spool - name] = '\0';
    found = strcmp(name, what) == 0 || fnmatch(what, name, FNM_PATHNAME) == 0;
  }
  free(name);
  return found;
}

static bool wanted(const pack_member *member, char *const *members, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (matches(members[i], member))
      return true;
  return count == 0;
}

static bool all_there(const bundle *b, char *const *members, size_t count)
{
  bool ok = true;
  for (size_t i = 0; i < count; i++) {
    bool found = false;
    for (size_t k = 0; !found && k < b->manifest.count; k++)
      found = matches(members[i], &b->manifest.members[k]);
    if (!found) {
      cli_error(b->path, "has no member %s", cli_printable(members[i]));
      ok = false;
    }
  }
  return ok;
}

static void extract(const request *r, const char *path, char *const *members, size_t count)
{
  bundle b;
  const char *to = r->directory == NULL ? "." : r->directory;
  if (bundle_open(&b, path) && all_there(&b, members, count)) {
    int directory = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
      cli_error(to, "%s", strerror(errno));
    } else {
      while (bundle_next(&b))
        if (wanted(b.member, members, count))
          (void)pack_extract(&b, directory, r->force);
      for (size_t i = 0; i < b.manifest.count; i++) /* what was not asked for need not be there */
        b.manifest.members[i].met += !wanted(&b.manifest.members[i], members, count);
      bundle_check_missing(&b);
      close(directory);
    }
  }
  bundle_close(&b);
}

int main(int argc, char **argv)
{
  request r;
  setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives, whatever the user's locale */
  cli_start(&tool);
  parse(&r, argc, argv);
  char **paths = argv + optind;
  size_t count = (size_t)(argc - optind);
  if (r.action == PACK || r.action == EXTRACT) {
    if (r.action == PACK)
      pack(&r, paths, count);
    else
      extract(&r, paths[0], paths + 1, count - 1);
    return cli_finish(NULL);
  }
  out o;
  out_init(&o, STDOUT_FILENO);
  for (size_t i = 0; i < count; i++) {
    (r.action == LIST ? list : verify)(&r, paths[i], &o);
    out_flush(&o);
  }
  return cli_finish(&o);
}
