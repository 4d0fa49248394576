/* Around the append: statistics, errors told, durability, files that vanish, places that do not serve, the spool's
 * rights. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appended.h"
#include "heard.h"
#include "patience.h"
#include "rrdkit/rrdkit.h"
#include "writer/writer_internal.h"

static rk_recording *open_with(const char *path, rk_recording_options options)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  options.application_id = "append";
  if (rk_recording_open(path, &options, &recording, &error) != RK_OK) {
    fail_msg("%s", error.message);
  }
  return recording;
}

static void log_value(rk_recording *recording, double value)
{
  const rk_component *component = rk_component_builtin("Scalars:scalars");
  assert_int_equal(rk_log(recording, rk_entity_at(recording, "x"),
                          &(rk_cell){.component = component, .count = 1, .values = &value}, 1),
                   RK_OK);
}

static void test_stats(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_with(s->path, (rk_recording_options){.flush_age_ns = 3600000000000});
  rk_recording_stats stats;
  for (int i = 0; i < 100; i++) {
    log_value(recording, i);
  }
  rk_recording_get_stats(recording, &stats);
  assert_int_equal(stats.rows_accepted, 101); /* and the start time */
  assert_int_equal(stats.rows_appended, 0);
  assert_int_equal(stats.records, 0);
  struct stat before, after;
  assert_int_equal(stat(s->path, &before), 0);
  assert_int_equal(rk_recording_sync(recording), RK_OK);
  assert_int_equal(stat(s->path, &after), 0);
  rk_recording_get_stats(recording, &stats);
  assert_int_equal(stats.rows_appended, 101);
  assert_int_equal(stats.records, 1);
  assert_int_equal(stats.bytes, after.st_size - before.st_size);
  assert_int_equal(stats.rows_dropped + stats.heals + stats.adoptions + stats.errors, 0);
  /* Room is reserved ahead of the end while it is open, and not after. */
  assert_true((off_t)after.st_blocks * 512 > after.st_size + (1 << 20));
  const pid_t child = fork();
  if (child == 0) {
    rk_recording_get_stats(recording, &stats);
    _exit(stats.rows_accepted == 0 && stats.records == 0 && stats.bytes == 0 ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_get_stats(recording, &stats);
  assert_int_equal(stats.rows_accepted, 101);
  rk_recording_free(recording);
  assert_int_equal(stat(s->path, &after), 0);
  assert_true((off_t)after.st_blocks * 512 < after.st_size + (1 << 16));
  rk_recording_get_stats(NULL, &stats);
  assert_int_equal(stats.rows_accepted, 0);
  rk_recording_get_stats(NULL, NULL);
  assert_int_equal(rk_recording_sync(NULL), RK_ERR_MISUSE);
}

static void *log_one(void *argument)
{
  log_value(argument, 1);
  return NULL;
}

/* Rows of threads that are gone, and of rings used again, stay counted. */
static void test_stats_of_threads(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_with(s->path, (rk_recording_options){0});
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, log_one, recording), 0);
    pthread_join(thread, NULL);
  }
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  assert_int_equal(stats.rows_accepted, 21);
  rk_recording_free(recording);
}

static void test_sync_interval(void **state)
{
  const scene *s = *state;
  rk_recording *recording =
      open_with(s->path, (rk_recording_options){.flush_age_ns = 20000000, .sync_interval_ns = 20000000});
  unsigned looks = 0;
  while (__atomic_load_n(&recording->synced_bytes, __ATOMIC_RELAXED) == 0 && be_patient(&looks)) {
    log_value(recording, looks);
  }
  assert_true(__atomic_load_n(&recording->synced_bytes, __ATOMIC_RELAXED) > 0);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  rk_error error;
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.sync_interval_ns = -1}, &recording, &error),
                   RK_ERR_MISUSE);
  assert_int_equal(
      rk_recording_open(s->path, &(rk_recording_options){.on_full = (rk_full_policy)7}, &recording, &error),
      RK_ERR_MISUSE);
}

/* ---- A file that vanishes ---- */

static void vanish(const scene *s, bool replace, int expected)
{
  heard ear = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  rk_recording *recording =
      open_with(s->path, (rk_recording_options){.on_error = hear, .context = &ear, .flush_age_ns = 50000000});
  log_value(recording, 1);
  char kept[128];
  snprintf(kept, sizeof kept, "%s/kept.rrd", s->directory);
  assert_int_equal(link(s->path, kept), 0);
  if (replace) {
    char other[128];
    snprintf(other, sizeof other, "%s/other", s->directory);
    close(open(other, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(rename(other, s->path), 0);
  } else {
    assert_int_equal(unlink(s->path), 0);
  }
  unsigned count = 0, looks = 0;
  while (count == 0 && be_patient(&looks)) {
    pthread_mutex_lock(&ear.mutex);
    count = ear.count;
    pthread_mutex_unlock(&ear.mutex);
  }
  assert_int_equal(count, 1);
  assert_int_equal(ear.last.sys_errno, expected);
  rk_error error;
  rk_recording_error(recording, &error);
  assert_int_equal(error.sys_errno, expected);
  log_value(recording, 2); /* goes on, to the open file */
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  assert_int_equal(ear.count, 1);
  appended *file = appended_read(kept, NULL, NULL);
  assert_int_equal(file->row_count, 3);
  free(file);
}

static void test_removed(void **state)
{
  vanish(*state, false, ENOENT);
}

static void test_replaced(void **state)
{
  vanish(*state, true, ESTALE);
}

/* ---- Places ---- */

static void refuse(const char *path, const rk_recording_options *options, rk_status status, int sys_errno,
                   const char *words)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  assert_int_equal(rk_recording_open(path, options, &recording, &error), status);
  assert_null(recording);
  assert_int_equal(error.sys_errno, sys_errno);
  if (strstr(error.message, words) == NULL) {
    fail_msg("\"%s\" does not say \"%s\"", error.message, words);
  }
}

/* Runs as nobody where this is root, whom permissions do not stop. */
static void test_places(void **state)
{
  const scene *s = *state;
  char path[192];
  snprintf(path, sizeof path, "%s/missing/run.rrd", s->directory);
  refuse(path, NULL, RK_ERR_IO, ENOENT, "directory");
  refuse(s->directory, NULL, RK_ERR_NOT_RRD, EISDIR, "cannot be a recording");
  snprintf(path, sizeof path, "%s/fifo", s->directory);
  assert_int_equal(mkfifo(path, 0600), 0);
  refuse(path, NULL, RK_ERR_NOT_RRD, 0, "not a regular file");
  rk_recording *recording = open_with(s->path, (rk_recording_options){.file_mode = 0444});
  rk_recording_free(recording);
  assert_int_equal(chmod(s->path, 0444), 0);
  assert_int_equal(chmod(s->directory, 0555), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
      _exit(1);
    }
    refuse(s->path, NULL, RK_ERR_IO, EACCES, "no permission");
    snprintf(path, sizeof path, "%s/new.rrd", s->directory);
    refuse(path, NULL, RK_ERR_IO, EACCES, "no permission");
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(chmod(s->directory, 0755), 0);
  refuse("/proc/self/run.rrd", NULL, RK_ERR_IO, ENOENT, "directory");
}

/* ---- Network file systems ---- */

static bool always(int fd)
{
  (void)fd;
  return true;
}

static void test_network(void **state)
{
  const scene *s = *state;
  bool (*const before)(int) = rk_is_network;
  rk_is_network = always;
  refuse(s->path, NULL, RK_ERR_UNSUPPORTED, 0, "network");
  assert_int_equal(count_entries(s->directory, ""), 0);
  refuse(s->path, &(rk_recording_options){.network = RK_NETWORK_FILE_PER_PROCESS}, RK_ERR_MISUSE, 0, "recording id");
  rk_recording *recordings[2];
  for (int i = 0; i < 2; i++) {
    recordings[i] =
        open_with(s->path, (rk_recording_options){.recording_id = "all", .network = RK_NETWORK_FILE_PER_PROCESS});
    log_value(recordings[i], i);
    assert_int_not_equal(access(rk_recording_path(recordings[i]), F_OK), -1);
    assert_string_equal(rk_recording_recording_id(recordings[i]), "all");
  }
  assert_string_not_equal(rk_recording_path(recordings[0]), rk_recording_path(recordings[1]));
  char own[64];
  snprintf(own, sizeof own, "-%ld-", (long)getpid());
  assert_non_null(strstr(rk_recording_path(recordings[0]), own));
  assert_int_equal(access(s->path, F_OK), -1);
  rk_reader *reader;
  rk_error error;
  assert_int_equal(rk_reader_open(&(rk_reader_options){0}, &reader, &error), RK_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(rk_recording_close(recordings[i]), RK_OK);
    assert_int_equal(rk_reader_add(reader, rk_recording_path(recordings[i]), NULL, &error), RK_OK);
  }
  size_t stores, rows = 0;
  rk_reader_stores(reader, &stores);
  assert_int_equal(stores, 1); /* one recording */
  const rk_row *row;
  while (rk_reader_next(reader, &row) == RK_OK) {
    rows += !row->is_static;
  }
  assert_int_equal(rows, 2);
  rk_reader_free(reader);
  assert_int_equal(count_entries(s->directory, ".rrd"), 2);
  rk_recording_free(recordings[0]);
  rk_recording_free(recordings[1]);
  rk_is_network = before;
  /* On other file systems the policy changes nothing. */
  rk_recording *plain = open_with(s->path, (rk_recording_options){.network = RK_NETWORK_FILE_PER_PROCESS});
  char *real = realpath(s->path, NULL);
  assert_string_equal(rk_recording_path(plain), real);
  free(real);
  rk_recording_free(plain);
}

/* ---- The spool ---- */

static void test_spool_rights(void **state)
{
  const scene *s = *state;
  const mode_t before = umask(0);
  static const mode_t modes[][2] = {{0600, 0700}, {0640, 0750}, {0664, 0775}, {0666, 0777}};
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    umask(0);
    rk_recording *recording = open_with(s->path, (rk_recording_options){.file_mode = modes[i][0]});
    umask(077); /* the recording decides, not who comes later */
    log_value(recording, 1);
    struct stat info;
    assert_int_equal(stat(s->spool, &info), 0);
    DIR *entries = opendir(s->spool);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
      struct stat file;
      assert_int_equal(fstatat(dirfd(entries), entry->d_name, &file, AT_SYMLINK_NOFOLLOW), 0);
      if (S_ISREG(file.st_mode)) {
        assert_int_equal(file.st_mode & 0777, modes[i][0]);
        count++;
      }
    }
    closedir(entries);
    assert_int_equal(count, 2);
    rk_recording_free(recording);
    assert_int_equal(unlink(s->path), 0);
  }
  umask(before);
}

static void test_spool_refused(void **state)
{
  const scene *s = *state;
  char elsewhere[192];
  snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", s->directory);
  assert_int_equal(mkdir(elsewhere, 0755), 0);
  assert_int_equal(symlink(elsewhere, s->spool), 0); /* laid by somebody: not followed */
  refuse(s->path, NULL, RK_ERR_IO, ENOTDIR, "RRDKIT_SPOOL_DIR");
  assert_int_equal(count_entries(elsewhere, ""), 0);
  unlink(s->path);
  /* Named by the user, a link will do. */
  rk_recording *recording = open_with(s->path, (rk_recording_options){.spool_directory = s->spool});
  log_value(recording, 1);
  assert_int_equal(count_entries(elsewhere, ".ring"), 1);
  rk_recording_free(recording);
  assert_int_equal(count_entries(elsewhere, ""), 0);
  assert_int_equal(unlink(s->spool), 0);
  /* Another file system serves. */
  char *name = strdup("/dev/shm/rrdkit-test-XXXXXX");
  assert_non_null(mkdtemp(name));
  recording = open_with(s->path, (rk_recording_options){.spool_directory = name});
  log_value(recording, 1);
  assert_int_equal(count_entries(name, ".ring"), 1);
  rk_recording_free(recording);
  assert_int_equal(count_entries(name, ""), 0);
  assert_int_equal(rmdir(name), 0);
  free(name);
  /* Not writable. */
  assert_int_equal(chmod(s->path, 0666), 0);
  assert_int_equal(mkdir(s->spool, 0555), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (chmod(s->directory, 0755) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) {
      _exit(1);
    }
    recording = open_with(s->path, (rk_recording_options){0});
    const double one = 1;
    const rk_status status =
        rk_log(recording, rk_entity_at(recording, "x"),
               &(rk_cell){.component = rk_component_builtin("Scalars:scalars"), .count = 1, .values = &one}, 1);
    rk_error error;
    rk_recording_error(recording, &error);
    _exit(status == RK_ERR_IO && error.sys_errno == EACCES && strstr(error.message, "RRDKIT_SPOOL_DIR") != NULL ? 0
                                                                                                                : 2);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_stats),   IN_SCENE(test_stats_of_threads), IN_SCENE(test_sync_interval),
      IN_SCENE(test_removed), IN_SCENE(test_replaced),         IN_SCENE(test_places),
      IN_SCENE(test_network), IN_SCENE(test_spool_rights),     IN_SCENE(test_spool_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
