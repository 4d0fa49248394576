/* Runs one program and prints its seconds and the bytes it had resident: bench-measure BIN OUT PROGRAM [ARGUMENT]...
 * For scripts, whose children would count the interpreter that they were forked from. */
#include <stdio.h>

#include "bench.h"

int main(int argc, char **argv)
{
  if (argc < 4) {
    bench_die("usage: bench-measure BIN OUT PROGRAM [ARGUMENT]...");
  }
  const bench_options options = {.bin = argv[1]};
  bench_usage usage;
  bench_run(&options, (const char *const *)argv + 3, 0, argv[2], &usage);
  printf("%.6f %llu\n", usage.seconds, (unsigned long long)usage.peak_memory);
  return 0;
}
