/* Helpers over the buffers of Arrow arrays: validity bits, offsets, and which buffers a type has. */
#include "format/layout.h"

void rk_bits_copy(uint8_t *to, int64_t to_at, const uint8_t *from, int64_t from_at, int64_t count)
{
  for (; count > 0 && to_at % 8 != 0; count--) {
    rk_bit_put(to, to_at++, rk_bit_get(from, from_at++));
  }
  const int64_t whole = count / 8;
  if (whole > 0) {
    uint8_t *out = to + to_at / 8;
    const uint8_t *in = from + from_at / 8;
    const unsigned shift = (unsigned)(from_at % 8);
    if (shift == 0) {
      memcpy(out, in, (size_t)whole);
    } else {
      for (int64_t i = 0; i < whole; i++) {
        out[i] = (uint8_t)(in[i] >> shift | in[i + 1] << (8 - shift));
      }
    }
    to_at += whole * 8;
    from_at += whole * 8;
    count -= whole * 8;
  }
  for (; count > 0; count--) {
    rk_bit_put(to, to_at++, rk_bit_get(from, from_at++));
  }
}

void rk_bits_fill(uint8_t *bits, int64_t at, int64_t count, bool value)
{
  for (; count > 0 && at % 8 != 0; count--) {
    rk_bit_put(bits, at++, value);
  }
  if (count >= 8) {
    memset(bits + at / 8, value ? 0xFF : 0, (size_t)count / 8);
    at += count / 8 * 8;
    count %= 8;
  }
  for (; count > 0; count--) {
    rk_bit_put(bits, at++, value);
  }
}

int64_t rk_bits_count(const uint8_t *bits, int64_t at, int64_t count)
{
  int64_t ones = 0;
  for (; count > 0 && at % 8 != 0; count--) {
    ones += rk_bit_get(bits, at++);
  }
  for (; count >= 64; count -= 64, at += 64) {
    ones += __builtin_popcountll(rk_load_u64(bits + at / 8));
  }
  for (; count > 0; count--) {
    ones += rk_bit_get(bits, at++);
  }
  return ones;
}

int64_t rk_bits_run(const uint8_t *bits, int64_t at, int64_t count)
{
  const bool value = rk_bit_get(bits, at);
  int64_t n = 1;
  while (n < count && rk_bit_get(bits, at + n) == value) {
    n++;
  }
  return n;
}

void rk_offsets_rebase(void *to, const void *from, int64_t count, bool wide, int64_t delta)
{
  if (delta == 0) {
    if (count > 0) {
      memcpy(to, from, (size_t)count * (wide ? 8 : 4));
    }
    return;
  }
  if (wide) {
    for (int64_t i = 0; i < count; i++) {
      rk_store_i64((char *)to + 8 * i, rk_load_i64((const char *)from + 8 * i) + delta);
    }
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    rk_store_i32((char *)to + 4 * i, (int32_t)(rk_load_i32((const char *)from + 4 * i) + delta));
  }
}

int64_t rk_type_buffer_count(rk_type_id type)
{
  if (type == RK_TYPE_NULL) {
    return 0;
  }
  if (rk_type_is_bytes(type)) {
    return 3;
  }
  return type == RK_TYPE_FIXED_SIZE_LIST || type == RK_TYPE_STRUCT || type == RK_TYPE_SPARSE_UNION ? 1 : 2;
}

const uint8_t *rk_array_validity(const struct ArrowArray *array, rk_type_id type)
{
  if (type == RK_TYPE_NULL || rk_type_is_union(type) || array->null_count == 0 || array->n_buffers < 1) {
    return NULL;
  }
  return array->buffers[0];
}
