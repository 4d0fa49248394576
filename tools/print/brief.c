/* A row's components in a few words: known archetypes by what matters in them, everything else elided. */
#include "tools/print/brief.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/print/json.h"
#include "tools/print/number.h"
#include "tools/print/values.h"
#include "tools/when.h"

/* Items of a list that are shown; a fixed-size list of numbers is short by nature (a matrix). */
enum { ITEMS_CUT = 3, ITEMS_FREE = 12, VECTOR_ITEMS = 16, TEXT_MOST = 400, DEPTH = 6 };

typedef struct cell {
  const rk_component_cell *c;
  const char *field; /* after the archetype's "X:" */
} cell;

static void brief_value(line *l, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index,
                        int depth);

static void brief_size(line *l, uint64_t size)
{
  out_size(&l->scratch, size);
  line_scratch(l);
}

/* Moments and numbers such as NaN, which are strings in JSON. */
static void line_unquote(line *l)
{
  out *o = &l->scratch;
  if (o->size < 2 || o->data[0] != '"')
    return;
  o->size -= 2;
  memmove(o->data, o->data + 1, o->size);
}

/* "(1000×3)": of a list whose items were not all shown. */
static void brief_shape(line *l, const struct ArrowSchema *schema, int64_t count)
{
  out *o = line_ascii(l);
  out_char(o, '(');
  out_int(o, count);
  line_ascii_end(l);
  while (strncmp(schema->format, "+w:", 3) == 0 && schema->dictionary == NULL) {
    line_text(l, "×");
    line_text(l, schema->format + 3);
    schema = schema->children[0];
  }
  line_text(l, ")");
}

/* As many at once as stay within what is cheap to make and not show. */
static void brief_numbers(line *l, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                          int64_t count, int64_t most)
{
  enum { AT_ONCE = 256 };
  int64_t shown = count < most ? count : most;
  line_text(l, "[");
  for (int64_t i = 0, part; i < shown && !l->full; i += part) {
    part = shown - i < AT_ONCE ? shown - i : AT_ONCE;
    out *o = line_ascii(l);
    values_numbers(o, schema, array, start + i, part, true);
    out_text(o, i + part < count ? "," : "");
    line_ascii_end(l);
  }
  line_text(l, shown < count ? "…]" : "]");
  if (shown < count)
    brief_shape(l, schema, count);
}

static void brief_items(line *l, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t start,
                        int64_t count, int64_t most, int depth)
{
  if (values_are_numbers(schema, array)) {
    brief_numbers(l, schema, array, start, count, most);
    return;
  }
  line_text(l, "[");
  for (int64_t i = 0; i < count && !l->full; i++) {
    if (i > 0)
      line_text(l, ",");
    if (i == most) {
      line_text(l, "…]");
      brief_shape(l, schema, count);
      return;
    }
    brief_value(l, schema, array, start + i, depth);
  }
  line_text(l, "]");
}

static int64_t most_items(const line *l)
{
  return l->in_full ? INT64_MAX : l->limit > 0 ? ITEMS_CUT : ITEMS_FREE;
}

static void brief_text(line *l, const char *bytes, size_t size)
{
  line_text(l, "\"");
  if (l->in_full || size <= TEXT_MOST) {
    line_printable(l, bytes, size);
  } else {
    size_t cut = TEXT_MOST;
    while (cut > 0 && ((unsigned char)bytes[cut] & 0xc0) == 0x80)
      cut--;
    line_printable(l, bytes, cut);
    line_text(l, "…");
  }
  line_text(l, "\"");
}

static void brief_value(line *l, const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t index,
                        int depth)
{
  int64_t start, count;
  const char *bytes;
  size_t size;
  if (l->full)
    return;
  if (values_is_null(schema, array, index)) {
    line_text(l, "null");
  } else if (values_is_blob(schema) && !l->in_full) {
    if (values_list(schema, array, index, &start, &count))
      size = (size_t)count;
    else if (!values_bytes(schema, array, index, &bytes, &size))
      size = 0;
    brief_size(l, size);
  } else if (values_is_text(schema) && values_bytes(schema, array, index, &bytes, &size)) {
    brief_text(l, bytes, size);
  } else if (!values_is_blob(schema) && values_list(schema, array, index, &start, &count)) {
    bool vector = schema->format[1] == 'w' && count <= VECTOR_ITEMS;
    if (depth == 0)
      line_text(l, "[…]");
    else
      brief_items(l, schema->children[0], array->children[0], start, count, vector ? count : most_items(l), depth - 1);
  } else if (strncmp(schema->format, "+s", 2) == 0 && schema->dictionary == NULL) {
    bool first = true;
    line_text(l, "{");
    for (int64_t i = 0; i < schema->n_children && !l->full; i++) {
      const char *name = schema->children[i]->name == NULL ? "" : schema->children[i]->name;
      if (values_is_null(schema->children[i], array->children[i], array->offset + index))
        continue;
      line_text(l, first ? "" : " ");
      first = false;
      line_printable(l, name, strlen(name));
      line_text(l, "=");
      if (depth == 0)
        line_text(l, "…");
      else
        brief_value(l, schema->children[i], array->children[i], array->offset + index, depth - 1);
    }
    line_text(l, "}");
  } else if (strncmp(schema->format, "+ud", 3) == 0 || strncmp(schema->format, "+us", 3) == 0) {
    const int8_t *types = array->buffers[0];
    const char *p = schema->format + 4;
    int64_t at = array->offset + index;
    for (int64_t i = 0; i < schema->n_children && depth > 0; i++) {
      char *end;
      if (strtol(p, &end, 10) == types[at]) {
        int64_t child = schema->format[2] == 'd' ? ((const int32_t *)array->buffers[1])[at] : at;
        brief_value(l, schema->children[i], array->children[i], child, depth - 1);
        return;
      }
      p = *end == ',' ? end + 1 : end;
    }
    line_text(l, "…");
  } else if (values_are_numbers(schema, array)) {
    values_numbers(line_ascii(l), schema, array, index, 1, true);
    line_ascii_end(l);
  } else {
    values_one(&l->scratch, schema, array, index);
    line_unquote(l);
    line_scratch(l);
  }
}

/* 0xRRGGBBAA as #rrggbb[aa], the first character on a ground of that colour. */
static void brief_colour(line *l, uint32_t rgba)
{
  char style[40];
  snprintf(style, sizeof style, "48;2;%u;%u;%u", rgba >> 24, rgba >> 16 & 255, rgba >> 8 & 255);
  line_styled(l, style, "#");
  if ((rgba & 255) == 255)
    line_format(l, "%06" PRIx32, rgba >> 8);
  else
    line_format(l, "%08" PRIx32, rgba);
}

static void brief_colours(line *l, const rk_component_cell *c)
{
  const uint32_t *values = c->values->buffers[1];
  int64_t most = most_items(l);
  for (int64_t i = 0; i < c->count && !l->full; i++) {
    if (i > 0)
      line_text(l, ",");
    if (i == most) {
      line_format(l, "…(%" PRId64 ")", c->count);
      break;
    }
    brief_colour(l, values[c->values->offset + c->start + i]);
  }
}

static void brief_timestamp(line *l, const rk_component_cell *c)
{
  out_time(line_ascii(l), ((const int64_t *)c->values->buffers[1])[c->values->offset + c->start]);
  line_ascii_end(l);
}

static bool has_type(const rk_component_cell *c, const char *component_type, const char *format)
{
  return c->component_type != NULL && strcmp(c->component_type, component_type) == 0 &&
         strcmp(c->schema->format, format) == 0 && c->schema->dictionary == NULL;
}

static void brief_cell(line *l, const rk_component_cell *c)
{
  if (c->count == 0)
    line_text(l, "[]");
  else if (has_type(c, "rerun.components.Color", "I"))
    brief_colours(l, c);
  else if (c->count == 1 && has_type(c, "rerun.components.Timestamp", "l"))
    brief_timestamp(l, c);
  else if (c->count == 1)
    brief_value(l, c->schema, c->values, c->start, DEPTH);
  else
    brief_items(l, c->schema, c->values, c->start, c->count, most_items(l), DEPTH);
}

static const rk_component_cell *find(const cell *cells, size_t count, const char *field)
{
  for (size_t i = 0; i < count; i++)
    if (strcmp(cells[i].field, field) == 0)
      return cells[i].c;
  return NULL;
}

/* The first instance's text. */
static bool first_text(const rk_component_cell *c, const char **bytes, size_t *size)
{
  return c != NULL && c->count > 0 && values_is_text(c->schema) && !values_is_null(c->schema, c->values, c->start) &&
         values_bytes(c->schema, c->values, c->start, bytes, size);
}

static bool brief_log(line *l, const cell *cells, size_t count)
{
  static const struct {
    const char *level, *style;
  } levels[] = {{"CRITICAL", "1;37;41"}, {"ERROR", "1;31"}, {"WARN", "33"},
                {"INFO", "32"},          {"DEBUG", "34"},   {"TRACE", "2"}};
  const char *text, *level;
  size_t size, level_size;
  const rk_component_cell *colour = find(cells, count, "color");
  if (!first_text(find(cells, count, "text"), &text, &size))
    return false;
  if (first_text(find(cells, count, "level"), &level, &level_size)) {
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
      if (strlen(levels[i].level) == level_size && memcmp(levels[i].level, level, level_size) == 0)
        line_style(l, levels[i].style);
    line_printable(l, level, level_size);
    line_style(l, NULL);
    for (size_t i = level_size; i < 5; i++)
      line_text(l, " ");
    line_text(l, " ");
  }
  if (colour != NULL && colour->count > 0 && l->coloured && strcmp(colour->schema->format, "I") == 0) {
    uint32_t rgba = ((const uint32_t *)colour->values->buffers[1])[colour->values->offset + colour->start];
    char style[40];
    snprintf(style, sizeof style, "38;2;%u;%u;%u", rgba >> 24, rgba >> 16 & 255, rgba >> 8 & 255);
    line_style(l, style);
  }
  line_printable(l, text, size);
  line_style(l, NULL);
  return true;
}

/* A struct member that is a whole number; -1 where null or absent. */
static int64_t member(const rk_component_cell *c, const char *name)
{
  int64_t at = c->values->offset + c->start;
  for (int64_t i = 0; i < c->schema->n_children; i++) {
    const struct ArrowSchema *schema = c->schema->children[i];
    const struct ArrowArray *array = c->values->children[i];
    if (schema->name == NULL || strcmp(schema->name, name) != 0 || values_is_null(schema, array, at))
      continue;
    if (strcmp(schema->format, "I") == 0)
      return ((const uint32_t *)array->buffers[1])[array->offset + at];
    if (strcmp(schema->format, "C") == 0)
      return ((const uint8_t *)array->buffers[1])[array->offset + at];
  }
  return -1;
}

/* "640×480 RGB U8" from an ImageFormat. */
static bool brief_image_format(line *l, const rk_component_cell *c)
{
  static const struct {
    int code;
    const char *name;
  } models[] = {{1, "L"}, {2, "RGB"}, {3, "RGBA"}, {4, "BGR"}, {5, "BGRA"}},
    types[] = {{6, "U8"},   {7, "I8"},   {8, "U16"},  {9, "I16"},  {10, "U32"}, {11, "I32"},
               {12, "U64"}, {13, "I64"}, {33, "F16"}, {34, "F32"}, {35, "F64"}},
    formats[] = {{20, "Y_U_V12"}, {26, "NV12"}, {27, "YUY2"},    {30, "Y8"},      {39, "Y_U_V24"},
                 {40, "Y_U_V24"}, {41, "Y8"},   {44, "Y_U_V12"}, {49, "Y_U_V16"}, {50, "Y_U_V16"}};
  if (c == NULL || c->count == 0 || strcmp(c->schema->format, "+s") != 0)
    return false;
  int64_t width = member(c, "width"), height = member(c, "height"), model = member(c, "color_model"),
          type = member(c, "channel_datatype"), format = member(c, "pixel_format");
  if (width < 0 || height < 0)
    return false;
  line_format(l, "%" PRId64 "×%" PRId64, width, height);
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (formats[i].code == format)
      line_format(l, " %s", formats[i].name);
  for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
    if (models[i].code == model)
      line_format(l, " %s", models[i].name);
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (types[i].code == type)
      line_format(l, " %s", types[i].name);
  return true;
}

/* Fields whose value says most come first, without their name where it is the archetype's very subject. */
static const char *const first_fields[] = {"text",    "scalars",      "state",       "format",  "media_type",
                                           "labels",  "positions",    "half_sizes",  "centers", "strips",
                                           "vectors", "translations", "translation", "colors",  "color"};

static size_t rank(const char *field)
{
  size_t i = 0;
  while (i < sizeof first_fields / sizeof first_fields[0] && strcmp(first_fields[i], field) != 0)
    i++;
  return i;
}

static void brief_archetype(line *l, const char *name, size_t name_size, cell *cells, size_t count)
{
  line_style(l, "1");
  line_printable(l, name, name_size);
  line_style(l, NULL);
  line_text(l, " ");
  bool is_log = name_size == 7 && memcmp(name, "TextLog", 7) == 0;
  if (is_log && brief_log(l, cells, count))
    return;
  for (size_t i = 1; i < count; i++) /* stable, and there are few */
    for (size_t j = i; j > 0 && rank(cells[j].field) < rank(cells[j - 1].field); j--) {
      cell swap = cells[j];
      cells[j] = cells[j - 1];
      cells[j - 1] = swap;
    }
  int64_t instances = 0;
  for (size_t i = 0; i < count; i++)
    instances = cells[i].c->count > instances ? cells[i].c->count : instances;
  bool first = true;
  for (size_t i = 0; i < count && !l->full; i++) {
    const rk_component_cell *c = cells[i].c;
    const char *field = cells[i].field;
    if (c->count == 0 && instances > 0) /* cleared; the row says something else */
      continue;
    line_text(l, first ? "" : " ");
    first = false;
    if (strcmp(field, "format") == 0 && brief_image_format(l, c))
      continue;
    bool bare = strcmp(field, "text") == 0 || strcmp(field, "scalars") == 0 || strcmp(field, "state") == 0 ||
                strcmp(field, "media_type") == 0 || values_is_blob(c->schema);
    if (!bare || c->count == 0) {
      line_style(l, "2");
      line_printable(l, field, strlen(field));
      line_text(l, "=");
      line_style(l, NULL);
    }
    const char *text;
    size_t size;
    if (strcmp(field, "media_type") == 0 && first_text(c, &text, &size))
      line_printable(l, text, size);
    else
      brief_cell(l, c);
  }
}

void brief_components(line *l, const rk_row *row)
{
  enum { MOST = 64 }; /* cells of one archetype; further ones begin a group of their own */
  for (size_t i = 0; i < row->component_count && !l->full;) {
    const rk_component_cell *c = &row->components[i];
    const char *colon = strrchr(c->component, ':');
    if (i > 0)
      line_text(l, "  ");
    if (colon == NULL || colon == c->component) {
      line_style(l, "2");
      line_printable(l, c->component, strlen(c->component));
      line_text(l, "=");
      line_style(l, NULL);
      brief_cell(l, c);
      i++;
      continue;
    }
    size_t name_size = (size_t)(colon - c->component), count = 0;
    cell cells[MOST];
    while (i < row->component_count && count < MOST &&
           strncmp(row->components[i].component, c->component, name_size + 1) == 0) {
      cells[count++] = (cell){&row->components[i], row->components[i].component + name_size + 1};
      i++;
    }
    brief_archetype(l, c->component, name_size, cells, count);
  }
}
