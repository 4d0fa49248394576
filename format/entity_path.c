/* Entity paths: normal form and glob matching (SPEC "Entity paths"). */
#include "format/entity_path.h"

#include <string.h>

#include "format/alphanumeric.h"
#include "format/error.h"
#include "format/utf8.h"

/* One character of a path or glob as written. */
typedef struct unit {
  uint32_t c;   /* code point; 0x110000 + byte for a byte that is not UTF-8 */
  size_t size;  /* bytes it takes in the text */
  bool escaped; /* stands for itself: an escape, or a slash right after a backslash */
  bool unknown; /* a backslash that begins no escape */
} unit;

static bool is_ascii_punctuation(uint8_t c)
{
  return c > 0x20 && c < 0x7F && !rk_alphanumeric(c);
}

/* "{262E}" after "\u"; false if it is anything else. */
static bool unicode_escape(const uint8_t *p, size_t size, uint32_t *c)
{
  if (size < 6 || p[0] != '{' || p[5] != '}') {
    return false;
  }
  uint32_t value = 0;
  for (size_t i = 1; i < 5; i++) {
    const uint8_t h = p[i];
    const uint8_t folded = h | 0x20;
    if (h >= '0' && h <= '9') {
      value = value << 4 | (uint32_t)(h - '0');
    } else if (folded >= 'a' && folded <= 'f') {
      value = value << 4 | (uint32_t)(folded - 'a' + 10);
    } else {
      return false;
    }
  }
  *c = value;
  return value < 0xD800 || value > 0xDFFF;
}

static unit character(const uint8_t *p, size_t size)
{
  const size_t length = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
  if (length == 1) {
    return (unit){.c = p[0], .size = 1};
  }
  if (length > size || !rk_utf8_valid(p, length)) {
    return (unit){.c = 0x110000u + p[0], .size = 1};
  }
  uint32_t c = p[0] & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    c = c << 6 | (p[i] & 0x3Fu);
  }
  return (unit){.c = c, .size = length};
}

/* The unit at `at` < size. What begins no escape is read as Rerun reads it: the backslash falls away, but stays before
 * a bad \u and at the end. */
static unit unit_at(const uint8_t *text, size_t size, size_t at)
{
  const uint8_t *p = text + at;
  const size_t left = size - at;
  if (p[0] != '\\') {
    unit u = character(p, left);
    /* Rerun splits at slashes before it unescapes, and does not look further back than one byte. */
    u.escaped = p[0] == '/' && at > 0 && p[-1] == '\\';
    return u;
  }
  if (left == 1) {
    return (unit){.c = '\\', .size = 1, .escaped = true, .unknown = true};
  }
  switch (p[1]) {
  case 'n':
    return (unit){.c = '\n', .size = 2, .escaped = true};
  case 'r':
    return (unit){.c = '\r', .size = 2, .escaped = true};
  case 't':
    return (unit){.c = '\t', .size = 2, .escaped = true};
  case 'u': {
    unit u = {.size = 8, .escaped = true};
    if (unicode_escape(p + 2, left - 2, &u.c)) {
      return u;
    }
    return (unit){.c = '\\', .size = 1, .escaped = true, .unknown = true};
  }
  default:
    break;
  }
  unit u = character(p + 1, left - 1);
  u.size++;
  u.escaped = true;
  u.unknown = !is_ascii_punctuation(p[1]) && p[1] != ' ';
  return u;
}

static void append_escaped(rk_buffer *out, const uint8_t *raw, size_t raw_size, uint32_t c)
{
  static const char digits[] = "0123456789ABCDEF";
  char text[8];
  if (rk_alphanumeric(c) || c == '_' || c == '-' || c == '.' || c > 0xFFFF) {
    /* An escaped letter beyond ASCII came as \u{XXXX}; everything else is its own raw text. */
    if (raw[0] != '\\' || raw[1] != 'u') {
      rk_buffer_append(out, raw[0] == '\\' ? raw + 1 : raw, raw[0] == '\\' ? raw_size - 1 : raw_size);
      return;
    }
    size_t size = 0;
    if (c < 0x80) {
      text[size++] = (char)c;
    } else if (c < 0x800) {
      text[size++] = (char)(0xC0 | c >> 6);
      text[size++] = (char)(0x80 | (c & 0x3F));
    } else {
      text[size++] = (char)(0xE0 | c >> 12);
      text[size++] = (char)(0x80 | (c >> 6 & 0x3F));
      text[size++] = (char)(0x80 | (c & 0x3F));
    }
    rk_buffer_append(out, text, size);
    return;
  }
  const char *control = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
  if (control != NULL) {
    rk_buffer_append(out, control, 2);
  } else if (c == ' ' || (c < 0x80 && is_ascii_punctuation((uint8_t)c))) {
    text[0] = '\\';
    text[1] = (char)c;
    rk_buffer_append(out, text, 2);
  } else {
    memcpy(text, "\\u{", 3);
    for (unsigned i = 0; i < 4; i++) {
      text[3 + i] = digits[c >> (12 - 4 * i) & 15];
    }
    text[7] = '}';
    rk_buffer_append(out, text, 8);
  }
}

static rk_status refuse(rk_buffer *out, size_t start, rk_error *error, const char *path, const char *what)
{
  if (out->size > start) {
    out->size = start;
  }
  char shown[100];
  return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "entity path \"%s\": %s",
                 rk_escape(shown, sizeof shown, path, strnlen(path, sizeof shown)), what);
}

rk_status rk_entity_path_normalize(rk_buffer *out, const char *path, rk_error *error)
{
  const size_t start = out->size;
  if (path == NULL || path[0] == '\0') {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "entity path is empty");
  }
  const size_t size = strnlen(path, 8 * RK_ENTITY_PATH_MAX);
  const uint8_t *text = (const uint8_t *)path;
  if (size == 8 * RK_ENTITY_PATH_MAX) {
    return refuse(out, start, error, path, "too long");
  }
  if (!rk_utf8_valid(text, size)) {
    return refuse(out, start, error, path, "not UTF-8");
  }
  rk_buffer_append(out, "/", 1);
  bool part_open = false;
  for (size_t at = text[0] == '/' ? 1 : 0; at < size;) {
    const unit u = unit_at(text, size, at);
    if (u.unknown) {
      return refuse(out, start, error, path, "backslash that escapes nothing");
    }
    if (u.c == '/' && !u.escaped) {
      if (!part_open || at + 1 == size) {
        return refuse(out, start, error, path, "empty part");
      }
      rk_buffer_append(out, "/", 1);
      part_open = false;
    } else {
      append_escaped(out, text + at, u.size, u.c);
      part_open = true;
    }
    at += u.size;
  }
  if (!out->failed && out->size - start > RK_ENTITY_PATH_MAX) {
    return refuse(out, start, error, path, "too long");
  }
  rk_buffer_append(out, "", 1);
  return out->failed ? rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory") : RK_OK;
}

bool rk_entity_path_reserved(const char *path)
{
  for (const char *p = path; *p != '\0'; p++) {
    if (p[0] == '/' && p[1] == '_' && p[2] == '_' && (p == path || p[-1] != '\\')) {
      return true;
    }
  }
  return false;
}

/* ---- Globs: an NFA whose states are positions in the glob, run over the path's characters ---- */

typedef struct states {
  uint64_t words[RK_ENTITY_PATH_MAX / 64 + 1];
} states;

static void states_add(states *set, size_t state)
{
  set->words[state / 64] |= UINT64_C(1) << (state % 64);
}

static bool states_has(const states *set, size_t state)
{
  return (set->words[state / 64] >> (state % 64) & 1) != 0;
}

typedef struct glob_text {
  uint8_t text[RK_ENTITY_PATH_MAX + 1];
  size_t size;
} glob_text;

static bool at_double_star(const glob_text *glob, size_t at)
{
  return at + 1 < glob->size && glob->text[at] == '*' && glob->text[at + 1] == '*';
}

/* Where the set that opens at `at` ends (past its bracket), or 0 if it never closes; *member: whether c is in it. */
static size_t set_end(const glob_text *glob, size_t at, uint32_t c, bool *member)
{
  size_t i = at + 1;
  const bool negated = i < glob->size && (glob->text[i] == '!' || glob->text[i] == '^');
  i += negated;
  bool found = false;
  for (bool first = true; i < glob->size && (first || glob->text[i] != ']'); first = false) {
    const unit low = unit_at(glob->text, glob->size, i);
    i += low.size;
    uint32_t high = low.c;
    if (i + 1 < glob->size && glob->text[i] == '-' && glob->text[i + 1] != ']') {
      const unit to = unit_at(glob->text, glob->size, i + 1);
      high = to.c;
      i += 1 + to.size;
    }
    found = found || (c >= low.c && c <= high);
  }
  *member = found != negated;
  return i < glob->size ? i + 1 : 0;
}

/* One step: from all of *from (closed over empty moves on the way) by one character to *to. */
static void step(const glob_text *glob, states *from, const unit *u, states *to)
{
  const bool separator = u->c == '/' && !u->escaped;
  memset(to, 0, sizeof *to);
  for (size_t word = 0; word <= glob->size / 64; word++) {
    /* Empty moves only lead forward, perhaps within this word: look again after each state. */
    for (uint64_t done = 0; (from->words[word] & ~done) != 0;) {
      const unsigned bit = (unsigned)__builtin_ctzll(from->words[word] & ~done);
      done |= UINT64_C(1) << bit;
      const size_t at = word * 64 + bit;
      if (at >= glob->size) {
        continue;
      }
      if (at_double_star(glob, at)) {
        states_add(from, at + 2);
        states_add(to, at);
        continue;
      }
      const uint8_t c = glob->text[at];
      if (c == '*') {
        states_add(from, at + 1);
        if (!separator) {
          states_add(to, at);
        }
        continue;
      }
      const unit g = unit_at(glob->text, glob->size, at);
      if (c == '/' && !g.escaped) {
        const bool globstar = at_double_star(glob, at + 1) && (at + 3 == glob->size || glob->text[at + 3] == '/');
        if (globstar) {
          states_add(from, at + 3);
        }
        if (separator) {
          states_add(to, at + 1);
        }
        continue;
      }
      bool member = false;
      const size_t end = c == '[' ? set_end(glob, at, u->c, &member) : 0;
      if (separator) {
        continue;
      }
      if (end != 0) {
        if (member) {
          states_add(to, end);
        }
      } else if (c == '?' || g.c == u->c) {
        states_add(to, at + g.size);
      }
    }
  }
}

/* Whether the end of the glob is among the states, over empty moves. */
static bool accepts(const glob_text *glob, states *from)
{
  /* A step by a character that nothing consumes closes *from over its empty moves. */
  states ignored;
  step(glob, from, &(unit){.c = UINT32_MAX}, &ignored);
  return states_has(from, glob->size);
}

bool rk_entity_path_match(const char *glob, const char *path)
{
  glob_text g = {.size = 0};
  if (glob[0] != '/') {
    g.text[g.size++] = '/';
  }
  const size_t glob_size = strnlen(glob, sizeof g.text);
  if (glob_size + g.size > RK_ENTITY_PATH_MAX) {
    return false;
  }
  memcpy(g.text + g.size, glob, glob_size);
  g.size += glob_size;

  states sets[2] = {0};
  unsigned current = 0;
  states_add(&sets[0], 0);
  if (path[0] != '/') {
    step(&g, &sets[0], &(unit){.c = '/', .size = 1}, &sets[1]);
    current = 1;
  }
  const size_t size = strlen(path);
  for (size_t at = 0; at < size;) {
    const unit u = unit_at((const uint8_t *)path, size, at);
    step(&g, &sets[current], &u, &sets[current ^ 1]);
    current ^= 1;
    at += u.size;
  }
  return accepts(&g, &sets[current]);
}
