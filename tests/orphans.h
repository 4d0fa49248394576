/* Writers that are killed before they have appended their rows, and what a reader finds of these. */
#ifndef RK_TESTS_ORPHANS_H
#define RK_TESTS_ORPHANS_H

#include "tests/children.h"
#include "tests/files.h"
#include "tests/stamps.h"

#include <signal.h>
#include <sys/wait.h>

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

static inline void on_loss(void *context, const rk_loss *loss)
{
  found *f = context;
  f->losses++;
  f->losses_in_spool += strstr(loss->input, ".spool") != NULL || strstr(loss->input, "/shared") != NULL;
  snprintf(f->last_loss, sizeof f->last_loss, "%s", loss->reason);
}

/* Checks the row's stamp and that it comes once; other rows (the recording's own) are passed over. */
static inline bool take_row(found *f, const rk_row *row)
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
static inline bool find(found *f, const char *path, const rk_reader_options *options)
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

static inline found *found_of(const char *path, const rk_reader_options *options)
{
  static found f;
  if (!find(&f, path, options)) {
    fail_msg("a row is wrong, or comes twice");
  }
  return &f;
}

/* ---- Files ---- */

/* The directory's only file with that ending. */
static inline char *only(const char *directory, const char *ending)
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
static inline uint64_t picture(const char *directory)
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
      file_bytes b = slurp(path);
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

static inline const rk_entity *entity_of(rk_recording *recording, uint32_t logger)
{
  char name[32];
  snprintf(name, sizeof name, "logger/%u", (unsigned)logger);
  return rk_entity_at(recording, name);
}

static inline pid_t killed_with(const char *path, const rk_recording_options *options, work_fn *work)
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
  expect_killed(child);
  return child;
}

static inline pid_t killed(const char *path, work_fn *work)
{
  return killed_with(path, NULL, work);
}

static inline void log_rows(rk_recording *recording, uint32_t logger, uint32_t first, uint32_t count)
{
  const rk_entity *entity = entity_of(recording, logger);
  for (uint32_t i = first; i < first + count; i++) {
    rk_time_set_sequence(recording, "step", i / 7);
    log_stamp(recording, entity, logger, i, i % 40);
  }
}

static inline void log_100(rk_recording *recording)
{
  log_rows(recording, 0, 0, 100);
}

static inline void flush_half(rk_recording *recording)
{
  log_rows(recording, 0, 0, 100);
  log_rows(recording, 1, 0, 100);
  if (rk_recording_flush(recording) != RK_OK) {
    abort();
  }
  log_rows(recording, 1, 100, 100);
  log_rows(recording, 2, 0, 50);
}

static inline void log_five(rk_recording *recording)
{
  for (uint32_t i = 0; i < 5; i++) {
    log_rows(recording, i, 0, 20);
  }
}

#endif
