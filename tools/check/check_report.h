/* What rrd-check found in one file: collected while the library judges, then told as text or as JSON. */
#ifndef TOOLS_CHECK_REPORT_H
#define TOOLS_CHECK_REPORT_H

#include "rrdkit/reader.h"
#include "tools/out.h"

typedef struct check_loss {
  char *input, *reason;
  uint64_t offset, length;
  uint32_t writer;
} check_loss;

typedef struct check_report {
  const char *file;
  bool fast;
  uint64_t size; /* of the file, as far as it was judged */
  rk_verify_report verified;
  check_loss *losses; /* the first of them */
  size_t loss_count, loss_capacity;
  uint64_t told_count;  /* of losses, those left out here too */
  rk_finding *findings; /* the first of them, in the order told; `input` is a copy */
  size_t finding_count, finding_capacity;
} check_report;

/* Callbacks for the reader; `context` is the check_report. */
void check_on_loss(void *context, const rk_loss *loss);
void check_on_finding(void *context, const rk_finding *finding);

/* Each loss as "file:offset+length reason writer" with what is missing by it, what else is missing, and a summary. */
void check_print_text(out *o, check_report *report);
/* One object on one line. */
void check_print_json(out *o, check_report *report);
/* The object of a file that could not be judged at all. */
void check_print_json_failure(out *o, const char *file, const char *message);

void check_report_free(check_report *report);

#endif
