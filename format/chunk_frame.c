/* Chunks into frames; what is not compressed is encoded in its place. */
#include "format/chunk_frame.h"

#include "format/codec.h"
#include "format/frame.h"

rk_status rk_chunk_frame_encode(rk_buffer *out, rk_buffer *ipc, const rk_store_id *store, rk_compression compression,
                                const rk_chunk *chunk, rk_seal *seal)
{
  const size_t frame = rk_frame_begin(out, RK_FRAME_ARROW_MSG);
  const size_t payload = rk_arrow_msg_begin(out, store);
  rk_arrow_msg msg = {.compression = RK_COMPRESSION_NONE,
                      .has_chunk_id = true,
                      .chunk_id = chunk->id,
                      .is_static = chunk->timeline_count == 0};
  rk_status status;
  if (compression == RK_COMPRESSION_NONE) {
    status = rk_chunk_encode(out, chunk);
    msg.uncompressed_size = out->size - payload;
  } else {
    rk_buffer_reset(ipc);
    status = rk_chunk_encode(ipc, chunk);
    msg.uncompressed_size = ipc->size;
    status =
        status == RK_OK ? rk_compress(out, compression, ipc->data, ipc->size, chunk->pace, &msg.compression) : status;
  }
  rk_arrow_msg_end(out, payload, &msg);
  if (seal == NULL) {
    rk_frame_end(out, frame);
  } else {
    seal->uncompressed_size = msg.uncompressed_size;
    rk_seal_frame(out, frame, 0, seal);
  }
  if (status == RK_OK && !out->failed) {
    return RK_OK;
  }
  status = out->failed ? RK_ERR_NO_MEMORY : status;
  out->failed = false;
  out->size = frame;
  return status;
}
