/* The reader that a command line's inputs and selection make. */
#ifndef TOOLS_INPUTS_H
#define TOOLS_INPUTS_H

#include "tools/operands.h"

/* A file, or a member of an archive. */
typedef struct input {
  const char *path;
  uint64_t size;
} input;

typedef struct inputs {
  rk_reader *reader;
  input *list; /* those that could be read */
  size_t count;
  size_t failed;                                       /* operands that stand for nothing, or could not be read */
  bool quiet;                                          /* no progress bar */
  bool told;                                           /* losses have been: they are not told again */
  void (*on_loss)(void *context, const rk_loss *loss); /* told of each loss too; NULL: nobody */
  void *context;
  operands operands;
  struct {
    uint64_t total, before; /* of all operands; of those already scanned */
  } scan;
} inputs;

/* Expands the operands, opens a reader, adds every input (one that fails is reported and left out, and makes the exit
 * code 1, or 3 where that is `tolerated` and others can be read) and applies the selection. False: nothing can be read;
 * reported. `*in` must stay where it is. */
bool inputs_open(inputs *in, const selection *s, char **operand, size_t count, bool tolerated);
/* The same in two steps, between which on_loss, context and quiet may be set. */
void inputs_expand(inputs *in, const selection *s, char **operand, size_t count, bool tolerated);
bool inputs_read(inputs *in, const selection *s, bool tolerated);
/* Of the selection, which must not speak of times or writers, only rows at `since_ns` or later. */
bool inputs_begin_at(inputs *in, const selection *s, int64_t since_ns);
void inputs_free(inputs *in);

#endif
