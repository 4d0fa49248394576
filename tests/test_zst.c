/* Units of a Zstandard recording: wrapping and back, every truncation and flipped bit noticed, hostile claims refused.
 */
#include "format/zst.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>
#include <zstd.h>

#include "format/bytes.h"
#include "recordings.h"

static const int64_t keys[] = {1000, 1001, 1002, 1003};

/* Stream header, SetStoreInfo, writer, two chunks. */
static void make_record(rk_buffer *out, bool first)
{
  if (first) {
    test_begin(out, NULL, NULL, false);
  }
  test_add_writer(out, NULL, NULL, 7);
  const test_chunk a = {.entity = "/a", .tag = 7, .row_count = 4, .keys = keys, .plain = true};
  const test_chunk b = {
      .entity = "/b", .tag = 7, .number = 1, .first_row = 4, .row_count = 2, .keys = keys, .plain = true};
  test_add_chunk(out, &a);
  test_add_chunk(out, &b);
}

static void add_end(rk_buffer *out)
{
  const size_t end = rk_frame_begin(out, RK_FRAME_END);
  rk_frame_end(out, end);
  uint8_t footer[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer_encode(footer, &(rk_stream_footer){.payload_offset = end + RK_FRAME_HEADER_SIZE});
  rk_buffer_append(out, footer, sizeof footer);
}

typedef struct packed {
  rk_buffer out;
  uint8_t *unit;
  size_t size;
} packed;

static packed pack(const rk_buffer *record, int level)
{
  packed p = {0};
  size_t begin;
  struct ZSTD_CCtx_s *context = rk_unit_context(level);
  assert_non_null(context);
  rk_buffer_append(&p.out, "before", 6);
  assert_int_equal(rk_unit_wrap(&p.out, context, 99, record->data, record->size, &begin), RK_OK);
  assert_memory_equal(p.out.data, "before", 6);
  p.unit = p.out.data + begin;
  p.size = p.out.size - begin;
  ZSTD_freeCCtx(context);
  return p;
}

static rk_status unpack(rk_buffer *out, const uint8_t *unit, size_t size)
{
  struct ZSTD_DCtx_s *context = ZSTD_createDCtx();
  rk_buffer_reset(out);
  const rk_status status = rk_unit_unwrap(out, context, unit, size);
  ZSTD_freeDCtx(context);
  return status;
}

static void round_trips(void **state)
{
  (void)state;
  static const int levels[] = {-7, -5, 1, 3, 19};
  for (unsigned kind = 0; kind < 4; kind++) {
    rk_buffer record = {0}, back = {0};
    if (kind != 3) {
      make_record(&record, kind == 0);
    }
    if (kind >= 2) {
      add_end(&record);
    }
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
      packed p = pack(&record, levels[i]);
      rk_zst_unit unit;
      rk_seal seal;
      assert_int_equal(p.size % RK_FRAME_ALIGNMENT, 0);
      assert_int_equal(rk_unit_head_decode(p.unit, &unit), RK_OK);
      assert_int_equal(unit.size, p.size);
      assert_int_equal(unit.plain_size, record.size);
      assert_int_equal(unit.frame_count, kind == 0 ? 4 : kind == 1 ? 3 : kind == 2 ? 4 : 1);
      assert_int_equal(unit.flags, kind == 0 ? RK_UNIT_STREAM_HEADER : kind == 1 ? 0 : RK_UNIT_STREAM_FOOTER);
      assert_true(rk_unit_lead_check(p.unit, &unit));
      assert_int_equal(rk_unit_seal_decode(p.unit + p.size - RK_SEAL_SIZE, &seal), RK_OK);
      assert_int_equal(seal.frame_size, p.size);
      assert_int_equal(seal.uncompressed_size, record.size);
      assert_int_equal(seal.writer, kind == 1 || kind == 2 ? 7 : 0);
      assert_int_equal(seal.recording_hash, kind == 3 ? 99 : rk_recording_hash("app", "rec"));
      assert_int_equal(unpack(&back, p.unit, p.size), RK_OK);
      assert_int_equal(back.size, record.size);
      assert_memory_equal(back.data, record.data, record.size);
      /* The whole is what any zstd decoder reads. */
      uint8_t *plain = malloc(record.size);
      assert_int_equal(ZSTD_decompress(plain, record.size, p.unit, p.size), record.size);
      assert_memory_equal(plain, record.data, record.size);
      free(plain);
      rk_buffer_free(&p.out);
    }
    rk_buffer_free(&record);
    rk_buffer_free(&back);
  }
}

/* The copies of frame headers and seals are those of the record. */
static void lead_lists_frames(void **state)
{
  (void)state;
  rk_buffer record = {0};
  make_record(&record, true);
  packed p = pack(&record, 1);
  size_t at = RK_STREAM_HEADER_SIZE;
  for (uint32_t i = 0; i < 4; i++) {
    rk_frame_header header, wanted;
    rk_seal seal, own;
    assert_int_equal(rk_unit_frame(p.unit, i, &header, &seal), RK_OK);
    assert_true(rk_frame_header_decode(record.data + at, &wanted));
    assert_int_equal(header.kind, wanted.kind);
    assert_int_equal(header.size, wanted.size);
    at += RK_FRAME_HEADER_SIZE + (size_t)wanted.size;
    assert_int_equal(rk_seal_decode(record.data + at - RK_SEAL_SIZE, &own), RK_OK);
    assert_int_equal(seal.writer, own.writer);
    assert_int_equal(seal.chunk_number, own.chunk_number);
    assert_int_equal(seal.min_log_time, own.min_log_time);
  }
  assert_int_equal(at, record.size);
  rk_buffer_free(&p.out);
  rk_buffer_free(&record);
}

static void not_a_record(void **state)
{
  (void)state;
  rk_buffer record = {0}, out = {0};
  size_t begin;
  struct ZSTD_CCtx_s *context = rk_unit_context(1);
  make_record(&record, true);
  for (size_t size = 0; size < record.size; size++) {
    bool boundary = false; /* a whole number of frames is a record, too */
    rk_frame_header header;
    for (size_t at = RK_STREAM_HEADER_SIZE; at < size && !boundary;) {
      assert_true(rk_frame_header_decode(record.data + at, &header));
      at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
      boundary = at == size;
    }
    assert_int_equal(rk_unit_wrap(&out, context, 0, record.data, size, &begin), boundary ? RK_OK : RK_ERR_CORRUPT);
  }
  ZSTD_freeCCtx(context);
  rk_buffer_free(&out);
  rk_buffer_free(&record);
}

static void truncated_and_flipped(void **state)
{
  (void)state;
  rk_buffer record = {0}, back = {0};
  make_record(&record, true);
  packed p = pack(&record, 1);
  for (size_t size = 0; size < p.size; size++) {
    assert_int_not_equal(unpack(&back, p.unit, size), RK_OK);
  }
  for (size_t bit = 0; bit < 8 * p.size; bit++) {
    p.unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_int_not_equal(unpack(&back, p.unit, p.size), RK_OK);
    assert_int_equal(back.size, 0);
    p.unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_int_equal(unpack(&back, p.unit, p.size), RK_OK);
  rk_buffer_free(&p.out);
  rk_buffer_free(&record);
  rk_buffer_free(&back);
}

static void repair(uint8_t *unit, size_t lead_size, size_t size)
{
  rk_store_u64(unit + lead_size - 8, XXH3_64bits(unit, lead_size - 8));
  rk_store_u64(unit + size - 8, XXH3_64bits(unit, size - 8));
}

/* Under sound hashes every bit of the lead still counts. */
static void flipped_and_repaired(void **state)
{
  (void)state;
  rk_buffer record = {0}, back = {0};
  make_record(&record, true);
  packed p = pack(&record, 1);
  rk_zst_unit unit;
  assert_int_equal(rk_unit_head_decode(p.unit, &unit), RK_OK);
  for (size_t bit = 0; bit < 8 * (unit.lead_size - 8); bit++) {
    p.unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    repair(p.unit, unit.lead_size, p.size);
    const rk_status status = unpack(&back, p.unit, p.size);
    const size_t at = bit / 8;
    assert_int_equal(status, at == 16 && bit % 8 != 0 ? RK_ERR_UNSUPPORTED
                             : at == 17               ? RK_ERR_UNSUPPORTED
                                                      : RK_ERR_CORRUPT);
    p.unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  repair(p.unit, unit.lead_size, p.size);
  assert_int_equal(unpack(&back, p.unit, p.size), RK_OK);
  rk_buffer_free(&p.out);
  rk_buffer_free(&record);
  rk_buffer_free(&back);
}

/* A unit whose zstd frame claims more than the lead tells takes no memory for the claim. */
static void claims(void **state)
{
  (void)state;
  rk_buffer record = {0}, back = {0};
  make_record(&record, true);
  packed p = pack(&record, 1);
  rk_zst_unit unit;
  assert_int_equal(rk_unit_head_decode(p.unit, &unit), RK_OK);
  const uint64_t plain = rk_load_u64(p.unit + 32);
  static const uint64_t lies[] = {0, 1, 1ull << 31, (1ull << 31) + (2 << 20), 1ull << 32, UINT64_MAX};
  for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
    rk_store_u64(p.unit + 32, lies[i]);
    repair(p.unit, unit.lead_size, p.size);
    assert_int_equal(unpack(&back, p.unit, p.size), RK_ERR_CORRUPT);
    assert_true(back.capacity < 1 << 20);
  }
  rk_store_u64(p.unit + 32, plain);
  repair(p.unit, unit.lead_size, p.size);
  assert_int_equal(unpack(&back, p.unit, p.size), RK_OK);
  rk_buffer_free(&p.out);
  rk_buffer_free(&record);
  rk_buffer_free(&back);
}

static void fillers(void **state)
{
  (void)state;
  for (size_t size = RK_UNIT_MIN; size < RK_UNIT_MIN + 300; size++) {
    rk_buffer out = {0}, back = {0};
    rk_zst_unit unit;
    rk_seal seal;
    rk_unit_filler(&out, 5, size);
    assert_int_equal(out.size, size);
    assert_int_equal(rk_unit_head_decode(out.data, &unit), RK_OK);
    assert_int_equal(unit.size, size);
    assert_int_equal(unit.plain_size, 0);
    assert_true(rk_unit_lead_check(out.data, &unit));
    assert_true(rk_unit_verify(out.data, size));
    assert_int_equal(rk_unit_seal_decode(out.data + size - RK_SEAL_SIZE, &seal), RK_OK);
    assert_int_equal(seal.flags, RK_SEAL_FILLER);
    assert_int_equal(seal.recording_hash, 5);
    assert_int_equal(unpack(&back, out.data, size), RK_OK);
    assert_int_equal(back.size, 0);
    uint8_t none;
    assert_int_equal(ZSTD_decompress(&none, 1, out.data, size), 0);
    rk_buffer_free(&out);
    rk_buffer_free(&back);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trips),
      cmocka_unit_test(lead_lists_frames),
      cmocka_unit_test(not_a_record),
      cmocka_unit_test(truncated_and_flipped),
      cmocka_unit_test(flipped_and_repaired),
      cmocka_unit_test(claims),
      cmocka_unit_test(fillers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
