/* bench-iterate FILE...: takes every row by the public reader, and prints how many rows and instances there were. */
#include <stdio.h>

#include "bench.h"
#include "rrdkit/rrdkit.h"

int main(int argc, char **argv)
{
  rk_reader *reader;
  rk_error error;
  rk_status status = rk_reader_open(NULL, &reader, &error);
  for (int i = 1; i < argc && status == RK_OK; i++) {
    status = rk_reader_add(reader, argv[i], NULL, &error);
  }
  if (status != RK_OK) {
    bench_die("%s", error.message);
  }
  unsigned long long rows = 0;
  unsigned long long instances = 0;
  const rk_row *row;
  while ((status = rk_reader_next(reader, &row)) == RK_OK) {
    rows++;
    for (size_t i = 0; i < row->component_count; i++) {
      instances += (unsigned long long)row->components[i].count;
    }
  }
  if (status != RK_END) {
    bench_die("%s", rk_status_text(status));
  }
  rk_reader_free(reader);
  printf("%llu %llu\n", rows, instances);
  return 0;
}
