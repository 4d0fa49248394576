/* A hash table from a 64-bit hash to pointers, and the interning of texts on top of it. */
#include "reader/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void *rk_table_find(const rk_table *table, uint64_t hash, rk_table_same *same, const void *key)
{
  if (table->capacity == 0) {
    return NULL;
  }
  const size_t mask = table->capacity - 1;
  for (size_t i = (size_t)hash & mask; table->values[i]; i = (i + 1) & mask) {
    if (table->hashes[i] == hash && same(table->values[i], key)) {
      return table->values[i];
    }
  }
  return NULL;
}

static void place(rk_table *table, uint64_t hash, void *value)
{
  const size_t mask = table->capacity - 1;
  size_t i = (size_t)hash & mask;
  while (table->values[i]) {
    i = (i + 1) & mask;
  }
  table->hashes[i] = hash;
  table->values[i] = value;
}

bool rk_table_add(rk_table *table, uint64_t hash, void *value)
{
  if (table->count * 2 >= table->capacity) {
    rk_table larger = {.capacity = table->capacity ? table->capacity * 2 : 64, .count = table->count};
    larger.hashes = calloc(larger.capacity, sizeof *larger.hashes);
    larger.values = calloc(larger.capacity, sizeof *larger.values);
    if (!larger.hashes || !larger.values) {
      rk_table_free(&larger);
      return false;
    }
    for (size_t i = 0; i < table->capacity; i++) {
      if (table->values[i]) {
        place(&larger, table->hashes[i], table->values[i]);
      }
    }
    rk_table_free(table);
    *table = larger;
  }
  place(table, hash, value);
  table->count++;
  return true;
}

void rk_table_free(rk_table *table)
{
  free(table->hashes);
  free(table->values);
  *table = (rk_table){0};
}

typedef struct text_key {
  const char *text;
  size_t size;
} text_key;

static bool same_text(const void *value, const void *key)
{
  const text_key *k = key;
  return strncmp(value, k->text, k->size) == 0 && ((const char *)value)[k->size] == '\0';
}

const char *rk_names_add(rk_names *names, const char *text, size_t size)
{
  const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
  const text_key key = {.text = text ? text : "", .size = nul ? (size_t)(nul - text) : size};
  const uint64_t hash = XXH3_64bits_withSeed(key.text, key.size, names->seed);
  const char *found = rk_table_find(&names->table, hash, same_text, &key);
  if (found) {
    return found;
  }
  char *copy = rk_arena_text(&names->arena, key.text, key.size);
  return copy && rk_table_add(&names->table, hash, copy) ? copy : NULL;
}

void rk_names_free(rk_names *names)
{
  rk_table_free(&names->table);
  rk_arena_free(&names->arena);
}
