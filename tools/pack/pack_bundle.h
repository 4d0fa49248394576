/* Reading a bundle front to back, every member against the manifest. */
#ifndef TOOLS_PACK_BUNDLE_H
#define TOOLS_PACK_BUNDLE_H

#include "tools/pack/pack_manifest.h"

struct archive;

typedef struct bundle {
  const char *path;
  int fd;
  uint64_t size; /* 0: unknown */
  struct archive *archive;
  out text; /* the manifest's */
  pack_manifest manifest;
  const char *name;    /* of the member met last */
  pack_member *member; /* what the manifest says of it; NULL: nothing */
  bool damaged;        /* something differed; reported */
} bundle;

/* Opens it and reads its manifest. False: it is no bundle, or cannot be read; reported. */
bool bundle_open(bundle *b, const char *path);
/* The next member. False: no more, or damaged from here on (reported). */
bool bundle_next(bundle *b);
/* Takes the member's data, each block to `take` (or nobody; its false ends it). False: it is not what the manifest
 * says; reported, but for what `take` refused. */
bool bundle_take(bundle *b, bool (*take)(void *context, const void *block, size_t size), void *context);
/* Reports members that were not met. Call it when all were. */
void bundle_check_missing(bundle *b);
void bundle_close(bundle *b);

#endif
