/* Stream header, message frames and the stream footer (SPEC "Frames"). */
#ifndef RK_FORMAT_FRAME_H
#define RK_FORMAT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rrdkit/status.h"

#define RK_STREAM_HEADER_SIZE 12
#define RK_FRAME_HEADER_SIZE  16
#define RK_STREAM_FOOTER_SIZE 32

typedef enum rk_frame_kind {
  RK_FRAME_END = 0,
  RK_FRAME_SET_STORE_INFO = 1,
  RK_FRAME_ARROW_MSG = 2,
  RK_FRAME_BLUEPRINT_ACTIVATION = 3
} rk_frame_kind;

typedef struct rk_stream_header {
  uint8_t version[4]; /* major, minor, patch, meta */
  uint8_t compression;
} rk_stream_header;

/* What rrdkit declares: 0.33.0, LZ4. */
extern const uint8_t rk_stream_header_bytes[RK_STREAM_HEADER_SIZE];

/* RK_ERR_NOT_RRD (magic), RK_ERR_UNSUPPORTED (RRF0, RRF1, msgpack, version below 0.23, options). */
rk_status rk_stream_header_decode(const uint8_t bytes[RK_STREAM_HEADER_SIZE], rk_stream_header *header,
                                  rk_error *error);

typedef struct rk_frame_header {
  rk_frame_kind kind;
  uint64_t size; /* of the payload */
} rk_frame_header;

void rk_frame_header_encode(uint8_t out[RK_FRAME_HEADER_SIZE], rk_frame_header header);
/* False: the kind is none of the four (nothing is said about size). */
bool rk_frame_header_decode(const uint8_t bytes[RK_FRAME_HEADER_SIZE], rk_frame_header *header);

typedef struct rk_stream_footer {
  uint64_t payload_offset; /* from the start of the stream */
  uint64_t payload_size;
  uint32_t payload_hash; /* XXH32, seed 7850921 */
} rk_stream_footer;

void rk_stream_footer_encode(uint8_t out[RK_STREAM_FOOTER_SIZE], const rk_stream_footer *footer);
bool rk_stream_footer_decode(const uint8_t bytes[RK_STREAM_FOOTER_SIZE], rk_stream_footer *footer);
uint32_t rk_footer_hash(const void *payload, size_t size);

#endif
