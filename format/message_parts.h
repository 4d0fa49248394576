/* What the messages' encoders and decoders share: ids, and fields checked for their wire type. */
#ifndef RK_FORMAT_MESSAGE_PARTS_H
#define RK_FORMAT_MESSAGE_PARTS_H

#include "format/messages.h"
#include "format/protobuf.h"

void rk_put_tuid(rk_buffer *out, uint32_t number, rk_tuid id);
void rk_put_store_id(rk_buffer *out, uint32_t number, const rk_store_id *store);

/* One message under decoding. Fields of a repeated submessage are merged into the same struct, the last value of a
 * repeated scalar wins, and unknown fields are skipped, as protobuf demands. */
typedef struct rk_decoding {
  const char *message;
  const uint8_t *start;
  rk_error *error;
  rk_status status;
} rk_decoding;

/* Records what is wrong (at NULL: nowhere in particular) and returns false, as every function below does then. */
bool rk_decoding_fail(rk_decoding *d, rk_status status, const uint8_t *at, const char *what);
/* True with the next field; false at the end (status OK) and on malformed bytes (status set). */
bool rk_decoding_next(rk_decoding *d, rk_pb_cursor *cursor, rk_pb_field *field);
/* Whether the field that `cursor` has just passed is of that wire type. */
bool rk_decoding_want(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_pb_wire wire);

bool rk_get_text(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_text *text);
bool rk_get_bool(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, bool *value);

typedef struct rk_tuid_parts {
  bool present, has_time, has_inc;
  rk_tuid id;
} rk_tuid_parts;

bool rk_get_tuid(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_tuid_parts *tuid);
bool rk_tuid_complete(rk_decoding *d, const rk_tuid_parts *tuid);

bool rk_get_application_id(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_text *id);
bool rk_get_store_id(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_store_id *store);
/* An absent application id can be known from an earlier SetStoreInfo; an empty one cannot. */
bool rk_store_complete(rk_decoding *d, const rk_store_id *store);

#endif
