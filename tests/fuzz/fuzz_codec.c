/* LZ4 payloads from any bytes with any claim, and compression of any bytes and back. */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/codec.h"

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
  rk_buffer out = {0};
  if (size >= 4) {
    const uint64_t claim = rk_load_u32(data);
    if (rk_decompress(&out, RK_COMPRESSION_LZ4, data + 4, size - 4, claim, NULL) == RK_OK) {
      check(out.size <= claim);
    } else {
      check(out.size == 0);
    }
  }
  rk_buffer_reset(&out);
  rk_buffer back = {0};
  rk_compression used = RK_COMPRESSION_DEFAULT;
  check(rk_compress(&out, RK_COMPRESSION_DEFAULT, data, size, NULL, &used) == RK_OK);
  check(out.size <= size);
  check(rk_decompress(&back, used, out.data, out.size, size, NULL) == RK_OK);
  check(back.size == size && (size == 0 || memcmp(back.data, data, size) == 0));
  rk_buffer_free(&out);
  rk_buffer_free(&back);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const uint8_t zeros[2000];
  rk_buffer out = {0};
  rk_compression used;
  if (index == 0 && rk_compress(&out, RK_COMPRESSION_LZ4, zeros, sizeof zeros, NULL, &used) == RK_OK &&
      out.size + 4 <= capacity) {
    const size_t size = out.size + 4;
    rk_store_u32(buffer, sizeof zeros);
    memcpy(buffer + 4, out.data, out.size);
    rk_buffer_free(&out);
    return size;
  }
  rk_buffer_free(&out);
  return 0;
}
