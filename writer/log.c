/* The hot path: a row is checked, measured and copied into the calling thread's ring, then published by one store. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/bytes.h"
#include "format/error.h"
#include "writer/cell.h"
#include "writer/writer_internal.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define SIZES_MAX 16 /* cells whose sizes are remembered between measuring and copying */

/* Data bytes of a cell in a row; SIZE_MAX: refused. */
static inline size_t measure(const rk_cell *cell, rk_error *error)
{
  if (likely(cell->array == NULL && cell->component->form == RK_FORM_PACKED && cell->count <= 1U << 16 &&
             cell->values != NULL)) {
    return cell->count * cell->component->item_size;
  }
  return rk_cell_size(cell, error);
}

static inline uint8_t *write_cell(const rk_cell *cell, size_t size, uint8_t *out)
{
  if (likely(cell->array == NULL && cell->component->form == RK_FORM_PACKED && size != 0)) {
    rk_store_u32(out, cell->component->id);
    rk_store_u32(out + 4, (uint32_t)cell->count);
    rk_store_u32(out + 8, (uint32_t)size);
    rk_store_u32(out + 12, RK_CELL_PACKED);
    out += RK_SPOOL_CELL_HEADER;
    const size_t padded = rk_align_up(size, 8);
    memset(out + padded - 8, 0, 8);
    memcpy(out, cell->values, size);
    return out + padded;
  }
  return rk_cell_write(cell, size, out);
}

/* The built-in component's definition goes to the spool before its first row. */
static rk_status define_builtin(rk_thread *thread, const rk_component *component)
{
  rk_recording *recording = thread->recording;
  rk_status status = RK_OK;
  pthread_mutex_lock(&recording->mutex);
  if (__atomic_load_n(&recording->builtin_defined[component->id], __ATOMIC_RELAXED) == 0) {
    status = rk_define(recording, RK_SPOOL_COMPONENT, component, &thread->error);
    __atomic_store_n(&recording->builtin_defined[component->id], status == RK_OK, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&recording->mutex);
  return status;
}

static rk_status check_component(rk_thread *thread, const rk_cell *cells, size_t index)
{
  const rk_component *component = cells[index].component;
  if (unlikely(component == NULL)) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "cell %zu: the component is NULL", index);
  }
  for (size_t i = 0; i < index; i++) {
    if (unlikely(cells[i].component == component)) {
      return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\" is given twice",
                     component->name);
    }
  }
  if (likely(component->recording == NULL)) {
    return likely(__atomic_load_n(&thread->recording->builtin_defined[component->id], __ATOMIC_ACQUIRE) != 0)
               ? RK_OK
               : define_builtin(thread, component);
  }
  return likely(component->recording == thread->recording)
             ? RK_OK
             : rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\" is of another recording",
                       component->name);
}

/* Before a row takes its stamp: who follows the recording then knows that one is under way (SPEC 18.2). */
static inline void begin_row(const rk_thread *thread)
{
  rk_ring_header *header = thread->header;
  __atomic_store_n(&header->logging, (uint32_t)__atomic_load_n(&header->head, __ATOMIC_RELAXED) | 1U, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Everything after the row's size is known. `sizes` may hold only the first SIZES_MAX. */
static inline void write_row(const rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count,
                             const size_t *sizes, bool is_static, size_t size, uint8_t *out)
{
  const uint32_t time_count = is_static ? 0 : thread->time_count;
  struct timespec now;
  begin_row(thread);
  clock_gettime(CLOCK_MONOTONIC, &now);
  rk_store_u32(out, (uint32_t)size);
  rk_store_u32(out + 4, thread->row);
  rk_store_i64(out + 8, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + thread->recording->clock_offset);
  rk_store_u32(out + 16, entity->id);
  rk_store_u32(out + 20, is_static ? 0 : thread->time_set);
  rk_store_u32(out + 24, (uint32_t)cell_count | (is_static ? 1U << 16 : 0U) | time_count << 24);
  rk_store_u32(out + 28, 0);
  out += RK_SPOOL_ROW_HEADER;
  for (uint32_t i = 0; i < time_count; i++) {
    rk_store_i64(out, thread->time_values[i].value);
    out += 8;
  }
  for (size_t i = 0; i < cell_count; i++) {
    out = write_cell(&cells[i], i < SIZES_MAX ? sizes[i] : rk_cell_size(&cells[i], NULL), out);
  }
}

/* Drains the thread's own ring. `wait`: also if the background thread is at it. RK_END: it is, and was not waited for.
 */
static rk_status drain_own(rk_thread *thread, bool wait)
{
  rk_ring *ring = thread->ring;
  if (wait) {
    pthread_mutex_lock(&ring->mutex);
  } else if (pthread_mutex_trylock(&ring->mutex) != 0) {
    return RK_END;
  }
  const rk_status status = rk_ring_drain_locked(thread->recording, ring, &thread->error);
  if (status == RK_OK && __atomic_load_n(&ring->cramped, __ATOMIC_RELAXED)) {
    rk_ring_grow(thread->recording, ring);
    rk_thread_note_ring(thread);
  }
  pthread_mutex_unlock(&ring->mutex);
  if (status != RK_OK) {
    rk_background_note(thread->recording, &thread->error);
  }
  thread->tail = __atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE);
  return status;
}

/* Makes room for `size` bytes in a row; a skip to the ring's end may be needed first. */
static rk_status make_room(rk_thread *thread, size_t size)
{
  int64_t since = 0;
  for (int attempt = 0; attempt < 3;) {
    thread->tail = __atomic_load_n(&thread->ring->header->tail, __ATOMIC_ACQUIRE);
    const uint64_t contiguous = thread->size - (thread->head & (thread->size - 1));
    const uint64_t needed = size <= contiguous ? size : contiguous + size;
    if (needed <= thread->size - (thread->head - thread->tail)) {
      if (size > contiguous) {
        uint8_t *skip = thread->data + (thread->head & (thread->size - 1));
        rk_store_u32(skip, (uint32_t)contiguous);
        rk_store_u32(skip + 4, RK_SPOOL_SKIP);
        thread->head += contiguous; /* published with the row */
      }
      return RK_OK;
    }
    if (thread->full_until_ns != 0 && rk_clock(CLOCK_MONOTONIC) < thread->full_until_ns) {
      return rk_full(thread, &since);
    }
    rk_status status = drain_own(thread, true);
    if (status == RK_OK) {
      attempt++;
    } else if (status != RK_ERR_IO || (status = rk_full(thread, &since)) != RK_OK) {
      return status;
    }
  }
  return rk_fail(&thread->error, RK_ERR_IO, RK_NO_OFFSET, "the ring stays full");
}

/* A row too large for the ring goes straight to the file, after the ring's rows. */
static rk_status log_large(rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count,
                           const size_t *sizes, bool is_static, size_t size)
{
  uint8_t *row = malloc(size);
  if (row == NULL) {
    return rk_fail(&thread->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a row of %zu bytes", size);
  }
  write_row(thread, entity, cells, cell_count, sizes, is_static, size, row);
  rk_ring *ring = thread->ring;
  rk_status status;
  int64_t since = 0;
  do {
    pthread_mutex_lock(&ring->mutex);
    status = rk_ring_drain_locked(thread->recording, ring, &thread->error);
    if (status == RK_OK) {
      status = rk_ring_append_row(thread->recording, ring, row, size, &thread->error);
    }
    pthread_mutex_unlock(&ring->mutex);
    if (status == RK_OK) {
      __atomic_store_n(&thread->row, thread->row + 1, __ATOMIC_RELAXED);
      break;
    }
    rk_background_note(thread->recording, &thread->error);
  } while (status == RK_ERR_IO && (status = rk_full(thread, &since)) == RK_OK);
  __atomic_store_n(&thread->header->logging, 0, __ATOMIC_RELEASE); /* head has not moved */
  free(row);
  return status;
}

static rk_status log_entered(rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count,
                             bool is_static)
{
  if (unlikely(entity == NULL)) {
    return thread->error.status != RK_OK ? thread->error.status
                                         : rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "the entity is NULL");
  }
  if (unlikely(entity->recording != thread->recording)) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "the entity is of another recording");
  }
  if (unlikely(cells == NULL || cell_count == 0 || cell_count > RK_SPOOL_CELLS_MAX)) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a row has 1 to %d cells", RK_SPOOL_CELLS_MAX);
  }
  size_t sizes[SIZES_MAX];
  size_t size = RK_SPOOL_ROW_HEADER + (is_static ? 0 : (size_t)8 * thread->time_count);
  for (size_t i = 0; i < cell_count; i++) {
    const rk_status status = check_component(thread, cells, i);
    if (unlikely(status != RK_OK)) {
      return status;
    }
    const size_t data = measure(&cells[i], &thread->error);
    if (unlikely(data == SIZE_MAX)) {
      return RK_ERR_MISUSE;
    }
    if (i < SIZES_MAX) {
      sizes[i] = data;
    }
    size += RK_SPOOL_CELL_HEADER + rk_align_up(data, 8);
    if (unlikely(size > RK_SPOOL_ROW_MAX)) {
      return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a row is larger than %zu bytes", RK_SPOOL_ROW_MAX);
    }
  }
  if (unlikely(thread->row == RK_SPOOL_SKIP)) { /* all its row numbers are used: go on as a new writer */
    rk_status status = drain_own(thread, true);
    if (status == RK_OK) {
      status = rk_thread_renew(thread, &thread->error);
    }
    if (status != RK_OK) {
      return status;
    }
  }
  if (unlikely(size > thread->size / 2)) {
    return log_large(thread, entity, cells, cell_count, sizes, is_static, size);
  }
  const uint64_t used = thread->head - thread->tail;
  if (unlikely(size > thread->size - used || size > thread->size - (thread->head & (thread->size - 1)))) {
    const rk_status status = make_room(thread, size);
    if (status != RK_OK) {
      return status;
    }
  }
  write_row(thread, entity, cells, cell_count, sizes, is_static, size,
            thread->data + (thread->head & (thread->size - 1)));
  __atomic_store_n(&thread->row, thread->row + 1, __ATOMIC_RELAXED);
  thread->head += size;
  __atomic_store_n(&thread->header->head, thread->head, __ATOMIC_RELEASE);
  if (unlikely(thread->head - thread->tail > thread->size / 4 * 3)) {
    thread->tail = __atomic_load_n(&thread->ring->header->tail, __ATOMIC_ACQUIRE);
    if ((thread->head - thread->tail > thread->size / 4 * 3 ||
         __atomic_load_n(&thread->ring->cramped, __ATOMIC_RELAXED)) &&
        !__atomic_load_n(&thread->recording->refused, __ATOMIC_RELAXED)) { /* else the background thread tries */
      const rk_error before = thread->error;
      drain_own(thread, false); /* the row is accepted; a failure is noted for the recording */
      thread->error = before;
    }
  }
  return RK_OK;
}

static inline rk_status log_row(rk_recording *recording, const rk_entity *entity, const rk_cell *cells,
                                size_t cell_count, bool is_static)
{
  if (unlikely(recording == NULL)) {
    return RK_ERR_MISUSE;
  }
  rk_thread *thread = rk_thread_current;
  if (likely(thread != NULL)) {
    /* Before the serial is read: who changes it runs a process-wide barrier and then looks at busy. */
    __atomic_store_n(&thread->busy, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(thread->serial != __atomic_load_n(&recording->serial, __ATOMIC_ACQUIRE))) {
      __atomic_store_n(&thread->busy, 0, __ATOMIC_RELEASE);
      thread = NULL;
    }
  }
  if (unlikely(thread == NULL)) {
    rk_status status = RK_OK;
    thread = rk_thread_enter_slow(recording, &status);
    if (thread == NULL) {
      return status;
    }
  }
  const rk_status status = log_entered(thread, entity, cells, cell_count, is_static);
  __atomic_store_n(&thread->busy, 0, __ATOMIC_RELEASE);
  return status;
}

RK_API rk_status rk_log(rk_recording *recording, const rk_entity *entity, const rk_cell *cells, size_t cell_count)
{
  return log_row(recording, entity, cells, cell_count, false);
}

RK_API rk_status rk_log_static(rk_recording *recording, const rk_entity *entity, const rk_cell *cells,
                               size_t cell_count)
{
  return log_row(recording, entity, cells, cell_count, true);
}
