/* Bytes from hex text: pairs of digits, blanks ignored, `#` comments to the end of the line. */
#ifndef RK_TESTS_HEX_H
#define RK_TESTS_HEX_H

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/buffer.h"

static inline int hex_digit(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* False when the text is not hex. `XX*N` repeats a byte N times. */
static inline bool hex_append(rk_buffer *out, const char *text, size_t size)
{
  size_t i = 0;
  while (i < size) {
    if (text[i] == '#') {
      while (i < size && text[i] != '\n') {
        i++;
      }
    } else if (isspace((unsigned char)text[i])) {
      i++;
    } else {
      if (i + 1 >= size || hex_digit(text[i]) < 0 || hex_digit(text[i + 1]) < 0) {
        return false;
      }
      const uint8_t byte = (uint8_t)(hex_digit(text[i]) * 16 + hex_digit(text[i + 1]));
      i += 2;
      size_t count = 1;
      if (i < size && text[i] == '*') {
        count = 0;
        for (i++; i < size && isdigit((unsigned char)text[i]); i++) {
          count = count * 10 + (size_t)(text[i] - '0');
        }
        if (count == 0 || count > 1u << 20) {
          return false;
        }
      }
      while (count-- > 0) {
        rk_buffer_append(out, &byte, 1);
      }
    }
  }
  return !out->failed;
}

#endif
