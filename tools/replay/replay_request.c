/* What a browser asks of the replay's server: pure parsing of hostile text. */
#include "tools/replay/replay_request.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does not tell by its duration how much of it is right. */
static bool same_token(const char *a, const char *b)
{
  unsigned difference = 0;
  for (size_t i = 0; i < REPLAY_TOKEN_SIZE; i++)
    difference |= (unsigned)(a[i] ^ b[i]);
  return difference == 0;
}

static bool parse_number(const char *text, size_t size, uint64_t *number)
{
  *number = 0;
  for (size_t i = 0; i < size; i++) {
    if (text[i] < '0' || text[i] > '9' || i == 18)
      return false;
    *number = *number * 10 + (uint64_t)(text[i] - '0');
  }
  return size > 0;
}

route route_parse(const char *path, const char token[REPLAY_TOKEN_SIZE + 1])
{
  static const struct {
    const char *path;
    route_kind kind;
  } fixed[] = {{"", ROUTE_PAGE},         {"replay.js", ROUTE_SCRIPT}, {"replay.css", ROUTE_STYLE},
               {"icon.svg", ROUTE_ICON}, {"events", ROUTE_EVENTS},    {"control", ROUTE_CONTROL}};
  /* index.js imports re_viewer without its suffix. */
  static const char *const files[][2] = {{"viewer/index.js", "index.js"},
                                         {"viewer/re_viewer", "re_viewer.js"},
                                         {"viewer/re_viewer.js", "re_viewer.js"},
                                         {"viewer/re_viewer_bg.wasm", "re_viewer_bg.wasm"}};
  if (path[0] != '/' || strnlen(path + 1, REPLAY_TOKEN_SIZE) < REPLAY_TOKEN_SIZE || !same_token(path + 1, token) ||
      path[1 + REPLAY_TOKEN_SIZE] != '/')
    return (route){.kind = ROUTE_FOREIGN};
  const char *rest = path + 1 + REPLAY_TOKEN_SIZE + 1;
  for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
    if (strcmp(rest, fixed[i].path) == 0)
      return (route){.kind = fixed[i].kind};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    if (strcmp(rest, files[i][0]) == 0)
      return (route){.kind = ROUTE_VIEWER, .file = files[i][1]};
  size_t size = strlen(rest);
  route r = {.kind = ROUTE_DATA};
  if (size > 9 && strncmp(rest, "data/", 5) == 0 && strcmp(rest + size - 4, ".rrd") == 0 &&
      parse_number(rest + 5, size - 9, &r.number))
    return r;
  return (route){.kind = ROUTE_NONE};
}

bool host_allowed(const char *host, const char *address, uint16_t port)
{
  char suffix[8], literal[80];
  if (host == NULL)
    return false;
  snprintf(suffix, sizeof suffix, ":%u", (unsigned)port);
  snprintf(literal, sizeof literal, strchr(address, ':') != NULL ? "[%s]" : "%s", address);
  const char *const names[] = {"localhost", "127.0.0.1", "[::1]", literal};
  /* Bound to every address, it is reached by any of them; the token protects it then, a name still does not do. */
  bool any = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
  size_t size = strlen(host), end = strlen(suffix);
  if (size <= end || strcmp(host + size - end, suffix) != 0)
    return false;
  size -= end;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strlen(names[i]) == size && strncmp(host, names[i], size) == 0)
      return true;
  return any && (strspn(host, "0123456789.") == size ||
                 (host[0] == '[' && strspn(host + 1, "0123456789abcdefABCDEF:.") + 2 == size && host[size - 1] == ']'));
}

bool origin_allowed(const char *origin, const char *address, uint16_t port)
{
  return origin == NULL || (strncmp(origin, "http://", 7) == 0 && host_allowed(origin + 7, address, port));
}

bool speed_parse(const char *text, double *speed)
{
  char *end;
  if (strcmp(text, "max") == 0) {
    *speed = INFINITY;
    return true;
  }
  /* strtod takes hexadecimal too, which here is a digit and an x. */
  if (text[0] < '0' || text[0] > '9')
    return false;
  char plain[32];
  size_t digits = strspn(text, "0123456789.eE+-");
  if (digits >= sizeof plain)
    return false;
  memcpy(plain, text, digits);
  plain[digits] = '\0';
  errno = 0;
  *speed = strtod(plain, &end);
  return errno == 0 && *end == '\0' && (text[digits] == '\0' || strcmp(text + digits, "x") == 0) && *speed >= 0.1 &&
         *speed <= 1000;
}

static bool parse_position(const char *text, int64_t *position)
{
  char *end;
  errno = 0;
  *position = strtoll(text, &end, 10);
  return errno == 0 && (*text == '-' || (*text >= '0' && *text <= '9')) && end > text && *end == '\0';
}

static bool parse_switch(const char *text, bool *on)
{
  *on = strcmp(text, "on") == 0;
  return *on || strcmp(text, "off") == 0;
}

bool control_parse(const char *text, size_t size, control *c)
{
  static const char *const words[] = {"play", "pause", "toggle", "seek", "skip",
                                      "step", "speed", "loop",   "live", "ready"};
  char line[REPLAY_CONTROL_MAX];
  if (size == 0 || size >= sizeof line || memchr(text, '\0', size) != NULL)
    return false;
  memcpy(line, text, size);
  line[size] = '\0';
  char *argument = strchr(line, ' ');
  if (argument != NULL)
    *argument++ = '\0';
  *c = (control){0};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (strcmp(line, words[i]) != 0)
      continue;
    c->kind = (control_kind)i;
    switch (c->kind) {
    case CONTROL_PLAY:
    case CONTROL_PAUSE:
    case CONTROL_TOGGLE:
    case CONTROL_READY:
      return argument == NULL;
    case CONTROL_SEEK:
    case CONTROL_SKIP:
    case CONTROL_STEP:
      return argument != NULL && parse_position(argument, &c->position);
    case CONTROL_SPEED:
      return argument != NULL && speed_parse(argument, &c->speed);
    case CONTROL_LOOP:
    case CONTROL_LIVE:
      return argument != NULL && parse_switch(argument, &c->on);
    }
  }
  return false;
}
