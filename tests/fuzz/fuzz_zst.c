/* Zstandard recordings from any bytes: the walk over units, reads of the plain stream, and everything that a reader
 * does with it. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "reader/input/source_zst.h"
#include "rrdkit/reader.h"
#include "tests/recordings.h"
#include "tests/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void check(bool holds)
{
  if (!holds) {
    abort();
  }
}

/* Makes the hashes of what still looks like units right, so that mutations get past them. */
static void repair(uint8_t *bytes, size_t size)
{
  rk_zst_unit unit;
  for (size_t at = 0; size - at >= RK_UNIT_MIN;) {
    if (rk_unit_head_decode(bytes + at, &unit) != RK_OK || unit.size > size - at) {
      at += RK_FRAME_ALIGNMENT;
      if (at > size) {
        return;
      }
      continue;
    }
    rk_store_u64(bytes + at + unit.lead_size - 8, XXH3_64bits(bytes + at, unit.lead_size - 8));
    rk_store_u64(bytes + at + unit.size - 8, XXH3_64bits(bytes + at, (size_t)unit.size - 8));
    at += (size_t)unit.size;
  }
}

static void walk(const uint8_t *data, size_t size)
{
  rk_source source;
  if (size == 0 || rk_source_open_memory(&source, data, size, NULL) != RK_OK) {
    return;
  }
  if (source.zst || rk_zst_attach(&source, true, NULL) == RK_OK) {
    check(rk_source_stored_size(&source) == size);
    size_t count;
    const rk_unit_loss *losses = rk_zst_losses(&source, &count);
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++) { /* in order, apart, within the file */
      check(losses[i].offset >= last && losses[i].length > 0 && rk_range_ok(losses[i].offset, losses[i].length, size));
      last = losses[i].offset + losses[i].length;
    }
    uint8_t bytes[300];
    for (uint64_t at = 0; at < source.size && at < 20000; at += 199) {
      const size_t part = source.size - at < sizeof bytes ? (size_t)(source.size - at) : sizeof bytes;
      uint64_t offset = at, length = part;
      check(rk_source_read(&source, at, bytes, part) == RK_OK);
      rk_source_place(&source, &offset, &length);
      check(rk_range_ok(offset, length, size));
    }
    check(rk_source_refresh(&source) == RK_OK);
  }
  rk_source_close(&source);
}

static void read_all(const uint8_t *data, size_t size)
{
  rk_reader *reader;
  check(rk_reader_open(NULL, &reader, NULL) == RK_OK);
  if (rk_reader_add_memory(reader, "fuzz", data, size, NULL) == RK_OK) {
    const rk_row *row;
    rk_status status;
    while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    }
    check(status == RK_END);
  }
  rk_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  walk(data, size);
  read_all(data, size);
  uint8_t *copy = malloc(size + 1);
  check(copy != NULL);
  memcpy(copy, data, size);
  repair(copy, size);
  walk(copy, size);
  read_all(copy, size);
  free(copy);
  return 0;
}

size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  if (index > 3) {
    return 0;
  }
  static const int64_t keys[] = {10, 20, 30};
  rk_buffer plain = {0};
  test_begin(&plain, NULL, NULL, false);
  test_add_writer(&plain, NULL, NULL, 7);
  test_add_chunk(&plain, &(test_chunk){.entity = "/a", .tag = 7, .row_count = 3, .keys = keys, .plain = true});
  test_add_chunk(&plain,
                 &(test_chunk){.entity = "/b", .tag = 7, .number = 1, .first_row = 3, .row_count = 2, .keys = keys});
  test_units units = test_units_of(plain.data, plain.size, index == 0 ? 100 : index);
  if (index == 3) {
    rk_unit_filler(&units.bytes, rk_recording_hash("app", "rec"), 256);
    if (!rk_buffer_reserve(&units.bytes, units.offset[1])) {
      abort();
    }
    rk_buffer_append(&units.bytes, units.bytes.data, units.offset[1]);
  }
  const size_t size = units.bytes.size <= capacity ? units.bytes.size : 0;
  memcpy(buffer, units.bytes.data, size);
  test_units_free(&units);
  rk_buffer_free(&plain);
  return size;
}
