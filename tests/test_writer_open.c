/* Opening a recording: new, joined, damaged, finished, and what is refused. */
#include "tests/files.h"
#include "tests/writing.h"

static void test_defaults(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_here(s, NULL);
  assert_string_equal(rk_recording_application_id(recording), "test_writer_open");
  assert_int_equal(strlen(rk_recording_recording_id(recording)), 36);
  char id[64];
  snprintf(id, sizeof id, "%s", rk_recording_recording_id(recording));
  assert_int_equal(count_entries(s->spool, ".defs"), 1);
  assert_int_equal(count_entries(s->spool, ".ring"), 1);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  assert_int_equal(rk_recording_close(recording), RK_OK);
  rk_recording_free(recording);
  assert_int_not_equal(access(s->spool, F_OK), 0); /* drained and gone */
  assert_int_equal(count_entries(s->directory, ""), 1);
  appended *file = appended_read(s->path, NULL, NULL);
  assert_string_equal(file->application_id, "test_writer_open");
  assert_string_equal(file->recording_id, id);
  assert_int_equal(file->row_count, 1); /* the start time */
  assert_int_equal(file->writers[0].pid, getpid());
  free(file);
}

static void test_join(void **state)
{
  const scene *s = *state;
  rk_recording *first = open_here(s, &(rk_recording_options){.application_id = "app", .recording_id = "rec \xC3\xA4"});
  rk_recording *second = open_here(s, NULL);
  assert_string_equal(rk_recording_application_id(second), "app");
  assert_string_equal(rk_recording_recording_id(second), "rec \xC3\xA4");
  const int64_t difference = rk_recording_now(second) - rk_recording_now(first);
  assert_in_range(difference + 1000000000, 0, 2000000000);
  rk_recording *third = open_here(s, &(rk_recording_options){.application_id = "app", .recording_id = "rec \xC3\xA4"});
  rk_recording *none;
  rk_error error = {0};
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.application_id = "other"}, &none, &error),
                   RK_ERR_CONFLICT);
  assert_null(none);
  assert_int_equal(rk_recording_open(s->path, &(rk_recording_options){.recording_id = "other"}, &none, &error),
                   RK_ERR_CONFLICT);
  rk_recording *const all[] = {first, second, third};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(log_scalar(all[i], rk_entity_at(all[i], "x"), i), RK_OK);
  }
  for (int i = 0; i < 3; i++) {
    rk_recording_free(all[i]);
  }
  appended *file = appended_read(s->path, NULL, NULL);
  assert_int_equal(file->writer_count, 3);
  assert_int_equal(file->row_count, 4);
  free(file);
}

static rk_status open_status(const char *path, const rk_recording_options *options)
{
  rk_recording *recording = (rk_recording *)1;
  rk_error error = {0};
  const rk_status status = rk_recording_open(path, options, &recording, &error);
  assert_true(status == RK_OK || (recording == NULL && error.status == status && error.message[0] != '\0'));
  if (status == RK_OK) {
    rk_recording_free(recording);
  }
  return status;
}

static void test_open_refused(void **state)
{
  const scene *s = *state;
  char long_id[200];
  memset(long_id, 'a', sizeof long_id);
  long_id[181] = '\0';
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = long_id}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = ""}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.application_id = "a b"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.recording_id = "a\nb"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.recording_id = "a\xFF"}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.ring_size = 1}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.flush_age_ns = -1}), RK_ERR_MISUSE);
  assert_int_equal(open_status(s->path, &(rk_recording_options){.compression = (rk_compression)9}), RK_ERR_MISUSE);
  assert_int_equal(open_status("", NULL), RK_ERR_MISUSE);
  assert_int_equal(rk_recording_open(s->path, NULL, NULL, NULL), RK_ERR_MISUSE);
  assert_int_equal(count_entries(s->directory, ""), 0);
  assert_int_equal(open_status(s->directory, NULL), RK_ERR_NOT_RRD);
  assert_int_equal(open_status("/nonexistent/run.rrd", NULL), RK_ERR_IO);
  assert_int_equal(open_status("/dev/null", NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "", 0);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "RRF", 3);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, "hello, this is some text", 24);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_NOT_RRD);
  put_file(s->path, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_UNSUPPORTED);
  assert_int_equal(count_entries(s->directory, ""), 1);
}

/* A recording whose first frame is damaged at any byte is never joined as if it were whole. */
static void test_join_damaged(void **state)
{
  const scene *s = *state;
  rk_recording_free(open_here(s, NULL));
  uint8_t bytes[8192];
  FILE *file = fopen(s->path, "rb");
  assert_non_null(file);
  const size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  const size_t first = RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE + rk_load_u64(bytes + RK_STREAM_HEADER_SIZE + 8);
  assert_true(first < size);
  for (size_t i = 0; i < first; i++) {
    if (i >= 4 && i < 9) {
      continue; /* version and compression of the stream header are advice */
    }
    bytes[i] ^= 0x10;
    put_file(s->path, bytes, size);
    assert_int_not_equal(open_status(s->path, NULL), RK_OK);
    bytes[i] ^= 0x10;
  }
  for (size_t i = 0; i < first; i++) {
    put_file(s->path, bytes, i);
    assert_int_not_equal(open_status(s->path, NULL), RK_OK);
  }
  put_file(s->path, bytes, first);
  assert_int_equal(open_status(s->path, NULL), RK_OK);
}

static void test_finished(void **state)
{
  const scene *s = *state;
  rk_recording_free(open_here(s, NULL));
  uint8_t footer[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer_encode(footer, &(rk_stream_footer){.payload_offset = 12, .payload_size = 1});
  FILE *file = fopen(s->path, "ab");
  assert_non_null(file);
  assert_int_equal(fwrite(footer, 1, sizeof footer, file), sizeof footer);
  fclose(file);
  assert_int_equal(open_status(s->path, NULL), RK_ERR_UNSUPPORTED);
}

static void test_spool_directory(void **state)
{
  const scene *s = *state;
  char elsewhere[160];
  snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", s->directory);
  rk_recording *recording = open_here(s, &(rk_recording_options){.spool_directory = elsewhere, .ring_size = 70000});
  assert_int_equal(count_entries(elsewhere, ".ring"), 1);
  assert_int_not_equal(access(s->spool, F_OK), 0);
  rk_recording_free(recording);
  assert_int_equal(access(elsewhere, F_OK), 0); /* the user's directory stays */
  assert_int_equal(count_entries(elsewhere, ""), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_defaults),     IN_SCENE(test_join),     IN_SCENE(test_open_refused),
      IN_SCENE(test_join_damaged), IN_SCENE(test_finished), IN_SCENE(test_spool_directory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
