/* A hash table from a 64-bit hash to pointers, and the interning of texts on top of it. */
#ifndef RK_READER_TABLE_H
#define RK_READER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/arena.h"

/* Zero-initialise. Values are never NULL and never removed. */
typedef struct rk_table {
  uint64_t *hashes;
  void **values; /* NULL: free */
  size_t capacity;
  size_t count;
} rk_table;

typedef bool rk_table_same(const void *value, const void *key);

/* The value of that hash for which same(value, key), or NULL. */
void *rk_table_find(const rk_table *table, uint64_t hash, rk_table_same *same, const void *key);
/* Adds a value that is not there yet. False when memory is short. */
bool rk_table_add(rk_table *table, uint64_t hash, void *value);
void rk_table_free(rk_table *table); /* back to zero; the values are the caller's */

/* Texts, each kept once: equal texts are equal pointers. `seed` keeps hostile texts from colliding on purpose. */
typedef struct rk_names {
  rk_table table;
  rk_arena arena;
  uint64_t seed;
} rk_names;

/* NULL when memory is short. */
const char *rk_names_add(rk_names *names, const char *text, size_t size);
void rk_names_free(rk_names *names);

#endif
