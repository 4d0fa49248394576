/* Reading: speed of NDJSON, and how much of a large file a hundredth of its time takes. */
#include <stdio.h>

#include "bench.h"

static void ndjson(const bench_options *o)
{
  char chunks[32];
  snprintf(chunks, sizeof chunks, "chunks=%u", (unsigned)(10 * o->scale) * 4);
  const char *const make[] = {"log_scale",  "text.rrd",  "writers=4", chunks, "rows=2000",
                              "entities=4", "overlap=4", "bytes=32",  NULL};
  const char *const dump[] = {"rrd-dump", "--format=ndjson", "text.rrd", NULL};
  bench_usage usage;
  bench_run(o, make, 0, NULL, &usage);
  bench_pair against_demand = {0};
  bench_pair against_copy = {0};
  for (int i = 0; i < o->runs; i++) {
    bench_run(o, dump, 0, "text.ndjson", &usage);
    const double rate = (double)usage.out_size / usage.seconds / 1e6;
    const double copied = (double)usage.out_size / bench_copy_file("text.ndjson", "copy.ndjson") / 1e6;
    bench_add(&against_demand, rate, 200);
    bench_add(&against_copy, rate, copied);
    bench_drop("copy.ndjson");
    bench_drop("text.ndjson");
  }
  bench_tell(o, "rrd-dump --format=ndjson, output", "MB/s", &against_demand, "asked", (bench_demand){.at_least = 1});
  bench_tell(o, "rrd-dump --format=ndjson, output", "MB/s", &against_copy, "cp of the output", (bench_demand){0});
  bench_drop("text.rrd");
}

/* The share of a file that is read beyond its index, for a hundredth of its time. */
static void hundredth(const bench_options *o)
{
  char chunks[32];
  const unsigned count = (unsigned)(100 * o->scale);
  snprintf(chunks, sizeof chunks, "chunks=%u", count);
  const char *const make[] = {"log_scale", "large.rrd", "writers=16", chunks,
                              "rows=1000", "bytes=300", "step=1000",  NULL};
  bench_usage usage;
  bench_run(o, make, 0, NULL, &usage);
  const double size = (double)bench_file_size("large.rrd");
  const double span = 16.0 * count * 1000 * 1000 / 1e9; /* s */
  char since[48];
  char until[48];
  snprintf(since, sizeof since, "--since=+%.6fs", span * 0.5);
  snprintf(until, sizeof until, "--until=+%.6fs", span * 0.51);
  const char *const part[] = {"rrd-dump", "-F", "ndjson", since, until, "large.rrd", NULL};
  const char *const index[] = {"rrd-dump", "-n", "0", "large.rrd", NULL};
  bench_pair all = {0};
  bench_pair indexed = {0};
  for (int i = 0; i < o->runs; i++) {
    bench_run(o, part, 0, NULL, &usage);
    bench_add(&all, (double)usage.read_size / 1e6, size / 1e6);
    bench_run(o, index, 0, NULL, &usage);
    bench_add(&indexed, (double)usage.read_size / 1e6, size / 1e6);
  }
  bench_tell(o, "1 % of the time of a file: bytes read", "MB", &all, "the whole file", (bench_demand){.at_most = 0.02});
  bench_tell(o, "of these, the index", "MB", &indexed, "the whole file", (bench_demand){0});
  bench_drop("large.rrd");
}

int main(int argc, char **argv)
{
  bench_options o;
  bench_start(&o, argc, argv);
  ndjson(&o);
  hundredth(&o);
  return bench_finish(&o);
}
