/* A Zstandard recording as the plain stream that it holds (SPEC "Zstandard recordings"): frame headers and seals come
 * from the units' leading frames, the rest from units unpacked when asked for, of which a few are kept.
 *
 * Offsets are those of the plain stream, as `zstd -dc` prints it from the units that can be read. What a unit holds
 * that is damaged reads as zeros around the headers and seals that its leading frame tells, so that every sealed frame
 * in it is found to be damaged by itself and the walk goes on. */
#ifndef RK_READER_SOURCE_ZST_H
#define RK_READER_SOURCE_ZST_H

#include "reader/input/source.h"
#include "reader/input/unit_walk.h"

/* Unpacked units of all inputs of a reader, the least recently used given up first. */
typedef struct rk_unit_cache rk_unit_cache;
/* Keeps up to `limit` bytes, and always the last unit. Free it after the sources. NULL: no memory. */
rk_unit_cache *rk_unit_cache_new(size_t limit);
void rk_unit_cache_free(rk_unit_cache *cache);

/* Makes `source`, which has just been opened, the plain stream of the units that it holds. RK_END: it holds none, and
 * is as it was. `search`: also where its first bytes are no unit's (they may be damaged). RK_ERR_NO_MEMORY,
 * RK_ERR_IO. */
rk_status rk_zst_attach(rk_source *source, bool search, rk_error *error);
/* Unpacked units go to `cache`, which several sources may share, instead of one of its own. Before the first read. */
void rk_zst_share(rk_source *source, rk_unit_cache *cache);
void rk_zst_detach(rk_source *source); /* frees what attach made */

/* rk_source_refresh of such a source. Ranges at the end that were not whole may be units afterwards. */
rk_status rk_zst_grow(rk_source *source);

/* As rk_source_read and rk_source_peek, which call these. Any thread at any time may read. */
rk_status rk_zst_read(rk_source *source, uint64_t offset, void *out, size_t size);
rk_status rk_zst_peek(rk_source *source, uint64_t offset, size_t size, const uint8_t **data);

/* The file. */
const rk_source *rk_zst_raw(const rk_source *source);

/* Ranges of the file that are no units, in order; lent until the next rk_zst_grow. 0 where the source is no such. */
const rk_unit_loss *rk_zst_losses(const rk_source *source, size_t *count);
/* Whether a range of the file that was lost is whole fillers now. */
bool rk_zst_healed(rk_source *source, uint64_t offset, uint64_t length);
uint64_t rk_zst_filler_count(const rk_source *source);

/* Where [*offset, *offset + *length) of the plain stream lies in the file: whole units as they are, a part of one in
 * proportion. Any other source: left as it is. */
void rk_source_place(const rk_source *source, uint64_t *offset, uint64_t *length);
int rk_source_descriptor(const rk_source *source); /* of the file; -1: memory */
/* Bytes of the file. */
uint64_t rk_source_stored_size(const rk_source *source);

#endif
