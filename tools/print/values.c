/* Arrow values as JSON, in full. */
#include "tools/print/values.h"

#include <stdlib.h>

#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/when.h"

#define NS_PER_S INT64_C(1000000000)

static bool is_union(const struct ArrowSchema *schema)
{
  return schema->format[0] == '+' && schema->format[1] == 'u';
}

bool values_is_null(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index)
{
  if (schema->format[0] == 'n')
    return true;
  if (array->null_count == 0 || array->n_buffers == 0 || is_union(schema))
    return false;
  const uint8_t *bits = array->buffers[0];
  uint64_t at = (uint64_t)(array->offset + index);
  return bits != NULL && (bits[at / 8] >> (at % 8) & 1) == 0;
}

bool values_list(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index, int64_t *start,
                 int64_t *count)
{
  const char *f = schema->format;
  if (f[0] != '+' || schema->dictionary != NULL)
    return false;
  int64_t at = array->offset + index;
  if (f[1] == 'l' || f[1] == 'm') {
    const int32_t *offsets = array->buffers[1];
    *start = offsets == NULL ? 0 : offsets[at];
    *count = offsets == NULL ? 0 : offsets[at + 1] - offsets[at];
  } else if (f[1] == 'L') {
    const int64_t *offsets = array->buffers[1];
    *start = offsets == NULL ? 0 : offsets[at];
    *count = offsets == NULL ? 0 : offsets[at + 1] - offsets[at];
  } else if (f[1] == 'w') {
    *count = strtoll(f + 3, NULL, 10);
    *start = at * *count;
  } else {
    return false;
  }
  return true;
}

bool values_bytes(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index, const char **bytes,
                  size_t *size)
{
  const char *f = schema->format;
  int64_t at = array->offset + index;
  if (schema->dictionary != NULL)
    return false;
  if (f[0] == 'u' || f[0] == 'z') {
    const int32_t *offsets = array->buffers[1];
    *bytes = offsets == NULL ? "" : (const char *)array->buffers[2] + offsets[at];
    *size = offsets == NULL ? 0 : (size_t)(offsets[at + 1] - offsets[at]);
  } else if (f[0] == 'U' || f[0] == 'Z') {
    const int64_t *offsets = array->buffers[1];
    *bytes = offsets == NULL ? "" : (const char *)array->buffers[2] + offsets[at];
    *size = offsets == NULL ? 0 : (size_t)(offsets[at + 1] - offsets[at]);
  } else if (f[0] == 'w') {
    int64_t width = strtoll(f + 2, NULL, 10);
    *bytes = (const char *)array->buffers[1] + at * width;
    *size = (size_t)width;
  } else {
    return false;
  }
  return true;
}

bool values_is_blob(const struct ArrowSchema *schema)
{
  const char *f = schema->format;
  if (schema->dictionary != NULL)
    return false;
  if (f[0] == 'z' || f[0] == 'Z' || f[0] == 'w')
    return true;
  return f[0] == '+' && (f[1] == 'l' || f[1] == 'L') && schema->children[0]->format[0] == 'C' &&
         schema->children[0]->dictionary == NULL;
}

bool values_is_text(const struct ArrowSchema *schema)
{
  return (schema->format[0] == 'u' || schema->format[0] == 'U') && schema->dictionary == NULL;
}

bool values_is_scalar(const struct ArrowSchema *schema)
{
  return schema->dictionary == NULL && strchr("bcCsSiIlLefgtd", schema->format[0]) != NULL && schema->format[0] != '\0';
}

static int64_t floor_divide(int64_t value, int64_t by, int64_t *rest)
{
  int64_t result = value / by;
  *rest = value % by;
  if (*rest < 0) {
    result--;
    *rest += by;
  }
  return result;
}

static int64_t units_per_second(char unit)
{
  return unit == 's' ? 1 : unit == 'm' ? 1000 : unit == 'u' ? 1000000 : NS_PER_S;
}

/* Formats "t..": timestamps, dates, times of day, durations. */
static void print_temporal(out *o, const char *f, const struct ArrowArray *array, int64_t at)
{
  bool narrow = f[1] == 'd' ? f[2] == 'D' : f[1] == 't' && (f[2] == 's' || f[2] == 'm');
  int64_t value = narrow ? ((const int32_t *)array->buffers[1])[at] : ((const int64_t *)array->buffers[1])[at];
  int64_t per_second = units_per_second(f[2]), rest;
  if (f[1] == 'D') {
    __extension__ typedef __int128 i128;
    i128 ns = (i128)value * (NS_PER_S / per_second);
    out_decimal(o, (const uint8_t *)&ns, sizeof ns, 0);
    return;
  }
  out_char(o, '"');
  if (f[1] == 's') {
    int64_t seconds = floor_divide(value, per_second, &rest);
    out_rfc3339(o, seconds, (uint32_t)(rest * (NS_PER_S / per_second)), 9);
  } else if (f[1] == 'd') {
    out_date(o, f[2] == 'D' ? value : floor_divide(value, 86400000, &rest));
  } else {
    int64_t seconds = floor_divide(value, per_second, &rest);
    out_clock(o, seconds, (uint32_t)(rest * (NS_PER_S / per_second)), 9);
  }
  out_char(o, '"');
}

/* "d:precision,scale[,bits]" */
static void print_decimal(out *o, const char *f, const struct ArrowArray *array, int64_t at)
{
  const char *comma = strchr(f, ',');
  int scale = comma == NULL ? 0 : (int)strtol(comma + 1, NULL, 10);
  const char *second = comma == NULL ? NULL : strchr(comma + 1, ',');
  long bits = second == NULL ? 128 : strtol(second + 1, NULL, 10);
  size_t size = bits == 32 || bits == 64 || bits == 256 ? (size_t)bits / 8 : 16;
  out_char(o, '"');
  out_decimal(o, (const uint8_t *)array->buffers[1] + (size_t)at * size, size, scale);
  out_char(o, '"');
}

static void print_struct(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t at)
{
  out_char(o, '{');
  for (int64_t i = 0; i < schema->n_children; i++) {
    json_key(o, i == 0, schema->children[i]->name == NULL ? "" : schema->children[i]->name);
    values_one(o, schema->children[i], array->children[i], at);
  }
  out_char(o, '}');
}

/* "+ud:0,1,2" or "+us:...": the i-th number is the type id of child i. Unions carry no validity bitmap. */
static void print_union(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t at)
{
  bool dense = schema->format[2] == 'd';
  const int8_t *types = array->buffers[0];
  const char *p = schema->format + 4;
  for (int64_t i = 0; i < schema->n_children; i++) {
    char *end;
    long id = strtol(p, &end, 10);
    if (id == types[at]) {
      values_one(o, schema->children[i], array->children[i], dense ? ((const int32_t *)array->buffers[1])[at] : at);
      return;
    }
    p = *end == ',' ? end + 1 : end;
  }
  out_text(o, "null");
}

static int64_t index_at(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t at)
{
  const void *values = array->buffers[1];
  switch (schema->format[0]) {
  case 'c':
    return ((const int8_t *)values)[at];
  case 'C':
    return ((const uint8_t *)values)[at];
  case 's':
    return ((const int16_t *)values)[at];
  case 'S':
    return ((const uint16_t *)values)[at];
  case 'i':
    return ((const int32_t *)values)[at];
  case 'I':
    return ((const uint32_t *)values)[at];
  default:
    return ((const int64_t *)values)[at];
  }
}

static void print_list(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index)
{
  int64_t start, count;
  if (!values_list(schema, array, index, &start, &count)) {
    out_text(o, "null");
    return;
  }
  const struct ArrowArray *items = array->children[0];
  if (values_is_blob(schema)) {
    bool nulls = false;
    for (int64_t i = 0; i < count && items->null_count != 0 && !nulls; i++)
      nulls = values_is_null(schema->children[0], items, start + i);
    if (!nulls) {
      const uint8_t *bytes = items->buffers[1];
      json_base64(o, count == 0 ? NULL : bytes + items->offset + start, (size_t)count);
      return;
    }
  }
  values_array(o, schema->children[0], items, start, count);
}

static void print_nested(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index)
{
  switch (schema->format[1]) {
  case 's':
    print_struct(o, schema, array, array->offset + index);
    break;
  case 'u':
    print_union(o, schema, array, array->offset + index);
    break;
  default:
    print_list(o, schema, array, index);
  }
}

/* Numbers that JSON has no form for are strings. */
static void print_quoted(out *o, double value)
{
  out_char(o, '"');
  out_double(o, value);
  out_char(o, '"');
}

static void print_double(out *o, double value)
{
  if (__builtin_isfinite(value))
    out_double(o, value);
  else
    print_quoted(o, value);
}

static void print_single(out *o, float value)
{
  if (__builtin_isfinite(value))
    out_float(o, value);
  else
    print_quoted(o, value);
}

static void print_half(out *o, uint16_t bits)
{
  bool finite = (bits & 0x7c00) != 0x7c00;
  out_text(o, finite ? "" : "\"");
  out_half(o, bits);
  out_text(o, finite ? "" : "\"");
}

bool values_are_numbers(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
  switch (schema->format[0]) {
  case 'c':
  case 'C':
  case 's':
  case 'S':
  case 'i':
  case 'I':
  case 'l':
  case 'L':
  case 'f':
  case 'g':
    return schema->dictionary == NULL && (array->null_count == 0 || array->buffers[0] == NULL);
  default:
    return false;
  }
}

/* One loop for each type of number: which one it is, is not asked for every element. */
#define PRINT_RUN(type, print)                                                                                         \
  do {                                                                                                                 \
    const type *values = (const type *)array->buffers[1] + array->offset + start;                                      \
    print(o, values[0]);                                                                                               \
    for (int64_t i = 1; i < count; i++) {                                                                              \
      out_char(o, ',');                                                                                                \
      print(o, values[i]);                                                                                             \
    }                                                                                                                  \
  } while (0)

void values_numbers(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                    int64_t count, bool bare)
{
  if (count == 0)
    return;
  switch (schema->format[0]) {
  case 'c':
    PRINT_RUN(int8_t, out_int);
    break;
  case 'C':
    PRINT_RUN(uint8_t, out_uint);
    break;
  case 's':
    PRINT_RUN(int16_t, out_int);
    break;
  case 'S':
    PRINT_RUN(uint16_t, out_uint);
    break;
  case 'i':
    PRINT_RUN(int32_t, out_int);
    break;
  case 'I':
    PRINT_RUN(uint32_t, out_uint);
    break;
  case 'l':
    PRINT_RUN(int64_t, out_int);
    break;
  case 'L':
    PRINT_RUN(uint64_t, out_uint);
    break;
  case 'f':
    if (bare)
      PRINT_RUN(float, out_float);
    else
      PRINT_RUN(float, print_single);
    break;
  case 'g':
    if (bare)
      PRINT_RUN(double, out_double);
    else
      PRINT_RUN(double, print_double);
    break;
  default:
    break;
  }
}

void values_one(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index)
{
  if (values_is_null(schema, array, index)) {
    out_text(o, "null");
    return;
  }
  int64_t at = array->offset + index;
  if (schema->dictionary != NULL) {
    values_one(o, schema->dictionary, array->dictionary, index_at(schema, array, at));
    return;
  }
  const char *bytes;
  size_t size;
  switch (schema->format[0]) {
  case 'c':
  case 'C':
  case 's':
  case 'S':
  case 'i':
  case 'I':
  case 'l':
  case 'L':
  case 'f':
  case 'g':
    values_numbers(o, schema, array, index, 1, false);
    break;
  case 'b':
    out_text(o, ((const uint8_t *)array->buffers[1])[at / 8] >> (at % 8) & 1 ? "true" : "false");
    break;
  case 'e':
    print_half(o, ((const uint16_t *)array->buffers[1])[at]);
    break;
  case 't':
    print_temporal(o, schema->format, array, at);
    break;
  case 'd':
    print_decimal(o, schema->format, array, at);
    break;
  case 'u':
  case 'U':
    if (values_bytes(schema, array, index, &bytes, &size))
      json_string(o, bytes, size);
    break;
  case 'z':
  case 'Z':
  case 'w':
    if (values_bytes(schema, array, index, &bytes, &size))
      json_base64(o, (const uint8_t *)bytes, size);
    break;
  case '+':
    print_nested(o, schema, array, index);
    break;
  default:
    out_text(o, "null");
  }
}

void values_array(out *o, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                  int64_t count)
{
  out_char(o, '[');
  if (values_are_numbers(schema, array)) {
    values_numbers(o, schema, array, start, count, false);
  } else {
    for (int64_t i = 0; i < count; i++) {
      if (i > 0)
        out_char(o, ',');
      values_one(o, schema, array, start + i);
    }
  }
  out_char(o, ']');
}
