/* Stream header, frame header, stream footer: each broken byte gives exactly one status. */
#include "format/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void stream_header_statuses(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint8_t bytes[RK_STREAM_HEADER_SIZE];
    rk_status status;
    uint64_t offset;
  } rows[] = {
      {"ours", {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 2, 0, 0}, RK_OK, 0},
      {"uncompressed", {'R', 'R', 'F', '2', 0, 36, 2, 0, 0, 2, 0, 0}, RK_OK, 0},
      {"0.23", {'R', 'R', 'F', '2', 0, 23, 0, 0, 1, 2, 0, 0}, RK_OK, 0},
      {"alpha", {'R', 'R', 'F', '2', 0, 37, 0, 0x81, 1, 2, 0, 0}, RK_OK, 0},
      {"1.0", {'R', 'R', 'F', '2', 1, 0, 0, 0, 1, 2, 0, 0}, RK_OK, 0},
      {"0.22", {'R', 'R', 'F', '2', 0, 22, 9, 0, 1, 2, 0, 0}, RK_ERR_UNSUPPORTED, 4},
      {"0.0.0", {'R', 'R', 'F', '2', 0, 0, 0, 0, 1, 2, 0, 0}, RK_ERR_UNSUPPORTED, 4},
      {"RRF1", {'R', 'R', 'F', '1', 0, 33, 0, 0, 1, 2, 0, 0}, RK_ERR_UNSUPPORTED, 0},
      {"RRF0", {'R', 'R', 'F', '0', 0, 33, 0, 0, 1, 2, 0, 0}, RK_ERR_UNSUPPORTED, 0},
      {"RRF3", {'R', 'R', 'F', '3', 0, 33, 0, 0, 1, 2, 0, 0}, RK_ERR_NOT_RRD, 0},
      {"lower case", {'r', 'r', 'f', '2', 0, 33, 0, 0, 1, 2, 0, 0}, RK_ERR_NOT_RRD, 0},
      {"zeros", {0}, RK_ERR_NOT_RRD, 0},
      {"compression 2", {'R', 'R', 'F', '2', 0, 33, 0, 0, 2, 2, 0, 0}, RK_ERR_UNSUPPORTED, 8},
      {"msgpack", {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 1, 0, 0}, RK_ERR_UNSUPPORTED, 9},
      {"serializer 3", {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 3, 0, 0}, RK_ERR_UNSUPPORTED, 9},
      {"option 1", {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 2, 1, 0}, RK_ERR_UNSUPPORTED, 10},
      {"option 2", {'R', 'R', 'F', '2', 0, 33, 0, 0, 1, 2, 0, 1}, RK_ERR_UNSUPPORTED, 10},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_stream_header header = {0};
    rk_error error = {0};
    const rk_status status = rk_stream_header_decode(rows[i].bytes, &header, &error);
    if (status != rows[i].status || error.status != status || error.offset != rows[i].offset) {
      fail_msg("%s: status %d, offset %d", rows[i].name, (int)status, (int)error.offset);
    }
    assert_int_equal(rk_stream_header_decode(rows[i].bytes, &header, NULL), rows[i].status);
    if (status == RK_OK) {
      assert_memory_equal(header.version, rows[i].bytes + 4, 4);
      assert_int_equal(header.compression, rows[i].bytes[8]);
    }
  }
  assert_memory_equal(rk_stream_header_bytes, rows[0].bytes, RK_STREAM_HEADER_SIZE);
}

static void frame_header(void **state)
{
  (void)state;
  static const uint64_t sizes[] = {0, 1, 112, 1 << 20, UINT32_MAX, UINT64_MAX};
  for (unsigned kind = 0; kind < 4; kind++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      uint8_t bytes[RK_FRAME_HEADER_SIZE];
      rk_frame_header_encode(bytes, (rk_frame_header){.kind = (rk_frame_kind)kind, .size = sizes[i]});
      rk_frame_header header;
      assert_true(rk_frame_header_decode(bytes, &header));
      assert_int_equal(header.kind, kind);
      assert_true(header.size == sizes[i]);
      assert_int_equal(bytes[0], kind);
      for (unsigned bit = 2; bit < 64; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(rk_frame_header_decode(bytes, &header));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      }
    }
  }
  /* A stream header where a frame is expected, as `cat a b` makes it. */
  uint8_t concatenated[RK_FRAME_HEADER_SIZE] = {0};
  memcpy(concatenated, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  assert_false(rk_frame_header_decode(concatenated, &(rk_frame_header){0}));
}

static void stream_footer(void **state)
{
  (void)state;
  const rk_stream_footer footer = {
      .payload_offset = 0x1122334455667788, .payload_size = 0x99AABBCC, .payload_hash = 0xDDEEFF01};
  uint8_t bytes[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer_encode(bytes, &footer);
  static const uint8_t expected[RK_STREAM_FOOTER_SIZE] = {
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xCC, 0xBB, 0xAA, 0x99, 0, 0, 0, 0,
      0x01, 0xFF, 0xEE, 0xDD, 'R',  'R',  'F',  '2',  'F',  'O',  'O',  'T',  1, 0, 0, 0};
  assert_memory_equal(bytes, expected, sizeof expected);
  rk_stream_footer decoded;
  assert_true(rk_stream_footer_decode(bytes, &decoded));
  assert_true(decoded.payload_offset == footer.payload_offset);
  assert_true(decoded.payload_size == footer.payload_size);
  assert_int_equal(decoded.payload_hash, footer.payload_hash);
  for (unsigned bit = 20 * 8; bit < 32 * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_false(rk_stream_footer_decode(bytes, &decoded));
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

static void footer_hash(void **state)
{
  (void)state;
  assert_int_equal(rk_footer_hash("", 0), 0x2a973671);
  assert_int_equal(rk_footer_hash("abc", 3), 0xdf14a809);
  assert_int_equal(rk_footer_hash("0123456789abcdef", 16), 0x3ba175db);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stream_header_statuses),
      cmocka_unit_test(frame_header),
      cmocka_unit_test(stream_footer),
      cmocka_unit_test(footer_hash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
