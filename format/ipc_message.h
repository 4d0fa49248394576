/* Numbers of Arrow's Message.fbs and Schema.fbs, shared by the encoder and the decoder of IPC streams. */
#ifndef RK_FORMAT_IPC_MESSAGE_H
#define RK_FORMAT_IPC_MESSAGE_H

#include "format/field.h"

#define RK_IPC_CONTINUATION 0xFFFFFFFFU
#define RK_IPC_ALIGNMENT    64

enum { RK_IPC_V4 = 3, RK_IPC_V5 = 4 };

/* Field numbers of the tables. */
enum { RK_MESSAGE_VERSION, RK_MESSAGE_HEADER_TYPE, RK_MESSAGE_HEADER, RK_MESSAGE_BODY_SIZE, RK_MESSAGE_SLOTS };
enum { RK_HEADER_SCHEMA = 1, RK_HEADER_DICTIONARY = 2, RK_HEADER_BATCH = 3 };
enum { RK_SCHEMA_ENDIANNESS, RK_SCHEMA_FIELDS, RK_SCHEMA_METADATA, RK_SCHEMA_SLOTS };
enum {
  RK_FIELD_NAME,
  RK_FIELD_NULLABLE,
  RK_FIELD_TYPE_TYPE,
  RK_FIELD_TYPE,
  RK_FIELD_DICTIONARY,
  RK_FIELD_CHILDREN,
  RK_FIELD_METADATA,
  RK_FIELD_SLOTS
};
enum { RK_DICTIONARY_ID, RK_DICTIONARY_INDEX_TYPE };
enum { RK_BATCH_LENGTH, RK_BATCH_NODES, RK_BATCH_BUFFERS, RK_BATCH_COMPRESSION, RK_BATCH_SLOTS };
enum { RK_DICTIONARY_BATCH_ID, RK_DICTIONARY_BATCH_DATA, RK_DICTIONARY_BATCH_IS_DELTA };
enum { RK_BODY_LZ4_FRAME = 0, RK_BODY_ZSTD = 1 };

/* The Type union. */
enum {
  RK_FB_NULL = 1,
  RK_FB_INT = 2,
  RK_FB_FLOAT = 3,
  RK_FB_BINARY = 4,
  RK_FB_UTF8 = 5,
  RK_FB_BOOL = 6,
  RK_FB_DECIMAL = 7,
  RK_FB_DATE = 8,
  RK_FB_TIME = 9,
  RK_FB_TIMESTAMP = 10,
  RK_FB_LIST = 12,
  RK_FB_STRUCT = 13,
  RK_FB_UNION = 14,
  RK_FB_FIXED_SIZE_BINARY = 15,
  RK_FB_FIXED_SIZE_LIST = 16,
  RK_FB_MAP = 17,
  RK_FB_DURATION = 18,
  RK_FB_LARGE_BINARY = 19,
  RK_FB_LARGE_UTF8 = 20,
  RK_FB_LARGE_LIST = 21
};

/* A type's number in the Type union and the fields of its table. */
typedef struct rk_ipc_type {
  uint8_t id;
  uint8_t slot_count;
  struct {
    uint8_t size;      /* bytes of the number; 4 for a reference, which is then 0 */
    int32_t value;     /* the field's */
    uint8_t otherwise; /* the number that may be left out */
  } slots[3];
} rk_ipc_type;
rk_ipc_type rk_ipc_type_of(const rk_field *field);
/* The first type of that number in the union; RK_TYPE_NULL if there is none. */
rk_type_id rk_ipc_type_find(unsigned id);

#define RK_IPC_NODE_SIZE   16 /* int64 length, int64 null count */
#define RK_IPC_BUFFER_SIZE 16 /* int64 offset, int64 length */

#endif
