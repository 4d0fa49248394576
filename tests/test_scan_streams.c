/* Streams one after another in one file: all are read, however those before them end. */
#include "tests/scanning.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cut_frame_does_not_take_the_next),        cmocka_unit_test(streams_one_after_another),
      cmocka_unit_test(a_stream_is_found_after_another_ends_torn), cmocka_unit_test(ends_of_streams),
      cmocka_unit_test(a_damaged_footer_is_told_and_costs_no_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
