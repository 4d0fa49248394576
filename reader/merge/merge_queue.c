/* Chunks on their way out. They leave in the order of their last rows' keys; one that turned out late may still come
 * before others that are made already, so those wait, in memory or, when that is too much, in a temporary file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/error.h"
#include "reader/file_io.h"
#include "reader/input/temporary.h"
#include "reader/merge/merge_internal.h"

/* Bytes of frames that wait in memory. */
enum { WAITING_MAX = 16 << 20 };

bool rk_merge_queue_init(rk_merge_queue *q, unsigned threads)
{
  q->fd = -1;
  q->ring_size = threads < 2 ? 1 : 2 * (size_t)threads + 2;
  q->ring = calloc(q->ring_size, sizeof(rk_merge_item *));
  return q->ring != NULL;
}

static int compare_items(const rk_merge_item *a, const rk_merge_item *b)
{
  if (a->leave_key != b->leave_key) {
    return a->leave_key < b->leave_key ? -1 : 1;
  }
  int order = rk_tuid_compare(a->id, b->id);
  if (order != 0 || a->store == b->store) {
    return order != 0 ? order : (a->entity_hash > b->entity_hash) - (a->entity_hash < b->entity_hash);
  }
  order = (int)a->store->kind - (int)b->store->kind;
  order = order != 0 ? order : strcmp(a->store->application_id, b->store->application_id);
  return order != 0 ? order : strcmp(a->store->recording_id, b->store->recording_id);
}

/* ---- Work ---- */

/* Its work is done: what it was made from goes. */
static void settle(rk_merge *m, rk_merge_item *item)
{
  item->stage = RK_ITEM_SETTLED;
  if (item->chunk != NULL) {
    rk_merge_recycle(m, item->place, item->chunk);
    item->chunk = NULL;
    m->queue.waiting_size += item->bytes.size;
  }
}

/* The oldest item that the pool has. */
static void settle_oldest(rk_merge *m)
{
  rk_merge_queue *q = &m->queue;
  rk_merge_item *item = q->ring[q->ring_start];
  rk_pool_wait(m->pool, &item->task);
  q->ring_start = (q->ring_start + 1) % q->ring_size;
  q->running--;
  settle(m, item);
}

static void hand_in(rk_merge *m, rk_merge_item *item)
{
  rk_merge_queue *q = &m->queue;
  item->task.run = rk_merge_item_work;
  rk_merge_item_prepare(item);
  if (rk_pool_threads(m->pool) == 1) {
    rk_merge_item_work(&item->task);
    settle(m, item);
    return;
  }
  while (q->running == q->ring_size) {
    settle_oldest(m);
  }
  item->stage = RK_ITEM_RUNNING;
  q->ring[(q->ring_start + q->running++) % q->ring_size] = item;
  rk_pool_submit(m->pool, &item->task);
}

/* ---- Waiting ---- */

static void sift_up(rk_merge_item **heap, size_t at)
{
  rk_merge_item *moving = heap[at];
  while (at > 0 && compare_items(moving, heap[(at - 1) / 2]) < 0) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = moving;
}

static rk_merge_item *take_first(rk_merge_queue *q)
{
  rk_merge_item *first = q->heap[0];
  rk_merge_item *moving = q->heap[--q->heap_count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < q->heap_count; at = child) {
    if (child + 1 < q->heap_count && compare_items(q->heap[child + 1], q->heap[child]) < 0) {
      child++;
    }
    if (compare_items(q->heap[child], moving) >= 0) {
      break;
    }
    q->heap[at] = q->heap[child];
  }
  q->heap[at] = moving;
  return first;
}

/* Moves made frames that wait from memory to the file. */
static rk_status unload(rk_merge *m, rk_error *error)
{
  rk_merge_queue *q = &m->queue;
  if (q->fd < 0 && (q->fd = rk_temporary_file(m->reader->temporary_directory)) < 0) {
    return rk_fail_errno(error, errno, "cannot make a temporary file");
  }
  for (size_t i = 0; i < q->heap_count; i++) {
    rk_merge_item *item = q->heap[i];
    if (item->stage != RK_ITEM_SETTLED || item->bytes.size == 0) {
      continue;
    }
    if (rk_file_write(q->fd, item->bytes.data, item->bytes.size, q->file_size) != RK_OK) {
      return rk_fail_errno(error, errno, "cannot write a temporary file");
    }
    item->in_file = true;
    item->file_offset = q->file_size;
    q->file_size += item->bytes.size;
    m->reader->stats.spilled_size += item->bytes.size;
    q->waiting_size -= item->bytes.size;
    rk_buffer_free(&item->bytes);
    item->frame = NULL;
  }
  return RK_OK;
}

static rk_status load(rk_merge *m, rk_merge_item *item, rk_error *error)
{
  uint8_t *bytes = rk_buffer_extend(&item->bytes, (size_t)item->frame_size);
  if (bytes == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  if (rk_file_read(m->queue.fd, bytes, (size_t)item->frame_size, item->file_offset) != RK_OK) {
    return rk_fail_errno(error, errno, "cannot read a temporary file");
  }
  item->frame = bytes;
  m->queue.waiting_size += item->frame_size;
  return RK_OK;
}

/* ---- Leaving ---- */

static rk_status write_item(rk_merge *m, rk_merge_item *item, rk_error *error)
{
  rk_status status = item->status;
  const rk_entry *entry = item->entry;
  if (status != RK_OK && entry != NULL && status != RK_ERR_NO_MEMORY && status != RK_ERR_IO) {
    rk_reader_lose(m->reader, entry->input, entry->offset, entry->size, status,
                   item->error.message[0] != '\0' ? item->error.message : rk_status_text(status), entry->writer);
    return RK_OK;
  }
  if (status != RK_OK) {
    if (error != NULL) {
      *error = item->error;
      error->status = status;
    }
    return status;
  }
  status = item->in_file ? load(m, item, error) : RK_OK;
  status = status == RK_OK ? rk_merge_file_put_chunk(&m->file, item->store, item->frame, (size_t)item->frame_size,
                                                     &item->summary, item->uncompressed_size, error)
                           : status;
  if (status == RK_OK) {
    m->report.rows += item->summary.row_count;
    m->report.chunks++;
    m->report.passed_chunks += entry != NULL;
    m->report.passed_bytes += entry != NULL ? item->frame_size : 0;
    m->report.undecoded_chunks += item->undecoded;
  }
  return status;
}

static void drop(rk_merge *m, rk_merge_item *item)
{
  if (item->stage == RK_ITEM_SETTLED && item->entry == NULL) {
    m->queue.waiting_size -= item->bytes.size;
  }
  if (item->chunk != NULL) {
    rk_merge_chunk_free(item->chunk);
  }
  rk_merge_item_free(item);
}

/* Writes what is leaving and made; waits for it where more than `allowed` are leaving. */
static rk_status write_leaving(rk_merge *m, size_t allowed, rk_error *error)
{
  rk_merge_queue *q = &m->queue;
  rk_status status = RK_OK;
  while (q->first_leaving != NULL && status == RK_OK) {
    rk_merge_item *item = q->first_leaving;
    const bool wait = q->leaving_count > allowed;
    while (item->stage == RK_ITEM_RUNNING && (wait || rk_pool_is_done(m->pool, &q->ring[q->ring_start]->task))) {
      settle_oldest(m);
    }
    if (item->stage != RK_ITEM_SETTLED) {
      break;
    }
    q->first_leaving = item->after;
    q->last_leaving = q->first_leaving == NULL ? NULL : q->last_leaving;
    q->leaving_count--;
    status = write_item(m, item, error);
    drop(m, item);
  }
  return status;
}

static rk_status leave(rk_merge *m, rk_merge_item *item, rk_error *error)
{
  rk_merge_queue *q = &m->queue;
  if (q->last_leaving == NULL) {
    q->first_leaving = item;
  } else {
    q->last_leaving->after = item;
  }
  q->last_leaving = item;
  q->leaving_count++;
  if (item->stage == RK_ITEM_NEW) {
    hand_in(m, item);
  }
  return write_leaving(m, q->ring_size, error);
}

rk_status rk_merge_queue_put(rk_merge *m, rk_merge_item *item, rk_error *error)
{
  rk_merge_queue *q = &m->queue;
  if (!rk_array_grow((void **)&q->heap, &q->heap_capacity, q->heap_count + 1, sizeof(rk_merge_item *))) {
    drop(m, item);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "out of memory while merging");
  }
  q->heap[q->heap_count++] = item;
  sift_up(q->heap, q->heap_count - 1);
  if (item->chunk != NULL) { /* what passes is looked at when it leaves */
    hand_in(m, item);
  }
  return q->waiting_size > WAITING_MAX ? unload(m, error) : RK_OK;
}

rk_status rk_merge_queue_put_last(rk_merge *m, rk_merge_item *item, rk_error *error)
{
  return leave(m, item, error);
}

rk_status rk_merge_queue_release(rk_merge *m, int64_t key, bool all, rk_error *error)
{
  rk_merge_queue *q = &m->queue;
  rk_status status = RK_OK;
  while (q->heap_count > 0 && (all || q->heap[0]->leave_key < key) && status == RK_OK) {
    status = leave(m, take_first(q), error);
  }
  return status;
}

rk_status rk_merge_queue_flush(rk_merge *m, rk_error *error)
{
  return write_leaving(m, 0, error);
}

void rk_merge_queue_free(rk_merge *m)
{
  rk_merge_queue *q = &m->queue;
  while (q->running > 0) {
    rk_merge_item *item = q->ring[q->ring_start];
    (void)rk_pool_cancel(m->pool, &item->task);
    q->ring_start = (q->ring_start + 1) % q->ring_size;
    q->running--;
  }
  while (q->heap_count > 0) {
    drop(m, q->heap[--q->heap_count]);
  }
  while (q->first_leaving != NULL) {
    rk_merge_item *item = q->first_leaving;
    q->first_leaving = item->after;
    drop(m, item);
  }
  free((void *)q->heap);
  free((void *)q->ring);
  if (q->fd >= 0) {
    close(q->fd);
  }
}
