/* What rrd-check found in one file: collected while the library judges. */
#include "tools/check/check_report.h"

#include <stdlib.h>

#include "tools/cli.h"

enum { KEPT_MAX = 100000 }; /* losses, and findings; beyond it they are only counted */

static void *room(void *list, size_t count, size_t *capacity, size_t size)
{
  if (count < *capacity)
    return list;
  *capacity = *capacity == 0 ? 16 : 2 * *capacity;
  return cli_realloc(list, *capacity, size);
}

void check_on_loss(void *context, const rk_loss *loss)
{
  check_report *r = context;
  r->told_count++;
  if (r->loss_count == KEPT_MAX)
    return;
  r->losses = room(r->losses, r->loss_count, &r->loss_capacity, sizeof *r->losses);
  r->losses[r->loss_count++] = (check_loss){.input = cli_copy(loss->input),
                                            .reason = cli_copy(loss->reason),
                                            .offset = loss->offset,
                                            .length = loss->length,
                                            .writer = loss->writer};
}

void check_on_finding(void *context, const rk_finding *finding)
{
  check_report *r = context;
  if (r->finding_count == KEPT_MAX)
    return;
  r->findings = room(r->findings, r->finding_count, &r->finding_capacity, sizeof *r->findings);
  r->findings[r->finding_count] = *finding;
  r->findings[r->finding_count++].input = finding->input == NULL ? NULL : cli_copy(finding->input);
}

void check_report_free(check_report *r)
{
  for (size_t i = 0; i < r->loss_count; i++) {
    free(r->losses[i].input);
    free(r->losses[i].reason);
  }
  for (size_t i = 0; i < r->finding_count; i++)
    free((void *)(uintptr_t)r->findings[i].input);
  free(r->losses);
  free(r->findings);
  *r = (check_report){0};
}
