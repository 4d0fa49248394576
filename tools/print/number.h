/* Numbers as text: integers without printf, floats in the shortest form that reads back as the same value. */
#ifndef TOOLS_NUMBER_H
#define TOOLS_NUMBER_H

#include <stdint.h>

#include "tools/out.h"

void out_uint(out *o, uint64_t value);
void out_int(out *o, int64_t value);
/* Two's complement little-endian integer of 16 or 32 bytes, with `scale` decimals (negative: zeros appended). */
void out_decimal(out *o, const uint8_t *bytes, size_t size, int scale);
/* `digits` digits, zero-padded, from the low end. */
void out_padded(out *o, uint64_t value, int digits);
void out_hex32(out *o, uint32_t value);
void out_hex64(out *o, uint64_t value);

/* The fewest digits that strtof/strtod (binary16: rounding to nearest even) reads back as `value`; of those the
 * closest. Whole numbers up to 1e21 have no point; beyond, and under 1e-6, an exponent. Not finite: NaN, Infinity,
 * -Infinity. Negative zero: -0.0. */
void out_double(out *o, double value);
void out_float(out *o, float value);
void out_half(out *o, uint16_t bits);

#endif
