/* Many threads on one recording: every row once, in its writer's order, whoever comes and goes. */
#include "tests/stamps.h"

static void test_threads(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.ring_size = 262144, .flush_age_ns = 20000000});
  run_threads(recording, 0, 8, 5000);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.rows, 8 * 5000);
  assert_int_equal(file->writer_count, 9);
  free(file);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* Flushing, from another thread, while others log. */
static void *flush_often(void *argument)
{
  for (int i = 0; i < 200; i++) {
    if (rk_recording_flush(argument) != RK_OK) {
      abort();
    }
  }
  return NULL;
}

static void test_flush_meanwhile(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, NULL);
  pthread_t flusher;
  assert_int_equal(pthread_create(&flusher, NULL, flush_often, recording), 0);
  run_threads(recording, 0, 4, 5000);
  pthread_join(flusher, NULL);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 4 * 5000);
}

/* Threads come and go: each is a writer of its own, rings are used again. */
static void test_churn(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, NULL);
  for (uint32_t i = 0; i < 100; i++) {
    run_threads(recording, 4 * i, 4, 3);
  }
  assert_in_range(count_entries(s->spool, ".ring"), 1, 5);
  rk_recording_free(recording);
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.rows, 1200);
  assert_int_equal(file->writer_count, 401);
  free(file);
}

/* Closing while others log: what was accepted is there, what came later was refused. */
typedef struct race {
  rk_recording *recording;
  uint32_t logger;
  uint32_t accepted;
} race;

static rk_status log_next(race *r)
{
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)r->logger);
  const rk_entity *entity = rk_entity_at(r->recording, name);
  const stamp head = {.logger = r->logger, .number = r->accepted, .check = check_of(r->logger, r->accepted, 0)};
  const rk_cell cell = {
      .component = rk_component_at(r->recording, "stamp", "C", NULL, NULL), .count = sizeof head, .values = &head};
  const rk_status status = rk_log(r->recording, entity, &cell, 1);
  r->accepted += status == RK_OK;
  return status;
}

static void *log_until_refused(void *argument)
{
  while (log_next(argument) == RK_OK) {
  }
  return NULL;
}

static void test_close_meanwhile(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, NULL);
  pthread_t ids[4];
  race races[4];
  for (uint32_t i = 0; i < 4; i++) {
    races[i] = (race){.recording = recording, .logger = i};
    assert_int_equal(pthread_create(&ids[i], NULL, log_until_refused, &races[i]), 0);
  }
  usleep(30000);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  for (uint32_t i = 0; i < 4; i++) {
    pthread_join(ids[i], NULL);
  }
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(t.next[i], races[i].accepted);
  }
}

static void *log_until_cancelled(void *argument)
{
  for (;;) {
    if (log_next(argument) != RK_OK) {
      abort();
    }
    pthread_testcancel();
  }
}

/* A thread is cancelled between rows, never within: no lock stays held, no row is half there. */
static void test_cancelled(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.ring_size = 65536});
  race races[4];
  for (uint32_t i = 0; i < 4; i++) {
    pthread_t id;
    races[i] = (race){.recording = recording, .logger = i};
    assert_int_equal(pthread_create(&id, NULL, log_until_cancelled, &races[i]), 0);
    usleep(10000);
    assert_int_equal(pthread_cancel(id), 0);
    assert_int_equal(pthread_join(id, NULL), 0);
  }
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(t.next[i], races[i].accepted);
  }
}

/* A thread that outlives the recordings it used, and uses many. */
static void test_many_recordings(void **state)
{
  const scene *s = *state;
  for (int round = 0; round < 5; round++) {
    rk_recording *recordings[4];
    char path[160];
    for (int i = 0; i < 4; i++) {
      snprintf(path, sizeof path, "%s/%d-%d.rrd", s->directory, round, i);
      recordings[i] = open_at(path, NULL);
    }
    for (uint32_t n = 0; n < 50; n++) {
      for (uint32_t i = 0; i < 4; i++) {
        log_stamp(recordings[i], rk_entity_at(recordings[i], "x"), i, n, 0);
      }
    }
    for (int i = 0; i < 4; i++) {
      rk_recording_free(recordings[i]);
      snprintf(path, sizeof path, "%s/%d-%d.rrd", s->directory, round, i);
      static tally t;
      free(read_tally(path, &t));
      assert_int_equal(t.rows, 50);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_threads),         IN_SCENE(test_flush_meanwhile), IN_SCENE(test_churn),
      IN_SCENE(test_close_meanwhile), IN_SCENE(test_cancelled),       IN_SCENE(test_many_recordings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
