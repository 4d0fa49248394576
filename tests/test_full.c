/* A disk that refuses: what waits, what is dropped and counted, what is told, and that all goes on when there is room.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "appended.h"
#include "heard.h"
#include "patience.h"
#include "rrdkit/rrdkit.h"

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
      _exit(1);                                                                                                        \
    }                                                                                                                  \
  } while (0)

static void limit_file_size(rlim_t size)
{
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = size;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static rlim_t size_of(const char *path)
{
  struct stat info;
  CHECK(stat(path, &info) == 0);
  return (rlim_t)info.st_size;
}

static rk_recording *open_full(const char *path, rk_recording_options options)
{
  options.application_id = "full";
  options.ring_size = 65536;
  options.flush_age_ns = options.flush_age_ns == 0 ? 3600000000000 : options.flush_age_ns;
  rk_recording *recording = NULL;
  rk_error error = {0};
  if (rk_recording_open(path, &options, &recording, &error) != RK_OK) {
    (void)fprintf(stderr, "%s\n", error.message);
    _exit(1);
  }
  CHECK(rk_recording_flush(recording) == RK_OK);
  return recording;
}

static rk_status log_number(rk_recording *recording, uint64_t number, size_t size)
{
  static uint8_t padding[1 << 20];
  const rk_span blob = {.data = padding, .count = size};
  const rk_cell cells[] = {
      {.component = rk_component_at(recording, "full:number", "L", NULL, NULL), .count = 1, .values = &number},
      {.component = rk_component_at(recording, "full:blob", "+l(!:C)", NULL, NULL), .count = 1, .values = &blob}};
  return rk_log(recording, rk_entity_at(recording, "x"), cells, 2);
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Runs `body` in a child, so that its limits are its own. */
static void in_child(const scene *s, void (*body)(const char *path))
{
  const pid_t child = fork();
  if (child == 0) {
    body(s->path); /* SIGXFSZ keeps its default: it would kill */
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) {
    fail_msg("killed by %s", strsignal(WTERMSIG(status)));
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* The rows 0, 1, 2 ... of the file, all numbered without gaps, and what its writers dropped. */
static size_t read_back(const char *path, uint64_t *dropped)
{
  appended *file = appended_read(path, NULL, NULL);
  *dropped = 0;
  for (size_t i = 0; i < file->writer_count; i++) {
    *dropped += file->writers[i].dropped;
  }
  const size_t rows = file->row_count - 1; /* the start time */
  free(file);
  rk_reader *reader = NULL;
  rk_error error;
  assert_int_equal(rk_reader_open(&(rk_reader_options){0}, &reader, &error), RK_OK);
  assert_int_equal(rk_reader_add(reader, path, NULL, &error), RK_OK);
  size_t count;
  uint64_t told = 0;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  for (size_t i = 0; i < count; i++) {
    told += writers[i]->dropped_rows;
  }
  assert_true(told == *dropped);
  rk_reader_free(reader);
  return rows;
}

/* What the child counted, for the test. */
static void write_counts(const char *path, uint64_t rows, uint64_t drops)
{
  char name[256];
  snprintf(name, sizeof name, "%s.counts", path);
  FILE *out = fopen(name, "w");
  CHECK(out != NULL && fprintf(out, "%llu %llu", (unsigned long long)rows, (unsigned long long)drops) > 0);
  CHECK(fclose(out) == 0);
}

static uint64_t expected_rows, expected_drops;

static void read_counts(const scene *s)
{
  char name[256];
  snprintf(name, sizeof name, "%s.counts", s->path);
  FILE *in = fopen(name, "r");
  unsigned long long rows, drops;
  assert_non_null(in);
  assert_int_equal(fscanf(in, "%llu %llu", &rows, &drops), 2);
  fclose(in);
  expected_rows = rows;
  expected_drops = drops;
}

/* ---- Drop newest ---- */

static void drop_newest(const char *path)
{
  heard ear = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  rk_recording *recording =
      open_full(path, (rk_recording_options){.on_full = RK_FULL_DROP_NEWEST,
                                             .block_timeout_ns = -1, /* who waits, waits for ever */
                                             .on_error = hear,
                                             .context = &ear});
  limit_file_size(size_of(path));
  uint64_t accepted = 0, dropped = 0;
  for (uint64_t i = 0; i < 4000; i++) {
    const rk_status status = log_number(recording, i, 64);
    CHECK(status == RK_OK || status == RK_ERR_FULL);
    accepted += status == RK_OK;
    dropped += status != RK_OK;
  }
  CHECK(accepted > 300 && dropped > 1000);
  rk_error error;
  rk_recording_error(recording, &error);
  CHECK(error.status == RK_ERR_FULL && error.sys_errno == EFBIG);
  CHECK(strstr(error.message, "dropped") != NULL);
  CHECK(log_number(recording, 0, 100000) == RK_ERR_FULL); /* larger than the ring: straight to the file */
  dropped++;
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  CHECK(stats.rows_accepted == accepted + 1 && stats.rows_appended == 1 && stats.rows_dropped == dropped);
  CHECK(ear.count == 1 && ear.last.status == RK_ERR_IO && ear.last.sys_errno == EFBIG);
  CHECK(rk_recording_flush(recording) == RK_ERR_IO);
  limit_file_size(RLIM_INFINITY);
  CHECK(rk_recording_flush(recording) == RK_OK);
  CHECK(log_number(recording, 1, 100000) == RK_OK);
  CHECK(log_number(recording, 2, 64) == RK_OK);
  accepted += 2;
  limit_file_size(size_of(path)); /* again: news again */
  CHECK(rk_recording_flush(recording) == RK_ERR_IO);
  CHECK(ear.count == 2);
  limit_file_size(RLIM_INFINITY);
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_get_stats(recording, &stats);
  CHECK(stats.rows_accepted == accepted + 1 && stats.rows_appended == accepted + 1 && stats.rows_dropped == dropped);
  rk_recording_free(recording);
  write_counts(path, accepted, dropped);
}

static void test_drop_newest(void **state)
{
  const scene *s = *state;
  in_child(s, drop_newest);
  read_counts(s);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), expected_rows);
  assert_int_equal(dropped, expected_drops);
}

/* ---- Cancellation ---- */

static void testcancel(void *context, const rk_error *error)
{
  (void)context;
  (void)error;
  pthread_testcancel();
}

static bool flushed;

static void *flush_cancelled(void *recording)
{
  CHECK(pthread_cancel(pthread_self()) == 0);
  CHECK(rk_recording_flush(recording) == RK_ERR_IO);
  flushed = true;
  pthread_testcancel();
  return NULL;
}

/* on_error is no place to be cancelled in: a row may be under way, and locks held. */
static void cancelled(const char *path)
{
  rk_recording *recording = open_full(path, (rk_recording_options){.on_error = testcancel});
  limit_file_size(size_of(path));
  CHECK(log_number(recording, 1, 64) == RK_OK);
  pthread_t thread;
  void *result;
  CHECK(pthread_create(&thread, NULL, flush_cancelled, recording) == 0 && pthread_join(thread, &result) == 0);
  CHECK(flushed && result == PTHREAD_CANCELED);
  limit_file_size(RLIM_INFINITY);
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_free(recording);
}

static void test_cancelled(void **state)
{
  in_child(*state, cancelled);
}

/* ---- Block ---- */

static void block(const char *path)
{
  const int64_t timeout = 100000000;
  rk_recording *recording = open_full(path, (rk_recording_options){.block_timeout_ns = timeout});
  limit_file_size(size_of(path));
  uint64_t accepted = 0, refused = 0;
  int64_t waited = INT64_MAX;
  while (waited > 20 * timeout && refused < 100) { /* a busy machine may make one call wait longer, but not each */
    const int64_t start = now_ns();
    const rk_status status = log_number(recording, accepted, 64);
    CHECK(status == RK_OK || (status == RK_ERR_FULL && accepted > 0));
    accepted += status == RK_OK;
    if (status == RK_ERR_FULL) {
      waited = now_ns() - start;
      CHECK(waited >= timeout);
      refused++;
    }
  }
  CHECK(waited <= 20 * timeout);
  limit_file_size(RLIM_INFINITY);
  CHECK(log_number(recording, accepted, 64) == RK_OK);
  CHECK(rk_recording_close(recording) == RK_OK);
  CHECK(accepted > 300);
  rk_recording_free(recording);
  write_counts(path, accepted + 1, refused);
}

static void test_block(void **state)
{
  const scene *s = *state;
  in_child(s, block);
  read_counts(s);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), expected_rows);
  assert_int_equal(dropped, expected_drops);
}

static void *make_room_soon(void *unused)
{
  usleep(200000);
  limit_file_size(RLIM_INFINITY);
  return unused;
}

/* Room comes while a call waits: it returns with its row accepted. */
static void block_until_room(const char *path)
{
  rk_recording *recording = open_full(path, (rk_recording_options){.block_timeout_ns = -1});
  limit_file_size(size_of(path));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, make_room_soon, NULL) == 0);
  for (uint64_t i = 0; i < 2000; i++) {
    CHECK(log_number(recording, i, 64) == RK_OK);
  }
  pthread_join(thread, NULL);
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_free(recording);
}

static void test_block_until_room(void **state)
{
  const scene *s = *state;
  in_child(s, block_until_room);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), 2000);
  assert_int_equal(dropped, 0);
}

static void *log_until_refused(void *argument)
{
  rk_status status;
  do {
    status = log_number(argument, 0, 64);
  } while (status == RK_OK);
  return (void *)(uintptr_t)status;
}

/* Close does not wait for a call that waits for room. */
static void close_meanwhile(const char *path)
{
  rk_recording *recording = open_full(path, (rk_recording_options){.block_timeout_ns = -1});
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, log_until_refused, recording) == 0);
  rk_recording_stats stats = {0};
  unsigned looks = 0;
  while (stats.rows_accepted < 2 && be_patient(&looks)) { /* it has its ring then, which a limit would refuse too */
    rk_recording_get_stats(recording, &stats);
  }
  limit_file_size(size_of(path));
  for (uint64_t before = 0; (stats.errors == 0 || stats.rows_accepted != before) && be_patient(&looks);) {
    before = stats.rows_accepted;
    usleep(100000);
    rk_recording_get_stats(recording, &stats);
  }
  CHECK(stats.errors > 0);
  CHECK(rk_recording_close(recording) == RK_ERR_IO);
  void *status;
  pthread_join(thread, &status);
  CHECK((rk_status)(uintptr_t)status == RK_ERR_MISUSE);
  rk_recording_free(recording);
  limit_file_size(RLIM_INFINITY); /* the next one to open brings the rows in */
  recording = open_full(path, (rk_recording_options){0});
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_free(recording);
}

static void test_close_meanwhile(void **state)
{
  const scene *s = *state;
  in_child(s, close_meanwhile);
  uint64_t dropped;
  assert_true(read_back(s->path, &dropped) > 300);
}

/* A thread ends whose rows were dropped and whose ring is empty: the thread that gets that ring is another writer, and
 * what was dropped is told all the same. */
static void *drop_and_end(void *recording)
{
  CHECK(log_number(recording, 0, 64) == RK_OK);
  CHECK(rk_recording_flush(recording) == RK_OK);
  limit_file_size(size_of(rk_recording_path(recording)));
  for (uint64_t i = 1; i <= 3; i++) {
    CHECK(log_number(recording, i, 100000) == RK_ERR_FULL);
  }
  return NULL;
}

static void *log_one(void *recording)
{
  CHECK(log_number(recording, 1, 64) == RK_OK);
  return NULL;
}

static void ended(const char *path)
{
  rk_recording *recording = open_full(path, (rk_recording_options){.on_full = RK_FULL_DROP_NEWEST});
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, drop_and_end, recording) == 0 && pthread_join(thread, NULL) == 0);
  limit_file_size(RLIM_INFINITY);
  CHECK(pthread_create(&thread, NULL, log_one, recording) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_free(recording);
}

static void test_ended(void **state)
{
  const scene *s = *state;
  in_child(s, ended);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), 2);
  assert_int_equal(dropped, 3);
}

/* Nobody calls anything: the background thread tries again by itself. */
static void by_itself(const char *path)
{
  rk_recording *recording = open_full(path, (rk_recording_options){.flush_age_ns = 50000000});
  limit_file_size(size_of(path));
  for (uint64_t i = 0; i < 100; i++) {
    CHECK(log_number(recording, i, 64) == RK_OK);
  }
  rk_error error = {0};
  unsigned looks = 0;
  while (error.status == RK_OK && be_patient(&looks)) {
    rk_recording_error(recording, &error);
  }
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  CHECK(stats.rows_appended == 1 && stats.errors > 0);
  CHECK(error.status == RK_ERR_IO && error.sys_errno == EFBIG);
  limit_file_size(RLIM_INFINITY);
  while (stats.rows_appended != 101 && be_patient(&looks)) {
    rk_recording_get_stats(recording, &stats);
  }
  CHECK(stats.rows_appended == 101);
  CHECK(rk_recording_close(recording) == RK_OK);
  rk_recording_free(recording);
}

static void test_by_itself(void **state)
{
  const scene *s = *state;
  in_child(s, by_itself);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), 100);
}

/* Several handles on one file near its limit, reached at any byte: no signal, nothing torn for good, nothing lost. */
static void at_any_byte(const char *path)
{
  rk_recording *recordings[3];
  for (int i = 0; i < 3; i++) {
    recordings[i] = open_full(path, (rk_recording_options){.compression = RK_COMPRESSION_NONE});
  }
  uint64_t number = 0;
  for (int i = 0; i < 3; i++) { /* their rings would be refused, too */
    CHECK(log_number(recordings[i], number++, 100) == RK_OK);
  }
  for (rlim_t step = 1; step < 200000; step = step * 5 / 3 + 1) {
    limit_file_size(size_of(path) + step);
    for (int i = 0; i < 3; i++) {
      for (int k = 0; k < 40; k++) {
        CHECK(log_number(recordings[i], number++, 100) == RK_OK);
      }
      rk_recording_flush(recordings[i]);
    }
    limit_file_size(RLIM_INFINITY);
    for (int i = 0; i < 3; i++) {
      CHECK(rk_recording_flush(recordings[i]) == RK_OK);
    }
  }
  for (int i = 0; i < 3; i++) {
    CHECK(rk_recording_close(recordings[i]) == RK_OK);
    rk_recording_free(recordings[i]);
  }
  write_counts(path, number, 0);
}

static void test_at_any_byte(void **state)
{
  const scene *s = *state;
  in_child(s, at_any_byte);
  read_counts(s);
  uint64_t dropped;
  assert_int_equal(read_back(s->path, &dropped), expected_rows);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_drop_newest),     IN_SCENE(test_block),       IN_SCENE(test_block_until_room),
      IN_SCENE(test_close_meanwhile), IN_SCENE(test_ended),       IN_SCENE(test_by_itself),
      IN_SCENE(test_cancelled),       IN_SCENE(test_at_any_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
