/* Damages a recording in memory at random places and reads it: no crash, no invented row, every row of every undamaged
 * chunk, and a loss that names each damaged frame.
 *
 * usage: log_damage FILE COUNT SEED. FILE is made here (and must not exist): two processes of two threads log into it.
 * Each of the COUNT trials flips a bit, cuts the end off, zeroes, fills, repeats, removes or swaps a range. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/chunk.h"
#include "format/codec.h"
#include "format/frame.h"
#include "format/messages.h"
#include "tests/stress_rows.h"
#include "writer/framing.h"

enum { FRAMES_MAX = 4096, PROCESSES = 4, ROWS = 600 };

/* An intact frame, or unit of a Zstandard recording, and the keys of its rows. */
typedef struct frame {
  size_t begin, end;
  uint64_t *keys;
  size_t key_count;
  bool damaged;
} frame;

typedef struct trial {
  const char *kind;
  size_t at, size, other; /* other: the second range of a swap */
  bool loss_expected;
  size_t lost[64][2]; /* ranges reported */
  size_t lost_count;
} trial;

static const struct plan plan = {.processes = PROCESSES, .threads = 1, .rows = ROWS, .min_size = 16, .max_size = 16384};
static frame frames[FRAMES_MAX];
static size_t frame_count;
static uint64_t random_state;

static size_t random_below(size_t limit)
{
  random_state = mix(random_state);
  return (size_t)(random_state % limit);
}

/* ---- The recording ---- */

static int log_rows(const char *path, unsigned process)
{
  rk_recording *recording;
  const rk_recording_options options = {.application_id = "damage", .ring_size = 64 << 10};
  if (rk_recording_open(path, &options, &recording, NULL) != RK_OK) {
    return 1;
  }
  const rk_component *key_component = rk_component_at(recording, "stress:key", "L", NULL, NULL);
  const rk_component *payload_component = rk_component_at(recording, "stress:payload", "+l(!:C)", NULL, NULL);
  uint8_t payload[16384 + 8];
  rk_status status = RK_OK;
  for (unsigned row = 0; row < ROWS && status == RK_OK; row++) {
    char entity[32];
    snprintf(entity, sizeof entity, "damage/%u", row % 3);
    const uint64_t key = row_key(&plan, process, row);
    const rk_span blob = {.data = payload, .count = make_payload(&plan, key, payload)};
    const rk_cell cells[] = {{.component = key_component, .count = 1, .values = &key},
                             {.component = payload_component, .count = 1, .values = &blob}};
    rk_time_set_sequence(recording, "row", row);
    status = rk_log(recording, rk_entity_at(recording, entity), cells, 2);
  }
  status = status != RK_OK ? status : rk_recording_close(recording);
  rk_recording_free(recording);
  return status != RK_OK;
}

static uint8_t *load(const char *path, size_t *size)
{
  FILE *file = fopen(path, "rb");
  struct stat info;
  if (file == NULL || fstat(fileno(file), &info) != 0) {
    perror(path);
    exit(1);
  }
  *size = (size_t)info.st_size;
  uint8_t *bytes = malloc(*size);
  if (bytes == NULL || fread(bytes, 1, *size, file) != *size) {
    perror(path);
    exit(1);
  }
  fclose(file);
  return bytes;
}

static void take_keys(frame *f, const uint8_t *payload, size_t size)
{
  rk_arrow_msg msg;
  rk_buffer plain = {0};
  rk_arena arena = {0};
  rk_chunk chunk;
  if (rk_arrow_msg_decode(payload, size, &msg, NULL) != RK_OK ||
      rk_decompress(&plain, msg.compression, msg.payload, msg.payload_size, msg.uncompressed_size, NULL) != RK_OK ||
      rk_chunk_decode(&arena, plain.data, plain.size, &chunk, NULL) != RK_OK) {
    fprintf(stderr, "log_damage: the recording is not sound\n");
    exit(1);
  }
  for (size_t i = 0; i < chunk.component_count; i++) {
    if (strcmp(chunk.components[i].name, "stress:key") == 0) {
      const size_t count = (size_t)chunk.row_count;
      f->keys = realloc(f->keys, (f->key_count + count) * sizeof *f->keys);
      memcpy(f->keys + f->key_count, chunk.components[i].lists->children[0]->buffers[1], count * sizeof *f->keys);
      f->key_count += count;
    }
  }
  rk_arena_free(&arena);
  rk_buffer_free(&plain);
}

/* The chunks of the frames in [at, size). */
static void take_frames(frame *f, const uint8_t *bytes, size_t at, size_t size)
{
  for (rk_frame_header header; at < size; at += RK_FRAME_HEADER_SIZE + (size_t)header.size) {
    if (!rk_frame_header_decode(bytes + at, &header)) {
      fprintf(stderr, "log_damage: the recording is not sound\n");
      exit(1);
    }
    if (header.kind == RK_FRAME_ARROW_MSG) {
      take_keys(f, bytes + at + RK_FRAME_HEADER_SIZE, (size_t)header.size);
    }
  }
}

static void find_frames(const uint8_t *bytes, size_t size)
{
  rk_zst_unit unit;
  const bool units = rk_unit_head_decode(bytes, &unit) == RK_OK;
  ZSTD_DCtx *context = ZSTD_createDCtx();
  rk_buffer record = {0};
  for (size_t at = units ? 0 : RK_STREAM_HEADER_SIZE; at < size;) {
    const uint64_t piece = (units ? &rk_framing_zst : &rk_framing_plain)->size(bytes + at);
    if (frame_count == FRAMES_MAX || piece == 0) {
      fprintf(stderr, "log_damage: the recording is not sound\n");
      exit(1);
    }
    frame *f = &frames[frame_count++];
    *f = (frame){.begin = at, .end = at + (size_t)piece};
    if (units) {
      rk_buffer_reset(&record);
      if (rk_unit_unwrap(&record, context, bytes + at, (size_t)piece) != RK_OK) {
        fprintf(stderr, "log_damage: the recording is not sound\n");
        exit(1);
      }
      take_frames(f, record.data, at == 0 ? RK_STREAM_HEADER_SIZE : 0, record.size);
    } else {
      take_frames(f, bytes, at, f->end);
    }
    at = f->end;
  }
  rk_buffer_free(&record);
  ZSTD_freeDCtx(context);
}

/* ---- Damage ---- */

static void hurt(size_t begin, size_t end)
{
  for (size_t i = 0; i < frame_count; i++) {
    frames[i].damaged |= frames[i].begin < end && begin < frames[i].end;
  }
}

/* Marks the frames that the range changes. */
static void hurt_if_changed(const uint8_t *before, const uint8_t *after, size_t begin, size_t size)
{
  for (size_t i = 0; i < frame_count; i++) {
    const size_t from = frames[i].begin > begin ? frames[i].begin : begin;
    const size_t to = frames[i].end < begin + size ? frames[i].end : begin + size;
    frames[i].damaged |= from < to && memcmp(before + from, after + from, to - from) != 0;
  }
}

static size_t damage(trial *t, const uint8_t *bytes, size_t size, uint8_t *out)
{
  memcpy(out, bytes, size);
  t->at = random_below(size);
  t->size = 1 + random_below(random_below(4) == 0 ? 100000 : 300);
  t->size = t->size > size - t->at ? size - t->at : t->size;
  switch (random_below(7)) {
  case 0:
    t->kind = "flip";
    t->size = 1;
    out[t->at] ^= (uint8_t)(1U << random_below(8));
    hurt(t->at, t->at + 1);
    return size;
  case 1:
    t->kind = "truncate";
    hurt(t->at, size);
    return t->at;
  case 2:
    t->kind = "zero";
    memset(out + t->at, 0, t->size);
    hurt_if_changed(bytes, out, t->at, t->size);
    return size;
  case 3:
    t->kind = "fill";
    for (size_t i = 0; i < t->size; i++) {
      out[t->at + i] = (uint8_t)random_below(256);
    }
    hurt_if_changed(bytes, out, t->at, t->size);
    return size;
  case 4: /* the same range twice: what it cuts in two is damaged */
    t->kind = "duplicate";
    memcpy(out + t->at + t->size, bytes + t->at, size - t->at);
    for (size_t i = 0; i < frame_count; i++) {
      frames[i].damaged |= frames[i].begin < t->at + t->size && t->at + t->size < frames[i].end;
    }
    return size + t->size;
  case 5:
    t->kind = "remove";
    memmove(out + t->at, out + t->at + t->size, size - t->at - t->size);
    hurt(t->at, t->at + t->size);
    return size - t->size;
  default:
    t->kind = "swap";
    t->other = random_below(size - t->size + 1);
    memcpy(out + t->other, bytes + t->at, t->size);
    if (t->other + t->size <= t->at || t->at + t->size <= t->other) {
      memcpy(out + t->at, bytes + t->other, t->size);
    }
    hurt_if_changed(bytes, out, t->at, t->size);
    hurt_if_changed(bytes, out, t->other, t->size);
    return size;
  }
}

/* ---- Judging ---- */

static void on_loss(void *context, const rk_loss *loss)
{
  trial *t = context;
  if (t->lost_count < 64) {
    t->lost[t->lost_count][0] = (size_t)loss->offset;
    t->lost[t->lost_count][1] = (size_t)(loss->offset + loss->length);
  }
  t->lost_count++;
}

static const char *read_damaged(trial *t, const uint8_t *bytes, size_t size, uint8_t *seen, uint8_t *expected)
{
  rk_reader *reader = NULL;
  rk_error error = {0};
  memset(seen, 0, (size_t)PROCESSES * ROWS);
  if (rk_reader_open(&(rk_reader_options){.on_loss = on_loss, .context = t}, &reader, &error) != RK_OK) {
    return error.message[0] != '\0' ? "cannot open a reader" : "no reader";
  }
  const rk_status added = rk_reader_add_memory(reader, "damaged", bytes, size, &error);
  const char *problem = NULL;
  if (added == RK_OK) {
    const rk_row *row;
    rk_status status;
    while ((status = rk_reader_next(reader, &row)) == RK_OK) {
      if (row->is_static) {
        continue;
      }
      uint64_t key = 0;
      const char *wrong = check_row(&plan, row, &key, expected);
      if (wrong != NULL && strcmp(wrong, "no writer") == 0) { /* its record may be what was damaged */
        wrong = NULL;
      }
      if (wrong == NULL && seen[key]++ != 0) {
        wrong = "a row twice";
      }
      problem = problem == NULL ? wrong : problem;
    }
    problem = problem == NULL && status != RK_END ? "reading ended early" : problem;
  } else {
    t->lost_count++; /* refused as a whole: exit code 1 */
  }
  rk_reader_free(reader);
  for (size_t i = 0; i < frame_count && problem == NULL; i++) {
    for (size_t k = 0; k < frames[i].key_count && !frames[i].damaged; k++) {
      if (seen[frames[i].keys[k]] == 0) {
        problem = "a row of an undamaged chunk is missing";
      }
    }
    t->loss_expected |= frames[i].damaged;
  }
  return problem;
}

/* Where nothing sound can have come to stand in a damaged frame's place: whether each lies under a reported range. */
static bool is_named(const trial *t)
{
  const bool stays =
      strcmp(t->kind, "duplicate") != 0 && strcmp(t->kind, "remove") != 0 && strcmp(t->kind, "swap") != 0;
  for (size_t i = 0; stays && t->lost_count <= 64 && i < frame_count; i++) {
    bool named = !frames[i].damaged;
    for (size_t k = 0; k < t->lost_count && !named; k++) {
      named = t->lost[k][0] < frames[i].end && frames[i].begin < t->lost[k][1];
    }
    if (!named && (strcmp(t->kind, "truncate") != 0 || frames[i].begin < t->at)) {
      return false;
    }
  }
  return true;
}

int main(int argc, char **argv)
{
  if (argc != 4) {
    fprintf(stderr, "usage: %s FILE COUNT SEED\n", argv[0]);
    return 2;
  }
  for (unsigned process = 0; process < PROCESSES; process++) {
    const pid_t child = fork();
    if (child == 0) {
      return log_rows(argv[1], process);
    }
    if (child < 0) {
      perror("log_damage: fork");
      return 1;
    }
  }
  int failed = 0, wait_status;
  while (wait(&wait_status) > 0) {
    failed |= !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
  }
  if (failed) {
    fprintf(stderr, "log_damage: cannot record\n");
    return 1;
  }
  size_t size;
  uint8_t *bytes = load(argv[1], &size);
  find_frames(bytes, size);
  uint8_t *damaged = malloc(2 * size), *seen = malloc((size_t)PROCESSES * ROWS), *expected = malloc(16384 + 8);
  if (damaged == NULL || seen == NULL || expected == NULL) {
    return 1;
  }
  const unsigned long count = strtoul(argv[2], NULL, 10);
  random_state = strtoull(argv[3], NULL, 10);
  unsigned long wrong = 0, with_loss = 0;
  for (unsigned long i = 0; i < count; i++) {
    for (size_t f = 0; f < frame_count; f++) {
      frames[f].damaged = false;
    }
    trial t = {0};
    const size_t damaged_size = damage(&t, bytes, size, damaged);
    const char *problem = read_damaged(&t, damaged, damaged_size, seen, expected);
    /* A cut or a hole of whole frames leaves nothing to see but to who counts each writer's rows (rrd-check). */
    const bool whole = (strcmp(t.kind, "truncate") == 0 || strcmp(t.kind, "remove") == 0) && t.lost_count == 0;
    bool at_edge = t.at == size;
    for (size_t f = 0; f < frame_count; f++) {
      at_edge |= frames[f].begin == t.at;
    }
    if (problem == NULL && t.loss_expected && t.lost_count == 0 && !(whole && at_edge)) {
      problem = "damage that nobody reported";
    }
    if (problem == NULL && t.lost_count > 0 && !is_named(&t)) {
      problem = "a damaged frame is under no reported range";
    }
    with_loss += t.lost_count > 0;
    if (problem != NULL && wrong++ < 20) {
      fprintf(stderr, "log_damage: trial %lu: %s %zu+%zu (%zu): %s\n", i, t.kind, t.at, t.size, t.other, problem);
    }
  }
  printf("%zu bytes, %zu frames; %lu trials, %lu reported losses, %lu wrong\n", size, frame_count, count, with_loss,
         wrong);
  return wrong != 0;
}
