/* What a call to log costs its caller: sizes, handles and texts, typed and generic calls, threads and processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"
#include "fleet.h"

typedef enum call_kind { HANDLE, TEXT, SCALARS, BOXES, TEXT_LOG } call_kind;

typedef struct call_case {
  const char *what;
  call_kind kind;
  size_t size;
  unsigned threads, processes;
  bool paced; /* a million rows a second, not as many as go */
  rk_clock_source clock;
} call_case;

/* What one worker saw. */
typedef struct sight {
  double burst, burst_floor; /* ns a row */
  uint32_t *row, *row_floor; /* ns of each row; with the clock read that measures it */
  uint8_t ring[FLEET_DATA];  /* what the floor copies into */
} sight;

typedef struct run {
  const call_case *is;
  size_t rows; /* that are looked at one by one */
  size_t burst;
  sight *sights;
} run;

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline rk_status call(const fleet_worker *w, call_kind kind, const void *data)
{
  const rk_cell cell = {.component = w->scalars, .count = w->plan->size / 8, .values = data};
  switch (kind) {
  case HANDLE:
    return rk_log(w->recording, w->entities[0], &cell, 1);
  case TEXT:
    return rk_log(w->recording, rk_entity_at(w->recording, "bench/e0"), &cell, 1);
  case SCALARS:
    return rk_log_scalars(w->recording, w->entities[0], &(rk_scalars){.scalars = data, .scalars_count = cell.count});
  case BOXES:
    return rk_log_boxes2d(
        w->recording, w->entities[0],
        &(rk_boxes2d){
            .half_sizes = data, .half_sizes_count = 5, .centers = (const rk_vec2 *)data + 5, .centers_count = 5});
  case TEXT_LOG:
    return rk_log_text_log(w->recording, w->entities[0],
                           &(rk_text_log){.text = "the gripper has closed, all is well", .level = RK_LEVEL_INFO});
  }
  return RK_ERR_MISUSE;
}

/* What a row cannot cost less than: one read of the clock and one copy. */
static inline void floor_call(sight *s, size_t *at, const void *data, size_t size)
{
  const int64_t stamp = now_ns();
  memcpy(s->ring + *at, &stamp, sizeof stamp);
  memcpy(s->ring + *at + 8, data, size);
  *at = *at + size + 16 < sizeof s->ring - size - 16 ? *at + size + 16 : 0;
  __asm__ volatile("" : : "r"(s->ring) : "memory");
}

static void look(fleet_worker *w)
{
  const run *r = w->plan->shared;
  const call_kind kind = r->is->kind;
  const size_t size = w->plan->size;
  sight *s = &r->sights[w->number];
  enum { BURSTS = 20 };
  size_t at = 0;
  int failed = 0;
  memset(s->ring, 1, sizeof s->ring);
  double burst[BURSTS], burst_floor[BURSTS];
  for (int i = 0; i < BURSTS; i++) {
    failed |= (int)rk_recording_flush(w->recording);
    const uint8_t *data = w->data;
    int64_t begin = now_ns();
    for (size_t k = 0; k < r->burst; k++) {
      failed |= (int)call(w, kind, data + k * size % FLEET_DATA / 8 * 8);
    }
    burst[i] = (double)(now_ns() - begin) / (double)r->burst;
    begin = now_ns();
    for (size_t k = 0; k < r->burst; k++) {
      floor_call(s, &at, data + k * size % FLEET_DATA / 8 * 8, size);
    }
    burst_floor[i] = (double)(now_ns() - begin) / (double)r->burst;
  }
  s->burst = bench_median(burst, BURSTS);
  s->burst_floor = bench_median(burst_floor, BURSTS);
  int64_t before = now_ns();
  int64_t due = before;
  for (size_t k = 0; k < r->rows; k++) {
    failed |= (int)call(w, kind, w->data + k * size % FLEET_DATA / 8 * 8);
    const int64_t after = now_ns();
    s->row[k] = (uint32_t)(after - before);
    before = after;
    for (due += 1000; r->is->paced && before < due;) {
      before = now_ns();
    }
  }
  before = now_ns();
  for (size_t k = 0; k < r->rows; k++) {
    floor_call(s, &at, w->data + k * size % FLEET_DATA / 8 * 8, size);
    const int64_t after = now_ns();
    s->row_floor[k] = (uint32_t)(after - before);
    before = after;
  }
  if (failed != 0) {
    bench_die("rows were refused");
  }
}

static int by_value(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a;
  const uint32_t y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void judge(const bench_options *o, const call_case *is)
{
  static const struct {
    const char *name;
    double part;
  } parts[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
  enum { PARTS = sizeof parts / sizeof parts[0] };
  const unsigned workers = is->threads * is->processes;
  const size_t in_ring = is->size + 128; /* at most, and a burst is less than what the background thread waits for */
  run *r = fleet_share(sizeof *r);
  *r = (run){.is = is, .rows = (size_t)(200000 * o->scale), .burst = ((size_t)250 << 10) / in_ring};
  r->burst = r->burst > 2000 ? 2000 : r->burst;
  while (r->rows * is->size > ((size_t)1 << 30) * (size_t)o->scale / workers) {
    r->rows /= 2;
  }
  const size_t samples = workers * r->rows * sizeof(uint32_t);
  r->sights = fleet_share(workers * sizeof *r->sights);
  uint32_t *row = fleet_share(samples);
  uint32_t *row_floor = fleet_share(samples);
  for (unsigned i = 0; i < workers; i++) {
    r->sights[i].row = row + i * r->rows;
    r->sights[i].row_floor = row_floor + i * r->rows;
  }
  bench_pair burst = {0};
  bench_pair pairs[PARTS] = {{.count = 0}};
  for (int i = 0; i < o->runs; i++) {
    fleet_result result;
    fleet_run(&(fleet_plan){.path = "call.rrd",
                            .options = {.application_id = "bench", .clock = is->clock},
                            .processes = is->processes,
                            .threads = is->threads,
                            .size = is->size,
                            .work = look,
                            .shared = r},
              &result);
    double sum = 0;
    double sum_floor = 0;
    for (unsigned k = 0; k < workers; k++) {
      sum += r->sights[k].burst;
      sum_floor += r->sights[k].burst_floor;
    }
    bench_add(&burst, sum / workers, sum_floor / workers);
    const size_t count = workers * r->rows;
    qsort(row, count, sizeof *row, by_value);
    qsort(row_floor, count, sizeof *row_floor, by_value);
    for (size_t k = 0; k < PARTS; k++) {
      const size_t at = (size_t)(parts[k].part * (double)(count - 1));
      bench_add(&pairs[k], row[at], row_floor[at]);
    }
  }
  bench_drop("call.rrd");
  char what[128];
  snprintf(what, sizeof what, "%s: in bursts", is->what);
  bench_tell(o, what, "ns", &burst, "clock + copy",
             (bench_demand){.at_most = is->size == 64 && workers == 1 && is->kind == HANDLE && !is->paced ? 1.4 : 0});
  for (size_t k = 0; k < PARTS; k++) {
    snprintf(what, sizeof what, "%s: %s", is->what, parts[k].name);
    bench_tell(o, what, "ns", &pairs[k], "clock + copy", (bench_demand){0});
  }
  munmap(row, samples);
  munmap(row_floor, samples);
  munmap(r->sights, workers * sizeof *r->sights);
  munmap(r, sizeof *r);
}

int main(int argc, char **argv)
{
  static const call_case cases[] = {
      {"16 B", HANDLE, 16, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B", HANDLE, 64, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B, TSC", HANDLE, 64, 1, 1, false, RK_CLOCK_TSC},
      {"64 B, a million a second", HANDLE, 64, 1, 1, true, RK_CLOCK_MONOTONIC},
      {"256 B", HANDLE, 256, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"4 KiB", HANDLE, 4096, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"64 KiB", HANDLE, 65536, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B, entity by text", TEXT, 64, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"Scalars of 8", SCALARS, 64, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"Boxes2D of 5", BOXES, 80, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"TextLog", TEXT_LOG, 40, 1, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B, 2 threads", HANDLE, 64, 2, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B, 10 threads", HANDLE, 64, 10, 1, false, RK_CLOCK_MONOTONIC},
      {"64 B, 2 processes", HANDLE, 64, 1, 2, false, RK_CLOCK_MONOTONIC},
      {"64 B, 4 processes", HANDLE, 64, 1, 4, false, RK_CLOCK_MONOTONIC},
      {"64 B, 10 processes", HANDLE, 64, 1, 10, false, RK_CLOCK_MONOTONIC},
  };
  bench_options o;
  bench_start(&o, argc, argv);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    judge(&o, &cases[i]);
  }
  return bench_finish(&o);
}
