/* Rows larger than half of their ring: encoded and appended within the call, from where the caller has the values. */
#include <string.h>

#include "format/error.h"
#include "format/flat.h"
#include "format/layout.h"
#include "format/utf8.h"
#include "writer/cell.h"
#include "writer/writer_internal.h"

typedef struct lent_array {
  struct ArrowArray array;
  const void *buffers[3];
} lent_array;

/* An array of `length` elements, to be given its buffers and children. NULL: memory is short. */
static lent_array *array_new(rk_arena *arena, const rk_field *field, int64_t length)
{
  lent_array *lent = rk_arena_alloc(arena, sizeof *lent);
  struct ArrowArray **children = rk_arena_array(arena, field->child_count + 1, sizeof(void *));
  if (lent == NULL || children == NULL) {
    return NULL;
  }
  lent->array = (struct ArrowArray){.length = length,
                                    .n_buffers = rk_type_buffer_count(field->type),
                                    .n_children = (int64_t)field->child_count,
                                    .buffers = lent->buffers,
                                    .children = children};
  return lent;
}

/* Packed values of a type of fixed width; no values of any type. */
static struct ArrowArray *lend_packed(rk_arena *arena, const rk_field *field, const void *values, int64_t length)
{
  lent_array *lent = array_new(arena, field, length);
  if (lent == NULL) {
    return NULL;
  }
  const int64_t below = field->type == RK_TYPE_FIXED_SIZE_LIST ? length * field->size : 0;
  for (size_t i = 0; i < field->child_count; i++) {
    lent->array.children[i] = lend_packed(arena, field->children + i, values, below);
    if (lent->array.children[i] == NULL) {
      return NULL;
    }
  }
  lent->buffers[1] = values; /* of a fixed-size list there is none */
  return &lent->array;
}

/* One span: a list of packed items, or bytes. */
static struct ArrowArray *lend_span(rk_arena *arena, const rk_field *field, const rk_span *span)
{
  const bool wide = rk_type_is_wide(field->type);
  lent_array *lent = array_new(arena, field, 1);
  uint8_t *offsets = rk_arena_alloc(arena, 16);
  if (lent == NULL || offsets == NULL) {
    return NULL;
  }
  memcpy(offsets + (wide ? 8 : 4), &span->count, wide ? 8 : 4);
  lent->buffers[1] = offsets;
  if (field->child_count == 0) {
    lent->buffers[2] = span->data;
    return &lent->array;
  }
  lent->array.children[0] = lend_packed(arena, field->children, span->data, (int64_t)span->count);
  return lent->array.children[0] == NULL ? NULL : &lent->array;
}

/* Whether the caller's array, which was measured, can be encoded as it is: its text is valid. */
static bool is_lendable(const rk_field *field, const struct ArrowArray *array)
{
  const bool wide = rk_type_is_wide(field->type);
  if (field->type == RK_TYPE_UTF8 || field->type == RK_TYPE_LARGE_UTF8) {
    for (int64_t i = array->offset; i < array->offset + array->length; i++) {
      const int64_t begin = rk_offset_at(array->buffers[1], i, wide),
                    end = rk_offset_at(array->buffers[1], i + 1, wide);
      if (begin < end && !rk_utf8_valid((const char *)array->buffers[2] + begin, (size_t)(end - begin))) {
        return false;
      }
    }
  }
  for (size_t i = 0; i < field->child_count; i++) {
    if (!is_lendable(field->children + i, array->children[i])) {
      return false;
    }
  }
  return true;
}

/* What cannot be lent, by way of the form that it has in rings. */
static rk_status copy_cell(rk_arena *arena, const rk_cell *cell, const struct ArrowArray **items)
{
  const size_t size = rk_cell_size(cell, NULL);
  uint8_t *flat = rk_arena_alloc(arena, RK_SPOOL_CELL_HEADER + rk_align_up(size, 8));
  struct ArrowArray *array = rk_arena_alloc(arena, sizeof *array);
  if (flat == NULL || array == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  rk_cell_write(cell, size, flat);
  *items = array;
  return rk_flat_read(arena, cell->component->item, flat + RK_SPOOL_CELL_HEADER, size,
                      cell->array != NULL ? cell->array->length : (int64_t)cell->count, array);
}

static rk_status items_of(rk_arena *arena, const rk_cell *cell, const struct ArrowArray **items)
{
  const rk_component *component = cell->component;
  if (cell->array != NULL && is_lendable(component->item, cell->array)) {
    *items = cell->array;
  } else if (cell->array == NULL && (component->form == RK_FORM_PACKED || cell->count == 0)) {
    *items = lend_packed(arena, component->item, cell->values, (int64_t)cell->count);
  } else if (cell->array == NULL && component->form == RK_FORM_SPANS && cell->count == 1) {
    *items = lend_span(arena, component->item, cell->values);
  } else {
    return copy_cell(arena, cell, items);
  }
  return *items == NULL ? RK_ERR_NO_MEMORY : RK_OK;
}

/* The row's head and cells for the drain, all lent or in `arena`. */
static rk_status lend_row(rk_arena *arena, const rk_thread *thread, const rk_cell *cells, size_t cell_count,
                          rk_spool_row *row, rk_drain_cell **lent)
{
  *lent = rk_arena_array(arena, cell_count, sizeof **lent);
  int64_t *times = rk_arena_array(arena, (size_t)row->timeline_count + 1, sizeof *times);
  if (*lent == NULL || times == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < row->timeline_count; i++) {
    times[i] = thread->time_values[i].value;
  }
  row->times = (const uint8_t *)times;
  rk_status status = RK_OK;
  for (size_t i = 0; i < cell_count && status == RK_OK; i++) {
    (*lent)[i].component = cells[i].component->id;
    status = items_of(arena, &cells[i], &(*lent)[i].items);
  }
  return status;
}

static rk_status append(rk_thread *thread, const rk_spool_row *row, const rk_drain_cell *cells, size_t cell_count)
{
  rk_ring *ring = thread->ring;
  int64_t since = 0;
  rk_status status;
  do {
    pthread_mutex_lock(&ring->mutex);
    status = rk_ring_drain_locked(thread->recording, ring, &thread->error);
    if (status == RK_OK) {
      status = rk_ring_append_row(thread->recording, ring, row, cells, cell_count, &thread->error);
    }
    pthread_mutex_unlock(&ring->mutex);
    if (status == RK_OK) {
      return status;
    }
    rk_background_note(thread->recording, &thread->error);
  } while (status == RK_ERR_IO && (status = rk_wait_or_drop(thread, &since)) == RK_OK);
  return status;
}

rk_status rk_log_large(rk_thread *thread, const rk_entity *entity, const rk_cell *cells, size_t cell_count,
                       bool is_static, size_t size, int64_t stamp)
{
  rk_arena arena = {0};
  rk_drain_cell *lent;
  rk_spool_row row = {.size = (uint32_t)size,
                      .row_number = thread->row,
                      .stamp_ns = stamp,
                      .entity = entity->id,
                      .timeline_set = is_static ? 0 : thread->time_set,
                      .is_static = is_static,
                      .timeline_count = is_static ? 0 : (uint8_t)thread->time_count};
  rk_status status = lend_row(&arena, thread, cells, cell_count, &row, &lent);
  if (status == RK_OK) {
    status = append(thread, &row, lent, cell_count);
  } else {
    rk_fail(&thread->error, status, RK_NO_OFFSET, "no memory for a large row");
  }
  rk_arena_free(&arena);
  if (status == RK_OK) {
    __atomic_store_n(&thread->row, thread->row + 1, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&thread->header->logging, 0, __ATOMIC_RELEASE); /* head has not moved */
  return status;
}
