/* Arrow types and fields as a tree: parsed from format strings, from ArrowSchema, from IPC metadata. */
#ifndef RK_FORMAT_FIELD_H
#define RK_FORMAT_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/arena.h"
#include "format/buffer.h"
#include "rrdkit/arrow.h"
#include "rrdkit/status.h"

typedef enum rk_type_id {
  RK_TYPE_NULL,
  RK_TYPE_BOOL,
  RK_TYPE_INT8,
  RK_TYPE_INT16,
  RK_TYPE_INT32,
  RK_TYPE_INT64,
  RK_TYPE_UINT8,
  RK_TYPE_UINT16,
  RK_TYPE_UINT32,
  RK_TYPE_UINT64,
  RK_TYPE_FLOAT16,
  RK_TYPE_FLOAT32,
  RK_TYPE_FLOAT64,
  RK_TYPE_TIMESTAMP,
  RK_TYPE_DURATION, /* int64; unit, timezone */
  RK_TYPE_DATE32,
  RK_TYPE_DATE64,
  RK_TYPE_TIME32,
  RK_TYPE_TIME64, /* int32, int64, int32, int64; unit */
  RK_TYPE_DECIMAL128,
  RK_TYPE_DECIMAL256,        /* precision, scale */
  RK_TYPE_FIXED_SIZE_BINARY, /* size */
  RK_TYPE_UTF8,
  RK_TYPE_BINARY,
  RK_TYPE_LARGE_UTF8,
  RK_TYPE_LARGE_BINARY,
  RK_TYPE_LIST,
  RK_TYPE_LARGE_LIST,
  RK_TYPE_FIXED_SIZE_LIST, /* one child; size */
  RK_TYPE_STRUCT,
  RK_TYPE_MAP, /* map: list of one non-null struct child */
  RK_TYPE_SPARSE_UNION,
  RK_TYPE_DENSE_UNION /* type_ids[child_count] */
} rk_type_id;

typedef enum rk_time_unit { RK_UNIT_SECOND, RK_UNIT_MILLI, RK_UNIT_MICRO, RK_UNIT_NANO } rk_time_unit;

typedef struct rk_metadata { /* one key and value; NUL-terminated, sizes given too */
  const char *key, *value;
  size_t key_size, value_size;
} rk_metadata;

/* A field: a type with a name. Made in an arena, immutable afterwards. */
typedef struct rk_field rk_field;
struct rk_field {
  rk_type_id type;
  rk_time_unit unit;
  bool nullable;
  bool keys_sorted;         /* map */
  int32_t size;             /* fixed-size list: items; fixed-size binary: bytes */
  int32_t precision, scale; /* decimals */
  const char *name;         /* never NULL */
  const char *timezone;     /* or NULL */
  size_t child_count;
  rk_field *children;         /* array */
  const int8_t *type_ids;     /* unions: [child_count] */
  const rk_field *dictionary; /* not NULL: `type` is the index type and this the value type; decoded only */
  size_t metadata_count;
  const rk_metadata *metadata;
};

#define RK_TYPE_DEPTH_MAX        32        /* nesting, against hostile schemas */
#define RK_FIXED_SIZE_BINARY_MAX (1 << 28) /* bytes; its bits fit an unsigned */

/* Bits of one value for types with a fixed-width values buffer (1 for bool), else 0. */
unsigned rk_type_bits(rk_type_id type, int32_t size);
/* Bytes of one packed value when the type is made of fixed-width numbers alone (numbers, fixed-size lists of such; bool
 * as part of none), as a caller's plain C array would hold it; else 0. */
size_t rk_field_packed_size(const rk_field *field);
/* Same type: ids, units, sizes, children's names and nullability and types. Names of the two fields themselves, their
 * own nullability and all metadata are not compared. */
bool rk_field_type_equal(const rk_field *a, const rk_field *b);
/* NULL if absent. */
const char *rk_field_metadata(const rk_field *field, const char *key);

/* The type text of recording.h ("+w:3(!:f)") to a field named "item", nullable. RK_ERR_MISUSE with a message,
 * RK_ERR_NO_MEMORY. */
rk_status rk_field_parse(rk_arena *arena, const char *text, rk_field **field, rk_error *error);
/* The inverse, NUL-terminated in `out`. rk_field_parse(rk_field_text(f)) equals f; a dictionary-encoded type gives the
 * text of its values' type, and keys_sorted is not expressed. In names and time zones a backslash stands before each of
 * \ ! : , ( ) and "\e" is an empty name where a missing one would mean "item" or "entries". */
void rk_field_text(const rk_field *field, rk_buffer *out);
/* To the C data interface: the schema lives in the arena and its release does nothing but mark. */
rk_status rk_field_export(rk_arena *arena, const rk_field *field, struct ArrowSchema **schema);
/* Deep copy into another arena. */
rk_field *rk_field_copy(rk_arena *arena, const rk_field *field);

#endif
