/* What the messages' encoders and decoders share (SPEC "Messages"). */
#include "format/message_parts.h"

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

bool rk_decoding_next(rk_decoding *d, rk_pb_cursor *cursor, rk_pb_field *field)
{
  const uint8_t *at = cursor->p;
  const int result = rk_pb_next(cursor, field);
  if (result < 0) {
    rk_decoding_fail(d, RK_ERR_CORRUPT, at, "malformed protobuf");
  }
  return result > 0;
}

bool rk_decoding_want(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_pb_wire wire)
{
  return field->wire == wire || rk_decoding_fail(d, RK_ERR_CORRUPT, cursor->p, "field of the wrong wire type");
}

bool rk_get_text(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, rk_text *text)
{
  if (!rk_decoding_want(d, cursor, field, RK_PB_BYTES)) {
    return false;
  }
  if (!rk_utf8_valid(field->data, field->size)) {
    return rk_decoding_fail(d, RK_ERR_CORRUPT, field->data, "text is not UTF-8");
  }
  *text = (rk_text){.data = (const char *)field->data, .size = field->size};
  return true;
}

bool rk_get_bool(rk_decoding *d, const rk_pb_cursor *cursor, const rk_pb_field *field, bool *value)
{
  if (!rk_decoding_want(d, cursor, field, RK_PB_VARINT)) {
    return false;
  }
  *value = field->value != 0;
  return true;
}

bool rk_get_tuid(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_tuid_parts *tuid)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  tuid->present = true;
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    if (field.number == 1 || field.number == 2) {
      if (!rk_decoding_want(d, &cursor, &field, RK_PB_FIXED64)) {
        return false;
      }
      *(field.number == 1 ? &tuid->id.time_ns : &tuid->id.inc) = field.value;
      *(field.number == 1 ? &tuid->has_time : &tuid->has_inc) = true;
    }
  }
  return d->status == RK_OK;
}

bool rk_tuid_complete(rk_decoding *d, const rk_tuid_parts *tuid)
{
  return (tuid->has_time && tuid->has_inc) || rk_decoding_fail(d, RK_ERR_CORRUPT, NULL, "id without time_ns or inc");
}

bool rk_get_application_id(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_text *id)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  if (id->data == NULL) {
    *id = (rk_text){.data = "", .size = 0};
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    if (field.number == 1 && !rk_get_text(d, &cursor, &field, id)) {
      return false;
    }
  }
  return d->status == RK_OK;
}

bool rk_get_store_id(rk_decoding *d, const rk_pb_cursor *outer, const rk_pb_field *message, rk_store_id *store)
{
  if (!rk_decoding_want(d, outer, message, RK_PB_BYTES)) {
    return false;
  }
  if (store->kind == 0) {
    store->kind = RK_STORE_RECORDING;
  }
  rk_pb_cursor cursor = rk_pb_open(message->data, message->size);
  rk_pb_field field;
  while (rk_decoding_next(d, &cursor, &field)) {
    bool ok = true;
    if (field.number == 1) {
      ok = rk_decoding_want(d, &cursor, &field, RK_PB_VARINT);
      store->kind = (uint32_t)field.value == STORE_KIND_BLUEPRINT ? RK_STORE_BLUEPRINT : RK_STORE_RECORDING;
    } else if (field.number == 2) {
      ok = rk_get_text(d, &cursor, &field, &store->recording_id);
    } else if (field.number == 3) {
      ok = rk_get_application_id(d, &cursor, &field, &store->application_id);
    }
    if (!ok) {
      return false;
    }
  }
  return d->status == RK_OK;
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
