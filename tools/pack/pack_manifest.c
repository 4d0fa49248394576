/* What a bundle says of its members: MANIFEST.json, its first member. */
#include "tools/pack/pack_manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/pack/pack_json.h"
#include "tools/print/json.h"

static const char *const kind_names[] = {"attachment", "recording", "spool"};

const char *pack_kind_name(pack_kind kind)
{
  return kind_names[kind];
}

pack_member *pack_manifest_add(pack_manifest *m, const char *name)
{
  if (m->count == m->capacity) {
    m->capacity = m->capacity == 0 ? 64 : m->capacity * 2;
    m->members = cli_realloc(m->members, m->capacity, sizeof *m->members);
  }
  pack_member *member = &m->members[m->count++];
  *member = (pack_member){.name = cli_copy(name)};
  return member;
}

static int compare(const void *left, const void *right)
{
  return strcmp(((const pack_member *)left)->name, ((const pack_member *)right)->name);
}

void pack_manifest_sort(pack_manifest *m)
{
  if (m->count > 0)
    qsort(m->members, m->count, sizeof *m->members, compare);
}

pack_member *pack_manifest_find(const pack_manifest *m, const char *name)
{
  const pack_member key = {.name = (char *)(uintptr_t)name};
  return m->count == 0 ? NULL : bsearch(&key, m->members, m->count, sizeof *m->members, compare);
}

void pack_manifest_free(pack_manifest *m)
{
  for (size_t i = 0; i < m->count; i++) {
    free(m->members[i].name);
    free(m->members[i].ids);
    free(m->members[i].path);
  }
  free(m->members);
  *m = (pack_manifest){0};
}

/* ---- Names ---- */

bool pack_name_safe(const char *name)
{
  size_t size = strlen(name);
  if (size == 0 || size > 4095)
    return false;
  for (size_t at = 0; at < size;) {
    uint32_t code;
    size_t n = utf8_take(name + at, size - at, &code);
    if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
      return false;
    at += n;
  }
  for (const char *part = name;; part++) {
    size_t length = strcspn(part, "/");
    if (length == 0 || length > 255 || (length == 1 && part[0] == '.') ||
        (length == 2 && part[0] == '.' && part[1] == '.'))
      return false;
    part += length;
    if (*part == '\0')
      return true;
  }
}

char *pack_name_of(const char *path)
{
  char *name = cli_realloc(NULL, strlen(path) + 1, 1);
  size_t used = 0;
  while (*path != '\0') {
    size_t length = strcspn(path, "/");
    if (length == 2 && path[0] == '.' && path[1] == '.') {
      used = 0;
    } else if (length > 0 && !(length == 1 && path[0] == '.')) {
      if (used > 0)
        name[used++] = '/';
      memcpy(name + used, path, length);
      used += length;
    }
    path += length;
    path += strspn(path, "/");
  }
  name[used] = '\0';
  return name;
}

/* ---- Writing ---- */

static void write_number(out *o, const char *key, uint64_t value)
{
  out_text(o, ", ");
  json_key(o, true, key);
  out_format(o, " %" PRIu64, value);
}

void pack_manifest_write(const pack_manifest *m, out *o)
{
  out_format(o, "{\"format\": \"rrd-pack\", \"format_version\": 1, \"rrdkit\": \"%s\", \"members\": [", rk_version());
  for (size_t i = 0; i < m->count; i++) {
    const pack_member *member = &m->members[i];
    out_text(o, i == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ");
    json_text(o, member->name);
    out_format(o, ", \"kind\": \"%s\"", pack_kind_name(member->kind));
    write_number(o, "size", member->size);
    out_format(o, ", \"xxh3_128\": \"%s\"", member->sum);
    if (member->counted) {
      write_number(o, "rows", member->rows);
      write_number(o, "spool_rows", member->spool_rows);
      write_number(o, "chunks", member->chunks);
      write_number(o, "writers", member->writers);
      out_format(o, ", \"recordings\": %s", member->ids);
    }
    out_char(o, '}');
  }
  out_text(o, "\n]}\n");
}

/* ---- Reading ---- */

static bool read_kind(json_reader *r, pack_kind *kind)
{
  char *text = json_read_string(r);
  bool found = false;
  for (unsigned i = 0; text != NULL && i < sizeof kind_names / sizeof kind_names[0]; i++)
    if (strcmp(text, kind_names[i]) == 0) {
      *kind = (pack_kind)i;
      found = true;
    }
  free(text);
  return found;
}

static bool read_sum(json_reader *r, char sum[PACK_SUM_SIZE + 1])
{
  char *text = json_read_string(r);
  bool ok = text != NULL && strlen(text) == PACK_SUM_SIZE && strspn(text, "0123456789abcdef") == PACK_SUM_SIZE;
  if (ok)
    memcpy(sum, text, PACK_SUM_SIZE + 1);
  free(text);
  return ok;
}

static bool read_member(json_reader *r, pack_manifest *m)
{
  pack_member member = {0};
  bool has_kind = false, has_size = false, ok = json_enter(r, '{');
  for (bool first = true; ok && json_more(r, '}', first); first = false) {
    char *key = json_read_key(r);
    if (key == NULL) {
      ok = false;
    } else if (strcmp(key, "name") == 0 && member.name == NULL) {
      member.name = json_read_string(r);
      ok = member.name != NULL && pack_name_safe(member.name);
    } else if (strcmp(key, "kind") == 0) {
      ok = has_kind = read_kind(r, &member.kind);
    } else if (strcmp(key, "size") == 0) {
      ok = has_size = json_read_uint(r, &member.size);
    } else if (strcmp(key, "xxh3_128") == 0) {
      ok = read_sum(r, member.sum);
    } else if (strcmp(key, "rows") == 0) {
      ok = member.counted = json_read_uint(r, &member.rows);
    } else if (strcmp(key, "spool_rows") == 0) {
      ok = json_read_uint(r, &member.spool_rows);
    } else if (strcmp(key, "chunks") == 0) {
      ok = json_read_uint(r, &member.chunks);
    } else if (strcmp(key, "writers") == 0) {
      ok = json_read_uint(r, &member.writers);
    } else {
      ok = json_skip(r);
    }
    free(key);
  }
  ok = ok && !r->failed && member.name != NULL && has_kind && has_size && member.sum[0] != '\0';
  if (ok) {
    pack_member *added = pack_manifest_add(m, member.name);
    free(added->name);
    *added = member;
  } else {
    free(member.name);
  }
  return ok;
}

static bool read_members(json_reader *r, pack_manifest *m)
{
  bool ok = json_enter(r, '[');
  for (bool first = true; ok && json_more(r, ']', first); first = false)
    ok = read_member(r, m);
  return ok && !r->failed;
}

bool pack_manifest_parse(pack_manifest *m, const char *text, size_t size)
{
  json_reader r = {.at = text, .end = text + size};
  bool known = false, has_members = false, ok = json_enter(&r, '{');
  uint64_t version = 0;
  for (bool first = true; ok && json_more(&r, '}', first); first = false) {
    char *key = json_read_key(&r);
    if (key == NULL) {
      ok = false;
    } else if (strcmp(key, "format") == 0) {
      char *format = json_read_string(&r);
      known = ok = format != NULL && strcmp(format, "rrd-pack") == 0;
      free(format);
    } else if (strcmp(key, "format_version") == 0) {
      ok = json_read_uint(&r, &version);
    } else if (strcmp(key, "members") == 0 && !has_members) {
      ok = has_members = read_members(&r, m);
    } else {
      ok = json_skip(&r);
    }
    free(key);
  }
  ok = ok && json_end(&r) && known && has_members && version == 1;
  pack_manifest_sort(m);
  for (size_t i = 1; ok && i < m->count; i++)
    ok = strcmp(m->members[i - 1].name, m->members[i].name) != 0;
  return ok && pack_manifest_find(m, PACK_MANIFEST_NAME) == NULL;
}
