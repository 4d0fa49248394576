/* Rows that say who logged them and in which order, so that a test can tell whether all are there. */
#ifndef RK_TESTS_STAMPS_H
#define RK_TESTS_STAMPS_H

#include "tests/appended.h"

#include <pthread.h>

#include "rrdkit/recording.h"

enum { THREADS_MAX = 64 };

/* What a row's payload says of it. */
typedef struct stamp {
  uint32_t logger; /* chosen by the test */
  uint32_t number; /* counts from 0 per logger */
  uint64_t check;
} stamp;

static inline uint64_t check_of(uint32_t logger, uint32_t number, size_t size)
{
  return ((uint64_t)logger << 32 | number) * 0x9E3779B97F4A7C15U + size;
}

static inline rk_recording *open_at(const char *path, const rk_recording_options *options)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  if (rk_recording_open(path, options, &recording, &error) != RK_OK) {
    fprintf(stderr, "open: %s\n", error.message);
    abort();
  }
  return recording;
}

/* Logs one row of `extra` more bytes than the stamp. Not with cmocka: also in children. */
static inline void log_stamp(rk_recording *recording, const rk_entity *entity, uint32_t logger, uint32_t number,
                             size_t extra)
{
  uint8_t bytes[sizeof(stamp) + 65536];
  const stamp head = {.logger = logger, .number = number, .check = check_of(logger, number, extra)};
  memcpy(bytes, &head, sizeof head);
  memset(bytes + sizeof head, (int)(number & 0xFF), extra);
  const rk_component *component = rk_component_at(recording, "stamp", "C", NULL, NULL);
  const rk_cell cell = {.component = component, .count = sizeof head + extra, .values = bytes};
  if (rk_log(recording, entity, &cell, 1) != RK_OK) {
    rk_error error;
    rk_recording_error(recording, &error);
    fprintf(stderr, "log: %s\n", error.message);
    abort();
  }
}

static inline size_t extra_of(uint32_t number)
{
  const uint32_t mixed = number * 2654435761U;
  return number % 500 == 0 ? mixed % 60000 : mixed % 200;
}

typedef struct tally {
  uint32_t next[4096]; /* per logger: the number expected */
  size_t rows;
} tally;

static inline void visit(void *context, const appended_row *row)
{
  tally *t = context;
  const rk_chunk_component *component = appended_component(row->chunk, "stamp");
  if (component == NULL) {
    return;
  }
  int64_t at;
  const int64_t size = appended_items(component, row->index, &at);
  const uint8_t *bytes = (const uint8_t *)component->lists->children[0]->buffers[1] + at;
  stamp head;
  assert_true(size >= (int64_t)sizeof head);
  memcpy(&head, bytes, sizeof head);
  const size_t extra = (size_t)size - sizeof head;
  assert_true(head.check == check_of(head.logger, head.number, extra));
  for (size_t i = 0; i < extra; i++) {
    assert_int_equal(bytes[sizeof head + i], head.number & 0xFF);
  }
  assert_true(head.logger < 4096);
  assert_int_equal(head.number, t->next[head.logger]); /* one entity per logger: its order is the file's */
  t->next[head.logger]++;
  t->rows++;
}

static inline appended *read_tally(const char *path, tally *t)
{
  memset(t, 0, sizeof *t);
  return appended_read(path, visit, t);
}

typedef struct job {
  rk_recording *recording;
  uint32_t logger, count;
} job;

static inline void *run(void *argument)
{
  const job *j = argument;
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)j->logger);
  const rk_entity *entity = rk_entity_at(j->recording, name);
  for (uint32_t i = 0; i < j->count; i++) {
    if (i % 10 == 0) {
      rk_time_set_sequence(j->recording, "step", i);
    }
    log_stamp(j->recording, entity, j->logger, i, extra_of(i));
  }
  return NULL;
}

static inline void run_threads(rk_recording *recording, uint32_t first, uint32_t threads, uint32_t count)
{
  pthread_t ids[THREADS_MAX];
  job jobs[THREADS_MAX];
  for (uint32_t i = 0; i < threads; i++) {
    jobs[i] = (job){.recording = recording, .logger = first + i, .count = count};
    if (pthread_create(&ids[i], NULL, run, &jobs[i]) != 0) {
      abort();
    }
  }
  for (uint32_t i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
  }
}

#endif
