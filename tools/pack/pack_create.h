/* Writing a bundle: the same bytes for the same members, whoever packs them, when, and with how many threads. */
#ifndef TOOLS_PACK_CREATE_H
#define TOOLS_PACK_CREATE_H

#include "tools/output_file.h"
#include "tools/pack/pack_manifest.h"

typedef enum pack_format { PACK_NONE, PACK_TAR, PACK_TAR_GZ, PACK_TAR_ZST, PACK_ZIP } pack_format;

/* By the end of the name (".tar.zst", ".tzst", ".tar.gz", ".tgz", ".tar", ".zip"); PACK_NONE: none of them. */
pack_format pack_format_of(const char *name);

typedef struct create_options {
  pack_format format;
  int level;        /* 0: the format's default */
  unsigned threads; /* 0: as many as there are cores; for .tar.zst */
} create_options;

/* Reads every member for its sum. False: reported. */
bool pack_sums(pack_manifest *m);
/* Writes manifest and members; false: reported, but for a reader of standard output that had enough. */
bool pack_create(const output_file *file, const pack_manifest *m, const create_options *options);

#endif
