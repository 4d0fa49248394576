/* Who a writer is, in as few words as tell it from the others. */
#ifndef TOOLS_WHO_H
#define TOOLS_WHO_H

#include "rrdkit/reader.h"
#include "tools/out.h"

/* Which properties differ among the writers of a reader. */
typedef struct who {
  bool any, hosts, processes;
  bool programs; /* beyond what process ids tell: told to people, not needed to tell apart */
  bool threads;  /* threads of one process share a name: their ids tell them apart */
} who;

who who_of(const rk_reader *reader);
/* "host:pid:thread/tid", escaped, as much of it as is needed; "-" for NULL. */
void out_who(out *o, const who *w, const rk_writer_info *writer);
/* SGR parameters of the writer's own colour. */
const char *who_style(uint32_t tag);

#endif
