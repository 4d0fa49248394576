/* Participants in files that rrdkit's writers did not make alone: finished and stock recordings go on, several do not.
 */
#include "tests/sessions.h"

#include "tests/arrow_msg.h"

#include <fcntl.h>

#include "rrdkit/reader.h"
#include "writer/writer_internal.h"

/* Another stream behind the recording is somebody's data. */
static void test_second_stream(void **state)
{
  const scene *s = *state;
  session(s->path, 0, 10);
  char other[128];
  size_t stream_size;
  snprintf(other, sizeof other, "%s/other%s", s->directory, strchr(s->path + strlen(s->directory), '.'));
  rk_recording_free(open_at(other, &(rk_recording_options){.recording_id = "other"}));
  uint8_t *stream = read_file(other, &stream_size);
  append_bytes(s->path, stream, stream_size);
  free(stream);
  const off_t size = size_of(s->path);
  rk_recording *recording;
  assert_int_equal(rk_recording_open(s->path, &named, &recording, NULL), RK_ERR_UNSUPPORTED);
  assert_int_equal(size_of(s->path), size);
}

static void merge_into(const char *path, const char *const *inputs, size_t count)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(rk_reader_add(reader, inputs[i], NULL, NULL), RK_OK);
  }
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const rk_merge_options options = {.zstd = strstr(path, ".zst") != NULL};
  assert_int_equal(rk_reader_merge(reader, fd, &options, NULL, NULL), RK_OK);
  close(fd);
  rk_reader_free(reader);
}

/* Several recordings in one file are not one to append to: nothing of them is taken for torn. */
static void test_several_recordings(void **state)
{
  const scene *s = *state;
  char paths[2][128];
  const char *inputs[2] = {paths[0], paths[1]};
  for (int i = 0; i < 2; i++) {
    snprintf(paths[i], sizeof paths[i], "%s/%d.rrd", s->directory, i);
    rk_recording *recording = open_at(paths[i], &(rk_recording_options){.recording_id = i == 0 ? "a" : "b"});
    log_rows(recording, 0, 10);
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
  }
  merge_into(s->path, inputs, 2);
  size_t size, size_after;
  uint8_t *before = read_file(s->path, &size);
  rk_recording *recording;
  assert_int_equal(rk_recording_open(s->path, NULL, &recording, NULL), RK_ERR_UNSUPPORTED);
  uint8_t *after = read_file(s->path, &size_after);
  assert_int_equal(size, size_after);
  assert_memory_equal(before, after, size);
  free(before);
  free(after);
  merge_into(s->path, inputs, 1); /* one alone is */
  recording = open_at(s->path, &(rk_recording_options){.recording_id = "a"});
  log_rows(recording, 0, 10);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  rk_reader *reader;
  const rk_row *row;
  size_t rows = 0;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  while (rk_reader_next(reader, &row) == RK_OK) {
    rows += !row->is_static;
  }
  assert_int_equal(rows, 20);
  rk_reader_free(reader);
}

/* Like Rerun's SDKs: unsealed frames. With a blueprint store, too. */
static void make_stock(const char *path, bool finished, size_t *end)
{
  rk_buffer out = {0}, ipc = {0};
  rk_buffer_append(&out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  rk_manifest *manifest = rk_manifest_new(RK_STORE_RECORDING, "app", "rec");
  for (int kind = RK_STORE_RECORDING; kind <= RK_STORE_BLUEPRINT; kind++) {
    const rk_store_info info = {
        .row_id = {.time_ns = 1, .inc = 2},
        .store = {.kind = (rk_store_kind)kind, .application_id = {"app", 3}, .recording_id = {"rec", 3}},
        .source_kind = 2,
        .store_version = 0x2100};
    const size_t frame = rk_frame_begin(&out, RK_FRAME_SET_STORE_INFO);
    rk_store_info_encode(&out, &info);
    rk_frame_end(&out, frame);
  }
  for (unsigned i = 0; i < 3; i++) {
    uint8_t row_id[16] = {0};
    row_id[15] = (uint8_t)(i + 1);
    const int64_t time = 10 + i;
    const rk_chunk_timeline timeline = {.name = "log_time", .kind = RK_TIMELINE_TIMESTAMP, .values = &time};
    const rk_chunk chunk = {.id = {.time_ns = 0, .inc = i + 1},
                            .entity_path = "/stock",
                            .row_count = 1,
                            .row_ids = row_id,
                            .timeline_count = 1,
                            .timelines = &timeline};
    rk_buffer_reset(&ipc);
    assert_int_equal(rk_chunk_encode(&ipc, &chunk), RK_OK);
    const rk_arrow_msg message = {
        .store = {.kind = RK_STORE_RECORDING, .application_id = {"app", 3}, .recording_id = {"rec", 3}},
        .compression = RK_COMPRESSION_NONE,
        .uncompressed_size = ipc.size,
        .payload = ipc.data,
        .payload_size = ipc.size,
        .has_chunk_id = true,
        .chunk_id = chunk.id};
    const size_t frame = rk_frame_begin(&out, RK_FRAME_ARROW_MSG);
    put_arrow_msg(&out, &message);
    rk_frame_end(&out, frame);
    assert_int_equal(rk_manifest_add(manifest, &chunk, frame + RK_FRAME_HEADER_SIZE,
                                     out.size - frame - RK_FRAME_HEADER_SIZE, ipc.size),
                     RK_OK);
  }
  *end = out.size;
  if (finished) {
    assert_int_equal(rk_footer_encode(&out, &manifest, 1, out.size), RK_OK);
  }
  assert_false(out.failed);
  unlink(path);
  append_bytes(path, out.data, out.size);
  rk_manifest_free(manifest);
  rk_buffer_free(&out);
  rk_buffer_free(&ipc);
}

/* After the stock frames: the recording record's frame, which ends at a multiple of 128, then sealed frames. */
static void check_continued(const char *path, size_t end, const uint8_t *stock)
{
  size_t size;
  uint8_t *bytes = read_file(path, &size);
  assert_memory_equal(bytes, stock, end);
  bool first = true;
  for (size_t at = end; at < size; first = false) {
    rk_frame_header header;
    assert_true(size - at >= RK_FRAME_HEADER_SIZE && rk_frame_header_decode(bytes + at, &header));
    assert_true(header.size <= size - at - RK_FRAME_HEADER_SIZE);
    const size_t frame_size = RK_FRAME_HEADER_SIZE + (size_t)header.size;
    assert_true(rk_seal_verify(bytes + at, frame_size));
    assert_int_equal((at + frame_size) % RK_FRAME_ALIGNMENT, 0);
    if (header.kind == RK_FRAME_SET_STORE_INFO) {
      rk_store_info info;
      assert_int_equal(rk_store_info_decode(bytes + at + RK_FRAME_HEADER_SIZE, (size_t)header.size, &info, NULL),
                       RK_OK);
      assert_int_equal(info.has_recording, first);
    }
    at += frame_size;
  }
  free(bytes);
}

static void test_stock(void **state)
{
  const scene *s = *state;
  for (int finished = 0; finished < 2; finished++) {
    size_t end, size;
    make_stock(s->path, finished != 0, &end);
    uint8_t *stock = read_file(s->path, &size);
    rk_recording *recording;
    assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.recording_id = "other"}, &recording, NULL),
                     RK_ERR_CONFLICT);
    assert_int_equal(size_of(s->path), size); /* left as it was */
    recording = open_at(s->path, NULL);
    assert_string_equal(rk_recording_application_id(recording), "app");
    assert_string_equal(rk_recording_recording_id(recording), "rec");
    rk_recording *joined = open_at(s->path, &named); /* finds the recording record behind the stock frames */
    log_rows(recording, 0, 10);
    log_stamp(joined, rk_entity_at(joined, "logger/1"), 1, 0, 5);
    assert_int_equal(rk_recording_close(joined), RK_OK);
    rk_recording_free(joined);
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    check_continued(s->path, end, stock);
    session(s->path, 10, 20);
    check_continued(s->path, end, stock);
    recording = open_at(s->path, NULL);
    assert_int_equal(rk_recording_finish(recording), RK_OK);
    rk_recording_free(recording);
    check_footer(s->path, 0, 3 + 21);
    free(stock);
  }
}

/* A stock file whose continuation died with its first frame; one that is damaged is not touched. */
static void test_stock_damaged(void **state)
{
  const scene *s = *state;
  size_t end, size, longer;
  make_stock(s->path, false, &end);
  uint8_t *stock = read_file(s->path, &size);
  rk_recording_free(open_at(s->path, NULL));
  uint8_t *continued = read_file(s->path, &longer);
  for (size_t cut = end; cut < longer; cut++) {
    assert_int_equal(truncate(s->path, 0), 0);
    append_bytes(s->path, continued, cut);
    session(s->path, 0, 3);
    check_continued(s->path, end, stock);
  }
  free(continued);
  assert_int_equal(truncate(s->path, 0), 0);
  stock[RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE + rk_load_u64(stock + RK_STREAM_HEADER_SIZE + 8)] = 99;
  append_bytes(s->path, stock, size);
  rk_recording *recording;
  assert_int_equal(rk_recording_open(s->path, NULL, &recording, NULL), RK_ERR_UNSUPPORTED);
  assert_int_equal(size_of(s->path), size);
  free(stock);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_second_stream),
      IN_SCENE(test_several_recordings),
      IN_SCENE(test_stock),
      IN_SCENE(test_stock_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
