/* Many processes on one recording, forks, exits, deaths, and appends that the system refuses. Apart from the tests of
 * threads because the thread sanitizer does not follow threads into a child. */
#include "tests/patience.h"
#include "tests/stamps.h"

#include "format/flat.h"
#include "format/spool.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void wait_for(pid_t child)
{
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_processes(void **state)
{
  const scene *s = *state;
  pid_t children[4];
  for (uint32_t p = 0; p < 4; p++) {
    children[p] = fork();
    if (children[p] == 0) { /* all race to create it */
      rk_recording *recording = open_at(s->path, &(rk_recording_options){.recording_id = "shared"});
      run_threads(recording, 4 * p, 4, 1000);
      _exit(rk_recording_close(recording) == RK_OK ? 0 : 1);
    }
  }
  for (int p = 0; p < 4; p++) {
    wait_for(children[p]);
  }
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.rows, 4 * 4 * 1000);
  assert_int_equal(file->writer_count, 17);
  assert_string_equal(file->recording_id, "shared");
  free(file);
  assert_int_not_equal(access(s->spool, F_OK), 0);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* Forks of a process that has threads: not under the address sanitizer, whose own allocator may stay locked in the
 * child. */
#ifndef __SANITIZE_ADDRESS__

/* A forked child goes on with the handle as a writer of its own; the parent's rows stay the parent's. */
static void test_fork(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
  const rk_entity *entity = rk_entity_at(recording, "parent");
  rk_time_set_sequence(recording, "step", 1);
  for (uint32_t i = 0; i < 100; i++) {
    log_stamp(recording, entity, 0, i, 0);
  }
  pid_t children[3];
  for (uint32_t c = 0; c < 3; c++) {
    children[c] = fork();
    if (children[c] == 0) {
      char name[32];
      snprintf(name, sizeof name, "child/%u", (unsigned)c);
      for (uint32_t i = 0; i < 50; i++) {
        log_stamp(recording, rk_entity_at(recording, name), 1 + c, i, 0);
      }
      run_threads(recording, 10 + c, 1, 100);
      if (c == 0) {
        exit(0); /* without close: process exit drains */
      }
      _exit(rk_recording_close(recording) == RK_OK ? 0 : 1);
    }
  }
  const pid_t silent = fork();
  if (silent == 0) {
    exit(0); /* never logged: nothing of the parent's may be written or removed */
  }
  for (int c = 0; c < 3; c++) {
    wait_for(children[c]);
  }
  wait_for(silent);
  for (uint32_t i = 100; i < 200; i++) {
    log_stamp(recording, entity, 0, i, 0);
  }
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.next[0], 200);
  for (uint32_t c = 0; c < 3; c++) {
    assert_int_equal(t.next[1 + c], 50);
    assert_int_equal(t.next[10 + c], 100);
  }
  assert_int_equal(file->writer_count, 1 + 3 * 2);
  size_t ours = 0;
  for (size_t i = 0; i < file->writer_count; i++) {
    ours += file->writers[i].pid == getpid();
  }
  assert_int_equal(ours, 1);
  free(file);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* Forking while other threads log: the child inherits no held lock. */
static void test_fork_meanwhile(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 2000000});
  pthread_t ids[2];
  job jobs[2];
  for (uint32_t i = 0; i < 2; i++) {
    jobs[i] = (job){.recording = recording, .logger = i, .count = 20000};
    assert_int_equal(pthread_create(&ids[i], NULL, run, &jobs[i]), 0);
  }
  for (uint32_t c = 0; c < 10; c++) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      char name[32];
      snprintf(name, sizeof name, "child/%u", (unsigned)c);
      log_stamp(recording, rk_entity_at(recording, name), 100 + c, 0, 0);
      _exit(rk_recording_flush(recording) == RK_OK ? 0 : 1);
    }
    wait_for(child);
  }
  for (uint32_t i = 0; i < 2; i++) {
    pthread_join(ids[i], NULL);
  }
  rk_recording_free(recording);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 2 * 20000 + 10);
}

static bool locked(const char *path, short type)
{
  const int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  const bool free_now = fcntl(fd, F_OFD_SETLK, &lock) == 0;
  close(fd);
  return !free_now;
}

/* A child that lives on does not keep its dead parent looking alive. */
static void test_locks(void **state)
{
  const scene *s = *state;
  int ready[2], go[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(go), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
    log_stamp(recording, rk_entity_at(recording, "x"), 0, 0, 0);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      char byte = 0;
      if (write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1) {
        _exit(0);
      }
      _exit(1);
    }
    char byte = 0;
    (void)!write(ready[1], &byte, 1);
    raise(SIGKILL);
  }
  char bytes[2];
  for (size_t got = 0; got < 2;) {
    const ssize_t n = read(ready[0], bytes + got, 2 - got);
    assert_true(n > 0);
    got += (size_t)n;
  }
  int status;
  assert_int_equal(waitpid(parent, &status, 0), parent);
  assert_true(WIFSIGNALED(status));
  DIR *entries = opendir(s->spool);
  assert_non_null(entries);
  size_t found = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (dot != NULL && strcmp(dot, ".defs") == 0) {
      char path[512];
      snprintf(path, sizeof path, "%s/%s", s->spool, entry->d_name);
      assert_false(locked(path, F_WRLCK));
      found++;
    }
  }
  closedir(entries);
  assert_int_equal(found, 1);
  assert_true(locked(s->path, F_WRLCK)); /* the grandchild takes part */
  assert_int_equal(write(go[1], bytes, 1), 1);
  unsigned looks = 0;
  while (locked(s->path, F_WRLCK) && be_patient(&looks)) {
  }
  assert_false(locked(s->path, F_WRLCK));
  close(ready[0]);
  close(ready[1]);
  close(go[0]);
  close(go[1]);
}

#endif

/* Leaving by exit with the recording open, from the main thread, while another thread waits. */
static void *sleep_long(void *argument)
{
  log_stamp(argument, rk_entity_at(argument, "sleeper"), 1, 0, 0);
  sleep(600);
  return NULL;
}

static void test_exit(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 60000000000});
    pthread_t sleeper;
    if (pthread_create(&sleeper, NULL, sleep_long, recording) != 0) {
      abort();
    }
    for (uint32_t i = 0; i < 10; i++) {
      log_stamp(recording, rk_entity_at(recording, "x"), 0, i, 0);
    }
    rk_recording_stats stats = {0};
    unsigned looks = 0;
    while (stats.rows_accepted < 1 + 10 + 1 && be_patient(&looks)) { /* the start time, ours, the sleeper's */
      rk_recording_get_stats(recording, &stats);
    }
    exit(0);
  }
  wait_for(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.next[0], 10);
  assert_int_equal(t.next[1], 1);
  assert_int_not_equal(access(s->spool, F_OK), 0);
}

/* ---- Refused appends ---- */

/* The system refuses to let the file grow: rows stay in their ring, the error is told, and go out when there is room.
 */
static void test_file_limit(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rk_recording *recording = open_at(
        s->path,
        &(rk_recording_options){.ring_size = 65536, .compression = RK_COMPRESSION_NONE, .flush_age_ns = 60000000000});
    rk_recording_flush(recording);
    struct stat info;
    stat(s->path, &info);
    const struct rlimit tight = {.rlim_cur = (rlim_t)info.st_size + 8192, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const rk_entity *entity = rk_entity_at(recording, "x");
    for (uint32_t i = 0; i < 40; i++) {
      log_stamp(recording, entity, 0, i, 1000);
    }
    setrlimit(RLIMIT_FSIZE, &tight);
    rk_error error;
    if (rk_recording_flush(recording) != RK_ERR_IO) {
      _exit(1);
    }
    rk_recording_error(recording, &error);
    if (error.status != RK_ERR_IO || error.sys_errno == 0) {
      _exit(2);
    }
    struct stat after;
    stat(s->path, &after);
    if (after.st_size != info.st_size) { /* alone: the torn record was taken back */
      _exit(3);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    rk_recording_clear_error(recording);
    rk_recording_error(recording, &error);
    if (error.status != RK_OK) {
      _exit(4);
    }
    for (uint32_t i = 40; i < 100; i++) {
      log_stamp(recording, entity, 0, i, 1000);
    }
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 5);
  }
  wait_for(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_int_equal(t.rows, 100);
}

/* The same with another participant: nothing is torn, so nothing needs to be covered. */
static void test_file_limit_shared(void **state)
{
  const scene *s = *state;
  int ready[2], go[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(go), 0);
  char byte = 0;
  const pid_t other = fork();
  if (other == 0) {
    rk_recording *recording = open_at(s->path, NULL);
    if (rk_recording_flush(recording) != RK_OK || write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) {
      _exit(1);
    }
    log_stamp(recording, rk_entity_at(recording, "y"), 1, 0, 0);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    struct stat info;
    stat(s->path, &info);
    const struct rlimit tight = {.rlim_cur = ((rlim_t)info.st_size + 8191) / 4096 * 4096, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    rk_recording *recording =
        open_at(s->path, &(rk_recording_options){.compression = RK_COMPRESSION_NONE, .flush_age_ns = 60000000000});
    for (uint32_t i = 0; i < 40; i++) {
      log_stamp(recording, rk_entity_at(recording, "x"), 0, i, 1000);
    }
    setrlimit(RLIMIT_FSIZE, &tight);
    if (rk_recording_flush(recording) != RK_ERR_IO) {
      _exit(1);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  wait_for(child);
  assert_int_equal(write(go[1], &byte, 1), 1);
  wait_for(other);
  for (int i = 0; i < 2; i++) {
    close(ready[i]);
    close(go[i]);
  }
  static tally t;
  appended *file = read_tally(s->path, &t);
  assert_int_equal(t.next[0], 40);
  assert_int_equal(t.next[1], 1);
  assert_int_equal(file->filler_count, 0);
  free(file);
}

/* Nothing can be appended and the ring is full: the row is refused, and nothing that was accepted is lost. */
static void test_full_ring(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rk_recording *recording =
        open_at(s->path,
                &(rk_recording_options){.ring_size = 65536, .flush_age_ns = 60000000000, .block_timeout_ns = 50000000});
    rk_recording_flush(recording);
    const rk_entity *entity = rk_entity_at(recording, "x");
    log_stamp(recording, entity, 0, 0, 0);
    struct stat info;
    stat(s->path, &info);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit tight = {.rlim_cur = (rlim_t)info.st_size, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &tight);
    const rk_component *component = rk_component_at(recording, "stamp", "C", NULL, NULL);
    uint32_t next = 1;
    rk_status status = RK_OK;
    for (; next < 10000; next++) {
      const stamp head = {.logger = 0, .number = next, .check = check_of(0, next, 0)};
      const rk_cell cell = {.component = component, .count = sizeof head, .values = &head};
      status = rk_log(recording, entity, &cell, 1);
      if (status != RK_OK) {
        break;
      }
    }
    if (status != RK_ERR_FULL) {
      _exit(1);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    log_stamp(recording, entity, 0, next, 0);
    _exit(rk_recording_close(recording) == RK_OK ? 0 : 2);
  }
  wait_for(child);
  static tally t;
  free(read_tally(s->path, &t));
  assert_true(t.rows > 500); /* without gaps, as the walk has checked */
}

/* ---- What a dead process leaves ---- */

static uint8_t *read_spool(const scene *s, const char *ending, size_t *size)
{
  DIR *entries = opendir(s->spool);
  assert_non_null(entries);
  uint8_t *bytes = NULL;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (dot != NULL && strcmp(dot, ending) == 0) {
      char path[4096];
      assert_true(snprintf(path, sizeof path, "%s/%s", s->spool, entry->d_name) < (int)sizeof path);
      FILE *file = fopen(path, "rb");
      assert_non_null(file);
      assert_null(bytes); /* there is one */
      bytes = malloc((size_t)1 << 22);
      assert_non_null(bytes);
      *size = fread(bytes, 1, (size_t)1 << 22, file);
      fclose(file);
    }
  }
  closedir(entries);
  assert_non_null(bytes);
  return bytes;
}

enum { DEFINED_MAX = 1024 };

typedef struct defined {
  char entities[DEFINED_MAX][64];
  char components[DEFINED_MAX][64]; /* type texts; "" not defined */
  bool timelines[DEFINED_MAX];
  uint32_t sets[DEFINED_MAX]; /* timelines in each */
  uint32_t tag;               /* of the last writer */
  bool process;
} defined;

static void copy_text(char to[64], rk_text text)
{
  assert_true(text.size < 64);
  memcpy(to, text.data, text.size);
}

static void read_definitions(const scene *s, defined *all)
{
  size_t size, at = RK_SPOOL_MAGIC_SIZE;
  uint8_t *bytes = read_spool(s, ".defs", &size);
  assert_memory_equal(bytes, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  rk_spool_definition d;
  for (size_t record; rk_spool_definition_decode(bytes + at, size - at, &d, &record) == RK_OK; at += record) {
    assert_true(d.kind == RK_SPOOL_WRITER || d.id < DEFINED_MAX);
    switch (d.kind) {
    case RK_SPOOL_PROCESS:
      assert_int_equal(at, RK_SPOOL_MAGIC_SIZE);
      assert_true(d.texts[0].size > 0 && d.values[0] > 0);
      all->process = true;
      break;
    case RK_SPOOL_ENTITY:
      copy_text(all->entities[d.id], d.texts[0]);
      break;
    case RK_SPOOL_COMPONENT:
      copy_text(all->components[d.id], d.texts[3]);
      break;
    case RK_SPOOL_TIMELINE:
      all->timelines[d.id] = true;
      break;
    case RK_SPOOL_TIMELINE_SET:
      assert_int_equal(d.texts[0].size, 4 * d.number);
      for (uint32_t i = 0; i < d.number; i++) {
        assert_true(all->timelines[rk_load_u32(d.texts[0].data + 4 * (size_t)i)]);
      }
      all->sets[d.id] = d.number;
      break;
    case RK_SPOOL_WRITER:
      all->tag = d.id;
      break;
    }
  }
  assert_int_equal(at, size);
  free(bytes);
}

/* Everything that is needed to append a killed process's rows lies in its spool. */
static void test_killed(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording =
        open_at(s->path, &(rk_recording_options){.ring_size = 65536, .flush_age_ns = 60000000000});
    const char *const text = "said";
    const bool yes = true;
    for (uint32_t i = 0; i < 2000; i++) { /* around the ring some times, the last rows undrained */
      char name[32];
      snprintf(name, sizeof name, "at/%u", (unsigned)(i % 7));
      rk_time_set_sequence(recording, "step", i);
      if (i % 2 == 0) {
        rk_time_set_duration_ns(recording, "lap", i);
      } else {
        rk_time_disable(recording, "lap");
      }
      log_stamp(recording, rk_entity_at(recording, name), i % 7, i / 7, i % 50);
      const rk_cell cells[] = {{.component = rk_component_builtin("TextLog:text"), .count = 1, .values = &text},
                               {.component = rk_component_builtin("Clear:is_recursive"), .count = 1, .values = &yes}};
      rk_log(recording, rk_entity_at(recording, "log"), cells, 2);
    }
    raise(SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  appended *file = appended_read(s->path, NULL, NULL);
  static defined all;
  read_definitions(s, &all);
  assert_true(all.process);
  size_t size;
  uint8_t *bytes = read_spool(s, ".ring", &size);
  rk_ring_header header;
  memcpy(&header, bytes, sizeof header);
  assert_int_equal(rk_ring_header_check(&header, size, NULL), RK_OK);
  assert_int_equal(header.tag, all.tag);
  assert_int_equal(header.tag, file->writers[0].tag);
  assert_int_equal(header.announced, 1);
  assert_int_equal(header.chunk_number, file->writers[0].chunks);
  uint32_t next = file->writers[0].rows;
  for (uint64_t at = header.tail; at < header.head;) {
    const uint64_t place = at & (header.size - 1);
    const uint64_t left = header.head - at < header.size - place ? header.head - at : header.size - place;
    rk_spool_row row;
    const rk_status parsed = rk_spool_row_parse(bytes + RK_RING_HEADER_SIZE + place, (size_t)left, &row);
    at += row.size;
    if (parsed == RK_END) {
      continue;
    }
    assert_int_equal(parsed, RK_OK);
    assert_int_equal(row.row_number, next);
    next++;
    assert_true(row.entity < DEFINED_MAX && all.entities[row.entity][0] == '/');
    assert_true(row.timeline_set < DEFINED_MAX && all.sets[row.timeline_set] == row.timeline_count);
    assert_int_not_equal(row.timeline_count, 0);
    rk_spool_cell cell;
    for (size_t position = 0; rk_spool_cell_next(&row, &position, &cell);) {
      rk_arena arena = {0};
      rk_field *field;
      struct ArrowArray array;
      assert_true(cell.component < DEFINED_MAX);
      assert_int_equal(rk_field_parse(&arena, all.components[cell.component], &field, NULL), RK_OK);
      if (cell.form == RK_CELL_FLAT) {
        assert_int_equal(rk_flat_read(&arena, field, cell.data, cell.size, cell.count, &array), RK_OK);
      } else {
        assert_int_equal(cell.size, cell.count * rk_field_packed_size(field));
      }
      rk_arena_free(&arena);
    }
  }
  assert_true(next > file->writers[0].rows);
  assert_int_equal(next, 1 + 4000); /* the start time, then all that was logged */
  free(bytes);
  free(file);
}

int main(void)
{
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)
  const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
      IN_SCENE(test_fork),       IN_SCENE(test_fork_meanwhile),
      IN_SCENE(test_locks),
#endif
      IN_SCENE(test_processes),  IN_SCENE(test_exit),
      IN_SCENE(test_file_limit), IN_SCENE(test_file_limit_shared),
      IN_SCENE(test_full_ring),  IN_SCENE(test_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
