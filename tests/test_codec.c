/* Compression: round trips, the fallback, claims that lie, every truncation. */
#include "format/codec.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <math.h>

#include <cmocka.h>

static void fill_random(uint8_t *data, size_t size)
{
  uint32_t random = 12345;
  for (size_t i = 0; i < size; i++) {
    random = random * 1664525u + 1013904223u;
    data[i] = (uint8_t)(random >> 24);
  }
}

static void round_trip(void **state)
{
  (void)state;
  static const size_t sizes[] = {0, 1, 5, 12, 64, 1000, 65536, 3000000};
  static const rk_compression asked[] = {RK_COMPRESSION_DEFAULT, RK_COMPRESSION_NONE, RK_COMPRESSION_LZ4};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    uint8_t *data = calloc(1, sizes[i] + 1);
    assert_non_null(data);
    for (int random = 0; random < 2; random++) {
      if (random) {
        fill_random(data, sizes[i]);
      }
      for (size_t k = 0; k < 3; k++) {
        rk_buffer packed = {0};
        rk_buffer_append(&packed, "head", 4);
        rk_compression used = RK_COMPRESSION_DEFAULT;
        assert_int_equal(rk_compress(&packed, asked[k], data, sizes[i], NULL, &used), RK_OK);
        const bool shrinks = asked[k] != RK_COMPRESSION_NONE && !random && sizes[i] >= 64;
        assert_int_equal(used == RK_COMPRESSION_LZ4, shrinks);
        assert_true(shrinks ? packed.size - 4 < sizes[i] : packed.size - 4 == sizes[i]);
        assert_memory_equal(packed.data, "head", 4);
        rk_buffer unpacked = {0};
        rk_buffer_append(&unpacked, "HEAD", 4);
        assert_int_equal(rk_decompress(&unpacked, used, packed.data + 4, packed.size - 4, sizes[i], NULL), RK_OK);
        assert_int_equal(unpacked.size, sizes[i] + 4);
        assert_memory_equal(unpacked.data, "HEAD", 4);
        assert_memory_equal(unpacked.data + 4, data, sizes[i]);
        rk_buffer_free(&packed);
        rk_buffer_free(&unpacked);
      }
    }
    free(data);
  }
}

/* Values of a chunk: half noise; circles that almost repeat; text; nothing but noise. */
static void fill_kind(int kind, uint8_t *data, size_t size)
{
  fill_random(data, size);
  for (size_t i = 0; i + 16 <= size; i += 16) {
    float place[4] = {sinf((float)(i / 1600) * 0.01f + (float)(i / 16 % 100)),
                      cosf((float)(i / 1600) * 0.01f + (float)(i / 16 % 100)), (float)(i / 16 % 100), 0};
    char text[17];
    if (kind == 0) {
      memset(data + i + 8, (int)(i / 16 % 3), 8);
    } else if (kind == 1) {
      memcpy(data + i, place, 16);
    } else if (kind == 2) {
      memcpy(data + i, text, (size_t)snprintf(text, sizeof text, "joint %3zu at %3zu", i % 7, i * 31 % 1000) & 15);
    }
  }
}

/* However fast: hardly larger than LZ4 makes it by itself, and where a sample tells of much, not at all. */
static void acceleration(void **state)
{
  (void)state;
  static const size_t sizes[] = {100000, 131072, 400000, 1 << 20};
  bool ever = false;
  for (int kind = 0; kind < 4; kind++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      uint8_t *data = malloc(sizes[i]);
      const int bound = LZ4_compressBound((int)sizes[i]);
      char *plain = malloc((size_t)bound);
      assert_true(data != NULL && plain != NULL);
      fill_kind(kind, data, sizes[i]);
      const int by_itself = LZ4_compress_default((const char *)data, plain, (int)sizes[i], bound);
      rk_buffer packed = {0};
      rk_compression used;
      assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, data, sizes[i], NULL, &used), RK_OK);
      assert_true(packed.size <= (size_t)by_itself + (size_t)by_itself / 20);
      const bool same = packed.size == ((size_t)by_itself < sizes[i] ? (size_t)by_itself : sizes[i]);
      assert_true(kind != 1 || same);
      assert_true(sizes[i] > 100000 || kind == 3 || same);
      ever |= !same && kind == 0;
      rk_buffer again = {0};
      assert_int_equal(rk_compress(&again, RK_COMPRESSION_LZ4, data, sizes[i], NULL, &used), RK_OK);
      assert_int_equal(again.size, packed.size);
      assert_memory_equal(again.data, packed.data, again.size);
      rk_buffer_free(&again);
      rk_buffer_free(&packed);
      free(plain);
      free(data);
    }
  }
  assert_true(ever);
}

/* Bytes more than LZ4 makes by itself. */
static long more_than_by_itself(int kind, size_t size, rk_pace *pace)
{
  uint8_t *data = malloc(size);
  const int bound = LZ4_compressBound((int)size);
  char *plain = malloc((size_t)bound);
  assert_true(data != NULL && plain != NULL);
  fill_kind(kind, data, size);
  rk_buffer packed = {0};
  rk_compression used;
  assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, data, size, pace, &used), RK_OK);
  const long more = (long)packed.size - LZ4_compress_default((const char *)data, plain, (int)size, bound);
  rk_buffer_free(&packed);
  free(plain);
  free(data);
  return more;
}

/* One piece is judged for some that follow, and then another; too small and very large ones by themselves. */
static void pace(void **state)
{
  (void)state;
  for (size_t size = 24 << 10; size <= 1 << 20; size *= 2) {
    rk_pace pace = {0};
    assert_true(more_than_by_itself(0, size, &pace) != 0);
    assert_true(more_than_by_itself(1, size, &pace) > 0);
    assert_int_equal(more_than_by_itself(0, (24 << 10) - 1, &pace), 0);
    assert_int_equal(more_than_by_itself(1, (1 << 20) + 1, &pace), 0);
    int pieces = 2;
    while (more_than_by_itself(1, size, &pace) != 0) {
      pieces++;
    }
    assert_int_equal(pieces, 32);
    for (pieces = 1; more_than_by_itself(0, size, &pace) == 0;) {
      pieces++;
    }
    assert_int_equal(pieces, 32);
  }
}

static void lying_claims(void **state)
{
  (void)state;
  uint8_t data[5000] = {0};
  rk_buffer packed = {0};
  rk_compression used;
  assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, data, sizeof data, NULL, &used), RK_OK);
  assert_int_equal(used, RK_COMPRESSION_LZ4);
  const struct {
    uint64_t claim;
    rk_status status;
  } rows[] = {
      {sizeof data, RK_OK},
      {sizeof data + 1, RK_OK}, /* stock readers accept a claim that is too large */
      {sizeof data - 1, RK_ERR_CORRUPT},
      {1, RK_ERR_CORRUPT},
      {0, RK_ERR_CORRUPT},
      {(uint64_t)packed.size * 256, RK_ERR_CORRUPT}, /* LZ4 cannot yield it */
      {INT_MAX, RK_ERR_CORRUPT},
      {RK_UNCOMPRESSED_MAX, RK_ERR_LIMIT},
      {RK_UNCOMPRESSED_MAX + 1, RK_ERR_LIMIT},
      {UINT64_MAX, RK_ERR_LIMIT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer out = {0};
    rk_error error = {0};
    assert_int_equal(rk_decompress(&out, RK_COMPRESSION_LZ4, packed.data, packed.size, rows[i].claim, &error),
                     rows[i].status);
    assert_int_equal(out.size, rows[i].status == RK_OK ? sizeof data : 0);
    assert_true(out.capacity < 100000); /* nothing was taken on the claim's word */
    assert_int_equal(error.status, rows[i].status);
    rk_buffer_free(&out);
  }
  rk_buffer_free(&packed);
}

static void damage(void **state)
{
  (void)state;
  uint8_t data[300];
  for (size_t i = 0; i < sizeof data; i++) {
    data[i] = (uint8_t)(i % 17);
  }
  rk_buffer packed = {0};
  rk_compression used;
  assert_int_equal(rk_compress(&packed, RK_COMPRESSION_LZ4, data, sizeof data, NULL, &used), RK_OK);
  assert_int_equal(used, RK_COMPRESSION_LZ4);
  rk_buffer out = {0};
  for (size_t cut = 0; cut < packed.size; cut++) {
    uint8_t *exact = malloc(cut + 1);
    assert_non_null(exact);
    memcpy(exact, packed.data, cut);
    const rk_status status = rk_decompress(&out, used, exact, cut, sizeof data, NULL);
    assert_true(status == RK_ERR_CORRUPT || (status == RK_OK && out.size < sizeof data));
    rk_buffer_reset(&out);
    free(exact);
  }
  for (size_t bit = 0; bit < packed.size * 8; bit++) {
    packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const rk_status status = rk_decompress(&out, used, packed.data, packed.size, sizeof data, NULL);
    assert_true(status == RK_ERR_CORRUPT || (status == RK_OK && out.size <= sizeof data));
    packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    rk_buffer_reset(&out);
  }
  assert_int_equal(rk_decompress(&out, (rk_compression)3, "x", 1, 1, NULL), RK_ERR_UNSUPPORTED);
  assert_int_equal(rk_decompress(&out, RK_COMPRESSION_DEFAULT, "x", 1, 1, NULL), RK_ERR_UNSUPPORTED);
  rk_buffer_free(&out);
  rk_buffer_free(&packed);
}

static void out_of_memory(void **state)
{
  (void)state;
  rk_buffer out = {.failed = true};
  rk_compression used;
  assert_int_equal(rk_compress(&out, RK_COMPRESSION_LZ4, "aaaaaaaa", 8, NULL, &used), RK_ERR_NO_MEMORY);
  assert_int_equal(rk_compress(&out, RK_COMPRESSION_NONE, "aaaaaaaa", 8, NULL, &used), RK_ERR_NO_MEMORY);
  assert_int_equal(rk_decompress(&out, RK_COMPRESSION_NONE, "aaaaaaaa", 8, 8, NULL), RK_ERR_NO_MEMORY);
  assert_int_equal(rk_decompress(&out, RK_COMPRESSION_LZ4, "aaaaaaaa", 8, 8, NULL), RK_ERR_NO_MEMORY);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),   cmocka_unit_test(acceleration), cmocka_unit_test(pace),
      cmocka_unit_test(lying_claims), cmocka_unit_test(damage),       cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
