/* Merging: the same bytes in any order, in stages and again; every row once; where chunks are cut; what frames say. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "format/bytes.h"
#include "format/codec.h"
#include "format/footer.h"
#include "format/frame.h"
#include "format/ipc.h"
#include "format/messages.h"
#include "format/seal.h"
#include "reader/merge/merge_internal.h"
#include "tests/arrow_msg.h"
#include "tests/chunks.h"

/* ---- Recordings to merge ---- */

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

static const rk_store_id recording_id = {RK_STORE_RECORDING, {"app", 3}, {"rec", 3}};
static const rk_store_id blueprint_id = {RK_STORE_BLUEPRINT, {"app", 3}, {"blue", 4}};

static void seal_frame(rk_buffer *out, size_t start, const rk_store_id *store, rk_seal seal)
{
  char application[32] = {0}, recording[32] = {0};
  memcpy(application, store->application_id.data, store->application_id.size);
  memcpy(recording, store->recording_id.data, store->recording_id.size);
  seal.recording_hash = rk_recording_hash(application, recording);
  rk_seal_frame(out, start, (unsigned)(start % RK_FRAME_ALIGNMENT), &seal);
  assert_false(out->failed);
}

static void put_info(rk_buffer *out, const rk_store_id *store, uint32_t writer)
{
  rk_store_info info = {
      .row_id = {1, 1}, .store = *store, .source_kind = 1, .store_version = 0x2100, .has_writer = writer != 0};
  if (writer != 0) {
    info.writer = (rk_writer_record){.tag = writer,
                                     .host = text_of("host"),
                                     .boot_id = text_of("boot"),
                                     .thread = text_of("thread"),
                                     .program = text_of("program"),
                                     .pid = 11,
                                     .tid = writer,
                                     .start_ns = 12,
                                     .clock_monotonic = 13,
                                     .clock_realtime = 14,
                                     .clock_offset = 15};
  } else if (store->kind == RK_STORE_RECORDING) {
    info.has_recording = true;
    info.recording = (rk_recording_record){
        .clock_offset = 21, .boot_id = text_of("boot"), .clock_monotonic = 22, .clock_realtime = 23};
  }
  const size_t start = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(out, &info);
  seal_frame(out, start, store, (rk_seal){.writer = writer});
}

static void put_chunk(rk_buffer *out, const rk_store_id *store, const chunk_recipe *recipe)
{
  made_chunk made;
  rk_buffer payload = {0};
  assert_true(make_chunk(&made, recipe));
  assert_int_equal(rk_chunk_encode(&payload, &made.chunk), RK_OK);
  const rk_arrow_msg msg = {.store = *store,
                            .compression = RK_COMPRESSION_NONE,
                            .uncompressed_size = payload.size,
                            .payload = payload.data,
                            .payload_size = payload.size,
                            .has_chunk_id = true,
                            .chunk_id = made.chunk.id};
  const size_t start = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  put_arrow_msg(out, &msg);
  if (recipe->tag == 0) {
    rk_frame_end(out, start); /* as other programs write it */
  } else {
    const made_timeline *log_time = &recipe->timelines[0];
    const bool timed = log_time->name != NULL && strcmp(log_time->name, "log_time") == 0;
    const int64_t first = timed ? log_time->start : (int64_t)recipe->id_start;
    const int64_t last = first + (timed ? log_time->step : (int64_t)recipe->id_step) * (recipe->row_count - 1);
    seal_frame(out, start, store,
               (rk_seal){.flags = log_time->name == NULL ? RK_SEAL_STATIC : 0,
                         .writer = recipe->tag,
                         .first_row = recipe->first_row,
                         .row_count = recipe->row_count,
                         .min_log_time = first,
                         .max_log_time = last,
                         .entity_hash = XXH3_64bits(recipe->entity, strlen(recipe->entity)),
                         .uncompressed_size = payload.size});
  }
  rk_buffer_free(&payload);
  made_chunk_free(&made);
}

static void put_activation(rk_buffer *out)
{
  const rk_blueprint_activation command = {.blueprint = blueprint_id, .make_active = true};
  const size_t start = rk_frame_begin(out, RK_FRAME_BLUEPRINT_ACTIVATION);
  rk_blueprint_activation_encode(out, &command);
  rk_frame_end(out, start);
}

static rk_buffer new_recording(void)
{
  rk_buffer out = {0};
  rk_buffer_append(&out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  put_info(&out, &recording_id, 0);
  return out;
}

#define POINTS(absent)                                                                                                 \
  {                                                                                                                    \
    "Points2D:positions", "rerun.archetypes.Points2D", "rerun.components.Position2D", "+w:2(!:f)", absent, 0           \
  }
#define NOTE(absent, size)                                                                                             \
  {                                                                                                                    \
    "note", NULL, NULL, "u", absent, size                                                                              \
  }
#define AT(start, step)                                                                                                \
  {                                                                                                                    \
    "log_time", RK_TIMELINE_TIMESTAMP, start, step                                                                     \
  }
#define STEP(start)                                                                                                    \
  {                                                                                                                    \
    "step", RK_TIMELINE_SEQUENCE, start, 1                                                                             \
  }

/* One writer's recording: an entity of its own, one that all writers share, static data. */
static rk_buffer make_recording(uint32_t tag)
{
  static const char *const names[] = {"/own/0", "/own/1", "/own/2", "/own/3"};
  rk_buffer out = new_recording();
  put_info(&out, &recording_id, tag);
  const uint64_t t = 1000 + tag;
  const chunk_recipe recipes[] = {
      {names[tag % 4], tag, 0, 25, t, 10, {AT((int64_t)t, 10), STEP(0)}, {POINTS(3), NOTE(0, 0)}},
      {"/shared", tag, 25, 30, t + 300, 7, {AT((int64_t)t + 300, 7)}, {NOTE(tag % 2 == 0 ? 0 : 4, 0), POINTS(5)}},
      {"/shared", tag, 55, 10, t + 600, 7, {AT((int64_t)t + 600, 7)}, {POINTS(0)}},
      {"/shared", tag, 65, 2, t + 700, 1, {{NULL, 0, 0, 0}}, {NOTE(0, 0)}},
      {"/__properties", tag, 67, 1, t + 800, 1, {{NULL, 0, 0, 0}}, {NOTE(0, 0)}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    put_chunk(&out, &recording_id, &recipes[i]);
  }
  return out;
}

/* ---- Reading and merging ---- */

static rk_reader *open_inputs(const rk_buffer *inputs, size_t count, const rk_reader_options *options)
{
  rk_reader *reader;
  assert_int_equal(rk_reader_open(options, &reader, NULL), RK_OK);
  for (size_t i = 0; i < count; i++) {
    rk_error error = {0};
    if (rk_reader_add_memory(reader, "input", inputs[i].data, inputs[i].size, &error) != RK_OK) {
      fail_msg("input %zu: %s", i, error.message);
    }
  }
  return reader;
}

static rk_buffer read_back(int fd)
{
  rk_buffer out = {0};
  const off_t size = lseek(fd, 0, SEEK_END);
  assert_true(size >= 0);
  uint8_t *bytes = rk_buffer_extend(&out, (size_t)size);
  assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
  return out;
}

static rk_buffer merge_with(const rk_buffer *inputs, size_t count, const rk_reader_options *reader_options,
                            const rk_merge_options *options)
{
  rk_reader *reader = open_inputs(inputs, count, reader_options);
  const int fd = memfd_create("merged", 0);
  assert_true(fd >= 0);
  rk_error error = {0};
  const rk_status status = rk_reader_merge(reader, fd, options, NULL, &error);
  if (status != RK_OK) {
    fail_msg("merge: %s", error.message);
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.loss_count, 0);
  rk_buffer out = read_back(fd);
  close(fd);
  rk_reader_free(reader);
  return out;
}

static rk_buffer merge_all(const rk_buffer *inputs, size_t count, const rk_merge_options *options)
{
  return merge_with(inputs, count, NULL, options);
}

static void assert_same(const rk_buffer *a, const rk_buffer *b)
{
  assert_int_equal(a->size, b->size);
  assert_memory_equal(a->data, b->data, a->size);
}

/* Everything that a row says; values as the hash of what they encode to. */
static void describe_row(rk_buffer *out, const rk_row *row)
{
  char line[512];
  int size = snprintf(line, sizeof line, "%s/%s %s key %lld id %016llx%016llx %s writer %08x row %u",
                      row->store->application_id, row->store->recording_id, row->entity_path, (long long)row->key_ns,
                      (unsigned long long)row->row_id.time_ns, (unsigned long long)row->row_id.inc,
                      row->is_static ? "static" : "timed", row->writer == NULL ? 0 : row->writer->tag, row->row_number);
  rk_buffer_append(out, line, (size_t)size);
  for (size_t i = 0; i < row->timeline_count; i++) {
    size = snprintf(line, sizeof line, " %s(%d)=%lld", row->timelines[i].timeline, (int)row->timelines[i].kind,
                    (long long)row->timelines[i].value);
    rk_buffer_append(out, line, (size_t)size);
  }
  for (size_t i = 0; i < row->component_count; i++) {
    const rk_component_cell *cell = &row->components[i];
    rk_arena arena = {0};
    rk_field *field;
    rk_buffer stream = {0};
    assert_int_equal(rk_field_import(&arena, cell->schema, &field, NULL), RK_OK);
    rk_builder *builder = rk_builder_new(field);
    assert_non_null(builder);
    assert_int_equal(rk_builder_append(builder, cell->values, cell->start, cell->count), RK_OK);
    const rk_field schema = {.type = RK_TYPE_STRUCT, .name = "", .child_count = 1, .children = field};
    const struct ArrowArray *view = rk_builder_view(builder);
    assert_int_equal(rk_ipc_encode(&stream, &schema, NULL, &view, cell->count), RK_OK);
    size = snprintf(line, sizeof line, " %s[%s,%s] %lld:%016llx", cell->component,
                    cell->archetype == NULL ? "" : cell->archetype,
                    cell->component_type == NULL ? "" : cell->component_type, (long long)cell->count,
                    (unsigned long long)XXH3_64bits(stream.data, stream.size));
    rk_buffer_append(out, line, (size_t)size);
    rk_builder_free(builder);
    rk_buffer_free(&stream);
    rk_arena_free(&arena);
  }
  rk_buffer_append(out, "\n", 1);
}

/* All rows in order, one a line, NUL-terminated. */
static rk_buffer describe(const rk_buffer *inputs, size_t count, const rk_reader_options *options, size_t *row_count)
{
  rk_reader *reader = open_inputs(inputs, count, options);
  rk_buffer out = {0};
  const rk_row *row;
  rk_status status;
  for (*row_count = 0; (status = rk_reader_next(reader, &row)) == RK_OK; ++*row_count) {
    describe_row(&out, row);
  }
  assert_int_equal(status, RK_END);
  rk_buffer_append(&out, "", 1);
  rk_reader_free(reader);
  return out;
}

/* ---- What an output holds, frame by frame ---- */

typedef struct seen_chunk {
  size_t offset; /* of the frame */
  bool blueprint;
  rk_seal seal;
  rk_tuid id;
  rk_compression compression;
  char entity[64];
  char columns[128]; /* names, a blank behind each */
  size_t timeline_count;
  int64_t first_log_time;
  bool sorted;
} seen_chunk;

enum { SEEN_MAX = 512 };
typedef struct seen_file {
  size_t chunk_count, activation_count, info_count, activation_after; /* chunks before the first activation */
  seen_chunk chunks[SEEN_MAX];
  rk_store_info infos[SEEN_MAX];
  size_t end_offset;
} seen_file;

static void look_at_chunk(seen_chunk *seen, const uint8_t *payload, size_t size)
{
  rk_arrow_msg msg;
  rk_arena arena = {0};
  rk_buffer plain = {0};
  rk_chunk chunk;
  assert_int_equal(rk_arrow_msg_decode(payload, size, &msg, NULL), RK_OK);
  assert_true(msg.has_chunk_id);
  assert_int_equal(rk_decompress(&plain, msg.compression, msg.payload, msg.payload_size, msg.uncompressed_size, NULL),
                   RK_OK);
  assert_int_equal(rk_chunk_decode(&arena, plain.data, plain.size, &chunk, NULL), RK_OK);
  assert_int_equal(rk_tuid_compare(chunk.id, msg.chunk_id), 0);
  assert_int_equal(msg.is_static, chunk.timeline_count == 0);
  assert_int_equal(seen->seal.row_count, chunk.row_count);
  assert_int_equal(seen->seal.uncompressed_size, plain.size);
  assert_int_equal(seen->seal.entity_hash, XXH3_64bits(chunk.entity_path, strlen(chunk.entity_path)));
  seen->blueprint = msg.store.kind == RK_STORE_BLUEPRINT;
  seen->id = chunk.id;
  seen->compression = msg.compression;
  seen->timeline_count = chunk.timeline_count;
  (void)snprintf(seen->entity, sizeof seen->entity, "%s", chunk.entity_path);
  for (size_t i = 0; i < chunk.component_count; i++) {
    strncat(seen->columns, chunk.components[i].name, sizeof seen->columns - strlen(seen->columns) - 1);
    strncat(seen->columns, " ", sizeof seen->columns - strlen(seen->columns) - 1);
  }
  if (chunk.timeline_count > 0) {
    seen->first_log_time = chunk.timelines[0].values[0];
    seen->sorted = chunk.timelines[0].is_sorted;
  }
  rk_arena_free(&arena);
  rk_buffer_free(&plain);
}

/* Walks the frames: each sealed, right and aligned; then End, footer, and a manifest that finds every chunk. */
static seen_file *look_at(const rk_buffer *file)
{
  seen_file *seen = calloc(1, sizeof *seen);
  assert_non_null(seen);
  assert_memory_equal(file->data, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  size_t at = RK_STREAM_HEADER_SIZE;
  for (;;) {
    rk_frame_header header;
    assert_true(at + RK_FRAME_HEADER_SIZE <= file->size);
    assert_true(rk_frame_header_decode(file->data + at, &header));
    const size_t frame_size = RK_FRAME_HEADER_SIZE + (size_t)header.size;
    const uint8_t *payload = file->data + at + RK_FRAME_HEADER_SIZE;
    assert_true(frame_size <= file->size - at);
    if (header.kind == RK_FRAME_END) {
      seen->end_offset = at;
      break;
    }
    assert_true(rk_seal_verify(file->data + at, frame_size));
    assert_int_equal((at + frame_size) % RK_FRAME_ALIGNMENT, 0);
    rk_seal seal;
    assert_int_equal(rk_seal_decode(file->data + at + frame_size - RK_SEAL_SIZE, &seal), RK_OK);
    assert_int_equal(seal.chunk_number, 0);
    assert_int_equal(seal.clock_monotonic, 0);
    if (header.kind == RK_FRAME_ARROW_MSG) {
      assert_true(seen->chunk_count < SEEN_MAX);
      seen_chunk *chunk = &seen->chunks[seen->chunk_count++];
      chunk->offset = at;
      chunk->seal = seal;
      look_at_chunk(chunk, payload, (size_t)header.size);
    } else if (header.kind == RK_FRAME_SET_STORE_INFO) {
      assert_int_equal(seen->chunk_count, 0);
      assert_true(seen->info_count < SEEN_MAX);
      assert_int_equal(rk_store_info_decode(payload, (size_t)header.size, &seen->infos[seen->info_count++], NULL),
                       RK_OK);
    } else if (seen->activation_count++ == 0) {
      seen->activation_after = seen->chunk_count;
    }
    at += frame_size;
  }
  rk_stream_footer footer;
  assert_true(rk_stream_footer_decode(file->data + file->size - RK_STREAM_FOOTER_SIZE, &footer));
  assert_int_equal(footer.payload_offset, at + RK_FRAME_HEADER_SIZE);
  assert_int_equal(footer.payload_offset + footer.payload_size + RK_STREAM_FOOTER_SIZE, file->size);
  assert_int_equal(footer.payload_hash, rk_footer_hash(file->data + footer.payload_offset, footer.payload_size));
  rk_arena arena = {0};
  const rk_footer_manifest *manifests;
  size_t manifest_count, listed = 0;
  assert_int_equal(rk_footer_decode(&arena, file->data + footer.payload_offset, footer.payload_size, file->size,
                                    &manifests, &manifest_count, NULL),
                   RK_OK);
  size_t next = 0;
  for (size_t i = 0; i < manifest_count; i++) {
    for (size_t c = 0; c < manifests[i].chunk_count; c++, listed++) {
      const rk_manifest_chunk *chunk = &manifests[i].chunks[c];
      for (next = 0; next < seen->chunk_count && seen->chunks[next].offset + 16 != chunk->byte_offset; next++) {
      }
      assert_true(next < seen->chunk_count);
      assert_int_equal(rk_tuid_compare(chunk->chunk_id, seen->chunks[next].id), 0);
      assert_int_equal(chunk->byte_size, seen->chunks[next].seal.frame_size - RK_FRAME_HEADER_SIZE);
      assert_int_equal(chunk->row_count, seen->chunks[next].seal.row_count);
      assert_int_equal(chunk->uncompressed_size, seen->chunks[next].seal.uncompressed_size);
      assert_string_equal(chunk->entity_path, seen->chunks[next].entity);
    }
  }
  assert_int_equal(listed, seen->chunk_count);
  for (size_t i = 0; i < seen->chunk_count; i++) {
    for (size_t j = 0; j < i; j++) {
      assert_int_not_equal(rk_tuid_compare(seen->chunks[i].id, seen->chunks[j].id), 0);
    }
  }
  rk_arena_free(&arena);
  return seen;
}

/* ---- Tests ---- */

enum { INPUTS = 4 };

static void make_inputs(rk_buffer inputs[INPUTS])
{
  for (uint32_t i = 0; i < INPUTS; i++) {
    inputs[i] = make_recording(i + 1);
  }
}

static void free_all(rk_buffer *buffers, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    rk_buffer_free(&buffers[i]);
  }
}

static void check_same_bytes(const rk_merge_options *options)
{
  rk_buffer in[INPUTS];
  make_inputs(in);
  rk_buffer whole = merge_all(in, INPUTS, options);
  /* Every order of four. */
  for (unsigned order = 0; order < 256; order++) {
    const unsigned places[INPUTS] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
    if ((1u << places[0] | 1u << places[1] | 1u << places[2] | 1u << places[3]) != 15) {
      continue;
    }
    rk_buffer permuted[INPUTS];
    for (size_t i = 0; i < INPUTS; i++) {
      permuted[i] = in[places[i]];
    }
    rk_buffer again = merge_all(permuted, INPUTS, options);
    assert_same(&whole, &again);
    rk_buffer_free(&again);
  }
  /* In stages: (0 2) with 3, then 1 with that. */
  rk_buffer pair[2] = {in[2], in[0]};
  rk_buffer first = merge_all(pair, 2, options);
  rk_buffer next[2] = {first, in[3]};
  rk_buffer second = merge_all(next, 2, options);
  rk_buffer last[2] = {in[1], second};
  rk_buffer third = merge_all(last, 2, options);
  assert_same(&whole, &third);
  /* Again, alone and with what is in it already. */
  rk_buffer once_more = merge_all(&whole, 1, options);
  assert_same(&whole, &once_more);
  rk_buffer repeated[3] = {in[1], whole, second};
  rk_buffer united = merge_all(repeated, 3, options);
  assert_same(&whole, &united);
  rk_buffer made[] = {whole, first, second, third, once_more, united};
  free_all(made, sizeof made / sizeof *made);
  free_all(in, INPUTS);
}

static void test_same_bytes(void **state)
{
  (void)state;
  check_same_bytes(NULL);
}

static void test_same_bytes_when_cut_by_rows(void **state)
{
  (void)state;
  check_same_bytes(&(rk_merge_options){.chunk_rows = 7});
}

static void test_same_bytes_when_cut_by_size(void **state)
{
  (void)state;
  check_same_bytes(&(rk_merge_options){.chunk_size = 500, .compression = RK_COMPRESSION_NONE});
}

static void test_rows_are_kept(void **state)
{
  (void)state;
  rk_buffer in[INPUTS];
  make_inputs(in);
  size_t before_count, after_count;
  rk_buffer before = describe(in, INPUTS, NULL, &before_count);
  assert_int_equal(before_count, INPUTS * 68 - 2); /* row 40 of writers 1 and 3 has no component */
  for (uint32_t rows = 1; rows < 40; rows += 13) {
    rk_buffer merged = merge_all(in, INPUTS, &(rk_merge_options){.chunk_rows = rows});
    rk_buffer after = describe(&merged, 1, NULL, &after_count);
    assert_int_equal(after_count, before_count);
    assert_string_equal((const char *)before.data, (const char *)after.data);
    rk_buffer_free(&merged);
    rk_buffer_free(&after);
  }
  rk_buffer_free(&before);
  free_all(in, INPUTS);
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

/* Rows that were taken would be missing, and another order or growing inputs have no one merged recording. */
static void test_misuse(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  const chunk_recipe data = {"/a", 1, 0, 4, 100, 1, {AT(100, 1)}, {NOTE(0, 0)}};
  put_chunk(&in, &recording_id, &data);
  const int fd = memfd_create("misuse", 0);
  rk_merge_report report = {.rows = 7};
  rk_reader *reader = open_inputs(&in, 1, NULL);
  const rk_row *row;
  assert_int_equal(rk_reader_next(reader, &row), RK_OK);
  assert_int_equal(rk_reader_merge(reader, fd, NULL, &report, NULL), RK_ERR_MISUSE);
  assert_int_equal(report.rows, 0);
  rk_reader_free(reader);
  static const rk_reader_options wrong[] = {{.timeline = "log_time"}, {.follow = true}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    reader = open_inputs(&in, 1, &wrong[i]);
    assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, NULL), RK_ERR_MISUSE);
    rk_reader_free(reader);
  }
  reader = open_inputs(&in, 1, NULL);
  assert_int_equal(rk_reader_merge(reader, -1, NULL, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_reader_merge(NULL, fd, NULL, NULL, NULL), RK_ERR_MISUSE);
  rk_reader_free(reader);
  assert_int_equal(lseek(fd, 0, SEEK_END), 0);
  close(fd);
  rk_buffer_free(&in);
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

static void check_write_error(int fd, int sys_errno)
{
  rk_buffer in = make_recording(1);
  rk_reader *reader = open_inputs(&in, 1, NULL);
  rk_error error = {0};
  assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, &error), RK_ERR_IO);
  assert_int_equal(error.status, RK_ERR_IO);
  assert_int_equal(error.sys_errno, sys_errno);
  rk_error kept = {0};
  rk_reader_error(reader, &kept);
  assert_int_equal(kept.sys_errno, sys_errno);
  rk_reader_free(reader);
  rk_buffer_free(&in);
}

static void test_write_errors(void **state)
{
  (void)state;
  const int full = open("/dev/full", O_WRONLY);
  assert_true(full >= 0);
  check_write_error(full, ENOSPC);
  close(full);
  const int read_only = open("/dev/null", O_RDONLY);
  check_write_error(read_only, EBADF);
  close(read_only);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  close(ends[0]);
  const struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct sigaction before;
  sigaction(SIGPIPE, &ignore, &before);
  check_write_error(ends[1], EPIPE);
  sigaction(SIGPIPE, &before, NULL);
  close(ends[1]);
}

typedef struct draining {
  int fd;
  rk_buffer bytes;
} draining;

static void *drain(void *argument)
{
  draining *d = argument;
  uint8_t piece[777];
  ssize_t size;
  while ((size = read(d->fd, piece, sizeof piece)) > 0) {
    rk_buffer_append(&d->bytes, piece, (size_t)size);
  }
  return NULL;
}

/* A non-blocking pipe takes small pieces and says "not now" in between. */
static void test_short_writes(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  for (uint32_t i = 0; i < 40; i++) {
    const chunk_recipe recipe = {"/a", 1, 10 * i, 10, 100 * i, 1, {AT(100 * i, 1)}, {NOTE(0, 9000)}};
    put_chunk(&in, &recording_id, &recipe);
  }
  const rk_merge_options options = {.compression = RK_COMPRESSION_NONE};
  rk_buffer whole = merge_all(&in, 1, &options);
  assert_true(whole.size > 3 << 20);
  int ends[2];
  assert_int_equal(pipe2(ends, 0), 0);
  assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  draining d = {.fd = ends[0]};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, drain, &d), 0);
  rk_reader *reader = open_inputs(&in, 1, NULL);
  assert_int_equal(rk_reader_merge(reader, ends[1], &options, NULL, NULL), RK_OK);
  close(ends[1]);
  pthread_join(thread, NULL);
  close(ends[0]);
  assert_same(&whole, &d.bytes);
  rk_reader_free(reader);
  rk_buffer made[] = {in, whole, d.bytes};
  free_all(made, 3);
}

typedef struct progress {
  unsigned calls;
  uint64_t rows, total, bytes;
  bool stop;
} progress;

static bool note_progress(void *context, uint64_t rows_done, uint64_t rows_total, uint64_t bytes_out)
{
  progress *p = context;
  assert_true(rows_done >= p->rows && rows_done <= rows_total && bytes_out >= p->bytes);
  p->calls++;
  p->rows = rows_done;
  p->total = rows_total;
  p->bytes = bytes_out;
  return !p->stop;
}

static void test_progress(void **state)
{
  (void)state;
  rk_buffer in = new_recording();
  const chunk_recipe recipe = {"/a", 1, 0, 40000, 100, 1, {AT(100, 1)}, {POINTS(0)}};
  put_chunk(&in, &recording_id, &recipe);
  progress p = {0};
  rk_merge_options options = {.on_progress = note_progress, .context = &p};
  rk_buffer merged = merge_all(&in, 1, &options);
  assert_true(p.calls > 2);
  assert_int_equal(p.rows, 40000);
  assert_int_equal(p.total, 40000);
  assert_int_equal(p.bytes, merged.size);
  p = (progress){.stop = true};
  rk_reader *reader = open_inputs(&in, 1, NULL);
  const int fd = memfd_create("stopped", 0);
  assert_int_equal(rk_reader_merge(reader, fd, &options, NULL, NULL), RK_END);
  assert_int_equal(p.calls, 1);
  close(fd);
  rk_reader_free(reader);
  rk_buffer made[] = {in, merged};
  free_all(made, 2);
}

/* The measure behind cutting sees values, not buffers: slices and what lies under nulls do not matter. */
static void test_value_size(void **state)
{
  (void)state;
  rk_arena arena = {0};
  rk_field *text, *list, *pair, *record;
  assert_int_equal(rk_field_parse(&arena, "u", &text, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+l(:u)", &list, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+w:3(!:f)", &pair, NULL), RK_OK);
  assert_int_equal(rk_field_parse(&arena, "+s(a:i,b:u)", &record, NULL), RK_OK);
  /* "ab", null over "cdef", "", "xyz" */
  static const int32_t offsets[] = {0, 2, 6, 6, 9};
  static const uint8_t validity[] = {0x0D};
  const void *buffers[3] = {validity, offsets, "abcdefxyz"};
  struct ArrowArray texts = {.length = 4, .null_count = 1, .n_buffers = 3, .buffers = buffers};
  assert_int_equal(rk_value_size(text, &texts, 0, 4), 4 * 4 + 5);
  assert_int_equal(rk_value_size(text, &texts, 1, 1), 4);
  assert_int_equal(rk_value_size(text, &texts, 3, 1), 4 + 3);
  struct ArrowArray sliced = texts;
  sliced.offset = 1;
  sliced.length = 3;
  assert_int_equal(rk_value_size(text, &sliced, 2, 1), 4 + 3);
  /* [ "ab", null ], null over the rest */
  static const int32_t list_offsets[] = {0, 2, 4};
  static const uint8_t list_validity[] = {0x01};
  const void *list_buffers[2] = {list_validity, list_offsets};
  struct ArrowArray *items = &texts;
  struct ArrowArray lists = {
      .length = 2, .null_count = 1, .n_buffers = 2, .n_children = 1, .buffers = list_buffers, .children = &items};
  assert_int_equal(rk_value_size(list, &lists, 0, 2), 2 * 4 + 2 * 4 + 2);
  const void *float_buffers[2] = {NULL, offsets};
  struct ArrowArray floats = {.length = 6, .n_buffers = 2, .buffers = float_buffers};
  struct ArrowArray *float_items = &floats;
  const void *no_buffers[1] = {NULL};
  struct ArrowArray pairs = {
      .length = 2, .n_buffers = 1, .n_children = 1, .buffers = no_buffers, .children = &float_items};
  assert_int_equal(rk_value_size(pair, &pairs, 0, 2), 24);
  struct ArrowArray *members[2] = {&floats, &texts};
  struct ArrowArray records = {
      .length = 4, .n_buffers = 1, .n_children = 2, .buffers = no_buffers, .children = members};
  assert_int_equal(rk_value_size(record, &records, 0, 4), 4 * 4 + 4 * 4 + 5);
  records.buffers = (const void *[]){list_validity};
  assert_int_equal(rk_value_size(record, &records, 0, 4), 4 + 4 + 2);
  /* A dense union of texts (5) and floats (9): "xyz", a float. */
  static const int8_t ids[] = {5, 9};
  static const int32_t places[] = {3, 1};
  static const int8_t known[] = {5, 9};
  rk_field kinds[2] = {*text, {.type = RK_TYPE_FLOAT32, .name = "f"}};
  struct ArrowArray *choices[2] = {&texts, &floats};
  const void *union_buffers[2] = {ids, places};
  struct ArrowArray unions = {
      .length = 2, .n_buffers = 2, .n_children = 2, .buffers = union_buffers, .children = choices};
  const rk_field dense = {
      .type = RK_TYPE_DENSE_UNION, .name = "", .child_count = 2, .children = kinds, .type_ids = known};
  assert_int_equal(rk_value_size(&dense, &unions, 0, 2), 5 + 4 + 3 + 5 + 4);
  rk_arena_free(&arena);
}

/* A writer whose times step back: the order is its own, the times stay as stored, and the seals speak of these. */
static void test_times_that_step_back(void **state)
{
  (void)state;
  rk_buffer input = new_recording();
  put_info(&input, &recording_id, 7);
  const chunk_recipe recipes[] = {
      {"/a", 7, 0, 5, 1000, 10, {AT(1000, 10)}, {NOTE(0, 0)}},
      {"/b", 7, 5, 5, 500, 10, {AT(500, 10)}, {NOTE(0, 0)}},
      {"/a", 7, 10, 5, 1020, 10, {AT(1020, 10)}, {NOTE(0, 0)}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    put_chunk(&input, &recording_id, &recipes[i]);
  }
  size_t before, after;
  rk_buffer rows = describe(&input, 1, NULL, &before);
  rk_buffer once = merge_all(&input, 1, NULL);
  rk_buffer rows_after = describe(&once, 1, NULL, &after);
  assert_int_equal(before, 15);
  assert_int_equal(after, before);
  assert_string_equal((const char *)rows.data, (const char *)rows_after.data);
  rk_buffer twice = merge_all(&once, 1, NULL);
  assert_same(&once, &twice);
  rk_buffer_free(&input);
  rk_buffer_free(&rows);
  rk_buffer_free(&once);
  rk_buffer_free(&rows_after);
  rk_buffer_free(&twice);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_same_bytes_when_cut_by_rows),
      cmocka_unit_test(test_same_bytes_when_cut_by_size),
      cmocka_unit_test(test_rows_are_kept),
      cmocka_unit_test(test_frames),
      cmocka_unit_test(test_cut_by_rows),
      cmocka_unit_test(test_cut_by_size),
      cmocka_unit_test(test_cut_by_type),
      cmocka_unit_test(test_blueprints_first),
      cmocka_unit_test(test_misuse),
      cmocka_unit_test(test_fused),
      cmocka_unit_test(test_nothing_to_merge),
      cmocka_unit_test(test_write_errors),
      cmocka_unit_test(test_short_writes),
      cmocka_unit_test(test_progress),
      cmocka_unit_test(test_value_size),
      cmocka_unit_test(test_times_that_step_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
