/* Numbers as text. Floats follow Raffaello Giulietti's Schubfach: scale the value's rounding interval by a power of ten
 * held to 128 bits, rounding to odd, and take the shortest decimal inside. The powers are computed once, exactly. */
#include "tools/print/number.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

typedef struct decimal { /* digits * 10^exponent */
  uint64_t digits;
  int exponent;
} decimal;

/* ceil(10^k * 2^(127 - floor(log2 10^k))) for k in [POWER_MIN, POWER_MAX] */
enum { POWER_MIN = -292, POWER_MAX = 324, LIMBS = 40 };
static struct {
  uint64_t hi, lo;
} powers[POWER_MAX - POWER_MIN + 1];
static bool powers_ready;

/* The top 128 bits of a big number (32-bit limbs, little-endian), rounded up. `inexact`: it stands for more. */
static void set_power(int k, const uint32_t *limbs, bool inexact)
{
  int top = LIMBS - 1;
  while (limbs[top] == 0)
    top--;
  int shift = __builtin_clz(limbs[top]);
  uint64_t words[2];
  for (int i = 0; i < 2; i++) {
    uint64_t word = 0;
    for (int j = 0; j < 2; j++) {
      int at = top - 2 * i - j;
      uint64_t high = at >= 0 ? limbs[at] : 0, low = at >= 1 ? limbs[at - 1] : 0;
      word = word << 32 | (uint32_t)(shift == 0 ? high : (high << shift | low >> (32 - shift)));
    }
    words[i] = word;
  }
  /* below the 128 bits taken: the rest of limb top-4 and everything under it */
  if (top >= 4 && (uint32_t)(limbs[top - 4] << shift) != 0)
    inexact = true;
  for (int at = top - 5; at >= 0 && !inexact; at--)
    inexact = limbs[at] != 0;
  if (inexact && ++words[1] == 0)
    words[0]++;
  powers[k - POWER_MIN].hi = words[0];
  powers[k - POWER_MIN].lo = words[1];
}

static void make_powers(void)
{
  uint32_t limbs[LIMBS] = {1};
  for (int k = 0; k <= POWER_MAX; k++) {
    set_power(k, limbs, false);
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
      carry += (uint64_t)limbs[i] * 10;
      limbs[i] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  /* floor(floor(x / 10) / 10) = floor(x / 100), so dividing step by step stays exact to the last bit kept */
  memset(limbs, 0, sizeof limbs);
  limbs[LIMBS - 1] = UINT32_C(1) << 31;
  for (int k = -1; k >= POWER_MIN; k--) {
    uint64_t rest = 0;
    for (int i = LIMBS - 1; i >= 0; i--) {
      rest = rest << 32 | limbs[i];
      limbs[i] = (uint32_t)(rest / 10);
      rest %= 10;
    }
    set_power(k, limbs, true);
  }
  powers_ready = true;
}

static int floor_log2_pow10(int e)
{
  return (e * 1741647) >> 19;
}

/* The top 64 bits of (g * cp) >> 128 with a sticky lowest bit. */
static uint64_t round_to_odd(uint64_t g_hi, uint64_t g_lo, uint64_t cp)
{
  u128 x = (u128)g_lo * cp;
  u128 y = (u128)g_hi * cp + (uint64_t)(x >> 64);
  return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* The shortest decimal of c * 2^q, c > 0; `closer`: the lower neighbour is half as far as the upper one. */
static decimal shortest(uint64_t c, int q, bool closer)
{
  if (!powers_ready)
    make_powers();
  bool even = c % 2 == 0;
  uint64_t cbl = 4 * c - 2 + closer, cb = 4 * c, cbr = 4 * c + 2;
  int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
  int h = q + floor_log2_pow10(-k) + 1;
  uint64_t g_hi = powers[-k - POWER_MIN].hi, g_lo = powers[-k - POWER_MIN].lo;
  uint64_t vbl = round_to_odd(g_hi, g_lo, cbl << h);
  uint64_t vb = round_to_odd(g_hi, g_lo, cb << h);
  uint64_t vbr = round_to_odd(g_hi, g_lo, cbr << h);
  uint64_t lower = vbl + !even, upper = vbr - !even;
  uint64_t s = vb / 4;
  if (s >= 10) {
    uint64_t tens = s / 10;
    bool down_inside = lower <= 40 * tens, up_inside = 40 * tens + 40 <= upper;
    if (down_inside != up_inside)
      return (decimal){tens + up_inside, k + 1};
  }
  bool down_inside = lower <= 4 * s, up_inside = 4 * s + 4 <= upper;
  if (down_inside != up_inside)
    return (decimal){s + up_inside, k};
  uint64_t middle = 4 * s + 2;
  return (decimal){s + (vb > middle || (vb == middle && (s & 1) != 0)), k};
}

static const char pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
    "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
    "9899";

/* The digits of a value below 1000, without a guess how many there are; returns their number. Writes four bytes. */
static uint32_t put_small(char *p, uint32_t value)
{
  uint32_t blanks = (uint32_t)(value < 10) + (value < 100);
  uint32_t digits = (value / 100 | value / 10 % 10 << 8 | value % 10 << 16 | UINT32_C(0x303030)) >> 8 * blanks;
  memcpy(p, &digits, sizeof digits);
  return 3 - blanks;
}

/* Exactly `count` digits, zero-padded, from the low end; eight at a time, whose divisions do not wait for each other.
 */
static void put_digits(char *p, uint64_t value, int count)
{
  for (; count >= 8; value /= 100000000) {
    uint32_t low = (uint32_t)(value % 100000000), upper = low / 10000, lower = low % 10000;
    count -= 8;
    memcpy(p + count, pairs + upper / 100 * 2, 2);
    memcpy(p + count + 2, pairs + upper % 100 * 2, 2);
    memcpy(p + count + 4, pairs + lower / 100 * 2, 2);
    memcpy(p + count + 6, pairs + lower % 100 * 2, 2);
  }
  uint32_t rest = (uint32_t)(value % 100000000);
  for (; count >= 2; rest /= 100) {
    count -= 2;
    memcpy(p + count, pairs + rest % 100 * 2, 2);
  }
  if (count > 0)
    *p = (char)('0' + rest % 10);
}

static int count_digits(uint64_t value)
{
  static const uint64_t powers_of_ten[] = {0,
                                           10,
                                           100,
                                           1000,
                                           10000,
                                           100000,
                                           1000000,
                                           10000000,
                                           100000000,
                                           1000000000,
                                           10000000000,
                                           100000000000,
                                           1000000000000,
                                           10000000000000,
                                           100000000000000,
                                           1000000000000000,
                                           10000000000000000,
                                           100000000000000000,
                                           1000000000000000000,
                                           UINT64_C(10000000000000000000)};
  int guess = (64 - __builtin_clzll(value | 1)) * 1233 >> 12; /* log10 2, one too few where it rounds down */
  return guess + (value >= powers_of_ten[guess]);
}

static void out_shortest(out *o, bool negative, decimal d)
{
  while (d.digits % 10 == 0) {
    d.digits /= 10;
    d.exponent++;
  }
  int count = count_digits(d.digits), point = count + d.exponent; /* digits before the point */
  char *p = out_reserve(o, 48);
  if (p == NULL)
    return;
  char *start = p;
  *p = '-';
  p += negative;
  if (point > 21 || point < -5) {
    put_digits(p + 1, d.digits, count);
    p[0] = p[1];
    p[1] = '.';
    p += count == 1 ? 1 : count + 1;
    *p++ = 'e';
    *p = '-';
    p += point < 1;
    p += put_small(p, (uint32_t)(point < 1 ? 1 - point : point - 1));
  } else if (point <= 0) {
    memcpy(p, "0.00000", 7);
    p += 2 - point;
    put_digits(p, d.digits, count);
    p += count;
  } else if (point >= count) {
    put_digits(p, d.digits, count);
    memset(p + count, '0', (size_t)(point - count));
    p += point;
  } else {
    put_digits(p + 1, d.digits, count);
    memmove(p, p + 1, (size_t)point);
    p[point] = '.';
    p += count + 1;
  }
  out_advance(o, (size_t)(p - start));
}

/* A value of `mantissa_bits` stored mantissa bits and the given exponent field. */
static void out_binary(out *o, bool negative, uint64_t mantissa, int exponent, int mantissa_bits, int exponent_max)
{
  int bias = exponent_max / 2 + mantissa_bits;
  if (exponent == exponent_max) {
    out_text(o, mantissa != 0 ? "NaN" : negative ? "-Infinity" : "Infinity");
    return;
  }
  if (exponent == 0 && mantissa == 0) {
    out_text(o, negative ? "-0.0" : "0");
    return;
  }
  uint64_t hidden = UINT64_C(1) << mantissa_bits;
  uint64_t c = exponent == 0 ? mantissa : mantissa | hidden;
  int q = (exponent == 0 ? 1 : exponent) - bias;
  if (q <= 0 && q >= -mantissa_bits && (c & ((UINT64_C(1) << -q) - 1)) == 0) { /* a whole number */
    if (negative)
      out_char(o, '-');
    out_uint(o, c >> -q);
    return;
  }
  out_shortest(o, negative, shortest(c, q, mantissa == 0 && exponent > 1));
}

void out_double(out *o, double value)
{
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  out_binary(o, bits >> 63 != 0, bits & ((UINT64_C(1) << 52) - 1), (int)(bits >> 52 & 0x7ff), 52, 0x7ff);
}

void out_float(out *o, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  out_binary(o, bits >> 31 != 0, bits & ((1u << 23) - 1), (int)(bits >> 23 & 0xff), 23, 0xff);
}

void out_half(out *o, uint16_t bits)
{
  out_binary(o, bits >> 15 != 0, bits & ((1u << 10) - 1), bits >> 10 & 0x1f, 10, 0x1f);
}

void out_uint(out *o, uint64_t value)
{
  char *p = out_reserve(o, 20);
  if (p == NULL)
    return;
  if (value < 1000) { /* most are, and three digits are fewer than a guess that goes wrong */
    out_advance(o, put_small(p, (uint32_t)value));
    return;
  }
  int count = count_digits(value);
  put_digits(p, value, count);
  out_advance(o, (size_t)count);
}

void out_int(out *o, int64_t value)
{
  if (value < 0)
    out_char(o, '-');
  out_uint(o, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void out_padded(out *o, uint64_t value, int digits)
{
  char *p = out_reserve(o, (size_t)digits);
  if (p == NULL)
    return;
  put_digits(p, value, digits);
  out_advance(o, (size_t)digits);
}

/* Eight hexadecimal digits, all at once: a nibble in each byte, 39 more where it is a letter. */
static void put_hex32(char *p, uint32_t value)
{
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t x = value;
  x = (x << 16 | x) & UINT64_C(0x0000ffff0000ffff);
  x = (x << 8 | x) & UINT64_C(0x00ff00ff00ff00ff);
  x = (x << 4 | x) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  x += ones * '0' + ((x + ones * 6) >> 4 & ones) * ('a' - '0' - 10);
  x = __builtin_bswap64(x);
  memcpy(p, &x, sizeof x);
}

void out_hex32(out *o, uint32_t value)
{
  char *p = out_reserve(o, 8);
  if (p == NULL)
    return;
  put_hex32(p, value);
  out_advance(o, 8);
}

void out_hex64(out *o, uint64_t value)
{
  char *p = out_reserve(o, 16);
  if (p == NULL)
    return;
  put_hex32(p, (uint32_t)(value >> 32));
  put_hex32(p + 8, (uint32_t)value);
  out_advance(o, 16);
}

void out_decimal(out *o, const uint8_t *bytes, size_t size, int scale)
{
  uint32_t limbs[8] = {0};
  size_t count = size / 4;
  memcpy(limbs, bytes, size < sizeof limbs ? size : sizeof limbs);
  if (limbs[count - 1] >> 31 != 0) {
    out_char(o, '-');
    uint64_t carry = 1;
    for (size_t i = 0; i < count; i++) {
      carry += (uint32_t)~limbs[i];
      limbs[i] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  char buffer[80], *end = buffer + sizeof buffer, *first = end; /* 256 bits: 78 digits */
  bool more = true;
  while (more) {
    uint64_t rest = 0;
    more = false;
    for (size_t i = count; i-- > 0;) {
      rest = rest << 32 | limbs[i];
      limbs[i] = (uint32_t)(rest / 10);
      rest %= 10;
      more = more || limbs[i] != 0;
    }
    *--first = (char)('0' + rest);
  }
  size_t digits = (size_t)(end - first), decimals = scale > 0 ? (size_t)scale : 0;
  if (decimals == 0) {
    out_bytes(o, first, digits);
    bool zero = digits == 1 && *first == '0';
    out_repeat(o, '0', scale < 0 && !zero ? 0 - (size_t)scale : 0);
  } else if (digits <= decimals) {
    out_text(o, "0.");
    out_repeat(o, '0', decimals - digits);
    out_bytes(o, first, digits);
  } else {
    out_bytes(o, first, digits - decimals);
    out_char(o, '.');
    out_bytes(o, end - decimals, decimals);
  }
}
