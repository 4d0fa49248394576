/* The drain: rows of a ring become chunks, chunks become records, records are appended, then the ring's tail moves on.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/error.h"
#include "format/spool_drain.h"
#include "writer/writer_internal.h"

/* Chunks with fewer rows and bytes, on average, are worth a larger ring. */
#define CHUNK_ROWS_MIN 256
#define CHUNK_SIZE_MIN ((size_t)64 << 10)
#define KEEP_NS        1000000000 /* memory of large rows, for the next one */

struct rk_scratch {
  rk_scratch *next;
  int cpu;          /* where it was last used */
  int64_t large_ns; /* when a large row last went through it, whose memory it has kept; 0: none */
  rk_drain drain;
  rk_buffer out;
  rk_packer packer;
};

/* A free one, if possible of those that were last used on this processor: its caches hold them. Who finds none waits,
 * as any number of drains at once would cost memory; but with no more of them than processors a few threads would
 * change places at every drain, and then each finds its ring in another's cache. */
static rk_scratch *scratch_take(rk_recording *recording)
{
  const int cpu = sched_getcpu();
  const int cancel = rk_cancel_off();
  pthread_mutex_lock(&recording->mutex);
  while (recording->scratches == NULL && recording->scratch_count >= recording->scratch_limit) {
    pthread_cond_wait(&recording->scratch_wake, &recording->mutex);
  }
  rk_scratch **at = &recording->scratches;
  while (*at != NULL && (*at)->cpu != cpu) {
    at = &(*at)->next;
  }
  at = *at != NULL ? at : &recording->scratches;
  rk_scratch *scratch = *at;
  if (scratch != NULL) {
    *at = scratch->next;
  } else if ((scratch = calloc(1, sizeof *scratch)) != NULL) {
    recording->scratch_count++;
  }
  pthread_mutex_unlock(&recording->mutex);
  rk_cancel_restore(cancel);
  return scratch;
}

static void scratch_give(rk_recording *recording, rk_scratch *scratch)
{
  if (scratch->large_ns == 0 || rk_clock(CLOCK_MONOTONIC) - scratch->large_ns > KEEP_NS) {
    scratch->large_ns = 0;
    rk_drain_trim(&scratch->drain);
    rk_packer_trim(&scratch->packer);
    if (scratch->out.capacity > 2 * RK_RECORD_SIZE) {
      rk_buffer_free(&scratch->out);
    }
  }
  scratch->cpu = sched_getcpu();
  pthread_mutex_lock(&recording->mutex);
  scratch->next = recording->scratches;
  recording->scratches = scratch;
  pthread_cond_signal(&recording->scratch_wake);
  pthread_mutex_unlock(&recording->mutex);
}

void rk_scratches_trim(rk_recording *recording)
{
  const int64_t now = rk_clock(CLOCK_MONOTONIC);
  rk_scratch *old = NULL;
  pthread_mutex_lock(&recording->mutex);
  for (rk_scratch **at = &recording->scratches, *scratch; (scratch = *at) != NULL;) {
    if (scratch->large_ns != 0 && now - scratch->large_ns > KEEP_NS) {
      *at = scratch->next;
      scratch->next = old;
      old = scratch;
    } else {
      at = &scratch->next;
    }
  }
  pthread_mutex_unlock(&recording->mutex);
  for (rk_scratch *next; old != NULL; old = next) {
    next = old->next;
    scratch_give(recording, old);
  }
}

void rk_scratches_free(rk_recording *recording)
{
  for (rk_scratch *scratch = recording->scratches, *next; scratch != NULL; scratch = next) {
    next = scratch->next;
    rk_drain_free(&scratch->drain);
    rk_buffer_free(&scratch->out);
    rk_packer_free(&scratch->packer);
    free(scratch);
  }
  recording->scratches = NULL;
  recording->scratch_count = 0;
}

/* Those that other threads had are theirs. */
void rk_scratches_forget_after_fork(rk_recording *recording)
{
  pthread_cond_init(&recording->scratch_wake, NULL);
  recording->scratch_count = 0;
  for (const rk_scratch *scratch = recording->scratches; scratch != NULL; scratch = scratch->next) {
    recording->scratch_count++;
  }
}

/* ---- What ids stand for: this process's registries ---- */

static const char *entity_path(void *context, uint32_t id)
{
  rk_recording *recording = context;
  pthread_mutex_lock(&recording->mutex);
  const rk_entity *entity = id < recording->entities.count ? recording->entities.items[id] : NULL;
  pthread_mutex_unlock(&recording->mutex);
  return entity == NULL ? NULL : entity->path;
}

static bool component_at(void *context, uint32_t id, rk_drain_component *out)
{
  rk_recording *recording = context;
  const rk_component *component = NULL;
  if (id < RK_BUILTIN_COMPONENT_COUNT) {
    component = rk_component_at_index(id);
  } else {
    const size_t at = id - RK_BUILTIN_COMPONENT_COUNT;
    pthread_mutex_lock(&recording->mutex);
    component = at < recording->components.count ? recording->components.items[at] : NULL;
    pthread_mutex_unlock(&recording->mutex);
  }
  if (component == NULL) {
    return false;
  }
  *out = (rk_drain_component){.name = component->name,
                              .archetype = component->archetype,
                              .component_type = component->component_type,
                              .item = component->item,
                              .list = &component->list};
  return true;
}

static int timelines_of(void *context, uint32_t id, rk_chunk_timeline *timelines)
{
  if (id == 0) {
    return 0;
  }
  rk_recording *recording = context;
  int count = -1;
  pthread_mutex_lock(&recording->mutex);
  if (id <= recording->time_sets.count) {
    const rk_timeline_set *set = recording->time_sets.items[id - 1];
    count = (int)set->count;
    for (uint32_t i = 0; timelines != NULL && i < set->count; i++) {
      const rk_timeline *timeline = recording->timelines.items[set->timelines[i]];
      timelines[i] = (rk_chunk_timeline){.name = timeline->name, .kind = timeline->kind};
    }
  }
  pthread_mutex_unlock(&recording->mutex);
  return count;
}

static rk_drain_names names_of(rk_recording *recording)
{
  return (rk_drain_names){
      .context = recording, .entity = entity_path, .component = component_at, .timelines = timelines_of};
}

rk_store_id rk_recording_store(const rk_recording *recording)
{
  return (rk_store_id){.kind = RK_STORE_RECORDING,
                       .application_id = {.data = recording->application_id, .size = strlen(recording->application_id)},
                       .recording_id = {.data = recording->recording_id, .size = strlen(recording->recording_id)}};
}

static uint64_t dropped_rows(const rk_ring *ring)
{
  return __atomic_load_n(&ring->header->dropped_rows, __ATOMIC_RELAXED);
}

static void put_writer_record(const rk_recording *recording, const rk_ring *ring, uint64_t drops, rk_buffer *out)
{
  const char *const host = rk_host_name(), *const boot = rk_boot_id(), *const program = rk_program_name();
  const rk_writer_record record = {.tag = ring->tag,
                                   .host = {.data = host, .size = strlen(host)},
                                   .boot_id = {.data = boot, .size = strlen(boot)},
                                   .thread = {.data = ring->thread_name, .size = strlen(ring->thread_name)},
                                   .program = {.data = program, .size = strlen(program)},
                                   .pid = ring->pid,
                                   .tid = ring->tid,
                                   .start_ns = ring->start_ns,
                                   .clock_monotonic = ring->clock_monotonic,
                                   .clock_realtime = ring->clock_realtime,
                                   .clock_offset = recording->clock_offset,
                                   .dropped_rows = drops};
  const rk_store_id store = rk_recording_store(recording);
  rk_writer_frame_encode(out, &store, recording->hash, &record);
}

static rk_drain_target target_of(const rk_recording *recording, const rk_ring *ring)
{
  return (rk_drain_target){.store = rk_recording_store(recording),
                           .recording_hash = recording->hash,
                           .compression = recording->compression,
                           .tag = ring->tag};
}

/* Empties `out` and, if there is news of the writer, puts its record there. Returns the drops known to be told then. */
static uint64_t begin_record(const rk_recording *recording, const rk_ring *ring, rk_buffer *out)
{
  rk_buffer_reset(out);
  const uint64_t drops = dropped_rows(ring);
  if (!ring->announced || drops != ring->recorded_drops) {
    put_writer_record(recording, ring, drops, out);
  }
  return drops;
}

/* Writes the first `size` bytes of what is encoded and moves what follows to the front. */
static rk_status flush_record(rk_recording *recording, rk_ring *ring, rk_scratch *scratch, size_t size, rk_error *error)
{
  rk_buffer *out = &scratch->out;
  const rk_status status = rk_append(recording, &scratch->packer, out->data, size, error);
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
  rk_drain *drain = &scratch->drain;
  rk_buffer *out = &scratch->out;
  const rk_drain_names names = names_of(recording);
  rk_drain_target target = target_of(recording, ring);
  const uint64_t drops = begin_record(recording, ring, out);
  bool failed = false;
  uint32_t encoded = *done;
  for (; encoded < drain->group_count; encoded++) {
    const size_t before = out->size;
    rk_clock_pair(&target.clock_monotonic, &target.clock_realtime);
    const rk_status status =
        rk_drain_encode(drain, &names, source, &target, encoded, ring->chunk_number + encoded, out);
    if (status == RK_ERR_NO_MEMORY) {
      return rk_fail(error, status, RK_NO_OFFSET, "no memory to encode a chunk");
    }
    if (status != RK_OK) {
      failed = true; /* trying again would not help */
    }
    if (out->size > RK_RECORD_SIZE && before > 0) {
      const rk_status written = flush_record(recording, ring, scratch, before, error);
      if (written != RK_OK) {
        return written;
      }
      *done = encoded;
    }
  }
  if (out->size > 0) {
    const rk_status written = flush_record(recording, ring, scratch, out->size, error);
    if (written != RK_OK) {
      return written;
    }
  }
  *done = encoded;
  __atomic_store_n(&ring->recorded_drops, drops, __ATOMIC_RELAXED);
  __atomic_add_fetch(&recording->counts.rows_appended, drain->row_count, __ATOMIC_RELAXED);
  if (failed || drain->damaged) {
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
  rk_drain *drain = &scratch->drain;
  const rk_row_source source = rk_row_source_ring(ring->data, ring->size, tail, end);
  const rk_drain_names names = names_of(recording);
  if (rk_drain_gather(drain, &names, &source) != RK_OK) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to drain a ring");
  }
  if (ring->resume_chunks == 0) {
    struct stat info; /* not lseek: the position is the append's */
    header->intent_file_offset = fstat(recording->fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    header->intent_chunk_number = ring->chunk_number;
  }
  header->intent_end = end;
  header->intent_first_row = drain->first_row;
  header->intent_row_count = drain->row_count;
  __atomic_store_n(&header->intent_begin, tail, __ATOMIC_RELEASE);
  uint32_t done = ring->resume_chunks;
  const rk_status status = append_groups(recording, ring, &source, scratch, &done, error);
  if (status != RK_OK) {
    ring->resume_end = end;
    ring->resume_chunks = done;
    return status;
  }
  ring->resume_chunks = 0;
  if (end - tail >= ring->size / 4 && ring->size < ring->size_max) { /* its size told when to drain */
    const size_t chunks = drain->group_count;
    __atomic_store_n(&ring->cramped, drain->row_count < CHUNK_ROWS_MIN * chunks && end - tail < CHUNK_SIZE_MIN * chunks,
                     __ATOMIC_RELAXED);
  }
  ring->chunk_number += (uint32_t)drain->group_count;
  __atomic_store_n(&header->chunk_number, ring->chunk_number, __ATOMIC_RELEASE); /* before the tail */
  __atomic_store_n(&header->tail, end, __ATOMIC_RELEASE);
  return RK_OK;
}

rk_status rk_ring_drain_locked(rk_recording *recording, rk_ring *ring, rk_error *error)
{
  if (ring->header == NULL) {
    return RK_OK;
  }
  const uint64_t head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
  if (head == ring->header->tail && rk_ring_told_drops(ring)) {
    return RK_OK;
  }
  const rk_status refused = rk_append_probe(recording, error);
  if (refused != RK_OK) {
    return refused;
  }
  rk_scratch *scratch = scratch_take(recording);
  if (scratch == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to drain a ring");
  }
  rk_status status = RK_OK;
  if (head == ring->header->tail) { /* nothing but dropped rows to tell of */
    const uint64_t drops = dropped_rows(ring);
    rk_buffer_reset(&scratch->out);
    put_writer_record(recording, ring, drops, &scratch->out);
    status = flush_record(recording, ring, scratch, scratch->out.size, error);
    if (status == RK_OK) {
      __atomic_store_n(&ring->recorded_drops, drops, __ATOMIC_RELAXED);
    }
  }
  for (uint64_t tail; status == RK_OK && (tail = ring->header->tail) < head;) {
    const rk_row_source source = rk_row_source_ring(ring->data, ring->size, tail, head);
    const uint64_t end = ring->resume_chunks > 0 ? ring->resume_end : rk_row_source_pass(&source, false);
    status = drain_pass(recording, ring, end, scratch, error);
  }
  scratch_give(recording, scratch);
  return status;
}

rk_status rk_ring_drain(rk_recording *recording, rk_ring *ring, rk_error *error)
{
  pthread_mutex_lock(&ring->mutex);
  const rk_status status = rk_ring_drain_locked(recording, ring, error);
  pthread_mutex_unlock(&ring->mutex);
  return status;
}

rk_status rk_ring_append_row(rk_recording *recording, rk_ring *ring, const rk_spool_row *row,
                             const rk_drain_cell *cells, size_t cell_count, rk_error *error)
{
  rk_scratch *scratch = scratch_take(recording);
  if (scratch == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to append a row");
  }
  const rk_drain_names names = names_of(recording);
  rk_drain_target target = target_of(recording, ring);
  const uint64_t drops = begin_record(recording, ring, &scratch->out);
  rk_buffer_reserve(recording->compression == RK_COMPRESSION_NONE ? &scratch->out : &scratch->drain.ipc,
                    row->size + 4096); /* at once, as growing copies */
  rk_clock_pair(&target.clock_monotonic, &target.clock_realtime);
  rk_status status =
      rk_drain_encode_row(&scratch->drain, &names, row, cells, cell_count, &target, ring->chunk_number, &scratch->out);
  if (status == RK_OK) {
    status = flush_record(recording, ring, scratch, scratch->out.size, error);
  } else {
    rk_fail(error, status, RK_NO_OFFSET,
            status == RK_ERR_NO_MEMORY ? "no memory to append a row" : "an array is not of its component's type");
  }
  if (status == RK_OK) {
    __atomic_store_n(&ring->recorded_drops, drops, __ATOMIC_RELAXED);
    __atomic_add_fetch(&recording->counts.rows_appended, 1, __ATOMIC_RELAXED);
    ring->chunk_number++;
    ring->header->chunk_number = ring->chunk_number;
  }
  scratch->large_ns = rk_clock(CLOCK_MONOTONIC);
  scratch_give(recording, scratch);
  return status;
}
