/* UTF-8: validation, replacement of what is invalid, and escaping for messages. */
#ifndef RK_FORMAT_UTF8_H
#define RK_FORMAT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "format/buffer.h"

/* Strict UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). Fast on ASCII. */
bool rk_utf8_valid(const void *text, size_t size);
/* Appends `text` with each maximal invalid subpart (Unicode 3.9, "U+FFFD substitution of maximal subparts") replaced by
 * U+FFFD. */
void rk_utf8_append_replaced(rk_buffer *out, const void *text, size_t size);
/* Writes a printable form of `text` into out[out_size], NUL-terminated, control and invalid bytes as \xHH, cut with
 * "..." if too long. Returns `out`. For error messages. */
char *rk_escape(char *out, size_t out_size, const void *text, size_t size);

#endif
