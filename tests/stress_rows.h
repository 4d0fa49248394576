/* Rows whose contents are a function of who logged them: a reader can make each again and compare it in full. */
#ifndef RK_TESTS_STRESS_ROWS_H
#define RK_TESTS_STRESS_ROWS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "rrdkit/rrdkit.h"

struct plan {
  const char *path;
  unsigned processes, threads, rows;
  size_t min_size, max_size;
};

static inline uint64_t mix(uint64_t x) /* splitmix64 */
{
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

/* Fills `out` (max_size + 8 bytes of room) with the payload of one row and returns its size. */
static inline size_t make_payload(const struct plan *plan, uint64_t key, uint8_t *out)
{
  uint64_t state = mix(key);
  const double fraction = (double)(state >> 11) / (double)(UINT64_C(1) << 53);
  const double ratio = (double)plan->max_size / (double)plan->min_size;
  size_t size = (size_t)((double)plan->min_size * pow(ratio, fraction));
  size = size > plan->max_size ? plan->max_size : size;
  for (size_t i = 0; i < size; i += 8) {
    state = mix(state);
    memcpy(out + i, &state, 8);
  }
  return size;
}

static inline uint64_t row_key(const struct plan *plan, unsigned writer, unsigned row)
{
  return (uint64_t)writer * plan->rows + row;
}

static inline const rk_component_cell *find(const rk_row *row, const char *component)
{
  for (size_t i = 0; i < row->component_count; i++) {
    if (strcmp(row->components[i].component, component) == 0) {
      return &row->components[i];
    }
  }
  return NULL;
}

/* Compares one row with what its key says it must be. */
static inline const char *check_row(const struct plan *plan, const rk_row *row, uint64_t *key, uint8_t *expected)
{
  const rk_component_cell *key_cell = find(row, "stress:key"), *payload_cell = find(row, "stress:payload");
  if (key_cell == NULL || payload_cell == NULL || key_cell->count != 1 || payload_cell->count != 1) {
    return "a component is missing";
  }
  const uint64_t *keys = key_cell->values->buffers[1];
  *key = keys[key_cell->values->offset + key_cell->start];
  if (*key >= (uint64_t)plan->processes * plan->threads * plan->rows) {
    return "a key that nobody logged";
  }
  const struct ArrowArray *blobs = payload_cell->values, *bytes = blobs->children[0];
  const int32_t *offsets = (const int32_t *)blobs->buffers[1] + blobs->offset + payload_cell->start;
  const size_t size = make_payload(plan, *key, expected);
  const uint8_t *data = (const uint8_t *)bytes->buffers[1] + bytes->offset + offsets[0];
  if ((size_t)(offsets[1] - offsets[0]) != size || memcmp(data, expected, size) != 0) {
    return "another payload";
  }
  if (row->writer == NULL) {
    return "no writer";
  }
  for (size_t i = 0; i < row->timeline_count; i++) {
    if (strcmp(row->timelines[i].timeline, "row") == 0) {
      return row->timelines[i].value == (int64_t)(*key % plan->rows) ? NULL : "another time";
    }
  }
  return "no timeline";
}

#endif
