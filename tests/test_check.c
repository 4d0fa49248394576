/* Verifying: sequences of writers, repeats, footers, sets of row numbers, and damage at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "reader/verify/row_set.h"
#include "rrdkit/reader.h"
#include "tests/recordings.h"

#define A 0xA0000001U
#define B 0xB0000002U

static const int64_t keys[8] = {1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007};

/* What verifying told, as lines of text. */
typedef struct told {
  char text[4096];
  size_t size;
  unsigned losses;
} told;

static void add_text(told *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_text(told *t, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(t->text + t->size, sizeof t->text - t->size, format, arguments);
  va_end(arguments);
  t->size += n > 0 && (size_t)n < sizeof t->text - t->size ? (size_t)n : 0;
}

static void on_loss(void *context, const rk_loss *loss)
{
  told *t = context;
  t->losses++;
  add_text(t, "loss %llu+%llu %s\n", (unsigned long long)loss->offset, (unsigned long long)loss->length, loss->reason);
}

static void on_finding(void *context, const rk_finding *f)
{
  static const char *const names[] = {"", "chunks", "rows", "absent", "writer", "conflict", "repeated"};
  add_text(context, "%s %08x %llu-%llu", names[f->kind], f->writer, (unsigned long long)f->first,
           (unsigned long long)f->last);
  if (f->rows > 0) {
    add_text(context, " rows=%llu", (unsigned long long)f->rows);
  }
  if (f->input) {
    add_text(context, " at %llu+%llu", (unsigned long long)f->offset, (unsigned long long)f->length);
  }
  add_text(context, "\n");
}

/* NULL data: nothing is added yet. */
static rk_reader *open_on(told *t, const void *data, size_t size)
{
  const rk_reader_options options = {.on_loss = on_loss, .context = t};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  if (data && rk_reader_add_memory(reader, "input", data, size, NULL) != RK_OK) {
    rk_reader_free(reader);
    return NULL;
  }
  return reader;
}

/* Verifies the recording and demands exactly these lines. */
static rk_verify_report expect(const rk_buffer *recording, bool fast, const char *text)
{
  told t = {.text = ""};
  rk_reader *reader = open_on(&t, recording->data, recording->size);
  assert_non_null(reader);
  const rk_verify_options options = {.fast = fast, .on_finding = on_finding, .context = &t};
  rk_verify_report report;
  assert_int_equal(rk_reader_verify(reader, &options, &report, NULL), RK_OK);
  assert_string_equal(t.text, text);
  rk_reader_free(reader);
  return report;
}

static size_t add(rk_buffer *out, const char *entity, uint32_t tag, uint32_t number, uint32_t first, uint32_t step)
{
  const test_chunk chunk = {.entity = entity,
                            .tag = tag,
                            .number = number,
                            .first_row = first,
                            .row_step = step,
                            .row_count = 4,
                            .keys = keys};
  return test_add_chunk(out, &chunk);
}

static void begin(rk_buffer *out)
{
  test_begin(out, NULL, NULL, false);
  test_add_writer(out, NULL, NULL, A);
}

static void test_sound(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/even", A, 0, 0, 2); /* rows 0 2 4 6 and 1 3 5 7 */
  test_add_writer(&r, NULL, NULL, B);
  add(&r, "/b", B, 0, 0, 1);
  add(&r, "/odd", A, 1, 1, 2);
  add(&r, "/b", B, 1, 4, 1);
  const rk_verify_report report = expect(&r, false, "");
  assert_true(report.sound);
  assert_false(report.live || report.finished);
  assert_int_equal(report.frame_count, 7);
  assert_int_equal(report.chunk_count, 4);
  assert_int_equal(report.row_count, 16);
  assert_int_equal(report.writer_count, 2);
  assert_int_equal(report.judged_writer_count, 2);
  assert_int_equal(report.unsealed_chunk_count, 0);
  assert_true(expect(&r, true, "").sound);
  rk_buffer_free(&r);
}

static void test_gaps(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  const size_t first = add(&r, "/a", A, 1, 4, 1);
  const size_t after_first = r.size;
  const size_t second = add(&r, "/a", A, 4, 20, 1);
  char text[256];
  (void)snprintf(text, sizeof text, "chunks a0000001 0-0 at 0+%zu\nchunks a0000001 2-3 at %zu+0\n", first, second);
  const rk_verify_report fast = expect(&r, true, text);
  assert_int_equal(fast.missing_chunk_count, 3);
  assert_int_equal(fast.missing_row_count, 0);
  assert_int_equal(after_first, second);
  (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                 "rows a0000001 0-3 rows=4\nrows a0000001 8-19 rows=12\n");
  const rk_verify_report report = expect(&r, false, text);
  assert_false(report.sound);
  assert_int_equal(report.missing_chunk_count, 3);
  assert_int_equal(report.missing_row_count, 16);
  rk_buffer_free(&r);
}

static void test_rows_without_gap_of_chunks(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/even", A, 0, 0, 2);
  add(&r, "/more", A, 1, 8, 1);
  const rk_verify_report report = expect(
      &r, false,
      "rows a0000001 1-1 rows=1\nrows a0000001 3-3 rows=1\nrows a0000001 5-5 rows=1\nrows a0000001 7-7 rows=1\n");
  assert_int_equal(report.missing_row_count, 4);
  assert_false(report.sound);
  rk_buffer_free(&r);
}

static void test_repeated_and_conflicting(void **state)
{
  (void)state;
  rk_buffer r = {0};
  char text[256];
  begin(&r);
  add(&r, "/a", A, 0, 0, 1);
  add(&r, "/a", A, 1, 4, 1);
  const size_t repeated = add(&r, "/a", A, 1, 4, 1);
  const size_t size = r.size - repeated;
  (void)snprintf(text, sizeof text, "repeated a0000001 1-1 at %zu+%zu\n", repeated, size);
  for (int fast = 0; fast < 2; fast++) {
    const rk_verify_report report = expect(&r, fast, text);
    assert_true(report.sound);
    assert_int_equal(report.chunk_count, 2);
    assert_int_equal(report.row_count, 8);
    assert_int_equal(report.repeated_chunk_count, 1);
  }
  const size_t number = add(&r, "/other", A, 1, 8, 1); /* the number of another, rows of its own */
  const size_t number_size = r.size - number;
  const size_t rows = add(&r, "/other", A, 2, 10, 1); /* rows 10 and 11 of another */
  (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                 "conflict a0000001 1-1 at %zu+%zu\nconflict a0000001 2-2 at %zu+%zu\n", number, number_size, rows,
                 r.size - rows);
  const rk_verify_report report = expect(&r, false, text);
  assert_false(report.sound);
  assert_int_equal(report.conflict_count, 2);
  rk_buffer_free(&r);
}

static void test_writer_unknown(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/b", B, 0, 0, 1);
  add(&r, "/b", B, 1, 4, 1);
  const rk_verify_report report = expect(&r, false, "writer b0000002 0-0\n");
  assert_false(report.sound);
  assert_int_equal(report.unknown_writer_count, 1);
  assert_int_equal(report.writer_count, 2);
  rk_buffer_free(&r);
}

/* A merged recording may be a selection: its chunks have no numbers, so their rows may be any. */
static void test_merged_is_not_judged(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/a", A, 0, 40, 3);
  add(&r, "/b", A, 0, 4, 1);
  const rk_verify_report report = expect(&r, false, "");
  assert_true(report.sound);
  assert_int_equal(report.judged_writer_count, 0);
  rk_buffer_free(&r);
}

static bool stop(void *context, uint64_t done, uint64_t total)
{
  uint64_t *calls = context;
  ++*calls;
  return done <= total / 2;
}

static void test_calls(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/a", A, 0, 0, 1);
  add(&r, "/a", A, 1, 4, 1);
  r.data[r.size - 200] ^= 1;
  told t = {.text = ""};
  rk_verify_report report;
  rk_error error = {0};
  assert_int_equal(rk_reader_verify(NULL, NULL, &report, &error), RK_ERR_MISUSE);
  rk_reader *reader = open_on(&t, r.data, r.size);
  assert_int_equal(rk_reader_verify(reader, NULL, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_verify(reader, NULL, &report, &error), RK_OK);
  assert_false(report.sound);
  assert_int_equal(report.loss_count, 1);
  assert_int_equal(t.losses, 1);
  const rk_row *row;
  unsigned rows = 0;
  while (rk_reader_next(reader, &row) == RK_OK) {
    rows++;
  }
  assert_int_equal(rows, 4);
  assert_int_equal(t.losses, 1); /* told once */
  assert_int_equal(rk_reader_verify(reader, NULL, &report, &error), RK_ERR_MISUSE);
  rk_reader_free(reader);
  reader = open_on(&t, r.data, r.size);
  uint64_t calls = 0;
  const rk_verify_options options = {.on_progress = stop, .context = &calls};
  assert_int_equal(rk_reader_verify(reader, &options, &report, &error), RK_END);
  assert_int_equal(calls, 2);
  assert_false(report.sound);
  rk_reader_free(reader);
  rk_buffer_free(&r);
}

/* A merged copy of the recording, and where its End frame begins. */
static void merge(const rk_buffer *recording, rk_buffer *merged)
{
  told t = {.text = ""};
  rk_reader *reader = open_on(&t, recording->data, recording->size);
  FILE *file = tmpfile();
  assert_non_null(file);
  assert_int_equal(rk_reader_merge(reader, fileno(file), NULL, NULL, NULL), RK_OK);
  rk_reader_free(reader);
  const long size = lseek(fileno(file), 0, SEEK_END);
  assert_true(size > 0);
  assert_int_equal(pread(fileno(file), rk_buffer_extend(merged, (size_t)size), (size_t)size, 0), size);
  (void)fclose(file);
}

static void test_footer(void **state)
{
  (void)state;
  rk_buffer r = {0};
  rk_buffer merged = {0};
  begin(&r);
  add(&r, "/a", A, 0, 0, 1);
  add(&r, "/b", A, 1, 4, 1);
  merge(&r, &merged);
  rk_verify_report report = expect(&merged, false, "");
  assert_true(report.sound && report.finished);
  assert_int_equal(report.frame_count, 5);

  uint64_t payload;
  memcpy(&payload, merged.data + merged.size - RK_STREAM_FOOTER_SIZE, sizeof payload);
  const size_t end = (size_t)payload - RK_FRAME_HEADER_SIZE;
  char text[256];
  (void)snprintf(text, sizeof text, "loss %zu+%zu the footer's hash is wrong; no row is in it\n", end,
                 merged.size - end);
  merged.data[payload + 3] ^= 1;
  report = expect(&merged, false, text);
  assert_false(report.sound || report.finished);
  assert_int_equal(report.row_count, 8);
  merged.data[payload + 3] ^= 1;

  const size_t size = (size_t)rk_load_u64(merged.data + end - RK_SEAL_SIZE + 16); /* of the last chunk's frame */
  merged.data[end - 200] ^= 1;
  report = expect(&merged, false,
                  (snprintf(text, sizeof text, "loss %zu+%zu its hash is wrong\nabsent %08x 0-0 rows=4 at %zu+%zu\n",
                            end - size, size, A, end - size, size),
                   text));
  assert_int_equal(report.missing_row_count, 4);
  rk_buffer_free(&merged);
  rk_buffer_free(&r);
}

/* A footer of no bytes tells of no chunk; a file's is read as memory's is. */
static void test_empty_footer(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/a", A, 0, 0, 1);
  uint8_t header[RK_FRAME_HEADER_SIZE], footer[RK_STREAM_FOOTER_SIZE];
  rk_frame_header_encode(header, (rk_frame_header){.kind = RK_FRAME_END});
  rk_buffer_append(&r, header, sizeof header);
  rk_stream_footer_encode(footer,
                          &(rk_stream_footer){.payload_offset = r.size, .payload_hash = rk_footer_hash(NULL, 0)});
  rk_buffer_append(&r, footer, sizeof footer);
  assert_true(expect(&r, false, "").finished);

  char path[] = "/tmp/rrdkit-check-XXXXXX";
  const int fd = mkstemp(path);
  assert_true(fd >= 0 && write(fd, r.data, r.size) == (ssize_t)r.size);
  told t = {.text = ""};
  rk_reader *reader = open_on(&t, NULL, 0);
  assert_int_equal(rk_reader_add(reader, path, NULL, NULL), RK_OK);
  const rk_verify_options options = {.on_finding = on_finding, .context = &t};
  rk_verify_report report;
  assert_int_equal(rk_reader_verify(reader, &options, &report, NULL), RK_OK);
  assert_true(report.sound && report.finished);
  assert_string_equal(t.text, "");
  rk_reader_free(reader);
  close(fd);
  unlink(path);
  rk_buffer_free(&r);
}

static void test_other_software(void **state)
{
  (void)state;
  rk_buffer r = {0};
  test_begin(&r, NULL, NULL, true);
  const test_chunk chunk = {.entity = "/a", .tag = 7, .row_count = 4, .keys = keys, .unsealed = true};
  test_add_chunk(&r, &chunk);
  const rk_verify_report report = expect(&r, false, "");
  assert_true(report.sound);
  assert_int_equal(report.unsealed_chunk_count, 1);
  assert_int_equal(report.judged_writer_count, 0);
  rk_buffer_free(&r);
}

/* Rows that a damaged recording still yields: only true ones, each once. */
static void check_rows(rk_reader *reader)
{
  uint64_t seen = 0;
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    const uint32_t number = (uint32_t)row->row_id.inc;
    assert_int_equal(row->row_id.inc >> 32, A);
    assert_true(number < 12);
    assert_false(seen >> number & 1);
    seen |= UINT64_C(1) << number;
    const rk_component_cell *cell = &row->components[0];
    assert_true(((const double *)cell->values->buffers[1])[cell->values->offset + cell->start] ==
                test_value(A, number));
  }
  assert_int_equal(status, RK_END);
}

static void test_damage_at_every_byte(void **state)
{
  (void)state;
  rk_buffer r = {0};
  begin(&r);
  add(&r, "/even", A, 0, 0, 2);
  add(&r, "/odd", A, 1, 1, 2);
  const size_t last = add(&r, "/more", A, 2, 8, 1);
  for (size_t at = RK_STREAM_HEADER_SIZE; at < r.size; at++) {
    for (int how = 0; how < 3; how++) {
      const uint8_t kept = r.data[at];
      r.data[at] = how == 0 ? kept ^ 1 : how == 1 ? kept ^ 0x80 : 0;
      told t = {.text = ""};
      rk_verify_report report;
      rk_reader *reader = open_on(&t, r.data, r.size);
      assert_non_null(reader);
      assert_int_equal(rk_reader_verify(reader, NULL, &report, NULL), RK_OK);
      assert_int_equal(report.sound, r.data[at] == kept);
      assert_int_equal(report.loss_count, t.losses);
      assert_true(report.row_count <= 12 && report.row_count >= 8);
      check_rows(reader);
      rk_reader_free(reader);
      r.data[at] = kept;
    }
  }
  for (size_t size = RK_STREAM_HEADER_SIZE; size < r.size; size++) {
    told t = {.text = ""};
    rk_verify_report report;
    rk_reader *reader = open_on(&t, r.data, size);
    assert_non_null(reader);
    assert_int_equal(rk_reader_verify(reader, NULL, &report, NULL), RK_OK);
    if (report.sound) { /* a cut between frames leaves no trace where no row before it is missing */
      assert_true(size == RK_STREAM_HEADER_SIZE || (size % RK_FRAME_ALIGNMENT == 0 && t.losses == 0));
    }
    assert_true(size <= last || !report.sound);
    check_rows(reader);
    rk_reader_free(reader);
  }
  rk_buffer_free(&r);
}

/* Against a plain array, with random runs. */
static void test_row_set(void **state)
{
  (void)state;
  enum { LIMIT = 600 };
  uint32_t seed = 12345;
  for (int round = 0; round < 300; round++) {
    bool model[LIMIT] = {false};
    rk_row_set set = {0};
    for (int step = 0; step < 12; step++) {
      rk_row_run runs[8];
      size_t count = 0;
      uint64_t expected = 0;
      seed = seed * 1664525 + 1013904223;
      uint32_t at = (seed >> 16) % 300;
      while (count < 8) {
        seed = seed * 1664525 + 1013904223;
        const uint32_t length = 1 + (seed >> 20) % 9;
        if (at + length >= LIMIT) {
          break;
        }
        runs[count++] = (rk_row_run){at, at + length - 1};
        for (uint32_t i = at; i < at + length; i++) {
          expected += model[i];
          model[i] = true;
        }
        at += length + 1 + (seed >> 10) % 30;
      }
      uint64_t known;
      assert_true(rk_row_set_add(&set, runs, count, &known));
      assert_int_equal(known, expected);
      size_t run = 0;
      for (uint32_t i = 0; i < LIMIT; i++) {
        if (model[i] && (i == 0 || !model[i - 1])) {
          assert_true(run < set.count && set.runs[run].first == i);
        }
        if (model[i] && (i + 1 == LIMIT || !model[i + 1])) {
          assert_int_equal(set.runs[run++].last, i);
        }
      }
      assert_int_equal(run, set.count);
    }
    rk_row_set_free(&set);
  }
  rk_row_set set = {0};
  uint64_t known;
  const rk_row_run all = {0, UINT32_MAX};
  const rk_row_run end = {UINT32_MAX, UINT32_MAX};
  assert_true(rk_row_set_add(&set, &end, 1, &known) && known == 0);
  assert_true(rk_row_set_add(&set, &all, 1, &known) && known == 1 && set.count == 1);
  assert_true(rk_row_set_add(&set, &all, 1, &known) && known == (uint64_t)UINT32_MAX + 1 && set.count == 1);
  rk_row_set_free(&set);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sound),
      cmocka_unit_test(test_gaps),
      cmocka_unit_test(test_rows_without_gap_of_chunks),
      cmocka_unit_test(test_repeated_and_conflicting),
      cmocka_unit_test(test_writer_unknown),
      cmocka_unit_test(test_merged_is_not_judged),
      cmocka_unit_test(test_calls),
      cmocka_unit_test(test_footer),
      cmocka_unit_test(test_empty_footer),
      cmocka_unit_test(test_other_software),
      cmocka_unit_test(test_damage_at_every_byte),
      cmocka_unit_test(test_row_set),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
