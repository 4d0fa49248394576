/* A hash table from byte strings to pointers, open addressing. */
#include "writer/map.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static size_t place_of(const rk_map_entry *entries, size_t capacity, uint64_t hash, const void *key, size_t key_size)
{
  size_t at = (size_t)hash & (capacity - 1);
  while (entries[at].value != NULL && (entries[at].hash != hash || entries[at].key_size != key_size ||
                                       memcmp(entries[at].key, key, key_size) != 0)) {
    at = (at + 1) & (capacity - 1);
  }
  return at;
}

void *rk_map_get(const rk_map *table, const void *key, size_t key_size)
{
  if (table->capacity == 0) {
    return NULL;
  }
  return table->entries[place_of(table->entries, table->capacity, XXH3_64bits(key, key_size), key, key_size)].value;
}

bool rk_map_reserve(rk_map *table)
{
  if (table->count + 1 > table->capacity / 2) {
    const size_t capacity = table->capacity == 0 ? 32 : table->capacity * 2;
    rk_map_entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL) {
      return false;
    }
    for (size_t i = 0; i < table->capacity; i++) {
      const rk_map_entry *entry = &table->entries[i];
      if (entry->value != NULL) {
        entries[place_of(entries, capacity, entry->hash, entry->key, entry->key_size)] = *entry;
      }
    }
    free(table->entries);
    table->entries = entries;
    table->capacity = capacity;
  }
  return true;
}

bool rk_map_put(rk_map *table, const void *key, size_t key_size, void *value)
{
  if (!rk_map_reserve(table)) {
    return false;
  }
  const uint64_t hash = XXH3_64bits(key, key_size);
  table->entries[place_of(table->entries, table->capacity, hash, key, key_size)] =
      (rk_map_entry){.hash = hash, .key = key, .key_size = key_size, .value = value};
  table->count++;
  return true;
}

void rk_map_free(rk_map *table)
{
  free(table->entries);
  *table = (rk_map){0};
}
