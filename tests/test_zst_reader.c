/* Zstandard recordings read: the same rows as of their plain streams, an index from leading frames alone, every unit
 * that is not damaged whatever is, and files that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/bytes.h"
#include "reader/input/source_zst.h"
#include "rrdkit/reader.h"
#include "tests/recordings.h"
#include "tests/units.h"

enum { CHUNKS = 12, ROWS = 4, ROWS_MAX = 4096 };

typedef struct reading {
  rk_status added, ended;
  size_t count;
  double values[ROWS_MAX];
  rk_reader_stats stats, indexed; /* at the end; after adding */
  size_t losses, losses_added;
  uint64_t lost[256][2];
  rk_status lost_status;
} reading;

static void on_loss(void *context, const rk_loss *loss)
{
  reading *r = context;
  if (r->losses < 256) {
    r->lost[r->losses][0] = loss->offset;
    r->lost[r->losses][1] = loss->offset + loss->length;
  }
  r->lost_status = loss->status;
  r->losses++;
}

static void read_all(reading *r, const void *data, size_t size)
{
  *r = (reading){.ended = RK_END};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&(rk_reader_options){.on_loss = on_loss, .context = r}, &reader, NULL), RK_OK);
  r->added = rk_reader_add_memory(reader, "input", data, size, NULL);
  rk_reader_get_stats(reader, &r->indexed);
  r->losses_added = r->losses;
  if (r->added == RK_OK) {
    const rk_row *row;
    while ((r->ended = rk_reader_next(reader, &row)) == RK_OK) {
      assert_true(r->count < ROWS_MAX);
      const rk_component_cell *cell = &row->components[0];
      r->values[r->count++] = ((const double *)cell->values->buffers[1])[cell->values->offset + cell->start];
    }
    rk_reader_get_stats(reader, &r->stats);
  }
  rk_reader_free(reader);
}

/* Stream header and recording record, a writer, chunks of three entities. */
static void make_plain(rk_buffer *out, uint32_t tag, const char *recording)
{
  test_begin(out, NULL, recording, false);
  test_add_writer(out, NULL, recording, tag);
  for (uint32_t i = 0; i < CHUNKS; i++) {
    static const char *const entities[] = {"/a", "/b", "/c"};
    const int64_t keys[ROWS] = {1000 + i, 1020 + i, 1040 + i, 1060 + i};
    const test_chunk chunk = {.entity = entities[i % 3],
                              .recording = recording,
                              .tag = tag,
                              .number = i,
                              .first_row = i * ROWS,
                              .row_count = ROWS,
                              .keys = keys,
                              .plain = true};
    test_add_chunk(out, &chunk);
  }
}

static void add_end(rk_buffer *out)
{
  uint8_t footer[RK_STREAM_FOOTER_SIZE];
  const size_t end = rk_frame_begin(out, RK_FRAME_END);
  rk_frame_end(out, end);
  rk_stream_footer_encode(
      footer, &(rk_stream_footer){.payload_offset = end + RK_FRAME_HEADER_SIZE, .payload_hash = rk_footer_hash("", 0)});
  rk_buffer_append(out, footer, sizeof footer);
}

/* Whether the rows of the chunk are among those read: all or none. */
static bool has_chunk(const reading *r, uint32_t tag, uint32_t chunk)
{
  unsigned found = 0;
  for (size_t i = 0; i < r->count; i++) {
    for (uint32_t k = 0; k < ROWS; k++) {
      found += r->values[i] == test_value(tag, chunk * ROWS + k);
    }
  }
  assert_true(found == 0 || found == ROWS);
  return found == ROWS;
}

static void the_same_as_the_plain_stream(void **state)
{
  (void)state;
  static reading wanted, got;
  for (unsigned kind = 0; kind < 3; kind++) {
    rk_buffer plain = {0};
    make_plain(&plain, 7, NULL);
    if (kind >= 1) {
      add_end(&plain);
    }
    if (kind == 2) { /* a second stream */
      rk_buffer more = {0};
      make_plain(&more, 8, "other");
      rk_buffer_append(&plain, more.data, more.size);
      rk_buffer_free(&more);
    }
    read_all(&wanted, plain.data, plain.size);
    assert_int_equal(wanted.count, (kind == 2 ? 2 : 1) * CHUNKS * ROWS);
    for (size_t frames = 1; frames < 8; frames++) {
      test_units units = test_units_of(plain.data, plain.size, frames);
      read_all(&got, units.bytes.data, units.bytes.size);
      assert_int_equal(got.added, RK_OK);
      assert_int_equal(got.losses, 0);
      assert_int_equal(got.count, wanted.count);
      assert_memory_equal(got.values, wanted.values, wanted.count * sizeof wanted.values[0]);
      assert_int_equal(got.stats.frame_count, wanted.stats.frame_count);
      assert_int_equal(got.stats.chunk_count, wanted.stats.chunk_count);
      assert_int_equal(got.stats.input_size, plain.size);
      test_units_free(&units);
    }
    rk_buffer_free(&plain);
  }
}

/* What is between the units' leading frames and seals is not looked at before a row is wanted. */
static void the_index_unpacks_nothing(void **state)
{
  (void)state;
  static reading r;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  test_units units = test_units_of(plain.data, plain.size, 1);
  for (size_t i = 2; i < units.count; i++) { /* the first two hold messages that the index reads */
    rk_zst_unit unit;
    uint8_t *at = units.bytes.data + units.offset[i];
    assert_int_equal(rk_unit_head_decode(at, &unit), RK_OK);
    memset(at + unit.zstd_offset, 0x55, (size_t)unit.zstd_size);
  }
  read_all(&r, units.bytes.data, units.bytes.size);
  assert_int_equal(r.added, RK_OK);
  assert_int_equal(r.losses_added, 0);
  assert_int_equal(r.indexed.rows_indexed, CHUNKS * ROWS);
  assert_int_equal(r.losses, CHUNKS);
  assert_int_equal(r.count, 0);
  for (size_t i = 0; i < r.losses; i++) { /* each is a whole unit, by its place in the file */
    bool found = false;
    for (size_t k = 2; k < units.count; k++) {
      found |= r.lost[i][0] == units.offset[k] && r.lost[i][1] == units.offset[k + 1];
    }
    assert_true(found);
  }
  assert_int_equal(r.stats.lost_size, units.bytes.size - units.offset[2]);
  test_units_free(&units);
  rk_buffer_free(&plain);
}

static void truncated_at_every_byte(void **state)
{
  (void)state;
  static reading r;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  test_units units = test_units_of(plain.data, plain.size, 3);
  size_t whole = 0;
  for (size_t size = 1; size <= units.bytes.size; size++) {
    whole += size == units.offset[whole + 1];
    read_all(&r, units.bytes.data, size);
    if (whole == 0) {
      assert_true(r.added == RK_ERR_TRUNCATED || (size < RK_UNIT_HEAD_SIZE && r.added == RK_ERR_NOT_RRD));
      continue;
    }
    assert_int_equal(r.added, RK_OK);
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
      assert_int_equal(has_chunk(&r, 7, chunk), (chunk + 2) / 3 < whole); /* three frames each, two before chunk 0 */
    }
    assert_int_equal(r.losses, size != units.offset[whole]);
    if (r.losses > 0) {
      assert_int_equal(r.lost[0][0], units.offset[whole]);
      assert_int_equal(r.lost[0][1], size);
      assert_int_equal(r.lost_status, RK_ERR_TRUNCATED);
    }
  }
  test_units_free(&units);
  rk_buffer_free(&plain);
}

/* A flipped bit costs its unit at most, and is told within it. */
static void flipped_in_every_byte(void **state)
{
  (void)state;
  static reading r;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  test_units units = test_units_of(plain.data, plain.size, 3);
  size_t hurt = 0;
  for (size_t at = 0; at < units.bytes.size; at++) {
    hurt += at == units.offset[hurt + 1];
    units.bytes.data[at] ^= (uint8_t)(1u << at * 5 % 8);
    read_all(&r, units.bytes.data, units.bytes.size);
    assert_int_equal(r.added, RK_OK);
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
      assert_true(has_chunk(&r, 7, chunk) || (chunk + 2) / 3 == hurt);
    }
    assert_true(r.losses > 0);
    uint64_t lost = 0;
    for (size_t i = 0; i < r.losses; i++) {
      assert_true(r.lost[i][0] >= units.offset[hurt] && r.lost[i][1] <= units.offset[hurt + 1]);
      lost += r.lost[i][1] - r.lost[i][0];
    }
    assert_true(lost <= units.offset[hurt + 1] - units.offset[hurt]);
    assert_int_equal(r.stats.lost_size, lost);
    units.bytes.data[at] ^= (uint8_t)(1u << at * 5 % 8);
  }
  test_units_free(&units);
  rk_buffer_free(&plain);
}

typedef struct between_case {
  const char *name;
  size_t size;
  uint8_t byte;
  bool filler, torn, newer;
  rk_status status; /* RK_OK: no loss */
} between_case;

/* Something between two units, at every place. */
static void between_units(void **state)
{
  (void)state;
  static const between_case cases[] = {
      {.name = "zeros", .size = 4096, .status = RK_ERR_CORRUPT},
      {.name = "few zeros", .size = 1, .status = RK_ERR_CORRUPT},
      {.name = "bytes", .size = 777, .byte = 0x5D, .status = RK_ERR_CORRUPT},
      {.name = "filler", .size = 512, .filler = true},
      {.name = "smallest filler", .size = RK_UNIT_MIN, .filler = true},
      {.name = "a torn unit", .size = 500, .torn = true, .status = RK_ERR_CORRUPT},
      {.name = "a unit torn within its head", .size = 40, .torn = true, .status = RK_ERR_CORRUPT},
      {.name = "a newer version's unit", .size = 512, .filler = true, .newer = true, .status = RK_ERR_UNSUPPORTED},
  };
  static reading r;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  test_units units = test_units_of(plain.data, plain.size, 3);
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    for (size_t place = 1; place <= units.count; place++) {
      rk_buffer file = {0};
      rk_buffer_append(&file, units.bytes.data, units.offset[place]);
      const size_t start = file.size;
      if (cases[c].filler) {
        rk_unit_filler(&file, rk_recording_hash("app", "rec"), cases[c].size);
        if (cases[c].newer) {
          rk_store_u16(file.data + start + 16, 2);
        }
      } else if (cases[c].torn) {
        rk_buffer_append(&file, units.bytes.data + units.offset[1], cases[c].size);
      } else {
        memset(rk_buffer_extend(&file, cases[c].size), cases[c].byte, cases[c].size);
      }
      rk_buffer_append(&file, units.bytes.data + units.offset[place], units.bytes.size - units.offset[place]);
      read_all(&r, file.data, file.size);
      assert_int_equal(r.added, RK_OK);
      assert_int_equal(r.count, CHUNKS * ROWS);
      assert_int_equal(r.losses, cases[c].status != RK_OK);
      assert_int_equal(r.stats.filler_count, cases[c].filler && !cases[c].newer);
      if (r.losses > 0) {
        assert_int_equal(r.lost[0][0], start);
        assert_int_equal(r.lost[0][1], start + cases[c].size);
        if (place < units.count) {
          assert_int_equal(r.lost_status, cases[c].status);
        }
      }
      rk_buffer_free(&file);
    }
  }
  test_units_free(&units);
  rk_buffer_free(&plain);
}

/* A unit torn within its hash passes for sound until what follows does not begin where it should. */
static void torn_within_the_hash(void **state)
{
  (void)state;
  static reading r;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  test_units units = test_units_of(plain.data, plain.size, 3);
  for (size_t cut = 1; cut <= 8; cut++) {
    rk_buffer file = {0};
    rk_buffer_append(&file, units.bytes.data, units.offset[2] - cut);
    rk_buffer_append(&file, units.bytes.data + units.offset[2], units.bytes.size - units.offset[2]);
    read_all(&r, file.data, file.size);
    assert_int_equal(r.added, RK_OK);
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
      assert_int_equal(has_chunk(&r, 7, chunk), (chunk + 2) / 3 != 1);
    }
    assert_int_equal(r.losses, 1);
    assert_int_equal(r.lost[0][0], units.offset[1]);
    assert_int_equal(r.lost[0][1], units.offset[2] - cut);
    rk_buffer_free(&file);
  }
  test_units_free(&units);
  rk_buffer_free(&plain);
}

/* ---- Growing ---- */

static FILE *temporary(char path[32])
{
  strcpy(path, "/tmp/test_zst.XXXXXX");
  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  return fdopen(fd, "wb");
}

static void grows(void **state)
{
  (void)state;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  const size_t unfinished = plain.size;
  add_end(&plain);
  test_units units = test_units_of(plain.data, plain.size, 3);
  const size_t end = units.count - 1; /* the unit of the End */
  for (size_t step = 1; step < 300; step += 61) {
    char path[32];
    FILE *file = temporary(path);
    rk_source source;
    size_t written = units.offset[1], whole = 1;
    assert_int_equal(fwrite(units.bytes.data, 1, written, file), written);
    fflush(file);
    assert_int_equal(rk_source_open(&source, path, NULL), RK_OK);
    assert_non_null(source.zst);
    while (written < units.bytes.size) {
      const size_t part = units.bytes.size - written < step ? units.bytes.size - written : step;
      assert_int_equal(fwrite(units.bytes.data + written, 1, part, file), part);
      fflush(file);
      written += part;
      while (whole < units.count && units.offset[whole + 1] <= written) {
        whole++;
      }
      assert_int_equal(rk_source_refresh(&source), RK_OK);
      assert_int_equal(source.size, units.plain[whole]);
      size_t losses;
      const rk_unit_loss *loss = rk_zst_losses(&source, &losses);
      assert_int_equal(losses, written != units.offset[whole]);
      assert_true(losses == 0 || (loss->status == RK_ERR_TRUNCATED && loss->offset == units.offset[whole]));
    }
    uint8_t *copy = malloc(plain.size);
    assert_int_equal(rk_source_read(&source, 0, copy, plain.size), RK_OK);
    assert_memory_equal(copy, plain.data, plain.size);
    /* Somebody goes on with it: the End is gone and something else stands in its place. */
    assert_int_equal(ftruncate(fileno(file), (off_t)units.offset[end]), 0);
    fseek(file, 0, SEEK_END);
    if (step % 2 == 0) {
      assert_int_equal(rk_source_refresh(&source), RK_OK);
      assert_int_equal(source.size, unfinished);
    }
    assert_int_equal(fwrite(units.bytes.data + units.offset[2], 1, units.offset[4] - units.offset[2], file),
                     units.offset[4] - units.offset[2]);
    fflush(file);
    assert_int_equal(rk_source_refresh(&source), RK_OK);
    assert_int_equal(source.size, unfinished + units.plain[4] - units.plain[2]);
    assert_int_equal(rk_source_read(&source, unfinished, copy, units.plain[3] - units.plain[2]), RK_OK);
    assert_memory_equal(copy, plain.data + units.plain[2], units.plain[3] - units.plain[2]);
    rk_source_close(&source);
    fclose(file);
    unlink(path);
    free(copy);
  }
  test_units_free(&units);
  rk_buffer_free(&plain);
}

/* Reads of any size at any place give the plain stream's bytes, with a cache that holds one unit. */
static void any_range(void **state)
{
  (void)state;
  rk_buffer plain = {0};
  make_plain(&plain, 7, NULL);
  add_end(&plain);
  test_units units = test_units_of(plain.data, plain.size, 2);
  rk_source source;
  rk_unit_cache *cache = rk_unit_cache_new(1);
  assert_int_equal(rk_source_open_memory(&source, units.bytes.data, units.bytes.size, NULL), RK_OK);
  rk_zst_share(&source, cache);
  assert_int_equal(source.size, plain.size);
  assert_int_equal(rk_source_stored_size(&source), units.bytes.size);
  uint8_t *out = malloc(plain.size);
  uint64_t random = 1;
  for (unsigned i = 0; i < 3000; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const size_t offset = (size_t)(random >> 33) % plain.size;
    const size_t size = i % 3 == 0 ? (size_t)(random >> 20) % 200 : (size_t)(random >> 20) % plain.size;
    const size_t part = size < plain.size - offset ? size : plain.size - offset;
    assert_int_equal(rk_source_read(&source, offset, out, part), RK_OK);
    assert_memory_equal(out, plain.data + offset, part);
    const uint8_t *lent;
    const size_t peeked = part < RK_SOURCE_PEEK_MAX ? part : RK_SOURCE_PEEK_MAX;
    assert_int_equal(rk_source_peek(&source, offset, peeked, &lent), RK_OK);
    assert_memory_equal(lent, plain.data + offset, peeked);
  }
  assert_int_equal(rk_source_read(&source, plain.size, out, 1), RK_ERR_TRUNCATED);
  /* A range's place in the file: whole units as they are, pieces side by side. */
  for (size_t i = 0; i < units.count; i++) {
    uint64_t offset = units.plain[i], length = units.plain[i + 1] - units.plain[i];
    rk_source_place(&source, &offset, &length);
    assert_int_equal(offset, units.offset[i]);
    assert_int_equal(offset + length, units.offset[i + 1]);
    const uint64_t half = (units.plain[i] + units.plain[i + 1]) / 2;
    uint64_t first = units.plain[i], first_size = half - first, second = half, second_size = units.plain[i + 1] - half;
    rk_source_place(&source, &first, &first_size);
    rk_source_place(&source, &second, &second_size);
    assert_int_equal(first, units.offset[i]);
    assert_int_equal(first + first_size, second);
    assert_int_equal(second + second_size, units.offset[i + 1]);
  }
  free(out);
  rk_source_close(&source);
  rk_unit_cache_free(cache);
  test_units_free(&units);
  rk_buffer_free(&plain);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_as_the_plain_stream),
      cmocka_unit_test(the_index_unpacks_nothing),
      cmocka_unit_test(truncated_at_every_byte),
      cmocka_unit_test(flipped_in_every_byte),
      cmocka_unit_test(between_units),
      cmocka_unit_test(torn_within_the_hash),
      cmocka_unit_test(grows),
      cmocka_unit_test(any_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
