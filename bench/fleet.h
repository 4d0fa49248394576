/* Processes and threads that log rows into one recording at once, measured from their common start to the last flush.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "rrdkit/rrdkit.h"

/* What is told about rows of SIZE bytes: Scalars of SIZE / 8 numbers, of which half of the bytes are random. */
enum { FLEET_DATA = 1 << 20 }; /* bytes after which the data repeats: beyond what the codecs look back to */

typedef struct fleet_plan fleet_plan;

typedef struct fleet_worker {
  const fleet_plan *plan;
  rk_recording *recording;
  const rk_component *scalars;
  const rk_entity *const *entities; /* plan->entities */
  const uint8_t *data;              /* FLEET_DATA bytes, then plan->size more */
  unsigned number;                  /* 0 to processes * threads - 1 */
} fleet_worker;

struct fleet_plan {
  const char *path; /* made anew */
  rk_recording_options options;
  unsigned processes, threads, entities; /* 0: 1 */
  size_t size;                           /* a multiple of 8 */
  uint64_t rows;                         /* of each worker */
  void (*work)(fleet_worker *worker);    /* logs the rows; NULL: fleet_log */
  void *shared;                          /* for work: memory that all processes see */
};

typedef struct fleet_result {
  double seconds, cpu_seconds; /* all processes' */
  uint64_t rows, file_size;
} fleet_result;

/* Runs the plan in processes of its own. Ends the benchmark when anything fails. */
void fleet_run(const fleet_plan *plan, fleet_result *result);
void fleet_log(fleet_worker *worker);
/* The data that rows are cut from, made once. */
const uint8_t *fleet_data(size_t size);
void *fleet_share(size_t size); /* zeros, mapped for child processes too */

#endif
