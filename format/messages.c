/* ArrowMsg, BlueprintActivationCommand, and the frame around a message (SPEC "Messages"). */
#include "format/messages.h"

#include "format/frame.h"
#include "format/message_parts.h"

enum { ENCODING_ARROW_IPC = 1 };

void rk_arrow_msg_encode(rk_buffer *out, const rk_arrow_msg *msg)
{
  rk_put_store_id(out, 1, &msg->store);
  rk_pb_varint(out, 2, msg->compression);
  rk_pb_varint(out, 3, msg->uncompressed_size);
  rk_pb_varint(out, 4, ENCODING_ARROW_IPC);
  rk_pb_bytes(out, 5, msg->payload, msg->payload_size);
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

static bool arrow_msg_complete(rk_decoding *d, rk_arrow_msg *msg, const rk_tuid_parts *chunk_id, uint32_t compression,
                               uint32_t encoding)
{
  if (!rk_store_complete(d, &msg->store)) {
    return false;
  }
  if (encoding == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no encoding");
  }
  if (encoding != ENCODING_ARROW_IPC) {
    return rk_decoding_fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown encoding");
  }
  if (compression > RK_COMPRESSION_LZ4) {
    return rk_decoding_fail(d, RK_ERR_UNSUPPORTED, NULL, "unknown compression");
  }
  if (msg->payload == NULL) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no payload");
  }
  msg->compression = compression == RK_COMPRESSION_LZ4 ? RK_COMPRESSION_LZ4 : RK_COMPRESSION_NONE;
  if (msg->compression == RK_COMPRESSION_LZ4 && msg->uncompressed_size == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "compressed payload without uncompressed size");
  }
  if (chunk_id->present && !rk_tuid_complete(d, chunk_id)) {
    return false;
  }
  msg->has_chunk_id = chunk_id->present;
  msg->chunk_id = chunk_id->id;
  return true;
}

rk_status rk_arrow_msg_decode(const void *data, size_t size, rk_arrow_msg *msg, rk_error *error)
{
  rk_decoding d = {.message = "ArrowMsg", .start = data, .error = error};
  rk_arrow_msg result = {0};
  rk_tuid_parts chunk_id = {0};
  uint32_t compression = 0;
  uint32_t encoding = 0;
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (rk_decoding_next(&d, &cursor, &field)) {
    bool ok = true;
    switch (field.number) {
    case 1:
      ok = rk_get_store_id(&d, &cursor, &field, &result.store);
      break;
    case 2:
      ok = rk_decoding_want(&d, &cursor, &field, RK_PB_VARINT);
      compression = (uint32_t)field.value;
      break;
    case 3:
      ok = rk_decoding_want(&d, &cursor, &field, RK_PB_VARINT);
      result.uncompressed_size = field.value;
      break;
    case 4:
      ok = rk_decoding_want(&d, &cursor, &field, RK_PB_VARINT);
      encoding = (uint32_t)field.value;
      break;
    case 5:
      ok = rk_decoding_want(&d, &cursor, &field, RK_PB_BYTES);
      result.payload = field.data;
      result.payload_size = field.size;
      break;
    case 6:
      ok = rk_get_tuid(&d, &cursor, &field, &chunk_id);
      break;
    case 7:
      ok = rk_get_bool(&d, &cursor, &field, &result.is_static);
      break;
    default:
      break;
    }
    if (!ok) {
      return d.status;
    }
  }
  if (d.status == RK_OK && arrow_msg_complete(&d, &result, &chunk_id, compression, encoding)) {
    *msg = result;
  }
  return d.status;
}

rk_status rk_blueprint_activation_decode(const void *data, size_t size, rk_blueprint_activation *command,
                                         rk_error *error)
{
  rk_decoding d = {.message = "BlueprintActivationCommand", .start = data, .error = error};
  rk_blueprint_activation result = {0};
  rk_pb_cursor cursor = rk_pb_open(data, size);
  rk_pb_field field;
  while (rk_decoding_next(&d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = rk_get_store_id(&d, &cursor, &field, &result.blueprint);
    } else if (field.number == 2) {
      ok = rk_get_bool(&d, &cursor, &field, &result.make_active);
    } else if (field.number == 3) {
      ok = rk_get_bool(&d, &cursor, &field, &result.make_default);
    }
    if (!ok) {
      return d.status;
    }
  }
  if (d.status == RK_OK && rk_store_complete(&d, &result.blueprint)) {
    *command = result;
  }
  return d.status;
}
