/* ArrowMsg, BlueprintActivationCommand, and the frame around a message (SPEC "Messages"). */
#include "format/messages.h"

#include <stddef.h>

#include "format/frame.h"
#include "format/message_parts.h"

enum { ENCODING_ARROW_IPC = 1 };

/* What stands between the store id and the payload; the numbers are put in when they are known, as padded varints. */
static const uint8_t payload_head[] = {2 << 3,     0, 3 << 3, 0, 0, 0, 0, 0, 4 << 3, ENCODING_ARROW_IPC,
                                       5 << 3 | 2, 0, 0,      0, 0, 0};
enum { COMPRESSION_AT = 1, UNCOMPRESSED_SIZE_AT = 3, PAYLOAD_SIZE_AT = 11 };

size_t rk_arrow_msg_begin(rk_buffer *out, const rk_store_id *store)
{
  rk_put_store_id(out, 1, store);
  rk_buffer_append(out, payload_head, sizeof payload_head);
  return out->size;
}

void rk_arrow_msg_end(rk_buffer *out, size_t payload, const rk_arrow_msg *msg)
{
  if (out->failed) {
    return;
  }
  uint8_t *head = out->data + payload - sizeof payload_head;
  head[COMPRESSION_AT] = (uint8_t)msg->compression;
  rk_pb_put_padded(head + UNCOMPRESSED_SIZE_AT, msg->uncompressed_size);
  rk_pb_put_padded(head + PAYLOAD_SIZE_AT, out->size - payload);
  if (msg->has_chunk_id) {
    rk_put_tuid(out, 6, msg->chunk_id);
  }
  if (msg->is_static) {
    rk_pb_varint(out, 7, 1);
  }
}

void rk_blueprint_activation_encode(rk_buffer *out, const rk_blueprint_activation *command)
{
  rk_put_store_id(out, 1, &command->blueprint);
  if (command->make_active) {
    rk_pb_varint(out, 2, 1);
  }
  if (command->make_default) {
    rk_pb_varint(out, 3, 1);
  }
}

size_t rk_frame_begin(rk_buffer *out, unsigned kind)
{
  const size_t start = out->size;
  uint8_t *header = rk_buffer_extend(out, RK_FRAME_HEADER_SIZE);
  if (header != NULL) {
    rk_frame_header_encode(header, (rk_frame_header){.kind = (rk_frame_kind)kind, .size = 0});
  }
  return start;
}

void rk_frame_end(rk_buffer *out, size_t frame_start)
{
  if (!out->failed) {
    rk_store_u64(out->data + frame_start + 8, out->size - frame_start - RK_FRAME_HEADER_SIZE);
  }
}

/* A message under decoding. */
typedef struct arrow_parts {
  rk_arrow_msg msg;
  rk_tuid_parts chunk_id;
  uint32_t compression, encoding;
  rk_text payload;
} arrow_parts;

enum { ARROW_MSG, ACTIVATION };
static const rk_parts tables[] = {
    [ARROW_MSG] = {{1, RK_PART_STORE_ID, 0, offsetof(arrow_parts, msg.store), 0},
                   {2, RK_PART_UINT32, 0, offsetof(arrow_parts, compression), 0},
                   {3, RK_PART_VARINT, 0, offsetof(arrow_parts, msg.uncompressed_size), 0},
                   {4, RK_PART_UINT32, 0, offsetof(arrow_parts, encoding), 0},
                   {5, RK_PART_BYTES, 0, offsetof(arrow_parts, payload), 0},
                   {6, RK_PART_TUID, 0, offsetof(arrow_parts, chunk_id), 0},
                   {7, RK_PART_BOOL, 0, offsetof(arrow_parts, msg.is_static), 0}},
    [ACTIVATION] = {{1, RK_PART_STORE_ID, 0, offsetof(rk_blueprint_activation, blueprint), 0},
                    {2, RK_PART_BOOL, 0, offsetof(rk_blueprint_activation, make_active), 0},
                    {3, RK_PART_BOOL, 0, offsetof(rk_blueprint_activation, make_default), 0}},
};

static bool arrow_msg_complete(rk_decoding *d, arrow_parts *p)
{
  if (!rk_store_complete(d, &p->msg.store)) {
    return false;
  }
  if (p->encoding == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no encoding");
  }
  if (p->encoding != ENCODING_ARROW_IPC) {
    return rk_decoding_fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown encoding");
  }
  if (p->compression > RK_COMPRESSION_LZ4) {
    return rk_decoding_fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown compression");
  }
  if (p->payload.data == NULL) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no payload");
  }
  rk_arrow_msg *msg = &p->msg;
  msg->compression = p->compression == RK_COMPRESSION_LZ4 ? RK_COMPRESSION_LZ4 : RK_COMPRESSION_NONE;
  if (msg->compression == RK_COMPRESSION_LZ4 && msg->uncompressed_size == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "compressed payload without uncompressed size");
  }
  if (p->chunk_id.present && !rk_tuid_complete(d, &p->chunk_id)) {
    return false;
  }
  msg->payload = (const uint8_t *)p->payload.data;
  msg->payload_size = p->payload.size;
  msg->has_chunk_id = p->chunk_id.present;
  msg->chunk_id = p->chunk_id.id;
  return true;
}

rk_status rk_arrow_msg_decode(const void *data, size_t size, rk_arrow_msg *msg, rk_error *error)
{
  rk_decoding d = {.message = "ArrowMsg", .start = data, .error = error};
  arrow_parts p = {0};
  if (rk_get_parts(&d, data, size, tables, ARROW_MSG, &p) && arrow_msg_complete(&d, &p)) {
    *msg = p.msg;
  }
  return d.status;
}

rk_status rk_blueprint_activation_decode(const void *data, size_t size, rk_blueprint_activation *command,
                                         rk_error *error)
{
  rk_decoding d = {.message = "BlueprintActivationCommand", .start = data, .error = error};
  rk_blueprint_activation result = {0};
  if (rk_get_parts(&d, data, size, tables, ACTIVATION, &result) && rk_store_complete(&d, &result.blueprint)) {
    *command = result;
  }
  return d.status;
}
