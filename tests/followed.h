/* A recording that is written, and a reader that follows it. */
#ifndef RK_TESTS_FOLLOWED_H
#define RK_TESTS_FOLLOWED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rrdkit/rrdkit.h"

#define LONG_NS  60000000000 /* nothing waits for it */
#define SHORT_NS 1000000

/* ---- Reading ---- */

#define SEEN_MAX 1000

typedef struct seen {
  rk_tuid ids[SEEN_MAX];
  char entities[SEEN_MAX][16];
  size_t count;
} seen;

/* Takes rows until none is certain, leaving out what the library logs itself. */
static inline rk_status take(rk_reader *reader, seen *s)
{
  const rk_row *row;
  rk_status status;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    if (row->entity_path[1] == '_') {
      continue;
    }
    assert_true(s->count < SEEN_MAX);
    s->ids[s->count] = row->row_id;
    (void)snprintf(s->entities[s->count++], sizeof s->entities[0], "%s", row->entity_path);
  }
  return status;
}

/* Waits for `count` rows in all. */
static inline void expect_rows(rk_reader *reader, seen *s, size_t count)
{
  for (int i = 0; i < 1000 && s->count < count; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    if (s->count < count) {
      assert_int_equal(rk_reader_wait(reader, 100000000, NULL), RK_OK);
    }
  }
  assert_int_equal(s->count, count);
}

/* Nothing is certain although it was looked several times. */
static inline void expect_none(rk_reader *reader, seen *s)
{
  const size_t before = s->count;
  for (int i = 0; i < 5; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    assert_int_equal(rk_reader_wait(reader, 10000000, NULL), RK_OK);
  }
  assert_int_equal(take(reader, s), RK_AGAIN);
  assert_int_equal(s->count, before);
}

static inline void expect_end(rk_reader *reader, seen *s)
{
  rk_status status = RK_OK;
  for (int i = 0; i < 1000 && status == RK_OK; i++) {
    assert_int_equal(take(reader, s), RK_AGAIN);
    status = rk_reader_wait(reader, 100000000, NULL);
  }
  assert_int_equal(status, RK_END);
  assert_int_equal(take(reader, s), RK_AGAIN);
}

static inline rk_reader *follow(const char *path, int64_t delay_ns)
{
  const rk_reader_options options = {.follow = true, .follow_delay_ns = delay_ns};
  rk_reader *reader;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, path, NULL, NULL), RK_OK);
  return reader;
}

/* ---- Writing ---- */

typedef struct scene {
  char directory[64];
  char path[96];
} scene;

static inline int make_scene(void **state)
{
  static scene s;
  (void)snprintf(s.directory, sizeof s.directory, "/tmp/rrdkit-follow-XXXXXX");
  if (!mkdtemp(s.directory)) {
    return -1;
  }
  (void)snprintf(s.path, sizeof s.path, "%s/run.rrd", s.directory);
  (void)unsetenv("RRDKIT_SPOOL_DIR");
  *state = &s;
  return 0;
}

static inline int remove_scene(void **state)
{
  const scene *s = *state;
  char command[128];
  (void)snprintf(command, sizeof command, "rm -rf %s", s->directory);
  return system(command);
}

/* Without a background thread that would flush. */
static inline rk_recording *open_recording(const scene *s)
{
  const rk_recording_options options = {
      .application_id = "app", .recording_id = "rec", .flush_age_ns = LONG_NS, .ring_size = 65536};
  rk_recording *recording;
  assert_int_equal(rk_recording_open(s->path, &options, &recording, NULL), RK_OK);
  return recording;
}

static inline void log_row(rk_recording *recording, const char *entity)
{
  const double value = 1;
  const rk_cell cell = {
      .component = rk_component_at(recording, "value", "g", NULL, NULL), .count = 1, .values = &value};
  assert_int_equal(rk_log(recording, rk_entity_at(recording, entity), &cell, 1), RK_OK);
}

static inline void finish(rk_recording *recording)
{
  assert_int_equal(rk_recording_finish(recording), RK_OK);
  rk_recording_free(recording);
}

#endif
