/* What the parts of verifying share: the pass over chunks and writers, and the comparison with footers. */
#ifndef RK_READER_VERIFY_H
#define RK_READER_VERIFY_H

#include "reader/reader_state.h"

typedef struct rk_verifying {
  rk_reader *reader;
  const rk_verify_options *options;
  rk_verify_report *report;
  rk_tuid *chunk_ids;   /* [entries]: of those that were decoded; NULL: not kept */
  uint64_t done, total; /* bytes of chunks */
  uint64_t footer_rows; /* that footers tell of and the inputs lack */
} rk_verifying;

/* Counts it and tells the caller. */
void rk_verify_find(rk_verifying *v, const rk_finding *finding);

/* The first entry of the input at `offset` or after it; entries are in input and file order. */
size_t rk_verify_entry_from(const rk_reader *reader, const rk_input *input, uint64_t offset);
/* Compares all footers' manifests with the chunks. RK_ERR_NO_MEMORY, RK_ERR_IO. */
rk_status rk_verify_footers(rk_verifying *v, rk_error *error);

#endif
