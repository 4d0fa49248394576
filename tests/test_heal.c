/* Torn records: whatever a dead writer left of its record, the next append or the walk leaves a file that opens to its
 * end, with every whole frame in it once. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"
#include "tests/appended.h"
#include "tests/files.h"
#include "writer/heal.h"
#include "writer/writer_internal.h"

#define LONG_ID                                                                                                        \
  "a-very-long-identifier-of-180-characters-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-"        \
  "0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456"

static rk_recording *open_one(const char *path, const char *id)
{
  rk_recording *recording = NULL;
  rk_error error = {0};
  if (rk_recording_open(path,
                        &(rk_recording_options){.application_id = "heal",
                                                .recording_id = id,
                                                .compression = RK_COMPRESSION_NONE,
                                                .ring_size = 65536,
                                                .flush_age_ns = 3600000000000},
                        &recording, &error) != RK_OK) {
    fail_msg("%s", error.message);
  }
  return recording;
}

static void log_rows(rk_recording *recording, const char *entity, unsigned count)
{
  const rk_component *component = rk_component_at(recording, "heal:blob", "+l(!:C)", NULL, NULL);
  uint8_t blob[700];
  uint64_t state = count;
  for (unsigned i = 0; i < count; i++) {
    for (size_t k = 0; k < sizeof blob; k++) { /* nothing that compresses */
      blob[k] = (uint8_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    }
    const rk_span span = {.data = blob, .count = sizeof blob};
    assert_int_equal(rk_log(recording, rk_entity_at(recording, entity),
                            &(rk_cell){.component = component, .count = 1, .values = &span}, 1),
                     RK_OK);
  }
}

/* How the recording's records lie in its file: by the name that check_zst.sh gives it. */
static const rk_framing *framing(void)
{
  const char *name = getenv("RK_TEST_NAME");
  return name != NULL && strstr(name, ".zst") != NULL ? &rk_framing_zst : &rk_framing_plain;
}

/* A record of three chunks and a writer record, of another writer of the recording `id`. */
static file_bytes make_record(const char *directory, const char *id, unsigned rows)
{
  char path[256];
  snprintf(path, sizeof path, "%s/template%s", directory, framing() == &rk_framing_plain ? ".rrd" : ".rrd.zst");
  rk_recording *recording = open_one(path, id);
  assert_int_equal(rk_recording_flush(recording), RK_OK);
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  rk_recording *other = open_one(path, id); /* a writer of its own */
  log_rows(other, "torn/a", rows);
  log_rows(other, "torn/b", rows);
  log_rows(other, "torn/c", rows);
  assert_int_equal(rk_recording_flush(other), RK_OK);
  file_bytes all = slurp(path);
  memmove(all.data, all.data + info.st_size, all.size - (size_t)info.st_size);
  all.size -= (size_t)info.st_size;
  rk_recording_free(other);
  rk_recording_free(recording);
  assert_int_equal(unlink(path), 0);
  return all;
}

/* Rows of a sound frame or unit. */
static size_t piece_rows(const uint8_t *piece, size_t size)
{
  rk_seal seal;
  assert_int_equal(framing()->seal(piece + size - RK_SEAL_SIZE, &seal), RK_OK);
  if (framing() == &rk_framing_plain) {
    return seal.row_count;
  }
  size_t rows = 0;
  rk_zst_unit unit;
  rk_frame_header header;
  assert_int_equal(rk_unit_head_decode(piece, &unit), RK_OK);
  for (uint32_t i = 0; i < unit.frame_count; i++) {
    assert_int_equal(rk_unit_frame(piece, i, &header, &seal), RK_OK);
    rows += seal.row_count;
  }
  return rows;
}

/* How many rows the whole pieces of the first `size` bytes of a record have. */
static size_t whole_rows(const file_bytes *record, size_t size)
{
  size_t rows = 0;
  for (size_t at = 0; at + framing()->head_size <= size;) {
    const size_t piece = (size_t)framing()->size(record->data + at);
    assert_true(piece > 0);
    if (piece > size - at) {
      break;
    }
    rows += piece_rows(record->data + at, piece);
    at += piece;
  }
  return rows;
}

typedef struct walked {
  size_t rows, fillers;
} walked;

/* As a stock decoder goes: by frame headers alone, to the end. Every frame must be sealed and sound, and the file end
 * aligned. */
static walked walk_file(const char *path)
{
  const file_bytes b = slurp(path);
  walked w = {0};
  for (size_t at = framing()->start; at < b.size;) {
    assert_true(b.size - at >= framing()->head_size);
    const size_t size = (size_t)framing()->size(b.data + at);
    assert_true(size > 0 && size <= b.size - at);
    if (!framing()->verify(b.data + at, size)) {
      fail_msg("no sound frame at %zu of %zu", at, b.size);
    }
    rk_seal seal;
    assert_int_equal(framing()->seal(b.data + at + size - RK_SEAL_SIZE, &seal), RK_OK);
    if (framing() == &rk_framing_plain && rk_load_u64(b.data + at) == RK_FRAME_SET_STORE_INFO) {
      rk_store_info info;
      assert_int_equal(
          rk_store_info_decode(b.data + at + RK_FRAME_HEADER_SIZE, size - RK_FRAME_HEADER_SIZE, &info, NULL), RK_OK);
    }
    w.rows += piece_rows(b.data + at, size);
    w.fillers += (seal.flags & RK_SEAL_FILLER) != 0;
    at += size;
  }
  assert_int_equal(b.size % RK_FRAME_ALIGNMENT, 0);
  free(b.data);
  return w;
}

static void count_loss(void *context, const rk_loss *loss)
{
  print_message("%s:%llu+%llu %s\n", loss->input, (unsigned long long)loss->offset, (unsigned long long)loss->length,
                loss->reason);
  ++*(unsigned *)context;
}

static size_t read_rows(const char *path)
{
  unsigned losses = 0;
  rk_reader *reader = NULL;
  const rk_row *row;
  size_t rows = 0;
  rk_error error;
  assert_int_equal(rk_reader_open(&(rk_reader_options){.on_loss = count_loss, .context = &losses}, &reader, &error),
                   RK_OK);
  assert_int_equal(rk_reader_add(reader, path, NULL, &error), RK_OK);
  while (rk_reader_next(reader, &row) == RK_OK) {
    rows += !row->is_static;
  }
  rk_reader_stats stats;
  rk_reader_get_stats(reader, &stats);
  rows += stats.duplicate_rows; /* the same torn record stands there more than once */
  rk_reader_free(reader);
  assert_int_equal(losses, 0);
  return rows;
}

static bool interesting(const file_bytes *record, size_t size, size_t tiny)
{
  if (size <= tiny || size % RK_FRAME_ALIGNMENT == 0 || size % 4096 == 0 || size % 997 == 0) {
    return true;
  }
  for (size_t at = 0; at < record->size;) { /* about each piece's edge */
    if (size + 24 >= at && size <= at + 4) {
      return true;
    }
    at += (size_t)framing()->size(record->data + at);
  }
  return false;
}

/* The next append heals what lies before it, wherever the record was torn. */
static void before_own(const scene *s, const char *id, size_t tiny)
{
  const file_bytes record = make_record(s->directory, id, 4);
  rk_recording *keeper = open_one(s->path, id), *own = open_one(s->path, id);
  assert_int_equal(rk_recording_flush(keeper), RK_OK);
  size_t tears = 0, rows = 0, whole = 0;
  for (size_t size = 1; size < record.size; size++) {
    if (!interesting(&record, size, tiny)) {
      continue;
    }
    append_bytes(s->path, record.data, size);
    log_rows(own, "own", 1);
    assert_int_equal(rk_recording_flush(own), RK_OK);
    rows++;
    whole += whole_rows(&record, size);
    if (++tears % 16 == 0) {
      assert_int_equal(walk_file(s->path).rows, rows + 1 + whole); /* and the keeper's start time */
    }
    if (tears % 128 == 0) { /* a new file, before this one is long */
      rk_recording_stats stats;
      rk_recording_get_stats(own, &stats);
      assert_int_equal(stats.rows_accepted, rows);
      assert_int_equal(stats.rows_appended, rows);
      assert_in_range(stats.heals, 120, 128); /* some tears are at a frame's end */
      rk_recording_free(own);
      rk_recording_free(keeper);
      assert_int_equal(unlink(s->path), 0);
      keeper = open_one(s->path, id);
      own = open_one(s->path, id);
      assert_int_equal(rk_recording_flush(keeper), RK_OK);
      rows = whole = 0;
    }
  }
  assert_true(tears > tiny);
  log_rows(own, "own", 1);
  assert_int_equal(rk_recording_close(own), RK_OK);
  rk_recording_free(own);
  rk_recording_free(keeper);
  assert_int_equal(walk_file(s->path).rows, rows + 2 + whole);
  assert_int_equal(unlink(s->path), 0);
  free(record.data);
}

static void test_before_own(void **state)
{
  before_own(*state, "run-1", 300);
}

static void test_before_own_long_ids(void **state)
{
  before_own(*state, LONG_ID, 300);
}

/* A gap before another's record, whose writer died before it could heal: the walk finds it. */
static void test_walk(void **state)
{
  const scene *s = *state;
  const file_bytes record = make_record(s->directory, "run-1", 4);
  size_t tears = 0, rows = 1;
  rk_recording *keeper = open_one(s->path, "run-1"), *own = open_one(s->path, "run-1");
  assert_int_equal(rk_recording_flush(keeper), RK_OK);
  for (size_t size = 1; size < record.size; size++) {
    if (!interesting(&record, size, 20)) {
      continue;
    }
    const file_bytes good = make_record(s->directory, "run-1", 1); /* other bytes each time */
    struct stat before, after;
    append_bytes(s->path, record.data, size);
    assert_int_equal(stat(s->path, &before), 0);
    assert_true(rk_heal_walk(own, SIZE_MAX)); /* may still grow: left alone */
    assert_int_equal(stat(s->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    append_bytes(s->path, good.data, good.size);
    assert_true(rk_heal_walk(own, SIZE_MAX));
    log_rows(own, "own", 1); /* ends aligned again, whatever the others did */
    assert_int_equal(rk_recording_flush(own), RK_OK);
    rows += whole_rows(&record, size) + whole_rows(&good, good.size) + 1;
    free(good.data);
    assert_int_equal(walk_file(s->path).rows, rows);
    if (++tears % 32 == 0) {
      assert_int_equal(read_rows(s->path), rows - 1);
      rk_recording_free(own);
      rk_recording_free(keeper);
      assert_int_equal(unlink(s->path), 0);
      keeper = open_one(s->path, "run-1");
      own = open_one(s->path, "run-1");
      assert_int_equal(rk_recording_flush(keeper), RK_OK);
      rows = 1;
    }
  }
  rk_recording_free(own);
  rk_recording_free(keeper);
  free(record.data);
}

/* The copy of a frame that had to move is made once, though its mover died before it covered the gap. */
static void test_moved_before(void **state)
{
  const scene *s = *state;
  const file_bytes good = make_record(s->directory, "run-1", 2);
  rk_recording *keeper = open_one(s->path, "run-1");
  assert_int_equal(rk_recording_flush(keeper), RK_OK);
  append_bytes(s->path, good.data, 10);
  append_bytes(s->path, good.data, good.size);
  append_bytes(s->path, good.data, (size_t)framing()->size(good.data));
  const file_bytes before = slurp(s->path);
  assert_true(rk_heal_walk(keeper, SIZE_MAX));
  assert_true(rk_heal_walk(keeper, SIZE_MAX));
  const file_bytes after = slurp(s->path);
  assert_int_equal(before.size, after.size);
  log_rows(keeper, "own", 1);
  assert_int_equal(rk_recording_flush(keeper), RK_OK);
  assert_int_equal(walk_file(s->path).rows, 2 + whole_rows(&good, good.size));
  rk_recording_free(keeper);
  free(before.data);
  free(after.data);
  free(good.data);
}

/* What was torn was to be as long as its rest and the piece behind it together, so that a seal ends where it would. */
static void test_ends_alike(void **state)
{
  const scene *s = *state;
  const file_bytes good = make_record(s->directory, "run-1", 1);
  rk_recording *keeper = open_one(s->path, "run-1");
  assert_int_equal(rk_recording_flush(keeper), RK_OK);
  uint8_t torn[RK_FRAME_ALIGNMENT];
  assert_true(sizeof torn < rk_filler_min(keeper));
  memcpy(torn, good.data, sizeof torn);
  if (framing() == &rk_framing_plain) {
    rk_store_u64(torn + 8, rk_load_u64(torn + 8) + sizeof torn);
  } else {
    rk_store_u64(torn + 24, rk_load_u64(torn + 24) + sizeof torn);
    rk_store_u64(torn + 40, rk_load_u64(torn + 40) + sizeof torn);
  }
  assert_int_equal(framing()->size(torn), framing()->size(good.data) + sizeof torn);
  append_bytes(s->path, torn, sizeof torn);
  append_bytes(s->path, good.data, good.size);
  assert_true(rk_heal_walk(keeper, SIZE_MAX));
  assert_true(rk_heal_walk(keeper, SIZE_MAX));
  assert_int_equal(walk_file(s->path).rows, 1 + whole_rows(&good, good.size));
  rk_recording_free(keeper);
  free(good.data);
}

/* Healers race over the same gaps. */
typedef struct racer {
  rk_recording *recording;
  atomic_int *go;
} racer;

static void *race(void *argument)
{
  racer *self = argument;
  while (atomic_load(self->go) == 0) {
  }
  for (int i = 0; i < 50; i++) {
    rk_heal_walk(self->recording, SIZE_MAX);
  }
  return NULL;
}

static void test_race(void **state)
{
  const scene *s = *state;
  const file_bytes record = make_record(s->directory, "run-1", 4), good = make_record(s->directory, "run-1", 1);
  for (int round = 0; round < 10; round++) {
    enum { RACERS = 3 };
    rk_recording *recordings[RACERS];
    for (int i = 0; i < RACERS; i++) {
      recordings[i] = open_one(s->path, "run-1");
    }
    assert_int_equal(rk_recording_flush(recordings[0]), RK_OK);
    size_t rows = 1;
    for (size_t gap = 0; gap < 8; gap++) {
      const size_t size = gap % 2 == 0 ? 128 * (1 + gap) : 4096 + 128 * (gap + (size_t)round);
      append_bytes(s->path, record.data, size < record.size ? size : 4096);
      append_bytes(s->path, good.data, good.size);
      rows += whole_rows(&record, size < record.size ? size : 4096) + whole_rows(&good, good.size);
    }
    pthread_t threads[RACERS];
    racer racers[RACERS];
    atomic_int go = 0;
    for (int i = 0; i < RACERS; i++) {
      racers[i] = (racer){.recording = recordings[i], .go = &go};
      assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    atomic_store(&go, 1);
    for (int i = 0; i < RACERS; i++) {
      pthread_join(threads[i], NULL);
    }
    assert_true(rk_heal_walk(recordings[0], SIZE_MAX));
    const walked w = walk_file(s->path);
    /* The good records are the same bytes each time, so the frame that moves is found to be there later, but for the
     * last: at most one copy is made. */
    assert_true(w.rows <= rows);
    assert_true(w.fillers >= 6); /* some tears are at a frame's end */
    for (int i = 0; i < RACERS; i++) {
      rk_recording_free(recordings[i]);
    }
    assert_int_equal(unlink(s->path), 0);
  }
  free(record.data);
  free(good.data);
}

/* Fillers are a pure function, of every size, also beyond what one frame's padding can say. */
static void test_fillers(void **state)
{
  const scene *s = *state;
  rk_recording *recording = open_one(s->path, "run-1");
  const size_t least = rk_filler_min(recording);
  assert_true(least < 1024);
  for (size_t size = least; size < least + 600; size++) {
    rk_buffer a = {0}, b = {0};
    rk_filler_encode(recording, 4096, size, &a);
    usleep(0);
    rk_filler_encode(recording, 4096, size, &b);
    assert_int_equal(a.size, size);
    assert_int_equal(b.size, size);
    assert_memory_equal(a.data, b.data, size);
    assert_true(framing()->verify(a.data, size));
    if (framing() == &rk_framing_plain) {
      rk_store_info info;
      assert_int_equal(rk_store_info_decode(a.data + RK_FRAME_HEADER_SIZE, size - RK_FRAME_HEADER_SIZE, &info, NULL),
                       RK_OK);
      assert_false(info.has_writer || info.has_recording);
    }
    rk_buffer_free(&a);
    rk_buffer_free(&b);
  }
  rk_recording *own = open_one(s->path, "run-1");
  assert_int_equal(rk_recording_flush(recording), RK_OK);
  struct stat info;
  assert_int_equal(stat(s->path, &info), 0);
  const off_t end = info.st_size + ((off_t)260 << 20) + 128;
  const int fd = open(s->path, O_WRONLY);
  assert_int_equal(pwrite(fd, "torn", 4, info.st_size), 4);
  assert_int_equal(ftruncate(fd, end), 0);
  close(fd);
  assert_int_equal(rk_heal_fill(own, info.st_size, end), 0);
  log_rows(own, "own", 1);
  assert_int_equal(rk_recording_flush(own), RK_OK);
  const walked w = walk_file(s->path);
  assert_int_equal(w.rows, 2);
  assert_true(w.fillers >= 3);
  rk_recording_free(own);
  rk_recording_free(recording);
}

/* Somebody cuts the file, and it grows again beyond where the walk had come, which is then within a record: that is
 * not taken for a torn one. */
static void test_cut(void **state)
{
  const scene *s = *state;
  for (off_t cut = 50; cut > 0; cut = cut * 7 / 3) {
    rk_recording *recording = open_one(s->path, NULL);
    for (unsigned i = 0; i < 20; i++) {
      log_rows(recording, "own", 1 + i % 5);
      assert_int_equal(rk_recording_flush(recording), RK_OK);
    }
    while (!rk_heal_walk(recording, 100)) {
    }
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    if (info.st_size - cut < (off_t)recording->floor) {
      cut = -1;
    } else {
      assert_int_equal(truncate(s->path, info.st_size - cut), 0);
      log_rows(recording, "own", 1); /* heals what was cut */
      assert_int_equal(rk_recording_flush(recording), RK_OK);
      size_t expected = read_rows(s->path);
      for (unsigned i = 0; i < 20 || (info.st_size - cut) + (off_t)i * 700 < info.st_size + 9000; i++) {
        log_rows(recording, "own", 1 + (i + (unsigned)cut) % 7);
        expected += 1 + (i + (unsigned)cut) % 7;
        assert_int_equal(rk_recording_flush(recording), RK_OK);
        rk_heal_walk(recording, 100);
      }
      while (!rk_heal_walk(recording, 100)) {
      }
      assert_int_equal(read_rows(s->path), expected);
      walk_file(s->path);
    }
    rk_recording_free(recording);
    assert_int_equal(unlink(s->path), 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_SCENE(test_before_own), IN_SCENE(test_before_own_long_ids),
      IN_SCENE(test_walk),       IN_SCENE(test_moved_before),
      IN_SCENE(test_ends_alike), IN_SCENE(test_race),
      IN_SCENE(test_fillers),    IN_SCENE(test_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
