/* The Rerun web viewer's npm package: where it is, and getting it. */
#ifndef TOOLS_REPLAY_VIEWER_H
#define TOOLS_REPLAY_VIEWER_H

#include <stdbool.h>

/* The package's directory: `given` (or NULL), $RRDKIT_WEB_VIEWER, share/rrdkit/web-viewer beside the program's bin, the
 * user's cache. NULL: reported, with what to run. The caller frees. */
char *viewer_find(const char *given);

/* Installs the pinned package into the user's cache with npm. False: reported. */
bool viewer_fetch(void);

#endif
