/* What the messages' encoders and decoders share (SPEC "Messages"). */
#include "format/message_parts.h"

#include <stddef.h>
#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/utf8.h"

enum { STORE_KIND_BLUEPRINT = 2 };

void rk_put_tuid(rk_buffer *out, uint32_t number, rk_tuid id)
{
  const size_t mark = rk_pb_begin(out, number);
  rk_pb_fixed64(out, 1, id.time_ns);
  rk_pb_fixed64(out, 2, id.inc);
  rk_pb_end(out, mark);
}

void rk_put_store_id(rk_buffer *out, uint32_t number, const rk_store_id *store)
{
  const size_t mark = rk_pb_begin(out, number);
  rk_pb_varint(out, 1, store->kind);
  rk_pb_bytes(out, 2, store->recording_id.data, store->recording_id.size);
  if (store->application_id.data != NULL) {
    const size_t inner = rk_pb_begin(out, 3);
    rk_pb_bytes(out, 1, store->application_id.data, store->application_id.size);
    rk_pb_end(out, inner);
  }
  rk_pb_end(out, mark);
}

bool rk_decoding_fail(rk_decoding *d, rk_status status, const uint8_t *at, const char *what)
{
  d->status =
      rk_fail(d->error, status, at == NULL ? RK_NO_OFFSET : (uint64_t)(at - d->start), "%s: %s", d->message, what);
  return false;
}

enum { PARTS_TUID, PARTS_APPLICATION_ID, PARTS_STORE_ID };
static const rk_parts own_parts[] = {
    [PARTS_TUID] = {{1, RK_PART_FIXED64, 0, offsetof(rk_tuid_parts, id.time_ns), 1 + offsetof(rk_tuid_parts, has_time)},
                    {2, RK_PART_FIXED64, 0, offsetof(rk_tuid_parts, id.inc), 1 + offsetof(rk_tuid_parts, has_inc)}},
    [PARTS_APPLICATION_ID] = {{1, RK_PART_TEXT, 0, 0, 0}},
    [PARTS_STORE_ID] = {{1, RK_PART_STORE_KIND, 0, offsetof(rk_store_id, kind), 0},
                        {2, RK_PART_TEXT, 0, offsetof(rk_store_id, recording_id), 0},
                        {3, RK_PART_APPLICATION_ID, 0, offsetof(rk_store_id, application_id), 0}},
};

static rk_pb_wire wire_of(unsigned kind)
{
  return kind == RK_PART_FIXED64 ? RK_PB_FIXED64
         : kind == RK_PART_VARINT || kind == RK_PART_UINT32 || kind == RK_PART_TAG || kind == RK_PART_BOOL ||
                 kind == RK_PART_STORE_KIND
             ? RK_PB_VARINT
             : RK_PB_BYTES;
}

static bool get_number(rk_decoding *d, const uint8_t *at, unsigned kind, uint64_t value, void *to)
{
  if (kind == RK_PART_TAG && value > UINT32_MAX) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, at, "writer tag of more than 32 bits");
  }
  if (kind == RK_PART_BOOL) {
    *(bool *)to = value != 0;
  } else if (kind == RK_PART_STORE_KIND) {
    *(rk_store_kind *)to = (uint32_t)value == STORE_KIND_BLUEPRINT ? RK_STORE_BLUEPRINT : RK_STORE_RECORDING;
  } else {
    memcpy(to, &value, kind == RK_PART_UINT32 || kind == RK_PART_TAG ? 4 : 8);
  }
  return true;
}

static bool get_bytes(rk_decoding *d, const rk_pb_field *field, const rk_parts *table, const rk_part *part, void *to)
{
  rk_text *text = to;
  rk_tuid_parts *tuid = to;
  rk_store_id *store = to;
  switch (part->kind) {
  case RK_PART_TEXT:
    if (!rk_utf8_valid(field->data, field->size)) {
      return rk_decoding_fail(d, RK_ERR_CORRUPT, field->data, "text is not UTF-8");
    }
    /* fall through */
  case RK_PART_BYTES:
    *text = (rk_text){.data = (const char *)field->data, .size = field->size};
    return true;
  case RK_PART_MESSAGE:
    return rk_get_parts(d, field->data, field->size, table, part->inner, to);
  case RK_PART_TUID:
    tuid->present = true;
    return rk_get_parts(d, field->data, field->size, own_parts, PARTS_TUID, to);
  case RK_PART_STORE_ID:
    store->kind = store->kind == 0 ? RK_STORE_RECORDING : store->kind;
    return rk_get_parts(d, field->data, field->size, own_parts, PARTS_STORE_ID, to);
  case RK_PART_APPLICATION_ID:
    text->data = text->data == NULL ? "" : text->data;
    return rk_get_parts(d, field->data, field->size, own_parts, PARTS_APPLICATION_ID, to);
  default:
    return true;
  }
}

bool rk_get_parts(rk_decoding *d, const void *data, size_t size, const rk_parts *table, size_t row, void *into)
{
  rk_pb_cursor cursor = rk_pb_open(data, size);
  for (;;) {
    const uint8_t *at = cursor.p;
    rk_pb_field field;
    const int more = rk_pb_next(&cursor, &field);
    if (more <= 0) {
      return more == 0 || rk_decoding_fail(d, RK_ERR_CORRUPT, at, "malformed protobuf");
    }
    const rk_part *part = table[row];
    while (part->number != field.number && part->number != 0) {
      part++;
    }
    if (part->number == 0) {
      continue;
    }
    const rk_pb_wire wire = wire_of(part->kind);
    if (field.wire != wire) {
      return rk_decoding_fail(d, RK_ERR_CORRUPT, cursor.p, "field of the wrong wire type");
    }
    if (part->seen != 0) {
      *((bool *)into + part->seen - 1) = true;
    }
    void *to = (char *)into + part->offset;
    if (wire == RK_PB_BYTES ? !get_bytes(d, &field, table, part, to)
                            : !get_number(d, cursor.p, part->kind, field.value, to)) {
      return false;
    }
  }
}

void rk_put_parts(rk_buffer *out, uint32_t number, const rk_part *parts, const void *from)
{
  const size_t mark = rk_pb_begin(out, number);
  for (; parts->number != 0; parts++) {
    const void *at = (const char *)from + parts->offset;
    const rk_text *text = at;
    if (parts->kind == RK_PART_FIXED64) {
      rk_pb_fixed64(out, parts->number, rk_load_u64(at));
    } else if (parts->kind != RK_PART_TEXT) {
      rk_pb_varint(out, parts->number, parts->kind == RK_PART_TAG ? rk_load_u32(at) : rk_load_u64(at));
    } else if (text->size > 0) {
      const size_t inner = rk_pb_begin(out, parts->number);
      rk_utf8_append_replaced(out, text->data, text->size);
      rk_pb_end(out, inner);
    }
  }
  rk_pb_end(out, mark);
}

bool rk_tuid_complete(rk_decoding *d, const rk_tuid_parts *tuid)
{
  return (tuid->has_time && tuid->has_inc) || rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "id without time_ns or inc");
}

bool rk_store_complete(rk_decoding *d, const rk_store_id *store)
{
  if (store->kind == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no store id");
  }
  if (store->recording_id.size == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "no recording id");
  }
  if (store->application_id.data != NULL && store->application_id.size == 0) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "empty application id");
  }
  return true;
}
