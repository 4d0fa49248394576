/* Verifying a footer: what its manifests tell of the chunks against the chunks themselves. */
#include <string.h>

#include "format/buffer.h"
#include "format/error.h"
#include "format/footer.h"
#include "reader/verify/verify.h"

#define FOOTER_MAX ((uint64_t)1 << 30)

size_t rk_verify_entry_from(const rk_reader *reader, const rk_input *input, uint64_t offset)
{
  size_t low = 0;
  size_t high = reader->entries.count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const rk_entry *e = rk_entry_at(reader, middle);
    if (e->input->number < input->number || (e->input == input && e->offset < offset)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool same_store(const rk_store *store, const rk_store_id *id)
{
  const bool blueprint = id->kind == RK_STORE_BLUEPRINT;
  return (store->kind == RK_STORE_BLUEPRINT) == blueprint && strlen(store->recording_id) == id->recording_id.size &&
         memcmp(store->recording_id, id->recording_id.data, id->recording_id.size) == 0;
}

/* Whether the manifest tells the truth of a sound chunk. */
static bool agrees(const rk_verifying *v, size_t index, const rk_store_id *store, const rk_manifest_chunk *told)
{
  const rk_entry *entry = rk_entry_at(v->reader, index);
  const rk_store *known = rk_entry_store(v->reader, entry);
  const char *path = rk_entry_path(v->reader, entry);
  if (entry->size - RK_FRAME_HEADER_SIZE != told->byte_size || entry->row_count != told->row_count ||
      entry->is_static != told->is_static) {
    return false;
  }
  if (v->reader->recording_id == NULL && known && !same_store(known, store)) {
    return false;
  }
  if (path && strcmp(path, told->entity_path) != 0) {
    return false;
  }
  return !v->chunk_ids || !entry->sealed || rk_tuid_compare(v->chunk_ids[index], told->chunk_id) == 0;
}

/* How a footer's chunks and those of its stream compare. */
typedef struct comparison {
  uint64_t told, wrong;
  bool *seen; /* [end - begin] */
  size_t begin, end;
} comparison;

static void compare_chunk(rk_verifying *v, const rk_footer_place *place, const rk_store_id *store,
                          const rk_manifest_chunk *told, comparison *c)
{
  c->told++;
  const uint64_t header = RK_FRAME_HEADER_SIZE;
  const uint64_t offset = place->stream_offset + told->byte_offset - header; /* byte_offset is past the frame header */
  const size_t index = told->byte_offset < header ? c->end : rk_verify_entry_from(v->reader, place->input, offset);
  const rk_entry *entry = index >= c->begin && index < c->end ? rk_entry_at(v->reader, index) : NULL;
  const bool there = entry && entry->offset == offset;
  if (there) {
    c->seen[index - c->begin] = true;
  }
  if (there && !entry->lost) {
    c->wrong += !agrees(v, index, store, told);
    return;
  }
  rk_verify_find(v, &(rk_finding){.kind = RK_FINDING_CHUNK_ABSENT,
                                  .writer = there ? entry->writer : 0,
                                  .rows = told->row_count,
                                  .input = place->input->name,
                                  .offset = offset,
                                  .length = told->byte_size + header});
}

static rk_status read_payload(const rk_footer_place *place, rk_buffer *payload, const uint8_t **bytes, rk_error *error)
{
  rk_source *source = &place->input->source;
  const uint64_t offset = place->offset + RK_FRAME_HEADER_SIZE;
  if (source->memory) {
    *bytes = source->memory + offset;
    return RK_OK;
  }
  uint8_t *copy = rk_buffer_extend(payload, (size_t)place->payload_size);
  if (!copy) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to verify");
  }
  *bytes = copy;
  const rk_status status = rk_source_read(source, offset, copy, (size_t)place->payload_size);
  return status == RK_ERR_IO ? rk_fail_errno(error, source->sys_errno, "cannot read") : status;
}

static void lose(rk_verifying *v, const rk_footer_place *place, rk_status status, const char *reason)
{
  rk_reader_lose(v->reader, place->input, place->offset, place->size, status, reason, 0);
}

static rk_status compare(rk_verifying *v, const rk_footer_place *place, rk_arena *arena,
                         const rk_footer_manifest *manifests, size_t manifest_count, rk_error *error)
{
  comparison c = {.begin = rk_verify_entry_from(v->reader, place->input, place->stream_offset),
                  .end = rk_verify_entry_from(v->reader, place->input, place->offset)};
  c.seen = rk_arena_array(arena, c.end - c.begin + 1, sizeof *c.seen);
  if (!c.seen) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to verify");
  }
  for (size_t i = 0; i < manifest_count; i++) {
    for (size_t j = 0; j < manifests[i].chunk_count; j++) {
      compare_chunk(v, place, &manifests[i].store, &manifests[i].chunks[j], &c);
    }
  }
  uint64_t untold = 0;
  for (size_t i = c.begin; i < c.end; i++) {
    untold += !c.seen[i - c.begin];
  }
  if (c.wrong > 0 || untold > 0) {
    rk_error reason = {0};
    (void)rk_fail(&reason, RK_ERR_CORRUPT, place->offset,
                  "the footer's manifest tells %llu chunks wrongly and %llu not at all; no row is in it",
                  (unsigned long long)c.wrong, (unsigned long long)untold);
    lose(v, place, RK_ERR_CORRUPT, reason.message);
  }
  return RK_OK;
}

static rk_status verify_footer(rk_verifying *v, const rk_footer_place *place, rk_error *error)
{
  if (place->payload_size > FOOTER_MAX) {
    lose(v, place, RK_ERR_LIMIT, "the footer is too large; no row is in it");
    return RK_OK;
  }
  rk_buffer payload = {0};
  rk_arena arena = {0};
  const uint8_t *bytes = NULL;
  rk_error failed = {.message = ""};
  const rk_footer_manifest *manifests;
  size_t manifest_count = 0;
  rk_status status = read_payload(place, &payload, &bytes, error);
  if (status != RK_ERR_NO_MEMORY && status != RK_ERR_IO) {
    status = status ? status
                    : rk_footer_decode(&arena, bytes, (size_t)place->payload_size,
                                       place->input->source.size - place->stream_offset, &manifests, &manifest_count,
                                       &failed);
    if (status == RK_ERR_NO_MEMORY) {
      status = rk_fail(error, status, RK_NO_OFFSET, "no memory to verify");
    } else if (status) {
      lose(v, place, status, failed.message[0] ? failed.message : rk_status_text(status));
      status = RK_OK;
    } else if (manifest_count > 0) {
      status = compare(v, place, &arena, manifests, manifest_count, error);
    }
  }
  rk_arena_free(&arena);
  rk_buffer_free(&payload);
  return status;
}

rk_status rk_verify_footers(rk_verifying *v, rk_error *error)
{
  const rk_footer_place *places = v->reader->footers.items;
  rk_status status = RK_OK;
  for (size_t i = 0; i < v->reader->footers.count && status == RK_OK; i++) {
    status = verify_footer(v, &places[i], error);
  }
  return status;
}
