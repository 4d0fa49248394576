/* Files of a bundle put into a directory: never outside it, never through a link, never half. */
#ifndef TOOLS_PACK_EXTRACT_H
#define TOOLS_PACK_EXTRACT_H

#include "tools/pack/pack_bundle.h"

/* Writes the bundle's current member below `directory` (a descriptor): under a temporary name, and put in place when
 * its sum is right. `force`: an existing file is replaced. False: not so; reported. */
bool pack_extract(bundle *b, int directory, bool force);

#endif
