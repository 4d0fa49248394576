/* Recordings in memory to merge, and the merge of them. */
#ifndef RK_TESTS_MERGING_H
#define RK_TESTS_MERGING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/frame.h"
#include "format/ipc.h"
#include "format/messages.h"
#include "format/seal.h"
#include "rrdkit/reader.h"
#include "tests/arrow_import.h"
#include "tests/arrow_msg.h"
#include "tests/chunks.h"

/* ---- Recordings to merge ---- */

static inline rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

static const rk_store_id recording_id = {RK_STORE_RECORDING, {"app", 3}, {"rec", 3}};
static const rk_store_id blueprint_id = {RK_STORE_BLUEPRINT, {"app", 3}, {"blue", 4}};

static inline void seal_frame(rk_buffer *out, size_t start, const rk_store_id *store, rk_seal seal)
{
  char application[32] = {0}, recording[32] = {0};
  memcpy(application, store->application_id.data, store->application_id.size);
  memcpy(recording, store->recording_id.data, store->recording_id.size);
  seal.recording_hash = rk_recording_hash(application, recording);
  rk_seal_frame(out, start, (unsigned)(start % RK_FRAME_ALIGNMENT), &seal);
  assert_false(out->failed);
}

static inline void put_info(rk_buffer *out, const rk_store_id *store, uint32_t writer)
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

static inline void put_chunk(rk_buffer *out, const rk_store_id *store, const chunk_recipe *recipe)
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

static inline rk_buffer new_recording(void)
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
static inline rk_buffer make_recording(uint32_t tag)
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

static inline rk_reader *open_inputs(const rk_buffer *inputs, size_t count, const rk_reader_options *options)
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

static inline rk_buffer read_back(int fd)
{
  rk_buffer out = {0};
  const off_t size = lseek(fd, 0, SEEK_END);
  assert_true(size >= 0);
  uint8_t *bytes = rk_buffer_extend(&out, (size_t)size);
  assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
  return out;
}

static inline rk_buffer merge_with(const rk_buffer *inputs, size_t count, const rk_reader_options *reader_options,
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

static inline rk_buffer merge_all(const rk_buffer *inputs, size_t count, const rk_merge_options *options)
{
  return merge_with(inputs, count, NULL, options);
}

static inline void assert_same(const rk_buffer *a, const rk_buffer *b)
{
  assert_int_equal(a->size, b->size);
  assert_memory_equal(a->data, b->data, a->size);
}

/* Everything that a row says; values as the hash of what they encode to. */
static inline void describe_row(rk_buffer *out, const rk_row *row)
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
    rk_field *field = arrow_import(&arena, cell->schema);
    rk_buffer stream = {0};
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
static inline rk_buffer describe(const rk_buffer *inputs, size_t count, const rk_reader_options *options,
                                 size_t *row_count)
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

/* ---- Several at once ---- */

enum { INPUTS = 4 };

static inline void make_inputs(rk_buffer inputs[INPUTS])
{
  for (uint32_t i = 0; i < INPUTS; i++) {
    inputs[i] = make_recording(i + 1);
  }
}

static inline void free_all(rk_buffer *buffers, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    rk_buffer_free(&buffers[i]);
  }
}

#endif
