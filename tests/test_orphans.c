/* Rows that dead writers left in their spools, read without changing anything: all of them, each once, also while they
 * are being adopted. */
#include "tests/orphans.h"

#include "format/spool.h"

static void log_threads(rk_recording *recording)
{
  run_threads(recording, 0, 4, 300);
}

static void log_five_and_flush(rk_recording *recording)
{
  log_five(recording);
  if (rk_recording_flush(recording) != RK_OK) {
    abort();
  }
}

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
  file_bytes b = slurp(ring), file = slurp(s->path);
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
