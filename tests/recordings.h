/* Small recordings built in memory for the reader's tests: streams, writers, chunks of one component, sealed or not. */
#ifndef RK_TEST_RECORDINGS_H
#define RK_TEST_RECORDINGS_H

#include <string.h>
#include <xxhash.h>

#include "format/chunk.h"
#include "format/codec.h"
#include "format/footer.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "format/tuid.h"
#include "tests/arrow_msg.h"

#define CHUNK_ROWS_MAX 64

typedef struct test_chunk {
  const char *application, *recording; /* NULL: "app", "rec" */
  const char *blueprint;               /* the store is this one instead */
  const char *entity;
  const char *component; /* NULL: "Scalars:scalars"; "": a chunk without components */
  uint32_t tag;          /* of the row ids; also the seal's writer unless `merged` */
  uint32_t number;       /* the seal's chunk number */
  uint32_t first_row;
  uint32_t row_step;  /* row numbers go up by this; 0: 1 */
  uint32_t row_count; /* keys[row_count] */
  const int64_t *keys;
  const int64_t *frames;       /* a second timeline "frame"; NULL: none */
  const uint32_t *tags;        /* row tags of a merged chunk; NULL: `tag` */
  const uint32_t *numbers;     /* row numbers; NULL: from first_row */
  uint64_t chunk_salt;         /* makes another chunk id of the same rows */
  size_t padding;              /* bytes more, of a field that nobody knows */
  int64_t monotonic, realtime; /* the seal's clock pair */
  bool no_log_time;            /* only "frame" */
  rk_manifest *manifest;       /* is told of it */
  bool is_static, merged, unsealed, plain;
} test_chunk;

/* The value of a row: tells writer and number. */
static inline double test_value(uint32_t tag, uint32_t number)
{
  return (double)tag * 100000 + number;
}

static inline rk_text test_text(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

static inline rk_store_id test_store(const char *application, const char *recording)
{
  return (rk_store_id){.kind = RK_STORE_RECORDING,
                       .application_id = test_text(application ? application : "app"),
                       .recording_id = test_text(recording ? recording : "rec")};
}

static inline void test_end_frame(rk_buffer *out, size_t start, bool unsealed, rk_seal *seal)
{
  if (unsealed) {
    rk_frame_end(out, start);
  } else {
    rk_seal_frame(out, start, (unsigned)(start % RK_FRAME_ALIGNMENT), seal);
  }
}

static inline void test_add_info(rk_buffer *out, const rk_store_info *info, bool unsealed)
{
  char application[64] = {0};
  char recording[64] = {0};
  memcpy(application, info->store.application_id.data, info->store.application_id.size);
  memcpy(recording, info->store.recording_id.data, info->store.recording_id.size);
  const size_t start = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(out, info);
  rk_seal seal = {.recording_hash = rk_recording_hash(application, recording),
                  .writer = info->has_writer ? info->writer.tag : 0};
  test_end_frame(out, start, unsealed, &seal);
}

/* Stream header and the creator's SetStoreInfo. */
static inline void test_begin(rk_buffer *out, const char *application, const char *recording, bool unsealed)
{
  rk_buffer_append(out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  const rk_store_info info = {.row_id = {.time_ns = 1, .inc = 1},
                              .store = test_store(application, recording),
                              .source_kind = 1,
                              .store_version = 0x2100,
                              .has_recording = !unsealed,
                              .recording = {.clock_offset = 7, .boot_id = test_text("boot")}};
  test_add_info(out, &info, unsealed);
}

static inline void test_add_writer(rk_buffer *out, const char *application, const char *recording, uint32_t tag)
{
  const rk_store_info info = {.row_id = {.time_ns = 1, .inc = (uint64_t)tag << 32},
                              .store = test_store(application, recording),
                              .source_kind = 1,
                              .store_version = 0x2100,
                              .has_writer = true,
                              .writer = {.tag = tag,
                                         .host = test_text("host"),
                                         .boot_id = test_text("boot"),
                                         .thread = test_text("thread"),
                                         .program = test_text("program"),
                                         .pid = 1000,
                                         .tid = tag}};
  test_add_info(out, &info, false);
}

/* Appends the chunk's frame and returns its offset. */
static inline size_t test_add_chunk(rk_buffer *out, const test_chunk *c)
{
  static uint8_t row_ids[CHUNK_ROWS_MAX][RK_TUID_SIZE];
  double values[CHUNK_ROWS_MAX];
  int32_t offsets[CHUNK_ROWS_MAX + 1] = {0};
  int64_t min = INT64_MAX;
  int64_t max = INT64_MIN;
  for (uint32_t i = 0; i < c->row_count; i++) {
    const uint32_t tag = c->tags ? c->tags[i] : c->tag;
    const uint32_t number = c->numbers ? c->numbers[i] : c->first_row + i * (c->row_step ? c->row_step : 1);
    rk_tuid_store(row_ids[i], (rk_tuid){.time_ns = (uint64_t)c->keys[i], .inc = rk_row_inc(tag, number)});
    values[i] = test_value(tag, number);
    offsets[i + 1] = (int32_t)i + 1;
    min = c->keys[i] < min ? c->keys[i] : min;
    max = c->keys[i] > max ? c->keys[i] : max;
  }
  const void *value_buffers[2] = {NULL, values};
  const void *list_buffers[2] = {NULL, offsets};
  struct ArrowArray items = {.length = c->row_count, .n_buffers = 2, .buffers = value_buffers};
  struct ArrowArray *children[1] = {&items};
  const struct ArrowArray lists = {
      .length = c->row_count, .n_buffers = 2, .n_children = 1, .buffers = list_buffers, .children = children};
  static rk_field item = {.type = RK_TYPE_FLOAT64, .nullable = true, .name = "item"};
  const rk_chunk_component component = {.name = c->component ? c->component : "Scalars:scalars",
                                        .archetype = "rerun.archetypes.Scalars",
                                        .component_type = "rerun.components.Scalar",
                                        .item = &item,
                                        .lists = &lists};
  const rk_chunk_timeline timelines[2] = {{.name = c->frames ? "frame" : "log_time",
                                           .kind = c->frames ? RK_TIMELINE_SEQUENCE : RK_TIMELINE_TIMESTAMP,
                                           .values = c->frames ? c->frames : c->keys},
                                          {.name = "log_time", .kind = RK_TIMELINE_TIMESTAMP, .values = c->keys}};
  const rk_chunk chunk = {.id = {.time_ns = c->row_count ? (uint64_t)c->keys[0] : 0,
                                 .inc = rk_row_inc(c->tag, c->first_row) + c->chunk_salt},
                          .entity_path = c->entity,
                          .row_count = c->row_count,
                          .row_ids = row_ids[0],
                          .timeline_count = c->is_static                   ? 0
                                            : c->frames && !c->no_log_time ? 2
                                                                           : 1,
                          .timelines = timelines,
                          .component_count = c->component && !*c->component ? 0 : 1,
                          .components = &component};
  rk_buffer payload = {0};
  rk_buffer packed = {0};
  (void)rk_chunk_encode(&payload, &chunk);
  rk_compression used;
  (void)rk_compress(&packed, c->plain ? RK_COMPRESSION_NONE : RK_COMPRESSION_LZ4, payload.data, payload.size, NULL,
                    &used);
  rk_store_id store = test_store(c->application, c->blueprint ? c->blueprint : c->recording);
  store.kind = c->blueprint ? RK_STORE_BLUEPRINT : RK_STORE_RECORDING;
  const rk_arrow_msg msg = {.store = store,
                            .compression = used,
                            .uncompressed_size = payload.size,
                            .payload = used == RK_COMPRESSION_NONE ? payload.data : packed.data,
                            .payload_size = used == RK_COMPRESSION_NONE ? payload.size : packed.size,
                            .has_chunk_id = true,
                            .is_static = c->is_static,
                            .chunk_id = chunk.id};
  const size_t start = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  put_arrow_msg(out, &msg);
  if (c->padding > 0) {
    static const uint8_t key[3] = {0xBA, 0x81, 0x0C}; /* field 24599, bytes */
    rk_buffer_append(out, key, sizeof key);
    size_t rest = c->padding;
    do {
      const uint8_t part = (uint8_t)((rest & 127) | (rest > 127 ? 128 : 0));
      rk_buffer_append(out, &part, 1);
      rest >>= 7;
    } while (rest > 0);
    rk_buffer_append_zero(out, c->padding);
  }
  rk_seal seal = {.flags = c->is_static ? RK_SEAL_STATIC : 0,
                  .writer = c->merged ? 0 : c->tag,
                  .chunk_number = c->number,
                  .first_row = c->merged ? 0 : c->first_row,
                  .row_count = c->row_count,
                  .min_log_time = c->row_count ? min : 0,
                  .max_log_time = c->row_count ? max : 0,
                  .entity_hash = XXH3_64bits(c->entity, strlen(c->entity)),
                  .recording_hash =
                      rk_recording_hash(c->application ? c->application : "app", c->recording ? c->recording : "rec"),
                  .clock_monotonic = c->monotonic,
                  .clock_realtime = c->realtime,
                  .uncompressed_size = payload.size};
  test_end_frame(out, start, c->unsealed, &seal);
  if (c->manifest) {
    (void)rk_manifest_add(c->manifest, &chunk, start + RK_FRAME_HEADER_SIZE, out->size - start - RK_FRAME_HEADER_SIZE,
                          payload.size);
  }
  rk_buffer_free(&payload);
  rk_buffer_free(&packed);
  return start;
}

#endif
