/* Values of archetypes that are not plain arrays, converted to Arrow. */
#include "writer/archetype_forms.h"

#include <string.h>

#include "format/bytes.h"

/* An array with room for its buffers' pointers. */
typedef struct node {
  struct ArrowArray array;
  const void *buffers[3];
} node;

static void *take(rk_form_room *room, size_t count, size_t size)
{
  if (size != 0 && count > sizeof room->bytes / size) {
    return rk_arena_array(&room->arena, count, size);
  }
  const size_t bytes = (count * size + 15) & ~(size_t)15;
  if (bytes > sizeof room->bytes - room->used) {
    return rk_arena_alloc(&room->arena, bytes);
  }
  void *memory = room->bytes + room->used;
  room->used += bytes;
  return memset(memory, 0, bytes);
}

static RK_FAR struct ArrowArray *set(node *to, size_t length, int64_t buffer_count, const void *second,
                                     const void *third)
{
  *to = (node){.array = {.length = (int64_t)length, .n_buffers = buffer_count}, .buffers = {NULL, second, third}};
  to->array.buffers = to->buffers;
  return &to->array;
}

static struct ArrowArray *set_values(node *to, size_t length, const void *values)
{
  return set(to, length, 2, values, NULL);
}

static struct ArrowArray *set_text(node *to, size_t length, const int32_t *offsets, const char *bytes)
{
  return set(to, length, 3, offsets, bytes);
}

static struct ArrowArray *set_children(struct ArrowArray *to, struct ArrowArray **children, int64_t count)
{
  to->children = children;
  to->n_children = count;
  return to;
}

static RK_FAR struct ArrowArray *set_struct(node *to, size_t length, struct ArrowArray **children, int64_t count)
{
  return set_children(set(to, length, 1, NULL, NULL), children, count);
}

static struct ArrowArray *set_list(node *to, size_t length, const int32_t *offsets, struct ArrowArray **child)
{
  return set_children(set(to, length, 2, offsets, NULL), child, 1);
}

static void set_validity(node *of, const uint8_t *bits, int64_t null_count)
{
  of->buffers[0] = null_count != 0 ? bits : NULL;
  of->array.null_count = null_count;
}

static rk_draft_problem axis_angles(rk_form_room *room, const rk_axis_angle *values, size_t count,
                                    const struct ArrowArray **array)
{
  struct form {
    node whole, axes, axis_values, angles;
    struct ArrowArray *fields[2], *axis_items[1];
  } *form = take(room, 1, sizeof *form);
  rk_vec3 *axes = take(room, count, sizeof *axes);
  float *angles = take(room, count, sizeof *angles);
  if (form == NULL || axes == NULL || angles == NULL) {
    return RK_DRAFT_MEMORY;
  }
  for (size_t i = 0; i < count; i++) {
    axes[i] = values[i].axis;
    angles[i] = values[i].angle;
  }
  form->axis_items[0] = set_values(&form->axis_values, 3 * count, axes);
  form->fields[0] = set_children(set(&form->axes, count, 1, NULL, NULL), form->axis_items, 1);
  form->fields[1] = set_values(&form->angles, count, angles);
  *array = set_struct(&form->whole, count, form->fields, 2);
  return RK_DRAFT_SOUND;
}

/* Texts being laid end to end. */
typedef struct text_column {
  int32_t *offsets; /* [count + 1] */
  char *bytes;
  size_t count;
} text_column;

static RK_FAR void put_text(text_column *column, const char *text)
{
  const size_t at = (size_t)column->offsets[column->count];
  const size_t size = text != NULL ? strlen(text) : 0;
  if (size != 0) {
    memcpy(column->bytes + at, text, size);
  }
  column->offsets[++column->count] = (int32_t)(at + size);
}

/* Room for `count` texts of `size` bytes in all. */
static RK_FAR rk_draft_problem open_texts(rk_form_room *room, text_column *column, size_t count, size_t size)
{
  if (size > INT32_MAX) {
    return RK_DRAFT_LARGE;
  }
  *column = (text_column){.offsets = take(room, count + 1, sizeof(int32_t)), .bytes = take(room, size, 1)};
  if (column->offsets == NULL || column->bytes == NULL) {
    return RK_DRAFT_MEMORY;
  }
  return RK_DRAFT_SOUND;
}

static rk_draft_problem graph_edges(rk_form_room *room, const rk_graph_edge *edges, size_t count,
                                    const struct ArrowArray **array)
{
  size_t first_size = 0, second_size = 0;
  for (size_t i = 0; i < count; i++) {
    if (edges[i].first == NULL || edges[i].second == NULL) {
      return RK_DRAFT_NULL_ITEM;
    }
    first_size += strlen(edges[i].first);
    second_size += strlen(edges[i].second);
  }
  struct form {
    node whole, first, second;
    struct ArrowArray *fields[2];
  } *form = take(room, 1, sizeof *form);
  text_column first, second;
  if (form == NULL) {
    return RK_DRAFT_MEMORY;
  }
  rk_draft_problem problem = open_texts(room, &first, count, first_size);
  if (problem == RK_DRAFT_SOUND) {
    problem = open_texts(room, &second, count, second_size);
  }
  if (problem != RK_DRAFT_SOUND) {
    return problem;
  }
  for (size_t i = 0; i < count; i++) {
    put_text(&first, edges[i].first);
    put_text(&second, edges[i].second);
  }
  form->fields[0] = set_text(&form->first, count, first.offsets, first.bytes);
  form->fields[1] = set_text(&form->second, count, second.offsets, second.bytes);
  *array = set_struct(&form->whole, count, form->fields, 2);
  return RK_DRAFT_SOUND;
}

static rk_draft_problem image_format(rk_form_room *room, const rk_image_format *format, const struct ArrowArray **array)
{
  if (format->width == 0 && format->height == 0) {
    return RK_DRAFT_ABSENT;
  }
  static const uint8_t null_bits[1] = {0};
  struct form {
    node whole, numbers[5];
    struct ArrowArray *fields[5];
    rk_image_format copy;
  } *form = take(room, 1, sizeof *form);
  if (form == NULL) {
    return RK_DRAFT_MEMORY;
  }
  form->copy = *format;
  const void *numbers[5] = {&form->copy.width, &form->copy.height, &form->copy.pixel_format, &form->copy.color_model,
                            &form->copy.channel_datatype};
  for (size_t i = 0; i < 5; i++) {
    form->fields[i] = set_values(&form->numbers[i], 1, numbers[i]);
    if (i >= 2) {
      set_validity(&form->numbers[i], null_bits, *(const uint8_t *)numbers[i] == 0);
    }
  }
  *array = set_struct(&form->whole, 1, form->fields, 5);
  return RK_DRAFT_SOUND;
}

enum { TENSOR_TYPES = 12 }; /* children of the union; the first is null */

static rk_draft_problem tensor_data(rk_form_room *room, const rk_tensor_data *tensor, const struct ArrowArray **array)
{
  if (tensor->datatype < 1 || tensor->datatype >= TENSOR_TYPES) {
    return RK_DRAFT_DATATYPE;
  }
  if (tensor->shape == NULL && tensor->rank != 0) {
    return RK_DRAFT_NULL;
  }
  uint64_t element_count = 1;
  for (size_t i = 0; i < tensor->rank; i++) {
    if (__builtin_mul_overflow(element_count, tensor->shape[i], &element_count)) {
      element_count = UINT64_MAX;
      break;
    }
  }
  if (element_count > INT32_MAX || tensor->rank > INT32_MAX) {
    return RK_DRAFT_LARGE;
  }
  if (tensor->data == NULL && element_count != 0) {
    return RK_DRAFT_NULL;
  }
  size_t names_size = 0;
  const size_t names_count = tensor->names != NULL ? tensor->rank : 0;
  for (size_t i = 0; i < names_count; i++) {
    if (tensor->names[i] == NULL) {
      return RK_DRAFT_NULL_ITEM;
    }
    names_size += strlen(tensor->names[i]);
  }

  static const int32_t no_offsets[1] = {0};
  static const uint8_t null_bits[1] = {0};
  struct form {
    node whole, shape, shape_items, names, names_items, buffer, null, lists[TENSOR_TYPES], items[TENSOR_TYPES];
    struct ArrowArray *fields[3], *shape_child[1], *names_child[1], *union_children[TENSOR_TYPES];
    struct ArrowArray *list_children[TENSOR_TYPES][1];
    int32_t shape_offsets[2], names_offsets[2], data_offsets[2], union_offset;
    int8_t type;
  } *form = take(room, 1, sizeof *form);
  text_column names;
  if (form == NULL) {
    return RK_DRAFT_MEMORY;
  }
  const rk_draft_problem problem = open_texts(room, &names, names_count, names_size);
  if (problem != RK_DRAFT_SOUND) {
    return problem;
  }
  for (size_t i = 0; i < names_count; i++) {
    put_text(&names, tensor->names[i]);
  }
  form->shape_offsets[1] = (int32_t)tensor->rank;
  form->shape_child[0] = set_values(&form->shape_items, tensor->rank, tensor->shape);
  form->fields[0] = set_list(&form->shape, 1, form->shape_offsets, form->shape_child);

  form->names_offsets[1] = (int32_t)names_count;
  form->names_child[0] = set_text(&form->names_items, names_count, names.offsets, names.bytes);
  form->fields[1] = set_list(&form->names, 1, form->names_offsets, form->names_child);
  set_validity(&form->names, null_bits, tensor->names == NULL);

  form->data_offsets[1] = (int32_t)element_count;
  form->union_children[0] = set(&form->null, 0, 0, NULL, NULL);
  for (size_t i = 1; i < TENSOR_TYPES; i++) {
    const bool used = i == tensor->datatype;
    form->list_children[i][0] =
        set_values(&form->items[i], used ? (size_t)element_count : 0, used ? tensor->data : NULL);
    form->union_children[i] =
        set_list(&form->lists[i], used, used ? form->data_offsets : no_offsets, form->list_children[i]);
  }
  form->type = (int8_t)tensor->datatype;
  form->fields[2] =
      set_children(set(&form->buffer, 1, 2, &form->union_offset, NULL), form->union_children, TENSOR_TYPES);
  form->buffer.buffers[0] = &form->type;
  *array = set_struct(&form->whole, 1, form->fields, 3);
  return RK_DRAFT_SOUND;
}

/* AnnotationInfo structs being filled: id, label, color, the last two nullable. */
typedef struct info_column {
  node whole, ids, labels, colors;
  struct ArrowArray *fields[3];
  uint16_t *id;
  uint32_t *color;
  uint8_t *label_bits, *color_bits;
  int64_t label_nulls, color_nulls;
  text_column texts;
  size_t count;
} info_column;

static rk_draft_problem open_infos(rk_form_room *room, info_column *column, size_t count, size_t text_size)
{
  *column = (info_column){.id = take(room, count, sizeof(uint16_t)),
                          .color = take(room, count, sizeof(uint32_t)),
                          .label_bits = take(room, count / 8 + 1, 1),
                          .color_bits = take(room, count / 8 + 1, 1)};
  if (column->id == NULL || column->color == NULL || column->label_bits == NULL || column->color_bits == NULL) {
    return RK_DRAFT_MEMORY;
  }
  return open_texts(room, &column->texts, count, text_size);
}

static void put_info(info_column *column, const rk_annotation_info *info)
{
  const size_t i = column->count++;
  const uint8_t bit = (uint8_t)(1U << (i % 8));
  column->id[i] = info->id;
  put_text(&column->texts, info->label);
  if (info->label != NULL) {
    column->label_bits[i / 8] |= bit;
  } else {
    column->label_nulls++;
  }
  if (info->color != NULL) {
    column->color[i] = *info->color;
    column->color_bits[i / 8] |= bit;
  } else {
    column->color_nulls++;
  }
}

static struct ArrowArray *close_infos(info_column *column)
{
  column->fields[0] = set_values(&column->ids, column->count, column->id);
  column->fields[1] = set_text(&column->labels, column->count, column->texts.offsets, column->texts.bytes);
  column->fields[2] = set_values(&column->colors, column->count, column->color);
  set_validity(&column->labels, column->label_bits, column->label_nulls);
  set_validity(&column->colors, column->color_bits, column->color_nulls);
  return set_struct(&column->whole, column->count, column->fields, 3);
}

static rk_draft_problem class_descriptions(rk_form_room *room, const rk_class_description *classes, size_t count,
                                           const struct ArrowArray **array)
{
  size_t keypoint_count = 0, pair_count = 0, text_size = 0, keypoint_text_size = 0;
  for (size_t i = 0; i < count; i++) {
    const rk_class_description *class = &classes[i];
    if ((class->keypoint_annotations == NULL && class->keypoint_annotations_count != 0) ||
        (class->keypoint_connections == NULL && class->keypoint_connections_count != 0)) {
      return RK_DRAFT_NULL_ITEM;
    }
    keypoint_count += class->keypoint_annotations_count;
    pair_count += class->keypoint_connections_count;
    text_size += class->info.label != NULL ? strlen(class->info.label) : 0;
    for (size_t j = 0; j < class->keypoint_annotations_count; j++) {
      const char *label = class->keypoint_annotations[j].label;
      keypoint_text_size += label != NULL ? strlen(label) : 0;
    }
  }
  if (count > INT32_MAX || keypoint_count > INT32_MAX || pair_count > INT32_MAX) {
    return RK_DRAFT_LARGE;
  }

  struct form {
    node list, pairs, ids, descriptions, keypoints, connections, pair_structs, firsts, seconds;
    struct ArrowArray *list_child[1], *pair_fields[2], *description_fields[3], *keypoint_child[1];
    struct ArrowArray *connection_child[1], *connection_fields[2];
    info_column infos, keypoint_infos;
    int32_t list_offsets[2];
  } *form = take(room, 1, sizeof *form);
  int32_t *keypoint_offsets = take(room, count + 1, sizeof *keypoint_offsets);
  int32_t *pair_offsets = take(room, count + 1, sizeof *pair_offsets);
  uint16_t *firsts = take(room, pair_count, sizeof *firsts), *seconds = take(room, pair_count, sizeof *seconds);
  if (form == NULL || keypoint_offsets == NULL || pair_offsets == NULL || firsts == NULL || seconds == NULL) {
    return RK_DRAFT_MEMORY;
  }
  rk_draft_problem problem = open_infos(room, &form->infos, count, text_size);
  if (problem == RK_DRAFT_SOUND) {
    problem = open_infos(room, &form->keypoint_infos, keypoint_count, keypoint_text_size);
  }
  if (problem != RK_DRAFT_SOUND) {
    return problem;
  }
  size_t pair = 0;
  for (size_t i = 0; i < count; i++) {
    const rk_class_description *class = &classes[i];
    put_info(&form->infos, &class->info);
    for (size_t j = 0; j < class->keypoint_annotations_count; j++) {
      put_info(&form->keypoint_infos, &class->keypoint_annotations[j]);
    }
    for (size_t j = 0; j < class->keypoint_connections_count; j++, pair++) {
      firsts[pair] = class->keypoint_connections[j].keypoint0;
      seconds[pair] = class->keypoint_connections[j].keypoint1;
    }
    keypoint_offsets[i + 1] = (int32_t)form->keypoint_infos.count;
    pair_offsets[i + 1] = (int32_t)pair;
  }

  form->connection_fields[0] = set_values(&form->firsts, pair_count, firsts);
  form->connection_fields[1] = set_values(&form->seconds, pair_count, seconds);
  form->connection_child[0] = set_struct(&form->pair_structs, pair_count, form->connection_fields, 2);
  form->keypoint_child[0] = close_infos(&form->keypoint_infos);
  form->description_fields[0] = close_infos(&form->infos);
  form->description_fields[1] = set_list(&form->keypoints, count, keypoint_offsets, form->keypoint_child);
  form->description_fields[2] = set_list(&form->connections, count, pair_offsets, form->connection_child);
  form->pair_fields[0] = set_values(&form->ids, count, form->infos.id);
  form->pair_fields[1] = set_struct(&form->descriptions, count, form->description_fields, 3);
  form->list_child[0] = set_struct(&form->pairs, count, form->pair_fields, 2);
  form->list_offsets[1] = (int32_t)count;
  *array = set_list(&form->list, 1, form->list_offsets, form->list_child);
  return RK_DRAFT_SOUND;
}

rk_draft_problem rk_form_convert(rk_form_room *room, rk_member kind, const void *values, size_t count,
                                 const struct ArrowArray **array)
{
  switch (kind) {
  case RK_MEMBER_AXIS_ANGLES:
    return axis_angles(room, values, count, array);
  case RK_MEMBER_EDGES:
    return graph_edges(room, values, count, array);
  case RK_MEMBER_TENSOR:
    return tensor_data(room, values, array);
  case RK_MEMBER_CLASSES:
    return class_descriptions(room, values, count, array);
  default:
    return image_format(room, values, array);
  }
}
