/* A pool of threads around one queue. */
#include "reader/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

enum { THREADS_MAX = 256 };

struct rk_pool {
  pthread_mutex_t mutex;
  pthread_cond_t queued; /* or closing */
  pthread_cond_t done;
  rk_task *first, *last;
  unsigned waiting; /* threads in rk_pool_wait */
  bool closing;
  unsigned thread_count; /* without the owner's */
  pthread_t threads[];
};

/* The mutex is held before and after. */
static void run_first(rk_pool *pool)
{
  rk_task *task = pool->first;
  pool->first = task->next;
  pool->last = pool->first == NULL ? NULL : pool->last;
  task->state = RK_TASK_RUNNING;
  pthread_mutex_unlock(&pool->mutex);
  task->run(task);
  pthread_mutex_lock(&pool->mutex);
  task->state = RK_TASK_DONE;
  if (pool->waiting > 0) {
    pthread_cond_broadcast(&pool->done);
  }
}

static void *work(void *context)
{
  rk_pool *pool = context;
  pthread_mutex_lock(&pool->mutex);
  while (!pool->closing) {
    if (pool->first != NULL) {
      run_first(pool);
    } else {
      pthread_cond_wait(&pool->queued, &pool->mutex);
    }
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

rk_pool *rk_pool_new(unsigned threads)
{
  const unsigned wanted = threads < 2 ? 0 : threads > THREADS_MAX ? THREADS_MAX - 1 : threads - 1;
  rk_pool *pool = calloc(1, sizeof *pool + wanted * sizeof *pool->threads);
  if (pool == NULL) {
    return NULL;
  }
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->queued, NULL);
  pthread_cond_init(&pool->done, NULL);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->thread_count < wanted && pthread_create(&pool->threads[pool->thread_count], NULL, work, pool) == 0) {
    pool->thread_count++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pool;
}

unsigned rk_pool_threads(const rk_pool *pool)
{
  return pool->thread_count + 1;
}

void rk_pool_free(rk_pool *pool)
{
  if (pool == NULL) {
    return;
  }
  pthread_mutex_lock(&pool->mutex);
  pool->closing = true;
  pthread_cond_broadcast(&pool->queued);
  pthread_mutex_unlock(&pool->mutex);
  for (unsigned i = 0; i < pool->thread_count; i++) {
    pthread_join(pool->threads[i], NULL);
  }
  pthread_mutex_destroy(&pool->mutex);
  pthread_cond_destroy(&pool->queued);
  pthread_cond_destroy(&pool->done);
  free(pool);
}

void rk_pool_submit(rk_pool *pool, rk_task *task)
{
  pthread_mutex_lock(&pool->mutex);
  task->state = RK_TASK_QUEUED;
  task->next = NULL;
  if (pool->first == NULL) {
    pool->first = task;
  } else {
    pool->last->next = task;
  }
  pool->last = task;
  pthread_cond_signal(&pool->queued);
  pthread_mutex_unlock(&pool->mutex);
}

void rk_pool_wait(rk_pool *pool, rk_task *task)
{
  pthread_mutex_lock(&pool->mutex);
  while (task->state == RK_TASK_QUEUED || task->state == RK_TASK_RUNNING) {
    if (pool->first !=
        NULL) { /* what is queued before `task` must run before it anyway; after it, it passes the time */
      run_first(pool);
    } else {
      pool->waiting++;
      pthread_cond_wait(&pool->done, &pool->mutex);
      pool->waiting--;
    }
  }
  pthread_mutex_unlock(&pool->mutex);
}

bool rk_pool_is_done(rk_pool *pool, rk_task *task)
{
  pthread_mutex_lock(&pool->mutex);
  const bool done = task->state == RK_TASK_DONE;
  pthread_mutex_unlock(&pool->mutex);
  return done;
}

static bool unlink_task(rk_pool *pool, rk_task *task)
{
  rk_task *before = NULL;
  for (rk_task *at = pool->first; at != NULL; before = at, at = at->next) {
    if (at != task) {
      continue;
    }
    if (before == NULL) {
      pool->first = at->next;
    } else {
      before->next = at->next;
    }
    pool->last = pool->last == at ? before : pool->last;
    return true;
  }
  return false;
}

bool rk_pool_cancel(rk_pool *pool, rk_task *task)
{
  pthread_mutex_lock(&pool->mutex);
  const bool taken = task->state == RK_TASK_QUEUED && unlink_task(pool, task);
  if (taken) {
    task->state = RK_TASK_IDLE;
  }
  while (task->state == RK_TASK_RUNNING) {
    pool->waiting++;
    pthread_cond_wait(&pool->done, &pool->mutex);
    pool->waiting--;
  }
  pthread_mutex_unlock(&pool->mutex);
  return taken;
}
