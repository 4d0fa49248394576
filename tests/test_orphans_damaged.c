/* Spools of dead writers that are damaged or hostile: the rows that they still hold are read, and no others whatever
 * their bytes are. */
#include "tests/orphans.h"

#include "format/spool.h"

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

static void test_no_definitions(void **state)
{
  const scene *s = *state;
  killed(s->path, log_100);
  char *defs = only(s->spool, ".defs");
  file_bytes b = slurp(defs);
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
  const file_bytes b = slurp(ring);
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
  const file_bytes b = slurp(ring);
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
  const file_bytes b = slurp(defs);
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
  const file_bytes b = slurp(ring);
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_no_definitions),      IN_SCENE(test_hostile_headers), IN_SCENE(test_damaged_header),
      IN_SCENE(test_damaged_definitions), IN_SCENE(test_damaged_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
