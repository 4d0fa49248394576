/* Whether a row costs the same however many there are, and of however many entities and writers: processor time a row,
 * beside that of a plain case in the same run. */
#include <stdio.h>

#include "bench.h"
#include "fleet.h"

typedef struct shape {
  const char *axis;
  unsigned processes, threads, entities;
  double rows; /* of all workers; 0: the plain case's */
  bool full;   /* only then */
} shape;

/* A writer logs some rings full, so that what its beginning and its end cost does not count: the question is a row's
 * cost. */
enum { ROWS = 1000000, ROWS_OF_WRITER = 50000 };

static double cost(const shape *s, double rows)
{
  fleet_result result;
  const double each = rows / s->processes / s->threads;
  fleet_run(&(fleet_plan){.path = "scale.rrd",
                          .options = {.application_id = "bench"},
                          .processes = s->processes,
                          .threads = s->threads,
                          .entities = s->entities,
                          .size = 64,
                          .rows = (uint64_t)each},
            &result);
  bench_drop("scale.rrd");
  return result.cpu_seconds / (double)result.rows * 1e9;
}

int main(int argc, char **argv)
{
  static const shape shapes[] = {
      {"threads", 1, 2, 1, 0, false},   {"threads", 1, 4, 1, 0, false},    {"threads", 1, 10, 1, 0, false},
      {"threads", 1, 64, 1, 0, false},  {"threads", 1, 256, 1, 0, false},  {"processes", 2, 1, 1, 0, false},
      {"processes", 4, 1, 1, 0, false}, {"processes", 10, 1, 1, 0, false}, {"processes", 64, 1, 1, 0, true},
      {"entities", 1, 1, 10, 0, false}, {"entities", 1, 1, 100, 0, false}, {"entities", 1, 1, 1000, 0, false},
      {"rows", 1, 1, 1, 1e4, false},    {"rows", 1, 1, 1, 1e5, false},     {"rows", 1, 1, 1, 1e7, false},
      {"rows", 1, 1, 1, 1e8, true},
  };
  bench_options o;
  bench_start(&o, argc, argv);
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    const shape *s = &shapes[i];
    if (s->full && !o.full) {
      continue;
    }
    const double least = (double)ROWS_OF_WRITER * s->processes * s->threads;
    double rows = s->rows > 0 ? s->rows : ROWS * (o.full ? 10 : 2);
    rows = rows < least && s->rows <= 0 ? least : rows;
    bench_pair pair = {0};
    for (int k = 0; k < o.runs; k++) {
      const double plain = cost(&(shape){.processes = 1, .threads = 1, .entities = 1}, ROWS);
      bench_add(&pair, cost(s, rows), plain);
    }
    char what[128];
    snprintf(what, sizeof what, "64 B, LZ4: %g %s",
             s->rows > 0        ? s->rows
             : s->processes > 1 ? s->processes
             : s->threads > 1   ? s->threads
                                : s->entities,
             s->axis);
    bench_tell(&o, what, "CPU ns/row", &pair, "one of each, a million rows", (bench_demand){.at_most = 1.2});
  }
  return bench_finish(&o);
}
