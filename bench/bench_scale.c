/* Memory of merging large and hostile recordings, and shapes that are extreme otherwise. */
#include <stdio.h>

#include "bench.h"

typedef struct shape {
  const char *what;
  const char *words[10]; /* for log_scale, before its chunks */
  uint64_t chunks;       /* at scale 1; 0: one of each of so many writers */
  uint64_t writers;
  double memory; /* MiB asked for; 0: as much as a row needs */
} shape;

static void judge(const bench_options *o, const shape *s)
{
  char chunks[32];
  const uint64_t count = s->chunks > 0 ? s->chunks : s->writers;
  snprintf(chunks, sizeof chunks, "%s=%llu", s->chunks > 0 ? "chunks" : "writers",
           count > 1 ? (unsigned long long)((double)count * o->scale) : 1);
  const char *make[14] = {"log_scale", "shape.rrd", chunks};
  for (size_t i = 0; i < 10 && s->words[i]; i++) {
    make[3 + i] = s->words[i];
  }
  const char *const dump[] = {"rrd-dump", "-F", "ndjson", "shape.rrd", NULL};
  const char *const info[] = {"rrd-dump", "--info", "--json", "shape.rrd", NULL};
  const char *const check[] = {"rrd-check", "-q", "shape.rrd", NULL};
  const char *const merge[] = {"rrd-merge", "-q", "-o", "merged.rrd", "shape.rrd", NULL};
  const struct {
    const char *name;
    const char *const *words;
  } programs[] = {{"merge", merge}, {"dump", dump}, {"info", info}, {"check", check}};
  bench_usage usage;
  bench_run(o, make, 0, NULL, &usage);
  const double size = (double)bench_file_size("shape.rrd");
  for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
    bench_pair memory = {0};
    bench_pair speed = {0};
    char what[128];
    const double copied = size / bench_copy_file("shape.rrd", "copy.rrd") / 1e6;
    bench_drop("copy.rrd");
    bench_run(o, programs[i].words, 0, NULL, &usage);
    bench_drop("merged.rrd");
    bench_add(&memory, (double)usage.peak_memory / (1 << 20), 256);
    bench_add(&speed, size / usage.seconds / 1e6, copied);
    snprintf(what, sizeof what, "%s, %.0f MB: %s, memory", s->what, size / 1e6, programs[i].name);
    bench_tell(o, what, "MiB", &memory, "asked", (bench_demand){.at_most = s->memory / 256});
    snprintf(what, sizeof what, "%s, %.0f MB: %s, speed", s->what, size / 1e6, programs[i].name);
    bench_tell(o, what, "MB/s", &speed, "cp", (bench_demand){0});
  }
  bench_drop("shape.rrd");
}

int main(int argc, char **argv)
{
  static const shape shapes[] = {
      {"64 writers", {"writers=64", "rows=2048", "entities=4", "overlap=4", "bytes=300", "separate"}, 24, 0, 256},
      {"all chunks overlap", {"rows=2048", "entities=4", "bytes=300"}, 0, 1344, 256},
      {"tiny chunks", {"writers=10", "entities=5"}, 5000, 0, 256},
      {"10,000 entities", {"entities=10000", "overlap=10000", "rows=20", "bytes=100"}, 10000, 0, 256},
      {"1000 writers", {"writers=1000", "rows=64", "entities=2", "overlap=2", "bytes=100"}, 4, 0, 256},
      {"equal times", {"writers=16", "rows=1000", "entities=4", "overlap=4", "step=0", "bytes=100"}, 40, 0, 256},
  };
  bench_options o;
  bench_start(&o, argc, argv);
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    judge(&o, &shapes[i]);
  }
  const char *row = o.full ? "bytes=1073741824" : "bytes=67108864";
  judge(&o, &(shape){"one row", {row, "random=2"}, 1, 0, 0});
  return bench_finish(&o);
}
