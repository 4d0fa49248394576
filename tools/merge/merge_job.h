/* rrd-merge's job: what was asked for, what it would meet, and what was done. */
#ifndef TOOLS_MERGE_JOB_H
#define TOOLS_MERGE_JOB_H

#include "tools/inputs.h"

typedef struct merge_request {
  selection selection;
  rk_merge_options merge;
  const char *output; /* NULL: a dry run without one */
  const char *report;
  bool dry_run, json, force, keep_going, quiet, verbose;
} merge_request;

typedef struct merge_loss {
  char *input, *reason;
  uint64_t offset, length;
  uint32_t writer;
} merge_loss;

enum { MERGE_LOSSES_MAX = 10000 }; /* remembered for the report; all are counted */

typedef struct merge_losses {
  merge_loss *list;
  size_t count;
} merge_losses;

/* rk_reader_options.on_loss with a merge_losses. */
void merge_losses_add(void *context, const rk_loss *loss);
void merge_losses_free(merge_losses *losses);

/* The plan, to standard output. */
bool merge_plan_print(const merge_request *r, const inputs *in, out *o);

/* What was done, as one JSON object. `sum`: XXH3-64 of the output; NULL: it cannot be read back. */
void merge_report_print(const merge_request *r, const inputs *in, const rk_merge_report *done,
                        const merge_losses *losses, const uint64_t *sum, double seconds, out *o);
/* XXH3-64 of a regular file from its beginning. False: it is none, or cannot be read. */
bool merge_sum_file(int fd, uint64_t *sum);

/* Members of JSON that plan and report share. */
void merge_json_number(out *o, const char *key, uint64_t value);
void merge_json_text(out *o, const char *key, const char *value);
void merge_json_time(out *o, const char *key, bool known, int64_t ns);
void merge_json_input(out *o, const rk_input_info *info); /* without the closing brace */

#endif
