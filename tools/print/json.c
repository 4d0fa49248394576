/* JSON text: strings, keys and base64. */
#include "tools/print/json.h"

#include "tools/print/eight.h"

size_t utf8_take(const char *text, size_t size, uint32_t *code)
{
  const uint8_t *b = (const uint8_t *)text;
  if (size == 0)
    return 0;
  if (b[0] < 0x80) {
    *code = b[0];
    return 1;
  }
  size_t n = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
  if (b[0] < 0xc2 || b[0] > 0xf4 || size < n)
    return 0;
  uint32_t value = b[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((b[i] & 0xc0) != 0x80)
      return 0;
    value = value << 6 | (b[i] & 0x3fu);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
    return 0;
  *code = value;
  return n;
}

static void escape(out *o, unsigned char c)
{
  static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (const char *p = letters; *p != '\0'; p += 2)
    if ((unsigned char)*p == c) {
      out_bytes(o, (char[]){'\\', p[1]}, 2);
      return;
    }
  out_format(o, "\\u%04x", c);
}

/* Bytes at the start of text that stand for themselves, in whole words. */
static size_t plain_words(const char *text, size_t size)
{
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word = eight_load(text + at);
    if ((eight_below(word, 0x20) | eight_equal(word, 0x7f) | eight_equal(word, '"') | eight_equal(word, '\\') |
         eight_not_ascii(word)) != 0)
      break;
  }
  return at;
}

void json_string(out *o, const char *text, size_t size)
{
  out_char(o, '"');
  size_t start = 0, at = plain_words(text, size);
  while (at < size) {
    unsigned char c = (unsigned char)text[at];
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
      at++;
      continue;
    }
    uint32_t code;
    size_t n = c < 0x80 ? 0 : utf8_take(text + at, size - at, &code);
    if (n > 0) {
      at += n;
      continue;
    }
    out_bytes(o, text + start, at - start);
    if (c < 0x80)
      escape(o, c);
    else
      out_text(o, "\xef\xbf\xbd");
    start = ++at;
  }
  out_bytes(o, text + start, at - start);
  out_char(o, '"');
}

void json_text(out *o, const char *text)
{
  if (text == NULL)
    out_text(o, "null");
  else
    json_string(o, text, strlen(text));
}

void json_key(out *o, bool first, const char *key)
{
  if (!first)
    out_char(o, ',');
  json_text(o, key);
  out_char(o, ':');
}

void json_base64(out *o, const uint8_t *bytes, size_t size)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  enum { STEP = 3 * 1024 };
  out_char(o, '"');
  for (size_t at = 0; at < size; at += STEP) {
    size_t part = size - at < STEP ? size - at : STEP;
    char *p = out_reserve(o, (part + 2) / 3 * 4);
    if (p == NULL)
      return;
    char *q = p;
    const uint8_t *b = bytes + at;
    for (; part >= 3; part -= 3, b += 3) {
      uint32_t v = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
      *q++ = digits[v >> 18];
      *q++ = digits[v >> 12 & 63];
      *q++ = digits[v >> 6 & 63];
      *q++ = digits[v & 63];
    }
    if (part > 0) {
      uint32_t v = (uint32_t)b[0] << 16 | (part > 1 ? (uint32_t)b[1] << 8 : 0);
      *q++ = digits[v >> 18];
      *q++ = digits[v >> 12 & 63];
      *q++ = part > 1 ? digits[v >> 6 & 63] : '=';
      *q++ = '=';
    }
    out_advance(o, (size_t)(q - p));
  }
  out_char(o, '"');
}
