/* What a bundle says of its members: MANIFEST.json, its first member. */
#ifndef TOOLS_PACK_MANIFEST_H
#define TOOLS_PACK_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/out.h"

#define PACK_MANIFEST_NAME "MANIFEST.json"
#define PACK_MANIFEST_MAX  ((size_t)64 << 20)

enum { PACK_SUM_SIZE = 32 }; /* digits of an XXH3-128 */

typedef enum pack_kind { PACK_ATTACHMENT, PACK_RECORDING, PACK_SPOOL } pack_kind;

typedef struct pack_member {
  char *name;
  pack_kind kind;
  uint64_t size;
  char sum[PACK_SUM_SIZE + 1];
  /* Of a recording, as it could be read: */
  bool counted;
  uint64_t rows, spool_rows, chunks, writers;
  char *ids; /* JSON array of objects; NULL when not counted. Not kept by reading */
  /* When packing: where it comes from. When reading: how often it was met. */
  char *path;
  unsigned met;
} pack_member;

/* Sorted by name. Zero-initialise. */
typedef struct pack_manifest {
  pack_member *members;
  size_t count, capacity;
} pack_manifest;

const char *pack_kind_name(pack_kind kind);

pack_member *pack_manifest_add(pack_manifest *m, const char *name);
void pack_manifest_sort(pack_manifest *m);
/* In a sorted one; or NULL. */
pack_member *pack_manifest_find(const pack_manifest *m, const char *name);
void pack_manifest_write(const pack_manifest *m, out *o);
/* False: this is no manifest; *m is then to be freed all the same. Names are safe (pack_name_safe) and differ. */
bool pack_manifest_parse(pack_manifest *m, const char *text, size_t size);
void pack_manifest_free(pack_manifest *m);

/* Whether a member may have that name: valid UTF-8 without control characters, relative, no empty part, no "." or "..".
 */
bool pack_name_safe(const char *name);
/* The name under which a file at `path` is packed: without what leads outside; to be freed. "" for the directory
 * itself.
 */
char *pack_name_of(const char *path);

#endif
