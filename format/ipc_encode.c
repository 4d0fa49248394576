/* Arrow IPC streams: encoding a schema and one record batch straight into the output buffer. */
#include "format/flatbuffer.h"
#include "format/ipc.h"
#include "format/ipc_message.h"
#include "format/layout.h"

/* ---- Schema ---- */

static const uint8_t type_ids[] = {
    [RK_TYPE_NULL] = RK_FB_NULL,
    [RK_TYPE_BOOL] = RK_FB_BOOL,
    [RK_TYPE_INT8] = RK_FB_INT,
    [RK_TYPE_INT16] = RK_FB_INT,
    [RK_TYPE_INT32] = RK_FB_INT,
    [RK_TYPE_INT64] = RK_FB_INT,
    [RK_TYPE_UINT8] = RK_FB_INT,
    [RK_TYPE_UINT16] = RK_FB_INT,
    [RK_TYPE_UINT32] = RK_FB_INT,
    [RK_TYPE_UINT64] = RK_FB_INT,
    [RK_TYPE_FLOAT16] = RK_FB_FLOAT,
    [RK_TYPE_FLOAT32] = RK_FB_FLOAT,
    [RK_TYPE_FLOAT64] = RK_FB_FLOAT,
    [RK_TYPE_TIMESTAMP] = RK_FB_TIMESTAMP,
    [RK_TYPE_DURATION] = RK_FB_DURATION,
    [RK_TYPE_DATE32] = RK_FB_DATE,
    [RK_TYPE_DATE64] = RK_FB_DATE,
    [RK_TYPE_TIME32] = RK_FB_TIME,
    [RK_TYPE_TIME64] = RK_FB_TIME,
    [RK_TYPE_DECIMAL128] = RK_FB_DECIMAL,
    [RK_TYPE_DECIMAL256] = RK_FB_DECIMAL,
    [RK_TYPE_FIXED_SIZE_BINARY] = RK_FB_FIXED_SIZE_BINARY,
    [RK_TYPE_UTF8] = RK_FB_UTF8,
    [RK_TYPE_BINARY] = RK_FB_BINARY,
    [RK_TYPE_LARGE_UTF8] = RK_FB_LARGE_UTF8,
    [RK_TYPE_LARGE_BINARY] = RK_FB_LARGE_BINARY,
    [RK_TYPE_LIST] = RK_FB_LIST,
    [RK_TYPE_LARGE_LIST] = RK_FB_LARGE_LIST,
    [RK_TYPE_FIXED_SIZE_LIST] = RK_FB_FIXED_SIZE_LIST,
    [RK_TYPE_STRUCT] = RK_FB_STRUCT,
    [RK_TYPE_MAP] = RK_FB_MAP,
    [RK_TYPE_SPARSE_UNION] = RK_FB_UNION,
    [RK_TYPE_DENSE_UNION] = RK_FB_UNION,
};
#define TYPE_COUNT (sizeof type_ids / sizeof *type_ids)

/* What the fields of the tables say. */
enum { LINK, WIDTH, IS_SIGNED, FLOAT_SIZE, UNIT, DATE_UNIT, PRECISION, SCALE, SIZE, IS_DENSE, KEYS_SORTED };

static const struct {
  uint8_t size, value, otherwise;
} type_slots[][3] = {
    [RK_FB_INT] = {{4, WIDTH, 0}, {1, IS_SIGNED, 0}},
    [RK_FB_FLOAT] = {{2, FLOAT_SIZE, 0}},
    [RK_FB_DECIMAL] = {{4, PRECISION, 0}, {4, SCALE, 0}, {4, WIDTH, 128}},
    [RK_FB_DATE] = {{2, DATE_UNIT, 1}},
    [RK_FB_TIME] = {{2, UNIT, 1}, {4, WIDTH, 32}},
    [RK_FB_TIMESTAMP] = {{2, UNIT, 0}, {4, LINK, 0}},
    [RK_FB_DURATION] = {{2, UNIT, 1}},
    [RK_FB_UNION] = {{2, IS_DENSE, 0}, {4, LINK, 0}},
    [RK_FB_FIXED_SIZE_BINARY] = {{4, SIZE, 0}},
    [RK_FB_FIXED_SIZE_LIST] = {{4, SIZE, 0}},
    [RK_FB_MAP] = {{1, KEYS_SORTED, 0}},
    [RK_FB_LARGE_LIST] = {{0}},
};

rk_ipc_type rk_ipc_type_of(const rk_field *field)
{
  const int32_t values[] = {
      [WIDTH] = (int32_t)rk_type_bits(field->type, 0),
      [IS_SIGNED] = field->type <= RK_TYPE_INT64,
      [FLOAT_SIZE] = (int32_t)field->type - RK_TYPE_FLOAT16,
      [UNIT] = (int32_t)field->unit,
      [DATE_UNIT] = field->type == RK_TYPE_DATE64,
      [PRECISION] = field->precision,
      [SCALE] = field->scale,
      [SIZE] = field->size,
      [IS_DENSE] = field->type == RK_TYPE_DENSE_UNION,
      [KEYS_SORTED] = field->keys_sorted,
  };
  rk_ipc_type type = {.id = type_ids[field->type]};
  for (size_t i = 0; i < 3 && type_slots[type.id][i].size != 0; i++, type.slot_count++) {
    type.slots[i].size = type_slots[type.id][i].size;
    type.slots[i].value = values[type_slots[type.id][i].value];
    type.slots[i].otherwise = type_slots[type.id][i].otherwise;
  }
  return type;
}

rk_type_id rk_ipc_type_find(unsigned id)
{
  size_t type = 0;
  while (type < TYPE_COUNT && type_ids[type] != id) {
    type++;
  }
  return type < TYPE_COUNT ? (rk_type_id)type : RK_TYPE_NULL;
}

static void link_metadata(rk_fb_builder *fb, size_t at, const rk_field *field)
{
  const size_t vector = rk_fb_vector(fb, field->metadata_count, 4, 4);
  rk_fb_link(fb, at, vector);
  for (size_t i = 0; i < field->metadata_count; i++) {
    const rk_metadata *m = field->metadata + i;
    rk_fb_slot slots[2] = {{.size = 4}, {.size = 4}};
    const size_t table = rk_fb_table(fb, slots, 2);
    rk_fb_link(fb, vector + 4 + 4 * i, table);
    rk_fb_link(fb, slots[0].at, rk_fb_string(fb, m->key, m->key_size));
    rk_fb_link(fb, slots[1].at, rk_fb_string(fb, m->value, m->value_size));
  }
}

static void link_fields(rk_fb_builder *fb, size_t at, const rk_field *parent);

static size_t field_table(rk_fb_builder *fb, const rk_field *field)
{
  const rk_ipc_type type = rk_ipc_type_of(field);
  rk_fb_slot type_fields[3] = {{0}};
  for (size_t i = 0; i < type.slot_count; i++) {
    type_fields[i] = (rk_fb_slot){.size = type.slots[i].size, .value = (uint32_t)type.slots[i].value};
  }
  if (type.id == RK_FB_TIMESTAMP && field->timezone == NULL) {
    type_fields[1].size = 0;
  }
  rk_fb_slot slots[RK_FIELD_SLOTS] = {
      [RK_FIELD_NAME] = {.size = 4},
      [RK_FIELD_NULLABLE] = {.size = 1, .value = field->nullable},
      [RK_FIELD_TYPE_TYPE] = {.size = 1, .value = type.id},
      [RK_FIELD_TYPE] = {.size = 4},
      [RK_FIELD_CHILDREN] = {.size = 4},
      [RK_FIELD_METADATA] = {.size = field->metadata_count == 0 ? 0 : 4},
  };
  const size_t table = rk_fb_table(fb, slots, RK_FIELD_SLOTS);
  rk_fb_link(fb, slots[RK_FIELD_NAME].at, rk_fb_string(fb, field->name, strlen(field->name)));
  rk_fb_link(fb, slots[RK_FIELD_TYPE].at, rk_fb_table(fb, type_fields, type.slot_count));
  if (type.id == RK_FB_TIMESTAMP && field->timezone != NULL) {
    rk_fb_link(fb, type_fields[1].at, rk_fb_string(fb, field->timezone, strlen(field->timezone)));
  } else if (type.id == RK_FB_UNION) {
    const size_t ids = rk_fb_vector(fb, field->child_count, 4, 4);
    rk_fb_link(fb, type_fields[1].at, ids);
    for (size_t i = 0; i < field->child_count; i++) {
      rk_fb_patch(fb, ids + 4 + 4 * i, (uint64_t)field->type_ids[i], 4);
    }
  }
  link_fields(fb, slots[RK_FIELD_CHILDREN].at, field);
  if (field->metadata_count != 0) {
    link_metadata(fb, slots[RK_FIELD_METADATA].at, field);
  }
  return table;
}

static void link_fields(rk_fb_builder *fb, size_t at, const rk_field *parent)
{
  const size_t vector = rk_fb_vector(fb, parent->child_count, 4, 4);
  rk_fb_link(fb, at, vector);
  for (size_t i = 0; i < parent->child_count; i++) {
    rk_fb_link(fb, vector + 4 + 4 * i, field_table(fb, parent->children + i));
  }
}

/* ---- Messages ---- */

typedef struct message {
  rk_fb_builder fb;
  size_t start;     /* of the message, at its continuation marker */
  size_t header;    /* reference to the header table */
  size_t body_size; /* where the body's size is patched in */
} message;

enum { MESSAGE_PREFIX = 8 }; /* marker and size */

static message start_message(rk_buffer *out, uint8_t header_type)
{
  message m = {.start = out->size};
  const uint32_t marker = RK_IPC_CONTINUATION;
  rk_buffer_append(out, &marker, 4);
  rk_buffer_append_zero(out, 4);
  m.fb = rk_fb_start(out);
  rk_fb_slot slots[RK_MESSAGE_SLOTS] = {
      [RK_MESSAGE_VERSION] = {.size = 2, .value = RK_IPC_V5},
      [RK_MESSAGE_HEADER_TYPE] = {.size = 1, .value = header_type},
      [RK_MESSAGE_HEADER] = {.size = 4},
      [RK_MESSAGE_BODY_SIZE] = {.size = 8},
  };
  rk_fb_link(&m.fb, m.fb.base, rk_fb_table(&m.fb, slots, RK_MESSAGE_SLOTS));
  m.header = slots[RK_MESSAGE_HEADER].at;
  m.body_size = slots[RK_MESSAGE_BODY_SIZE].at;
  return m;
}

static RK_FAR void align_stream(rk_buffer *out, size_t stream)
{
  rk_buffer_append_zero(out, rk_align_up(out->size - stream, RK_IPC_ALIGNMENT) - (out->size - stream));
}

/* Pads the metadata, so that the body begins aligned, and writes its size. */
static void finish_metadata(message *m, size_t stream)
{
  align_stream(m->fb.out, stream);
  rk_fb_patch(&m->fb, m->start + 4, m->fb.out->size - m->start - 8, 4);
}

/* Appends the schema message up to the schema's metadata; returns where the reference to that lies. */
static size_t append_head(rk_buffer *out, const rk_field *schema)
{
  message m = start_message(out, RK_HEADER_SCHEMA);
  rk_fb_slot slots[RK_SCHEMA_SLOTS] = {
      [RK_SCHEMA_FIELDS] = {.size = 4},
      [RK_SCHEMA_METADATA] = {.size = schema->metadata_count == 0 ? 0 : 4},
  };
  rk_fb_link(&m.fb, m.header, rk_fb_table(&m.fb, slots, RK_SCHEMA_SLOTS));
  link_fields(&m.fb, slots[RK_SCHEMA_FIELDS].at, schema);
  return slots[RK_SCHEMA_METADATA].at;
}

static void append_schema(rk_buffer *out, const rk_field *schema, rk_ipc_head *head)
{
  message m = {.fb = {.out = out, .base = out->size + MESSAGE_PREFIX}, .start = out->size};
  size_t metadata;
  if (head != NULL && head->bytes.size > 0) {
    metadata = m.start + head->metadata;
    rk_buffer_append(out, head->bytes.data, head->bytes.size);
  } else {
    metadata = append_head(out, schema);
    if (head != NULL && !out->failed) {
      head->metadata = metadata - m.start;
      rk_buffer_append(&head->bytes, out->data + m.start, out->size - m.start);
    }
  }
  if (schema->metadata_count != 0) {
    link_metadata(&m.fb, metadata, schema);
  }
  finish_metadata(&m, m.start);
}

/* Nothing of the stream stays where it failed. */
static rk_status end_stream(rk_buffer *out, size_t stream, rk_status status)
{
  const uint32_t end[2] = {RK_IPC_CONTINUATION, 0};
  rk_buffer_append(out, end, sizeof end);
  status = out->failed ? RK_ERR_NO_MEMORY : status;
  out->size = status == RK_OK ? out->size : stream;
  return status;
}

/* ---- Record batch ---- */

typedef struct encoder {
  rk_buffer *out;
  size_t body;         /* where the body begins */
  size_t node, buffer; /* where the next FieldNode and Buffer are written */
  bool without_items;  /* of the column that is being added */
} encoder;

static RK_FAR void add_sizes(const rk_field *field, size_t *nodes, size_t *buffers)
{
  *nodes += RK_IPC_NODE_SIZE;
  *buffers += RK_IPC_BUFFER_SIZE * (size_t)rk_type_buffer_count(field->type);
  for (size_t i = 0; i < field->child_count; i++) {
    add_sizes(field->children + i, nodes, buffers);
  }
}

static RK_FAR void add_node(encoder *e, int64_t length, int64_t null_count)
{
  if (!e->out->failed) {
    rk_store_i64(e->out->data + e->node, length);
    rk_store_i64(e->out->data + e->node + 8, null_count);
    e->node += RK_IPC_NODE_SIZE;
  }
}

/* Describes what was appended since `start` as the next buffer and pads the body. */
static RK_FAR void add_buffer(encoder *e, size_t start)
{
  const size_t size = e->out->size - start;
  align_stream(e->out, e->body);
  if (!e->out->failed) {
    rk_store_u64(e->out->data + e->buffer, start - e->body);
    rk_store_u64(e->out->data + e->buffer + 8, size);
    e->buffer += RK_IPC_BUFFER_SIZE;
  }
}

static void add_bits(encoder *e, const uint8_t *bits, int64_t at, int64_t count)
{
  const size_t start = e->out->size;
  rk_buffer_append_zero(e->out, rk_bits_size(count));
  if (!e->out->failed) {
    rk_bits_copy(e->out->data + start, 0, bits, at, count);
  }
  add_buffer(e, start);
}

static RK_FAR void add_bytes(encoder *e, const void *bytes, size_t size)
{
  const size_t start = e->out->size;
  rk_buffer_append(e->out, bytes, size);
  add_buffer(e, start);
}

/* Offsets of elements [at, at + count) counted from the first; *first, *last: the range of items they cover. */
static rk_status add_offsets(encoder *e, const uint8_t *offsets, bool wide, int64_t at, int64_t count, int64_t *first,
                             int64_t *last)
{
  const size_t width = wide ? 8 : 4, start = e->out->size;
  *first = *last = 0;
  if (count == 0) { /* the array may come without an offsets buffer */
    rk_buffer_append_zero(e->out, width);
    add_buffer(e, start);
    return RK_OK;
  }
  *first = rk_offset_at(offsets, at, wide);
  *last = rk_offset_at(offsets, at + count, wide);
  if (*first < 0 || *last < *first) {
    return RK_ERR_MISUSE;
  }
  uint8_t *to = rk_buffer_extend(e->out, ((size_t)count + 1) * width);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  rk_offsets_rebase(to, offsets + (size_t)at * width, count + 1, wide, -*first);
  add_buffer(e, start);
  return RK_OK;
}

static rk_status add_array(encoder *e, const rk_field *field, const struct ArrowArray *array, int64_t start,
                           int64_t count);

/* The slice's offsets may start anywhere in each child: children are cut to what is used, offsets count from there. */
static rk_status add_dense(encoder *e, const rk_field *field, const struct ArrowArray *array, int64_t at, int64_t count)
{
  int64_t low[128], high[128];
  int8_t child_of[128];
  memset(child_of, -1, sizeof child_of);
  for (size_t c = 0; c < field->child_count; c++) {
    child_of[field->type_ids[c]] = (int8_t)c;
    low[c] = INT64_MAX;
    high[c] = 0;
  }
  const int8_t *ids = count == 0 ? NULL : (const int8_t *)array->buffers[0] + at;
  const uint8_t *offsets = count == 0 ? NULL : (const uint8_t *)array->buffers[1] + 4 * at;
  for (int64_t i = 0; i < count; i++) {
    const int c = ids[i] < 0 ? -1 : child_of[ids[i]];
    const int64_t offset = rk_load_i32(offsets + 4 * i);
    if (c < 0 || offset < 0) {
      return RK_ERR_MISUSE;
    }
    low[c] = offset < low[c] ? offset : low[c];
    high[c] = offset >= high[c] ? offset + 1 : high[c];
  }
  add_bytes(e, ids, (size_t)count);
  const size_t begin = e->out->size;
  uint8_t *to = rk_buffer_extend(e->out, (size_t)count * 4);
  if (to == NULL) {
    return RK_ERR_NO_MEMORY;
  }
  for (int64_t i = 0; i < count; i++) {
    rk_store_i32(to + 4 * i, (int32_t)(rk_load_i32(offsets + 4 * i) - low[child_of[ids[i]]]));
  }
  add_buffer(e, begin);
  for (size_t c = 0; c < field->child_count; c++) {
    const int64_t first = high[c] == 0 ? 0 : low[c];
    const rk_status status = add_array(e, field->children + c, array->children[c], first, high[c] - first);
    if (status != RK_OK) {
      return status;
    }
  }
  return RK_OK;
}

/* Elements [start, start + count) of the array. */
static rk_status add_array(encoder *e, const rk_field *field, const struct ArrowArray *array, int64_t start,
                           int64_t count)
{
  if (field->dictionary != NULL || start < 0 || count < 0 || start > array->length - count ||
      array->n_children != (int64_t)field->child_count) {
    return RK_ERR_MISUSE;
  }
  const int64_t at = array->offset + start;
  if (field->type == RK_TYPE_NULL) {
    add_node(e, count, count);
    return RK_OK;
  }
  if (!rk_type_is_union(field->type)) {
    const uint8_t *validity = rk_array_validity(array, field->type);
    const int64_t nulls = validity == NULL ? 0 : count - rk_bits_count(validity, at, count);
    add_node(e, count, nulls);
    add_bits(e, validity, at, nulls == 0 ? 0 : count);
  } else {
    add_node(e, count, 0);
  }
  const unsigned bits = rk_type_bits(field->type, field->size);
  rk_status status = RK_OK;
  int64_t first = at, items = count;
  if (bits == 1) {
    add_bits(e, count == 0 ? NULL : array->buffers[1], at, count);
  } else if (bits != 0) {
    add_bytes(e, count == 0 ? NULL : (const uint8_t *)array->buffers[1] + (size_t)at * (bits / 8),
              (size_t)count * (bits / 8));
  } else if (rk_type_is_bytes(field->type)) {
    int64_t last;
    status = add_offsets(e, array->buffers[1], rk_type_is_wide(field->type), at, count, &first, &last);
    if (status == RK_OK) {
      add_bytes(e, last == first ? NULL : (const uint8_t *)array->buffers[2] + first, (size_t)(last - first));
    }
    return status;
  } else if (rk_type_is_ranges(field->type)) {
    int64_t last;
    status = add_offsets(e, array->buffers[1], rk_type_is_wide(field->type), at, count, &first, &last);
    items = last - first;
  } else if (field->type == RK_TYPE_FIXED_SIZE_LIST) {
    if (__builtin_mul_overflow(at, (int64_t)field->size, &first) ||
        __builtin_mul_overflow(count, (int64_t)field->size, &items)) {
      status = RK_ERR_MISUSE;
    }
  } else if (field->type == RK_TYPE_DENSE_UNION) {
    return add_dense(e, field, array, at, count);
  } else if (field->type == RK_TYPE_SPARSE_UNION) {
    add_bytes(e, count == 0 ? NULL : (const uint8_t *)array->buffers[0] + at, (size_t)count);
  } else if (field->type == RK_TYPE_FIXED_SIZE_BINARY) {
    add_buffer(e, e->out->size); /* of no bytes */
  }
  for (size_t c = 0; c < field->child_count && status == RK_OK && !e->without_items; c++) {
    status = add_array(e, field->children + c, array->children[c], first, items);
  }
  return status;
}

/* A list column's items come in the second round, behind what all columns have beside them: offsets that repeat from
 * column to column then lie within reach of an LZ4 match, 64 KiB. */
static RK_FAR rk_status add_column(encoder *e, const rk_field *field, const struct ArrowArray *array, int round)
{
  size_t node = e->node, buffer = e->buffer; /* the next column's */
  add_sizes(field, &node, &buffer);
  rk_status status = RK_OK;
  const bool two_rounds = field->type == RK_TYPE_LIST && array->length > 0;
  if (round == 0) {
    e->without_items = two_rounds;
    status = add_array(e, field, array, 0, array->length);
  } else if (two_rounds) {
    const int64_t first = rk_offset_at(array->buffers[1], array->offset, false);
    const int64_t last = rk_offset_at(array->buffers[1], array->offset + array->length, false);
    e->node += RK_IPC_NODE_SIZE;
    e->buffer += (size_t)2 * RK_IPC_BUFFER_SIZE;
    status = add_array(e, field->children, array->children[0], first, last - first);
  }
  e->node = node;
  e->buffer = buffer;
  return status;
}

static rk_status append_batch(rk_buffer *out, const rk_field *schema, const struct ArrowArray *const *columns,
                              int64_t row_count, size_t stream)
{
  size_t nodes = 0, buffers = 0;
  for (size_t i = 0; i < schema->child_count; i++) {
    if (columns[i]->length != row_count) {
      return RK_ERR_MISUSE;
    }
    add_sizes(schema->children + i, &nodes, &buffers);
  }
  message m = start_message(out, RK_HEADER_BATCH);
  rk_fb_slot slots[RK_BATCH_SLOTS] = {
      [RK_BATCH_LENGTH] = {.size = 8, .value = (uint64_t)row_count},
      [RK_BATCH_NODES] = {.size = 4},
      [RK_BATCH_BUFFERS] = {.size = 4},
  };
  rk_fb_link(&m.fb, m.header, rk_fb_table(&m.fb, slots, RK_BATCH_SLOTS));
  const size_t node = rk_fb_vector(&m.fb, nodes / RK_IPC_NODE_SIZE, RK_IPC_NODE_SIZE, 8);
  rk_fb_link(&m.fb, slots[RK_BATCH_NODES].at, node);
  const size_t buffer = rk_fb_vector(&m.fb, buffers / RK_IPC_BUFFER_SIZE, RK_IPC_BUFFER_SIZE, 8);
  rk_fb_link(&m.fb, slots[RK_BATCH_BUFFERS].at, buffer);
  finish_metadata(&m, stream);
  const size_t body = out->size;
  rk_status status = RK_OK;
  for (int round = 0; round < 2; round++) {
    encoder e = {.out = out, .body = body, .node = node + 4, .buffer = buffer + 4};
    for (size_t i = 0; i < schema->child_count && status == RK_OK; i++) {
      status = add_column(&e, schema->children + i, columns[i], round);
    }
  }
  rk_fb_patch(&m.fb, m.body_size, out->size - body, 8);
  return status;
}

rk_status rk_ipc_encode(rk_buffer *out, const rk_field *schema, rk_ipc_head *head,
                        const struct ArrowArray *const *columns, int64_t row_count)
{
  const size_t stream = out->size;
  append_schema(out, schema, head);
  return end_stream(out, stream, append_batch(out, schema, columns, row_count, stream));
}

rk_status rk_ipc_encode_schema(rk_buffer *out, const rk_field *schema)
{
  const size_t stream = out->size;
  append_schema(out, schema, NULL);
  return end_stream(out, stream, RK_OK);
}
