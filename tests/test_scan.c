/* Damage: whatever happens to a file's bytes, rows of undamaged frames are read, nothing else is, and losses are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rrdkit/reader.h"
#include "tests/recordings.h"

#define FRAMES_MAX 16
#define LOSSES_MAX 16

/* A recording and where its frames lie. */
typedef struct material {
  rk_buffer bytes;
  size_t frames[FRAMES_MAX + 1]; /* offsets; the last: the end */
  uint64_t incs[FRAMES_MAX];     /* of the one row in a chunk's frame; 0: not a chunk */
  size_t frame_count;
} material;

typedef struct lost {
  uint64_t offset, length;
  rk_status status;
  uint32_t writer;
  char reason[128];
} lost;

typedef struct result {
  size_t size; /* of the input */
  rk_status added;
  uint64_t incs[64];
  size_t count;
  lost losses[LOSSES_MAX];
  size_t loss_count;
} result;

static void on_loss(void *context, const rk_loss *loss)
{
  result *r = context;
  assert_true(loss->length > 0 && loss->offset <= r->size && loss->length <= r->size - loss->offset);
  assert_non_null(loss->reason);
  assert_null(strchr(loss->reason, '\n'));
  if (r->loss_count < LOSSES_MAX) {
    lost *l = &r->losses[r->loss_count];
    *l = (lost){.offset = loss->offset, .length = loss->length, .status = loss->status, .writer = loss->writer};
    (void)snprintf(l->reason, sizeof l->reason, "%s", loss->reason);
  }
  r->loss_count++;
}

/* Reads all rows and all chunks. Every row must be true: right value for its id. */
static void read_bytes(const void *data, size_t size, result *r)
{
  *r = (result){.size = size};
  rk_reader *reader;
  const rk_reader_options options = {.on_loss = on_loss, .context = r};
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  r->added = rk_reader_add_memory(reader, "input", data, size, NULL);
  const rk_row *row;
  while (rk_reader_next(reader, &row) == RK_OK) {
    assert_true(r->count < 64);
    r->incs[r->count++] = row->row_id.inc;
    assert_int_equal(row->component_count, 1);
    assert_int_equal(row->components[0].count, 1);
    assert_string_equal(row->store->recording_id, "rec");
    const double *values = row->components[0].values->buffers[1];
    assert_true(values[row->components[0].start] ==
                test_value((uint32_t)(row->row_id.inc >> 32), (uint32_t)row->row_id.inc));
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, r->loss_count);
  const rk_chunk_info *chunk;
  while (rk_reader_next_chunk(reader, &chunk) == RK_OK) {
    assert_true(chunk->offset + chunk->size <= size);
  }
  rk_reader_free(reader);
}

static void note_frame(material *m, uint64_t inc)
{
  m->incs[m->frame_count++] = inc;
  m->frames[m->frame_count] = m->bytes.size;
}

static void add_row(material *m, uint32_t tag, uint32_t number, bool unsealed)
{
  const int64_t key = 1000 + number;
  const char *const entities[] = {"/a", "/b"};
  test_add_chunk(&m->bytes, &(test_chunk){.entity = entities[number % 2],
                                          .tag = tag,
                                          .number = number,
                                          .first_row = number,
                                          .row_count = 1,
                                          .keys = &key,
                                          .unsealed = unsealed});
  note_frame(m, rk_row_inc(tag, number));
}

/* Two writers: SetStoreInfo, writer, row, row, writer, row, row. */
static void make_sealed(material *m)
{
  *m = (material){0};
  rk_buffer_append(&m->bytes, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  m->frames[0] = m->bytes.size;
  m->bytes.size = 0;
  test_begin(&m->bytes, NULL, NULL, false);
  note_frame(m, 0);
  for (uint32_t tag = 1; tag <= 2; tag++) {
    test_add_writer(&m->bytes, NULL, NULL, tag);
    note_frame(m, 0);
    add_row(m, tag, 0, false);
    add_row(m, tag, 1, false);
  }
}

static void make_unsealed(material *m)
{
  *m = (material){0};
  m->frames[0] = RK_STREAM_HEADER_SIZE;
  test_begin(&m->bytes, NULL, NULL, true);
  note_frame(m, 0);
  for (uint32_t number = 0; number < 4; number++) {
    add_row(m, 1, number, true);
  }
}

/* The end of a recording is cut, and another follows: the last frame's size takes the header of the second stream and
 * the first bytes of its first frame, or fewer. All of the second is read. */
static void a_cut_frame_does_not_take_the_next(void **state)
{
  (void)state;
  material whole;
  make_sealed(&whole);
  for (size_t cut = 1; cut <= 24; cut++) {
    for (int sealed = 0; sealed < 2; sealed++) {
      rk_buffer bytes = {0};
      test_begin(&bytes, NULL, NULL, sealed == 0);
      bytes.size -= cut;
      rk_buffer_append(&bytes, whole.bytes.data, whole.bytes.size);
      result r;
      read_bytes(bytes.data, bytes.size, &r);
      assert_int_equal(r.added, RK_OK);
      assert_true(r.loss_count > 0);
      assert_int_equal(r.count, 4);
      rk_buffer_free(&bytes);
    }
  }
  rk_buffer_free(&whole.bytes);
}

static bool has_row(const result *r, uint64_t inc)
{
  for (size_t i = 0; i < r->count; i++) {
    if (r->incs[i] == inc) {
      return true;
    }
  }
  return false;
}

static bool true_row(const material *m, uint64_t inc)
{
  for (size_t i = 0; i < m->frame_count; i++) {
    if (m->incs[i] == inc && inc != 0) {
      return true;
    }
  }
  return false;
}

/* Rows of all frames that do not touch [from, to) are there, none is invented; `repeat` frames before are not looked
 * at. */
static void assert_undamaged(const material *m, const result *r, size_t from, size_t to)
{
  for (size_t i = 0; i < m->frame_count; i++) {
    const bool touched = m->frames[i] < to && from < m->frames[i + 1];
    if (m->incs[i] != 0 && !touched && !has_row(r, m->incs[i])) {
      fail_msg("damage at [%zu, %zu): the row of frame %zu at %zu is missing", from, to, i, m->frames[i]);
    }
  }
  for (size_t i = 0; i < r->count; i++) {
    assert_true(true_row(m, r->incs[i]));
    for (size_t j = 0; j < i; j++) {
      assert_int_not_equal(r->incs[i], r->incs[j]);
    }
  }
}

/* ---- Cut short ---- */

static void assert_every_cut_is_told(const material *m)
{
  for (size_t size = 0; size <= m->bytes.size; size++) {
    result r;
    read_bytes(m->bytes.data, size, &r);
    if (size < RK_STREAM_HEADER_SIZE) {
      assert_int_equal(r.added, RK_ERR_TRUNCATED);
      continue;
    }
    assert_int_equal(r.added, RK_OK);
    size_t whole = 0; /* where the last whole frame ends */
    for (size_t i = 0; i <= m->frame_count; i++) {
      whole = m->frames[i] <= size ? m->frames[i] : whole;
    }
    size_t rows = 0;
    for (size_t i = 0; i < m->frame_count; i++) {
      rows += m->incs[i] != 0 && m->frames[i + 1] <= size;
    }
    assert_int_equal(r.count, rows);
    assert_undamaged(m, &r, whole, m->bytes.size);
    assert_int_equal(r.loss_count, whole != size);
    if (r.loss_count == 1) {
      assert_int_equal(r.losses[0].offset, whole);
      assert_int_equal(r.losses[0].length, size - whole);
      assert_int_equal(r.losses[0].status, RK_ERR_TRUNCATED);
    }
  }
}

static void a_sealed_file_cut_at_every_byte(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  assert_every_cut_is_told(&m);
  rk_buffer_free(&m.bytes);
}

static void an_unsealed_file_cut_at_every_byte(void **state)
{
  (void)state;
  material m;
  make_unsealed(&m);
  assert_every_cut_is_told(&m);
  rk_buffer_free(&m.bytes);
}

/* ---- Bits ---- */

static void every_bit_of_a_sealed_file_flipped(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  for (size_t bit = 0; bit < m.bytes.size * 8; bit++) {
    m.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    result r;
    read_bytes(m.bytes.data, m.bytes.size, &r);
    m.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_undamaged(&m, &r, bit / 8, bit / 8 + 1);
    /* Nothing is lost in silence: every frame has a hash; of the stream header, three version bytes and the advisory
     * compression may change without harm. */
    if (bit / 8 >= RK_STREAM_HEADER_SIZE && r.loss_count == 0) {
      fail_msg("bit %zu of byte %zu: no loss was told", bit % 8, bit / 8);
    }
    size_t frame = 0;
    while (m.frames[frame + 1] <= bit / 8) {
      frame++;
    }
    if (bit / 8 >= RK_STREAM_HEADER_SIZE) {
      assert_int_equal(r.loss_count, 1);
      assert_int_equal(r.losses[0].offset, m.frames[frame]);
      assert_int_equal(r.losses[0].length, m.frames[frame + 1] - m.frames[frame]);
    }
  }
  rk_buffer_free(&m.bytes);
}

static void every_bit_of_an_unsealed_file_flipped(void **state)
{
  (void)state;
  material m;
  make_unsealed(&m);
  for (size_t bit = 0; bit < m.bytes.size * 8; bit++) {
    uint8_t *copy = test_malloc(m.bytes.size);
    memcpy(copy, m.bytes.data, m.bytes.size);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    rk_reader *reader; /* without a hash the values cannot be vouched for */
    assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
    (void)rk_reader_add_memory(reader, "input", copy, m.bytes.size, NULL);
    const rk_row *row;
    rk_status status;
    while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    }
    assert_int_equal(status, RK_END);
    rk_reader_free(reader);
    test_free(copy);
  }
  rk_buffer_free(&m.bytes);
}

/* ---- Ranges ---- */

/* Reads the file with [from, to) replaced by `filler`, and expects everything else and one loss around it. */
static void damage_range(const material *m, size_t from, size_t to, int filler, uint32_t writer)
{
  uint8_t *copy = test_malloc(m->bytes.size);
  memcpy(copy, m->bytes.data, m->bytes.size);
  memset(copy + from, filler, to - from);
  result r;
  read_bytes(copy, m->bytes.size, &r);
  assert_int_equal(r.added, RK_OK);
  assert_undamaged(m, &r, from, to);
  assert_int_equal(r.loss_count, 1);
  assert_true(r.losses[0].offset <= from && r.losses[0].offset + r.losses[0].length >= to);
  assert_int_equal(r.losses[0].writer, writer);
  test_free(copy);
}

static void a_range_overwritten_in_the_middle(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  for (int filler = 0; filler < 256; filler += 85) {
    damage_range(&m, m.frames[2], m.frames[3], filler, 1); /* exactly writer 1's first row */
    damage_range(&m, m.frames[2] + 5, m.frames[2] + 40, filler, 1);
    damage_range(&m, m.frames[2] + 5, m.frames[4] - 5, filler, 0); /* to writer 1's last row: nobody can know */
    damage_range(&m, m.frames[5] + 1, m.frames[6], filler, 2);
  }
  damage_range(&m, m.frames[0], m.frames[3], 0x55, 1); /* the creator's SetStoreInfo too */
  rk_buffer_free(&m.bytes);
}

static void a_zeroed_tail_is_told_as_such(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  const size_t size = m.bytes.size;
  for (size_t zeros = 1; zeros < 10000; zeros = zeros * 3 + 1) {
    rk_buffer_append_zero(&m.bytes, zeros);
    result r;
    read_bytes(m.bytes.data, m.bytes.size, &r);
    assert_int_equal(r.count, 4);
    if (zeros != RK_FRAME_HEADER_SIZE) {
      assert_int_equal(r.loss_count, 1);
      assert_int_equal(r.losses[0].offset, size);
      assert_int_equal(r.losses[0].length, zeros);
      assert_int_equal(r.losses[0].status, RK_ERR_TRUNCATED);
      assert_string_equal(r.losses[0].reason, "zero-filled tail");
    }
    m.bytes.size = size;
  }
  rk_buffer_free(&m.bytes);
}

static void a_torn_frame_followed_by_good_ones(void **state)
{
  (void)state;
  for (size_t keep = 1; keep < 1000; keep = keep * 2 + 3) {
    material m;
    make_sealed(&m);
    const int64_t key = 7;
    const size_t start = test_add_chunk(
        &m.bytes,
        &(test_chunk){.entity = "/torn", .tag = 2, .number = 2, .first_row = 2, .row_count = 1, .keys = &key});
    assert_true(start + keep < m.bytes.size);
    m.bytes.size = start + keep;
    note_frame(&m, 0);
    add_row(&m, 3, 0, false);
    add_row(&m, 2, 3, false);
    result r;
    read_bytes(m.bytes.data, m.bytes.size, &r);
    assert_undamaged(&m, &r, start, start + keep);
    assert_int_equal(r.count, 6);
    assert_int_equal(r.loss_count, 1);
    assert_int_equal(r.losses[0].offset, start);
    assert_int_equal(r.losses[0].length, keep);
    assert_int_equal(r.losses[0].writer, 2);
    rk_buffer_free(&m.bytes);
  }
}

static void inserted_garbage_is_passed_over(void **state)
{
  (void)state;
  for (size_t garbage = 128; garbage <= 2048; garbage *= 2) {
    for (int kind = 0; kind < 3; kind++) {
      material m;
      make_sealed(&m);
      const size_t start = m.bytes.size;
      for (size_t i = 0; i < garbage; i++) { /* zeros, noise, or a copy of an older block */
        const uint8_t byte = kind == 0   ? 0
                             : kind == 1 ? (uint8_t)(i * 2654435761u >> 13)
                                         : m.bytes.data[m.frames[2] + 64 + i % 512];
        rk_buffer_append(&m.bytes, &byte, 1);
      }
      note_frame(&m, 0);
      add_row(&m, 3, 0, false);
      result r;
      read_bytes(m.bytes.data, m.bytes.size, &r);
      assert_undamaged(&m, &r, start, start + garbage);
      assert_int_equal(r.count, 5);
      assert_int_equal(r.loss_count, 1);
      assert_int_equal(r.losses[0].offset, start);
      assert_int_equal(r.losses[0].length, garbage);
      rk_buffer_free(&m.bytes);
    }
  }
}

static void a_frame_of_another_recording_is_not_taken(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  const int64_t key = 7;
  const size_t start = test_add_chunk(
      &m.bytes, &(test_chunk){.recording = "stale", .entity = "/a", .tag = 9, .row_count = 1, .keys = &key});
  note_frame(&m, 0);
  add_row(&m, 3, 0, false);
  result r;
  read_bytes(m.bytes.data, m.bytes.size, &r);
  assert_int_equal(r.count, 5);
  assert_int_equal(r.loss_count, 1);
  assert_int_equal(r.losses[0].offset, start);
  assert_string_equal(r.losses[0].reason, "a frame of another recording");
  rk_buffer_free(&m.bytes);
}

static void filler_frames_are_silent(void **state)
{
  (void)state;
  material m;
  make_sealed(&m);
  const size_t start = rk_frame_begin(&m.bytes, RK_FRAME_ARROW_MSG);
  rk_seal seal = {.flags = RK_SEAL_FILLER, .recording_hash = rk_recording_hash("app", "rec")};
  rk_seal_frame(&m.bytes, start, 0, &seal);
  note_frame(&m, 0);
  add_row(&m, 3, 0, false);
  result r;
  read_bytes(m.bytes.data, m.bytes.size, &r);
  assert_int_equal(r.count, 5);
  assert_int_equal(r.loss_count, 0);
  m.bytes.data[start + 20] ^= 1; /* not what a healer wrote */
  read_bytes(m.bytes.data, m.bytes.size, &r);
  assert_int_equal(r.count, 5);
  assert_int_equal(r.loss_count, 1);
  rk_buffer_free(&m.bytes);
}

/* ---- Streams ---- */

static void append_end(rk_buffer *out, size_t stream, bool footer)
{
  const size_t start = rk_frame_begin(out, RK_FRAME_END);
  rk_frame_end(out, start);
  if (footer) {
    uint8_t bytes[RK_STREAM_FOOTER_SIZE];
    rk_stream_footer_encode(bytes, &(rk_stream_footer){.payload_offset = out->size - stream,
                                                       .payload_size = 0,
                                                       .payload_hash = rk_footer_hash("", 0)});
    rk_buffer_append(out, bytes, sizeof bytes);
  }
}

/* Appends the rows 10 * n and 10 * n + 1 as a stream of their own. */
static void append_stream(material *m, uint32_t n, bool unsealed, int end)
{
  material part = {0};
  test_begin(&part.bytes, NULL, NULL, unsealed);
  const size_t base = m->bytes.size;
  add_row(&part, 1, 10 * n, unsealed);
  add_row(&part, 1, 10 * n + 1, unsealed);
  if (end > 0) {
    append_end(&part.bytes, 0, end == 2);
  }
  rk_buffer_append(&m->bytes, part.bytes.data, part.bytes.size);
  for (size_t i = 0; i < 2; i++) {
    m->incs[m->frame_count] = part.incs[i];
    m->frames[m->frame_count + 1] = base + part.frames[i + 1];
    m->frame_count++;
  }
  rk_buffer_free(&part.bytes);
}

static void streams_one_after_another(void **state)
{
  (void)state;
  for (unsigned sealed = 0; sealed < 8; sealed++) {
    for (unsigned footers = 0; footers < 8; footers++) {
      material m = {0};
      for (uint32_t i = 0; i < 3; i++) {
        append_stream(&m, i, (sealed >> i & 1) == 0, (footers >> i & 1) ? 2 : 0);
      }
      result r;
      read_bytes(m.bytes.data, m.bytes.size, &r);
      assert_int_equal(r.count, 6);
      assert_int_equal(r.loss_count, 0);
      rk_buffer_free(&m.bytes);
    }
  }
}

static void a_stream_is_found_after_another_ends_torn(void **state)
{
  (void)state;
  for (unsigned sealed = 0; sealed < 4; sealed++) {
    for (size_t cut = 1; cut < 300; cut += 7) {
      material m = {0};
      append_stream(&m, 0, (sealed & 1) == 0, 0);
      m.bytes.size -= cut;
      const size_t second = m.bytes.size;
      append_stream(&m, 1, (sealed & 2) == 0, 0);
      result r;
      read_bytes(m.bytes.data, m.bytes.size, &r);
      const bool few = cut < RK_STREAM_HEADER_SIZE;   /* the frame takes them from the next stream's header */
      const bool readable = (sealed & 1) == 0 && few; /* they told little */
      assert_true(r.count == 3 || (readable && r.count == 4 && has_row(&r, rk_row_inc(1, 1))));
      assert_true(has_row(&r, rk_row_inc(1, 0)) && has_row(&r, rk_row_inc(1, 10)) && has_row(&r, rk_row_inc(1, 11)));
      assert_int_equal(r.loss_count, 1);
      assert_int_equal(r.losses[0].offset + r.losses[0].length, (sealed & 1) && few ? second + cut : second);
      rk_buffer_free(&m.bytes);
    }
  }
}

static void ends_of_streams(void **state)
{
  (void)state;
  for (unsigned sealed = 0; sealed < 2; sealed++) {
    material m = {0};
    append_stream(&m, 0, sealed == 0, 1); /* an End without a footer, at the very end */
    result r;
    read_bytes(m.bytes.data, m.bytes.size, &r);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.loss_count, 0);
    rk_buffer_append(&m.bytes, "trailing", 8);
    read_bytes(m.bytes.data, m.bytes.size, &r);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.loss_count, 1);
    rk_buffer_free(&m.bytes);

    m = (material){0};
    append_stream(&m, 0, sealed == 0, 2);
    const size_t whole = m.bytes.size;
    rk_buffer_append(&m.bytes, "trailing bytes of some length", 29);
    read_bytes(m.bytes.data, m.bytes.size, &r);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.loss_count, 1);
    assert_int_equal(r.losses[0].offset, whole);
    assert_int_equal(r.losses[0].length, 29);
    rk_buffer_free(&m.bytes);
  }
}

static void a_damaged_footer_is_told_and_costs_no_row(void **state)
{
  (void)state;
  material m = {0};
  append_stream(&m, 0, true, 2);
  m.bytes.data[m.bytes.size - RK_STREAM_FOOTER_SIZE + 16] ^= 1; /* its hash */
  append_stream(&m, 1, false, 0);
  result r;
  read_bytes(m.bytes.data, m.bytes.size, &r);
  assert_int_equal(r.count, 4);
  assert_int_equal(r.loss_count, 1);
  assert_int_equal(r.losses[0].length, RK_FRAME_HEADER_SIZE + RK_STREAM_FOOTER_SIZE);
  rk_buffer_free(&m.bytes);
}

/* ---- Hostile ---- */

/* Many frame headers that each claim a frame ending at one of many seals: verifying all would take n^2. */
static void nested_claims_do_not_cost_the_square(void **state)
{
  (void)state;
  enum { CLAIMS = 20000 };
  rk_buffer bytes = {0};
  test_begin(&bytes, NULL, NULL, false);
  const uint64_t hash = rk_recording_hash("app", "rec");
  rk_buffer_append(&bytes, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8); /* damage */
  const size_t heads = bytes.size;
  const size_t seals = heads + (size_t)CLAIMS * RK_FRAME_HEADER_SIZE;
  for (size_t i = 0; i < CLAIMS; i++) {
    uint8_t header[RK_FRAME_HEADER_SIZE];
    const size_t end = seals + (i + 1) * RK_SEAL_SIZE;
    rk_frame_header_encode(
        header, (rk_frame_header){.kind = RK_FRAME_ARROW_MSG, .size = end - (heads + (i + 1) * RK_FRAME_HEADER_SIZE)});
    rk_buffer_append(&bytes, header, sizeof header);
  }
  for (size_t i = 0; i < CLAIMS; i++) {
    rk_buffer scratch = {0};
    const size_t start = rk_frame_begin(&scratch, RK_FRAME_ARROW_MSG);
    rk_seal seal = {.recording_hash = hash};
    rk_seal_frame(&scratch, start, 0, &seal);
    uint8_t *block = scratch.data + scratch.size - RK_SEAL_SIZE;
    rk_store_u64(block + 16, bytes.size + RK_SEAL_SIZE - (heads + i * RK_FRAME_HEADER_SIZE));
    rk_buffer_append(&bytes, block, RK_SEAL_SIZE);
    rk_buffer_free(&scratch);
  }
  result r; /* 20000 frames of about 2.5 MB would be 50 GB to hash */
  read_bytes(bytes.data, bytes.size, &r);
  assert_int_equal(r.count, 0);
  assert_int_equal(r.loss_count, 1);
  rk_buffer_free(&bytes);
}

static void lengths_beyond_the_file_are_not_believed(void **state)
{
  (void)state;
  static const uint64_t sizes[] = {1,          1000,           (uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 63,
                                   UINT64_MAX, UINT64_MAX - 15};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (unsigned kind = 0; kind < 4; kind++) {
      material m;
      make_unsealed(&m);
      uint8_t header[RK_FRAME_HEADER_SIZE];
      rk_frame_header_encode(header, (rk_frame_header){.kind = (rk_frame_kind)kind, .size = sizes[i]});
      rk_buffer_append(&m.bytes, header, sizeof header);
      result r;
      read_bytes(m.bytes.data, m.bytes.size, &r);
      assert_int_equal(r.count, 4);
      assert_int_equal(r.loss_count, 1);
      assert_int_equal(r.losses[0].status, RK_ERR_TRUNCATED);
      rk_buffer_free(&m.bytes);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cut_frame_does_not_take_the_next),
      cmocka_unit_test(a_sealed_file_cut_at_every_byte),
      cmocka_unit_test(an_unsealed_file_cut_at_every_byte),
      cmocka_unit_test(every_bit_of_a_sealed_file_flipped),
      cmocka_unit_test(every_bit_of_an_unsealed_file_flipped),
      cmocka_unit_test(a_range_overwritten_in_the_middle),
      cmocka_unit_test(a_zeroed_tail_is_told_as_such),
      cmocka_unit_test(a_torn_frame_followed_by_good_ones),
      cmocka_unit_test(inserted_garbage_is_passed_over),
      cmocka_unit_test(a_frame_of_another_recording_is_not_taken),
      cmocka_unit_test(filler_frames_are_silent),
      cmocka_unit_test(streams_one_after_another),
      cmocka_unit_test(a_stream_is_found_after_another_ends_torn),
      cmocka_unit_test(ends_of_streams),
      cmocka_unit_test(a_damaged_footer_is_told_and_costs_no_row),
      cmocka_unit_test(nested_claims_do_not_cost_the_square),
      cmocka_unit_test(lengths_beyond_the_file_are_not_believed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
