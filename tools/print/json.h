/* JSON text: strings, keys and base64. */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include "tools/out.h"

/* A quoted string; bytes that are not UTF-8 become U+FFFD, one for each byte. */
void json_string(out *o, const char *text, size_t size);
void json_text(out *o, const char *text); /* the same, NUL-terminated; NULL prints null */
/* "key": with the colon; `first` prints no comma before it. */
void json_key(out *o, bool first, const char *key);
void json_base64(out *o, const uint8_t *bytes, size_t size); /* quoted, RFC 4648 section 4, padded */

/* Length of the UTF-8 sequence at the start of text, 0 if there is none that is valid; its value in *code. */
size_t utf8_take(const char *text, size_t size, uint32_t *code);

#endif
