/* Arrow values as JSON, in full.
 *
 * Numbers as numbers (64-bit integers too), floats in the shortest form that reads back equal, not finite ones as
 * "NaN", "Infinity", "-Infinity"; text as strings; binary and lists of u8 (Rerun's blobs) as base64 strings (a list of
 * u8 that holds nulls as an array); other lists as arrays; structs as objects; maps as arrays of objects; unions as
 * the bare value; dictionaries decoded; timestamps RFC 3339 in UTC with nine digits; dates and times of day as ISO
 * 8601 text; durations as integer ns; decimals as strings; nulls, and types without a printer, as null. */
#ifndef TOOLS_VALUES_H
#define TOOLS_VALUES_H

#include "rrdkit/arrow.h"
#include "tools/out.h"

/* Elements [start, start + count) as one array. */
void values_array(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                  int64_t count);
/* Whether elements are integers or floats of 32 or 64 bits, and none is null. */
bool values_are_numbers(const struct ArrowSchema *schema, const struct ArrowArray *array);
/* Elements [start, start + count) of such, with commas between. `bare`: not finite ones without quotes. */
void values_numbers(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                    int64_t count, bool bare);
/* One element. */
void values_one(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index);

bool values_is_null(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index);
/* A list, fixed-size list or map: its items [*start, *start + *count) in children[0]. False: not a list. */
bool values_list(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index, int64_t *start,
                 int64_t *count);
/* Text or bytes of a string or binary element. False: neither. */
bool values_bytes(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index, const char **bytes,
                  size_t *size);
/* Whether elements print as base64: binary, or list of u8. */
bool values_is_blob(const struct ArrowSchema *schema);
bool values_is_text(const struct ArrowSchema *schema);
/* Whether elements are one number, bool or moment. */
bool values_is_scalar(const struct ArrowSchema *schema);

#endif
