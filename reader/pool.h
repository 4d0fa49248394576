/* A small pool of threads for work that can be done aside: decoding ahead, encoding, compressing. Tasks are run in the
 * order of handing in, at most one thread each; whoever waits for one helps. So the owner keeps its tasks in a ring,
 * hands in at one end and waits at the other, and its results have the order in which they were asked for, however many
 * threads there are. */
#ifndef RK_POOL_H
#define RK_POOL_H

#include <stdbool.h>

/* Put it first into what the work needs; the owner keeps it until the task has been waited for or taken back. */
typedef struct rk_task {
  void (*run)(struct rk_task *task); /* on any thread; must not call the pool */
  /* The pool's own. */
  struct rk_task *next;
  enum { RK_TASK_IDLE, RK_TASK_QUEUED, RK_TASK_RUNNING, RK_TASK_DONE } state;
} rk_task;

typedef struct rk_pool rk_pool;

/* `threads` counts the owner's: 1 makes no thread at all, and tasks are run by those who wait for them. Fewer threads
 * than that when the system has no more to give. Signals are left to the owner's threads. NULL when memory is short. */
rk_pool *rk_pool_new(unsigned threads);
/* Threads, the owner's included. */
unsigned rk_pool_threads(const rk_pool *pool);
/* Ends the threads; tasks that were not begun are not run. No task may be handed in meanwhile. NULL is allowed. */
void rk_pool_free(rk_pool *pool);

/* Hands in a task that is idle or done. What its memory holds by now is seen by run. */
void rk_pool_submit(rk_pool *pool, rk_task *task);
/* Returns once a task that was handed in is done: runs it, or others that wait, on this thread while that lasts. What
 * run left in its memory is seen from then on. */
void rk_pool_wait(rk_pool *pool, rk_task *task);
/* Whether it is done, without waiting; then as after rk_pool_wait. */
bool rk_pool_is_done(rk_pool *pool, rk_task *task);
/* Takes a task back: true when it was not begun and now never will be; false when it is done (after waiting for it) or
 * was never handed in. */
bool rk_pool_cancel(rk_pool *pool, rk_task *task);

#endif
