/* Arrow IPC streams: framing of the messages, dictionaries, and the first record batch. */
#include "format/ipc_decode.h"

#include "format/error.h"

rk_status rk_ipc_corrupt(const rk_ipc_decoder *d, const char *what)
{
  return rk_fail(d->error, RK_ERR_CORRUPT, d->metadata_at, "Arrow IPC: %s", what);
}

rk_status rk_ipc_no_memory(const rk_ipc_decoder *d)
{
  return rk_fail(d->error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory");
}

const struct ArrowArray *rk_ipc_dictionary_array(const rk_ipc_decoder *d, const rk_field *value)
{
  for (size_t i = 0; i < d->dictionary_count; i++) {
    if (d->dictionaries[i].value == value) {
      return d->dictionaries[i].array;
    }
  }
  return NULL;
}

typedef struct message {
  rk_fb_reader fb;
  unsigned header_type; /* 0: end of stream */
  rk_fb_table_at header;
  size_t body_at, body_size;
} message;

static RK_FAR rk_status truncated(const rk_ipc_decoder *d)
{
  return rk_fail(d->error, RK_ERR_TRUNCATED, d->size, "Arrow IPC stream ends too early");
}

/* Reads the message at *at and moves *at past its body. */
static rk_status next_message(rk_ipc_decoder *d, size_t *at, message *m)
{
  *m = (message){0};
  d->metadata_at = *at;
  if (*at == d->size) {
    return RK_OK;
  }
  if (!rk_range_ok(*at, 4, d->size)) {
    return truncated(d);
  }
  uint32_t size = rk_load_u32(d->data + *at);
  *at += 4;
  if (size == RK_IPC_CONTINUATION) {
    if (!rk_range_ok(*at, 4, d->size)) {
      return truncated(d);
    }
    size = rk_load_u32(d->data + *at);
    *at += 4;
  }
  if (size == 0) {
    return RK_OK;
  }
  if (size > INT32_MAX) {
    return rk_ipc_corrupt(d, "impossible metadata size");
  }
  if (!rk_range_ok(*at, size, d->size)) {
    return truncated(d);
  }
  d->metadata_at = *at;
  m->fb = (rk_fb_reader){.data = d->data + *at, .size = size};
  *at += size;
  const rk_fb_table_at root = rk_fb_root(&m->fb);
  const unsigned version = (unsigned)rk_fb_get(&m->fb, root, RK_MESSAGE_VERSION, 2, 0);
  const uint64_t body_size = rk_fb_get(&m->fb, root, RK_MESSAGE_BODY_SIZE, 8, 0);
  m->header_type = (unsigned)rk_fb_get(&m->fb, root, RK_MESSAGE_HEADER_TYPE, 1, 0);
  m->header = rk_fb_get_table(&m->fb, root, RK_MESSAGE_HEADER);
  if (m->fb.bad || m->header.at == 0) {
    return rk_ipc_corrupt(d, "damaged message metadata");
  }
  if (version != RK_IPC_V4 && version != RK_IPC_V5) {
    return rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow IPC metadata version %u", version + 1);
  }
  if (m->header_type < RK_HEADER_SCHEMA || m->header_type > RK_HEADER_BATCH) {
    return rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow IPC message of kind %u", m->header_type);
  }
  if (body_size > INT64_MAX) {
    return rk_ipc_corrupt(d, "impossible body size");
  }
  if (!rk_range_ok(*at, body_size, d->size)) {
    return truncated(d);
  }
  d->version = (int)version;
  m->body_at = *at;
  m->body_size = (size_t)body_size;
  *at += m->body_size;
  return RK_OK;
}

static rk_status decode_dictionary(rk_ipc_decoder *d, message *m)
{
  const int64_t id = (int64_t)rk_fb_get(&m->fb, m->header, RK_DICTIONARY_BATCH_ID, 8, 0);
  const bool is_delta = rk_fb_get(&m->fb, m->header, RK_DICTIONARY_BATCH_IS_DELTA, 1, 0) != 0;
  const rk_fb_table_at data = rk_fb_get_table(&m->fb, m->header, RK_DICTIONARY_BATCH_DATA);
  if (m->fb.bad || data.at == 0) {
    return rk_ipc_corrupt(d, "damaged dictionary metadata");
  }
  if (is_delta) {
    return rk_fail(d->error, RK_ERR_UNSUPPORTED, d->metadata_at, "Arrow IPC: delta dictionaries");
  }
  const struct ArrowArray *array = NULL;
  const rk_field *value = NULL;
  for (size_t i = 0; i < d->dictionary_count; i++) {
    rk_ipc_dictionary *dictionary = d->dictionaries + i;
    if (dictionary->id != id) {
      continue;
    }
    if (value == NULL) {
      const struct ArrowArray *const *columns;
      int64_t count;
      value = dictionary->value;
      const rk_status status =
          rk_ipc_decode_batch(d, &m->fb, data, m->body_at, m->body_size, value, 1, &columns, &count);
      if (status != RK_OK) {
        return status;
      }
      array = columns[0];
    } else if (!rk_field_type_equal(value, dictionary->value)) {
      return rk_ipc_corrupt(d, "one dictionary with two types");
    }
    dictionary->array = array;
  }
  return RK_OK; /* a dictionary that no field uses is ignored */
}

static rk_status decode(rk_ipc_decoder *d, rk_field **schema, const struct ArrowArray *const **columns,
                        int64_t *row_count)
{
  size_t at = 0;
  message m;
  rk_status status = next_message(d, &at, &m);
  if (status != RK_OK) {
    return status;
  }
  if (m.header_type != RK_HEADER_SCHEMA) {
    return m.header_type == 0 && d->size == 0 ? truncated(d) : rk_ipc_corrupt(d, "stream without schema");
  }
  status = rk_ipc_decode_schema(d, &m.fb, m.header, schema);
  while (status == RK_OK && columns != NULL) {
    status = next_message(d, &at, &m);
    if (status != RK_OK) {
      break;
    }
    if (m.header_type == RK_HEADER_BATCH) {
      return rk_ipc_decode_batch(d, &m.fb, m.header, m.body_at, m.body_size, (*schema)->children,
                                 (*schema)->child_count, columns, row_count);
    }
    if (m.header_type != RK_HEADER_DICTIONARY) {
      return m.header_type == 0 && at == d->size ? truncated(d) : rk_ipc_corrupt(d, "stream without record batch");
    }
    status = decode_dictionary(d, &m);
  }
  return status;
}

rk_status rk_ipc_decode(rk_arena *arena, const void *data, size_t size, const rk_field **schema,
                        const struct ArrowArray *const **columns, int64_t *row_count, rk_error *error)
{
  rk_ipc_decoder *d = rk_arena_alloc(arena, sizeof *d);
  if (d == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory");
  }
  d->arena = arena;
  d->data = data;
  d->size = size;
  d->error = error;
  rk_field *made = NULL;
  const rk_status status = decode(d, &made, columns, row_count);
  if (status == RK_OK) {
    *schema = made;
  }
  return status;
}
