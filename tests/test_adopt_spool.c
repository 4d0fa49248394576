/* Adoption from spools that are cut, damaged, of others, or unfinished: what is sound comes in, the rest stays. */
#include "tests/adopting.h"
#include "tests/files.h"

#include "format/spool.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_cut_definitions), IN_SCENE(test_flipped_spool),    IN_SCENE(test_intent_in_force),
      IN_SCENE(test_foreign),         IN_SCENE(test_unfinished_spool),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
