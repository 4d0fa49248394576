/* XXH3-128 of a member, as text. */
#ifndef TOOLS_PACK_SUM_H
#define TOOLS_PACK_SUM_H

#include <xxhash.h>

#include "tools/pack/pack_manifest.h"

XXH3_state_t *pack_sum_begin(void); /* exits when memory is out */
/* Writes the canonical digits and frees the state. */
void pack_sum_end(XXH3_state_t *state, char sum[PACK_SUM_SIZE + 1]);

#endif
