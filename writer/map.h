/* A hash table from byte strings to pointers; keys are lent, nothing is ever removed. */
#ifndef RK_WRITER_MAP_H
#define RK_WRITER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rk_map_entry {
  uint64_t hash;
  const void *key;
  size_t key_size;
  void *value; /* NULL: empty place */
} rk_map_entry;

typedef struct rk_map {
  rk_map_entry *entries;
  size_t capacity; /* 0 or a power of two */
  size_t count;
} rk_map;

/* Zero-initialise. */
void *rk_map_get(const rk_map *table, const void *key, size_t key_size);
/* The key, which must not be there yet, has to outlive the table; `value` is not NULL. False: memory is short. */
bool rk_map_put(rk_map *table, const void *key, size_t key_size, void *value);
/* Room for one more: the next put does not fail. */
bool rk_map_reserve(rk_map *table);
void rk_map_free(rk_map *table);

#endif
