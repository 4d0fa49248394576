/* Waiting for what must come, however slow or busy the machine is. */
#ifndef RK_TESTS_PATIENCE_H
#define RK_TESTS_PATIENCE_H

#include <stdbool.h>
#include <time.h>

/* Pauses for a moment. False: what has not come by now will not; `looks`, from 0 on, counts the moments. */
static inline bool be_patient(unsigned *looks)
{
  nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  return ++*looks < 20000; /* 100 s */
}

#endif
