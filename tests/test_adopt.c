/* Adoption: rows of processes that died in any way come in exactly once, whoever brings them, however often those die
 * themselves, and whatever lies in the spool. The adopter is compiled here with places at which it dies. */
static void die_at(const char *where);
#define RK_ADOPT_POINT(where) die_at(where)
#include "writer/adopt.c"
#include "writer/adopt_ring.c"

#include "tests/patience.h"
#include "tests/stamps.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int points_left = -1; /* dies at the point at which it becomes 0 */

static void die_at(const char *where)
{
  (void)where;
  if (points_left > 0 && --points_left == 0) {
    kill(getpid(), SIGKILL);
  }
}

static const rk_recording_options lazy = {.flush_age_ns = 3600000000000, .recording_id = "adopted"};
static const rk_recording_options lazy_and_small = {
    .flush_age_ns = 3600000000000, .recording_id = "adopted", .ring_size = 65536};

static void pause_ms(long ms)
{
  const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static int wait_status(pid_t child)
{
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void expect_killed(pid_t child)
{
  const int status = wait_status(child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void expect_done(pid_t child)
{
  const int status = wait_status(child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Opens and closes the recording, which adopts. */
static void adopt_here(const char *path)
{
  rk_recording *recording = open_at(path, NULL);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
}

static void log_many(rk_recording *recording, uint32_t logger, uint32_t from, uint32_t to)
{
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)logger);
  const rk_entity *entity = rk_entity_at(recording, name);
  for (uint32_t i = from; i < to; i++) {
    rk_time_set_sequence(recording, i % 3 == 0 ? "step" : "frame", i);
    log_stamp(recording, entity, logger, i, extra_of(i));
  }
}

static void check_rows(const scene *s, uint32_t loggers, uint32_t rows)
{
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < loggers; i++) {
    assert_int_equal(t.next[i], rows);
  }
  assert_int_equal(t.rows, (size_t)loggers * rows);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* A process logs `rows` rows that nobody appends and dies. */
static void leave_orphan(const char *path, const rk_recording_options *options, uint32_t logger, uint32_t rows)
{
  const pid_t child = fork();
  if (child == 0) {
    log_many(open_at(path, options), logger, 0, rows);
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
}

/* ---- Deaths ---- */

static void die(int way)
{
  switch (way) {
  case 0:
    kill(getpid(), SIGKILL);
    break;
  case 1:
    _exit(0);
  case 2:
    signal(SIGABRT, SIG_DFL);
    abort();
  case 3:
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    break;
  default:
    quick_exit(0);
  }
}

/* Children that die in all ways, with the parent's handle and with one of their own. */
static void test_deaths(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &lazy);
  log_many(recording, 0, 0, 100);
  enum { WAYS = 5 };
  for (uint32_t i = 0; i < 2 * WAYS; i++) {
    const pid_t child = fork();
    if (child == 0) {
      log_many(i < WAYS ? recording : open_at(s->path, &lazy), 1 + i, 0, 100);
      die((int)(i % WAYS));
    }
    wait_status(child);
  }
  assert_true(count_entries(s->spool, ".defs") > 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  assert_in_range(stats.adoptions, 1, 2 * WAYS); /* those that opened it have adopted those before */
  rk_recording_free(recording);
  check_rows(s, 1 + 2 * WAYS, 100);
}

/* Nobody has it open any more: the next opener. */
static void test_next_opener(void **state)
{
  const scene *s = *state;
  leave_orphan(s->path, &lazy, 0, 500);
  leave_orphan(s->path, &lazy, 1, 500); /* this one has adopted the first when it opened */
  adopt_here(s->path);
  check_rows(s, 2, 500);
}

/* A participant that lives on finds them by itself, soon. */
static void test_background(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.recording_id = "adopted"});
  leave_orphan(s->path, &lazy, 0, 200);
  rk_recording_stats stats = {0};
  unsigned looks = 0;
  while (stats.adoptions == 0 && be_patient(&looks)) {
    rk_recording_get_stats(recording, &stats);
  }
  assert_int_equal(stats.adoptions, 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  check_rows(s, 1, 200);
}

/* What a dead process has started lives on: it must not look alive through that. */
static void test_survivors(void **state)
{
  const scene *s = *state;
  int pipe_ends[2];
  assert_int_equal(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording = open_at(s->path, &lazy);
    log_many(recording, 0, 0, 300);
    close(pipe_ends[1]);
    char *const arguments[] = {"sh", "-c", "read line <&3", NULL};
    pid_t spawned;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[0], 3);
    if (posix_spawn(&spawned, "/bin/sh", &actions, NULL, arguments, environ) != 0) {
      abort();
    }
    int ready[2];
    char byte;
    if (pipe(ready) != 0) {
      abort();
    }
    if (fork() == 0) { /* no exec: waits until the test closes the pipe */
      if (write(ready[1], "", 1) != 1) {
        abort();
      }
      _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    if (read(ready[0], &byte, 1) != 1) { /* before it runs, it has not let go of what it inherited */
      abort();
    }
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
  close(pipe_ends[0]);
  rk_recording *recording = open_at(s->path, NULL);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 300);
  close(pipe_ends[1]);
}

/* Killed at any moment while several threads log through small rings: what a call accepted is there, once. */
static void test_random_kills(void **state)
{
  const scene *s = *state;
  enum { ROUNDS = 40, LOGGERS = 3 };
  uint32_t(*accepted)[LOGGERS] =
      mmap(NULL, sizeof(uint32_t[ROUNDS][LOGGERS]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(accepted != MAP_FAILED);
  rk_recording *keeper = open_at(s->path, &(rk_recording_options){.recording_id = "adopted"});
  for (uint32_t round = 0; round < ROUNDS; round++) {
    pid_t children[LOGGERS];
    for (uint32_t l = 0; l < LOGGERS; l++) {
      children[l] = fork();
      if (children[l] == 0) {
        const rk_recording_options options = {
            .flush_age_ns = round % 2 == 0 ? 2000000 : 3600000000000, .recording_id = "adopted", .ring_size = 65536};
        rk_recording *own = l == 0 ? keeper : open_at(s->path, &options);
        char name[32];
        snprintf(name, sizeof name, "logger/%u", (unsigned)(round * LOGGERS + l));
        const rk_entity *entity = rk_entity_at(own, name);
        for (uint32_t i = 0;; i++) {
          log_stamp(own, entity, round * LOGGERS + l, i, extra_of(i));
          __atomic_store_n(&accepted[round][l], i + 1, __ATOMIC_RELEASE);
        }
      }
    }
    pause_ms(round % 20);
    for (uint32_t l = 0; l < LOGGERS; l++) {
      kill(children[l], SIGKILL);
      expect_killed(children[l]);
    }
  }
  assert_int_equal(rk_recording_close(keeper), RK_OK);
  rk_recording_free(keeper);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = 0; i < ROUNDS * LOGGERS; i++) {
    const uint32_t said = accepted[i / LOGGERS][i % LOGGERS];
    assert_in_range(t.next[i], said, said + 1);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
  munmap(accepted, sizeof(uint32_t[ROUNDS][LOGGERS]));
}

/* ---- Adopters ---- */

static void test_racing_adopters(void **state)
{
  const scene *s = *state;
  enum { ORPHANS = 6, ADOPTERS = 8 };
  for (uint32_t i = 0; i < ORPHANS; i++) { /* with the adopter's points on, it dies before it looks at the others */
    const pid_t child = fork();
    if (child == 0) {
      points_left = 1;
      log_many(open_at(s->path, &lazy_and_small), i, 0, 1);
      kill(getpid(), SIGKILL);
    }
    expect_killed(child);
  }
  adopt_here(s->path);
  rk_recording *recording = open_at(s->path, &lazy);
  pid_t orphans[ORPHANS];
  for (uint32_t i = 0; i < ORPHANS; i++) {
    orphans[i] = fork();
    if (orphans[i] == 0) {
      log_many(recording, ORPHANS + i, 0, 700);
      kill(getpid(), SIGKILL);
    }
  }
  pid_t adopters[ADOPTERS];
  for (int i = 0; i < ADOPTERS; i++) {
    adopters[i] = fork();
    if (adopters[i] == 0) {
      for (int n = 0; n < 20; n++) {
        rk_recording_free(open_at(s->path, NULL));
      }
      _exit(0);
    }
  }
  for (int i = 0; i < ORPHANS; i++) {
    expect_killed(orphans[i]);
  }
  for (int i = 0; i < ADOPTERS; i++) {
    expect_done(adopters[i]);
  }
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t i = ORPHANS; i < 2 * ORPHANS; i++) {
    assert_int_equal(t.next[i], 700);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* Adopters that die at their first, second, third ... step, one after the other, until one gets through. */
static void test_dying_adopters(void **state)
{
  const scene *s = *state;
  for (int step = 1; step <= 12; step++) {
    const pid_t child = fork();
    if (child == 0) {
      rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 3600000000000,
                                                                         .recording_id = "adopted",
                                                                         .compression = RK_COMPRESSION_NONE,
                                                                         .ring_size = (size_t)16 << 20});
      log_many(recording, (uint32_t)step, 0, 3000); /* several passes, several records each */
      run_threads(recording, (uint32_t)(100 + step), 1, 50);
      kill(getpid(), SIGKILL);
    }
    expect_killed(child);
    for (int died = 0, status = 1; status != 0; died++) {
      assert_in_range(died, 0, 200);
      const pid_t adopter = fork();
      if (adopter == 0) {
        points_left = step + died / 3;
        adopt_here(s->path);
        _exit(0);
      }
      status = wait_status(adopter);
      assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
      assert_true(step > 4 || status != 0 || died > 0);
    }
  }
  static tally t;
  free(read_tally(s->path, &t));
  for (uint32_t step = 1; step <= 12; step++) {
    assert_int_equal(t.next[step], 3000);
    assert_int_equal(t.next[100 + step], 50);
  }
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* ---- Files of a spool ---- */

typedef struct spool_file {
  char path[256];
  uint8_t *bytes;
  size_t size;
} spool_file;

static spool_file take_file(const char *directory, const char *ending)
{
  spool_file file = {0};
  DIR *entries = opendir(directory);
  assert_non_null(entries);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const size_t size = strlen(entry->d_name);
    if (size > strlen(ending) && strcmp(entry->d_name + size - strlen(ending), ending) == 0) {
      assert_in_range(snprintf(file.path, sizeof file.path, "%s/%s", directory, entry->d_name), 1,
                      sizeof file.path - 1);
    }
  }
  closedir(entries);
  FILE *stream = fopen(file.path, "rb");
  assert_non_null(stream);
  struct stat info;
  assert_int_equal(fstat(fileno(stream), &info), 0);
  file.size = (size_t)info.st_size;
  file.bytes = malloc(file.size);
  assert_non_null(file.bytes);
  assert_int_equal(fread(file.bytes, 1, file.size, stream), file.size);
  fclose(stream);
  return file;
}

static void put_file(const char *path, const void *bytes, size_t size)
{
  FILE *stream = fopen(path, "wb");
  assert_non_null(stream);
  assert_int_equal(fwrite(bytes, 1, size, stream), size);
  fclose(stream);
}

/* Every frame is sealed, up to the end. */
static void check_frames(const char *path)
{
  spool_file file = {0};
  snprintf(file.path, sizeof file.path, "%s", path);
  FILE *stream = fopen(path, "rb");
  assert_non_null(stream);
  const size_t limit = 1 << 22;
  uint8_t *bytes = malloc(limit);
  assert_non_null(bytes);
  size_t size = fread(bytes, 1, limit, stream);
  fclose(stream);
  assert_true(size < limit);
  bytes = appended_plain(bytes, &size);
  for (size_t at = RK_STREAM_HEADER_SIZE; at < size;) {
    rk_frame_header header;
    assert_true(size - at >= RK_FRAME_HEADER_SIZE && rk_frame_header_decode(bytes + at, &header));
    assert_true(header.size <= size - at - RK_FRAME_HEADER_SIZE);
    assert_true(rk_seal_verify(bytes + at, RK_FRAME_HEADER_SIZE + (size_t)header.size));
    at += RK_FRAME_HEADER_SIZE + (size_t)header.size;
  }
  free(bytes);
}

/* A recording and one orphaned ring with ten rows. */
static void make_spool(const scene *s, spool_file *recording, spool_file *definitions, spool_file *ring)
{
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *own = open_at(s->path, &lazy_and_small);
    if (rk_recording_flush(own) != RK_OK) {
      abort();
    }
    log_many(own, 0, 1, 11);
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
  *recording = take_file(s->directory, strrchr(s->path, '.'));
  *definitions = take_file(s->spool, ".defs");
  *ring = take_file(s->spool, ".ring");
}

static void put_spool(const scene *s, const spool_file *recording, const spool_file *definitions,
                      const spool_file *ring)
{
  mkdir(s->spool, 0700);
  put_file(recording->path, recording->bytes, recording->size);
  put_file(definitions->path, definitions->bytes, definitions->size);
  put_file(ring->path, ring->bytes, ring->size);
}

static void free_files(spool_file *a, spool_file *b, spool_file *c)
{
  free(a->bytes);
  free(b->bytes);
  free(c->bytes);
}

/* Definitions cut anywhere: what they still define is sound, what they do not is left where it is. */
static void test_cut_definitions(void **state)
{
  const scene *s = *state;
  spool_file recording, definitions, ring;
  make_spool(s, &recording, &definitions, &ring);
  size_t kept = 0, adopted = 0;
  for (size_t cut = 0; cut <= definitions.size; cut++) {
    spool_file part = definitions;
    part.size = cut;
    put_spool(s, &recording, &part, &ring);
    rk_recording *opened = open_at(s->path, NULL);
    rk_error error;
    rk_recording_error(opened, &error);
    assert_int_equal(rk_recording_close(opened), RK_OK);
    rk_recording_free(opened);
    check_frames(s->path);
    if (access(definitions.path, F_OK) == 0) {
      assert_int_not_equal(error.status, RK_OK); /* reported */
      assert_int_equal(access(ring.path, F_OK), 0);
      kept++;
    } else {
      assert_int_equal(error.status, RK_OK);
      assert_int_not_equal(access(ring.path, F_OK), 0);
      adopted++;
    }
  }
  assert_int_equal(kept + adopted, definitions.size + 1);
  assert_in_range(adopted, 1, 8); /* zeros at the last record's end do not matter */
  static tally t;
  memset(&t, 0, sizeof t);
  t.next[0] = 1;
  free(appended_read(s->path, visit, &t));
  assert_int_equal(t.rows, 10);
  free_files(&recording, &definitions, &ring);
}

/* A bit of the definitions or of the ring's header flipped: no crash, no row that nobody logged. */
static void test_flipped_spool(void **state)
{
  const scene *s = *state;
  spool_file recording, definitions, ring;
  make_spool(s, &recording, &definitions, &ring);
  for (size_t i = 0; i < definitions.size + 184; i++) {
    uint8_t *byte = i < definitions.size ? &definitions.bytes[i] : &ring.bytes[i - definitions.size];
    for (unsigned bit = 0; bit < 8; bit += i < definitions.size ? 8 : 1) {
      *byte ^= (uint8_t)(1U << bit);
      put_spool(s, &recording, &definitions, &ring);
      adopt_here(s->path);
      check_frames(s->path);
      remove_entries(s->spool);
      *byte ^= (uint8_t)(1U << bit);
    }
  }
  /* Rows flipped: each that is adopted is whole. */
  for (size_t i = 0; i < 1000; i += 7) {
    ring.bytes[RK_RING_HEADER_SIZE + i] ^= 0x40;
    put_spool(s, &recording, &definitions, &ring);
    adopt_here(s->path);
    check_frames(s->path);
    remove_entries(s->spool);
    ring.bytes[RK_RING_HEADER_SIZE + i] ^= 0x40;
  }
  free_files(&recording, &definitions, &ring);
}

/* A drain cut off anywhere: the ring says that rows are being appended, and the file holds some of their chunks. */
static void test_intent_in_force(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *own =
        open_at(s->path, &(rk_recording_options){.flush_age_ns = 3600000000000, .recording_id = "adopted"});
    if (rk_recording_flush(own) != RK_OK) { /* the recording's start time */
      abort();
    }
    for (uint32_t i = 0; i < 40; i++) { /* eight chunks */
      char name[32];
      snprintf(name, sizeof name, "logger/%u", (unsigned)(i % 8));
      log_stamp(own, rk_entity_at(own, name), i % 8, i / 8, 10);
    }
    if (rk_recording_flush(own) != RK_OK) {
      abort();
    }
    kill(getpid(), SIGKILL);
  }
  expect_killed(child);
  spool_file recording = take_file(s->directory, strrchr(s->path, '.')), definitions = take_file(s->spool, ".defs"),
             ring = take_file(s->spool, ".ring");
  rk_ring_header header;
  memcpy(&header, ring.bytes, sizeof header);
  assert_int_equal(header.tail, header.head);
  assert_int_equal(header.tail, header.intent_end);
  header.tail = header.intent_begin; /* as before the drain's last step; chunk_number is ahead already */
  assert_int_equal(header.chunk_number, header.intent_chunk_number + 8);
  memcpy(ring.bytes, &header, sizeof header);
  const size_t whole = recording.size;
  for (size_t cut = (size_t)header.intent_file_offset; cut <= whole; cut += 64) {
    recording.size = cut;
    put_spool(s, &recording, &definitions, &ring);
    adopt_here(s->path);
    check_rows(s, 8, 5);
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    assert_true(cut != whole || (size_t)info.st_size == whole); /* nothing was missing */
  }
  free_files(&recording, &definitions, &ring);
}

/* Spools of other recordings and versions, and things that are no spools, stay as they are. */
static void test_foreign(void **state)
{
  const scene *s = *state;
  spool_file recording, definitions, ring;
  make_spool(s, &recording, &definitions, &ring);
  put_spool(s, &recording, &definitions, &ring);
  remove(s->path);
  rk_recording *opened = open_at(s->path, &(rk_recording_options){.recording_id = "another"});
  rk_error error;
  rk_recording_error(opened, &error);
  assert_int_equal(error.status, RK_ERR_CONFLICT);
  rk_recording_free(opened);
  assert_int_equal(access(definitions.path, F_OK), 0);
  assert_int_equal(access(ring.path, F_OK), 0);

  put_spool(s, &recording, &definitions, &ring);
  rk_store_u32(ring.bytes + 8, RK_SPOOL_VERSION + 1);
  put_file(ring.path, ring.bytes, ring.size);
  opened = open_at(s->path, NULL);
  rk_recording_error(opened, &error);
  assert_int_equal(error.status, RK_ERR_UNSUPPORTED);
  rk_recording_free(opened);
  assert_int_equal(access(definitions.path, F_OK), 0);
  assert_int_equal(access(ring.path, F_OK), 0);

  /* In the place of its files: nothing, a directory, a link, a pipe, a file that shrank. */
  rk_store_u32(ring.bytes + 8, RK_SPOOL_VERSION);
  for (int kind = 0; kind < 5; kind++) {
    for (int of_ring = 0; of_ring < 2; of_ring++) {
      put_spool(s, &recording, &definitions, &ring);
      const char *path = of_ring ? ring.path : definitions.path;
      assert_int_equal(unlink(path), 0);
      if (kind == 1) {
        assert_int_equal(mkdir(path, 0700), 0);
      } else if (kind == 2) {
        assert_int_equal(symlink("/etc/passwd", path), 0);
      } else if (kind == 3) {
        assert_int_equal(mkfifo(path, 0600), 0);
      } else if (kind == 4) {
        put_file(path, of_ring ? ring.bytes : definitions.bytes, 4090 < definitions.size ? 4090 : 100);
      }
      adopt_here(s->path);
      check_frames(s->path);
      remove_entries(s->spool);
    }
  }
  free_files(&recording, &definitions, &ring);
}

/* A process that died while it made its files: nothing was published, nothing stays. */
static void test_unfinished_spool(void **state)
{
  const scene *s = *state;
  spool_file recording, definitions, ring;
  make_spool(s, &recording, &definitions, &ring);
  remove_entries(s->spool);
  mkdir(s->spool, 0700);
  put_file(definitions.path, definitions.bytes, 0);
  adopt_here(s->path);
  assert_int_not_equal(access(s->spool, F_OK), 0);

  memset(ring.bytes, 0, ring.size);
  put_spool(s, &recording, &definitions, &ring);
  adopt_here(s->path);
  assert_int_not_equal(access(s->spool, F_OK), 0);

  ring.size = 0;
  put_spool(s, &recording, &definitions, &ring);
  adopt_here(s->path);
  assert_int_not_equal(access(s->spool, F_OK), 0);
  free_files(&recording, &definitions, &ring);
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_deaths),          IN_SCENE(test_next_opener),     IN_SCENE(test_background),
      IN_SCENE(test_survivors),       IN_SCENE(test_random_kills),    IN_SCENE(test_racing_adopters),
      IN_SCENE(test_dying_adopters),  IN_SCENE(test_cut_definitions), IN_SCENE(test_flipped_spool),
      IN_SCENE(test_intent_in_force), IN_SCENE(test_foreign),         IN_SCENE(test_unfinished_spool),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
