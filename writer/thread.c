/* What a thread has of a recording: its ring, its times, its caches; made at first use, given back when it ends. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/writer_internal.h"

_Thread_local rk_thread *rk_thread_current __attribute__((tls_model("initial-exec")));
static _Thread_local rk_thread *thread_list __attribute__((tls_model("initial-exec")));

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool exit_key_made;

static void thread_free(rk_thread *thread)
{
  free(thread->time_values);
  rk_map_free(&thread->entities);
  rk_map_free(&thread->timelines);
  rk_map_free(&thread->time_sets);
  rk_arena_free(&thread->keys);
  free(thread);
}

/* Drains the thread's ring and leaves it to the next thread; what the system refuses stays for the background thread.
 */
static void give_back(rk_recording *recording, rk_thread *thread)
{
  rk_ring *ring = thread->ring;
  if (ring != NULL) {
    rk_error error = {0};
    if (rk_ring_drain(recording, ring, &error) != RK_OK) {
      rk_background_note(recording, &error);
    }
  }
  pthread_mutex_lock(&recording->mutex);
  if (ring != NULL) {
    ring->in_use = false;
  }
  recording->counts.rows_before += thread->row;
  for (size_t i = 0; i < recording->threads.count; i++) {
    if (recording->threads.items[i] == thread) {
      recording->threads.items[i] = recording->threads.items[--recording->threads.count];
      break;
    }
  }
  pthread_mutex_unlock(&recording->mutex);
}

static void thread_exit(void *unused)
{
  (void)unused;
  rk_thread_current = NULL;
  for (rk_thread *thread = thread_list, *next; thread != NULL; thread = next) {
    next = thread->next;
    rk_recording *recording = rk_process_find(thread->unique);
    if (recording != NULL) {
      give_back(recording, thread);
      rk_recording_release(recording);
    }
    thread_free(thread);
  }
  thread_list = NULL;
}

static void make_exit_key(void)
{
  exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
}

static void forget_freed_recordings(void)
{
  for (rk_thread **at = &thread_list; *at != NULL;) {
    rk_thread *thread = *at;
    if (rk_process_knows(thread->unique)) {
      at = &thread->next;
    } else {
      *at = thread->next;
      thread_free(thread);
    }
  }
}

rk_thread *rk_thread_get(rk_recording *recording)
{
  rk_thread *thread = rk_thread_current;
  if (thread != NULL && thread->unique == recording->unique) {
    return thread;
  }
  for (thread = thread_list; thread != NULL; thread = thread->next) {
    if (thread->unique == recording->unique) {
      return rk_thread_current = thread;
    }
  }
  rk_thread_current = NULL;
  forget_freed_recordings();
  pthread_once(&exit_once, make_exit_key);
  thread = calloc(1, sizeof *thread);
  if (thread == NULL || !exit_key_made || pthread_setspecific(exit_key, &thread_list) != 0) {
    free(thread);
    return NULL;
  }
  thread->unique = recording->unique;
  thread->recording = recording;
  pthread_mutex_lock(&recording->mutex);
  const bool added = rk_pointers_add(&recording->threads, thread);
  pthread_mutex_unlock(&recording->mutex);
  if (!added) {
    free(thread);
    return NULL;
  }
  thread->next = thread_list;
  thread_list = thread;
  return rk_thread_current = thread;
}

rk_error *rk_thread_error(rk_recording *recording)
{
  rk_thread *thread = rk_thread_get(recording);
  return thread == NULL ? NULL : &thread->error;
}

/* ---- Rings ---- */

/* A ring that no thread uses and that has nothing to tell any more, or a new one. */
static rk_ring *take_ring(rk_recording *recording, rk_error *error)
{
  pthread_mutex_lock(&recording->mutex);
  rk_ring *ring = NULL;
  if (rk_spool_start(recording, error) != RK_OK) {
    pthread_mutex_unlock(&recording->mutex);
    return NULL;
  }
  for (size_t i = 0; i < recording->rings.count && ring == NULL; i++) {
    rk_ring *free_ring = recording->rings.items[i];
    if (!free_ring->in_use && free_ring->header != NULL &&
        __atomic_load_n(&free_ring->header->tail, __ATOMIC_ACQUIRE) ==
            __atomic_load_n(&free_ring->header->head, __ATOMIC_RELAXED) &&
        rk_ring_told_drops(free_ring)) {
      ring = free_ring;
      ring->in_use = true;
    }
  }
  const uint32_t number = recording->ring_count;
  if (ring == NULL) {
    recording->ring_count++;
  }
  pthread_mutex_unlock(&recording->mutex);
  if (ring != NULL) {
    return ring;
  }
  ring = rk_ring_create(recording, number, error);
  if (ring != NULL) {
    ring->in_use = true;
    pthread_mutex_lock(&recording->mutex);
    const bool added = rk_pointers_add(&recording->rings, ring);
    recording->rings_size += added ? ring->size : 0;
    pthread_mutex_unlock(&recording->mutex);
    if (!added) {
      rk_ring_unmap(ring);
      free(ring);
      rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a ring");
      return NULL;
    }
  }
  return ring;
}

rk_status rk_thread_renew(rk_thread *thread, rk_error *error)
{
  rk_recording *recording = thread->recording;
  rk_ring *ring = thread->ring;
  uint32_t tag = 0;
  while (tag == 0) {
    const rk_status status = rk_random(&tag, sizeof tag, error);
    if (status != RK_OK) {
      return status;
    }
  }
  pthread_mutex_lock(&ring->mutex);
  ring->tag = tag;
  ring->pid = getpid();
  ring->tid = (pid_t)syscall(SYS_gettid);
  if (prctl(PR_GET_NAME, ring->thread_name) != 0) {
    ring->thread_name[0] = '\0';
  }
  rk_clock_pair(&ring->clock_monotonic, &ring->clock_realtime);
  ring->start_ns = ring->clock_monotonic + recording->clock_offset;
  ring->announced = false;
  ring->chunk_number = 0;
  ring->resume_chunks = 0;
  rk_ring_header *header = ring->header;
  __atomic_store_n(&ring->recorded_drops, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&header->dropped_rows, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&header->tag, tag, __ATOMIC_RELEASE); /* then: who dies here leaves no drops of an unknown writer */
  header->announced = 0;
  header->chunk_number = 0;
  thread->tail = thread->head = __atomic_load_n(&header->head, __ATOMIC_RELAXED);
  rk_thread_note_ring(thread);
  pthread_mutex_unlock(&ring->mutex);
  pthread_mutex_lock(&recording->mutex);
  recording->counts.rows_before += thread->row;
  __atomic_store_n(&thread->row, 0, __ATOMIC_RELAXED);
  const rk_status status = rk_define(recording, RK_SPOOL_WRITER, ring, error);
  pthread_mutex_unlock(&recording->mutex);
  return status;
}

static rk_thread *enter(rk_recording *recording, rk_status *status)
{
  rk_thread *thread = rk_thread_get(recording);
  if (thread == NULL) {
    *status = RK_ERR_NO_MEMORY;
    return NULL;
  }
  /* Under the mutex either this thread sees that the recording is closed, or close will see that it is busy. */
  pthread_mutex_lock(&recording->mutex);
  const bool closed = recording->closed;
  const uint64_t serial = __atomic_load_n(&recording->serial, __ATOMIC_RELAXED);
  if (!closed) {
    __atomic_store_n(&thread->busy, 1, __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&recording->mutex);
  if (closed) {
    *status = rk_fail(&thread->error, RK_ERR_MISUSE, RK_NO_OFFSET, "the recording is closed");
    return NULL;
  }
  if (thread->serial == serial) {
    return thread;
  }
  rk_background_start(recording);
  *status = RK_OK;
  if (thread->ring == NULL) {
    thread->ring = take_ring(recording, &thread->error);
    *status = thread->ring == NULL ? thread->error.status : RK_OK;
  }
  if (*status == RK_OK) {
    *status = rk_thread_renew(thread, &thread->error);
  }
  if (*status != RK_OK) {
    __atomic_store_n(&thread->busy, 0, __ATOMIC_RELEASE);
    return NULL;
  }
  thread->serial = serial;
  return thread;
}

rk_thread *rk_thread_enter_slow(rk_recording *recording, rk_status *status)
{
  const int cancel = rk_cancel_off();
  rk_thread *thread = enter(recording, status);
  rk_cancel_restore(cancel);
  return thread;
}

/* What other threads of the process before a fork had. They may have been in the midst of growing it: it is left alone,
 * not freed. */
static rk_thread *forgotten;

void rk_threads_forget_after_fork(rk_recording *recording)
{
  rk_thread *own = NULL;
  for (size_t i = 0; i < recording->threads.count; i++) {
    rk_thread *thread = recording->threads.items[i];
    bool mine = false;
    for (const rk_thread *at = thread_list; at != NULL && !mine; at = at->next) {
      mine = at == thread;
    }
    if (mine) {
      own = thread; /* keeps its times and caches */
      own->serial = 0;
      own->busy = 0;
      own->row = 0;
      own->ring = NULL;
      own->clock = (rk_tick_clock){0}; /* the child's clock may be another: time namespaces */
    } else {
      thread->next = forgotten;
      forgotten = thread;
    }
  }
  recording->threads.count = 0;
  if (own != NULL) {
    recording->threads.items[recording->threads.count++] = own;
  }
}

void rk_thread_await_others(rk_recording *recording)
{
  const rk_thread *own = rk_thread_current;
  for (;;) {
    bool busy = false;
    pthread_mutex_lock(&recording->mutex);
    for (size_t i = 0; i < recording->threads.count; i++) {
      const rk_thread *thread = recording->threads.items[i];
      busy = busy || (thread != own && __atomic_load_n(&thread->busy, __ATOMIC_ACQUIRE) != 0);
    }
    pthread_mutex_unlock(&recording->mutex);
    if (!busy) {
      return;
    }
    const struct timespec pause = {.tv_nsec = 100000};
    nanosleep(&pause, NULL);
  }
}
