/* A thread whose chunks get few rows is given a larger ring, and loses nothing by it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/stamps.h"

#include "format/spool.h"

enum { SMALL = 65536, LARGE = 1 << 20, HEADER = RK_RING_HEADER_SIZE };

/* ---- What the system refuses ---- */

static bool no_blocks, no_map, no_pages;
static enum { IN_NOTHING, IN_FALLOCATE, IN_MREMAP, IN_MADVISE } dies; /* as soon as that is done */

static void die_in(int what)
{
  if ((int)dies == what) {
    kill(getpid(), SIGKILL);
  }
}

static int (*real_fallocate)(int, off_t, off_t);
static void *(*real_mremap)(void *, size_t, size_t, int, ...);
static int (*real_madvise)(void *, size_t, int);

__attribute__((constructor)) static void find_real(void)
{
  real_fallocate = (int (*)(int, off_t, off_t))(intptr_t)dlsym(RTLD_NEXT, "posix_fallocate");
  real_mremap = (void *(*)(void *, size_t, size_t, int, ...))(intptr_t)dlsym(RTLD_NEXT, "mremap");
  real_madvise = (int (*)(void *, size_t, int))(intptr_t)dlsym(RTLD_NEXT, "madvise");
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
  if (!no_blocks) {
    const int failed = real_fallocate(fd, offset, size);
    die_in(IN_FALLOCATE);
    return failed;
  }
  return real_fallocate(fd, offset, size / 2) != 0 ? EIO : ENOSPC; /* some of it, as file systems do */
}

void *mremap(void *address, size_t before, size_t after, int flags, ...)
{
  if (no_map) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void *map = real_mremap(address, before, after, flags);
  die_in(IN_MREMAP);
  return map;
}

int madvise(void *address, size_t size, int advice)
{
  if (no_pages) {
    errno = EFAULT;
    return -1;
  }
  const int failed = real_madvise(address, size, advice);
  die_in(IN_MADVISE);
  return failed;
}

/* ---- Logging ---- */

/* Rows first to end - 1, of the entities in turn. */
static void log_rows(rk_recording *recording, uint32_t entities, uint32_t first, uint32_t end)
{
  for (uint32_t i = first; i < end; i++) {
    char name[32];
    snprintf(name, sizeof name, "logger/%u", (unsigned)(i % entities));
    log_stamp(recording, rk_entity_at(recording, name), i % entities, i / entities, 0);
  }
}

static rk_recording *open_growing(const char *path, size_t most)
{
  return open_at(path, &(rk_recording_options){.ring_size = SMALL, .ring_size_max = most, .flush_age_ns = INT64_MAX});
}

/* The sizes of all ring files together; each agrees with its header. */
static off_t ring_size(const char *spool)
{
  off_t sum = 0;
  DIR *entries = opendir(spool);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strstr(entry->d_name, ".ring") != NULL) {
      rk_ring_header header;
      struct stat info;
      const int fd = openat(dirfd(entries), entry->d_name, O_RDONLY);
      assert_int_equal(fstat(fd, &info), 0);
      assert_int_equal(read(fd, &header, sizeof header), sizeof header);
      close(fd);
      assert_int_equal(header.size + HEADER, info.st_size);
      sum += info.st_size - HEADER;
    }
  }
  closedir(entries);
  return sum;
}

static size_t check_rows(const char *path, uint32_t entities, uint32_t count)
{
  static tally t;
  appended *file = read_tally(path, &t);
  assert_int_equal(t.rows, count);
  for (uint32_t i = 0; i < entities; i++) {
    assert_int_equal(t.next[i], (count + entities - 1 - i) / entities);
  }
  const size_t chunks = file->chunk_count;
  free(file);
  return chunks;
}

/* ---- Tests ---- */

static void test_grows(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_growing(s->path, LARGE);
  log_rows(recording, 100, 0, 20000);
  assert_int_equal(ring_size(s->spool), LARGE);
  log_rows(recording, 100, 20000, 100000);
  assert_int_equal(ring_size(s->spool), LARGE);
  rk_recording_free(recording);
  assert_in_range(check_rows(s->path, 100, 100000), 100, 100000 / 30);
}

/* One writer all the while; its name for the limit rounds up, and the last step is shorter. */
static void test_limit(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_growing(s->path, SMALL * 6);
  log_rows(recording, 50, 0, 40000);
  assert_int_equal(ring_size(s->spool), SMALL * 8);
  rk_recording_free(recording);
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(file->writer_count, 1);
  free(file);
}

static void test_stays(void **state)
{
  const scene *s = *state;
  static const struct {
    const char *name;
    uint32_t entities;
    rk_recording_options options;
  } cases[] = {
      {"one entity", 1, {.ring_size = SMALL, .ring_size_max = LARGE}},
      {"a size was asked for", 100, {.ring_size = SMALL}},
      {"the limit is the size", 100, {.ring_size = SMALL, .ring_size_max = 1}},
      {"chunks of large rows", 2, {.ring_size = LARGE, .ring_size_max = (size_t)4 << 20}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char path[160], spool[180];
    snprintf(path, sizeof path, "%s/%zu.rrd", s->directory, i);
    snprintf(spool, sizeof spool, "%s.spool", path);
    rk_recording *recording = open_at(path, &cases[i].options);
    const bool large = cases[i].options.ring_size == LARGE;
    for (uint32_t n = 0; large && n < 1000; n++) {
      char name[32];
      snprintf(name, sizeof name, "logger/%u", (unsigned)(n % 2));
      log_stamp(recording, rk_entity_at(recording, name), n % 2, n / 2, 6000);
    }
    log_rows(recording, cases[i].entities, 0, large ? 0 : 20000);
    if (ring_size(spool) != (off_t)cases[i].options.ring_size) {
      fail_msg("%s: the ring has %jd bytes", cases[i].name, (intmax_t)ring_size(spool));
    }
    rk_recording_free(recording);
    check_rows(path, cases[i].entities, large ? 1000 : 20000);
  }
}

/* What the system refuses is not asked for again, and nobody is told: the ring stays as it is. */
static void test_refused(void **state)
{
  const scene *s = *state;
  bool *const refusals[] = {&no_blocks, &no_map, &no_pages};
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
    char path[160], spool[180];
    snprintf(path, sizeof path, "%s/%zu.rrd", s->directory, i);
    snprintf(spool, sizeof spool, "%s.spool", path);
    rk_recording *recording = open_growing(path, LARGE);
    log_rows(recording, 100, 0, 1);
    *refusals[i] = true;
    log_rows(recording, 100, 1, 20000);
    *refusals[i] = false;
    log_rows(recording, 100, 20000, 40000);
    assert_int_equal(ring_size(spool), SMALL);
    rk_recording_stats stats;
    rk_recording_get_stats(recording, &stats);
    assert_int_equal(stats.errors, 0);
    assert_int_equal(rk_recording_close(recording), RK_OK);
    rk_recording_free(recording);
    check_rows(path, 100, 40000);
  }
}

/* The rings of a recording do not grow beyond a sum: of the rings of 8 MiB that five threads have, some grow. */
typedef struct crowd {
  rk_recording *recording;
  pthread_barrier_t *start;
  uint32_t first;
} crowd;

static void *log_in_crowd(void *argument)
{
  const crowd *c = argument;
  for (uint32_t i = 0; i < 30000; i++) {
    char name[32];
    const uint32_t logger = c->first + i % 200;
    snprintf(name, sizeof name, "logger/%u", (unsigned)logger);
    log_stamp(c->recording, rk_entity_at(c->recording, name), logger, i / 200, 800);
    if (i == 0) {
      pthread_barrier_wait(c->start);
    }
  }
  return NULL;
}

static void test_sum(void **state)
{
  enum { THREADS = 5 };
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.ring_size = 8 << 20,
                                                                     .ring_size_max = 16 << 20,
                                                                     .flush_age_ns = INT64_MAX,
                                                                     .spool_directory = s->spool});
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, THREADS);
  pthread_t ids[THREADS];
  crowd crowds[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    crowds[i] = (crowd){.recording = recording, .start = &start, .first = 200 * i};
    assert_int_equal(pthread_create(&ids[i], NULL, log_in_crowd, &crowds[i]), 0);
  }
  for (uint32_t i = 0; i < THREADS; i++) {
    pthread_join(ids[i], NULL);
  }
  assert_int_equal(ring_size(s->spool), 64 << 20); /* 48 with this thread's, and two of the five grew */
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, THREADS * 30000);
}

/* Killed before, after and in the midst of growing: whoever opens the recording next finds all that was accepted. */
static void test_killed(void **state)
{
  const scene *s = *state;
  uint32_t *accepted = mmap(NULL, sizeof *accepted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(accepted != MAP_FAILED);
  for (uint32_t round = 0; round < 12; round++) {
    char path[160];
    snprintf(path, sizeof path, "%s/%u.rrd", s->directory, (unsigned)round);
    const uint32_t count = 300 + round * 1500;
    const pid_t child = fork();
    if (child == 0) {
      rk_recording *recording = open_growing(path, LARGE);
      for (*accepted = 0; *accepted < count; (*accepted)++) {
        log_rows(recording, 100, *accepted, *accepted + 1);
        dies = round % 4; /* its ring is there now */
      }
      kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(round % 4 == 0 || count < 1000 ? *accepted == count : *accepted < count);
    rk_recording *recording = open_at(path, NULL);
    rk_recording_stats stats;
    rk_recording_get_stats(recording, &stats);
    assert_int_equal(stats.errors, 0);
    rk_recording_free(recording);
    check_rows(path, 100, *accepted + (*accepted < count)); /* the call that died had its row in the ring */
  }
  munmap(accepted, sizeof *accepted);
}

/* A child of fork begins with a small ring of its own, and has nothing of the parent's mapped. */
static void test_fork(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_growing(s->path, LARGE);
  log_rows(recording, 100, 0, 20000);
  assert_int_equal(ring_size(s->spool), LARGE);
  const pid_t child = fork();
  if (child == 0) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
      if (strstr(line, ".ring") != NULL) {
        _exit(1);
      }
    }
    for (uint32_t i = 0; i < 20000; i++) {
      char name[32];
      snprintf(name, sizeof name, "logger/%u", 100 + (unsigned)(i % 100));
      log_stamp(recording, rk_entity_at(recording, name), 100 + i % 100, i / 100, 0);
    }
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  log_rows(recording, 100, 20000, 40000);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 60000);
}

/* While others drain. */
static void *log_shifted(void *argument)
{
  const job *j = argument;
  for (uint32_t i = 0; i < j->count; i++) {
    char name[32];
    snprintf(name, sizeof name, "logger/%u", (unsigned)(j->logger + i % 100));
    log_stamp(j->recording, rk_entity_at(j->recording, name), j->logger + i % 100, i / 100, 0);
  }
  return NULL;
}

static void test_meanwhile(void **state)
{
  enum { THREADS = 3, COUNT = 30000 };
  const scene *s = *state;
  rk_recording *recording =
      open_at(s->path, &(rk_recording_options){.ring_size = SMALL, .ring_size_max = LARGE, .flush_age_ns = 2000000});
  pthread_t ids[THREADS];
  job jobs[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    jobs[i] = (job){.recording = recording, .logger = 100 * i, .count = COUNT};
    assert_int_equal(pthread_create(&ids[i], NULL, log_shifted, &jobs[i]), 0);
  }
  for (int i = 0; i < 50; i++) {
    assert_int_equal(rk_recording_flush(recording), RK_OK);
  }
  for (uint32_t i = 0; i < THREADS; i++) {
    pthread_join(ids[i], NULL);
  }
  rk_recording_free(recording);
  check_rows(s->path, 100 * THREADS, THREADS * COUNT);
}

/* The ring of a thread that ended is the next one's, as large as it is. */
static void *log_in_thread(void *argument)
{
  const job *j = argument;
  log_rows(j->recording, 100, j->logger, j->count);
  return NULL;
}

static void test_reused(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_growing(s->path, LARGE);
  for (uint32_t i = 0; i < 4; i++) {
    pthread_t id;
    job j = {.recording = recording, .logger = i * 20000, .count = (i + 1) * 20000};
    assert_int_equal(pthread_create(&id, NULL, log_in_thread, &j), 0);
    pthread_join(id, NULL);
    assert_int_equal(ring_size(s->spool), SMALL + LARGE); /* with this thread's */
  }
  rk_recording_free(recording);
  check_rows(s->path, 100, 80000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_grows),  IN_SCENE(test_limit), IN_SCENE(test_stays),     IN_SCENE(test_refused), IN_SCENE(test_sum),
      IN_SCENE(test_killed), IN_SCENE(test_fork),  IN_SCENE(test_meanwhile), IN_SCENE(test_reused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
