/* Damage: whatever happens to a file's bytes, rows of undamaged frames are read, nothing else is, and losses are told.
 */
#include "tests/scanning.h"

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
      cmocka_unit_test(nested_claims_do_not_cost_the_square),
      cmocka_unit_test(lengths_beyond_the_file_are_not_believed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
