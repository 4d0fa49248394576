/* What footers tell of chunks, taken for the index where it can be checked (SPEC "Footer"). */
#include "reader/index/footer_index.h"

#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"

/* Of the memory that the reader may use, a footer's payload may take one part in so many: decoded it is larger. */
#define PAYLOAD_SHARE 8

/* Lends the payload of the End at `offset`, hash checked. RK_END: it is not to be used. */
static rk_status read_payload(rk_source *source, uint64_t offset, uint64_t size, uint32_t hash, uint64_t most,
                              rk_buffer *buffer, const uint8_t **payload)
{
  if (size > most) {
    return RK_END;
  }
  if (source->memory) {
    *payload = source->memory + offset;
  } else {
    uint8_t *bytes = rk_buffer_extend(buffer, (size_t)size);
    if (!bytes && size > 0) {
      return RK_ERR_NO_MEMORY;
    }
    *payload = bytes;
    const rk_status status = rk_source_read(source, offset, bytes, (size_t)size);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_END : status;
    }
  }
  return rk_footer_hash(*payload, (size_t)size) == hash ? RK_OK : RK_END;
}

/* Only what ends the reading; all else says that the footer is not to be used. */
static rk_status severe(rk_status status)
{
  return status == RK_ERR_NO_MEMORY || status == RK_ERR_IO ? status : RK_OK;
}

/* ---- While the input is walked ---- */

static int compare_told(const void *left, const void *right)
{
  const rk_told_chunk *a = left;
  const rk_told_chunk *b = right;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The End whose stream footer ends the input. RK_END: none. */
static rk_status find_end(rk_source *source, uint64_t *payload_offset, rk_stream_footer *footer)
{
  uint8_t bytes[RK_STREAM_FOOTER_SIZE];
  if (source->size < RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE + RK_STREAM_FOOTER_SIZE) {
    return RK_END;
  }
  const uint64_t end = source->size - RK_STREAM_FOOTER_SIZE;
  rk_status status = rk_source_read(source, end, bytes, sizeof bytes);
  if (status || !rk_stream_footer_decode(bytes, footer) ||
      footer->payload_size > end - RK_STREAM_HEADER_SIZE - RK_FRAME_HEADER_SIZE) {
    return status ? status : RK_END;
  }
  *payload_offset = end - footer->payload_size;
  rk_frame_header header;
  status = rk_source_read(source, *payload_offset - RK_FRAME_HEADER_SIZE, bytes, RK_FRAME_HEADER_SIZE);
  return status ? status
         : rk_frame_header_decode(bytes, &header) && header.kind == RK_FRAME_END &&
                 header.size == footer->payload_size && footer->payload_offset <= *payload_offset
             ? RK_OK
             : RK_END;
}

rk_status rk_told_read(rk_told *told, rk_input *input, uint64_t max_memory)
{
  rk_source *source = &input->source;
  uint64_t offset;
  rk_stream_footer footer;
  rk_status status = find_end(source, &offset, &footer);
  if (status) {
    return severe(status);
  }
  const uint64_t stream = offset - footer.payload_offset;
  const uint8_t *payload;
  const rk_footer_manifest *manifests;
  size_t manifest_count;
  status = read_payload(source, offset, footer.payload_size, footer.payload_hash, max_memory / PAYLOAD_SHARE,
                        &told->payload, &payload);
  status = status ? status
                  : rk_footer_decode(&told->arena, payload, (size_t)footer.payload_size, source->size - stream,
                                     &manifests, &manifest_count, NULL);
  if (status) {
    rk_told_free(told);
    return severe(status);
  }
  size_t count = 0;
  for (size_t i = 0; i < manifest_count; i++) {
    count += manifests[i].chunk_count;
  }
  told->chunks = rk_arena_array(&told->arena, count + 1, sizeof *told->chunks);
  if (!told->chunks) {
    rk_told_free(told);
    return RK_ERR_NO_MEMORY;
  }
  for (size_t i = 0; i < manifest_count; i++) {
    for (size_t j = 0; j < manifests[i].chunk_count; j++) {
      const rk_manifest_chunk *chunk = &manifests[i].chunks[j];
      if (chunk->byte_offset >= RK_FRAME_HEADER_SIZE) {
        told->chunks[told->count++] = (rk_told_chunk){
            .offset = stream + chunk->byte_offset - RK_FRAME_HEADER_SIZE, .store = &manifests[i].store, .chunk = chunk};
      }
    }
  }
  qsort(told->chunks, told->count, sizeof *told->chunks, compare_told);
  return RK_OK;
}

const rk_told_chunk *rk_told_find(rk_told *told, uint64_t offset, uint64_t size)
{
  while (told->next < told->count && told->chunks[told->next].offset < offset) {
    told->next++;
  }
  const rk_told_chunk *found = told->next < told->count ? &told->chunks[told->next] : NULL;
  return found && found->offset == offset && found->chunk->byte_size == size - RK_FRAME_HEADER_SIZE ? found : NULL;
}

void rk_told_free(rk_told *told)
{
  rk_arena_free(&told->arena);
  rk_buffer_free(&told->payload);
  *told = (rk_told){0};
}

/* ---- Times on the timeline that orders ---- */

typedef struct timeline_hull {
  uint64_t offset;
  bool carried; /* false: the chunk does not have the timeline */
  int64_t min, max;
} timeline_hull;

static int compare_hulls(const void *left, const void *right)
{
  const timeline_hull *a = left;
  const timeline_hull *b = right;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static rk_status take_hulls(const rk_reader *reader, const rk_footer_place *place, rk_arena *arena, rk_buffer *buffer)
{
  rk_source *source = &place->input->source;
  uint8_t bytes[RK_STREAM_FOOTER_SIZE];
  rk_stream_footer footer;
  rk_status status = rk_source_read(source, place->offset + place->size - sizeof bytes, bytes, sizeof bytes);
  if (status || !rk_stream_footer_decode(bytes, &footer) || footer.payload_size != place->payload_size) {
    return status;
  }
  const uint8_t *payload;
  const rk_footer_manifest *manifests;
  size_t manifest_count;
  status = read_payload(source, place->offset + RK_FRAME_HEADER_SIZE, place->payload_size, footer.payload_hash,
                        reader->max_memory / PAYLOAD_SHARE, buffer, &payload);
  status =
      status ? status
             : rk_footer_decode_times(arena, payload, (size_t)place->payload_size, source->size - place->stream_offset,
                                      reader->filters.timeline, &manifests, &manifest_count, NULL);
  for (size_t i = 0; status == RK_OK && i < manifest_count; i++) {
    for (size_t j = 0; j < manifests[i].chunk_count; j++) {
      const rk_manifest_chunk *chunk = &manifests[i].chunks[j];
      timeline_hull *hull = chunk->byte_offset < RK_FRAME_HEADER_SIZE || chunk->is_static
                                ? NULL
                                : rk_list_add(&place->input->hulls, sizeof *hull);
      if (hull) {
        *hull = (timeline_hull){.offset = place->stream_offset + chunk->byte_offset - RK_FRAME_HEADER_SIZE,
                                .carried = chunk->has_times,
                                .min = chunk->min_time,
                                .max = chunk->max_time};
      }
    }
  }
  return status;
}

rk_status rk_hulls_settle(rk_reader *reader)
{
  const char *timeline = reader->filters.timeline;
  if (!timeline || (reader->hull_timeline == timeline && reader->hull_footers == reader->footers.count)) {
    return RK_OK;
  }
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; i < reader->inputs.count; i++) {
    inputs[i]->hulls.count = 0;
  }
  const rk_footer_place *places = reader->footers.items;
  for (size_t i = 0; i < reader->footers.count; i++) {
    rk_arena arena = {0};
    rk_buffer buffer = {0};
    const rk_status status = severe(take_hulls(reader, &places[i], &arena, &buffer));
    rk_arena_free(&arena);
    rk_buffer_free(&buffer);
    if (status) {
      return status;
    }
  }
  for (size_t i = 0; i < reader->inputs.count; i++) {
    if (inputs[i]->hulls.count > 1) {
      qsort(inputs[i]->hulls.items, inputs[i]->hulls.count, sizeof(timeline_hull), compare_hulls);
    }
  }
  reader->hull_timeline = timeline;
  reader->hull_footers = reader->footers.count;
  return RK_OK;
}

bool rk_index_timeline_hull(const rk_reader *reader, const rk_entry *entry, const char *timeline, int64_t *min,
                            int64_t *max)
{
  const rk_list *hulls = &entry->input->hulls;
  if (timeline != reader->hull_timeline || hulls->count == 0) {
    return false;
  }
  const timeline_hull key = {.offset = entry->offset};
  const timeline_hull *found = bsearch(&key, hulls->items, hulls->count, sizeof key, compare_hulls);
  if (!found) {
    return false;
  }
  *min = found->carried ? found->min : INT64_MAX;
  *max = found->carried ? found->max : INT64_MIN;
  if (found->carried && timeline == reader->log_time) {
    return false; /* its own keys say it better: shifts are in them */
  }
  return true;
}
