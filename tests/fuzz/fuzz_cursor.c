/* Cursors from any text: what is taken is written again as it was. */
#include <stdlib.h>
#include <string.h>

#include "reader/follow/follow_cursor.h"

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
  char *text = calloc(1, size + 1);
  check(text != NULL);
  memcpy(text, data, size);
  rk_positions positions = {.seed = 7};
  rk_error error = {0};
  const rk_status status = rk_positions_parse(&positions, text, &error);
  check(status == RK_OK || (error.status == status && error.message[0] != '\0'));
  if (status == RK_OK) {
    char *again = rk_positions_format(&positions);
    check(again != NULL && strncmp(text, again, strlen(again)) == 0 &&
          strspn(text + strlen(again), " \t\r\n") == strlen(text + strlen(again)));
    rk_positions copy = {.seed = 8};
    check(rk_positions_copy(&copy, &positions) && copy.list.count == positions.list.count);
    rk_positions_free(&copy);
    free(again);
  }
  rk_positions_free(&positions);
  free(text);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const char *const seeds[] = {
      "{\"rrdkit_cursor\":1,\"last\":null,\"writers\":[]}",
      "{\"rrdkit_cursor\":1,\"last\":{\"key_ns\":-12,\"id\":\"0123456789abcdef00000000ffffffff\"},\"writers\":[{"
      "\"writer\":"
      "\"00000000000000ff-00000001\",\"row\":4294967296,\"chunk\":9,\"missing\":[[0,0],[2,5]]},{\"writer\":"
      "\"0000000000000000-00000001\",\"row\":0,\"chunk\":0,\"missing\":[]}]}\n"};
  if (index >= sizeof seeds / sizeof seeds[0] || strlen(seeds[index]) > capacity) {
    return 0;
  }
  memcpy(buffer, seeds[index], strlen(seeds[index]));
  return strlen(seeds[index]);
}
