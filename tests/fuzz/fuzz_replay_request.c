/* What a browser, or somebody else, asks of rrd-replay's server: a path, Host and Origin, and a control, cut at zero
 * bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/replay/replay_clock.h"
#include "tools/replay/replay_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char token[] = "0123456789abcdef0123456789abcdef";
  char *text = malloc(size + 1);
  if (text == NULL) {
    return 0;
  }
  memcpy(text, data, size);
  text[size] = '\0';
  for (size_t at = 0; at <= size; at += strlen(text + at) + 1) {
    const route r = route_parse(text + at, token);
    if (r.kind == ROUTE_VIEWER && (r.file == NULL || strchr(r.file, '/') != NULL)) {
      abort();
    }
    if (host_allowed(text + at, "127.0.0.1", 80) && strcmp(text + at, "localhost:80") != 0 &&
        strcmp(text + at, "127.0.0.1:80") != 0 && strcmp(text + at, "[::1]:80") != 0) {
      abort();
    }
    (void)host_allowed(text + at, "::", 8080);
    (void)origin_allowed(text + at, "0.0.0.0", 80);
    control c;
    if (control_parse(text + at, strlen(text + at), &c) && c.kind == CONTROL_SPEED && !(c.speed >= 0.1)) {
      abort();
    }
  }
  control c;
  (void)control_parse(text, size, &c);
  free(text);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const char *const seeds[] = {"/0123456789abcdef0123456789abcdef/viewer/re_viewer",
                                      "/0123456789abcdef0123456789abcdef/data/12.rrd",
                                      "127.0.0.1:80",
                                      "http://[::1]:80",
                                      "seek -1763640000000000000",
                                      "speed 0.25x",
                                      "loop on"};
  if (index >= sizeof seeds / sizeof seeds[0]) {
    return 0;
  }
  const size_t size = strlen(seeds[index]) < capacity ? strlen(seeds[index]) : capacity;
  memcpy(buffer, seeds[index], size);
  return size;
}
