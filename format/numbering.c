/* A set of byte strings, numbered in the order in which they came: open addressing over XXH3. */
#include "format/numbering.h"

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

/* The slot that holds the key, or the free slot where it belongs. There is at least one free slot. */
static size_t slot_of(const rk_numbering *numbering, uint64_t hash, const void *key, size_t key_size)
{
  size_t slot = (size_t)hash & (numbering->slot_count - 1);
  while (numbering->slots[slot] != 0) {
    const rk_numbering_entry *entry = &numbering->entries[numbering->slots[slot] - 1];
    if (entry->hash == hash && entry->key_size == key_size &&
        (key_size == 0 || memcmp(entry->key, key, key_size) == 0)) {
      break;
    }
    slot = (slot + 1) & (numbering->slot_count - 1);
  }
  return slot;
}

size_t rk_numbering_find(const rk_numbering *numbering, const void *key, size_t key_size)
{
  if (numbering->count == 0) {
    return RK_NUMBERING_NONE;
  }
  const size_t slot = slot_of(numbering, XXH3_64bits(key, key_size), key, key_size);
  return numbering->slots[slot] == 0 ? RK_NUMBERING_NONE : numbering->slots[slot] - 1;
}

static bool grow_slots(rk_numbering *numbering)
{
  const size_t slot_count = numbering->slot_count == 0 ? 32 : numbering->slot_count * 2;
  uint32_t *slots = calloc(slot_count, sizeof *slots);
  if (slots == NULL) {
    return false;
  }
  for (size_t i = 0; i < numbering->count; i++) {
    size_t slot = (size_t)numbering->entries[i].hash & (slot_count - 1);
    while (slots[slot] != 0) {
      slot = (slot + 1) & (slot_count - 1);
    }
    slots[slot] = (uint32_t)i + 1;
  }
  free(numbering->slots);
  numbering->slots = slots;
  numbering->slot_count = slot_count;
  return true;
}

rk_status rk_numbering_put(rk_numbering *numbering, const void *key, size_t key_size, size_t *number, bool *added)
{
  if (numbering->count * 2 >= numbering->slot_count && !grow_slots(numbering)) {
    return RK_ERR_NO_MEMORY;
  }
  const uint64_t hash = XXH3_64bits(key, key_size);
  const size_t slot = slot_of(numbering, hash, key, key_size);
  *added = numbering->slots[slot] == 0;
  if (!*added) {
    *number = numbering->slots[slot] - 1;
    return RK_OK;
  }
  if (numbering->count >= UINT32_MAX - 1) {
    return RK_ERR_LIMIT;
  }
  void *copy = rk_arena_alloc(&numbering->arena, key_size == 0 ? 1 : key_size);
  if (copy == NULL || !rk_array_grow((void **)&numbering->entries, &numbering->capacity, numbering->count + 1,
                                     sizeof *numbering->entries)) {
    return RK_ERR_NO_MEMORY;
  }
  if (key_size > 0) {
    memcpy(copy, key, key_size);
  }
  numbering->entries[numbering->count] = (rk_numbering_entry){.hash = hash, .key = copy, .key_size = key_size};
  *number = numbering->count++;
  numbering->slots[slot] = (uint32_t)numbering->count;
  return RK_OK;
}

void rk_numbering_free(rk_numbering *numbering)
{
  free(numbering->slots);
  free(numbering->entries);
  rk_arena_free(&numbering->arena);
  *numbering = (rk_numbering){0};
}
