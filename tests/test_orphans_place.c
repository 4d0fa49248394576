/* Where the rows of dead writers are looked for: spools elsewhere, shared ones, those that may only be read, those of
 * other recordings. */
#include "tests/orphans.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_shared_directory),
      IN_SCENE(test_permissions),
      IN_SCENE(test_foreign),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
