/* Opening a recording and logging into it, for the tests of what a writer takes and refuses. */
#ifndef RK_TESTS_WRITING_H
#define RK_TESTS_WRITING_H

#include "tests/appended.h"

#include "rrdkit/recording.h"

static inline rk_recording *open_here(const scene *s, const rk_recording_options *options)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  if (rk_recording_open(s->path, options, &recording, &error) != RK_OK) {
    fail_msg("open: %s", error.message);
  }
  return recording;
}

static inline rk_status last_status(const rk_recording *recording)
{
  rk_error error;
  rk_recording_error(recording, &error);
  assert_true(error.status == RK_OK || error.message[0] != '\0');
  return error.status;
}

static inline rk_status log_scalar(rk_recording *recording, const rk_entity *entity, double value)
{
  const rk_cell cell = {.component = rk_component_builtin("Scalars:scalars"), .count = 1, .values = &value};
  return rk_log(recording, entity, &cell, 1);
}

#endif
