/* The protobuf wire format, by hand: a cursor that reads fields and appenders that write them. */
#ifndef RK_FORMAT_PROTOBUF_H
#define RK_FORMAT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/buffer.h"

typedef enum rk_pb_wire { RK_PB_VARINT = 0, RK_PB_FIXED64 = 1, RK_PB_BYTES = 2, RK_PB_FIXED32 = 5 } rk_pb_wire;

#define RK_PB_PADDED_SIZE 5 /* of values below 2^35 */

typedef struct rk_pb_cursor {
  const uint8_t *p, *end;
} rk_pb_cursor;

typedef struct rk_pb_field {
  uint32_t number;
  rk_pb_wire wire;
  uint64_t value;      /* varint, fixed64, fixed32 */
  const uint8_t *data; /* bytes */
  size_t size;
} rk_pb_field;

/* `data` may be NULL when `size` is 0: an absent message has no fields. */
static inline rk_pb_cursor rk_pb_open(const void *data, size_t size)
{
  return (rk_pb_cursor){.p = (const uint8_t *)data, .end = size == 0 ? data : (const uint8_t *)data + size};
}

/* 1: *field is the next one; 0: end; -1: malformed (groups, field number 0, overlong varints, lengths past the end). */
int rk_pb_next(rk_pb_cursor *cursor, rk_pb_field *field);

size_t rk_pb_put_varint(uint8_t *out, uint64_t value); /* at most 10 bytes; returns how many */
void rk_pb_put_padded(uint8_t out[RK_PB_PADDED_SIZE],
                      uint64_t value); /* a varint of a fixed size, to be put in later */
void rk_pb_varint(rk_buffer *out, uint32_t number, uint64_t value);
void rk_pb_fixed64(rk_buffer *out, uint32_t number, uint64_t value);
void rk_pb_bytes(rk_buffer *out, uint32_t number, const void *data, size_t size);
void rk_pb_text(rk_buffer *out, uint32_t number, const char *text);
/* A submessage: begin, append its fields, end. Nests. */
size_t rk_pb_begin(rk_buffer *out, uint32_t number);
void rk_pb_end(rk_buffer *out, size_t mark);

#endif
