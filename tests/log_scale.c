/* Makes recordings of any shape and size fast, as writers could have left them, for check_scale and bench. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/chunk.h"
#include "format/codec.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "tests/arrow_msg.h"

/* Every writer logs `chunks` x `rows` rows, its k-th to the entity k modulo `entities`, in chunks of one entity each.
 * `overlap` neighbouring chunks of a writer hold rows in turn, so that all of them span the same time. */
typedef struct shape {
  uint32_t writers, chunks, rows, entities, overlap;
  uint32_t from;   /* number of the first writer: those of several files differ */
  uint64_t bytes;  /* of a row's one component */
  uint64_t step;   /* ns between rows of different writers; 0: equal times everywhere */
  bool reverse;    /* a timeline "frame" that goes back */
  bool separate;   /* entities of one writer are not those of another */
  bool plain;      /* not compressed */
  uint64_t random; /* bytes of each 16 that cannot be compressed */
} shape;

#define BEGIN_NS INT64_C(1763640000000000000)

enum { SPREAD = 1 << 20 }; /* so far apart the values of chunks may begin, lest all are alike */

typedef struct sink {
  int fd;
  rk_buffer out;
  uint64_t offset;
} sink;

static _Noreturn void die(const char *what)
{
  fprintf(stderr, "log_scale: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void drain(sink *s)
{
  for (size_t done = 0; done < s->out.size;) {
    const ssize_t got = write(s->fd, s->out.data + done, s->out.size - done);
    if (got < 0 && errno != EINTR) {
      die("write");
    }
    done += got > 0 ? (size_t)got : 0;
  }
  s->offset += s->out.size;
  s->out.size = 0;
}

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

static const rk_store_id store = {.kind = RK_STORE_RECORDING,
                                  .application_id = {.data = "scale", .size = 5},
                                  .recording_id = {.data = "scale", .size = 5}};

static void end_frame(sink *s, size_t start, rk_seal *seal)
{
  seal->recording_hash = rk_recording_hash("scale", "scale");
  rk_seal_frame(&s->out, start, (unsigned)((s->offset + start) % RK_FRAME_ALIGNMENT), seal);
}

static void add_info(sink *s, const rk_store_info *info)
{
  const size_t start = rk_frame_begin(&s->out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(&s->out, info);
  end_frame(s, start, &(rk_seal){.writer = info->has_writer ? info->writer.tag : 0});
}

static void add_writer(sink *s, uint32_t w)
{
  char thread[32];
  char program[32];
  char host[32];
  snprintf(thread, sizeof thread, "thread-%" PRIu32, w);
  snprintf(program, sizeof program, "program-%" PRIu32, w / 4);
  snprintf(host, sizeof host, "host-%" PRIu32, w / 16);
  add_info(s, &(rk_store_info){.row_id = {.time_ns = (uint64_t)BEGIN_NS, .inc = rk_row_inc(w + 1, 0)},
                               .store = store,
                               .source_kind = 1,
                               .store_version = 0x2100,
                               .has_writer = true,
                               .writer = {.tag = w + 1,
                                          .host = text_of(host),
                                          .boot_id = text_of("boot"),
                                          .thread = text_of(thread),
                                          .program = text_of(program),
                                          .pid = 1000 + w / 4,
                                          .tid = 1000 + w}});
}

/* Arrays that every chunk is made in. */
typedef struct room {
  uint8_t (*row_ids)[RK_TUID_SIZE];
  int64_t *keys, *frames;
  int32_t *offsets;
  uint8_t *values;
  rk_buffer payload, packed;
} room;

static void *need(void *memory)
{
  if (!memory) {
    die("memory");
  }
  return memory;
}

static void make_room(room *r, const shape *p)
{
  r->row_ids = need(calloc(p->rows, sizeof *r->row_ids));
  r->keys = need(calloc(p->rows, sizeof *r->keys));
  r->frames = need(calloc(p->rows, sizeof *r->frames));
  r->offsets = need(calloc((size_t)p->rows + 1, sizeof *r->offsets));
  r->values = need(malloc(p->rows * p->bytes + SPREAD));
  uint64_t state = 88172645463325252U;
  for (uint64_t i = 0; i < p->rows * p->bytes + SPREAD; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    r->values[i] = i % 16 < p->random ? (uint8_t)(state >> 32) : (uint8_t)(i / 16 % 3);
  }
  for (uint32_t i = 0; i <= p->rows; i++) {
    r->offsets[i] = (int32_t)(i * p->bytes);
  }
}

static void encode(const shape *p, room *r, const char *entity, rk_tuid id)
{
  const uint8_t *values = r->values + XXH3_64bits(&id, sizeof id) % SPREAD / 16 * 16;
  const void *value_buffers[2] = {NULL, values};
  const void *list_buffers[2] = {NULL, r->offsets};
  struct ArrowArray items = {.length = r->offsets[p->rows], .n_buffers = 2, .buffers = value_buffers};
  struct ArrowArray *children[1] = {&items};
  const struct ArrowArray lists = {
      .length = p->rows, .n_buffers = 2, .n_children = 1, .buffers = list_buffers, .children = children};
  static const rk_field item = {.type = RK_TYPE_UINT8, .nullable = true, .name = "item"};
  const rk_chunk_component component = {.name = "data", .item = &item, .lists = &lists};
  const rk_chunk_timeline timelines[2] = {{.name = "frame", .kind = RK_TIMELINE_SEQUENCE, .values = r->frames},
                                          {.name = "log_time", .kind = RK_TIMELINE_TIMESTAMP, .values = r->keys}};
  const rk_chunk chunk = {.id = id,
                          .entity_path = entity,
                          .row_count = p->rows,
                          .row_ids = r->row_ids[0],
                          .timeline_count = p->reverse ? 2 : 1,
                          .timelines = timelines + !p->reverse,
                          .component_count = 1,
                          .components = &component};
  r->payload.size = 0;
  if (rk_chunk_encode(&r->payload, &chunk) != RK_OK) {
    die("encode");
  }
}

/* The k-th chunk of writer w. */
static void add_chunk(sink *s, const shape *p, room *r, uint32_t w, uint32_t k)
{
  const uint32_t group = k / p->overlap;
  const uint32_t left = p->chunks - group * p->overlap;
  const uint32_t width = left < p->overlap ? left : p->overlap; /* of the last group */
  const uint32_t first = group * p->overlap * p->rows + k % p->overlap;
  for (uint32_t i = 0; i < p->rows; i++) {
    const uint32_t number = first + i * width;
    r->keys[i] = BEGIN_NS + (int64_t)(((uint64_t)number * p->writers + w) * p->step);
    r->frames[i] = -(int64_t)number;
    rk_tuid_store(r->row_ids[i], (rk_tuid){.time_ns = (uint64_t)r->keys[i], .inc = rk_row_inc(w + 1, number)});
  }
  char entity[64];
  if (p->separate) {
    snprintf(entity, sizeof entity, "/w%" PRIu32 "/e%" PRIu32, w, k % p->entities);
  } else {
    snprintf(entity, sizeof entity, "/e%" PRIu32, k % p->entities);
  }
  const rk_tuid id = {.time_ns = (uint64_t)r->keys[0], .inc = rk_row_inc(w + 1, first)};
  encode(p, r, entity, id);
  rk_compression used;
  r->packed.size = 0;
  if (rk_compress(&r->packed, p->plain ? RK_COMPRESSION_NONE : RK_COMPRESSION_LZ4, r->payload.data, r->payload.size,
                  NULL, &used) != RK_OK) {
    die("compress");
  }
  const rk_buffer *stored = used == RK_COMPRESSION_NONE ? &r->payload : &r->packed;
  const size_t start = rk_frame_begin(&s->out, RK_FRAME_ARROW_MSG);
  put_arrow_msg(&s->out, &(rk_arrow_msg){.store = store,
                                         .compression = used,
                                         .uncompressed_size = r->payload.size,
                                         .payload = stored->data,
                                         .payload_size = stored->size,
                                         .has_chunk_id = true,
                                         .chunk_id = id});
  end_frame(s, start,
            &(rk_seal){.writer = w + 1,
                       .chunk_number = k,
                       .first_row = first,
                       .row_count = p->rows,
                       .min_log_time = r->keys[0],
                       .max_log_time = r->keys[p->rows - 1],
                       .entity_hash = XXH3_64bits(entity, strlen(entity)),
                       .clock_monotonic = r->keys[p->rows - 1],
                       .clock_realtime = r->keys[p->rows - 1],
                       .uncompressed_size = r->payload.size});
  if (s->out.size >= 1 << 20) {
    drain(s);
  }
}

static void write_all(sink *s, const shape *p)
{
  room r = {0};
  make_room(&r, p);
  rk_buffer_append(&s->out, rk_stream_header_bytes, RK_STREAM_HEADER_SIZE);
  add_info(s, &(rk_store_info){.row_id = {.time_ns = (uint64_t)BEGIN_NS, .inc = 1},
                               .store = store,
                               .source_kind = 1,
                               .store_version = 0x2100,
                               .has_recording = true,
                               .recording = {.boot_id = text_of("boot")}});
  for (uint32_t from = 0; from < p->chunks; from += p->overlap) {
    for (uint32_t w = 0; w < p->writers; w++) {
      if (from == 0) {
        add_writer(s, p->from + w);
      }
      for (uint32_t k = from; k < from + p->overlap && k < p->chunks; k++) {
        add_chunk(s, p, &r, p->from + w, k);
      }
    }
  }
  drain(s);
  free(r.row_ids);
  free(r.keys);
  free(r.frames);
  free(r.offsets);
  free(r.values);
  rk_buffer_free(&r.payload);
  rk_buffer_free(&r.packed);
}

int main(int argc, char **argv)
{
  static const char *const names[] = {"writers", "chunks", "rows",   "entities", "overlap",
                                      "bytes",   "step",   "random", "from"};
  enum { NUMBERS = sizeof names / sizeof names[0] };
  uint64_t numbers[NUMBERS] = {1, 1, 1, 1, 1, 8, 1000, 8, 0};
  shape p = {0};
  for (int i = 2; i < argc; i++) {
    bool known = true;
    if (strcmp(argv[i], "reverse") == 0) {
      p.reverse = true;
    } else if (strcmp(argv[i], "separate") == 0) {
      p.separate = true;
    } else if (strcmp(argv[i], "plain") == 0) {
      p.plain = true;
    } else {
      known = false;
    }
    for (size_t n = 0; n < NUMBERS && !known; n++) {
      const size_t size = strlen(names[n]);
      known = strncmp(argv[i], names[n], size) == 0 && argv[i][size] == '=';
      numbers[n] = known ? strtoull(argv[i] + size + 1, NULL, 10) : numbers[n];
    }
    if (!known) {
      argc = 0;
    }
  }
  p.writers = (uint32_t)numbers[0];
  p.chunks = (uint32_t)numbers[1];
  p.rows = (uint32_t)numbers[2];
  p.entities = (uint32_t)numbers[3];
  p.overlap = (uint32_t)numbers[4];
  p.bytes = numbers[5];
  p.step = numbers[6];
  p.random = numbers[7];
  p.from = (uint32_t)numbers[8];
  if (argc < 2 || p.writers == 0 || p.rows == 0 || p.entities == 0 || p.overlap == 0 || p.rows * p.bytes > INT32_MAX ||
      (uint64_t)p.chunks * p.rows > UINT32_MAX) {
    fputs("usage: log_scale PATH [writers=N] [chunks=N] [rows=N] [entities=N] [overlap=N] [bytes=N] [step=NS] "
          "[random=0..16] [from=N] [reverse] [separate] [plain]\n",
          stderr);
    return 2;
  }
  sink s = {.fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (s.fd < 0) {
    die(argv[1]);
  }
  write_all(&s, &p);
  rk_buffer_free(&s.out);
  if (close(s.fd) != 0) {
    die(argv[1]);
  }
  return 0;
}
