/* Rows logged by processes that die, for the tests of their adoption. */
#ifndef RK_TESTS_ADOPTING_H
#define RK_TESTS_ADOPTING_H

#include "tests/children.h"
#include "tests/stamps.h"

static const rk_recording_options lazy = {.flush_age_ns = 3600000000000, .recording_id = "adopted"};
static const rk_recording_options lazy_and_small = {
    .flush_age_ns = 3600000000000, .recording_id = "adopted", .ring_size = 65536};

/* Opens and closes the recording, which adopts. */
static inline void adopt_here(const char *path)
{
  rk_recording *recording = open_at(path, NULL);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
}

static inline void log_many(rk_recording *recording, uint32_t logger, uint32_t from, uint32_t to)
{
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)logger);
  const rk_entity *entity = rk_entity_at(recording, name);
  for (uint32_t i = from; i < to; i++) {
    rk_time_set_sequence(recording, i % 3 == 0 ? "step" : "frame", i);
    log_stamp(recording, entity, logger, i, extra_of(i));
  }
}

static inline void check_rows(const scene *s, uint32_t loggers, uint32_t rows)
{
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < loggers; i++) {
    assert_int_equal(t.next[i], rows);
  }
  assert_int_equal(t.rows, (size_t)loggers * rows);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

#endif
