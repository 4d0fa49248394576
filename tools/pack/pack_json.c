/* Reading JSON that somebody else may have written: a pull reader over text in memory. */
#include "tools/pack/pack_json.h"

#include <stdlib.h>
#include <string.h>

#include "tools/print/json.h"

static void skip_space(json_reader *r)
{
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
    r->at++;
}

static bool fail(json_reader *r)
{
  r->failed = true;
  return false;
}

static bool take(json_reader *r, char c)
{
  skip_space(r);
  if (r->failed || r->at == r->end || *r->at != c)
    return false;
  r->at++;
  return true;
}

bool json_enter(json_reader *r, char bracket)
{
  return take(r, bracket) || fail(r);
}

bool json_more(json_reader *r, char bracket, bool first)
{
  if (r->failed || take(r, bracket))
    return false;
  return first || take(r, ',') || fail(r);
}

static bool hex4(json_reader *r, uint32_t *code)
{
  *code = 0;
  if (r->end - r->at < 4)
    return false;
  for (int i = 0; i < 4; i++) {
    char c = *r->at++;
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0)
      return false;
    *code = *code << 4 | (uint32_t)digit;
  }
  return true;
}

static size_t put_utf8(char *to, uint32_t code)
{
  if (code < 0x80) {
    to[0] = (char)code;
    return 1;
  }
  size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = n - 1; i > 0; i--, code >>= 6)
    to[i] = (char)(0x80 | (code & 0x3f));
  to[0] = (char)(lead[n] | code);
  return n;
}

/* Behind the backslash. 0: not an escape. */
static size_t read_escape(json_reader *r, char *to)
{
  static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
  if (r->at == r->end)
    return 0;
  char c = *r->at++;
  const char *found = c == '\0' ? NULL : strchr(from, c);
  if (found != NULL) {
    *to = plain[found - from];
    return 1;
  }
  uint32_t code, low;
  if (c != 'u' || !hex4(r, &code) || code == 0 || (code >= 0xdc00 && code < 0xe000))
    return 0;
  if (code >= 0xd800 && code < 0xdc00) {
    if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
      return 0;
    r->at += 2;
    if (!hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
      return 0;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  return put_utf8(to, code);
}

char *json_read_string(json_reader *r)
{
  if (!take(r, '"')) {
    fail(r);
    return NULL;
  }
  const char *quote = r->at;
  while (quote < r->end && *quote != '"')
    quote += *quote == '\\' && r->end - quote > 1 ? 2 : 1;
  char *text = malloc((size_t)(quote - r->at) + 5); /* an escape is never shorter than what it means */
  size_t used = 0;
  bool ok = text != NULL;
  while (ok && r->at < r->end && *r->at != '"') {
    uint32_t code;
    size_t n = utf8_take(r->at, (size_t)(r->end - r->at), &code);
    if (n == 0 || code < 0x20) {
      ok = false;
    } else if (code == '\\') {
      r->at++;
      n = read_escape(r, text + used);
      used += n;
      ok = n > 0;
    } else {
      memcpy(text + used, r->at, n);
      used += n;
      r->at += n;
    }
  }
  if (!ok || !take(r, '"')) {
    fail(r);
    free(text);
    return NULL;
  }
  text[used] = '\0';
  return text;
}

char *json_read_key(json_reader *r)
{
  char *key = json_read_string(r);
  if (key != NULL && !take(r, ':')) {
    fail(r);
    free(key);
    key = NULL;
  }
  return key;
}

bool json_read_uint(json_reader *r, uint64_t *value)
{
  skip_space(r);
  const char *start = r->at;
  *value = 0;
  while (!r->failed && r->at < r->end && *r->at >= '0' && *r->at <= '9')
    if (__builtin_mul_overflow(*value, UINT64_C(10), value) ||
        __builtin_add_overflow(*value, (uint64_t)(*r->at++ - '0'), value))
      return fail(r);
  return (r->at > start && !(*start == '0' && r->at - start > 1)) || fail(r);
}

static bool skip_value(json_reader *r, int depth)
{
  skip_space(r);
  if (r->failed || r->at == r->end || depth > 32)
    return fail(r);
  if (*r->at == '"') {
    char *text = json_read_string(r);
    free(text);
    return text != NULL;
  }
  if (*r->at == '{' || *r->at == '[') {
    bool object = *r->at++ == '{';
    for (bool first = true; json_more(r, object ? '}' : ']', first); first = false) {
      char *key = object ? json_read_key(r) : NULL;
      free(key);
      if ((object && key == NULL) || !skip_value(r, depth + 1))
        return fail(r);
    }
    return !r->failed;
  }
  const char *start = r->at;
  while (r->at < r->end && *r->at != '\0' && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *r->at) != NULL)
    r->at++;
  return r->at > start || fail(r);
}

bool json_skip(json_reader *r)
{
  return skip_value(r, 0);
}

bool json_end(json_reader *r)
{
  skip_space(r);
  return !r->failed && r->at == r->end;
}
