/* Participants: who comes first repairs and continues, who leaves last tidies up and may finish. */
#include "tests/arrow_msg.h"
#include "tests/stamps.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "format/footer.h"
#include "rrdkit/reader.h"
#include "writer/writer_internal.h"

static const rk_recording_options named = {.application_id = "app", .recording_id = "rec"};

static off_t size_of(const char *path)
{
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_size;
}

static void log_rows(rk_recording *recording, uint32_t from, uint32_t to)
{
  const rk_entity *entity = rk_entity_at(recording, "logger/0");
  for (uint32_t i = from; i < to; i++) {
    log_stamp(recording, entity, 0, i, extra_of(i));
  }
}

static void session(const char *path, uint32_t from, uint32_t to)
{
  rk_recording *recording = open_at(path, &named);
  log_rows(recording, from, to);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
}

static void check_rows(const scene *s, uint32_t rows)
{
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, rows);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

static void append_bytes(const char *path, const void *bytes, size_t size)
{
  FILE *stream = fopen(path, "ab");
  assert_non_null(stream);
  assert_int_equal(fwrite(bytes, 1, size, stream), size);
  fclose(stream);
}

static uint8_t *read_file(const char *path, size_t *size)
{
  *size = (size_t)size_of(path);
  uint8_t *bytes = malloc(*size);
  FILE *stream = fopen(path, "rb");
  assert_true(bytes != NULL && stream != NULL);
  assert_int_equal(fread(bytes, 1, *size, stream), *size);
  fclose(stream);
  return bytes;
}

/* ---- The tail ---- */

/* A record cut at any length is gone once somebody has been there alone; what was whole stays. */
static void test_torn_tail(void **state)
{
  const scene *s = *state;
  session(s->path, 0, 50);
  size_t size, longer;
  uint8_t *before = read_file(s->path, &size);
  session(s->path, 50, 60);
  uint8_t *after = read_file(s->path, &longer);
  assert_true(longer > size && memcmp(before, after, size) == 0);
  for (size_t cut = size; cut < longer; cut += 61) {
    assert_int_equal(truncate(s->path, 0), 0);
    append_bytes(s->path, after, cut);
    rk_recording *recording = open_at(s->path, &named);
    assert_in_range(size_of(s->path), size, cut);
    rk_recording_free(recording);
    size_t now;
    uint8_t *repaired = read_file(s->path, &now);
    assert_int_equal(now % RK_FRAME_ALIGNMENT, 0);
    assert_memory_equal(repaired, after, now);
    free(repaired);
    check_rows(s, 50);
  }
  free(before);
  free(after);
  session(s->path, 50, 60);
  check_rows(s, 60);
}

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What a loss of power leaves: 100 MB of zeros, as a hole and as blocks. */
static void test_zero_tail(void **state)
{
  const scene *s = *state;
  session(s->path, 0, 50);
  const off_t size = size_of(s->path);
  for (int written = 0; written < 2; written++) {
    if (written == 1) {
      static const uint8_t zeros[1 << 20];
      for (int i = 0; i < 100; i++) {
        append_bytes(s->path, zeros, sizeof zeros);
      }
    } else {
      assert_int_equal(truncate(s->path, size + (100 << 20)), 0);
    }
    const double start = seconds();
    rk_recording *recording = open_at(s->path, &named);
    print_message("             100 MB of zeros (%s) repaired in %.1f ms\n", written == 1 ? "blocks" : "a hole",
                  (seconds() - start) * 1e3);
    assert_int_equal(size_of(s->path), size);
    rk_recording_free(recording);
    check_rows(s, 50);
  }
  session(s->path, 50, 60);
  check_rows(s, 60);
}

/* Nothing is cut while another participant exists. */
static void test_not_alone(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_at(s->path, &named);
  assert_int_equal(rk_recording_flush(first), RK_OK);
  static const uint8_t torn[4096] = {RK_FRAME_ARROW_MSG};
  append_bytes(s->path, torn, sizeof torn);
  const off_t size = size_of(s->path);
  rk_recording *second = open_at(s->path, &named);
  assert_int_equal(size_of(s->path), size);
  rk_recording_free(second);
  assert_int_equal(size_of(s->path), size);
  log_rows(first, 0, 10);
  assert_int_equal(rk_recording_close(first), RK_OK); /* its append has healed */
  rk_recording_free(first);
  check_rows(s, 10);
}

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

/* ---- Finishing ---- */

/* The footer's manifests tell of every chunk in the file, at its place. Returns where the End frame begins. */
static size_t check_footer(const char *path, size_t chunks, uint64_t rows)
{
  size_t size;
  uint8_t *bytes = appended_plain(read_file(path, &size), &size);
  rk_stream_footer footer;
  assert_true(size > RK_STREAM_FOOTER_SIZE && rk_stream_footer_decode(bytes + size - RK_STREAM_FOOTER_SIZE, &footer));
  assert_int_equal(footer.payload_offset + footer.payload_size, size - RK_STREAM_FOOTER_SIZE);
  assert_int_equal(rk_footer_hash(bytes + footer.payload_offset, (size_t)footer.payload_size), footer.payload_hash);
  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t count, noted = 0, present = 0;
  uint64_t noted_rows = 0;
  assert_int_equal(rk_footer_decode(&arena, bytes + footer.payload_offset, (size_t)footer.payload_size, size,
                                    &manifests, &count, NULL),
                   RK_OK);
  for (size_t m = 0; m < count; m++) {
    for (size_t c = 0; c < manifests[m].chunk_count; c++) {
      const rk_manifest_chunk *chunk = &manifests[m].chunks[c];
      rk_arrow_msg message;
      assert_int_equal(rk_arrow_msg_decode(bytes + chunk->byte_offset, (size_t)chunk->byte_size, &message, NULL),
                       RK_OK);
      assert_int_equal(rk_tuid_compare(message.chunk_id, chunk->chunk_id), 0);
      noted++;
      noted_rows += chunk->row_count;
    }
  }
  const size_t end = (size_t)footer.payload_offset - RK_FRAME_HEADER_SIZE;
  for (size_t at = RK_STREAM_HEADER_SIZE; at < end;) {
    rk_frame_header header;
    assert_true(rk_frame_header_decode(bytes + at, &header));
    present += header.kind == RK_FRAME_ARROW_MSG;
    at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
  }
  assert_int_equal(noted, present);
  assert_true(chunks == 0 || noted == chunks);
  assert_int_equal(noted_rows, rows);
  rk_arena_free(&arena);
  free(bytes);
  return end;
}

static void test_finish(void **state)
{
  const scene *s = *state;
  for (uint32_t round = 0; round < 3; round++) {
    rk_recording *recording = open_at(s->path, &named); /* continues what the round before has finished */
    log_rows(recording, 100 * round, 100 * round + 100);
    assert_int_equal(rk_recording_finish(recording), RK_OK);
    assert_int_equal(rk_recording_finish(recording), RK_ERR_MISUSE);
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    const size_t end = check_footer(s->path, 0, 100 * round + 101);
    assert_int_equal(end % RK_FRAME_ALIGNMENT, 0);
  }
  rk_recording_free(open_at(s->path, &named));
  check_rows(s, 300); /* nothing but sealed frames again */
}

static void test_finish_conflict(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_at(s->path, &named), *second = open_at(s->path, &named);
  log_rows(first, 0, 10);
  assert_int_equal(rk_recording_finish(first), RK_ERR_CONFLICT);
  rk_error error;
  rk_recording_error(first, &error);
  assert_int_equal(error.status, RK_ERR_CONFLICT);
  rk_recording_free(first);
  assert_int_equal(rk_recording_finish(second), RK_OK);
  rk_recording_free(second);
  check_footer(s->path, 0, 11);
}

/* Finishing brings in what the dead have left. */
static void test_finish_adopts(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    log_rows(open_at(s->path, &named), 0, 20);
    kill(getpid(), SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  rk_recording *recording = open_at(s->path, &named);
  log_rows(recording, 20, 30);
  assert_int_equal(rk_recording_finish(recording), RK_OK);
  rk_recording_free(recording);
  check_footer(s->path, 0, 31);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* Many processes that open, log, and finish if they are the last, all at once. */
static void test_come_and_go(void **state)
{
  const scene *s = *state;
  enum { PROCESSES = 6, SESSIONS = 15 };
  pid_t children[PROCESSES];
  for (uint32_t p = 0; p < PROCESSES; p++) {
    children[p] = fork();
    if (children[p] == 0) {
      for (uint32_t i = 0; i < SESSIONS; i++) {
        rk_recording *recording = open_at(s->path, &named);
        char name[32];
        snprintf(name, sizeof name, "logger/%u", (unsigned)p);
        for (uint32_t row = 0; row < 5; row++) {
          log_stamp(recording, rk_entity_at(recording, name), p, 5 * i + row, 100);
        }
        const rk_status finished = rk_recording_finish(recording);
        if (finished != RK_OK && finished != RK_ERR_CONFLICT) {
          _exit(2);
        }
        rk_recording_free(recording);
      }
      _exit(0);
    }
  }
  for (int p = 0; p < PROCESSES; p++) {
    int status;
    assert_int_equal(waitpid(children[p], &status, 0), children[p]);
    assert_int_equal(status, 0);
  }
  rk_recording_free(open_at(s->path, &named)); /* removes a footer */
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t p = 0; p < PROCESSES; p++) {
    assert_int_equal(t.next[p], 5 * SESSIONS);
  }
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* ---- Recordings of other software ---- */

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

/* ---- Leaving ---- */

/* A full or unwilling disk at close: the rows stay, and the next one has them. */
static void test_rows_stay(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(
      s->path, &(rk_recording_options){.application_id = "app", .recording_id = "rec", .flush_age_ns = 3600000000000});
  log_rows(recording, 0, 100);
  const int fd = recording->fd;
  recording->fd = open("/dev/full", O_WRONLY); /* refuses all writes */
  assert_true(recording->fd >= 0);
  assert_int_equal(rk_recording_close(recording), RK_ERR_IO);
  rk_recording_free(recording);
  close(fd);
  assert_true(count_entries(s->spool, ".ring") == 1);
  session(s->path, 100, 110);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 110);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_torn_tail),       IN_SCENE(test_zero_tail),          IN_SCENE(test_not_alone),
      IN_SCENE(test_second_stream),   IN_SCENE(test_several_recordings), IN_SCENE(test_finish),
      IN_SCENE(test_finish_conflict), IN_SCENE(test_finish_adopts),      IN_SCENE(test_come_and_go),
      IN_SCENE(test_stock),           IN_SCENE(test_stock_damaged),      IN_SCENE(test_rows_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
