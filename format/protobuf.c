/* The protobuf wire format: reading fields one by one, appending them (SPEC "Conventions"). */
#include "format/protobuf.h"

#include <string.h>

#include "format/bytes.h"

/* False: runs past the end, or past 64 bits. Padded encodings of at most ten bytes are legal protobuf. */
static bool take_varint(rk_pb_cursor *cursor, uint64_t *value)
{
  uint64_t result = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (cursor->p == cursor->end) {
      return false;
    }
    const uint8_t byte = *cursor->p++;
    if (shift == 63 && byte > 1) {
      return false;
    }
    result |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

int rk_pb_next(rk_pb_cursor *cursor, rk_pb_field *field)
{
  if (cursor->p == cursor->end) {
    return 0;
  }
  uint64_t key;
  if (!take_varint(cursor, &key) || key > UINT32_MAX || key >> 3 == 0) {
    return -1;
  }
  *field = (rk_pb_field){.number = (uint32_t)(key >> 3), .wire = (rk_pb_wire)(key & 7)};
  const size_t left = (size_t)(cursor->end - cursor->p);
  switch (key & 7) {
  case RK_PB_VARINT:
    return take_varint(cursor, &field->value) ? 1 : -1;
  case RK_PB_FIXED64:
    if (left < 8) {
      return -1;
    }
    field->value = rk_load_u64(cursor->p);
    cursor->p += 8;
    return 1;
  case RK_PB_BYTES: {
    uint64_t size;
    if (!take_varint(cursor, &size) || size > (uint64_t)(cursor->end - cursor->p)) {
      return -1;
    }
    field->data = cursor->p;
    field->size = (size_t)size;
    cursor->p += size;
    return 1;
  }
  case RK_PB_FIXED32:
    if (left < 4) {
      return -1;
    }
    field->value = rk_load_u32(cursor->p);
    cursor->p += 4;
    return 1;
  default:
    return -1;
  }
}

size_t rk_pb_put_varint(uint8_t *out, uint64_t value)
{
  size_t size = 0;
  while (value >= 0x80) {
    out[size++] = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  out[size++] = (uint8_t)value;
  return size;
}

void rk_pb_put_padded(uint8_t out[RK_PB_PADDED_SIZE], uint64_t value)
{
  for (size_t i = 0; i < RK_PB_PADDED_SIZE; i++) {
    out[i] = (uint8_t)((value >> (7 * i) & 0x7F) | (i + 1 < RK_PB_PADDED_SIZE ? 0x80 : 0));
  }
}

static RK_FAR void put_key(rk_buffer *out, uint32_t number, rk_pb_wire wire)
{
  uint8_t bytes[10];
  rk_buffer_append(out, bytes, rk_pb_put_varint(bytes, (uint64_t)number << 3 | wire));
}

void rk_pb_varint(rk_buffer *out, uint32_t number, uint64_t value)
{
  uint8_t bytes[10];
  put_key(out, number, RK_PB_VARINT);
  rk_buffer_append(out, bytes, rk_pb_put_varint(bytes, value));
}

void rk_pb_fixed64(rk_buffer *out, uint32_t number, uint64_t value)
{
  uint8_t bytes[8];
  rk_store_u64(bytes, value);
  put_key(out, number, RK_PB_FIXED64);
  rk_buffer_append(out, bytes, sizeof bytes);
}

void rk_pb_bytes(rk_buffer *out, uint32_t number, const void *data, size_t size)
{
  uint8_t bytes[10];
  put_key(out, number, RK_PB_BYTES);
  rk_buffer_append(out, bytes, rk_pb_put_varint(bytes, size));
  rk_buffer_append(out, data, size);
}

void rk_pb_text(rk_buffer *out, uint32_t number, const char *text)
{
  rk_pb_bytes(out, number, text, strlen(text));
}

size_t rk_pb_begin(rk_buffer *out, uint32_t number)
{
  put_key(out, number, RK_PB_BYTES);
  rk_buffer_append_zero(out, 1);
  return out->size;
}

void rk_pb_end(rk_buffer *out, size_t mark)
{
  if (out->failed) {
    return;
  }
  const size_t size = out->size - mark;
  uint8_t bytes[10];
  const size_t length_size = rk_pb_put_varint(bytes, size);
  if (length_size > 1) {
    if (rk_buffer_extend(out, length_size - 1) == NULL) {
      return;
    }
    memmove(out->data + mark + length_size - 1, out->data + mark, size);
  }
  memcpy(out->data + mark - 1, bytes, length_size);
}
