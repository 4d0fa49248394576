/* The process's open recordings, what fork does to them, and their end at process exit. */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "format/error.h"
#include "writer/heal.h"
#include "writer/identify.h"
#include "writer/writer_internal.h"

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static rk_recording *list; /* open or closed, not freed */
static uint64_t numbers;   /* atomic; unique numbers and serials */
static bool has_barrier;
static int handlers_status; /* of registering them */
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;

uint64_t rk_process_serial(void)
{
  return __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
}

void rk_process_barrier(void)
{
  if (!has_barrier || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    /* A store becomes visible within the time that a context switch takes. */
    const struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
  }
}

static void close_all(void)
{
  for (;;) {
    pthread_mutex_lock(&list_mutex);
    rk_recording *open = list;
    while (open != NULL) {
      pthread_mutex_lock(&open->mutex);
      const bool closed = open->closed;
      pthread_mutex_unlock(&open->mutex);
      if (!closed) {
        break;
      }
      open = open->next;
    }
    if (open != NULL) {
      __atomic_add_fetch(&open->references, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&list_mutex);
    if (open == NULL) {
      return;
    }
    rk_recording_close(open);
    rk_recording_release(open);
  }
}

/* Before fork: nobody is inside what the child will use. */
static void before_fork(void)
{
  pthread_mutex_lock(&list_mutex);
  for (rk_recording *recording = list; recording != NULL; recording = recording->next) {
    pthread_mutex_lock(&recording->close_mutex);
    pthread_mutex_lock(&recording->mutex);
  }
}

static void after_fork_parent(void)
{
  for (rk_recording *recording = list; recording != NULL; recording = recording->next) {
    pthread_mutex_unlock(&recording->mutex);
    pthread_mutex_unlock(&recording->close_mutex);
  }
  pthread_mutex_unlock(&list_mutex);
}

/* The child's descriptors share the parent's locks: it gets its own and lets go of those, so that a dead parent does
 * not look alive. */
static void reopen(rk_recording *recording)
{
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", recording->fd);
  int fd = open(link, O_RDWR | O_APPEND | O_CLOEXEC);
  if (fd < 0) {
    fd = open(recording->path, O_RDWR | O_APPEND | O_CLOEXEC);
  }
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  bool seamless = fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0;
  close(recording->fd);
  recording->fd = fd;
  rk_heal_close(recording);
  /* The parent may have left meanwhile and finished the recording: then it is joined like any other. */
  seamless = seamless && !rk_is_finished(fd);
  if (fd >= 0 &&
      ((!seamless && rk_recording_reattach(recording, fd, NULL) != RK_OK) || rk_heal_open(recording, NULL) != RK_OK)) {
    close(fd);
    recording->fd = -1; /* appends fail */
  }
}

/* A writer with nothing yet: the rows, rings and spool of before are the parent's. */
static void begin_anew(rk_recording *recording)
{
  rk_threads_forget_after_fork(recording);
  rk_scratches_forget_after_fork(recording);
  for (size_t i = 0; i < recording->rings.count; i++) {
    free(recording->rings.items[i]); /* the mapping was not inherited (MADV_DONTFORK) */
  }
  recording->rings.count = 0;
  recording->ring_count = 0;
  recording->rings_size = 0;
  memset(recording->builtin_defined, 0, sizeof recording->builtin_defined);
  recording->counts = (rk_counts){0};
  recording->reported = (rk_error){0};
  recording->refused = false;
  if (recording->definitions_fd >= 0) {
    close(recording->definitions_fd);
    recording->definitions_fd = -1;
  }
  if (recording->adopt_fd >= 0) { /* the parent's thread goes on with it */
    close(recording->adopt_fd);
    recording->adopt_fd = -1;
  }
  reopen(recording);
  __atomic_store_n(&recording->serial, rk_process_serial(), __ATOMIC_RELEASE);
}

static void after_fork_child(void)
{
  for (rk_recording *recording = list; recording != NULL; recording = recording->next) {
    pthread_mutex_init(&recording->append_mutex, NULL); /* may have been held by a thread that is no more */
    pthread_mutex_init(&recording->adopt_mutex, NULL);
    recording->set_aside = (rk_buffer){0}; /* may have been growing */
    pthread_mutex_init(&recording->background_mutex, NULL);
    pthread_cond_init(&recording->background_wake, NULL);
    recording->background_runs = false;
    recording->background_stops = false;
    recording->background_error = (rk_error){0};
    __atomic_store_n(&recording->references, 1, __ATOMIC_RELAXED);
    if (!recording->closed) {
      begin_anew(recording);
    }
  }
  after_fork_parent(); /* what this thread locked before the fork */
}

static void register_handlers(void)
{
  has_barrier = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  handlers_status = pthread_atfork(before_fork, after_fork_parent, after_fork_child) != 0 || atexit(close_all) != 0;
}

rk_status rk_process_add(rk_recording *recording, const rk_recording_options *options, bool *created, rk_error *error)
{
  pthread_once(&handlers_once, register_handlers);
  if (handlers_status != 0) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for process handlers");
  }
  recording->unique = rk_process_serial();
  recording->serial = rk_process_serial();
  pthread_mutex_lock(&list_mutex); /* a fork meanwhile would leave the child with a descriptor nobody knows of */
  rk_status status = rk_recording_attach(recording, options, created, error);
  status = status != RK_OK ? status : rk_heal_open(recording, error);
  if (status == RK_OK) {
    recording->next = list;
    list = recording;
  }
  pthread_mutex_unlock(&list_mutex);
  return status;
}

void rk_process_remove(rk_recording *recording)
{
  pthread_mutex_lock(&list_mutex);
  for (rk_recording **at = &list; *at != NULL; at = &(*at)->next) {
    if (*at == recording) {
      *at = recording->next;
      break;
    }
  }
  pthread_mutex_unlock(&list_mutex);
}

rk_recording *rk_process_find(uint64_t unique)
{
  pthread_mutex_lock(&list_mutex);
  rk_recording *found = list;
  while (found != NULL && found->unique != unique) {
    found = found->next;
  }
  if (found != NULL) {
    __atomic_add_fetch(&found->references, 1, __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&list_mutex);
  return found;
}

bool rk_process_knows(uint64_t unique)
{
  pthread_mutex_lock(&list_mutex);
  const rk_recording *found = list;
  while (found != NULL && found->unique != unique) {
    found = found->next;
  }
  pthread_mutex_unlock(&list_mutex);
  return found != NULL;
}
