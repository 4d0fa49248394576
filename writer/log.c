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

/* Data bytes of a cell in a row; SIZE_MAX: refused. */
static inline size_t measure(const rk_cell *cell, rk_error *error)
{
  if (likely(cell->array == NULL && cell->component->form == RK_FORM_PACKED && cell->count <= 1U << 16 &&
             cell->values != NULL)) {
    return cell->count * cell->component->item_size;
  }
  return rk_cell_size(cell, error);
}

static inline void write_cell(const rk_cell *cell, size_t size, uint8_t *out)
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
  } else {
    rk_cell_write(cell, size, out);
  }
}

static RK_FAR rk_status refuse_component(rk_thread *thread, const rk_cell *cell, const char *what)
{
  return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\" is %s", cell->component->name, what);
}

static inline rk_status check_component(rk_thread *thread, const rk_cell *cells, size_t index)
{
  const rk_component *component = cells[index].component;
  if (unlikely(component == NULL)) {
    return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "cell %zu: the component is NULL", index);
  }
  for (size_t i = 0; i < index; i++) {
    if (unlikely(cells[i].component == component)) {
      return refuse_component(thread, &cells[i], "given twice");
    }
  }
  if (likely(component->recording == NULL)) {
    return likely(__atomic_load_n(&thread->recording->builtin_defined[component->id], __ATOMIC_ACQUIRE) != 0)
               ? RK_OK
               : rk_define_builtin(thread, component);
  }
  return likely(component->recording == thread->recording)
             ? RK_OK
             : refuse_component(thread, &cells[index], "of another recording");
}

/* Before a row takes its stamp: who follows the recording then knows that one is under way (SPEC 18.2). */
static inline void begin_row(const rk_thread *thread)
{
  rk_ring_header *header = thread->header;
  __atomic_store_n(&header->logging, (uint32_t)__atomic_load_n(&header->head, __ATOMIC_RELAXED) | 1U, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline uint8_t *row_at_head(const rk_thread *thread)
{
  return thread->data + (thread->head & (thread->size - 1));
}

/* How large a row may be that is written there as things are: what is free before the ring's end, as far as this thread
 * knows, and no more than half of the ring. */
static inline size_t room_at_head(const rk_thread *thread)
{
  const uint64_t contiguous = thread->size - (thread->head & (thread->size - 1));
  const uint64_t unused = thread->size - (thread->head - thread->tail);
  const uint64_t room = unused < contiguous ? unused : contiguous;
  return room < thread->size / 2 ? room : thread->size / 2;
}

static inline size_t cells_offset(const rk_thread *thread, bool is_static)
{
  return RK_SPOOL_ROW_HEADER + (is_static ? 0 : (size_t)8 * thread->time_count);
}

static inline int64_t take_stamp(rk_thread *thread)
{
  const rk_recording *recording = thread->recording;
  if (recording->clock == RK_CLOCK_TSC) {
    return rk_tick_clock_stamp(&thread->clock, rk_ticks(), rk_tick_clock_read) + recording->clock_offset;
  }
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + recording->clock_offset;
}

/* All of a row but its cells, which are there. */
static inline void write_head(rk_thread *thread, const rk_entity *entity, size_t cell_count, bool is_static,
                              size_t size, uint8_t *out)
{
  const uint32_t time_count = is_static ? 0 : thread->time_count;
  rk_store_u32(out, (uint32_t)size);
  rk_store_u32(out + 4, thread->row);
  rk_store_u32(out + 16, entity->id);
  rk_store_u32(out + 20, is_static ? 0 : thread->time_set);
  rk_store_u32(out + 24, (uint32_t)cell_count | (is_static ? 1U << 16 : 0U) | time_count << 24);
  rk_store_u32(out + 28, 0);
  for (uint32_t i = 0; i < time_count; i++) {
    rk_store_i64(out + RK_SPOOL_ROW_HEADER + (size_t)8 * i, thread->time_values[i].value);
  }
  begin_row(thread);
  rk_store_i64(out + 8, take_stamp(thread));
}

/* All cells, not in the place where they were tried first. */
static void write_cells(const rk_cell *cells, size_t cell_count, uint8_t *out)
{
  for (size_t i = 0; i < cell_count; i++) {
    out = rk_cell_write(&cells[i], rk_cell_size(&cells[i], NULL), out);
  }
}

static RK_FAR rk_status refuse_call(rk_thread *thread, const rk_entity *entity)
{
  if (entity == NULL && thread->error.status != RK_OK) {
    return thread->error.status;
  }
  return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET,
                 entity == NULL                           ? "the entity is NULL"
                 : entity->recording != thread->recording ? "the entity is of another recording"
                                                          : "a row has 1 to %d cells",
                 RK_SPOOL_CELLS_MAX);
}

/* Inline, as a row would else cost a frame and a call more. */
static inline __attribute__((always_inline)) rk_status
log_entered(rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count, bool is_static)
{
  if (unlikely(entity == NULL || entity->recording != thread->recording || cells == NULL ||
               cell_count - 1 >= RK_SPOOL_CELLS_MAX)) {
    return refuse_call(thread, entity);
  }
  if (unlikely(thread->row == RK_SPOOL_SKIP)) {
    const rk_status status = rk_thread_wrap(thread);
    if (status != RK_OK) {
      return status;
    }
  }
  const size_t room = room_at_head(thread);
  uint8_t *row = row_at_head(thread);
  size_t size = cells_offset(thread, is_static);
  for (size_t i = 0; i < cell_count; i++) {
    const rk_status status = check_component(thread, cells, i);
    if (unlikely(status != RK_OK)) {
      return status;
    }
    const size_t data = measure(&cells[i], &thread->error);
    if (unlikely(data == SIZE_MAX)) {
      return RK_ERR_MISUSE;
    }
    const size_t begin = size;
    size += RK_SPOOL_CELL_HEADER + rk_align_up(data, 8);
    if (likely(size <= room)) {
      write_cell(&cells[i], data, row + begin);
    } else if (size > RK_SPOOL_ROW_MAX) {
      return rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "a row is larger than %zu bytes", RK_SPOOL_ROW_MAX);
    }
  }
  if (unlikely(size > room)) {
    if (size > thread->size / 2) {
      begin_row(thread);
      return rk_log_large(thread, entity, cells, cell_count, is_static, size, take_stamp(thread));
    }
    const rk_status status = rk_make_room(thread, size);
    if (status != RK_OK) {
      return status;
    }
    row = row_at_head(thread);
    write_cells(cells, cell_count, row + cells_offset(thread, is_static));
  }
  write_head(thread, entity, cell_count, is_static, size, row);
  __atomic_store_n(&thread->row, thread->row + 1, __ATOMIC_RELAXED);
  thread->head += size;
  __atomic_store_n(&thread->header->head, thread->head, __ATOMIC_RELEASE);
  if (unlikely(thread->head - thread->tail > thread->size / 4 * 3)) {
    rk_drain_early(thread);
  }
  return RK_OK;
}

static RK_FAR rk_status log_row(rk_recording *recording, const rk_entity *entity, const rk_cell *cells,
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
