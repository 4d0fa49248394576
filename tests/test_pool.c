/* The pool of threads: every task once, results in the order of asking, tasks taken back, an end at any time. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "reader/pool.h"

typedef struct job {
  rk_task task;
  uint64_t in, out;
  unsigned runs;
} job;

static void square(rk_task *task)
{
  job *j = (job *)task;
  uint64_t sum = 0;
  for (uint64_t i = 0; i < j->in % 1000; i++) { /* some take longer than others */
    sum += i;
  }
  j->out = j->in * j->in + (sum == UINT64_MAX);
  j->runs++;
}

static void test_ring(void **state)
{
  (void)state;
  enum { RING = 8, TOTAL = 20000 };
  for (unsigned threads = 1; threads <= 4; threads++) {
    rk_pool *pool = rk_pool_new(threads);
    assert_non_null(pool);
    assert_in_range(rk_pool_threads(pool), 1, threads);
    job ring[RING] = {0};
    for (uint64_t i = 0; i < TOTAL + RING; i++) {
      job *j = &ring[i % RING];
      if (i >= RING) {
        rk_pool_wait(pool, &j->task);
        assert_true(rk_pool_is_done(pool, &j->task));
        assert_int_equal(j->in, i - RING);
        assert_int_equal(j->out, (i - RING) * (i - RING));
        assert_int_equal(j->runs, i / RING);
      }
      if (i < TOTAL) {
        j->in = i;
        j->task.run = square;
        rk_pool_submit(pool, &j->task);
      }
    }
    rk_pool_free(pool);
  }
}

/* Without threads nothing runs before it is waited for; what is waited for runs with all that came before it. */
static void test_alone(void **state)
{
  (void)state;
  rk_pool *pool = rk_pool_new(1);
  assert_int_equal(rk_pool_threads(pool), 1);
  job jobs[3] = {{.task.run = square, .in = 2}, {.task.run = square, .in = 3}, {.task.run = square, .in = 4}};
  for (size_t i = 0; i < 3; i++) {
    rk_pool_submit(pool, &jobs[i].task);
  }
  assert_false(rk_pool_is_done(pool, &jobs[0].task));
  rk_pool_wait(pool, &jobs[1].task);
  assert_int_equal(jobs[0].out, 4);
  assert_int_equal(jobs[1].out, 9);
  assert_int_equal(jobs[2].runs, 0);
  rk_pool_free(pool);
  assert_int_equal(jobs[2].runs, 0);
}

static void test_cancel(void **state)
{
  (void)state;
  rk_pool *pool = rk_pool_new(1);
  job jobs[4] = {{.task.run = square, .in = 2}, {.task.run = square, .in = 3}, {.task.run = square, .in = 4}};
  assert_false(rk_pool_cancel(pool, &jobs[3].task)); /* never handed in */
  for (size_t i = 0; i < 3; i++) {
    rk_pool_submit(pool, &jobs[i].task);
  }
  assert_true(rk_pool_cancel(pool, &jobs[1].task));
  assert_true(rk_pool_cancel(pool, &jobs[2].task)); /* the last of the queue */
  rk_pool_submit(pool, &jobs[1].task);
  rk_pool_wait(pool, &jobs[1].task);
  assert_int_equal(jobs[0].runs, 1);
  assert_int_equal(jobs[1].runs, 1);
  assert_int_equal(jobs[2].runs, 0);
  assert_false(rk_pool_cancel(pool, &jobs[0].task)); /* done */
  rk_pool_free(pool);
}

/* With threads: taken back or done, never both; and an end while the queue is full. */
static void test_cancel_racing(void **state)
{
  (void)state;
  enum { JOBS = 64 };
  for (unsigned round = 0; round < 200; round++) {
    rk_pool *pool = rk_pool_new(3);
    job jobs[JOBS] = {0};
    for (size_t i = 0; i < JOBS; i++) {
      jobs[i].in = i;
      jobs[i].task.run = square;
      rk_pool_submit(pool, &jobs[i].task);
    }
    for (size_t i = JOBS; i-- > JOBS / 2;) {
      const bool taken = rk_pool_cancel(pool, &jobs[i].task);
      assert_int_equal(jobs[i].runs, taken ? 0 : 1);
    }
    rk_pool_free(pool);
    for (size_t i = 0; i < JOBS; i++) {
      assert_in_range(jobs[i].runs, 0, 1);
    }
  }
}

static atomic_int handled_elsewhere;
static pthread_t owner;

static void on_signal(int number)
{
  (void)number;
  handled_elsewhere |= !pthread_equal(pthread_self(), owner);
}

/* A tool's handlers run on its own threads. */
static void test_signals(void **state)
{
  (void)state;
  owner = pthread_self();
  struct sigaction before;
  assert_int_equal(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, &before), 0);
  rk_pool *pool = rk_pool_new(4);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
  }
  rk_pool_free(pool);
  assert_int_equal(handled_elsewhere, 0);
  sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ring),          cmocka_unit_test(test_alone),   cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_cancel_racing), cmocka_unit_test(test_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
