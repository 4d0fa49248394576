/* The frames of a merged recording: who wrote it, its chunks and where they are cut, its blueprints and its footer. */
#include "tests/merged.h"
#include "tests/merging.h"

static void put_activation(rk_buffer *out)
{
  const rk_blueprint_activation command = {.blueprint = blueprint_id, .make_active = true};
  const size_t start = rk_frame_begin(out, RK_FRAME_BLUEPRINT_ACTIVATION);
  rk_blueprint_activation_encode(out, &command);
  rk_frame_end(out, start);
}

static void test_frames(void **state)
{
  (void)state;
  rk_buffer in[INPUTS];
  make_inputs(in);
  rk_buffer merged = merge_all(in, INPUTS, NULL);
  seen_file *seen = look_at(&merged);
  /* The recording's record in the first frame, then the writers by tag. */
  assert_int_equal(seen->info_count, 1 + INPUTS);
  assert_true(seen->infos[0].has_recording);
  assert_int_equal(seen->infos[0].recording.clock_offset, 21);
  assert_int_equal(seen->infos[0].recording.clock_realtime, 23);
  for (uint32_t i = 0; i < INPUTS; i++) {
    const rk_store_info *info = &seen->infos[1 + i];
    assert_true(info->has_writer);
    assert_int_equal(info->writer.tag, i + 1);
    assert_int_equal(info->writer.pid, 11);
    assert_int_equal(info->writer.clock_offset, 15);
    assert_memory_equal(info->writer.thread.data, "thread", 6);
  }
  /* Four own entities, the shared one with and without timelines, the properties. */
  static const struct {
    const char *entity, *columns;
    uint32_t rows, writer, first_row;
    bool is_static;
  } expected[] = {
      {"/own/1", "Points2D:positions note ", 25, 1, 0, false},
      {"/own/2", "Points2D:positions note ", 25, 2, 0, false},
      {"/own/3", "Points2D:positions note ", 25, 3, 0, false},
      {"/own/0", "Points2D:positions note ", 25, 4, 0, false},
      {"/shared", "Points2D:positions note ", 158, 0, 0, false},
      {"/shared", "note ", 8, 0, 0, true},
      {"/__properties", "note ", 4, 0, 0, true},
  };
  assert_int_equal(seen->chunk_count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < seen->chunk_count; i++) {
    const seen_chunk *chunk = &seen->chunks[i];
    assert_string_equal(chunk->entity, expected[i].entity);
    assert_string_equal(chunk->columns, expected[i].columns);
    assert_int_equal(chunk->seal.row_count, expected[i].rows);
    assert_int_equal(chunk->seal.writer, expected[i].writer);
    assert_int_equal(chunk->seal.first_row, expected[i].first_row);
    assert_int_equal(chunk->seal.flags, expected[i].is_static ? RK_SEAL_STATIC : 0);
    assert_int_equal(chunk->timeline_count == 0, expected[i].is_static);
    assert_true(chunk->seal.min_log_time <= chunk->seal.max_log_time);
    if (!expected[i].is_static) {
      assert_int_equal(chunk->seal.min_log_time, chunk->first_log_time);
      assert_true(chunk->sorted);
    }
  }
  free(seen);
  rk_buffer_free(&merged);
  free_all(in, INPUTS);
}

static void test_cut_by_rows(void **state)
{
  (void)state;
  rk_buffer in[INPUTS];
  make_inputs(in);
  rk_buffer merged = merge_all(in, INPUTS, &(rk_merge_options){.chunk_rows = 50});
  seen_file *seen = look_at(&merged);
  static const uint32_t shared[] = {50, 50, 50, 8};
  size_t count = 0;
  for (size_t i = 0; i < seen->chunk_count; i++) {
    const seen_chunk *chunk = &seen->chunks[i];
    assert_in_range(chunk->seal.row_count, 1, 50);
    if (strcmp(chunk->entity, "/shared") == 0 && chunk->timeline_count > 0) {
      assert_int_equal(chunk->seal.row_count, shared[count++]);
    }
  }
  assert_int_equal(count, 4);
  free(seen);
  rk_buffer_free(&merged);
  free_all(in, INPUTS);
}

/* A chunk is cut after the row that makes it reach the size. */
static void test_cut_by_size(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  const chunk_recipe small = {"/a", 1, 0, 25, 100, 1, {AT(100, 1)}, {NOTE(0, 960)}};
  const chunk_recipe large = {"/a", 1, 25, 3, 200, 1, {AT(200, 1)}, {NOTE(0, 50000)}};
  put_chunk(&in, &recording_id, &small);
  put_chunk(&in, &recording_id, &large);
  /* A row is 960 of text, 4 of its offset, 4 of the list, 16 of id, 8 of time. */
  rk_buffer merged = merge_all(&in, 1, &(rk_merge_options){.chunk_size = 992 * 10, .compression = RK_COMPRESSION_NONE});
  seen_file *seen = look_at(&merged);
  static const uint32_t rows[] = {10, 10, 6, 1, 1};
  assert_int_equal(seen->chunk_count, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(seen->chunks[i].seal.row_count, rows[i]);
    assert_int_equal(seen->chunks[i].compression, RK_COMPRESSION_NONE);
  }
  free(seen);
  rk_buffer_free(&merged);
  rk_buffer_free(&in);
}

/* Same name, other type or other meaning: another chunk. Other timelines: another chunk beside. */
static void test_cut_by_type(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  put_info(&in, &recording_id, 1);
  const made_component number = {"note", NULL, NULL, "g", 0, 0};
  const made_component meaning = {"note", "my.Archetype", NULL, "u", 0, 0};
  const chunk_recipe recipes[] = {
      {"/a", 1, 0, 4, 100, 1, {AT(100, 1)}, {NOTE(0, 0)}},
      {"/a", 1, 4, 4, 104, 1, {AT(104, 1)}, {number, POINTS(0)}},
      {"/a", 1, 8, 4, 108, 1, {AT(108, 1)}, {NOTE(2, 0), POINTS(0)}},
      {"/a", 1, 12, 4, 112, 1, {AT(112, 1)}, {meaning}},
      {"/a", 1, 16, 4, 116, 1, {AT(116, 1), STEP(0)}, {NOTE(0, 0)}},
      {"/a", 1, 20, 4, 120, 1, {AT(120, 1)}, {meaning}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    put_chunk(&in, &recording_id, &recipes[i]);
  }
  rk_buffer merged = merge_all(&in, 1, NULL);
  seen_file *seen = look_at(&merged);
  /* Row 8 has no note and so still belongs to the chunk of numbers. */
  static const struct {
    const char *columns;
    uint32_t first_row, rows;
  } expected[] = {{"note ", 0, 4},
                  {"Points2D:positions note ", 4, 5},
                  {"Points2D:positions note ", 9, 3},
                  {"note ", 12, 8},
                  {"note ", 16, 4}};
  assert_int_equal(seen->chunk_count, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(seen->chunks[i].seal.first_row, expected[i].first_row);
    assert_int_equal(seen->chunks[i].seal.row_count, expected[i].rows);
    assert_string_equal(seen->chunks[i].columns, expected[i].columns);
  }
  size_t before_count, after_count;
  rk_buffer before = describe(&in, 1, NULL, &before_count);
  rk_buffer after = describe(&merged, 1, NULL, &after_count);
  assert_string_equal((const char *)before.data, (const char *)after.data);
  rk_buffer again = merge_all(&merged, 1, NULL);
  assert_same(&merged, &again);
  rk_buffer made[] = {before, after, again, merged, in};
  free_all(made, 5);
  free(seen);
}

/* A blueprint that was logged later than the data comes before it, whole, and only then is activated. */
static void test_blueprints_first(void **state)
{
  (void)state;
  rk_buffer in[2] = {new_recording(), {0}};
  const chunk_recipe data = {"/a", 1, 0, 4, 100, 1, {AT(100, 1)}, {NOTE(0, 0)}};
  const chunk_recipe views = {"/view", 0, 0, 2, 5000, 1, {{"blueprint", RK_TIMELINE_SEQUENCE, 1, 1}}, {NOTE(0, 0)}};
  const chunk_recipe viewport = {"/viewport", 0, 2, 1, 6000, 1, {{"blueprint", RK_TIMELINE_SEQUENCE, 1, 1}},
                                 {NOTE(0, 0)}};
  put_chunk(&in[0], &recording_id, &data);
  rk_buffer_append(&in[1], rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  put_chunk(&in[1], &blueprint_id, &views);
  put_activation(&in[1]);
  put_chunk(&in[1], &blueprint_id, &viewport);
  put_activation(&in[1]);
  rk_buffer merged = merge_all(in, 2, NULL);
  seen_file *seen = look_at(&merged);
  assert_int_equal(seen->chunk_count, 3);
  assert_true(seen->chunks[0].blueprint && seen->chunks[1].blueprint && !seen->chunks[2].blueprint);
  assert_int_equal(seen->activation_count, 1);
  assert_int_equal(seen->activation_after, 2);
  rk_buffer again = merge_all(&merged, 1, NULL);
  assert_same(&merged, &again);
  /* Without any data, too. */
  rk_buffer alone = merge_all(&in[1], 1, NULL);
  seen_file *seen_alone = look_at(&alone);
  assert_int_equal(seen_alone->chunk_count, 2);
  assert_int_equal(seen_alone->activation_after, 2);
  free(seen);
  free(seen_alone);
  rk_buffer made[] = {in[0], in[1], merged, again, alone};
  free_all(made, 5);
}

static void test_fused(void **state)
{
  (void)state;
  rk_buffer in[2] = {make_recording(1), {0}};
  const rk_store_id other = {RK_STORE_RECORDING, {"app", 3}, {"other", 5}};
  rk_buffer_append(&in[1], rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  put_info(&in[1], &other, 0);
  put_info(&in[1], &other, 9);
  const chunk_recipe recipe = {"/shared", 9, 0, 5, 1301, 7, {AT(1301, 7)}, {NOTE(0, 0)}};
  put_chunk(&in[1], &other, &recipe);
  rk_buffer apart = merge_all(in, 2, NULL);
  seen_file *seen = look_at(&apart);
  assert_int_equal(seen->info_count, 4); /* two recordings, two writers */
  const rk_reader_options fuse = {.application_id = "one", .recording_id = "run"};
  rk_buffer fused = merge_with(in, 2, &fuse, NULL);
  seen_file *seen_fused = look_at(&fused);
  assert_int_equal(seen_fused->info_count, 3);
  assert_int_equal(seen_fused->chunk_count, seen->chunk_count - 1);
  assert_int_equal(seen_fused->infos[0].store.recording_id.size, 3);
  assert_memory_equal(seen_fused->infos[0].store.recording_id.data, "run", 3);
  rk_buffer again = merge_all(&fused, 1, NULL);
  assert_same(&fused, &again);
  size_t count;
  rk_buffer rows = describe(&fused, 1, NULL, &count);
  assert_int_equal(count, 67 + 5);
  free(seen);
  free(seen_fused);
  rk_buffer made[] = {in[0], in[1], apart, fused, again, rows};
  free_all(made, 6);
}

static void test_nothing_to_merge(void **state)
{
  (void)state;
  /* A recording without rows stays one. */
  rk_buffer empty = new_recording();
  rk_buffer merged = merge_all(&empty, 1, NULL);
  seen_file *seen = look_at(&merged);
  assert_int_equal(seen->chunk_count, 0);
  assert_int_equal(seen->info_count, 1);
  rk_buffer again = merge_all(&merged, 1, NULL);
  assert_same(&merged, &again);
  free(seen);
  /* No recording at all is the caller's mistake. */
  rk_reader *reader = open_inputs(NULL, 0, NULL);
  const int fd = memfd_create("none", 0);
  rk_error error = {0};
  assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, &error), RK_ERR_MISUSE);
  assert_int_equal(error.status, RK_ERR_MISUSE);
  assert_int_equal(lseek(fd, 0, SEEK_END), 0);
  assert_int_equal(rk_reader_merge(NULL, fd, NULL, NULL, NULL), RK_ERR_MISUSE);
  close(fd);
  rk_reader_free(reader);
  rk_buffer made[] = {empty, merged, again};
  free_all(made, 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_frames),           cmocka_unit_test(test_cut_by_rows),
      cmocka_unit_test(test_cut_by_size),      cmocka_unit_test(test_cut_by_type),
      cmocka_unit_test(test_blueprints_first), cmocka_unit_test(test_fused),
      cmocka_unit_test(test_nothing_to_merge),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
