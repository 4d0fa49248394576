/* A set of byte strings, numbered in the order in which they came: the map behind manifests and merging. */
#ifndef RK_FORMAT_TABLE_H
#define RK_FORMAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/arena.h"
#include "rrdkit/status.h"

typedef struct rk_table_entry {
  uint64_t hash;
  const void *key; /* in the table's arena */
  size_t key_size;
} rk_table_entry;

/* Zero-initialise: `rk_table t = {0};`. */
typedef struct rk_table {
  rk_arena arena;
  uint32_t *slots; /* entry number + 1; 0: free */
  size_t slot_count;
  rk_table_entry *entries;
  size_t count, capacity;
} rk_table;

#define RK_TABLE_NONE SIZE_MAX

/* The number of `key`, RK_TABLE_NONE when it is not there. */
size_t rk_table_find(const rk_table *table, const void *key, size_t key_size);
/* The number of `key`, which is copied and gets the next number if it is new. RK_ERR_NO_MEMORY, RK_ERR_LIMIT. */
rk_status rk_table_put(rk_table *table, const void *key, size_t key_size, size_t *number, bool *added);
void rk_table_free(rk_table *table);

/* Makes room for `needed` elements of `size` bytes in the array at *items, whose capacity is *capacity. */
bool rk_array_grow(void **items, size_t *capacity, size_t needed, size_t size);

#endif
