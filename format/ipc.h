/* Arrow IPC streams of one record batch: encode and decode (SPEC "Chunk payload"). */
#ifndef RK_FORMAT_IPC_H
#define RK_FORMAT_IPC_H

#include "format/builder.h"
#include "format/field.h"

/* What all streams of the same columns begin with: the schema message up to the schema's own metadata. Zero-initialise;
 * the bytes are the caller's to free. */
typedef struct rk_ipc_head {
  rk_buffer bytes;
  size_t metadata; /* where the reference to the metadata lies */
} rk_ipc_head;

/* Appends to `out` an encapsulated schema message, one record batch message and EOS. `schema` is a struct field whose
 * children are the columns and whose metadata is the schema's; columns[i] is the array of schema->children[i], each of
 * `row_count` elements (offset 0 or not). Body buffers are 64-byte aligned relative to the start of the stream, which
 * begins at out->size. Dictionaries are not written. RK_ERR_NO_MEMORY, RK_ERR_MISUSE. `head`, or NULL: made from the
 * schema's children when empty, else taken as it is, and then their names and metadata are not looked at. */
rk_status rk_ipc_encode(rk_buffer *out, const rk_field *schema, rk_ipc_head *head,
                        const struct ArrowArray *const *columns, int64_t row_count);
/* Schema message and EOS only (for the footer's sorbet_schema). */
rk_status rk_ipc_encode_schema(rk_buffer *out, const rk_field *schema);

/* Decodes a stream: schema, dictionaries, the first batch. The arrays lie in the arena; their buffers point into `data`
 * where that is aligned enough for the type, else into the arena. Everything is validated: sizes, offsets monotone and
 * in bounds, UTF-8, type ids, dictionary indices, so that whoever walks the arrays needs no further check. Accepts V4
 * and V5, with and without EOS, legacy framing without the continuation marker, and body compression LZ4_FRAME when
 * `lz4_frame` is compiled in (else RK_ERR_UNSUPPORTED); ZSTD likewise. RK_ERR_CORRUPT, RK_ERR_TRUNCATED,
 * RK_ERR_UNSUPPORTED, RK_ERR_LIMIT, RK_ERR_NO_MEMORY, offset in `data`. `columns` NULL: the schema alone. */
rk_status rk_ipc_decode(rk_arena *arena, const void *data, size_t size, const rk_field **schema,
                        const struct ArrowArray *const **columns, int64_t *row_count, rk_error *error);

#endif
