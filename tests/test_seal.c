/* The seal: padding for every size, every flipped bit noticed, every truncation refused. */
#include "format/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "format/messages.h"
#include "format/protobuf.h"

static const rk_seal sample = {.flags = RK_SEAL_STATIC,
                               .writer = 0x11223344,
                               .chunk_number = 5,
                               .first_row = 6,
                               .row_count = 7,
                               .min_log_time = -8,
                               .max_log_time = INT64_MAX,
                               .entity_hash = 0x0102030405060708,
                               .recording_hash = 0x1112131415161718,
                               .clock_monotonic = 9,
                               .clock_realtime = -10,
                               .uncompressed_size = 1ull << 40,
                               .cut_rows = 4096,
                               .cut_size = 0x01020304};

/* A frame whose payload is one field of `size` bytes. */
static size_t make_frame(rk_buffer *out, size_t size, unsigned file_offset, rk_seal *seal)
{
  const size_t start = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  void *content = rk_buffer_extend(out, size);
  assert_non_null(content);
  memset(content, 0x5A, size);
  rk_seal_frame(out, start, file_offset, seal);
  assert_false(out->failed);
  return start;
}

static void pads_every_size(void **state)
{
  (void)state;
  static const unsigned offsets[] = {0, 12, 1, 64, 127};
  for (size_t k = 0; k < sizeof offsets / sizeof offsets[0]; k++) {
    for (size_t size = 0; size < 400; size++) {
      rk_buffer out = {0};
      rk_buffer_append(&out, "before", k); /* frames need not start at the buffer's start */
      rk_seal seal = sample;
      const size_t start = make_frame(&out, size, offsets[k], &seal);
      const size_t frame_size = out.size - start;
      assert_int_equal(seal.frame_size, frame_size);
      assert_int_equal((offsets[k] + frame_size) % RK_FRAME_ALIGNMENT, 0);
      const size_t padding = frame_size - RK_FRAME_HEADER_SIZE - size - RK_SEAL_SIZE;
      assert_true(padding == 0 || (padding >= 4 && padding <= 131));
      assert_true(rk_seal_verify(out.data + start, frame_size));

      rk_pb_cursor cursor = rk_pb_open(out.data + start + RK_FRAME_HEADER_SIZE + size, padding + RK_SEAL_SIZE);
      rk_pb_field field;
      if (padding > 0) {
        assert_int_equal(rk_pb_next(&cursor, &field), 1);
        assert_int_equal(field.number, RK_PAD_FIELD);
        assert_int_equal(field.size, padding - 4);
        for (size_t i = 0; i < field.size; i++) {
          assert_int_equal(field.data[i], 0);
        }
      }
      assert_int_equal(rk_pb_next(&cursor, &field), 1);
      assert_int_equal(field.number, RK_SEAL_FIELD);
      assert_int_equal(field.size, RK_SEAL_SIZE - 4);
      assert_int_equal(rk_pb_next(&cursor, &field), 0);
      rk_buffer_free(&out);
    }
  }
}

static void layout(void **state)
{
  (void)state;
  rk_buffer out = {0};
  rk_seal seal = sample;
  make_frame(&out, 100, 0, &seal);
  const uint8_t *block = out.data + out.size - RK_SEAL_SIZE;
  static const uint8_t expected[120] = {
      0xCA, 0x81, 0x0C, 0x7C, 0x89, 'R',  'K',  'S',  'E',  'A',  'L',  0x0A, 1,    0,    1,    0,    0,    1,
      0,    0,    0,    0,    0,    0,    0x44, 0x33, 0x22, 0x11, 5,    0,    0,    0,    6,    0,    0,    0,
      7,    0,    0,    0,    0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
      0xFF, 0x7F, 8,    7,    6,    5,    4,    3,    2,    1,    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
      9,    0,    0,    0,    0,    0,    0,    0,    0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0,    0,
      0,    0,    0,    1,    0,    0,    0,    0x10, 0,    0,    4,    3,    2,    1};
  assert_int_equal(out.size, 256);
  assert_memory_equal(block, expected, sizeof expected);
  assert_true(rk_load_u64(block + 120) == XXH3_64bits(out.data, out.size - 8));

  rk_seal decoded = {0};
  assert_int_equal(rk_seal_decode(block, &decoded), RK_OK);
  assert_memory_equal(&decoded, &seal, sizeof seal);
  rk_buffer_free(&out);
}

static void every_flipped_bit(void **state)
{
  (void)state;
  static const size_t sizes[] = {0, 50, 112, 200};
  for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
    rk_buffer out = {0};
    rk_seal seal = sample;
    make_frame(&out, sizes[k], k % 2 == 0 ? 0 : 12, &seal);
    assert_true(rk_seal_verify(out.data, out.size));
    for (size_t bit = 0; bit < out.size * 8; bit++) {
      out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      if (rk_seal_verify(out.data, out.size)) {
        fail_msg("size %zu: flipped bit %zu goes unnoticed", out.size, bit);
      }
      out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < out.size; cut++) {
      uint8_t *exact = malloc(cut + 1);
      assert_non_null(exact);
      memcpy(exact, out.data, cut);
      assert_false(rk_seal_verify(exact, cut));
      memcpy(exact, out.data + out.size - cut, cut);
      assert_false(rk_seal_verify(exact, cut));
      free(exact);
    }
    rk_buffer_free(&out);
  }
}

static void decode_statuses(void **state)
{
  (void)state;
  rk_buffer out = {0};
  rk_seal seal = sample;
  make_frame(&out, 10, 0, &seal);
  const uint8_t *good = out.data + out.size - RK_SEAL_SIZE;
  for (size_t bit = 0; bit < 120 * 8; bit++) {
    uint8_t block[RK_SEAL_SIZE];
    memcpy(block, good, sizeof block);
    block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const size_t byte = bit / 8;
    rk_status expected = RK_OK;
    if (byte < 12) {
      expected = RK_END;
    } else if (byte < 14) {
      expected = bit == 12 * 8 ? RK_ERR_CORRUPT : RK_ERR_UNSUPPORTED; /* version 1 becomes 0, or more */
    } else if ((byte < 16 && bit != 14 * 8 && bit != 14 * 8 + 1 && bit != 14 * 8 + 2) || byte >= 104) {
      expected = RK_ERR_CORRUPT;
    }
    if (byte == 17) {
      expected = bit == 17 * 8 ? RK_ERR_CORRUPT : RK_OK; /* frame_size 256 becomes 0 */
    }
    rk_seal decoded;
    if (rk_seal_decode(block, &decoded) != expected) {
      fail_msg("flipped bit %zu of byte %zu: status is not %d", bit % 8, byte, (int)expected);
    }
  }
  rk_buffer_free(&out);
}

static void recording_hash(void **state)
{
  (void)state;
  assert_true(rk_recording_hash("app", "rec") == XXH3_64bits("app\0rec", 7));
  assert_true(rk_recording_hash("", "") == XXH3_64bits("\0", 1));
  assert_true(rk_recording_hash("ab", "c") != rk_recording_hash("a", "bc"));
  char text[1000];
  memset(text, 'x', sizeof text);
  text[200] = '\0';
  text[999] = '\0';
  assert_true(rk_recording_hash(text, text + 201) == XXH3_64bits(text, 999));
}

static void passes_on_failure(void **state)
{
  (void)state;
  rk_buffer out = {.failed = true};
  rk_seal seal = sample;
  rk_seal_frame(&out, 0, 0, &seal);
  rk_frame_end(&out, 0);
  assert_int_equal(out.size, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pads_every_size), cmocka_unit_test(layout),         cmocka_unit_test(every_flipped_bit),
      cmocka_unit_test(decode_statuses), cmocka_unit_test(recording_hash), cmocka_unit_test(passes_on_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
