/* Reads back what a writer appended, with format/ alone, and checks everything that SPEC says of a shared recording. */
#ifndef RK_TESTS_APPENDED_H
#define RK_TESTS_APPENDED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "format/chunk.h"
#include "format/codec.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "format/zst.h"

enum { APPENDED_WRITERS_MAX = 4096 };

typedef struct appended_writer {
  uint32_t tag;
  int64_t pid, tid;
  char thread[32];
  uint32_t chunks;
  uint32_t rows;
  uint64_t dropped;
} appended_writer;

typedef struct appended_row {
  const appended_writer *writer;
  uint32_t number;
  int64_t stamp;
  const rk_chunk *chunk;
  int64_t index; /* in the chunk */
  bool is_static;
} appended_row;

/* A chunk's frame as met. Healing may have moved it, or its writer's record, to a later place in the file. */
typedef struct appended_place {
  const uint8_t *payload;
  size_t size;
  rk_seal seal;
  size_t writer_from; /* where the writer's first chunk lies */
  bool introduced;    /* its writer's record came before */
} appended_place;

typedef void appended_visit(void *context, const appended_row *row);

typedef struct appended {
  char application_id[256], recording_id[256];
  appended_writer writers[APPENDED_WRITERS_MAX];
  size_t writer_count;
  size_t chunk_count, row_count, filler_count;
  /* Row numbers seen, per writer: each exactly once. */
  uint8_t *seen[APPENDED_WRITERS_MAX];
} appended;

static inline appended_writer *appended_find(appended *file, uint32_t tag)
{
  for (size_t i = 0; i < file->writer_count; i++) {
    if (file->writers[i].tag == tag) {
      return &file->writers[i];
    }
  }
  return NULL;
}

static inline void appended_store_info(appended *file, const uint8_t *payload, size_t size, const rk_seal *seal,
                                       bool first)
{
  rk_store_info info;
  assert_int_equal(rk_store_info_decode(payload, size, &info, NULL), RK_OK);
  assert_int_equal(info.has_recording, first);
  if (first) {
    assert_true(info.store.application_id.size < sizeof file->application_id);
    assert_true(info.store.recording_id.size < sizeof file->recording_id);
    memcpy(file->application_id, info.store.application_id.data, info.store.application_id.size);
    memcpy(file->recording_id, info.store.recording_id.data, info.store.recording_id.size);
  }
  if ((seal->flags & RK_SEAL_FILLER) != 0) {
    file->filler_count++;
  } else if (!first) {
    assert_true(info.has_writer);
    assert_int_not_equal(info.writer.tag, 0);
    appended_writer *known = appended_find(file, info.writer.tag);
    if (known != NULL) { /* again, because it dropped rows meanwhile */
      assert_true(info.writer.dropped_rows > known->dropped);
      known->dropped = info.writer.dropped_rows;
      return;
    }
    assert_true(file->writer_count < APPENDED_WRITERS_MAX);
    appended_writer *writer = &file->writers[file->writer_count++];
    *writer = (appended_writer){
        .tag = info.writer.tag, .pid = info.writer.pid, .tid = info.writer.tid, .dropped = info.writer.dropped_rows};
    assert_true(info.writer.thread.size < sizeof writer->thread);
    memcpy(writer->thread, info.writer.thread.data, info.writer.thread.size);
  }
}

static inline void appended_chunk(appended *file, const uint8_t *payload, size_t size, const rk_seal *seal,
                                  appended_visit *visit, void *context)
{
  rk_arrow_msg message;
  assert_int_equal(rk_arrow_msg_decode(payload, size, &message, NULL), RK_OK);
  rk_buffer ipc = {0};
  assert_int_equal(
      rk_decompress(&ipc, message.compression, message.payload, message.payload_size, message.uncompressed_size, NULL),
      RK_OK);
  rk_arena arena = {0};
  rk_chunk chunk;
  rk_error error = {0};
  if (rk_chunk_decode(&arena, ipc.data, ipc.size, &chunk, &error) != RK_OK) {
    fail_msg("a chunk does not decode: %s", error.message);
  }
  appended_writer *writer = appended_find(file, seal->writer);
  assert_non_null(writer);
  assert_int_equal(seal->chunk_number, writer->chunks);
  writer->chunks++;
  assert_int_equal(seal->row_count, chunk.row_count);
  assert_in_range(chunk.row_count, 1, 4096);
  assert_true(seal->entity_hash == XXH3_64bits(chunk.entity_path, strlen(chunk.entity_path)));
  assert_true(seal->uncompressed_size == ipc.size);
  assert_true(message.has_chunk_id && rk_tuid_compare(message.chunk_id, chunk.id) == 0);
  assert_true(rk_tuid_compare(chunk.id, rk_tuid_load(chunk.row_ids)) == 0);
  const bool is_static = chunk.timeline_count == 0;
  assert_int_equal((seal->flags & RK_SEAL_STATIC) != 0, is_static);
  assert_int_equal(message.is_static, is_static);
  const int64_t *log_time = NULL;
  for (size_t i = 0; i < chunk.timeline_count; i++) {
    log_time = strcmp(chunk.timelines[i].name, "log_time") == 0 ? chunk.timelines[i].values : log_time;
    assert_true(i == 0 || strcmp(chunk.timelines[i - 1].name, chunk.timelines[i].name) < 0);
  }
  for (size_t i = 1; i < chunk.component_count; i++) {
    assert_true(strcmp(chunk.components[i - 1].name, chunk.components[i].name) < 0);
  }
  assert_int_equal(log_time == NULL, is_static);
  uint8_t **seen = &file->seen[writer - file->writers];
  int64_t low = INT64_MAX, high = INT64_MIN;
  uint32_t before = 0;
  for (int64_t i = 0; i < chunk.row_count; i++) {
    const rk_tuid id = rk_tuid_load(chunk.row_ids + 16 * i);
    const uint32_t number = (uint32_t)id.inc;
    assert_int_equal(id.inc >> 32, writer->tag);
    assert_true(is_static || log_time[i] == (int64_t)id.time_ns);
    assert_true(i == 0 ? number == seal->first_row : number > before);
    before = number;
    low = (int64_t)id.time_ns < low ? (int64_t)id.time_ns : low;
    high = (int64_t)id.time_ns > high ? (int64_t)id.time_ns : high;
    assert_in_range(number, 0, 1 << 22);
    if (*seen == NULL) {
      *seen = calloc(1, (size_t)(1 << 22) + 1);
      assert_non_null(*seen);
    }
    assert_int_equal((*seen)[number], 0);
    (*seen)[number] = 1;
    writer->rows++;
    file->row_count++;
    const appended_row row = {.writer = writer,
                              .number = number,
                              .stamp = (int64_t)id.time_ns,
                              .chunk = &chunk,
                              .index = i,
                              .is_static = is_static};
    if (visit != NULL) {
      visit(context, &row);
    }
  }
  assert_true(low == seal->min_log_time && high == seal->max_log_time);
  file->chunk_count++;
  rk_arena_free(&arena);
  rk_buffer_free(&ipc);
}

static inline int appended_order(const void *a, const void *b)
{
  const appended_place *x = a, *y = b;
  if (x->writer_from != y->writer_from) {
    return x->writer_from < y->writer_from ? -1 : 1;
  }
  return x->seal.chunk_number < y->seal.chunk_number ? -1 : x->seal.chunk_number > y->seal.chunk_number;
}

/* Reads the chunks in file order, or, where a gap was healed, those of each writer by their numbers. */
static inline void appended_chunks(appended *file, appended_place *places, size_t count, appended_visit *visit,
                                   void *context)
{
  if (file->filler_count > 0) {
    qsort(places, count, sizeof *places, appended_order);
  }
  for (size_t i = 0; i < count; i++) {
    assert_true(places[i].introduced || file->filler_count > 0);
    appended_chunk(file, places[i].payload, places[i].size, &places[i].seal, visit, context);
  }
}

/* The plain stream of a Zstandard recording's bytes, every unit sound, in place of these; any others stay. */
static inline uint8_t *appended_plain(uint8_t *bytes, size_t *size)
{
  rk_zst_unit unit;
  if (*size < RK_UNIT_HEAD_SIZE || rk_unit_head_decode(bytes, &unit) == RK_END) {
    return bytes;
  }
  ZSTD_DCtx *context = ZSTD_createDCtx();
  rk_buffer plain = {0};
  for (size_t at = 0; at < *size; at += (size_t)unit.size) {
    assert_true(*size - at >= RK_UNIT_HEAD_SIZE && rk_unit_head_decode(bytes + at, &unit) == RK_OK);
    assert_true(unit.size <= *size - at && unit.size % RK_FRAME_ALIGNMENT == 0);
    assert_int_equal(rk_unit_unwrap(&plain, context, bytes + at, (size_t)unit.size), RK_OK);
  }
  ZSTD_freeDCtx(context);
  free(bytes);
  *size = plain.size;
  return plain.data;
}

/* Walks the whole file. Every writer's rows must be numbered 0, 1, 2 ... without gaps. */
static inline appended *appended_read(const char *path, appended_visit *visit, void *context)
{
  FILE *stream = fopen(path, "rb");
  assert_non_null(stream);
  struct stat info;
  assert_int_equal(fstat(fileno(stream), &info), 0);
  size_t size = (size_t)info.st_size;
  uint8_t *bytes = malloc(size);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, size, stream), size);
  fclose(stream);
  bytes = appended_plain(bytes, &size);
  appended *file = calloc(1, sizeof *file);
  assert_non_null(file);
  rk_stream_header header;
  assert_true(size >= RK_STREAM_HEADER_SIZE);
  assert_int_equal(rk_stream_header_decode(bytes, &header, NULL), RK_OK);
  appended_place *places = malloc((size / RK_SEAL_SIZE + 1) * sizeof *places);
  assert_non_null(places);
  size_t place_count = 0;
  for (size_t at = RK_STREAM_HEADER_SIZE; at < size;) {
    rk_frame_header frame;
    assert_true(size - at >= RK_FRAME_HEADER_SIZE && rk_frame_header_decode(bytes + at, &frame));
    assert_true(frame.size <= size - at - RK_FRAME_HEADER_SIZE);
    const size_t frame_size = RK_FRAME_HEADER_SIZE + (size_t)frame.size;
    assert_int_equal((at + frame_size) % RK_FRAME_ALIGNMENT, 0);
    assert_true(rk_seal_verify(bytes + at, frame_size));
    rk_seal seal;
    assert_int_equal(rk_seal_decode(bytes + at + frame_size - RK_SEAL_SIZE, &seal), RK_OK);
    const uint8_t *payload = bytes + at + RK_FRAME_HEADER_SIZE;
    if (frame.kind == RK_FRAME_SET_STORE_INFO) {
      appended_store_info(file, payload, (size_t)frame.size, &seal, at == RK_STREAM_HEADER_SIZE);
    } else {
      assert_int_equal(frame.kind, RK_FRAME_ARROW_MSG);
      appended_place *place = &places[place_count];
      *place = (appended_place){payload, (size_t)frame.size, seal, at, appended_find(file, seal.writer) != NULL};
      for (size_t i = 0; i < place_count; i++) {
        if (places[i].seal.writer == seal.writer) {
          place->writer_from = places[i].writer_from;
          break;
        }
      }
      place_count++;
    }
    assert_true(seal.recording_hash == rk_recording_hash(file->application_id, file->recording_id));
    at += frame_size;
  }
  appended_chunks(file, places, place_count, visit, context);
  free(places);
  for (size_t i = 0; i < file->writer_count; i++) {
    for (uint32_t row = 0; row < file->writers[i].rows; row++) {
      assert_int_equal(file->seen[i][row], 1);
    }
    free(file->seen[i]);
    file->seen[i] = NULL;
  }
  free(bytes);
  return file;
}

static inline const rk_chunk_component *appended_component(const rk_chunk *chunk, const char *name)
{
  for (size_t i = 0; i < chunk->component_count; i++) {
    if (strcmp(chunk->components[i].name, name) == 0) {
      return &chunk->components[i];
    }
  }
  return NULL;
}

static inline bool appended_present(const rk_chunk_component *component, int64_t row)
{
  const uint8_t *validity = component->lists->null_count == 0 ? NULL : component->lists->buffers[0];
  const int64_t at = component->lists->offset + row;
  return validity == NULL || (validity[at / 8] >> (at % 8) & 1) != 0;
}

/* Instances [*start, *start + returned) of the list's items belong to the row. */
static inline int64_t appended_items(const rk_chunk_component *component, int64_t row, int64_t *start)
{
  const struct ArrowArray *lists = component->lists;
  const int32_t *offsets = lists->buffers[1];
  *start = lists->children[0]->offset + offsets[lists->offset + row];
  return offsets[lists->offset + row + 1] - offsets[lists->offset + row];
}

/* ---- Places ---- */

/* A new directory with room for file names; removed with all in it by scene_end. */
typedef struct scene {
  char directory[64];
  char path[96];  /* of the recording in it */
  char spool[96]; /* its spool */
} scene;

static inline int scene_begin(void **state)
{
  scene *s = calloc(1, sizeof *s);
  assert_non_null(s);
  snprintf(s->directory, sizeof s->directory, "/tmp/rrdkit-test-XXXXXX");
  assert_non_null(mkdtemp(s->directory));
  const char *name = getenv("RK_TEST_NAME"); /* check_zst.sh says run.rrd.zst */
  name = name == NULL ? "run.rrd" : name;
  snprintf(s->path, sizeof s->path, "%s/%s", s->directory, name);
  snprintf(s->spool, sizeof s->spool, "%s/%s.spool", s->directory, name);
  *state = s;
  return 0;
}

static inline size_t count_entries(const char *directory, const char *ending)
{
  DIR *entries = opendir(directory);
  size_t count = 0;
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    const size_t size = strlen(entry->d_name), end = strlen(ending);
    count += entry->d_name[0] != '.' && size >= end && strcmp(entry->d_name + size - end, ending) == 0;
  }
  if (entries != NULL) {
    closedir(entries);
  }
  return count;
}

static inline void remove_entries(const char *directory)
{
  DIR *entries = opendir(directory);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char *path = NULL;
      assert_true(asprintf(&path, "%s/%s", directory, entry->d_name) > 0);
      if (unlink(path) != 0) {
        remove_entries(path);
      }
      free(path);
    }
  }
  if (entries != NULL) {
    closedir(entries);
  }
  rmdir(directory);
}

static inline int scene_end(void **state)
{
  scene *s = *state;
  remove_entries(s->directory);
  free(s);
  return 0;
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)

#endif
