/* Measuring: programs and floors run in turn, so that what disturbs one disturbs the other, and are told as ratios. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_RUNS_MAX = 100 };

/* What the command line asked for. */
typedef struct bench_options {
  const char *name; /* of the program, without "bench_" */
  const char *bin;  /* the directory of the tools */
  char *directory;  /* to work in; removed by bench_finish */
  double scale;     /* 1: sizes that take seconds; --full: those that the issues speak of */
  bool full, json;
  int runs;
} bench_options;

/* Parses "[--full] [--json] [--runs=N] [--directory=DIR] BIN"; exits when it is wrong. Makes and enters a directory. */
void bench_start(bench_options *options, int argc, char **argv);
/* Leaves and removes the directory; the exit code of the program: 1 when anything failed. */
int bench_finish(bench_options *options);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

double bench_now(void); /* s */

/* How a program ran. */
typedef struct bench_usage {
  double seconds, cpu_seconds;
  uint64_t peak_memory; /* bytes resident */
  uint64_t read_size;   /* bytes that it read by system calls */
  uint64_t out_size;    /* bytes of its standard output, when it went to a file */
} bench_usage;

/* Runs a program (NULL-terminated words; the first is looked up in BIN, then in PATH) on the first `cpus` processors
 * (0: all) with standard output to `out` (NULL: /dev/null). Ends the benchmark when it fails. */
void bench_run(const bench_options *options, const char *const *words, unsigned cpus, const char *out,
               bench_usage *usage);

/* A figure with its floor, run by run; both in the same unit. */
typedef struct bench_pair {
  double figure[BENCH_RUNS_MAX], floor[BENCH_RUNS_MAX];
  int count;
} bench_pair;
void bench_add(bench_pair *pair, double figure, double floor);
double bench_median(const double *values, int count); /* at most BENCH_RUNS_MAX */

/* Which ratio is asked for; 0: none is. */
typedef struct bench_demand {
  double at_least, at_most;
} bench_demand;

/* One line: the medians, the median and the spread of the ratios, and whether the demand is met. */
void bench_tell(const bench_options *options, const char *what, const char *unit, const bench_pair *pair,
                const char *floor, bench_demand demand);

/* Floors: seconds for `size` bytes. */
double bench_memcpy(const void *data, size_t size);
double bench_lz4(const void *data, size_t size);          /* in blocks of 256 KiB, the default acceleration */
double bench_copy_file(const char *from, const char *to); /* read and write, 1 MiB blocks, into the page cache */

uint64_t bench_file_size(const char *path);
void bench_drop(const char *path); /* removes it, if it is there */

#endif
