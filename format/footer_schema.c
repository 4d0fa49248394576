/* The hash of a schema as Rerun computes it: SHA-256 over the Arrow schema message in the very bytes that arrow-rs
 * makes of it. The message is flatbuffers built back to front, tables sharing equal vtables, values in arrow-rs' order
 * (apache/arrow-rs arrow-ipc/src/convert.rs, google/flatbuffers rust/flatbuffers/src/builder.rs). */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/footer_internal.h"

#define SLOTS_MAX 7 /* Field has most */

typedef struct message {
  uint8_t *data; /* the last `used` bytes of `capacity` */
  size_t used, capacity;
  uint32_t *vtables; /* positions: bytes from the end */
  size_t vtable_count, vtable_capacity;
  size_t table_start;
  uint32_t slots[SLOTS_MAX]; /* of the table being built: position, 0 absent */
  bool failed;
} message;

static uint8_t *grow(message *m, size_t size) /* NULL after a failure, and for no bytes */
{
  if (size == 0) {
    return NULL;
  }
  if (m->failed || size > UINT32_MAX / 4 || m->used > UINT32_MAX / 4) {
    m->failed = true;
    return NULL;
  }
  if (m->capacity - m->used < size) {
    size_t capacity = m->capacity == 0 ? 4096 : m->capacity * 2;
    while (capacity - m->used < size) {
      capacity *= 2;
    }
    uint8_t *data = malloc(capacity);
    if (data == NULL) {
      m->failed = true;
      return NULL;
    }
    if (m->used > 0) {
      memcpy(data + capacity - m->used, m->data + m->capacity - m->used, m->used);
    }
    free(m->data);
    m->data = data;
    m->capacity = capacity;
  }
  m->used += size;
  uint8_t *at = m->data + m->capacity - m->used;
  memset(at, 0, size);
  return at;
}

/* Padding so that `size` more bytes end at a multiple of `alignment`. */
static void align(message *m, size_t size, size_t alignment)
{
  grow(m, (0 - (m->used + size)) & (alignment - 1));
}

static uint32_t push(message *m, const void *value, size_t size)
{
  align(m, size, size);
  uint8_t *at = grow(m, size);
  if (at != NULL) {
    memcpy(at, value, size);
  }
  return (uint32_t)m->used;
}

static uint32_t push_u32(message *m, uint32_t value)
{
  return push(m, &value, sizeof value);
}

/* A reference to what lies at `position`, relative to itself. */
static uint32_t push_reference(message *m, uint32_t position)
{
  align(m, 4, 4);
  return push_u32(m, (uint32_t)m->used + 4 - position);
}

static uint32_t push_text(message *m, const char *text, size_t size)
{
  align(m, size + 1, 4);
  grow(m, 1);
  uint8_t *at = grow(m, size);
  if (at != NULL && size > 0) {
    memcpy(at, text, size);
  }
  return push_u32(m, (uint32_t)size);
}

/* A vector of references, or of the plain numbers themselves. */
static uint32_t push_vector(message *m, const uint32_t *items, size_t count, bool references)
{
  align(m, count * 4, 4);
  for (size_t i = count; i > 0; i--) {
    if (references) {
      push_reference(m, items[i - 1]);
    } else {
      push_u32(m, items[i - 1]);
    }
  }
  return push_u32(m, (uint32_t)count);
}

static void table_begin(message *m)
{
  memset(m->slots, 0, sizeof m->slots);
  m->table_start = m->used;
}

static void slot_u8(message *m, unsigned slot, uint8_t value, uint8_t fallback)
{
  if (value != fallback) {
    m->slots[slot] = push(m, &value, sizeof value);
  }
}

static void slot_i16(message *m, unsigned slot, int16_t value, int16_t fallback)
{
  if (value != fallback) {
    m->slots[slot] = push(m, &value, sizeof value);
  }
}

static void slot_i32(message *m, unsigned slot, int32_t value, int32_t fallback)
{
  if (value != fallback) {
    m->slots[slot] = push(m, &value, sizeof value);
  }
}

static void slot_reference(message *m, unsigned slot, uint32_t position)
{
  m->slots[slot] = push_reference(m, position);
}

static uint32_t table_end(message *m)
{
  const uint32_t table = push_u32(m, 0);
  unsigned slot_count = SLOTS_MAX;
  while (slot_count > 0 && m->slots[slot_count - 1] == 0) {
    slot_count--;
  }
  uint8_t vtable[4 + 2 * SLOTS_MAX];
  const size_t size = 4 + 2 * (size_t)slot_count;
  rk_store_u16(vtable, (uint16_t)size);
  rk_store_u16(vtable + 2, (uint16_t)(table - m->table_start));
  for (size_t i = 0; i < slot_count; i++) {
    rk_store_u16(vtable + 4 + 2 * i, m->slots[i] == 0 ? 0 : (uint16_t)(table - m->slots[i]));
  }
  uint32_t position = 0;
  for (size_t i = 0; i < m->vtable_count && position == 0 && !m->failed; i++) {
    const uint8_t *known = m->data + m->capacity - m->vtables[i];
    if (rk_load_u16(known) == size && memcmp(known, vtable, size) == 0) {
      position = m->vtables[i];
    }
  }
  if (position == 0) {
    uint8_t *at = grow(m, size);
    if (at == NULL ||
        !rk_array_grow((void **)&m->vtables, &m->vtable_capacity, m->vtable_count + 1, sizeof *m->vtables)) {
      m->failed = true;
      return 0;
    }
    memcpy(at, vtable, size);
    position = (uint32_t)m->used;
    m->vtables[m->vtable_count++] = position;
  }
  if (!m->failed) {
    rk_store_u32(m->data + m->capacity - table, position - table);
  }
  return table;
}

static uint32_t empty_table(message *m)
{
  table_begin(m);
  return table_end(m);
}

static uint32_t push_field(message *m, const rk_field *field);

/* A temporary array of `count` positions; NULL counts as failure. */
static uint32_t *positions(message *m, size_t count)
{
  uint32_t *array = calloc(count == 0 ? 1 : count, sizeof *array);
  m->failed |= array == NULL;
  return array;
}

static uint32_t push_metadata(message *m, const rk_field *field)
{
  uint32_t *pairs = positions(m, field->metadata_count);
  for (size_t i = 0; i < field->metadata_count && !m->failed; i++) {
    const rk_metadata *pair = &field->metadata[i];
    const uint32_t key = push_text(m, pair->key, pair->key_size);
    const uint32_t value = push_text(m, pair->value, pair->value_size);
    table_begin(m);
    slot_reference(m, 0, key);
    slot_reference(m, 1, value);
    pairs[i] = table_end(m);
  }
  const uint32_t vector = m->failed ? 0 : push_vector(m, pairs, field->metadata_count, true);
  free(pairs);
  return vector;
}

static uint32_t push_numbers(message *m, unsigned first_slot, int32_t a, int32_t b, int32_t c, int32_t c_fallback)
{
  table_begin(m);
  slot_i32(m, first_slot, a, 0);
  slot_i32(m, first_slot + 1, b, 0);
  slot_i32(m, first_slot + 2, c, c_fallback);
  return table_end(m);
}

static uint32_t push_unit(message *m, int16_t unit, int16_t fallback)
{
  table_begin(m);
  slot_i16(m, 0, unit, fallback);
  return table_end(m);
}

static uint32_t push_int(message *m, int32_t width, bool is_signed)
{
  table_begin(m);
  slot_u8(m, 1, is_signed, 0);
  slot_i32(m, 0, width, 0);
  return table_end(m);
}

static uint32_t push_union(message *m, const rk_field *field)
{
  uint32_t *ids = positions(m, field->child_count);
  for (size_t i = 0; i < field->child_count && ids != NULL; i++) {
    ids[i] = (uint32_t)field->type_ids[i];
  }
  const uint32_t vector = ids == NULL ? 0 : push_vector(m, ids, field->child_count, false);
  free(ids);
  table_begin(m);
  slot_i16(m, 0, field->type == RK_TYPE_DENSE_UNION, 0);
  slot_reference(m, 1, vector);
  return table_end(m);
}

static uint32_t push_timestamp(message *m, const rk_field *field)
{
  const char *zone = field->timezone == NULL ? "" : field->timezone;
  const uint32_t text = push_text(m, zone, strlen(zone)); /* written even when there is none */
  table_begin(m);
  slot_i16(m, 0, (int16_t)field->unit, 0);
  if (*zone != '\0') {
    slot_reference(m, 1, text);
  }
  return table_end(m);
}

/* The type's table; *tag is its number in the union Type of Arrow's Schema.fbs. */
static uint32_t push_type(message *m, const rk_field *field, uint8_t *tag)
{
  switch (field->type) {
  case RK_TYPE_NULL:
    *tag = 1;
    return empty_table(m);
  case RK_TYPE_BOOL:
    *tag = 6;
    return empty_table(m);
  case RK_TYPE_INT8:
  case RK_TYPE_INT16:
  case RK_TYPE_INT32:
  case RK_TYPE_INT64:
    *tag = 2;
    return push_int(m, 8 << (field->type - RK_TYPE_INT8), true);
  case RK_TYPE_UINT8:
  case RK_TYPE_UINT16:
  case RK_TYPE_UINT32:
  case RK_TYPE_UINT64:
    *tag = 2;
    return push_int(m, 8 << (field->type - RK_TYPE_UINT8), false);
  case RK_TYPE_FLOAT16:
  case RK_TYPE_FLOAT32:
  case RK_TYPE_FLOAT64:
    *tag = 3;
    return push_unit(m, (int16_t)(field->type - RK_TYPE_FLOAT16), 0);
  case RK_TYPE_TIMESTAMP:
    *tag = 10;
    return push_timestamp(m, field);
  case RK_TYPE_DURATION:
    *tag = 18;
    return push_unit(m, (int16_t)field->unit, 1);
  case RK_TYPE_DATE32:
  case RK_TYPE_DATE64:
    *tag = 8;
    return push_unit(m, field->type == RK_TYPE_DATE64, 1);
  case RK_TYPE_TIME32:
  case RK_TYPE_TIME64:
    *tag = 9;
    table_begin(m);
    slot_i32(m, 1, field->type == RK_TYPE_TIME32 ? 32 : 64, 32);
    slot_i16(m, 0, (int16_t)field->unit, 1);
    return table_end(m);
  case RK_TYPE_DECIMAL128:
  case RK_TYPE_DECIMAL256:
    *tag = 7;
    return push_numbers(m, 0, field->precision, field->scale, field->type == RK_TYPE_DECIMAL128 ? 128 : 256, 128);
  case RK_TYPE_FIXED_SIZE_BINARY:
    *tag = 15;
    return push_numbers(m, 0, field->size, 0, 0, 0);
  case RK_TYPE_UTF8:
    *tag = 5;
    return empty_table(m);
  case RK_TYPE_BINARY:
    *tag = 4;
    return empty_table(m);
  case RK_TYPE_LARGE_UTF8:
    *tag = 20;
    return empty_table(m);
  case RK_TYPE_LARGE_BINARY:
    *tag = 19;
    return empty_table(m);
  case RK_TYPE_LIST:
    *tag = 12;
    return empty_table(m);
  case RK_TYPE_LARGE_LIST:
    *tag = 21;
    return empty_table(m);
  case RK_TYPE_FIXED_SIZE_LIST:
    *tag = 16;
    return push_numbers(m, 0, field->size, 0, 0, 0);
  case RK_TYPE_STRUCT:
    *tag = 13;
    return empty_table(m);
  case RK_TYPE_MAP:
    *tag = 17;
    table_begin(m);
    slot_u8(m, 0, field->keys_sorted, 0);
    return table_end(m);
  case RK_TYPE_SPARSE_UNION:
  case RK_TYPE_DENSE_UNION:
    *tag = 14;
    return push_union(m, field);
  }
  *tag = 0;
  m->failed = true;
  return 0;
}

static uint32_t push_children(message *m, const rk_field *field, uint32_t *type, uint8_t *tag)
{
  /* Numbers have their (empty) list of children before the type, everything else behind it. */
  if (field->type >= RK_TYPE_INT8 && field->type <= RK_TYPE_FLOAT64) {
    const uint32_t none = push_vector(m, NULL, 0, true);
    *type = push_type(m, field, tag);
    return none;
  }
  uint32_t *children = positions(m, field->child_count);
  for (size_t i = 0; i < field->child_count && !m->failed; i++) {
    children[i] = push_field(m, &field->children[i]);
  }
  *type = push_type(m, field, tag);
  const uint32_t vector = m->failed ? 0 : push_vector(m, children, field->child_count, true);
  free(children);
  return vector;
}

static uint32_t push_field(message *m, const rk_field *field)
{
  const uint32_t metadata = field->metadata_count == 0 ? 0 : push_metadata(m, field);
  const uint32_t name = push_text(m, field->name, strlen(field->name));
  uint32_t type = 0;
  uint8_t tag = 0;
  const uint32_t children = push_children(m, field, &type, &tag);
  if (m->failed) {
    return 0;
  }
  table_begin(m);
  slot_reference(m, 0, name);
  slot_u8(m, 2, tag, 0);
  slot_u8(m, 1, field->nullable, 0);
  slot_reference(m, 5, children);
  slot_reference(m, 3, type);
  if (metadata != 0) {
    slot_reference(m, 6, metadata);
  }
  return table_end(m);
}

rk_status rk_schema_hash(const rk_field *schema, uint8_t digest[RK_SHA256_SIZE])
{
  message m = {0};
  uint32_t *fields = positions(&m, schema->child_count);
  for (size_t i = 0; i < schema->child_count && !m.failed; i++) {
    fields[i] = push_field(&m, &schema->children[i]);
  }
  const uint32_t vector = m.failed ? 0 : push_vector(&m, fields, schema->child_count, true);
  free(fields);
  table_begin(&m);
  slot_reference(&m, 1, vector);
  const uint32_t table = table_end(&m);
  table_begin(&m);
  slot_i16(&m, 0, 4, 0); /* metadata version V5 */
  slot_u8(&m, 1, 1, 0);  /* a schema message */
  slot_reference(&m, 2, table);
  const uint32_t root = table_end(&m);
  align(&m, 4, 4);
  push_reference(&m, root);
  /* Encapsulated: continuation marker, size, message, zeros up to a multiple of 64. */
  const size_t size = rk_align_up(m.used + 8, 64);
  uint8_t *bytes = m.failed ? NULL : calloc(1, size);
  if (bytes != NULL) {
    rk_store_u32(bytes, UINT32_MAX);
    rk_store_u32(bytes + 4, (uint32_t)(size - 8));
    memcpy(bytes + 8, m.data + m.capacity - m.used, m.used);
    rk_sha256(bytes, size, digest);
  }
  const rk_status status = bytes == NULL ? RK_ERR_NO_MEMORY : RK_OK;
  free(bytes);
  free(m.vtables);
  free(m.data);
  return status;
}
