/* Arbitrary bytes as an input: verified with and without decoding, then read; the totals have to agree. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity);

static void require(bool holds)
{
  if (!holds) {
    abort();
  }
}

typedef struct counts {
  uint64_t losses, missing_chunks, missing_rows, conflicts, repeats;
} counts;

static void on_loss(void *context, const rk_loss *loss)
{
  counts *c = context;
  c->losses++;
  require(loss->reason[0] != '\0');
}

static void on_finding(void *context, const rk_finding *f)
{
  counts *c = context;
  require(f->first <= f->last && f->last <= UINT32_MAX);
  switch (f->kind) {
  case RK_FINDING_CHUNKS_MISSING:
    c->missing_chunks += f->last - f->first + 1;
    break;
  case RK_FINDING_ROWS_MISSING:
    require(f->rows == f->last - f->first + 1);
    c->missing_rows += f->rows;
    break;
  case RK_FINDING_CHUNK_CONFLICT:
    c->conflicts++;
    break;
  case RK_FINDING_CHUNK_REPEATED:
    c->repeats++;
    break;
  case RK_FINDING_CHUNK_ABSENT:
  case RK_FINDING_WRITER_UNKNOWN:
    break;
  }
}

static void verify(const uint8_t *data, size_t size, bool fast)
{
  rk_reader *reader;
  counts c = {0};
  const rk_reader_options options = {.on_loss = on_loss, .context = &c};
  require(rk_reader_open(&options, &reader, NULL) == RK_OK);
  if (rk_reader_add_memory(reader, "input", data, size, NULL) == RK_OK) {
    const rk_verify_options how = {.fast = fast, .on_finding = on_finding, .context = &c};
    rk_verify_report report;
    require(rk_reader_verify(reader, &how, &report, NULL) == RK_OK);
    require(report.loss_count == c.losses && report.missing_chunk_count == c.missing_chunks);
    require(report.missing_row_count >= c.missing_rows && report.conflict_count == c.conflicts);
    require(report.repeated_chunk_count == c.repeats && report.judged_writer_count <= report.writer_count);
    require(!report.sound || c.losses + c.missing_chunks + c.missing_rows + c.conflicts == 0);
    const rk_row *row;
    rk_status status;
    while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    }
    require(status == RK_END && (fast || report.loss_count == c.losses)); /* nothing is told twice */
  }
  rk_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  verify(data, size, false);
  verify(data, size, true);
  return 0;
}

/* For driver.c: recordings with a gap, a repeated chunk, a chunk of the same number. */
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity)
{
  static const int64_t keys[] = {10, 20, 15};
  rk_buffer out = {0};
  test_begin(&out, NULL, NULL, false);
  test_add_writer(&out, NULL, NULL, 1);
  test_chunk chunk = {.entity = "/a", .tag = 1, .row_count = 3, .keys = keys, .plain = true};
  test_add_chunk(&out, &chunk);
  chunk.number = index == 0 ? 2 : 1;
  chunk.first_row = index == 0 ? 9 : 3;
  chunk.row_step = 2;
  test_add_chunk(&out, &chunk);
  chunk.first_row += index == 1 ? 0 : 1;
  test_add_chunk(&out, &chunk);
  const size_t size = index < 3 && out.size <= capacity ? out.size : 0;
  memcpy(buffer, out.data, size);
  rk_buffer_free(&out);
  return size;
}
