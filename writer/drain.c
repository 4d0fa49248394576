/* The drain: rows of a ring become chunks, chunks become records, records are appended, then the ring's tail moves on.
 */
#include <string.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "writer/gather.h"
#include "writer/transpose.h"

/* The SetStoreInfo frame with which a writer presents itself. */
static void put_writer_record(const rk_recording *recording, const rk_ring *ring, rk_buffer *out)
{
  const char *const host = rk_host_name(), *const boot = rk_boot_id(), *const program = rk_program_name();
  const rk_store_info info = {.row_id = {.time_ns = (uint64_t)ring->start_ns, .inc = rk_row_inc(ring->tag, 0)},
                              .store = rk_recording_store(recording),
                              .source_kind = 1,
                              .store_version = rk_load_u32(rk_stream_header_bytes + 4),
                              .has_writer = true,
                              .writer = {.tag = ring->tag,
                                         .host = {.data = host, .size = strlen(host)},
                                         .boot_id = {.data = boot, .size = strlen(boot)},
                                         .thread = {.data = ring->thread_name, .size = strlen(ring->thread_name)},
                                         .program = {.data = program, .size = strlen(program)},
                                         .pid = ring->pid,
                                         .tid = ring->tid,
                                         .start_ns = ring->start_ns,
                                         .clock_monotonic = ring->clock_monotonic,
                                         .clock_realtime = ring->clock_realtime,
                                         .clock_offset = recording->clock_offset}};
  const size_t frame = rk_frame_begin(out, RK_FRAME_SET_STORE_INFO);
  rk_store_info_encode(out, &info);
  rk_seal seal = {.writer = ring->tag,
                  .recording_hash = recording->hash,
                  .clock_monotonic = ring->clock_monotonic,
                  .clock_realtime = ring->clock_realtime};
  rk_seal_frame(out, frame, 0, &seal);
}

/* Writes out->data[0, size) and moves what follows to the front. */
static rk_status flush_record(rk_recording *recording, rk_ring *ring, rk_buffer *out, size_t size, rk_error *error)
{
  const rk_status status = rk_append(recording, out->data, size, error);
  if (status != RK_OK) {
    return status;
  }
  memmove(out->data, out->data + size, out->size - size);
  out->size -= size;
  if (!ring->announced) {
    ring->announced = true;
    ring->header->announced = 1;
  }
  return RK_OK;
}

/* Encodes and appends the gathered groups from number `done` on. *done: how many are in the file. */
static rk_status append_groups(rk_recording *recording, rk_ring *ring, const rk_row_source *source, rk_scratch *scratch,
                               uint32_t *done, rk_error *error)
{
  const rk_group *groups = (const rk_group *)(void *)scratch->gathered.groups.data;
  rk_buffer *out = &scratch->out;
  rk_buffer_reset(out);
  if (!ring->announced) {
    put_writer_record(recording, ring, out);
  }
  bool damaged = scratch->gathered.damaged;
  uint32_t encoded = *done;
  for (; encoded < scratch->gathered.group_count; encoded++) {
    const size_t before = out->size;
    const rk_status status =
        rk_group_encode(recording, ring, source, scratch, &groups[encoded], ring->chunk_number + encoded, &damaged);
    if (status == RK_ERR_NO_MEMORY) {
      return rk_fail(error, status, RK_NO_OFFSET, "no memory to encode a chunk");
    }
    if (status != RK_OK) {
      damaged = true; /* trying again would not help */
      out->size = before;
    }
    if (out->size > RK_RECORD_SIZE && before > 0) {
      const rk_status written = flush_record(recording, ring, out, before, error);
      if (written != RK_OK) {
        return written;
      }
      *done = encoded;
    }
  }
  if (out->size > 0) {
    const rk_status written = flush_record(recording, ring, out, out->size, error);
    if (written != RK_OK) {
      return written;
    }
  }
  *done = encoded;
  if (damaged) {
    const rk_error note = {.status = RK_ERR_CORRUPT,
                           .offset = RK_NO_OFFSET,
                           .message =
                               "rows were damaged in their ring, by a stray write of this process, and are lost"};
    rk_background_note(recording, &note);
  }
  return RK_OK;
}

/* One pass: the rows from the tail on, RK_DRAIN_SIZE at most. */
static rk_status drain_pass(rk_recording *recording, rk_ring *ring, uint64_t end, rk_scratch *scratch, rk_error *error)
{
  rk_ring_header *header = ring->header;
  const uint64_t tail = header->tail;
  const rk_row_source source = {.data = ring->data, .size = ring->size, .begin = tail, .end = end};
  if (rk_gather(recording, &source, &scratch->gathered) != RK_OK) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to drain a ring");
  }
  header->intent_end = end;
  header->intent_first_row = scratch->gathered.first_row;
  header->intent_row_count = scratch->gathered.row_count;
  __atomic_store_n(&header->intent_begin, tail, __ATOMIC_RELEASE);
  uint32_t done = ring->resume_chunks;
  const rk_status status = append_groups(recording, ring, &source, scratch, &done, error);
  if (status != RK_OK) {
    ring->resume_end = end;
    ring->resume_chunks = done;
    return status;
  }
  ring->resume_chunks = 0;
  ring->chunk_number += (uint32_t)scratch->gathered.group_count;
  header->chunk_number = ring->chunk_number;
  __atomic_store_n(&header->tail, end, __ATOMIC_RELEASE);
  return RK_OK;
}

/* Where a pass that begins at `tail` ends: at a row's end, RK_DRAIN_SIZE on or at `head`. */
static uint64_t pass_end(const rk_ring *ring, uint64_t tail, uint64_t head)
{
  if (head - tail <= RK_DRAIN_SIZE) {
    return head;
  }
  uint64_t end = tail;
  const rk_row_source source = {.data = ring->data, .size = ring->size, .begin = tail, .end = head};
  while (end < head) {
    rk_spool_row row;
    if (rk_source_row(&source, end, &row) == RK_ERR_CORRUPT) {
      return head;
    }
    if (end != tail && end + row.size - tail > RK_DRAIN_SIZE) {
      break;
    }
    end += row.size;
  }
  return end;
}

rk_status rk_ring_drain_locked(rk_recording *recording, rk_ring *ring, rk_error *error)
{
  if (ring->header == NULL) {
    return RK_OK;
  }
  const uint64_t head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
  if (head == ring->header->tail) {
    return RK_OK;
  }
  rk_scratch *scratch = rk_scratch_take(recording);
  if (scratch == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to drain a ring");
  }
  rk_status status = RK_OK;
  for (uint64_t tail; status == RK_OK && (tail = ring->header->tail) < head;) {
    const uint64_t end = ring->resume_chunks > 0 ? ring->resume_end : pass_end(ring, tail, head);
    status = drain_pass(recording, ring, end, scratch, error);
  }
  rk_scratch_give(recording, scratch);
  return status;
}

rk_status rk_ring_drain(rk_recording *recording, rk_ring *ring, rk_error *error)
{
  pthread_mutex_lock(&ring->mutex);
  const rk_status status = rk_ring_drain_locked(recording, ring, error);
  pthread_mutex_unlock(&ring->mutex);
  return status;
}

rk_status rk_ring_append_row(rk_recording *recording, rk_ring *ring, const uint8_t *row, size_t size, rk_error *error)
{
  rk_scratch *scratch = rk_scratch_take(recording);
  if (scratch == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to append a row");
  }
  const rk_row_source source = {.data = row, .size = size, .begin = 0, .end = size};
  rk_status status = rk_gather(recording, &source, &scratch->gathered);
  uint32_t done = 0;
  if (status == RK_OK) {
    status = append_groups(recording, ring, &source, scratch, &done, error);
  } else {
    rk_fail(error, status, RK_NO_OFFSET, "no memory to append a row");
  }
  if (status == RK_OK) {
    ring->chunk_number++;
    ring->header->chunk_number = ring->chunk_number;
  }
  rk_scratch_give(recording, scratch);
  return status;
}
