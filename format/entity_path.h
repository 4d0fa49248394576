/* Entity paths: from what people type to Rerun's normal form, and glob matching (SPEC "Entity paths"). */
#ifndef RK_FORMAT_ENTITY_PATH_H
#define RK_FORMAT_ENTITY_PATH_H

#include <stdbool.h>

#include "format/buffer.h"
#include "rrdkit/status.h"

/* Appends the normal form of `path`, NUL-terminated: one leading slash, no empty parts, `\` escapes as Rerun writes
 * them. Accepts a missing leading slash, escapes and unescaped special characters. RK_ERR_MISUSE: empty, not UTF-8,
 * empty part, lone backslash, too long (RK_ENTITY_PATH_MAX);
 * "/" alone is the root and allowed. */
rk_status rk_entity_path_normalize(rk_buffer *out, const char *path, rk_error *error);
#define RK_ENTITY_PATH_MAX 4096
/* Whether any part begins with "__". On a normal path. */
bool rk_entity_path_reserved(const char *path);
/* Glob over normal paths: `*` any run within a part, `?` one character, `**` any run across parts, "[...]" a set,
 * backslash escapes. A glob without leading slash is taken as with one. Linear time. */
bool rk_entity_path_match(const char *glob, const char *path);

#endif
