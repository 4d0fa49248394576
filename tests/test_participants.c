/* Participants: who comes first repairs the tail, who leaves last tidies up. */
#include "tests/sessions.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

#include "writer/writer_internal.h"

/* ---- The tail ---- */

/* A record cut at any length is gone once somebody has been there alone; what was whole stays. */
static void test_torn_tail(void **state)
{
  const scene *s = *state;
  session(s->path, 0, 50);
  size_t size, longer;
  uint8_t *before = read_file(s->path, &size);
  session(s->path, 50, 60);
  uint8_t *after = read_file(s->path, &longer);
  assert_true(longer > size && memcmp(before, after, size) == 0);
  for (size_t cut = size; cut < longer; cut += 61) {
    assert_int_equal(truncate(s->path, 0), 0);
    append_bytes(s->path, after, cut);
    rk_recording *recording = open_at(s->path, &named);
    assert_in_range(size_of(s->path), size, cut);
    rk_recording_free(recording);
    size_t now;
    uint8_t *repaired = read_file(s->path, &now);
    assert_int_equal(now % RK_FRAME_ALIGNMENT, 0);
    assert_memory_equal(repaired, after, now);
    free(repaired);
    check_rows(s, 50);
  }
  free(before);
  free(after);
  session(s->path, 50, 60);
  check_rows(s, 60);
}

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What a loss of power leaves: 100 MB of zeros, as a hole and as blocks. */
static void test_zero_tail(void **state)
{
  const scene *s = *state;
  session(s->path, 0, 50);
  const off_t size = size_of(s->path);
  for (int written = 0; written < 2; written++) {
    if (written == 1) {
      static const uint8_t zeros[1 << 20];
      for (int i = 0; i < 100; i++) {
        append_bytes(s->path, zeros, sizeof zeros);
      }
    } else {
      assert_int_equal(truncate(s->path, size + (100 << 20)), 0);
    }
    const double start = seconds();
    rk_recording *recording = open_at(s->path, &named);
    print_message("             100 MB of zeros (%s) repaired in %.1f ms\n", written == 1 ? "blocks" : "a hole",
                  (seconds() - start) * 1e3);
    assert_int_equal(size_of(s->path), size);
    rk_recording_free(recording);
    check_rows(s, 50);
  }
  session(s->path, 50, 60);
  check_rows(s, 60);
}

/* Nothing is cut while another participant exists. */
static void test_not_alone(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_at(s->path, &named);
  assert_int_equal(rk_recording_flush(first), RK_OK);
  static const uint8_t torn[4096] = {RK_FRAME_ARROW_MSG};
  append_bytes(s->path, torn, sizeof torn);
  const off_t size = size_of(s->path);
  rk_recording *second = open_at(s->path, &named);
  assert_int_equal(size_of(s->path), size);
  rk_recording_free(second);
  assert_int_equal(size_of(s->path), size);
  log_rows(first, 0, 10);
  assert_int_equal(rk_recording_close(first), RK_OK); /* its append has healed */
  rk_recording_free(first);
  check_rows(s, 10);
}

/* ---- Finishing ---- */

/* Many processes that open, log, and finish if they are the last, all at once. */
static void test_come_and_go(void **state)
{
  const scene *s = *state;
  enum { PROCESSES = 6, SESSIONS = 15 };
  pid_t children[PROCESSES];
  for (uint32_t p = 0; p < PROCESSES; p++) {
    children[p] = fork();
    if (children[p] == 0) {
      for (uint32_t i = 0; i < SESSIONS; i++) {
        rk_recording *recording = open_at(s->path, &named);
        char name[32];
        snprintf(name, sizeof name, "logger/%u", (unsigned)p);
        for (uint32_t row = 0; row < 5; row++) {
          log_stamp(recording, rk_entity_at(recording, name), p, 5 * i + row, 100);
        }
        const rk_status finished = rk_recording_finish(recording);
        if (finished != RK_OK && finished != RK_ERR_CONFLICT) {
          _exit(2);
        }
        rk_recording_free(recording);
      }
      _exit(0);
    }
  }
  for (int p = 0; p < PROCESSES; p++) {
    int status;
    assert_int_equal(waitpid(children[p], &status, 0), children[p]);
    assert_int_equal(status, 0);
  }
  rk_recording_free(open_at(s->path, &named)); /* removes a footer */
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t p = 0; p < PROCESSES; p++) {
    assert_int_equal(t.next[p], 5 * SESSIONS);
  }
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* ---- Leaving ---- */

/* A full or unwilling disk at close: the rows stay, and the next one has them. */
static void test_rows_stay(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(
      s->path, &(rk_recording_options){.application_id = "app", .recording_id = "rec", .flush_age_ns = 3600000000000});
  log_rows(recording, 0, 100);
  const int fd = recording->fd;
  recording->fd = open("/dev/full", O_WRONLY); /* refuses all writes */
  assert_true(recording->fd >= 0);
  assert_int_equal(rk_recording_close(recording), RK_ERR_IO);
  rk_recording_free(recording);
  close(fd);
  assert_true(count_entries(s->spool, ".ring") == 1);
  session(s->path, 100, 110);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 110);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_torn_tail),   IN_SCENE(test_zero_tail), IN_SCENE(test_not_alone),
      IN_SCENE(test_come_and_go), IN_SCENE(test_rows_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
