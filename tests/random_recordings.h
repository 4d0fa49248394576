/* Random recordings for the timeline's tests: several inputs whose chunks overlap in every way, and what a reader makes
 * of them, row by row. */
#ifndef RK_TEST_RANDOM_RECORDINGS_H
#define RK_TEST_RANDOM_RECORDINGS_H

#include <stdio.h>
#include <stdlib.h>

#include "reader/reader_state.h"
#include "tests/recordings.h"

#define MANY ((uint64_t)1 << 30) /* bytes of memory: more than any of them takes */

enum { RANDOM_INPUTS = 3, RANDOM_WRITERS = 4 };

typedef struct random_recording {
  uint64_t state;
  rk_buffer inputs[RANDOM_INPUTS];
} random_recording;

static inline uint32_t random_below(random_recording *r, uint32_t limit)
{
  r->state = r->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(r->state >> 33) % limit;
}

typedef struct random_shape {
  bool steady;     /* writers' keys never step back, and no chunk comes twice */
  uint32_t spread; /* keys are below */
  uint32_t chunks; /* of each writer */
} random_shape;

static const char *const random_entities[] = {"/a", "/b", "/c/d", "/c/e"};
static const char *const random_components[] = {NULL, NULL, "X:x", "Y:y"};

/* One writer: rows are dealt to a few chunks at a time, so that the chunks' row numbers interleave. */
static inline void random_writer(random_recording *r, const random_shape *shape, uint32_t tag)
{
  uint32_t number = 0;
  uint32_t chunk_number = 0;
  int64_t now = random_below(r, shape->spread);
  while (chunk_number < shape->chunks) {
    enum { BATCH = 3 };
    static int64_t keys[BATCH][CHUNK_ROWS_MAX];
    static int64_t frames[BATCH][CHUNK_ROWS_MAX];
    static uint32_t numbers[BATCH][CHUNK_ROWS_MAX];
    uint32_t counts[BATCH] = {0};
    const uint32_t rows = 1 + random_below(r, 60);
    const uint32_t kind = random_below(r, 4); /* of time: forward, standing, backward, anyhow */
    for (uint32_t i = 0; i < rows; i++) {
      const uint32_t c = random_below(r, BATCH);
      if (shape->steady || kind == 0) {
        now += random_below(r, 5);
      } else if (kind == 2) {
        now -= now > 3 ? random_below(r, 3) : 0;
      } else if (kind == 3) {
        now = random_below(r, shape->spread);
      }
      keys[c][counts[c]] = now;
      frames[c][counts[c]] = (int64_t)random_below(r, 50) - 20;
      numbers[c][counts[c]++] = number++;
    }
    for (uint32_t c = 0; c < BATCH; c++) {
      if (counts[c] == 0) {
        continue;
      }
      const test_chunk chunk = {.entity = random_entities[random_below(r, 4)],
                                .component = random_components[random_below(r, 4)],
                                .tag = tag,
                                .number = chunk_number++,
                                .first_row = numbers[c][0],
                                .row_count = counts[c],
                                .keys = keys[c],
                                .numbers = numbers[c],
                                .frames = random_below(r, 2) ? frames[c] : NULL,
                                .plain = random_below(r, 2) == 0,
                                .is_static = !shape->steady && random_below(r, 12) == 0};
      test_add_chunk(&r->inputs[tag % RANDOM_INPUTS], &chunk);
      while (!shape->steady && random_below(r, 4) == 0) { /* again: as it is, otherwise sealed, as a part */
        test_chunk again = chunk;
        again.chunk_salt = random_below(r, 3);
        again.unsealed = random_below(r, 3) == 0;
        again.merged = !again.unsealed && random_below(r, 2) == 0;
        again.frames = random_below(r, 2) ? chunk.frames : NULL;
        again.row_count -= random_below(r, again.row_count);
        if (random_below(r, 3) == 0) { /* other rows of the same numbers */
          for (uint32_t i = 0; i < again.row_count; i++) {
            keys[c][i] = random_below(r, shape->spread);
          }
        }
        test_add_chunk(&r->inputs[random_below(r, RANDOM_INPUTS)], &again);
      }
    }
  }
}

/* Rows of several writers in one chunk, of other rows than the writers' own. */
static inline void random_mixed(random_recording *r, const random_shape *shape)
{
  static int64_t keys[CHUNK_ROWS_MAX];
  static uint32_t tags[CHUNK_ROWS_MAX];
  static uint32_t numbers[CHUNK_ROWS_MAX];
  const uint32_t rows = 1 + random_below(r, 60);
  for (uint32_t i = 0; i < rows; i++) {
    keys[i] = random_below(r, shape->spread);
    tags[i] = 1 + random_below(r, RANDOM_WRITERS + 1); /* the last is unknown */
    numbers[i] = 100000 + random_below(r, 1000);
  }
  test_add_chunk(&r->inputs[random_below(r, RANDOM_INPUTS)],
                 &(test_chunk){.entity = random_entities[random_below(r, 4)],
                               .component = random_components[random_below(r, 4)],
                               .row_count = rows,
                               .keys = keys,
                               .tags = tags,
                               .numbers = numbers,
                               .merged = true,
                               .chunk_salt = random_below(r, 1000),
                               .unsealed = random_below(r, 2) == 0});
}

static inline void random_make(random_recording *r, uint64_t seed, const random_shape *shape)
{
  *r = (random_recording){.state = seed * 77 + 1};
  for (size_t i = 0; i < RANDOM_INPUTS; i++) {
    test_begin(&r->inputs[i], NULL, NULL, false);
  }
  for (uint32_t tag = 1; tag <= RANDOM_WRITERS; tag++) {
    test_add_writer(&r->inputs[0], NULL, NULL, tag);
    random_writer(r, shape, tag);
    if (!shape->steady) {
      random_mixed(r, shape);
      random_mixed(r, shape);
    }
  }
}

static inline void random_free(random_recording *r)
{
  for (size_t i = 0; i < RANDOM_INPUTS; i++) {
    rk_buffer_free(&r->inputs[i]);
  }
}

/* A row as it was yielded. */
typedef struct yielded {
  rk_tuid id;
  int64_t key, stored_key;
  const char *entity; /* of random_entities */
  char component[16];
  double value;
  uint64_t input, offset; /* of the chunk that it comes from */
  uint32_t position, row_number, writer;
  bool is_static;
  int64_t log_time, frame; /* -1000: none */
} yielded;

static inline yielded yielded_row(const rk_row_ref *ref)
{
  yielded y = {.id = ref->row_id,
               .key = ref->key_ns,
               .stored_key = ref->stored_key_ns,
               .input = ref->origin->input->number,
               .offset = ref->origin->offset,
               .position = ref->origin_position,
               .row_number = ref->row_number,
               .writer = ref->writer ? ref->writer->tag : 0,
               .is_static = ref->is_static,
               .log_time = -1000,
               .frame = -1000};
  for (size_t i = 0; i < 4; i++) {
    y.entity = strcmp(random_entities[i], ref->entity_path) == 0 ? random_entities[i] : y.entity;
  }
  const rk_chunk *chunk = rk_open_chunk_data(ref->open);
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    int64_t *to = strcmp(chunk->timelines[i].name, "frame") == 0 ? &y.frame : &y.log_time;
    *to = chunk->timelines[i].values[ref->row];
  }
  for (size_t i = 0; i < chunk->component_count; i++) {
    const struct ArrowArray *lists = chunk->components[i].lists;
    const uint8_t *valid = lists->buffers[0];
    const int64_t at = lists->offset + ref->row;
    if (!valid || (valid[at / 8] >> (at % 8) & 1)) {
      (void)snprintf(y.component, sizeof y.component, "%s", chunk->components[i].name);
      const struct ArrowArray *items = lists->children[0];
      y.value = ((const double *)items->buffers[1])[items->offset + ((const int32_t *)lists->buffers[1])[at]];
    }
  }
  return y;
}

static inline bool same_yielded(const yielded *a, const yielded *b)
{
  return rk_tuid_compare(a->id, b->id) == 0 && a->key == b->key && a->stored_key == b->stored_key &&
         a->entity == b->entity && strcmp(a->component, b->component) == 0 && a->value == b->value &&
         a->input == b->input && a->offset == b->offset && a->position == b->position &&
         a->row_number == b->row_number && a->writer == b->writer && a->is_static == b->is_static &&
         a->log_time == b->log_time && a->frame == b->frame;
}

/* A reader of the inputs. max_memory as it is given, however small. */
static inline rk_reader *random_open(const random_recording *r, const rk_reader_options *options, uint64_t max_memory)
{
  rk_reader *reader;
  if (rk_reader_open(options, &reader, NULL) != RK_OK) {
    return NULL;
  }
  reader->max_memory = max_memory;
  for (size_t i = 0; i < RANDOM_INPUTS; i++) {
    if (rk_reader_add_memory(reader, "input", r->inputs[i].data, r->inputs[i].size, NULL) != RK_OK) {
      rk_reader_free(reader);
      return NULL;
    }
  }
  return reader;
}

typedef struct yielded_rows {
  yielded *rows;
  size_t count, capacity;
  rk_reader_stats stats;
  rk_status status; /* what ended it */
} yielded_rows;

static inline void add_yielded(yielded_rows *all, const yielded *y)
{
  if (all->count == all->capacity) {
    all->capacity = all->capacity ? 2 * all->capacity : 256;
    all->rows = realloc(all->rows, all->capacity * sizeof *all->rows);
  }
  all->rows[all->count++] = *y;
}

static inline yielded_rows read_rows(rk_reader *reader)
{
  yielded_rows all = {0};
  rk_row_ref ref;
  while ((all.status = rk_reader_next_ref(reader, &ref)) == RK_OK) {
    const yielded y = yielded_row(&ref);
    add_yielded(&all, &y);
  }
  rk_reader_get_stats(reader, &all.stats);
  return all;
}

#endif
