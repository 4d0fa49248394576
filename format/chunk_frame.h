/* The frame of a chunk: IPC stream, compressed or not, in an ArrowMsg, sealed (SPEC "ArrowMsg", "Seal"). */
#ifndef RK_FORMAT_CHUNK_FRAME_H
#define RK_FORMAT_CHUNK_FRAME_H

#include "format/chunk.h"
#include "format/messages.h"
#include "format/seal.h"

/* Appends the frame to `out`. `ipc`: memory for the stream while it is compressed. The caller fills the seal but for
 * the sizes, which are set here; NULL: the frame gets none. On failure `out` is as it was: RK_ERR_NO_MEMORY (may pass
 * with time) or as rk_ipc_encode. */
rk_status rk_chunk_frame_encode(rk_buffer *out, rk_buffer *ipc, const rk_store_id *store, rk_compression compression,
                                const rk_chunk *chunk, rk_seal *seal);

#endif
