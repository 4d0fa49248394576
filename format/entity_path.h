/* Entity paths: from what people type to Rerun's normal form, and glob matching (SPEC "Entity paths"). */
#ifndef RK_FORMAT_ENTITY_PATH_H
#define RK_FORMAT_ENTITY_PATH_H

#include <stdbool.h>

#include "format/buffer.h"
#include "rrdkit/status.h"

/* Appends the normal form of `path` and a NUL (counted in out->size): one leading slash, no empty parts, `\` escapes as
 * Rerun writes them. Accepts a missing leading slash, escapes and unescaped special characters. RK_ERR_MISUSE, and
 * `out` as it was: empty, not UTF-8, empty part, a backslash that escapes nothing, too long (RK_ENTITY_PATH_MAX); "/"
 * alone is the root and allowed. RK_ERR_NO_MEMORY. */
rk_status rk_entity_path_normalize(rk_buffer *out, const char *path, rk_error *error);
#define RK_ENTITY_PATH_MAX 4096 /* bytes of a normal form, NUL not counted */
/* Whether any part begins with "__". On a normal path. */
bool rk_entity_path_reserved(const char *path);
/* Glob over normal paths, character by character after escapes: `*` any run within a part, `?` one character, `**` any
 * run across parts (as a whole part also no part at all: `a` itself and all below it are "a" slash `**`), "[a-z]" and
 * "[!a-z]" a set, backslash escapes. A glob without leading slash is taken as with one; one longer than
 * RK_ENTITY_PATH_MAX matches nothing. Time is at most path times glob. */
bool rk_entity_path_match(const char *glob, const char *path);

#endif
