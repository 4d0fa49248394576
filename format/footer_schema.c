/* The hash of a schema as Rerun computes it: SHA-256 over the Arrow schema message in the very bytes that arrow-rs
 * makes of it. The message is flatbuffers built back to front, tables sharing equal vtables, values in arrow-rs' order
 * (apache/arrow-rs arrow-ipc/src/convert.rs, google/flatbuffers rust/flatbuffers/src/builder.rs). */
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/footer_internal.h"
#include "format/ipc_message.h"

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
static RK_FAR void align(message *m, size_t size, size_t alignment)
{
  grow(m, (0 - (m->used + size)) & (alignment - 1));
}

static RK_FAR uint32_t push(message *m, const void *value, size_t size)
{
  align(m, size, size);
  uint8_t *at = grow(m, size);
  if (at != NULL) {
    memcpy(at, value, size);
  }
  return (uint32_t)m->used;
}

static RK_FAR uint32_t push_u32(message *m, uint32_t value)
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

/* A number of `size` bytes; left out when it is what a reader takes for absent. */
static RK_FAR void slot_number(message *m, unsigned slot, size_t size, int32_t value, int32_t otherwise)
{
  if (value != otherwise) {
    m->slots[slot] = push(m, &value, size); /* little-endian: the low bytes come first */
  }
}

static RK_FAR void slot_reference(message *m, unsigned slot, uint32_t position)
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

static uint32_t push_field(message *m, const rk_field *field);

/* A temporary array of `count` positions; NULL counts as failure. */
static RK_FAR uint32_t *positions(message *m, size_t count)
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

/* What the type's table refers to: a time zone, written even when there is none, or the ids of a union. */
static uint32_t push_linked(message *m, const rk_field *field, uint8_t id)
{
  if (id == RK_FB_TIMESTAMP) {
    const char *zone = field->timezone == NULL ? "" : field->timezone;
    return push_text(m, zone, strlen(zone));
  }
  uint32_t *ids = positions(m, field->child_count);
  for (size_t i = 0; i < field->child_count && ids != NULL; i++) {
    ids[i] = (uint32_t)field->type_ids[i];
  }
  const uint32_t vector = ids == NULL ? 0 : push_vector(m, ids, field->child_count, false);
  free(ids);
  return vector;
}

/* The type's table; *id is its number in the union Type. */
static uint32_t push_type(message *m, const rk_field *field, uint8_t *id)
{
  const rk_ipc_type type = rk_ipc_type_of(field);
  *id = type.id;
  const bool links = type.id == RK_FB_TIMESTAMP || type.id == RK_FB_UNION;
  const uint32_t linked = links ? push_linked(m, field, type.id) : 0;
  table_begin(m);
  for (unsigned i = 0; i < type.slot_count; i++) {
    /* arrow-rs adds these two from the last field to the first */
    const unsigned slot = type.id == RK_FB_INT || type.id == RK_FB_TIME ? type.slot_count - 1 - i : i;
    slot_number(m, slot, type.slots[slot].size, type.slots[slot].value, type.slots[slot].otherwise);
  }
  if (type.id == RK_FB_UNION || (type.id == RK_FB_TIMESTAMP && field->timezone != NULL && *field->timezone != '\0')) {
    slot_reference(m, 1, linked);
  }
  return table_end(m);
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
  slot_number(m, 2, 1, tag, 0);
  slot_number(m, 1, 1, field->nullable, 0);
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
  slot_number(&m, 0, 2, RK_IPC_V5, 0);
  slot_number(&m, 1, 1, RK_HEADER_SCHEMA, 0);
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
