/* What the parts of the IPC decoder share. */
#ifndef RK_FORMAT_IPC_DECODE_H
#define RK_FORMAT_IPC_DECODE_H

#include "format/flatbuffer.h"
#include "format/ipc.h"
#include "format/ipc_message.h"

#define RK_IPC_DICTIONARY_MAX 256 /* dictionary-encoded fields of one schema */

typedef struct rk_ipc_dictionary {
  int64_t id;
  const rk_field *value;
  const struct ArrowArray *array; /* NULL until its batch was read */
} rk_ipc_dictionary;

typedef struct rk_ipc_decoder {
  rk_arena *arena;
  const uint8_t *data;
  size_t size;
  rk_error *error;
  size_t metadata_at; /* of the message being read, in data */
  size_t schema_work; /* what decoding the schema may still cost: bounds what aliased references can multiply */
  int version;        /* RK_IPC_V4 or V5 */
  rk_ipc_dictionary dictionaries[RK_IPC_DICTIONARY_MAX];
  size_t dictionary_count;
  uint64_t plain_size; /* of values that dictionary-encoded arrays stand for */
} rk_ipc_decoder;

rk_status rk_ipc_corrupt(const rk_ipc_decoder *d, const char *what);
rk_status rk_ipc_no_memory(const rk_ipc_decoder *d);

/* The Schema table to a struct field. Notes the dictionaries. */
rk_status rk_ipc_decode_schema(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, rk_field **schema);

/* The RecordBatch table with its body at data + body_at to one array per field. */
rk_status rk_ipc_decode_batch(rk_ipc_decoder *d, rk_fb_reader *fb, rk_fb_table_at table, size_t body_at,
                              size_t body_size, const rk_field *fields, size_t field_count,
                              const struct ArrowArray *const **columns, int64_t *row_count);

/* The array of the dictionary that `value` is the type of, or NULL. */
const struct ArrowArray *rk_ipc_dictionary_array(const rk_ipc_decoder *d, const rk_field *value);

#endif
