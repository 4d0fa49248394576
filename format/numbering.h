/* A set of byte strings, numbered in the order in which they came: the map behind manifests and merging. */
#ifndef RK_FORMAT_NUMBERING_H
#define RK_FORMAT_NUMBERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/arena.h"
#include "rrdkit/status.h"

typedef struct rk_numbering_entry {
  uint64_t hash;
  const void *key; /* in the numbering's arena */
  size_t key_size;
} rk_numbering_entry;

/* Zero-initialise: `rk_numbering n = {0};`. */
typedef struct rk_numbering {
  rk_arena arena;
  uint32_t *slots; /* entry number + 1; 0: free */
  size_t slot_count;
  rk_numbering_entry *entries;
  size_t count, capacity;
} rk_numbering;

#define RK_NUMBERING_NONE SIZE_MAX

/* The number of `key`, RK_NUMBERING_NONE when it is not there. */
size_t rk_numbering_find(const rk_numbering *numbering, const void *key, size_t key_size);
/* The number of `key`, which is copied and gets the next number if it is new. RK_ERR_NO_MEMORY, RK_ERR_LIMIT. */
rk_status rk_numbering_put(rk_numbering *numbering, const void *key, size_t key_size, size_t *number, bool *added);
void rk_numbering_free(rk_numbering *numbering);

/* Makes room for `needed` elements of `size` bytes in the array at *items, whose capacity is *capacity. */
bool rk_array_grow(void **items, size_t *capacity, size_t needed, size_t size);

#endif
