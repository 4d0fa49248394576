/* XXH3-128 of a member, as text. */
#include "tools/pack/pack_sum.h"

#include <stdio.h>
#include <stdlib.h>

#include "tools/cli.h"

XXH3_state_t *pack_sum_begin(void)
{
  XXH3_state_t *state = XXH3_createState();
  if (state == NULL || XXH3_128bits_reset(state) != XXH_OK) {
    cli_error(NULL, "out of memory");
    exit(cli_code());
  }
  return state;
}

void pack_sum_end(XXH3_state_t *state, char sum[PACK_SUM_SIZE + 1])
{
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
  for (size_t i = 0; i < sizeof canonical.digest; i++)
    snprintf(sum + 2 * i, 3, "%02x", canonical.digest[i]);
  XXH3_freeState(state);
}
