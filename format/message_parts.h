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

/* How a message's field is stored in a struct. */
typedef enum rk_part_kind {
  RK_PART_NOTED,          /* a submessage that is not looked into */
  RK_PART_VARINT,         /* uint64_t, int64_t */
  RK_PART_UINT32,         /* varint; its low 32 bits */
  RK_PART_TAG,            /* varint of 32 bits */
  RK_PART_BOOL,           /* varint */
  RK_PART_FIXED64,        /* uint64_t, int64_t */
  RK_PART_BYTES,          /* rk_text */
  RK_PART_TEXT,           /* rk_text, UTF-8 */
  RK_PART_MESSAGE,        /* the struct that the `inner` row of the same table describes */
  RK_PART_TUID,           /* rk_tuid_parts */
  RK_PART_STORE_ID,       /* rk_store_id */
  RK_PART_STORE_KIND,     /* rk_store_kind */
  RK_PART_APPLICATION_ID, /* rk_text; not NULL once the message is there */
} rk_part_kind;

typedef struct rk_part {
  uint16_t number; /* of the field; 0: no more */
  uint8_t kind;
  uint8_t inner;
  uint16_t offset; /* where the value goes */
  uint16_t seen;   /* where a bool notes that the field was there, plus 1; 0: nowhere */
} rk_part;

/* A message's fields in order. */
#define RK_PARTS_MAX 14
typedef rk_part rk_parts[RK_PARTS_MAX];

/* Reads the message that row `row` of `table` describes into the struct `into`. */
bool rk_get_parts(rk_decoding *d, const void *data, size_t size, const rk_parts *table, size_t row, void *into);
/* Appends varints, fixed64 and texts of a struct as a message; an empty text is left out and an invalid one replaced.
 */
void rk_put_parts(rk_buffer *out, uint32_t number, const rk_part *parts, const void *from);

typedef struct rk_tuid_parts {
  bool present, has_time, has_inc;
  rk_tuid id;
} rk_tuid_parts;

bool rk_tuid_complete(rk_decoding *d, const rk_tuid_parts *tuid);
/* An absent application id can be known from an earlier SetStoreInfo; an empty one cannot. */
bool rk_store_complete(rk_decoding *d, const rk_store_id *store);

#endif
