/* Entity paths from any bytes: the normal form is a fixed point, valid, within its limit, and a glob of itself. */
#include <stdlib.h>
#include <string.h>

#include "format/entity_path.h"
#include "format/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size > 3000) {
    return 0;
  }
  /* The first half as a glob over the second, and all of it as a path. */
  char *glob = calloc(1, size + 1);
  char *path = calloc(1, size + 1);
  check(glob != NULL && path != NULL);
  memcpy(glob, data, size / 2);
  memcpy(path, data + size / 2, size - size / 2);
  const bool matched = rk_entity_path_match(glob, path);
  check(!matched || rk_entity_path_match("**", path));
  memcpy(path, data, size);

  rk_buffer once = {0};
  rk_buffer twice = {0};
  if (rk_entity_path_normalize(&once, path, NULL) == RK_OK) {
    const char *normal = (const char *)once.data;
    check(once.size <= RK_ENTITY_PATH_MAX + 1 && strlen(normal) + 1 == once.size && normal[0] == '/');
    check(rk_utf8_valid(normal, once.size));
    check(rk_entity_path_normalize(&twice, normal, NULL) == RK_OK);
    check(twice.size == once.size && memcmp(twice.data, once.data, once.size) == 0);
    check(rk_entity_path_match(normal, normal));
    check(rk_entity_path_match(path, normal) || strpbrk(path, "*?[") != NULL);
    check(rk_entity_path_match("/**", normal));
    (void)rk_entity_path_reserved(normal);
  } else {
    check(once.size == 0);
  }
  rk_buffer_free(&once);
  rk_buffer_free(&twice);
  free(glob);
  free(path);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const char *const seeds[] = {"/world/robot",         "a b/\\u{262E}\\n/\\/x", "**/x[a-c]?/a/b/xb1",
                                      "\xE2\x98\xAE/__p\\\\", "/*a*a**a/aaaaaa/aa",    "\xF0\x9F\x98\x80/\xC3\xA9"};
  if (index >= sizeof seeds / sizeof seeds[0] || strlen(seeds[index]) > capacity) {
    return 0;
  }
  memcpy(buffer, seeds[index], strlen(seeds[index]));
  return strlen(seeds[index]);
}
