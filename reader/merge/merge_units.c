/* Units of a Zstandard recording that merging writes: records of about 1 MiB, compressed on any thread, in order. */
#include <stdlib.h>
#include <zstd.h>

/* Not merge_internal.h: a unit is another thing there. */
#include "format/error.h"
#include "format/zst.h"
#include "reader/merge/merge_units.h"

enum { RECORD_SIZE = 1 << 20 };

typedef struct job {
  rk_task task; /* first */
  struct ZSTD_CCtx_s *context;
  rk_buffer record, unit;
  uint64_t recording_hash; /* where frames tell none */
  size_t begin;
  rk_status status;
  bool running;
} job;

struct rk_merge_units {
  rk_pool *pool;
  job *jobs; /* a ring; the one at `next` is being filled */
  size_t job_count, next;
};

rk_merge_units *rk_merge_units_new(int level, uint64_t recording_hash, rk_pool *pool)
{
  rk_merge_units *units = calloc(1, sizeof *units);
  if (units == NULL) {
    return NULL;
  }
  units->pool = pool;
  units->job_count = rk_pool_threads(pool) + 1;
  units->jobs = calloc(units->job_count, sizeof *units->jobs);
  bool good = units->jobs != NULL;
  for (size_t i = 0; i < units->job_count && good; i++) {
    units->jobs[i].recording_hash = recording_hash;
    good = (units->jobs[i].context = rk_unit_context(level)) != NULL;
  }
  if (!good) {
    rk_merge_units_free(units);
    return NULL;
  }
  return units;
}

void rk_merge_units_free(rk_merge_units *units)
{
  if (units == NULL) {
    return;
  }
  for (size_t i = 0; i < units->job_count && units->jobs != NULL; i++) {
    job *j = &units->jobs[i];
    if (j->running) {
      (void)rk_pool_cancel(units->pool, &j->task);
    }
    ZSTD_freeCCtx(j->context);
    rk_buffer_free(&j->record);
    rk_buffer_free(&j->unit);
  }
  free(units->jobs);
  free(units);
}

static void wrap(rk_task *task)
{
  job *j = (job *)task;
  j->status = rk_unit_wrap(&j->unit, j->context, j->recording_hash, j->record.data, j->record.size, &j->begin);
}

/* Writes the unit of the job at `at`, if it has one. */
static rk_status collect(rk_merge_units *units, size_t at, int fd, uint64_t *stored, rk_error *error)
{
  job *j = &units->jobs[at];
  if (!j->running) {
    return RK_OK;
  }
  rk_pool_wait(units->pool, &j->task);
  j->running = false;
  rk_status status = j->status;
  if (status != RK_OK) {
    return rk_fail(error, status, RK_NO_OFFSET, "cannot compress the merged recording: %s", rk_status_text(status));
  }
  status = rk_merge_write(fd, j->unit.data + j->begin, j->unit.size - j->begin, error);
  *stored += j->unit.size - j->begin;
  rk_buffer_reset(&j->unit);
  rk_buffer_reset(&j->record);
  return status;
}

static rk_status hand_in(rk_merge_units *units, int fd, uint64_t *stored, rk_error *error)
{
  job *j = &units->jobs[units->next];
  j->task.run = wrap;
  j->running = true;
  rk_pool_submit(units->pool, &j->task);
  units->next = (units->next + 1) % units->job_count;
  return collect(units, units->next, fd, stored, error);
}

rk_status rk_merge_units_put(rk_merge_units *units, int fd, const void *data, size_t size, uint64_t *stored,
                             rk_error *error)
{
  rk_buffer *record = &units->jobs[units->next].record;
  rk_buffer_append(record, data, size);
  if (record->failed) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  return record->size >= RECORD_SIZE ? hand_in(units, fd, stored, error) : RK_OK;
}

rk_status rk_merge_units_finish(rk_merge_units *units, int fd, const void *end, size_t size, uint64_t *stored,
                                rk_error *error)
{
  rk_status status = units->jobs[units->next].record.size > 0 ? hand_in(units, fd, stored, error) : RK_OK;
  rk_buffer *record = &units->jobs[units->next].record;
  rk_buffer_append(record, end, size);
  if (record->failed) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  status = status == RK_OK ? hand_in(units, fd, stored, error) : status;
  for (size_t i = 0; i < units->job_count && status == RK_OK; i++) {
    status = collect(units, (units->next + i) % units->job_count, fd, stored, error);
  }
  return status;
}
