/* Sessions on a recording, and its bytes before and after them. */
#ifndef RK_TESTS_SESSIONS_H
#define RK_TESTS_SESSIONS_H

#include "tests/files.h"
#include "tests/stamps.h"

#include "format/footer.h"

static const rk_recording_options named = {.application_id = "app", .recording_id = "rec"};

static inline off_t size_of(const char *path)
{
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_size;
}

static inline void log_rows(rk_recording *recording, uint32_t from, uint32_t to)
{
  const rk_entity *entity = rk_entity_at(recording, "logger/0");
  for (uint32_t i = from; i < to; i++) {
    log_stamp(recording, entity, 0, i, extra_of(i));
  }
}

static inline void session(const char *path, uint32_t from, uint32_t to)
{
  rk_recording *recording = open_at(path, &named);
  log_rows(recording, from, to);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
}

static inline void check_rows(const scene *s, uint32_t rows)
{
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, rows);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

static inline uint8_t *read_file(const char *path, size_t *size)
{
  const file_bytes b = slurp(path);
  *size = b.size;
  return b.data;
}

/* ---- Finishing ---- */

/* The footer's manifests tell of every chunk in the file, at its place. Returns where the End frame begins. */
static inline size_t check_footer(const char *path, size_t chunks, uint64_t rows)
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

#endif
