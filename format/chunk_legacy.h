/* Brings chunks of older sorbet versions (Rerun 0.23 and later) to today's names and column order. */
#ifndef RK_FORMAT_CHUNK_LEGACY_H
#define RK_FORMAT_CHUNK_LEGACY_H

#include "format/field.h"

/* What rk_ipc_decode yielded, replaced in place by its sorbet 0.1.3 form where `sorbet:version` is older or missing
 * (newer and unparsable versions are left alone). Afterwards all metadata keys are "rerun:...", columns are in the
 * order row id, indices, components, indicators are gone, and a component's identity is its `rerun:component`. Non-list
 * component columns are NOT wrapped here. New fields lie in the arena, arrays are the same. RK_ERR_NO_MEMORY. */
rk_status rk_chunk_upgrade(rk_arena *arena, const rk_field **schema, const struct ArrowArray *const **columns);

#endif
