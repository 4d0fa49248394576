/* What goes into a bundle: the files behind the operands, recordings with what dead writers left in their spools. */
#ifndef TOOLS_PACK_GATHER_H
#define TOOLS_PACK_GATHER_H

#include "tools/pack/pack_manifest.h"

typedef struct gather_options {
  bool live;          /* recordings that somebody writes are taken as far as they reach */
  bool ignore_spool;  /* files of recordings alone */
  const char *output; /* left out where it lies in a directory */
} gather_options;

/* Fills the manifest, but for sums, and sorts it. False: something is missing or cannot be taken; reported. */
bool pack_gather(pack_manifest *m, const gather_options *options, char *const *paths, size_t count);

#endif
