/* Rows to a file as fast as they go: compressions, file systems, threads and processes; beside a plain write of as many
 * bytes, the plain codec on the same bytes, and one thread. */
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "bench.h"
#include "fleet.h"

enum { BLOCK = 256 << 10 };

/* A recording's bytes, as the floors take them. */
typedef struct bytes {
  char *data;
  size_t size;
} bytes;

typedef struct codec {
  const char *name;
  rk_compression compression;
  const char *suffix;
  void (*floor)(const bytes *plain, const char *path);
  rk_clock_source clock;
  double rows_asked;  /* millions of 64 B a second; 0: nothing is */
  double floor_asked; /* of the floor, 4 KiB */
} codec;

static bytes read_all(const char *path)
{
  bytes b = {.size = (size_t)bench_file_size(path)};
  b.data = malloc(b.size);
  FILE *file = fopen(path, "rb");
  if (b.data == NULL || file == NULL || fread(b.data, 1, b.size, file) != b.size) {
    bench_die("cannot read %s", path);
  }
  fclose(file);
  return b;
}

static void plain_write(const bytes *plain, const char *path)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  for (size_t at = 0; at < plain->size; at += BLOCK) {
    const size_t n = plain->size - at < BLOCK ? plain->size - at : BLOCK;
    if (write(fd, plain->data + at, n) != (ssize_t)n) {
      bench_die("%s: %s", path, strerror(errno));
    }
  }
  close(fd);
}

static void plain_lz4(const bytes *plain, const char *path)
{
  (void)path;
  bench_lz4(plain->data, plain->size);
}

static void plain_zstd(const bytes *plain, const char *path)
{
  (void)path;
  const size_t bound = ZSTD_compressBound(BLOCK);
  char *to = malloc(bound);
  ZSTD_CCtx *context = ZSTD_createCCtx();
  for (size_t at = 0; at < plain->size; at += BLOCK) {
    const size_t n = plain->size - at < BLOCK ? plain->size - at : BLOCK;
    if (ZSTD_isError(ZSTD_compressCCtx(context, to, bound, plain->data + at, n, 1))) {
      bench_die("zstd does not compress");
    }
  }
  ZSTD_freeCCtx(context);
  free(to);
}

static const codec codecs[] = {{"none", RK_COMPRESSION_NONE, "", plain_write, RK_CLOCK_MONOTONIC, 20, 0.5},
                               {"LZ4", RK_COMPRESSION_LZ4, "", plain_lz4, RK_CLOCK_MONOTONIC, 5.5, 0.8},
                               {"zstd", RK_COMPRESSION_DEFAULT, ".zst", plain_zstd, RK_CLOCK_MONOTONIC, 0, 0},
                               {"none, TSC", RK_COMPRESSION_NONE, "", plain_write, RK_CLOCK_TSC, 20, 0.5},
                               {"LZ4, TSC", RK_COMPRESSION_LZ4, "", plain_lz4, RK_CLOCK_TSC, 5.5, 0.8}};
enum { CODECS = sizeof codecs / sizeof codecs[0] };

typedef struct place {
  const char *name, *directory;
} place;

static void write_rows(const codec *c, const place *p, size_t size, uint64_t rows, unsigned processes, unsigned threads,
                       fleet_result *result)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/write.rrd%s", p->directory, c->suffix);
  fleet_run(&(fleet_plan){.path = path,
                          .options = {.application_id = "bench", .compression = c->compression, .clock = c->clock},
                          .processes = processes,
                          .threads = threads,
                          .size = size,
                          .rows = rows / processes / threads},
            result);
  bench_drop(path);
}

static double cpu_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One thread: rows a second, and bytes a second beside the floor. */
static void alone(const bench_options *o, const codec *c, const place *p, size_t size, bench_demand rate_asked,
                  bench_demand floor_asked)
{
  const uint64_t rows = (uint64_t)(o->scale * 256e6) / (size + 64);
  char path[4096];
  snprintf(path, sizeof path, "%s/floor.rrd", p->directory);
  fleet_result result;
  fleet_run(&(fleet_plan){.path = path,
                          .options = {.application_id = "bench", .compression = RK_COMPRESSION_NONE},
                          .size = size,
                          .rows = rows},
            &result);
  const bytes plain = read_all(path);
  bench_drop(path);
  bench_pair rate = {0};
  bench_pair speed = {0};
  bench_pair cpu = {0};
  for (int i = 0; i < o->runs; i++) {
    const double begin = bench_now();
    const double cpu_begin = cpu_now();
    c->floor(&plain, path);
    const double floor = bench_now() - begin;
    const double floor_cpu = cpu_now() - cpu_begin;
    bench_drop(path);
    write_rows(c, p, size, rows, 1, 1, &result);
    bench_add(&rate, (double)rows / result.seconds / 1e6, rate_asked.at_least);
    bench_add(&speed, (double)plain.size / result.seconds / 1e6, (double)plain.size / floor / 1e6);
    bench_add(&cpu, result.cpu_seconds / (double)plain.size * 1e9, floor_cpu / (double)plain.size * 1e9);
  }
  free(plain.data);
  char what[128];
  snprintf(what, sizeof what, "%zu B, %s, %s", size, c->name, p->name);
  if (rate_asked.at_least > 0) {
    bench_tell(o, what, "M rows/s", &rate, "asked", (bench_demand){.at_least = 1});
  }
  const char *beside = c->floor == plain_write ? "plain write" : c->floor == plain_lz4 ? "plain LZ4" : "plain zstd";
  bench_tell(o, what, "MB/s", &speed, beside, floor_asked);
  bench_tell(o, what, "CPU s/GB", &cpu, beside, (bench_demand){0});
}

/* Several threads or processes beside one thread. */
static void together(const bench_options *o, const codec *c, const place *p, unsigned processes, unsigned threads,
                     double asked)
{
  const uint64_t rows = (uint64_t)(o->scale * 2e6);
  bench_pair pair = {0};
  for (int i = 0; i < o->runs; i++) {
    fleet_result one;
    fleet_result many;
    write_rows(c, p, 64, rows, 1, 1, &one);
    write_rows(c, p, 64, rows, processes, threads, &many);
    bench_add(&pair, (double)many.rows / many.seconds / 1e6, (double)one.rows / one.seconds / 1e6);
  }
  char what[128];
  snprintf(what, sizeof what, "64 B, %s, %s: %u %s", c->name, p->name, processes > 1 ? processes : threads,
           processes > 1 ? "processes" : "threads");
  bench_tell(o, what, "M rows/s", &pair, "one thread", (bench_demand){.at_least = asked});
}

int main(int argc, char **argv)
{
  bench_options o;
  bench_start(&o, argc, argv);
  char memory[] = "/dev/shm/bench-XXXXXX";
  const bool has_memory = mkdtemp(memory) != NULL;
  const place places[] = {{"disk", "."}, {"tmpfs", memory}};
  for (size_t k = 0; k < (has_memory ? 2 : 1); k++) {
    for (size_t i = 0; i < CODECS; i++) {
      const codec *c = &codecs[i];
      /* The budgets speak of the disk, and of 4 KiB: at 64 B a call costs a third of what LZ4 does. */
      alone(&o, c, &places[k], 64, (bench_demand){.at_least = k == 0 ? c->rows_asked : 0}, (bench_demand){0});
      alone(&o, c, &places[k], 4096, (bench_demand){0}, (bench_demand){.at_least = k == 0 ? c->floor_asked : 0});
    }
  }
  for (size_t i = 0; i < 2; i++) {
    together(&o, &codecs[i], &places[0], 1, 2, 1.8);
    together(&o, &codecs[i], &places[0], 2, 1, 1.8);
    together(&o, &codecs[i], &places[0], 1, 10, 0);
    together(&o, &codecs[i], &places[0], 10, 1, 0);
  }
  if (has_memory) {
    rmdir(memory);
  }
  return bench_finish(&o);
}
