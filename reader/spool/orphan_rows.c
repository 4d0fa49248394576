/* Rows of a dead process' ring, checked, gathered and framed in memory (SPEC "Reading spools"). */
#include "reader/spool/orphan_rows.h"

#include <string.h>

typedef struct encoding {
  rk_buffer *stream;
  rk_drain drain;
  rk_drain_names names;
  rk_drain_target target;
  const rk_orphan_ring *ring;
  rk_orphan_lost *lost;
  void *context;
} encoding;

static void lose(const encoding *e, uint64_t begin, uint64_t end, rk_status status, const char *reason)
{
  const uint64_t offset = RK_RING_HEADER_SIZE + (begin & (e->ring->header.size - 1));
  e->lost(e->context, offset, end - begin, status, reason, e->ring->header.tag);
}

/* Where the rows end that can be used: at the head, or at the first place that holds none. The bytes behind a false
 * head may be those of rows long appended, whose numbers are smaller. *whole: the intent covers whole rows. */
static uint64_t sound_end(const rk_orphan_ring *ring, const rk_row_source *source, bool *whole)
{
  const rk_ring_header *header = &ring->header;
  const bool intent = rk_ring_intent_in_force(header);
  uint64_t at = source->begin;
  uint64_t next_row = 0;
  uint64_t last_row = intent && header->intent_row_count > 0 ? header->intent_first_row : UINT32_MAX;
  *whole = false;
  while (at < source->end) {
    rk_spool_row row;
    const rk_status status = rk_row_source_at(source, at, &row);
    if (status == RK_ERR_CORRUPT || (status == RK_END && ((at + row.size) & source->mask) != 0)) {
      break;
    }
    if (status == RK_OK) {
      if (row.row_number < next_row || row.row_number > last_row) {
        break;
      }
      next_row = (uint64_t)row.row_number + 1;
      last_row = UINT32_MAX;
    }
    at += row.size;
    *whole = *whole || (intent && at == header->intent_end);
  }
  return at;
}

/* The rows of the source, one pass of a drain. *number moves on. */
static rk_status encode_pass(encoding *e, const rk_row_source *source, uint32_t *number)
{
  rk_status status = rk_drain_gather(&e->drain, &e->names, source);
  bool damaged = false;
  for (size_t i = 0; status == RK_OK && i < e->drain.group_count; i++) {
    status = rk_drain_encode(&e->drain, &e->names, source, &e->target, i, *number, e->stream);
    ++*number;
    if (status != RK_OK && status != RK_ERR_NO_MEMORY) {
      damaged = true;
      status = RK_OK;
    }
  }
  if (status == RK_OK && (damaged || e->drain.damaged)) {
    lose(e, source->begin, source->end, RK_ERR_CORRUPT, "rows, or parts of them, that say the impossible");
  }
  return status;
}

static rk_status encode_rows(encoding *e)
{
  const rk_ring_header *header = &e->ring->header;
  rk_row_source all = rk_row_source_ring(e->ring->data, header->size, header->tail, header->head);
  bool intent;
  const uint64_t end = sound_end(e->ring, &all, &intent);
  all.end = end;
  uint32_t number = rk_ring_intent_in_force(header) ? header->intent_chunk_number : header->chunk_number;
  rk_status status = RK_OK;
  while (status == RK_OK && all.begin < end) {
    rk_row_source pass = all;
    pass.end = intent ? header->intent_end : rk_row_source_pass(&all, true);
    intent = false;
    status = encode_pass(e, &pass, &number);
    all.begin = pass.end;
  }
  if (status == RK_OK && end < header->head) {
    lose(e, end, header->head, RK_ERR_CORRUPT, "damaged rows");
  }
  return status;
}

rk_status rk_orphan_rows_encode(rk_buffer *stream, rk_dictionary *dictionary, const rk_orphan_ring *ring,
                                rk_orphan_lost *lost, void *context)
{
  const rk_ring_header *header = &ring->header;
  rk_error error = {.message = ""};
  const rk_status sound = rk_ring_header_check(header, ring->file_size, &error);
  if (sound != RK_OK) {
    lost(context, error.offset, ring->file_size - error.offset, sound, error.message, 0);
    return RK_OK;
  }
  encoding e = {.stream = stream, .ring = ring, .lost = lost, .context = context};
  const rk_dictionary_writer *writer = rk_dictionary_writer_of(dictionary, header->tag);
  if (header->recording_hash != dictionary->recording_hash || header->process != dictionary->process ||
      header->number != ring->number || writer == NULL || writer->ring != header->number) {
    lose(&e, header->tail, header->head, RK_ERR_CORRUPT, "the ring does not belong to its definitions");
    return RK_OK;
  }
  rk_writer_record record = rk_dictionary_writer_record(dictionary, writer);
  record.dropped_rows = header->dropped_rows;
  e.names = rk_dictionary_names(dictionary);
  e.target = (rk_drain_target){.store = rk_dictionary_store(dictionary),
                               .recording_hash = dictionary->recording_hash,
                               .compression = RK_COMPRESSION_LZ4,
                               .tag = header->tag};
  rk_writer_frame_encode(stream, &e.target.store, dictionary->recording_hash, &record);
  const rk_status status = stream->failed ? RK_ERR_NO_MEMORY : encode_rows(&e);
  rk_drain_free(&e.drain);
  return status;
}
