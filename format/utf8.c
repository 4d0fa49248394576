/* UTF-8: validation, replacement and escaping (SPEC "Text"). */
#include "format/utf8.h"

#include <stdint.h>
#include <string.h>

#include "format/bytes.h"

/* Looks at the sequence that starts at p (size >= 1). Returns its length and sets *valid; an invalid one's length is
 * that of its maximal subpart, at least 1. */
static size_t sequence(const uint8_t *p, size_t size, bool *valid)
{
  *valid = p[0] < 0x80;
  if (p[0] < 0xC2 || p[0] > 0xF4) {
    return 1;
  }
  const size_t need = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
  /* The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF (Unicode table 3-7). */
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  switch (p[0]) {
  case 0xE0:
    low = 0xA0;
    break;
  case 0xED:
    high = 0x9F;
    break;
  case 0xF0:
    low = 0x90;
    break;
  case 0xF4:
    high = 0x8F;
    break;
  default:
    break;
  }
  for (size_t i = 1; i < need; i++) {
    if (i >= size || p[i] < low || p[i] > high) {
      return i;
    }
    low = 0x80;
    high = 0xBF;
  }
  *valid = true;
  return need;
}

static size_t ascii_run(const uint8_t *p, size_t size)
{
  size_t i = 0;
  while (size - i >= 8 && (rk_load_u64(p + i) & UINT64_C(0x8080808080808080)) == 0) {
    i += 8;
  }
  while (i < size && p[i] < 0x80) {
    i++;
  }
  return i;
}

/* The length of the valid prefix. */
static size_t valid_prefix(const uint8_t *p, size_t size)
{
  size_t i = 0;
  for (;;) {
    i += ascii_run(p + i, size - i);
    if (i == size) {
      return i;
    }
    bool valid;
    const size_t length = sequence(p + i, size - i, &valid);
    if (!valid) {
      return i;
    }
    i += length;
  }
}

bool rk_utf8_valid(const void *text, size_t size)
{
  return size == 0 || valid_prefix(text, size) == size;
}

void rk_utf8_append_replaced(rk_buffer *out, const void *text, size_t size)
{
  const uint8_t *p = text;
  while (size > 0) {
    const size_t good = valid_prefix(p, size);
    rk_buffer_append(out, p, good);
    p += good;
    size -= good;
    if (size > 0) {
      bool valid;
      const size_t bad = sequence(p, size, &valid);
      rk_buffer_append(out, "\xEF\xBF\xBD", 3);
      p += bad;
      size -= bad;
    }
  }
}

/* Whether a valid sequence would disturb a terminal or forge lines: controls, line separators, bidi overrides. */
static bool disturbs(const uint8_t *p, size_t length)
{
  if (length == 1) {
    return p[0] < 0x20 || p[0] == 0x7F;
  }
  if (length == 2) {
    return p[0] == 0xC2 && p[1] < 0xA0;
  }
  if (length == 3 && p[0] == 0xE2) {
    return (p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE) || (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9);
  }
  return false;
}

char *rk_escape(char *out, size_t out_size, const void *text, size_t size)
{
  if (out_size == 0) {
    return out;
  }
  static const char digits[] = "0123456789ABCDEF";
  const uint8_t *p = text;
  size_t used = 0;
  size_t cut = 0; /* last boundary after which "..." and the NUL still fit */
  for (size_t i = 0; i < size;) {
    bool valid;
    const size_t length = sequence(p + i, size - i, &valid);
    char unit[16];
    size_t unit_size = 0;
    if (valid && !disturbs(p + i, length)) {
      memcpy(unit, p + i, length);
      unit_size = length;
    } else {
      for (size_t k = 0; k < length; k++) {
        unit[unit_size++] = '\\';
        unit[unit_size++] = 'x';
        unit[unit_size++] = digits[p[i + k] >> 4];
        unit[unit_size++] = digits[p[i + k] & 15];
      }
    }
    if (unit_size >= out_size - used) {
      const size_t dots = out_size - 1 - cut < 3 ? out_size - 1 - cut : 3;
      memcpy(out + cut, "...", dots);
      out[cut + dots] = '\0';
      return out;
    }
    memcpy(out + used, unit, unit_size);
    used += unit_size;
    i += length;
    if (used + 3 < out_size) {
      cut = used;
    }
  }
  out[used] = '\0';
  return out;
}
