/* The errors that a recording tells its on_error. */
#ifndef RK_TEST_HEARD_H
#define RK_TEST_HEARD_H

#include <pthread.h>

#include "rrdkit/status.h"

typedef struct heard {
  pthread_mutex_t mutex;
  unsigned count;
  rk_error last;
} heard;

static inline void hear(void *context, const rk_error *error)
{
  heard *self = context;
  pthread_mutex_lock(&self->mutex);
  self->count++;
  self->last = *error;
  pthread_mutex_unlock(&self->mutex);
}

#endif
