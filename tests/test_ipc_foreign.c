/* Arrow IPC streams as other writers make them, by hand: what is read, what is not supported, what is refused. */
#include "tests/ipc_walk.h"

#include <lz4frame.h>

#include "format/flatbuffer.h"
#include "format/ipc_message.h"

typedef struct part { /* a body buffer */
  const void *data;
  size_t size;
} part;

typedef struct hand_made {
  rk_buffer out;
  int version;
  bool legacy; /* no continuation marker, plain padding to 8 */
  bool lz4;
  int codec;          /* of lz4: what is claimed */
  int64_t size_delta; /* added to the claimed uncompressed sizes */
} hand_made;

static rk_fb_builder hand_start(hand_made *h, unsigned header_type, uint64_t body_size, size_t *prefix, size_t *header)
{
  if (!h->legacy) {
    rk_buffer_append(&h->out, "\xFF\xFF\xFF\xFF", 4);
  }
  *prefix = h->out.size;
  rk_buffer_append_zero(&h->out, 4);
  rk_fb_builder fb = rk_fb_start(&h->out);
  rk_fb_slot slots[RK_MESSAGE_SLOTS] = {[RK_MESSAGE_VERSION] = {.size = 2, .value = (uint64_t)h->version},
                                        [RK_MESSAGE_HEADER_TYPE] = {.size = 1, .value = header_type},
                                        [RK_MESSAGE_HEADER] = {.size = 4},
                                        [RK_MESSAGE_BODY_SIZE] = {.size = 8, .value = body_size}};
  rk_fb_link(&fb, fb.base, rk_fb_table(&fb, slots, RK_MESSAGE_SLOTS));
  *header = slots[RK_MESSAGE_HEADER].at;
  return fb;
}

static void hand_finish(hand_made *h, rk_fb_builder *fb, size_t prefix)
{
  rk_buffer_align(&h->out, 8);
  rk_fb_patch(fb, prefix, h->out.size - prefix - 4, 4);
}

/* One field; `dictionary_id` < 0: plain. */
static void hand_schema(hand_made *h, uint8_t type, unsigned number, unsigned bits, int dictionary_id)
{
  size_t prefix, header;
  rk_fb_builder fb = hand_start(h, RK_HEADER_SCHEMA, 0, &prefix, &header);
  rk_fb_slot schema[] = {{.size = 0}, {.size = 4}};
  rk_fb_link(&fb, header, rk_fb_table(&fb, schema, 2));
  const size_t fields = rk_fb_vector(&fb, 1, 4, 4);
  rk_fb_link(&fb, schema[1].at, fields);
  rk_fb_slot field[] = {{.size = 4},
                        {.size = 1, .value = 1},
                        {.size = 1, .value = type},
                        {.size = 4},
                        {.size = dictionary_id < 0 ? 0 : 4}};
  rk_fb_link(&fb, fields + 4, rk_fb_table(&fb, field, 5));
  rk_fb_link(&fb, field[0].at, rk_fb_string(&fb, "x", 1));
  rk_fb_slot parameters[] = {{.size = number == 0 ? 0 : bits, .value = number}, {.size = 1, .value = 1}};
  rk_fb_link(&fb, field[3].at, rk_fb_table(&fb, parameters, number == 0 ? 0 : 2));
  if (dictionary_id >= 0) {
    rk_fb_slot encoding[] = {{.size = 8, .value = (uint64_t)dictionary_id}, {.size = 4}};
    rk_fb_link(&fb, field[4].at, rk_fb_table(&fb, encoding, 2));
    rk_fb_slot index[] = {{.size = 4, .value = 8}, {.size = 1, .value = 1}};
    rk_fb_link(&fb, encoding[1].at, rk_fb_table(&fb, index, 2));
  }
  hand_finish(h, &fb, prefix);
}

static void hand_batch(hand_made *h, int dictionary_id, bool is_delta, int64_t rows, int64_t nulls, const part *parts,
                       size_t part_count)
{
  rk_buffer body = {0};
  uint64_t places[8][2];
  for (size_t i = 0; i < part_count; i++) {
    places[i][0] = body.size;
    if (h->lz4 && parts[i].size != 0) {
      const int64_t claim = (int64_t)parts[i].size + h->size_delta;
      rk_buffer_append(&body, &claim, 8);
      const size_t bound = LZ4F_compressFrameBound(parts[i].size, NULL);
      uint8_t *to = rk_buffer_extend(&body, bound);
      assert_non_null(to);
      const size_t used = LZ4F_compressFrame(to, bound, parts[i].data, parts[i].size, NULL);
      assert_false(LZ4F_isError(used));
      body.size -= bound - used;
    } else {
      rk_buffer_append(&body, parts[i].data, parts[i].size);
    }
    places[i][1] = body.size - places[i][0];
    rk_buffer_align(&body, 8);
  }
  size_t prefix, header;
  rk_fb_builder fb =
      hand_start(h, dictionary_id < 0 ? RK_HEADER_BATCH : RK_HEADER_DICTIONARY, body.size, &prefix, &header);
  if (dictionary_id >= 0) {
    rk_fb_slot dictionary[] = {
        {.size = 8, .value = (uint64_t)dictionary_id}, {.size = 4}, {.size = 1, .value = is_delta}};
    rk_fb_link(&fb, header, rk_fb_table(&fb, dictionary, 3));
    header = dictionary[1].at;
  }
  rk_fb_slot batch[] = {{.size = 8, .value = (uint64_t)rows}, {.size = 4}, {.size = 4}, {.size = h->lz4 ? 4 : 0}};
  rk_fb_link(&fb, header, rk_fb_table(&fb, batch, 4));
  const size_t nodes = rk_fb_vector(&fb, 1, 16, 8);
  rk_fb_link(&fb, batch[1].at, nodes);
  rk_fb_patch(&fb, nodes + 4, (uint64_t)rows, 8);
  rk_fb_patch(&fb, nodes + 12, (uint64_t)nulls, 8);
  const size_t buffers = rk_fb_vector(&fb, part_count, 16, 8);
  rk_fb_link(&fb, batch[2].at, buffers);
  for (size_t i = 0; i < part_count; i++) {
    rk_fb_patch(&fb, buffers + 4 + 16 * i, places[i][0], 8);
    rk_fb_patch(&fb, buffers + 12 + 16 * i, places[i][1], 8);
  }
  if (h->lz4) {
    rk_fb_slot compression[] = {{.size = 1, .value = (uint64_t)h->codec}};
    rk_fb_link(&fb, batch[3].at, rk_fb_table(&fb, compression, 1));
  }
  hand_finish(h, &fb, prefix);
  rk_buffer_append(&h->out, body.data, body.size);
  rk_buffer_free(&body);
}

static void test_other_framings(void **state)
{
  (void)state;
  int32_t values[100];
  for (int i = 0; i < 100; i++) {
    values[i] = i / 10;
  }
  for (int k = 0; k < 8; k++) {
    hand_made h = {.version = k & 1 ? RK_IPC_V4 : RK_IPC_V5, .legacy = (k & 2) != 0, .lz4 = (k & 4) != 0};
    hand_schema(&h, RK_FB_INT, 32, 4, -1);
    hand_batch(&h, -1, false, 100, 0, (part[]){{NULL, 0}, {values, sizeof values}}, 2);
    rk_arena arena = {0};
    const rk_field *schema;
    const struct ArrowArray *const *columns;
    int64_t rows;
    assert_int_equal(rk_ipc_decode(&arena, h.out.data, h.out.size, &schema, &columns, &rows, NULL), RK_OK);
    assert_int_equal(schema->children[0].type, RK_TYPE_INT32);
    assert_int_equal(rows, 100);
    assert_memory_equal(columns[0]->buffers[1], values, sizeof values);
    rk_arena_free(&arena);
    for (size_t size = 0; size < h.out.size; size++) {
      assert_int_equal(decode_and_walk(h.out.data, size, NULL), RK_ERR_TRUNCATED);
    }
    for (size_t bit = 0; bit < h.out.size * 8; bit++) {
      h.out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
      decode_and_walk(h.out.data, h.out.size, NULL);
      h.out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    rk_buffer_free(&h.out);
  }
}

static void test_unsupported(void **state)
{
  (void)state;
  const int32_t values[] = {1, 2, 3};
  const struct {
    int version, codec;
    uint8_t type;
    bool lz4;
    rk_status status;
  } rows[] = {
      {2, 0, RK_FB_INT, false, RK_ERR_UNSUPPORTED},        /* V3 */
      {5, 0, RK_FB_INT, false, RK_ERR_UNSUPPORTED},        /* V6 */
      {RK_IPC_V5, 1, RK_FB_INT, true, RK_ERR_UNSUPPORTED}, /* zstd */
      {RK_IPC_V5, 7, RK_FB_INT, true, RK_ERR_UNSUPPORTED}, /* unknown codec */
      {RK_IPC_V5, 0, 11, false, RK_ERR_UNSUPPORTED},       /* interval */
      {RK_IPC_V5, 0, 24, false, RK_ERR_UNSUPPORTED},       /* utf8 view */
      {RK_IPC_V5, 0, RK_FB_INT, true, RK_OK},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hand_made h = {.version = rows[i].version, .lz4 = rows[i].lz4, .codec = rows[i].codec};
    hand_schema(&h, rows[i].type, 32, 4, -1);
    hand_batch(&h, -1, false, 3, 0, (part[]){{NULL, 0}, {values, sizeof values}}, 2);
    rk_error error = {0};
    assert_int_equal(decode_and_walk(h.out.data, h.out.size, &error), rows[i].status);
    assert_int_equal(error.status, rows[i].status);
    rk_buffer_free(&h.out);
  }
}

static void test_compressed_sizes(void **state)
{
  (void)state;
  const int32_t values[300] = {1, 2, 3};
  static const int64_t deltas[] = {-1, 1, -1200, INT32_MAX, INT64_MAX - 1200};
  for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
    hand_made h = {.version = RK_IPC_V5, .lz4 = true, .size_delta = deltas[i]};
    hand_schema(&h, RK_FB_INT, 32, 4, -1);
    hand_batch(&h, -1, false, 300, 0, (part[]){{NULL, 0}, {values, sizeof values}}, 2);
    assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), RK_ERR_CORRUPT);
    rk_buffer_free(&h.out);
  }
}

static void test_dictionaries(void **state)
{
  (void)state;
  const int32_t offsets[] = {0, 3, 3, 8};
  const int8_t good[] = {2, 0, 1, 2}, outside[] = {2, 0, 3, 2}, negative[] = {0, -1, 0, 0};
  const uint8_t hides[] = {0x0B}, shows[] = {0x0D};
  const struct {
    const int8_t *indices;
    const uint8_t *validity;
    int id;
    bool is_delta;
    rk_status status;
  } rows[] = {
      {good, NULL, 5, false, RK_OK},
      {good, hides, 5, false, RK_OK},
      {outside, hides, 5, false, RK_OK}, /* what lies under a null is not an index */
      {outside, shows, 5, false, RK_ERR_CORRUPT},
      {outside, NULL, 5, false, RK_ERR_CORRUPT},
      {negative, NULL, 5, false, RK_ERR_CORRUPT},
      {good, NULL, 6, false, RK_ERR_CORRUPT}, /* another dictionary: its own is missing */
      {good, NULL, 5, true, RK_ERR_UNSUPPORTED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hand_made h = {.version = RK_IPC_V5};
    hand_schema(&h, RK_FB_UTF8, 0, 0, 5);
    hand_batch(&h, rows[i].id, rows[i].is_delta, 3, 0, (part[]){{NULL, 0}, {offsets, 16}, {"onethree", 8}}, 3);
    const part validity = {rows[i].validity, rows[i].validity == NULL ? 0 : 1};
    hand_batch(&h, -1, false, 4, rows[i].validity == NULL ? 0 : 1, (part[]){validity, {rows[i].indices, 4}}, 2);
    assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), rows[i].status);
    rk_arena arena = {0};
    const rk_field *schema, *field;
    const struct ArrowArray *const *columns, *array;
    int64_t row_count;
    if (rk_ipc_decode(&arena, h.out.data, h.out.size, &schema, &columns, &row_count, NULL) == RK_OK) {
      assert_non_null(schema->children[0].dictionary);
      assert_int_equal(rk_dictionary_expand(&arena, schema->children, columns[0], &field, &array), RK_OK);
      assert_int_equal(field->type, RK_TYPE_UTF8);
      assert_string_equal(field->name, "x");
      assert_int_equal(array->null_count, rows[i].validity == NULL ? 0 : 1);
      assert_memory_equal(array->buffers[2], "threeone", 8);
    }
    rk_arena_free(&arena);
    for (size_t bit = 0; bit < h.out.size * 8; bit++) {
      h.out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
      decode_and_walk(h.out.data, h.out.size, NULL);
      h.out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    rk_buffer_free(&h.out);
  }
}

/* A few bytes that stand for a lot of text are refused before anyone expands them. */
static void test_dictionary_bomb(void **state)
{
  (void)state;
  enum { TEXT = 1 << 16, ROWS = 1 << 16 };
  const int32_t offsets[] = {0, TEXT};
  char *text = calloc(1, TEXT);
  int8_t *indices = calloc(1, ROWS);
  hand_made h = {.version = RK_IPC_V5};
  hand_schema(&h, RK_FB_UTF8, 0, 0, 5);
  hand_batch(&h, 5, false, 1, 0, (part[]){{NULL, 0}, {offsets, 8}, {text, TEXT}}, 3);
  hand_batch(&h, -1, false, ROWS, 0, (part[]){{NULL, 0}, {indices, ROWS}}, 2);
  assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), RK_ERR_LIMIT);
  rk_buffer_free(&h.out);
  free(text);
  free(indices);
}

static void test_bad_values(void **state)
{
  (void)state;
  const int32_t up[] = {0, 2, 4}, down[] = {0, 3, 2}, beyond[] = {0, 2, 5}, negative[] = {-1, 2, 4},
                split[] = {0, 1, 4};
  const struct {
    const int32_t *offsets;
    const char *text;
    int64_t nulls;
    size_t offsets_size;
    rk_status status;
  } rows[] = {
      {up, "\xC3\xA9\xC3\xA9", 0, 12, RK_OK},
      {up, "abcd", 0, 8, RK_ERR_CORRUPT},
      {down, "abcd", 0, 12, RK_ERR_CORRUPT},
      {beyond, "abcd", 0, 12, RK_ERR_CORRUPT},
      {negative, "abcd", 0, 12, RK_ERR_CORRUPT},
      {split, "\xC3\xA9\xC3\xA9", 0, 12, RK_ERR_CORRUPT}, /* an element begins inside of a character */
      {up, "a\xFF--", 0, 12, RK_ERR_CORRUPT},
      {up, "ab\xC3\x28", 0, 12, RK_ERR_CORRUPT},
      {up, "abcd", 1, 12, RK_ERR_CORRUPT}, /* nulls without a bitmap */
      {up, "abcd", 3, 12, RK_ERR_CORRUPT},
      {up, "abcd", -1, 12, RK_ERR_CORRUPT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hand_made h = {.version = RK_IPC_V5};
    hand_schema(&h, RK_FB_UTF8, 0, 0, -1);
    hand_batch(&h, -1, false, 2, rows[i].nulls,
               (part[]){{NULL, 0}, {rows[i].offsets, rows[i].offsets_size}, {rows[i].text, 4}}, 3);
    assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), rows[i].status);
    rk_buffer_free(&h.out);
  }
  static const int64_t lengths[] = {INT64_MAX, INT64_MAX - 1, -1, 1 << 20, 3};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    hand_made h = {.version = RK_IPC_V5};
    hand_schema(&h, RK_FB_UTF8, 0, 0, -1);
    hand_batch(&h, -1, false, lengths[i], 0, (part[]){{NULL, 0}, {up, 12}, {"abcd", 4}}, 3);
    assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), RK_ERR_CORRUPT);
    rk_buffer_free(&h.out);
    h = (hand_made){.version = RK_IPC_V5};
    hand_schema(&h, RK_FB_NULL, 0, 0, -1);
    hand_batch(&h, -1, false, lengths[i], 0, NULL, 0);
    const rk_status status = decode_and_walk(h.out.data, h.out.size, NULL);
    assert_int_equal(status, lengths[i] < 0 ? RK_ERR_CORRUPT : lengths[i] > 1 << 24 ? RK_ERR_LIMIT : RK_OK);
    rk_buffer_free(&h.out);
  }
}

/* Tables that refer to the same child again and again would stand for 4^30 fields. */
static void test_schema_bomb(void **state)
{
  (void)state;
  hand_made h = {.version = RK_IPC_V5};
  size_t prefix, header;
  rk_fb_builder fb = hand_start(&h, RK_HEADER_SCHEMA, 0, &prefix, &header);
  rk_fb_slot schema[] = {{.size = 0}, {.size = 4}};
  rk_fb_link(&fb, header, rk_fb_table(&fb, schema, 2));
  size_t reference = schema[1].at;
  for (int depth = 0; depth < 30; depth++) {
    const size_t vector = rk_fb_vector(&fb, 4, 4, 4);
    rk_fb_link(&fb, reference, vector);
    rk_fb_slot field[] = {{.size = 0}, {.size = 0}, {.size = 1, .value = RK_FB_STRUCT},
                          {.size = 4}, {.size = 0}, {.size = 4}};
    const size_t table = rk_fb_table(&fb, field, 6);
    for (size_t i = 0; i < 4; i++) {
      rk_fb_link(&fb, vector + 4 + 4 * i, table);
    }
    rk_fb_link(&fb, field[3].at, rk_fb_table(&fb, NULL, 0));
    reference = field[5].at;
  }
  rk_fb_link(&fb, reference, rk_fb_vector(&fb, 0, 4, 4));
  hand_finish(&h, &fb, prefix);
  assert_int_equal(decode_and_walk(h.out.data, h.out.size, NULL), RK_ERR_CORRUPT);
  rk_buffer_free(&h.out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_other_framings),   cmocka_unit_test(test_unsupported),
      cmocka_unit_test(test_compressed_sizes), cmocka_unit_test(test_dictionaries),
      cmocka_unit_test(test_dictionary_bomb),  cmocka_unit_test(test_bad_values),
      cmocka_unit_test(test_schema_bomb),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
