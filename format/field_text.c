/* Type texts: Arrow's format strings, and the nested form of recording.h that puts children in parentheses. */
#include <stdio.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/field_format.h"
#include "format/layout.h"

#define SPECIAL "\\!:,()"

typedef struct simple_format {
  char text[5];
  uint8_t type; /* rk_type_id */
  uint8_t unit; /* rk_time_unit */
} simple_format;

/* Longest first where one is a prefix of another. */
static const simple_format simple_formats[] = {
    {"tdD", RK_TYPE_DATE32, RK_UNIT_SECOND},
    {"tdm", RK_TYPE_DATE64, RK_UNIT_SECOND},
    {"tts", RK_TYPE_TIME32, RK_UNIT_SECOND},
    {"ttm", RK_TYPE_TIME32, RK_UNIT_MILLI},
    {"ttu", RK_TYPE_TIME64, RK_UNIT_MICRO},
    {"ttn", RK_TYPE_TIME64, RK_UNIT_NANO},
    {"tss:", RK_TYPE_TIMESTAMP, RK_UNIT_SECOND},
    {"tsm:", RK_TYPE_TIMESTAMP, RK_UNIT_MILLI},
    {"tsu:", RK_TYPE_TIMESTAMP, RK_UNIT_MICRO},
    {"tsn:", RK_TYPE_TIMESTAMP, RK_UNIT_NANO},
    {"tDs", RK_TYPE_DURATION, RK_UNIT_SECOND},
    {"tDm", RK_TYPE_DURATION, RK_UNIT_MILLI},
    {"tDu", RK_TYPE_DURATION, RK_UNIT_MICRO},
    {"tDn", RK_TYPE_DURATION, RK_UNIT_NANO},
    {"+ud:", RK_TYPE_DENSE_UNION, RK_UNIT_SECOND},
    {"+us:", RK_TYPE_SPARSE_UNION, RK_UNIT_SECOND},
    {"+w:", RK_TYPE_FIXED_SIZE_LIST, RK_UNIT_SECOND},
    {"+l", RK_TYPE_LIST, RK_UNIT_SECOND},
    {"+L", RK_TYPE_LARGE_LIST, RK_UNIT_SECOND},
    {"+s", RK_TYPE_STRUCT, RK_UNIT_SECOND},
    {"+m", RK_TYPE_MAP, RK_UNIT_SECOND},
    {"w:", RK_TYPE_FIXED_SIZE_BINARY, RK_UNIT_SECOND},
    {"d:", RK_TYPE_DECIMAL128, RK_UNIT_SECOND},
    {"n", RK_TYPE_NULL, RK_UNIT_SECOND},
    {"b", RK_TYPE_BOOL, RK_UNIT_SECOND},
    {"c", RK_TYPE_INT8, RK_UNIT_SECOND},
    {"C", RK_TYPE_UINT8, RK_UNIT_SECOND},
    {"s", RK_TYPE_INT16, RK_UNIT_SECOND},
    {"S", RK_TYPE_UINT16, RK_UNIT_SECOND},
    {"i", RK_TYPE_INT32, RK_UNIT_SECOND},
    {"I", RK_TYPE_UINT32, RK_UNIT_SECOND},
    {"l", RK_TYPE_INT64, RK_UNIT_SECOND},
    {"L", RK_TYPE_UINT64, RK_UNIT_SECOND},
    {"e", RK_TYPE_FLOAT16, RK_UNIT_SECOND},
    {"f", RK_TYPE_FLOAT32, RK_UNIT_SECOND},
    {"g", RK_TYPE_FLOAT64, RK_UNIT_SECOND},
    {"u", RK_TYPE_UTF8, RK_UNIT_SECOND},
    {"U", RK_TYPE_LARGE_UTF8, RK_UNIT_SECOND},
    {"z", RK_TYPE_BINARY, RK_UNIT_SECOND},
    {"Z", RK_TYPE_LARGE_BINARY, RK_UNIT_SECOND},
};
#define SIMPLE_COUNT (sizeof simple_formats / sizeof *simple_formats)

static RK_FAR rk_status misuse(rk_error *error, const char *what)
{
  return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s", what);
}

static RK_FAR bool parse_int(const char **text, int32_t min, int32_t max, int32_t *value)
{
  const char *p = *text;
  const bool negative = *p == '-';
  p += negative;
  int64_t n = 0;
  const char *digits = p;
  for (; *p >= '0' && *p <= '9' && n <= INT32_MAX; p++) {
    n = n * 10 + (*p - '0');
  }
  if (p == digits) {
    return false;
  }
  n = negative ? -n : n;
  if (n < min || n > max) {
    return false;
  }
  *text = p;
  *value = (int32_t)n;
  return true;
}

static bool parse_decimal(const char **text, rk_field *field)
{
  int32_t bits = 128;
  if (!parse_int(text, 1, 76, &field->precision) || **text != ',') {
    return false;
  }
  ++*text;
  if (!parse_int(text, -128, 127, &field->scale)) {
    return false;
  }
  /* A sibling's name may follow a comma as well: bits are "128" or "256" and then the type ends. */
  if ((strncmp(*text, ",128", 4) == 0 || strncmp(*text, ",256", 4) == 0) && strchr(",)", (*text)[4]) != NULL) {
    bits = (*text)[1] == '1' ? 128 : 256;
    *text += 4;
  }
  field->type = bits == 128 ? RK_TYPE_DECIMAL128 : RK_TYPE_DECIMAL256;
  return bits == 256 || field->precision <= 38;
}

static rk_status parse_type_ids(rk_arena *arena, const char **text, rk_field *field, rk_error *error)
{
  int8_t ids[128];
  size_t count = 0;
  if (**text >= '0' && **text <= '9') {
    do {
      int32_t id;
      *text += count != 0;
      if (count == sizeof ids || !parse_int(text, 0, 127, &id)) {
        return misuse(error, "bad union type ids");
      }
      ids[count++] = (int8_t)id;
    } while (**text == ',' && (*text)[1] >= '0' && (*text)[1] <= '9');
  }
  int8_t *copy = rk_arena_array(arena, count, 1);
  if (copy == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  memcpy(copy, ids, count);
  field->type_ids = copy;
  field->child_count = count;
  return RK_OK;
}

/* Text up to one of `stops`, unescaped; "\e" stands for nothing, so that an empty name can be told from a missing one.
 */
static char *parse_escaped(rk_arena *arena, const char **text, const char *stops)
{
  const char *end = *text;
  while (*end != 0 && strchr(stops, *end) == NULL) {
    end += end[0] == '\\' && end[1] != 0 ? 2 : 1;
  }
  char *copy = rk_arena_text(arena, *text, (size_t)(end - *text));
  if (copy == NULL) {
    return NULL;
  }
  char *out = copy;
  for (const char *p = *text; p < end; p++) {
    if (*p == '\\' && p + 1 < end) {
      p++;
      if (*p == 'e') {
        continue;
      }
    }
    *out++ = *p;
  }
  *out = 0;
  *text = end;
  return copy;
}

static rk_status parse_timezone(rk_arena *arena, const char **text, bool embedded, rk_field *field)
{
  const char *timezone = embedded ? parse_escaped(arena, text, ",()") : rk_arena_text(arena, *text, strlen(*text));
  if (timezone == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  if (!embedded) {
    *text += strlen(*text);
  }
  field->timezone = *timezone == 0 ? NULL : timezone;
  return RK_OK;
}

static bool has_size(rk_type_id type)
{
  return type == RK_TYPE_FIXED_SIZE_LIST || type == RK_TYPE_FIXED_SIZE_BINARY;
}

static rk_status parse_parameters(rk_arena *arena, const char **text, bool embedded, rk_field *field, rk_error *error)
{
  if (rk_type_is_union(field->type)) {
    return parse_type_ids(arena, text, field, error);
  }
  if (field->type == RK_TYPE_TIMESTAMP) {
    return parse_timezone(arena, text, embedded, field);
  }
  if (field->type == RK_TYPE_DECIMAL128 && !parse_decimal(text, field)) {
    return misuse(error, "bad decimal type");
  }
  const int32_t size_max = field->type == RK_TYPE_FIXED_SIZE_LIST ? INT32_MAX : RK_FIXED_SIZE_BINARY_MAX;
  if (has_size(field->type) && !parse_int(text, 0, size_max, &field->size)) {
    return misuse(error, "bad size in a fixed-size type");
  }
  return RK_OK;
}

rk_status rk_format_parse(rk_arena *arena, const char **text, bool embedded, rk_field *field, rk_error *error)
{
  if (strncmp(*text, "+v", 2) == 0 || strncmp(*text, "+r", 2) == 0 || **text == 'v' || strncmp(*text, "ti", 2) == 0) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, RK_NO_OFFSET, "view, run-end and interval types are not supported");
  }
  for (size_t i = 0; i < SIMPLE_COUNT; i++) {
    const size_t size = strlen(simple_formats[i].text);
    if (strncmp(*text, simple_formats[i].text, size) == 0) {
      *text += size;
      field->type = (rk_type_id)simple_formats[i].type;
      field->unit = (rk_time_unit)simple_formats[i].unit;
      return parse_parameters(arena, text, embedded, field, error);
    }
  }
  return misuse(error, "not an Arrow format string");
}

/* ---- Nested text ---- */

static const char *default_name(const rk_field *parent)
{
  if (parent->type == RK_TYPE_MAP) {
    return "entries";
  }
  if (parent->type == RK_TYPE_LIST || parent->type == RK_TYPE_LARGE_LIST || parent->type == RK_TYPE_FIXED_SIZE_LIST) {
    return "item";
  }
  return "";
}

static size_t count_children(const char *text)
{
  size_t count = 1, depth = 0;
  for (; *text != 0; text++) {
    if (*text == '\\' && text[1] != 0) {
      text++;
    } else if (*text == '(') {
      depth++;
    } else if (*text == ')') {
      if (depth-- == 0) {
        break;
      }
    } else if (*text == ',' && depth == 0) {
      count++;
    }
  }
  return count; /* an upper bound: commas of union ids and decimals are counted too */
}

static rk_status parse_type(rk_arena *arena, const char **text, int depth, rk_field *field, rk_error *error);

static rk_status parse_child(rk_arena *arena, const char **text, int depth, const rk_field *parent, rk_field *child,
                             rk_error *error)
{
  const char *start = *text;
  char *name = parse_escaped(arena, text, "!:,()");
  if (name == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  child->name = *text == start ? default_name(parent) : name;
  child->nullable = **text != '!';
  *text += **text == '!';
  if (**text != ':') {
    return misuse(error, "a child is written [name][!]:format");
  }
  ++*text;
  return parse_type(arena, text, depth, child, error);
}

static rk_status parse_type(rk_arena *arena, const char **text, int depth, rk_field *field, rk_error *error)
{
  if (depth > RK_TYPE_DEPTH_MAX) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "type nested more than %d deep", RK_TYPE_DEPTH_MAX);
  }
  rk_status status = rk_format_parse(arena, text, true, field, error);
  if (status != RK_OK) {
    return status;
  }
  size_t count = 0;
  if (**text == '(') {
    ++*text;
    if (**text != ')') {
      field->children = rk_arena_array(arena, count_children(*text), sizeof *field->children);
      if (field->children == NULL) {
        return RK_ERR_NO_MEMORY;
      }
      for (;;) {
        status = parse_child(arena, text, depth + 1, field, field->children + count, error);
        if (status != RK_OK) {
          return status;
        }
        count++;
        if (**text != ',') {
          break;
        }
        ++*text;
      }
    }
    if (**text != ')') {
      return misuse(error, "missing ) in a type");
    }
    ++*text;
  }
  if (rk_type_is_union(field->type) && count != field->child_count) {
    return misuse(error, "a union needs one type id per child");
  }
  field->child_count = count;
  return rk_field_check_children(field, error);
}

rk_status rk_field_parse(rk_arena *arena, const char *text, rk_field **field, rk_error *error)
{
  rk_field *made = rk_arena_alloc(arena, sizeof *made);
  rk_status status = RK_ERR_NO_MEMORY;
  if (made != NULL) {
    made->name = "item";
    made->nullable = true;
    status = parse_type(arena, &text, 0, made, error);
  }
  if (status == RK_OK && *text != 0) {
    status = misuse(error, "unexpected text after the type");
  }
  if (status == RK_ERR_NO_MEMORY) {
    return rk_fail(error, status, RK_NO_OFFSET, "out of memory");
  }
  if (status == RK_ERR_UNSUPPORTED) {
    status = RK_ERR_MISUSE;
    if (error != NULL) {
      error->status = status;
    }
  }
  if (status == RK_OK) {
    *field = made;
  }
  return status;
}

/* ---- Output ---- */

static RK_FAR void append_text(rk_buffer *out, const char *text)
{
  rk_buffer_append(out, text, strlen(text));
}

static RK_FAR void append_int(rk_buffer *out, int32_t value)
{
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  append_text(out, text);
}

void rk_format_append_escaped(const char *text, rk_buffer *out)
{
  for (; *text != 0; text++) {
    if (strchr(SPECIAL, *text) != NULL) {
      rk_buffer_append(out, "\\", 1);
    }
    rk_buffer_append(out, text, 1);
  }
}

static bool same_format(const simple_format *format, const rk_field *field)
{
  const rk_type_id type = field->type == RK_TYPE_DECIMAL256 ? RK_TYPE_DECIMAL128 : field->type;
  if (format->type != type) {
    return false;
  }
  const uint64_t with_unit = RK_TYPE_BIT(RK_TYPE_TIMESTAMP) | RK_TYPE_BIT(RK_TYPE_DURATION) |
                             RK_TYPE_BIT(RK_TYPE_TIME32) | RK_TYPE_BIT(RK_TYPE_TIME64);
  return format->unit == field->unit || !rk_type_in(type, with_unit);
}

void rk_format_append(const rk_field *field, bool embedded, rk_buffer *out)
{
  for (size_t i = 0; i < SIMPLE_COUNT; i++) {
    if (same_format(simple_formats + i, field)) {
      append_text(out, simple_formats[i].text);
      break;
    }
  }
  if (field->type == RK_TYPE_DECIMAL128 || field->type == RK_TYPE_DECIMAL256) {
    append_int(out, field->precision);
    append_text(out, ",");
    append_int(out, field->scale);
    append_text(out, field->type == RK_TYPE_DECIMAL256 ? ",256" : embedded ? ",128" : "");
  } else if (has_size(field->type)) {
    append_int(out, field->size);
  } else if (field->type == RK_TYPE_TIMESTAMP && field->timezone != NULL) {
    if (embedded) {
      rk_format_append_escaped(field->timezone, out);
    } else {
      append_text(out, field->timezone);
    }
  } else if (rk_type_is_union(field->type)) {
    for (size_t i = 0; i < field->child_count; i++) {
      append_text(out, i == 0 ? "" : ",");
      append_int(out, field->type_ids[i]);
    }
  }
}

static void append_type(const rk_field *field, rk_buffer *out)
{
  while (field->dictionary != NULL) {
    field = field->dictionary;
  }
  rk_format_append(field, true, out);
  for (size_t i = 0; i < field->child_count; i++) {
    const rk_field *child = field->children + i;
    append_text(out, i == 0 ? "(" : ",");
    if (strcmp(child->name, default_name(field)) != 0) {
      if (*child->name == 0) {
        append_text(out, "\\e");
      }
      rk_format_append_escaped(child->name, out);
    }
    append_text(out, child->nullable ? ":" : "!:");
    append_type(child, out);
  }
  append_text(out, field->child_count == 0 ? "" : ")");
}

void rk_field_text(const rk_field *field, rk_buffer *out)
{
  append_type(field, out);
  rk_buffer_append_zero(out, 1);
}
