/* Dictionary-encoded arrays made plain. */
#ifndef RK_FORMAT_DICTIONARY_H
#define RK_FORMAT_DICTIONARY_H

#include "format/field.h"

/* Element i of a dictionary-encoded array whose indices have that type; undefined for null. */
int64_t rk_dictionary_index(const struct ArrowArray *array, rk_type_id type, int64_t i);

/* *plain_field and *plain_array are `field` and `array` without dictionaries anywhere inside: themselves where there
 * are none, else new ones in the arena that share all other buffers. The array is one of rk_ipc_decode's, which bounds
 * what the values take. RK_ERR_NO_MEMORY, RK_ERR_LIMIT (32-bit offsets). */
rk_status rk_dictionary_expand(rk_arena *arena, const rk_field *field, const struct ArrowArray *array,
                               const rk_field **plain_field, const struct ArrowArray **plain_array);

#endif
