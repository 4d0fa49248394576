/* Compressed recordings and archives as inputs: all of their recordings and nothing else, whatever the bytes are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rrdkit/reader.h"
#include "tests/archives.h"
#include "tests/recordings.h"

enum { ROWS_A = 5, ROWS_B = 3 };

static char directory[] = "/tmp/rrdkit-archive-XXXXXX";
static rk_buffer a, b; /* two recordings */

static int set_up(void **state)
{
  (void)state;
  static const int64_t keys[] = {10, 20, 30, 40, 50};
  test_begin(&a, "app", "a", false);
  test_add_writer(&a, "app", "a", 1);
  test_add_chunk(&a, &(test_chunk){.recording = "a", .entity = "/a", .tag = 1, .row_count = ROWS_A, .keys = keys});
  test_begin(&b, "app", "b", false);
  test_add_writer(&b, "app", "b", 2);
  test_add_chunk(&b, &(test_chunk){.recording = "b", .entity = "/b", .tag = 2, .row_count = ROWS_B, .keys = keys});
  return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int tear_down(void **state)
{
  (void)state;
  rk_buffer_free(&a);
  rk_buffer_free(&b);
  return chdir("/") != 0 || rmdir(directory) != 0;
}

static void put(const char *name, const void *data, size_t size)
{
  unlink(name); /* a file system may write out what replaces a file's contents */
  const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

static size_t count_files(void)
{
  size_t count = 0;
  DIR *entries = opendir(directory);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    count += entry->d_name[0] != '.';
  }
  closedir(entries);
  return count;
}

/* ---- What a reader found ---- */

typedef struct found {
  rk_status status; /* of adding */
  rk_error error;
  size_t rows, losses;
  char inputs[512]; /* names, each with a semicolon */
  char last_loss[512];
  bool stop;
} found;

static void on_loss(void *context, const rk_loss *loss)
{
  found *f = context;
  f->losses++;
  assert_true(loss->reason[0] != '\0' && loss->status != RK_OK);
  snprintf(f->last_loss, sizeof f->last_loss, "%s: %s", loss->input, loss->reason);
}

static bool on_progress(void *context, const char *input, uint64_t done, uint64_t total)
{
  (void)input;
  assert_true(total == 0 || done <= total);
  return !((found *)context)->stop;
}

static found read_it(const char *path, rk_reader_options options, bool stop)
{
  found f = {.stop = stop};
  rk_reader *reader;
  options.on_loss = on_loss;
  options.on_progress = on_progress;
  options.context = &f;
  assert_int_equal(rk_reader_open(&options, &reader, NULL), RK_OK);
  f.status = rk_reader_add(reader, path, NULL, &f.error);
  if (f.status == RK_OK) {
    size_t count;
    const rk_input_info *const *inputs = rk_reader_inputs(reader, &count);
    for (size_t i = 0; i < count; i++) {
      strncat(f.inputs, inputs[i]->name, sizeof f.inputs - strlen(f.inputs) - 2);
      strcat(f.inputs, ";");
      assert_true(inputs[i]->compressed && inputs[i]->size > 0);
    }
    const rk_row *row;
    rk_status status;
    while ((status = rk_reader_next(reader, &row)) == RK_OK) {
      assert_true(strcmp(row->entity_path, "/a") == 0 || strcmp(row->entity_path, "/b") == 0);
      f.rows++;
    }
    assert_int_equal(status, RK_END);
  } else {
    assert_int_equal(f.error.status, f.status);
    assert_true(f.error.message[0] != '\0');
  }
  rk_reader_free(reader);
  return f;
}

static found read_bytes(const char *path, const rk_buffer *bytes)
{
  put(path, bytes->data, bytes->size);
  const found f = read_it(path, (rk_reader_options){0}, false);
  unlink(path);
  return f;
}

/* ---- Tests ---- */

static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP,     ARCHIVE_FILTER_BZIP2,
                              ARCHIVE_FILTER_XZ,   ARCHIVE_FILTER_LZMA,     ARCHIVE_FILTER_LZIP,
                              ARCHIVE_FILTER_LZ4,  ARCHIVE_FILTER_COMPRESS, ARCHIVE_FILTER_ZSTD};

static void compressions(void **state)
{
  (void)state;
  for (size_t i = 1; i < sizeof filters / sizeof filters[0]; i++) {
    rk_buffer once = {0}, twice = {0};
    assert_true(test_compressed(&once, filters[i], a.data, a.size));
    assert_true(once.size != a.size || memcmp(once.data, a.data, a.size) != 0);
    found f = read_bytes("run", &once);
    assert_int_equal(f.status, RK_OK);
    assert_int_equal(f.rows, ROWS_A);
    assert_int_equal(f.losses, 0);
    assert_string_equal(f.inputs, "run;");
    assert_true(test_compressed(&twice, ARCHIVE_FILTER_GZIP, once.data, once.size));
    f = read_bytes("run", &twice);
    assert_int_equal(f.rows, ROWS_A);
    rk_buffer_free(&once);
    rk_buffer_free(&twice);
  }
}

static void formats(void **state)
{
  (void)state;
  static const int codes[] = {
      ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FORMAT_TAR_GNUTAR,      ARCHIVE_FORMAT_ZIP,
      ARCHIVE_FORMAT_7ZIP,      ARCHIVE_FORMAT_CPIO_POSIX,          ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FORMAT_XAR};
  const test_member members[] = {{"readme.txt", "hello", 5, NULL, false},
                                 {"x/a.rrd", a.data, a.size, NULL, false},
                                 {"y/b.bin", b.data, b.size, NULL, false}};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
      rk_buffer bytes = {0};
      assert_true(test_archive(&bytes, codes[i], filters[k], members, 3));
      const found f = read_bytes("runs", &bytes);
      assert_int_equal(f.status, RK_OK);
      assert_int_equal(f.rows, ROWS_A + ROWS_B);
      assert_int_equal(f.losses, 0);
      assert_string_equal(f.inputs, "runs:x/a.rrd;runs:y/b.bin;");
      rk_buffer_free(&bytes);
    }
  }
}

static void nested(void **state)
{
  (void)state;
  rk_buffer zipped = {0}, deep = {0}, bytes = {0};
  assert_true(test_compressed(&zipped, ARCHIVE_FILTER_XZ, a.data, a.size));
  const test_member members[] = {{"a.rrd.xz", zipped.data, zipped.size, NULL, false},
                                 {"b.rrd", b.data, b.size, NULL, false}};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, members, 2));
  const found f = read_bytes("runs", &bytes);
  assert_int_equal(f.rows, ROWS_A + ROWS_B);
  assert_string_equal(f.inputs, "runs:a.rrd.xz;runs:b.rrd;");
  rk_buffer_append(&deep, a.data, a.size);
  for (int i = 0; i < 12; i++) {
    rk_buffer more = {0};
    assert_true(test_compressed(&more, ARCHIVE_FILTER_GZIP, deep.data, deep.size));
    rk_buffer_free(&deep);
    deep = more;
  }
  assert_int_equal(read_bytes("deep", &deep).status, RK_ERR_LIMIT);
  rk_buffer_free(&zipped);
  rk_buffer_free(&deep);
  rk_buffer_free(&bytes);
}

/* Names and links of any kind lead nowhere: what is a recording is read, under its name, and no file appears. */
static void hostile_names(void **state)
{
  (void)state;
  const test_member members[] = {{"../../escape.rrd", a.data, a.size, NULL, false},
                                 {"/tmp/absolute.rrd", b.data, b.size, NULL, false},
                                 {"link.rrd", NULL, 0, "/etc/passwd", false},
                                 {"hard.rrd", NULL, 0, "../../escape.rrd", true},
                                 {"./dot.txt", "x", 1, NULL, false}};
  rk_buffer bytes = {0};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_NONE, members, 5));
  const found f = read_bytes("runs", &bytes);
  assert_int_equal(f.status, RK_OK);
  assert_int_equal(f.rows, ROWS_A + ROWS_B);
  assert_int_equal(f.losses, 0);
  assert_string_equal(f.inputs, "runs:../../escape.rrd;runs:tmp/absolute.rrd;");
  assert_int_equal(count_files(), 0);
  assert_int_equal(access("/tmp/absolute.rrd", F_OK), -1);
  rk_buffer_free(&bytes);
}

static void patterns(void **state)
{
  (void)state;
  const test_member members[] = {{"top.rrd", a.data, a.size, NULL, false},
                                 {"host1/a.rrd", a.data, a.size, NULL, false},
                                 {"host2/deep/b.rrd", b.data, b.size, NULL, false},
                                 {"odd[1]:*.rrd", b.data, b.size, NULL, false}};
  static const struct {
    const char *path, *inputs; /* NULL: nothing matches */
  } table[] = {
      {"runs:*.rrd", "runs:top.rrd;runs:odd[1]:*.rrd;"},
      {"runs:*/*.rrd", "runs:host1/a.rrd;"},
      {"runs:**", "runs:top.rrd;runs:host1/a.rrd;runs:host2/deep/b.rrd;runs:odd[1]:*.rrd;"},
      {"runs:host2/**", "runs:host2/deep/b.rrd;"},
      {"runs:host[12]/a.rrd", "runs:host1/a.rrd;"},
      {"runs:odd[1]:*.rrd", "runs:odd[1]:*.rrd;"},
      {"runs:host1", NULL},
      {"runs:", NULL},
      {"with:colon", "with:colon:top.rrd;with:colon:host1/a.rrd;with:colon:host2/deep/b.rrd;with:colon:odd[1]:*.rrd;"},
      {"with:colon:top*", "with:colon:top.rrd;"},
  };
  rk_buffer bytes = {0};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD, members, 4));
  put("runs", bytes.data, bytes.size);
  put("with:colon", bytes.data, bytes.size);
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    const found f = read_it(table[i].path, (rk_reader_options){0}, false);
    if (table[i].inputs == NULL) {
      assert_int_equal(f.status, RK_ERR_NOT_RRD);
      assert_non_null(strstr(f.error.message, "top.rrd")); /* what is there */
    } else {
      assert_int_equal(f.status, RK_OK);
      assert_string_equal(f.inputs, table[i].inputs);
    }
  }
  put("plain.rrd", a.data, a.size);
  assert_int_equal(read_it("plain.rrd:a", (rk_reader_options){0}, false).status, RK_ERR_NOT_RRD);
  assert_int_equal(read_it("nothing:a", (rk_reader_options){0}, false).status, RK_ERR_IO);
  unlink("plain.rrd");
  unlink("runs");
  unlink("with:colon");
  rk_buffer_free(&bytes);
}

/* A recording whose bytes go on as zeros, 40 MiB of them. */
static void bombs(void **state)
{
  (void)state;
  const size_t size = (size_t)40 << 20;
  uint8_t *big = calloc(1, size);
  assert_non_null(big);
  memcpy(big, a.data, a.size);
  const test_member member = {"a.rrd", big, size, NULL, false};
  const test_member quiet = {"zeros", big + a.size, size - a.size, NULL, false};
  static const int kinds[][2] = {{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD},
                                 {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_CPIO_POSIX, ARCHIVE_FILTER_XZ}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    rk_buffer bytes = {0};
    assert_true(test_archive(&bytes, kinds[i][0], kinds[i][1], &member, 1));
    put("bomb", bytes.data, bytes.size);
    const found f = read_it("bomb", (rk_reader_options){.max_ratio = 100}, false);
    assert_int_equal(f.status, RK_ERR_LIMIT);
    assert_non_null(strstr(f.error.message, "more than 100 times"));
    const found all = read_it("bomb", (rk_reader_options){.max_ratio = 10000000}, false);
    assert_int_equal(all.status, RK_OK);
    assert_int_equal(all.rows, ROWS_A);
    rk_buffer_free(&bytes);
  }
  /* also where nothing of it is kept */
  rk_buffer bytes = {0};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD, &quiet, 1));
  put("bomb", bytes.data, bytes.size);
  assert_int_equal(read_it("bomb", (rk_reader_options){.max_ratio = 100}, false).status, RK_ERR_LIMIT);
  unlink("bomb");
  rk_buffer_free(&bytes);
  free(big);
}

/* Cut at every byte: what is whole before the cut is read; what is missing is told. A tar may end between members. */
static void truncated(void **state)
{
  (void)state;
  const test_member members[] = {{"a.rrd", a.data, a.size, NULL, false}, {"b.rrd", b.data, b.size, NULL, false}};
  static const struct {
    int format, filter;
    bool told;
  } kinds[] = {
      {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, false}, {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, true},
      {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD, true},  {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, true},
      {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, true},       {ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_XZ, true},
      {ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP, true},        {ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_ZSTD, true}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    rk_buffer bytes = {0};
    const size_t count = kinds[i].format == ARCHIVE_FORMAT_RAW ? 1 : 2;
    const size_t rows = count == 1 ? ROWS_A : ROWS_A + ROWS_B;
    assert_true(test_archive(&bytes, kinds[i].format, kinds[i].filter, members, count));
    size_t partly = 0;
    for (size_t size = 0; size < bytes.size; size++) {
      put("cut", bytes.data, size);
      const found f = read_it("cut", (rk_reader_options){0}, false);
      assert_true(f.rows <= rows);
      if (kinds[i].told && f.status == RK_OK && f.rows < rows && f.losses == 0) {
        fail_msg("kind %zu cut at %zu of %zu: %zu rows and nothing told", i, size, bytes.size, f.rows);
      }
      partly += f.status == RK_OK && f.rows > 0 && f.rows < rows;
    }
    if (kinds[i].filter == ARCHIVE_FILTER_NONE && kinds[i].format != ARCHIVE_FORMAT_7ZIP) {
      assert_true(partly > 0); /* the first member is whole */
    }
    rk_buffer_free(&bytes);
  }
  unlink("cut");
}

static void flipped(void **state)
{
  (void)state;
  const test_member members[] = {{"a.rrd", a.data, a.size, NULL, false}, {"b.rrd", b.data, b.size, NULL, false}};
  static const int kinds[][2] = {{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP},
                                 {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE},
                                 {ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    rk_buffer bytes = {0};
    assert_true(test_archive(&bytes, kinds[i][0], kinds[i][1], members, 2));
    for (size_t at = 0; at < bytes.size; at++) {
      bytes.data[at] ^= (uint8_t)(1U << (at % 8));
      put("flip", bytes.data, bytes.size);
      assert_true(read_it("flip", (rk_reader_options){0}, false).rows <= ROWS_A + ROWS_B);
      bytes.data[at] ^= (uint8_t)(1U << (at % 8));
    }
    rk_buffer_free(&bytes);
  }
  unlink("flip");
}

/* Members that are named like recordings and are none, or are damaged, do not keep the others from being read. */
static void members_that_fail(void **state)
{
  (void)state;
  rk_buffer zipped = {0}, bytes = {0};
  assert_true(test_compressed(&zipped, ARCHIVE_FILTER_GZIP, a.data, a.size));
  const test_member members[] = {{"text.rrd", "no recording", 12, NULL, false},
                                 {"empty.rrd", "", 0, NULL, false},
                                 {"cut.rrd.gz", zipped.data, zipped.size / 2, NULL, false},
                                 {"b.rrd", b.data, b.size, NULL, false}};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, members, 4));
  found f = read_bytes("runs", &bytes);
  assert_int_equal(f.status, RK_OK);
  assert_true(f.rows >= ROWS_B && f.rows < ROWS_A + ROWS_B);
  assert_true(f.losses >= 3);
  rk_buffer_reset(&bytes);
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, members, 1));
  f = read_bytes("runs", &bytes);
  assert_int_equal(f.status, RK_ERR_NOT_RRD);
  assert_non_null(strstr(f.error.message, "text.rrd"));
  rk_buffer_reset(&bytes);
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE,
                           &(test_member){"notes.txt", "x", 1, NULL, false}, 1));
  f = read_bytes("runs", &bytes);
  assert_int_equal(f.status, RK_ERR_NOT_RRD);
  assert_non_null(strstr(f.error.message, "notes.txt"));
  rk_buffer_free(&zipped);
  rk_buffer_free(&bytes);
}

static void stopped_and_refused(void **state)
{
  (void)state;
  rk_buffer bytes = {0};
  const test_member member = {"a.rrd", a.data, a.size, NULL, false};
  assert_true(test_archive(&bytes, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, &member, 1));
  put("runs", bytes.data, bytes.size);
  assert_int_equal(read_it("runs", (rk_reader_options){0}, true).status, RK_END);
  const found f = read_it("runs", (rk_reader_options){.temporary_directory = "/nowhere/at/all"}, false);
  assert_int_equal(f.status, RK_ERR_IO);
  assert_int_equal(f.error.sys_errno, ENOENT);
  unlink("runs");
  rk_buffer_free(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compressions),       cmocka_unit_test(formats),  cmocka_unit_test(nested),
      cmocka_unit_test(hostile_names),      cmocka_unit_test(patterns), cmocka_unit_test(bombs),
      cmocka_unit_test(truncated),          cmocka_unit_test(flipped),  cmocka_unit_test(members_that_fail),
      cmocka_unit_test(stopped_and_refused)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
