/* Footers: SHA-256, Rerun's schema hash, what a manifest says, and damage. */
#include "format/footer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/codec.h"
#include "format/footer_internal.h"
#include "format/frame.h"
#include "format/ipc.h"
#include "format/protobuf.h"
#include "tests/chunks.h"
#include "tests/hex.h"

static void check_digest(const uint8_t digest[RK_SHA256_SIZE], const char *hex)
{
  rk_buffer expected = {0};
  assert_true(hex_append(&expected, hex, strlen(hex)));
  assert_int_equal(expected.size, RK_SHA256_SIZE);
  assert_memory_equal(digest, expected.data, RK_SHA256_SIZE);
  rk_buffer_free(&expected);
}

static void test_sha256(void **state)
{
  (void)state;
  static const struct {
    size_t size; /* of 'a', or of `text` */
    const char *text, *digest;
  } rows[] = {
      {0, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {3, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {56, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {1000000, NULL, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *text = malloc(rows[i].size + 1);
    assert_non_null(text);
    memset(text, 'a', rows[i].size + 1);
    if (rows[i].text != NULL) {
      memcpy(text, rows[i].text, rows[i].size);
    }
    uint8_t digest[RK_SHA256_SIZE];
    rk_sha256(text, rows[i].size, digest);
    check_digest(digest, rows[i].digest);
    free(text);
  }
}

static void test_numbering(void **state)
{
  (void)state;
  rk_numbering numbering = {0};
  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t i = 0; i < 5000; i++) {
      const uint32_t key[2] = {i * 2654435761u, i};
      size_t number;
      bool added;
      assert_int_equal(rk_numbering_put(&numbering, key, i % 2 == 0 ? 8 : 7, &number, &added), RK_OK);
      assert_int_equal(number, i);
      assert_int_equal(added, pass == 0);
      assert_int_equal(rk_numbering_find(&numbering, key, i % 2 == 0 ? 8 : 7), i);
      assert_int_equal(rk_numbering_find(&numbering, key, 5), RK_NUMBERING_NONE);
    }
  }
  size_t number;
  bool added;
  assert_int_equal(rk_numbering_put(&numbering, "", 0, &number, &added), RK_OK);
  assert_int_equal(rk_numbering_find(&numbering, "", 0), 5000);
  rk_numbering_free(&numbering);
}

#define LOG_TIME                                                                                                       \
  {                                                                                                                    \
    "log_time", RK_TIMELINE_TIMESTAMP, 1000, 10                                                                        \
  }
#define SIM_TIME                                                                                                       \
  {                                                                                                                    \
    "sim_time", RK_TIMELINE_DURATION, -5, 1                                                                            \
  }
#define FRAME                                                                                                          \
  {                                                                                                                    \
    "frame", RK_TIMELINE_SEQUENCE, 49, -1                                                                              \
  }

/* The recording stock_a.rrd, as Rerun 0.33.0 wrote it: same columns, same types, and so the same schema hash. */
static void test_schema_hash_is_reruns(void **state)
{
  (void)state;
#define BOXES(field, type, item)                                                                                       \
  {                                                                                                                    \
    "Boxes2D:" field, "rerun.archetypes.Boxes2D", "rerun.components." type, item, 0, 0                                 \
  }
  static const chunk_recipe recipes[] = {
      {"/world/cam0/dets",
       1,
       0,
       2,
       1,
       1,
       {FRAME, LOG_TIME, SIM_TIME},
       {BOXES("centers", "Position2D", "+w:2(!:f)"), BOXES("colors", "Color", "I"),
        BOXES("half_sizes", "HalfSize2D", "+w:2(!:f)"), BOXES("labels", "Text", "u")}},
      {"/logs/main",
       1,
       0,
       2,
       1,
       1,
       {LOG_TIME},
       {{"TextLog:text", "rerun.archetypes.TextLog", "rerun.components.Text", "u", 0, 0},
        {"TextLog:level", "rerun.archetypes.TextLog", "rerun.components.TextLogLevel", "u", 0, 0}}},
      {"/plots/sin",
       1,
       0,
       2,
       1,
       1,
       {LOG_TIME},
       {{"Scalars:scalars", "rerun.archetypes.Scalars", "rerun.components.Scalar", "g", 0, 0}}},
  };
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "exp_app", "rec_a");
  assert_non_null(manifest);
  for (size_t i = 0; i < 5; i++) {
    chunk_recipe recipe = recipes[i < 3 ? 0 : i - 2];
    static const char *const cameras[] = {"/world/cam0/dets", "/world/cam1/dets", "/world/cam2/dets"};
    recipe.entity = i < 3 ? cameras[i] : recipe.entity;
    made_chunk made;
    assert_true(make_chunk(&made, &recipe));
    assert_int_equal(rk_manifest_add(manifest, &made.chunk, 100 * i, 100, 200), RK_OK);
    made_chunk_free(&made);
  }
  for (size_t i = 0; i < manifest->column_numbering.count; i++) {
    manifest->columns[i].is_empty = false; /* the recipe's colors are empty lists, the recording's are not */
  }
  rk_arena arena = {0};
  rk_field schema;
  uint8_t digest[RK_SHA256_SIZE];
  assert_int_equal(rk_manifest_schema(&arena, manifest, &schema), RK_OK);
  assert_int_equal(rk_schema_hash(&schema, digest), RK_OK);
  check_digest(digest, "711f312f1ed78a4c936303add1b051e551dc588b151a4467939e82d006af0bb8");
  rk_arena_free(&arena);
  rk_manifest_free(manifest);
}

static const chunk_recipe temporal = {.entity = "/world/a b",
                                      .tag = 7,
                                      .first_row = 1,
                                      .row_count = 4,
                                      .id_start = 1000,
                                      .id_step = 1,
                                      .timelines = {FRAME, LOG_TIME},
                                      .components = {{"Points2D:positions", "rerun.archetypes.Points2D",
                                                      "rerun.components.Position2D", "+w:2(!:f)", 2, 0},
                                                     {"my-note", NULL, NULL, "u", 1, 0}}};
static const chunk_recipe fixed = {
    .entity = "/__properties",
    .tag = 7,
    .first_row = 5,
    .row_count = 1,
    .id_start = 2000,
    .id_step = 1,
    .components = {{"RecordingInfo:name", "rerun.archetypes.RecordingInfo", "rerun.components.Name", "u", 0, 0}}};

/* A footer of two manifests as it stands in a file at `file_offset`. */
static void make_footer(rk_buffer *out, uint64_t file_offset)
{
  rk_manifest *manifests[2] = {rk_manifest_new(RK_STORE_RECORDING, "app", "rec"),
                               rk_manifest_new(RK_STORE_BLUEPRINT, "app", "blue")};
  assert_non_null(manifests[0]);
  assert_non_null(manifests[1]);
  made_chunk made;
  assert_true(make_chunk(&made, &temporal));
  assert_int_equal(rk_manifest_add(manifests[0], &made.chunk, 128, 1000, 5000), RK_OK);
  made_chunk_free(&made);
  assert_true(make_chunk(&made, &fixed));
  assert_int_equal(rk_manifest_add(manifests[0], &made.chunk, 1200, 200, 300), RK_OK);
  made_chunk_free(&made);
  assert_int_equal(rk_footer_encode(out, manifests, 2, file_offset), RK_OK);
  rk_manifest_free(manifests[0]);
  rk_manifest_free(manifests[1]);
}

static bool text_is(rk_text text, const char *expected)
{
  return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static void test_round_trip(void **state)
{
  (void)state;
  rk_buffer file = {0};
  rk_buffer_append_zero(&file, 1400);
  make_footer(&file, 1400);
  rk_frame_header header;
  assert_true(rk_frame_header_decode(file.data + 1400, &header));
  assert_int_equal(header.kind, RK_FRAME_END);
  rk_stream_footer footer;
  assert_true(rk_stream_footer_decode(file.data + file.size - RK_STREAM_FOOTER_SIZE, &footer));
  assert_int_equal(footer.payload_offset, 1400 + RK_FRAME_HEADER_SIZE);
  assert_int_equal(footer.payload_size, header.size);
  assert_int_equal(footer.payload_offset + footer.payload_size + RK_STREAM_FOOTER_SIZE, file.size);
  const uint8_t *payload = file.data + footer.payload_offset;
  assert_int_equal(footer.payload_hash, rk_footer_hash(payload, footer.payload_size));

  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t count;
  assert_int_equal(rk_footer_decode(&arena, payload, footer.payload_size, file.size, &manifests, &count, NULL), RK_OK);
  assert_int_equal(count, 2);
  assert_int_equal(manifests[0].store.kind, RK_STORE_RECORDING);
  assert_true(text_is(manifests[0].store.application_id, "app"));
  assert_true(text_is(manifests[0].store.recording_id, "rec"));
  assert_int_equal(manifests[0].chunk_count, 2);
  const rk_manifest_chunk *chunk = &manifests[0].chunks[0];
  assert_string_equal(chunk->entity_path, "/world/a b");
  assert_int_equal(rk_tuid_compare(chunk->chunk_id, (rk_tuid){1000, rk_row_inc(7, 1)}), 0);
  assert_false(chunk->is_static);
  assert_int_equal(chunk->row_count, 4);
  assert_int_equal(chunk->byte_offset, 128);
  assert_int_equal(chunk->byte_size, 1000);
  assert_int_equal(chunk->uncompressed_size, 5000);
  assert_true(chunk->has_log_time);
  assert_int_equal(chunk->min_log_time, 1000);
  assert_int_equal(chunk->max_log_time, 1030);
  chunk = &manifests[0].chunks[1];
  assert_string_equal(chunk->entity_path, "/__properties");
  assert_true(chunk->is_static);
  assert_false(chunk->has_log_time);
  assert_int_equal(manifests[1].store.kind, RK_STORE_BLUEPRINT);
  assert_int_equal(manifests[1].chunk_count, 0);

  /* A chunk that ends behind the file's end is damage. */
  rk_error error;
  assert_int_equal(rk_footer_decode(&arena, payload, footer.payload_size, 1399, &manifests, &count, &error),
                   RK_ERR_CORRUPT);
  assert_int_equal(error.status, RK_ERR_CORRUPT);
  assert_int_equal(rk_footer_decode(&arena, payload, footer.payload_size, 1400, &manifests, &count, &error), RK_OK);
  rk_arena_free(&arena);
  rk_buffer_free(&file);
}

/* The Arrow stream of the first manifest. */
static void first_batch(const rk_buffer *footer, rk_buffer *stream)
{
  rk_pb_cursor cursor =
      rk_pb_open(footer->data + RK_FRAME_HEADER_SIZE, footer->size - RK_FRAME_HEADER_SIZE - RK_STREAM_FOOTER_SIZE);
  rk_pb_field field;
  assert_int_equal(rk_pb_next(&cursor, &field), 1);
  cursor = rk_pb_open(field.data, field.size);
  while (rk_pb_next(&cursor, &field) > 0 && field.number != 4) {
  }
  assert_int_equal(field.number, 4);
  cursor = rk_pb_open(field.data, field.size);
  rk_pb_field part[5] = {0};
  while (rk_pb_next(&cursor, &field) > 0) {
    assert_true(field.number < 5);
    part[field.number] = field;
  }
  assert_int_equal(part[1].value, 1);
  assert_int_equal(part[3].value, RK_COMPRESSION_LZ4);
  assert_int_equal(rk_decompress(stream, RK_COMPRESSION_LZ4, part[2].data, part[2].size, part[4].value, NULL), RK_OK);
}

static int64_t number_at(const struct ArrowArray *array, int64_t row)
{
  int64_t value;
  memcpy(&value, (const char *)array->buffers[1] + 8 * (array->offset + row), sizeof value);
  return value;
}

static bool valid_at(const struct ArrowArray *array, int64_t row)
{
  const uint8_t *validity = array->buffers[0];
  const int64_t bit = array->offset + row;
  return validity == NULL || (validity[bit >> 3] >> (bit & 7) & 1) != 0;
}

/* Names, order, types, metadata and values of every column. */
static void test_columns(void **state)
{
  (void)state;
  enum { NONE = -1 };
  static const struct {
    const char *name;
    rk_type_id type;
    bool nullable;
    const char *index, *component;
    int64_t first; /* value in the first row, INT64_MIN: null */
  } columns[] = {
      {"chunk_entity_path", RK_TYPE_UTF8, false, NULL, NULL, NONE},
      {"chunk_id", RK_TYPE_FIXED_SIZE_BINARY, false, NULL, NULL, NONE},
      {"chunk_is_static", RK_TYPE_BOOL, false, NULL, NULL, NONE},
      {"chunk_num_rows", RK_TYPE_UINT64, false, NULL, NULL, 4},
      {"chunk_byte_offset", RK_TYPE_UINT64, false, NULL, NULL, 128},
      {"chunk_byte_size", RK_TYPE_UINT64, false, NULL, NULL, 1000},
      {"chunk_byte_size_uncompressed", RK_TYPE_UINT64, false, NULL, NULL, 5000},
      {"my_note:has_static_data", RK_TYPE_BOOL, false, "rerun:static", "my-note", NONE},
      {"Points2D:positions:has_static_data", RK_TYPE_BOOL, false, "rerun:static", "Points2D:positions", NONE},
      {"RecordingInfo:name:has_static_data", RK_TYPE_BOOL, false, "rerun:static", "RecordingInfo:name", NONE},
      {"frame:start", RK_TYPE_INT64, true, "frame", NULL, 46},
      {"frame:end", RK_TYPE_INT64, true, "frame", NULL, 49},
      {"log_time:start", RK_TYPE_TIMESTAMP, true, "log_time", NULL, 1000},
      {"log_time:end", RK_TYPE_TIMESTAMP, true, "log_time", NULL, 1030},
      {"frame:my_note:start", RK_TYPE_INT64, true, "frame", "my-note", INT64_MIN},
      {"frame:my_note:end", RK_TYPE_INT64, true, "frame", "my-note", INT64_MIN},
      {"frame:my_note:num_rows", RK_TYPE_UINT64, true, "frame", "my-note", 0},
      {"frame:Points2D:positions:start", RK_TYPE_INT64, true, "frame", "Points2D:positions", 47},
      {"frame:Points2D:positions:end", RK_TYPE_INT64, true, "frame", "Points2D:positions", 49},
      {"frame:Points2D:positions:num_rows", RK_TYPE_UINT64, true, "frame", "Points2D:positions", 2},
      {"log_time:my_note:start", RK_TYPE_TIMESTAMP, true, "log_time", "my-note", INT64_MIN},
      {"log_time:my_note:end", RK_TYPE_TIMESTAMP, true, "log_time", "my-note", INT64_MIN},
      {"log_time:my_note:num_rows", RK_TYPE_UINT64, true, "log_time", "my-note", 0},
      {"log_time:Points2D:positions:start", RK_TYPE_TIMESTAMP, true, "log_time", "Points2D:positions", 1000},
      {"log_time:Points2D:positions:end", RK_TYPE_TIMESTAMP, true, "log_time", "Points2D:positions", 1020},
      {"log_time:Points2D:positions:num_rows", RK_TYPE_UINT64, true, "log_time", "Points2D:positions", 2},
  };
  rk_buffer footer = {0}, stream = {0};
  make_footer(&footer, 0);
  first_batch(&footer, &stream);
  rk_arena arena = {0};
  const rk_field *schema;
  const struct ArrowArray *const *arrays;
  int64_t row_count;
  assert_int_equal(rk_ipc_decode(&arena, stream.data, stream.size, &schema, &arrays, &row_count, NULL), RK_OK);
  assert_int_equal(row_count, 2);
  assert_int_equal(schema->child_count, sizeof columns / sizeof *columns);
  for (size_t i = 0; i < schema->child_count; i++) {
    const rk_field *field = &schema->children[i];
    assert_string_equal(field->name, columns[i].name);
    assert_int_equal(field->type, columns[i].type);
    assert_int_equal(field->nullable, columns[i].nullable);
    const char *index = rk_field_metadata(field, "rerun:index");
    const char *component = rk_field_metadata(field, "rerun:component");
    assert_string_equal(index == NULL ? "" : index, columns[i].index == NULL ? "" : columns[i].index);
    assert_string_equal(component == NULL ? "" : component, columns[i].component == NULL ? "" : columns[i].component);
    if (columns[i].first == INT64_MIN) {
      assert_false(valid_at(arrays[i], 0));
    } else if (columns[i].first != NONE) {
      assert_true(valid_at(arrays[i], 0));
      assert_int_equal(number_at(arrays[i], 0), columns[i].first);
    }
  }
  const uint8_t *name_static = arrays[9]->buffers[1];
  assert_int_equal(name_static[0] & 3, 2); /* the second chunk only */
  rk_arena_free(&arena);
  rk_buffer_free(&stream);
  rk_buffer_free(&footer);
}

static void test_damage(void **state)
{
  (void)state;
  rk_buffer footer = {0};
  make_footer(&footer, 0);
  const size_t size = footer.size - RK_FRAME_HEADER_SIZE - RK_STREAM_FOOTER_SIZE;
  const uint8_t *payload = footer.data + RK_FRAME_HEADER_SIZE;
  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t count, whole = 0;
  for (size_t cut = 0; cut < size; cut++) {
    uint8_t *bytes = malloc(cut == 0 ? 1 : cut); /* exactly as long, so that a sanitizer sees reads behind it */
    assert_non_null(bytes);
    memcpy(bytes, payload, cut);
    const rk_status status = rk_footer_decode(&arena, bytes, cut, 2000, &manifests, &count, NULL);
    whole += status == RK_OK; /* at the boundaries between manifests only */
    free(bytes);
    rk_arena_reset(&arena);
  }
  assert_int_equal(whole, 2);
  for (size_t at = 0; at < size; at++) {
    footer.data[RK_FRAME_HEADER_SIZE + at] ^= (uint8_t)(1u << at % 8);
    (void)rk_footer_decode(&arena, payload, size, 2000, &manifests, &count, NULL);
    footer.data[RK_FRAME_HEADER_SIZE + at] ^= (uint8_t)(1u << at % 8);
    rk_arena_reset(&arena);
  }
  assert_int_equal(rk_footer_decode(&arena, payload, size, 2000, &manifests, &count, NULL), RK_OK);
  rk_arena_free(&arena);
  rk_buffer_free(&footer);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sha256),     cmocka_unit_test(test_numbering), cmocka_unit_test(test_schema_hash_is_reruns),
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_columns),   cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
