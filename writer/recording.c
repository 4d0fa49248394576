/* A recording opened to append: open, flush, close, its errors and properties. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "format/error.h"
#include "format/utf8.h"
#include "writer/heal.h"
#include "writer/writer_internal.h"

#define SCRATCHES_MIN 16 /* drains at once, where there are fewer processors */

/* Application ids are names that Rerun's own catalog takes; recording ids are any printable text. */
static rk_status check_id(const char *what, const char *id, bool any_text, rk_error *error)
{
  const size_t size = id == NULL ? 1 : strlen(id);
  if (size == 0 || size > RK_ID_MAX) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "the %s id has %zu bytes, not 1 to %d", what, size, RK_ID_MAX);
  }
  if (id != NULL && any_text && !rk_utf8_valid(id, size)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "the %s id is not UTF-8", what);
  }
  for (const char *c = id; c != NULL && *c != '\0'; c++) {
    if (any_text ? (unsigned char)*c < 0x20 || *c == 0x7F : !rk_id_char(*c)) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "the %s id has characters that are not allowed%s", what,
                     any_text ? "" : ": only A-Z a-z 0-9 _ - are");
    }
  }
  return RK_OK;
}

static size_t size_from_environment(const char *name)
{
  const char *text = getenv(name);
  if (text == NULL || text[0] == '\0') {
    return 0;
  }
  char *end;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  return errno != 0 || *end != '\0' || value > RK_RING_SIZE_MAX ? SIZE_MAX : (size_t)value;
}

static size_t power_of_two(size_t at_least)
{
  size_t size = RK_RING_SIZE_MIN;
  while (size < at_least) {
    size *= 2;
  }
  return size;
}

static rk_status take_clock(rk_recording *recording, rk_clock_source asked, rk_error *error)
{
  const char *text = asked == RK_CLOCK_DEFAULT ? getenv("RRDKIT_CLOCK") : NULL;
  text = text == NULL ? "" : text;
  const bool is_tsc = asked == RK_CLOCK_TSC || strcmp(text, "tsc") == 0;
  if (asked < RK_CLOCK_DEFAULT || asked > RK_CLOCK_TSC ||
      (text[0] != '\0' && !is_tsc && strcmp(text, "monotonic") != 0)) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "unknown clock");
  }
  recording->clock = is_tsc && rk_ticks_usable() ? RK_CLOCK_TSC : RK_CLOCK_MONOTONIC;
  return RK_OK;
}

static rk_status take_options(rk_recording *recording, const rk_recording_options *options, rk_error *error)
{
  rk_status status = check_id("application", options->application_id, false, error);
  status = status != RK_OK ? status : check_id("recording", options->recording_id, true, error);
  if (status != RK_OK) {
    return status;
  }
  if (options->compression < RK_COMPRESSION_DEFAULT || options->compression > RK_COMPRESSION_LZ4 ||
      options->flush_age_ns < 0 || options->zstd_level < -7 || options->zstd_level > 19) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "unknown compression or level, or negative flush age");
  }
  size_t ring_size = options->ring_size != 0 ? options->ring_size : size_from_environment("RRDKIT_RING_SIZE");
  size_t ring_size_max = options->ring_size_max != 0 ? options->ring_size_max
                         : ring_size != 0            ? ring_size
                                                     : RK_RING_GROWN_DEFAULT;
  ring_size = ring_size == 0 ? RK_RING_SIZE_DEFAULT : ring_size;
  ring_size_max = ring_size_max < ring_size ? ring_size : ring_size_max;
  if (ring_size < RK_RING_SIZE_MIN || ring_size_max > RK_RING_SIZE_MAX) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a ring has 64 KiB to 1 GiB");
  }
  recording->ring_size = power_of_two(ring_size);
  recording->ring_size_max = power_of_two(ring_size_max);
  if (options->on_full < RK_FULL_BLOCK || options->on_full > RK_FULL_DROP_NEWEST || options->sync_interval_ns < 0 ||
      options->network < RK_NETWORK_REFUSE || options->network > RK_NETWORK_FILE_PER_PROCESS) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "unknown policy or negative sync interval");
  }
  recording->on_full = options->on_full;
  recording->block_timeout_ns = options->block_timeout_ns == 0 ? RK_BLOCK_TIMEOUT_DEFAULT : options->block_timeout_ns;
  recording->sync_interval_ns = options->sync_interval_ns;
  recording->network = options->network;
  recording->on_error = options->on_error;
  recording->context = options->context;
  recording->compression = options->compression == RK_COMPRESSION_DEFAULT ? RK_COMPRESSION_LZ4 : options->compression;
  recording->zstd_level = options->zstd_level == 0 ? 1 : options->zstd_level;
  recording->flush_age_ns = options->flush_age_ns == 0 ? RK_FLUSH_AGE_DEFAULT : options->flush_age_ns;
  return take_clock(recording, options->clock, error);
}

static void recording_destroy(rk_recording *recording)
{
  rk_heal_close(recording);
  if (recording->fd >= 0) {
    close(recording->fd);
  }
  rk_scratches_free(recording);
  for (size_t i = 0; i < recording->rings.count; i++) {
    rk_ring_unmap(recording->rings.items[i]);
    free(recording->rings.items[i]);
  }
  rk_pointers *const lists[] = {&recording->entities,   &recording->timelines, &recording->time_sets,
                                &recording->components, &recording->threads,   &recording->rings};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    free(lists[i]->items);
  }
  rk_map_free(&recording->entities_by_path);
  rk_map_free(&recording->timelines_by_name);
  rk_map_free(&recording->time_sets_by_ids);
  rk_map_free(&recording->components_by_name);
  rk_arena_free(&recording->arena);
  rk_buffer_free(&recording->set_aside);
  free(recording->path);
  free(recording->spool_directory);
  rk_spool_leave(recording);
  free(recording->application_id);
  free(recording->recording_id);
  free(recording);
}

void rk_recording_release(rk_recording *recording)
{
  if (__atomic_sub_fetch(&recording->references, 1, __ATOMIC_ACQ_REL) == 0) {
    recording_destroy(recording);
  }
}

static rk_status open_recording(const char *path, const rk_recording_options *options, rk_recording **out,
                                rk_error *error)
{
  if (out == NULL) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "no place for the recording");
  }
  *out = NULL;
  if (path == NULL || path[0] == '\0') {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a recording needs a path");
  }
  static const rk_recording_options defaults = {0};
  options = options == NULL ? &defaults : options;
  rk_recording *recording = calloc(1, sizeof *recording);
  if (recording == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a recording");
  }
  recording->fd = -1;
  recording->tail.repair_fd = -1;
  recording->definitions_fd = recording->adopt_fd = -1;
  recording->spool_fd = -1;
  recording->references = 1;
  pthread_mutex_init(&recording->close_mutex, NULL);
  pthread_mutex_init(&recording->mutex, NULL);
  pthread_mutex_init(&recording->append_mutex, NULL);
  pthread_mutex_init(&recording->adopt_mutex, NULL);
  pthread_mutex_init(&recording->background_mutex, NULL);
  pthread_cond_init(&recording->background_wake, NULL);
  pthread_cond_init(&recording->scratch_wake, NULL);
  const unsigned processors = (unsigned)get_nprocs();
  recording->scratch_limit = processors < SCRATCHES_MIN ? SCRATCHES_MIN : processors;
  bool created = false;
  rk_status status = take_options(recording, options, error);
  status = status != RK_OK ? status : rk_place_choose(recording, path, options, error);
  status = status != RK_OK ? status : rk_process_add(recording, options, &created, error);
  if (status != RK_OK) {
    recording_destroy(recording);
    return status;
  }
  rk_background_adopt(recording);
  if (created) {
    status = rk_recording_set_start_time_ns(recording, rk_recording_now(recording));
    if (status == RK_OK && options->name != NULL) {
      status = rk_recording_set_name(recording, options->name);
    }
    if (status != RK_OK) {
      rk_error why = {0};
      rk_recording_error(recording, &why);
      rk_recording_free(recording);
      if (error != NULL) {
        *error = why;
      }
      return status;
    }
  }
  *out = recording;
  return RK_OK;
}

RK_API rk_status rk_recording_open(const char *path, const rk_recording_options *options, rk_recording **out,
                                   rk_error *error)
{
  const int cancel = rk_cancel_off();
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  const rk_status status = open_recording(path, options, out, error);
  rk_limit_guard_end(&guard);
  rk_cancel_restore(cancel);
  return status;
}

rk_status rk_recording_drain_all(rk_recording *recording, rk_error *error)
{
  rk_status first = RK_OK;
  for (size_t i = 0;; i++) {
    pthread_mutex_lock(&recording->mutex);
    rk_ring *ring = i < recording->rings.count ? recording->rings.items[i] : NULL;
    pthread_mutex_unlock(&recording->mutex);
    if (ring == NULL) {
      return first;
    }
    rk_error why = {0};
    const rk_status status = rk_ring_drain(recording, ring, &why);
    if (status != RK_OK && first == RK_OK) {
      first = status;
      *error = why;
      rk_background_note(recording, &why);
    }
  }
}

RK_API rk_status rk_recording_flush(rk_recording *recording)
{
  if (recording == NULL) {
    return RK_ERR_MISUSE;
  }
  rk_error *own = rk_thread_error(recording);
  pthread_mutex_lock(&recording->mutex);
  const bool closed = recording->closed;
  pthread_mutex_unlock(&recording->mutex);
  if (closed) {
    return rk_fail(own, RK_ERR_MISUSE, RK_NO_OFFSET, "the recording is closed");
  }
  rk_error error = {0};
  const rk_status status = rk_recording_drain_all(recording, &error);
  if (status != RK_OK && own != NULL) {
    *own = error;
  }
  return status;
}

RK_API rk_status rk_recording_sync(rk_recording *recording)
{
  rk_status status = rk_recording_flush(recording);
  if (status != RK_OK) {
    return status;
  }
  rk_error error = {.status = RK_OK, .offset = RK_NO_OFFSET};
  const int cancel = rk_cancel_off();
  pthread_mutex_lock(&recording->close_mutex); /* the descriptor stays */
  if (recording->fd >= 0) {                    /* else close has appended all */
    status = rk_fdatasync(recording, &error);
  }
  pthread_mutex_unlock(&recording->close_mutex);
  rk_cancel_restore(cancel);
  rk_error *own = rk_thread_error(recording);
  if (status != RK_OK && own != NULL) {
    *own = error;
  }
  return status;
}

RK_API void rk_recording_get_stats(const rk_recording *recording, rk_recording_stats *stats)
{
  if (stats == NULL) {
    return;
  }
  *stats = (rk_recording_stats){0};
  if (recording == NULL) {
    return;
  }
  rk_recording *mutable = (rk_recording *)(uintptr_t)recording; /* for its mutex */
  const rk_counts *counts = &recording->counts;
  /* First, so that no row seems appended that was not accepted. */
  stats->rows_appended = __atomic_load_n(&counts->rows_appended, __ATOMIC_ACQUIRE);
  stats->rows_dropped = __atomic_load_n(&counts->rows_dropped, __ATOMIC_RELAXED);
  stats->records = __atomic_load_n(&counts->records, __ATOMIC_RELAXED);
  stats->bytes = __atomic_load_n(&counts->bytes, __ATOMIC_RELAXED);
  stats->heals = __atomic_load_n(&counts->heals, __ATOMIC_RELAXED);
  stats->adoptions = __atomic_load_n(&counts->adoptions, __ATOMIC_RELAXED);
  stats->errors = __atomic_load_n(&counts->errors, __ATOMIC_RELAXED);
  pthread_mutex_lock(&mutable->mutex);
  stats->rows_accepted = counts->rows_before;
  for (size_t i = 0; i < recording->threads.count; i++) {
    const rk_thread *thread = recording->threads.items[i];
    stats->rows_accepted += __atomic_load_n(&thread->row, __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&mutable->mutex);
}

/* finish: also leave End, footer and manifest. The first failure is in *error. */
static rk_status close_recording(rk_recording *recording, bool finish, rk_error *error)
{
  pthread_mutex_lock(&recording->close_mutex);
  pthread_mutex_lock(&recording->mutex);
  const bool closed = recording->closed;
  rk_status finished = RK_OK;
  recording->closed = true;
  __atomic_store_n(&recording->serial, rk_process_serial(), __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&recording->mutex);
  if (!closed) {
    rk_process_barrier();
    rk_thread_await_others(recording);
    rk_background_stop(recording);
    recording->close_status = rk_recording_drain_all(recording, error);
    rk_heal_walk(recording, RK_CLOSE_WALK_FRAMES);
    if (recording->sync_interval_ns > 0 && rk_fdatasync(recording, error) != RK_OK &&
        recording->close_status == RK_OK) {
      recording->close_status = RK_ERR_IO;
    }
    rk_background_adopt(recording);
    pthread_mutex_lock(&recording->mutex);
    const size_t ring_count = recording->rings.count;
    pthread_mutex_unlock(&recording->mutex);
    for (size_t i = 0; i < ring_count; i++) {
      rk_ring *ring = recording->rings.items[i]; /* closed: no ring is added any more */
      pthread_mutex_lock(&ring->mutex);
      rk_ring_unmap(ring);
      pthread_mutex_unlock(&ring->mutex);
    }
    pthread_mutex_lock(&recording->mutex);
    rk_spool_end(recording, recording->close_status != RK_OK);
    pthread_mutex_unlock(&recording->mutex);
    rk_scratches_free(recording); /* nothing is drained any more, and who leaves may read large records */
    rk_error why = {0};
    finished = rk_participants_leave(recording, finish && recording->close_status == RK_OK, &why);
    if (finished != RK_OK) {
      if (finish && recording->close_status == RK_OK) {
        *error = why;
      } else {
        rk_background_note(recording, &why);
      }
    }
    pthread_mutex_lock(&recording->append_mutex);
    if (recording->fd >= 0) {
      close(recording->fd);
      recording->fd = -1;
    }
    rk_heal_close(recording);
    pthread_mutex_unlock(&recording->append_mutex);
  }
  const rk_status status = recording->close_status;
  pthread_mutex_unlock(&recording->close_mutex);
  if (finish && closed) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "the recording is closed already");
  }
  return finish && status == RK_OK ? finished : status;
}

static rk_status close_uncancelled(rk_recording *recording, bool finish)
{
  if (recording == NULL) {
    return RK_ERR_MISUSE;
  }
  const int cancel = rk_cancel_off();
  rk_error error = {0};
  rk_limit_guard guard;
  rk_limit_guard_begin(&guard);
  const rk_status status = close_recording(recording, finish, &error);
  rk_limit_guard_end(&guard);
  rk_error *own = error.status == RK_OK ? NULL : rk_thread_error(recording);
  if (own != NULL) {
    *own = error;
  }
  rk_cancel_restore(cancel);
  return status;
}

RK_API rk_status rk_recording_close(rk_recording *recording)
{
  return close_uncancelled(recording, false);
}

RK_API rk_status rk_recording_finish(rk_recording *recording)
{
  return close_uncancelled(recording, true);
}

RK_API void rk_recording_free(rk_recording *recording)
{
  if (recording == NULL) {
    return;
  }
  rk_recording_close(recording);
  rk_process_remove(recording);
  rk_recording_release(recording);
}

/* ---- Errors and identity ---- */

RK_API void rk_recording_error(const rk_recording *recording, rk_error *error)
{
  if (error == NULL) {
    return;
  }
  *error = (rk_error){.offset = RK_NO_OFFSET};
  if (recording == NULL) {
    return;
  }
  rk_recording *mutable = (rk_recording *)(uintptr_t)recording; /* for its mutex and the thread's own part */
  const rk_error *own = rk_thread_error(mutable);
  if (own != NULL && own->status != RK_OK) {
    *error = *own;
    return;
  }
  pthread_mutex_lock(&mutable->mutex);
  if (recording->background_error.status != RK_OK) {
    *error = recording->background_error;
  }
  pthread_mutex_unlock(&mutable->mutex);
}

RK_API void rk_recording_clear_error(rk_recording *recording)
{
  if (recording == NULL) {
    return;
  }
  rk_error *own = rk_thread_error(recording);
  if (own != NULL) {
    own->status = RK_OK;
  }
  pthread_mutex_lock(&recording->mutex);
  recording->background_error.status = RK_OK;
  pthread_mutex_unlock(&recording->mutex);
}

RK_API const char *rk_recording_application_id(const rk_recording *recording)
{
  return recording == NULL ? NULL : recording->application_id;
}

RK_API const char *rk_recording_recording_id(const rk_recording *recording)
{
  return recording == NULL ? NULL : recording->recording_id;
}

RK_API const char *rk_recording_path(const rk_recording *recording)
{
  return recording == NULL ? NULL : recording->path;
}

RK_API rk_clock_source rk_recording_clock(const rk_recording *recording)
{
  return recording == NULL ? RK_CLOCK_DEFAULT : recording->clock;
}

RK_API int64_t rk_recording_now(const rk_recording *recording)
{
  return rk_clock(CLOCK_MONOTONIC) + (recording == NULL ? 0 : recording->clock_offset);
}

/* ---- Properties ---- */

static rk_status log_info(rk_recording *recording, size_t builtin, const void *values)
{
  rk_error *error = rk_thread_error(recording);
  pthread_mutex_lock(&recording->mutex);
  const rk_entity *entity = rk_entity_intern(recording, "/__properties", error);
  pthread_mutex_unlock(&recording->mutex);
  const rk_cell cell = {.component = rk_component_at_index(builtin), .count = 1, .values = values};
  return entity == NULL ? (error == NULL ? RK_ERR_NO_MEMORY : error->status)
                        : rk_log_static(recording, entity, &cell, 1);
}

RK_API rk_status rk_recording_set_name(rk_recording *recording, const char *name)
{
  if (recording == NULL) {
    return RK_ERR_MISUSE;
  }
  if (name == NULL) {
    return rk_fail(rk_thread_error(recording), RK_ERR_MISUSE, RK_NO_OFFSET, "the name is NULL");
  }
  return log_info(recording, RK_BUILTIN_RECORDING_INFO_NAME, &name);
}

RK_API rk_status rk_recording_set_start_time_ns(rk_recording *recording, int64_t since_epoch_ns)
{
  return recording == NULL ? RK_ERR_MISUSE : log_info(recording, RK_BUILTIN_RECORDING_INFO_START_TIME, &since_epoch_ns);
}
