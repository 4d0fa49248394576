/* A set of byte strings, numbered in the order in which they came: open addressing over XXH3. */
#include "format/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

bool rk_array_grow(void **items, size_t *capacity, size_t needed, size_t size)
{
  if (needed <= *capacity) {
    return true;
  }
  size_t grown = *capacity < 16 ? 16 : *capacity;
  while (grown < needed) {
    if (grown > SIZE_MAX / 2) {
      return false;
    }
    grown *= 2;
  }
  if (grown > SIZE_MAX / size) {
    return false;
  }
  void *moved = realloc(*items, grown * size);
  if (moved == NULL) {
    return false;
  }
  *items = moved;
  *capacity = grown;
  return true;
}

/* The slot that holds the key, or the free slot where it belongs. The table has at least one free slot. */
static size_t slot_of(const rk_table *table, uint64_t hash, const void *key, size_t key_size)
{
  size_t slot = (size_t)hash & (table->slot_count - 1);
  while (table->slots[slot] != 0) {
    const rk_table_entry *entry = &table->entries[table->slots[slot] - 1];
    if (entry->hash == hash && entry->key_size == key_size &&
        (key_size == 0 || memcmp(entry->key, key, key_size) == 0)) {
      break;
    }
    slot = (slot + 1) & (table->slot_count - 1);
  }
  return slot;
}

size_t rk_table_find(const rk_table *table, const void *key, size_t key_size)
{
  if (table->count == 0) {
    return RK_TABLE_NONE;
  }
  const size_t slot = slot_of(table, XXH3_64bits(key, key_size), key, key_size);
  return table->slots[slot] == 0 ? RK_TABLE_NONE : table->slots[slot] - 1;
}

static bool grow_slots(rk_table *table)
{
  const size_t slot_count = table->slot_count == 0 ? 32 : table->slot_count * 2;
  uint32_t *slots = calloc(slot_count, sizeof *slots);
  if (slots == NULL) {
    return false;
  }
  for (size_t i = 0; i < table->count; i++) {
    size_t slot = (size_t)table->entries[i].hash & (slot_count - 1);
    while (slots[slot] != 0) {
      slot = (slot + 1) & (slot_count - 1);
    }
    slots[slot] = (uint32_t)i + 1;
  }
  free(table->slots);
  table->slots = slots;
  table->slot_count = slot_count;
  return true;
}

rk_status rk_table_put(rk_table *table, const void *key, size_t key_size, size_t *number, bool *added)
{
  if (table->count * 2 >= table->slot_count && !grow_slots(table)) {
    return RK_ERR_NO_MEMORY;
  }
  const uint64_t hash = XXH3_64bits(key, key_size);
  const size_t slot = slot_of(table, hash, key, key_size);
  *added = table->slots[slot] == 0;
  if (!*added) {
    *number = table->slots[slot] - 1;
    return RK_OK;
  }
  if (table->count >= UINT32_MAX - 1) {
    return RK_ERR_LIMIT;
  }
  void *copy = rk_arena_alloc(&table->arena, key_size == 0 ? 1 : key_size);
  if (copy == NULL ||
      !rk_array_grow((void **)&table->entries, &table->capacity, table->count + 1, sizeof *table->entries)) {
    return RK_ERR_NO_MEMORY;
  }
  if (key_size > 0) {
    memcpy(copy, key, key_size);
  }
  table->entries[table->count] = (rk_table_entry){.hash = hash, .key = copy, .key_size = key_size};
  *number = table->count++;
  table->slots[slot] = (uint32_t)table->count;
  return RK_OK;
}

void rk_table_free(rk_table *table)
{
  free(table->slots);
  free(table->entries);
  rk_arena_free(&table->arena);
  *table = (rk_table){0};
}
