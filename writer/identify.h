/* What a file that is to be joined is: reading the beginning and the end of a recording. */
#ifndef RK_WRITER_IDENTIFY_H
#define RK_WRITER_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "rrdkit/status.h"
#include "writer/framing.h"

typedef struct rk_identity {
  const rk_framing *framing;
  char *application_id, *recording_id;
  bool shared;          /* has a recording record */
  int64_t clock_offset; /* of it */
  char boot_id[64];
  uint64_t floor;     /* [0, floor) is sound: up to the recording record's frame; without one all whole frames */
  bool finished;      /* ends with End and footer ... */
  uint64_t end_frame; /* ... from here on */
  bool torn;          /* not shared: something unfinished lies behind floor */
} rk_identity;

/* Reads the file of `size` bytes. Free it whatever is returned. RK_ERR_NOT_RRD, RK_ERR_UNSUPPORTED (cannot be appended
 * to), RK_ERR_IO, RK_ERR_NO_MEMORY. `path` is for messages. */
rk_status rk_identify(int fd, const char *path, uint64_t size, rk_identity *identity, rk_error *error);
/* Whether the file ends with a stream footer, or a unit that does. */
bool rk_is_finished(int fd);
void rk_identity_free(rk_identity *identity);

#endif
