/* Reading: rows by the library, as text, NDJSON and CSV, rrd-check and --info, each with its memory; and how much of a
 * large file a hundredth of its time takes. */
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "bench.h"

enum { BLOCK = 256 << 10, BLOCKS = 256, BOUND = LZ4_COMPRESSBOUND(BLOCK), MEMORY_ASKED = 256 /* MiB */ };

static char *need(void *memory)
{
  return memory ? memory : (bench_die("out of memory"), NULL);
}

/* What else was measured in the same runs, for one sample. */
typedef struct floors {
  double copied[BENCH_RUNS_MAX], unpacked[BENCH_RUNS_MAX]; /* MB/s */
  double iterated[BENCH_RUNS_MAX];                         /* M rows/s */
} floors;

/* memcpy of the sample's bytes, uncompressed, and LZ4 giving them back. No memory stays: it would be counted as that of
 * the programs. */
static void measure_floors(double *copied, double *unpacked)
{
  char *plain = need(malloc((size_t)BLOCKS * BLOCK));
  char *packed = need(malloc((size_t)BLOCKS * BOUND));
  int sizes[BLOCKS];
  FILE *file = fopen("plain.rrd", "re");
  const size_t blocks = file ? fread(plain, BLOCK, BLOCKS, file) : 0; /* the rest goes for nothing */
  if (blocks == 0) {
    bench_die("plain.rrd cannot be read");
  }
  fclose(file);
  for (size_t i = 0; i < blocks; i++) {
    sizes[i] = LZ4_compress_default(plain + i * BLOCK, packed + i * BOUND, BLOCK, BOUND);
  }
  *copied = (double)(blocks * BLOCK) / bench_memcpy(plain, blocks * BLOCK) / 1e6;
  const double begin = bench_now();
  for (size_t i = 0; i < blocks; i++) {
    if (LZ4_decompress_safe(packed + i * BOUND, plain, sizes[i], BLOCK) != BLOCK) {
      bench_die("LZ4 does not decompress");
    }
  }
  *unpacked = (double)(blocks * BLOCK) / (bench_now() - begin) / 1e6;
  free(packed);
  free(plain);
}

/* MB/s of reading a file and hashing what was read. */
static double hashing(const char *path)
{
  char *block = need(malloc(1 << 20));
  XXH3_state_t *state = XXH3_createState();
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const double begin = bench_now();
  ssize_t got = fd >= 0 && state && XXH3_64bits_reset(state) == XXH_OK ? 1 : -1;
  while (got > 0) {
    got = read(fd, block, 1 << 20);
    XXH3_64bits_update(state, block, got > 0 ? (size_t)got : 0);
  }
  if (got < 0 || XXH3_64bits_digest(state) == 0) {
    bench_die("%s cannot be hashed", path);
  }
  const double seconds = bench_now() - begin;
  close(fd);
  XXH3_freeState(state);
  free(block);
  return (double)bench_file_size(path) / seconds / 1e6;
}

/* A recording to read, "rows.rrd"; "plain.rrd" holds the same rows uncompressed. */
typedef struct sample {
  const char *name;
  const char *const *make; /* the program that makes it */
  double rows;
  bool packed; /* with LZ4 */
} sample;

static void tell(const bench_options *o, const sample *s, const char *what, const char *unit, const bench_pair *pair,
                 const char *floor, bench_demand demand)
{
  char name[128];
  snprintf(name, sizeof name, "%s: %s", s->name, what);
  bench_tell(o, name, unit, pair, floor, demand);
}

static void tell_memory(const bench_options *o, const sample *s, const char *what, const bench_pair *pair)
{
  char name[64];
  snprintf(name, sizeof name, "%s, memory", what);
  tell(o, s, name, "MiB", pair, "asked", (bench_demand){.at_most = 1});
}

static void add_memory(bench_pair *pair, const bench_usage *usage)
{
  bench_add(pair, (double)usage->peak_memory / (1 << 20), MEMORY_ASKED);
}

/* Every row by the library. */
static void iterate(const bench_options *o, const sample *s, floors *beside)
{
  const char *const words[] = {"bench-iterate", "rows.rrd", NULL};
  const double size = (double)bench_file_size("plain.rrd") / 1e6;
  bench_pair rows = {0};
  bench_pair against_copy = {0};
  bench_pair memory = {0};
  bench_usage usage;
  for (int i = 0; i < o->runs; i++) {
    measure_floors(&beside->copied[i], &beside->unpacked[i]);
    bench_run(o, words, 0, NULL, &usage);
    beside->iterated[i] = s->rows / usage.seconds / 1e6;
    const double floor = s->packed ? beside->unpacked[i] : beside->copied[i];
    bench_add(&rows, beside->iterated[i], floor / size * s->rows / 1e6);
    bench_add(&against_copy, size / usage.seconds, beside->copied[i]);
    add_memory(&memory, &usage);
  }
  tell(o, s, "rk_reader_next", "M rows/s", &rows, s->packed ? "plain LZ4" : "memcpy", (bench_demand){0});
  tell(o, s, "rk_reader_next, uncompressed", "MB/s", &against_copy, "memcpy", (bench_demand){0});
  tell_memory(o, s, "rk_reader_next", &memory);
}

/* Every row as text of a kind, into a file. */
static void print(const bench_options *o, const sample *s, const char *format, double rows_asked, const floors *beside)
{
  char option[32];
  snprintf(option, sizeof option, "--format=%s", format);
  const char *const words[] = {"rrd-dump", option, "rows.rrd", NULL};
  bench_pair against_demand = {0};
  bench_pair against_reader = {0};
  bench_pair against_copy = {0};
  bench_pair memory = {0};
  bench_usage usage;
  for (int i = 0; i < o->runs; i++) {
    bench_run(o, words, 0, "rows.out", &usage);
    const double rate = s->rows / usage.seconds / 1e6;
    const double size = (double)usage.out_size / 1e6;
    bench_add(&against_demand, rate, rows_asked);
    bench_add(&against_reader, rate, beside->iterated[i]);
    bench_add(&against_copy, size / usage.seconds, size / bench_copy_file("rows.out", "copy.out"));
    add_memory(&memory, &usage);
    bench_drop("copy.out");
    bench_drop("rows.out");
  }
  char what[64];
  snprintf(what, sizeof what, "rrd-dump, %s", format);
  if (rows_asked > 0) {
    tell(o, s, what, "M rows/s", &against_demand, "asked", (bench_demand){.at_least = 1});
  }
  tell(o, s, what, "M rows/s", &against_reader, "rk_reader_next", (bench_demand){0});
  tell(o, s, what, "MB/s", &against_copy, "cp of the output", (bench_demand){0});
  tell_memory(o, s, what, &memory);
}

static void check(const bench_options *o, const sample *s, const floors *beside)
{
  static const char *const words[] = {"rrd-check", "rows.rrd", NULL};
  bench_pair against_hash = {0};
  bench_pair against_codec = {0};
  bench_pair memory = {0};
  bench_usage usage;
  for (int i = 0; i < o->runs; i++) {
    const double hashed = hashing("rows.rrd");
    bench_run(o, words, 0, NULL, &usage);
    bench_add(&against_hash, (double)bench_file_size("rows.rrd") / usage.seconds / 1e6, hashed);
    bench_add(&against_codec, (double)bench_file_size("plain.rrd") / usage.seconds / 1e6, beside->unpacked[i]);
    add_memory(&memory, &usage);
  }
  tell(o, s, "rrd-check, file", "MB/s", &against_hash, "read and XXH3", (bench_demand){0});
  if (s->packed) {
    tell(o, s, "rrd-check, uncompressed", "MB/s", &against_codec, "plain LZ4", (bench_demand){0});
  }
  tell_memory(o, s, "rrd-check", &memory);
}

static void inform(const bench_options *o, const sample *s)
{
  static const char *const words[] = {"rrd-dump", "--info", "rows.rrd", NULL};
  bench_pair against_copy = {0};
  bench_pair memory = {0};
  bench_usage usage;
  const double size = (double)bench_file_size("rows.rrd") / 1e6;
  for (int i = 0; i < o->runs; i++) {
    const double copied = size / bench_copy_file("rows.rrd", "copy.rrd");
    bench_drop("copy.rrd");
    bench_run(o, words, 0, NULL, &usage);
    bench_add(&against_copy, size / usage.seconds, copied);
    add_memory(&memory, &usage);
  }
  tell(o, s, "rrd-dump --info, file", "MB/s", &against_copy, "cp", (bench_demand){0});
  tell_memory(o, s, "rrd-dump --info", &memory);
}

static void samples(const bench_options *o)
{
  char rows[32];
  char chunks[32];
  char more_chunks[32];
  const unsigned count = (unsigned)(50 * o->scale); /* of each of 4 writers, of 2500 rows */
  snprintf(rows, sizeof rows, "%u", count * 10000);
  snprintf(chunks, sizeof chunks, "chunks=%u", count);
  snprintf(more_chunks, sizeof more_chunks, "chunks=%u", count * 4);
  const char *const numbers[] = {"bench-kinds", "rows.rrd", "random", rows, NULL};
  const char *const texts[] = {"bench-kinds", "rows.rrd", "text", rows, NULL};
  const char *const bytes[] = {"log_scale",  "rows.rrd",  "writers=4", chunks, "rows=2500",
                               "entities=4", "overlap=4", "bytes=100", NULL};
  const char *const unpacked[] = {"log_scale",  "rows.rrd",  "writers=4", more_chunks, "rows=2500",
                                  "entities=4", "overlap=4", "bytes=64",  "plain",     NULL};
  static const char *const unpack[] = {"rrd-merge", "-q", "--compression=none", "-o", "plain.rrd", "rows.rrd", NULL};
  const sample all[] = {{.name = "64 B", .make = numbers, .rows = count * 10000.0, .packed = true},
                        {.name = "100 B of 4 writers", .make = bytes, .rows = count * 10000.0, .packed = true},
                        {.name = "texts", .make = texts, .rows = count * 10000.0, .packed = true},
                        {.name = "64 B, not compressed", .make = unpacked, .rows = count * 40000.0}};
  bench_usage usage;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    floors beside;
    bench_run(o, all[i].make, 0, NULL, &usage);
    bench_run(o, unpack, 0, NULL, &usage);
    iterate(o, &all[i], &beside);
    if (all[i].packed) {
      print(o, &all[i], "text", 1, &beside);
      print(o, &all[i], "ndjson", 0, &beside);
      print(o, &all[i], "csv", 0, &beside);
    }
    check(o, &all[i], &beside);
    inform(o, &all[i]);
    bench_drop("plain.rrd");
    bench_drop("rows.rrd");
  }
}

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
  samples(&o);
  ndjson(&o);
  hundredth(&o);
  return bench_finish(&o);
}
