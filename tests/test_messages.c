/* Messages: stock vectors, round trips, required fields, wire types, truncation and flipped bits. */
#include "format/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/frame.h"
#include "format/protobuf.h"
#include "format/seal.h"
#include "tests/arrow_msg.h"
#include "tests/hex.h"

static rk_text text(const char *string)
{
  return (rk_text){.data = string, .size = strlen(string)};
}

static void assert_text(rk_text actual, const char *expected)
{
  assert_int_equal(actual.size, strlen(expected));
  assert_true(actual.size == 0 || memcmp(actual.data, expected, actual.size) == 0);
}

static rk_buffer bytes_of(const char *hex)
{
  rk_buffer out = {0};
  assert_true(hex_append(&out, hex, strlen(hex)));
  return out;
}

#define STORE_ID   "08 01 12 04 72 65 63 31 1a 07 0a 05 6d 79 61 70 70"
#define ROW_ID     "0a 12 09 88 77 66 55 44 33 22 11 11 01 00 00 00 00 00 00 00"
#define STORE_INFO ROW_ID "12 1c 12 11" STORE_ID "2a 02 08 01 32 03 08 80 42"

static rk_store_info sample_info(void)
{
  return (rk_store_info){
      .row_id = {.time_ns = 0x1122334455667788, .inc = 1},
      .store = {.kind = RK_STORE_RECORDING, .application_id = text("myapp"), .recording_id = text("rec1")},
      .source_kind = 1,
      .store_version = 0x00002100};
}

static void stock_vector(void **state)
{
  (void)state;
  rk_buffer expected = bytes_of("01 00*7 32 00*7 " STORE_INFO);
  rk_buffer out = {0};
  rk_buffer_append(&out, "xyz", 3);
  const size_t start = rk_frame_begin(&out, RK_FRAME_SET_STORE_INFO);
  const rk_store_info info = sample_info();
  rk_store_info_encode(&out, &info);
  rk_frame_end(&out, start);
  assert_int_equal(start, 3);
  assert_int_equal(out.size - 3, expected.size);
  assert_memory_equal(out.data + 3, expected.data, expected.size);

  rk_store_info decoded;
  assert_int_equal(rk_store_info_decode(expected.data + 16, 50, &decoded, NULL), RK_OK);
  assert_true(decoded.row_id.time_ns == 0x1122334455667788 && decoded.row_id.inc == 1);
  assert_int_equal(decoded.store.kind, RK_STORE_RECORDING);
  assert_text(decoded.store.application_id, "myapp");
  assert_text(decoded.store.recording_id, "rec1");
  assert_int_equal(decoded.source_kind, 1);
  assert_int_equal(decoded.store_version, 8448);
  assert_false(decoded.has_writer || decoded.has_recording);
  rk_buffer_free(&out);
  rk_buffer_free(&expected);
}

static rk_store_info full_info(void)
{
  rk_store_info info = sample_info();
  info.store_version = 0x81002100; /* the sign bit set */
  info.has_writer = true;
  info.writer = (rk_writer_record){.tag = UINT32_MAX,
                                   .host = text("h\u00F6st"),
                                   .boot_id = text("b7e1"),
                                   .thread = text("worker"),
                                   .program = text("prog"),
                                   .pid = -1,
                                   .tid = 4242,
                                   .start_ns = INT64_MIN,
                                   .clock_monotonic = 1,
                                   .clock_realtime = -2,
                                   .clock_offset = INT64_MAX};
  info.has_recording = true;
  info.recording =
      (rk_recording_record){.clock_offset = -5, .boot_id = text("b7e1"), .clock_monotonic = 6, .clock_realtime = 7};
  return info;
}

static void assert_full(const rk_store_info *d)
{
  assert_int_equal(d->store_version, 0x81002100);
  assert_true(d->has_writer && d->has_recording);
  assert_int_equal(d->writer.tag, UINT32_MAX);
  assert_text(d->writer.host, "h\u00F6st");
  assert_text(d->writer.boot_id, "b7e1");
  assert_text(d->writer.thread, "worker");
  assert_text(d->writer.program, "prog");
  assert_true(d->writer.pid == -1 && d->writer.tid == 4242 && d->writer.start_ns == INT64_MIN);
  assert_true(d->writer.clock_monotonic == 1 && d->writer.clock_realtime == -2);
  assert_true(d->writer.clock_offset == INT64_MAX);
  assert_true(d->recording.clock_offset == -5 && d->recording.clock_monotonic == 6);
  assert_true(d->recording.clock_realtime == 7);
  assert_text(d->recording.boot_id, "b7e1");
}

static void records_round_trip(void **state)
{
  (void)state;
  const rk_store_info info = full_info();
  rk_buffer out = {0};
  const size_t start = rk_frame_begin(&out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(&out, &info);
  rk_seal_frame(&out, start, 12, &(rk_seal){0});
  rk_store_info decoded;
  assert_int_equal(rk_store_info_decode(out.data + 16, out.size - 16, &decoded, NULL), RK_OK);
  assert_full(&decoded);
  rk_buffer_free(&out);

  /* Names that are not UTF-8 are repaired on the way in. */
  rk_store_info torn = full_info();
  torn.writer.thread = text("w\xC3");
  rk_store_info_encode(&out, &torn);
  assert_int_equal(rk_store_info_decode(out.data, out.size, &decoded, NULL), RK_OK);
  assert_text(decoded.writer.thread, "w\xEF\xBF\xBD");
  rk_buffer_free(&out);
}

static void every_source_is_readable(void **state)
{
  (void)state;
  for (uint32_t kind = 0; kind < 8; kind++) {
    rk_store_info info = sample_info();
    info.source_kind = kind;
    rk_buffer out = {0};
    rk_store_info_encode(&out, &info);
    rk_store_info decoded;
    assert_int_equal(rk_store_info_decode(out.data, out.size, &decoded, NULL), RK_OK);
    assert_int_equal(decoded.source_kind, kind);
    rk_buffer_free(&out);
  }
}

static rk_arrow_msg sample_msg(void)
{
  static const uint8_t payload[300] = {1, 2, 3};
  return (rk_arrow_msg){
      .store = {.kind = RK_STORE_BLUEPRINT, .application_id = text("myapp"), .recording_id = text("rec1")},
      .compression = RK_COMPRESSION_LZ4,
      .uncompressed_size = 70000,
      .payload = payload,
      .payload_size = sizeof payload,
      .has_chunk_id = true,
      .is_static = true,
      .chunk_id = {.time_ns = UINT64_MAX, .inc = 0}};
}

static void arrow_msg_round_trip(void **state)
{
  (void)state;
  const rk_arrow_msg msg = sample_msg();
  rk_buffer out = {0};
  put_arrow_msg(&out, &msg);
  rk_arrow_msg decoded;
  assert_int_equal(rk_arrow_msg_decode(out.data, out.size, &decoded, NULL), RK_OK);
  assert_int_equal(decoded.store.kind, RK_STORE_BLUEPRINT);
  assert_text(decoded.store.application_id, "myapp");
  assert_int_equal(decoded.compression, RK_COMPRESSION_LZ4);
  assert_int_equal(decoded.uncompressed_size, 70000);
  assert_int_equal(decoded.payload_size, 300);
  assert_memory_equal(decoded.payload, msg.payload, 300);
  assert_true(decoded.payload > out.data && decoded.payload < out.data + out.size);
  assert_true(decoded.has_chunk_id && decoded.is_static);
  assert_true(decoded.chunk_id.time_ns == UINT64_MAX && decoded.chunk_id.inc == 0);
  rk_buffer_free(&out);

  rk_arrow_msg plain = sample_msg();
  plain.store.application_id = (rk_text){0};
  plain.compression = RK_COMPRESSION_NONE;
  plain.has_chunk_id = false;
  plain.is_static = false;
  put_arrow_msg(&out, &plain);
  assert_int_equal(rk_arrow_msg_decode(out.data, out.size, &decoded, NULL), RK_OK);
  assert_null(decoded.store.application_id.data);
  assert_int_equal(decoded.compression, RK_COMPRESSION_NONE);
  assert_false(decoded.has_chunk_id || decoded.is_static);
  rk_buffer_free(&out);
}

static void activation_round_trip(void **state)
{
  (void)state;
  for (int bits = 0; bits < 4; bits++) {
    const rk_blueprint_activation command = {
        .blueprint = {.kind = RK_STORE_BLUEPRINT, .application_id = text("a"), .recording_id = text("b")},
        .make_active = bits & 1,
        .make_default = bits & 2};
    rk_buffer out = {0};
    rk_blueprint_activation_encode(&out, &command);
    rk_blueprint_activation decoded;
    assert_int_equal(rk_blueprint_activation_decode(out.data, out.size, &decoded, NULL), RK_OK);
    assert_int_equal(decoded.blueprint.kind, RK_STORE_BLUEPRINT);
    assert_text(decoded.blueprint.recording_id, "b");
    assert_int_equal(decoded.make_active, bits & 1);
    assert_int_equal(decoded.make_default, (bits & 2) != 0);
    rk_buffer_free(&out);
  }
}

typedef struct row {
  const char *name, *hex;
  rk_status status;
} row;

#define SOURCE "2a 02 08 01"
#define AN_ID  "0a 02 08 01"

static void store_info_statuses(void **state)
{
  (void)state;
  static const row rows[] = {
      {"good", STORE_INFO, RK_OK},
      {"no version", ROW_ID "12 17 12 11" STORE_ID SOURCE, RK_OK},
      {"info before row id", "12 17 12 11" STORE_ID SOURCE ROW_ID, RK_OK},
      {"unknown fields", ROW_ID "12 19 12 11" STORE_ID SOURCE "58 05 9a 01 02 ff ff", RK_OK},
      {"info in two pieces", ROW_ID "12 13 12 11" STORE_ID "12 04" SOURCE, RK_OK},
      {"store id in two pieces", ROW_ID "12 13 12 02 08 01 12 0b 12 04 72 65 63 31 1a 03 0a 01 61 2a 00", RK_OK},
      {"legacy application id", ROW_ID "12 11 0a 03 0a 01 61 12 08 08 01 12 04 72 65 63 31 2a 00", RK_OK},
      {"unknown store kind", ROW_ID "12 13 12 0d 08 09 12 04 72 65 63 31 1a 03 0a 01 61 2a 02 08 01", RK_OK},
      {"empty", "", RK_ERR_CORRUPT},
      {"no row id", "12 17 12 11" STORE_ID SOURCE, RK_ERR_CORRUPT},
      {"row id without inc",
       "0a 09 09 01 00*7 "
       "12 17 12 11" STORE_ID SOURCE,
       RK_ERR_CORRUPT},
      {"row id without time",
       "0a 09 11 01 00*7 "
       "12 17 12 11" STORE_ID SOURCE,
       RK_ERR_CORRUPT},
      {"row id's time a varint",
       "0a 0b 08 01 11 01 00*7 "
       "12 17 12 11" STORE_ID SOURCE,
       RK_ERR_CORRUPT},
      {"row id a varint", "08 01 12 17 12 11" STORE_ID SOURCE, RK_ERR_CORRUPT},
      {"no info", ROW_ID, RK_ERR_CORRUPT},
      {"info a varint", ROW_ID "10 01", RK_ERR_CORRUPT},
      {"no store id", ROW_ID "12 04" SOURCE, RK_ERR_CORRUPT},
      {"no source", ROW_ID "12 13 12 11" STORE_ID, RK_ERR_CORRUPT},
      {"python without extra", ROW_ID "12 17 12 11" STORE_ID "2a 02 08 02", RK_ERR_CORRUPT},
      {"rust without extra", ROW_ID "12 17 12 11" STORE_ID "2a 02 08 03", RK_ERR_CORRUPT},
      {"file without extra", ROW_ID "12 17 12 11" STORE_ID "2a 02 08 04", RK_ERR_CORRUPT},
      {"other without extra", ROW_ID "12 17 12 11" STORE_ID "2a 02 08 06", RK_ERR_CORRUPT},
      {"viewer needs none", ROW_ID "12 17 12 11" STORE_ID "2a 02 08 05", RK_OK},
      {"extra a varint", ROW_ID "12 19 12 11" STORE_ID "2a 04 08 02 10 01", RK_ERR_CORRUPT},
      {"no application id", ROW_ID "12 0e 12 08 08 01 12 04 72 65 63 31 2a 02 08 01", RK_ERR_CORRUPT},
      {"empty application id", ROW_ID "12 10 12 0a 08 01 12 04 72 65 63 31 1a 00 2a 02 08 01", RK_ERR_CORRUPT},
      {"no recording id", ROW_ID "12 0d 12 07 08 01 1a 03 0a 01 61 2a 02 08 01", RK_ERR_CORRUPT},
      {"recording id not UTF-8", ROW_ID "12 10 12 0a 08 01 12 01 ff 1a 03 0a 01 61 2a 02 08 01", RK_ERR_CORRUPT},
      {"application id not UTF-8", ROW_ID "12 10 12 0a 08 01 12 01 72 1a 03 0a 01 ff 2a 02 08 01", RK_ERR_CORRUPT},
      {"kind as bytes", ROW_ID "12 11 12 0b 0a 01 00 12 01 72 1a 03 0a 01 61 2a 02 08 01", RK_ERR_CORRUPT},
      {"version's bits as bytes", ROW_ID "12 1b 12 11" STORE_ID SOURCE "32 02 0a 00", RK_ERR_CORRUPT},
      {"writer record without tag", STORE_INFO "d2 81 0c 02 30 01", RK_ERR_CORRUPT},
      {"writer record with tag", STORE_INFO "d2 81 0c 02 08 01", RK_OK},
      {"writer tag too large", STORE_INFO "d2 81 0c 06 08 80 80 80 80 10", RK_ERR_CORRUPT},
      {"writer host a varint", STORE_INFO "d2 81 0c 04 08 01 10 01", RK_ERR_CORRUPT},
      {"writer host not UTF-8", STORE_INFO "d2 81 0c 05 08 01 12 01 ff", RK_ERR_CORRUPT},
      {"writer clock a varint", STORE_INFO "d2 81 0c 04 08 01 48 01", RK_ERR_CORRUPT},
      {"writer record a varint", STORE_INFO "d0 81 0c 01", RK_ERR_CORRUPT},
      {"recording record without offset", STORE_INFO "da 81 0c 00", RK_ERR_CORRUPT},
      {"recording record", STORE_INFO "da 81 0c 09 09 01 00*7 ", RK_OK},
      {"group at the end", STORE_INFO "0b", RK_ERR_CORRUPT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer bytes = bytes_of(rows[i].hex);
    rk_store_info info;
    rk_error error = {0};
    const rk_status status = rk_store_info_decode(bytes.data, bytes.size, &info, &error);
    if (status != rows[i].status || error.status != status) {
      fail_msg("%s: status %d (%s)", rows[i].name, (int)status, error.message);
    }
    rk_buffer_free(&bytes);
  }
}

#define MSG "0a 11" STORE_ID

static void arrow_msg_statuses(void **state)
{
  (void)state;
  static const row rows[] = {
      {"good", MSG "20 01 2a 01 00", RK_OK},
      {"compression none", MSG "10 01 20 01 2a 01 00", RK_OK},
      {"LZ4", MSG "10 02 18 05 20 01 2a 01 00", RK_OK},
      {"empty payload", MSG "20 01 2a 00", RK_OK},
      {"unknown field", MSG "20 01 2a 01 00 c2 81 0c 01 00", RK_OK},
      {"empty", "", RK_ERR_CORRUPT},
      {"no store id", "20 01 2a 01 00", RK_ERR_CORRUPT},
      {"no encoding", MSG "2a 01 00", RK_ERR_CORRUPT},
      {"encoding 2", MSG "20 02 2a 01 00", RK_ERR_UNSUPPORTED},
      {"compression 3", MSG "10 03 20 01 2a 01 00", RK_ERR_UNSUPPORTED},
      {"LZ4 without size", MSG "10 02 20 01 2a 01 00", RK_ERR_CORRUPT},
      {"no payload", MSG "20 01", RK_ERR_CORRUPT},
      {"payload a varint", MSG "20 01 28 01", RK_ERR_CORRUPT},
      {"size as bytes", MSG "1a 00 20 01 2a 01 00", RK_ERR_CORRUPT},
      {"chunk id empty", MSG "20 01 2a 01 00 32 00", RK_ERR_CORRUPT},
      {"is_static as bytes", MSG "20 01 2a 01 00 3a 00", RK_ERR_CORRUPT},
      {"payload past the end", MSG "20 01 2a 05 00", RK_ERR_CORRUPT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    rk_buffer bytes = bytes_of(rows[i].hex);
    rk_arrow_msg msg;
    rk_error error = {0};
    const rk_status status = rk_arrow_msg_decode(bytes.data, bytes.size, &msg, &error);
    if (status != rows[i].status || error.status != status) {
      fail_msg("%s: status %d (%s)", rows[i].name, (int)status, error.message);
    }
    rk_buffer_free(&bytes);
  }
}

/* Decodes a copy that ends exactly where it says, for the sanitizer's sake; 1 more byte as malloc(0) may be NULL. */
static rk_status decode_all(const uint8_t *data, size_t size)
{
  uint8_t *exact = malloc(size + 1);
  assert_non_null(exact);
  memcpy(exact + 1, data, size);
  rk_store_info info;
  rk_arrow_msg msg;
  rk_blueprint_activation command;
  const rk_status status = rk_store_info_decode(exact + 1, size, &info, NULL);
  if (rk_arrow_msg_decode(exact + 1, size, &msg, NULL) == RK_OK) {
    assert_true(msg.payload >= exact && msg.payload + msg.payload_size <= exact + 1 + size);
  }
  (void)rk_blueprint_activation_decode(exact + 1, size, &command, NULL);
  free(exact);
  return status;
}

static void truncation_and_bits(void **state)
{
  (void)state;
  rk_buffer out = {0};
  const rk_store_info info = full_info();
  rk_store_info_encode(&out, &info);
  size_t info_size = 0;
  for (size_t cut = 0; cut < out.size; cut++) {
    if (decode_all(out.data, cut) == RK_OK) {
      info_size++; /* only where whole fields remain: before, between and after the two records */
    }
  }
  assert_int_equal(info_size, 2);
  for (size_t bit = 0; bit < out.size * 8; bit++) {
    out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    (void)decode_all(out.data, out.size);
    out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_int_equal(decode_all(out.data, out.size), RK_OK);
  rk_buffer_reset(&out);

  const rk_arrow_msg msg = sample_msg();
  put_arrow_msg(&out, &msg);
  for (size_t cut = 0; cut < out.size; cut++) {
    (void)decode_all(out.data, cut);
    rk_arrow_msg decoded;
    const rk_status status = rk_arrow_msg_decode(out.data, cut, &decoded, NULL);
    const bool whole = cut == out.size - 2 || cut == out.size - 2 - 20; /* without is_static, without chunk id */
    assert_int_equal(status, whole ? RK_OK : RK_ERR_CORRUPT);
  }
  for (size_t bit = 0; bit < out.size * 8; bit++) {
    out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    (void)decode_all(out.data, out.size);
    out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  rk_buffer_free(&out);
}

static void failed_decode_changes_nothing(void **state)
{
  (void)state;
  rk_store_info info;
  memset(&info, 0x5A, sizeof info);
  rk_store_info before = info;
  assert_int_equal(rk_store_info_decode("\x0A", 1, &info, NULL), RK_ERR_CORRUPT);
  assert_memory_equal(&info, &before, sizeof info);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stock_vector),
      cmocka_unit_test(records_round_trip),
      cmocka_unit_test(every_source_is_readable),
      cmocka_unit_test(arrow_msg_round_trip),
      cmocka_unit_test(activation_round_trip),
      cmocka_unit_test(store_info_statuses),
      cmocka_unit_test(arrow_msg_statuses),
      cmocka_unit_test(truncation_and_bits),
      cmocka_unit_test(failed_decode_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
