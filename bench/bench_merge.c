/* Merging: rows of 100 bytes on one core, chunks that pass as they are beside cp, two cores beside one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

/* A row's id, time and offset are compressed with it. */
enum { ROW = 100, ENCODED = ROW + 16 + 8 + 4, WRITERS = 8, ROWS = 2500 };

/* As log_scale fills its rows: half of it cannot be compressed. */
static char *make_rows(size_t size)
{
  char *data = malloc(size);
  uint64_t state = 88172645463325252U;
  for (size_t i = 0; data && i < size; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    data[i] = i % 16 < 8 ? (char)(state >> 32) : (char)(i / 16 % 3);
  }
  return data ? data : (bench_die("out of memory"), NULL);
}

/* Rows of all writers alternate on the same entities, so that every row is taken apart and put together. */
static void rows(const bench_options *o)
{
  char chunks[32];
  const unsigned count = (unsigned)(30 * o->scale) * 4;
  snprintf(chunks, sizeof chunks, "chunks=%u", count);
  const char *const make[] = {"log_scale",  "rows.rrd",  "writers=8", chunks, "rows=2500",
                              "entities=4", "overlap=4", "bytes=100", NULL};
  bench_usage usage;
  bench_run(o, make, 0, NULL, &usage);
  const double size = (double)WRITERS * count * ROWS * ROW;
  const size_t sample = 64 << 20;
  char *data = make_rows(sample);
  const char *const one[] = {"rrd-merge", "--threads=1", "--recode", "-q", "--force", "-o", "-", "rows.rrd", NULL};
  const char *const two[] = {"rrd-merge", "--threads=2", "--recode", "-q", "--force", "-o", "-", "rows.rrd", NULL};
  bench_pair against_memcpy = {0};
  bench_pair against_lz4 = {0};
  bench_pair against_demand = {0};
  bench_pair cores = {0};
  for (int i = 0; i < o->runs; i++) {
    const double copied = (double)sample / bench_memcpy(data, sample) / 1e6;
    const double compressed = (double)sample / bench_lz4(data, sample) / 1e6 * ROW / ENCODED;
    bench_run(o, one, 1, NULL, &usage);
    const double rate = size / usage.seconds / 1e6;
    bench_add(&against_memcpy, rate, copied);
    bench_add(&against_lz4, rate, compressed);
    bench_add(&against_demand, rate, 400);
    bench_run(o, two, 2, NULL, &usage);
    bench_add(&cores, size / usage.seconds / 1e6, rate);
  }
  free(data);
  bench_tell(o, "merge of 100-byte rows, LZ4, one core", "MB/s", &against_demand, "asked",
             (bench_demand){.at_least = 1});
  bench_tell(o, "merge of 100-byte rows, LZ4, one core", "MB/s", &against_lz4, "LZ4 of the encoded rows",
             (bench_demand){0});
  bench_tell(o, "merge of 100-byte rows, LZ4, one core", "MB/s", &against_memcpy, "memcpy", (bench_demand){0});
  bench_tell(o, "merge of 100-byte rows, LZ4, two cores", "MB/s", &cores, "one core", (bench_demand){.at_least = 1.7});
  bench_drop("rows.rrd");
}

/* Every writer has its own entities and large chunks. */
static void passing(const bench_options *o)
{
  char chunks[32];
  snprintf(chunks, sizeof chunks, "chunks=%u", (unsigned)(60 * o->scale));
  const char *const make[] = {"log_scale", "pass.rrd", "writers=8", chunks, "rows=4096", "bytes=100", "separate", NULL};
  const char *const merge[] = {"rrd-merge", "-q", "--force", "-o", "-", "pass.rrd", NULL};
  const char *const copy[] = {"cp", "--reflink=never", "pass.rrd", "copy.rrd", NULL};
  bench_usage usage;
  bench_run(o, make, 0, NULL, &usage);
  const double size = (double)bench_file_size("pass.rrd");
  bench_pair pair = {0};
  for (int i = 0; i < o->runs; i++) {
    bench_drop("copy.rrd");
    bench_run(o, copy, 0, NULL, &usage);
    const double floor = size / usage.seconds / 1e6;
    bench_drop("copy.rrd");
    bench_run(o, merge, 0, "copy.rrd", &usage);
    bench_add(&pair, size / usage.seconds / 1e6, floor);
  }
  bench_tell(o, "merge of chunks that pass as they are", "MB/s", &pair, "cp", (bench_demand){.at_least = 0.5});
  bench_drop("pass.rrd");
  bench_drop("copy.rrd");
}

int main(int argc, char **argv)
{
  bench_options o;
  bench_start(&o, argc, argv);
  rows(&o);
  passing(&o);
  return bench_finish(&o);
}
