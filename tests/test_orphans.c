/* Rows that dead writers left in their spools, read without changing anything: all of them, each once, and no others
 * whatever the spool's bytes are. */
#include "tests/stamps.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/spool.h"
#include "rrdkit/reader.h"

enum { LOGGERS = 8, NUMBERS = 4096, RING = 65536 };

/* ---- What a reader found ---- */

typedef struct found {
  uint8_t seen[LOGGERS][NUMBERS];
  size_t rows;
  size_t losses, losses_in_spool;
  char last_loss[256]; /* reason */
  rk_reader_stats stats;
  uint64_t spool_rows_of_chunks;
} found;

static void on_loss(void *context, const rk_loss *loss)
{
  found *f = context;
  f->losses++;
  f->losses_in_spool += strstr(loss->input, ".spool") != NULL || strstr(loss->input, "/shared") != NULL;
  snprintf(f->last_loss, sizeof f->last_loss, "%s", loss->reason);
}

/* Checks the row's stamp and that it comes once; other rows (the recording's own) are passed over. */
static bool take_row(found *f, const rk_row *row)
{
  for (size_t i = 0; i < row->component_count; i++) {
    const rk_component_cell *cell = &row->components[i];
    stamp head;
    if (strcmp(cell->component, "stamp") != 0) {
      continue;
    }
    const uint8_t *bytes = (const uint8_t *)cell->values->buffers[1] + cell->values->offset + cell->start;
    if (cell->count < (int64_t)sizeof head) {
      return false;
    }
    memcpy(&head, bytes, sizeof head);
    const size_t extra = (size_t)cell->count - sizeof head;
    char entity[32];
    snprintf(entity, sizeof entity, "/logger/%u", (unsigned)head.logger);
    if (head.check != check_of(head.logger, head.number, extra) || head.logger >= LOGGERS || head.number >= NUMBERS ||
        strcmp(row->entity_path, entity) != 0 || row->writer == NULL || f->seen[head.logger][head.number]++ != 0) {
      return false;
    }
    f->rows++;
  }
  return true;
}

/* Reads all rows; false: one of them is nobody's, or comes twice. Not with cmocka: also in children. */
static bool find(found *f, const char *path, const rk_reader_options *options)
{
  memset(f, 0, sizeof *f);
  rk_reader_options own = options == NULL ? (rk_reader_options){0} : *options;
  own.on_loss = on_loss;
  own.context = f;
  rk_reader *reader;
  rk_error error;
  if (rk_reader_open(&own, &reader, &error) != RK_OK) {
    return false;
  }
  if (rk_reader_add(reader, path, NULL, &error) != RK_OK) {
    fprintf(stderr, "add: %s\n", error.message);
    rk_reader_free(reader);
    return false;
  }
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_chunk(reader, &chunk)) == RK_OK) {
    f->spool_rows_of_chunks += chunk->from_spool ? chunk->row_count : 0;
  }
  const rk_row *row;
  bool sound = status == RK_END;
  while (sound && (status = rk_reader_next(reader, &row)) == RK_OK) {
    sound = take_row(f, row);
  }
  rk_reader_get_stats(reader, &f->stats);
  rk_reader_free(reader);
  return sound && status == RK_END;
}

static found *found_of(const char *path, const rk_reader_options *options)
{
  static found f;
  if (!find(&f, path, options)) {
    fail_msg("a row is wrong, or comes twice");
  }
  return &f;
}

/* ---- Files ---- */

typedef struct bytes {
  uint8_t *data;
  size_t size;
} bytes;

static bytes slurp(const char *path)
{
  bytes b = {0};
  struct stat info;
  const int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && fstat(fd, &info) == 0);
  b.size = (size_t)info.st_size;
  b.data = malloc(b.size + 1);
  assert_non_null(b.data);
  assert_int_equal(read(fd, b.data, b.size), b.size);
  close(fd);
  return b;
}

static void put_file(const char *path, const void *data, size_t size)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

/* The directory's only file with that ending. */
static char *only(const char *directory, const char *ending)
{
  assert_int_equal(count_entries(directory, ending), 1);
  DIR *entries = opendir(directory);
  char *path = NULL;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const size_t size = strlen(entry->d_name), end = strlen(ending);
    if (size >= end && strcmp(entry->d_name + size - end, ending) == 0) {
      assert_true(asprintf(&path, "%s/%s", directory, entry->d_name) > 0);
    }
  }
  closedir(entries);
  return path;
}

/* A hash over names, modes, sizes, times and contents of all files below the directory. */
static uint64_t picture(const char *directory)
{
  uint64_t sum = 0;
  DIR *entries = opendir(directory);
  assert_non_null(entries);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    assert_int_equal(lstat(path, &info), 0);
    uint64_t parts[6] = {XXH3_64bits(entry->d_name, strlen(entry->d_name)),
                         info.st_mode,
                         (uint64_t)info.st_size,
                         (uint64_t)info.st_mtim.tv_sec,
                         (uint64_t)info.st_mtim.tv_nsec,
                         info.st_ino};
    uint64_t content = 0;
    if (S_ISDIR(info.st_mode)) {
      content = picture(path);
    } else {
      bytes b = slurp(path);
      content = XXH3_64bits(b.data, b.size);
      free(b.data);
    }
    sum += XXH3_64bits_withSeed(parts, sizeof parts, content);
  }
  closedir(entries);
  return sum;
}

/* ---- Writers that die ---- */

typedef void work_fn(rk_recording *recording);

static const rk_entity *entity_of(rk_recording *recording, uint32_t logger)
{
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)logger);
  return rk_entity_at(recording, name);
}

static pid_t killed_with(const char *path, const rk_recording_options *options, work_fn *work)
{
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    rk_recording_options own = options == NULL ? (rk_recording_options){0} : *options;
    own.flush_age_ns = 600000000000;
    own.ring_size = own.ring_size == 0 ? RING : own.ring_size;
    rk_recording *recording = open_at(path, &own);
    work(recording);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return child;
}

static pid_t killed(const char *path, work_fn *work)
{
  return killed_with(path, NULL, work);
}

static void log_rows(rk_recording *recording, uint32_t logger, uint32_t first, uint32_t count)
{
  const rk_entity *entity = entity_of(recording, logger);
  for (uint32_t i = first; i < first + count; i++) {
    rk_time_set_sequence(recording, "step", i / 7);
    log_stamp(recording, entity, logger, i, i % 40);
  }
}

static void log_100(rk_recording *recording)
{
  log_rows(recording, 0, 0, 100);
}

static void flush_half(rk_recording *recording)
{
  log_rows(recording, 0, 0, 100);
  log_rows(recording, 1, 0, 100);
  if (rk_recording_flush(recording) != RK_OK) {
    abort();
  }
  log_rows(recording, 1, 100, 100);
  log_rows(recording, 2, 0, 50);
}

static void log_threads(rk_recording *recording)
{
  run_threads(recording, 0, 4, 300);
}

static void log_five(rk_recording *recording)
{
  for (uint32_t i = 0; i < 5; i++) {
    log_rows(recording, i, 0, 20);
  }
}

static void log_five_and_flush(rk_recording *recording)
{
  log_five(recording);
  if (rk_recording_flush(recording) != RK_OK) {
    abort();
  }
}

/* The ring has been gone round several times; the last 100 rows are in it. */
static void log_laps(rk_recording *recording)
{
  for (uint32_t i = 0; i < 40; i++) {
    log_rows(recording, 0, i * 100, 100);
    if (i < 39 && rk_recording_flush(recording) != RK_OK) {
      abort();
    }
  }
}

/* ---- Tests ---- */

static void test_killed(void **state)
{
  const scene *s = *state;
  const pid_t child = killed(s->path, log_100);
  const uint64_t before = picture(s->directory);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->losses, 0);
  assert_int_equal(f->stats.spool_rows, 101); /* with the creator's: when the recording starts */
  assert_int_equal(f->spool_rows_of_chunks, 101);
  assert_int_equal(f->stats.duplicate_rows, 0);
  f = found_of(s->path, &(rk_reader_options){.ignore_spools = true});
  assert_int_equal(f->rows, 0);
  assert_int_equal(f->losses + f->stats.spool_rows, 0);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  size_t count;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  assert_true(count >= 1);
  assert_int_equal(writers[0]->pid, child);
  rk_reader_free(reader);
  assert_true(picture(s->directory) == before);
}

static void test_partly_appended(void **state)
{
  const scene *s = *state;
  killed(s->path, flush_half);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 350);
  assert_int_equal(f->stats.spool_rows, 150);
  assert_int_equal(f->losses + f->stats.duplicate_rows + f->stats.clamped_rows, 0);
  f = found_of(s->path, &(rk_reader_options){.entities = (const char *const[]){"/logger/2"}, .entity_count = 1});
  assert_int_equal(f->rows, 50);
}

static void test_threads_and_processes(void **state)
{
  const scene *s = *state;
  killed_with(s->path, &(rk_recording_options){.ring_size = (size_t)1 << 20}, log_threads);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 4 * 300);
  assert_int_equal(f->losses, 0);
  char merged[128];
  snprintf(merged, sizeof merged, "%s/merged.rrd", s->directory);
  const int fd = open(merged, O_WRONLY | O_CREAT, 0600);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  assert_int_equal(rk_reader_merge(reader, fd, NULL, NULL, NULL), RK_OK);
  rk_reader_free(reader);
  close(fd);
  f = found_of(merged, NULL);
  assert_int_equal(f->rows, 4 * 300);
  assert_int_equal(f->stats.spool_rows, 0);
}

/* The same spool under two names of one file: its rows come once. */
static void test_two_inputs(void **state)
{
  const scene *s = *state;
  char other[128];
  killed(s->path, log_five);
  snprintf(other, sizeof other, "%s/link.rrd", s->directory);
  assert_int_equal(symlink(s->path, other), 0);
  rk_reader *reader;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, s->path, NULL, NULL), RK_OK);
  assert_int_equal(rk_reader_add(reader, other, NULL, NULL), RK_OK);
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  assert_int_equal(stats.spool_rows, 101);
  rk_reader_free(reader);
}

static void test_alive(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_at(s->path, &(rk_recording_options){.flush_age_ns = 600000000000});
  log_rows(recording, 0, 0, 10);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows + f->losses, 0);
  rk_recording_free(recording);
  f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 10);
  assert_int_equal(f->stats.spool_rows, 0);
}

/* An adopter holds the lock of a process that is gone: its rows may reach the file after it was scanned. */
static void test_being_adopted(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *path = only(s->spool, ".defs");
  const int fd = open(path, O_RDWR);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->losses, 0);
  close(fd);
  free(path);
}

/* Read while another process adopts: at every moment the rows are there, each once. */
static void test_adopted_meanwhile(void **state)
{
  const scene *s = *state;
  size_t reads = 0, from_spool = 0;
  for (uint32_t round = 0; round < 40 || ((from_spool == 0 || reads <= 40) && round < 400); round++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%u.rrd", s->directory, (unsigned)round);
    killed(path, log_five);
    const pid_t adopter = fork();
    if (adopter == 0) {
      usleep(round % 40 * 100);
      _exit(rk_recording_close(open_at(path, NULL)) == RK_OK ? 0 : 1);
    }
    int status = 0;
    for (bool over = false; !over; reads++) {
      over = waitpid(adopter, &status, WNOHANG) == adopter;
      const found *f = found_of(path, NULL);
      if (f->losses != 0) {
        fail_msg("lost: %s", f->last_loss);
      }
      assert_int_equal(f->rows, 100);
      from_spool += f->stats.spool_rows > 0;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(found_of(path, NULL)->stats.spool_rows, 0);
  }
  assert_true(reads > 40 && from_spool > 0);
}

/* A drain that was cut off after any number of its chunks. */
static void test_intent(void **state)
{
  const scene *s = *state;
  killed(s->path, log_five_and_flush);
  char *ring = only(s->spool, ".ring");
  bytes b = slurp(ring), file = slurp(s->path);
  rk_ring_header header;
  memcpy(&header, b.data, sizeof header);
  assert_int_equal(header.tail, header.head);
  assert_true(header.intent_begin < header.intent_end && header.intent_end == header.head);
  header.tail = header.intent_begin;
  memcpy(b.data, &header, sizeof header);
  put_file(ring, b.data, b.size);
  size_t ends[64];
  size_t count = 0;
  for (size_t at = RK_STREAM_HEADER_SIZE; at < file.size; count++) {
    rk_frame_header frame;
    assert_true(count < 64 && rk_frame_header_decode(file.data + at, &frame));
    at += RK_FRAME_HEADER_SIZE + (size_t)frame.size;
    ends[count] = at;
  }
  assert_true(count >= 6);
  for (size_t kept = count; kept >= count - 5; kept--) {
    put_file(s->path, file.data, ends[kept - 1]);
    const found *f = found_of(s->path, NULL);
    assert_int_equal(f->rows, 100);
    assert_int_equal(f->stats.spool_rows, 20 * (count - kept));
    assert_int_equal(f->losses + f->stats.duplicate_rows, 0);
  }
  header.chunk_number = header.intent_chunk_number; /* not yet ahead */
  memcpy(b.data, &header, sizeof header);
  put_file(ring, b.data, b.size);
  put_file(s->path, file.data, ends[count - 4]);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->stats.spool_rows, 60);
  /* A chunk that is there but damaged does not count: its rows still lie in the ring. */
  file.data[ends[count - 1] - 200] ^= 1;
  put_file(s->path, file.data, file.size);
  f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->stats.spool_rows, 20);
  assert_int_equal(f->losses, 1);
  assert_int_equal(f->losses_in_spool, 0);
  free(ring);
  free(b.data);
  free(file.data);
}

static void test_shared_directory(void **state)
{
  const scene *s = *state;
  char shared[96], other[128];
  snprintf(shared, sizeof shared, "%s/shared", s->directory);
  snprintf(other, sizeof other, "%s/other.rrd", s->directory);
  const rk_recording_options options = {.spool_directory = shared};
  killed_with(s->path, &options, log_100);
  killed_with(other, &options, log_five);
  assert_int_equal(count_entries(shared, ".defs"), 2);
  assert_int_equal(found_of(s->path, NULL)->rows, 0);
  const rk_reader_options reading = {.spool_directory = shared};
  const found *f = found_of(s->path, &reading);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->losses, 0);
  for (uint32_t logger = 1; logger < 5; logger++) {
    assert_int_equal(f->seen[logger][0], 0);
  }
  assert_int_equal(setenv("RRDKIT_SPOOL_DIR", shared, 1), 0);
  f = found_of(other, NULL);
  assert_int_equal(unsetenv("RRDKIT_SPOOL_DIR"), 0);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->seen[4][19], 1);
  assert_int_equal(f->losses, 0);
}

/* Reads in a child, as another user where this one is root; returns its verdict. */
static int read_elsewhere(const char *path, size_t rows, size_t losses)
{
  const pid_t child = fork();
  if (child == 0) {
    static found f;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
      _exit(9);
    }
    if (!find(&f, path, NULL)) {
      _exit(2);
    }
    _exit(f.rows == rows && f.losses == losses && f.losses_in_spool == losses ? 0 : 1);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void test_permissions(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *defs = only(s->spool, ".defs"), *ring = only(s->spool, ".ring");
  assert_int_equal(chmod(s->path, 0444) | chmod(defs, 0444) | chmod(ring, 0444), 0);
  assert_int_equal(chmod(s->spool, 0555) | chmod(s->directory, 0555), 0);
  const uint64_t before = picture(s->directory);
  assert_int_equal(read_elsewhere(s->path, 100, 0), 0);
  assert_true(picture(s->directory) == before);
  assert_int_equal(chmod(s->spool, 0), 0);
  assert_int_equal(read_elsewhere(s->path, 0, 1), 0);
  assert_int_equal(chmod(s->spool, 0755) | chmod(ring, 0), 0);
  assert_int_equal(read_elsewhere(s->path, 0, 1), 0);
  assert_int_equal(chmod(ring, 0444) | chmod(defs, 0), 0);
  assert_int_equal(read_elsewhere(s->path, 0, 1), 0);
  assert_int_equal(chmod(s->directory, 0755) | chmod(defs, 0644), 0);
  free(defs);
  free(ring);
}

static void move_entries(const char *from, const char *to)
{
  DIR *entries = opendir(from);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    char a[512], b[512];
    if (entry->d_name[0] != '.') {
      snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
      snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
      assert_int_equal(rename(a, b), 0);
    }
  }
  closedir(entries);
}

static void test_foreign(void **state)
{
  const scene *s = *state;
  char other[128], other_spool[160];
  snprintf(other, sizeof other, "%s/other.rrd", s->directory);
  snprintf(other_spool, sizeof other_spool, "%s.spool", other);
  killed(s->path, log_100);
  killed(other, log_five);
  move_entries(other_spool, s->spool);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 100);
  assert_int_equal(f->losses, 1);
  assert_int_equal(f->losses_in_spool, 1);
  assert_non_null(strstr(f->last_loss, "another recording"));
}

static void test_no_definitions(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *defs = only(s->spool, ".defs");
  bytes b = slurp(defs);
  put_file(defs, "", 0);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 0);
  assert_int_equal(f->losses_in_spool, 1);
  assert_int_equal(unlink(defs), 0);
  f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 0);
  assert_int_equal(f->losses_in_spool, 1);
  assert_int_equal(symlink("/etc/passwd", defs), 0); /* never followed */
  f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 0);
  assert_int_equal(f->losses_in_spool, 1);
  unlink(defs);
  assert_int_equal(mkfifo(defs, 0600), 0); /* never waited for */
  f = found_of(s->path, NULL);
  assert_int_equal(f->losses_in_spool, 1);
  unlink(defs);
  put_file(defs, b.data, b.size);
  assert_int_equal(found_of(s->path, NULL)->rows, 100);
  free(b.data);
  free(defs);
}

static void test_hostile_headers(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *ring = only(s->spool, ".ring");
  const bytes b = slurp(ring);
  rk_ring_header good;
  memcpy(&good, b.data, sizeof good);
  const rk_ring_header bad[] = {
      {.size = (uint64_t)1 << 30, .head = good.head},
      {.size = UINT64_MAX, .head = good.head},
      {.size = 0, .head = good.head},
      {.size = RING, .head = UINT64_MAX - 7},
      {.size = RING, .head = RING + 8},
      {.size = RING, .head = 8, .tail = 16},
      {.size = RING, .head = 12},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    rk_ring_header header = good;
    header.size = bad[i].size;
    header.head = bad[i].head;
    header.tail = bad[i].tail;
    memcpy(b.data, &header, sizeof header);
    put_file(ring, b.data, b.size);
    const found *f = found_of(s->path, NULL);
    assert_int_equal(f->rows, 0);
    assert_int_equal(f->losses_in_spool, 1);
  }
  rk_ring_header header = good;
  header.version = 2;
  memcpy(b.data, &header, sizeof header);
  put_file(ring, b.data, b.size);
  const found *f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 0);
  assert_non_null(strstr(f->last_loss, "version 2"));
  /* A large sparse ring of zeros. */
  header = good;
  header.size = (uint64_t)32 << 20;
  header.head = header.size;
  memcpy(b.data, &header, sizeof header);
  put_file(ring, b.data, sizeof header);
  assert_int_equal(truncate(ring, (off_t)header.size + RK_RING_HEADER_SIZE), 0);
  f = found_of(s->path, NULL);
  assert_int_equal(f->rows, 0);
  assert_int_equal(f->losses_in_spool, 1);
  free(b.data);
  free(ring);
}

/* Every bit of the header's fields, sampled bytes behind them: no row that was not logged, none twice. */
static void test_damaged_header(void **state)
{
  const scene *s = *state;
  killed(s->path, log_laps);
  assert_int_equal(found_of(s->path, NULL)->stats.spool_rows, 100);
  char *ring = only(s->spool, ".ring");
  const int fd = open(ring, O_RDWR);
  const bytes b = slurp(ring);
  size_t whole = 0, reported = 0;
  for (size_t bit = 0; bit < 8 * (size_t)RK_RING_HEADER_SIZE; bit += bit < 8 * 192 ? 1 : 997) {
    const uint8_t damaged = (uint8_t)(b.data[bit / 8] ^ 1U << (bit % 8));
    assert_int_equal(pwrite(fd, &damaged, 1, (off_t)(bit / 8)), 1);
    const found *f = found_of(s->path, NULL);
    assert_true(f->rows <= 4000);
    assert_true(f->rows >= 3900); /* what the file holds */
    whole += f->rows == 4000;
    reported += f->losses > 0;
    assert_int_equal(pwrite(fd, &b.data[bit / 8], 1, (off_t)(bit / 8)), 1);
  }
  assert_true(whole > 300 && reported > 300);
  assert_int_equal(found_of(s->path, NULL)->rows, 4000);
  close(fd);
  free(b.data);
  free(ring);
}

/* A definition that is damaged is never half believed: rows that need it are reported, those before it may be read. */
static void test_damaged_definitions(void **state)
{
  const scene *s = *state;
  killed(s->path, flush_half);
  char *defs = only(s->spool, ".defs");
  const int fd = open(defs, O_RDWR);
  const bytes b = slurp(defs);
  for (size_t at = 0; at < b.size; at++) {
    const uint8_t damaged = (uint8_t)(b.data[at] ^ (1U << (at % 8)));
    assert_int_equal(pwrite(fd, &damaged, 1, (off_t)at), 1);
    const found *f = found_of(s->path, NULL);
    assert_true(f->rows >= 200 && f->rows <= 350);
    assert_true(f->rows == 350 || f->losses_in_spool > 0);
    assert_int_equal(pwrite(fd, &b.data[at], 1, (off_t)at), 1);
  }
  for (size_t size = 0; size < b.size; size += 3) {
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    const found *f = found_of(s->path, NULL);
    assert_true(f->rows == 350 || f->losses_in_spool > 0);
    assert_int_equal(pwrite(fd, b.data, b.size, 0), b.size);
  }
  assert_int_equal(found_of(s->path, NULL)->rows, 350);
  close(fd);
  free(b.data);
  free(defs);
}

/* A ring file that is cut short, and rows that are overwritten by zeros from some place on. */
static void test_damaged_rows(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *ring = only(s->spool, ".ring");
  const bytes b = slurp(ring);
  for (size_t size = 0; size < b.size; size += 4099) {
    put_file(ring, b.data, size);
    const found *f = found_of(s->path, NULL);
    assert_int_equal(f->rows, 0);
    assert_int_equal(f->losses_in_spool, size > 0);
  }
  rk_ring_header header;
  memcpy(&header, b.data, sizeof header);
  uint8_t *copy = malloc(b.size);
  size_t before = 0;
  for (size_t at = 0; at < header.head; at += 1000) {
    memcpy(copy, b.data, b.size);
    memset(copy + RK_RING_HEADER_SIZE + at, 0, b.size - RK_RING_HEADER_SIZE - at);
    put_file(ring, copy, b.size);
    static found f;
    (void)find(&f, s->path, NULL); /* the row that was cut may have lost its payload, not its shape */
    assert_true(f.rows >= before && f.rows < 100);
    assert_true(f.losses_in_spool > 0);
    before = f.rows;
  }
  assert_true(before > 50);
  free(copy);
  free(b.data);
  free(ring);
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_killed),
      IN_SCENE(test_partly_appended),
      IN_SCENE(test_threads_and_processes),
      IN_SCENE(test_two_inputs),
      IN_SCENE(test_alive),
      IN_SCENE(test_being_adopted),
      IN_SCENE(test_adopted_meanwhile),
      IN_SCENE(test_intent),
      IN_SCENE(test_shared_directory),
      IN_SCENE(test_permissions),
      IN_SCENE(test_foreign),
      IN_SCENE(test_no_definitions),
      IN_SCENE(test_hostile_headers),
      IN_SCENE(test_damaged_header),
      IN_SCENE(test_damaged_definitions),
      IN_SCENE(test_damaged_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
